//! Which headers cross the gateway, and that no secret ever does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gateway_testing::{ReceivedRequest, Script};
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, PROVIDER_KEY, Stage, answer_with, authorized, with_header};

/// Set by the gateway on every request.
const OWN: [&str; 7] =
    ["accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent", "via"];

/// What the caller's headers added to a request.
fn crossed(received: &ReceivedRequest) -> Vec<(String, String)> {
    let lower = received.headers().map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let mut crossed: Vec<_> = lower.filter(|(name, _)| !OWN.contains(&&**name)).collect();
    crossed.sort_unstable();
    crossed
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    pairs.sort_unstable();
    pairs
}

const LISTED: [(&str, &str); 10] = [
    ("openai-organization", "org"),
    ("openai-project", "proj"),
    ("openai-beta", "assistants=v2"),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "one"),
    ("anthropic-beta", "two"),
    ("accept-language", "de"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("tracestate", "a=b"),
    ("idempotency-key", "k-1"),
];

const UNLISTED: [(&str, &str); 15] = [
    ("accept", "text/event-stream"),
    ("accept-encoding", "gzip, br"),
    ("cookie", "session=1"),
    ("user-agent", "curl/8"),
    ("x-forwarded-for", "10.0.0.1"),
    ("forwarded", "for=10.0.0.1"),
    ("x-real-ip", "10.0.0.1"),
    ("origin", "https://app.example.com"),
    ("referer", "https://app.example.com/x"),
    ("te", "trailers"),
    ("keep-alive", "timeout=5"),
    ("proxy-authorization", "Basic eA=="),
    ("x-anything", "1"),
    ("x-gateway-model", "forged"),
    ("x-goog-api-key", "goog"),
];

#[tokio::test]
async fn only_listed_headers_of_the_caller_reach_the_upstream() {
    let stage = Stage::with("").await;
    let all = LISTED.iter().chain(&UNLISTED);
    let asked = all.fold(authorized("POST", CHAT, CALL), |asked, (name, value)| with_header(asked, name, value));
    let asked = with_header(asked, "connection", "x-anything");
    let (_, received) = stage.exchange(asked, Script::json(200, "{}")).await;
    assert_eq!(crossed(&received), pairs(&LISTED));
    assert_eq!(received.header("accept-encoding"), Some("identity"));
    assert!(received.header("user-agent").unwrap().starts_with("llm-gateway/"));
}

#[tokio::test]
async fn the_administrator_adds_headers_and_lets_others_through() {
    let config = r#"
providers:
  - name: main
    api_base: "${UPSTREAM}"
    api_key: "${PROVIDER_KEY}"
    headers: { x-team: ml, openai-organization: ours, accept-language: en, user-agent: ours/1 }
    forward_headers: [x-trace-team, X-Other, openai-organization]
master_keys: [ { name: team, key: "${CALLER_KEY}" } ]
"#;
    let stage = Stage::of(config).await;
    let sent = [
        ("x-trace-team", "one"),
        ("x-trace-team", "two"),
        ("x-other", "o"),
        ("x-team", "forged"),
        ("openai-organization", "theirs"),
        ("accept-language", "de"),
        ("x-unlisted", "1"),
    ];
    let asked =
        sent.iter().fold(authorized("POST", CHAT, CALL), |asked, (name, value)| with_header(asked, name, value));
    let (_, received) = stage.exchange(asked, Script::json(200, "{}")).await;
    let expected = [
        ("x-team", "ml"),
        ("openai-organization", "ours"),
        ("accept-language", "en"),
        ("x-trace-team", "one"),
        ("x-trace-team", "two"),
        ("x-other", "o"),
    ];
    assert_eq!(crossed(&received), pairs(&expected));
    assert_eq!(received.header("user-agent"), Some("ours/1"));
}

#[tokio::test]
async fn a_header_that_belongs_to_the_connection_does_not_cross_even_if_it_is_listed() {
    let stage = Stage::with("").await;
    let asked =
        LISTED.iter().fold(authorized("POST", CHAT, CALL), |asked, (name, value)| with_header(asked, name, value));
    let asked = with_header(asked, "connection", "keep-alive, Traceparent, openai-beta");
    let (_, received) = stage.exchange(asked, Script::json(200, "{}")).await;
    let expected: Vec<_> =
        LISTED.into_iter().filter(|(name, _)| !["traceparent", "openai-beta"].contains(name)).collect();
    assert_eq!(crossed(&received), pairs(&expected));
}

