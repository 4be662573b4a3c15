# SPDX-License-Identifier: MIT
"""The wire: what HTTP clients of all ages rely on."""
import gzip
import hashlib
import json

import pytest

from conformance.suite import answer
from integration.wire import chunked, request_bytes

TOKENIZE = {"model": "m1", "content": "hi"}


def shown(head):
    """An answer read from the wire."""
    return {"version": head.version, "status": head.status, "type": head["content-type"],
            "body": head.body}


def test_a_plain_request(router, see):
    with router.be_loaded("m1").wire() as wire:
        see("answer", shown(wire.ask("POST", "/tokenize", TOKENIZE).answer()),
            {"version": "HTTP/1.1", "status": 200, "body": '{"tokens":[107,108]}'})


def test_one_connection_many_requests(router, see):
    """Of what the router answers itself."""
    with router.wire() as wire:
        see("statuses", [wire.ask("GET", p).answer().status for p in ("/health", "/props", "/health")],
            [200, 200, 200])


def test_one_connection_after_an_error(router, see):
    with router.wire() as wire:
        see("error", wire.ask("GET", "/nowhere").answer().status, 404)
        try:
            after = wire.ask("GET", "/health").answer().status
        except (OSError, EOFError):
            after = "closed"
        see("after it", after, "closed")


def test_a_connection_after_what_an_engine_answered(router, see):
    with router.be_loaded("m1").wire() as wire:
        head = wire.ask("POST", "/tokenize", TOKENIZE).answer()
        see("first", head.status, 200)
        see("connection", head["connection"], "close")
        see("framing", [head["content-length"] is not None, head["transfer-encoding"]], [False, "chunked"])


def test_pipelining(router, see):
    with router.wire() as wire:
        wire.send(request_bytes("GET", "/health") + request_bytes("GET", "/props") +
                  request_bytes("GET", "/health"))
        see("statuses", [wire.answer().status for _ in range(3)], [200, 200, 200])


def test_http_1_0(router, see):
    with router.wire() as wire:
        head = wire.send(b"GET /health HTTP/1.0\r\n\r\n").answer()
        see("answer", {"status": head.status, "body": head.body}, {"status": 200})
        see("at its end", wire.at_end(), True)


def test_http_1_0_to_an_engine(router, see):
    router.be_loaded("m1")
    with router.wire() as wire:
        wire.send(request_bytes("POST", "/tokenize", TOKENIZE, version="HTTP/1.0"))
        head = wire.head()
        see("status", head.status, 200)
        see("framing", head["transfer-encoding"], "chunked")


