# SPDX-License-Identifier: MIT
"""GET /models/sse: what happens to models, told to any number of subscribers."""
import json
import os
import pathlib
import re
import shutil
import signal
import time

import pytest

import tiny_model
from conftest import PATIENCE, until
from events import Events, subscribe
from wire import Wire, chat, is_json_error, memory_of

# Under AddressSanitizer what was freed is kept for a while, and would be taken for growth.
LEAN = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


def unloaded(code, reason):
    return ("status_change", {"status": "unloaded", "exit_code": code, "reason": reason})


def next_unloaded(events):
    """Passes over what comes before."""
    while True:
        model, event, data = events.next()
        if data and data["status"] == "unloaded":
            return model, (event, data)


@pytest.fixture(scope="module")
def server(module_hostler, models):
    return module_hostler("--models-dir", models, "--models-max", "1", env=LEAN)


# --- what is told ----------------------------------------------------------------------------------

def test_load_and_unload(hostler, models):
    server = hostler("--models-dir", models)
    events = Events(server)
    assert server.post("/models/load", {"model": "m1"}).status == 200
    assert events.next() == ("m1", "model_status", {"status": "loading"})
    progress = []
    while (told := events.next())[2]["status"] == "loading":
        assert told[:2] == ("m1", "status_change")
        progress.append(told[2]["progress"])
    assert progress[0]["stages"] == ["text_model"] and progress[0]["current"] == "text_model"
    values = [p["value"] for p in progress]
    assert values == sorted(values) and 0 <= values[0] and values[-1] <= 1
    model, event, data = told
    assert (model, event, data["status"]) == ("m1", "status_change", "loaded")
    assert data["info"]["meta"]["n_ctx_train"] == 2048
    assert server.post("/models/unload", {"model": "m1"}).status == 200
    assert events.next() == ("m1", *unloaded(0, "unloaded"))
    assert events.none_left()


def test_eviction(server):
    """Where there is memory for both, the next load begins before the end of the one that goes."""
    server.tokenize("m1")
    events = Events(server)
    server.tokenize("m2")
    told = []
    while not {("m1", "unloaded"), ("m2", "loaded")} <= {(model, data["status"]) for model, _, data in told}:
        told.append(events.next())
    assert ("m1", *unloaded(0, "evicted")) in told
    assert [(event, data["status"]) for model, event, data in told if model == "m2" and "progress" not in data] == [
        ("model_status", "loading"), ("status_change", "loaded")]


def test_ttl(hostler, models):
    server = hostler("--models-dir", models, "--ttl", "200ms")
    events = Events(server)
    server.tokenize("m1")
    assert next_unloaded(events) == ("m1", unloaded(0, "idle"))


def test_crash(server):
    server.tokenize("m1")
    events = Events(server)
    os.kill(server.engines()["m1"]["pid"], signal.SIGKILL)
    assert events.next() == ("m1", *unloaded(1, "crashed"))


