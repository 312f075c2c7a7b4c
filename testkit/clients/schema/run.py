"""Holds `/openapi.json` to a running edge: an OpenAPI validator reads it, then schemathesis asks what it describes, with good keys, the same
requests each time.

Nothing may answer with a 5xx, a status, a content type, a header or a body that the document does not have, and four of five operations must
answer with a 2xx at least once. `hooks.py` gives requests their keys and ids that there are.

It has a gateway of its own, for it creates, changes and deletes whatever it finds a path for.
"""

import json
import os
import pathlib
import subprocess
import sys
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from openapi_spec_validator import validate  # noqa: E402
from programs import Gateway, Provider, call  # noqa: E402
from scripted import Scripted  # noqa: E402

CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance", "response_schema_conformance",
    "unsupported_method",
]
PHASES = ["examples", "coverage", "fuzzing"]
# A request for each operation that is no use to a fuzzer: this one never ends. It is asked by hand.
ENDLESS = "TailRequestLogs"
EXAMPLES = int(os.environ.get("EXAMPLES", "6"))
SECONDS = 170
NEEDED = 0.8


def main():
    keys = Gateway.make_keys()
    with Provider(keys.client) as provider, Scripted() as scripted, Gateway(os.environ.get("GATEWAY_CHANNEL", "embedded"), keys, provider) as gateway:
        gateway.create("providers", {"name": "scripted", "kind": "openai", "base_url": scripted.url, "api_key": "sk-scripted-0123456789"})
        document = json.load(urllib.request.urlopen(f"{gateway.rest}/openapi.json"))
        validate(document)
        print(f"openapi.json is valid: {len(list(operations(document)))} operations")
        passed = ask(gateway, f"{gateway.rest}/openapi.json", "--exclude-operation-id", ENDLESS)
        if ask(gateway, spoilt(gateway, document), "--include-operation-id", "GetSession", quiet=True):
            print("FAILED: schemathesis has not found out that an answer is not as the document says")
            passed = False
        answered = json.loads((pathlib.Path(gateway.home.name) / "answered.json").read_text())
        # Schemathesis asks for the document, and does not count that.
        answered[ENDLESS], answered["openapi"] = [tail(gateway)], [200]
        passed &= enough(document, answered)
        wrong = gateway.stop()
        if not passed or wrong:
            gateway.show_logs()
    print("\n".join(wrong))
    return 0 if passed and not wrong else 1


def operations(document):
    for item in document["paths"].values():
        yield from (value for method, value in item.items() if method != "servers")


def spoilt(gateway, document):
    """The document with an answer that nobody gives: whoever finds nothing wrong with it has not looked."""
    spoilt = json.loads(json.dumps(document))
    spoilt["components"]["schemas"]["Session"]["required"].append("nothing")
    place = pathlib.Path(gateway.home.name) / "spoilt.json"
    place.write_text(json.dumps(spoilt))
    return str(place)


def ask(gateway, document, *which, quiet=False):
    environment = {
        **os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "GATEWAY_REST": gateway.rest, "GATEWAY_KEY": gateway.keys.client,
        "GATEWAY_ADMIN_KEY": gateway.keys.admin, "ANSWERED": str(pathlib.Path(gateway.home.name) / ("answered-spoilt.json" if quiet else "answered.json")),
    }
    command = [
        str(pathlib.Path(sys.executable).parent / "schemathesis"), "run", document, "--url", gateway.rest, "--checks", ",".join(CHECKS), "--phases", ",".join(PHASES),
        *which, "--generation-deterministic", "--max-examples", str(EXAMPLES), "--request-timeout", "20",
        "--workers", "1", "--continue-on-failure", "--no-shrink", "--suppress-health-check", "all", "--warnings", "off", "--no-color",
        "--generation-with-security-parameters", "false",
    ]
    try:
        return subprocess.run(command, cwd=gateway.home.name, env=environment, timeout=SECONDS, stdout=subprocess.DEVNULL if quiet else None).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"schemathesis did not end within {SECONDS} s")
        return False


def tail(gateway):
    """The head of the stream that never ends."""
    request = urllib.request.Request(f"{gateway.rest}/admin/logs/tail", headers={"authorization": f"Bearer {gateway.keys.admin}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["content-type"] == "text/event-stream", answer.headers
        return answer.status


def enough(document, answered):
    names = sorted(operation["operationId"] for operation in operations(document))
    well = [name for name in names if any(200 <= status < 300 for status in answered.get(name, []))]
    for name in names:
        if name not in well:
            print(f"  never a 2xx: {name}: {sorted(set(answered.get(name, [])))}")
    share = len(well) / len(names)
    print(f"{len(well)} of {len(names)} operations answered 2xx at least once: {share:.1%} (at least {NEEDED:.0%} must)")
    return share >= NEEDED


if __name__ == "__main__":
    sys.exit(main())
