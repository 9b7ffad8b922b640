use proptest::prelude::*;

use super::*;

fn read(usage: &str) -> ReportedUsage {
    read_usage(usage.as_bytes(), &mut Scanner::new(usage.as_bytes())).unwrap_or_default()
}

/// Prompt, answer and cache.
fn told(usage: &ReportedUsage) -> (Option<u64>, Option<u64>, u64) {
    (usage.prompt(), usage.completion(), usage.cached())
}

#[test]
fn every_vendors_names_are_known() {
    for (usage, prompt, completion, cached) in [
        (
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}}"#,
            Some(10),
            Some(5),
            4,
        ),
        (
            r#"{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"audio_tokens":1,"cached_tokens":4}}"#,
            Some(10),
            Some(5),
            4,
        ),
        (r#"{"prompt_tokens":8,"total_tokens":8}"#, Some(8), Some(0), 0),
        (r#"{"total_tokens":8}"#, None, None, 0),
        (r#"{"prompt_tokens":8}"#, Some(8), None, 0),
        (r#"{"completion_tokens":3}"#, None, Some(3), 0),
        (r#"{"completion_tokens":3,"total_tokens":8}"#, Some(5), Some(3), 0),
        (r#"{"prompt_tokens":0,"input_tokens":8,"output_tokens":3,"completion_tokens":0}"#, Some(8), Some(3), 0),
        (r#"{ "prompt\u005ftokens" : 8 , "prompt_tokens_details" : null }"#, Some(8), None, 0),
        (r#"{"prompt_tokens":8,"completion_tokens":3,"total_tokens":30}"#, Some(8), Some(22), 0),
        (r#"{"prompt_tokens":8,"completion_tokens":3,"total_tokens":0}"#, Some(8), Some(3), 0),
        (r#"{"prompt_tokens":8.0,"completion_tokens":1e3}"#, Some(8), Some(1000), 0),
        (r#"{"prompt_tokens":4294967296,"completion_tokens":0}"#, Some(1 << 32), Some(0), 0),
    ] {
        let read = read(usage);
        assert_eq!(told(&read), (prompt, completion, cached), "{usage}");
        assert!(!read.is_empty(), "{usage}");
    }
}

#[test]
fn what_is_no_number_of_tokens_says_nothing() {
    for usage in [
        "null",
        "7",
        "{}",
        "[1]",
        r#"{"prompt_tokens":null}"#,
        r#"{"prompt_tokens":-1}"#,
        r#"{"prompt_tokens":1.5,"completion_tokens":1e30}"#,
        r#"{"prompt_tokens":"10","total_tokens":[10]}"#,
        r#"{"prompt_tokens":9007199254740992,"completion_tokens":4294967297}"#,
        r#"{"usage":{"prompt_tokens":1}}"#,
        r#"{"prompt_tokens_details":{"cached_tokens":9}}"#,
    ] {
        assert!(read(usage).is_empty(), "{usage}");
    }
}

/// A half that cannot be read is not known, and never 0; what the total leaves for it is.
#[test]
fn a_half_that_cannot_be_read_is_not_known() {
    for odd in ["-1", "1.5", "18446744073709551615", "1e30", "4294967297", "\"7\"", "null", "true", "[7]", "{}"] {
        let half = |members: &str| read(&members.replace("ODD", odd));
        assert_eq!(told(&half(r#"{"prompt_tokens":ODD,"completion_tokens":3}"#)), (None, Some(3), 0), "{odd}");
        assert_eq!(told(&half(r#"{"input_tokens":3,"output_tokens":ODD}"#)), (Some(3), None, 0), "{odd}");
        let total = |members: &str| told(&half(&members.replace('}', r#","total_tokens":10}"#)));
        assert_eq!(total(r#"{"prompt_tokens":ODD,"completion_tokens":3}"#), (Some(7), Some(3), 0), "{odd}");
        assert_eq!(total(r#"{"prompt_tokens":3,"completion_tokens":ODD}"#), (Some(3), Some(7), 0), "{odd}");
        let no_total = half(r#"{"prompt_tokens":8,"completion_tokens":3,"total_tokens":ODD}"#);
        assert_eq!(told(&no_total), (Some(8), Some(3), 0), "{odd}");
    }
}

#[test]
fn reports_in_parts_make_one() {
    for (parts, expected) in [
        // Anthropic's: the prompt first, and the answer counted up.
        (
            &[r#"{"input_tokens":25,"output_tokens":1}"#, r#"{"output_tokens":7}"#, r#"{"output_tokens":15}"#][..],
            (Some(25), Some(15), 0),
        ),
        // Zeros for what is not known yet, and an odd last frame.
        (
            &[r#"{"prompt_tokens":0,"completion_tokens":0}"#, r#"{"prompt_tokens":3,"completion_tokens":2}"#],
            (Some(3), Some(2), 0),
        ),
        (
            &[r#"{"prompt_tokens":10,"completion_tokens":10}"#, r#"{"prompt_tokens":0,"completion_tokens":0}"#],
            (Some(10), Some(10), 0),
        ),
        // Two halves and the whole.
        (&[r#"{"prompt_tokens":3}"#, r#"{"total_tokens":9}"#], (Some(3), Some(6), 0)),
        (&["null", "{}"], (None, None, 0)),
    ] {
        let mut merged = ReportedUsage::default();
        for part in parts {
            merged.merge(read(part));
        }
        assert_eq!(told(&merged), expected, "{parts:?}");
    }
}

fn reported() -> impl Strategy<Value = ReportedUsage> {
    let count = || prop::option::of(0..100_u64);
    (count(), count(), count(), count()).prop_map(|(prompt, completion, total, cached)| ReportedUsage {
        prompt,
        completion,
        total,
        cached,
    })
}

proptest! {
    #[test]
    fn a_further_report_takes_no_member_back_in_whatever_order(one in reported(), other in reported()) {
        let (mut ahead, mut behind) = (one, other);
        ahead.merge(other);
        behind.merge(one);
        prop_assert_eq!(ahead, behind);
        prop_assert!(ahead.prompt >= one.prompt && ahead.completion >= one.completion);
        prop_assert!(ahead.total >= one.total && ahead.cached >= one.cached);
        let mut again = ahead;
        again.merge(one);
        prop_assert_eq!(again, ahead);
    }
}
