//! The document that describes this API (`OpenAPI` 3.1.1, <https://spec.openapis.org/oas/v3.1.1.html>).
//!
//! What it says of the admin API is made from the route table and from the types that the handlers read and write, so it
//! cannot say anything else than they do. What callers use is described in one file by hand, and loosely: those bodies are
//! the providers' own, of which the gateway reads a few members.

mod callers;
mod document;
mod header;
mod operation;
mod refusal;

use std::sync::LazyLock;

use bytes::Bytes;
use schemars::Schema;
use serde_json::Value;

pub(crate) use operation::{Operation, Parameter};

/// The document as it is served.
pub(crate) fn text() -> Bytes {
    // It is the same as long as the program runs.
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document::whole().to_string().into());
    TEXT.clone()
}

/// The schema of an object in which one member has to be there that else may be left out or null.
pub(crate) fn requiring(mut schema: Schema, name: &str) -> Schema {
    let kinds = schema.pointer_mut(&format!("/properties/{name}/type")).and_then(Value::as_array_mut);
    if let Some(kinds) = kinds {
        kinds.retain(|kind| kind != "null");
    }
    let required = schema.ensure_object().entry("required").or_insert_with(|| Value::Array(Vec::new()));
    if let Some(names) = required.as_array_mut() {
        names.push(name.into());
    }
    schema
}
