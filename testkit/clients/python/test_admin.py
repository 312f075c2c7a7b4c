"""`buf curl` knows no contract but what the gateway's reflection tells it: every method of Admin is called that way."""

import base64
import json
import os
import subprocess
import urllib.error
import urllib.request

import pytest
from conftest import ADMIN_KEY, GRPC, KEY, REST, Trace, until

ADMIN = "orchestrator.v1.Admin"
CALLED = set()


def buf(*arguments, key=ADMIN_KEY):
    header = [] if key is None else ["-H", f"authorization: Bearer {key}"]
    command = [os.environ["BUF"], "curl", "--protocol", "grpc", "--http2-prior-knowledge", *header, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def call(method, key=ADMIN_KEY, **request):
    """Calls a method; its answer, or None and what was said of its failure."""
    done = buf("-d", json.dumps(request), f"http://{GRPC}/{ADMIN}/{method}", key=key)
    if done.returncode:
        return None, done.stderr
    return json.loads(done.stdout), None


def calls(method, **request):
    """Calls a method, which must succeed, and counts it as called."""
    answer, failure = call(method, **request)
    assert failure is None, f"{method}: {failure}"
    CALLED.add(method)
    return answer


def streamed(method, **request):
    """Calls a method that answers with a stream, which must end, and counts it as called."""
    done = buf("-d", json.dumps(request), f"http://{GRPC}/{ADMIN}/{method}")
    assert done.returncode == 0, f"{method}: {done.stderr}"
    CALLED.add(method)
    # Each message is spread over lines, or has one of its own: which is up to buf.
    messages, rest = [], done.stdout.strip()
    while rest:
        message, end = json.JSONDecoder().raw_decode(rest)
        messages.append(message)
        rest = rest[end:].strip()
    return messages


def ask_in_vain(trace, model="nobody's"):
    """A request that fails, by default for a model that nobody has: it is logged all the same."""
    headers = {**trace.headers, "authorization": f"Bearer {KEY}", "content-type": "application/json"}
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    request = urllib.request.Request(f"{REST}/v1/chat/completions", body, headers)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)


@pytest.fixture(scope="module")
def provider():
    return calls("CreateProvider", provider={"name": "buf", "kind": "openai_compatible", "baseUrl": "http://127.0.0.1:9/v1"})


@pytest.fixture(scope="module")
def model():
    return calls("CreateModel", model={"name": "buf-model"})


def check(noun, many, made, change):
    """What was made is shown, listed, and changed in what the mask names."""
    field = noun[0].lower() + noun[1:]
    known = {"id": made["id"]}
    assert calls(f"Get{noun}", **known) == made
    assert made in calls(f"List{noun}s")[many]
    (name, value), = change.items()
    changed = calls(f"Update{noun}", **{field: {**known, name: value}, "updateMask": name})
    assert without_time(changed) == without_time({**made, name: value})


def without_time(resource):
    return {field: value for field, value in resource.items() if field != "updatedAt"}


def test_providers(provider):
    check("Provider", "providers", provider, {"priority": 200})


def test_keys_of_a_provider(provider):
    secret = "sk-buf-0123456789abcdef"
    made = calls("CreateProviderKey", providerKey={"providerId": provider["id"], "label": "one", "secret": secret})
    assert made["masked"] != secret and "secret" not in made
    check("ProviderKey", "providerKeys", made, {"weight": 50})
    assert calls("DeleteProviderKey", id=made["id"]) == {}


def test_models(model):
    check("Model", "models", model, {"remark": "changed"})


def test_associations(provider, model):
    made = calls("CreateModelProvider", modelProvider={"modelId": model["id"], "providerId": provider["id"]})
    check("ModelProvider", "modelProviders", made, {"providerModel": "another"})
    assert calls("DeleteModelProvider", id=made["id"]) == {}


def test_callers_keys():
    made = calls("CreateApiKey", apiKey={"name": "buf-key", "models": ["chat"]})
    assert made.pop("secret").startswith(made["prefix"])
    check("ApiKey", "apiKeys", made, {"owner": "somebody"})
    rotated = calls("RotateApiKey", id=made["id"], overlapSeconds=60)
    assert rotated["secret"].startswith(rotated["prefix"]) and rotated["prefix"] != made["prefix"]
    assert "previousUntil" in rotated and "secret" not in calls("GetApiKey", id=made["id"])
    assert calls("DeleteApiKey", id=made["id"]) == {}
    _, failure = call("GetApiKey", id=made["id"])
    assert "not_found" in failure


