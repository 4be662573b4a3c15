# SPDX-License-Identifier: MIT
"""GET /hostler/v1/live: everything at the start, then what changes, to any number of subscribers."""
import json
import os
import shutil
import signal
import threading

import pytest

import tiny_model
from conftest import until
from live import Live, subscribe
from wire import FAKE_ENGINE, Wire, chat, fake_models, is_json_error

LIVE = "/hostler/v1/live"


@pytest.fixture(scope="module")
def server(module_hostler, models):
    return module_hostler("--models-dir", models, "--models-max", "1")


def is_as_listed(server, live):
    """Whether the picture is what the other routes say."""
    listed = {m["id"]: m for m in server.get("/models").json["data"]}
    return listed.keys() == live.models.keys() and all(
        live.models[name]["state"] == m["status"]["value"] and ("held" in m) == ("held" in live.models[name]) and
        m["size"] == live.models[name]["size"] for name, m in listed.items())


# --- what is told ----------------------------------------------------------------------------------

def test_the_start(server, models):
    live = Live(server).until_ready()
    assert live.frames[0][1] == "server"
    assert live.server["router"] and not live.server["classic"] and live.server["models_max"] == 1
    assert {"list", "infer", "status", "load", "unload", "hold", "download", "delete", "logs", "admin"} <= set(
        live.server["rights"])
    host = live.devices["host"]
    assert host["total"] > host["available"] > 0 and host["engines"] + host["others"] <= host["total"]
    assert live.queue["waiting"] == 0 and live.queue["models_next"] == [] and live.queue["connections"]["open"] >= 1
    assert is_as_listed(server, live)
    row = live.models["m1"]
    assert row["source"] == "models_dir" and row["context"] == 2048 and row["size"] == os.stat(models / "m1.gguf").st_size
    live.close()


def test_load_evict_and_unload(hostler, models):
    server = hostler("--models-dir", models, "--models-max", "1")
    live = Live(server).until_ready()
    assert server.post("/models/load", {"model": "m1"}).status == 200
    row = live.until_row("m1", state="loaded")
    assert row["loaded_by"].startswith("POST /models/load from") and row["loaded_at"] > 0
    live.until_row("m1", memory_source="measured")
    assert live.models["m1"]["memory"]["host"] > 0
    until(lambda: live.devices["host"]["engines"] > 0, what="its memory")
    states = [row["state"] for _, event, data, _ in live.frames if event == "models" for row in data["models"]
              if row["id"] == "m1"]
    assert states[0] == "unloaded" and states[-1] == "loaded"
    server.tokenize("m2")
    live.until_row("m2", state="loaded")
    row = live.until_row("m1", state="unloaded", reason="evicted")
    assert "m2" in row["message"] and "loaded_by" not in row and "requests" not in row and not row.get("failed")
    server.post("/models/unload", {"model": "m2"})
    live.until_row("m2", state="unloaded", reason="unloaded")
    until(lambda: [(c["model"], c["event"]) for c in live.changes][:2] == [("m1", "load"), ("m1", "ready")],
          what="the changes")
    assert is_as_listed(server, live)


def test_progress_of_a_load(hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "m", slow={"load_s": 3}), engine=FAKE_ENGINE)
    live = Live(server).until_ready()
    server.post("/models/load", {"model": "slow"})
    row = live.until_row("slow", state="loading")
    until(lambda: 0 < live.models["slow"].get("progress", 0) <= 1, what="its progress")
    assert live.models["slow"]["stage"]
    row = live.until_row("slow", state="loaded")
    assert "progress" not in row and "stage" not in row


def test_a_failure_without_its_log(hostler, tmp_path):
    folder = fake_models(tmp_path / "m", bad={"exit_at_load": 7, "log": "a secret path"})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    live = Live(server).until_ready()
    server.tokenize("bad")
    row = live.until_row("bad", failed=True, state="unloaded")
    assert row["reason"] == "load_failed" and row["message"] and "secret" not in json.dumps(live.models)


def test_holds_and_pins(hostler, models):
    server = hostler("--models-dir", models)
    live = Live(server).until_ready()
    server.post("/models/hold", {"all": True, "reason": "backup", "for": 600})
    for name in ("m1", "m2", "m3", "m4"):
        until(lambda name=name: "held" in live.models[name], what="the hold")
    held = live.models["m3"]["held"]
    assert held["reason"] == "backup" and held["by"].startswith("POST /models/hold from") and held["until"] > 0
    sent = live.count("models")
    server.post("/models/release", {"model": "m3"})
    live.until_row("m3", held=None)
    server.post("/models/pin", {"model": "m2"})
    live.until_row("m2", pinned=True)
    # Only who changed was told of, though each hold's end is told by the clock.
    assert {row["id"] for _, event, data, _ in live.frames[sent + 4:] if event == "models"
            for row in data["models"]} <= {"m1", "m2", "m3", "m4"}
    assert is_as_listed(server, live)


