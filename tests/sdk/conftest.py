"""Clients of a running gateway, as applications make them: the official SDK and a base URL.

`tests/tests/sdk.rs` starts the gateway and says in the environment where it is and which keys it knows. To run the suite
by hand, start a gateway with the configuration at the top of that file and set the same variables.
"""

import os

import openai
import pytest

BASE_URL = os.environ["GATEWAY_BASE_URL"]
KEY = os.environ["GATEWAY_KEY"]
LIMITED_KEY = os.environ["GATEWAY_LIMITED_KEY"]


@pytest.fixture(scope="session")
def client():
    """May use every model. Retries are the SDK's own default, because applications rarely change it."""
    with openai.OpenAI(base_url=BASE_URL, api_key=KEY) as client:
        yield client


@pytest.fixture(scope="session")
def limited():
    """May use `gpt-4o` only."""
    with openai.OpenAI(base_url=BASE_URL, api_key=LIMITED_KEY) as client:
        yield client


@pytest.fixture
def client_with():
    """Makes a client whose settings differ from the usual ones."""
    made = []

    def make(**settings):
        made.append(openai.OpenAI(**{"base_url": BASE_URL, "api_key": KEY} | settings))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def async_client_with():
    """Makes an asynchronous client, to be closed by the test within its event loop."""

    def make(**settings):
        return openai.AsyncOpenAI(**{"base_url": BASE_URL, "api_key": KEY} | settings)

    return make


def ask(text):
    """The messages of a conversation of one question, which the simulated models echo."""
    return [{"role": "user", "content": text}]
