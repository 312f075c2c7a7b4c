"""The programs under test as processes: the scenes' provider and a gateway of one channel. Ports are free ones, every process
is ended by its own handle, and its logs are shown when something went wrong."""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import secrets
import subprocess
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
STARTS_WITHIN = 60
ENDS_WITHIN = 40
LOG_LINES = 30

Keys = collections.namedtuple("Keys", "client admin")


class Failure(Exception):
    """What makes going on senseless."""


def call(method, url, key=None, body=None, key_header="authorization"):
    """Status and JSON of an answer."""
    headers = {"content-type": "application/json"}
    if key:
        headers[key_header] = f"Bearer {key}" if key_header == "authorization" else key
    if key_header == "x-api-key":
        headers["anthropic-version"] = "2023-06-01"
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, parts.path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


class Process:
    """A program of the debug build, with its log in a file of `home`."""

    def __init__(self, program, arguments, home, environment, stdout=subprocess.DEVNULL):
        self.name = program
        self.log = pathlib.Path(home) / f"{program}.log"
        with open(self.log, "w") as log:
            self.child = subprocess.Popen(
                [str(TARGET / "debug" / program), *arguments],
                cwd=home, env=environment, stdin=subprocess.PIPE, stdout=stdout, stderr=log, text=True,
            )

    def wait_for_log(self, message):
        """The fields of the first line of the JSON log with that message."""
        end = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < end:
            for line in self.log.read_text().splitlines():
                if message in line:
                    return json.loads(line)
            if self.child.poll() is not None:
                break
            time.sleep(0.02)
        self.show_log()
        raise Failure(f"{self.name} did not say {message!r}")

    def stop(self):
        """Asks it to end, and gives its exit code; None when it had to be killed."""
        self.child.terminate()
        try:
            return self.child.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self):
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout):
            if pipe:
                pipe.close()

    def show_log(self):
        print(f"-- the end of the log of {self.name} --")
        print("\n".join(self.log.read_text().splitlines()[-LOG_LINES:]))


class Provider:
    """The scenes' provider (`testkit-provider`)."""

    def __init__(self, *secrets_of_callers):
        self.home = tempfile.TemporaryDirectory(prefix="test-clients-")
        arguments = [part for secret in secrets_of_callers for part in ("--secret", secret)]
        self.process = Process("testkit-provider", arguments, self.home.name, {}, subprocess.PIPE)
        address = self.process.child.stdout.readline().strip()
        if not address:
            self.process.show_log()
            raise Failure("testkit-provider did not start")
        self.control = f"http://{address}/p/control"

    def ask(self, what):
        return call("GET", f"{self.control}/{what}")[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.home.cleanup()


class Gateway:
    """A gateway whose catalog has the scenes: one process, or a core and an edge before it."""

    def __init__(self, channel, keys, provider):
        self.channel, self.keys, self.provider = channel, keys, provider
        self.home = tempfile.TemporaryDirectory(prefix="test-clients-")
        self.processes = []
        try:
            self.start(channel)
        except BaseException:
            self.__exit__()
            raise

    @staticmethod
    def make_keys():
        return Keys(f"client-{secrets.token_urlsafe(24)}", f"admin-{secrets.token_urlsafe(24)}")

    def start(self, channel):
        if channel == "embedded":
            core = edge = self.process("orchestrator-edge", [])
        else:
            core = self.process("orchestrator-grpc", [])
            address = core.wait_for_log("Listening for gRPC")["address"]
            edge = self.process("orchestrator-edge", ["--core", f"http://{address}"])
        edge.wait_for_log("Application startup complete")
        self.grpc = core.wait_for_log("Listening for gRPC")["address"]
        self.rest = "http://" + edge.wait_for_log("Listening for REST")["address"]

    def process(self, program, arguments):
        environment = {
            "APP_PORT": "0", "GRPC_PORT": "0", "METRICS_PORT": "0", "HEALTH_CHECK_ENABLED": "false", "LOG_FORMAT": "json", "ORCHESTRATOR__RUNTIME__THREADS": "2",
            # Soon, so that the scene `slow-start` shows what clients make of an early head and of idle bytes.
            "ORCHESTRATOR__STREAM__EARLY_HEAD_MS": "800", "ORCHESTRATOR__STREAM__IDLE_BYTES_MS": "100",
            "CLIENT_KEY": self.keys.client, "ADMIN_KEY": self.keys.admin,
        }
        process = Process(program, arguments, self.home.name, environment)
        self.processes.append(process)
        return process

    def stage_scenes(self, scenes):
        """Makes a provider and a model for each scene."""
        for scene in scenes:
            provider = {"name": scene["name"], "kind": "openai", "base_url": scene["base_url"], "api_key": scene["key"]}
            provider_id = self.create("providers", {**provider, **scene["provider"]})
            # One attempt: what a client sees is then what the scene does.
            model_id = self.create("models", {"name": scene["name"], "max_retry": 0})
            association = {"model_id": model_id, "provider_id": provider_id, "provider_model": scene["upstream_model"]}
            self.create("model-providers", association)

    def create(self, noun, body):
        status, answer = call("POST", f"{self.rest}/admin/{noun}", self.keys.admin, body)
        if status != 201:
            raise Failure(f"POST /admin/{noun} answered {status}: {answer}")
        return answer["id"]

    def environment(self):
        """What a suite is told."""
        return {
            "GATEWAY_REST": self.rest, "GATEWAY_GRPC": self.grpc, "GATEWAY_KEY": self.keys.client,
            "GATEWAY_CHANNEL": self.channel, "GATEWAY_ADMIN_KEY": self.keys.admin, "PROVIDER_CONTROL": self.provider.control,
        }

    def stop(self):
        """Ends it as an operator would: the edge first. Gives what was not as it should be."""
        wrong = []
        for process in reversed(self.processes):
            code = process.stop()
            if code != 0:
                wrong.append(f"{process.name} ended with {code}")
            if "panicked" in process.log.read_text():
                wrong.append(f"{process.name} panicked")
        return wrong

    def show_logs(self):
        for process in self.processes:
            process.show_log()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        self.home.cleanup()
