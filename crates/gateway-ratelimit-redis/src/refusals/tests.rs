use std::time::Duration;

use gateway_ratelimit::{Level, Levels, RateLimit};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn requests_a_minute(limit: u64) -> Arc<Limits> {
    Arc::new(RateLimit { requests_per_minute: Some(limit), ..RateLimit::default() }.limits(None).unwrap())
}

fn denial(cause: DenialCause, retry_after: Option<Duration>) -> Denial {
    let level = Level { limit: 5, remaining: 0, reset: 60 * SECOND };
    Denial { cause, retry_after, levels: Levels { requests: Some(level), tokens: None } }
}

const REQUESTS: DenialCause = DenialCause::Requests { limit: 5, period: Duration::from_mins(1) };

#[expect(clippy::disallowed_methods, reason = "any moment will do")]
fn some_time() -> Instant {
    Instant::now()
}

#[test]
fn a_refusal_holds_until_the_time_that_was_told() {
    let (refusals, account, limits, start) = (Refusals::default(), Arc::from("a"), requests_a_minute(5), some_time());
    refusals.note(&account, &limits, &denial(REQUESTS, Some(800 * MILLI)), start);
    let later = refusals.check("a", &limits, start + 500 * MILLI).unwrap_err();
    assert_eq!((later.cause, later.retry_after), (REQUESTS, Some(300 * MILLI)));
    assert_eq!(later.levels.requests.unwrap().reset, 59_500 * MILLI);
    assert!(refusals.check("a", &limits, start + 799 * MILLI).is_err());
    // Whoever has waited exactly as long as it was told is let through.
    assert_eq!(refusals.check("a", &limits, start + 800 * MILLI), Ok(()));
    assert_eq!(refusals.check("b", &limits, start), Ok(()));
}

#[test]
fn a_long_refusal_is_asked_for_again() {
    let (refusals, account, limits, start) = (Refusals::default(), Arc::from("a"), requests_a_minute(5), some_time());
    refusals.note(&account, &limits, &denial(REQUESTS, Some(60 * SECOND)), start);
    assert_eq!(refusals.check("a", &limits, start + 999 * MILLI).unwrap_err().retry_after, Some(59_001 * MILLI));
    assert_eq!(refusals.check("a", &limits, start + SECOND), Ok(()));
}

#[test]
fn with_other_limits_nothing_is_sure() {
    let (refusals, account, start) = (Refusals::default(), Arc::from("a"), some_time());
    refusals.note(&account, &requests_a_minute(5), &denial(REQUESTS, Some(SECOND)), start);
    assert_eq!(refusals.check("a", &requests_a_minute(6), start), Ok(()));
    assert!(refusals.check("a", &requests_a_minute(5), start).is_err(), "the same limits, compiled again");
}

#[test]
fn what_may_come_back_at_any_moment_is_asked_for() {
    let (account, limits, start) = (Arc::from("a"), requests_a_minute(5), some_time());
    for (cause, wait) in [
        (DenialCause::Tokens { needed: 5, limit: 9 }, Some(SECOND)),
        (DenialCause::Concurrency { limit: 1 }, Some(SECOND)),
        (DenialCause::Budget, Some(SECOND)),
        (DenialCause::Unavailable, None),
        (REQUESTS, None),
    ] {
        let refusals = Refusals::default();
        refusals.note(&account, &limits, &denial(cause, wait), start);
        assert_eq!(refusals.check("a", &limits, start), Ok(()), "{cause:?}");
    }
}

#[test]
fn what_no_longer_holds_is_forgotten() {
    let (refusals, limits, start) = (Refusals::default(), requests_a_minute(5), some_time());
    refusals.note(&Arc::from("short"), &limits, &denial(REQUESTS, Some(500 * MILLI)), start);
    refusals.note(&Arc::from("long"), &limits, &denial(REQUESTS, Some(9 * SECOND)), start);
    refusals.sweep(start + 600 * MILLI);
    assert_eq!(refusals.by_account.read().keys().map(|key| &**key).collect::<Vec<_>>(), ["long"]);
}
