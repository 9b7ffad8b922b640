//! `/admin/v1/master-keys`: the callers' keys.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{Asked, Handling, Route};
use crate::error::AdminError;
use crate::master_keys::{CreateKey, Cursor, KeyView, RotateKey, UpdateKey, missing};
use crate::query::PageQuery;
use crate::reply::Reply;
use crate::service::Parts;

/// All keys.
pub(super) const ALL: Route = Route { path: "/admin/v1/master-keys", methods: &[("GET", list), ("POST", create)] };

/// One key.
pub(super) const ONE: Route = Route {
    path: "/admin/v1/master-keys/{id}",
    methods: &[("GET", find), ("PUT", update), ("PATCH", update), ("DELETE", remove)],
};

/// A new key in the place of one.
pub(super) const ROTATE: Route = Route { path: "/admin/v1/master-keys/{id}/rotate", methods: &[("POST", rotate)] };

/// A page of keys.
#[derive(Serialize)]
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
