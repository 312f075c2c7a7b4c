"""The suites, and what each needs. **To add one**, add a row to `SUITES`: how it is prepared, and the command that runs it.

All that is installed or generated lies in `target/clients`: it may be deleted at any time, and is made anew when a pinned
version or the contract changes. A suite finds the gateway by the variables that `programs.Gateway.environment` gives.
"""

import collections
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

from programs import ROOT, TARGET, Failure

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = TARGET / "clients"
PROTO = ROOT / "proto"
VENV = FOLDER / "python"
PYTHON = str(VENV / "bin" / "python")
STUBS = FOLDER / "stubs"
SCHEMA = FOLDER / "schema"
NODE = FOLDER / "node"
UI = FOLDER / "ui"
BUF = NODE / "node_modules" / ".bin" / "buf"
GO = FOLDER / "go"
# Of the versions in requirements.txt.
OLDEST_PYTHON = (3, 11)
# Seconds. A suite takes less than ten.
ENDS_WITHIN = 300
GO_PACKAGE = "clients/orchestratorv1"


class Missing(Exception):
    """A language that is not there; says what to install."""


class Suite(collections.namedtuple("Suite", "name prepare command folder")):
    def run(self, environment):
        """Runs it; whether it passed. What it prints is its own."""
        # The clients must find 127.0.0.1 whatever proxy the machine uses.
        full = {**os.environ, **environment, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "BUF": str(BUF), **GO_ENVIRONMENT}
        full.update(CHROMIUM=shutil.which("chromium") or "", PROGRAMS=str(TARGET / "debug"))
        full["PYTHONPATH"] = str(STUBS)
        try:
            return subprocess.run(self.command, cwd=self.folder, env=full, timeout=ENDS_WITHIN).returncode == 0
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not end within {ENDS_WITHIN} s")
            return False


def once(stamp, inputs, make):
    """Calls `make` unless it was called for the same inputs before."""
    digest = hashlib.sha256()
    for path in sorted(inputs):
        digest.update(path.read_bytes())
    digest.update(f"{HERE} {sys.version}".encode())
    stamp = FOLDER / f"{stamp}.stamp"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    make()
    stamp.write_text(digest.hexdigest())


def command(*arguments, cwd=ROOT, **environment):
    done = subprocess.run([str(part) for part in arguments], cwd=cwd, env={**os.environ, **environment})
    if done.returncode:
        raise Failure(f"`{' '.join(str(part) for part in arguments)}` ended with {done.returncode}")


def needs(program, what):
    if not shutil.which(program):
        raise Missing(f"`{program}` is not there; install {what}")


def protos():
    return sorted((PROTO / "orchestrator" / "v1").glob("*.proto"))


def prepare_python():
    requirements = HERE / "python" / "requirements.txt"
    if sys.version_info < OLDEST_PYTHON:
        raise Failure(f"the pinned packages need Python 3.11 or newer, and this is {sys.version.split()[0]}; set PYTHON=…")

    def install():
        shutil.rmtree(VENV, ignore_errors=True)
        try:
            command(sys.executable, "-m", "venv", VENV)
        except Failure:
            raise Failure("no virtual environment can be made; install Python's venv (Debian, Ubuntu: python3-venv)") from None
        command(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements)

    def generate():
        shutil.rmtree(STUBS, ignore_errors=True)
        STUBS.mkdir(parents=True)
        protoc(f"--python_out={STUBS}", f"--grpc_python_out={STUBS}")

    once("python", [requirements], install)
    once("stubs", [requirements, *protos()], generate)


def protoc(*outputs, **environment):
    command(PYTHON, "-m", "grpc_tools.protoc", f"-I{PROTO}", *outputs, *protos(), **environment)


def prepare_schema():
    requirements = HERE / "schema" / "requirements.txt"

    def install():
        shutil.rmtree(SCHEMA, ignore_errors=True)
        command(sys.executable, "-m", "venv", SCHEMA)
        command(SCHEMA / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements)

    once("schema", [requirements], install)


