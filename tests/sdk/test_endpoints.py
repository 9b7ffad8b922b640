"""Everything but chat: completions, embeddings, models."""

import math

import openai
import pytest


def test_completions(client):
    completion = client.completions.create(model="gpt-4o", prompt="once upon a time")
    assert completion.object == "text_completion"
    assert completion.choices[0].text == "once upon a time"
    assert completion.model == "gpt-4o"
    assert completion.model_extra["gateway"]["provider"] == "simulator"


def test_streamed_completions(client):
    stream = client.completions.create(model="gpt-4o", prompt="遠い昔 👍🏽 once upon", stream=True)
    chunks = list(stream)
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "遠い昔 👍🏽 once upon"
    assert {chunk.model for chunk in chunks} == {"gpt-4o"}


def test_embeddings_are_the_same_in_both_encodings(client):
    texts = ["first", "第二", "third"]
    # The SDK asks for base64 unless told otherwise, and decodes it.
    packed = client.embeddings.create(model="gpt-4o", input=texts)
    plain = client.embeddings.create(model="gpt-4o", input=texts, encoding_format="float")
    assert packed.model == plain.model == "gpt-4o"
    assert [item.index for item in packed.data] == [0, 1, 2]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert len(one.embedding) == 1536
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert math.hypot(*one.embedding) == pytest.approx(1, abs=1e-3)
    assert packed.data[0].embedding != packed.data[1].embedding


def test_embeddings_with_fewer_dimensions(client):
    embedding = client.embeddings.create(model="gpt-4o", input="text", dimensions=8).data[0].embedding
    assert len(embedding) == 8


def test_models_are_listed_by_what_a_key_may_use(client, limited):
    names = [model.id for model in client.models.list()]
    assert names == sorted(names)
    assert {"gpt-4o", "unsteady"} <= set(names)
    assert [model.id for model in limited.models.list()] == ["gpt-4o"]


def test_a_model_is_described(client, limited):
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"
    # Not listed, because a pattern has no list of names, and there all the same.
    assert client.models.retrieve("sim-tool").object == "model"
    for stranger, name in [(client, "no-such-model"), (limited, "unsteady")]:
        with pytest.raises(openai.NotFoundError) as caught:
            stranger.models.retrieve(name)
        assert caught.value.code == "model_not_found"
