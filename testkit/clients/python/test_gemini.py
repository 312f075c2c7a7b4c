"""Google's SDK for Python (google-genai), unmodified, with models of every vendor."""

import pytest
from conftest import KEY, REST
from google import genai
from google.genai import errors, types
from vendors import (
    ASIDE, CACHED, CALLS, CITY, COMPLETION, FILLED_IN, FINAL, GREETING, PROMPT, SEEN, THINKERS, THOUGHT, THOUGHTS, TOOLS, Weather,
    both_ways, every_vendor, picture, picture_arrived, result_of, results_arrived, schema_arrived,
)

TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name=name, description=about, parameters_json_schema=CITY) for name, about in TOOLS.items()
    ]
)
# The SDK would call functions by itself: here the caller does.
BY_HAND = types.AutomaticFunctionCallingConfig(disable=True)


@pytest.fixture
def client():
    return make()


def make(key=KEY):
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=REST))


def ask(client, streams, model, contents="Hello", headers=None, **config):
    options = types.HttpOptions(headers=headers) if headers else None
    request = {"model": model, "contents": contents, "config": types.GenerateContentConfig(http_options=options, **config)}
    if not streams:
        return Answer([client.models.generate_content(**request)])
    return Answer(list(client.models.generate_content_stream(**request)))


class Answer:
    """One or more chunks as one answer."""

    def __init__(self, chunks):
        self.chunks = chunks
        contents = [chunk.candidates[0].content for chunk in chunks if chunk.candidates]
        self.parts = [part for content in contents if content for part in content.parts or []]
        self.calls = [part.function_call for part in self.parts if part.function_call]
        self.text = "".join(part.text or "" for part in self.parts if not part.thought)
        self.thought = "".join(part.text or "" for part in self.parts if part.thought)
        reasons = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
        self.reasons = [reason for reason in reasons if reason]
        self.usage = chunks[-1].usage_metadata


@both_ways
@every_vendor
def test_a_text_with_its_reason_and_usage(client, trace, vendor, streams):
    answer = ask(client, streams, f"any-{vendor}", headers=trace.headers)
    assert (answer.text, answer.reasons) == (GREETING, [types.FinishReason.STOP])
    assert not streams or len(answer.chunks) > 1
    # Google's way: what was thought is not among the candidates'.
    usage = answer.usage
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (PROMPT, CACHED)
    assert (usage.candidates_token_count, usage.thoughts_token_count) == (COMPLETION - THOUGHTS, THOUGHTS)
    assert usage.total_token_count == PROMPT + COMPLETION
    assert trace.the_only_one()["scene"] == f"any-{vendor}"


@both_ways
@every_vendor
def test_a_loop_of_tools_with_thinking(client, trace, vendor, streams):
    model = f"any-{vendor}"
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    config = {"tools": [TOOL], "automatic_function_calling": BY_HAND, "thinking_config": thinking}
    question = types.Content(role="user", parts=[types.Part(text="Hello")])
    first = ask(client, streams, model, [question], **config)
    assert first.text == ASIDE and first.reasons == [types.FinishReason.STOP]
    assert [(call.name, call.args) for call in first.calls] == CALLS
    assert first.thought == (THOUGHT if vendor in THINKERS else "")

    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": result_of(call.name, call.args)}))
        for call in first.calls
    ]
    contents = [question, types.Content(role="model", parts=first.parts), types.Content(role="user", parts=results)]
    second = ask(client, streams, model, contents, headers=trace.headers, **config)
    assert (second.text, second.reasons) == (FINAL, [types.FinishReason.STOP])
    results_arrived(vendor, trace.the_only_one()["body"])


@every_vendor
def test_the_sdk_calls_the_tools_by_itself(client, vendor):
    asked = []

    def get_weather(city: str, at: dict = None) -> str:
        """The weather of a city."""
        asked.append(("get_weather", city))
        return f"21.5° in {city}"

    def get_time(city: str) -> str:
        """The time of a city."""
        asked.append(("get_time", city))
        return f"12:00 in {city}"

    config = types.GenerateContentConfig(tools=[get_weather, get_time])
    answer = client.models.generate_content(model=f"any-{vendor}", contents="Hello", config=config)
    assert answer.text == FINAL
    assert asked == [(name, arguments["city"]) for name, arguments in CALLS]


@every_vendor
def test_a_picture_is_seen(client, trace, vendor):
    parts = [types.Part.from_bytes(data=picture(), mime_type="image/png"), types.Part(text="What is this?")]
    answer = ask(client, False, f"any-{vendor}", [types.Content(role="user", parts=parts)], headers=trace.headers)
    assert answer.text == SEEN
    picture_arrived(vendor, trace.the_only_one()["body"])


@every_vendor
def test_structured_output_is_parsed(client, trace, vendor):
    answer = ask(
        client, False, f"any-{vendor}", headers=trace.headers, response_mime_type="application/json", response_schema=Weather
    )
    assert answer.chunks[0].parsed == FILLED_IN
    schema_arrived(vendor, trace.the_only_one()["body"])


@pytest.mark.parametrize(
    ("does", "code", "status"), [("limited", 429, "RESOURCE_EXHAUSTED"), ("refused", 400, "INVALID_ARGUMENT")]
)
@both_ways
@every_vendor
def test_a_vendors_refusal_is_the_sdks_own_exception(client, trace, vendor, streams, does, code, status):
    with pytest.raises(errors.ClientError) as raised:
        ask(client, streams, f"{does}-{vendor}", headers=trace.headers)
    assert (raised.value.code, raised.value.status) == (code, status)
    assert "ask" in raised.value.message, "the provider's own words"
    assert len(trace.seen()) == 1


@pytest.mark.parametrize(
    ("model", "exception", "code", "status"),
    [
        ("no-such-model", errors.ClientError, 404, "NOT_FOUND"),
        ("faulty", errors.ServerError, 500, "INTERNAL"),
        ("hangs-up", errors.ServerError, 502, "UNAVAILABLE"),
    ],
)
def test_every_failure_has_its_exception(client, model, exception, code, status):
    with pytest.raises(exception) as raised:
        ask(client, False, model)
    assert (raised.value.code, raised.value.status) == (code, status)


def test_a_wrong_key_is_a_client_error():
    with pytest.raises(errors.ClientError) as raised:
        ask(make("wrong"), False, "any-gemini")
    assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")


def test_a_stream_that_fails_midway_raises_after_its_content(client):
    said = []
    with pytest.raises(errors.APIError):
        for chunk in client.models.generate_content_stream(model="breaks-off", contents="Hello"):
            said.append(chunk.text or "")
            assert not chunk.candidates[0].finish_reason
    assert "".join(said) == "Hello"


def test_the_list_of_models_and_one_of_them(client):
    listed = {model.name for model in client.models.list()}
    assert {"models/any-anthropic", "models/any-gemini", "models/chat"} <= listed
    assert client.models.get(model="any-anthropic").name == "models/any-anthropic"


def test_embeddings_of_an_openai_model(client):
    answer = client.models.embed_content(model="embeddings", contents="hello", config=types.EmbedContentConfig(output_dimensionality=4))
    assert answer.embeddings[0].values == pytest.approx([0.0125, -0.5, 0.25, 1.0])


def test_silence_before_the_first_content_does_not_trouble_the_sdk(client):
    assert ask(client, True, "slow-start").text == "Hello there"
