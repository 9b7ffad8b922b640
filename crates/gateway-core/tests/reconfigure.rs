//! What a new configuration takes over from the one before it, and what begins afresh.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "reconfigure/faults.rs"]
mod faults;
#[path = "reconfigure/gone.rs"]
mod gone;
#[path = "reconfigure/keys.rs"]
mod keys;
#[path = "reconfigure/named.rs"]
mod named;
#[path = "in_process/scene.rs"]
mod scene;
#[path = "reconfigure/unchanged.rs"]
mod unchanged;
#[path = "reconfigure/withheld.rs"]
mod withheld;

use gateway_config::Config;
use gateway_core::resilience::BreakerState;
use gateway_testing::{Gate, Script};
use http_body_util::BodyExt;

use scene::{CONTENT, Scene, addressed, poll_times, post, smallest};

/// Two targets, the second for when the first does not serve. One failure opens a target for longer than any test runs.
const TIERS: &str = "
auth: none
providers:
  - { name: main, api_base: 'MAIN', api_keys: [sk-first-3b1f09d7, sk-second-7ac24e51], model_mapping: { m: m } }
  - { name: spare, api_base: 'SPARE', model_mapping: { m: m } }
models: { m: { balance: priority, targets: [ { provider: main, priority: 1 }, { provider: spare, priority: 2 } ] } }
circuit_breaker: { consecutive_failures: 1, open: 60s, max_open: 60s, half_open_probes: 1 }
retry: { max_retries: 1, base_delay: 1ms, max_delay: 1ms, budget: { ratio: 0, min_per_second: 10 } }
";

/// The same without the first provider.
const WITHOUT_MAIN: &str = "
auth: none
providers: [ { name: spare, api_base: 'SPARE', model_mapping: { m: m } } ]
circuit_breaker: { consecutive_failures: 1, open: 60s, max_open: 60s, half_open_probes: 1 }
";

fn refusing(status: u16, header: &str) -> Script {
    Script::new().write(format!("HTTP/1.1 {status} No\r\n{header}\r\ncontent-length: 2\r\n\r\n{{}}"))
}

/// A scene in which the first target is open.
async fn opened() -> Scene {
    let scene = Scene::of(TIERS).await;
    scene.main.push(Script::json(500, "{}"));
    assert_eq!(scene.served().await, "spare");
    assert!(matches!(scene.breaker("main"), BreakerState::Open { .. }));
    scene
}

fn config(scene: &Scene, yaml: &str) -> Config {
    Config::from_yaml(&addressed(yaml, &scene.main, &scene.spare)).unwrap()
}

fn reconfigure(scene: &Scene, yaml: &str) {
    scene.gateway.reconfigure(config(scene, yaml).into()).unwrap();
}

/// The tiers with something else in them, which has to be there.
fn with(from: &str, to: &str) -> String {
    assert!(TIERS.contains(from), "{from}");
    TIERS.replace(from, to)
}

#[tokio::test]
async fn an_open_breaker_stays_open() {
    for (row, yaml) in [
        ("nothing", TIERS.to_owned()),
        ("other timeouts", with("name: main,", "name: main, timeouts: { headers: 7s },")),
        ("another weight", with("name: main,", "name: main, weight: 7,")),
        ("more headers", with("name: main,", "name: main, headers: { x-team: ml },")),
        ("other retries", with("max_retries: 1", "max_retries: 2")),
        ("another budget", with("min_per_second: 10", "min_per_second: 11")),
        ("another model", with("models: {", "models: { other: { targets: [ { provider: main } ] },")),
        (
            "another provider",
            with("providers:", "providers:\n  - { name: new, api_base: 'SPARE', model_mapping: { n: n } }"),
        ),
        ("keys of the other provider", with("api_base: 'SPARE',", "api_base: 'SPARE', api_key: sk-new-7ac24e51,")),
    ] {
        let scene = opened().await;
        let before = scene.breaker("main");
        reconfigure(&scene, &yaml);
        assert_eq!(scene.breaker("main"), before, "{row}: for as long as it would have been");
        assert_eq!(scene.served().await, "spare", "{row}");
        assert_eq!(scene.main.requests().len(), 1, "{row}");
    }
}

