use bytes::Bytes;
use gateway_protocol::scan_answer;
use proptest::prelude::*;

use super::*;

const EXPECTED: Expected = Expected { prompt: 13, output: 487 };

fn report(members: &str) -> ReportedUsage {
    scan_answer(&Bytes::from(format!("{{\"usage\":{{{members}}}}}"))).unwrap().usage
}

fn of(prompt: u64, completion: u64) -> ReportedUsage {
    report(&format!("\"prompt_tokens\":{prompt},\"completion_tokens\":{completion}"))
}

fn settled(expected: Expected, measure: Measure) -> (u64, u64, bool) {
    let mut consumption = Consumption::default();
    consumption.expect(expected);
    consumption.measure(measure);
    let Tokens { usage, is_estimated } = consumption.tokens(0);
    (usage.prompt, usage.completion, is_estimated)
}

/// What is reported of an answer that came to its end is exact, whatever was seen of it.
#[test]
fn the_report_of_a_whole_answer_is_believed() {
    for (reported, seen, expected) in [
        (of(10, 20), 120, (10, 20, false)),
        (of(10, 20), 0, (10, 20, false)),
        (of(0, 0), 120, (13, 120, true)),
        (of(0, 0), 0, (13, 0, true)),
        (of(0, 50), 120, (13, 50, true)),
        (report(""), 120, (13, 120, true)),
        (report("\"prompt_tokens\":-1,\"completion_tokens\":20"), 120, (13, 20, true)),
        (report("\"prompt_tokens\":10,\"completion_tokens\":1e30"), 120, (10, 120, true)),
        (report("\"prompt_tokens\":10"), 120, (10, 120, true)),
        (report("\"prompt_tokens\":9007199254740992,\"completion_tokens\":9007199254740992"), 120, (13, 120, true)),
        (report("\"total_tokens\":200"), 120, (80, 120, true)),
        (report("\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0"), 120, (13, 120, true)),
        (report("\"total_tokens\":100"), 120, (0, 100, true)),
    ] {
        let measure = Measure { reported, seen, is_whole: true };
        assert_eq!(settled(EXPECTED, measure), expected, "{measure:?}");
    }
}

/// Ahead of the end a report is a state of affairs.
#[test]
fn an_answer_that_broke_off_costs_what_was_seen_at_least() {
    for (reported, seen, expected) in [
        (of(0, 0), 120, (13, 120, true)),
        (of(10, 1), 120, (10, 120, true)),
        (of(0, 200), 120, (13, 200, true)),
        (of(10, 200), 120, (10, 200, false)),
        (of(10, 120), 120, (10, 120, false)),
        (report(""), 120, (13, 120, true)),
        (report("\"completion_tokens\":200"), 120, (13, 200, true)),
        (report("\"prompt_tokens\":10"), 120, (10, 120, true)),
        (report("\"total_tokens\":0"), 120, (13, 120, true)),
    ] {
        let measure = Measure { reported, seen, is_whole: false };
        assert_eq!(settled(EXPECTED, measure), expected, "{measure:?}");
    }
}

/// Embeddings have a prompt, and some say so in the total alone.
#[test]
fn an_answer_in_numbers_is_all_prompt() {
    let expected = Expected { prompt: 13, output: 0 };
    for (reported, tokens) in [
        (report("\"prompt_tokens\":8,\"total_tokens\":8"), (8, 0, false)),
        (report("\"prompt_tokens\":8"), (8, 0, false)),
        (report("\"total_tokens\":8"), (8, 0, false)),
        (report("\"prompt_tokens\":0,\"total_tokens\":0"), (13, 0, true)),
        (report("\"prompt_tokens\":-1"), (13, 0, true)),
        (report("\"prompt_tokens\":-1,\"total_tokens\":8"), (8, 0, false)),
        (report(""), (13, 0, true)),
    ] {
        let mut consumption = Consumption::default();
        consumption.expect(expected);
        consumption.measure_whole(reported, 40_000);
        let Tokens { usage, is_estimated } = consumption.tokens(40_000);
        assert_eq!((usage.prompt, usage.completion, is_estimated), tokens, "{reported:?}");
    }
}

/// However much a caller allows, an answer is estimated by what came.
#[test]
fn what_is_allowed_without_measure_is_not_taken() {
    let mut consumption = Consumption::default();
    consumption.expect(Expected { prompt: 13, output: u64::MAX });
    let tokens =
        |consumption: Consumption, bytes| (consumption.tokens(bytes).usage, consumption.tokens(bytes).is_estimated);
    let usage = |completion| Usage { prompt: 13, completion, cached: 0 };
    assert_eq!(tokens(consumption, 400), (usage(100), true), "passed on as it came");
    consumption.measure_whole(report(""), 800);
    assert_eq!(tokens(consumption, 400), (usage(200), true), "a plain answer");
    consumption.measure(Measure { reported: report(""), seen: 20, is_whole: false });
    assert_eq!(tokens(consumption, 400), (usage(20), true), "a stream");
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![0..300_u64, Just(1 << 32), Just((1 << 32) + 1), Just(1 << 53), Just(u64::MAX)]
}

proptest! {
    #[test]
    fn no_answer_is_settled_for_more_than_a_call_can_take_nor_a_broken_one_for_less_than_was_seen(
        members in prop::collection::vec(("(prompt|completion|total)_tokens", count()), 0..4),
        (prompt, output, seen) in (0..1_000_u64, count(), 0..1_000_u64),
        is_whole in any::<bool>(),
    ) {
        let members: Vec<_> = members.iter().map(|(name, count)| format!("\"{name}\":{count}")).collect();
        let reported = report(&members.join(","));
        let (prompt, completion, is_estimated) = settled(Expected { prompt, output }, Measure { reported, seen, is_whole });
        prop_assert!(prompt <= 1 << 32 && completion <= 1 << 32);
        prop_assert!(is_whole || completion >= seen);
        prop_assert!(is_estimated || !reported.is_empty());
        prop_assert!(is_estimated || reported.completion().is_none_or(|told| told == completion));
    }
}
