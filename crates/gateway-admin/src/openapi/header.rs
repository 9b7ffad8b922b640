//! Headers of answers that are worth a program's while.

use serde_json::{Value, json};

/// What is said of a header; null for one that nothing is known of.
pub(super) fn described(name: &str) -> Value {
    match name {
        "allow" => json!({ "description": "The methods that the path takes.", "schema": { "type": "string" } }),
        "location" => json!({ "description": "Where the new one is.", "schema": { "type": "string" } }),
        "retry-after" => {
            json!({ "description": "In how many seconds to try again.", "schema": { "type": "integer", "minimum": 0 } })
        }
        "www-authenticate" => {
            json!({ "description": "How to present a key (RFC 6750).", "schema": { "type": "string" } })
        }
        "x-request-id" => json!({ "description": "What logs know the call by.", "schema": { "type": "string" } }),
        _ => Value::Null,
    }
}
