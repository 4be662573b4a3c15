# SPDX-License-Identifier: MIT
"""Answers while they come: one token after the other, clients that leave or do not read, engines
that die."""
import concurrent.futures
import contextlib
import json
import os
import signal
import threading
import time

import pytest

import tiny_model
from conftest import until
from wire import (FAKE_ENGINE, Wire, chat, engine_get, fake_models, is_json_error, memory_of,
                  open_stream, read_events, request_bytes)

CHAT = "/v1/chat/completions"
# Under AddressSanitizer what was freed is kept for a while, and would be taken for growth.
LEAN = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


@pytest.fixture(scope="module")
def slow_models(tmp_path_factory):
    """A model that needs some milliseconds for a token."""
    folder = tmp_path_factory.mktemp("slow")
    tiny_model.make(str(folder / "a.gguf"), pad_mb=32)
    return folder


@pytest.fixture
def fake(hostler, tmp_path):
    """fake(*args, a={…}): a daemon whose models have fake engines."""
    def start(*args, **models):
        return hostler("--models-dir", fake_models(tmp_path / "models", **models), *args,
                       engine=FAKE_ENGINE, env=LEAN)
    return start


def content(events):
    """The text of a chat stream, which must be whole."""
    assert events[-1] == "[DONE]"
    deltas = [json.loads(e)["choices"][0]["delta"] for e in events[:-1]]
    return "".join(d.get("content") or "" for d in deltas)


def words(n):
    return "".join(f"word{i} " for i in range(n))


def texts(response, count=None):
    return [text for _, text in read_events(response, count)]


def stats(server, model="a"):
    return engine_get(server, model)


# --- token by token -------------------------------------------------------------------------------

def test_tokens_pass_one_by_one(hostler, slow_models):
    """Early ones are here while the engine still makes the later ones."""
    server = hostler("--models-dir", slow_models, "-t", "1")
    connection, response = open_stream(server, "a", max_tokens=600)
    events = []
    for count in (2, 100):
        events += texts(response, count)
        assert any(s["is_processing"] for s in server.get("/slots?model=a").json)
    events += texts(response)
    connection.close()
    assert response.status == 200 and content(events)
    assert len(events) > 500


def test_the_first_token_does_not_wait_for_the_second(fake):
    server = fake(a={"tokens": 2, "token_ms": 0}, b={"endless": True, "token_ms": 100})
    connection, response = open_stream(server, "b")
    assert "word0" in texts(response, 1)[0]  # of a stream that never ends
    connection.close()
    connection, response = open_stream(server, "a")
    assert content(texts(response)) == words(2)
    connection.close()


def test_the_framing_is_the_engines(fake):
    server = fake(a={"tokens": 3})
    server.tokenize("a")
    with Wire(server) as wire:
        whole = wire.ask("POST", CHAT, chat("a")).answer()
        stream = wire.ask("POST", CHAT, chat("a", stream=True)).answer()
    assert int(whole["content-length"]) == len(whole.body)
    assert whole["transfer-encoding"] is None and whole["connection"] is None
    assert stream["transfer-encoding"] == "chunked" and stream["content-length"] is None
    assert stream["content-type"] == "text/event-stream"
    assert [whole["server"], stream["server"]] == ["llama.cpp"] * 2


def test_an_answer_that_comes_byte_by_byte(fake):
    server = fake(a={"short_writes": True, "tokens": 5})
    assert server.tokenize("a", "xyz").json == {"tokens": [120, 121, 122]}
    connection, response = open_stream(server, "a")
    assert content(texts(response)) == words(5)
    connection.close()


def test_two_hundred_streams_at_once(fake):
    server = fake(a={"tokens": 20, "token_ms": 20}, b={"tokens": 20, "token_ms": 20})

    def one(n):
        connection, response = open_stream(server, "ab"[n % 2])
        text = content(texts(response))
        connection.close()
        return text

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        assert set(pool.map(one, range(200))) == {words(20)}
    until(lambda: stats(server)["live"] == stats(server, "b")["live"] == 0)
    assert stats(server)["generations"] + stats(server, "b")["generations"] == 200
    assert stats(server)["disconnects"] == 0
    until(lambda: stats(server)["open"] <= 32, what="a small pool")


