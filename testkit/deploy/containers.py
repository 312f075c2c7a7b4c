"""The image and the compose services, without a Docker engine: the image's files below a root of their own, the services as processes."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time

import yaml

from files import COMPOSE, INTERPOLATION, dockerfile_environment
from programs import (
    BINARIES, ENVIRONMENT, IS_ROOT, ROOT, Failure, Missing, Process, call, chat, folder, free_port, gateway, needs, read, run, until,
)
from servers import sql, start_mariadb

PROGRAMS = ("orchestrator-edge", "orchestrator-grpc")


def image_runs_unprivileged():
    """The image's files below a root folder that cannot be written, under uid 1000: healthy by its own health check, writing to /data alone."""
    if not IS_ROOT:
        raise Missing("only root can change the root folder; run it as root")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        raise Missing("this machine lets nobody mount; run it where `unshare --mount` works")
    last = read("Dockerfile").split("\nFROM ")[-1]
    copied = re.search(r"^COPY --from=build (.*) (\S+)$", last, re.M)
    if [path.rsplit("/", 1)[1] for path in copied[1].split()] != list(PROGRAMS):
        raise Failure(f"the image has {copied[1]}")
    if not re.search(r"^USER 1000:1000$", last, re.M):
        raise Failure("the image does not run under uid 1000")
    command = json.loads(re.search(r"^CMD (.*)$", last, re.M)[1])
    health = json.loads(re.search(r"^HEALTHCHECK .*?CMD (.*)$", last, re.M)[1])
    with folder() as home:
        root = assemble(home / "root", copied[2])
        data = home / "data"
        data.mkdir()
        os.chown(data, 1000, 1000)
        ports = {"APP_PORT": str(free_port()), "GRPC_PORT": str(free_port()), "METRICS_PORT": "0", "APP_HOST": "127.0.0.1", "GRPC_HOST": "127.0.0.1", "METRICS_HOST": "127.0.0.1"}
        environment = {**dockerfile_environment(), "PATH": "/usr/local/bin:/usr/bin:/bin", **ports}
        base = f"http://127.0.0.1:{ports['APP_PORT']}"
        for arguments, check in ((command, health), (["orchestrator-grpc"], ["orchestrator-grpc", "health"])):
            with Process(arguments[0], inside(root, data, environment, arguments), home) as process:
                process.wait_until("healthy", 60, lambda check=check: succeeds(inside(root, data, environment, check)))
                if arguments == command and chat(base, (data / "client.key").read_text().strip()) != "Hello":
                    raise Failure("echo said something else")
                for path in ("/x", "/usr/local/bin/x", "/tmp/x", "/etc/x"):
                    if succeeds(inside(root, data, environment, ["sh", "-c", f"echo x >{path}"])):
                        raise Failure(f"{path} could be written")
                if process.stop() != 0:
                    raise Failure(f"{arguments[0]} did not end well: {process.end_of_log()}")
        strangers = [path for path in data.rglob("*") if path.stat().st_uid != 1000]
        if strangers:
            raise Failure(f"not uid 1000's: {strangers}")


def assemble(root, programs):
    """The files of the image's last stage: a small system with `sh`, and the programs."""
    for path in ("usr/bin", "usr/lib", "etc", "data", "tmp", "proc", "dev", programs.strip("/")):
        (root / path).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to("usr/bin" if name == "bin" else "usr/lib")
    files = [(BINARIES / name, root / programs.strip("/") / name) for name in PROGRAMS]
    files += [(shutil.which(name), root / "usr/bin" / name) for name in ("sh", "env", "sleep")]
    for source, target in files:
        gateway(source.name) if target.name in PROGRAMS else None
        shutil.copy(source, target)
        target.chmod(0o755)
        for library in re.findall(r"(/\S+) \(0x", run("ldd", source)):
            shutil.copy(library, root / "usr/lib" / library.rsplit("/", 1)[1])
            if "ld-linux" not in library:
                inner = root / os.path.dirname(os.path.realpath(library)).lstrip("/")
                inner.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, inner)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\norchestrator:x:1000:1000::/data:/usr/sbin/nologin\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    return root


def inside(root, data, environment, arguments):
    """A command that runs `arguments` below `root`, mounted read-only but for /data, as the image's user."""
    mounts = f'mount --bind "{root}" "{root}" && mount --bind "{data}" "{root}/data" && mount -o remount,bind,ro "{root}"'
    variables = [f"{name}={value}" for name, value in environment.items()]
    script = f'{mounts} && exec setpriv --no-new-privs chroot --userspec=1000:1000 "{root}" /usr/bin/env -i "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *variables, *arguments]


