//! The APIs that the gateway serves, as data.

/// How the body of a request to an endpoint is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// One JSON object, held whole while its members are found.
    Json,
    /// `multipart/form-data`: held until its `model` part is known, then streamed.
    Multipart,
}

/// What the path of every endpoint begins with, and what a provider's API base usually ends with.
const VERSION: &str = "/v1";

/// One API of the OpenAI family, named by the path that callers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`, also reached as `POST /api/llm`.
    ChatCompletions,
    /// `POST /v1/completions`.
    Completions,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/moderations`.
    Moderations,
    /// `POST /v1/images/generations`.
    ImageGenerations,
    /// `POST /v1/audio/speech`.
    Speech,
    /// `POST /v1/rerank`.
    Rerank,
    /// `POST /v1/audio/transcriptions`.
    Transcriptions,
    /// `POST /v1/audio/translations`.
    Translations,
    /// `POST /v1/images/edits`.
    ImageEdits,
    /// `POST /v1/images/variations`.
    ImageVariations,
}

impl Endpoint {
    /// Every endpoint, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Moderations,
        Self::ImageGenerations,
        Self::Speech,
        Self::Rerank,
        Self::Transcriptions,
        Self::Translations,
        Self::ImageEdits,
        Self::ImageVariations,
    ];

    /// The endpoint served at exactly this path of the gateway.
    pub fn from_path(path: &str) -> Option<Self> {
        if path == "/api/llm" {
            return Some(Self::ChatCompletions);
        }
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    /// The path at which callers find it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
            Self::Moderations => "/v1/moderations",
            Self::ImageGenerations => "/v1/images/generations",
            Self::Speech => "/v1/audio/speech",
            Self::Rerank => "/v1/rerank",
            Self::Transcriptions => "/v1/audio/transcriptions",
            Self::Translations => "/v1/audio/translations",
            Self::ImageEdits => "/v1/images/edits",
            Self::ImageVariations => "/v1/images/variations",
        }
    }

    /// The path below a provider's API base, such as `/chat/completions`.
    pub const fn suffix(self) -> &'static str {
        self.path().split_at(VERSION.len()).1
    }

    /// How the request body is read.
    pub const fn body_kind(self) -> BodyKind {
        match self {
            Self::Transcriptions | Self::Translations | Self::ImageEdits | Self::ImageVariations => BodyKind::Multipart,
            _ => BodyKind::Json,
        }
    }

    /// Whether a successful plain answer is promised to be JSON. Speech is audio, transcriptions may be plain text.
    pub const fn promises_json(self) -> bool {
        !matches!(self, Self::Speech | Self::Transcriptions | Self::Translations)
    }

    /// Whether the model writes its answer token by token, so that tokens are what the answer costs.
    pub const fn answers_in_tokens(self) -> bool {
        matches!(
            self,
            Self::ChatCompletions | Self::Completions | Self::Responses | Self::Transcriptions | Self::Translations
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_found_at_its_own_path_only() {
        for endpoint in Endpoint::ALL {
            let path = endpoint.path();
            assert_eq!(Endpoint::from_path(path), Some(endpoint));
            assert_eq!(path, format!("/v1{}", endpoint.suffix()));
            assert_eq!(Endpoint::from_path(&format!("{path}/")), None);
            assert_eq!(Endpoint::from_path(endpoint.suffix()), None);
        }
        assert_eq!(Endpoint::from_path("/api/llm"), Some(Endpoint::ChatCompletions));
        assert_eq!(Endpoint::from_path("/v1"), None);
        assert_eq!(Endpoint::from_path("/v1/api/llm"), None);
    }
}
