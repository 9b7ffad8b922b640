//! The scenarios themselves.

use std::time::Duration;

use gateway_ratelimit::DenialCause::{self, Blocked, Budget, Concurrency, Requests, Tokens};
use gateway_ratelimit::{BudgetPeriod, Levels, RateLimit};

mod changes;

use super::Scenario;
use super::story::{NOTHING, Story, level, never, requests, tokens, wait};

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = of_requests();
    all.extend(of_tokens());
    all.extend(of_rounded_tokens());
    all.extend(of_several());
    all.extend(of_concurrency());
    all.extend(of_nothing());
    all.extend(of_money());
    all.extend(of_money_in_time());
    all.extend(of_changes());
    all.extend(changes::scenarios());
    all
}

fn per_second(requests_per_second: u64, burst_size: Option<u64>) -> RateLimit {
    RateLimit { requests_per_second: Some(requests_per_second), burst_size, ..RateLimit::default() }
}

fn per_minute(requests_per_minute: u64) -> RateLimit {
    RateLimit { requests_per_minute: Some(requests_per_minute), ..RateLimit::default() }
}

fn a_second(limit: u64) -> DenialCause {
    Requests { limit, period: Duration::from_secs(1) }
}

fn a_minute(limit: u64) -> DenialCause {
    Requests { limit, period: Duration::from_mins(1) }
}

fn of_requests() -> Vec<Scenario> {
    let burst = Story::new("a burst, then one at a time", per_second(2, Some(3)))
        .call(0, 0, Ok(requests(3, 2, 500_000)))
        .call(0, 0, Ok(requests(3, 1, SECOND)))
        .call(0, 0, Ok(requests(3, 0, 1_500_000)))
        .call(0, 0, wait(a_second(2), 500_000, requests(3, 0, 1_500_000)))
        .call(499_999, 0, wait(a_second(2), 1, requests(3, 0, 1_000_001)))
        .call(500_000, 0, Ok(requests(3, 0, 1_500_000)))
        .call(1_500_000, 0, Ok(requests(3, 1, SECOND)))
        .call(10 * SECOND, 0, Ok(requests(3, 2, 500_000)));
    // A request costs 333,334 microseconds, and the burst is three of them.
    let uneven = Story::new("three in a second are three", per_second(3, None))
        .call(0, 0, Ok(requests(3, 2, 333_334)))
        .call(0, 0, Ok(requests(3, 1, 666_668)))
        .call(0, 0, Ok(requests(3, 0, 1_000_002)))
        .call(0, 0, wait(a_second(3), 333_334, requests(3, 0, 1_000_002)))
        .call(333_333, 0, wait(a_second(3), 1, requests(3, 0, 666_669)))
        .call(333_334, 0, Ok(requests(3, 0, 1_000_002)));
    let two_a_day = Requests { limit: 2, period: Duration::from_hours(24) };
    let own_period = RateLimit { limit: Some(2), period_seconds: Some(86_400), ..RateLimit::default() };
    let day = Story::new("two a day", own_period)
        .call(0, 0, Ok(requests(2, 1, 43_200 * SECOND)))
        .call(7, 0, Ok(requests(2, 0, 86_400 * SECOND - 7)))
        .call(7, 0, wait(two_a_day, 43_200 * SECOND - 7, requests(2, 0, 86_400 * SECOND - 7)))
        .call(43_200 * SECOND, 0, Ok(requests(2, 0, 86_400 * SECOND)));
    let kept = Story::new("a request that is over stays spent", per_minute(1))
        .call(0, 0, Ok(requests(1, 0, MINUTE)))
        .settle(SECOND, 0, 0, 0)
        .call(2 * SECOND, 0, wait(a_minute(1), 58 * SECOND, requests(1, 0, 58 * SECOND)));
    let apart = Story::new("accounts are apart", per_minute(1))
        .call(0, 0, Ok(requests(1, 0, MINUTE)))
        .account("b")
        .call(0, 0, Ok(requests(1, 0, MINUTE)))
        .account("a")
        .call(0, 0, wait(a_minute(1), MINUTE, requests(1, 0, MINUTE)));
    [burst, uneven, day, kept, apart].map(Story::end).into()
}

fn tokens_per_minute(tokens_per_minute: u64) -> RateLimit {
    RateLimit { tokens_per_minute: Some(tokens_per_minute), ..RateLimit::default() }
}

