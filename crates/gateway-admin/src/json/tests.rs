use super::*;
use gateway_ratelimit::RateLimit;
use serde_json::{Map, Value};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    #[serde(deserialize_with = "optional_object")]
    rate_limit: Option<RateLimit>,
    list: Vec<String>,
    metadata: Option<Map<String, Value>>,
    flag: Option<bool>,
    nested: Option<Nested>,
}

#[derive(Debug, Deserialize)]
struct Nested {
    #[expect(dead_code, reason = "only that it is missing matters")]
    needed: f64,
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    use Fault::{DuplicateField, InvalidJson, InvalidValue, MissingField, UnknownField};
    for (document, fault, param, words) in [
        ("", InvalidJson, None, "line 1, column 0: EOF"),
        ("{\n  \"list\": [}", InvalidJson, Some("list[0]"), "line 2, column 12"),
        ("{} {}", InvalidJson, None, "trailing characters"),
        ("{\"flag\": tru}", InvalidJson, Some("flag"), "line 1, column 13"),
        ("[]", InvalidValue, None, "has to be a JSON object"),
        ("null", InvalidValue, None, "has to be a JSON object"),
        (r#"{"other": 1}"#, UnknownField, Some("other"), "unknown field `other`, expected one of"),
        (r#"{"rate_limit": {"rps": 1}}"#, UnknownField, Some("rate_limit.rps"), "`requests_per_second`"),
        (r#"{"flag": true, "flag": true}"#, DuplicateField, Some("flag"), "given twice"),
        (r#"{"metadata": {"a": [{"b": 1, "b": 1}]}}"#, DuplicateField, Some("metadata.a[0].b"), "given twice"),
        (r#"{"flag": true, "\u0066lag": true}"#, DuplicateField, Some("flag"), "given twice"),
        (r#"{"flag": "yes"}"#, InvalidValue, Some("flag"), "expected true or false"),
        (r#"{"list": "a"}"#, InvalidValue, Some("list"), "expected a list"),
        (r#"{"list": ["a", 1]}"#, InvalidValue, Some("list[1]"), "integer `1`, expected a string"),
        (r#"{"metadata": []}"#, InvalidValue, Some("metadata"), "expected a JSON object"),
        (r#"{"rate_limit": [1]}"#, InvalidValue, Some("rate_limit"), "expected a JSON object"),
        (
            r#"{"rate_limit": {"limit": -1}}"#,
            InvalidValue,
            Some("rate_limit.limit"),
            "`-1`, expected a whole number from 0",
        ),
        (r#"{"rate_limit": {"limit": 1.5}}"#, InvalidValue, Some("rate_limit.limit"), "expected a whole number"),
        (
            r#"{"rate_limit": {"limit": 18446744073709551616}}"#,
            InvalidValue,
            Some("rate_limit.limit"),
            "to 18446744073709551615",
        ),
        (
            r#"{"rate_limit": {"max_concurrent": 4294967296}}"#,
            InvalidValue,
            Some("rate_limit.max_concurrent"),
            "to 4294967295",
        ),
        (r#"{"rate_limit": {"limit": 1e400}}"#, InvalidJson, Some("rate_limit.limit"), "number out of range"),
        (r#"{"nested": {}}"#, MissingField, Some("nested.needed"), "is missing"),
        (r#"{"nested": {"needed": "1"}}"#, InvalidValue, Some("nested.needed"), "expected a number"),
    ] {
        let refused = parse::<Sample>(document.as_bytes()).map(drop).unwrap_err();
        assert_eq!((refused.fault, refused.param()), (fault, param), "{document}: {refused}");
        assert!(refused.problem.contains(words), "{document}: {refused}");
        assert!(!refused.problem.ends_with(char::is_numeric) || fault == InvalidValue, "{refused}");
    }
    assert!(parse::<Sample>(b"{\"list\": [\"\xff\"]}").is_err());
}

#[test]
fn nothing_is_too_deep_or_too_long_to_refuse() {
    let deep = format!("{{\"metadata\": {}", "{\"a\":".repeat(20_000));
    assert_eq!(parse::<Sample>(deep.as_bytes()).unwrap_err().fault, Fault::InvalidJson);
    let long = format!("{{\"{}\": 1}}", "é".repeat(20_000));
    let refused = parse::<Sample>(long.as_bytes()).unwrap_err();
    assert_eq!(refused.fault, Fault::UnknownField);
    assert!(refused.to_string().chars().count() < 3 * MOST_ECHOED);
}

#[test]
fn what_is_right_is_read() {
    let sample: Sample = parse(br#" {"rate_limit": null, "list": ["a"], "metadata": {"a": {"a": 1.5}}} "#).unwrap();
    assert!(sample.rate_limit.is_none() && sample.flag.is_none() && sample.nested.is_none());
    assert_eq!((sample.list.len(), sample.metadata.unwrap().len()), (1, 1));
    let sample: Sample = parse(br#"{"rate_limit": {"limit": 0}}"#).unwrap();
    assert_eq!(sample.rate_limit.unwrap().limit, Some(0));
}

/// What is said to administrators is made of these words, so that an update which changes one of them has to be seen.
#[test]
fn serde_says_what_it_is_taken_to_say() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[expect(dead_code, reason = "only that it is missing matters")]
        needed: u64,
    }
    fn said<T: DeserializeOwned>(document: &str) -> String {
        without_place(&serde_json::from_str::<T>(document).map(drop).unwrap_err())
    }
    for (said, expected) in [
        (said::<Strict>("{}"), "missing field `needed`"),
        (said::<Strict>(r#"{"needed": 1, "other": 1}"#), "unknown field `other`, expected `needed`"),
        (said::<Object<Strict>>("[]"), "invalid type: sequence, expected a JSON object"),
        (said::<u64>("-1"), "invalid value: integer `-1`, expected u64"),
        (said::<u32>("4294967296"), "invalid value: integer `4294967296`, expected u32"),
        (said::<f64>("true"), "invalid type: boolean `true`, expected f64"),
        (said::<bool>("1"), "invalid type: integer `1`, expected a boolean"),
        (said::<Vec<String>>("\"a\""), "invalid type: string \"a\", expected a sequence"),
        (said::<Map<String, Value>>("1"), "invalid type: integer `1`, expected a map"),
    ] {
        assert_eq!(said, expected);
    }
    let place = serde_json::from_str::<Strict>("{\n }").unwrap_err();
    assert_eq!(place.to_string(), "missing field `needed` at line 2 column 2");
}
