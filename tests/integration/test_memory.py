# SPDX-License-Identifier: MIT
"""Budgets by memory. What an engine takes is given in the presets, so that the figures are ours."""
import json
import os
import re
import subprocess

import pytest

import tiny_model
from background import background
from conftest import run_cli, until
from memory_group import group, group_of  # noqa: F401 (a fixture)
from wire import FAKE_ENGINE, fake_models


@pytest.fixture
def start(hostler, models, tmp_path):
    """start(text, *args): a daemon without a limit of places, with the models m1 to m4."""
    def call(text, *args, folder=models, **kw):
        path = tmp_path / "p.ini"
        path.write_text(text, encoding="utf-8")
        return hostler("--models-dir", folder, "--models-preset", path, "--models-max", "0", *args, **kw)
    return call


def use(server, *names):
    for name in names:
        answer = server.tokenize(name)
        assert answer.status == 200, answer.body


def test_memory_and_not_places_decides_who_must_go(start):
    server = start("[m1]\nmemory = 300M\n[m2]\nmemory = 300M\n[m3]\nmemory = 600M\n[m4]\nmemory = 100M\n",
                   "--memory", "host=1G")
    use(server, "m1", "m2", "m4")
    assert server.loaded() == ["m1", "m2", "m4"]
    use(server, "m2", "m3")  # 300 MiB are needed, which m4 does not have
    assert server.loaded() in (["m2", "m3", "m4"], ["m1", "m3", "m4"])  # the quicker to load goes
    assert re.search("model m[12] is being stopped: evicted to make room for 'm3', which POST /tokenize from", server.log())


def test_nobody_goes_who_need_not(start):
    server = start("[m1]\nmemory = 100M\n[m2]\nmemory = 600M\n[m3]\nmemory = 500M\n", "--memory", "1G")
    use(server, "m1", "m2", "m3")  # m1 was used least recently, but does not make the room
    assert server.loaded() == ["m1", "m3"]


def test_what_can_never_fit_is_refused_at_once(start):
    server = start("[m1]\nmemory = 2G\n", "--memory", "host=1G")
    use(server, "m2")
    answer = server.tokenize("m1")
    assert answer.status == 503 and answer.error["state"] == "too_large"
    assert "needs 2.00 GiB on host (given)" in answer.error["message"]
    assert "1.00 GiB at most (--memory)" in answer.error["message"]
    assert server.loaded() == ["m2"]
    assert server.post("/models/load", {"model": "m1"}).status == 200
    until(lambda: server.models()["m1"]["status"].get("failed"), what="the load's being given up")
    assert "2.00 GiB" in server.models()["m1"]["status"]["message"]


def test_the_lower_priority_goes_first(start):
    server = start("[m1]\nmemory = 500M\npriority = -1\n[m2]\nmemory = 500M\n[m3]\nmemory = 500M\n",
                   "--memory", "1G")
    use(server, "m2", "m1", "m3")  # by age it would be m2
    assert server.loaded() == ["m2", "m3"]


