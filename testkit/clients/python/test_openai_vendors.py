"""The official OpenAI SDK for Python, unmodified, over Chat and over Responses, with models of every vendor."""

import json

import openai
import pytest
from conftest import KEY, REST
from vendors import (
    ASIDE, CACHED, CALLS, CITY, COMPLETION, FILLED_IN, FINAL, GREETING, PICTURE, PROMPT, SEEN, THINKERS, THOUGHT, THOUGHTS, TOOLS,
    Weather, both_ways, every_vendor, picture_arrived, result_of, results_arrived, schema_arrived,
)

HELLO = [{"role": "user", "content": "Hello"}]
FUNCTIONS = [{"name": name, "description": about, "parameters": CITY} for name, about in TOOLS.items()]
CHAT_TOOLS = [{"type": "function", "function": function} for function in FUNCTIONS]
RESPONSES_TOOLS = [{"type": "function", "strict": False, **function} for function in FUNCTIONS]
SEALED = {"store": False, "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"}}


@pytest.fixture
def client():
    with openai.OpenAI(base_url=f"{REST}/v1", api_key=KEY) as client:
        yield client


def chat(client, streams, model, messages=HELLO, **fields):
    request = {"model": model, "messages": messages, **fields}
    if not streams:
        return client.chat.completions.create(**request)
    with client.chat.completions.stream(**request, stream_options={"include_usage": True}) as stream:
        return stream.get_final_completion()


def respond(client, streams, model, input=HELLO, **fields):
    if not streams:
        return client.responses.create(model=model, input=input, **fields)
    with client.responses.stream(model=model, input=input, **fields) as stream:
        return stream.get_final_response()


@both_ways
@every_vendor
def test_chat_gives_a_text_with_its_reason_and_usage(client, trace, vendor, streams):
    answer = chat(client, streams, f"any-{vendor}", extra_headers=trace.headers)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (GREETING, "stop")
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (PROMPT, COMPLETION, PROMPT + COMPLETION)
    assert usage.prompt_tokens_details.cached_tokens == CACHED
    assert usage.completion_tokens_details.reasoning_tokens == THOUGHTS
    assert trace.the_only_one()["scene"] == f"any-{vendor}"


@both_ways
@every_vendor
def test_responses_gives_a_text_with_its_status_and_usage(client, trace, vendor, streams):
    answer = respond(client, streams, f"any-{vendor}", extra_headers=trace.headers)
    assert (answer.output_text, answer.status, answer.error) == (GREETING, "completed", None)
    usage = answer.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (PROMPT, COMPLETION, PROMPT + COMPLETION)
    assert (usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens) == (CACHED, THOUGHTS)
    assert trace.the_only_one()["scene"] == f"any-{vendor}"


@both_ways
@every_vendor
def test_chat_loops_over_tools_with_thinking(client, trace, vendor, streams):
    model = f"any-{vendor}"
    fields = {"tools": CHAT_TOOLS, "reasoning_effort": "low"}
    first = chat(client, streams, model, **fields).choices[0]
    assert (first.message.content, first.finish_reason) == (ASIDE, "tool_calls")
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in first.message.tool_calls]
    assert calls == CALLS
    said = first.message.model_dump(exclude_none=True, exclude={"parsed": True, "tool_calls": {"__all__": {"index", "parsed_arguments"}}})
    for call in said["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    assert (said.get("reasoning_content") or said.get("reasoning") or "") == (THOUGHT if vendor in THINKERS else "")

    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": result_of(name, arguments)}
        for call, (name, arguments) in zip(said["tool_calls"], calls)
    ]
    second = chat(client, streams, model, [*HELLO, said, *results], **fields, extra_headers=trace.headers)
    assert (second.choices[0].message.content, second.choices[0].finish_reason) == (FINAL, "stop")
    results_arrived(vendor, trace.the_only_one()["body"])


@both_ways
@every_vendor
def test_responses_loops_over_tools_with_thinking(client, trace, vendor, streams):
    model = f"any-{vendor}"
    fields = {"tools": RESPONSES_TOOLS, **SEALED}
    first = respond(client, streams, model, **fields)
    assert (first.output_text, first.status) == (ASIDE, "completed")
    made = [item for item in first.output if item.type == "function_call"]
    calls = [(call.name, json.loads(call.arguments)) for call in made]
    assert calls == CALLS
    summaries = [part.text for item in first.output if item.type == "reasoning" for part in item.summary]
    assert "".join(summaries) == (THOUGHT if vendor in THINKERS else "")

    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": result_of(name, arguments)}
        for call, (name, arguments) in zip(made, calls)
    ]
    output = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    for item in output:
        for part in item.get("content") or []:
            part.pop("parsed", None)
    second = respond(client, streams, model, [*HELLO, *output, *results], **fields, extra_headers=trace.headers)
    assert (second.output_text, second.status) == (FINAL, "completed")
    results_arrived(vendor, trace.the_only_one()["body"])


@every_vendor
def test_a_picture_is_seen(client, trace, vendor):
    url = f"data:image/png;base64,{PICTURE}"
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = chat(client, False, f"any-{vendor}", [{"role": "user", "content": content}], extra_headers=trace.headers)
    assert answer.choices[0].message.content == SEEN
    picture_arrived(vendor, trace.the_only_one()["body"])
    content = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": url}]
    assert respond(client, False, f"any-{vendor}", [{"role": "user", "content": content}]).output_text == SEEN


@every_vendor
def test_structured_output_is_parsed(client, trace, vendor):
    answer = client.chat.completions.parse(
        model=f"any-{vendor}", messages=HELLO, response_format=Weather, extra_headers=trace.headers
    )
    assert answer.choices[0].message.parsed == FILLED_IN
    schema_arrived(vendor, trace.the_only_one()["body"])
    assert client.responses.parse(model=f"any-{vendor}", input=HELLO, text_format=Weather).output_parsed == FILLED_IN


@pytest.mark.parametrize(
    ("does", "exception", "status"), [("limited", openai.RateLimitError, 429), ("refused", openai.BadRequestError, 400)]
)
@pytest.mark.parametrize("asks", [chat, respond])
@both_ways
@every_vendor
def test_a_vendors_refusal_is_the_sdks_own_exception(client, trace, vendor, streams, asks, does, exception, status):
    with pytest.raises(exception) as raised:
        asks(client, streams, f"{does}-{vendor}", extra_headers=trace.headers)
    error = raised.value
    assert type(error) is exception and error.status_code == status
    assert "ask" in error.body["message"], "the provider's own words"
    assert error.body["type"] and len(trace.seen()) == 1
    if does == "limited":
        assert 15 <= int(error.response.headers["retry-after"]) <= 20


def test_responses_breaks_off_midway_with_an_error_after_its_content(client):
    said = []
    with pytest.raises(openai.APIError):
        for event in client.responses.create(model="breaks-off", input=HELLO, stream=True):
            assert event.type != "response.completed"
            if event.type == "response.output_text.delta":
                said.append(event.delta)
            if event.type == "error":
                raise openai.APIError(event.message, request=None, body=None)
    assert "".join(said) == "Hello"
