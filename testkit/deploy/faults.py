"""Prometheus with the shipped rules before a running edge and core: silent while all is well, and firing when a fault is really made."""

import contextlib
import http.server
import json
import resource
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

import monitoring
from programs import Failure, Missing, Process, call, folder, free_port, gateway, needs, read, until

# Requests that the core works on at once, and how many more are asked than the alert's 500.
SESSIONS, MORE = 24, 20
SLOW = 6
INDUCED = ["OrchestratorErrors", "OrchestratorEdgeErrors", "OrchestratorBreakerOpen", "OrchestratorKeyRetired", "OrchestratorSlow"]


class Provider(http.server.BaseHTTPRequestHandler):
    """Providers that speak OpenAI Chat. The path's first part says how: good, failing, refusing, slow, held."""

    protocol_version = "HTTP/1.1"
    released = threading.Event()

    def do_GET(self):
        self.answer(200, {"object": "list", "data": []})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        manner = self.path.split("/")[1]
        if manner == "failing":
            return self.answer(500, {"error": {"message": "out of order"}})
        if manner == "refusing":
            return self.answer(401, {"error": {"message": "this key is no key", "code": "invalid_api_key"}})
        if manner == "slow":
            time.sleep(SLOW)
        if manner == "held":
            self.released.wait(120)
        if body.get("stream"):
            return self.stream()
        message = {"role": "assistant", "content": "Hello"}
        self.answer(200, {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
                          "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    def stream(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for number in range(4):
            choice = {"index": 0, "delta": {"content": f"piece {number} "}, "finish_reason": "stop" if number == 3 else None}
            event = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.02)
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


@contextlib.contextmanager
def providers():
    Provider.released.clear()
    server = Server(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        Provider.released.set()
        server.shutdown()
        server.server_close()


def own_address():
    """An address of this machine that is not the loopback's. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = probe.getsockname()[0]
        except OSError:
            address = "127.0.0.1"
    if address.startswith("127."):
        raise Missing("this machine has no address but the loopback's")
    return address


class Gateway:
    """An edge, its core and a Redis, with what a scrape of each says, and Prometheus' view of them."""

    def __init__(self, home, stack, upstream):
        self.home, self.address = home, own_address()
        redis, grpc, self.metrics, rest = (free_port() for _ in range(4))
        server = Process("redis", [needs("redis-server", "redis-server"), "--port", redis, "--save", "", "--dir", home], home)
        stack.enter_context(server)
        self.core = stack.enter_context(Process("core", [gateway("orchestrator-grpc")], home, {
            "DATA_DIR": str(home / "data"), "GRPC_PORT": str(grpc), "METRICS_HOST": self.address, "METRICS_PORT": str(self.metrics), "REDIS_ENABLED": "true",
            "REDIS_URL": f"redis://127.0.0.1:{redis}/0", "MAX_CONCURRENT_SESSIONS": str(SESSIONS), "MAX_QUEUE_WAIT": "600"}))
        self.edge = stack.enter_context(Process("edge", [gateway("orchestrator-edge")], home, {
            "APP_HOST": self.address, "APP_PORT": str(rest), "CORE_ENDPOINT": f"http://127.0.0.1:{grpc}"}))
        self.base, self.rest = f"http://{self.address}:{rest}", rest
        self.edge.wait_until("ready", 60, lambda: call("GET", f"{self.base}/health/ready")[0] == 200)
        self.key, self.admin_key = ((home / "data" / f"{name}.key").read_text().strip() for name in ("client", "admin"))
        self.furnish(upstream)

    def admin(self, path, body):
        status, text = call("POST", f"{self.base}/admin/{path}", self.admin_key, body)
        if status != 201:
            raise Failure(f"POST /admin/{path} was answered with {status}: {text}")
        return json.loads(text)

    def furnish(self, upstream):
        """A provider for each manner, a model that falls from one to another, a price, and a caller with a limit."""
        made = {manner: self.admin("providers", {"name": manner, "kind": "openai_compatible", "base_url": f"{upstream}/{manner}/v1", "api_key": "none"})["id"]
                for manner in ("good", "failing", "refusing", "slow", "held")}
        model = self.admin("models", {"name": "fast"})["id"]
        for manner, priority in (("failing", 2), ("good", 1)):
            self.admin("model-providers", {"model_id": model, "provider_id": made[manner], "provider_model": "m", "priority": priority})
        self.admin("prices", {"kind": "openai_compatible", "upstream_model": "*", "input": "1.00", "output": "2.00"})
        self.limited = self.admin("keys", {"name": "limited", "requests_per_minute": 1})["secret"]

    def ask(self, model, key=None, **more):
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}
        return call("POST", f"{self.base}/v1/chat/completions", key or self.key, body)[0]

    def expect(self, status, *asked, **more):
        if (got := self.ask(*asked, **more)) != status:
            raise Failure(f"{asked} was answered with {got}, not {status}\n{self.core.end_of_log()}")

    def scrape(self):
        """What edge and core say of themselves at both their paths."""
        texts = {}
        for program, base in (("edge", self.base), ("core", f"http://{self.address}:{self.metrics}")):
            for path in ("/health/metrics", "/metrics"):
                status, texts[program] = call("GET", f"{base}{path}")
                if status != 200:
                    raise Failure(f"{base}{path} was answered with {status}: {texts[program]}")
        return texts


class Prometheus:
    """A server with the shipped files, and the command of the compose service. Only targets and times are others."""

    def __init__(self, home, stack, running):
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        settings = yaml.safe_load(read("deploy/prometheus/prometheus.yml"))
        settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        targets = {"llm-orchestrator-core": f"{running.address}:{running.metrics}", "llm-orchestrator-edge": f"{running.address}:{running.rest}"}
        for job in settings["scrape_configs"]:
            job["static_configs"] = [{"targets": [targets.pop(job["job_name"])]}]
        if targets:
            raise Failure(f"Prometheus does not ask {', '.join(targets)}")
        (home / "prometheus.yml").write_text(yaml.safe_dump(settings))
        # An alert waits for 2 s here, not for minutes; what it looks at, and its numbers, are the shipped ones.
        rules = yaml.safe_load(read(monitoring.RULES))
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            rule["for"] = "2s"
        (home / "rules.yml").write_text(yaml.safe_dump(rules))
        command = yaml.safe_load(read("deploy/docker-compose.monitoring.yml"))["services"]["prometheus"]["command"]
        changes = {"/etc/prometheus/": f"{home}/", "=/prometheus": f"={home}/prometheus-data", "=:9090": f"=127.0.0.1:{port}"}
        for old, new in changes.items():
            command = [part.replace(old, new) for part in command]
        process = stack.enter_context(Process("prometheus", [needs("prometheus", "prometheus"), *command], home))
        process.wait_until("ready", 60, lambda: call("GET", f"{self.base}/-/ready")[0] == 200)

    def ask(self, path, **parameters):
        url = f"{self.base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise Failure(f"Prometheus refused {parameters}: {error.read().decode()}") from None

    def alerts(self, *states):
        return sorted({alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] in states})

    def wait_for(self, within, *names):
        """Until these alerts fire."""
        try:
            until("alerts", within, lambda: set(names) <= set(self.alerts("firing")))
        except Failure:
            raise Failure(f"of {', '.join(names)} only these fire after {within} s: {', '.join(self.alerts('firing'))}") from None

    def expect_answers(self):
        """Every query of the dashboard has an answer here, and Prometheus could evaluate every rule."""
        silent = [f"{panel['title']}: {target['expr']}" for panel in monitoring.panels() for target in panel["targets"]
                  if not self.ask("query", query=target["expr"].replace("$__rate_interval", "5m"))["result"]]
        broken = [f"{rule['name']}: {rule.get('lastError')}" for group in self.ask("rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"]
        if silent or broken:
            raise Failure(f"no answer: {'; '.join(silent)} broken: {'; '.join(broken)}")


def alerts_fire():
    """Every promised metric is in real scrapes over this machine's address; no alert without a fault; six fire for faults that are made."""
    promtool = needs("promtool", "prometheus")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit[1], 4096), limit[1]))
    with folder() as home, contextlib.ExitStack() as stack:
        running = Gateway(home, stack, stack.enter_context(providers()))
        prometheus = Prometheus(home, stack, running)
        # A provider that fails while another steps in is nobody's alert.
        for manner in ("echo/echo", "good/m", "slow/m", "fast"):
            running.expect(200, manner)
        for _ in range(15):
            running.expect(200, "good/m", stream=True)
        until("Prometheus has asked both", 20, lambda: len(prometheus.ask("query", query="up == 1")["result"]) == 2)
        time.sleep(5)
        # Providers that nobody has asked yet are probed once the prober comes to them, and one whole answer was slow.
        early = set(prometheus.alerts("firing", "pending")) - {"OrchestratorProviderUnseen", "OrchestratorSlow"}
        if early:
            raise Failure(f"without a fault there are {', '.join(sorted(early))}")
        with induced(running):
            prometheus.wait_for(120, *INDUCED)
        expect_queue_alert(running, prometheus)
        for key in (running.limited,) * 2:
            running.ask("good/m", key)
        scrapes = running.scrape()
        for text in scrapes.values():
            monitoring.promtool_accepts(promtool, "metrics", text=text)
        monitoring.expect_promise(scrapes)
        time.sleep(2)
        prometheus.expect_answers()
    return f"{', '.join([*INDUCED, 'OrchestratorQueueLong'])} fired (`for` shortened to 2 s)"


