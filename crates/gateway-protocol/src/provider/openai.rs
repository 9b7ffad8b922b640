//! The API of OpenAI, and of everyone who copies it.

use std::sync::Arc;

use gateway_call::{Endpoint, Outcome};
use gateway_extension::{BuildError, Extension};
use gateway_secret::Secret;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, response};
use serde::Deserialize;

use crate::retry_after::retry_after;
use crate::{InvalidCredential, Provider};

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

    fn classify(&self, head: &response::Parts) -> Outcome {
        match head.status.as_u16() {
            200..=299 => Outcome::Success,
            401..=403 => Outcome::CredentialsRejected,
            404 => Outcome::ModelMissing,
            429 => Outcome::RateLimited { retry_after: retry_after(&head.headers) },
            503 | 529 => Outcome::Overloaded { retry_after: retry_after(&head.headers) },
            408 | 500..=599 => Outcome::ServerError,
            400..=499 => Outcome::ClientFault,
            // Informational answers end no exchange, and redirects are never followed.
            _ => Outcome::InvalidResponse,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use http::Response;

    use super::*;

    fn classify(status: u16, retry_after: Option<&str>) -> Outcome {
        let mut response = Response::builder().status(status);
        if let Some(value) = retry_after {
            response = response.header("retry-after", value);
        }
        OpenAi.classify(&response.body(()).unwrap().into_parts().0)
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
