use std::io;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::captured::Lines;

/// What is written of events.
fn lines(log: impl FnOnce()) -> String {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).event_format(JsonLine).finish();
    tracing::subscriber::with_default(subscriber, log);
    lines.text()
}

/// What `tracing-subscriber` writes of them.
fn lines_of_tracing(log: impl FnOnce()) -> String {
    let lines = Lines::default();
    let builder = tracing_subscriber::fmt().with_writer(lines.clone()).json();
    let subscriber = builder.flatten_event(true).with_current_span(false).with_span_list(false).finish();
    tracing::subscriber::with_default(subscriber, log);
    lines.text()
}

/// A line without its timestamp, which has to be one and to come first.
fn undated(line: &str) -> &str {
    let rest = line.strip_prefix(r#"{"timestamp":""#).unwrap_or_else(|| panic!("{line}"));
    let (timestamp, rest) = rest.split_once('"').unwrap();
    let shape: String = timestamp.chars().map(|it| if it.is_ascii_digit() { '0' } else { it }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000Z");
    rest
}

/// The one line of an event, read.
fn read(log: impl FnOnce()) -> Value {
    let text = lines(log);
    assert_eq!(text.find('\n'), Some(text.len() - 1), "{text:?} is not a line");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

struct Broken;

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("so \"far\"")?;
        Err(fmt::Error)
    }
}

fn numbers() {
    for float in [0.0, -0.0, 1.0, 12.345, 12.5e-6, 1e-7, 1e15, 1e16, 1e300, f64::MIN_POSITIVE, f64::MAX, f64::NAN] {
        tracing::info!(float, negative = -float, infinite = f64::INFINITY * float);
    }
    tracing::info!(least = i64::MIN, most = u64::MAX, yes = true, no = false, small = 7_u8, nothing = None::<u64>);
    tracing::info!(wide = u128::MAX, deep = i128::MIN);
}

fn texts() {
    let every: String = (0_u8..128).map(char::from).collect();
    tracing::warn!(every, beyond = "\u{85}\u{2028}\u{202e}\u{feff}\u{e000}\u{1f600}ä", empty = "", "mess\"age\n");
    let vector = vec!["a\"b", "c\\d\n"];
    tracing::error!(shown = display("a \"b\" \n"), debugged = debug(&vector), ?vector, %every, "{vector:?}");
    let error = io::Error::other("it \"broke\"\n");
    tracing::info!(error = &error as &(dyn std::error::Error + 'static), bytes = &b"\x00\xff"[..]);
}

fn names() {
    tracing::info!(level = "high", target = "moon", timestamp = 7, message = "twice", "message");
    tracing::info!("a \"name\"\n" = 1, dotted.name = 2, r#type = 3, r#fn = ?4);
    tracing::info!(target: "access\"\\", request_id = "req_1");
    tracing::info!("only a message");
    tracing::info!({ number = 1 });
}

fn within_spans() {
    let span = tracing::info_span!("outer", secret = "of a span", number = 1);
    let _inside = span.enter();
    tracing::info!(own = 1, "inside");
}

#[test]
fn lines_are_those_that_tracing_would_write() {
    for (name, log, expected) in
        [("numbers", numbers as fn(), 14), ("texts", texts, 3), ("names", names, 5), ("within spans", within_spans, 1)]
    {
        let (ours, theirs) = (lines(log), lines_of_tracing(log));
        assert_eq!(ours.lines().count(), expected, "{name}: {ours}");
        let (ours, theirs): (Vec<_>, Vec<_>) =
            (ours.lines().map(undated).collect(), theirs.lines().map(undated).collect());
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn a_line_is_as_it_is_documented() {
    let text = lines(|| tracing::info!(target: "access", a = 1, b = "x", "call"));
    assert_eq!(undated(&text), ",\"level\":\"INFO\",\"message\":\"call\",\"a\":1,\"b\":\"x\",\"target\":\"access\"}\n");
}

#[test]
fn fields_of_spans_stay_out() {
    let text = lines(within_spans);
    assert!(text.contains("inside") && !text.contains("secret") && !text.contains("outer"), "{text}");
}

#[test]
fn a_value_that_cannot_show_itself_does_not_break_the_line() {
    let line = read(|| tracing::info!(broken = ?Broken, behind = 1));
    assert_eq!((&line["broken"], &line["behind"]), (&json!("so \"far\""), &json!(1)));
}

proptest! {
    #[test]
    fn any_text_reads_back_as_it_was(text in any::<String>(), other in "[\\x00-\\x7f\u{2028}\u{2029}]*") {
        for text in [text, other] {
            let line = read(|| tracing::info!(a = text, b = %text, c = ?text, "{text}"));
            prop_assert_eq!(&line["a"], &json!(text));
            prop_assert_eq!(&line["b"], &json!(text));
            prop_assert_eq!(&line["c"], &json!(format!("{text:?}")));
            prop_assert_eq!(&line["message"], &json!(text));
        }
    }

    #[test]
    fn any_number_reads_back_as_it_was(float in any::<f64>(), signed in any::<i64>(), unsigned in any::<u64>()) {
        let text = lines(|| tracing::info!(float, signed, unsigned));
        let line: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&line["signed"], &json!(signed));
        prop_assert_eq!(&line["unsigned"], &json!(unsigned));
        // To the last bit, which `serde_json` does not read.
        let written = text.split_once(r#""float":"#).and_then(|(_, rest)| rest.split(',').next()).unwrap();
        if float.is_finite() {
            prop_assert_eq!(written.parse::<f64>().unwrap().to_bits(), float.to_bits());
        } else {
            prop_assert_eq!(written, "null");
        }
    }
}
