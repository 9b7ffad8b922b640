//! The document, put together.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::operation::{Answer, Operation, Parameter};
use super::{callers, header, refusal};
use crate::detailed::DetailedHealth;
use crate::endpoint::{ROUTES, Route};
use crate::error::ErrorDocument;

/// Where the schemas of types are.
const SCHEMAS: &str = "/components/schemas";

/// The schemas of what is read and of what is written: a member that may be left out of the one is always in the other.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            let mut settings = SchemaSettings::draft2020_12();
            SCHEMAS.clone_into(settings.definitions_path.to_mut());
            settings.meta_schema = None;
            settings.with_transform(RecursiveTransform(without_null_default))
        };
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }

    /// Every type by its name. One that is read and written is the same both times, which a test sees to.
    fn into_definitions(mut self) -> Map<String, Value> {
        let mut definitions = self.written.take_definitions(true);
        definitions.extend(self.read.take_definitions(true));
        definitions
    }
}

/// What may be left out need not be said to be null then, least of all where null is not allowed.
fn without_null_default(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

/// The whole document.
pub(super) fn whole() -> Value {
    let mut schemas = Schemas::new();
    let error = schemas.written.subschema_for::<ErrorDocument<'_>>().to_value();
    let mut paths: Map<_, _> =
        ROUTES.iter().map(|route| (route.path.to_owned(), path_item(route, &mut schemas))).collect();
    let detailed = schemas.written.subschema_for::<DetailedHealth>().to_value();
    paths.extend(callers::paths(&detailed));
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "LLM gateway",
            "description": DESCRIPTION,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "adminKey": { "type": "http", "scheme": "bearer", "description": "The key in `ADMIN_KEY` or `admin.key`." },
                "callerKey": { "type": "http", "scheme": "bearer", "description": "A master key." },
            },
            "responses": refusal::components(&error),
            "schemas": schemas.into_definitions(),
        },
    })
}

const DESCRIPTION: &str = "Administrators' paths are described from the gateway's own types. What callers send and get is their \
    provider's business and described loosely: OpenAI's reference has the rest.";

fn tags() -> Vec<Value> {
    let mut names: Vec<&str> = ROUTES.iter().map(|route| route.tag).chain(callers::TAGS).collect();
    names.dedup();
    names.into_iter().map(|name| json!({ "name": name })).collect()
}

fn path_item(route: &Route, schemas: &mut Schemas) -> Value {
    let mut item = Map::new();
    if route.path.contains("{id}") {
        let schema = json!({ "type": "string", "minLength": 1 });
        let id = json!({ "name": "id", "in": "path", "required": true, "description": route.id, "schema": schema });
        item.insert("parameters".to_owned(), json!([id]));
    }
    for operation in route.operations {
        item.insert(operation.method.to_ascii_lowercase(), described(route, operation, schemas));
    }
    item.into()
}

fn described(route: &Route, operation: &Operation, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    responses.insert(operation.answer.status.to_string(), answer(&operation.answer, schemas));
    for status in operation.all_refusals(route.path) {
        responses.insert(status.to_string(), refusal::reference(status));
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [route.tag],
        "security": [{ "adminKey": [] }],
        "responses": responses,
    });
    if !operation.query.is_empty() {
        let parameters = operation.query.iter().map(|parameter| in_query(parameter, schemas));
        described["parameters"] = parameters.collect();
    }
    if let Some(content) = &operation.request {
        let schema = (content.schema)(&mut schemas.read);
        let content_type = json!({ "application/json": { "schema": schema } });
        described["requestBody"] = json!({ "required": content.is_required, "content": content_type });
    }
    described
}

fn in_query(parameter: &Parameter, schemas: &mut Schemas) -> Value {
    let schema = (parameter.schema)(&mut schemas.read);
    json!({ "name": parameter.name, "in": "query", "description": parameter.what, "schema": schema })
}

fn answer(answer: &Answer, schemas: &mut Schemas) -> Value {
    let headers: Map<_, _> = answer.headers.iter().map(|name| ((*name).to_owned(), header::described(name))).collect();
    let mut described = json!({ "description": answer.what, "headers": headers });
    if let Some(schema) = answer.schema {
        described["content"] = json!({ "application/json": { "schema": schema(&mut schemas.written) } });
    }
    described
}

#[cfg(test)]
mod tests;
