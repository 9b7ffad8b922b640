//! Several keys of one provider: the first is used until it is refused, then the next; and nobody gets to see any.

use gateway_testing::{Answer, Client, FakeUpstream, Gate, Script};
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, Stage, answer_with, authorized};
use gateway_tests::trail;
use serde_json::Value;

const KEYS: [&str; 3] = ["sk-pool-one-5f31", "sk-pool-two-a7c2", "sk-pool-three-09e4"];

/// One provider with three keys, and another one behind it for `shared`.
const POOL: &str = r#"
providers:
  - name: main
    api_base: "${UPSTREAM}"
    api_keys: [sk-pool-one-5f31, sk-pool-two-a7c2, sk-pool-three-09e4]
    model_mapping: [gpt-4o, mini, shared]
  - { name: other, api_base: "${OTHER}", api_key: "${PROVIDER_KEY}", model_mapping: [shared] }
models:
  shared:
    balance: priority
    targets: [ { provider: main, priority: 1 }, { provider: other, priority: 2 } ]
master_keys:
  - { name: team, key: "${CALLER_KEY}" }
"#;

/// Only what needs no retry is tried: another key does not.
const NO_RETRIES: &str = "retry: { max_retries: 0 }\n";

async fn pool(sections: &str) -> Stage {
    Stage::logging(&[POOL, sections].concat(), "trace").await
}

