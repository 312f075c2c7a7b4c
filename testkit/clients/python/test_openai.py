"""The official OpenAI SDK for Python, unmodified: it must not notice that a gateway answers."""

import asyncio
import json
import time

import openai
import pytest
from conftest import KEY, REST
from pydantic import BaseModel

HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
USAGE = (11, 7, 18)


@pytest.fixture
def client():
    with openai.OpenAI(base_url=f"{REST}/v1", api_key=KEY) as client:
        yield client


def numbers(usage):
    return (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


def test_a_whole_chat(client, trace):
    answer = client.chat.completions.create(model="chat", messages=HELLO, extra_headers=trace.headers)
    assert answer.choices[0].message.content == "Hello! Grüße, 世界 👋"
    assert answer.choices[0].finish_reason == "stop"
    assert numbers(answer.usage) == USAGE
    assert answer._request_id == trace.id
    seen = trace.the_only_one()
    assert seen["body"] == {"model": "chat-upstream", "messages": HELLO}


def test_a_streamed_chat_with_the_usage_that_was_asked_for(client):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model="chat", messages=HELLO, stream=True, stream_options=options))
    assert text_of(chunks) == "Hello there"
    assert chunks[-1].choices == [] and numbers(chunks[-1].usage) == USAGE


def test_a_streamed_chat_without_usage_has_no_chunk_of_it(client):
    chunks = list(client.chat.completions.create(model="chat", messages=HELLO, stream=True))
    assert text_of(chunks) == "Hello there"
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_signs_of_life_before_the_first_content_do_not_trouble_the_sdk(client, trace):
    options = {"include_usage": True}
    request = {"model": "slow-start", "messages": HELLO, "stream": True, "stream_options": options}
    since = time.monotonic()
    stream = client.chat.completions.create(**request, extra_headers=trace.headers)
    head_after = time.monotonic() - since
    chunks = list(stream)
    assert head_after < 1.4 < time.monotonic() - since, "the head did not wait for the content"
    assert text_of(chunks) == "Hello there" and numbers(chunks[-1].usage) == USAGE


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_tool_calls_over_two_turns(client, trace):
    first = client.chat.completions.create(model="tools", messages=HELLO, tools=[WEATHER])
    assert first.choices[0].finish_reason == "tool_calls"
    second = client.chat.completions.create(
        model="tools", messages=after(first.choices[0].message), tools=[WEATHER], extra_headers=trace.headers
    )
    assert second.choices[0].message.content == "21.5 degrees."
    results = trace.the_only_one()["body"]["messages"][2:]
    assert [(result["tool_call_id"], result["content"]) for result in results] == [
        ("call_1", "21.5° in Zürich"),
        ("call_2", "21.5° in Łódź"),
    ]


def test_streamed_tool_calls_over_two_turns(client):
    with client.chat.completions.stream(model="tools", messages=HELLO, tools=[WEATHER]) as stream:
        first = stream.get_final_completion()
    with client.chat.completions.stream(model="tools", messages=after(first.choices[0].message), tools=[WEATHER]) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello there"


def after(message):
    """The conversation once the calls of the assistant's `message` have been made."""
    cities = [json.loads(call.function.arguments)["city"] for call in message.tool_calls]
    assert cities == ["Zürich", "Łódź"]
    said = {"role": "assistant", "tool_calls": [call.model_dump(include={"id", "type", "function"}) for call in message.tool_calls]}
    for call in said["tool_calls"]:
        call["function"] = {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"21.5° in {city}"}
        for call, city in zip(message.tool_calls, cities)
    ]
    return [*HELLO, said, *results]


class Weather(BaseModel):
    city: str
    celsius: float


def test_structured_output_is_parsed(client, trace):
    answer = client.chat.completions.parse(
        model="structured", messages=HELLO, response_format=Weather, extra_headers=trace.headers
    )
    assert answer.choices[0].message.parsed == Weather(city="Zürich", celsius=21.5)
    asked = trace.the_only_one()["body"]["response_format"]["json_schema"]
    assert asked["name"] == "Weather" and asked["strict"] is True
    assert asked["schema"]["properties"].keys() == {"city", "celsius"}