def test_who_is_busy_is_waited_for(start, tmp_path):
    folder = fake_models(tmp_path / "fakes", a={"token_ms": 20, "tokens": 50}, b={})
    server = start("[*]\nmemory = 600M\n", "--memory", "1G", folder=folder, engine=FAKE_ENGINE)
    stream = background(server.post, "/v1/chat/completions",
                        {"model": "a", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
    until(lambda: server.loaded() == ["a"])
    use(server, "b")
    assert b"[DONE]" in stream.result().body
    assert server.loaded() == ["b"]


def test_an_engine_is_estimated_and_then_measured(start):
    server = start("", "--memory", "8G")
    use(server, "m1")
    footprint = server.engines()["m1"]["footprint"]
    assert footprint["source"] == "measured" and footprint["memory"]["host"] > 0
    assert footprint["mapped"] == server.models()["m1"]["size"]
    assert server.get("/hostler/v1/status").json["memory"]["host"]["budget"] == 8 << 30


def test_one_meaning_of_memory(start, cli):
    """What an engine has, without the file that it maps: in the list and in ps alike; `~` marks what
    nobody measured."""
    def cells(command):
        rows = cli(command, server=server).stdout.splitlines()
        return {row.split()[0]: re.search(r"host (~?[\d.]+) MiB", row) for row in rows[1:]}

    server = start("[m1]\nmemory = 600M\n")
    listed = server.models()["m1"]
    assert (listed["memory"]["host"], listed["memory_source"]) == (600 << 20, "given")
    assert cells("list")["m1"][1] == "~600" and cells("list")["m2"] is None
    use(server, "m1")
    use(server, "m2")
    for model in ("m1", "m2"):
        until(lambda name=model: server.models()[name]["memory_source"] == "measured", what="its memory to be read")
        listed, engine = server.models()[model], server.engines()[model]
        assert listed["memory_source"] == engine["memory_source"] == "measured"
        assert abs(listed["memory"]["host"] - engine["memory"]["host"]) < listed["size"] // 2
        assert abs(float(cells("list")[model][1]) - float(cells("ps")[model][1])) < 3
    cli("unload", "m2", server=server)
    listed = server.models()["m2"]
    assert listed["memory_source"] == "measured" and listed["memory"]["host"] > 0


def test_an_estimate_is_refused_by_a_limit_alone(start, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    tiny_model.make(str(folder / "m.gguf"))
    server = start("", "--memory", "16M", folder=folder)
    answer = server.tokenize("m")
    assert answer.status == 503 and "(fit-params)" in answer.error["message"]
    use(start("", folder=folder), "m")
    use(start("", "--memory", "off", folder=folder), "m")


def test_what_requests_added_makes_no_model_too_large(start, tmp_path):
    """Nor after a restart."""
    state, limits = tmp_path / "kept", ["--memory", "host=250M", "--state-dir", tmp_path / "kept"]
    folder = fake_models(tmp_path / "fakes", a={"hold_mb": 60, "grow_mb": 300}, b={})
    for _ in range(2):
        server = start("", *limits, folder=folder, engine=FAKE_ENGINE)
        for _ in range(2):
            use(server, "a", "a", "a")
            until(lambda s=server: s.models()["a"]["memory"]["host"] > 300 << 20, what="its growth to be read")
            use(server, "b")
            assert server.loaded() == ["b"]
            assert server.models()["a"]["memory"]["host"] > 300 << 20
        assert server.get("/hostler/v1/estimate?model=a").json["never"] is False
        assert server.stop() == 0
        kept = json.loads((state / "state.json").read_text(encoding="utf-8"))
        footprint = next(f for f in kept["footprints"].values() if f["model"] == "a")
        for load in footprint["loads"]:
            assert 60 << 20 < load["loaded"]["host"] < 250 << 20 < load["most"]["host"]


def advice(error):
    """What a message says after its figures."""
    return error["message"].split("; ")[-1]


def test_who_follows_the_advice_is_served(start):
    """Too much for a limit: a greater one, or the figure in the preset."""
    server = start("", "--memory", "host=20M")
    answer = server.tokenize("m1")
    assert answer.status == 503 and answer.error["state"] == "too_large"
    limit = re.search(r"raise --memory to (host=\d+M)$", advice(answer.error))[1]
    use(start("", "--memory", limit), "m1")
    estimate = server.get("/hostler/v1/estimate?model=m1").json
    assert estimate["never"] and re.search(r"raise --memory to host=\d+M$", estimate["message"])

    server = start("[m1]\nmemory = 90000G\n")
    answer = server.tokenize("m1")
    assert answer.status == 503 and answer.error["state"] == "too_large"
    line = re.search(r"into its preset, as '(memory = host=SIZE)'$", advice(answer.error))[1]
    use(start(f"[m1]\n{line.replace('SIZE', '100M')}\n"), "m1")


def test_a_smaller_context_where_it_is_advised(start):
    server = start("[*]\nctx-size = 60000\n", "--memory", "host=90M")
    answer = server.tokenize("m1")
    assert answer.status == 503 and advice(answer.error).startswith("give it a smaller --ctx-size, or raise")
    use(start("[*]\nctx-size = 512\n", "--memory", "host=90M"), "m1")


def test_where_pinned_ones_are_in_the_way(start):
    server = start("[m1]\nmemory = 600M\n[m2]\nmemory = 600M\n", "--memory", "1G")
    use(server, "m1")
    assert server.post("/models/pin", {"model": "m1"}).status == 200
    answer = server.tokenize("m2")
    assert answer.status == 503 and "unload or unpin other" in advice(answer.error)
    assert "beside what is pinned: 'm1'; " in answer.error["message"]
    assert server.post("/models/unpin", {"model": "m1"}).status == 200
    use(server, "m2")


def test_a_load_for_which_pinned_ones_leave_no_memory(start):
    """The answer was given before that was known, so the list tells it. Nothing is wrong with the model."""
    server = start("[m1]\nmemory = 600M\npin = 1\n[m2]\nmemory = 600M\n", "--memory", "1G")
    use(server, "m1")
    done = run_cli("load", "m2", server=server)
    assert done.returncode == 1 and "model 'm2' finds no room beside what is pinned: 'm1'; " in done.stderr
    status = server.models()["m2"]["status"]
    assert status["value"] == "unloaded" and status["reason"] == "no_room" and "'m1'" in status["message"]
    assert "failed" not in status and "exit_code" not in status
    assert server.post("/models/unload", {"model": "m1"}).status == 200
    use(server, "m2")
    assert "POST /tokenize" in server.engines()["m2"]["loaded_by"]


@pytest.mark.parametrize("pin", ["[m1]\npin = 1\n", None], ids=["by the presets", "by an operator"])
def test_pinned_ones_have_all_places(start, pin):
    """At once, since nothing but an operator ends that."""
    server = start(pin or "", "--models-max", "1")
    use(server, "m1")
    if not pin:
        assert server.post("/models/pin", {"model": "m1"}).status == 200
    for answer in (server.post("/models/load", {"model": "m2"}), server.tokenize("m2")):
        assert answer.status == 503 and answer.error["state"] == "no_room"
        assert "pinned models have all 1 place (--models-max): 'm1'; unpin" in answer.error["message"]
        assert answer.headers["x-should-retry"] == "false"
    assert "failed" not in server.models()["m2"]["status"]
    done = run_cli("load", "m2", server=server)
    assert done.returncode == 1 and "'m1'" in done.stderr
    assert server.post("/models/unpin", {"model": "m1"}).status == 200
    use(server, "m2")


# --- in a memory group -----------------------------------------------------------------------------

def test_a_small_group_holds_what_fits(group, start, tmp_path):
    """The margin refuses nobody, and a limit stands in its place."""
    folder = tmp_path / "big"
    folder.mkdir()
    for name in ("a", "b"):
        tiny_model.make(str(folder / f"{name}.gguf"), pad_mb=94)
    for limit in ([], ["--memory", "host=500M"]):
        server = start("", *limit, folder=folder, launcher=group(600))
        use(server, "a", "b", "a")
        assert server.loaded() == ["a", "b"]
        assert server.get("/hostler/v1/status").json["memory"]["host"]["budget"] in (525 << 20, 500 << 20)


def test_a_group_with_nothing_to_spare(group, start):
    """By the estimate there is room for one, and not for the margin beside it."""
    server = start("[*]\nmemory = host=290M\n", launcher=group(300))
    use(server, "m1", "m2")
    assert server.loaded() == ["m2"]


def test_a_file_that_is_read_again_and_again_evicts_nobody(group, start, tmp_path):
    """Its pages are active then, and page cache all the same."""
    server = start("[*]\nmemory = host=120M\n", launcher=group(400))
    use(server, "m1")
    big = tmp_path / "big"
    big.write_bytes(b"x" * (300 << 20))
    os.sync()
    words = group_of(server)
    for _ in range(3):
        subprocess.run([*words, "cat", big], stdout=subprocess.DEVNULL, check=True)
    use(server, "m2")
    assert server.loaded() == ["m1", "m2"]


@pytest.mark.parametrize("value,words", [
    ("gpu7=1G", "there is no device 'gpu7' here; there is host"), ("host=many", "many"), ("", "")])
def test_a_limit_that_is_none(start, value, words):
    server = start("", "--memory", value, wait=False)
    assert server.process.wait(30) in (1, 2) and words in server.log()


def test_so_many_requests_at_once_and_no_more(start, tmp_path):
    folder = fake_models(tmp_path / "fakes", a={"token_ms": 10, "tokens": 30})
    server = start("[a]\nmax-requests = 1\n", folder=folder, engine=FAKE_ENGINE)
    use(server, "a")
    chat = {"model": "a", "messages": [{"role": "user", "content": "hi"}]}
    answers = [background(server.post, "/v1/chat/completions", chat) for _ in range(3)]
    until(lambda: server.engines()["a"]["waiting"] == 2, what="two that wait")
    assert server.engines()["a"]["requests"] == 1
    assert [a.result().status for a in answers] == [200] * 3


def test_a_locked_file_counts_once(start, tmp_path):
    """Two engines on one file, by two names, that both lock it: each counts for a half of it."""
    folder = tmp_path / "one"
    folder.mkdir()
    tiny_model.make(str(folder / "a.gguf"), pad_mb=96)
    (tmp_path / "twin.gguf").symlink_to(folder / "a.gguf")
    server = start(f"[*]\nload-mode = mmap+mlock\n[twin]\nmodel = {tmp_path}/twin.gguf\n", folder=folder)

    def held(*names):
        engines = server.get("/hostler/v1/status").json["engines"]
        return sum(e["memory"]["host"] for e in engines if e["model"] in names and e.get("memory"))

    use(server, "a")
    alone = until(lambda: held("a"), what="its memory to be read")
    if alone < 96 << 20:
        pytest.skip("no memory can be locked here (ulimit -l)")
    use(server, "twin")
    until(lambda: held("a") < alone - (40 << 20), what="the file to count for both")
    assert held("a", "twin") < alone + (60 << 20)


@pytest.fixture
def swapped(start, tmp_path):
    """swapped(memory, limit, kill_s): with one place, b has answered in place of a, which has to be killed after
    kill_s; whether a is still there."""
    def call(memory, limit, kill_s, pad_mb=0, more=""):
        folder = fake_models(tmp_path / "fakes", a={"deaf": True}, b={})
        tiny_model.make(str(folder / "a.gguf"), pad_mb=pad_mb)
        server = start(f"[*]\nmemory = {memory}\n{more}", "--memory", limit, "--models-max", "1",
                       "--stop-timeout", str(kill_s), folder=folder, engine=FAKE_ENGINE)
        use(server, "a")
        (first,) = server.engines()
        use(server, "b")
        return first in server.engines()
    return call


def test_a_swap_does_not_wait_for_the_exit_where_there_is_memory_for_both(swapped):
    assert swapped("100M", "8G", 6)


@pytest.mark.parametrize("case", [
    ("600M", "1G"),
    # Two would fit; but an engine fits its context to what is free, less 1 GiB, or what --fit-target says.
    ("600M", "2G"), ("100M", "8G", 0, "[a]\nfit-target = 4096\n"),
    # What comes to less than the file is not all that the engine has.
    ("10M", "8G", 48)], ids=["no room", "too little left", "fit-target", "more than is told"])
def test_a_swap_waits_for_the_exit(swapped, case):
    memory, limit, *more = case
    assert not swapped(memory, limit, 1, *more)
