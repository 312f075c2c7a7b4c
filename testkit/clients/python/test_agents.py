"""The traffic of coding agents, in the shape in which they send it, onto models of vendors that they do not know."""

import http.client
import json
import urllib.parse

import anthropic
import openai
import pytest
from conftest import KEY, REST
from vendors import ASIDE, CALLS, CITY, FINAL, TOOLS, result_of, results_arrived

BETAS = [
    "claude-code-20250219", "interleaved-thinking-2025-05-14", "context-management-2025-06-27", "prompt-caching-scope-2026-01-05",
    "advanced-tool-use-2025-11-20", "effort-2025-11-24",
]
MARK = {"type": "ephemeral"}
SESSION = "user_0f3a_account__session_5b2e9c1d-6f0e-4c2e-9a44-1de2ad0c6f11"
OTHERS = [f"mcp__workspace__tool_{n:02}" for n in range(18)]
STRANGERS = ["chat", "responses", "compatible", "gemini"]


@pytest.fixture
def claude():
    # With an auth token, as the agent behind a gateway.
    with anthropic.Anthropic(base_url=REST, auth_token=KEY, api_key=None) as client:
        yield client


def agent_tools():
    """Twenty tools; the last one bears the mark."""
    schema = {**CITY, "$schema": "http://json-schema.org/draft-07/schema#", "additionalProperties": False}
    names = {**TOOLS, **{name: "Does something\nin several lines." for name in OTHERS}}
    tools = [{"name": name, "description": about, "input_schema": schema} for name, about in names.items()]
    tools[-1]["cache_control"] = MARK
    return tools


