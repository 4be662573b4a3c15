# SPDX-License-Identifier: MIT
"""Budgets by memory. What an engine takes is given in the presets, so that the figures are ours."""
import re

import pytest

import tiny_model
from background import background
from conftest import until
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
    assert server.loaded() == ["m2", "m3", "m4"]
    assert "model m1 is being stopped: evicted to make room for 'm3', which POST /tokenize from" in server.log()


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
