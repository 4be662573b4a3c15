# SPDX-License-Identifier: MIT
"""HTTP as clients may speak it, in both modes: what the RFCs allow and what they promise."""
import gzip
import hashlib
import json
import os

import pytest

from conftest import until
from wire import FAKE_ENGINE, Wire, chunked, engine_get, fake_models, memory_of, request_bytes

ECHO = "/v1/completions"
BODY = json.dumps({"model": "a", "prompt": "x" * 1000}).encode()
# Under AddressSanitizer what was freed is kept for a while, and would be taken for growth.
LEAN = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


@pytest.fixture(scope="module", params=["router", "classic"])
def server(request, module_hostler, tmp_path_factory):
    folder = fake_models(tmp_path_factory.mktemp("http") / "models", a={"gzip": True})
    source = ["--models-dir", folder] if request.param == "router" else ["--model",
                                                                         folder / "a.gguf"]
    started = module_hostler(*source, engine=FAKE_ENGINE, env=LEAN)
    until(lambda: started.get("/health").status == 200)
    return started


@pytest.fixture
def wire(server):
    with Wire(server) as one:
        yield one


def echoed(head):
    assert head.status == 200, head.body
    return json.loads(head.body)


@pytest.mark.parametrize("target", ["/health", "/v1/models", "/props?model=a", "/slots?model=a"])
def test_head_is_get_without_a_body(wire, target):
    got = wire.ask("GET", target).answer()
    head = wire.ask("HEAD", target).head()
    assert head.status == got.status == 200
    assert head["content-type"] == got["content-type"]
    assert head["content-length"] == got["content-length"] is not None
    assert wire.ask("GET", "/health").answer().body == b'{"status":"ok"}'  # nothing came too much


@pytest.mark.parametrize("target", ["*", "/health", ECHO, "/nowhere", "http://localhost/health"])
def test_options(wire, target):
    answer = wire.ask("OPTIONS", target).answer()
    assert answer.status == 200 and answer.body == b""
    assert "POST" in answer["access-control-allow-methods"]
    assert wire.ask("GET", "/health").answer().status == 200


@pytest.mark.parametrize("url,status", [
    ("http://localhost/health", 200), ("HTTP://localhost:8080/v1/models?x=/y", 200), ("https://127.0.0.1/health", 200),
    ("http://localhost/slots?model=a", 200), ("http://[::1]:80/health", 200)])
def test_a_whole_url_is_as_good_as_a_path(wire, url, status):
    assert wire.ask("GET", url).answer().status == status
    echo = echoed(wire.ask("POST", "http://localhost" + ECHO + "?q=1", BODY).answer())
    assert echo["target"] == ECHO + "?q=1"  # the engine need not know it


def test_expect_100_continue(wire):
    request = request_bytes("POST", ECHO, BODY, Expect="100-continue")
    wire.send(request[:-len(BODY)])
    assert wire.head().status == 100
    wire.send(BODY)
    echo = echoed(wire.answer())
    assert echo["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert not [h for h in echo["headers"] if h[0].lower() == "expect"]


def test_a_chunked_body(wire):
    wire.send(request_bytes("POST", ECHO, Content_Length=None, Transfer_Encoding="chunked"))
    wire.send(chunked(BODY[:10], BODY[10:]))
    assert echoed(wire.answer())["sha256"] == hashlib.sha256(BODY).hexdigest()


def test_what_is_compressed_stays_so(wire):
    """Accept-Encoding is passed on: a llama-server with a web interface refuses whoever accepts no
    gzip, and it compresses nothing else."""
    long = {"X_Long": "x" * 1000}
    plain = wire.ask("POST", ECHO, BODY, **long).answer()
    assert plain["content-encoding"] is None
    packed = wire.ask("POST", ECHO, BODY, Accept_Encoding="br, gzip", **long).answer()
    assert packed["content-encoding"] == "gzip"
    assert len(packed.body) == int(packed["content-length"]) < len(plain.body)
    echo = json.loads(gzip.decompress(packed.body))
    assert ["Accept-Encoding", "br, gzip"] in echo["headers"]


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_hundred_megabytes_pass_in_bounded_memory(server, wire, framing):
    server.tokenize("a")
    before = memory_of(server.pid)
    piece = b"y" * (1 << 20)
    begin, end, count = b'{"model":"a","x":"', b'"}', 100
    digest = hashlib.sha256(begin)
    length = len(begin) + count * len(piece) + len(end)
    fields = {"Content_Length": length} if framing == "length" else {
        "Content_Length": None, "Transfer_Encoding": "chunked"}

    def send(data):
        wire.send(data if framing == "length" else b"%x\r\n%s\r\n" % (len(data), data))

    wire.send(request_bytes("POST", ECHO, **fields))
    send(begin)
    for _ in range(count):
        send(piece)
        digest.update(piece)
    send(end)
    digest.update(end)
    if framing == "chunks":
        wire.send(b"0\r\n\r\n")
    echo = echoed(wire.answer())
    assert echo["length"] == length and echo["sha256"] == digest.hexdigest()
    assert memory_of(server.pid, "VmHWM") - before < 24


def test_pipelined_requests_are_answered_in_order(wire):
    sizes = [1, 5000, 3, 70000, 2]
    wire.send(b"".join(request_bytes("POST", ECHO, {"model": "a", "x": "y" * n}) for n in sizes))
    assert [echoed(wire.answer())["length"] for n in sizes] == [
        len(json.dumps({"model": "a", "x": "y" * n})) for n in sizes]


@pytest.mark.parametrize("connection,stays", [(None, False), ("keep-alive", True)])
def test_http_1_0(wire, connection, stays):
    for _ in range(2 if stays else 1):
        wire.ask("POST", ECHO, BODY, version="HTTP/1.0", Host=None, Connection=connection)
        head = wire.answer()
        assert echoed(head)["length"] == len(BODY)
        assert head["connection"] == ("keep-alive" if stays else "close")
    assert stays or wire.at_end()


def test_connections_are_kept_on_both_sides(server, wire):
    server.tokenize("a")
    before = engine_get(server, "a")["connections"]
    for _ in range(20):
        echoed(wire.ask("POST", ECHO, BODY).answer())
    assert engine_get(server, "a")["connections"] - before <= 2  # one of them is the question's