def test_failed_load(hostler, tmp_path):
    (tmp_path / "models").mkdir()
    path = tiny_model.make(str(tmp_path / "models" / "cut.gguf"))
    os.truncate(path, os.stat(path).st_size // 2)
    server = hostler("--models-dir", tmp_path / "models")
    events = Events(server)
    assert server.tokenize("cut").status == 500
    assert events.next() == ("cut", "model_status", {"status": "loading"})
    assert next_unloaded(events) == ("cut", unloaded(1, "load_failed"))


def test_an_engine_that_cannot_be_started(hostler, models, engine, tmp_path):
    copy = tmp_path / "llama-server"
    copy.write_text(f'#!/bin/sh\nexec {engine} "$@"\n', encoding="ascii")
    copy.chmod(0o755)
    server = hostler("--models-dir", models, engine=copy)
    copy.unlink()
    events = Events(server)
    assert server.tokenize("m1").status == 500
    assert events.next() == ("m1", *unloaded(1, "load_failed"))


def test_sleep_and_wake(hostler, models):
    server = hostler("--models-dir", models, "--sleep-idle-seconds", "1")
    events = Events(server)
    server.tokenize("m1")
    assert events.until("sleeping")[-2:] == [("status_change", "loaded"),
                                            ("status_change", "sleeping")]
    server.post("/v1/chat/completions", chat("m1", max_tokens=1))
    _, event, data = events.next()
    assert (event, data["status"]) == ("status_change", "loading") and data["progress"]["stages"]
    while data["status"] == "loading":
        _, event, data = events.next()
    assert (event, data) == ("status_change", {"status": "loaded"})  # its info was told before


def test_reload(hostler, models, tmp_path):
    shutil.copytree(models, tmp_path / "models")
    server = hostler("--models-dir", tmp_path / "models")
    events = Events(server)
    assert server.get("/models?reload=1").status == 200
    assert events.next() == ("*", "models_reload", None)
    server.process.send_signal(signal.SIGHUP)
    assert events.next() == ("*", "models_reload", None)
    server.tokenize("m1")
    events.until("loaded")
    (tmp_path / "models" / "m1.gguf").unlink()
    seen = sorted([events.next(), events.next()])  # noticed by itself
    assert seen == [("*", "models_reload", None), ("m1", *unloaded(0, "removed"))]


def next_wish(events):
    model, event, data = events.next()
    return model, event, data, re.sub(r" from .*", "", events.cause)


def test_holds(hostler, models):
    server = hostler("--models-dir", models)
    events = Events(server)
    server.post("/models/hold", {"model": "m1", "reason": "backup"})
    assert next_wish(events) == ("m1", "hold", {"until": None, "reason": "backup"}, "POST /models/hold")
    server.post("/models/release", {"model": "m1"})
    assert next_wish(events) == ("m1", "release", {}, "POST /models/release")
    server.post("/models/hold", {"model": "m1"})
    assert next_wish(events)[1] == "hold"
    server.post("/models/load", {"model": "m1"})
    assert next_wish(events) == ("m1", "release", {}, "POST /models/load")
    assert events.until("loaded")
    server.post("/models/unload-all", {"hold": True, "except": ["m2", "m3", "m4"]})
    model, event, data, cause = next_wish(events)
    assert (model, event, cause) == ("m1", "hold", "POST /models/unload-all")
    assert next_unloaded(events)


def test_a_hold_ends_in_time(hostler, models):
    """By itself, the earlier one first, whichever began first."""
    server = hostler("--models-dir", models)
    events = Events(server)
    for model, seconds in (("m3", 600), ("m1", 4), ("m2", 2)):
        before = time.time()
        server.post("/models/hold", {"model": model, "for": seconds})
        name, event, data, _ = next_wish(events)
        assert (name, event) == (model, "hold") and abs(data["until"] - before - seconds) < 5
    assert next_wish(events) == ("m2", "release", {}, "its time is up")
    assert next_wish(events) == ("m1", "release", {}, "its time is up")
    status = server.get("/hostler/v1/status").json
    assert [h["model"] for h in status["holds"]] == ["m3"]
    assert [(c["model"], c["event"], c["why"]) for c in status["recent"][:2]] == [
        ("m1", "release", "its time is up"), ("m2", "release", "its time is up")]


def test_pins(hostler, models):
    server = hostler("--models-dir", models)
    events = Events(server)
    server.post("/models/pin", {"model": "m1"})
    assert next_wish(events) == ("m1", "pin", {}, "POST /models/pin")
    server.post("/models/pin", {"model": "m1"})  # which changes nothing
    server.post("/models/unpin", {"model": "m1"})
    assert next_wish(events) == ("m1", "unpin", {}, "POST /models/unpin")
    assert events.none_left()


def test_shutdown(hostler, models):
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    events = Events(server)
    server.process.send_signal(signal.SIGTERM)
    assert events.end() == "end"
    assert server.stop() == 0


def test_nothing_is_told_of_before(server):
    server.tokenize("m1")
    events = Events(server)
    server.get("/models?reload=1")
    assert events.next() == ("*", "models_reload", None)


# --- who may ask, and how --------------------------------------------------------------------------

def test_a_key_is_wanted(hostler, models):
    server = hostler("--models-dir", models, "--api-key", "k")
    assert is_json_error(server.get("/models/sse"), 401) == "Invalid API Key"
    with Wire(server).ask("GET", "/models/sse", Authorization="Bearer k") as wire:
        assert wire.head().status == 200


def test_head(server):
    with Wire(server).ask("HEAD", "/models/sse") as wire:
        head = wire.head()
        assert head.status == 200 and head["content-type"] == "text/event-stream"
        wire.ask("GET", "/health")  # it has no body, and the connection is kept
        assert wire.head().status == 200


def test_http_1_0(server):
    wire = subscribe(server, version="HTTP/1.0")
    server.get("/models?reload=1")
    wanted = b'data: {"model":"*","event":"models_reload"}\n\n'
    assert wire.exactly(len(wanted)) == wanted
    wire.close()


def test_other_methods(server):
    assert "GET" in is_json_error(server.post("/models/sse"), 405)


def test_a_body_is_no_matter(server):
    with Wire(server).ask("GET", "/models/sse", b"x" * 100_000) as wire:
        assert wire.head().status == 200
        server.get("/models?reload=1")
        assert b"models_reload" in next(wire.chunks())


# --- many ------------------------------------------------------------------------------------------

def test_fifty_are_told_the_same(server):
    server.tokenize("m1")
    all_events = [Events(server) for _ in range(50)]
    server.tokenize("m2")
    server.get("/models?reload=1")
    told = set()
    for events in all_events:
        seen = [events.next()]
        while seen[-1][0] != "*":
            seen.append(events.next())
        told.add(json.dumps(seen))
    assert len(told) == 1 and len(json.loads(told.pop())) >= 4
    for events in all_events:
        events.close()


def sockets(server):
    links = pathlib.Path(f"/proc/{server.pid}/fd").iterdir()
    return sum(os.readlink(link).startswith("socket:") for link in links if link.is_symlink())


def test_who_leaves_is_forgotten(server):
    stays = Events(server)
    before = sockets(server)
    for _ in range(20):
        subscribe(server).close()
    for _ in range(3):
        server.get("/models?reload=1")
        assert stays.next() == ("*", "models_reload", None)
    until(lambda: sockets(server) <= before, what="the end of their connections")
    stays.close()


REPORTER = """#!/usr/bin/env python3
import os, sys
if "--host" not in sys.argv:
    os.execv({engine!r}, sys.argv)
report = '{{"state":"loading","payload":{{"stages":["' + "x" * 8000 + '"]}}}}'
for line in open({fifo!r}):
    print("cmd_child_to_router:state:" + report, flush=True)
"""


@pytest.fixture
def reporter(tmp_path, engine):
    """An engine that loads for ever and reports 8 KB of progress for each line in `.fifo`."""
    path, fifo = tmp_path / "reporter", tmp_path / "fifo"
    os.mkfifo(fifo)
    path.write_text(REPORTER.format(engine=str(engine), fifo=str(fifo)), encoding="ascii")
    path.chmod(0o755)
    return path


def test_one_that_does_not_read_is_dropped(hostler, models, reporter, tmp_path):
    server = hostler("--models-dir", models, engine=reporter, unix=True, env=LEAN)
    reads, deaf = Events(server), subscribe(server)
    assert server.post("/models/load", {"model": "m1"}).status == 200
    assert reads.next()[1] == "model_status"
    before, count = memory_of(server.pid), 0
    with open(tmp_path / "fifo", "w", encoding="ascii") as fifo:
        while "does not read" not in server.log():
            print(file=fifo, flush=True)
            assert reads.next()[2]["status"] == "loading"  # at once, whatever the other does
            count += 1
            assert count < 200
        assert count > 32  # 256 KiB may wait, beside what the system keeps
        for _ in range(20):
            print(file=fifo, flush=True)
            reads.next()
    assert memory_of(server.pid) - before < 4
    with pytest.raises(EOFError):
        while True:
            for _ in deaf.chunks():
                pass
    assert next_unloaded(reads)[1] == unloaded(1, "load_failed")
