# SPDX-License-Identifier: MIT
"""The script of requests, in acts. An act is a function of a Stage: it makes some requests and says
what became of each; it leaves the daemon as it found it, so that it can be played again and again.

Each call has exactly one outcome: an answer that is whole, or the connection's end without one.
"""
import contextlib
import json
import os
import shutil
import signal
import threading
import time

import tiny_model
from conftest import until
from wire import Wire, request_bytes

PATIENCE = 8  # seconds for an answer
CHAT = "/v1/chat/completions"


class Outcome:
    """What a client got: a status, the body's last event where it is a stream, or `lost`: why there was
    no whole answer."""

    def __init__(self, name, port, status=None, head=False, body=b"", lost=None, streamed=False):
        self.name, self.port, self.status = name, port, status
        self.head = head  # whether an answer had begun
        self.body, self.lost, self.streamed = body, lost, streamed

    def failed(self):
        """Whether it is an error, told as the API tells one."""
        return self.status is not None and self.status >= 400 or self.streamed and self.stream_error()

    def stream_error(self):
        events = [e for e in self.body.split(b"\n\n") if e.startswith((b"data: ", b"error: "))]
        last = events[-1].split(b": ", 1)[1] if events else b"{}"
        try:
            return last != b"[DONE]" and json.loads(last).get("error")
        except ValueError:
            return None

    def error(self):
        """The error object of an answer >= 400; None when there is none."""
        try:
            found = json.loads(self.body)["error"]
            return found if found["code"] == self.status and found["message"] and found["type"] else None
        except (ValueError, KeyError, TypeError):
            return None

    def __repr__(self):
        return f"{self.name}: {self.lost or self.status} {self.body[-300:]!r}"


class Client(Wire):
    """One connection. What is asked on it is told to the stage."""

    def __init__(self, stage, **kw):
        super().__init__(stage.server, PATIENCE, **kw)
        self.stage = stage
        self.port = self.sock.getsockname()[1]

    def outcome(self, name, streamed=False, is_head=False):
        head = None
        try:
            head = self.head()
            while head.status < 200:
                head = self.head()
            body = b"" if is_head or head.status == 204 else self.body(head)
        except (OSError, EOFError, ValueError) as error:
            return self.stage.note(Outcome(name, self.port, head and head.status, head is not None,
                                           lost=f"{type(error).__name__}: {error}"))
        return self.stage.note(Outcome(name, self.port, head.status, True, body, streamed=streamed))

    def call(self, method, target, body=b"", name=None, streamed=False, **fields):
        with contextlib.suppress(OSError):  # what was answered before is read all the same
            self.ask(method, target, body, **fields)
        return self.outcome(name or f"{method} {target}", streamed, method == "HEAD")


class Stage:
    """What an act plays on: the daemon, and the outcomes of this time."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.outcomes = []
        self.lock = threading.Lock()

    def note(self, outcome):
        with self.lock:
            self.outcomes.append(outcome)
        return outcome

    def client(self, **kw):
        return Client(self, **kw)

    def call(self, *args, **kw):
        """On a connection of its own."""
        with self.client() as client:
            return client.call(*args, **kw)

    def post(self, target, body, **kw):
        return self.call("POST", target, body, **kw)

    def get(self, target, **kw):
        return self.call("GET", target, **kw)

    def side_by_side(self, *calls):
        threads = [threading.Thread(target=c) for c in calls]
        for t in threads:
            t.start()
        for t in threads:
            t.join()


def chat(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, **more}


def look(stage):
    """Routes that only tell."""
    with stage.client() as client:
        for target in ("/health", "/models", "/v1/models", "/props", "/hostler/v1/status",
                       "/hostler/v1/requests", "/hostler/v1/show?model=a", "/hostler/v1/logs?lines=20",
                       "/metrics", "/metrics?engines=1", "/hostler/v1/log-level"):
            client.call("GET", target)
        client.call("HEAD", "/models")
        client.call("OPTIONS", "/models", Origin="http://localhost:1")


def wrong(stage):
    """Requests that are answered with an error."""
    stage.get("/nothing")
    stage.post("/health", {})
    stage.post(CHAT, chat("nobody"))
    stage.post(CHAT, b"no json")
    stage.post("/models/load", b"{")
    with stage.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\nContent-Length: x\r\n\r\n")
        client.outcome("a length that is none")


def ask(stage):
    """A loaded model answers: whole, streamed, and both side by side."""
    with stage.client() as client:
        client.call("POST", CHAT, chat("a"))
        client.call("POST", CHAT, chat("a", stream=True), streamed=True)
        client.call("POST", "/tokenize", {"model": "a", "content": "hi"})
        client.call("POST", "/v1/embeddings", {"model": "a", "input": "hi"})
        client.call("GET", "/slots?model=a")
    stage.side_by_side(lambda: stage.post(CHAT, chat("a", stream=True), streamed=True, name="one"),
                       lambda: stage.post(CHAT, chat("a"), name="another"))


def evict(stage):
    """There is a place for one beside the bystander's model: b comes, a goes, and back."""
    stage.post("/tokenize", {"model": "b", "content": "hi"})
    stage.side_by_side(*[lambda: stage.post("/tokenize", {"model": "a", "content": "hi"})] * 2)


