# SPDX-License-Identifier: MIT
"""From a request's bytes to the right engine, and nothing changed on the way."""
import hashlib
import json
import random
import socket
import urllib.parse

import pytest

from wire import (FAKE_ENGINE, Wire, chat, chunked, engine_get, fake_models, is_json_error,
                  request_bytes)

UMLAUT = "größe 7"
POST_ROUTES = """
    /props /completion /completions /v1/completions /infill /chat/completions /v1/chat/completions
    /v1/chat/completions/control /responses /v1/responses /audio/transcriptions
    /v1/audio/transcriptions /v1/messages /v1/messages/count_tokens /chat/completions/input_tokens
    /v1/chat/completions/input_tokens /responses/input_tokens /v1/responses/input_tokens /embedding
    /embeddings /v1/embeddings /rerank /v1/rerank /reranking /v1/reranking /tokenize /detokenize
    /apply-template /slots/0?action=save /lora-adapters""".split()
NOT_ECHOED = {"/props", "/chat/completions", "/v1/chat/completions", "/tokenize"}
GET_ROUTES = "/metrics /slots /lora-adapters /props".split()
ECHO = "/v1/completions"


@pytest.fixture(scope="module")
def fake(module_hostler, tmp_path_factory):
    """Models a, `größe 7`, and decoy, which no request here is for: whoever takes it for its
    model finds an engine that fails."""
    folder = fake_models(tmp_path_factory.mktemp("routing") / "models", a={}, decoy={
        "exit_at_load": 3}, **{UMLAUT: {}})
    return module_hostler("--models-dir", folder, "--prompt-cache", "off", engine=FAKE_ENGINE)


def filler(megabytes):
    return "iVBORw0KGgo" + "A" * (megabytes << 20)


# --- where the name stands ---------------------------------------------------------------------

JSON_BODIES = {
    "first": '{"model":"a","prompt":"x"}',
    "last": '{"prompt":"x","n":[1,{"y":null}],"model":"a"}',
    "blanks": ' \r\n\t{ "model" \n:\t"a" } \n',
    "byte order mark": '\ufeff{"model":"a"}',
    "twice: the last counts": '{"model":"decoy","model":"a"}',
    "escaped key": '{"\\u006d\\u006fdel":"a"}',
    "escaped value": '{"model":"\\u0061"}',
    "in messages": '{"messages":[{"model":"decoy"},["model","decoy"]],"x":{"model":"decoy"},'
                   '"model":"a"}',
    "in strings": '{"prompt":"\\"model\\":\\"decoy\\",{\\\\","model":"a"}',
    "nearly the key": '{"Model":"decoy","model ":"decoy","models":"decoy","mode":"decoy",'
                      '"model":"a"}',
    "a value like the key": '{"prompt":"model","x":"decoy","model":"a"}',
    "UTF-8": json.dumps({"model": UMLAUT}, ensure_ascii=False),
    "UTF-8 escaped": json.dumps({"model": UMLAUT}),
}


@pytest.mark.parametrize("body", JSON_BODIES.values(), ids=JSON_BODIES)
def test_the_model_is_found_in_json(fake, body):
    answer = fake.post(ECHO, body.encode())
    assert answer.status == 200, answer.body
    assert answer.json["sha256"] == hashlib.sha256(body.encode()).hexdigest()


BIG_BODIES = {
    "behind an image": lambda: json.dumps({
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {
            "url": "data:image/png;base64," + filler(20)}}]}], "model": "a"}),
    "before an image": lambda: json.dumps({"model": "a", "image": filler(20)}),
    "another behind the first MiB": lambda: (
        '{"model":"decoy","model":"a","pad":"' + filler(2) + '","model":"decoy"}'),
    "only behind the first MiB": lambda: '{"pad":"' + filler(2) + '","model":"a"}',
}


