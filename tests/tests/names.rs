//! What a model name means: where the call goes, under which name, and who may know of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gateway_testing::{Answer, Script};
use gateway_tests::stage::{CALL, CHAT, Stage, authorized, with_header};
use http::Request;
use http_body_util::Full;

/// Two providers with every kind of mapping, models of their own, and keys with different rights.
const CATALOGUE: &str = r#"
provider_suffix: Proxy
providers:
  - name: main
    api_base: "${UPSTREAM}"
    api_key: "${PROVIDER_KEY}"
    model_mapping:
      gpt-4o: gpt-4o-2024
      claude-sonnet: { mapped_model: claude-sonnet-4-5 }
      "gpt-*": "*"
      "mini-*": one-mini
      "team/model": slashed
  - name: any
    api_base: "${OTHER}"
    api_key: "${PROVIDER_KEY}"
  - name: gone
    enabled: false
    api_base: "${OTHER}"
    api_key: "${PROVIDER_KEY}"
    model_mapping: { gone-model: gone-model }
models:
  alias:
    targets: [ { provider: main, model: real-name } ]
  mapped:
    targets: [ { provider: main } ]
  gpt-4-turbo:
    targets: [ { provider: any } ]
  inline:
    endpoint: "${OTHER}/some/path?tenant=1"
    api_key: sk-inline
    model: inline-real
master_keys:
  - { name: team, key: "${CALLER_KEY}" }
  - { name: narrow, key: sk-narrow-000001, allowed_models: [gpt-4o, "claude-*", alias] }
  - { name: none, key: sk-none-00000001, allowed_models: [] }
"#;

fn call(model: &str) -> String {
    serde_json::json!({ "model": model }).to_string()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Main,
    Other,
}

