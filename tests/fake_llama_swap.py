# SPDX-License-Identifier: MIT
"""llama-swap as its clients see it, without engines: the routes that concern loading, and for all
others what Go's ServeMux answers. Models are strings; `running` has those with a process.
"""
import re
import time
import urllib.parse

from fake_http import Fake, Handler

ROUTES = [("GET", r"/v1/models"), ("GET", r"/running"), ("GET", r"/unload"), ("GET", r"/health"),
          ("GET", r"/"), ("GET", r"/api/version"), ("POST", r"/api/models/unload"),
          ("POST", r"/api/models/unload/.*")]
OPEN = ["/health", "/"]


class LlamaSwapHandler(Handler):
    def route(self, path, body):
        if "//" in path:
            self.answer(307, "", Location=re.sub("//+", "/", path))
            return
        methods = [m for m, pattern in ROUTES if re.fullmatch(pattern, path)]
        if not methods:
            self.answer(404, "404 page not found\n")
        elif self.command not in methods:
            self.answer(405, "Method Not Allowed\n", Allow=", ".join(methods))
        elif self.server.key and path not in OPEN and not self.has_key():
            self.refuse(401, "unauthorized: invalid or missing API key")
        else:
            self.known(path)

    def has_key(self):
        return self.headers.get("Authorization") == f"Bearer {self.server.key}"

    def refuse(self, status, message):
        if "application/json" in self.headers.get("Accept", ""):
            self.answer(status, {"error": message})
        else:
            self.answer(status, f"llama-swap: {message}")

    def known(self, path):
        swap = self.server
        if path == "/v1/models":
            self.answer(200, {"object": "list", "data": [
                {"id": m, "object": "model", "created": 1, "owned_by": "llama-swap"}
                for m in sorted(swap.models) if m not in swap.unlisted]})
        elif path == "/running":
            swap.settle()
            self.answer(200, {"running": [
                {"model": m, "state": state, "cmd": "llama-server", "proxy": "http://localhost:5800",
                 "ttl": 0, "name": "", "description": ""} for m, state in sorted(swap.running.items())]})
        elif path == "/unload":
            swap.end(*swap.running)
            self.answer(200, "OK")
        elif path == "/api/models/unload":
            swap.end(*swap.running)
            self.answer(200, {"msg": "ok"})
        elif path.startswith("/api/models/unload/"):
            self.unload_one(urllib.parse.unquote(path.removeprefix("/api/models/unload/")))
        elif path == "/health":
            self.answer(200, "OK")
        elif path == "/":
            self.answer(302, "", Location="/ui")
        else:
            self.answer(200, {"version": "fake", "commit": "0", "build_date": ""})

    def unload_one(self, model):
        if model not in self.server.models:
            self.refuse(404, "model not found")
            return
        self.server.end(model)
        self.answer(200, "OK")


class FakeLlamaSwap(Fake):
    handler = LlamaSwapHandler

    def __init__(self, models, running=(), unlisted=(), key=None, returns=None):
        """`returns`: a model that somebody loads again a moment after its unload."""
        super().__init__()
        self.models, self.unlisted, self.key = set(models), set(unlisted), key
        self.running = {m: "ready" for m in running}
        self.returns, self.ended = returns, None

    def end(self, *models):
        for model in list(models):
            self.running.pop(model, None)
            if model == self.returns:
                self.ended = time.monotonic()

    def settle(self):
        if self.ended and time.monotonic() - self.ended > 0.02:
            self.running[self.returns] = "starting"
