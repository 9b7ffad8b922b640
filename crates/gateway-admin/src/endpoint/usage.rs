//! `/admin/v1/usage`: what calls took.

use http::StatusCode;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{Asked, Handling, Route};
use crate::openapi::{Operation, Parameter};
use crate::query::{LIMIT, PageQuery};
use crate::reply::Reply;
use crate::service::Parts;
use crate::usage::{UsageCursor, UsageReport, UsageRequest};

/// All of it.
pub(super) const ALL: Route = Route {
    path: "/admin/v1/usage",
    tag: "Usage",
    id: "",
    operations: &[Operation::new("GET", report, "getUsage", "What calls took: requests, errors, tokens and cost")
        .with_query(&[FROM, TO, GROUP_BY, LIMIT, CURSOR])
        .answering::<UsageReport>(200, "A page of rows; with the first, the totals of all pages.")
        .refusing(&[409, 503])],
};

const FROM: Parameter = Parameter {
    name: "from",
    what: "When it begins: a time in RFC 3339, whose hour counts as a whole, or a date. 24 hours before `to` by default. Give it \
           with every page, and `to` as well.",
    schema: time,
};

const TO: Parameter = Parameter {
    name: "to",
    what: "When it ends: a time in RFC 3339, whose hour counts as a whole, or a date, of which all day counts. Now by default.",
    schema: time,
};

const GROUP_BY: Parameter = Parameter {
    name: "group_by",
    what: "What is told apart, in UTC: some of `key`, `model`, `provider`, `hour` and `day`, each once, with commas between them. \
           Everything else is added up.",
    schema: group_by,
};

const CURSOR: Parameter = Parameter {
    name: "cursor",
    what: "Where the page begins: the `next_cursor` of an earlier page, with the same `group_by`. By `hour` or `day`, a page takes \
           the time that its own hours take; without, each page takes as long as the first.",
    schema: UsageCursor::schema,
};

fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "string", "format": "date" }] })
}

fn group_by(_: &mut SchemaGenerator) -> Schema {
    const ONE: &str = "(key|model|provider|hour|day)";
    json_schema!({ "type": "string", "pattern": format!("^({ONE}( *, *{ONE})*)?$"), "default": "key,model,provider" })
}

fn report<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let (PageQuery { limit, place }, [from, to, group_by]) =
            PageQuery::read_with(asked.query, "cursor", ["from", "to", "group_by"])?;
        let after = place.map(|text| text.parse::<UsageCursor>()).transpose()?;
        let report = parts.usage.report(&UsageRequest { from, to, group_by }, after.as_ref(), limit).await?;
        Ok(Reply::json(StatusCode::OK, &report))
    })
}