def test_kept_connections_do_not_keep_others_from_their_turn(hostler, models):
    """The engine has a thread for each of a few open connections, ours that idle included."""
    server = hostler("--models-dir", models)
    took = []
    for _ in range(3):
        server.post("/models/unload-all", {})
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            assert {a.status for a in pool.map(lambda n: server.tokenize("m1"), range(40))} == {200}
        took.append(time.monotonic() - begin)
    assert min(took) < 8  # it was 12 s: what idle connections are kept for, several times over


def test_slots_are_shown_beside_many_long_streams(hostler, slow_models):
    server = hostler("--models-dir", slow_models, "-t", "1", "-np", "1")
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            wire = stack.enter_context(Wire(server))
            wire.ask("POST", CHAT, chat("a", stream=True, max_tokens=100000))
        until(lambda: server.engines().get("a", {}).get("requests") == 12)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert {a.status for a in pool.map(server.get, ["/slots?model=a"] * 8)} == {200}
        assert server.engines()["a"]["requests"] >= 8  # they need not end for that


# --- clients that leave ---------------------------------------------------------------------------

def test_generation_stops_when_the_client_leaves(hostler, slow_models):
    server = hostler("--models-dir", slow_models, "-t", "1")
    connection, response = open_stream(server, "a", max_tokens=2000)
    texts(response, 3)
    slots = lambda: server.get("/slots?model=a").json  # noqa: E731
    assert any(s["is_processing"] for s in slots())
    response.close()
    connection.close()
    until(lambda: not any(s["is_processing"] for s in slots()), what="the end of generation")
    assert server.engines()["a"]["requests"] == 0


@pytest.mark.parametrize("stream", [True, False])
def test_the_engines_connection_closes_when_the_client_leaves(fake, stream):
    server = fake(a={"endless": True, "token_ms": 20})
    server.tokenize("a")
    with Wire(server) as wire:
        wire.ask("POST", CHAT, chat("a", stream=stream))
        until(lambda: stats(server)["live"] == 1)
    until(lambda: stats(server)["live"] == 0, what="the end of generation")
    assert stats(server)["disconnects"] == 1
    until(lambda: server.engines()["a"]["requests"] == 0, what="the end of the lease")


def test_a_client_that_leaves_the_queue_costs_nothing(fake):
    server = fake(a={"load_s": 2}, b={"load_s": 2})
    stay, leave = Wire(server), Wire(server)
    stay.ask("POST", CHAT, chat("a"))
    until(lambda: server.queue().get("a", {}).get("waiting") == 1)
    leave.ask("POST", CHAT, chat("a"))
    until(lambda: server.queue()["a"]["waiting"] == 2)
    leave.close()
    until(lambda: server.queue()["a"]["waiting"] == 1, what="the empty place in the queue")
    assert stay.answer().status == 200
    stay.close()
    assert stats(server)["generations"] == 1


def test_a_client_that_leaves_before_its_turn_causes_no_load(fake):
    """The place is taken: its model's load has not begun, and never does."""
    server = fake("--models-max", "1", a={"endless": True, "token_ms": 20}, b={})
    with Wire(server) as busy:
        busy.ask("POST", CHAT, chat("a", stream=True))
        assert busy.head().status == 200
        with Wire(server) as leaving:
            leaving.ask("POST", CHAT, chat("b"))
            until(lambda: "b" in server.queue())
        until(lambda: not server.queue(), what="the empty queue")
    until(lambda: server.engines()["a"]["requests"] == 0)
    assert server.loaded() == ["a"]


def test_a_client_that_leaves_in_the_middle_of_its_body(fake):
    server = fake(a={})
    server.tokenize("a")
    body = json.dumps({"model": "a", "x": "y" * (2 << 20)}).encode()
    with Wire(server) as wire:
        wire.send(request_bytes("POST", "/v1/completions", body)[:-1000])
        until(lambda: server.engines()["a"]["requests"] == 1)
    until(lambda: server.engines()["a"]["requests"] == 0)
    assert server.tokenize("a").status == 200


# --- back-pressure --------------------------------------------------------------------------------

def settled_memory(pid):
    """MiB of the process once it stays the same, within a little."""
    seen = [memory_of(pid)]

    def settles():
        seen.append(memory_of(pid))
        return len(seen) > 50 and max(seen[-50:]) - min(seen[-50:]) < 1
    until(settles, what="a memory that does not grow")
    return seen[-1]