def test_teams():
    limits = {"requestsPerMinute": 60, "budgetUsd": 12.345678901, "budgetPeriod": "month"}
    made = calls("CreateTeam", team={"name": "buf-team", **limits})
    assert {name: made[name] for name in limits} == limits
    check("Team", "teams", made, {"remark": "changed"})
    key = calls("CreateApiKey", apiKey={"name": "buf-of-team", "team": "buf-team"})
    assert calls("UpdateTeam", team={"id": made["id"], "name": "buf-renamed"}, updateMask="name")["name"] == "buf-renamed"
    assert calls("GetApiKey", id=key["id"])["team"] == "buf-renamed"
    _, failure = call("DeleteTeam", id=made["id"])
    assert "buf-of-team" in failure
    _, failure = call("CreateApiKey", apiKey={"name": "buf-orphan", "team": "nobody"})
    assert "invalid_argument" in failure
    assert calls("DeleteApiKey", id=key["id"]) == {}
    assert calls("DeleteTeam", id=made["id"]) == {}


def test_health(provider):
    # Nobody listens there.
    checked = calls("CheckProvider", id=provider["id"])
    assert (checked["providerName"], checked["errorCount"]) == ("buf", 1)
    assert calls("GetProviderHealth", id="buf") == checked
    assert checked in calls("ListProviderHealth")["providerHealth"]


def test_what_a_provider_lists(provider):
    # Nobody listens there, so names are given.
    made = calls("ImportProviderModels", id=provider["id"], models=["buf-small", "buf-large"])
    assert made == {"modelsCreated": 2, "associationsCreated": 2}
    assert calls("ImportProviderModels", id="buf", models=["buf-small"]) == {"skipped": 1}
    for model in ("buf-small", "buf-large"):
        assert calls("DeleteModel", id=calls("GetModel", id=model)["id"]) == {}
    _, failure = call("ListProviderModels", id=provider["id"])
    assert "gave no list of models" in failure
    CALLED.add("ListProviderModels")
    tested = calls("TestProviderTools", id=provider["id"], model="buf-small")
    assert tested["model"] == "buf-small" and tested["error"]


def test_how_health_is_checked():
    kept = calls("GetHealthCheckConfig")
    changed = calls("UpdateHealthCheckConfig", healthCheckConfig={"maxErrorCount": 7}, updateMask="maxErrorCount")
    assert changed == {**kept, "maxErrorCount": 7}
    assert calls("UpdateHealthCheckConfig", healthCheckConfig=kept, updateMask="maxErrorCount") == kept


def test_breakers(provider):
    assert calls("ResetBreakers", providerId="buf") == {}
    assert calls("ListBreakers", providerId="buf") == {}


def test_queue():
    assert int(calls("GetQueue")["maxConcurrentSessions"]) > 0
    assert "created" not in calls("Reload"), "nothing is declared"


def test_prices():
    named = {"kind": "vllm", "upstreamModel": "buf/model"}
    made = calls("CreatePrice", price={**named, "input": "2.50", "output": "0.000000001"})
    assert (made["input"], made["output"], made["source"]) == ("2.5", "0.000000001", "own")
    assert calls("GetPrice", **named) == made
    assert made in calls("ListPrices", kind="vllm")["prices"]
    changed = calls("UpdatePrice", price={**named, "cachedRead": "1"}, updateMask="cachedRead")
    assert changed == {**made, "cachedRead": "1", "version": changed["version"]} and changed["version"] != made["version"]
    assert calls("DeletePrice", **named) == {}
    _, failure = call("GetPrice", **named)
    assert "not_found" in failure


def test_request_logs():
    trace = Trace()
    ask_in_vain(trace)
    until(lambda: calls("ListRequestLogs", filter={"requestId": trace.id}).get("requestLogs"), 5.0, "no log")
    (row,) = calls("ListRequestLogs", pageSize=1, filter={"requestId": trace.id})["requestLogs"]
    shown = calls("GetRequestLog", id=row["id"], includeBodies=True)
    assert (shown["requestId"], shown["status"]) == (trace.id, row["status"])
    (piece,) = streamed("ExportRequestLogs", format="jsonl", filter={"requestId": trace.id})
    assert json.loads(base64.b64decode(piece["data"]))["id"] == row["id"]
    _, failure = call("ListRequestLogs", filter={"status": "6xx"})
    assert "invalid_argument" in failure
    calls("PurgeRequestLogs", retentionDays=3650)


