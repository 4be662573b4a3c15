# SPDX-License-Identifier: MIT
"""What the fake servers of other kinds (fake_llama_swap.py, fake_ollama.py) share: a server in a
thread on a free port of the loopback, which writes down what it was asked."""
import http.server
import json
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, kind="text/plain; charset=utf-8", **fields):
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body.encode()
        if isinstance(body, (dict, list)):
            kind = "application/json"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, body))
        with self.server.lock:
            self.route(self.path.split("?")[0], body)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = handle_any

    def log_message(self, *args):
        pass


class Fake(http.server.ThreadingHTTPServer):
    """A subclass names its `handler`, a Handler with route(path, body)."""
    handler = Handler

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.handler)
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.asked = []  # (method, path, body)
        self.lock = threading.RLock()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()
