//! The trail of attempts as callers get it: in the `gateway` member of an answer, of a stream's first event, and of an
//! error.

use gateway_testing::Answer;
use serde_json::Value;

/// The attempts that an answer tells of, each as `provider/model:outcome:status`, where the model is the public one.
/// Panics if it tells of none.
pub fn of_answer(answer: &Answer) -> Vec<String> {
    let text = answer.text();
    let document = text.strip_prefix("data: ").and_then(|rest| rest.split("\n\n").next()).unwrap_or(&text);
    let document: Value = serde_json::from_str(document).unwrap_or_else(|error| panic!("{error} in {text}"));
    of_gateway(&document["gateway"])
}

/// The same of a `gateway` member.
pub fn of_gateway(gateway: &Value) -> Vec<String> {
    let attempts = gateway["attempts"].as_array().unwrap_or_else(|| panic!("no attempts in {gateway}"));
    attempts.iter().map(of_attempt).collect()
}

fn of_attempt(attempt: &Value) -> String {
    let members: Vec<&String> = attempt.as_object().into_iter().flat_map(|members| members.keys()).collect();
    assert_eq!(members.len(), 5, "{attempt}");
    assert!(attempt["ms"].is_u64(), "{attempt}");
    let text = |name: &str| attempt[name].as_str().unwrap_or_else(|| panic!("no {name} in {attempt}"));
    let status = match &attempt["status"] {
        Value::Null => String::new(),
        status => format!(":{status}"),
    };
    format!("{}/{}:{}{status}", text("provider"), text("model"), text("outcome"))
}
