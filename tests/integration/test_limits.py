# SPDX-License-Identifier: MIT
"""How many clients are served at once, how long one may take, and what a greedy one costs the others."""
import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import socket
import threading
import time

import pytest

from background import background
from conftest import PATIENCE, until
from wire import FAKE_ENGINE, Wire, chat, fake_models, is_json_error, request_bytes

INFERENCE = "/v1/chat/completions"


@pytest.fixture
def house(hostler, tmp_path):
    """A server for eight clients at once, with a model that streams."""
    folder = fake_models(tmp_path / "models", a={"tokens": 100000, "token_ms": 50})
    return hostler("--models-dir", folder, "--max-connections", "8", engine=FAKE_ENGINE)


def fill(server, n=8, data=b"GET /health HTTP/1.1\r\nHost: local"):
    """`n` clients, each in the middle of a request."""
    return [Wire(server).send(data) for _ in range(n)]


def close_all(wires):
    for wire in wires:
        wire.close()


def connections(server):
    return server.get("/hostler/v1/status").json["connections"]


# --- how many -------------------------------------------------------------------------------------

def test_the_limit_is_told(house, hostler, models):
    assert connections(house) == {"open": 1, "max": 8, "reserve": 16, "refused": 0}
    assert connections(hostler("--models-dir", models))["max"] > 100


def test_who_comes_too_many_is_told_when_to_come_again(house, cli):
    full = fill(house, data=request_bytes("POST", INFERENCE, chat("a", stream=True)))
    try:
        for wire in full:
            assert wire.head().status == 200
        answer = house.post(INFERENCE, chat("a"))
        assert answer.status == 503 and answer.headers["retry-after"] == "1"
        assert "--max-connections" in answer.error["message"]
        assert answer.headers["connection"] == "close"
        assert house.post(INFERENCE, chat("a")).status == 503
        assert connections(house)["refused"] == 2
        assert house.log().count("all 8 connections are in use (--max-connections): 1 more was refused") == 1  # and then once a minute
        assert refusals(cli, house) == [("wrong", "2 connections or requests were refused since the server's start")]
    finally:
        close_all(full)
    until(lambda: house.post("/tokenize", {"model": "a", "content": "x"}).status == 200)
    assert [level for level, _ in refusals(cli, house)] == ["note"]


def refusals(cli, server):
    findings = json.loads(cli("doctor", "--json", server=server).stdout)["findings"]
    return [(f["level"], f["what"]) for f in findings if f["check"] == "connections"]


@pytest.mark.parametrize("data", [b"", b"GET /health HTTP/1.1\r\nHost: local", b"POST /tokenize HTTP/1.1\r\n"
                                  b"Host: localhost\r\nContent-Length: 100\r\n\r\n{"],
                         ids=["nothing", "a head", "a body"])
def test_an_operator_gets_in(house, cli, data):
    """However many clients hold connections open, and whatever they have sent."""
    assert house.post("/models/load", {"model": "a"}).status == 200
    until(lambda: house.state("a") == "loaded")
    full = fill(house, 8 + 16 + 20, data)
    try:
        done = cli("unload", "--all", "--url", f"http://127.0.0.1:{house.port}")
        assert done.returncode == 0, done.stderr
        assert house.loaded() == []
    finally:
        close_all(full)


@pytest.mark.parametrize("path, patient", [("/models/unload", False), ("/tokenize", False), ("/models/unload", True)],
                         ids=["an operator's", "a client's", "an operator's, who is in time"])
def test_who_has_sent_most_of_a_body_gets_an_answer(house, path, patient):
    """It came when all connections were in use, and others come while it sends its body."""
    full = fill(house)
    body = json.dumps({"model": "nobody", "content": "x" * 60000}).encode()
    request = request_bytes("POST", path, body)
    try:
        with Wire(house) as wire:
            wire.send(request[:-100])
            until(lambda: connections(house)["open"] >= 10)  # with the one that asks
            full += fill(house, 10 if patient else 40)
            if not patient:  # the server has seen most of them
                until(lambda: connections(house)["refused"] >= 16)
            with contextlib.suppress(OSError):
                wire.send(request[-100:])
            head = wire.head()
            assert head.status == (400 if patient else 503)
            assert json.loads(wire.body(head))["error"]["code"] == head.status
            assert patient or head["retry-after"] == "1"
    finally:
        close_all(full)


def test_who_only_waits_makes_way(house):
    """Unloads of a busy model wait for its requests: operators who come later are served all the same."""
    full = fill(house, data=request_bytes("POST", INFERENCE, chat("a", stream=True)))
    waiting = []
    try:
        for wire in full:
            assert wire.head().status == 200
        waiting = fill(house, 16, request_bytes("POST", "/models/unload", {"model": "a", "drain": 600}))
        first = background(waiting[0].answer)  # who does not read it in time loses it to those who come later
        until(lambda: connections(house)["open"] >= 24)
        answer = first.result(PATIENCE)
        assert "the unload goes on" in is_json_error(answer, 503)
        assert house.state("a") == "loaded" and house.models()["a"]["status"]["draining"]
    finally:
        close_all(full + waiting)
    until(lambda: house.state("a") == "unloaded")


