//! Providers and models as administrators make and change them.

use gateway_testing::Answer;
use serde_json::Value;

use crate::administrator::Administrator;

/// Where providers are.
pub const PROVIDERS: &str = "/admin/v1/providers";

/// Where models are.
pub const MODELS: &str = "/admin/v1/models";

impl Administrator {
    /// Makes an entry of a list and gives what it is then. Panics if it is not made.
    pub async fn post(self, list: &str, fields: &Value) -> Value {
        let answer = self.send("POST", list, fields.to_string()).await;
        assert_eq!(answer.status, 201, "{list}: {fields}: {}", answer.text());
        answer.json()
    }

    /// Changes the entry at this path and gives what it is then. Panics if it is not changed.
    pub async fn put(self, path: &str, fields: &Value) -> Value {
        let answer = self.send("PUT", path, fields.to_string()).await;
        assert_eq!(answer.status, 200, "{path}: {fields}: {}", answer.text());
        answer.json()
    }

    /// What there is at a path. Panics if there is nothing.
    pub async fn get(self, path: &str) -> Value {
        let answer = self.send("GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// The entries of a list, which comes in one piece. Panics if it is none.
    pub async fn entries(self, list: &str) -> Vec<Value> {
        self.get(list).await["data"].as_array().expect("a list").clone()
    }

    /// Takes the entry at this path away. Panics if that is refused.
    pub async fn delete(self, path: &str) {
        let answer = self.send("DELETE", path, "").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (204, String::new()), "{path}");
    }
}

/// The fields that are at fault, and what is wrong with each, as an error lists them.
pub fn problems(answer: &Answer) -> Vec<(String, String)> {
    let errors = answer.json()["error"]["errors"].as_array().cloned().unwrap_or_default();
    let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    errors.iter().map(|error| (text(error, "param"), text(error, "message"))).collect()
}
