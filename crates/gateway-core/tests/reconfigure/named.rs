//! Models that the configuration does not list: what is known of them lives on, and a bound keeps callers from filling the
//! memory with them.

use bytes::Bytes;
use gateway_core::resilience::BreakerState;
use gateway_testing::Script;
use http::Request;
use http_body_util::{BodyExt, Full};

use super::reconfigure;
use super::scene::Scene;

/// One provider that takes any name.
const ANY: &str = "
auth: none
providers: [ { name: main, api_base: 'MAIN' } ]
circuit_breaker: { consecutive_failures: 6, min_requests: 100, open: 60s, max_open: 60s }
retry: { max_retries: 0 }
";

/// The same with something else about it that no breaker depends on.
fn other(number: usize) -> String {
    ANY.replace("max_retries: 0", &format!("max_retries: 0, max_delay: {}s", number + 1))
}

pub(crate) async fn ask(scene: &Scene, model: &str) -> u16 {
    let request =
        Request::post("/v1/chat/completions").header("host", "gateway").header("content-type", "application/json");
    let body = Full::from(Bytes::from(format!(r#"{{"model":"{model}"}}"#))).boxed_unsync();
    scene.send(request.body(body).unwrap()).await.status().as_u16()
}

fn breaker(scene: &Scene, model: &str) -> Option<BreakerState> {
    scene.gateway.targets().into_iter().find(|it| it.model == model).map(|it| it.breaker)
}

#[tokio::test]
async fn failures_of_a_model_that_only_callers_name_still_count() {
    let scene = Scene::of(ANY).await;
    for number in 0..6 {
        assert_ne!(breaker(&scene, "n").map(|it| it == BreakerState::Closed), Some(false), "{number}");
        scene.main.push(Script::json(500, "{}"));
        assert_eq!(ask(&scene, "n").await, 502);
        reconfigure(&scene, &other(number));
    }
    assert!(matches!(breaker(&scene, "n"), Some(BreakerState::Open { .. })), "{:?}", scene.gateway.targets());
}

/// Names that nobody asks for any more make room for those that somebody does; one whose breaker is open stays.
#[tokio::test]
async fn no_number_of_configurations_lets_them_grow() {
    const BOUND: usize = 1024;
    let scene = Scene::of(ANY).await;
    for _ in 0..6 {
        scene.main.push(Script::json(500, "{}"));
        assert_eq!(ask(&scene, "open").await, 502);
    }
    for round in 0..2 {
        assert_eq!(ask(&scene, "asked").await, 200);
        for number in 0..600 {
            assert_eq!(ask(&scene, &format!("{round}-{number}")).await, 200);
        }
        reconfigure(&scene, &other(round));
        let named = scene.gateway.targets().iter().filter(|it| it.model != "*").count();
        assert!(named <= BOUND, "{named} in round {round}");
        assert!(matches!(breaker(&scene, "open"), Some(BreakerState::Open { .. })), "{round}");
        assert!(breaker(&scene, "asked").is_some(), "{round}");
        assert!((0..600).all(|number| breaker(&scene, &format!("{round}-{number}")).is_some()), "{round}");
    }
    let left = (0..600).filter(|number| breaker(&scene, &format!("0-{number}")).is_some()).count();
    assert_eq!(left, BOUND - 602, "those went first that nobody had asked for since");
}
