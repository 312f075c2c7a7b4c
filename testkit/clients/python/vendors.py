"""What the suites that ask every vendor share: the conversation of the scenes `any-VENDOR`, and what their providers were asked.
`testkit/src/scenes/vendors` says the other side of it."""

import base64
import json
import struct
import zlib

import pytest
from pydantic import BaseModel

VENDORS = ["chat", "responses", "compatible", "anthropic", "gemini"]
# OpenAI's Chat shows no reasoning.
THINKERS = ["responses", "compatible", "anthropic", "gemini"]

GREETING = "Hello! Grüße, 世界 👋"
THOUGHT = "Two questions, two calls."
ASIDE = "I will look."
FINAL = "21.5 degrees at noon."
SEEN = "A red pixel."

# Tokens: the prompt, how many of it were cached, the answer, how many of it were thought.
PROMPT, CACHED, COMPLETION, THOUGHTS = 30, 10, 12, 5

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = {"get_weather": "The weather of a city", "get_time": "The time of a city"}
CALLS = [
    ("get_weather", {"city": "Zürich", "at": {"hour": 12, "offset": 1.5, "until": None, "more": {}}}),
    ("get_time", {"city": 'Łódź "\\ 👋'}),
]

every_vendor = pytest.mark.parametrize("vendor", VENDORS)
both_ways = pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])


class Weather(BaseModel):
    city: str
    celsius: float


FILLED_IN = Weather(city="Zürich", celsius=21.5)


def result_of(name, arguments):
    """What the caller's tool gives."""
    return {"get_weather": "21.5° in", "get_time": "12:00 in"}[name] + f" {arguments['city']}"


def picture():
    """A PNG of one red pixel."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PICTURE = base64.b64encode(picture()).decode()


def results_seen(vendor, body):
    """The results in the last request that a vendor's provider got: whose call each answers, and what it says."""
    if vendor == "gemini":
        parts = body["contents"][-1]["parts"]
        answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
        return [(answer["name"], json.dumps(answer["response"], ensure_ascii=False)) for answer in answers]
    if vendor == "responses":
        items = [item for item in body["input"] if item.get("type") == "function_call_output"]
        found = [(item["call_id"], item["output"]) for item in items]
    elif vendor == "anthropic":
        blocks = [block for block in body["messages"][-1]["content"] if block["type"] == "tool_result"]
        found = [(block["tool_use_id"], block["content"]) for block in blocks]
    else:
        found = [(message["tool_call_id"], message["content"]) for message in body["messages"] if message["role"] == "tool"]
    return [(whose, text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)) for whose, text in found]


def results_arrived(vendor, body, rounds=1):
    """Each call of the last round got the result that is its own."""
    prefix = {"anthropic": "toolu"}.get(vendor, "call")
    ids = [name for name, _ in CALLS] if vendor == "gemini" else [f"{prefix}_r{rounds - 1}c{n}" for n in (1, 2)]
    found = results_seen(vendor, body)[-2:]
    assert [whose for whose, _ in found] == ids
    assert "21.5° in Zürich" in found[0][1] and "12:00 in Łódź" in found[1][1], found


def picture_arrived(vendor, body):
    # Google's SDK writes base64 in its other alphabet.
    assert PICTURE in json.dumps(body).replace("-", "+").replace("_", "/")


def schema_arrived(vendor, body):
    """The caller's schema, in the field that the vendor has for it."""
    schema = {
        "chat": lambda: body["response_format"]["json_schema"]["schema"],
        "compatible": lambda: body["response_format"]["json_schema"]["schema"],
        "responses": lambda: body["text"]["format"]["schema"],
        "anthropic": lambda: body["output_config"]["format"]["schema"],
        "gemini": lambda: body["generationConfig"].get("responseJsonSchema") or body["generationConfig"]["responseSchema"],
    }[vendor]()
    assert schema["properties"].keys() == {"city", "celsius"}
