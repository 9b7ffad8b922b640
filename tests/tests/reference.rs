//! The configurations of the documents that the project started from, as they stand there, served by the built binary.

use gateway_testing::{FakeUpstream, GatewayProcess, Script};
use gateway_tests::stage::with_header;

const ANSWER: &str = r#"{"id":"1","model":"upstream's own","choices":[]}"#;

/// The chat's shape: models with complete endpoints, and keys in the section of their limits.
#[tokio::test]
async fn the_shape_of_the_chat_is_served() {
    let upstream = FakeUpstream::start([Script::json(200, ANSWER), Script::json(200, ANSWER)]).await.unwrap();
    let endpoint = |path: &str| format!("http://{}{path}", upstream.address());
    // The document names hosts of the internet; the environment, which wins over a file, moves them to this machine.
    let (gpt, llama) = (endpoint("/v1/chat/completions"), endpoint("/v1/completions"));
    let gateway = GatewayProcess::start_with(
        include_str!("../../configs/reference-chat.yaml"),
        &[("GATEWAY__MODELS__GPT-3.5-TURBO__ENDPOINT", &gpt), ("GATEWAY__MODELS__LLAMA-2__ENDPOINT", &llama)],
    );

    for (number, (model, path)) in
        [("gpt-3.5-turbo", "/v1/chat/completions"), ("llama-2", "/v1/completions")].iter().enumerate()
    {
        let body = format!(r#"{{"model_id": "{model}", "stream": false, "messages": []}}"#);
        let request = gateway_testing::client::request("POST", "/api/llm", body);
        let request = with_header(request, "authorization", "Bearer admin-key");
        let answer = gateway_testing::Client::connect(gateway.address()).await.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.json()["model"].as_str()), (200, Some(*model)), "{}", answer.text());

        let received = upstream.request(number).await;
        assert_eq!(received.target(), *path);
        assert_eq!(received.body, format!(r#"{{"model": "{model}", "stream": false, "messages": []}}"#));
    }
    let stranger = gateway_testing::client::post(gateway.address(), "/api/llm", r#"{"model_id":"llama-2"}"#).await;
    assert_eq!(stranger.status, 401);
}

/// The README's shape: two weighted providers of one model, keys with and without a limit.
#[tokio::test]
async fn the_shape_of_the_readme_is_served() {
    let upstream = FakeUpstream::start((0..6).map(|_| Script::json(200, ANSWER))).await.unwrap();
    let gateway = GatewayProcess::start_with(
        include_str!("../../configs/reference-readme.yaml"),
        &[
            ("API_BASE_URL", &upstream.api_base()),
            ("API_KEY_1", "key-of-provider-1"),
            ("API_KEY_2", "key-of-provider-2"),
            ("MASTER_KEY_1", "sk-production-0123456789"),
            ("MASTER_KEY_UNLIMITED", "sk-unlimited-0123456789"),
        ],
    );

    for key in ["sk-production-0123456789", "sk-unlimited-0123456789"].iter().cycle().take(6) {
        let request =
            gateway_testing::client::request("POST", "/v1/chat/completions", r#"{"model":"claude-4.5-sonnet"}"#);
        let request = with_header(request, "authorization", &format!("Bearer {key}"));
        let answer = gateway_testing::Client::connect(gateway.address()).await.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["model"], "claude-4.5-sonnet");
    }
    let requests = upstream.requests();
    let of_first =
        requests.iter().filter(|request| request.header("authorization") == Some("Bearer key-of-provider-1")).count();
    assert_eq!((of_first, requests.len()), (4, 6), "weights of 2 and 1");
    assert!(requests.iter().all(|request| request.body == r#"{"model":"actual-model-name"}"#));
}
