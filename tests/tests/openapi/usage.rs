//! `/admin/v1/usage` after some calls, held against its schema: every way to tell calls apart, and every page.

use gateway_testing::client;
use gateway_tests::stage::CALLER_KEY;
use serde_json::{Value, json};

use crate::python;
use crate::scene::site;

const PATH: &str = "/admin/v1/usage";

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_what_the_document_says() {
    let node = site().await.start();
    let document: Value = client::get(node.process.address(), "/openapi.json").await.json();
    let responses = &document["paths"][PATH]["get"]["responses"];
    let schema = &responses["200"]["content"]["application/json"]["schema"];
    for key in [CALLER_KEY, "sk-of-nobody"] {
        node.call(key).await;
    }
    let mut answers = Vec::new();
    for query in
        ["", "?group_by=", "?group_by=key,model,provider,hour,day", "?group_by=key&limit=1", "?from=2020-01-01"]
    {
        let report = node.admin().get(&format!("{PATH}{query}")).await;
        assert_eq!(report["totals"]["requests"], 2, "{query}: {report}");
        assert_eq!(report["next_cursor"].is_string(), query.ends_with("limit=1"), "{query}: {report}");
        answers.push(json!({ "what": query, "schema": schema, "answer": report }));
    }
    let page = answers[3]["answer"]["next_cursor"].as_str().unwrap();
    let report = node.admin().get(&format!("{PATH}?group_by=key&limit=1&cursor={page}")).await;
    assert_eq!((report["data"].as_array().unwrap().len(), &report["next_cursor"]), (1, &Value::Null), "{report}");
    answers.push(json!({ "what": "the second page", "schema": schema, "answer": report }));
    for (query, param) in [("from=now", "from"), ("to=soon", "to"), ("group_by=hue", "group_by"), ("limit=0", "limit")]
    {
        let refused = node.admin().send("GET", &format!("{PATH}?{query}"), "").await;
        assert_eq!((refused.status.as_u16(), &refused.json()["error"]["param"]), (400, &json!(param)), "{query}");
        let place = responses["400"]["$ref"].as_str().unwrap();
        let schema = &document.pointer(&place[1..]).unwrap()["content"]["application/json"]["schema"];
        answers.push(json!({ "what": query, "schema": schema, "answer": refused.json() }));
    }
    python::assert_conform(&document, &answers);
}