#[tokio::test]
async fn what_a_breaker_depends_on_closes_it_by_changing() {
    for (row, yaml) in [
        ("its settings", with("open: 60s", "open: 59s")),
        ("the address", TIERS.replace("'MAIN'", "'MAIN/moved'")),
        ("the keys", with("sk-second-7ac24e51", "sk-third-d41d8cd9")),
        (
            "the order of the keys",
            with("[sk-first-3b1f09d7, sk-second-7ac24e51]", "[sk-second-7ac24e51, sk-first-3b1f09d7]"),
        ),
        ("the checking of certificates", with("name: main,", "name: main, verify_ssl: false,")),
    ] {
        let scene = opened().await;
        reconfigure(&scene, &yaml);
        assert_eq!(scene.breaker("main"), BreakerState::Closed, "{row}");
        assert_eq!(scene.served().await, "main", "{row}");
    }
}

#[tokio::test]
async fn failures_that_were_counted_still_count() {
    let patient = with("consecutive_failures: 1,", "consecutive_failures: 3, min_requests: 100,");
    let scene = Scene::of(&patient).await;
    for _ in 0..3 {
        scene.main.push(Script::json(500, "{}"));
        assert_eq!(scene.breaker("main"), BreakerState::Closed);
        assert_eq!(scene.served().await, "spare");
        reconfigure(&scene, &patient);
    }
    assert!(matches!(scene.breaker("main"), BreakerState::Open { .. }));
}

#[tokio::test]
async fn a_cool_down_lives_on() {
    let patient = with("consecutive_failures: 1,", "consecutive_failures: 9,");
    // The target as a whole is left alone after one refusal, and after one for each of its two keys.
    for (row, status, refusals) in [("of the target", 503, 1), ("of the keys", 429, 2)] {
        let scene = Scene::of(&patient).await;
        for number in 1..=refusals {
            scene.main.push(refusing(status, "retry-after: 60"));
            assert_eq!(scene.served().await, "spare", "{row}");
            assert_eq!(scene.main.requests().len(), number, "{row}");
        }
        reconfigure(&scene, &patient);
        for _ in 0..3 {
            assert_eq!(scene.served().await, "spare", "{row}");
        }
        assert_eq!(scene.main.requests().len(), refusals, "{row}: it asked to be left alone");
        reconfigure(&scene, &patient.replace("open: 60s", "open: 59s"));
        assert_eq!(scene.served().await, "main", "{row}: nothing is known of a fresh target");
    }
}

#[tokio::test]
async fn a_rejected_key_stays_rejected() {
    let scene = Scene::of(TIERS).await;
    let key = |number: usize| scene.main.requests()[number].header("authorization").unwrap().to_owned();
    scene.main.push(Script::json(401, "{}"));
    scene.served().await;
    reconfigure(&scene, TIERS);
    assert_eq!(scene.served().await, "main");
    assert_eq!([key(0), key(1)], ["Bearer sk-first-3b1f09d7", "Bearer sk-second-7ac24e51"]);
    reconfigure(&scene, &with("sk-second-7ac24e51", "sk-third-d41d8cd9"));
    assert_eq!(scene.served().await, "main");
    assert_eq!(key(2), "Bearer sk-first-3b1f09d7", "another list of keys is tried from its beginning");
}

/// A fifth of a retry a second is two in the ten seconds that a budget covers.
#[tokio::test]
async fn a_budget_that_was_spent_stays_spent() {
    let poor = with("min_per_second: 10", "min_per_second: 0.2")
        .replace("consecutive_failures: 1,", "consecutive_failures: 99,")
        .replace(", { provider: spare, priority: 2 }", "");
    let scene = Scene::of(&poor).await;
    scene.main.otherwise(|_| Script::json(500, "{}"));
    let mut asked = 0;
    let other = poor.replace("min_per_second: 0.2", "min_per_second: 0.1");
    let rows = [
        (&poor, 2, "one of two"),
        (&poor, 2, "two of two"),
        (&poor, 1, "nothing is left"),
        (&other, 2, "another budget begins full"),
        (&other, 1, "and ends"),
    ];
    for (yaml, attempts, row) in rows {
        reconfigure(&scene, yaml);
        assert_eq!(scene.call().await.0, 502, "{row}");
        asked += attempts;
        assert_eq!(scene.main.requests().len(), asked, "{row}");
    }
}

#[tokio::test]
async fn idle_connections_are_used_again() {
    let scene = Scene::of(TIERS).await;
    assert_eq!(scene.served().await, "main");
    reconfigure(&scene, &with("max_retries: 1", "max_retries: 2"));
    assert_eq!(scene.served().await, "main");
    assert_eq!(scene.main.connections(), 1);
}

