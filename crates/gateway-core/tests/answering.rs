//! A call is ascribed to the attempt whose answer its caller got, wherever that stands among the attempts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "in_process/scene.rs"]
#[expect(dead_code, reason = "other tests look at more")]
mod scene;

use gateway_testing::{Gate, Script};

use scene::{Scene, good};

/// Two targets, the first of which is asked first.
const TIERS: &str = "
auth: none
providers:
  - { name: main, api_base: 'MAIN', model_mapping: { m: m } }
  - { name: spare, api_base: 'SPARE', model_mapping: { m: m, n: n } }
retry: { max_retries: 0 }
";

/// How the targets are asked.
fn asking(model: &str) -> String {
    let targets = "targets: [ { provider: main, priority: 1 }, { provider: spare, priority: 2 } ]";
    format!("{TIERS}models: {{ m: {{ balance: priority, {targets}, {model} }} }}\n")
}

/// The one call that was settled: its attempts, and the provider that it is ascribed to.
fn settled(scene: &Scene) -> (Vec<String>, Option<String>) {
    let mut all = scene.settled();
    assert_eq!(all.len(), 1, "{all:?}");
    let call = all.remove(0);
    (call.attempts, call.served_by)
}

#[tokio::test]
async fn a_first_attempt_that_beats_its_hedge_has_answered() {
    let scene = Scene::of(&asking("hedge: { after: 1ms, max: 1 }")).await;
    let gate = Gate::new();
    scene.main.push(Script::new().wait(&gate).answer(200, "application/json", r#"{"id":"c-1","choices":[]}"#));
    scene.spare.push(Script::new().stall());
    let hedged = async {
        scene.spare.request(0).await;
        gate.open();
    };
    let (served, ()) = tokio::join!(scene.served(), hedged);
    assert_eq!(served, "main");
    let attempts = ["main:success", "spare:cancelled"].map(str::to_owned).to_vec();
    assert_eq!(settled(&scene), (attempts, Some("main".to_owned())));
}

#[tokio::test]
async fn a_hedge_that_wins_has_answered() {
    let scene = Scene::of(&asking("hedge: { after: 1ms, max: 1 }")).await;
    scene.main.push(Script::new().stall());
    scene.spare.push(good());
    assert_eq!(scene.served().await, "spare");
    let attempts = ["main:cancelled", "spare:success"].map(str::to_owned).to_vec();
    assert_eq!(settled(&scene), (attempts, Some("spare".to_owned())));
}

#[tokio::test]
async fn a_refusal_that_the_caller_gets_is_an_answer_though_another_model_was_tried_behind_it() {
    let config = TIERS.replace("{ m: m, n: n }", "{ n: n }");
    let scene =
        Scene::of(&format!("{config}models: {{ m: {{ targets: [ {{ provider: main }} ], fallback_models: [n] }} }}\n"))
            .await;
    let too_long =
        r#"{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
    scene.main.push(Script::json(400, too_long));
    scene.spare.push(Script::json(500, "{}"));
    let (status, provider, body) = scene.call().await;
    assert_eq!((status, provider.as_str()), (400, "main"), "{body}");
    let attempts = ["main:context_length", "spare:server_error"].map(str::to_owned).to_vec();
    assert_eq!(settled(&scene), (attempts, Some("main".to_owned())));
}

#[tokio::test]
async fn a_call_without_an_answer_is_ascribed_to_its_last_attempt() {
    let scene = Scene::of(&asking("max_retries: 1")).await;
    scene.main.push(Script::json(500, "{}"));
    scene.spare.push(Script::json(500, "{}"));
    let (status, _, body) = scene.call().await;
    assert_eq!(status, 502, "{body}");
    let attempts = ["main:server_error", "spare:server_error"].map(str::to_owned).to_vec();
    assert_eq!(settled(&scene), (attempts, Some("spare".to_owned())));
}
