//! `/api/keys`: keys by a shorter name, with the limit that most of them have written shorter too.

use std::borrow::Cow;

use gateway_ratelimit::{RateLimit, UsdBudget};
use gateway_secret::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::master_keys::{TAG, created};
use super::{Asked, Handling, Route};
use crate::error::{AdminError, Invalid};
use crate::json::{optional_object, optional_secret};
use crate::master_keys::{CreateKey, IssuedKey, KeyError};
use crate::openapi::Operation;
use crate::service::Parts;

/// All keys.
pub(super) const ALL: Route = Route {
    path: "/api/keys",
    tag: TAG,
    id: "",
    operations: &[Operation::new("POST", create, "createShortKey", "Make a key with a limit in two words")
        .taking::<ShortKey>()
        .answering::<IssuedKey<'_>>(201, "The key, in clear.")
        .with_headers(&["location"])
        .refusing(&[409, 503])],
};

/// A new key: everything that [`CreateKey`] has, and a limit in two words.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ShortKey {
    limit: Option<u64>,
    period: Option<u32>,
    id: Option<String>,
    #[serde(deserialize_with = "optional_secret")]
    key: Option<Secret>,
    name: Option<String>,
    allowed_models: Option<Vec<String>>,
    #[serde(deserialize_with = "optional_object")]
    rate_limit: Option<RateLimit>,
    #[serde(deserialize_with = "optional_object")]
    budget: Option<UsdBudget>,
    expires_at: Option<String>,
    is_enabled: Option<bool>,
    metadata: Option<Map<String, Value>>,
}

/// That of [`CreateKey`] with two members more.
impl JsonSchema for ShortKey {
    fn schema_name() -> Cow<'static, str> {
        "ShortKey".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = CreateKey::json_schema(generator);
        if let Some(members) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            members
                .insert("limit".to_owned(), json!({ "type": ["integer", "null"], "minimum": 0, "description": LIMIT }));
            members.insert(
                "period".to_owned(),
                json!({ "type": ["integer", "null"], "minimum": 1, "description": PERIOD }),
            );
        }
        schema
    }
}

const LIMIT: &str = "Requests in `period`; 0 blocks.";
const PERIOD: &str = "In seconds; a minute if it is not given.";

impl TryFrom<ShortKey> for CreateKey {
    type Error = Invalid;

    fn try_from(short: ShortKey) -> Result<Self, Invalid> {
        let mut rate_limit = short.rate_limit.unwrap_or_default();
        if (short.limit.is_some() && rate_limit.limit.is_some())
            || (short.period.is_some() && rate_limit.period_seconds.is_some())
        {
            return Err(Invalid::value(
                "rate_limit",
                "has another `limit` or period beside the short one; keep one of them",
            ));
        }
        rate_limit.limit = short.limit.or(rate_limit.limit);
        rate_limit.period_seconds = short.period.or(rate_limit.period_seconds);
        Ok(Self {
            id: short.id,
            key: short.key,
            name: short.name,
            allowed_models: short.allowed_models,
            rate_limit: Some(rate_limit),
            budget: short.budget,
            expires_at: short.expires_at,
            is_enabled: short.is_enabled,
            metadata: short.metadata,
        })
    }
}

fn create<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let short: ShortKey = asked.json()?;
        let (has_limit, has_period) = (short.limit.is_some(), short.period.is_some());
        created(parts, short.try_into()?).await.map_err(|error| match error {
            AdminError::Key(KeyError::Invalid(invalid)) => in_short(invalid, has_limit, has_period).into(),
            error => error,
        })
    })
}

/// The same refusal by the names that the limit was given under.
fn in_short(mut invalid: Invalid, has_limit: bool, has_period: bool) -> Invalid {
    if has_limit {
        invalid = invalid.renamed("rate_limit.limit", "limit");
    }
    if has_period {
        invalid = invalid.renamed("rate_limit.period_seconds", "period");
    }
    invalid
}