def test_http_1_0_keep_alive(router, see):
    with router.wire() as wire:
        head = wire.send(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
        see("first", head.status, 200)


def test_connection_close(router, see):
    with router.wire() as wire:
        see("status", wire.ask("GET", "/health", Connection="close").answer().status, 200)
        see("at its end", wire.at_end(), True)


def test_a_chunked_body(router, see):
    router.be_loaded("m1")
    body = json.dumps(TOKENIZE).encode()
    with router.wire() as wire:
        wire.ask("POST", "/tokenize", Transfer_Encoding="chunked", Content_Length=None)
        wire.send(chunked(body[:10], body[10:11], body[11:]))
        see("answer", shown(wire.answer()), {"status": 200})


def test_a_body_in_pieces(router, see):
    router.be_loaded("m1")
    data = request_bytes("POST", "/tokenize", TOKENIZE)
    with router.wire() as wire:
        for i in range(0, len(data), 7):
            wire.send(data[i:i + 7])
        see("answer", shown(wire.answer()), {"status": 200})


def test_expect_100_continue(router, see):
    router.be_loaded("m1")
    body = json.dumps(TOKENIZE).encode()
    with router.wire() as wire:
        wire.send(request_bytes("POST", "/tokenize", Content_Length=len(body), Expect="100-continue"))
        first = wire.head()
        see("first", first.status, 100)
        see("then", shown(wire.send(body).answer()), {"status": 200})


def test_expect_100_continue_without_waiting(router, see):
    router.be_loaded("m1")
    with router.wire() as wire:
        wire.send(request_bytes("POST", "/tokenize", TOKENIZE, Expect="100-continue"))
        head = wire.head()
        while head.status == 100:
            head = wire.head()
        head.body = wire.body(head)
        see("answer", shown(head), {"status": 200})


@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_large_body(router, see, where):
    """20 MB, as of an image, before or behind the model's name."""
    router.be_loaded("m1")
    pad = '"pad":"' + "A" * (20 << 20) + '"'
    rest = '"model":"m1","content":"hi"'
    body = "{" + (f"{pad},{rest}" if where == "before" else f"{rest},{pad}") + "}"
    see("answer", router.post("/tokenize", body), answer(200, {"tokens": list}))


def test_a_long_answer(router, see):
    router.be_loaded("m1")
    got = router.post("/tokenize", {"model": "m1", "content": "hello world " * 20000})
    see("answer", {"status": got.status, "bytes": len(got.body),
                   "digest": hashlib.sha256(got.body).hexdigest()}, {"status": 200})


@pytest.mark.parametrize("target,status", [
    ("/health#x", 200), ("http://localhost/health", 404), ("http://elsewhere.test/health", 404), ("/%68ealth", 200),
    ("/health?a=%zz", 200), ("/health;x=1", 404), ("/./health", 404)])
def test_forms_of_the_target(router, see, target, status):
    with router.wire() as wire:
        see("status", wire.ask("GET", target).answer().status, status)


@pytest.mark.parametrize("line,status", [
    ("GET /health HTTP/1.1", 200), ("nonsense", 400), ("GET /health HTTP/9.9", 400), ("BREW /health HTTP/1.1", 400)])
def test_forms_of_the_request_line(router, see, line, status):
    with router.wire() as wire:
        see("status", wire.send(f"{line}\r\nHost: localhost\r\n\r\n".encode()).head().status, status)


FORBIDDEN = {
    "no Host": "GET /health HTTP/1.1\r\n\r\n",
    "two Hosts": "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "a folded field": "GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    "chunks in HTTP/1.0": "POST /tokenize HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length and chunks": "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a blank before the colon": "GET /health HTTP/1.1\r\nHost: localhost\r\nX : a\r\n\r\n",
    "another protocol": "GET /health RTSP/1.0\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_rfc_9112_forbids(router, see, what):
    with router.wire() as wire:
        see("status", wire.send(FORBIDDEN[what].encode()).head().status, int)


def test_a_long_header(router, see):
    with router.wire() as wire:
        see("status", wire.ask("GET", "/health", X_Long="x" * 7000).answer().status, 200)


def test_a_long_target(router, see):
    with router.wire() as wire:
        see("status", wire.ask("GET", "/health?x=" + "y" * 7000).answer().status, 200)


def test_the_case_of_headers(router, see):
    router.be_loaded("m1")
    body = json.dumps(TOKENIZE)
    with router.wire() as wire:
        wire.send(f"POST /tokenize HTTP/1.1\r\nHOST: localhost\r\ncontent-LENGTH: {len(body)}\r\n\r\n{body}".encode())
        see("answer", shown(wire.answer()), {"status": 200})


def test_a_client_that_leaves_in_a_body(router, see):
    wire = router.wire()
    wire.send(request_bytes("POST", "/tokenize", Content_Length=100) + b'{"model"')
    wire.close()
    see("health", router.get("/health").status, 200)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_compressed_body(router, see, coding):
    """Coding agents compress their requests for servers that can undo it. These cannot, and say so."""
    fields = {"Content-Type": "application/json", "Content-Encoding": coding}
    body = gzip.compress(json.dumps(TOKENIZE).encode())
    see("engine's", router.request("POST", "/tokenize", body, headers=fields).status, 415)
    see("router's", router.request("POST", "/models/load", body, headers=fields).status, 415)


# --- CORS ------------------------------------------------------------------------------------------

CORS = ("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers",
        "access-control-allow-credentials")


def cors(answer_):
    return {"status": answer_.status, **{n: answer_.headers.get(n) for n in CORS}}


@pytest.mark.parametrize("path", ["/health", "/v1/chat/completions", "/models/load", "/nowhere"])
@pytest.mark.parametrize("origin", ["http://web.test", None])
def test_a_preflight(router, see, path, origin):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST",
               "Access-Control-Request-Headers": "authorization,content-type"} if origin else {}
    see("cors", cors(router.request("OPTIONS", path, headers=headers)),
        {"status": 200, "access-control-allow-methods": str})


@pytest.mark.parametrize("method,path", [("GET", "/health"), ("GET", "/models"), ("GET", "/nowhere"),
                                         ("POST", "/models/load"), ("POST", "/tokenize")])
@pytest.mark.parametrize("origin", ["http://web.test", "null", None])
def test_an_answer_to_another_origin(router, see, method, path, origin):
    body = json.dumps(TOKENIZE) if path == "/tokenize" else None
    see("cors", cors(router.request(method, path, body, headers={"Origin": origin} if origin else {})),
        {"access-control-allow-origin": origin or ""})


def test_a_preflight_needs_no_key(guarded, see):
    see("cors", cors(guarded.request("OPTIONS", "/v1/chat/completions",
                                     headers={"Origin": "http://web.test"})), {"status": 200})
