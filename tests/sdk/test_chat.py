"""Chat completions, plain and streamed, with and without tools."""

import json
import time

import pytest

from conftest import ask

# Several bytes a character, several characters a glyph, and both ways of writing the same letter.
TEXTS = [
    "Hello there, general greeting",
    "你好，世界。これはテストです。 안녕하세요 세계",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈 flag 👍🏽 thumb 🇺🇳",
    "e\u0301 and \u00e9, \u2028 line and paragraph \u2029 separators, \ufeff a mark",
    'quotes " and \\ and / and \t tabs\nand\r\nline ends, {"model":"not this one"}, data: [DONE]',
]

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "parameters": {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
        },
    }
]


def streamed_text(stream):
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@pytest.mark.parametrize("text", TEXTS)
def test_a_plain_answer_arrives_whole(client, text):
    completion = client.chat.completions.create(model="gpt-4o", messages=ask(text))
    assert completion.object == "chat.completion"
    assert completion.choices[0].message.role == "assistant"
    assert completion.choices[0].message.content == text
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


@pytest.mark.parametrize("text", TEXTS)
def test_a_streamed_answer_arrives_whole(client, text):
    stream = client.chat.completions.create(model="gpt-4o", messages=ask(text), stream=True)
    chunks = list(stream)
    assert streamed_text(chunks) == text
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_arrives_as_it_is_made(client):
    stream = client.chat.completions.create(model="sim?frames=8&frame=100ms", messages=ask("x"), stream=True)
    arrivals = [time.monotonic() for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    assert len(arrivals) == 8
    # Seven pauses of 100 ms; a collected stream would arrive in one go.
    assert arrivals[-1] - arrivals[0] > 0.35


def test_usage_comes_last_when_asked_for(client):
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        model="gpt-4o", messages=ask("one two three"), stream=True, stream_options=options
    )
    chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 3


def test_the_answer_shows_the_public_name(client):
    # The provider knows the model by another name, and answers with a third.
    completion = client.chat.completions.create(model="gpt-4o", messages=ask("x"))
    assert completion.model == "gpt-4o"
    stream = client.chat.completions.create(model="gpt-4o", messages=ask("one two three"), stream=True)
    assert {chunk.model for chunk in stream} == {"gpt-4o"}


def test_the_prefix_of_the_gateway_is_accepted(client):
    completion = client.chat.completions.create(model="Proxy/gpt-4o", messages=ask("x"))
    assert completion.model == "Proxy/gpt-4o"
    assert completion.choices[0].message.content == "x"


def test_the_answer_tells_who_served(client):
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=ask("x"))
    served = raw.parse().model_extra["gateway"]
    assert served["provider"] == "simulator"
    assert served["upstream_model"] == "sim?as=vendor-4o"
    assert [attempt["status"] for attempt in served["attempts"]] == [200]
    assert raw.headers["x-request-id"] == served["request_id"]
    assert raw.headers["x-gateway-provider"] == "simulator"
    assert raw.headers["x-gateway-model"] == "gpt-4o"
    assert raw.headers["x-gateway-attempts"] == "1"


def test_the_first_chunk_tells_who_serves(client):
    first, *others = client.chat.completions.create(model="gpt-4o", messages=ask("one two"), stream=True)
    assert first.model_extra["gateway"]["provider"] == "simulator"
    assert all("gateway" not in (chunk.model_extra or {}) for chunk in others)


def test_the_extension_field_is_accepted(client):
    completion = client.chat.completions.create(
        model="gpt-4o", messages=ask("x"), extra_body={"gateway": {"tags": {"team": "ml", "job": "nightly"}}}
    )
    assert completion.choices[0].message.content == "x"


def test_a_request_id_of_the_callers_own_is_kept(client):
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=ask("x"), extra_headers={"x-request-id": "order-66"}
    )
    assert raw.headers["x-request-id"] == "order-66"
    assert raw.parse()._request_id == "order-66"


@pytest.mark.parametrize("text", TEXTS)
def test_a_tool_call_arrives_whole(client, text):
    completion = client.chat.completions.create(model="sim-tool", messages=ask(text), tools=TOOLS)
    call = completion.choices[0].message.tool_calls[0]
    assert completion.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "look_up"
    assert json.loads(call.function.arguments) == {"input": text}


@pytest.mark.parametrize("text", TEXTS)
def test_a_tool_call_in_fragments_is_valid_json_when_put_together(client, text):
    stream = client.chat.completions.create(model="sim-tool", messages=ask(text), tools=TOOLS, stream=True)
    deltas = [call for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert deltas[0].id and deltas[0].function.name == "look_up"
    assert {delta.index for delta in deltas} == {0}
    assert json.loads("".join(delta.function.arguments or "" for delta in deltas)) == {"input": text}


def test_the_streaming_helper_of_the_sdk_assembles_the_answer(client):
    with client.chat.completions.stream(model="gpt-4o", messages=ask("one two three")) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert completion.choices[0].message.content == "one two three"
