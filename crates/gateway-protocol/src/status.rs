//! What load balancers and operators are told of a process: a flat object of texts.

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::served::to_json;

struct Members<'a>(&'a [(&'a str, &'a str)]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// A JSON object of these members, in this order.
pub fn status_object(members: &[(&str, &str)]) -> Bytes {
    to_json(&Members(members)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_can_be_told() {
        let text = status_object(&[("status", "ready"), ("store", "a \"quoted\" word\n\\")]);
        assert_eq!(text, r#"{"status":"ready","store":"a \"quoted\" word\n\\"}"#);
    }
}
