//! YAML to a [`Node`] tree straight from the events of its parser, for texts without anchors, tags and merge keys.
//!
//! That is nearly every configuration, and the longest of all: those that programs write. `serde-saphyr` reads the rest. It
//! takes the events of the same parser, so both have one grammar; but it makes several copies of each value on their way
//! through serde, which takes four times as long, too long for a file of ten thousand mappings that is read again while calls
//! are served. What is wrong with a text is left to it as well, so that there is one set of words for that.

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput};

use super::{MAX_DEPTH, MAX_NODES};
use crate::tree::{Entry, Node, Place, Value};

/// Reads a text that is one document; `None` if it is anything else, or wrong, or beyond the budget.
pub(super) fn read(text: &str) -> Option<Node> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut reader = Reader { events: Parser::new_from_str_with_options(text, options), nodes_left: MAX_NODES };
    reader.skip(|event| matches!(event, Event::StreamStart))?;
    reader.skip(|event| matches!(event, Event::DocumentStart(_, None)))?;
    let (event, span) = reader.next()?;
    let root = reader.node(event, &span, MAX_DEPTH)?;
    reader.skip(|event| matches!(event, Event::DocumentEnd))?;
    reader.skip(|event| matches!(event, Event::StreamEnd))?;
    Some(root)
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    nodes_left: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        self.events.next_event()?.ok()
    }

    fn skip(&mut self, is_expected: impl Fn(&Event<'_>) -> bool) -> Option<()> {
        is_expected(&self.next()?.0).then_some(())
    }

    /// Reads the node that begins with an event, in which so many lists and mappings may stand within each other.
    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Option<Node> {
        self.nodes_left = self.nodes_left.checked_sub(1)?;
        let value = match event {
            Event::Scalar(text, style, 0, None) if is_null(&text, style) => Value::Null,
            Event::Scalar(text, _, 0, None) => Value::Text(text.into_owned()),
            Event::SequenceStart(_, 0, None) => Value::Sequence(self.sequence(depth.checked_sub(1)?)?),
            Event::MappingStart(_, 0, None) => Value::Mapping(self.mapping(depth.checked_sub(1)?)?),
            _ => return None,
        };
        Some(Node::new(value, place(span)))
    }

    fn sequence(&mut self, depth: usize) -> Option<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(items),
                (event, span) => items.push(self.node(event, &span, depth)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        loop {
            match self.next()? {
                (Event::MappingEnd, _) => return Some(entries),
                (Event::Scalar(key, style, 0, None), span) if key != "<<" && !is_null(&key, style) => {
                    entries.push(self.entry(key.into_owned(), place(&span), depth)?);
                }
                _ => return None,
            }
        }
    }

    fn entry(&mut self, key: String, place: Place, depth: usize) -> Option<Entry> {
        self.nodes_left = self.nodes_left.checked_sub(1)?;
        let (event, span) = self.next()?;
        let node = self.node(event, &span, depth)?;
        Some(Entry::new(key, place, node))
    }
}

fn place(span: &Span) -> Place {
    Place::File { line: span.start.line() as u64, column: span.start.col() as u64 + 1 }
}

/// YAML 1.2, section 10.3.2, and a value that is not there.
fn is_null(text: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::yaml::by_serde;

    fn assert_same(text: &str) -> Result<(), TestCaseError> {
        if let Some(node) = read(text) {
            prop_assert_eq!(Some(node), by_serde(text).ok(), "{:?}", text);
        }
        Ok(())
    }

    #[test]
    fn what_is_not_plain_is_left_to_serde() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(MAX_DEPTH)).is_some());
        for text in [
            "",
            "# nothing",
            "a: &b 1",
            "a: [&b {}]",
            "a: &b 1\nc: *b",
            "a: !!str 1",
            "a: !own {}",
            "<<: { a: 1 }",
            "? [a]\n: 1",
            "~: 1",
            ": 1",
            "a: *b",
            "a: [",
            "a: \"",
            "a: 1\n---\nb: 1",
            "%YAML 1.1\n---\na: 1",
            &nested(MAX_DEPTH + 1),
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_examples_are_plain_and_mean_the_same() {
        for text in [
            include_str!("../../../../configs/full.yaml"),
            include_str!("../../../../configs/reference-chat.yaml"),
            "a: [1, 0x1F, 010, 1_000, .5, .inf, 1e999, -0, True, yes, ~, 'null', \"\\u00e9\\n\"]\r\nb:\r\n  - |\r\n    c\r\n",
            "a:\n  - >-\n    folded\n    text\n  -\n  - b c\n    d # e\n\"f\": 'g''h'\n1: 2\ntrue: false\n",
            "---\na: 1\n...\n",
            "\u{feff}a: é😀\n",
        ] {
            let node = read(text).unwrap_or_else(|| panic!("not plain: {text}"));
            assert_eq!(Some(node), by_serde(text).ok(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_read_is_what_serde_makes_of_it(
            text in "(a|b: |- |\n|\n  |\n    |: |, |[-:,{}\\[\\]'\"&*!|>%@#$<~?\t\r \n]|\\.inf|null|[0-9a-fox_.+é]){0,40}"
        ) {
            assert_same(&text)?;
        }

        #[test]
        fn block_yaml_is_what_serde_makes_of_it(lines in prop::collection::vec("( {0,4})(- )?(a|b|1|'c'|\"d\\\\n\"): ?(~|null|yes|0[0-9]|0x[0-9a-f]|1e[0-9]{1,4}|-?[0-9]{1,25}|[|>]|\\[a, b: c\\]|\\{a: , b\\}| # e)?", 0..12)) {
            assert_same(&lines.join("\n"))?;
        }
    }
}
