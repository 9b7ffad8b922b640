//! `POST /v1/chat/completions`.

use std::borrow::Cow;

use http::Response;
use serde::Serialize;

use crate::Behaviour;
use crate::answer::{CREATED, Composition, FINGERPRINT, Usage, json_body, write_json};
use crate::body::AnswerBody;
use crate::failure::Failure;
use crate::request::{ChatRequest, Message, StreamOptions, ToolChoice};
use crate::service::{event_stream, json_answer};
use crate::stream::{FrameScript, Shape};
use crate::text::{Pieces, count_tokens};

#[derive(Serialize)]
struct ChatCompletion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    usage: Usage,
    service_tier: &'static str,
    system_fingerprint: &'static str,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: AssistantMessage<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct AssistantMessage<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<'a>; 1]>,
    refusal: Option<()>,
    annotations: [(); 0],
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: CalledFunction<'a>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// The arguments of a simulated call: valid JSON with the question in it.
#[derive(Serialize)]
struct Arguments<'a> {
    input: &'a str,
}

/// Answers a request whose model is `name`.
pub(crate) fn answer(
    request: &ChatRequest<'_>,
    name: &str,
    behaviour: &Behaviour,
) -> Result<Response<AnswerBody>, Failure> {
    if request.messages.is_empty() {
        return Err(Failure::bad_request("Missing required parameter: 'messages'.", Some("messages")));
    }
    let question = last_question(&request.messages);
    let tool = called_tool(request, name);
    let composition = match tool {
        Some(_) => Composition::whole(String::from_utf8_lossy(&json_body(&Arguments { input: question })).into_owned()),
        None => Composition::new(question, behaviour, request.max_tokens()),
    };
    let prompt_tokens = request.messages.iter().map(|message| count_tokens(&message.content.0)).sum();
    let usage = Usage::new(prompt_tokens, composition.tokens);
    let shown = behaviour.shown_as.as_deref().unwrap_or(name);
    if request.stream.unwrap_or(false) {
        let usage = wants_usage(request.stream_options.as_ref()).then_some(usage);
        Ok(stream(composition, tool, shown, usage, behaviour))
    } else {
        Ok(plain(&composition, tool, shown, usage, behaviour))
    }
}

/// Whether a stream is to end with the token counts.
pub(crate) fn wants_usage(options: Option<&StreamOptions>) -> bool {
    options.and_then(|options| options.include_usage).unwrap_or(false)
}

/// The text of the last message of the user, or of the last message at all.
fn last_question<'a>(messages: &'a [Message<'_>]) -> &'a str {
    let by_user = messages.iter().rev().find(|message| message.role == "user");
    by_user.or(messages.last()).map_or("", |message| &message.content.0)
}

/// The tool to call, if one is to be called.
fn called_tool<'a>(request: &'a ChatRequest<'_>, name: &str) -> Option<&'a str> {
    let tools = request.tools.as_deref().unwrap_or_default();
    let first = tools.iter().find_map(|tool| tool.function.as_ref()).map(|function| &*function.name);
    match request.tool_choice.as_ref().unwrap_or(&ToolChoice::Free) {
        ToolChoice::Free => first.filter(|_| name.contains("tool")),
        ToolChoice::Never => None,
        ToolChoice::Any => first,
        ToolChoice::Named(Cow::Borrowed(named)) => Some(named),
        ToolChoice::Named(Cow::Owned(named)) => Some(named),
    }
}

fn plain(
    composition: &Composition,
    tool: Option<&str>,
    model: &str,
    usage: Usage,
    behaviour: &Behaviour,
) -> Response<AnswerBody> {
    let call_id = composition.id("call");
    let message = AssistantMessage {
        role: "assistant",
        content: tool.is_none().then_some(&composition.text),
        tool_calls: tool.map(|name| {
            [ToolCall {
                id: &call_id,
                r#type: "function",
                function: CalledFunction { name, arguments: &composition.text },
            }]
        }),
        refusal: None,
        annotations: [],
    };
    let finish_reason = if tool.is_some() { "tool_calls" } else { composition.finish_reason() };
    let completion = ChatCompletion {
        id: composition.id("chatcmpl"),
        object: "chat.completion",
        created: CREATED,
        model,
        choices: [Choice { index: 0, message, logprobs: None, finish_reason }],
        usage,
        service_tier: "default",
        system_fingerprint: FINGERPRINT,
    };
    json_answer(json_body(&completion), behaviour.fault)
}

fn stream(
    composition: Composition,
    tool: Option<&str>,
    model: &str,
    usage: Option<Usage>,
    behaviour: &Behaviour,
) -> Response<AnswerBody> {
    let mut opening = br#"data: {"id":"#.to_vec();
    write_json(&mut opening, &composition.id("chatcmpl"));
    opening.extend_from_slice(br#","object":"chat.completion.chunk","created":"#);
    write_json(&mut opening, &CREATED);
    opening.extend_from_slice(br#","model":"#);
    write_json(&mut opening, model);
    opening.extend_from_slice(br#","service_tier":"default","system_fingerprint":"#);
    write_json(&mut opening, FINGERPRINT);
    opening.extend_from_slice(br#","choices":["#);
    let finish_reason = if tool.is_some() { "tool_calls" } else { composition.finish_reason() };
    let shape = tool.map_or(Shape::Chat, |name| Shape::ToolCall { id: composition.id("call"), name: name.to_owned() });
    let pieces = Pieces::new(composition.text, composition.tokens, behaviour.frames);
    event_stream(FrameScript::new(opening, shape, pieces, finish_reason, usage), behaviour)
}