def npm_packages(name, folder):
    """The packages of `name/` and its scripts, in `folder`: Node finds packages beside the file that asks for them."""
    needs("node", "Node.js 20 or newer")
    needs("npm", "npm, which comes with Node.js")
    files = [HERE / name / file for file in ("package.json", "package-lock.json", ".npmrc")]

    def install():
        folder.mkdir(parents=True, exist_ok=True)
        copy(files, folder)
        # Not `npm ci`: it refuses a lock without the packages of other platforms, which a registry may not have.
        command("npm", "install", "--no-progress", cwd=folder)

    once(name, files, install)
    copy((HERE / name).glob("*.mjs"), folder)


def prepare_node():
    npm_packages("node", NODE)


def prepare_ui():
    if subprocess.run(["sh", str(ROOT / "testkit" / "packages.sh"), "browser"]).returncode:
        raise Missing("there is no Chromium")
    npm_packages("ui", UI)


def prepare_buf():
    prepare_python()
    prepare_node()


def prepare_go():
    needs("go", "Go 1.21 or newer (it fetches the version that go.mod names)")
    prepare_python()
    files = [HERE / "go" / name for name in ("go.mod", "go.sum")]

    def generate():
        shutil.rmtree(GO / "orchestratorv1", ignore_errors=True)
        (GO / "bin").mkdir(parents=True, exist_ok=True)
        copy(files, GO)
        command("go", "build", "-o", GO / "bin", "google.golang.org/protobuf/cmd/protoc-gen-go",
                "google.golang.org/grpc/cmd/protoc-gen-go-grpc", cwd=GO, **GO_ENVIRONMENT)
        outputs = []
        for plugin in ("go", "go-grpc"):
            outputs += [f"--{plugin}_out={GO}", f"--{plugin}_opt=module=clients"]
            outputs += [f"--{plugin}_opt=Morchestrator/v1/{proto.name}={GO_PACKAGE}" for proto in protos()]
        protoc(*outputs, PATH=f"{GO / 'bin'}{os.pathsep}{os.environ['PATH']}")

    once("go", [*files, *protos()], generate)
    copy((HERE / "go").glob("*.go"), GO)
    command("go", "test", "-c", "-o", GO / "bin" / "suite", ".", cwd=GO, **GO_ENVIRONMENT)


def copy(files, folder):
    for file in files:
        shutil.copy(file, folder)


# Caches of its own; `-modcacherw`: so that the folder can be deleted like any other.
GO_ENVIRONMENT = {
    "GOCACHE": str(FOLDER / "go-build"),
    "GOMODCACHE": str(FOLDER / "go-modules"),
    "GOFLAGS": "-modcacherw -buildvcs=false",
}
PYTEST = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
SUITES = [
    Suite("python-openai", prepare_python, [*PYTEST, "test_openai.py"], HERE / "python"),
    Suite("python-openai-vendors", prepare_python, [*PYTEST, "test_openai_vendors.py"], HERE / "python"),
    Suite("python-anthropic", prepare_python, [*PYTEST, "test_anthropic.py"], HERE / "python"),
    Suite("python-gemini", prepare_python, [*PYTEST, "test_gemini.py"], HERE / "python"),
    Suite("python-agents", prepare_python, [*PYTEST, "test_agents.py"], HERE / "python"),
    Suite("python-count", prepare_python, [*PYTEST, "test_count.py"], HERE / "python"),
    Suite("python-grpc", prepare_python, [*PYTEST, "test_grpc.py"], HERE / "python"),
    Suite("buf-admin", prepare_buf, [*PYTEST, "test_admin.py"], HERE / "python"),
    Suite("schemathesis", prepare_schema, [str(SCHEMA / "bin" / "python"), "run.py"], HERE / "schema"),
    Suite("node-openai", prepare_node, ["node", "--test", "--test-reporter=spec", "openai.test.mjs"], NODE),
    Suite("ui", prepare_ui, ["node", "--test", "--test-reporter=spec", "interface.test.mjs", "pages.test.mjs", "access.test.mjs", "outage.test.mjs"], UI),
    Suite("go-grpc", prepare_go, [str(GO / "bin" / "suite"), "-test.v"], GO),
]