def upload(stage):
    """Bodies: a file, one in chunks that names its model last, one that waits for `100 Continue`."""
    part = (b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n')
    file = (b'--x\r\nContent-Disposition: form-data; name="file"; filename="f.wav"\r\n\r\n'
            + b"R" * 300000 + b"\r\n")
    stage.post("/v1/audio/transcriptions", file + part % (b"model", b"a") + b"--x--\r\n",
               Content_Type="multipart/form-data; boundary=x")
    text = json.dumps({"content": "hi " * 100000, "model": "a"}).encode()
    pieces = [text[i:i + 65536] for i in range(0, len(text), 65536)]
    with stage.client() as client:
        with contextlib.suppress(OSError):
            client.ask("POST", "/tokenize", Content_Length=None, Transfer_Encoding="chunked")
            for p in pieces:
                client.send(b"%x\r\n%s\r\n" % (len(p), p))
            client.send(b"0\r\n\r\n")
        client.outcome("a body in chunks")
    with stage.client() as client:
        client.ask("POST", "/tokenize", Content_Length=len(text), Expect="100-continue")
        with contextlib.suppress(OSError):
            client.send(text)
        client.outcome("a body after Expect")


def operate(stage):
    """An operator's routes."""
    with stage.client() as client:
        for path in ("/models/hold", "/models/release", "/models/pin", "/models/unpin"):
            client.call("POST", path, {"model": "b"})
        client.call("GET", "/hostler/v1/estimate?model=b")


def unload(stage):
    """All but the bystander's model go; a comes back."""
    if stage.post("/models/unload-all", {"except": ["bystander"]}).status == 200:
        stage.post("/models/load", {"model": "a"})  # else it may be loaded still: another answer
    stage.post("/tokenize", {"model": "a", "content": "hi"})


def reload(stage):
    """A file comes and goes; presets are read."""
    path = stage.folder / "models" / "c.gguf"
    shutil.copy(stage.folder / "c.gguf", path)
    stage.get("/models?reload=1")
    path.unlink()
    os.kill(stage.server.pid, signal.SIGHUP)
    stage.get("/models?reload=1")


def follow(stage):
    """Events and log lines, as they come."""
    with stage.client() as events, stage.client() as logs:
        heads = []
        for client, target in ((events, "/models/sse"), (logs, "/hostler/v1/logs?follow=1&lines=5")):
            try:
                client.ask("GET", target)
                heads.append(client.head())
            except (OSError, EOFError, ValueError) as error:
                stage.note(Outcome(target, client.port, lost=f"{type(error).__name__}: {error}"))
                continue
            if heads[-1].status != 200:
                heads[-1].body = client.body(heads[-1])
            stage.note(Outcome(target, client.port, heads[-1].status, True,
                               getattr(heads[-1], "body", b"")))
        stage.post("/models/hold", {"model": "b"})
        stage.post("/models/release", {"model": "b"})
        if len(heads) == 2 and heads[0].status == 200:
            with contextlib.suppress(OSError, EOFError, ValueError):
                next(events.chunks())


def pipeline(stage):
    """Five requests at once on one connection: the answers come in order."""
    with stage.client() as client:
        with contextlib.suppress(OSError):
            client.send(b"".join(request_bytes("GET", t) for t in ("/health", "/models", "/props"))
                        + request_bytes("POST", "/tokenize", {"model": "a", "content": "hi"})
                        + request_bytes("GET", "/health"))
        for n in range(5):
            if client.outcome(f"request {n + 1} of 5").lost:
                break


def leave(stage):
    """Clients that do not wait for their answers: of a stream, of a model that is loaded for them."""
    for model, first in (("a", True), ("b", False)):
        with stage.client() as client:
            with contextlib.suppress(OSError, EOFError, ValueError):
                client.ask("POST", CHAT, chat(model, stream=True, max_tokens=400, ignore_eos=True))
                if first:
                    client.head()
                    next(client.chunks())
    with stage.client() as client:
        client.send(b"POST /tokenize HTTP/1.1\r\nHost: te")
    stage.post("/tokenize", {"model": "a", "content": "hi"})


def converse(stage):
    """A stream that outlives its client, read again by its conversation."""
    fields = {"X_Conversation_Id": "c1"}
    with stage.client() as client:
        with contextlib.suppress(OSError, EOFError, ValueError):
            client.ask("POST", CHAT, chat("a", stream=True, max_tokens=40, ignore_eos=True), **fields)
            client.head()
    stage.post("/v1/streams/lookup", {"conversation_ids": ["c1"]})
    stage.call("DELETE", "/v1/stream?conv_id=c1")


# Each with what it leaves in service, whatever fails: the pids of these must not change.
ACTS = {act.__name__: (act, keeps) for act, keeps in (
    (look, "a"), (wrong, "a"), (ask, "a"), (evict, ""), (upload, "a"), (operate, "a"), (unload, ""),
    (reload, "a"), (follow, "a"), (pipeline, "a"), (leave, ""), (converse, "a"))}


def settle(server):
    """Waits until nobody but the bystander is served, and a is loaded."""
    def is_settled():
        requests = server.get("/hostler/v1/requests").json["requests"]
        return all(r["state"] == "done" or r["model"] == "bystander" for r in requests)
    until(is_settled, what="the end of all requests but the bystander's")
    assert server.tokenize("a").status == 200