@pytest.mark.parametrize("make", BIG_BODIES.values(), ids=BIG_BODIES)
def test_the_model_is_found_in_a_big_body(fake, make):
    body = make().encode()
    answer = fake.post(ECHO, body)
    assert answer.status == 200, answer.body[:500]
    assert answer.json["length"] == len(body)
    assert answer.json["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("model_first", [True, False], ids=["before the file", "behind the file"])
def test_the_model_is_found_in_a_form(fake, model_first):
    sound = random.Random(1).randbytes(5 << 20) + b'\r\n--edg\r\nname="model"\r\n\r\ndecoy'
    parts = [b'Content-Disposition: form-data; name="model"\r\n\r\na',
             b'Content-Disposition: form-data; name="file"; filename="model"\r\n'
             b'Content-Type: audio/wav\r\n\r\n' + sound]
    if not model_first:
        parts.reverse()
    body = b"".join(b"--edge\r\n" + p + b"\r\n" for p in parts) + b"--edge--\r\n"
    answer = fake.post("/v1/audio/transcriptions", body,
                       headers={"Content-Type": 'multipart/form-data; boundary="edge"'})
    assert answer.status == 200, answer.body[:500]
    assert answer.json["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("query", [
    "model=a", "x=model&model=decoy&model=a", "model=%61",
    "model=" + urllib.parse.quote(UMLAUT), "model=" + urllib.parse.quote_plus(UMLAUT)])
@pytest.mark.parametrize("method,path", [("GET", "/lora-adapters"), ("POST", "/lora-adapters"),
                                         ("POST", ECHO)])
def test_the_model_is_found_in_the_query(fake, method, path, query):
    target = f"{path}?{query}"
    answer = fake.request(method, target, "[]" if method == "POST" else None)
    assert answer.status == 200, answer.body
    assert (answer.json["method"], answer.json["target"]) == (method, target)


SAME_IN_BOTH = {
    "twice": '{"model":"m1","model":"m2","content":"x"}',
    "escaped": r'{"content":"x","\u006dodel":"\u006d2"}',
    "nested": '{"x":{"model":"m1"},"model":"m2","content":"\\"model\\":\\"m1\\""}',
}


@pytest.mark.parametrize("body", SAME_IN_BOTH.values(), ids=SAME_IN_BOTH)
def test_the_model_is_the_one_that_llama_cpps_router_finds(hostler, models, stock, body):
    args = ["--models-dir", models, "--models-max", "1"]
    for server in (stock(*args), hostler(*args)):
        assert server.post("/tokenize", body).status == 200
        data = server.get("/models").json["data"]
        assert [m["id"] for m in data if m["status"]["value"] == "loaded"] == ["m2"]


# --- refusals -----------------------------------------------------------------------------------

REFUSED = {
    "missing": ('{"prompt":"x"}', "missing"),
    "no body": ("", "missing"),
    "not an object": ("[1]", "missing"),
    "number": ('{"model":7}', "string"),
    "null": ('{"model":null}', "string"),
    "object": ('{"model":{"model":"a"}}', "string"),
    "empty": ('{"model":""}', "empty"),
    "too long": ('{"model":"%s"}' % ("x" * 5000), "long"),
    "unknown": ('{"model":"decoi"}', "did you mean 'decoy'"),
    "half": ('{"prompt":"', "byte 11"),
    "no JSON": ("model=a", "byte 0"),
    "bad UTF-8": (b'{"model":"\xff"}', "byte 10"),
}


@pytest.mark.parametrize("body,message", REFUSED.values(), ids=REFUSED)
def test_a_request_without_a_good_model_is_refused(fake, body, message):
    answer = fake.post(ECHO, body)
    assert message in is_json_error(answer, 400)
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize("method,target,status", [
    ("GET", "/metrics?model=", 400), ("GET", "/slots?model=", 400), ("GET", "/slots?model=nobody", 400),
    ("POST", ECHO + "?model=", 400), ("GET", "/nowhere", 404), ("POST", "/v1/", 404),
    ("POST", "/slots/1/2", 404), ("GET", ECHO, 405), ("POST", "/health", 405),
    ("DELETE", "/tokenize", 405), ("CONNECT", "host:80", 404), ("PUT", "/models/load", 405)])
def test_other_refusals(fake, method, target, status):
    answer = fake.request(method, target)
    is_json_error(answer, status)
    wanted = "not_found_error" if status == 404 else "invalid_request_error"
    assert answer.error["type"] == wanted


