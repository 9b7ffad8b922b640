//! The API of OpenAI, and of everyone who copies it.

mod codes;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gateway_call::{Endpoint, Outcome};
use gateway_extension::{BuildError, Extension};
use gateway_secret::Secret;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode, response};
use serde::Deserialize;

use self::codes::{is_context_length, status_of};
use crate::retry_after::retry_after;
use crate::{InvalidCredential, Provider, UpstreamFault};

/// OpenAI's protocol: bearer key, one path per endpoint.
#[derive(Debug, Clone, Copy)]
pub struct OpenAi;

/// It has no settings.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAiConfig {}

impl Extension<dyn Provider> for OpenAi {
    const NAME: &'static str = "openai";
    type Config = OpenAiConfig;

    fn build(_: OpenAiConfig) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(Self))
    }
}

impl Provider for OpenAi {
    fn url_path(&self, endpoint: Endpoint) -> &'static str {
        endpoint.suffix()
    }

    fn authorize(&self, headers: &mut HeaderMap, credential: &Secret) -> Result<(), InvalidCredential> {
        let text = format!("Bearer {}", credential.expose());
        let mut value = HeaderValue::try_from(text).map_err(|_| InvalidCredential)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    fn classify(&self, head: &response::Parts, received: SystemTime) -> Outcome {
        judge(head.status.as_u16(), || retry_after(&head.headers, received))
    }

    fn classify_fault(&self, status: StatusCode, fault: &UpstreamFault) -> Outcome {
        let named = if status.is_success() { fault.status.or_else(|| status_of(fault)) } else { Some(status.as_u16()) };
        match named.map(|status| judge(status, || None)) {
            None | Some(Outcome::ClientFault) if is_context_length(fault) => Outcome::ContextLength,
            Some(Outcome::ModelMissing) if is_about_another_thing(fault) => Outcome::ClientFault,
            Some(outcome) => outcome,
            None => Outcome::ServerError,
        }
    }
}

/// Whether a 404 says that something else than the model is missing, such as `previous_response_not_found`: then no other
/// target would find it either. Servers that say nothing, or say it in other words, mean the model.
fn is_about_another_thing(fault: &UpstreamFault) -> bool {
    let code = fault.code.as_deref().unwrap_or_default();
    code.ends_with("_not_found") && !matches!(code, "model_not_found" | "deployment_not_found")
}