def test_files_and_presets_that_come_and_go(hostler, models, tmp_path):
    """Models are renamed, removed and added while the stream goes on; names may be hostile."""
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    presets = tmp_path / "p.ini"
    presets.write_text("[m1]\nalias = one\n", encoding="utf-8")
    server = hostler("--models-dir", folder, "--models-preset", presets)
    live = Live(server).until_ready()
    assert live.models["m1"]["aliases"] == ["one"]
    server.tokenize("m2")
    live.until_row("m2", state="loaded")
    (folder / "m2.gguf").rename(folder / "mm.gguf")
    (folder / "m3.gguf").unlink()
    tiny_model.make(folder / '<img src=x onerror="1"> é\\.gguf', seed=9)
    presets.write_text("[m1]\nalias = uno\ntags = a,b\n[gone]\nmodel = /nowhere.gguf\n", encoding="utf-8")
    assert server.get("/models?reload=1").status == 200
    live.until_row("m1", aliases=["uno"], tags=["a", "b"])
    live.until_row("gone", reason="missing")
    until(lambda: is_as_listed(server, live), what="the models as they are listed")
    assert "m2" not in live.models and "mm" in live.models and any("onerror" in name for name in live.models)
    (folder / "mm.gguf").rename(folder / "m2.gguf")  # the name is there again
    live.until_row("m2", state="unloaded")
    until(lambda: is_as_listed(server, live), what="the models as they are listed")


def test_a_client_that_leaves(hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "m", talker={"endless": True, "token_ms": 20}),
                     "--api-key", "secret-7", engine=FAKE_ENGINE)
    key = {"Authorization": "Bearer secret-7"}
    live = Live(server, **key).until_ready()
    connection = server.connect()
    connection.request("POST", "/v1/chat/completions", json.dumps(chat("talker", stream=True)), headers=key)
    connection.getresponse().readline()
    row = until(lambda: next((r for r in live.requests.values() if r.get("tokens", 0) > 30), None), what="tokens")
    assert row["state"] == "running" and row["key"] and row["tokens_per_second"] > 0
    connection.close()
    until(lambda: live.ended == {row["id"]}, what="its end")
    assert live.requests[row["id"]]["error"] == "client_gone"
    assert "secret-7" not in json.dumps([live.frames, live.requests])


def test_requests_and_figures(hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "m", talker={"tokens": 200, "token_ms": 30}, other={}),
                     "--models-max", "1", engine=FAKE_ENGINE)
    live = Live(server).until_ready()
    answer = {}
    thread = threading.Thread(target=lambda: answer.update(
        a=server.post("/v1/chat/completions", chat("talker", stream=True), headers={"User-Agent": "agent 7"})))
    thread.start()
    row = until(lambda: next((r for r in live.requests.values() if r.get("tokens", 0) > 3), None), what="tokens")
    assert row["model"] == "talker" and row["user_agent"] == "agent 7" and row["state"] == "running"
    assert live.until_row("talker", requests=1)["state"] == "loaded"
    until(lambda: live.models["talker"].get("tokens_per_second", 0) > 0, what="a rate")
    second = threading.Thread(target=lambda: server.tokenize("other"))
    second.start()
    until(lambda: live.queue["models_next"] == ["other"] and live.queue["waiting"] == 1, what="who waits")
    waiting = until(lambda: next((r for r in live.requests.values() if r["model"] == "other"), None), what="its request")
    assert waiting["state"] == "waiting"
    thread.join()
    second.join()
    until(lambda: len(live.ended) == 2, what="their end")
    assert {(r["model"], r["state"], r["status"]) for r in live.requests.values()} == {
        ("talker", "done", 200), ("other", "done", 200)}
    listed = {r["id"]: r for r in server.get("/hostler/v1/requests").json["requests"]}
    for number, row in live.requests.items():
        assert row["waited_ms"] == listed[number]["waited_ms"] if listed[number]["waited_ms"] else True
        assert row["elapsed_ms"] == listed[number]["elapsed_ms"]
    live.until_row("other", requests=0, waiting=None)
    assert live.models["other"]["idle_since"] > 0


