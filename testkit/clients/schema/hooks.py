"""What schemathesis cannot know: keys, and ids of things that there are. Loaded by it (`SCHEMATHESIS_HOOKS`).

Of each operation's requests the first is a good one, with the example of the document or of `BODIES`; every second one after it names what is there.
"""

import atexit
import collections
import functools
import itertools
import json
import os
import time

import requests
import schemathesis

REST = os.environ["GATEWAY_REST"]
CLIENT = {"authorization": f"Bearer {os.environ['GATEWAY_KEY']}"}
ADMIN = {"authorization": f"Bearer {os.environ['GATEWAY_ADMIN_KEY']}"}
ASKS = requests.Session()
NUMBERS = itertools.count(1)

asked = collections.Counter()
answered = collections.defaultdict(list)
atexit.register(lambda: json.dump(answered, open(os.environ["ANSWERED"], "w")))

# Bodies of good requests where the document has no example.
HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
EMBED = {"content": {"parts": [{"text": "Hello"}]}}
BATCH = {"requests": [{"model": "models/echo", **EMBED}]}
BODIES = {
    "UpdateProviderKey": {"label": "renamed"}, "UpdateModel": {"remark": "changed"}, "UpdateModelProvider": {"weight": 50}, "UpdateApiKey": {"owner": "ann"},
    "UpdateTeam": {"remark": "changed"}, "UpdateAdminKey": {"role": "viewer"}, "UpdatePrice": {"input": "0.5"},
    "UpdateHealthCheckConfigPatch": {"max_error_count": 5}, "UpdateRetentionPatch": {"bodies_days": 7}, "ResetBreakers": {}, "ExportConfigPost": {},
    "dropEvents": {"events": []}, "llmioChangeConfig": {"max_error_count": 5},
    "geminiStreamGenerate": HELLO, "geminiAnyVerb": HELLO, "geminiEmbed": EMBED, "geminiBatchEmbed": BATCH,
    "geminiGenerateV1": HELLO, "geminiStreamGenerateV1": HELLO, "geminiCountV1": HELLO, "geminiEmbedV1": EMBED, "geminiBatchEmbedV1": BATCH,
}
# Queries of good requests that need one.
QUERIES = {"ExportRequestLogs": {"format": "csv"}, "PurgeRequestLogs": {"retention_days": 30}}


def made(noun, body, path=None):
    answer = ASKS.post(f"{REST}/admin/{path or noun}", json=body, headers=ADMIN, timeout=20)
    assert answer.status_code == 201, f"{noun}: {answer.status_code} {answer.text}"
    return answer.json()


def name():
    return f"fixture-{next(NUMBERS)}"


def provider():
    return made("providers", {"name": name(), "kind": "echo"})["id"]


def provider_key():
    owner = made("providers", {"name": name(), "kind": "openai_compatible", "base_url": "http://127.0.0.1:9/v1"})["id"]
    key = made("keys", {"label": "a", "secret": "sk-fixture-0123456789"}, f"providers/{owner}/keys")
    return {"provider_id": owner, "id": key["id"]}


def model():
    return made("models", {"name": name()})["id"]


def association():
    return made("model-providers", {"model_id": model(), "provider_id": provider()})["id"]


def price():
    price = made("prices", {"kind": "openai_compatible", "upstream_model": name(), "input": "1", "output": "2"})
    return {"kind": price["kind"], "upstream_model": price["upstream_model"]}


def log():
    logs = ASKS.get(f"{REST}/admin/logs?page_size=1", headers=ADMIN, timeout=20).json()
    return logs[0]["id"] if logs else "none-yet"


