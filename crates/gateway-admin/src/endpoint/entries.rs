//! What can be done with the entries of either kind, providers and models: each handler is there once.

use std::borrow::Cow;
use std::marker::PhantomData;

use gateway_keystore::SettingsKind;
use http::{HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use super::{Asked, Handling};
use crate::entries::{Draft, EntryView};
use crate::openapi::requiring;
use crate::reply::Reply;
use crate::service::Parts;

/// What is special about one kind.
pub(super) trait Kind {
    /// Which it is.
    const KIND: SettingsKind;
    /// Where its entries are.
    const PATH: &'static str;
    /// What an entry is asked for with.
    type Body: JsonSchema;
    /// What is told of one.
    type View: JsonSchema;
}

/// What may stand in a path as it is (RFC 3986, section 2.3).
const IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// All entries.
#[derive(Serialize)]
struct EntryList {
    data: Vec<EntryView>,
}

/// All entries of a kind, as the document describes them.
pub(super) struct ListOf<K>(PhantomData<K>);

impl<K: Kind> JsonSchema for ListOf<K> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}List", K::View::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "what is written is an EntryList; this says what is in it")]
        struct Described<V> {
            /// All of them by their names.
            data: Vec<V>,
        }
        Described::<K::View>::json_schema(generator)
    }
}

/// A new entry, which has to have a name.
pub(super) struct New<K>(PhantomData<K>);

impl<K: Kind> JsonSchema for New<K> {
    fn schema_name() -> Cow<'static, str> {
        format!("New{}", K::Body::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        requiring(K::Body::json_schema(generator), "id")
    }
}

/// A change to an entry, whose name stands in the path.
pub(super) struct Changed<K>(PhantomData<K>);

impl<K: Kind> JsonSchema for Changed<K> {
    fn schema_name() -> Cow<'static, str> {
        format!("Changed{}", K::Body::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = K::Body::json_schema(generator);
        for place in ["/properties", "/examples/0"] {
            if let Some(members) = schema.pointer_mut(place).and_then(Value::as_object_mut) {
                members.remove("id");
            }
        }
        schema
    }
}

pub(super) fn list<'a, K: Kind>(parts: &'a Parts, _: Asked<'a>) -> Handling<'a> {
    Box::pin(async move { Ok(Reply::json(StatusCode::OK, &EntryList { data: parts.entries.list(K::KIND) })) })
}

pub(super) fn create<'a, K: Kind>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let draft = Draft::parse(K::KIND, asked.body)?;
        let made = parts.entries.create(K::KIND, &draft).await?;
        let mut reply = Reply::json(StatusCode::CREATED, &made);
        let location = format!("{}/{}", K::PATH, utf8_percent_encode(made.id(), IN_PATHS));
        if let Ok(location) = HeaderValue::try_from(location) {
            reply.headers.insert(header::LOCATION, location);
        }
        Ok(reply)
    })
}

pub(super) fn find<'a, K: Kind>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move { Ok(Reply::json(StatusCode::OK, &parts.entries.find(K::KIND, asked.id).await?)) })
}

/// `PUT` and `PATCH` are the same: what is given changes, what is not stays, and null takes away.
pub(super) fn update<'a, K: Kind>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let draft = Draft::parse(K::KIND, asked.body)?;
        Ok(Reply::json(StatusCode::OK, &parts.entries.update(K::KIND, asked.id, &draft).await?))
    })
}

pub(super) fn remove<'a, K: Kind>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        parts.entries.remove(K::KIND, asked.id).await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    })
}