def test_request_logs_as_they_come():
    # It never ends by itself; its first message says that it has begun.
    arguments = [os.environ["BUF"], "curl", "--protocol", "grpc", "--http2-prior-knowledge"]
    arguments += ["-H", f"authorization: Bearer {ADMIN_KEY}", "-d", "{}", f"http://{GRPC}/{ADMIN}/TailRequestLogs"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout.readline().strip() == "{}"
        CALLED.add("TailRequestLogs")
        tail.terminate()


def test_retention():
    kept = calls("GetRetention")
    changed = calls("UpdateRetention", retention={"logsDays": 31}, updateMask="logsDays")
    assert changed == {**kept, "logsDays": 31}
    assert calls("UpdateRetention", retention=kept, updateMask="logsDays,bodiesDays") == kept


def test_statistics(provider):
    assert "total" in calls("GetStats", hours=1)
    calls("ListUsage", interval="month", groupBy="provider,model,key,team")
    calls("ListProviderStats", provider="buf")


def test_the_last_calls_of_an_association(provider, model):
    made = calls("CreateModelProvider", modelProvider={"modelId": model["id"], "providerId": provider["id"]})
    assert calls("ListModelProviderOutcomes", id=made["id"]) == {}
    assert calls("DeleteModelProvider", id=made["id"]) == {}


def test_the_configuration_goes_out_and_comes_in(provider, model):
    document = calls("ExportConfig", passphrase="correct horse battery")["documentJson"]
    rows = json.loads(document)
    assert "buf" in [row["name"] for row in rows["providers"]] and "buf-model" in [row["name"] for row in rows["models"]]
    request = {"documentJson": document, "onConflict": "replace", "passphrase": "correct horse battery", "dryRun": True}
    report = calls("ImportConfig", **request)
    assert int(report["unchanged"]) > 0 and "differences" not in report
    declared = json.dumps({"models": [{"name": "buf-declared"}]})
    assert calls("ApplyConfig", documentJson=declared, dryRun=True)["created"] == "1"


def test_sessions():
    made = calls("CreateSession")
    assert (made["actor"], made["role"]) == ("bootstrap", "admin") and made["token"].startswith("llmo_session_")
    session, _ = call("GetSession", key=made["token"])
    assert session == {name: made[name] for name in ("actor", "role", "expiresAt", "id")}
    _, failure = call("CreateSession", key=made["token"])
    assert "already_exists" in failure or "failed_precondition" in failure or "aborted" in failure
    ended, failure = call("DeleteSession", key=made["token"])
    assert (ended, failure) == ({}, None)
    CALLED.add("DeleteSession")
    _, failure = call("GetSession", key=made["token"])
    assert "unauthenticated" in failure


def test_operators_keys():
    made = calls("CreateAdminKey", adminKey={"name": "buf-operator", "role": "viewer"})
    secret = made.pop("secret")
    assert secret.startswith("llmo_admin_") and secret.startswith(made["prefix"])
    session, _ = call("GetSession", key=secret)
    assert session == {"actor": "buf-operator", "role": "viewer"}
    assert calls("GetSession")["actor"] == "bootstrap"
    _, failure = call("CreateModel", key=secret, model={"name": "not-his"})
    assert "permission_denied" in failure and "operator" in failure
    check("AdminKey", "adminKeys", made, {"role": "operator"})
    rotated = calls("RotateAdminKey", id=made["id"])
    assert rotated["secret"] != secret
    _, failure = call("GetSession", key=secret)
    assert "unauthenticated" in failure
    log = calls("ListAuditLog", noun="admin_key", target=made["id"])["auditEntries"]
    assert [entry["action"] for entry in log] == ["rotate", "update", "create"]
    assert calls("DeleteAdminKey", id=made["id"]) == {}


def test_a_key_that_its_provider_refuses_is_an_alert_until_somebody_knows(trace):
    ask_in_vain(trace, "rejects-key")
    open_ones = lambda: calls("ListAlerts", openOnly=True).get("alerts", [])
    until(open_ones, 10.0, "no alert")
    alert = open_ones()[0]
    assert alert["kind"] == "provider_key_refused" and alert["subject"].startswith("provider_key:")
    assert calls("AcknowledgeAlert", id=alert["id"])["acknowledgedAt"]
    assert alert["id"] not in [still["id"] for still in open_ones()]
    _, failure = call("AcknowledgeAlert", id="none")
    assert "not_found" in failure


def test_the_level_of_the_log():
    assert calls("SetLogLevel", level="debug", expiresSeconds=600)["overruled"]
    assert calls("GetLogLevel")["level"] == "debug"
    assert "overruled" not in calls("SetLogLevel", level="")
    _, failure = call("SetLogLevel", level="loud")
    assert "invalid_argument" in failure


def test_status():
    status = calls("GetStatus")
    assert status["database"] == "up"
    # The clients before this one have had providers fail: that is all that may be wrong.
    complaints = status.get("degraded", [])
    assert all(what.endswith(("providers are unhealthy", "breakers are not closed")) for what in complaints)
    assert status["status"] == ("degraded" if complaints else "healthy")


@pytest.mark.parametrize("key", [None, "wrong", os.environ["GATEWAY_KEY"]])
def test_without_the_admin_key_nothing_is_shown(key):
    _, failure = call("ListProviders", key=key)
    assert "unauthenticated" in failure or "permission_denied" in failure


def test_what_was_made_can_be_deleted(provider, model):
    for noun, made in (("Provider", provider), ("Model", model)):
        assert calls(f"Delete{noun}", id=made["id"]) == {}
        _, failure = call(f"Get{noun}", id=made["id"])
        assert "not_found" in failure


def test_every_method_that_reflection_lists_was_called():
    listed = buf("--list-methods", f"http://{GRPC}")
    assert listed.returncode == 0, listed.stderr
    methods = {line.rpartition("/")[2] for line in listed.stdout.split() if line.startswith(f"{ADMIN}/")}
    assert len(methods) >= 72
    assert methods - CALLED == set()
