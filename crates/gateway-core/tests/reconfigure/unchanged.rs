//! A provider that stays as it is while everything else changes.

use gateway_core::AnswerBody;
use gateway_core::resilience::BreakerState;
use gateway_testing::{Gate, Script};
use http::Response;
use http_body_util::BodyExt;

use super::scene::{CONTENT, Scene, post, smallest};
use super::{TIERS, config, opened, reconfigure, refusing, with};

/// The first provider with one place, for which nobody waits.
fn narrow() -> String {
    with("name: main,", "name: main, max_in_flight: 1,")
        .replace("auth: none", "auth: none\nserver: { queue: { size: 0 } }")
}

/// Another configuration in all but the first provider and what its state rests on. Even its place in the list is another.
fn everything_else(yaml: &str) -> String {
    let (head, main) = yaml.split_once("  - { name: main,").unwrap();
    let (main, rest) = main.split_once('\n').unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    let head = head
        .replace("auth: none", "auth: none\nprovider_suffix: Other\nrewrite_response: false\ntimeouts: { idle: 7s }");
    let spare =
        "name: spare, api_base: 'SPARE/moved', api_key: sk-new-7ac24e51, weight: 7, model_mapping: { m: m, n: n }";
    let rest = rest.replace("models: {", "models: { n: { targets: [ { provider: new, model: o } ] },");
    let rest = rest.replace("max_delay: 1ms", "max_delay: 2ms");
    format!("{head}  - {{ name: new, api_base: 'SPARE/new' }}\n  - {{ {spare} }}\n  - {{ name: main,{main}\n{rest}")
}

/// An answer of the first provider that has begun and goes on until the gate opens.
async fn stream(scene: &Scene, gate: &Gate) -> Response<AnswerBody> {
    let script = Script::event_stream().event(CONTENT).wait(gate).event(CONTENT).event("[DONE]").end_chunks();
    scene.main.push(script);
    scene.send(post("/v1/chat/completions", r#"{"model":"m","stream":true}"#)).await
}

async fn text(answer: Response<AnswerBody>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn it_is_the_only_thing_that_is_the_same() {
    let scene = Scene::of(TIERS).await;
    let (before, after) = (config(&scene, TIERS), config(&scene, &everything_else(TIERS)));
    assert_eq!(before.providers[0], {
        let mut main = after.providers[2].clone();
        main.timeouts = before.providers[0].timeouts;
        main
    });
    assert_ne!(before.providers[1].endpoint, after.providers[1].endpoint);
}

#[tokio::test]
async fn its_breaker_stays_open() {
    let scene = opened().await;
    let before = scene.breaker("main");
    reconfigure(&scene, &everything_else(TIERS));
    assert_eq!(scene.breaker("main"), before);
    assert_eq!((scene.served().await, scene.main.requests().len()), ("spare".to_owned(), 1));
}

#[tokio::test]
async fn it_is_left_alone_for_as_long_as_it_asked() {
    let patient = with("consecutive_failures: 1,", "consecutive_failures: 9,");
    for (row, status, refusals) in [("of the target", 503, 1), ("of the keys", 429, 2)] {
        let scene = Scene::of(&patient).await;
        for _ in 0..refusals {
            scene.main.push(refusing(status, "retry-after: 60"));
            assert_eq!(scene.served().await, "spare", "{row}");
        }
        reconfigure(&scene, &everything_else(&patient));
        assert_eq!(scene.served().await, "spare", "{row}");
        assert_eq!(scene.main.requests().len(), refusals, "{row}");
    }
}

#[tokio::test]
async fn its_retries_stay_spent() {
    let poor = with("min_per_second: 10", "min_per_second: 0.2")
        .replace("consecutive_failures: 1,", "consecutive_failures: 99, min_requests: 100,")
        .replace(", { provider: spare, priority: 2 }", "");
    let scene = Scene::of(&poor).await;
    scene.main.otherwise(|_| Script::json(500, "{}"));
    for (yaml, requests) in [(&poor, 2), (&everything_else(&poor), 4), (&poor, 5)] {
        reconfigure(&scene, yaml);
        assert_eq!(scene.call().await.0, 502);
        assert_eq!(scene.main.requests().len(), requests, "there are two in ten seconds");
    }
}

#[tokio::test]
async fn its_idle_connections_are_used_again() {
    let scene = Scene::of(TIERS).await;
    for yaml in [TIERS, &everything_else(TIERS), TIERS] {
        reconfigure(&scene, yaml);
        assert_eq!(scene.served().await, "main");
    }
    assert_eq!((scene.main.connections(), scene.main.requests().len()), (1, 3));
}

/// The one place at the provider is taken by a call from before, and no call waits for it.
#[tokio::test]
async fn its_places_stay_taken() {
    let scene = Scene::of(&narrow()).await;
    let gate = Gate::new();
    let answer = stream(&scene, &gate).await;
    for yaml in [everything_else(&narrow()), narrow()] {
        reconfigure(&scene, &yaml);
        assert_eq!((scene.in_flight(), scene.served().await), (1, "spare".to_owned()));
    }
    gate.open();
    assert!(text(answer).await.ends_with("data: [DONE]\n\n"));
    assert_eq!((scene.in_flight(), scene.served().await), (0, "main".to_owned()));
}

/// The place in the process belongs to no provider at all.
#[tokio::test]
async fn a_place_in_the_process_stays_taken() {
    let single = TIERS.replace("auth: none", "auth: none\nserver: { max_in_flight: 1, queue: { size: 0 } }");
    let scene = Scene::of(&single).await;
    let gate = Gate::new();
    let answer = stream(&scene, &gate).await;
    reconfigure(
        &scene,
        &everything_else(&single).replace("name: main,", "name: other,").replace("provider: main", "provider: other"),
    );
    assert_eq!(scene.call().await.0, 503);
    gate.open();
    text(answer).await;
    assert_eq!(scene.call().await.0, 200);
}

#[tokio::test]
async fn a_wider_bound_counts_those_who_are_in_already() {
    let scene = Scene::of(&narrow()).await;
    let gates = [Gate::new(), Gate::new()];
    let first = stream(&scene, &gates[0]).await;
    reconfigure(&scene, &narrow().replace("max_in_flight: 1", "max_in_flight: 2"));
    let second = stream(&scene, &gates[1]).await;
    assert_eq!((scene.in_flight(), scene.served().await), (2, "spare".to_owned()));
    gates.iter().for_each(Gate::open);
    text(first).await;
    text(second).await;
    assert_eq!(scene.served().await, "main");
}

/// What it tells of a target is told of the one that calls of the new configuration ask.
#[tokio::test]
async fn a_late_failure_reaches_it() {
    let scene = Scene::of(TIERS).await;
    let gate = Gate::new();
    scene.main.push(Script::new().wait(&gate).answer(500, "application/json", "{}"));
    let call = tokio::spawn(scene.send(smallest()));
    scene.main.request(0).await;
    reconfigure(&scene, &everything_else(TIERS));
    gate.open();
    assert_eq!(call.await.unwrap().headers()["x-gateway-provider"], "spare");
    assert!(matches!(scene.breaker("main"), BreakerState::Open { .. }));
}
