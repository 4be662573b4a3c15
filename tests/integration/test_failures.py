# SPDX-License-Identifier: MIT
"""Engines that end by themselves, loads that fail for want of memory, and files that change while
somebody waits."""
import json
import os
import pathlib
import re

import pytest

import tiny_model
from background import background
from conftest import PATIENCE, until
from pace import Gate
from unloading import load
from wire import FAKE_ENGINE, chat, fake_models, is_json_error

CHAT = "/v1/chat/completions"


def starts(server, model):
    """How often an engine was started for the model."""
    return len(re.findall(rf"model {re.escape(model)} is loaded for", server.log()))


def set_fake(folder, model, **misbehaviour):
    (folder / f"{model}.gguf.fake").write_text(json.dumps(misbehaviour), encoding="utf-8")


def show(server, model):
    return server.get(f"/hostler/v1/show?model={model}").json


# --- too many ends in a row ------------------------------------------------------------------------

ONCE_READY = {"crash_at": 1, "log": "a wheel came off"}
WHILE_LOADING = {"exit_at_load": 7, "log": "no wheels at all"}


def fail_five_times(server, model, status):
    answers = [server.post(CHAT, chat(model)) for _ in range(5)]
    assert [a.status for a in answers] == [status] * 5, [a.body for a in answers]
    return answers[-1].error["log"]


def pauses(server, model):
    """From the end of each of the model's requests to the end of the next one's wait, the oldest first; seconds. By the daemon's clock:
    a client on a busy machine may be late with the next request."""
    records = server.get(f"/hostler/v1/requests?model={model}&state=done").json["requests"][::-1]
    return [r["at"] - before["at"] + (r["waited_ms"] - before["elapsed_ms"]) / 1000 for before, r in zip(records, records[1:])]


def test_a_model_that_fails_again_and_again(hostler, tmp_path):
    """At once, then after 1, 2, 4 s; after five in a row no more, until something is done about it. Each
    model is mended in a way of its own."""
    folder = fake_models(tmp_path / "fakes", crashes=ONCE_READY, by_hand=WHILE_LOADING,
                         by_file=WHILE_LOADING, by_preset=ONCE_READY)
    presets = tmp_path / "p.ini"
    presets.write_text("[by_preset]\nctx-size = 512\n", encoding="utf-8")
    server = hostler("--models-dir", folder, "--models-preset", presets, engine=FAKE_ENGINE)
    mine = {"crashes": 502, "by_hand": 500, "by_file": 500, "by_preset": 502}
    failing = {m: background(fail_five_times, server, m, status) for m, status in mine.items()}
    last = {m: f.result(PATIENCE) for m, f in failing.items()}
    assert "a wheel came off" in last["crashes"] and "no wheels at all" in last["by_hand"]

    for model in mine:
        assert starts(server, model) == 5
        waited = pauses(server, model)
        assert len(waited) == 4 and all(w >= least for w, least in zip(waited, (0, 0.9, 1.9, 3.8))), (model, waited)
        answer = server.post(CHAT, chat(model))
        message = is_json_error(answer, 503)
        assert answer.error["state"] == "failed" and int(answer.headers["retry-after"]) > 0
        assert answer.headers["x-should-retry"] == "false"
        assert "ended by signal 9" in message or "code 7" in message
        assert "wheel" in answer.error["log"] and starts(server, model) == 5
        assert server.models()[model]["status"]["failed"] is True
        assert "wheel" in server.models()[model]["status"]["log"]

    # Nothing else brings them back:
    server.get("/models?reload=1")
    assert server.tokenize("crashes").status == server.tokenize("by_file").status == 503
    # somebody who loads it, though nothing is mended,
    assert server.post("/models/load", {"model": "by_hand"}).status == 200
    until(lambda: starts(server, "by_hand") == 6 and server.state("by_hand") == "unloaded")
    set_fake(folder, "by_hand")
    assert server.tokenize("by_hand").status == 200
    # its arguments,
    set_fake(folder, "by_preset")
    presets.write_text("[by_preset]\nctx-size = 1024\n", encoding="utf-8")
    server.get("/models?reload=1")
    assert server.tokenize("by_preset").status == 200
    # or its file.
    set_fake(folder, "by_file")
    tiny_model.make(folder / "by_file.gguf", seed=9)
    server.get("/models?reload=1")
    assert server.tokenize("by_file").status == 200
    assert server.tokenize("crashes").status == 503