fn of_tokens() -> Vec<Scenario> {
    // 1,000 tokens in 60 seconds: 60 ms each.
    let given_back = Story::new("what was not used comes back", tokens_per_minute(1_000))
        .call(0, 800, Ok(tokens(1_000, 200, 48 * SECOND)))
        .call(0, 300, wait(Tokens { needed: 300, limit: 1_000 }, 6 * SECOND, tokens(1_000, 200, 48 * SECOND)))
        .settle(SECOND, 0, 500, 0)
        .call(SECOND, 516, Ok(tokens(1_000, 0, 59_960_000)))
        .settle(SECOND, 1, 516, 0)
        .call(SECOND, 1, wait(Tokens { needed: 1, limit: 1_000 }, 20_000, tokens(1_000, 0, 59_960_000)))
        .call(1_020_000, 1, Ok(tokens(1_000, 0, MINUTE)));
    let any_order = Story::new("calls end in any order", tokens_per_minute(1_000))
        .call(0, 400, Ok(tokens(1_000, 600, 24 * SECOND)))
        .call(0, 500, Ok(tokens(1_000, 100, 54 * SECOND)))
        .settle(0, 1, 100, 0)
        .settle(0, 0, 0, 0)
        .call(0, 900, Ok(tokens(1_000, 0, MINUTE)));
    let capped = Story::new("more than all of it never comes back", tokens_per_minute(1_000))
        .call(0, 1_000, Ok(tokens(1_000, 0, MINUTE)))
        .settle(30 * SECOND, 0, 0, 0)
        .call(30 * SECOND, 1_000, Ok(tokens(1_000, 0, MINUTE)))
        .call(30 * SECOND, 1, wait(Tokens { needed: 1, limit: 1_000 }, 60_000, tokens(1_000, 0, MINUTE)));
    let debt = Story::new("more than was taken is owed", tokens_per_minute(1_000))
        .call(0, 100, Ok(tokens(1_000, 900, 6 * SECOND)))
        .settle(0, 0, 1_500, 0)
        .call(0, 0, wait(Tokens { needed: 0, limit: 1_000 }, 30 * SECOND, tokens(1_000, 0, 90 * SECOND)))
        .call(30 * SECOND, 0, Ok(tokens(1_000, 0, MINUTE)))
        .call(30 * SECOND, 10, wait(Tokens { needed: 10, limit: 1_000 }, 600_000, tokens(1_000, 0, MINUTE)))
        .call(90 * SECOND, 0, Ok(tokens(1_000, 1_000, 0)))
        .settle(90 * SECOND, 1, 50, 0)
        .call(90 * SECOND, 950, Ok(tokens(1_000, 0, MINUTE)));
    [given_back, any_order, capped, debt].map(Story::end).into()
}

fn of_rounded_tokens() -> Vec<Scenario> {
    let too_many = Story::new("more than the limit never fits", tokens_per_minute(1_000))
        .call(0, 1_001, never(Tokens { needed: 1_001, limit: 1_000 }, tokens(1_000, 1_000, 0)))
        .call(0, 1_000, Ok(tokens(1_000, 0, MINUTE)));
    // A token is 8,571.43 microseconds; each amount is rounded once, and there are 100 microseconds of grace for that.
    let uneven = Story::new("each amount is rounded once, against the caller", tokens_per_minute(7_000))
        .call(0, 1, Ok(tokens(7_000, 6_999, 8_572)))
        .call(0, 3, Ok(tokens(7_000, 6_996, 34_287)))
        .settle(0, 0, 0, 0)
        .call(0, 6_997, Ok(tokens(7_000, 0, 60_000_002)))
        .settle(0, 1, 1, 0)
        .call(0, 4, wait(Tokens { needed: 4, limit: 7_000 }, 17_046, tokens(7_000, 2, 59_982_860)))
        .call(0, 2, Ok(tokens(7_000, 0, 60_000_003)));
    let many = Story::new("many tokens a microsecond", tokens_per_minute(1_000_000_000_000))
        .call(0, 1_000_000_000, Ok(tokens(1_000_000_000_000, 999_000_000_000, 60_000)))
        .call(0, 1, Ok(tokens(1_000_000_000_000, 998_999_983_333, 60_001)));
    [too_many, uneven, many].map(Story::end).into()
}

