//! Which models a call may be answered by: those that it lists, or those that are configured to follow the one it names.

use gateway_testing::Script;
use gateway_tests::stage::{CALLER_KEY, CHAT, Stage, with_header};
use gateway_tests::trail;

const NARROW_KEY: &str = "sk-narrow-000001";

/// One attempt a model, so that the trail is the list of models.
const CATALOGUE: &str = r#"
provider_suffix: Proxy
providers:
  - { name: main, api_base: "${UPSTREAM}", api_key: "${PROVIDER_KEY}", model_mapping: [a, b, c, d, e, followed, chained] }
models:
  followed: { fallback_models: [d, Proxy/e] }
  chained: { fallback_models: [followed] }
retry: { max_retries: 0 }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
master_keys:
  - { name: team, key: "${CALLER_KEY}" }
  - { name: narrow, key: sk-narrow-000001, allowed_models: [a, b, e, followed] }
"#;

#[tokio::test]
async fn models_are_tried_as_they_are_listed() {
    let stage = Stage::of(CATALOGUE).await;
    for (body, models) in [
        (r#"{"model":"a"}"#, "a"),
        (r#"{"model":"a","gateway":{"models":["b","c"]}}"#, "a b c"),
        (r#"{"gateway":{"models":["b","c"]}}"#, "b c"),
        (r#"{"model":"c","gateway":{"models":["b","c"]}}"#, "c b"),
        (r#"{"model":"b","gateway":{"models":["b","c","b"]}}"#, "b c"),
        (r#"{"model":"a","models":["b","c"]}"#, "a b c"),
        (r#"{"models":["b","a"]}"#, "b a"),
        (r#"{"model":"a","fallbacks":["c"]}"#, "a c"),
        (r#"{"fallbacks":["d","c"],"models":["c","b"],"gateway":{"models":["b"]},"model":"a"}"#, "a b c d"),
        (r#"{"model":"a","models":[],"fallbacks":null,"gateway":{"models":[]}}"#, "a"),
        (r#"{"model":"Proxy/a","models":["Proxy/b","main/c","b","a"]}"#, "a b main/c"),
        // Configured fallbacks follow a model that is alone, and only that one.
        (r#"{"model":"followed"}"#, "followed d e"),
        (r#"{"model":"Proxy/followed"}"#, "followed d e"),
        (r#"{"models":["followed"]}"#, "followed d e"),
        (r#"{"model":"Proxy/followed","models":["followed"]}"#, "followed d e"),
        (r#"{"model":"followed","models":["b"]}"#, "followed b"),
        (r#"{"model":"a","models":["followed"]}"#, "a followed"),
        (r#"{"model":"chained"}"#, "chained followed"),
    ] {
        let answer = stage.post(CHAT, body).await;
        assert_eq!(answer.status, 502, "{body}: {}", answer.text());
        let expected: Vec<_> = models.split(' ').map(|model| format!("main/{model}:transport")).collect();
        assert_eq!(trail::of_answer(&answer), expected, "{body}");
        let line = stage.access_line(answer.header("x-request-id"));
        assert_eq!(line["model"], models.split(' ').next().unwrap(), "{line}");
    }
}

/// The first choice answers under the name that the caller gave it, any other under its own.
#[tokio::test]
async fn answers_name_the_model_that_gave_them() {
    let stage = Stage::of(CATALOGUE).await;
    for (body, failures, shown, upstream_model) in [
        (r#"{"model":"Proxy/a","models":["b"]}"#, 0, "Proxy/a", "a"),
        (r#"{"model":"Proxy/a","models":["b"]}"#, 1, "b", "b"),
        (r#"{"model":"Proxy/a","models":["Proxy/b"]}"#, 1, "b", "b"),
        (r#"{"gateway":{"models":["Proxy/b","c"]}}"#, 0, "Proxy/b", "b"),
        (r#"{"model":"followed"}"#, 2, "e", "e"),
    ] {
        (0..failures).for_each(|_| stage.upstream.push(Script::json(500, "{}")));
        stage.upstream.push(Script::json(200, r#"{"model":"its own"}"#));
        let answer = stage.post(CHAT, body).await;
        let document = answer.json();
        assert_eq!(answer.status, 200, "{body}: {document}");
        let gateway = &document["gateway"];
        assert_eq!(
            (&document["model"], &gateway["model"], &gateway["upstream_model"], answer.header("x-gateway-model")),
            (&shown.into(), &shown.into(), &upstream_model.into(), shown),
            "{body}"
        );
        assert_eq!(trail::of_answer(&answer).len(), failures + 1, "{body}");
        let last = stage.upstream.requests().pop().unwrap();
        assert_eq!(last.body, format!(r#"{{"model":"{upstream_model}"}}"#), "nothing of the lists is sent");
    }
}

/// The list is judged before anything is sent for it, also where the first model would have answered.
#[tokio::test]
async fn every_model_of_a_list_has_to_be_there_for_the_caller() {
    let stage = Stage::of(CATALOGUE).await;
    let list = |member: &str, name: &str| match member {
        "gateway" => format!(r#"{{"model":"a","gateway":{{"models":["b","{name}"]}}}}"#),
        member => format!(r#"{{"model":"a","{member}":["b","{name}"]}}"#),
    };
    for member in ["gateway", "models", "fallbacks"] {
        for (key, name, status, code) in [
            (CALLER_KEY, "nope", 404, "model_not_found"),
            (CALLER_KEY, "Proxy/nope", 404, "model_not_found"),
            (NARROW_KEY, "c", 403, "model_not_allowed"),
            (NARROW_KEY, "Proxy/c", 403, "model_not_allowed"),
            // Whoever may not use a name need not learn whether there is one.
            (NARROW_KEY, "nope", 403, "model_not_allowed"),
        ] {
            let request = gateway_testing::client::request("POST", CHAT, list(member, name));
            let answer = stage.send(with_header(request, "x-api-key", key)).await;
            let row = format!("{member} {name}: {}", answer.text());
            assert_eq!((answer.status.as_u16(), &*answer.error_code()), (status, code), "{row}");
            assert_eq!(answer.json()["error"]["param"], "model", "{row}");
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains(&format!("`{name}`")), "{row}");
            assert_eq!((answer.header("x-gateway-attempts"), answer.header("x-should-retry")), ("", ""), "{row}");
        }
    }
    stage.assert_nothing_was_sent("lists");
}

/// It was the administrator who listed it, so a caller who may not use it is not refused for it.
#[tokio::test]
async fn a_configured_fallback_that_the_key_may_not_use_is_passed_over() {
    let stage = Stage::of(CATALOGUE).await;
    let request = gateway_testing::client::request("POST", CHAT, r#"{"model":"followed"}"#);
    let answer = stage.send(with_header(request, "x-api-key", NARROW_KEY)).await;
    assert_eq!(trail::of_answer(&answer), ["main/followed:transport", "main/e:transport"]);
}