#[tokio::test]
async fn the_callers_key_reaches_no_upstream_in_any_spelling() {
    let stage = Stage::with("passthrough: main\n").await;
    for (name, value) in [
        ("authorization", format!("bearer {CALLER_KEY}")),
        ("Authorization", format!("Bearer   {CALLER_KEY}")),
        ("x-api-key", CALLER_KEY.to_owned()),
        ("X-API-KEY", CALLER_KEY.to_owned()),
        ("api-key", CALLER_KEY.to_owned()),
    ] {
        for (method, path, body) in [("POST", CHAT, CALL), ("GET", "/v1/files", "")] {
            let also = ["x-goog-api-key", "proxy-authorization", "cookie"];
            let plain = with_header(gateway_testing::client::request(method, path, body), &name.to_lowercase(), &value);
            let asked = also.iter().fold(plain, |asked, also| with_header(asked, also, CALLER_KEY));
            let (answer, received) = stage.exchange(asked, Script::json(200, "{}")).await;
            assert_eq!(answer.status, 200, "{name}");
            let head = String::from_utf8_lossy(&received.head).into_owned();
            assert!(!head.contains(CALLER_KEY), "{name}: {head}");
            assert_eq!(head.matches(PROVIDER_KEY).count(), 1, "{name}: {head}");
        }
    }
}

#[tokio::test]
async fn answers_keep_what_says_something_about_them_and_nothing_else() {
    let stage = Stage::with("").await;
    let from_upstream = [
        ("content-type", "application/json; charset=utf-8"),
        ("openai-processing-ms", "12"),
        ("openai-version", "2020-10-01"),
        ("x-custom", "1"),
        ("x-custom", "2"),
        ("cache-control", "no-store"),
        ("etag", "\"abc\""),
        ("set-cookie", "__cf_bm=1"),
        ("server", "cloudflare"),
        ("date", "Mon, 01 Jan 2001 00:00:00 GMT"),
        ("connection", "keep-alive, x-hop"),
        ("keep-alive", "timeout=5"),
        ("x-hop", "1"),
        ("via", "1.1 cdn"),
        ("alt-svc", "h3=\":443\""),
        ("strict-transport-security", "max-age=1"),
        ("x-powered-by", "PHP"),
        ("www-authenticate", "Bearer"),
        ("access-control-allow-origin", "*"),
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-remaining-tokens", "9"),
        ("anthropic-ratelimit-requests-limit", "3"),
        ("x-request-id", "upstream-1"),
        ("x-gateway-model", "forged"),
        ("x-upstream-x-request-id", "forged"),
        ("x-should-retry", "true"),
    ];
    let asked = with_header(authorized("POST", CHAT, CALL), "x-request-id", "mine");
    let (answer, _) = stage.exchange(asked, answer_with(200, &from_upstream, r#"{"n":1}"#)).await;
    let own = ["content-length", "date", "x-gateway-overhead-us"];
    let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut headers: Vec<_> = headers.filter(|(name, _)| !own.contains(&&**name)).collect();
    headers.sort_unstable();
    let expected = [
        ("content-type", "application/json; charset=utf-8"),
        ("openai-processing-ms", "12"),
        ("openai-version", "2020-10-01"),
        ("x-custom", "1"),
        ("x-custom", "2"),
        ("cache-control", "no-store"),
        ("x-upstream-x-ratelimit-limit-requests", "500"),
        ("x-upstream-x-ratelimit-remaining-tokens", "9"),
        ("x-upstream-anthropic-ratelimit-requests-limit", "3"),
        ("x-upstream-x-request-id", "upstream-1"),
        ("x-request-id", "mine"),
        ("x-gateway-model", "gpt-4o"),
        ("x-gateway-provider", "main"),
        ("x-gateway-attempts", "1"),
    ];
    assert_eq!(headers, pairs(&expected));
    assert_ne!(answer.header("date"), "Mon, 01 Jan 2001 00:00:00 GMT");
}