fn of_several() -> Vec<Scenario> {
    let both = RateLimit { requests_per_second: Some(2), requests_per_minute: Some(3), ..RateLimit::default() };
    // 500 ms and 20 s a request.
    let least = Story::new("the quota with least left is told, the longest wait counts", both)
        .call(0, 0, Ok(requests(2, 1, 500_000)))
        .call(0, 0, Ok(requests(2, 0, SECOND)))
        .call(0, 0, wait(a_second(2), 500_000, requests(2, 0, SECOND)))
        .call(500_000, 0, Ok(requests(2, 0, SECOND)))
        .call(500_000, 0, wait(a_minute(3), 19_500_000, requests(2, 0, SECOND)))
        .call(2 * SECOND, 0, wait(a_minute(3), 18 * SECOND, requests(3, 0, 58 * SECOND)))
        .call(20 * SECOND, 0, Ok(requests(3, 0, MINUTE)));
    let rate_limit = RateLimit {
        requests_per_minute: Some(3),
        tokens_per_minute: Some(60),
        max_concurrent: Some(2),
        ..RateLimit::default()
    };
    // 20 s a request, 1 s a token.
    let levels = |left: [u64; 2], reset: [u64; 2]| Levels {
        requests: Some(level(3, left[0], reset[0] * SECOND)),
        tokens: Some(level(60, left[1], reset[1] * SECOND)),
    };
    let all = Story::new("all or nothing", rate_limit)
        .call(0, 50, Ok(levels([2, 10], [20, 50])))
        .call(0, 11, wait(Tokens { needed: 11, limit: 60 }, SECOND, levels([2, 10], [20, 50])))
        .call(0, 10, Ok(levels([1, 0], [40, 60])))
        .call(0, 0, never(Concurrency { limit: 2 }, levels([1, 0], [40, 60])))
        .call(0, 5, never(Concurrency { limit: 2 }, levels([1, 0], [40, 60])))
        .settle(0, 0, 50, 0)
        .call(0, 0, Ok(levels([0, 0], [60, 60])))
        .settle(0, 1, 10, 0)
        .call(0, 0, wait(a_minute(3), 20 * SECOND, levels([0, 0], [60, 60])))
        .call(0, 15, wait(a_minute(3), 20 * SECOND, levels([0, 0], [60, 60])))
        .call(0, 30, wait(Tokens { needed: 30, limit: 60 }, 30 * SECOND, levels([0, 0], [60, 60])))
        .call(0, 61, never(Tokens { needed: 61, limit: 60 }, levels([0, 0], [60, 60])))
        .call(20 * SECOND, 20, Ok(levels([0, 0], [60, 60])));
    [least, all].map(Story::end).into()
}

fn of_concurrency() -> Vec<Scenario> {
    let at_once = |most| RateLimit { max_concurrent: Some(most), ..RateLimit::default() };
    let calls = Story::new("so many calls at once", at_once(2))
        .call(0, 9, Ok(NOTHING))
        .call(0, 9, Ok(NOTHING))
        .call(MINUTE, 9, never(Concurrency { limit: 2 }, NOTHING))
        .settle(MINUTE, 0, 0, 0)
        .call(MINUTE, 9, Ok(NOTHING))
        .settle(MINUTE, 1, 0, 0)
        .settle(MINUTE, 2, 0, 0)
        .call(MINUTE, 9, Ok(NOTHING))
        .limits(at_once(1))
        .call(MINUTE, 9, never(Concurrency { limit: 1 }, NOTHING))
        .limits(at_once(3))
        .call(MINUTE, 9, Ok(NOTHING));
    vec![calls.end()]
}

fn of_nothing() -> Vec<Scenario> {
    let zero = |name, rate_limit, levels| Story::new(name, rate_limit).call(0, 0, never(Blocked, levels)).end();
    let own_period = RateLimit { limit: Some(0), ..RateLimit::default() };
    let at_once = RateLimit { max_concurrent: Some(0), ..RateLimit::default() };
    let one_of = RateLimit { requests_per_second: Some(5), tokens_per_minute: Some(0), ..RateLimit::default() };
    let beside = Levels { requests: Some(level(5, 5, 0)), tokens: Some(level(0, 0, 0)) };
    let none = requests(0, 0, 0);
    vec![
        zero("0 a second blocks", per_second(0, None), none),
        zero("a burst of 0 blocks", per_second(5, Some(0)), none),
        zero("0 a minute blocks", per_minute(0), none),
        zero("0 in a period blocks", own_period, none),
        zero("0 tokens block", tokens_per_minute(0), tokens(0, 0, 0)),
        zero("0 at once block", at_once, NOTHING),
        zero("one 0 among others blocks", one_of, beside),
    ]
}

