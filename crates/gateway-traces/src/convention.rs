//! Names of attributes and operations.
//!
//! From the OpenTelemetry semantic conventions 1.37: `docs/http/http-spans.md` (stable) and `docs/gen-ai/gen-ai-spans.md` (in
//! development, so that the names may change; they change here). What the conventions have no name for begins with `llm_proxy.`, as the
//! metrics do.

use gateway_call::Endpoint;

pub(crate) const SERVICE_NAME: &str = "service.name";
pub(crate) const SERVICE_VERSION: &str = "service.version";

pub(crate) const HTTP_REQUEST_METHOD: &str = "http.request.method";
pub(crate) const HTTP_ROUTE: &str = "http.route";
pub(crate) const URL_PATH: &str = "url.path";
pub(crate) const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
pub(crate) const ERROR_TYPE: &str = "error.type";

pub(crate) const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
pub(crate) const GEN_AI_PROVIDER_NAME: &str = "gen_ai.provider.name";
pub(crate) const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
pub(crate) const GEN_AI_USAGE_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(crate) const GEN_AI_USAGE_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// The part of the input tokens that came from the provider's cache (since 1.38).
pub(crate) const GEN_AI_USAGE_CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";

/// As the caller sees it in `x-request-id`, and as the access log writes it.
pub(crate) const REQUEST_ID: &str = "llm_proxy.request_id";
/// The configured name of the caller's key.
pub(crate) const API_KEY_NAME: &str = "llm_proxy.api_key_name";
/// The `code` of the error that the caller got.
pub(crate) const ERROR_CODE: &str = "llm_proxy.error_code";
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

/// The `gen_ai.operation.name` of an endpoint. The first four are predefined; for others the conventions ask for names of one's own.
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
