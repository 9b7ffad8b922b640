//! What is said of a method of a path: the same line of the route table that says who answers it.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::endpoint::Handler;

/// Makes the schema of a type, or a reference to it.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A method of a path: who answers, and what the document says of it.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) handler: Handler,
    /// Its name in the document, and so in clients made from it; unique.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) query: &'static [Parameter],
    pub(crate) request: Option<Content>,
    pub(crate) answer: Answer,
    /// The statuses of its own refusals, besides those that come with its shape.
    pub(crate) refusals: &'static [u16],
}

/// What may stand behind the question mark.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) schema: SchemaOf,
}

/// A request's body.
pub(crate) struct Content {
    pub(crate) schema: SchemaOf,
    /// Whether it may not be left out.
    pub(crate) is_required: bool,
}

/// The answer if all goes well.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) what: &'static str,
    /// None if there is no body.
    pub(crate) schema: Option<SchemaOf>,
    pub(crate) headers: &'static [&'static str],
}

impl Operation {
    /// A method of a path, by the name and in the words that the document has for it. It answers 204 unless more is said.
    pub(crate) const fn new(method: &'static str, handler: Handler, id: &'static str, summary: &'static str) -> Self {
        let answer = Answer { status: 204, what: "Done.", schema: None, headers: &[] };
        Self { method, handler, id, summary, query: &[], request: None, answer, refusals: &[] }
    }

    /// With these parameters.
    pub(crate) const fn with_query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    /// With a body, which has to be there.
    pub(crate) const fn taking<T: JsonSchema>(self) -> Self {
        Self { request: Some(Content { schema: SchemaGenerator::subschema_for::<T>, is_required: true }), ..self }
    }

    /// With a body, which may be left out.
    pub(crate) const fn taking_perhaps<T: JsonSchema>(self) -> Self {
        Self { request: Some(Content { schema: SchemaGenerator::subschema_for::<T>, is_required: false }), ..self }
    }

    /// Answered with a document.
    pub(crate) const fn answering<T: JsonSchema>(self, status: u16, what: &'static str) -> Self {
        let schema: Option<SchemaOf> = Some(SchemaGenerator::subschema_for::<T>);
        Self { answer: Answer { status, what, schema, headers: self.answer.headers }, ..self }
    }

    /// Answered with these headers, too.
    pub(crate) const fn with_headers(self, headers: &'static [&'static str]) -> Self {
        let Answer { status, what, schema, .. } = self.answer;
        Self { answer: Answer { status, what, schema, headers }, ..self }
    }

    /// Refused with these statuses, besides those of every operation of its shape.
    pub(crate) const fn refusing(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }

    /// Every status that it is refused with, in order.
    pub(crate) fn all_refusals(&self, path: &str) -> Vec<u16> {
        // Whoever asks, and what goes wrong inside.
        let mut all = vec![401, 403, 500];
        if self.request.is_some() {
            all.extend([400, 408, 413, 415]);
        }
        if !self.query.is_empty() {
            all.push(400);
        }
        if path.contains('{') {
            all.push(404);
        }
        all.extend(self.refusals);
        all.sort_unstable();
        all.dedup();
        all
    }
}
