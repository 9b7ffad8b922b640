//! Limits that change to and fro, as they do where two gateways of one account do not agree yet: each rate counts all that was
//! let through, and what is refused changes nothing.

use std::time::Duration;

use gateway_ratelimit::DenialCause::{self, Requests, Tokens};
use gateway_ratelimit::RateLimit;

use super::{MINUTE, SECOND, Scenario, a_minute, per_minute, tokens_per_minute};
use crate::limit_vectors::story::{Story, requests, tokens, wait};

pub(super) fn scenarios() -> Vec<Scenario> {
    [
        up_and_down(),
        other_period(),
        other_place(),
        two_places(),
        one_more(),
        one_that_stays(),
        raised_beside_a_longer(),
        of_tokens(),
        many(),
        the_largest(),
    ]
    .into_iter()
    .map(Story::end)
    .collect()
}

fn in_seconds(limit: u64, seconds: u32) -> RateLimit {
    RateLimit { limit: Some(limit), period_seconds: Some(seconds), ..RateLimit::default() }
}

fn within(limit: u64, seconds: u64) -> DenialCause {
    Requests { limit, period: Duration::from_secs(seconds) }
}

/// 30 s and 60 s a request.
fn up_and_down() -> Story {
    let (more, less) = (in_seconds(4, 120), in_seconds(2, 120));
    Story::new("a limit goes up and down", less.clone())
        .call(0, 0, Ok(requests(2, 1, MINUTE)))
        .call(0, 0, Ok(requests(2, 0, 2 * MINUTE)))
        .limits(more.clone())
        .call(0, 0, Ok(requests(4, 1, 90 * SECOND)))
        .call(0, 0, Ok(requests(4, 0, 2 * MINUTE)))
        .limits(less.clone())
        .call(0, 0, wait(within(2, 120), MINUTE, requests(2, 0, 2 * MINUTE)))
        .limits(more.clone())
        .call(0, 0, wait(within(4, 120), 30 * SECOND, requests(4, 0, 2 * MINUTE)))
        .call(30 * SECOND, 0, Ok(requests(4, 0, 2 * MINUTE)))
        .limits(less)
        // It is as full as it can be, and so are two minutes from now.
        .call(30 * SECOND, 0, wait(within(2, 120), MINUTE, requests(2, 0, 2 * MINUTE)))
        .call(90 * SECOND, 0, Ok(requests(2, 0, 2 * MINUTE)))
        .limits(more)
        .call(90 * SECOND, 0, Ok(requests(4, 0, 2 * MINUTE)))
        .call(90 * SECOND, 0, wait(within(4, 120), 30 * SECOND, requests(4, 0, 2 * MINUTE)))
}

/// 25 s and 50 s a request.
fn other_period() -> Story {
    let (short, long) = (in_seconds(4, 100), in_seconds(4, 200));
    Story::new("a period goes to and fro", short.clone())
        .call(0, 0, Ok(requests(4, 3, 25 * SECOND)))
        .call(0, 0, Ok(requests(4, 2, 50 * SECOND)))
        .limits(long.clone())
        .call(0, 0, Ok(requests(4, 1, 150 * SECOND)))
        .limits(short.clone())
        .call(0, 0, Ok(requests(4, 0, 100 * SECOND)))
        .limits(long.clone())
        .call(0, 0, wait(within(4, 200), 50 * SECOND, requests(4, 0, 200 * SECOND)))
        .limits(short)
        .call(25 * SECOND, 0, Ok(requests(4, 0, 100 * SECOND)))
        .limits(long.clone())
        .call(25 * SECOND, 0, wait(within(4, 200), 50 * SECOND, requests(4, 0, 200 * SECOND)))
        // All of it has come back, so there is nothing to inherit.
        .call(225 * SECOND, 0, Ok(requests(4, 3, 50 * SECOND)))
        .limits(in_seconds(4, 400))
        .call(226 * SECOND, 0, Ok(requests(4, 2, 198 * SECOND)))
}

/// 15 s and 10 s a request.
fn other_place() -> Story {
    Story::new("a limit of a minute becomes one of a period of its own", per_minute(4))
        .call(0, 0, Ok(requests(4, 3, 15 * SECOND)))
        .call(0, 0, Ok(requests(4, 2, 30 * SECOND)))
        .call(0, 0, Ok(requests(4, 1, 45 * SECOND)))
        .limits(in_seconds(4, 40))
        .call(0, 0, Ok(requests(4, 0, 40 * SECOND)))
        .call(0, 0, wait(within(4, 40), 10 * SECOND, requests(4, 0, 40 * SECOND)))
        .call(10 * SECOND, 0, Ok(requests(4, 0, 40 * SECOND)))
        .limits(per_minute(4))
        .call(10 * SECOND, 0, wait(a_minute(4), 15 * SECOND, requests(4, 0, MINUTE)))
}

/// 2 s, 500 ms and 400 ms a request.
fn two_places() -> Story {
    Story::new("what another place has seen counts in one that has seen less", in_seconds(1, 2))
        .call(0, 0, Ok(requests(1, 0, 2 * SECOND)))
        .limits(in_seconds(2, 1))
        .call(0, 0, Ok(requests(2, 0, SECOND)))
        .limits(in_seconds(5, 2))
        .call(0, 0, Ok(requests(5, 2, 1_200_000)))
        .call(0, 0, Ok(requests(5, 1, 1_600_000)))
        .call(0, 0, Ok(requests(5, 0, 2 * SECOND)))
        .call(0, 0, wait(within(5, 2), 400_000, requests(5, 0, 2 * SECOND)))
}

