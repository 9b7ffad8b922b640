//! A look at an account: what it says is what a call that needs nothing would be told, and it changes nothing.

use proptest::prelude::*;

use super::*;

fn rate_limits() -> impl Strategy<Value = Arc<Limits>> {
    let count = |most: u64| proptest::option::of(0..most);
    (count(4), count(4), count(40), proptest::option::of(0_u32..3), count(30)).prop_map(
        |(requests_per_second, requests_per_minute, tokens_per_minute, max_concurrent, money)| {
            let rate_limit = RateLimit {
                requests_per_second,
                requests_per_minute,
                tokens_per_minute,
                max_concurrent,
                ..RateLimit::default()
            };
            limits(&rate_limit, money.map(|limit| Budget { limit: NanoUsd(limit), period: BudgetPeriod::Day }))
        },
    )
}

proptest! {
    #[test]
    fn a_look_says_what_a_call_that_needs_nothing_is_told(
        limits in rate_limits(),
        calls in proptest::collection::vec((0_u64..20, 0_u64..10, 0_u64..2_000_000, any::<bool>()), 0..30),
    ) {
        let bench = Bench::new();
        let (key, mut now, mut open) = (Arc::from("key"), 0, Vec::new());
        for (tokens, cost, pause, is_over) in calls {
            now += pause;
            let demand = Demand { tokens, cost: NanoUsd(cost) };
            let looked = bench.store.check(&key, &limits, bench.at(now));
            prop_assert_eq!(&bench.store.check(&key, &limits, bench.at(now)), &looked, "a look takes nothing");
            let decided = bench.reserve("key", &limits, demand, now);
            if let Err(denial) = &looked {
                let refused = decided.as_ref().unwrap_err();
                prop_assert!(refused.retry_after.is_none() || refused.retry_after >= denial.retry_after);
                prop_assert_eq!(refused.levels, denial.levels);
            }
            if demand == Demand::default() {
                prop_assert_eq!(looked.err(), decided.as_ref().err().cloned());
            }
            open.extend(decided);
            if is_over && let Some(reservation) = open.pop() {
                bench.settle(reservation, cost, now);
            }
        }
    }
}