def agent_turn(client, model, messages, headers=None):
    """One request of the agent's: the newest message bears a mark too."""
    *before, last = messages
    content = last["content"] if isinstance(last["content"], list) else [{"type": "text", "text": last["content"]}]
    marked = [*content[:-1], {**content[-1], "cache_control": MARK}]
    with client.beta.messages.stream(
        model=model,
        max_tokens=32000,
        betas=BETAS,
        system=[
            {"type": "text", "text": "You are a coding agent."},
            {"type": "text", "text": "Be brief. " * 400, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        tools=agent_tools(),
        messages=[*before, {**last, "content": marked}],
        thinking={"type": "adaptive"},
        output_config={"effort": "medium"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        metadata={"user_id": SESSION},
        extra_headers=headers,
    ) as stream:
        events = [event.type for event in stream]
        assert events[0] == "message_start" and events[-1] == "message_stop"
        return stream.get_final_message()


@pytest.mark.parametrize("vendor", STRANGERS)
def test_an_agent_of_anthropics_works_through_several_rounds(claude, trace, vendor):
    model = f"any-{vendor}"
    messages = [{"role": "user", "content": "Look around."}]
    for question in ["And again.", None]:
        called = agent_turn(claude, model, messages)
        calls = [block for block in called.content if block.type == "tool_use"]
        assert called.stop_reason == "tool_use"
        assert [(call.name, call.input) for call in calls] == CALLS
        assert "".join(block.text for block in called.content if block.type == "text") == ASIDE
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": result_of(call.name, call.input)}]}
            for call in calls
        ]
        reminder = {"type": "text", "text": "<system-reminder>Stay on it.</system-reminder>"}
        messages += [{"role": "assistant", "content": called.content}, {"role": "user", "content": [*results, reminder]}]
        answered = agent_turn(claude, model, messages, trace.headers if question is None else None)
        if question:
            messages += [{"role": "assistant", "content": answered.content}, {"role": "user", "content": question}]
    seen = trace.the_only_one()
    body = json.dumps(seen["body"], ensure_ascii=False)
    assert all(name in body for name in [*TOOLS, *OTHERS]) and "You are a coding agent." in body
    assert "anthropic-beta" not in seen["headers"], "what only Anthropic understands"
    for word in ["context_management", "adaptive", "input_schema"]:
        assert word not in body, word
    # Servers like OpenRouter take the marks; OpenAI refuses them.
    assert ("cache_control" in body) == (vendor == "compatible")


def test_a_session_of_anthropics_agent_reaches_anthropic_with_all_that_it_says(claude, trace):
    agent_turn(claude, "any-anthropic", [{"role": "user", "content": "Look around."}], trace.headers)
    seen = trace.the_only_one()
    assert seen["headers"]["anthropic-beta"].split(",") == BETAS
    body = seen["body"]
    assert body["metadata"] == {"user_id": SESSION} and body["context_management"]["edits"]
    assert body["tools"][-1]["cache_control"] == MARK and body["messages"][-1]["content"][-1]["cache_control"] == MARK


CODEX_TOOLS = [
    {"type": "function", "name": name, "description": about, "strict": False, "parameters": {**CITY, "additionalProperties": False}}
    for name, about in TOOLS.items()
] + [
    {"type": "namespace", "name": "mcp__files", "description": "Files", "tools": [
        {"type": "function", "name": "read", "description": "Reads", "strict": False, "parameters": {"type": "object", "properties": {}}},
    ]},
    {"type": "web_search", "external_web_access": False},
]


def codex_turn(client, model, items, headers=None):
    """One streamed request of the agent's; gives the items that it answers with."""
    stream = client.responses.create(
        model=model,
        instructions="You are a coding agent.",
        input=items,
        tools=CODEX_TOOLS,
        tool_choice="auto",
        parallel_tool_calls=True,
        reasoning={"effort": "medium", "summary": "auto"},
        store=False,
        stream=True,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="5b2e9c1d-6f0e-4c2e-9a44-1de2ad0c6f11",
        extra_body={"client_metadata": {"x-codex-installation-id": "0f3a"}},
        extra_headers={"originator": "codex_cli_rs", "session_id": "5b2e9c1d", **(headers or {})},
    )
    # The agent reads finished items, and needs the end to be said.
    output, ended = [], False
    for event in stream:
        if event.type == "response.output_item.done":
            output.append(event.item.model_dump(exclude_none=True))
        ended = event.type == "response.completed"
    assert ended
    return output


@pytest.mark.parametrize("vendor", ["anthropic", "gemini", "chat", "compatible"])
def test_an_agent_of_openais_works_through_several_rounds(trace, vendor):
    model = f"any-{vendor}"
    with openai.OpenAI(base_url=f"{REST}/v1", api_key=KEY) as client:
        items = [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>read-only</permissions>"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment_context/>"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look around."}]},
        ]
        for question in ["And again.", None]:
            output = codex_turn(client, model, items)
            calls = [item for item in output if item["type"] == "function_call"]
            assert [(call["name"], json.loads(call["arguments"])) for call in calls] == CALLS
            results = [
                {"type": "function_call_output", "call_id": call["call_id"], "output": result_of(call["name"], json.loads(call["arguments"]))}
                for call in calls
            ]
            items += [*(without_ids(item) for item in output), *results]
            answered = codex_turn(client, model, items, trace.headers if question is None else None)
            assert [part["text"] for item in answered if item["type"] == "message" for part in item["content"]] == [FINAL]
            if question:
                said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": question}]}
                items += [*(without_ids(item) for item in answered), said]
    seen = trace.the_only_one()
    results_arrived(vendor, seen["body"], rounds=2)
    body = json.dumps(seen["body"], ensure_ascii=False)
    assert "You are a coding agent." in body and "<permissions>" in body
    for word in ["client_metadata", "namespace", "encrypted_content"]:
        assert word not in body, word


def without_ids(item):
    """Items of an answer as the agent sends them again."""
    return {name: value for name, value in item.items() if name not in ("id", "status")}


def plain(method, path, headers=None, body=None):
    """An answer without any SDK: status and body."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(REST).netloc, timeout=10)
    connection.request(method, path, body, {"authorization": f"Bearer {KEY}", **(headers or {})})
    answer = connection.getresponse()
    status, body = answer.status, answer.read()
    connection.close()
    return status, body


def test_what_agents_ask_beside_models_is_answered():
    assert plain("HEAD", "/") == (200, b"")
    events = json.dumps({"events": [{"event_type": "ClaudeCodeInternalEvent", "event_data": {"event_name": "tengu_started"}}]})
    status, body = plain("POST", "/api/event_logging/batch", {"content-type": "application/json"}, events)
    assert status == 200 and json.loads(body) == {}
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert plain("GET", "/v1/responses", upgrade)[0] == 426


def test_a_wrong_key_of_an_agent_is_not_tried_again():
    with anthropic.Anthropic(base_url=REST, auth_token="wrong", api_key=None) as client:
        with pytest.raises(anthropic.AuthenticationError) as raised:
            client.beta.messages.create(model="any-chat", max_tokens=10, messages=[{"role": "user", "content": "Hi"}], betas=BETAS)
    assert raised.value.response.headers["x-should-retry"] == "false"