/// The words of an upstream that repeats the key that it refuses.
fn refuse(status: u16, key: usize) -> Script {
    answer_with(status, &[("x-key", KEYS[key])], format!(r#"{{"error":{{"message":"{} is bad"}}}}"#, KEYS[key]))
}

fn ok() -> Script {
    Script::json(200, "{}")
}

/// The numbers of the keys that an upstream was shown, in order.
fn shown(upstream: &FakeUpstream) -> Vec<usize> {
    let number = |header: &str| KEYS.iter().position(|key| header == format!("Bearer {key}"));
    upstream.requests().iter().map(|it| number(it.header("authorization").unwrap()).unwrap()).collect()
}

fn assert_keyless(row: &str, text: &str) {
    for key in KEYS.iter().chain([&CALLER_KEY]) {
        assert!(!text.contains(key), "{row} tells {key}: {text}");
    }
}

fn assert_tells_no_key(row: &str, answer: &Answer) {
    assert_keyless(row, &answer.text());
    assert_keyless(row, &format!("{:?}", answer.headers));
}

/// The keys that the log complains of, as people count, each as often as it does.
fn complaints(log: &str) -> Vec<u64> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let errors = lines.filter(|line| line["level"] == "ERROR");
    errors.map(|line| line["api_key"].as_u64().unwrap_or_else(|| panic!("another error: {line}"))).collect()
}

#[tokio::test]
async fn the_next_key_is_tried_at_once() {
    for (status, outcome, complained) in [
        (401, "credentials_rejected", &[1][..]),
        (402, "credentials_rejected", &[1]),
        (403, "credentials_rejected", &[1]),
        (429, "rate_limited", &[]),
    ] {
        let stage = pool(NO_RETRIES).await;
        stage.upstream.push(refuse(status, 0));
        stage.upstream.push(ok());
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!(answer.status, 200, "{status}: {}", answer.text());
        let trail = trail::of_answer(&answer);
        assert_eq!(trail, [format!("main/gpt-4o:{outcome}:{status}"), "main/gpt-4o:success:200".to_owned()]);
        assert_tells_no_key(&status.to_string(), &answer);
        // The next call begins where this one ended.
        stage.upstream.push(ok());
        assert_eq!(trail::of_answer(&stage.post(CHAT, CALL).await).len(), 1, "{status}");
        assert_eq!(shown(&stage.upstream), [0, 1, 1], "{status}");
        let log = stage.stop();
        assert_keyless("the log", &log);
        assert_eq!(complaints(&log), complained, "{status}");
    }
}

/// A key that is bad is bad for all models of its provider; one that is used too much may still do for another.
#[tokio::test]
async fn a_refusal_is_of_the_key_and_a_limit_of_the_model() {
    for (status, keys) in [(401, [0, 1, 1]), (429, [0, 1, 0])] {
        let stage = pool(NO_RETRIES).await;
        stage.upstream.push(refuse(status, 0));
        stage.upstream.push(ok());
        assert_eq!(stage.post(CHAT, CALL).await.status, 200);
        stage.upstream.push(ok());
        assert_eq!(stage.post(CHAT, r#"{"model":"mini"}"#).await.status, 200);
        assert_eq!(shown(&stage.upstream), keys, "{status}");
    }
}

#[tokio::test]
async fn when_all_keys_are_bad_the_administrator_is_told_once_of_each() {
    let stage = pool("retry: { base_delay: 1ms, max_delay: 1ms }\n").await;
    for (key, status) in [401, 402, 403].into_iter().enumerate() {
        stage.upstream.push(refuse(status, key));
    }
    let answer = stage.post(CHAT, CALL).await;
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_credentials_rejected"));
    let expected = [401, 402, 403].map(|status| format!("main/gpt-4o:credentials_rejected:{status}"));
    assert_eq!(trail::of_answer(&answer), expected);
    assert_tells_no_key("all bad", &answer);
    // They are tried all the same, one a call: somebody may have paid the bill.
    for _ in 0..2 {
        stage.upstream.push(refuse(401, 0));
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_credentials_rejected"));
        assert_eq!(trail::of_answer(&answer), ["main/gpt-4o:credentials_rejected:401"]);
        assert_tells_no_key("all bad", &answer);
    }
    stage.upstream.push(ok());
    assert_eq!(stage.post(CHAT, CALL).await.status, 200);
    assert_eq!(shown(&stage.upstream)[..3], [0, 1, 2]);
    let log = stage.stop();
    assert_keyless("the log", &log);
    assert_eq!(complaints(&log), [1, 2, 3]);
}

/// Of many calls that meet the same refusal at once, one says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_many_meet_is_told_once() {
    const CALLS: usize = 24;
    let stage = pool(NO_RETRIES).await;
    let gate = Gate::new();
    let refused = |script: Script| script.wait(&gate).write("HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n");
    (0..CALLS).for_each(|_| stage.upstream.push(refused(Script::new())));
    let address = stage.gateway.address();
    let calls: Vec<_> = (0..CALLS)
        .map(|_| tokio::spawn(async move { Client::connect(address).await.send(authorized("POST", CHAT, CALL)).await }))
        .collect();
    stage.upstream.request(CALLS - 1).await;
    (0..CALLS).for_each(|_| stage.upstream.push(ok()));
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
    let keys = shown(&stage.upstream);
    assert_eq!((&keys[..CALLS], &keys[CALLS..]), (&[0; CALLS][..], &[1; CALLS][..]));
    assert_eq!(complaints(&stage.stop()), [1]);
}

/// Another target is as good as another key, and has not just said no.
#[tokio::test]
async fn other_targets_come_before_other_keys() {
    let stage = pool("retry: { max_retries: 1 }\n").await;
    stage.upstream.push(refuse(401, 0));
    stage.other.push(Script::json(500, "{}"));
    stage.upstream.push(ok());
    let answer = stage.post(CHAT, r#"{"model":"shared"}"#).await;
    let expected = ["main/shared:credentials_rejected:401", "other/shared:server_error:500", "main/shared:success:200"];
    assert_eq!(trail::of_answer(&answer), expected);
    assert_eq!(shown(&stage.upstream), [0, 1]);
    let keys: Vec<_> = stage.other.requests().iter().map(|it| it.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(keys, [format!("Bearer {}", gateway_tests::stage::PROVIDER_KEY)]);
}

/// With all keys limited a call waits for the first that is free again, if that is soon.
#[tokio::test]
async fn when_all_keys_are_limited_the_soonest_is_waited_for() {
    let stage = pool("retry: { max_retries: 1, base_delay: 1ms, max_delay: 1ms }\n").await;
    for (key, wait) in ["60000", "300", "60000"].into_iter().enumerate() {
        stage.upstream.push(answer_with(429, &[("retry-after-ms", wait)], KEYS[key]));
    }
    stage.upstream.push(ok());
    let answer = stage.post(CHAT, CALL).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(shown(&stage.upstream), [0, 1, 2, 1]);
    assert_tells_no_key("limited", &answer);
}