#[tokio::test]
async fn a_configuration_that_cannot_work_changes_nothing() {
    let scene = opened().await;
    let before = scene.gateway.targets();
    // The simulator has no address of its own here. Everything else in this configuration would be a change.
    let broken =
        WITHOUT_MAIN.replace("providers: [", "providers: [ { name: sim, type: simulator, model_mapping: { s: s } },");
    let errors = scene.gateway.reconfigure(config(&scene, &broken.replace("60s", "59s")).into()).unwrap_err();
    assert_eq!(errors.iter().map(|error| error.at.as_str()).collect::<Vec<_>>(), ["providers.sim"], "{errors}");
    assert_eq!(scene.gateway.targets(), before);
    assert_eq!(scene.served().await, "spare");
    reconfigure(&scene, TIERS);
    assert_eq!(scene.gateway.targets(), before, "and what comes after it takes over from the one in force");
}

#[tokio::test]
async fn a_stream_under_way_is_not_disturbed() {
    for (row, yaml) in [("the same", TIERS), ("without its provider", WITHOUT_MAIN)] {
        let scene = Scene::of(TIERS).await;
        let gate = Gate::new();
        let script = Script::event_stream().event(CONTENT).wait(&gate).event(CONTENT).event("[DONE]").end_chunks();
        scene.main.push(script);
        let answer = scene.send(post("/v1/chat/completions", r#"{"model":"m","stream":true}"#)).await;
        reconfigure(&scene, yaml);
        assert_eq!(scene.in_flight(), u32::from(yaml == TIERS), "{row}: it counts where its target still is");
        gate.open();
        let text = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert_eq!((text.matches("Hello").count(), text.ends_with("data: [DONE]\n\n")), (2, true), "{row}: {text}");
        assert_eq!(scene.in_flight(), 0, "{row}");
        assert_eq!((scene.settled()[0].status, &*scene.settled()[0].attempts), (200, &["main:success".to_owned()][..]));
        scene.at_rest().await;
    }
}

#[tokio::test]
async fn a_call_keeps_its_plan() {
    let alone = "
auth: none
providers: [ { name: main, api_base: 'MAIN', model_mapping: { m: m } } ]
retry: { max_retries: 1, base_delay: 1ms, max_delay: 1ms }
";
    let scene = Scene::of(alone).await;
    let gate = Gate::new();
    scene.main.push(Script::new().wait(&gate).answer(500, "application/json", "{}"));
    let call = tokio::spawn(scene.send(smallest()));
    scene.main.request(0).await;
    reconfigure(&scene, WITHOUT_MAIN);
    gate.open();
    let answer = call.await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-gateway-provider"]), (200, &"main".parse().unwrap()));
    assert_eq!((scene.main.requests().len(), scene.spare.requests().len()), (2, 0));
    assert_eq!(scene.served().await, "spare", "the next call has the new one");
}

/// What a call finds out about a target of the old configuration says nothing about one that began afresh.
#[tokio::test]
async fn a_late_failure_does_not_reach_a_fresh_target() {
    for (row, yaml, is_fresh) in
        [("the same", TIERS.to_owned(), false), ("fresh", with("open: 60s", "open: 59s"), true)]
    {
        let scene = Scene::of(TIERS).await;
        let gate = Gate::new();
        scene.main.push(Script::new().wait(&gate).answer(500, "application/json", "{}"));
        let call = tokio::spawn(scene.send(smallest()));
        scene.main.request(0).await;
        reconfigure(&scene, &yaml);
        gate.open();
        assert_eq!(call.await.unwrap().headers()["x-gateway-provider"], "spare", "{row}");
        assert_eq!(scene.breaker("main") == BreakerState::Closed, is_fresh, "{row}");
    }
}

/// A probe that is out when the configuration changes is still the only one.
#[tokio::test]
async fn a_probe_is_out_in_the_next_configuration_too() {
    let brief = with("open: 60s, max_open: 60s", "open: 1ms, max_open: 1ms");
    let scene = Scene::of(&brief).await;
    scene.main.push(Script::json(500, "{}"));
    assert_eq!(scene.served().await, "spare");
    while scene.breaker("main") != BreakerState::HalfOpen {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    scene.main.push(Script::new().stall());
    let mut probe = Box::pin(scene.send(smallest()));
    while scene.main.requests().len() < 2 {
        assert!(poll_times(&mut probe, 1).await.is_none());
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    reconfigure(&scene, &brief);
    assert_eq!((scene.served().await, scene.in_flight()), ("spare".to_owned(), 1));
    drop(probe);
    assert_eq!((scene.served().await, scene.in_flight()), ("main".to_owned(), 0));
}