fn of_money() -> Vec<Scenario> {
    let none = RateLimit::default;
    let reserved = Story::new("money is reserved and settled", none())
        .budget(1_000, BudgetPeriod::Day)
        .paid(0, 600, Ok(NOTHING))
        .paid(0, 401, wait(Budget, 10 * SECOND, NOTHING))
        .paid(0, 400, Ok(NOTHING))
        .paid(0, 0, wait(Budget, 10 * SECOND, NOTHING))
        .settle(SECOND, 0, 0, 100)
        .paid(SECOND, 501, wait(Budget, 9 * SECOND, NOTHING))
        .paid(SECOND, 500, Ok(NOTHING))
        .settle(2 * SECOND, 1, 0, 700)
        .settle(2 * SECOND, 2, 0, 199)
        .paid(2 * SECOND, 2, wait(Budget, 8 * SECOND, NOTHING))
        .paid(2 * SECOND, 0, Ok(NOTHING))
        .settle(2 * SECOND, 3, 0, 5)
        .paid(2 * SECOND, 0, wait(Budget, 8 * SECOND, NOTHING));
    let too_much = Story::new("more than the budget never fits", none())
        .budget(1_000, BudgetPeriod::Day)
        .paid(0, 1_001, never(Budget, NOTHING))
        .paid(0, 1_000, Ok(NOTHING));
    let zero = Story::new("no money", none()).budget(0, BudgetPeriod::Day).paid(0, 0, never(Budget, NOTHING));
    let beside = Story::new("money beside requests", per_minute(1))
        .budget(1_000, BudgetPeriod::Day)
        .paid(0, 1_001, never(Budget, requests(1, 1, 0)))
        .paid(0, 1_000, Ok(requests(1, 0, MINUTE)))
        .paid(0, 1, wait(a_minute(1), MINUTE, requests(1, 0, MINUTE)))
        .settle(0, 0, 0, 1_000)
        .limits(none())
        .paid(0, 1, wait(Budget, 10 * SECOND, NOTHING));
    [reserved, too_much, zero, beside].map(Story::end).into()
}

fn of_money_in_time() -> Vec<Scenario> {
    let none = RateLimit::default;
    let midnight = Story::new("a new day, and a call from the day before", none())
        .budget(1_000, BudgetPeriod::Day)
        .paid(0, 1_000, Ok(NOTHING))
        .paid(10 * SECOND - 1, 1, wait(Budget, 1, NOTHING))
        .paid(10 * SECOND, 1_000, Ok(NOTHING))
        .settle(11 * SECOND, 0, 0, 1_000)
        .settle(11 * SECOND, 1, 0, 400)
        .paid(11 * SECOND, 601, wait(Budget, 86_399 * SECOND, NOTHING))
        .paid(11 * SECOND, 600, Ok(NOTHING));
    let month = Story::new("a new month", none())
        .budget(1_000, BudgetPeriod::Month)
        .paid(0, 1_000, Ok(NOTHING))
        .paid(10 * SECOND - 1, 1, wait(Budget, 1, NOTHING))
        .paid(10 * SECOND, 1_000, Ok(NOTHING))
        .paid(10 * SECOND, 1, wait(Budget, 28 * 86_400 * SECOND, NOTHING));
    let total = Story::new("money for good", none())
        .budget(1_000, BudgetPeriod::Total)
        .paid(0, 1_000, Ok(NOTHING))
        .settle(0, 0, 0, 999)
        .paid(40 * 86_400 * SECOND, 2, never(Budget, NOTHING))
        .paid(40 * 86_400 * SECOND, 1, Ok(NOTHING));
    [midnight, month, total].map(Story::end).into()
}

fn of_changes() -> Vec<Scenario> {
    let slower = Story::new("what is spent stays spent when a limit changes", per_minute(6))
        .call(0, 0, Ok(requests(6, 5, 10 * SECOND)))
        .call(0, 0, Ok(requests(6, 4, 20 * SECOND)))
        .limits(per_minute(3))
        .call(0, 0, Ok(requests(3, 0, MINUTE)))
        .limits(per_minute(60))
        .call(20 * SECOND, 0, Ok(requests(60, 59, SECOND)))
        .limits(per_minute(2))
        .call(20 * SECOND, 0, wait(a_minute(2), 30 * SECOND, requests(2, 0, MINUTE)));
    let of_tokens = Story::new("a call goes on while its limit changes", tokens_per_minute(600))
        .call(0, 300, Ok(tokens(600, 300, 30 * SECOND)))
        .limits(tokens_per_minute(1_200))
        .call(0, 0, Ok(tokens(1_200, 900, 15 * SECOND)))
        .settle(0, 0, 100, 0)
        .call(0, 0, Ok(tokens(1_200, 1_100, 5 * SECOND)));
    let added = Story::new("a limit that is added owes nothing for calls from before", RateLimit::default())
        .budget(1_000, BudgetPeriod::Total)
        .paid(0, 100, Ok(NOTHING))
        .limits(tokens_per_minute(600))
        .paid(0, 100, Ok(tokens(600, 599, 100_000)))
        .settle(0, 0, 500, 100)
        .paid(0, 800, Ok(tokens(600, 598, 200_000)))
        .paid(0, 1, never(Budget, tokens(600, 598, 200_000)));
    [slower, of_tokens, added].map(Story::end).into()
}
