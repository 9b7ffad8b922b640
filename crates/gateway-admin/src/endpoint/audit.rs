//! `/admin/v1/audit`: who changed what, and when.

use gateway_keystore::AuditRecord;
use http::StatusCode;
use jiff::Timestamp;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use super::{Asked, Handling, Route};
use crate::error::Invalid;
use crate::openapi::{Operation, Parameter};
use crate::query::{LIMIT, PageQuery};
use crate::reply::Reply;
use crate::service::Parts;

/// All entries.
pub(super) const ALL: Route = Route {
    path: "/admin/v1/audit",
    tag: "Audit",
    id: "",
    operations: &[Operation::new("GET", list, "listAudit", "List who changed what and when, the latest first")
        .with_query(&[LIMIT, BEFORE])
        .answering::<AuditList>(200, "A page of entries.")
        .refusing(&[503])],
};

const BEFORE: Parameter = Parameter {
    name: "before",
    what: "The number of the entry behind which the page begins: the `next_before` of an earlier page.",
    schema: SchemaGenerator::subschema_for::<i64>,
};

/// A page of entries, the latest first.
#[derive(Serialize, JsonSchema)]
struct AuditList {
    data: Vec<AuditView>,
    /// What to ask for as `before` to go on; null on the last page.
    next_before: Option<i64>,
}

/// An entry.
#[derive(Serialize, JsonSchema)]
struct AuditView {
    /// Later entries have higher ones.
    number: i64,
    /// When.
    at: Timestamp,
    /// Who: `admin` for whoever held the admin key, `cli` for whoever ran a command.
    actor: String,
    /// What, such as `master_key.create`.
    action: String,
    /// The identifier of what was changed.
    object: String,
    /// How it was before, without secrets; null if it was not there.
    before: Option<Value>,
    /// How it was after.
    after: Option<Value>,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        // What is no JSON is shown as the text that it is.
        let document = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            number: record.number,
            at: record.at,
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
