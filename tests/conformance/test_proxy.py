# SPDX-License-Identifier: MIT
"""What is passed on to a model's engine, and how its model is found."""
import json

import pytest

from conformance.suite import ANY, OneOf, answer, error

CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "temperature": 0, "seed": 1}
PROMPT = {"prompt": "hello", "max_tokens": 4, "n_predict": 4, "temperature": 0, "seed": 1}
# With the least body that each takes; what this engine cannot do says so in its own words.
ROUTES = {
    "/props": {}, "/completion": PROMPT, "/completions": PROMPT, "/v1/completions": PROMPT,
    "/infill": {"input_prefix": "a", "input_suffix": "b", "n_predict": 2},
    "/chat/completions": CHAT, "/v1/chat/completions": CHAT,
    "/v1/chat/completions/control": {"id": "x", "action": "stop"},
    "/responses": {"input": "hi", "max_output_tokens": 4, "temperature": 0},
    "/v1/responses": {"input": "hi", "max_output_tokens": 4, "temperature": 0},
    "/v1/messages": CHAT, "/v1/messages/count_tokens": CHAT,
    "/chat/completions/input_tokens": CHAT, "/v1/chat/completions/input_tokens": CHAT,
    "/responses/input_tokens": {"input": "hi"}, "/v1/responses/input_tokens": {"input": "hi"},
    "/embedding": {"content": "hi"}, "/embeddings": {"input": "hi"}, "/v1/embeddings": {"input": "hi"},
    "/rerank": {"query": "a", "documents": ["b"]}, "/v1/rerank": {"query": "a", "documents": ["b"]},
    "/reranking": {"query": "a", "documents": ["b"]},
    "/v1/reranking": {"query": "a", "documents": ["b"]},
    "/tokenize": {"content": "hi"}, "/detokenize": {"tokens": [72, 105]},
    "/apply-template": {"messages": CHAT["messages"]},
    "/slots/0?action=erase": {}, "/slots/0?action=nonsense": {}, "/slots/99?action=erase": {},
    "/audio/transcriptions": {}, "/v1/audio/transcriptions": {},
}
WORKS = {"/completion", "/completions", "/v1/completions", "/chat/completions", "/v1/messages",
         "/v1/chat/completions", "/responses", "/v1/responses", "/v1/messages/count_tokens",
         "/tokenize", "/detokenize", "/apply-template", "/chat/completions/input_tokens",
         "/v1/chat/completions/input_tokens", "/responses/input_tokens", "/v1/responses/input_tokens"}
UNKNOWN = "model 'nowhere' not found"
MISSING = "model name is missing from the request"


@pytest.mark.parametrize("path", ROUTES)
def test_a_body_names_the_model(router, see, path):
    router.be_loaded("m1")
    see("answer", router.post(path, {"model": "m1", **ROUTES[path]}),
        answer(200) if path in WORKS | {"/props"} else {"status": OneOf(400, 501)})


@pytest.mark.parametrize("path", ROUTES)
def test_a_body_names_an_unknown_model(router, see, path):
    see("answer", router.post(path, {"model": "nowhere", **ROUTES[path]}),
        error(400, kind="invalid_request_error"))


@pytest.mark.parametrize("body,message", [
    ({}, MISSING), ({"model": ""}, MISSING), ({"model": None}, MISSING), ({"model": 1}, MISSING),
    ({"model": ["m1"]}, MISSING), ({"model": {"id": "m1"}}, MISSING)],
    ids=lambda v: json.dumps(v) if isinstance(v, dict) else "")
def test_a_body_names_no_model(router, see, body, message):
    see("answer", router.post("/v1/chat/completions", {**CHAT, **body}),
        error(400, kind="invalid_request_error"))


@pytest.mark.parametrize("body", ["", "hello", '{"model":', '{"model":"m1"', '{"model":"m1"}}', "[]",
                                  '"m1"', "null", b'{"model":"m1","content":"\xff"}'],
                         ids=lambda v: repr(v))
def test_a_body_is_no_json(router, see, body):
    see("answer", router.post("/tokenize", body), error(400, kind="invalid_request_error"))


BEHIND = ["\0", "\0\0", " \r\n\0", "\0xyz", '\0{"model":"m2"}', " \n\t"]


@pytest.mark.parametrize("behind", BEHIND, ids=repr)
@pytest.mark.parametrize("before", ["", "\ufeff"], ids=["", "mark"])
def test_what_stands_around_a_body(router, see, before, behind):
    """Some clients send the zero byte at the end of their text, too."""
    router.be_loaded("m1")
    body = before + '{"model":"m1","content":"hi"}' + behind
    see("tokenize", router.post("/tokenize", body.encode()).status, 200)
    see("load", router.post("/models/load", body.encode()), error(400, "model is already running", "invalid_request_error"))


@pytest.mark.parametrize("body", ['\0{"model":"m1"}', '{"model":"m1"\0}', '{"model":"m1\0"}', '{"model":"m1"}x', '{"model":"m1"}x\0',
                                  '{"content":"hi"}\0{"model":"m1"}'], ids=repr)
