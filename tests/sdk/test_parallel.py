"""Many callers at once through one asynchronous client."""

import asyncio

import openai

from conftest import ask

STREAMS = 200


def test_parallel_streams_are_complete_and_in_order(async_client_with):
    async def read(client, number):
        text = " ".join(f"{number}-{word}-語👍" for word in range(40))
        stream = await client.chat.completions.create(
            model="sim?frame=2ms", messages=ask(text), stream=True, max_completion_tokens=10_000
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        assert "".join(pieces) == text
        return len(pieces)

    async def read_all():
        async with async_client_with(max_retries=0) as client:
            return await asyncio.gather(*(read(client, number) for number in range(STREAMS)))

    lengths = asyncio.run(read_all())
    assert len(lengths) == STREAMS
    assert min(lengths) >= 40


def test_failures_among_parallel_calls_stay_with_their_callers(async_client_with):
    async def call(client, number):
        model = "unsteady" if number % 4 == 0 else "gpt-4o"
        completion = await client.chat.completions.create(model=model, messages=ask(f"call {number}"))
        return completion.choices[0].message.content

    async def call_all():
        # Without retries: the breaker of `unsteady` opens, and who comes then is asked to come again.
        async with async_client_with(max_retries=0) as client:
            return await asyncio.gather(*(call(client, number) for number in range(100)), return_exceptions=True)

    for number, answer in enumerate(asyncio.run(call_all())):
        if number % 4 == 0:
            assert isinstance(answer, openai.InternalServerError)
        else:
            assert answer == f"call {number}"


def test_a_stream_that_is_left_early_frees_its_connection(async_client_with):
    async def leave(client):
        stream = await client.chat.completions.create(model="sim-slow", messages=ask("x"), stream=True)
        async for _ in stream:
            break
        await stream.close()

    async def leave_many():
        async with async_client_with() as client:
            await asyncio.gather(*(leave(client) for _ in range(20)))
            completion = await client.chat.completions.create(model="gpt-4o", messages=ask("still there"))
            return completion.choices[0].message.content

    assert asyncio.run(leave_many()) == "still there"
