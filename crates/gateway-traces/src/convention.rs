//! Names of attributes and operations.
//!
//! From the OpenTelemetry semantic conventions: those of HTTP in version 1.44 (`docs/http/http-spans.md`, stable), and those of
//! generative AI, which left that repository after 1.41 for `open-telemetry/semantic-conventions-genai`
//! (`docs/gen-ai/client-inference.md`, in development, so that the names may change; they change here).
//!
//! The conventions of generative AI are of whoever asks a model, so `gen_ai.` is on the spans of attempts alone: were it on the span
//! of the call too, a backend that counts operations and tokens by it would count each call twice. What there is no name for begins
//! with `llm_proxy.`, as the metrics do. Of what the conventions require of a server, `url.path` and `url.scheme` are left out: the
//! path is the caller's own words, and what stands in front of the gateway may have changed the scheme.

use gateway_call::Endpoint;

pub(crate) const SERVICE_NAME: &str = "service.name";
pub(crate) const SERVICE_VERSION: &str = "service.version";

pub(crate) const HTTP_REQUEST_METHOD: &str = "http.request.method";
pub(crate) const HTTP_ROUTE: &str = "http.route";
pub(crate) const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
pub(crate) const ERROR_TYPE: &str = "error.type";

pub(crate) const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
pub(crate) const GEN_AI_PROVIDER_NAME: &str = "gen_ai.provider.name";
pub(crate) const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
/// Present and true if a stream was asked for (since 1.41).
pub(crate) const GEN_AI_REQUEST_STREAM: &str = "gen_ai.request.stream";
/// From the start of an attempt to the first part of a stream, in seconds (since 1.41).
pub(crate) const GEN_AI_TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(crate) const GEN_AI_USAGE_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(crate) const GEN_AI_USAGE_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// The part of the input tokens that came from the provider's cache (since 1.40).
pub(crate) const GEN_AI_USAGE_CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";

/// As the caller sees it in `x-request-id`, and as the access log writes it.
pub(crate) const REQUEST_ID: &str = "llm_proxy.request_id";
/// The configured name of the caller's key.
pub(crate) const API_KEY_NAME: &str = "llm_proxy.api_key_name";
/// The `code` of the error that the caller got.
pub(crate) const ERROR_CODE: &str = "llm_proxy.error_code";
/// The entry of the configuration that the name of the model led to.
pub(crate) const MODEL: &str = "llm_proxy.model";
/// The configured name of the provider of an attempt.
pub(crate) const PROVIDER: &str = "llm_proxy.provider";
/// Whether the answer was a stream of events.
pub(crate) const STREAM: &str = "llm_proxy.stream";
/// How many attempts were made.
pub(crate) const ATTEMPTS: &str = "llm_proxy.attempts";
/// What the call cost, in US dollars.
pub(crate) const COST_USD: &str = "llm_proxy.cost_usd";
/// From the request's head to the first byte of the answer's body, in milliseconds.
pub(crate) const TTFT_MS: &str = "llm_proxy.ttft_ms";
/// Time spent in the gateway itself, in microseconds.
pub(crate) const OVERHEAD_US: &str = "llm_proxy.overhead_us";
/// What came of an attempt, by the name that logs and metrics have for it.
pub(crate) const OUTCOME: &str = "llm_proxy.outcome";
/// Present and true if the gateway guessed the tokens, because the provider did not report them.
pub(crate) const USAGE_ESTIMATED: &str = "llm_proxy.usage_estimated";

/// `http.request.method` for a method that is none of HTTP's own.
pub(crate) const OTHER_METHOD: &str = "_OTHER";

/// The `gen_ai.provider.name` of a provider of this type: the well-known value if there is one, or else the type's own name.
///
/// It says whose interface is spoken, not whose machine answers: "multiple providers are accessible using the OpenAI REST API" (the
/// note on the attribute). So it is the type, of which several providers may be.
pub(crate) fn provider_name(provider_type: &str) -> &str {
    match provider_type {
        "azure" => "azure.ai.openai",
        "bedrock" => "aws.bedrock",
        "gemini" => "gcp.gemini",
        // `openai` and `anthropic` are what they are called there, too.
        own => own,
    }
}

/// The `http.route` of a path served; none if it is not one that is.
pub(crate) fn route(path: &'static str) -> Option<&'static str> {
    (path != "unknown").then_some(path)
}

/// The `gen_ai.operation.name` of an endpoint. `chat`, `text_completion` and `embeddings` are well-known values; where none applies,
/// the conventions allow names of one's own.
pub(crate) const fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Responses => "chat",
        Endpoint::Completions => "text_completion",
        Endpoint::Embeddings => "embeddings",
        Endpoint::Moderations => "moderation",
        Endpoint::ImageGenerations => "image_generation",
        Endpoint::Speech => "speech",
        Endpoint::Rerank => "rerank",
        Endpoint::Transcriptions => "transcription",
        Endpoint::Translations => "translation",
        Endpoint::ImageEdits => "image_edit",
        Endpoint::ImageVariations => "image_variation",
    }
}
