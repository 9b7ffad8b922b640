//! YAML text to a [`Node`] tree, within fixed budgets.
//!
//! The file may be somebody else's (a config map, an upload to the admin API), so nesting, nodes and alias expansion
//! are bounded before anything looks at the content. Typed scalars are taken from the source text rather than from
//! the parser's number, which would have lost leading zeros of a key.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DefaultMessageFormatter, Location, MessageFormatter, Spanned, Tagged};

use crate::tree::{Entry, Node, Place, Value};

mod plain;

/// The largest file read, in bytes.
pub(crate) const MAX_FILE: usize = 16 << 20;

/// The deepest nesting of mappings and lists; a configuration has six.
pub(crate) const MAX_DEPTH: usize = 32;

/// The most values and keys; there is room for ten thousand providers.
const MAX_NODES: usize = 1_000_000;

/// What the parser refused, and where if it knows.
pub(crate) struct SyntaxError {
    pub(crate) position: Option<(u64, u64)>,
    pub(crate) message: String,
}

/// Parses one document. Repeated keys are kept, for the reader of the section to report with their path.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    plain::read(text).map_or_else(|| by_serde(text), Ok)
}

/// Parses whatever YAML there is, and says what is wrong with what is none.
fn by_serde(text: &str) -> Result<Node, SyntaxError> {
    let parsed = serde_saphyr::from_str_with_options(text, options()).map_err(|error| SyntaxError::of(&error))?;
    Ok(node(parsed, text))
}

impl SyntaxError {
    fn of(error: &serde_saphyr::Error) -> Self {
        let error = error.without_snippet();
        let message = match error {
            // The parser's advice is for whoever calls it.
            serde_saphyr::Error::MultipleDocuments { .. } => {
                "a second document begins; a configuration is one".to_owned()
            }
            serde_saphyr::Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
                format!("nested deeper than {MAX_DEPTH} levels")
            }
            serde_saphyr::Error::Budget { .. } => "more values or aliases than any configuration has".to_owned(),
            _ => DefaultMessageFormatter.format_message(error).into_owned(),
        };
        Self { position: error.location().map(|location| (location.line(), location.column())), message }
    }
}

/// An alias bomb is cut off after fifty thousand replayed events.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_aliases: 1_000,
            max_anchors: 256,
            max_documents: 2,
            max_total_scalar_bytes: MAX_FILE,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 50_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// What the parser saw, before the source text is consulted.
enum Shape {
    Null,
    /// With quotes or without, which is in the source.
    Text(String),
    /// A text whose tag says that it is one.
    TaggedText(String),
    /// A boolean or number; its text is in the source, and this is what to say if it is not.
    Literal(String),
    Sequence(Vec<Spanned<Shape>>),
    Mapping(Vec<(Spanned<String>, Spanned<Shape>)>),
}

fn node(parsed: Spanned<Shape>, source: &str) -> Node {
    let place = place(parsed.referenced);
    let value = match parsed.value {
        Shape::Null => Value::Null,
        Shape::Text(text) => {
            // Of a text in quotes, the source has the quotes too, and of a block scalar the end of the line.
            let is_quoted = source_text(parsed.defined, source) != Some(&text);
            return Node::scalar(text, is_quoted, place);
        }
        Shape::TaggedText(text) => return Node::scalar(text, true, place),
        Shape::Literal(fallback) => {
            // A tag makes a number of what is in quotes.
            let text = source_text(parsed.defined, source).map(str::trim).filter(|text| !text.starts_with(['"', '\'']));
            let text = text.filter(|text| !text.is_empty()).map_or(fallback, str::to_owned);
            return Node::scalar(text, false, place);
        }
        Shape::Sequence(items) => Value::Sequence(items.into_iter().map(|item| node(item, source)).collect()),
        Shape::Mapping(entries) => {
            Value::Mapping(entries.into_iter().map(|(key, value)| entry(key, value, source)).collect())
        }
    };
    Node::new(value, place)
}

fn entry(key: Spanned<String>, value: Spanned<Shape>, source: &str) -> Entry {
    Entry::new(key.value, place(key.referenced), node(value, source))
}

fn place(location: Location) -> Place {
    Place::File { line: location.line(), column: location.column() }
}

fn source_text(location: Location, source: &str) -> Option<&str> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    source.get(start..start.checked_add(length)?)
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Tagged(Untagged(shape), tag) = Tagged::deserialize(deserializer)?;
        Ok(match shape {
            Self::Text(text) if tag.is_some() => Self::TaggedText(text),
            shape => shape,
        })
    }
}

/// What the parser saw behind the tag, if there is one.
struct Untagged(Shape);

impl<'de> Deserialize<'de> for Untagged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor).map(Self)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Literal(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Literal(value.to_string()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Shape, E> {
        Ok(Shape::Literal(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Literal(value.to_string()))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Shape, E> {
        Ok(Shape::Literal(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Shape, E> {
        Ok(Shape::Literal(value.to_string()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Shape, E> {
        Ok(Shape::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Shape, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Shape::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Shape::Mapping(entries))
    }
}