def succeeds(command, environment=None):
    done = subprocess.run(command, env={**ENVIRONMENT, **(environment or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    succeeds.said = f"{done.stdout}{done.stderr}".strip()
    return done.returncode == 0


def compose_services_become_healthy():
    """Commands, environments and health checks of all compose services as plain processes, in development and then in production."""
    needs("mariadb", "mariadb-client")
    needs("redis-cli", "redis-tools")
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", read(".env.example"), re.M))
    with folder() as home:
        volumes = home / "volumes"
        volumes.mkdir(mode=0o755)
        spread = Stack(COMPOSE[:1], example, home, volumes).run(expect_development)
        keys = {path.name: path.read_text() for path in sorted((volumes / "keys").iterdir()) if path.suffix == ".key"}
        # The same volumes, as an installation that becomes one for production.
        Stack(COMPOSE, example, home, volumes).run(expect_production)
        if keys != {name: (volumes / "keys" / name).read_text() for name in keys}:
            raise Failure("another start made other keys")
        other = home / "other"
        other.mkdir(mode=0o755)
        Stack(COMPOSE[:1], example, home, other).secrets()
        if any((other / "keys" / name).read_text() == text for name, text in keys.items()):
            raise Failure("two installations have the same key")
    return spread


class Stack:
    """The services of compose files, over volumes that are folders. What is a host's name and port there is a port of this machine here."""

    def __init__(self, files, given, home, volumes):
        self.home, self.volumes = home, volumes
        self.services = {}
        for path in files:
            for name, service in yaml.safe_load(read(path))["services"].items():
                merged = self.services.setdefault(name, {})
                environment = {**merged.get("environment", {}), **service.get("environment", {})}
                merged.update(service, environment=environment)
        self.given = given
        self.ports = {name: free_port() for name in ("app", "core-1", "core-2", "db", "redis")}
        self.running = []

    def fill_in(self, text):
        """A text of a compose file as the engine reads it: from `.env` and defaults."""
        return INTERPOLATION.sub(lambda match: "$" if not match[1] else self.given.get(match[1]) or match[2] or "", str(text))

    def here(self, text, service):
        """The same on this machine: folders instead of mounts, ports instead of names."""
        text = self.fill_in(text)
        for mount in sorted(self.services[service].get("volumes", []), key=lambda mount: -len(mount.split(":")[1])):
            source, target = mount.split(":")[:2]
            path = ROOT / source if source.startswith(".") else self.volumes / source
            text = re.sub(rf"(?<![\w/-]){re.escape(target)}(?![\w.-])", str(path), text)
        for name, port in ((f"{name}:{usual}", self.ports[name]) for name, usual in USUAL.items()):
            text = text.replace(name, f"127.0.0.1:{port}")
        return text

    def environment(self, name):
        return {key: self.here(value, name) for key, value in self.services[name]["environment"].items()}

    def command(self, name):
        return [self.here(part, name) for part in self.services[name]["command"]]

    def run(self, expectations):
        """Starts everything in the order of `depends_on`, asks what is expected, and ends it in the opposite order."""
        with contextlib.ExitStack() as stack:
            self.stack = stack
            self.secrets()
            for name in self.order():
                self.start(name)
                self.wait_for_health(name)
            said = expectations(self)
            for name, process in reversed(self.running):
                grace = int(self.services[name]["stop_grace_period"].rstrip("s"))
                code = process.stop(grace)
                if code != 0:
                    raise Failure(f"{name} ended with {code}: {process.end_of_log()}")
        return said

    def order(self):
        """Every service that stays, after those that it waits for to be healthy."""
        ordered = []

        def add(name):
            for other, condition in self.services[name].get("depends_on", {}).items():
                if condition["condition"] == "service_healthy":
                    add(other)
            if name not in ordered:
                ordered.append(name)

        for name in sorted(USUAL):
            add(name)
        return ordered

    def secrets(self):
        for mount in self.services["secrets"]["volumes"]:
            if not mount.startswith("."):
                (self.volumes / mount.split(":")[0]).mkdir(exist_ok=True)
        run(*self.command("secrets"), environment=self.environment("secrets"))

    def start(self, name):
        if name == "db":
            process = self.start_database()
        elif name == "redis":
            process = self.start_redis()
        else:
            (self.volumes / f"{name}-data").mkdir(exist_ok=True)
            settings = {**dockerfile_environment(), "APP_HOST": "127.0.0.1", "GRPC_HOST": "127.0.0.1", "METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
            settings |= {"APP_PORT": self.ports["app"], "GRPC_PORT": self.ports.get(name), "DATA_DIR": self.here("/data", name)}
            self.own = {key: str(value) for key, value in (settings | self.environment(name)).items()}
            process = Process(name, self.command(name), self.home, self.own, cwd=self.volumes)
        self.running.append((name, self.stack.enter_context(process)))

    def start_database(self):
        """What the image's entry point does with the variables that it is given."""
        given = self.environment("db")
        cnf = self.home / "mysql.cnf"
        shutil.copy(ROOT / "deploy/mysql.cnf", cnf)
        cnf.chmod(0o644)
        process = start_mariadb(self.volumes / "db-data", self.ports["db"], [f"--defaults-file={cnf}"])
        database, user = given["MARIADB_DATABASE"], given["MARIADB_USER"]
        with open(given["MARIADB_PASSWORD_FILE"]) as file:
            password = file.read().strip()
        for statement in (f"CREATE DATABASE IF NOT EXISTS {database}", f"CREATE USER IF NOT EXISTS {user}@'%' IDENTIFIED BY '{password}'",
                          f"GRANT ALL ON {database}.* TO {user}@'%'"):
            sql(process, statement)
        return process

    def start_redis(self):
        """The shipped file, with this machine's port and folders."""
        data = self.volumes / "redis-data"
        data.mkdir(exist_ok=True)
        changes = {"port 6379": f"port {self.ports['redis']}", "dir /data": f"dir {data}", "bind * -::*": "bind 127.0.0.1",
                   "/run/redis-secret": str(self.volumes / "redis-secret")}
        text = read("deploy/redis.conf")
        for what, by in changes.items():
            if what not in text:
                raise Failure(f"deploy/redis.conf has no {what!r}")
            text = text.replace(what, by)
        (self.home / "redis.conf").write_text(text)
        command = [part.replace("/etc/redis/redis.conf", str(self.home / "redis.conf")) for part in self.services["redis"]["command"]]
        return Process("redis", command, self.home)

    def wait_for_health(self, name):
        """The service's own health check, as often and as long as the engine would."""
        check = self.services[name]["healthcheck"]
        kind, *rest = [self.here(part, name) for part in check["test"]]
        command = ["sh", "-c", rest[0]] if kind == "CMD-SHELL" else rest
        command = [part.replace("redis-cli ", f"redis-cli -p {self.ports['redis']} ") for part in command]
        environment = {"MYSQL_TCP_PORT": str(self.ports["db"])}
        if name.startswith(("app", "core")):
            environment |= self.own
        seconds = {key: int(check.get(key, "0s").rstrip("s")) for key in ("interval", "start_period")}
        within = seconds["start_period"] + seconds["interval"] * check["retries"]
        process = self.running[-1][1]
        try:
            process.wait_until("healthy", within, lambda: succeeds(command, environment))
        except Failure as failure:
            raise Failure(f"{failure}\nits health check said: {succeeds.said}") from None

    def key(self, name):
        return (self.volumes / "keys" / f"{name}.key").read_text().strip()

    @property
    def base(self):
        return f"http://127.0.0.1:{self.ports['app']}"


USUAL = {"app": 8000, "core-1": 50051, "core-2": 50051, "db": 3306, "redis": 6379}


def expect_development(stack):
    """Both cores answer, with the one key; their records are in the one database."""
    for number in range(12):
        if chat(stack.base, stack.key("client"), words=f"Hello {number}") != f"Hello {number}":
            raise Failure("echo said something else")
    if call("GET", f"{stack.base}/v1/models", "sk-orch-nobodys")[0] != 401:
        raise Failure("a wrong key was let in")
    if call("GET", f"{stack.base}/admin/providers", stack.key("admin"))[0] != 200:
        raise Failure("the admin key does not open Admin")
    database = dict(stack.running)["db"]
    recorded = "SELECT COUNT(*) FROM request_logs WHERE origin = 'caller' AND outcome = 'ok'"
    until("12 requests are on record", 20, lambda: sql(database, recorded, "llm").strip() == "12")
    kept = [core for core in ("core-1", "core-2") if any((stack.volumes / f"{core}-data" / "journal").iterdir())]
    if kept != ["core-1", "core-2"]:
        raise Failure(f"only {kept} keep a journal")
    return survives_a_core(stack)


def survives_a_core(stack):
    """With callers who ask without a pause, a core is stopped as its engine stops it and started again: nobody is refused."""
    stopping, failures, answered = threading.Event(), [], []

    def ask():
        while not stopping.is_set():
            try:
                answered.append(chat(stack.base, stack.key("client")))
            except Failure as failure:
                failures.append(str(failure))

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        time.sleep(0.5)
        process = dict(stack.running)["core-2"]
        stack.running = [(name, other) for name, other in stack.running if name != "core-2"]
        code = process.stop()
        time.sleep(0.5)
        stack.start("core-2")
        stack.wait_for_health("core-2")
        time.sleep(0.5)
    finally:
        stopping.set()
        for caller in callers:
            caller.join()
    if code != 0:
        raise Failure(f"core-2 ended with {code}: {process.end_of_log()}")
    if failures:
        raise Failure(f"{len(failures)} of {len(failures) + len(answered)} requests failed while core-2 was restarted: {failures[0]}")
    return f"{len(answered)} requests while core-2 was restarted, none failed"


def expect_production(stack):
    """No echo, no key made by the program; what was stored before is served."""
    for core in ("core-1", "core-2"):
        made = [path.name for path in (stack.volumes / f"{core}-data").glob("*.key")]
        if made:
            raise Failure(f"{core} made {made} though keys were given")
    status, text = call("GET", f"{stack.base}/version")
    if json.loads(text)["environment"] != "production":
        raise Failure(f"GET /version says {text}")
    if call("GET", f"{stack.base}/v1/models", stack.key("client"))[0] != 200:
        raise Failure("the caller's key is not known any more")
