//! What is said of each status that requests are refused with.

use serde_json::{Map, Value, json};

use super::header;

/// Every status that a request is refused with, the headers of that answer, and why.
const REFUSALS: [(u16, &[&str], &str); 16] = [
    (400, &[], "The request is not valid JSON, or something in it cannot be; `param` names the field."),
    (401, &["www-authenticate"], "There is no valid key in the request."),
    (403, &[], "The key may not do this, or the admin API is switched off."),
    (404, &[], "There is nothing of this name."),
    (405, &["allow"], "The path does not take this method."),
    (408, &[], "The body did not arrive in time."),
    (409, &[], "It cannot be done as things are; `code` says why."),
    (413, &[], "The body is too large."),
    (415, &[], "The body is not JSON by its own account, or it is compressed."),
    (422, &[], "The configuration would not work; `errors` lists all that is wrong."),
    (429, &["retry-after"], "A limit or a budget of the key is spent."),
    (431, &[], "The request's head is too large."),
    (500, &[], "Something is wrong inside; the gateway's log says what."),
    (502, &[], "The upstream failed, and so did every other that was tried."),
    (503, &["retry-after"], "Not now: the store cannot be reached, or there is no room."),
    (504, &[], "The upstream took too long."),
];

/// The name of a status's refusal among the document's components.
pub(super) fn reference(status: u16) -> Value {
    json!({ "$ref": format!("#/components/responses/Refusal{status}") })
}

/// All refusals, by their names, with this schema of an error.
pub(super) fn components(error: &Value) -> Map<String, Value> {
    let component = |(status, headers, what): (u16, &[&str], &str)| {
        let headers: Map<_, _> = headers.iter().map(|name| ((*name).to_owned(), header::described(name))).collect();
        let content = json!({ "application/json": { "schema": error } });
        let response = json!({ "description": what, "headers": headers, "content": content });
        (format!("Refusal{status}"), response)
    };
    REFUSALS.into_iter().map(component).collect()
}