def test_embeddings_in_the_sdks_default_encoding(client, trace):
    answer = client.embeddings.create(model="embeddings", input="hello", dimensions=4, extra_headers=trace.headers)
    assert answer.data[0].embedding == pytest.approx([0.0125, -0.5, 0.25, 1.0])
    assert trace.the_only_one()["body"]["encoding_format"] == "base64"


def test_embeddings_as_numbers(client):
    answer = client.embeddings.create(model="embeddings", input=["hello", "世界"], dimensions=4, encoding_format="float")
    assert [vector.embedding for vector in answer.data] == [[0.0125, -0.5, 0.25, 1.0]] * 2


def test_the_list_of_models_and_one_of_them(client):
    assert {"chat", "tools", "embeddings"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("chat").owned_by == "chat"


def test_legacy_completions_whole_and_streamed(client):
    whole = client.completions.create(model="completions", prompt="Once upon", max_tokens=8)
    assert whole.choices[0].text == " a time, in Łódź" and numbers(whole.usage) == (2, 8, 10)
    chunks = client.completions.create(model="completions", prompt="Once upon", max_tokens=8, stream=True)
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == " a"


@pytest.mark.parametrize(
    ("model", "exception", "status", "code", "asked"),
    [
        ("no-such-model", openai.NotFoundError, 404, "model_not_found", 0),
        ("too-long", openai.BadRequestError, 400, "context_length_exceeded", 1),
        ("rejects-key", openai.AuthenticationError, 401, "invalid_api_key", 1),
        # The SDK tries these again by itself, but for `x-should-retry: false`: the provider is asked once.
        ("rate-limited", openai.RateLimitError, 429, "rate_limit_exceeded", 1),
        ("faulty", openai.InternalServerError, 500, None, 1),
        ("hangs-up", openai.InternalServerError, 502, None, 1),
        ("too-slow", openai.InternalServerError, 504, None, 1),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_is_the_sdks_own_exception(client, trace, model, exception, status, code, asked, stream):
    with pytest.raises(exception) as raised:
        client.chat.completions.create(model=model, messages=HELLO, stream=stream, extra_headers=trace.headers)
    error = raised.value
    assert type(error) is exception and error.status_code == status
    assert error.request_id == trace.id and error.body["message"]
    if code:
        assert error.code == code
    assert len(trace.seen()) == asked


def test_a_wrong_key_is_an_authentication_error():
    with openai.OpenAI(base_url=f"{REST}/v1", api_key="wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_a_malformed_request_names_its_field(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="", messages=HELLO)
    assert raised.value.param == "model"


def test_a_stream_that_fails_midway_raises_after_its_content(client):
    stream = client.chat.completions.create(model="breaks-off", messages=HELLO, stream=True)
    said = []
    with pytest.raises(openai.APIError, match="The server had an error"):
        for chunk in stream:
            said.append(chunk)
    assert text_of(said) == "Hello"


def test_the_callers_own_limit_of_time_is_answered_in_time(client, trace):
    headers = {**trace.headers, "x-orchestrator-timeout-ms": "300"}
    since = time.monotonic()
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="silent", messages=HELLO, extra_headers=headers)
    assert raised.value.status_code == 504
    assert 0.3 <= time.monotonic() - since < 1.3
    trace.closes()


def test_the_sdks_time_out_reaches_the_provider(client, trace):
    impatient = client.with_options(timeout=0.5, max_retries=0)
    with pytest.raises(openai.APITimeoutError):
        impatient.chat.completions.create(model="silent", messages=HELLO, extra_headers=trace.headers)
    trace.closes()


def test_a_closed_stream_reaches_the_provider_within_a_second(client, trace):
    stream = client.chat.completions.create(model="endless", messages=HELLO, stream=True, extra_headers=trace.headers)
    assert next(iter(stream)).choices[0].delta.content == "on "
    assert trace.is_open()
    stream.close()
    trace.closes()


def test_a_cancelled_task_reaches_the_provider_within_a_second(trace):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{REST}/v1", api_key=KEY) as client:
            await client.chat.completions.create(model="silent", messages=HELLO, extra_headers=trace.headers)

    async def cancel():
        asking = asyncio.create_task(ask())
        await asyncio.to_thread(trace.arrives)
        assert trace.is_open()
        asking.cancel()
        await asyncio.to_thread(trace.closes)

    asyncio.run(cancel())