def test_those_who_come_at_once_are_all_answered(house):
    """Their requests have come when they are accepted: none must make way for the next before its own is read."""
    full = fill(house, data=request_bytes("POST", INFERENCE, chat("a", stream=True)))
    for wire in full:
        assert wire.head().status == 200
    os.kill(house.pid, signal.SIGSTOP)
    burst = fill(house, 60, request_bytes("GET", "/health"))
    os.kill(house.pid, signal.SIGCONT)
    try:
        assert [wire.answer().status for wire in burst] == [200] * 60
    finally:
        close_all(full + burst)


def test_the_idle_longest_make_way(house):
    """First those who have nothing to do, the oldest first; a request that is served does not."""
    with Wire(house) as busy:
        busy.ask("POST", INFERENCE, chat("a", stream=True))
        assert busy.head().status == 200
        kept = []
        for _ in range(7):
            kept.append(Wire(house))
            assert kept[-1].ask("GET", "/health").answer().status == 200
        kept[0].ask("GET", "/health").answer()  # the second has been idle the longest now
        newer = [Wire(house) for _ in range(3)]
        for wire in newer:
            assert wire.ask("POST", "/tokenize", {"model": "a", "content": "x"}).answer().status == 200
        for number, wire in enumerate(kept):
            if 1 <= number <= 3:
                assert wire.at_end()
            else:
                assert wire.ask("GET", "/health").answer().status == 200
        next(busy.chunks())
        close_all(kept + newer)


def test_too_few_descriptors_for_any_engine(hostler, models):
    """It could list models and never load one."""
    server = hostler("--models-dir", models, launcher=("sh", "-c", 'ulimit -n 24; exec "$@"', "sh"), wait=False)
    assert server.process.wait(PATIENCE) == 1
    assert "a limit of 24 open files leaves " in server.log() and "raise it to 136 or more (ulimit -n" in server.log()


def test_few_descriptors(hostler, tmp_path):
    """Whatever the limit of open files is, and however many clients come, it serves on, at rest."""
    folder = fake_models(tmp_path / "models", a={})
    low = ("sh", "-c", 'ulimit -n 96; exec "$@"', "sh")
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE, launcher=low)
    assert connections(server)["max"] < 48
    full = [Wire(server) for _ in range(200)]
    try:
        assert server.get("/hostler/v1/status").status == 200
        before = ticks(server.pid)
        time_at_rest = threading.Event()
        time_at_rest.wait(1)
        assert ticks(server.pid) - before < 50  # of 100 a second
        assert server.tokenize("a").status in (200, 503)
    finally:
        close_all(full)
    until(lambda: server.tokenize("a").status == 200)
    assert server.engines()["a"]["state"] in ("loaded", "ready")


def ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_descriptors_that_run_out_all_the_same(hostler, tmp_path):
    """The limit is lowered behind its back: nobody can be accepted, until a descriptor is free."""
    folder = fake_models(tmp_path / "models", a={})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    with Wire(server) as wire:
        assert wire.ask("GET", "/health").answer().status == 200
        wire.send(b"GET /health HTTP/1.1\r\nHo")  # not idle any more: it cannot make way
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, hard))
        waiting = Wire(server).ask("GET", "/health")
        until(lambda: "cannot accept a connection" in server.log())
        before = ticks(server.pid)
        assert wire.send(b"st: localhost\r\n\r\n").answer().status == 200
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert waiting.answer().status == 200
        assert ticks(server.pid) - before < 50
        waiting.close()
    assert server.log().count("cannot accept a connection") == 1


# --- how long -------------------------------------------------------------------------------------

def drip(wire, data, every, done):
    for byte in data:
        if done.wait(every):
            return
        try:
            wire.send(bytes([byte]))
        except OSError:
            return


@pytest.mark.parametrize("data", [
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1000,
    b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + b'{"pad":"' + b"x" * 1000],
    ids=["a head", "a body"])
def test_what_trickles_in_is_not_waited_for(hostler, models, data):
    """A byte each half second moves for ever, and would hold a connection for as long."""
    server = hostler("--models-dir", models)
    done = threading.Event()
    head_len = data.find(b"\r\n\r\n") + 4 if b"POST" in data else 0
    with Wire(server, timeout=100) as wire:
        wire.send(data[:head_len])
        sender = threading.Thread(target=drip, args=(wire, data[head_len:], 0.5, done))
        sender.start()
        try:
            begin = time.monotonic()
            message = is_json_error(wire.answer(), 408)
            assert "too slowly" in message
            assert time.monotonic() - begin > 20
            assert wire.at_end()
        finally:
            done.set()
            sender.join()


