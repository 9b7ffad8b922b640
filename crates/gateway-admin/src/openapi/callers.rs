//! What callers use, written by hand: the shapes are those of the providers' APIs, of which the gateway reads a few members. The
//! gateway's own account of itself is from its type.

use gateway_call::{BodyKind, Endpoint};
use serde_json::{Map, Value, json};

use super::refusal;

/// What the paths are sorted under.
pub(super) const TAGS: [&str; 3] = ["Calls", "Models", "State"];

/// Every path, with what is said of it; `detailed` is the schema of the detailed health.
pub(super) fn paths(detailed: &Value) -> Map<String, Value> {
    let mut paths: Map<_, _> = Endpoint::ALL
        .into_iter()
        .map(|endpoint| (endpoint.path().to_owned(), call(endpoint, endpoint.path())))
        .collect();
    paths.insert("/api/llm".to_owned(), call(Endpoint::ChatCompletions, "/api/llm"));
    paths.insert("/v1/models".to_owned(), models());
    paths.insert("/v1/models/{id}".to_owned(), model());
    for (path, id, summary, can_be_unready) in [
        ("/health", "getHealth", "Whether the process is there", false),
        ("/livez", "getLivez", "Whether the process is alive", false),
        ("/readyz", "getReadyz", "Whether the process should get calls", true),
    ] {
        paths.insert(path.to_owned(), state(id, summary, can_be_unready));
    }
    paths.insert("/health/detailed".to_owned(), detailed_health(detailed));
    paths
}

/// `createChatCompletions` for `/v1/chat/completions`.
fn operation_id(path: &str) -> String {
    let words = path.trim_start_matches("/v1/").split(['/', '_']).filter(|word| !word.is_empty());
    let capitalised = words.map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    });
    std::iter::once("create".to_owned()).chain(capitalised).collect()
}

fn call(endpoint: Endpoint, path: &str) -> Value {
    let content = match endpoint.body_kind() {
        BodyKind::Json => json!({ "application/json": { "schema": {
            "type": "object",
            "properties": { "model": model_name(), "gateway": { "type": "object" } },
            "required": ["model"],
        } } }),
        BodyKind::Multipart => json!({ "multipart/form-data": { "schema": {
            "type": "object",
            "properties": { "model": model_name() },
            "required": ["model"],
        } } }),
    };
    let summary = match path {
        "/api/llm" => "The same as /v1/chat/completions".to_owned(),
        path => format!("Forwarded to the model's providers at their own {}", path.trim_start_matches("/v1")),
    };
    let mut responses = refusals(&[400, 401, 403, 404, 408, 413, 415, 429, 431, 500, 502, 503, 504]);
    let any = json!({ "schema": {} });
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "The provider's answer; a stream of events if one was asked for.",
            "headers": { "x-request-id": super::header::described("x-request-id") },
            "content": { "application/json": any, "text/event-stream": any, "*/*": any },
        }),
    );
    // What an upstream itself refuses for reasons that no other provider can cure passes as it is.
    responses.insert("default".to_owned(), json!({ "description": "The provider's own refusal, as it is." }));
    json!({ "post": {
        "operationId": operation_id(path),
        "summary": summary,
        "tags": ["Calls"],
        "security": [{ "callerKey": [] }],
        "requestBody": { "required": true, "content": content },
        "responses": responses,
    } })
}

fn model_name() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 256, "description": "A public name, as /v1/models lists them." })
}

fn models() -> Value {
    let list = json!({
        "type": "object",
        "properties": { "object": { "const": "list" }, "data": { "type": "array", "items": listed_model() } },
        "required": ["object", "data"],
    });
    get("listModels", "The models that this key may use", "Models", &list, &[401, 403, 503])
}

fn model() -> Value {
    let mut item = get(
        "retrieveModel",
        "One of the models that this key may use",
        "Models",
        &listed_model(),
        &[401, 403, 404, 503],
    );
    item["parameters"] = json!([{
        "name": "id", "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
    }]);
    item
}

fn listed_model() -> Value {
    json!({
        "type": "object",
        "properties": { "id": { "type": "string" }, "object": { "const": "model" } },
        "required": ["id", "object"],
    })
}

/// Answered to everybody.
fn state(id: &str, summary: &str, can_be_unready: bool) -> Value {
    let status = json!({ "type": "object", "properties": { "status": { "type": "string" } }, "required": ["status"] });
    let mut item = get(id, summary, "State", &status, &[]);
    item["get"]["security"] = json!([]);
    if can_be_unready {
        let content = json!({ "application/json": { "schema": { "type": "object" } } });
        item["get"]["responses"]["503"] = json!({ "description": "Not now; the body says why.", "content": content });
    }
    item
}

/// Answered to administrators and callers; where no key is asked for, everybody is one.
fn detailed_health(schema: &Value) -> Value {
    let summary = "How each part is doing: the configuration, the store, every provider and its circuit breakers";
    let mut item = get("getDetailedHealth", summary, "State", schema, &[401]);
    item["get"]["security"] = json!([{ "adminKey": [] }, { "callerKey": [] }]);
    item
}

fn get(id: &str, summary: &str, tag: &str, schema: &Value, refused: &[u16]) -> Value {
    let mut responses = refusals(refused);
    let content = json!({ "application/json": { "schema": schema } });
    responses.insert("200".to_owned(), json!({ "description": summary, "content": content }));
    json!({ "get": {
        "operationId": id,
        "summary": summary,
        "tags": [tag],
        "security": [{ "callerKey": [] }],
        "responses": responses,
    } })
}

fn refusals(statuses: &[u16]) -> Map<String, Value> {
    statuses.iter().map(|status| (status.to_string(), refusal::reference(*status))).collect()
}
