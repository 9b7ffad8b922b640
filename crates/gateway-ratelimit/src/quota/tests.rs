use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

fn requests(limit: u64, period: Duration, burst: u64) -> Quota {
    Quota::requests(limit, period, burst).unwrap()
}

fn tokens(limit: u64) -> Quota {
    Quota::tokens(limit, MINUTE).unwrap()
}

#[test]
fn what_makes_no_sense_is_no_quota() {
    let micro = Duration::from_micros(1);
    for (limit, period, burst, is_quota) in [
        (1, SECOND, 1, true),
        (1_000_000, SECOND, 1_000_000, true),
        (1_000_001, SECOND, 1, false),
        (1, micro, 1, true),
        (2, micro, 1, false),
        (1, Duration::ZERO, 1, false),
        (1, Duration::from_nanos(1_500), 1, false),
        (0, SECOND, 0, true),
        (1, SECOND, 1 << 50, true),
        (1, SECOND, (1 << 50) + 1, false),
        (1, LONGEST_PERIOD, 1, true),
        (1, LONGEST_PERIOD + micro, 1, false),
        (1, Duration::MAX, 1, false),
    ] {
        assert_eq!(Quota::requests(limit, period, burst).is_some(), is_quota, "{limit} in {period:?}, {burst} at once");
    }
    assert!(Quota::tokens(1_000_000_000_000, MINUTE).is_some());
    assert!(Quota::tokens(1 << 51, MINUTE).is_none());
    assert!(Quota::tokens(1, Duration::ZERO).is_none());
}

#[test]
fn nothing_is_let_through_where_the_limit_or_the_burst_is_0() {
    for quota in [requests(0, SECOND, 0), requests(0, SECOND, 5), requests(5, SECOND, 0), tokens(0)] {
        assert!(quota.is_blocked());
        for units in [0, 1, u64::MAX] {
            assert_eq!(Bucket::default().check(&quota, units, 0), Err(Shortage::Forever));
        }
        assert_eq!(quota.level(0), Level { limit: quota.burst(), remaining: 0, reset: Duration::ZERO });
    }
}

#[test]
fn costs_are_rounded_up_once() {
    let quota = requests(3, SECOND, 5);
    assert_eq!((quota.time_of(1), quota.time_of(5), quota.capacity()), (333_334, 1_666_670, 1_666_670));
    assert_eq!((quota.limit(), quota.period(), quota.burst()), (3, SECOND, 5));
    let quota = tokens(7_000);
    assert_eq!((quota.time_of(0), quota.time_of(1), quota.time_of(3)), (0, 8_572, 25_715));
    assert_eq!((quota.time_of(7_000), quota.capacity()), (60_000_000, 60_000_100));
    assert_eq!(tokens(1_000).capacity(), 60_000_000, "no grace where nothing is rounded");
    assert_eq!(tokens(70_000_000).capacity(), 60_000_000, "and none that would be worth a token");
    assert_eq!(tokens(1_000_000_000_000).time_of(u64::MAX), 1_106_804_644_422_574);
    assert_eq!(tokens(1).time_of(u64::MAX), u64::MAX, "as long as can be said");
}

#[test]
fn a_bucket_goes_over_into_another_quota_with_what_is_spent() {
    let six = requests(6, MINUTE, 6);
    let mut bucket = Bucket::default();
    bucket.take(&six, 3, 1_000);
    let backlog_in = |quota: &Quota| bucket.converted(&six, quota, 1_000, 1_000).backlog(1_000);
    assert_eq!(backlog_in(&requests(60, MINUTE, 60)), 3_000_000);
    assert_eq!(backlog_in(&requests(1, SECOND, 10)), 3_000_000);
    assert_eq!(backlog_in(&requests(3, Duration::from_hours(1), 3)), 3_600_000_000);
    assert_eq!(backlog_in(&requests(6, MINUTE, 2)), 20_000_000, "at most all of it");
    assert_eq!(backlog_in(&requests(0, MINUTE, 0)), 0);
    assert_eq!(bucket.converted(&six, &six, 1_000, 1_000), bucket);
    // Fifteen seconds later half of it has come back at the old rate, and more at a faster one.
    let later = 15_001_000;
    let backlog_in = |quota: &Quota| bucket.converted(&six, quota, 1_000, later).backlog(later);
    assert_eq!(backlog_in(&requests(6, MINUTE, 7)), 15_000_000);
    assert_eq!(backlog_in(&requests(3, MINUTE, 3)), 30_000_000);
    assert_eq!(backlog_in(&requests(9, MINUTE, 9)), 5_000_001);
    assert_eq!(backlog_in(&requests(60, MINUTE, 60)), 0);
    bucket.take(&six, u64::MAX, 1_000);
    assert_eq!(
        bucket.converted(&six, &requests(1, LONGEST_PERIOD, 7), 0, 0).backlog(0),
        7 * u64::from(u32::MAX) * 1_000_000
    );
}

#[test]
fn a_bucket_is_capped_at_full_unless_it_was_beyond() {
    let six = requests(6, MINUTE, 6);
    let (mut full, before) = (Bucket::until(50_000_000), Bucket::until(50_000_000));
    full.take(&six, 3, 0);
    assert_eq!(full.capped(&six, before, 0).backlog(0), 60_000_000);
    let owed = Bucket::until(90_000_000);
    full.take(&six, 9, 0);
    assert_eq!(full.capped(&six, owed, 0), owed);
}