#[tokio::test]
async fn every_kind_of_name_leads_where_it_should() {
    let stage = Stage::of(CATALOGUE).await;
    for (name, side, provider, target, upstream_name) in [
        ("gpt-4o", Side::Main, "main", CHAT, "gpt-4o-2024"),
        ("Proxy/gpt-4o", Side::Main, "main", CHAT, "gpt-4o-2024"),
        ("claude-sonnet", Side::Main, "main", CHAT, "claude-sonnet-4-5"),
        ("gpt-5", Side::Main, "main", CHAT, "gpt-5"),
        ("mini-1", Side::Main, "main", CHAT, "one-mini"),
        ("team/model", Side::Main, "main", CHAT, "slashed"),
        ("Proxy/team/model", Side::Main, "main", CHAT, "slashed"),
        ("whatever", Side::Other, "any", CHAT, "whatever"),
        ("GPT-4o", Side::Other, "any", CHAT, "GPT-4o"),
        ("Other/gpt-4o", Side::Other, "any", CHAT, "Other/gpt-4o"),
        ("alias", Side::Main, "main", CHAT, "real-name"),
        ("mapped", Side::Main, "main", CHAT, "mapped"),
        ("gpt-4-turbo", Side::Other, "any", CHAT, "gpt-4-turbo"),
        ("inline", Side::Other, "model:inline", "/v1/some/path?tenant=1", "inline-real"),
        ("gone-model", Side::Other, "any", CHAT, "gone-model"),
        ("caf\u{e9} \"x\"", Side::Other, "any", CHAT, "caf\u{e9} \"x\""),
    ] {
        let upstream = if side == Side::Main { &stage.upstream } else { &stage.other };
        upstream.push(Script::json(200, r#"{"model":"x"}"#));
        let before = upstream.requests().len();
        let answer = stage.post(CHAT, call(name)).await;
        let received = upstream.requests().pop().unwrap();
        assert_eq!(upstream.requests().len(), before + 1, "{name}: {}", answer.text());
        assert_eq!((received.target(), &*received.body), (target, call(upstream_name).as_bytes()), "{name}");
        assert_eq!(answer.json()["model"], name);
        assert_eq!(answer.json()["gateway"]["upstream_model"], upstream_name, "{name}");
        assert_eq!(answer.header("x-gateway-provider"), provider, "{name}");
        assert_eq!(answer.headers["x-gateway-model"].as_bytes(), name.as_bytes());
    }
}

#[tokio::test]
async fn a_provider_can_be_named_where_no_other_reading_is_left() {
    let config = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", api_key: k, model_mapping: { gpt-4o: gpt-4o-2024 } }
  - { name: second, api_base: "${OTHER}", api_key: k, model_mapping: { gpt-4o: second-4o, "o*": "*" } }
  - { name: gone, enabled: false, api_base: "${OTHER}", api_key: k }
auth: none
"#;
    let stage = Stage::of(config).await;
    for (name, upstream_name) in [("second/gpt-4o", "second-4o"), ("second/o3", "o3")] {
        stage.other.push(Script::json(200, "{}"));
        let answer = stage.post(CHAT, call(name)).await;
        assert_eq!(answer.json()["gateway"]["upstream_model"], upstream_name, "{name}");
        assert_eq!(answer.json()["gateway"]["model"], name);
    }
    for name in ["second/zzz", "gone/gpt-4o", "nobody/gpt-4o", "main/", "/gpt-4o"] {
        let answer = stage.post(CHAT, call(name)).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (404, "model_not_found"), "{name}");
    }
}

/// A model that only sets something for a name leaves the name's meaning as it is.
#[tokio::test]
async fn a_provider_can_be_named_among_the_models_too() {
    let config = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", api_key: k, model_mapping: { "o*": "*" } }
  - { name: second, api_base: "${OTHER}", api_key: k, model_mapping: { "o*": "*" } }
models: { main/o3: {} }
auth: none
"#;
    let stage = Stage::of(config).await;
    // Weights would send every other call to the second provider.
    for number in 0..2 {
        stage.upstream.push(Script::json(200, "{}"));
        let answer = stage.post(CHAT, call("main/o3")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["gateway"]["model"], "main/o3");
        assert_eq!(stage.upstream.request(number).await.body, call("o3"));
    }
    stage.other.push(Script::json(200, "{}"));
    let list = stage.send(authorized("GET", "/v1/models", "")).await;
    assert_eq!(listed(&list), ["main/o3"]);
}

/// Which upstream served each of `count` calls, one after the other.
async fn served(stage: &Stage, count: usize) -> String {
    let mut served = String::new();
    for _ in 0..count {
        stage.upstream.push(Script::json(200, "{}"));
        stage.other.push(Script::json(200, "{}"));
        let answer = stage.post(CHAT, CALL).await;
        let provider = answer.header("x-gateway-provider").to_owned();
        assert_eq!(answer.status, 200, "{}", answer.text());
        served.push_str(&provider);
    }
    served
}

#[tokio::test]
async fn weights_are_exact_proportions_in_any_window() {
    let providers = |first: &str, second: &str| {
        format!(
            r#"
providers:
  - {{ name: a, api_base: "${{UPSTREAM}}", api_key: k, {first} }}
  - {{ name: b, api_base: "${{OTHER}}", api_key: k, {second} }}
auth: none
"#
        )
    };
    let mapping = "model_mapping: [gpt-4o]";
    let targets = "models:\n  gpt-4o: { targets: [ { provider: a, weight: 5 }, { provider: b, weight: 1 } ] }\n";
    for (config, first, second) in [
        (providers(&format!("weight: 3, {mapping}"), mapping), 3, 1),
        (providers("weight: 2", "weight: 3"), 2, 3),
        (providers(mapping, mapping), 1, 1),
        (format!("{}{targets}", providers(mapping, mapping)), 5, 1),
    ] {
        let stage = Stage::of(&config).await;
        let order = served(&stage, 3 * (first + second)).await;
        let order: Vec<char> = order.chars().collect();
        for window in order.windows(first + second) {
            let firsts = window.iter().filter(|served| **served == 'a').count();
            assert_eq!(firsts, first, "{order:?} for {first}:{second}");
        }
        assert_eq!(stage.upstream.requests().len(), 3 * first, "{config}");
        assert_eq!(stage.other.requests().len(), 3 * second, "{config}");
    }
}

fn with_key(method: &str, path: &str, body: &str, key: &str) -> Request<Full<bytes::Bytes>> {
    with_header(gateway_testing::client::request(method, path, body.to_owned()), "x-api-key", key)
}

fn listed(answer: &Answer) -> Vec<String> {
    let list = answer.json();
    let data = list["data"].as_array().unwrap();
    data.iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_list_holds_the_names_that_the_key_may_use() {
    let stage = Stage::of(CATALOGUE).await;
    let all = stage.send(authorized("GET", "/v1/models", "")).await;
    let names = ["alias", "claude-sonnet", "gpt-4-turbo", "gpt-4o", "inline", "mapped", "team/model"];
    assert_eq!(listed(&all), names);
    assert_eq!(all.header("content-type"), "application/json");
    assert!(
        all.text().starts_with(
            r#"{"object":"list","data":[{"id":"alias","object":"model","created":0,"owned_by":"gateway"},"#
        )
    );
    let narrow = stage.send(with_key("GET", "/v1/models", "", "sk-narrow-000001")).await;
    assert_eq!(listed(&narrow), ["alias", "claude-sonnet", "gpt-4o"]);
    let none = stage.send(with_key("GET", "/v1/models", "", "sk-none-00000001")).await;
    assert_eq!(none.text(), r#"{"object":"list","data":[]}"#);
    let head = stage.send(authorized("HEAD", "/v1/models", "")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn one_model_is_found_by_its_name_however_it_is_encoded() {
    let stage = Stage::of(CATALOGUE).await;
    for (path, id) in [
        ("gpt-4o", "gpt-4o"),
        ("Proxy/gpt-4o", "Proxy/gpt-4o"),
        ("Proxy%2Fgpt-4o", "Proxy/gpt-4o"),
        ("gpt%2d4o", "gpt-4o"),
        ("team%2Fmodel", "team/model"),
        ("gpt-5", "gpt-5"),
        ("caf%C3%A9", "caf\u{e9}"),
    ] {
        let answer = stage.send(authorized("GET", &format!("/v1/models/{path}"), "")).await;
        let expected = format!(r#"{{"id":"{id}","object":"model","created":0,"owned_by":"gateway"}}"#);
        assert_eq!((answer.status.as_u16(), answer.text()), (200, expected), "{path}");
    }
    for hidden in ["mapped", "gpt-5", "inline"] {
        let answer = stage.send(with_key("GET", &format!("/v1/models/{hidden}"), "", "sk-narrow-000001")).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (404, "model_not_found"), "{hidden}");
    }
}

#[tokio::test]
async fn a_key_uses_only_its_models_on_every_path() {
    let stage = Stage::of(CATALOGUE).await;
    let multipart = "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ngpt-5\r\n--b--\r\n";
    let json = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/moderations"];
    let more = ["/v1/images/generations", "/v1/audio/speech", "/v1/rerank", "/api/llm"];
    let forms = ["/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits", "/v1/images/variations"];
    for path in json.into_iter().chain(more).chain(forms) {
        let mut request = with_key("POST", path, &call("gpt-5"), "sk-narrow-000001");
        if forms.contains(&path) {
            *request.body_mut() = Full::from(multipart);
            let form = "multipart/form-data; boundary=b".parse().unwrap();
            request.headers_mut().insert(http::header::CONTENT_TYPE, form);
        }
        let answer = stage.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.text()),
            (
                403,
                r#"{"error":{"message":"The API key may not use the model `gpt-5`. Use one of those listed at /v1/models, or ask this gateway's administrator.","type":"permission_error","param":"model","code":"model_not_allowed"}}"#
            ),
            "{path}"
        );
    }
    stage.assert_nothing_was_sent("forbidden");
}

#[tokio::test]
async fn every_model_of_a_call_is_checked_before_any_is_asked() {
    let stage = Stage::of(CATALOGUE).await;
    for (body, status, code) in [
        (r#"{"model":"gpt-4o","fallbacks":["gpt-5"]}"#, 403, "model_not_allowed"),
        (r#"{"model":"gpt-4o","models":["alias","mapped"]}"#, 403, "model_not_allowed"),
        (r#"{"gateway":{"models":["gpt-4o","inline"]}}"#, 403, "model_not_allowed"),
        (r#"{"model":"Proxy/gpt-5"}"#, 403, "model_not_allowed"),
        (r#"{"model":"Proxy/Proxy/gpt-4o"}"#, 403, "model_not_allowed"),
        (r#"{"model":"main/gpt-4o"}"#, 403, "model_not_allowed"),
        (r#"{"model":"GPT-4O"}"#, 403, "model_not_allowed"),
        (r#"{"model":"claude-"}"#, 200, ""),
    ] {
        stage.other.push(Script::json(200, "{}"));
        let answer = stage.send(with_key("POST", CHAT, body, "sk-narrow-000001")).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (status, code), "{body}");
    }
    assert_eq!(stage.other.requests().len(), 1);
    let answer = stage.send(with_key("POST", CHAT, CALL, "sk-none-00000001")).await;
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (403, "model_not_allowed"));
}

#[tokio::test]
async fn suggestions_name_nothing_that_the_key_may_not_use() {
    let config = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", api_key: k, model_mapping: [gpt-4o, gpt-4o-secret, gpt-4o-mini] }
master_keys:
  - { name: team, key: "${CALLER_KEY}" }
  - { name: narrow, key: sk-narrow-000001, allowed_models: ["gpt-4?", gpt-4o-mini, gpt-4o] }
  - { name: wide, key: sk-wide-00000001, allowed_models: ["gpt-4o-s*", "gpt-4o-x"] }
"#;
    let stage = Stage::of(config).await;
    let message = |answer: &Answer| answer.json()["error"]["message"].as_str().unwrap().to_owned();
    let all = stage.post(CHAT, call("gpt-4o-s")).await;
    assert!(message(&all).contains("`gpt-4o-secret`"), "{}", all.text());
    let wide = stage.send(with_key("POST", CHAT, &call("gpt-4o-x"), "sk-wide-00000001")).await;
    assert_eq!(message(&wide), "The model `gpt-4o-x` does not exist. Did you mean `gpt-4o-secret`?");
    for id in ["gpt-4o-secre", "gpt-4o-secret"] {
        let narrow = stage.send(with_key("GET", &format!("/v1/models/{id}"), "", "sk-narrow-000001")).await;
        assert_eq!(narrow.status, 404);
        let text = message(&narrow).replace(&format!("The model `{id}` does not exist"), "");
        assert!(!text.contains("secret") && text.contains("`gpt-4o`"), "{text}");
    }
}
