"""The provider's judge must be able to fail, or the suites prove nothing: each wrong request is refused and complained of."""

import json

from programs import Failure, Provider, call

USER = {"role": "user", "content": "Hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def run():
    with Provider("the-callers-key") as provider:
        scenes = {scene["name"]: scene for scene in provider.ask("scenes")}
        chat = scenes["chat"]
        good = {"model": chat["upstream_model"], "messages": [{"role": "user", "content": "Hello"}]}
        expect(200, chat, chat["key"], good)
        if provider.ask("complaints"):
            raise Failure("the judge complains of a good request")

        expect(400, chat, "sk-another-key", good)
        expect(400, chat, None, good)
        expect(400, chat, chat["key"], {**good, "model": "another"})
        expect(400, chat, chat["key"], {**good, "colour": "red"})
        expect(400, chat, chat["key"], {**good, "messages": [{"role": "user"}]})
        expect(400, chat, chat["key"], {**good, "user": "the-callers-key"})
        assistant = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        result = {"role": "tool", "tool_call_id": "call_2", "content": "1"}
        expect(400, chat, chat["key"], {**good, "messages": [*good["messages"], assistant, result]})
        expect(400, {**chat, "path": "/responses"}, chat["key"], good)
        complaints = provider.ask("complaints")
        for word in ["authorization", "model", "colour", "content", "secret", "call_2", "path"]:
            if not any(word in complaint for complaint in complaints):
                raise Failure(f"the judge did not complain of {word!r}: {complaints}")
        for vendor in VENDORS:
            a_loop(scenes[f"any-{vendor}"], *VENDORS[vendor])


def a_loop(scene, first, history, breaks):
    """A conversation that comes back as it was is answered; one with any of these differences is refused."""
    _, answer = expect(200, scene, scene["key"], with_model(scene, first))
    second = with_model(scene, history(first, answer))
    expect(200, scene, scene["key"], second)
    for old, new in breaks:
        text = json.dumps(second)
        if old not in text:
            raise Failure(f"{scene['name']}: there is no {old!r} in {text}")
        expect(400, scene, scene["key"], json.loads(text.replace(old, new)))
    expect(400, scene, "sk-another-key", second)
    expect(400, scene, None, second)


def with_model(scene, body):
    """Gemini's model stands in the path alone."""
    return body if "contents" in body else {**body, "model": scene["upstream_model"]}


def after_anthropic(first, answer):
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "1"}
        for block in answer["content"] if block["type"] == "tool_use"
    ]
    messages = [*first["messages"], {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": results}]
    return {**first, "messages": messages}


def after_gemini(first, answer):
    content = answer["candidates"][0]["content"]
    names = [part["functionCall"]["name"] for part in content["parts"] if "functionCall" in part]
    results = [{"functionResponse": {"name": name, "response": {"result": "1"}}} for name in names]
    return {**first, "contents": [*first["contents"], content, {"role": "user", "parts": results}]}


def after_responses(first, answer):
    calls = [item["call_id"] for item in answer["output"] if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": call_id, "output": "1"} for call_id in calls]
    return {**first, "input": [*first["input"], *answer["output"], *results]}


def after_chat(first, answer):
    message = answer["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": made["id"], "content": "1"} for made in message["tool_calls"]]
    return {**first, "messages": [*first["messages"], message, *results]}


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "f", "parameters": SCHEMA}
SIGNATURE = ("c2lnbmF0dXJl", "QUFBQUFBQUFB")
ARGUMENTS = ("\\u00fcrich", "urich")
CHAT = {"messages": [USER], "tools": [{"type": "function", "function": FUNCTION}]}
# A first request with tools, how its answer is handed back, and differences that must not pass.
VENDORS = {
    "anthropic": (
        {
            "max_tokens": 2048, "messages": [USER], "tools": [{"name": "f", "input_schema": SCHEMA}],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        },
        after_anthropic,
        [
            SIGNATURE, ARGUMENTS, ('"tool_use_id": "toolu_r0c1"', '"tool_use_id": "toolu_r0c9"'), ('"toolu_r0c1"', '"toolu_r0c9"'),
            ("Two questions", "Two answers"), ("1024", "2048"), ('"max_tokens"', '"max_completion_tokens"'), ('"1"', '{"a": 1}'),
        ],
    ),
    "gemini": (
        {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}], "tools": [{"functionDeclarations": [FUNCTION]}]},
        after_gemini,
        [
            SIGNATURE, ARGUMENTS, ('"functionResponse": {"name": "get_weather"', '"functionResponse": {"name": "get_time"'),
            ('"thoughtSignature"', '"signature"'), ('"model"', '"assistant"'),
        ],
    ),
    "responses": (
        {"input": [USER], "store": False, "include": ["reasoning.encrypted_content"], "tools": [{"type": "function", **FUNCTION}]},
        after_responses,
        [
            SIGNATURE, ARGUMENTS, ('output", "call_id": "call_r0c1"', 'output", "call_id": "call_r0c9"'), ('"call_r0c1"', '"call_r0c9"'),
            ('"encrypted_content"', '"content"'),
        ],
    ),
    "chat": (CHAT, after_chat, [ARGUMENTS, ('"tool_call_id": "call_r0c1"', '"tool_call_id": "call_r0c9"'), ('"refusal"', '"reasoning"')]),
    "compatible": (CHAT, after_chat, [SIGNATURE, ARGUMENTS, ('"reasoning_details"', '"details"')]),
}


def expect(status, scene, key, body):
    got, answer = call("POST", scene["base_url"] + scene["path"], key, body, scene["key_header"])
    if got != status:
        raise Failure(f"{scene['name']}: the judge answered {got}, not {status}, to {json.dumps(body)}: {answer}")
    return got, answer
