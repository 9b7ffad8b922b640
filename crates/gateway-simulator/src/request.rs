//! What is read of requests: typed, borrowed where it can be, unknown members skipped.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The members of a chat completion request that matter here.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatRequest<'a> {
    #[serde(borrow, default)]
    pub(crate) model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) messages: Vec<Message<'a>>,
    #[serde(default)]
    pub(crate) stream: Option<bool>,
    #[serde(default)]
    pub(crate) stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    #[serde(borrow, default)]
    pub(crate) tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow, default)]
    pub(crate) tool_choice: Option<ToolChoice<'a>>,
}

impl ChatRequest<'_> {
    pub(crate) fn max_tokens(&self) -> Option<usize> {
        self.max_completion_tokens.or(self.max_tokens)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct StreamOptions {
    #[serde(default)]
    pub(crate) include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) role: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) content: Content<'a>,
}

/// Text, however it was written.
#[derive(Debug, Default)]
pub(crate) struct Content<'a>(pub(crate) Cow<'a, str>);

#[derive(Debug, Deserialize)]
struct ContentPart<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tool<'a> {
    #[serde(borrow, default)]
    pub(crate) function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Function<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
}

/// Whether the caller insists on a tool call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice<'a> {
    /// `auto`.
    Free,
    /// `none`.
    Never,
    /// `required`.
    Any,
    /// This one.
    Named(Cow<'a, str>),
}

/// The members of a text completion request that matter here.
#[derive(Debug, Deserialize)]
pub(crate) struct CompletionRequest<'a> {
    #[serde(borrow, default)]
    pub(crate) model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) prompt: Content<'a>,
    #[serde(default)]
    pub(crate) stream: Option<bool>,
    #[serde(default)]
    pub(crate) stream_options: Option<StreamOptions>,
    #[serde(default)]
    pub(crate) max_tokens: Option<usize>,
}

/// The members of an embedding request that matter here.
#[derive(Debug, Deserialize)]
pub(crate) struct EmbeddingRequest<'a> {
    #[serde(borrow, default)]
    pub(crate) model: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) input: Option<EmbeddingInput>,
    #[serde(default)]
    pub(crate) dimensions: Option<usize>,
    #[serde(borrow, default)]
    pub(crate) encoding_format: Option<Cow<'a, str>>,
}

/// One text or many, as text or as token numbers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum EmbeddingInput {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an array of parts or strings, or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Content::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let part = ContentPart::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Content(part.text.unwrap_or_default()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut text = String::new();
        while let Some(Content(part)) = parts.next_element::<Content<'de>>()? {
            text.push_str(&part);
        }
        Ok(Content(Cow::Owned(text)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ToolChoice<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ToolChoiceVisitor)
    }
}

struct ToolChoiceVisitor;

impl<'de> Visitor<'de> for ToolChoiceVisitor {
    type Value = ToolChoice<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`auto`, `none`, `required` or an object that names a function")
    }

    fn visit_str<E: serde::de::Error>(self, choice: &str) -> Result<Self::Value, E> {
        match choice {
            "auto" => Ok(ToolChoice::Free),
            "none" => Ok(ToolChoice::Never),
            "required" => Ok(ToolChoice::Any),
            other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut choice = ToolChoice::Any;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "function" {
                choice = ToolChoice::Named(map.next_value::<Function<'de>>()?.name);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(choice)
    }
}
