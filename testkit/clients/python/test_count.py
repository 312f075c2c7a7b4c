"""Tokens are counted for clients of Anthropic and of Gemini at every vendor: by the vendor where it counts, else by an estimate that
says so."""

import anthropic
import pytest
from conftest import KEY, REST
from google import genai
from google.genai import types
from vendors import CITY, PICTURE, TOOLS, every_vendor

HELLO = [{"role": "user", "content": "Hello"}]
TOOL_LIST = [{"name": name, "description": about, "input_schema": CITY} for name, about in TOOLS.items()]
COUNTED = 1234
ESTIMATED = ["chat", "compatible"]


@pytest.fixture
def claude():
    with anthropic.Anthropic(base_url=REST, api_key=KEY) as client:
        yield client


@pytest.fixture
def gemini():
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=REST))


def count(claude, trace, vendor, messages, **fields):
    """The count, and whether it is the gateway's estimate."""
    answer = claude.messages.with_raw_response.count_tokens(
        model=f"any-{vendor}", messages=messages, extra_headers=trace.headers, **fields
    )
    return answer.parse().input_tokens, answer.headers.get("x-orchestrator-estimated") == "true"


@every_vendor
def test_a_client_of_anthropics_counts(claude, trace, vendor):
    tokens, estimated = count(claude, trace, vendor, HELLO, system="Be brief.", tools=TOOL_LIST)
    assert estimated == (vendor in ESTIMATED) == (trace.seen() == [])
    assert tokens == COUNTED or (estimated and 0 < tokens < 500)


@every_vendor
def test_a_client_of_geminis_counts(gemini, trace, vendor):
    config = types.CountTokensConfig(http_options=types.HttpOptions(headers=trace.headers))
    tokens = gemini.models.count_tokens(model=f"any-{vendor}", contents="Hello", config=config).total_tokens
    assert tokens == COUNTED or (vendor in ESTIMATED and 0 < tokens < 100)
    assert (trace.seen() == []) == (vendor in ESTIMATED)


@pytest.mark.parametrize("vendor", ESTIMATED)
def test_an_estimate_grows_with_the_prompt(claude, trace, vendor):
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    long = [{"role": "user", "content": [{"type": "text", "text": "word " * 1000}, {"type": "image", "source": source}]}]
    assert count(claude, trace, vendor, long)[0] > 1000 > count(claude, trace, vendor, HELLO)[0]


def test_a_coding_agents_count_reaches_anthropic_with_its_betas(claude, trace):
    answer = claude.beta.messages.count_tokens(
        model="any-anthropic", messages=HELLO, tools=TOOL_LIST, betas=["claude-code-20250219"], extra_headers=trace.headers
    )
    assert answer.input_tokens == COUNTED
    # The SDK adds a beta of its own.
    assert "claude-code-20250219" in trace.the_only_one()["headers"]["anthropic-beta"].split(",")


def test_a_wrong_prompt_is_a_bad_request(claude):
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.count_tokens(model="any-chat", messages=[{"role": "owner", "content": "Hello"}])
