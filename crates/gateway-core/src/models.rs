//! `GET /v1/models`: the names that a caller may use.

use bytes::Bytes;
use gateway_call::ModelName;
use gateway_protocol::{model_list, model_object};
use percent_encoding::percent_decode_str;

use crate::admit::strip_prefix;
use crate::authenticate::Caller;
use crate::plan::model_not_found;
use crate::rejection::Rejection;
use crate::snapshot::Snapshot;

/// Every listed name that the caller may use, in OpenAI's list shape. Patterns have no names to list.
pub(crate) fn list(caller: &Caller, snapshot: &Snapshot) -> Bytes {
    let names = snapshot.routes.names();
    model_list(names.into_iter().filter(|name| caller.allows(name)))
}

/// One model, listed or matched by a pattern. One that the caller may not use does not exist for it.
pub(crate) fn one(encoded: &str, caller: &Caller, snapshot: &Snapshot) -> Result<Bytes, Rejection> {
    let spelled = percent_decode_str(encoded).decode_utf8_lossy();
    let name = ModelName::from(strip_prefix(&spelled, snapshot.prefix.as_deref()));
    if caller.allows(name.as_str()) && snapshot.find(&name).is_some_and(|found| !found.route.is_closed()) {
        return Ok(model_object(&spelled));
    }
    Err(model_not_found(&ModelName::from(&*spelled), &name, caller, snapshot))
}
