//! Generators of JSON text, and the law that the scanner agrees with `serde_json`.
//!
//! They make text rather than values: what the scanner must get right is white space, escapes and numbers that a
//! serialiser would never write.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::ends::behind_run;
use super::*;

/// White space as JSON knows it.
pub(crate) fn whitespace() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,2}"
}

/// A string with its quotes: plain text of any script, every kind of escape, halves of surrogate pairs too.
pub(crate) fn string() -> impl Strategy<Value = String> {
    r#""([ !#-\[\]-~é模😀\x{7f}]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|[a-z ]{40,90}){0,6}""#
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        string(),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?",
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
    ]
}

/// A member's name, with quotes: mostly harmless, and the guarded names too, which mean nothing below the top level.
fn nested_name() -> impl Strategy<Value = String> {
    prop_oneof![3 => string(), 1 => "\"(model|gateway|error|stream|model_id|choices|Model)\""]
}

/// Any value.
pub(crate) fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        let element = (whitespace(), inner.clone(), whitespace()).prop_map(|(a, value, b)| a + &value + &b).boxed();
        let member = (whitespace(), nested_name(), whitespace(), element.clone())
            .prop_map(|(a, name, b, value)| format!("{a}{name}{b}:{value}"));
        prop_oneof![
            prop::collection::vec(element, 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// A member of an object, exactly as it stands there.
#[derive(Debug, Clone)]
pub(crate) struct MemberText {
    /// The name with its quotes.
    pub(crate) name: String,
    /// White space, colon, white space.
    pub(crate) colon: String,
    pub(crate) value: String,
    before: String,
    behind: String,
}

impl MemberText {
    /// The member without the white space around it.
    pub(crate) fn core(&self) -> String {
        format!("{}{}{}", self.name, self.colon, self.value)
    }

    /// The same white space around something else.
    pub(crate) fn around(&self, core: &str) -> String {
        format!("{}{core}{}", self.before, self.behind)
    }
}

/// A member with the given strategies for its parts.
pub(crate) fn member(
    name: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = MemberText> {
    (whitespace(), name, whitespace(), whitespace(), value, whitespace()).prop_map(
        |(before, name, left, right, value, behind)| MemberText {
            name,
            colon: format!("{left}:{right}"),
            value,
            before,
            behind,
        },
    )
}

/// The object made of these members; `empty` is the white space in it if there is none.
pub(crate) fn object(members: &[MemberText], empty: &str) -> String {
    let texts: Vec<_> = members.iter().map(|member| member.around(&member.core())).collect();
    if texts.is_empty() { format!("{{{empty}}}") } else { format!("{{{}}}", texts.join(",")) }
}

fn is_json(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.value().and_then(|_| scanner.finish()).is_ok()
}

fn serde_agrees(text: &[u8]) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        is_json(text),
        serde_json::from_slice::<IgnoredAny>(text).is_ok(),
        "{:?}",
        text.escape_ascii().to_string()
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn valid_text_is_read_to_its_end(before in whitespace(), text in value(), behind in whitespace()) {
        let whole = format!("{before}{text}{behind}");
        let mut scanner = Scanner::new(whole.as_bytes());
        prop_assert_eq!(scanner.value(), Ok(before.len()..before.len() + text.len()));
        prop_assert_eq!(scanner.finish(), Ok(()));
        prop_assert!(serde_json::from_str::<IgnoredAny>(&whole).is_ok());
    }

    #[test]
    fn damaged_text_is_judged_as_serde_json_does(
        text in value(),
        place in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]:,\"\\ \n0123456789+-.eEtrufalsn\0\x1f"[..])],
        kind in 0..4_u8,
    ) {
        let mut bytes = text.into_bytes();
        let at = place.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
        serde_agrees(&bytes)?;
    }

    #[test]
    fn token_soup_is_judged_as_serde_json_does(text in r#"([\[\]{}:,]|"[a-z]?"|-?[0-9]{1,2}|[0-9]?\.[0-9]?|[1-9][eE][+-]?[0-9]?|true|nul|null|[ \n]){0,10}"#) {
        serde_agrees(text.as_bytes())?;
    }

    #[test]
    fn a_run_ends_at_the_first_byte_that_needs_a_look(
        plain in prop::collection::vec(prop_oneof![0x20_u8..0x22, 0x23_u8..0x5c, 0x5d_u8..=0xff], 0..200),
        end in prop::sample::select(&b"\"\\\0\x1f\n"[..]),
        behind in any::<[u8; 9]>(),
    ) {
        prop_assert_eq!(behind_run(&plain), b"");
        let text = [&plain[..], &[end], &behind].concat();
        prop_assert_eq!(behind_run(&text), &text[plain.len()..]);
    }

    #[test]
    fn strings_mean_what_serde_json_says(string in string()) {
        let expected = serde_json::from_str::<String>(&string).ok();
        prop_assert_eq!(text(string.as_bytes()).map(Cow::into_owned), expected.clone());
        let raw = &string.as_bytes()[1..string.len() - 1];
        if let Some(expected) = &expected {
            prop_assert_eq!(text_len(raw), expected.len());
        }
        let name = expected.map_or(raw.to_vec(), String::into_bytes);
        prop_assert_eq!(key_name(raw).into_owned(), name);
    }
}

#[test]
fn nesting_has_no_limit_and_every_level_is_remembered() {
    for depth in [1, 31, 32, 33, 64, 65, 1000, 100_000] {
        let text = format!("{}{}", "[{\"a\":".repeat(depth), "}]".repeat(depth)).replace(":}", ":1}");
        assert!(is_json(text.as_bytes()), "{depth}");
        let crossed = text.replacen("}]", "]}", 1);
        assert!(!is_json(crossed.as_bytes()), "{depth}");
        assert!(!is_json(&text.as_bytes()[..text.len() - 1]), "{depth}");
    }
}

#[test]
fn whole_numbers_are_told_from_whatever_else_stands_there() {
    for (value, expected) in [
        ("0", Some(0)),
        ("17", Some(17)),
        ("9007199254740992", Some(1 << 53)),
        ("9007199254740993", None),
        ("18446744073709551617", None),
        ("-1", None),
        ("-1e3", None),
        ("12.0", Some(12)),
        ("0.0", Some(0)),
        ("1e3", Some(1000)),
        ("1.25E+2", Some(125)),
        ("1200e-2", Some(12)),
        ("9007199254740991.0", Some((1 << 53) - 1)),
        ("9007199254740993.0", None),
        ("1.5", None),
        ("1e-3", None),
        ("1e30", None),
        ("1e999", None),
        ("", None),
        ("inf", None),
        ("NaN", None),
        ("true", None),
        ("null", None),
        ("\"17\"", None),
        ("[17]", None),
    ] {
        assert_eq!(whole_number(value.as_bytes()), expected, "{value}");
    }
}

#[test]
fn surrogates_have_the_length_of_their_character() {
    for (raw, expected) in [(r"\ud83d\ude00", 4), (r"\uD83D\uDE00", 4), (r"\u0041\u00e9\u6a21", 6), (r"\\u0041", 6)] {
        assert_eq!(text_len(raw.as_bytes()), expected, "{raw}");
    }
}
