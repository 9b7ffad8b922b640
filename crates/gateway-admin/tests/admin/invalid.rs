//! Bad requests: what they are told, and that nothing comes of them.

use crate::scene::{KEYS, Scene};

const BAD_FIELDS: [(&str, &str, &str); 54] = [
    (r#""id": """#, "invalid_value", "id"),
    (r#""id": ".""#, "invalid_value", "id"),
    (r#""id": "..""#, "invalid_value", "id"),
    (r#""id": "a/b""#, "invalid_value", "id"),
    (r#""id": "a b""#, "invalid_value", "id"),
    (r#""id": "ü""#, "invalid_value", "id"),
    (r#""id": 7"#, "invalid_value", "id"),
    (r#""key": """#, "invalid_value", "key"),
    (r#""key": " sk-with-a-blank-before""#, "invalid_value", "key"),
    (r#""key": "sk-with-a-line-break-behind\n""#, "invalid_value", "key"),
    (r#""key": "sk-with-a\u0000zero-inside""#, "invalid_value", "key"),
    (r#""key": 12345678901234567890"#, "invalid_value", "key"),
    (r#""allowed_models": "gpt-4o""#, "invalid_value", "allowed_models"),
    (r#""allowed_models": ["a", ""]"#, "invalid_value", "allowed_models[1]"),
    (r#""allowed_models": [" a"]"#, "invalid_value", "allowed_models[0]"),
    (r#""allowed_models": ["a\tb"]"#, "invalid_value", "allowed_models[0]"),
    (r#""allowed_models": ["a", null]"#, "invalid_value", "allowed_models[1]"),
    (r#""allowed_models": {"a": 1}"#, "invalid_value", "allowed_models"),
    (r#""rate_limit": 5"#, "invalid_value", "rate_limit"),
    (r#""rate_limit": [5]"#, "invalid_value", "rate_limit"),
    (r#""rate_limit": {"requests_per_second": -1}"#, "invalid_value", "rate_limit.requests_per_second"),
    (r#""rate_limit": {"requests_per_second": 1.5}"#, "invalid_value", "rate_limit.requests_per_second"),
    (r#""rate_limit": {"requests_per_second": "5"}"#, "invalid_value", "rate_limit.requests_per_second"),
    (r#""rate_limit": {"requests_per_second": 1e99}"#, "invalid_value", "rate_limit.requests_per_second"),
    (r#""rate_limit": {"requests_per_second": 1e999}"#, "invalid_json", "rate_limit.requests_per_second"),
    (
        r#""rate_limit": {"requests_per_second": 1000001, "burst_size": 1}"#,
        "invalid_value",
        "rate_limit.requests_per_second",
    ),
    (
        r#""rate_limit": {"requests_per_minute": 18446744073709551616}"#,
        "invalid_value",
        "rate_limit.requests_per_minute",
    ),
    (r#""rate_limit": {"tokens_per_minute": 18446744073709551615}"#, "invalid_value", "rate_limit.tokens_per_minute"),
    (r#""rate_limit": {"max_concurrent": 4294967296}"#, "invalid_value", "rate_limit.max_concurrent"),
    (r#""rate_limit": {"burst_size": 5}"#, "invalid_value", "rate_limit.burst_size"),
    (r#""rate_limit": {"period_seconds": 5}"#, "invalid_value", "rate_limit.period_seconds"),
    (r#""rate_limit": {"limit": 5, "period_seconds": 0}"#, "invalid_value", "rate_limit.period_seconds"),
    (r#""rate_limit": {"rps": 5}"#, "unknown_field", "rate_limit.rps"),
    (r#""rate_limit": {"limit": 5, "limit": 6}"#, "duplicate_field", "rate_limit.limit"),
    (r#""budget": {"usd": -0.01, "period": "day"}"#, "invalid_value", "budget.usd"),
    (r#""budget": {"usd": 1e300, "period": "day"}"#, "invalid_value", "budget.usd"),
    (r#""budget": {"usd": 1e-12, "period": "day"}"#, "invalid_value", "budget.usd"),
    (r#""budget": {"usd": 4e-10, "period": "day"}"#, "invalid_value", "budget.usd"),
    (r#""budget": {"usd": "1", "period": "day"}"#, "invalid_value", "budget.usd"),
    (r#""budget": {"usd": 1, "period": "week"}"#, "invalid_value", "budget.period"),
    (r#""budget": {"usd": 1}"#, "missing_field", "budget.period"),
    (r#""budget": {"period": "day"}"#, "missing_field", "budget.usd"),
    (r#""budget": 5"#, "invalid_value", "budget"),
    (r#""expires_at": "2029-12-31T23:59:59Z""#, "invalid_value", "expires_at"),
    (r#""expires_at": "2031-01-01T00:00:00""#, "invalid_value", "expires_at"),
    (r#""expires_at": "9999-12-31T23:59:59Z""#, "invalid_value", "expires_at"),
    (r#""expires_at": "-009999-01-01T00:00:00Z""#, "invalid_value", "expires_at"),
    (r#""expires_at": "tomorrow""#, "invalid_value", "expires_at"),
    (r#""expires_at": 1924992000"#, "invalid_value", "expires_at"),
    (r#""is_enabled": "yes""#, "invalid_value", "is_enabled"),
    (r#""metadata": []"#, "invalid_value", "metadata"),
    (r#""metadata": "text""#, "invalid_value", "metadata"),
    (r#""metadata": {"a": {"b": 1, "b": 2}}"#, "duplicate_field", "metadata.a.b"),
    (r#""enabled": true"#, "unknown_field", "enabled"),
];

fn long_fields() -> [(String, &'static str, &'static str); 5] {
    [
        (format!(r#""id": "{}""#, "a".repeat(65)), "invalid_value", "id"),
        (format!(r#""key": "{}""#, "k".repeat(1025)), "invalid_value", "key"),
        (format!(r#""allowed_models": ["{}"]"#, "m".repeat(257)), "invalid_value", "allowed_models[0]"),
        (format!(r#""allowed_models": [{}"a"]"#, r#""a","#.repeat(1000)), "invalid_value", "allowed_models"),
        (format!(r#""metadata": {{"a": "{}"}}"#, "m".repeat(16 * 1024)), "invalid_value", "metadata"),
    ]
}

#[tokio::test]
async fn a_bad_field_is_named_and_nothing_is_stored() {
    let scene = Scene::new();
    let long = long_fields();
    let long = long.iter().map(|(field, code, param)| (field.as_str(), *code, *param));
    for (field, code, param) in BAD_FIELDS.into_iter().chain(long) {
        let answer = scene.call("POST", KEYS, &format!(r#"{{"name": "a", {field}}}"#)).await;
        assert_eq!(answer.error(), (400, code.to_owned(), Some(param.to_owned())), "{field}: {}", answer.text);
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }
    assert_eq!(scene.store.writes(), 0);
}

#[tokio::test]
async fn a_bad_change_is_named_and_changes_nothing() {
    let scene = Scene::new();
    scene.create(r#"{"id": "a", "name": "a"}"#).await;
    let before = scene.store.record("a");
    let long = long_fields();
    let long = long.iter().map(|(field, code, param)| (field.as_str(), *code, *param));
    for (field, code, param) in BAD_FIELDS.into_iter().chain(long) {
        // Neither can be changed, so neither is known.
        let is_fixed = field.starts_with(r#""id""#) || field.starts_with(r#""key""#);
        let code = if is_fixed { "unknown_field" } else { code };
        for method in ["PUT", "PATCH"] {
            let body = format!(r#"{{"name": "b", {field}}}"#);
            let answer = scene.call(method, "/admin/v1/master-keys/a", &body).await;
            assert_eq!(answer.error(), (400, code.to_owned(), Some(param.to_owned())), "{field}: {}", answer.text);
        }
    }
    for (field, param) in [
        (r#""name": null"#, "name"),
        (r#""allowed_models": null"#, "allowed_models"),
        (r#""is_enabled": null"#, "is_enabled"),
    ] {
        let answer = scene.call("PATCH", "/admin/v1/master-keys/a", &format!("{{{field}}}")).await;
        assert_eq!(answer.error(), (400, "invalid_value".to_owned(), Some(param.to_owned())));
    }
    assert_eq!((scene.store.record("a"), scene.store.writes()), (before, 1));
}

#[tokio::test]
async fn names_are_needed_and_printable() {
    let scene = Scene::new();
    assert_eq!(
        scene.call("POST", KEYS, "{}").await.error(),
        (400, "missing_field".to_owned(), Some("name".to_owned()))
    );
    for name in [
        String::new(),
        " ".to_owned(),
        "a ".to_owned(),
        "a\\nb".to_owned(),
        "a\\u0007b".to_owned(),
        "a\u{2028}b".to_owned(),
        "n".repeat(129),
    ] {
        let answer = scene.call("POST", KEYS, &format!(r#"{{"name": "{name}"}}"#)).await;
        assert_eq!(answer.error(), (400, "invalid_value".to_owned(), Some("name".to_owned())), "{name:?}");
    }
    assert_eq!(scene.store.writes(), 0);
    scene.create(&format!(r#"{{"name": "{}"}}"#, "ü".repeat(128))).await;
}

#[tokio::test]
async fn malformed_json_is_refused_with_its_place() {
    let scene = Scene::new();
    for (body, place) in [
        ("", "line 1, column 0"),
        ("{\"name\": \"a\"\n \"id\": \"b\"}", "line 2, column 2"),
        ("{\"name\": 'a'}", "line 1, column 10"),
        ("[{\"name\": \"a\"}", "line 1, column 14"),
    ] {
        let answer = scene.call("POST", KEYS, body).await;
        let (status, code, _) = answer.error();
        assert_eq!((status, code.as_str()), (400, "invalid_json"), "{body}");
        assert!(answer.text.contains(place), "{}", answer.text);
    }
    for body in ["[]", "null", "\"a\"", "7", "[{\"name\": \"a\"}]"] {
        assert_eq!(scene.call("POST", KEYS, body).await.error(), (400, "invalid_value".to_owned(), None), "{body}");
    }
    assert_eq!(scene.store.writes(), 0);
}

#[tokio::test]
async fn an_overlap_has_an_end() {
    let scene = Scene::new();
    scene.create(r#"{"id": "a", "name": "a"}"#).await;
    for (body, code, param) in [
        (r#"{"overlap_secs": 2592001}"#, "invalid_value", "overlap_secs"),
        (r#"{"overlap_secs": -1}"#, "invalid_value", "overlap_secs"),
        (r#"{"overlap_secs": "60"}"#, "invalid_value", "overlap_secs"),
        (r#"{"overlap": 60}"#, "unknown_field", "overlap"),
    ] {
        let answer = scene.call("POST", "/admin/v1/master-keys/a/rotate", body).await;
        assert_eq!(answer.error(), (400, code.to_owned(), Some(param.to_owned())), "{body}");
    }
    assert_eq!(scene.store.writes(), 1);
    assert_eq!(
        scene.call("POST", "/admin/v1/master-keys/a/rotate", r#"{"overlap_secs": 2592000}"#).await.status.as_u16(),
        200
    );
}

#[tokio::test]
async fn a_time_after_all_others_is_told_from_one_that_is_none() {
    let scene = Scene::new();
    for (time, words) in [
        ("9999-12-31T23:59:59Z", "is later than 9999-12-30T22:00:00Z"),
        ("9999-12-31T00:00:00+01:00", "is later than"),
        ("9999-12-31T23:59:59", "expected a date and time with its offset"),
        ("10000-01-01T00:00:00Z", "expected a date and time with its offset"),
        ("2001-01-01T00:00:00Z", "is in the past"),
    ] {
        let answer = scene.call("POST", KEYS, &format!(r#"{{"name": "a", "expires_at": "{time}"}}"#)).await;
        assert_eq!(answer.error(), (400, "invalid_value".to_owned(), Some("expires_at".to_owned())), "{time}");
        assert!(answer.text.contains(words), "{time}: {}", answer.text);
    }
    let made = scene.create(r#"{"name": "a", "expires_at": "9999-12-30T22:00:00Z"}"#).await;
    assert_eq!(made["expires_at"], "9999-12-30T22:00:00Z");
}