def test_a_request_that_was_served_ends_the_row(hostler, models):
    server = hostler("--models-dir", models)
    for _ in range(6):
        pid = load(server, "m1")["m1"]
        os.kill(pid, 9)
        until(lambda pid=pid: pid not in [e["pid"] for e in server.engines().values()], what="its end")
    assert server.tokenize("m1").status == 200
    assert starts(server, "m1") == 7


def test_the_others_are_served_while_one_fails(hostler, models, tmp_path):
    """A real engine whose file is cut off, beside real ones that are whole."""
    folder = tmp_path / "folder"
    folder.mkdir()
    whole = (models / "m1.gguf").read_bytes()
    (folder / "cut.gguf").write_bytes(whole[:-100000])
    (folder / "whole.gguf").write_bytes(whole)
    server = hostler("--models-dir", folder)
    failing = background(fail_five_times, server, "cut", 500)

    def others_are_served_until_it_is_over():
        assert server.tokenize("whole").status == 200
        return failing.done()

    until(others_are_served_until_it_is_over)
    assert "cut.gguf" in failing.result(PATIENCE)
    answer = server.tokenize("cut")
    assert is_json_error(answer, 503) and answer.error["state"] == "failed"


# --- want of memory --------------------------------------------------------------------------------

class Tight:
    """The real engine, which finds too little address space for `model` the first `times` it starts."""

    def __init__(self, folder, engine, model, times):
        self.path = folder / "tight-engine"
        self.count = folder / "starts"
        self.count.write_text("", encoding="ascii")
        self.path.write_text(f"""#!/bin/sh
case "$*" in *--host*{model}.gguf*|*{model}.gguf*--host*)
    echo >> '{self.count}'
    [ $(wc -l < '{self.count}') -gt {times} ] || ulimit -v 400000 ;;
esac
exec '{engine}' "$@"
""", encoding="ascii")
        self.path.chmod(0o755)

    def __str__(self):
        return str(self.path)


NEEDS = "[m2]\nctx-size = 500000\nfit = off\nparallel = 1\n"  # 250 MiB for its cache


@pytest.fixture
def tight(hostler, models, tmp_path, engine):
    """tight(times, *args): a daemon whose m2 finds no memory so often."""
    def start(times, *args):
        presets = tmp_path / "p.ini"
        presets.write_text(NEEDS, encoding="utf-8")
        return hostler("--models-dir", models, "--models-preset", presets, "--threads", "1", *args,
                       engine=Tight(tmp_path, engine, "m2", times))
    return start


def test_a_load_without_memory_is_tried_again_with_all_there_is(tight):
    server = tight(1, "--memory", "host=8G")
    load(server, "m1", "m3")
    answer = server.tokenize("m2")
    assert answer.status == 200, answer.body
    assert starts(server, "m2") == 2
    assert server.loaded() == ["m2"]  # the others made room for the second try
    server.until_gone("m1", "evicted")
    (failed,) = [c for c in show(server, "m2")["recent"] if c["event"] == "failed"]
    assert "exited with code 1" in failed["why"]
    # It is known now what it takes: they may come back beside it.
    assert show(server, "m2")["footprint"]["measured"]["memory"]["host"] > 250 << 20
    load(server, "m1")
    assert server.loaded() == ["m1", "m2"]


def test_a_second_time_it_is_given_up(tight):
    server = tight(2, "--memory", "host=8G")
    load(server, "m1")
    both = [background(server.tokenize, "m2") for _ in range(2)]
    for answer in (b.result(PATIENCE) for b in both):
        assert is_json_error(answer, 503) and "alloc" in answer.error["log"]  # "failed to allocate", "std::bad_alloc"
        assert answer.error["state"] == "oom" and int(answer.headers["retry-after"]) > 0
    assert starts(server, "m2") == 2
    status = server.models()["m2"]["status"]
    assert status["failed"] and "alloc" in status["log"]
    assert {r["error"] for r in server.get(
        "/hostler/v1/requests?model=m2").json["requests"]} == {"oom"}
    assert server.tokenize("m1").status == 200
    assert server.tokenize("m2").status == 200  # there is enough again


