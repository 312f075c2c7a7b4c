"""The official Anthropic SDK for Python, unmodified, with models of every vendor."""

import anthropic
import pytest
from conftest import KEY, REST
from vendors import (
    ASIDE, CACHED, CALLS, CITY, COMPLETION, FILLED_IN, FINAL, GREETING, PICTURE, PROMPT, SEEN, THINKERS, THOUGHT, TOOLS, Weather,
    both_ways, every_vendor, picture_arrived, result_of, results_arrived, schema_arrived,
)

HELLO = [{"role": "user", "content": "Hello"}]
TOOL_LIST = [{"name": name, "description": about, "input_schema": CITY} for name, about in TOOLS.items()]
THINKING = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture
def client():
    with anthropic.Anthropic(base_url=REST, api_key=KEY) as client:
        yield client


def ask(client, streams, model, messages=HELLO, **fields):
    request = {"model": model, "messages": messages, "max_tokens": 4096, **fields}
    if not streams:
        return client.messages.create(**request)
    with client.messages.stream(**request) as stream:
        return stream.get_final_message()


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


@both_ways
@every_vendor
def test_a_text_with_its_reason_and_usage(client, trace, vendor, streams):
    message = ask(client, streams, f"any-{vendor}", extra_headers=trace.headers)
    assert (message.type, message.role, text_of(message), message.stop_reason) == ("message", "assistant", GREETING, "end_turn")
    # Anthropic's way: what was cached is not among the input.
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (PROMPT - CACHED, CACHED, COMPLETION)
    assert streams or message._request_id == trace.id
    assert trace.the_only_one()["scene"] == f"any-{vendor}"


@every_vendor
def test_a_text_comes_in_pieces(client, vendor):
    with client.messages.stream(model=f"any-{vendor}", messages=HELLO, max_tokens=100) as stream:
        pieces = list(stream.text_stream)
    assert len(pieces) > 1 and "".join(pieces) == GREETING


@both_ways
@every_vendor
def test_a_loop_of_tools_with_thinking(client, trace, vendor, streams):
    model = f"any-{vendor}"
    first = ask(client, streams, model, tools=TOOL_LIST, thinking=THINKING)
    assert first.stop_reason == "tool_use" and text_of(first) == ASIDE
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == CALLS
    thoughts = "".join(block.thinking for block in first.content if block.type == "thinking")
    assert thoughts == (THOUGHT if vendor in THINKERS else "")

    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": result_of(call.name, call.input)} for call in calls
    ]
    messages = [*HELLO, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = ask(client, streams, model, messages, tools=TOOL_LIST, thinking=THINKING, extra_headers=trace.headers)
    assert (text_of(second), second.stop_reason) == (FINAL, "end_turn")
    results_arrived(vendor, trace.the_only_one()["body"])


@every_vendor
def test_a_picture_is_seen(client, trace, vendor):
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    message = ask(client, False, f"any-{vendor}", [{"role": "user", "content": content}], extra_headers=trace.headers)
    assert text_of(message) == SEEN
    picture_arrived(vendor, trace.the_only_one()["body"])


@every_vendor
def test_structured_output_is_parsed(client, trace, vendor):
    message = client.messages.parse(
        model=f"any-{vendor}", messages=HELLO, max_tokens=100, output_format=Weather, extra_headers=trace.headers
    )
    assert message.parsed_output == FILLED_IN
    schema_arrived(vendor, trace.the_only_one()["body"])


@pytest.mark.parametrize(
    ("does", "exception", "status", "kind"),
    [
        ("limited", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("refused", anthropic.BadRequestError, 400, "invalid_request_error"),
    ],
)
@both_ways
@every_vendor
def test_a_vendors_refusal_is_the_sdks_own_exception(client, trace, vendor, streams, does, exception, status, kind):
    with pytest.raises(exception) as raised:
        ask(client, streams, f"{does}-{vendor}", extra_headers=trace.headers)
    error = raised.value
    assert type(error) is exception and error.status_code == status
    assert error.body["type"] == "error" and error.body["error"]["type"] == kind
    assert "ask" in error.body["error"]["message"], "the provider's own words"
    assert len(trace.seen()) == 1
    if does == "limited":
        assert 15 <= int(error.response.headers["retry-after"]) <= 20


@pytest.mark.parametrize(
    ("model", "exception", "status"),
    [
        ("no-such-model", anthropic.NotFoundError, 404),
        ("faulty", anthropic.InternalServerError, 500),
        ("hangs-up", anthropic.InternalServerError, 502),
    ],
)
def test_every_failure_has_its_exception(client, model, exception, status):
    with pytest.raises(exception) as raised:
        ask(client, False, model)
    assert raised.value.status_code == status and raised.value.body["type"] == "error"


def test_a_wrong_key_is_an_authentication_error():
    with anthropic.Anthropic(base_url=REST, api_key="wrong") as client, pytest.raises(anthropic.AuthenticationError) as raised:
        ask(client, False, "any-anthropic")
    assert raised.value.body["error"]["type"] == "authentication_error"


def test_a_stream_that_fails_midway_raises_after_its_content(client):
    said = []
    with pytest.raises(anthropic.APIStatusError):
        with client.messages.stream(model="breaks-off", messages=HELLO, max_tokens=100) as stream:
            said.extend(stream.text_stream)
    assert "".join(said) == "Hello"


def test_the_list_of_models_and_one_of_them(client):
    listed = {model.id for model in client.models.list(limit=1000)}
    assert {"any-anthropic", "any-gemini", "chat"} <= listed
    assert client.models.retrieve("any-gemini").type == "model"


def test_signs_of_life_before_the_first_content_do_not_trouble_the_sdk(client):
    assert text_of(ask(client, True, "slow-start")) == "Hello there"