fn quotas() -> impl Strategy<Value = Quota> {
    let of_requests = (1_u64..100, prop_oneof![1_u64..5, 1_u64..100_000], 1_u64..200);
    let of_tokens = prop_oneof![1_u64..10_000, 1_u64..100_000_000, 1_u64..1_000_000_000_000];
    prop_oneof![
        of_requests.prop_map(|(limit, seconds, burst)| requests(limit, Duration::from_secs(seconds), burst)),
        (1_u64..=1_000_000).prop_map(|limit| requests(limit, SECOND, limit)),
        of_tokens.prop_map(tokens),
    ]
}

/// Whether so many units in so many microseconds are within the quota, in exact fractions.
fn is_within(quota: &Quota, units: u64, micros: u64) -> bool {
    let beyond_burst = u128::from(units.saturating_sub(quota.burst()));
    beyond_burst * quota.period().as_micros() <= u128::from(micros) * u128::from(quota.limit())
}

proptest! {
    /// The definition, without the rounding: in any time, the burst and what the rate makes of that time.
    #[test]
    fn no_time_sees_more_than_the_burst_and_the_rate(
        quota in quotas(),
        takes in prop::collection::vec((0_u64..3_000_000, 0.0..1.2_f64), 1..40),
    ) {
        let is_single = quota.pace().1 == 1 && quota.limit() > 1;
        let (mut bucket, mut now, mut taken) = (Bucket::default(), 0, Vec::new());
        for (gap, part) in takes {
            now += gap;
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part")]
            let units = if is_single { 1 } else { (quota.burst() as f64 * part * part) as u64 };
            match bucket.check(&quota, units, now) {
                Ok(()) => {
                    bucket.take(&quota, units, now);
                    taken.push((now, units));
                }
                Err(Shortage::Until(wait)) => {
                    prop_assert!(bucket.check(&quota, units, now + wait).is_ok());
                    prop_assert_eq!(bucket.check(&quota, units, now + wait - 1), Err(Shortage::Until(1)));
                }
                Err(Shortage::Forever) => prop_assert!(units > quota.burst()),
            }
        }
        for first in 0..taken.len() {
            let mut units = 0;
            for (at, more) in &taken[first..] {
                units += more;
                // The grace is less than a token; in whole periods there is not one too many.
                let since = (at - taken[first].0).next_multiple_of(u64::try_from(quota.period().as_micros()).unwrap());
                prop_assert!(is_within(&quota, units, since));
                prop_assert!(is_within(&quota, units.saturating_sub(1), at - taken[first].0));
            }
        }
    }

    #[test]
    fn a_full_burst_is_let_through_in_parts(quota in quotas(), parts in 1_u64..60) {
        // Beyond, a microsecond is many tokens and there is no grace to be had.
        prop_assume!(quota.limit() <= 1_000_000);
        let parts = parts.min(quota.burst());
        let mut bucket = Bucket::default();
        let mut left = quota.burst();
        for part in 0..parts {
            prop_assert_eq!(quota.level(bucket.backlog(9)).remaining, left);
            let units = if part + 1 == parts { left } else { quota.burst() / parts };
            prop_assert_eq!(bucket.check(&quota, units, 9), Ok(()));
            bucket.take(&quota, units, 9);
            left -= units;
        }
        prop_assert_eq!(quota.level(bucket.backlog(9)).remaining, 0);
        prop_assert!(bucket.check(&quota, 1, 9).is_err());
    }

    #[test]
    fn what_remains_can_be_taken_and_no_more(quota in quotas(), backlog in 0_u64..200_000_000) {
        let level = quota.level(backlog);
        prop_assert_eq!((level.limit, level.reset), (quota.burst(), Duration::from_micros(backlog)));
        let room = quota.capacity().saturating_sub(backlog);
        prop_assert!(quota.time_of(level.remaining) <= room);
        prop_assert!(level.remaining == quota.burst() || quota.time_of(level.remaining + 1) > room);
    }

    /// Less than a microsecond stays behind.
    #[test]
    fn given_back_is_as_if_never_taken(quota in quotas(), taken in 0_u64..1_000_000, spent in 0_u64..1_000_000) {
        let mut bucket = Bucket::until(spent);
        bucket.take(&quota, taken, 0);
        bucket.settle(&quota, taken, 0, 0);
        prop_assert!((spent..=spent + 1).contains(&bucket.backlog(0)));
    }

    /// A bucket whose credit is capped at full, which is what "given back" means.
    #[test]
    fn what_comes_back_is_capped_at_full(
        quota in quotas(),
        steps in prop::collection::vec((0_u64..2_000_000, 0_u64..40, 0_u64..60), 1..40),
    ) {
        let full = i128::from(quota.capacity());
        let (mut credit, mut bucket, mut now) = (full, Bucket::default(), 0_u64);
        for (gap, taken, used) in steps {
            now += gap;
            credit = full.min(credit + i128::from(gap));
            bucket.take(&quota, taken, now);
            credit -= i128::from(quota.time_of(taken));
            bucket.settle(&quota, taken, used, now);
            let back = quota.time_within(taken.saturating_sub(used));
            credit = full.min(credit + i128::from(back)) - i128::from(quota.time_of(used.saturating_sub(taken)));
            prop_assert_eq!(i128::from(bucket.backlog(now)), full - credit);
        }
    }

    #[test]
    fn there_and_back_is_never_less(from in quotas(), to in quotas(), units in 0_u64..100) {
        let mut bucket = Bucket::default();
        bucket.take(&from, units.min(from.burst()).min(to.burst()), 5);
        let there = bucket.converted(&from, &to, 5, 5);
        prop_assert!(there.backlog(5) <= to.capacity());
        prop_assert!(there.converted(&to, &from, 5, 5).backlog(5) >= bucket.backlog(5).min(from.capacity()));
    }
}