@pytest.mark.parametrize("method,target,allowed", [
    ("GET", ECHO, "POST, OPTIONS"), ("POST", "/health", "GET, HEAD, OPTIONS"),
    ("PUT", "/models", "GET, HEAD, POST, DELETE, OPTIONS"), ("POST", "/v1/stream?x", "GET, HEAD, DELETE, OPTIONS"),
    ("DELETE", "/props", "GET, HEAD, POST, OPTIONS"), ("GET", "/slots/1", "POST, OPTIONS")])
def test_a_405_names_all_methods(fake, method, target, allowed):
    answer = fake.request(method, target)
    is_json_error(answer, 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("target,status,model", [
    ("/nowhere", 404, "a"), (ECHO, 400, "nobody"), ("/health", 405, "a"),
    ("/models/load", 413, "a")])
def test_a_big_body_that_is_refused(fake, target, status, model):
    """The answer arrives although the client is still sending, and no reset destroys it."""
    body = json.dumps({"model": model, "x": filler(8)}).encode()
    with Wire(fake) as wire:
        try:
            wire.ask("POST", target, body)
        except (BrokenPipeError, ConnectionResetError):
            pass
        is_json_error(wire.answer(), status)


def test_a_page_of_another_origin_may_ask(fake, stock, models):
    router = stock("--models-dir", models)
    fields = {"Origin": "http://page.example", "Access_Control_Request_Method": "POST",
              "Access_Control_Request_Headers": "authorization"}
    theirs, ours = (Wire(server).ask("OPTIONS", ECHO, **fields).answer() for server in (router, fake))
    assert ours.status == theirs.status == 200
    for name in ("origin", "methods", "credentials"):
        assert ours["access-control-allow-" + name] == theirs["access-control-allow-" + name]
    assert theirs["access-control-allow-headers"] == "*"  # which does not cover Authorization
    assert ours["access-control-allow-headers"] == "authorization"
    answer = fake.get("/models", headers={"Origin": "http://page.example"})
    assert answer.headers["access-control-allow-origin"] == "http://page.example"


# --- every route --------------------------------------------------------------------------------

@pytest.mark.parametrize("route", POST_ROUTES)
def test_a_post_reaches_the_engine_untouched(fake, route):
    body = json.dumps(chat("a", content="tab\tü\u2028", blanks=" ")).encode() + b" \n"
    before = fake.tokenize("a") and engine_get(fake, "a")["requests"]
    answer = fake.post(route, body)
    assert answer.status == 200, answer.body
    assert engine_get(fake, "a")["requests"] == before + 2  # the question itself is one
    if route not in NOT_ECHOED:
        assert (answer.json["method"], answer.json["target"]) == ("POST", route)
        assert answer.json["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("route", GET_ROUTES)
def test_a_get_reaches_the_engine(fake, route):
    before = fake.tokenize("a") and engine_get(fake, "a")["requests"]
    assert fake.get(route + "?model=a").status == 200
    assert engine_get(fake, "a")["requests"] == before + 2


@pytest.fixture(scope="module")
def real(module_hostler, models):
    return module_hostler("--models-dir", models)


@pytest.mark.parametrize("method,route", [("POST", r) for r in POST_ROUTES] +
                         [("GET", r) for r in GET_ROUTES])
def test_the_real_engine_knows_every_route(real, method, route):
    """Most want more than a model's name, and some another kind of model: that is for it to say."""
    target = f"{route}{'&' if '?' in route else '?'}model=m1"
    answer = real.request(method, target, "{}" if method == "POST" else None)
    assert answer.status in (200, 400, 422, 500, 501), answer.body
    if answer.status != 200:
        assert answer.error["message"]


# --- header fields -------------------------------------------------------------------------------

def test_header_fields_are_kept_but_for_keys_and_the_connections_own(fake):
    headers = {"X-Custom": "  one two ", "Accept-Language": "de;q=0.5", "Cookie": "a=b",
               "Content-Type": "application/json; charset=x", "User-Agent": "test/1",
               "Authorization": "Bearer secret-1", "X-Api-Key": "secret-2",
               "Proxy-Connection": "keep-alive", "Connection": "keep-alive, X-Hop", "X-Hop": "no",
               "Keep-Alive": "timeout=5", "TE": "trailers"}
    answer = fake.post(ECHO, {"model": "a"}, headers=headers)
    arrived = {k.lower(): v for k, v in answer.json["headers"]}
    assert arrived["x-custom"] == "one two"
    for name in ("Accept-Language", "Cookie", "Content-Type", "User-Agent"):
        assert arrived[name.lower()] == headers[name]
    assert b"secret" not in answer.body
    for name in ("proxy-connection", "x-hop", "keep-alive", "te"):
        assert name not in arrived


def test_repeated_fields_stay_apart_and_in_order(fake):
    with Wire(fake) as wire:
        wire.send(b'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\n'
                  b'Content-Length: 13\r\n\r\n{"model":"a"}')
        arrived = json.loads(wire.answer().body)["headers"]
    assert [h for h in arrived if h[0].startswith("X-")] == [["X-A", "1"], ["X-B", "2"],
                                                            ["X-A", "3"]]


# --- how requests are framed ----------------------------------------------------------------------

BODY = json.dumps({"prompt": "x" * 1000, "model": "a"}).encode()


def echoed(head):
    assert head.status == 200, head.body
    return json.loads(head.body)


def test_a_chunked_body_stays_chunked(fake):
    with Wire(fake) as wire:
        wire.send(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (BODY[:1], BODY[1:700], BODY[700:]):
            wire.send(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
        wire.send(b"0\r\n\r\n")
        echo = echoed(wire.answer())
    assert echo["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert ["Transfer-Encoding", "chunked"] in echo["headers"]


def test_a_trailer_is_not_taken_for_a_header_field(fake):
    with Wire(fake) as wire:
        body = chunked(BODY)[:-2] + b"X-Api-Key: k\r\nX-Trailer: t\r\n\r\n"
        wire.send(request_bytes("POST", ECHO, Content_Length=None, Transfer_Encoding="chunked")
                  + body)
        echo = echoed(wire.answer())
        wire.ask("POST", ECHO, BODY)
        again = echoed(wire.answer())
    assert echo["length"] == len(BODY)
    assert not [h for h in echo["headers"] + again["headers"] if h[0].startswith("X-")]


def test_a_byte_at_a_time(fake):
    with Wire(fake) as wire:
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request_bytes("POST", ECHO, b'{"model":"a"}'):
            wire.send(bytes([byte]))
        assert echoed(wire.answer())["length"] == 13


def test_expect_100_continue(fake):
    with Wire(fake) as wire:
        request = request_bytes("POST", ECHO, BODY, Expect="100-continue")
        wire.send(request[:-len(BODY)])
        assert wire.head().status == 100
        wire.send(BODY)
        echo = echoed(wire.answer())
    assert echo["length"] == len(BODY)


def test_expect_100_continue_for_a_request_that_is_refused(fake):
    """The answer comes at once, and the body is not asked for."""
    with Wire(fake) as wire:
        wire.send(request_bytes("POST", "/nowhere", BODY, Expect="100-continue")[:-len(BODY)])
        assert wire.answer().status == 404


@pytest.mark.parametrize("connection,stays", [(None, False), ("keep-alive", True)])
def test_http_1_0(fake, connection, stays):
    with Wire(fake) as wire:
        for _ in range(2 if stays else 1):
            wire.ask("POST", ECHO, BODY, version="HTTP/1.0", Host=None, Connection=connection)
            assert echoed(wire.answer())["length"] == len(BODY)
        assert stays or wire.at_end()


def test_http_1_0_gets_a_stream_without_chunks(fake):
    with Wire(fake) as wire:
        wire.ask("POST", "/v1/chat/completions", chat("a", stream=True), version="HTTP/1.0")
        head = wire.answer()
    assert head["transfer-encoding"] is None
    assert head.body.startswith(b"data: {") and head.body.endswith(b"data: [DONE]\n\n")


def test_one_connection_serves_many_requests(fake):
    connection = fake.connect()
    connection.connect()
    first = connection.sock.getsockname()
    for n in range(50):
        connection.request("POST", ECHO, json.dumps({"model": "a", "n": n}))
        response = connection.getresponse()
        assert response.status == 200 and response.read()
        assert connection.sock is not None and connection.sock.getsockname() == first
    connection.close()


def test_connection_close_is_heeded(fake):
    with Wire(fake) as wire:
        wire.ask("POST", ECHO, BODY, Connection="close")
        head = wire.answer()
        assert head["connection"] == "close"
        assert wire.at_end()


def test_pipelined_requests_are_answered_in_order(fake):
    requests = [(ECHO, {"model": "a", "n": "x" * n}) for n in range(10)]
    requests[3] = ("/nowhere", {})
    requests[5] = (ECHO, {"model": "nobody"})
    with Wire(fake) as wire:
        wire.send(b"".join(request_bytes("POST", target, body) for target, body in requests))
        answers = [wire.answer() for _ in requests]
    assert [a.status for a in answers] == [200, 200, 200, 404, 200, 400, 200, 200, 200, 200]
    for (_, body), answer in zip(requests, answers):
        if answer.status == 200:
            assert json.loads(answer.body)["length"] == len(json.dumps(body))


def test_many_pipelined_requests(fake):
    """More than fits into what is read ahead: the rest waits in the socket."""
    one = request_bytes("GET", "/health")
    count = 4000
    with Wire(fake) as wire:
        wire.send(one * count)
        assert {wire.answer().status for _ in range(count)} == {200}


@pytest.mark.parametrize("target", ["/health", "/models", "/props", "/props?model=a",
                                    "/slots?model=a"])
def test_head_has_no_body_but_the_length(fake, target):
    fake.tokenize("a")
    with Wire(fake) as wire:
        wire.ask("HEAD", target)
        head = wire.head()
        assert head.status == 200
        assert int(head["content-length"]) > 0
        wire.ask("GET", "/health")  # whatever came too much would be taken for this answer
        assert json.loads(wire.answer().body) == {"status": "ok"}


H2C = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}


@pytest.mark.parametrize("method,target,body", [
    ("GET", "/health", b""), ("GET", "/lora-adapters?model=a", b""), ("POST", ECHO, BODY)])
def test_an_upgrade_is_not_taken_up(fake, method, target, body):
    """Java's HTTP client offers one with every request."""
    with Wire(fake) as wire:
        wire.ask(method, target, body, **H2C)
        answer = wire.answer()
        assert answer.status == 200
        assert b"h2c" not in answer.body and b"HTTP2" not in answer.body


# --- what is no request ---------------------------------------------------------------------------

@pytest.mark.parametrize("extra", [b"X-Long: " + b"x" * 70000 + b"\r\n",
                                   b"".join(b"X-%d: x\r\n" % n for n in range(200))],
                         ids=["a long field", "many fields"])
def test_a_head_too_large(fake, extra):
    with Wire(fake) as wire:
        wire.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + extra + b"\r\n")
        is_json_error(wire.answer(), 431)
        assert wire.at_end()


@pytest.mark.parametrize("data", [
    b"hello\r\n\r\n", b"GET /health\r\n\r\n", b"GET /health HTTP/9.9\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /health HTTP/2.0\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"GET /health HTTP/1.1\r\nHost h\r\n\r\n", b"GET /a b HTTP/1.1\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"])
def test_garbage(fake, data):
    with Wire(fake) as wire:
        wire.send(data)
        is_json_error(wire.answer(), 400)
        assert wire.at_end()
    assert fake.get("/health").status == 200


def test_a_broken_chunk_ends_the_connection(fake):
    with Wire(fake) as wire:
        wire.send(request_bytes("POST", ECHO, Content_Length=None, Transfer_Encoding="chunked")
                  + b'd\r\n{"model":"a"}\r\nzz\r\n')
        try:
            assert wire.answer().status == 400
        except EOFError:
            pass
    assert fake.get("/health").status == 200
