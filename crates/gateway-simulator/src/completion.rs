//! `POST /v1/completions`.

use http::Response;
use serde::Serialize;

use crate::Behaviour;
use crate::answer::{CREATED, Composition, FINGERPRINT, Usage, json_body, write_json};
use crate::body::AnswerBody;
use crate::chat::wants_usage;
use crate::request::CompletionRequest;
use crate::service::{event_stream, json_answer};
use crate::stream::{FrameScript, Shape};
use crate::text::{Pieces, count_tokens};

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    usage: Usage,
    system_fingerprint: &'static str,
}

#[derive(Serialize)]
struct Choice<'a> {
    text: &'a str,
    index: u32,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

/// Answers a request whose model is `name`.
pub(crate) fn answer(request: &CompletionRequest<'_>, name: &str, behaviour: &Behaviour) -> Response<AnswerBody> {
    let prompt = &request.prompt.0;
    let composition = Composition::new(prompt, behaviour, request.max_tokens);
    let usage = Usage::new(count_tokens(prompt), composition.tokens);
    let model = behaviour.shown_as.as_deref().unwrap_or(name);
    if request.stream.unwrap_or(false) {
        let usage = wants_usage(request.stream_options.as_ref()).then_some(usage);
        return stream(composition, model, usage, behaviour);
    }
    let completion = Completion {
        id: composition.id("cmpl"),
        object: "text_completion",
        created: CREATED,
        model,
        choices: [Choice {
            text: &composition.text,
            index: 0,
            logprobs: None,
            finish_reason: composition.finish_reason(),
        }],
        usage,
        system_fingerprint: FINGERPRINT,
    };
    json_answer(json_body(&completion), behaviour.fault)
}

fn stream(composition: Composition, model: &str, usage: Option<Usage>, behaviour: &Behaviour) -> Response<AnswerBody> {
    let mut opening = br#"data: {"id":"#.to_vec();
    write_json(&mut opening, &composition.id("cmpl"));
    opening.extend_from_slice(br#","object":"text_completion","created":"#);
    write_json(&mut opening, &CREATED);
    opening.extend_from_slice(br#","model":"#);
    write_json(&mut opening, model);
    opening.extend_from_slice(br#","system_fingerprint":"#);
    write_json(&mut opening, FINGERPRINT);
    opening.extend_from_slice(br#","choices":["#);
    let finish_reason = composition.finish_reason();
    let pieces = Pieces::new(composition.text, composition.tokens, behaviour.frames);
    event_stream(FrameScript::new(opening, Shape::Completion, pieces, finish_reason, usage), behaviour)
}
