# SPDX-License-Identifier: MIT
"""Ollama as its clients see it, without engines: the routes that concern loading, and for all
others what gin answers. A model that is busy goes when its requests have ended.
"""
import datetime
import json
import time

from fake_http import Fake, Handler

ROUTES = {"/": ["GET", "HEAD"], "/api/version": ["GET", "HEAD"], "/api/tags": ["GET", "HEAD"],
          "/api/ps": ["GET"], "/api/generate": ["POST"], "/api/chat": ["POST"],
          "/v1/models": ["GET"]}
DETAILS = {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
           "parameter_size": "7.6B", "quantization_level": "Q4_K_M"}
GIB = 1 << 30


class OllamaHandler(Handler):
    def route(self, path, body):
        if path not in ROUTES:
            self.answer(404, "404 page not found")
        elif self.command not in ROUTES[path]:
            self.answer(405, "405 method not allowed")
        elif path == "/":
            self.answer(200, "Ollama is running")
        elif path == "/api/version":
            self.answer(200, {"version": "0.12.3"})
        elif path == "/api/tags":
            self.answer(200, {"models": [self.server.model(m) for m in sorted(self.server.models)]})
        elif path == "/api/ps":
            self.answer(200, {"models": self.server.loaded_models()})
        elif path == "/v1/models":
            self.answer(200, {"object": "list", "data": [
                {"id": m, "object": "model", "created": 1, "owned_by": "library"}
                for m in sorted(self.server.models)]})
        else:
            self.generate(body)

    def generate(self, body):
        try:
            wish = json.loads(body)
        except ValueError as error:
            self.answer(400, {"error": str(error)})
            return
        model = self.server.full_name(wish.get("model", ""))
        if model not in self.server.models:
            self.answer(404, {"error": f"model '{wish.get('model', '')}' not found"})
            return
        unload = not wish.get("prompt") and wish.get("keep_alive") in (0, "0", "0s")
        if unload:
            self.server.expire(model)
        else:
            self.server.load(model)
        self.answer(200, {"model": wish["model"], "created_at": "2026-01-01T00:00:00Z",
                          "response": "", "done": True,
                          "done_reason": "unload" if unload else "load"})


class FakeOllama(Fake):
    handler = OllamaHandler

    def __init__(self, models, loaded=(), busy_s=0, returns=None):
        """`busy_s`: how long the loaded ones still answer requests when they are to go; `returns`:
        one that somebody uses right after it was told to go."""
        super().__init__()
        self.models, self.busy_s, self.returns = set(models), busy_s, returns
        self.loaded, self.expires, self.goes = set(), {}, {}
        for model in loaded:
            self.load(model)

    def full_name(self, name):
        """Its own models all have a tag; those of tests need not."""
        return name if name in self.models or ":" in name or not name else name + ":latest"

    def load(self, model):
        self.loaded.add(model)
        self.expires[model] = datetime.datetime.now().astimezone() + datetime.timedelta(minutes=5)

    def expire(self, model):
        if model not in self.loaded:
            return
        self.expires[model] = datetime.datetime.now().astimezone()
        self.goes[model] = time.monotonic() + self.busy_s
        if model == self.returns:
            self.goes.pop(model)
            self.load(model)

    def model(self, name):
        return {"name": name, "model": name, "modified_at": "2026-01-01T00:00:00Z", "size": 4 * GIB,
                "digest": "0123456789abcdef", "details": DETAILS}

    def loaded_models(self):
        for model, at in list(self.goes.items()):
            if time.monotonic() >= at:
                del self.goes[model]
                self.loaded.discard(model)
        return [{**self.model(m), "size": 6 * GIB, "size_vram": 5 * GIB, "context_length": 4096,
                 "expires_at": self.expires[m].isoformat()} for m in sorted(self.loaded)]
