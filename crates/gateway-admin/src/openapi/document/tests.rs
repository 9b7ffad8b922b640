//! Whether the document holds together.

use std::collections::BTreeSet;

use super::*;

fn each_member(value: &Value, see: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            see(name, value);
            each_member(value, see);
        }),
        Value::Array(items) => items.iter().for_each(|item| each_member(item, see)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = whole();
    let mut found = 0;
    each_member(&document, &mut |name, value| {
        if let ("$ref", Some(reference)) = (name, value.as_str()) {
            let place = reference.strip_prefix('#').expect("a reference within the document");
            assert!(document.pointer(place).is_some_and(|target| !target.is_null()), "{reference}");
            found += 1;
        }
    });
    assert!(found > 100, "{found}");
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = whole();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} is there twice, at {method} {path}");
            assert!(!operation["summary"].as_str().unwrap().is_empty());
            assert!(operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2')));
        }
    }
}

#[test]
fn what_is_read_and_written_is_one_type() {
    let mut schemas = Schemas::new();
    for operation in ROUTES.iter().flat_map(|route| route.operations) {
        operation.request.iter().for_each(|content| drop((content.schema)(&mut schemas.read)));
        operation.answer.schema.iter().for_each(|schema| drop(schema(&mut schemas.written)));
    }
    let (read, written) = (schemas.read.take_definitions(true), schemas.written.take_definitions(true));
    for (name, schema) in read {
        assert!(written.get(&name).is_none_or(|other| *other == schema), "{name}: give one of both another name");
    }
}

#[test]
fn headers_that_are_named_are_described() {
    each_member(&whole(), &mut |name, responses| {
        if name == "responses" {
            for headers in
                responses.as_object().unwrap().values().filter_map(|response| response["headers"].as_object())
            {
                assert!(headers.values().all(Value::is_object), "{headers:?}");
            }
        }
    });
}