def test_a_client_that_vanishes(hostler, tmp_path):
    """Without a word: its kernel answers nothing any more. What it waits for is given up within two minutes."""
    folder = fake_models(tmp_path / "models", a={"tokens": 1000000, "token_ms": 100}, b={"load_s": 1000})
    server = hostler("--models-dir", folder, "--load-timeout", "20m", engine=FAKE_ENGINE)
    with Wire(server) as stream, Wire(server) as queued, Wire(server) as here:
        stream.ask("POST", INFERENCE, chat("a", stream=True))
        here.ask("POST", INFERENCE, chat("a", stream=True))
        queued.ask("POST", INFERENCE, chat("b"))
        assert stream.head().status == here.head().status == 200
        until(lambda: server.queue().get("b", {}).get("waiting") == 1)
        for wire in (stream, queued):
            drop_everything(wire.sock)
        until(lambda: "b" not in server.queue(), patience=120, what="the end of who is queued")
        until(lambda: server.engines()["a"]["requests"] == 1, patience=120, what="the end of who reads a stream")
        assert next(here.chunks())  # who is there is served on


def drop_everything(sock):
    """A socket filter (classic BPF) that drops each packet: no acknowledgement is ever sent."""
    import ctypes
    import struct
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # return 0
    sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 1, ctypes.addressof(program)))


# --- what a greedy one costs the others -----------------------------------------------------------

def test_many_requests_at_once_wait_for_each_other(hostler, tmp_path):
    """One connection's pipelined requests have a turn each, and so have those of other connections."""
    folder = fake_models(tmp_path / "models", **{f"model-{i:04}": {} for i in range(1000)})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    asked = 450
    with Wire(server) as greedy, Wire(server) as other:
        assert other.ask("GET", "/health").answer().status == 200
        body = json.dumps({"model": "model-unknown-" + "x" * 60, "content": "x"})
        greedy.send(request_bytes("POST", "/tokenize", body.encode()) * asked)
        assert "unknown" in is_json_error(greedy.answer(), 400)  # it has begun
        other.ask("GET", "/health").answer()
        # How many of the others' answers are there when this one is: it waited for a few, not for all.
        greedy.sock.setblocking(False)
        got = greedy.file.peek()[:0]
        try:
            while piece := greedy.sock.recv(1 << 20):
                got += piece
        except BlockingIOError:
            pass
        assert got.count(b"HTTP/1.1 400") < asked * 3 // 4


# --- HTTP -----------------------------------------------------------------------------------------

DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
                  r"\d{4} \d\d:\d\d:\d\d GMT")


@pytest.mark.parametrize("request_", [
    request_bytes("GET", "/health"), request_bytes("GET", "/nowhere"), b"nonsense\r\n\r\n",
    request_bytes("OPTIONS", "/health"), request_bytes("HEAD", "/models"),
    request_bytes("POST", "/v1/completions", {"model": "a"}), request_bytes("POST", INFERENCE, chat("a", stream=True))],
    ids=["ours", "an error", "no HTTP", "OPTIONS", "HEAD", "an engine's", "a stream"])
def test_each_answer_has_one_date(hostler, tmp_path, request_):
    folder = fake_models(tmp_path / "models", a={"date": True})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    with Wire(server) as wire:
        dates = [v for k, v in wire.send(request_).head().fields if k == "date"]
        assert len(dates) == 1 and DATE.fullmatch(dates[0])
        moment = time.mktime(time.strptime(dates[0], "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
        assert abs(time.time() - moment) < 60


def test_the_last_descriptor_costs_nobody_a_connection(hostler, tmp_path):
    """accept() fails for want of a descriptor even if nobody waits: who is idle is not closed for that."""
    folder = fake_models(tmp_path / "models", a={})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    with Wire(server) as kept:
        assert kept.ask("GET", "/health").answer().status == 200
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        used = {int(p.name) for p in pathlib.Path(f"/proc/{server.pid}/fd").iterdir()}
        last = min(set(range(len(used) + 1)) - used)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (last + 1, hard))
        with Wire(server) as other:
            assert other.ask("GET", "/health").answer().status == 200
            assert kept.ask("GET", "/health").answer().status == 200
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_a_field_too_long_for_the_engine_is_told(house):
    """By its name and size: its value may be a secret."""
    answer = house.post("/tokenize", {"model": "a", "content": "x"}, headers={"X-Proxy-Token": "secret" * 1500, "X-Other": "1"})
    assert answer.status == 200
    until(lambda: "X-Proxy-Token (9 KiB)" in house.log())
    assert "secret" not in house.log() and "X-Other" not in house.log()