def test_an_operators_load_is_tried_again_too(tight):
    server = tight(1, "--memory", "off")
    server.post("/models/load", {"model": "m2"})
    until(lambda: server.loaded() == ["m2"], what="the second try")
    assert starts(server, "m2") == 2


def test_another_reason_is_not_tried_again(hostler, tmp_path):
    folder = fake_models(tmp_path / "fakes", a={"exit_at_load": 1, "log": "out of luck"})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    assert server.tokenize("a").status == 500
    assert starts(server, "a") == 1


# --- a file that changes while somebody waits ------------------------------------------------------

@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    for name in ("a", "b"):
        tiny_model.make(path / f"{name}.gguf", n_ctx_train=1024)
    return path


def replace(server, folder):
    """Another file takes a's place, and is taken note of."""
    tiny_model.make(folder / "a.gguf", seed=7, n_ctx_train=512)
    server.get("/models?reload=1")


def context(answer):
    assert answer.status == 200, answer.body
    return answer.json["default_generation_settings"]["n_ctx"]


def test_those_who_wait_for_a_load_get_the_new_file(hostler, folder, tmp_path, engine):
    gate = Gate(tmp_path, engine)
    gate.shut()
    server = hostler("--models-dir", folder, engine=gate)
    waiting = [background(server.tokenize, "a") for _ in range(3)]
    until(lambda: server.engines().get("a", {}).get("waiting") == 3, what="three that wait")
    old = server.engines()["a"]["pid"]
    replace(server, folder)
    gate.open()
    assert [w.result(PATIENCE).status for w in waiting] == [200] * 3
    assert server.engines()["a"]["pid"] != old
    until(lambda: server.models()["a"].get("meta", {}).get("n_ctx_train") == 512, what="the new file's figures")
    records = server.get("/hostler/v1/requests?model=a").json["requests"]
    assert [r["status"] for r in records] == [200] * 3


def test_those_who_wait_for_a_place_get_the_new_file(hostler, folder):
    server = hostler("--models-dir", folder, "--models-max", "1", "--threads", "1")
    load(server, "b")
    with_b = background(server.post, "/completion", {"model": "b", "prompt": "x", "n_predict": 900})
    until(lambda: server.engines()["b"]["requests"] == 1, what="its being busy")
    waiting = [background(server.tokenize, "a") for _ in range(3)]
    until(lambda: server.queue().get("a", {}).get("waiting") == 3 or with_b.done(), what="three that wait")
    replace(server, folder)
    assert [w.result(PATIENCE).status for w in waiting] == [200] * 3
    assert with_b.result(PATIENCE).status == 200
    until(lambda: server.models()["a"].get("meta", {}).get("n_ctx_train") == 512, what="the new file's figures")


def test_a_request_in_flight_ends_on_the_old_file(hostler, folder):
    server = hostler("--models-dir", folder, "--threads", "1")
    old = load(server, "a")["a"]
    before = background(server.post, "/completion", {"model": "a", "prompt": "x", "n_predict": 900})
    until(lambda: server.engines()["a"]["requests"] == 1 or before.done(), what="its being busy")
    replace(server, folder)
    after = background(server.get, "/props?model=a")
    assert before.result(PATIENCE).json["tokens_predicted"] == 900
    after.result(PATIENCE)
    assert server.tokenize("a").status == 200
    assert server.engines()["a"]["pid"] != old
    assert context(server.get("/props?model=a")) == 512


def test_a_file_that_goes_while_somebody_waits(hostler, folder, tmp_path, engine):
    gate = Gate(tmp_path, engine)
    gate.shut()
    server = hostler("--models-dir", folder, engine=gate)
    waiting = background(server.tokenize, "a")
    until(lambda: server.engines().get("a", {}).get("waiting") == 1, what="its waiting")
    pathlib.Path(folder / "a.gguf").unlink()
    server.get("/models?reload=1")
    assert "removed" in is_json_error(waiting.result(PATIENCE), 400)
    gate.open()
    assert server.tokenize("b").status == 200
