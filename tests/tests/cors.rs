//! Callers that are pages in a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gateway_testing::{Answer, Script, client};
use gateway_tests::stage::{CALL, CHAT, Stage, answer_with, authorized, with_header};

const APP: &str = "https://app.example.com";

const EXPOSED: &str = "x-request-id, x-gateway-model, x-gateway-provider, x-gateway-attempts, x-gateway-overhead-us, \
                       retry-after, retry-after-ms, x-should-retry";

const ANY: &str = "server: { cors: {} }\n";

const LIST: &str = "server:\n  cors:\n    allowed_origins: [https://app.example.com, http://localhost:3000]\n    \
                    allowed_headers: [authorization, content-type]\n    max_age: 60s\n";

fn cors_headers(answer: &Answer) -> Vec<(String, String)> {
    let all = answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut cors: Vec<_> =
        all.filter(|(name, _)| name.starts_with("access-control-") || name == "vary" || name == "allow").collect();
    cors.sort_unstable();
    cors
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    pairs.sort_unstable();
    pairs
}

/// Asks as a browser does before the actual request; it sends no key with the question.
async fn preflight(stage: &Stage, path: &str, origin: &str, headers: Option<&str>) -> Answer {
    let asked = with_header(client::request("OPTIONS", path, ""), "origin", origin);
    let asked = with_header(asked, "access-control-request-method", "POST");
    let asked = match headers {
        Some(headers) => with_header(asked, "access-control-request-headers", headers),
        None => asked,
    };
    stage.send(asked).await
}

#[tokio::test]
async fn without_rules_there_are_no_headers() {
    let stage = Stage::with("").await;
    let from_upstream = answer_with(200, &[("access-control-allow-origin", "*")], "{}");
    let asked = with_header(authorized("POST", CHAT, CALL), "origin", APP);
    let (answer, _) = stage.exchange(asked, from_upstream).await;
    assert_eq!(cors_headers(&answer), pairs(&[]));
    let refused = preflight(&stage, CHAT, APP, None).await;
    assert_eq!(refused.status, 405);
    assert_eq!(cors_headers(&refused), pairs(&[("allow", "POST")]));
}

#[tokio::test]
async fn preflights_are_answered_by_the_gateway_itself() {
    let any = Stage::with(ANY).await;
    let list = Stage::with(LIST).await;
    let wanted = "authorization, content-type, x-stainless-os";
    let open = [
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", EXPOSED),
        ("access-control-max-age", "600"),
    ];
    let closed = [("access-control-max-age", "60"), ("vary", "origin")];
    let own = [("access-control-allow-headers", "authorization, content-type")];
    let known = [("access-control-allow-origin", "http://localhost:3000"), ("access-control-expose-headers", EXPOSED)];
    let post = [("access-control-allow-methods", "POST")];
    let get = [("access-control-allow-methods", "GET, HEAD")];
    let asked = [("access-control-allow-headers", wanted)];
    for (stage, path, origin, headers, expected) in [
        (&any, CHAT, APP, Some(wanted), [&open[..], &post, &asked].concat()),
        (&any, CHAT, APP, None, [&open[..], &post].concat()),
        (&any, "/v1/models", APP, None, [&open[..], &get].concat()),
        (&any, "/v1/nothing", APP, None, [&open[..], &get].concat()),
        (&list, CHAT, "http://localhost:3000", Some(wanted), [&closed[..], &post, &own, &known].concat()),
        (&list, CHAT, "https://evil.example", Some(wanted), [&closed[..], &post, &own].concat()),
        (&list, CHAT, "null", None, [&closed[..], &post, &own].concat()),
    ] {
        let answer = preflight(stage, path, origin, headers).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "{path} {origin}");
        assert_eq!(cors_headers(&answer), pairs(&expected), "{path} {origin}");
    }
    any.assert_nothing_was_sent("a preflight");
}

#[tokio::test]
async fn answers_and_errors_can_be_read_by_the_pages_that_may() {
    let any = Stage::with(ANY).await;
    let list = Stage::with(LIST).await;
    let open = [("access-control-allow-origin", "*"), ("access-control-expose-headers", EXPOSED)];
    let known = [("access-control-allow-origin", APP), ("access-control-expose-headers", EXPOSED), ("vary", "origin")];
    for (stage, origin, expected) in [
        (&any, APP, &open[..]),
        (&any, "null", &open),
        (&list, APP, &known),
        (&list, "https://app.example.com.evil.example", &[("vary", "origin")]),
        (&list, "http://app.example.com", &[("vary", "origin")]),
    ] {
        let forged = answer_with(200, &[("access-control-allow-origin", "https://evil.example")], "{}");
        let asked = |request| with_header(request, "origin", origin);
        let (served, _) = stage.exchange(asked(authorized("POST", CHAT, CALL)), forged).await;
        stage.upstream.push(Script::json(500, "{}"));
        for (status, answer) in [
            (200, served),
            (502, stage.send(asked(authorized("POST", CHAT, CALL))).await),
            (401, stage.send(asked(client::request("POST", CHAT, CALL))).await),
            (400, stage.send(asked(authorized("POST", CHAT, "{"))).await),
            (404, stage.send(asked(authorized("GET", "/v1/nothing", ""))).await),
            (200, stage.send(asked(authorized("GET", "/v1/models", ""))).await),
            (200, stage.send(asked(client::request("GET", "/health", ""))).await),
        ] {
            assert_eq!(answer.status, status, "{origin}");
            assert_eq!(cors_headers(&answer), pairs(expected), "{origin} {status}");
            assert_eq!(answer.headers.get_all("access-control-allow-credentials").iter().count(), 0);
        }
    }
}

/// Caches must not hand an answer for one page to another, so the answer without an origin varies as well.
#[tokio::test]
async fn requests_without_an_origin_are_no_pages() {
    for (sections, expected) in [(ANY, &[][..]), (LIST, &[("vary", "origin")])] {
        let stage = Stage::with(sections).await;
        let (answer, _) = stage.exchange(authorized("POST", CHAT, CALL), Script::json(200, "{}")).await;
        assert_eq!(cors_headers(&answer), pairs(expected), "{sections}");
    }
}

/// The rules on heads hold for a browser's question as for any other request.
#[tokio::test]
async fn a_preflight_with_a_broken_head_is_refused() {
    let stage = Stage::with(ANY).await;
    let asked = with_header(client::request("OPTIONS", CHAT, ""), "origin", APP);
    let asked = with_header(asked, "access-control-request-method", "POST");
    assert_eq!(stage.send(with_header(asked.clone(), "upgrade", "websocket")).await.status, 400);
    assert_eq!(stage.send(asked).await.status, 204);
}
