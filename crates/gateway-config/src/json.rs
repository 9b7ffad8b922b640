//! JSON text to a [`Node`] tree.
//!
//! JSON is YAML, and [`yaml`](crate::yaml) reads it as well. But what a store holds is JSON that programs wrote, in a
//! thousand small texts that are all read again whenever one of them changes, and for that a parser of YAML does several
//! times the work. What this one does not understand is left to the other, and so are the words for what is wrong with it.

use crate::tree::{Entry, Node, Place, Value};
use crate::yaml::MAX_DEPTH;

/// Reads a text that is one value of JSON (RFC 8259); `None` if it is anything else. Repeated keys are kept, and numbers are
/// the text that they were.
pub(crate) fn parse(text: &str, place: &Place) -> Option<Node> {
    let mut reader = Reader { text, at: 0, place };
    let node = reader.value(MAX_DEPTH)?;
    reader.skip_blanks();
    (reader.at == text.len()).then_some(node)
}

struct Reader<'t> {
    text: &'t str,
    /// Always at the beginning of a character.
    at: usize,
    place: &'t Place,
}

impl<'t> Reader<'t> {
    /// Reads a value in which so many lists and mappings may stand within each other.
    fn value(&mut self, depth: usize) -> Option<Node> {
        self.skip_blanks();
        let value = match self.peek()? {
            b'{' => Value::Mapping(self.mapping(depth.checked_sub(1)?)?),
            b'[' => Value::Sequence(self.sequence(depth.checked_sub(1)?)?),
            b'"' => return Some(Node::scalar(self.string()?, true, self.place.clone())),
            _ => return self.literal(),
        };
        Some(Node::new(value, self.place.clone()))
    }

    fn mapping(&mut self, depth: usize) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        self.each_until(b'}', |reader| {
            let key = reader.string()?;
            reader.skip_blanks();
            reader.take(b':')?;
            let node = reader.value(depth)?;
            entries.push(Entry { key, place: reader.place.clone(), node });
            Some(())
        })?;
        Some(entries)
    }

    fn sequence(&mut self, depth: usize) -> Option<Vec<Node>> {
        let mut items = Vec::new();
        self.each_until(b']', |reader| {
            items.push(reader.value(depth)?);
            Some(())
        })?;
        Some(items)
    }

    /// Reads what stands between the bracket that is next and the one that ends it, with commas between.
    fn each_until(&mut self, end: u8, mut read: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        self.skip_blanks();
        if self.take(end).is_some() {
            return Some(());
        }
        loop {
            self.skip_blanks();
            read(self)?;
            self.skip_blanks();
            if self.take(end).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut string = self.plain()?.to_owned();
        loop {
            if self.take(b'"').is_some() {
                return Some(string);
            }
            self.take(b'\\')?;
            string.push(self.escaped()?);
            string.push_str(self.plain()?);
        }
    }

    /// Takes what stands before the next quote or backslash.
    fn plain(&mut self) -> Option<&'t str> {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        self.at += end;
        Some(&rest[..end])
    }

    /// Reads what follows a backslash.
    fn escaped(&mut self) -> Option<char> {
        let escape = self.peek()?;
        let escaped = match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return None,
        };
        self.at += 1;
        Some(escaped)
    }

    /// Reads `uXXXX`, and the second half of a surrogate pair if it is the first.
    fn code_point(&mut self) -> Option<char> {
        let first = self.code_unit()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first);
        }
        self.take(b'\\')?;
        let second = self.code_unit().filter(|unit| (0xDC00..0xE000).contains(unit))?;
        char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    }

    fn code_unit(&mut self) -> Option<u32> {
        self.take(b'u')?;
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hexadecimal.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    }

    /// Reads a number or one of the three words.
    fn literal(&mut self) -> Option<Node> {
        let rest = &self.text[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let literal = &rest[..rest.bytes().take_while(is_part).count()];
        self.at += literal.len();
        let place = self.place.clone();
        match literal {
            "null" => Some(Node::new(Value::Null, place)),
            "true" | "false" => Some(Node::scalar(literal.to_owned(), false, place)),
            _ => is_number(literal).then(|| Node::scalar(literal.to_owned(), false, place)),
        }
    }

    fn skip_blanks(&mut self) {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.text.as_bytes()[self.at..].iter().take_while(|byte| is_blank(byte)).count();
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// RFC 8259, section 6.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(are_digits)
        && exponent.is_none_or(|exponent| are_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::yaml;

    const PLACE: Place = Place::Store { is_secret: false };

    fn as_yaml(text: &str) -> Option<Node> {
        let mut node = yaml::parse(text).ok()?;
        node.relocate(&PLACE);
        Some(node)
    }

    #[test]
    fn what_is_no_json_is_left_to_yaml() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH), &PLACE).is_some());
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "1 2",
            "{}{}",
            "\"a",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\u+123\"",
            "\"\\ud800\"",
            "\"\\ud800\\n\"",
            "\"\\udc00\"",
            "\"\\ud800\\ud800\"",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "+1",
            "0x1",
            "nul",
            "truely",
            "NaN",
            "a: 1",
            "# {}",
            "\u{feff}{}",
            &nested(MAX_DEPTH + 1),
        ] {
            assert_eq!(parse(text, &PLACE), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_the_text_that_they_were() {
        for text in ["0", "-0", "10", "1.50", "1e5", "-1.5E-07", "123456789012345678901234567890"] {
            assert_eq!(parse(text, &PLACE).map(|node| node.value), Some(Value::Text(text.to_owned())), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let text = || "(true|[0-9]{1,3}|[a-z\"\\\\/\\t\\n é😀]{0,8})";
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|value| json!(value)),
            any::<i64>().prop_map(|value| json!(value)),
            any::<f64>().prop_map(|value| json!(value)),
            text().prop_map(|value| json!(value)),
        ];
        leaf.prop_recursive(4, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|items| json!(items)),
                prop::collection::vec((text(), inner), 0..5).prop_map(|entries| entries.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_is_what_yaml_makes_of_it(value in any_json(), is_pretty in any::<bool>()) {
            let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(parse(&text, &PLACE), as_yaml(&text), "{}", text);
        }

        #[test]
        fn every_text_is_json_here_if_it_is_json(text in "[\\[\\]{}:,\"\\\\u0-9a-f.eE+\\- ntrls]{0,12}") {
            let is_json = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            // Numbers beyond an f64 are numbers; serde_json refuses them.
            prop_assert!(parse(&text, &PLACE).is_some() || !is_json, "{}", text);
        }
    }
}
