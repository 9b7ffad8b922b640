//! What a writer knows of one of its keys.

use gateway_testing::client;
use gateway_tests::site::Node;
use gateway_tests::stage::with_header;
use serde_json::{Value, json};

/// Something that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    /// To this number.
    Change(u64),
    /// With so many seconds of overlap.
    Rotate(u64),
    Remove,
}

/// A key as it was acknowledged, and what may have become of it since.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) is_present: bool,
    /// What all of its fields say.
    pub(crate) number: u64,
    /// The key itself, if it was told.
    pub(crate) key: Option<String>,
    /// The one before, if it is good for as long as this test takes.
    pub(crate) previous: Option<String>,
    /// Asked for, and neither acknowledged nor refused.
    pub(crate) pending: Option<Action>,
}

/// Every field of a key whose number is this. They are changed together.
pub(crate) fn fields(number: u64) -> Value {
    json!({
        "name": format!("number {number}"),
        "allowed_models": ["*", format!("model-{number}")],
        "rate_limit": { "requests_per_second": 1_000, "limit": 1_000 + number, "period_seconds": 60 },
        "budget": { "usd": 1_000.5, "period": if number.is_multiple_of(2) { "day" } else { "month" } },
        "expires_at": format!("2999-01-01T00:00:{:02}Z", number % 60),
        "metadata": { "number": number, "padding": "x".repeat(usize::try_from(number % 7).unwrap() * 300) },
    })
}

fn preview(key: &str) -> String {
    format!("{}…{}", &key[..9], &key[52..])
}

impl Account {
    pub(crate) fn new(id: String) -> Self {
        Self { id, is_present: false, number: 0, key: None, previous: None, pending: Some(Action::Create) }
    }

    /// Notes that something was done, with the key that was told.
    pub(crate) fn note(&mut self, action: Action, told: Option<String>) {
        self.pending = None;
        match action {
            Action::Create => (self.is_present, self.key) = (true, told),
            Action::Change(number) => self.number = number,
            Action::Rotate(overlap) => {
                let before = std::mem::replace(&mut self.key, told);
                self.previous = before.filter(|_| overlap > 0);
            }
            Action::Remove => self.is_present = false,
        }
    }

    /// Looks whether what is pending was done, and notes it if so. Panics if neither all nor nothing of it was.
    pub(crate) async fn settle(&mut self, node: &Node) -> bool {
        let Some(action) = self.pending.take() else { return false };
        let found = self.find(node).await;
        let is_done = match (&action, &found) {
            (Action::Create, found) => found.is_some(),
            (Action::Remove, found) => found.is_none(),
            (_, None) => panic!("{} is gone, and nobody asked for that", self.id),
            (Action::Change(number), Some(found)) => found["metadata"]["number"] == *number,
            (Action::Rotate(_), Some(found)) => {
                self.key.as_ref().is_some_and(|key| found["key_preview"] != preview(key))
            }
        };
        if is_done {
            self.note(action, None);
        }
        self.check(node).await;
        is_done
    }

    /// Panics unless the key is what it was acknowledged to be.
    pub(crate) async fn check(&self, node: &Node) {
        let Some(found) = self.find(node).await else {
            assert!(!self.is_present, "{self:?} is gone");
            for key in [&self.key, &self.previous].into_iter().flatten() {
                assert_eq!(status(node, key).await, 401, "{self:?}");
            }
            return;
        };
        assert!(self.is_present, "{self:?} is there: {found}");
        for (field, value) in fields(self.number).as_object().unwrap() {
            assert_eq!(found[field], *value, "{field} of {self:?}");
        }
        assert!(found["created_at"].is_string() && found["updated_at"].is_string() && found["is_enabled"] == true);
        if let Some(key) = &self.key {
            assert_eq!(found["key_preview"], preview(key), "{self:?}");
        }
        for key in [&self.key, &self.previous].into_iter().flatten() {
            assert_eq!(status(node, key).await, 200, "{self:?}: {found}");
        }
    }

    async fn find(&self, node: &Node) -> Option<Value> {
        let answer = node.admin().send("GET", &gateway_tests::administrator::one(&self.id), "").await;
        assert!(matches!(answer.status.as_u16(), 200 | 404), "{}: {}", self.id, answer.text());
        (answer.status == 200).then(|| answer.json())
    }
}

/// What becomes of a request with a key that calls no upstream.
async fn status(node: &Node, key: &str) -> u16 {
    let request = with_header(client::request("GET", "/v1/models", ""), "authorization", &format!("Bearer {key}"));
    node.send(request).await.status.as_u16()
}
