# SPDX-License-Identifier: MIT
"""GET /hostler/v1/timeline: memory, tokens and requests over the last hour and day, with loads and ends of engines."""
import threading
import time

import pytest

from conftest import until
from wire import FAKE_ENGINE, Wire, chat, fake_models, is_json_error

SERIES = ("tokens_per_second", "waiting", "running")


def timeline(server, span=None):
    line = server.get("/hostler/v1/timeline" + (f"?span={span}" if span else "")).json
    lengths = {len(line[name]) for name in SERIES} | {
        len(device[name]) for device in line["devices"].values() for name in ("engines", "others")}
    assert len(lengths) == 1 and 1 <= lengths.pop() <= 720
    assert line["step"] == (120 if span == "day" else 5)
    assert time.time() - 720 * line["step"] - 1 < line["from"] <= time.time()
    return line


def known(values):
    return [v for v in values if v is not None]


def test_a_daemon_that_did_nothing(hostler, models):
    line = timeline(hostler("--models-dir", models))
    assert line["marks"] == [] and not known(line["waiting"]) and line["devices"]["host"]["total"] > 0


def test_an_hour_with_swaps(hostler, tmp_path):
    folder = fake_models(tmp_path / "m", a={"tokens": 300, "token_ms": 20, "hold_mb": 64}, b={}, bad={"exit_at_load": 3})
    server = hostler("--models-dir", folder, "--models-max", "1", engine=FAKE_ENGINE)
    thread = threading.Thread(target=lambda: server.post("/v1/chat/completions", chat("a", stream=True)))
    thread.start()
    until(lambda: max(known(timeline(server)["running"]), default=0) == 1, what="a request that runs")
    until(lambda: max(known(timeline(server)["tokens_per_second"]), default=0) > 0, what="tokens, while they come")
    waiter = threading.Thread(target=lambda: server.tokenize("b"))
    waiter.start()
    until(lambda: max(known(timeline(server)["waiting"]), default=0) == 1, what="a request that waits")
    thread.join()
    waiter.join()
    server.tokenize("bad")
    server.until_gone("bad", "load_failed")
    line = timeline(server)
    marks = [(m["model"], m["event"]) for m in line["marks"]]
    assert marks[:2] == [("a", "load"), ("a", "ready")]
    assert {("a", "evicted"), ("b", "load"), ("b", "ready"), ("bad", "load"), ("bad", "load_failed")} <= set(marks)
    assert [m["at"] for m in line["marks"]] == sorted(m["at"] for m in line["marks"])
    cause = next(m["cause"] for m in line["marks"] if (m["model"], m["event"]) == ("a", "load"))
    assert cause.startswith("POST /v1/chat/completions from ")
    assert max(known(line["devices"]["host"]["engines"])) > 32 << 20
    day = timeline(server, "day")
    assert day["marks"] == line["marks"] and max(known(day["running"])) == 1

    def counted():
        line = timeline(server)
        return sum(known(line["tokens_per_second"])[:-1]) * 5 >= 250
    until(counted, what="all 300 tokens, more or less")


@pytest.mark.parametrize("query", ["?span=week", "?span=hour2"])
def test_spans(hostler, models, query):
    server = hostler("--models-dir", models, "--api-key", "k")
    key = {"Authorization": "Bearer k"}
    assert "'span'" in is_json_error(server.get("/hostler/v1/timeline" + query, headers=key), 400)
    assert is_json_error(server.get("/hostler/v1/timeline"), 401) == "Invalid API Key"
    with Wire(server).ask("HEAD", "/hostler/v1/timeline", **key) as wire:
        assert wire.head().status == 200
    assert server.get("/hostler/v1/timeline?span=", headers=key).json["step"] == 5