@contextlib.contextmanager
def induced(running):
    """Until it is left, callers ask for what fails, is refused, and is slow."""
    over = threading.Event()

    def keep_asking(model, pause):
        while not over.wait(pause):
            running.ask(model)

    callers = [threading.Thread(target=keep_asking, args=arguments)
               for arguments in (("failing/m", 0.1), ("fast", 0.2), ("refusing/m", 0.5), *[("slow/m", 0.1)] * 4)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        over.set()
        for caller in callers:
            caller.join()


def expect_queue_alert(running, prometheus):
    """More than 500 requests wait while a provider keeps those that run; let go, every one of them is answered."""
    body = json.dumps({"model": "held/m", "messages": [{"role": "user", "content": "Hello"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {running.key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        waiting = []
        for _ in range(SESSIONS + 500 + MORE):
            caller = stack.enter_context(socket.create_connection((running.address, running.rest), timeout=90))
            caller.sendall((head + body).encode())
            waiting.append(caller)
        prometheus.wait_for(30, "OrchestratorQueueLong")
        Provider.released.set()
        statuses = [caller.recv(12)[9:] for caller in waiting]
        if set(statuses) != {b"200"}:
            raise Failure(f"of {len(statuses)} requests that waited {statuses.count(b'200')} were answered: {sorted(set(statuses))}")
