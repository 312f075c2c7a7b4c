"""nginx before edge and core, with the shipped file: TLS, streams that arrive piece by piece, gRPC, and the roads that are closed."""

import contextlib
import http.client
import http.server
import json
import re
import ssl
import threading
import time

from programs import Failure, Process, call, chat, embedded, folder, free_port, gateway, needs, read, run

PIECES = 6
PAUSE = 0.3


class SlowProvider(http.server.BaseHTTPRequestHandler):
    """A provider that speaks OpenAI Chat, a piece every 300 ms."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(PIECES):
            delta = {"content": f"piece {number} "}
            self.event(json.dumps({"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "slow",
                                   "choices": [{"index": 0, "delta": delta, "finish_reason": "stop" if number == PIECES - 1 else None}]}))
            time.sleep(PAUSE)
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, data):
        text = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
        self.wfile.flush()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def slow_provider():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowProvider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def nginx_streams():
    """`nginx -t` accepts the file, and nginx with it streams unbuffered over TLS, passes gRPC, and closes Admin to strangers."""
    nginx, openssl = needs("nginx", "nginx"), needs("openssl", "openssl")
    with folder() as home, slow_provider() as provider, embedded(home) as running:
        ports = {name: free_port() for name in ("plain", "rest", "grpc")}
        configuration = write_configuration(home, openssl, running, ports)
        run(nginx, "-t", "-q", "-p", home, "-c", configuration)
        with Process("nginx", [nginx, "-p", home, "-c", configuration], home) as process:
            process.wait_until("answers", 20, lambda: ask(ports["rest"], "GET", "/health")[0] == 200)
            body = {"name": "slow", "kind": "openai_compatible", "base_url": provider, "api_key": "none"}
            status, text = call("POST", f"{running.base}/admin/providers", running.key("admin"), body)
            if status != 201:
                raise Failure(f"the provider was not made: {status} {text}")
            spread = expect_stream(ports["rest"], running.key("client"))
            expect_rest(ports, running, home)
            expect_grpc(home, ports["grpc"], running.key("client"))
            if process.stop() != 0:
                raise Failure(process.end_of_log())
    return f"{PIECES} pieces arrived over {spread:.1f} s"


def write_configuration(home, openssl, running, ports):
    """The shipped file on this machine: its ports, certificate and folders. The gRPC server is cleartext, since the edge asks it."""
    run(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=llm.example.com",
        "-keyout", home / "llm.key", "-out", home / "llm.crt")
    text = read("deploy/nginx/llm-orchestrator.conf")
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.M)
    rest, grpc = text.split("# gRPC, for programs")
    rest = rest.replace("listen 80;", f"listen 127.0.0.1:{ports['plain']};").replace("listen 443 ssl http2;", f"listen 127.0.0.1:{ports['rest']} ssl http2;")
    grpc = grpc.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{ports['grpc']} http2;")
    # The edge tells nginx by a header to leave streams alone; here the file must do it.
    rest = rest.replace("proxy_http_version 1.1;", "proxy_http_version 1.1; proxy_ignore_headers X-Accel-Buffering;")
    text = f"{rest}# gRPC{grpc}".replace("/etc/nginx/tls", str(home))
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{running.base.rsplit(':', 1)[1]}").replace("127.0.0.1:50051", f"127.0.0.1:{running.grpc}")
    (home / "site.conf").write_text(text)
    paths = "".join(f"{name}_temp_path {home}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    configuration = home / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {home}/nginx.pid; error_log {home}/error.log; events {{}} "
        f"http {{ access_log {home}/access.log; {paths} include {home}/site.conf; }}\n"
    )
    return configuration


def connect(port):
    unverified = ssl._create_unverified_context()
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=unverified)


def ask(port, method, path, headers=None, body=None):
    connection = connect(port)
    with contextlib.closing(connection):
        try:
            connection.request(method, path, body, {"host": "llm.example.com", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError as error:
            return 0, str(error).encode()


def expect_stream(port, key):
    """The pieces arrive as the provider sends them, not together at the end."""
    connection = connect(port)
    with contextlib.closing(connection):
        body = json.dumps({"model": "slow/slow", "stream": True, "messages": [{"role": "user", "content": "Hello"}]})
        connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {key}", "content-type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise Failure(f"a stream was answered with {answer.status}: {answer.read()}")
        times = [time.monotonic() for line in iter(answer.readline, b"") if b"piece" in line]
    if len(times) != PIECES:
        raise Failure(f"{len(times)} pieces arrived")
    gaps = [after - before for before, after in zip(times, times[1:])]
    if min(gaps) < PAUSE / 3:
        raise Failure(f"pieces arrived together: {[round(gap, 2) for gap in gaps]}")
    return times[-1] - times[0]


def expect_rest(ports, running, home):
    status, _ = call("GET", f"http://127.0.0.1:{ports['plain']}/v1/models")
    if status != 301:
        raise Failure(f"cleartext was answered with {status}")
    # A body of more than a megabyte, which is nginx' own bound, and one of more than ours.
    headers = {"authorization": f"Bearer {running.key('client')}", "content-type": "application/json"}
    large = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "x" * 3_000_000}]})
    if ask(ports["rest"], "POST", "/v1/chat/completions", headers, large)[0] != 200:
        raise Failure("a body of 3 MB was not taken")
    if ask(ports["rest"], "POST", "/v1/chat/completions", headers, "x" * (33_554_432 + 1))[0] != 413:
        raise Failure("a body of more than 32 MiB was taken")
    # Admin from this machine is open, and needs its key all the same.
    for path in ("/admin/providers", "/api/admin/providers"):
        if ask(ports["rest"], "GET", path)[0] != 401:
            raise Failure(f"{path} without a key was not a 401")
    logged = (home / "access.log").read_text()
    if "/health" in logged or "/v1/chat/completions" not in logged:
        raise Failure(f"the access log has {logged}")
    expect_closed(read("deploy/nginx/llm-orchestrator.conf"))


def expect_closed(text):
    """Every road of Admin is in the location that strangers are kept out of."""
    pattern = re.search(r"location ~ (\S+) \{\n\s+allow", text)[1]
    roads = ["/admin/providers", "/api/admin/keys", "/api/providers/health", "/api/health-check/config", "/api/health-check/force/x", "/admin",
             "/metrics", "/health/metrics", "/api/v1/metrics", "/api/v1/health/metrics"]
    for road in roads:
        if not re.search(pattern, road):
            raise Failure(f"{road} is open to strangers")
    if re.search(pattern, "/v1/chat/completions"):
        raise Failure("callers are kept out")


def expect_grpc(home, port, key):
    """An edge that reaches its core through nginx only."""
    rest = free_port()
    environment = {"APP_PORT": str(rest), "CORE_ENDPOINT": f"http://127.0.0.1:{port}"}
    with Process("edge-over-nginx", [gateway("orchestrator-edge")], home, environment) as edge:
        base = f"http://127.0.0.1:{rest}"
        edge.wait_until("ready", 20, lambda: call("GET", f"{base}/health/ready")[0] == 200)
        if chat(base, key, words="through nginx") != "through nginx":
            raise Failure("echo said something else over nginx")
