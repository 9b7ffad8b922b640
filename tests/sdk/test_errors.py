"""What goes wrong is raised as the class that the SDK's documentation names for it, once."""

import time

import openai
import pytest

from conftest import ask


def retries(error):
    """How often the SDK had tried before it raised the error."""
    return int(error.response.request.headers["x-stainless-retry-count"])


def attempts(error):
    """How often the gateway asked an upstream."""
    return int(error.response.headers.get("x-gateway-attempts", 0))


def refused(kind, client, **request):
    """The error of a call that must not reach any upstream, and must not be tried again."""
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{"model": "gpt-4o", "messages": ask("x")} | request)
    error = caught.value
    assert type(error) is kind
    assert (retries(error), attempts(error)) == (0, 0)
    assert error.request_id
    return error


@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_key(client_with, stream):
    error = refused(openai.AuthenticationError, client_with(api_key="sk-somebody-elses-key"), stream=stream)
    assert (error.status_code, error.type, error.code) == (401, "authentication_error", "invalid_api_key")
    assert "somebody" not in str(error)


def test_a_missing_key(client):
    error = refused(openai.AuthenticationError, client, extra_headers={"authorization": openai.Omit()})
    assert (error.type, error.code) == ("authentication_error", "missing_api_key")


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_the_key_may_not_use(limited, stream):
    error = refused(openai.PermissionDeniedError, limited, model="unsteady", stream=stream)
    assert (error.status_code, error.type, error.code) == (403, "permission_error", "model_not_allowed")
    assert error.param == "model"


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_with_its_neighbour(client, stream):
    error = refused(openai.NotFoundError, client, model="gpt-4oo", stream=stream)
    assert (error.status_code, error.type, error.code) == (404, "invalid_request_error", "model_not_found")
    assert "Did you mean `gpt-4o`?" in error.message


def test_a_member_that_the_gateway_does_not_know(client):
    error = refused(openai.BadRequestError, client, extra_body={"gateway": {"tag": {}}})
    assert (error.status_code, error.code) == (400, "invalid_gateway_field")
    assert "tag" in error.message


def test_a_member_twice(client):
    error = refused(openai.BadRequestError, client, extra_body={"Model": "unsteady"})
    assert error.code == "duplicate_field"


def test_a_path_that_does_not_exist(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.batches.list()
    assert caught.value.code == "not_found"


def test_what_the_upstream_finds_wrong_with_a_request_is_passed_on(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=[])
    assert "messages" in caught.value.message
    assert (caught.value.param, retries(caught.value), attempts(caught.value)) == ("messages", 0, 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("unsteady", "upstream_error"),
        ("sim?status=401", "upstream_credentials_rejected"),
        ("sim?cut=before_head", "upstream_error"),
    ],
)
def test_a_failing_upstream_is_asked_once(client, model, code, stream):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=model, messages=ask("x"), stream=stream)
    error = caught.value
    assert (error.status_code, error.type, error.code) == (502, "upstream_error", code)
    # The gateway has retried what can be retried; an SDK on top of it would multiply the load of an outage.
    assert error.response.headers["x-should-retry"] == "false"
    assert retries(error) == 0
    trail = error.response.json()["gateway"]
    assert len(trail["attempts"]) == attempts(error) >= 1
    assert trail["request_id"] == error.request_id


def test_a_slow_upstream_runs_into_the_callers_own_limit(client):
    started = time.monotonic()
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(
            model="sim?stall=before_head", messages=ask("x"), extra_body={"gateway": {"timeout_ms": 300}}
        )
    assert (caught.value.status_code, caught.value.type) == (504, "timeout_error")
    assert retries(caught.value) == 0
    assert 0.25 < time.monotonic() - started < 10


def test_a_stream_without_content_runs_into_the_limit_for_the_first_token(client):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(
            model="sim?stall=after_head",
            messages=ask("x"),
            stream=True,
            extra_body={"gateway": {"first_token_timeout_ms": 300}},
        )
    assert (caught.value.status_code, caught.value.code) == (504, "first_token_timeout")


def test_the_timeout_of_the_sdk(client_with):
    impatient = client_with(timeout=0.3, max_retries=0)
    with pytest.raises(openai.APITimeoutError):
        impatient.chat.completions.create(model="sim?stall=before_head", messages=ask("x"))
    # The gateway has not suffered.
    assert impatient.models.list().data


@pytest.mark.parametrize(
    ("point", "arrived"), [("after_content", "alpha "), ("before_done", "alpha bravo charlie delta ")]
)
def test_a_truncated_stream_is_an_error_and_never_a_short_answer(client, point, arrived):
    stream = client.chat.completions.create(model=f"sim?frames=4&cut={point}", messages=ask("x"), stream=True)
    text = ""
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert caught.value.code == "upstream_truncated"
    # What had arrived before the break is not lost.
    assert text == arrived


@pytest.mark.parametrize("point", ["after_role", "mid_char"])
def test_a_stream_that_breaks_before_its_first_content_never_begins(client, point):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=f"sim?frames=4&cut={point}", messages=ask("x"), stream=True)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_truncated")


def test_a_truncated_plain_answer_is_an_error(client):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="sim?cut=after_head", messages=ask("x"))
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_truncated")
