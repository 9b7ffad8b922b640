//! `/admin/v1/master-keys`: the callers' keys.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode, header};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::{Asked, Handling, Route};
use crate::error::AdminError;
use crate::master_keys::{CreateKey, Cursor, IssuedKey, KeyView, RotateKey, UpdateKey, missing};
use crate::openapi::{Operation, Parameter, requiring};
use crate::query::{LIMIT, PageQuery};
use crate::reply::Reply;
use crate::service::Parts;

/// All keys.
pub(super) const ALL: Route = Route {
    path: "/admin/v1/master-keys",
    tag: TAG,
    id: "",
    operations: &[
        Operation::new("GET", list, "listMasterKeys", "List keys, those of the configuration file last")
            .with_query(&[LIMIT, CURSOR])
            .answering::<KeyList>(200, "A page of keys.")
            .refusing(&[503]),
        Operation::new("POST", create, "createMasterKey", "Make a key, which is told this once")
            .taking::<CreateNamedKey>()
            .answering::<IssuedKey<'_>>(201, "The key, in clear.")
            .with_headers(&["location"])
            .refusing(&[409, 503]),
    ],
};

/// One key.
pub(super) const ONE: Route = Route {
    path: "/admin/v1/master-keys/{id}",
    tag: TAG,
    id: ID,
    operations: &[
        Operation::new("GET", find, "getMasterKey", "Look at a key")
            .answering::<KeyView>(200, "Everything but the key.")
            .refusing(&[503]),
        Operation::new("PUT", update, "updateMasterKey", "Change a key: fields that are missing keep their values")
            .taking::<UpdateKey>()
            .answering::<KeyView>(200, "How it is now.")
            .refusing(&[409, 503]),
        Operation::new("PATCH", update, "patchMasterKey", "The same as PUT")
            .taking::<UpdateKey>()
            .answering::<KeyView>(200, "How it is now.")
            .refusing(&[409, 503]),
        Operation::new("DELETE", remove, "deleteMasterKey", "End a key").refusing(&[409, 503]),
    ],
};

/// A new key in the place of one.
pub(super) const ROTATE: Route = Route {
    path: "/admin/v1/master-keys/{id}/rotate",
    tag: TAG,
    id: ID,
    operations: &[Operation::new("POST", rotate, "rotateMasterKey", "Make a new key in the place of one")
        .taking_perhaps::<RotateKey>()
        .answering::<IssuedKey<'_>>(200, "The new key, in clear.")
        .refusing(&[409, 503])],
};

/// What the document sorts keys under.
pub(super) const TAG: &str = "Master keys";
const ID: &str = "The key's `id`.";

const CURSOR: Parameter = Parameter {
    name: "cursor",
    what: "Where the page begins: the `next_cursor` of an earlier page.",
    schema: Cursor::schema,
};

/// A new key as it has to be asked for here, which is by a name.
struct CreateNamedKey;

impl JsonSchema for CreateNamedKey {
    fn schema_name() -> Cow<'static, str> {
        "CreateKey".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        requiring(CreateKey::json_schema(generator), "name")
    }
}

/// A page of keys.
#[derive(Serialize, JsonSchema)]
struct KeyList {
    data: Vec<KeyView>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

fn list<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let PageQuery { limit, place } = PageQuery::read(asked.query, "cursor")?;
        let after = place.map(|text| text.parse::<Cursor>()).transpose()?;
        let page = parts.keys.list(after.as_ref(), limit).await?;
        let next_cursor = page.next.map(|cursor| cursor.to_string());
        Ok(Reply::json(StatusCode::OK, &KeyList { data: page.keys, next_cursor }))
    })
}

fn create<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let request: CreateKey = asked.json()?;
        if request.name.is_none() {
            return Err(missing("name").into());
        }
        created(parts, request).await
    })
}

/// Makes a key and tells it.
pub(super) async fn created(parts: &Parts, request: CreateKey) -> Result<Reply, AdminError> {
    let issued = parts.keys.create(request).await?;
    let mut reply = Reply::json(StatusCode::CREATED, &issued.with_secret());
    // An identifier that was accepted can stand in a path as it is.
    if let Ok(location) = HeaderValue::try_from(format!("/admin/v1/master-keys/{}", issued.view.id)) {
        reply.headers.insert(header::LOCATION, location);
    }
    Ok(reply)
}

fn find<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move { Ok(Reply::json(StatusCode::OK, &parts.keys.find(asked.id).await?)) })
}

/// `PUT` and `PATCH` are the same: what is given changes, what is not stays, and null clears.
fn update<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let request: UpdateKey = asked.json()?;
        Ok(Reply::json(StatusCode::OK, &parts.keys.update(asked.id, &request).await?))
    })
}

fn rotate<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let request: RotateKey = asked.json_or_default()?;
        Ok(Reply::json(StatusCode::OK, &parts.keys.rotate(asked.id, request).await?.with_secret()))
    })
}

fn remove<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        parts.keys.remove(asked.id).await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    })
}