def test_a_client_that_does_not_read_costs_little_memory_and_delays_nobody(fake):
    server = fake(a={"endless": True})
    server.tokenize("a")
    before = settled_memory(server.pid)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(Wire(server, receive_buffer=4096)) for _ in range(10)]
        for wire in idle:
            wire.ask("POST", CHAT, chat("a", stream=True))
        until(lambda: stats(server)["live"] == 10)
        # The engine itself stands still when nobody takes what it writes.
        assert settled_memory(server.pid) - before < 32
        assert server.tokenize("a").status == 200
        connection, response = open_stream(server, "a")
        assert len(texts(response, 1000)) == 1000
        connection.close()
        head, seen = idle[0].head(), b""
        assert head.status == 200
        for chunk in idle[0].chunks():  # it goes on when it is read, and nothing is missing
            seen += chunk
            if b"word5000 " in seen:
                break
        assert [b"word%d " % n in seen for n in range(0, 5000, 500)].count(False) == 0
    until(lambda: stats(server)["live"] == 0, what="the end of generation")


def queued(port):
    """Bytes that wait in the kernel for clients of this port: tx_queue in /proc/net/tcp, which proc(5) explains."""
    with open("/proc/net/tcp", encoding="ascii") as lines:
        rows = [line.split() for line in lines][1:]
    return sum(int(row[4].split(":")[0], 16) for row in rows if int(row[1].split(":")[1], 16) == port)


def test_a_big_answer_to_a_slow_reader(hostler, tmp_path):
    folder = fake_models(tmp_path / "models", a={"big_body": 200})
    server = hostler("--model", folder / "a.gguf", engine=FAKE_ENGINE, env=LEAN)
    until(lambda: server.get("/health").status == 200)
    before = memory_of(server.pid)
    with Wire(server, receive_buffer=4096) as wire:
        head = wire.ask("GET", "/big").head()
        assert int(head["content-length"]) == 200 << 20
        assert settled_memory(server.pid) - before < 16
        assert 0 < queued(server.port) < 3 << 19  # 3 MB where nothing bounds it; how far it is passed is the kernel's
        piece = bytes(range(256)) * 4096
        for _ in range(200):
            assert wire.exactly(1 << 20) == piece
    assert memory_of(server.pid, "VmHWM") - before < 32


def test_a_body_is_not_taken_faster_than_the_engine_reads(fake):
    """A stopped engine: the daemon stops reading, too, instead of keeping what comes."""
    server = fake(a={})
    server.tokenize("a")
    pid, before = server.engines()["a"]["pid"], memory_of(server.pid)
    body = json.dumps({"model": "a", "x": "y" * (64 << 20)}).encode()
    with Wire(server) as wire:
        os.kill(pid, signal.SIGSTOP)
        sender = threading.Thread(target=wire.ask, args=("POST", "/v1/completions", body))
        sender.start()
        try:
            until(lambda: server.engines()["a"]["requests"] == 1)
            assert settled_memory(server.pid) - before < 24
            assert sender.is_alive()
        finally:
            os.kill(pid, signal.SIGCONT)
            sender.join()
        assert json.loads(wire.answer().body)["length"] == len(body)


def test_many_waiting_bodies_cost_little_memory(fake):
    server = fake(a={"load_s": 5})
    before = memory_of(server.pid)
    body = json.dumps({"model": "a", "x": "y" * (8 << 20)}).encode()
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(20) as pool:
        wires = [stack.enter_context(Wire(server)) for _ in range(20)]
        sent = [pool.submit(w.ask, "POST", "/v1/completions", body) for w in wires]
        until(lambda: server.queue().get("a", {}).get("waiting") == 20, what="twenty in the queue")
        assert settled_memory(server.pid) - before < 48
        answers = [pool.submit(s.result().answer) for s in sent]
        assert {json.loads(a.result().body)["length"] for a in answers} == {len(body)}


# --- kept connections that turn out to be closed --------------------------------------------------

def test_the_engine_closes_each_hundredth_request(hostler, models):
    server = hostler("--models-dir", models)
    connection = server.connect()
    for n in range(250):
        connection.request("POST", "/tokenize", json.dumps({"model": "m1", "content": f"{n}"}))
        response = connection.getresponse()
        assert response.status == 200, response.read()
        response.read()
    connection.close()