def stored():
    answer = ASKS.post(f"{REST}/v1/responses", json={"model": "scripted/m", "input": "hi"}, headers=CLIENT, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


@functools.cache
def alert():
    """A caller who has spent most of its money is one, as soon as that is stored."""
    made("prices", {"kind": "openai", "upstream_model": "m", "input": "100", "output": "100"})
    key = made("keys", {"name": name(), "budget_usd": 0.02, "budget_period": "day"})
    headers = {"authorization": f"Bearer {key['secret']}"}
    body = {"model": "scripted/m", "input": "hi", "max_output_tokens": 1}
    for _ in range(40):
        ASKS.post(f"{REST}/v1/responses", json=body, headers=headers, timeout=20)
        time.sleep(0.2)
        alerts = ASKS.get(f"{REST}/admin/alerts", headers=ADMIN, timeout=20).json()
        if alerts:
            return alerts[0]["id"]
    raise AssertionError("a budget that is spent is no alert")


def only(key, make):
    return lambda: {key: make()}


# By the beginning of the path: what fills the names in it.
PLACES = [
    ("/admin/providers/{provider_id}/keys/{id}", provider_key),
    ("/admin/providers/{provider_id}/keys", lambda: {"provider_id": provider_key()["provider_id"]}),
    ("/admin/providers/{id}/check", only("id", lambda: "echo")),
    ("/admin/providers/{id}", only("id", provider)),
    ("/admin/models/{id}", only("id", model)),
    ("/admin/model-providers/{id}", only("id", association)),
    ("/admin/keys/{id}", only("id", lambda: made("keys", {"name": name()})["id"])),
    ("/admin/teams/{id}", only("id", lambda: made("teams", {"name": name()})["id"])),
    ("/admin/admin-keys/{id}", only("id", lambda: made("admin-keys", {"name": name(), "role": "viewer"})["id"])),
    ("/admin/prices/", price),
    ("/admin/logs/{id}", only("id", log)),
    ("/admin/alerts/{id}", only("id", alert)),
    ("/admin/health/{id}", only("id", provider)),
    ("/api/providers/health/{id}", only("id", provider)),
    ("/api/health-check/force/{id}", only("id", lambda: "echo")),
    ("/v1/responses/{id}", only("id", stored)),
    ("/v1beta/{model}:{verb}", lambda: {"model": "models/echo", "verb": "generateContent"}),
    ("/v1/models/{model}", only("model", lambda: "echo")),
    ("/v1beta/models/{model}", only("model", lambda: "echo")),
    ("/v1/models/{id}", only("id", lambda: "echo")),
    ("/v1beta/models/{id}", only("id", lambda: "echo")),
    ("/anthropic/v1/models/{id}", only("id", lambda: "echo")),
    ("/claude/v1/models/{id}", only("id", lambda: "echo")),
]


def is_for_operators(path):
    return path.startswith(("/admin", "/api/", "/health/detailed", "/health/queue"))


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = case.operation
    definition = operation.definition.raw
    identity = definition["operationId"]
    number = asked[identity]
    asked[identity] += 1
    headers = {key: value for key, value in dict(case.headers or {}).items() if key.lower() not in ("x-api-key", "x-goog-api-key", "x-admin-key", "authorization")}
    if number == 0:
        make_good(case, definition, identity)
        headers = {}
    if number % 2 == 0:
        for place, make in PLACES:
            if operation.path.startswith(place):
                case.path_parameters = {**(case.path_parameters or {}), **make()}
                break
        if isinstance(case.body, dict) and "model" in case.body and not is_for_operators(operation.path):
            case.body["model"] = "echo"
    be_patient(case, headers)
    headers.update(ADMIN if is_for_operators(operation.path) else CLIENT)
    case.headers = headers
    if case.query:
        case.query = {key: value for key, value in case.query.items() if key != "key"}


def make_good(case, definition, identity):
    content = definition.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = [example["value"] for example in content.get("examples", {}).values()]
    body = BODIES.get(identity, examples[0] if examples else None)
    if body is not None:
        body = json.loads(json.dumps(body))
        if identity.startswith("Create") and "name" in body:
            body["name"] = name()
        if identity == "CreateModelProvider":
            body.update(model_id=model(), provider_id=provider())
        case.body, case.media_type = body, "application/json"
    case.query = dict(QUERIES.get(identity, {}))


def be_patient(case, headers):
    """Who waits for no more than a moment gets a 504 now and then, and is right to."""
    for key in [key for key in headers if key.lower() == "x-orchestrator-timeout-ms"]:
        if str(headers[key]).strip().isdigit() and int(headers[key]) < 10_000:
            headers[key] = "10000"
    if isinstance(case.body, dict) and isinstance(case.body.get("timeout"), (int, float)) and 0 < case.body["timeout"] < 10:
        case.body["timeout"] = 10


@schemathesis.hook
def after_call(context, case, response):
    answered[case.operation.definition.raw["operationId"]].append(response.status_code)