fn one_more() -> Story {
    let both = RateLimit { requests_per_minute: Some(2), ..in_seconds(4, 40) };
    Story::new("of a limit that comes beside another nothing is spent", in_seconds(4, 40))
        .call(0, 0, Ok(requests(4, 3, 10 * SECOND)))
        .limits(both)
        .call(0, 0, Ok(requests(2, 1, 30 * SECOND)))
        .limits(in_seconds(4, 40))
        .call(0, 0, Ok(requests(4, 1, 30 * SECOND)))
        .limits(per_minute(2))
        .call(0, 0, wait(a_minute(2), 30 * SECOND, requests(2, 0, MINUTE)))
}

/// 10 s and 30 s a request.
fn one_that_stays() -> Story {
    let both = RateLimit { requests_per_minute: Some(2), ..in_seconds(4, 40) };
    Story::new("a limit that comes beside another has no more room than that", in_seconds(4, 40))
        .call(0, 0, Ok(requests(4, 3, 10 * SECOND)))
        .call(0, 0, Ok(requests(4, 2, 20 * SECOND)))
        .call(0, 0, Ok(requests(4, 1, 30 * SECOND)))
        .limits(both)
        .call(0, 0, Ok(requests(2, 0, MINUTE)))
        .limits(per_minute(2))
        .call(0, 0, wait(a_minute(2), 30 * SECOND, requests(2, 0, MINUTE)))
        .call(30 * SECOND, 0, Ok(requests(2, 0, MINUTE)))
}

/// 15 s and 7.5 s a request, beside one of 100 s.
fn raised_beside_a_longer() -> Story {
    let beside = |limit| RateLimit { requests_per_minute: Some(limit), ..in_seconds(20, 2_000) };
    let mut story = Story::new("a limit that is raised beside a longer one goes on with its own", beside(4));
    for at in [0, MINUTE] {
        for spent in 1..=4 {
            story = story.call(at, 0, Ok(requests(4, 4 - spent, spent * 15 * SECOND)));
        }
    }
    story.limits(beside(8)).call(MINUTE, 0, Ok(requests(8, 3, 37_500_000)))
}

/// 100 ms and 200 ms a token.
fn of_tokens() -> Story {
    let (more, less) = (tokens_per_minute(600), tokens_per_minute(300));
    Story::new("what a call used corrects every rate", more.clone())
        .call(0, 300, Ok(tokens(600, 300, 30 * SECOND)))
        .limits(less.clone())
        .call(0, 1, wait(Tokens { needed: 1, limit: 300 }, 200_000, tokens(300, 0, MINUTE)))
        .call(0, 0, Ok(tokens(300, 0, MINUTE)))
        .settle(0, 0, 100, 0)
        .call(0, 0, Ok(tokens(300, 200, 20 * SECOND)))
        .limits(more.clone())
        .call(0, 0, Ok(tokens(600, 500, 10 * SECOND)))
        // The limit that it was let through with has all of the debt, the other one is full.
        .settle(0, 1, 500, 0)
        .call(0, 1, wait(Tokens { needed: 1, limit: 600 }, 100_000, tokens(600, 0, MINUTE)))
        .limits(less)
        .call(0, 0, wait(Tokens { needed: 0, limit: 300 }, MINUTE, tokens(300, 0, 2 * MINUTE)))
        .limits(more)
        .call(MINUTE, 600, Ok(tokens(600, 0, MINUTE)))
}

/// More rates than are counted at once.
fn many() -> Story {
    let mut story = Story::new("a limit that changes again and again", per_minute(10));
    for (spent, limit) in (1..).zip([10, 12, 15, 16, 20, 24, 25, 30, 32, 40, 48, 50]) {
        story =
            story.limits(per_minute(limit)).call(0, 0, Ok(requests(limit, limit - spent, spent * (MINUTE / limit))));
    }
    story.limits(per_minute(10)).call(0, 0, wait(a_minute(10), 6 * SECOND, requests(10, 0, MINUTE)))
}

/// 1 s a request, and 100 s.
fn the_largest() -> Story {
    let large = in_seconds(20, 20);
    let mut story = Story::new("of too many rates those of the largest bursts are counted", large.clone());
    story = story.call(0, 0, Ok(requests(20, 19, SECOND)));
    for number in 0..9 {
        let limit = 10 + number;
        let (at, spent) = (2 * number * SECOND, (2 + number) * 100 * SECOND);
        let slow = in_seconds(limit, 100 * u32::try_from(limit).unwrap_or(u32::MAX));
        story = story.limits(slow).call(at, 0, Ok(requests(limit, 8, spent - at)));
    }
    story = story.limits(large).call(16 * SECOND, 0, Ok(requests(20, 18, 2 * SECOND)));
    let full = wait(within(10, 1_000), 100 * SECOND, requests(10, 0, 1_000 * SECOND));
    story.limits(in_seconds(10, 1_000)).call(16 * SECOND, 0, full)
}
