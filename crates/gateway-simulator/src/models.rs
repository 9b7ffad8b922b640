//! `GET /v1/models` and `GET /v1/models/{name}`.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Serialize;

use crate::answer::{CREATED, json_body};

/// Names that are listed without being configured, one for each kind of model.
const BUILT_IN: [&str; 3] = ["sim", "sim-slow", "sim-tool"];

#[derive(Serialize)]
struct ModelList<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl<'a> Model<'a> {
    fn new(id: &'a str) -> Self {
        Self { id, object: "model", created: CREATED, owned_by: "gateway-simulator" }
    }
}

/// The built-in names and the configured ones, in alphabetical order.
pub(crate) fn list<'a>(configured: impl Iterator<Item = &'a str>) -> Bytes {
    let names: BTreeSet<&str> = BUILT_IN.into_iter().chain(configured).collect();
    json_body(&ModelList { object: "list", data: names.into_iter().map(Model::new).collect() })
}

/// One model; any name is one.
pub(crate) fn describe(name: &str) -> Bytes {
    json_body(&Model::new(name))
}
