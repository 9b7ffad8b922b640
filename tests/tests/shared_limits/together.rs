//! Two gateways, one limit: a thousand callers at once get exactly what one limit allows.

use gateway_tests::patience::until;

use super::crowd::{Crowd, Outcome, Outcomes};
use super::scene::{Scene, asking, calling, lost_and_back, number};
use super::upstream::{FAILING, HELD};

/// Half of all callers.
const PER_NODE: usize = 500;

/// Callers by the thousand, of whom those who are let through are held until all are decided.
async fn rush_and_hold(scene: &Scene, crowd: &mut Crowd, name: &str, tokens: impl Fn(usize) -> u64) -> Outcomes {
    let before = scene.upstream.counts().total;
    let released = |answered: usize| {
        // Those who have no answer yet are at the upstream.
        if answered + scene.upstream.counts().total - before >= 2 * PER_NODE {
            scene.upstream.release();
        }
    };
    let outcomes = crowd.rush(|number| calling(name, asking(tokens(number), HELD)), released).await;
    println!("{name}:\n{outcomes}");
    outcomes
}

/// Panics unless Redis has decided all.
fn assert_together(scene: Scene) {
    for node in scene.nodes {
        assert_eq!(lost_and_back(&node.stop()), (0, 0), "Redis was too slow, so this tells nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests() {
    let limit = ("requests", "rate_limit: { limit: 100, period_seconds: 3600 }");
    let Some(scene) = Scene::with(&[limit], "").await else { return };
    let mut crowd = Crowd::gather(&scene, PER_NODE).await;
    let outcomes = crowd.rush(|_| calling("requests", asking(1, "")), |_| {}).await;
    println!("requests:\n{outcomes}");
    outcomes.assert_refused_with("rate_limit_exceeded");
    // The wait for the next is 36 seconds, and the callers know it.
    for refused in outcomes.refused() {
        assert!((1..=36).contains(&number(&refused.answer, "retry-after")), "{:?}", refused.answer.headers);
    }
    assert!(outcomes.took.as_secs() < 36, "it took so long that one more is right");
    assert_eq!(outcomes.admitted().count(), 100);
    assert_eq!(scene.upstream.counts().total, 100, "what is refused is not sent");
    assert!((0..2).all(|node| outcomes.admitted().any(|outcome| outcome.node == node)), "one node has had it all");
    assert_together(scene);
}