def test_a_zero_byte_elsewhere(router, see, body):
    see("tokenize", router.post("/tokenize", body.encode()), error(400, kind="invalid_request_error"))


@pytest.mark.parametrize("path", ["/props", "/slots", "/metrics", "/lora-adapters"])
def test_a_query_names_the_model(router, see, path):
    router.be_loaded("m1")
    got = router.get(f"{path}?model=m1")
    see("answer", {"status": got.status, "type": got.headers["content-type"],
                   "keys": sorted(got.json) if path == "/props" else None}, {"status": 200})


@pytest.mark.parametrize("path", ["/slots", "/metrics", "/lora-adapters"])
@pytest.mark.parametrize("query,message", [("model=nowhere", ANY), ("model=", MISSING), ("", MISSING)])
def test_a_query_names_no_model(router, see, path, query, message):
    see("answer", router.get(f"{path}?{query}"), error(400, message, "invalid_request_error"))


@pytest.mark.parametrize("query", ["model=%6d1", "x=1&model=m1", "model=nowhere&model=m1", "model=m1#m2"])
def test_forms_of_the_query(router, see, query):
    router.be_loaded("m1")
    see("answer", router.get(f"/lora-adapters?{query}"), answer(200, []))


@pytest.mark.parametrize("body", [
    '{"content":"hi","model":"m1"}', '{"model":"m2","content":"hi","model":"m1"}',
    ' \n{ "model" : "m1" , "content" : "hi" } \n', '{"\\u006dodel":"\\u006d1","content":"hi"}',
    '{"model":"m1","content":"größe ☃"}', '{"x":{"model":"m2"},"model":"m1","content":"hi"}'],
    ids=range(6))
def test_forms_of_the_body(router, see, body):
    router.be_loaded("m1", "m2")
    see("answer", router.post("/tokenize", body.encode()), answer(200, {"tokens": list}))


def test_the_model_of_an_answer(router, see):
    router.be_loaded("m1")
    see("chat", router.post("/v1/chat/completions", {"model": "m1", **CHAT}), answer(200, {
        "object": "chat.completion", "model": str, "id": str, "created": int,
        "choices": [{"index": 0, "finish_reason": "length",
                     "message": {"role": "assistant", "content": str}}],
        "usage": {"completion_tokens": 4, "prompt_tokens": int, "total_tokens": int}}))


@pytest.mark.parametrize("body,status", [
    ({}, 400), ({"messages": "no list"}, 400), ({"messages": [{"role": "user"}]}, 400),
    ({**CHAT, "max_tokens": "x"}, 400), ({**CHAT, "temperature": "hot"}, 400), ({**CHAT, "tools": "none"}, 500)],
    ids=["empty", "messages", "content", "max_tokens", "temperature", "tools"])
def test_an_engines_own_errors(router, see, body, status):
    """They come as they are, word for word."""
    router.be_loaded("m1")
    got = router.post("/v1/chat/completions", {"model": "m1", **body})
    see("answer", {"status": got.status, "type": got.headers["content-type"], "json": got.json},
        {"status": status, "json": {"error": {"message": str}}})


def test_headers_of_an_answer(router, see):
    router.be_loaded("m1")
    got = router.tokenize("m1", headers={"Origin": "http://web.test"})
    names = ("content-type", "access-control-allow-origin", "access-control-allow-credentials",
             "content-encoding", "cache-control", "process-time-ms")
    see("headers", {n: got.headers.get(n) for n in names}, {"access-control-allow-origin": "http://web.test"})


# --- forms with files ------------------------------------------------------------------------------

def form(*parts, edge="edge"):
    """The body of multipart/form-data: (headers, content) each."""
    body = b"".join(f"--{edge}\r\n{h}\r\n\r\n".encode() + c + b"\r\n" for h, c in parts)
    return body + f"--{edge}--\r\n".encode()


def field(name, value):
    return f'Content-Disposition: form-data; name="{name}"', value.encode()


SOUND = ('Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav',
         b"RIFF" + bytes(1000))


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/audio/transcriptions"])
@pytest.mark.parametrize("parts", [[field("model", "m1"), SOUND], [SOUND, field("model", "m1")]],
                         ids=["model first", "model last"])
def test_a_form_names_the_model(router, see, path, parts):
    """This engine hears nothing, and says so: that is its answer, not the router's."""
    router.be_loaded("m1")
    got = router.post(path, form(*parts), headers={"Content-Type": "multipart/form-data; boundary=edge"})
    see("answer", got, error(501, kind="not_supported_error"))


@pytest.mark.parametrize("parts", [[field("model", "nowhere"), SOUND], [SOUND], [field("model", ""), SOUND]],
                         ids=["unknown", "none", "empty"])
def test_a_form_names_no_model(router, see, parts):
    got = router.post("/v1/audio/transcriptions", form(*parts),
                      headers={"Content-Type": "multipart/form-data; boundary=edge"})
    see("answer", got, error(400, kind="invalid_request_error"))
