# SPDX-License-Identifier: MIT
"""A server that says what a test tells it to, with hostler's routes: for what a real one cannot be
brought to say in the same words twice. What it is asked to do is in `posts`."""
import http.server
import json
import threading
import time

GiB = 1 << 30
CLIENT = "POST /v1/chat/completions from 192.168.1.7 (OpenAI/Python 1.3)"
NOON = 1732449600  # 2024-11-24 12:00:00 UTC


def engine(model, state, host, gpu=0, **more):
    return {"model": model, "state": state, "pid": 4711, "requests": 0, "waiting": 0,
            "memory": {"host": int(host * GiB), "gpu0": int(gpu * GiB)}, "idle_ms": None,
            "ttl_ms": 0, "ends_in_ms": None, "loaded_by": CLIENT, "load_ms": 3200,
            "loaded_at": time.time() - 9010, "progress": None, "pinned": False,
            "tokens_per_second": None, **more}


def entry(model, state="unloaded", **status):
    return {"id": model, "aliases": [], "status": {"value": state, **status}, "size": 5 * GiB,
            "context_length": 32768, "source": "models_dir"}


def happened(seconds, model, event, why=None):
    return {"at": NOON + seconds, "model": model, "event": event, "why": why}


def request(seconds, model, state, **more):
    return {"at": NOON + seconds, "model": model, "state": state, "status": None, "error": None,
            "request": "POST /v1/chat/completions", "client": "192.168.1.7:50112",
            "user_agent": "OpenAI/Python 1.3", "waited_ms": 0, "elapsed_ms": 6000, "tokens": None,
            "tokens_per_second": None, **more}


LOADING = {"stages": ["text_model"], "current": "text_model", "value": 0.63}
WIDE = "模型-日本語"
EVIL = "evil\x1b[31m\nname"  # it would colour the screen and break the line


class Facts:
    """A busy afternoon."""

    def __init__(self):
        self.engines = [
            engine("qwen3-32b-q4_k_m", "loaded", 2, 12.2, requests=2, tokens_per_second=41.2),
            engine("llama-3.3-8b-instruct", "loaded", 1, 5.9, idle_ms=135000, ttl_ms=600000,
                   ends_in_ms=465000),
            engine("nomic-embed-text-v1.5", "sleeping", 0.3, idle_ms=3000, pinned=True),
            engine("gemma-3-12b-it", "loading", 3, waiting=3, progress=LOADING)]
        self.status = {
            "version": "0.1.0", "uptime_ms": 11520000, "mode": "router", "models_max": 4,
            "problem": None, "engines": self.engines,
            "memory": {"host": {"total": 64 * GiB, "available": 41 * GiB, "budget": 45 * GiB},
                       "gpu0": {"total": 24 * GiB, "available": 4 * GiB, "budget": 21 * GiB}},
            "prompt_cache": {"state": "on", "files": 3, "bytes": 168 << 20, "max_bytes": 8 * GiB, "hits": 5, "saved_ms": 72000.0},
            "queue": [{"model": "gemma-3-12b-it", "waiting": 3, "oldest_ms": 4200},
                      {"model": "mistral-small-24b", "waiting": 1, "oldest_ms": 800}],
            "holds": [{"model": "deepseek-r1-70b", "until": None, "reason": "training",
                       "by": "POST /models/hold from 127.0.0.1"}],
            "recent": [happened(240, "gemma-3-12b-it", "load", CLIENT),
                       happened(180, "coder", "failed", "its engine ended with signal 9\nI log"),
                       happened(120, "deepseek-r1-70b", "hold", "POST /models/hold from unix"),
                       happened(60, "llama-3.3-8b-instruct", "ready", "after 3.2 s"),
                       happened(0, "qwen3-32b-q4_k_m", "ready", "after 12.1 s")]}
        self.models = [
            entry("qwen3-32b-q4_k_m", "loaded"), entry("llama-3.3-8b-instruct", "loaded"),
            entry("nomic-embed-text-v1.5", "sleeping"), entry("gemma-3-12b-it", "loading"),
            entry("mistral-small-24b"), entry("deepseek-r1-70b"),
            entry("coder", failed=True,
                  message="the engine of model 'coder' ended with signal 9 while loading\nI log"),
            entry(WIDE), entry(EVIL)]
        self.models[4] |= {"memory": {"gpu0": 13 * GiB}, "memory_source": "estimated"}
        self.requests = [
            request(299, "mistral-small-24b", "waiting", waited_ms=800, elapsed_ms=800),
            request(296, "gemma-3-12b-it", "waiting", waited_ms=4200, elapsed_ms=4200),
            request(294, "qwen3-32b-q4_k_m", "running", tokens=120, tokens_per_second=20.4),
            request(293, "qwen3-32b-q4_k_m", "running", tokens=145, tokens_per_second=20.8),
            request(260, "llama-3.3-8b-instruct", "done", status=200, tokens=96,
                    tokens_per_second=71.3, elapsed_ms=1400, restored_tokens=2549, saved_ms=14900.0),
            request(210, "deepseek-r1-70b", "done", status=503, error="held", elapsed_ms=1)]


    # What only some tests ask for.
    show = estimate = cache = None
    events = []  # pieces of /models/sse
    stream_ends = False

    def posted(self, path, body):  # pylint: disable=unused-argument
        return {"success": True}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, pieces):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()
        if not self.server.facts.stream_ends:
            self.server.over.wait()
        self.close_connection = True

    def do_GET(self):
        facts, path = self.server.facts, self.path.split("?")[0]
        if path in self.server.missing:
            self.answer(404, {"error": {"message": "no such route"}})
        elif path == "/models/sse":
            self.stream(facts.events)
        elif path == "/hostler/v1/logs":
            self.stream(self.server.log)
        elif path == "/hostler/v1/status":
            self.answer(200, facts.status)
        elif path == "/models":
            self.answer(200, {"object": "list", "data": facts.models})
        elif path == "/hostler/v1/requests":
            self.answer(200, {"requests": facts.requests})
        elif path == "/hostler/v1/show" and facts.show:
            self.answer(200, facts.show)
        elif path == "/hostler/v1/cache" and facts.cache:
            self.answer(200, facts.cache)
        elif path == "/hostler/v1/estimate" and facts.estimate:
            self.answer(200, facts.estimate)
        else:
            self.answer(404, {"error": {"message": "no such route"}})

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length))
        self.server.posts.append((self.path, body))
        self.answer(200, self.server.facts.posted(self.path, body))


class Scripted(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.facts = Facts()
        self.missing = set()  # paths
        self.posts = []
        self.log = [b"one\n", b"tw", b"o\ttabbed \x1b[31mred\xff\n"]
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self):
        self.over.set()
        self.shutdown()
        self.server_close()
