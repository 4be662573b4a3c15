# SPDX-License-Identifier: MIT
"""`--model FILE`: one model, no router; what a llama-server without a router's routes answers."""
import pytest

from conformance.suite import ABSENT, Exactly, OneOf, answer, error
from conformance.test_proxy import CHAT, ROUTES, WORKS
from conformance.test_streaming import TALES

GETS = {"/health": 200, "/v1/health": 200, "/props": 200, "/models": 200, "/v1/models": 200, "/slots": 200,
        "/metrics": 200, "/lora-adapters": 200, "/nowhere": 404, "/models/sse": 404, "/api/tags": 404,
        "/v1/stream?conv_id=x": 404}


def members(value):
    return sorted(value) if isinstance(value, dict) else type(value).__name__


def test_health(classic, see):
    see("health", classic.get("/health"), answer(200, Exactly({"status": "ok"})))


@pytest.mark.parametrize("path", GETS)
def test_gets(classic, see, path):
    got = classic.get(path)
    is_json = got.headers.get("content-type", "").startswith("application/json")
    see("answer", {"status": got.status, "type": got.headers.get("content-type"),
                   "members": members(got.json) if is_json else None}, {"status": GETS[path]})


def test_the_list(classic, see):
    see("list", classic.get("/v1/models"), answer(200, {
        "object": "list", "data": [{"id": "MODELS/m1.gguf", "object": "model", "owned_by": "llamacpp",
                                    "meta": {"n_ctx": 512}, "status": ABSENT}], "models": list}))


def test_props(classic, see):
    see("props", classic.get("/props"), answer(200, {
        "role": ABSENT, "default_generation_settings": {"n_ctx": 512}, "total_slots": int,
        "model_path": "MODELS/m1.gguf", "chat_template": str}))


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("model", [None, "whatever"], ids=["no model", "any model"])
def test_posts(classic, see, path, model):
    """The body's `model` does not matter."""
    body = {**({"model": model} if model else {}), **ROUTES[path]}
    got = classic.post(path, {**body, "cache_prompt": False})
    see("answer", got, answer(200) if path in WORKS | {"/props"} else {"status": OneOf(400, 501)})


@pytest.mark.parametrize("path", TALES)
def test_a_stream(classic, see, path):
    see("frames", classic.post(path, {"stream": True, **TALES[path]}), {"status": 200})


@pytest.mark.parametrize("path", ["/models/load", "/models/unload"])
def test_the_routers_routes(classic, see, path):
    see("answer", classic.post(path, {"model": "m1.gguf"}), error(404))


@pytest.mark.parametrize("method,path", [("POST", "/health"), ("DELETE", "/models?model=x"),
                                         ("PUT", "/props"), ("GET", "/v1/chat/completions"),
                                         ("POST", "/models")])
def test_another_method(classic, see, method, path):
    see("answer", classic.request(method, path, "{}" if method != "GET" else None), error(404))


@pytest.mark.parametrize("query", ["model=m1", "model=nowhere", "model=", "autoload=false"])
@pytest.mark.parametrize("path", ["/props", "/slots", "/lora-adapters"])
def test_a_query_does_not_matter(classic, see, path, query):
    see("status", classic.get(f"{path}?{query}").status, 200)


@pytest.mark.parametrize("body", ["", "hello", '{"prompt":', "[]", "null"], ids=repr)
def test_a_body_is_no_json(classic, see, body):
    see("answer", classic.post("/completion", body), error(400, kind="invalid_request_error"))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/health", "/props", "/v1/models"])
def test_other_methods(classic, see, method, path):
    got = classic.request(method, path)
    see("answer", {"status": got.status, "body": got.body}, {"status": 200, "body": ""})


def test_an_alias(start, models, see):
    server = start("--model", models / "m1.gguf", "--alias", "one,two")
    server.until_healthy()
    listed = server.get("/v1/models").json["data"][0]
    see("list", {"id": listed["id"], "aliases": listed.get("aliases")},
        {"id": "one", "aliases": ["one", "two"]})
    got = server.post("/v1/chat/completions", {"model": "x", **CHAT})
    see("model", got.json["model"], "one")


def test_a_key(start, models, see):
    server = start("--model", models / "m1.gguf", "--api-key", "one")
    server.until_healthy()
    see("statuses", [server.get(p).status for p in ("/health", "/models", "/v1/models", "/props", "/nowhere")],
        [200, 401, 401, 401, 401])
    see("with it", server.get("/props", headers={"Authorization": "Bearer one"}).status, 200)


def broken_model(start, what, models):
    """Arguments of a server that cannot load its model."""
    if what == "is broken":
        return ["--model", start.file("bad.gguf", "GGUF, but no more")]
    if what == "is cut":
        whole = (models / "m1.gguf").read_bytes()
        path = start.file("cut.gguf", "")
        path.write_bytes(whole[:len(whole) // 2])
        return ["--model", path]
    if what == "is in no cache":
        return ["-hf", "nobody/nothing:Q4_0", "--offline"]
    if what == "wants what it cannot have":
        return ["--model", models / "m1.gguf", "--lora", start.folder / "nowhere.gguf"]
    return ["--model", start.folder / "nowhere.gguf"]


@pytest.mark.parametrize("what", ["is not there", "is broken", "is cut", "is in no cache", "wants what it cannot have"])
def test_a_model_that_cannot_be_loaded(start, models, see, what):
    """Whoever supervises the server learns of it."""
    server = start(*broken_model(start, what, models), wait=False)
    see("exit status", server.process.wait(server.patience), 1)


def test_while_it_loads(start, slow_model, see):
    """Nothing but 503 or the answer: never a refusal of another kind."""
    server = start("--model", slow_model)
    seen = set()
    while 200 not in seen:
        seen.add(server.get("/health").status)
    see("statuses", sorted(seen)[:1], [200])
    see("tokenize", server.post("/tokenize", {"content": "hi"}).status, 200)


def test_what_a_router_would_not_load(start, models, see):
    """A server of one model has loaded it when it is healthy, whatever a router's options and queries say."""
    server = start("--model", models / "m1.gguf", "--no-models-autoload").until_healthy()
    see("props", server.get("/props?autoload=false").status, 200)
    see("tokenize", server.post("/tokenize?autoload=0", {"content": "hi"}).status, 200)


def test_embeddings(start, models, see):
    server = start("--model", models / "m1.gguf", "--embedding", "--pooling", "mean")
    server.until_healthy()
    got = server.post("/v1/embeddings", {"input": "hi"})
    see("embedding", {"status": got.status, "members": members(got.json),
                      "length": len(got.json["data"][0]["embedding"])}, {"status": 200})
