"""A provider that speaks OpenAI's Responses and keeps them, so that there is something to find under their ids."""

import http.server
import itertools
import json
import threading

LISTS = {"object": "list", "data": [], "has_more": False}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    numbers = itertools.count(1)

    def answer(self, body):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def response(self, identity):
        return {
            "id": identity, "object": "response", "created_at": 0, "status": "completed", "model": "m", "output": [], "store": True,
            "usage": {"input_tokens": 50, "output_tokens": 50, "total_tokens": 100},
        }

    def do_POST(self):
        if self.path.endswith("/cancel"):
            return self.answer(self.response(self.path.split("/")[-2]))
        self.answer(self.response(f"resp_{next(self.numbers)}"))

    def do_GET(self):
        if self.path.split("?")[0].endswith("/input_items") or self.path.endswith("/models"):
            return self.answer(LISTS)
        self.answer(self.response(self.path.split("?")[0].split("/")[-1]))

    def do_DELETE(self):
        self.answer({"id": self.path.split("/")[-1], "object": "response", "deleted": True})

    def log_message(self, *_):
        pass


class Scripted:
    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
