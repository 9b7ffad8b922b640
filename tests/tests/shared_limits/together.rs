//! Two gateways, one limit: a thousand callers at once get exactly what one limit allows, whatever is limited.

use gateway_tests::clock::now;
use gateway_tests::patience::until;

use super::crowd::Crowd;
use super::play::Play;
use super::scene::{Scene, asking, calling, number};
use super::upstream::{FAILING, HELD};

/// Half of all callers.
const PER_NODE: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests() {
    let keys = [("requests", "rate_limit: { limit: 100, period_seconds: 3600 }")];
    let act = async |scene: &mut Scene| {
        let mut crowd = Crowd::gather(scene, PER_NODE).await;
        let outcomes = crowd.rush(scene, |_| calling("requests", asking(1, ""))).await;
        println!("requests, 100:\n{outcomes}");
        assert_eq!(outcomes.admitted().count(), 100);
        assert_eq!(scene.upstream.counts().total, 100, "what is refused is not sent");
        outcomes.assert_refused_with("rate_limit_exceeded");
        // One comes back every 36 seconds, and the callers are told so.
        for refused in outcomes.refused() {
            assert!((1..=36).contains(&number(&refused.answer, "retry-after")), "{:?}", refused.answer.headers);
            assert_eq!(number(&refused.answer, "x-ratelimit-limit-requests"), 100);
        }
    };
    Play::of(&keys).run(act).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens() {
    const ALL: u64 = 600;
    let keys = [("tokens", "rate_limit: { tokens_per_minute: 600 }")];
    let act = async |scene: &mut Scene| {
        let mut crowd = Crowd::gather(scene, PER_NODE).await;
        let size = |number: usize| 2 * (1 + number as u64 % 10);
        let began = now();
        let come_back = || ALL * (began.elapsed().as_secs() + 1) / 60;
        let outcomes = crowd.rush(scene, |number| calling("tokens", asking(size(number), HELD))).await;
        let taken: u64 = outcomes.admitted().map(|outcome| size(outcome.number)).sum();
        println!("tokens, 600 a minute, of which a call takes 2 to 20:\n{outcomes}\n{taken} were taken");
        assert!(taken <= ALL + come_back(), "{taken} taken");
        // Even the smallest found no room.
        assert!(outcomes.refused().any(|outcome| size(outcome.number) == 2) && taken > ALL - 2, "{taken} taken");
        outcomes.assert_refused_with("rate_limit_exceeded");
        // Each has used one, and the rest has come back, whichever gateway was told.
        let used = outcomes.admitted().count() as u64;
        for node in 0..2 {
            let look = async || {
                let answer = scene.call(node, "tokens", asking(0, FAILING)).await;
                Some(number(&answer, "x-ratelimit-remaining-tokens")).filter(|left| *left >= ALL - used)
            };
            let (left, _) = until("what was not used to come back", look).await;
            assert!(left <= ALL.min(ALL - used + come_back()), "{left} of {ALL} left, of which {used} are used");
        }
    };
    Play::of(&keys).run(act).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_once() {
    const PLACES: usize = 10;
    let keys = [("places", "rate_limit: { max_concurrent: 10 }")];
    let act = async |scene: &mut Scene| {
        let mut crowd = Crowd::gather(scene, PER_NODE).await;
        let outcomes = crowd.rush(scene, |_| calling("places", asking(1, HELD))).await;
        println!("10 at once, and who has a place keeps it:\n{outcomes}");
        assert_eq!((outcomes.admitted().count(), scene.upstream.counts().most), (PLACES, PLACES));
        outcomes.assert_refused_with("concurrency_limit_exceeded");
        let outcomes = crowd.rush(scene, |_| calling("places", asking(1, ""))).await;
        println!("10 at once, and who has a place leaves it soon:\n{outcomes}");
        assert!(outcomes.admitted().count() >= 1);
        assert!(scene.upstream.counts().most <= PLACES, "{:?}", scene.upstream.counts());
        outcomes.assert_refused_with("concurrency_limit_exceeded");
        scene.assert_places("places", PLACES).await;
    };
    Play::of(&keys).run(act).await;
}

/// A call is let through for two dollars, and takes one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money() {
    let keys = [("money", "budget: { usd: 100, period: total }")];
    let act = async |scene: &mut Scene| {
        let mut crowd = Crowd::gather(scene, PER_NODE).await;
        for (left, calls) in [(100, 50), (50, 25)] {
            scene.assert_left("money", left).await;
            let outcomes = crowd.rush(scene, |_| calling("money", asking(2, HELD))).await;
            println!("{left} dollars, of which a call keeps two:\n{outcomes}");
            assert_eq!(outcomes.admitted().count(), calls);
            outcomes.assert_refused_as("insufficient_quota");
        }
        scene.assert_left("money", 25).await;
    };
    Play::of(&keys).run(act).await;
}

/// A caller that goes on calling finds one limit, whichever gateway it calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gateway_lets_through_the_other_knows_at_once() {
    let keys = [("turns", "rate_limit: { limit: 40, period_seconds: 36000 }")];
    let act = async |scene: &mut Scene| {
        for left in (0..40).rev() {
            let answer = scene.call(left % 2, "turns", asking(1, "")).await;
            assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), left as u64, "{}", answer.text());
        }
        for node in 0..2 {
            let answer = scene.call(node, "turns", asking(1, "")).await;
            assert_eq!(answer.status, 429, "{}", answer.text());
        }
    };
    Play::of(&keys).run(act).await;
}