/// The verdict on a status.
fn judge(status: u16, retry_after: impl FnOnce() -> Option<Duration>) -> Outcome {
    match status {
        200..=299 => Outcome::Success,
        401..=403 => Outcome::CredentialsRejected,
        404 => Outcome::ModelMissing,
        429 => Outcome::RateLimited { retry_after: retry_after() },
        503 | 529 => Outcome::Overloaded { retry_after: retry_after() },
        408 | 500..=599 => Outcome::ServerError,
        400..=499 => Outcome::ClientFault,
        // Informational answers end no exchange, and redirects are never followed.
        _ => Outcome::InvalidResponse,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::Response;
    use proptest::prelude::*;

    use super::*;

    fn classify(status: u16, retry_after: Option<&str>) -> Outcome {
        let mut response = Response::builder().status(status);
        if let Some(value) = retry_after {
            response = response.header("retry-after", value);
        }
        OpenAi.classify(&response.body(()).unwrap().into_parts().0, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn every_status_has_its_verdict() {
        let wait = Some(Duration::from_secs(3));
        for (statuses, expected) in [
            (&[200, 201, 204, 299][..], Outcome::Success),
            (&[401, 402, 403], Outcome::CredentialsRejected),
            (&[404], Outcome::ModelMissing),
            (&[429], Outcome::RateLimited { retry_after: wait }),
            (&[503, 529], Outcome::Overloaded { retry_after: wait }),
            (&[408, 500, 501, 502, 504, 520, 599], Outcome::ServerError),
            (&[400, 405, 409, 413, 415, 422, 451, 499], Outcome::ClientFault),
            (&[100, 199, 300, 301, 302, 307, 304, 600, 999], Outcome::InvalidResponse),
        ] {
            for status in statuses {
                assert_eq!(classify(*status, Some("3")), expected, "{status}");
            }
        }
        assert_eq!(classify(429, None), Outcome::RateLimited { retry_after: None });
        let in_a_minute = Some("Thu, 01 Jan 1970 00:01:00 GMT");
        let wait = Some(Duration::from_mins(1));
        assert_eq!(classify(429, in_a_minute), Outcome::RateLimited { retry_after: wait });
        assert_eq!(classify(503, in_a_minute), Outcome::Overloaded { retry_after: wait });
    }

    #[test]
    fn a_404_is_about_the_model_unless_it_says_otherwise() {
        for (body, expected) in [
            (r#"{"error":{"message":"m","code":"model_not_found"}}"#, Outcome::ModelMissing),
            (r#"{"error":{"message":"m","type":"NotFoundError","code":404}}"#, Outcome::ModelMissing),
            (r#"{"error":{"message":"m","code":"DeploymentNotFound"}}"#, Outcome::ModelMissing),
            (r#"{"detail":"Not Found"}"#, Outcome::ModelMissing),
            (r#"{"error":{"message":"m","code":"previous_response_not_found"}}"#, Outcome::ClientFault),
        ] {
            assert_eq!(judge_body(404, body), expected, "{body}");
        }
    }

    fn judge_body(status: u16, body: &str) -> Outcome {
        OpenAi.classify_fault(StatusCode::from_u16(status).unwrap(), &UpstreamFault::of_body(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_request_that_is_too_long_is_told_from_other_faults() {
        for (status, body) in [
            // OpenAI, Azure, Groq.
            (
                400,
                r#"{"error":{"message":"m","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            ),
            (413, r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#),
            // llama.cpp.
            (
                400,
                r#"{"error":{"code":400,"message":"request (9 tokens) exceeds the available context size (8 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":8}}"#,
            ),
            // vLLM, before and after errors got their envelope.
            (
                400,
                r#"{"object":"error","message":"This model's maximum context length is 8 tokens. However, you requested 9 tokens (9 in the messages, 0 in the completion).","type":"BadRequestError","param":null,"code":400}"#,
            ),
            (
                400,
                r#"{"error":{"message":"You passed 9 input tokens and requested 1 output tokens. However, the model's context length is only 8 tokens, resulting in a maximum input length of 7 tokens.","type":"BadRequestError","param":"input_tokens","code":400}}"#,
            ),
            // DeepSeek, whose code says no more than its type.
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8 tokens. However, you requested 9 tokens.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            ),
            // OpenRouter.
            (
                400,
                r#"{"error":{"message":"This endpoint's maximum context length is 8 tokens. However, you requested about 9 tokens.","code":400,"metadata":{"provider_name":null}}}"#,
            ),
            // Mistral.
            (
                400,
                r#"{"object":"error","message":"Prompt contains 9 tokens, too large for model with 8 maximum context length","type":"invalid_request_error","param":null,"code":null}"#,
            ),
            // text-generation-inference, Together.
            (
                422,
                r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8. Given: 8 `inputs` tokens and 1 `max_new_tokens`","error_type":"validation"}"#,
            ),
            // SGLang behind FastAPI's own words.
            (400, r#"{"detail":"The input (9 tokens) is longer than the model's context length (8 tokens)."}"#),
            // Inside a success.
            (200, r#"{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}"#),
            (200, r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#),
            (200, r#"{"error":"This model's maximum context length is 8 tokens."}"#),
        ] {
            assert_eq!(judge_body(status, body), Outcome::ContextLength, "{status} {body}");
        }
        for (status, body) in [
            (400, r#"{"error":{"message":"m","type":"invalid_request_error","param":"temperature","code":null}}"#),
            (400, r#"{"error":{"message":"m","code":"string_above_max_length"}}"#),
            (
                400,
                r#"{"error":{"message":"max_tokens must be at least 1, got -186.","type":"BadRequestError","code":400}}"#,
            ),
            (422, r#"{"detail":[{"loc":["body","messages"],"msg":"field required"}]}"#),
            (400, r#"{"error":{"message":"unknown parameter: context_length_exceeded"}}"#),
        ] {
            assert_eq!(judge_body(status, body), Outcome::ClientFault, "{status} {body}");
        }
    }

    #[test]
    fn an_error_inside_a_success_is_judged_as_the_answer_that_it_should_have_been() {
        let (limited, overloaded) =
            (Outcome::RateLimited { retry_after: None }, Outcome::Overloaded { retry_after: None });
        for (error, expected) in [
            // The status that it names.
            (r#"{"message":"m","code":429}"#, limited),
            (r#"{"message":"m","code":"503"}"#, overloaded),
            (r#"{"message":"m","code":502,"type":"invalid_request_error"}"#, Outcome::ServerError),
            (r#"{"message":"m","status":401}"#, Outcome::CredentialsRejected),
            (r#"{"message":"m","status":400,"code":"rate_limit_exceeded"}"#, Outcome::ClientFault),
            // Its code, and its type if the code says nothing.
            (r#"{"message":"m","code":"rate_limit_exceeded"}"#, limited),
            (r#"{"message":"m","type":"rate_limit_error","code":"slow_down"}"#, limited),
            (r#"{"message":"m","type":"insufficient_quota","code":"credit_balance_exhausted"}"#, limited),
            (r#"{"message":"m","code":"server_is_overloaded"}"#, overloaded),
            (r#"{"message":"m","type":"overloaded_error"}"#, overloaded),
            (
                r#"{"message":"m","type":"invalid_request_error","code":"invalid_api_key"}"#,
                Outcome::CredentialsRejected,
            ),
            (r#"{"message":"m","type":"invalid_request_error","code":"model_not_found"}"#, Outcome::ModelMissing),
            (r#"{"message":"m","type":"invalid_request_error","code":"unsupported_value"}"#, Outcome::ClientFault),
            (r#"{"message":"m","code":"invalid_prompt"}"#, Outcome::ClientFault),
            // Nothing known.
            (r#"{"message":"m","code":"server_error"}"#, Outcome::ServerError),
            (r#"{"message":"m","type":"api_error"}"#, Outcome::ServerError),
            (r#"{"message":"m","code":"rate_limit_exceeded_by_far"}"#, Outcome::ServerError),
            (r#"{"message":"rate_limit_exceeded"}"#, Outcome::ServerError),
            (r#""m""#, Outcome::ServerError),
            (r"{}", Outcome::ServerError),
        ] {
            assert_eq!(judge_body(200, &format!(r#"{{"error":{error}}}"#)), expected, "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_code_refines_no_verdict_but_that_on_the_callers_fault(
            status in 300..600_u16,
            named in prop::option::of(400..600_u16),
            code in prop::sample::select(vec!["context_length_exceeded", "rate_limit_exceeded", "invalid_api_key", "x"]),
        ) {
            let text = || Some(code.to_owned());
            let fault = UpstreamFault { status: named, message: String::new(), code: text(), kind: text() };
            let by_head = classify(status, None);
            let by_body = OpenAi.classify_fault(StatusCode::from_u16(status).unwrap(), &fault);
            let is_too_long = by_head == Outcome::ClientFault && code == "context_length_exceeded";
            prop_assert_eq!(by_body, if is_too_long { Outcome::ContextLength } else { by_head });
        }

        #[test]
        fn an_error_is_never_a_success(
            named in prop::option::of(400..600_u16),
            message in "[a-z ]{0,8}|maximum context length",
            code in prop::option::of("[a-z_]{1,8}|rate_limit_exceeded|overloaded"),
        ) {
            let fault = UpstreamFault { status: named, message, code, kind: None };
            prop_assert_ne!(OpenAi.classify_fault(StatusCode::OK, &fault), Outcome::Success);
        }
    }

    #[test]
    fn the_key_replaces_any_other_and_is_marked_as_sensitive() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer callers"));
        OpenAi.authorize(&mut headers, &Secret::from("sk-1")).unwrap();
        assert_eq!(headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>(), ["Bearer sk-1"]);
        assert!(headers[AUTHORIZATION].is_sensitive());
        assert!(!format!("{headers:?}").contains("sk-1"));
        assert_eq!(OpenAi.authorize(&mut headers, &Secret::from("a\nb")), Err(InvalidCredential));
    }

    #[test]
    fn paths_are_those_of_the_endpoints() {
        assert_eq!(OpenAi.url_path(Endpoint::ChatCompletions), "/chat/completions");
        let built = crate::builtin().build_default("openai").unwrap();
        assert_eq!(built.url_path(Endpoint::Speech), "/audio/speech");
    }
}
