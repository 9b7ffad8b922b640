//! `/admin/v1/audit`: who changed what, and when.

use gateway_keystore::AuditRecord;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::{Asked, Handling, Route};
use crate::error::Invalid;
use crate::query::PageQuery;
use crate::reply::Reply;
use crate::service::Parts;

/// All entries.
pub(super) const ALL: Route = Route { path: "/admin/v1/audit", methods: &[("GET", list)] };

/// A page of entries, the latest first.
#[derive(Serialize)]
struct AuditList {
    data: Vec<AuditView>,
    /// What to ask for as `before` to go on; null on the last page.
    next_before: Option<i64>,
}

/// An entry.
#[derive(Serialize)]
struct AuditView {
    number: i64,
    at: String,
    actor: String,
    action: String,
    object: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        // What is no JSON is shown as the text that it is.
        let document = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            number: record.number,
            at: record.at.to_string(),
            actor: record.actor,
            action: record.action,
            object: record.object,
            before: record.before.map(document),
            after: record.after.map(document),
        }
    }
}

fn list<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let PageQuery { limit, place } = PageQuery::read(asked.query, "before")?;
        let before = place.map(|text| text.parse().map_err(|_| Invalid::value("before", "expected a whole number")));
        // One more, to know whether there is another page.
        let mut entries = parts.keys.audit(before.transpose()?, limit + 1).await?;
        let wanted = limit as usize;
        let has_more = entries.len() > wanted;
        entries.truncate(wanted);
        let next_before = entries.last().filter(|_| has_more).map(|entry| entry.number);
        let data = entries.into_iter().map(AuditView::from).collect();
        Ok(Reply::json(StatusCode::OK, &AuditList { data, next_before }))
    })
}