def test_short_requests_are_told_of_when_they_are_over(server):
    live = Live(server).until_ready()
    before = len(live.requests)
    for _ in range(3):
        server.tokenize("m1", headers={"User-Agent": "short"})
    until(lambda: sum(r.get("user_agent") == "short" and r["state"] == "done" for r in live.requests.values()) == 3,
          what=f"three more than {before}")
    live.close()


def test_a_server_of_one_model(hostler, models):
    server = hostler("--model", models / "m1.gguf")
    live = Live(server).until_ready()
    assert live.server["classic"] and not live.server["router"] and len(live.models) == 1
    name = next(iter(live.models))
    live.until_row(name, state="loaded")


# --- what it costs ---------------------------------------------------------------------------------

def test_nothing_is_sent_while_nothing_changes(hostler, models):
    server = hostler("--models-dir", models)
    live = Live(server).until_ready()
    until(lambda: live.comments >= 1, what="a comment", patience=40)
    events = [event for _, event, _, _ in live.frames]
    assert set(events[events.index("ready") + 1:]) <= {"devices", "queue"}, events


def test_many_models_and_all_of_them_change(hostler, tmp_path):
    """10,000 at the start, all held and released, while others read and one does not."""
    folder = tmp_path / "m"
    folder.mkdir()
    source = tiny_model.make(folder / "model-00000.gguf")
    for i in range(1, 2000):
        os.link(source, folder / f"model-{i:05}.gguf")
    server = hostler("--models-dir", folder)
    until(lambda: len(server.get("/models").json["data"]) == 2000, what="the models")
    stalled = subscribe(server, receive_buffer=4096)
    lives = [Live(server) for _ in range(3)]
    for live in lives:
        live.until_ready()
        assert len(live.models) == 2000
    assert server.post("/models/hold", {"all": True}).status == 200
    for live in lives:
        until(lambda live=live: all("held" in m for m in live.models.values()), what="the holds")
    assert server.post("/models/release", {"all": True}).status == 200
    for live in lives:
        until(lambda live=live: not any("held" in m for m in live.models.values()), what="their end")
    late = Live(server).until_ready()
    assert late.models.keys() == lives[0].models.keys()
    # Who has not read so far gets the last state of each, once.
    seen, rest = {}, b""
    for chunk in stalled.chunks():
        *whole, rest = (rest + chunk).split(b"\n\n")
        for frame in whole:
            event, _, data = frame.partition(b"\ndata: ")
            if event == b"event: models":
                seen.update((row["id"], row) for row in json.loads(data)["models"])
        if len(seen) == 2000 and not any("held" in row for row in seen.values()):
            break
    stalled.close()


# --- who may ask, and how --------------------------------------------------------------------------

def test_a_key_is_wanted(hostler, models):
    server = hostler("--models-dir", models, "--api-key", "k")
    assert is_json_error(server.get(LIVE), 401) == "Invalid API Key"
    with Wire(server).ask("GET", LIVE, Authorization="Bearer k") as wire:
        assert wire.head().status == 200


def test_other_methods_and_head(server):
    assert "GET" in is_json_error(server.post(LIVE), 405)
    with Wire(server).ask("HEAD", LIVE) as wire:
        head = wire.head()
        assert head.status == 200 and head["content-type"] == "text/event-stream"
        wire.ask("GET", "/health")  # it has no body, and the connection is kept
        assert wire.head().status == 200


def test_shutdown(hostler, models):
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    lives = [Live(server).until_ready() for _ in range(5)]
    stalled = subscribe(server, receive_buffer=4096)
    server.process.send_signal(signal.SIGTERM)
    assert {live.until_over() for live in lives} == {"end"}
    assert server.stop() == 0
    stalled.close()


def test_a_hundred_and_one_too_many(hostler, models):
    """Each of a hundred is told the same; those beyond the limit are refused, until somebody leaves."""
    server = hostler("--models-dir", models)
    lives = [Live(server) for _ in range(100)]
    for live in lives:
        live.until_ready()
    server.tokenize("m2")
    for live in lives:
        live.until_row("m2", state="loaded")
    more = [subscribe(server) for _ in range(28)]
    refused = server.get(LIVE)
    assert is_json_error(refused, 503) and refused.headers["retry-after"]
    for live in lives:
        live.close()
    for wire in more:
        wire.close()

    def is_served():
        with Wire(server).ask("GET", LIVE) as wire:
            return wire.head().status == 200
    until(is_served, what="a place")
