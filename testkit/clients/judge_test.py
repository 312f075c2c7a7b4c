"""The provider's judge must be able to fail, or the suites prove nothing: each wrong request is refused and complained of."""

import json

from programs import Failure, Provider, call

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


def expect(status, scene, key, body):
    got, answer = call("POST", scene["base_url"] + scene["path"], key, body)
    if got != status:
        raise Failure(f"the judge answered {got}, not {status}, to {json.dumps(body)}: {answer}")
