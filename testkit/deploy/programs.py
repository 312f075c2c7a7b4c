"""Processes, free ports and folders. Every process is ended by its own handle; where something failed its log is shown."""

import contextlib
import http.client
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse

from run import ROOT, TARGET

BINARIES = TARGET / "debug"
LOG_LINES = 25
IS_ROOT = os.geteuid() == 0
# Debian has servers where only root looks.
os.environ["PATH"] += ":/usr/sbin:/sbin"
# Nothing of the caller's configuration reaches a program under test.
ENVIRONMENT = {"PATH": f"{BINARIES}:{os.environ['PATH']}", "HOME": "/nonexistent", "LANG": "C.UTF-8"}


class Failure(Exception):
    """What is not as it should be."""


class Missing(Exception):
    """A program that is not there; says what to install."""


def needs(program, package):
    path = shutil.which(program)
    if not path:
        raise Missing(f"{program} is not there; install {package}")
    return path


def gateway(program):
    path = BINARIES / program
    if not path.exists():
        raise Failure(f"{path} is not there; build it first: cargo build -p orchestrator-edge -p orchestrator-grpc --bins")
    return str(path)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def folder():
    """A temporary folder that other users may walk through."""
    with tempfile.TemporaryDirectory(prefix="test-deploy-") as path:
        os.chmod(path, 0o755)
        yield pathlib.Path(path)


def user(name):
    """As which user a server runs that refuses root; None where this is not root."""
    if not IS_ROOT:
        return None
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        raise Missing(f"there is no user {name}") from None


def run(*command, environment=None, **options):
    """What a program that ended well has printed; both its outputs are in the failure of one that did not."""
    done = subprocess.run(
        [str(part) for part in command], env={**ENVIRONMENT, **(environment or {})}, stdin=options.pop("stdin", subprocess.DEVNULL),
        capture_output=True, text=True, timeout=options.pop("timeout", 120), **options,
    )
    if done.returncode:
        raise Failure(f"{' '.join(str(part) for part in command)} ended with {done.returncode}: {done.stdout}{done.stderr}".strip())
    return done.stdout


def until(what, within, ask):
    """What `ask` gives as soon as it is true."""
    end = time.monotonic() + within
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {within} s")
        time.sleep(0.1)


def call(method, url, key=None, body=None):
    """Status and text of an answer; status 0 where nobody answers."""
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    with contextlib.closing(connection):
        try:
            connection.request(method, parts.path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            return 0, str(error)


def chat(base, key, model="echo", words="Hello"):
    """What a model said."""
    status, text = call("POST", f"{base}/v1/chat/completions", key, {"model": model, "messages": [{"role": "user", "content": words}]})
    if status != 200:
        raise Failure(f"a chat was answered with {status}: {text}")
    return json.loads(text)["choices"][0]["message"]["content"]


class Process:
    """A program that runs until it is told to end."""

    def __init__(self, name, command, home, environment=None, **options):
        self.name, self.log = name, pathlib.Path(home) / f"{name}.log"
        with open(self.log, "a") as log:
            self.child = subprocess.Popen(
                [str(part) for part in command], cwd=options.pop("cwd", home), env={**ENVIRONMENT, **(environment or {})},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options,
            )

    def wait_until(self, what, within, ask):
        def alive():
            if self.child.poll() is not None:
                raise Failure(f"{self.name} ended with {self.child.returncode}: {self.end_of_log()}")
            return ask()

        try:
            return until(f"{self.name}: {what}", within, alive)
        except Failure as failure:
            raise Failure(f"{failure}\n{self.end_of_log()}") from None

    def end_of_log(self):
        return "\n".join(self.log.read_text().splitlines()[-LOG_LINES:])

    def stop(self, within=45):
        """Asks it to end; its exit code."""
        self.child.terminate()
        try:
            return self.child.wait(within)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise Failure(f"{self.name} did not end within {within} s of SIGTERM") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Asked first: who has processes of its own ends them.
        if self.child.poll() is None:
            with contextlib.suppress(Failure):
                self.stop(10)


@contextlib.contextmanager
def embedded(home, **settings):
    """A gateway in one process, with its base URL and its keys; `settings` are variables."""
    port, grpc = free_port(), free_port()
    environment = {"APP_PORT": str(port), "GRPC_PORT": str(grpc), "METRICS_PORT": "0", "DATA_DIR": str(home / "data"), "ORCHESTRATOR__RUNTIME__THREADS": "2", **settings}
    with Process("orchestrator-edge", [gateway("orchestrator-edge")], home, environment) as process:
        process.base, process.grpc, process.environment = f"http://127.0.0.1:{port}", grpc, environment
        process.wait_until("ready", 60, lambda: call("GET", f"{process.base}/health/ready")[0] == 200)
        process.key = lambda name: (home / "data" / f"{name}.key").read_text().strip()
        yield process


def read(path):
    return (ROOT / path).read_text()
