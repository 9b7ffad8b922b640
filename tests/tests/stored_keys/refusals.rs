//! What administrators get wrong, and what an attacker would try: refused with the field that it is, and nothing stored.

use gateway_testing::client;
use gateway_tests::administrator::{ADMIN_KEY, KEYS, one};
use gateway_tests::hexadecimal::digits;
use gateway_tests::site::{Site, bad, good, verdict};
use gateway_tests::stage::with_header;
use serde_json::json;

/// What would end a statement that somebody has pasted together.
const SQL: [&str; 6] = [
    "x'; DROP TABLE master_keys; --",
    "x' OR '1'='1",
    "x\" OR \"\"=\"",
    "x' UNION SELECT digest FROM master_keys --",
    "$1",
    "x\\'; DELETE FROM audit_log; --",
];

/// Bodies that are no key, each with the status and the code that they get, and the field at fault.
const ROWS: [(&str, u16, &str, &str); 43] = [
    (r#"{"nmae":"x"}"#, 400, "unknown_field", "nmae"),
    (r#"{"name":"x","rate_limit":{"rps":1}}"#, 400, "unknown_field", "rate_limit.rps"),
    (r#"{"name":"x","digest":"00"}"#, 400, "unknown_field", "digest"),
    (r#"{"name":"x","revision":7}"#, 400, "unknown_field", "revision"),
    (r#"{"name":"x","source":"file"}"#, 400, "unknown_field", "source"),
    ("{}", 400, "missing_field", "name"),
    (r#"{"name":""}"#, 400, "invalid_value", "name"),
    (r#"{"name":"a\u0000b"}"#, 400, "invalid_value", "name"),
    (r#"{"name":"a\nb"}"#, 400, "invalid_value", "name"),
    (r#"{"name":7}"#, 400, "invalid_value", "name"),
    (r#"{"name":"x","rate_limit":{"requests_per_minute":-1}}"#, 400, "invalid_value", "rate_limit.requests_per_minute"),
    (
        r#"{"name":"x","rate_limit":{"requests_per_second":18446744073709551616}}"#,
        400,
        "invalid_value",
        "rate_limit.requests_per_second",
    ),
    (
        r#"{"name":"x","rate_limit":{"requests_per_second":18446744073709551615}}"#,
        400,
        "invalid_value",
        "rate_limit.requests_per_second",
    ),
    (
        r#"{"name":"x","rate_limit":{"tokens_per_minute":9223372036854775808}}"#,
        400,
        "invalid_value",
        "rate_limit.tokens_per_minute",
    ),
    (r#"{"name":"x","rate_limit":{"max_concurrent":4294967296}}"#, 400, "invalid_value", "rate_limit.max_concurrent"),
    (r#"{"name":"x","rate_limit":{"limit":1,"period_seconds":0}}"#, 400, "invalid_value", "rate_limit.period_seconds"),
    (r#"{"name":"x","rate_limit":[1,2,3,4,5,6,7]}"#, 400, "invalid_value", "rate_limit"),
    (r#"{"name":"x","budget":{"usd":-0.01,"period":"day"}}"#, 400, "invalid_value", "budget.usd"),
    (r#"{"name":"x","budget":{"usd":1e300,"period":"day"}}"#, 400, "invalid_value", "budget.usd"),
    (r#"{"name":"x","budget":{"usd":1e-12,"period":"day"}}"#, 400, "invalid_value", "budget.usd"),
    (r#"{"name":"x","budget":{"usd":1,"period":"week"}}"#, 400, "invalid_value", "budget.period"),
    (r#"{"name":"x","expires_at":"2001-01-01T00:00:00Z"}"#, 400, "invalid_value", "expires_at"),
    (r#"{"name":"x","expires_at":"9999-12-31T23:59:59Z"}"#, 400, "invalid_value", "expires_at"),
    (r#"{"name":"x","expires_at":"2030-01-01"}"#, 400, "invalid_value", "expires_at"),
    (r#"{"name":"x","expires_at":4102444800}"#, 400, "invalid_value", "expires_at"),
    (r#"{"name":"x","key":""}"#, 400, "invalid_value", "key"),
    (r#"{"name":"x","key":" sk-0123456789abcdef"}"#, 400, "invalid_value", "key"),
    (r#"{"name":"x","key":"sk-0123\r\nx-injected: 1"}"#, 400, "invalid_value", "key"),
    (r#"{"name":"x","key":null,"key":"sk-0123456789abcdef"}"#, 400, "duplicate_field", "key"),
    (r#"{"name":"x","id":""}"#, 400, "invalid_value", "id"),
    (r#"{"name":"x","id":".."}"#, 400, "invalid_value", "id"),
    (r#"{"name":"x","id":"a/b"}"#, 400, "invalid_value", "id"),
    (r#"{"name":"x","id":"taken"}"#, 409, "id_taken", "id"),
    (r#"{"name":"x","key":"sk-taken-0123456789"}"#, 409, "key_taken", "key"),
    (r#"{"name":"x","allowed_models":"*"}"#, 400, "invalid_value", "allowed_models"),
    (r#"{"name":"x","allowed_models":["*",7]}"#, 400, "invalid_value", "allowed_models[1]"),
    (r#"{"name":"x""#, 400, "invalid_json", ""),
    (r#"{"name":"x"} {}"#, 400, "invalid_json", ""),
    ("\u{feff}{\"name\":\"x\"}", 400, "invalid_json", ""),
    ("", 400, "invalid_json", ""),
    ("null", 400, "invalid_value", ""),
    (r#"[{"name":"x"}]"#, 400, "invalid_value", ""),
    (r#""name""#, 400, "invalid_value", ""),
];

#[tokio::test]
async fn nothing_is_stored_of_what_is_refused() {
    let site = Site::new().await;
    let node = site.start();
    node.admin().create(json!({ "id": "taken", "name": "x", "key": "sk-taken-0123456789" })).await;
    let before = (node.admin().list().await, node.admin().audit().await);
    let (long, deep) = ("x".repeat(65), "[".repeat(200));
    let wide = format!(r#"{{"name":"x","metadata":{{"a":"{}"}}}}"#, "x".repeat(16 * 1024));
    let bad_id = format!(r#"{{"name":"x","id":"{long}"}}"#);
    let too_deep = format!(r#"{{"name":"x","metadata":{{"a":{deep}}}}}"#);
    let large = [
        (&*bad_id, 400, "invalid_value", "id"),
        (&*wide, 400, "invalid_value", "metadata"),
        (&*too_deep, 400, "invalid_json", ""),
    ];
    for (body, status, code, param) in ROWS.into_iter().chain(large) {
        let body_shown: String = body.chars().take(80).collect();
        let answer = node.admin().send("POST", KEYS, body.to_owned()).await;
        assert_eq!(verdict(&answer), bad(status, code), "{body_shown}: {}", answer.text());
        let error = answer.json()["error"].take();
        // Where a document breaks off is told by line and column.
        if code != "invalid_json" {
            assert_eq!(error["param"].as_str().unwrap_or_default(), param, "{body_shown}: {error}");
        }
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert!(
            !answer.text().contains("sk-taken") && !answer.text().contains("0123456789abcdef"),
            "{}",
            answer.text()
        );
    }
    assert_eq!((node.admin().list().await, node.admin().audit().await), before);
}

/// Statements are never pasted together, so what would break one is text like any other.
#[tokio::test]
async fn sql_is_text_like_any_other() {
    let site = Site::new().await;
    let node = site.start();
    let known = node.admin().create(json!({ "id": "known", "name": "x" })).await;
    for (number, text) in SQL.into_iter().enumerate() {
        let answer = node.admin().send("POST", KEYS, json!({ "name": "x", "id": text }).to_string()).await;
        assert_eq!(
            (verdict(&answer), answer.json()["error"]["param"].as_str()),
            (bad(400, "invalid_value"), Some("id"))
        );
        let made = node
            .admin()
            .create(json!({ "id": format!("k{number}"), "name": text, "key": text, "metadata": { text: text } }));
        let made = made.await;
        assert_eq!((&made.answer["name"], &made.answer["metadata"][text]), (&json!(text), &json!(text)));
        assert_eq!(node.verdict(text).await, good(), "{text}");
        let models = json!({ "allowed_models": [text] });
        assert_eq!(node.admin().change(&made.id, models.clone()).await["allowed_models"], models["allowed_models"]);
        assert_eq!(node.verdict(text).await, bad(403, "model_not_allowed"));
        let digits = digits(text.as_bytes());
        let escaped: Vec<_> = digits.as_bytes().chunks(2).map(|pair| format!("%{}", pair.escape_ascii())).collect();
        let escaped = escaped.concat();
        for method in ["GET", "PATCH", "DELETE"] {
            let body = if method == "PATCH" { "{}" } else { "" };
            let answer = node.admin().send(method, &one(&escaped), body).await;
            assert_eq!(verdict(&answer), bad(404, "key_not_found"), "{method} {text}");
        }
        let answer = node.admin().send("GET", &format!("{KEYS}?cursor={escaped}"), "").await;
        assert_eq!(verdict(&answer), bad(400, "invalid_value"), "{text}");
        // As a cursor would have it.
        let answer = node.admin().send("GET", &format!("{KEYS}?cursor=s{digits}"), "").await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.text());
        assert_eq!(node.verdict(&format!("{text}-unknown")).await, bad(401, "invalid_api_key"));
    }
    assert_eq!(node.verdict(&known.key).await, good());
    assert_eq!(node.admin().list().await.len(), 1 + SQL.len());
    assert_eq!(node.admin().audit().await.len(), 1 + 2 * SQL.len());
}

/// Bodies of the wrong kind or size, and heads that smuggle.
#[tokio::test]
async fn bodies_have_to_be_json_of_a_modest_size() {
    let site = Site::new().await;
    let node = site.start();
    let signed = |content_type: &str, body: String| {
        let mut request = client::request("POST", KEYS, body);
        request.headers_mut().remove("content-type");
        let request = with_header(request, "authorization", &format!("Bearer {ADMIN_KEY}"));
        if content_type.is_empty() { request } else { with_header(request, "content-type", content_type) }
    };
    let good_body = r#"{"name":"x"}"#.to_owned();
    for (request, status) in [
        (signed("", good_body.clone()), 415),
        (signed("text/plain", good_body.clone()), 415),
        (signed("application/x-www-form-urlencoded", "name=x".to_owned()), 415),
        (with_header(signed("application/json", good_body.clone()), "content-encoding", "gzip"), 415),
        (signed("application/json", format!(r#"{{"name":"{}"}}"#, "x".repeat(70_000))), 400),
        (signed("application/json", format!(r#"{{"name":"{}"}}"#, "x".repeat(1 << 20))), 413),
        (signed("application/json", " ".repeat(2_000_000)), 413),
    ] {
        assert_eq!(node.send(request).await.status, status);
    }
    assert!(node.admin().list().await.is_empty());
    assert_eq!(node.send(signed("application/json; charset=utf-8", good_body)).await.status, 201);
}