def test_a_pause_longer_than_the_engines_keep_alive(hostler, models):
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    end = time.monotonic() + 7  # the engine's is 5 s
    until(lambda: time.monotonic() > end)
    assert all(server.tokenize("m1").status == 200 for _ in range(5))


@pytest.mark.parametrize("request_kw", [
    {"method": "POST", "path": "/v1/completions", "body": {"model": "a"}},
    {"method": "GET", "path": "/lora-adapters?model=a"}], ids=["POST", "GET"])
def test_a_stale_connection_is_replaced_unseen(fake, request_kw):
    server = fake(a={"close_unread": 2})  # each connection serves one request
    for _ in range(6):
        answer = server.request(**request_kw)
        assert answer.status == 200, answer.body


# --- engines that die -----------------------------------------------------------------------------

def test_a_stream_tells_that_its_engine_died(fake):
    server = fake(a={"crash_stream": 3, "tokens": 9, "log": "the last words"})
    server.tokenize("a")
    with Wire(server) as wire:
        head = wire.ask("POST", CHAT, chat("a", stream=True)).answer()  # ended as it should
        assert head.status == 200
        last = head.body.decode().strip().split("\n\n")[-1]
        error = json.loads(last.removeprefix("data: "))["error"]
        assert error["code"] == 502 and "word2" in head.body.decode()
        assert "signal 9" in error["message"] and "the last words" in error["log"]
        again = wire.ask("POST", "/v1/completions", {"model": "a"}).answer()
    assert again.status == 200
    assert server.models()["a"]["status"]["value"] == "loaded"


def test_a_request_learns_why_its_engine_died(fake):
    server = fake(a={"crash_at": 2, "log": "the last words"})
    server.tokenize("a")
    answer = server.tokenize("a")
    message = is_json_error(answer, 502)
    assert "signal 9" in message and "the last words" in answer.error["log"]
    status = server.models()["a"]["status"]
    assert status["value"] == "unloaded" and status["failed"] and status["reason"] == "crashed"
    assert status["signal"] == signal.SIGKILL
    assert server.tokenize("a").status == 200  # the next one has a fresh engine


def test_an_engine_killed_while_a_real_model_generates(hostler, slow_models):
    server = hostler("--models-dir", slow_models, "-t", "1")
    connection, response = open_stream(server, "a", max_tokens=2000)
    texts(response, 3)
    os.kill(server.engines()["a"]["pid"], signal.SIGKILL)
    events = texts(response)
    connection.close()
    assert "signal 9" in json.loads(events[-1])["error"]["message"]


def test_an_engine_killed_while_idle_is_replaced_by_the_next_request(hostler, models):
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    for _ in range(3):
        pid = server.engines()["m1"]["pid"]
        os.kill(pid, signal.SIGKILL)
        assert server.tokenize("m1").status == 200
        assert server.engines()["m1"]["pid"] != pid


def test_an_engine_that_dies_in_the_middle_of_a_body_with_a_length(hostler, tmp_path):
    """There is nothing left to say it with: the connection ends before the announced length."""
    folder = fake_models(tmp_path / "models", a={"big_body": 64})
    server = hostler("--model", folder / "a.gguf", engine=FAKE_ENGINE)
    until(lambda: server.get("/health").status == 200)
    with Wire(server, receive_buffer=4096) as wire:
        wire.ask("GET", "/big").head()
        os.kill(next(iter(server.engines().values()))["pid"], signal.SIGKILL)
        with pytest.raises((EOFError, ConnectionResetError)):
            wire.exactly(64 << 20)


def test_an_engine_that_dies_while_a_body_is_sent_to_it(fake):
    server = fake(a={})
    server.tokenize("a")
    body = json.dumps({"model": "a", "x": "y" * (8 << 20)}).encode()
    with Wire(server) as wire:
        wire.send(request_bytes("POST", "/v1/completions", body)[:-(1 << 20)])
        until(lambda: server.engines()["a"]["requests"] == 1)
        os.kill(server.engines()["a"]["pid"], signal.SIGKILL)
        message = is_json_error(wire.answer(), 502)
    assert "'a'" in message
    assert server.tokenize("a").status == 200
