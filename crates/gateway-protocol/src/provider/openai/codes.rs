//! What the codes of errors mean.
//!
//! OpenAI documents a status for each of its codes ("Error codes",
//! <https://platform.openai.com/docs/guides/error-codes>), so that an error inside a success, where there is no status,
//! can be judged like the answer that it should have been. The names that others gave to the same errors stand beside
//! OpenAI's own. A name that is not listed says nothing.

use crate::UpstreamFault;

/// Codes and types, and the status that an answer with them has.
const STATUSES: [(u16, &[&str]); 6] = [
    // `type` says this of most faults of the caller, and also of some others, which then have a `code`.
    (400, &["invalid_request_error", "invalid_prompt", "BadRequestError"]),
    (401, &["invalid_api_key", "authentication_error"]),
    (403, &["permission_error"]),
    (404, &["model_not_found", "not_found_error"]),
    // A quota that is used up is a 429 at OpenAI too: another key may have some left.
    (429, &["rate_limit_exceeded", "rate_limit_error", "slow_down", "insufficient_quota"]),
    // Anthropic's `overloaded_error`, also through its OpenAI-compatible endpoint, is a 529, which is judged the same.
    (503, &["server_is_overloaded", "service_unavailable_error", "overloaded_error", "overloaded"]),
];

/// A request that is too long for the model: OpenAI, Azure, Groq and OpenRouter as `code`, llama.cpp as `type`.
const CONTEXT_LENGTH: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];

/// The same in words, for widely used servers that have no code of their own for it: of each message the part that does
/// not depend on numbers and speaks of nothing else. A request that is passed over to the next model by mistake fails
/// there in the same way, and its caller reads why.
const TOO_LONG: [&str; 3] = [
    // vLLM before 0.16, DeepSeek, Mistral, SGLang, Ollama; OpenRouter for many of its providers.
    "maximum context length",
    // vLLM since 0.16: "the model's context length is only 1024 tokens"; SGLang: "longer than the model's context length".
    "the model's context length",
    // Hugging Face's text-generation-inference, and Together, which uses its words.
    "`inputs` tokens + `max_new_tokens` must be <=",
];

/// The status for an error's code, else for its type; `None` if neither is known.
pub(super) fn status_of(fault: &UpstreamFault) -> Option<u16> {
    names(fault).find_map(|name| STATUSES.iter().find(|(_, known)| known.contains(&name)).map(|(status, _)| *status))
}

/// Whether an error says that the request is too long for the model's context.
pub(super) fn is_context_length(fault: &UpstreamFault) -> bool {
    names(fault).any(|name| CONTEXT_LENGTH.contains(&name))
        || TOO_LONG.iter().any(|words| fault.message.contains(words))
}

fn names(fault: &UpstreamFault) -> impl Iterator<Item = &str> {
    [&fault.code, &fault.kind].into_iter().filter_map(|name| name.as_deref())
}
