//! What a key of the file has spent belongs to its name, whatever else becomes of it.
//!
//! A key that is removed and added again goes on where it was: otherwise to remove and to add it would be to fill it up.

use gateway_testing::{Gate, Script};
use http::Request;
use http_body_util::BodyExt;

use super::scene::{Body, CONTENT, Scene, post};
use super::{reconfigure, with};

const KEY: &str = "sk-team-a-51d0a6f3";

/// Four calls in two hours, of which none comes back while the test runs.
const FOUR: &str = "{ limit: 4, period_seconds: 7200 }";

/// Two keys, the first of them with these limits and this text.
fn keys(key: &str, limits: &str) -> String {
    let keys = format!(
        "master_keys:\n  - {{ name: team-b, key: sk-team-b-9f1c27e4 }}\n  - {{ name: team-a, key: {key}, rate_limit: {limits} }}\n"
    );
    with("auth: none", "auth: required").replace("providers:", &format!("{keys}providers:"))
}

fn without_the_key() -> String {
    let yaml = keys(KEY, FOUR);
    let lines = yaml.lines().filter(|line| !line.contains(KEY));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn from(key: &str, body: &'static str) -> Request<Body> {
    let mut request = post("/v1/chat/completions", body);
    request.headers_mut().insert("x-api-key", key.parse().unwrap());
    request
}

/// The status of a call, and how many more there may be.
async fn call(scene: &Scene, key: &str) -> (u16, Option<u32>) {
    let answer = scene.send(from(key, r#"{"model":"m"}"#)).await;
    let left = answer.headers().get("x-ratelimit-remaining-requests");
    (answer.status().as_u16(), left.map(|left| left.to_str().unwrap().parse().unwrap()))
}

#[tokio::test]
async fn a_bucket_that_is_half_spent_stays_so() {
    const OTHER: &str = "sk-team-a-e83b40c9";
    let moved = |yaml: String| yaml.replace("'MAIN'", "'MAIN/moved'").replace("'SPARE'", "'SPARE/moved'");
    for (row, changes, key, expected) in [
        ("nothing changes", vec![keys(KEY, FOUR)], KEY, (200, Some(1))),
        ("everything else changes", vec![moved(keys(KEY, FOUR))], KEY, (200, Some(1))),
        ("a wider limit", vec![keys(KEY, "{ limit: 6, period_seconds: 7200 }")], KEY, (200, Some(3))),
        ("a narrower limit", vec![keys(KEY, "{ limit: 2, period_seconds: 7200 }")], KEY, (429, Some(0))),
        (
            "a wider one and back",
            vec![keys(KEY, "{ limit: 6, period_seconds: 7200 }"), keys(KEY, FOUR)],
            KEY,
            (200, Some(1)),
        ),
        ("another text", vec![keys(OTHER, FOUR)], OTHER, (200, Some(1))),
        ("removed and added", vec![without_the_key(), keys(KEY, FOUR)], KEY, (200, Some(1))),
        ("open to all and back", vec![with("max_retries: 1", "max_retries: 2"), keys(KEY, FOUR)], KEY, (200, Some(1))),
    ] {
        let scene = Scene::of(&keys(KEY, FOUR)).await;
        assert_eq!(call(&scene, KEY).await, (200, Some(3)), "{row}");
        assert_eq!(call(&scene, KEY).await, (200, Some(2)), "{row}");
        for yaml in changes {
            reconfigure(&scene, &yaml);
        }
        assert_eq!(call(&scene, key).await, expected, "{row}");
    }
}

#[tokio::test]
async fn a_key_that_is_gone_is_nobodys() {
    let scene = Scene::of(&keys(KEY, FOUR)).await;
    reconfigure(&scene, &without_the_key());
    assert_eq!(call(&scene, KEY).await, (401, None));
}

/// A call from before the change is one of so many at once until it is over.
#[tokio::test]
async fn calls_under_way_are_counted() {
    let single = || keys(KEY, "{ max_concurrent: 1 }");
    for (row, changes) in
        [("nothing changes", vec![single()]), ("removed and added", vec![without_the_key(), single()])]
    {
        let scene = Scene::of(&single()).await;
        let gate = Gate::new();
        scene.main.push(Script::event_stream().event(CONTENT).wait(&gate).event("[DONE]").end_chunks());
        let answer = scene.send(from(KEY, r#"{"model":"m","stream":true}"#)).await;
        for yaml in changes {
            reconfigure(&scene, &yaml);
        }
        assert_eq!(call(&scene, KEY).await.0, 429, "{row}");
        gate.open();
        answer.into_body().collect().await.unwrap();
        assert_eq!(call(&scene, KEY).await.0, 200, "{row}");
    }
}
