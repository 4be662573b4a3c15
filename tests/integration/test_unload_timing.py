# SPDX-License-Identifier: MIT
"""Unloading at awkward times: while loading, twice at once, at the daemon's end, again and again."""
import json
import os
import pathlib
import signal

import pytest
from background import background
from conftest import HOSTLER, PATIENCE, until
from unloading import (DEAF, ENDLESS, SLOW_STREAM, alive, fake, load, pids, real,  # noqa: F401
                       results, server_is_empty, text_of, unload_all, wait_for_state)
from wire import open_stream, read_events


# --- at awkward times ------------------------------------------------------------------------------

def test_while_it_loads(fake):
    server = fake(a={"load_s": 60})
    waiting = [background(server.tokenize, "a") for _ in range(2)]
    until(lambda: server.engines().get("a", {}).get("waiting") == 2, what="two waiters")
    pid = pids(server)["a"]
    answer = unload_all(server)
    assert not alive(pid)
    assert results(answer) == {"a": "unloaded"}
    for request in waiting:
        refused = request.result(PATIENCE)
        assert refused.status == 503
        assert refused.error["state"] == "unloaded"
        assert int(refused.headers["retry-after"]) >= 1
    assert server.models()["a"]["status"]["reason"] == "unloaded"
    assert "failed" not in server.models()["a"]["status"]


def test_while_it_waits_for_a_place(fake):
    server = fake("--models-max", "1", a=ENDLESS, b={})
    load(server, "a")
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    waiting = background(server.tokenize, "b")
    until(lambda: "b" in server.queue())
    answer = server.post("/models/unload", {"models": ["b"]})
    assert results(answer) == {"b": "unloaded"}
    assert waiting.result(PATIENCE).status == 503
    assert server.loaded() == ["a"] and len(read_events(response, 3)) == 3
    connection.close()


def test_twice_at_once(fake):
    server = fake("--stop-timeout", "2s", a=DEAF, b=DEAF)
    before = load(server, "a", "b")
    both = [background(unload_all, server) for _ in range(2)]
    for answer in (f.result(PATIENCE) for f in both):
        assert answer.status == 200
        assert set(results(answer).values()) <= {"unloaded", "skipped"}
    assert not any(map(alive, before.values()))
    assert server_is_empty(server)


def test_a_second_one_by_force_hurries_the_first(fake):
    server = fake(a=ENDLESS)
    load(server, "a")
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    patient = background(unload_all, server)
    wait_for_state(server, "a", "draining")
    assert results(unload_all(server, force=True)) == {"a": "unloaded"}
    assert results(patient.result(PATIENCE)) == {"a": "unloaded"}
    assert "error" in json.loads(read_events(response)[-1][1])
    connection.close()


def test_load_while_unloading(fake):
    server = fake("--stop-timeout", "2s", a=DEAF)
    pid = load(server, "a")["a"]
    unloading = background(unload_all, server)
    wait_for_state(server, "a", "stopping")
    assert server.post("/models/load", {"model": "a"}).json == {"success": True}
    assert results(unloading.result(PATIENCE)) == {"a": "unloaded"}
    assert not alive(pid)
    until(lambda: server.state("a") == "loaded")
    assert pids(server)["a"] != pid


def test_an_engine_that_listens_to_nothing_is_killed(fake):
    server = fake("--stop-timeout", "1s", a=DEAF, b={})
    before = load(server, "a", "b")
    answer = unload_all(server)
    assert answer.status == 200
    assert not any(map(alive, before.values()))
    result = {r["model"]: r for r in answer.json["results"]}["a"]
    assert result["result"] == "unloaded" and result["stopped_ms"] >= 900
    assert server.models()["a"]["status"]["reason"] == "unloaded"
    assert server.tokenize("a").status == 200


def test_an_engine_that_crashes_while_it_drains(fake):
    server = fake(a={**SLOW_STREAM, "crash_stream": 20})
    load(server, "a")
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    answer = unload_all(server)
    assert "error" in json.loads(read_events(response)[-1][1])
    assert results(answer) == {"a": "unloaded"}
    assert server_is_empty(server)
    connection.close()


def test_the_operator_leaves_and_it_goes_on(fake):
    server = fake("--stop-timeout", "2s", a=DEAF)
    pid = load(server, "a")["a"]
    connection = server.connect()
    connection.request("POST", "/models/unload-all", "{}")
    wait_for_state(server, "a", "stopping")
    connection.close()
    until(lambda: server_is_empty(server))
    assert not alive(pid)
    assert server.tokenize("a").status == 200


def test_the_daemon_ends_while_it_runs(fake):
    server = fake(a=SLOW_STREAM)
    load(server, "a")
    connection, response = open_stream(server, "a")
    first = read_events(response, 1)
    unloading = background(unload_all, server)
    wait_for_state(server, "a", "draining")
    server.process.terminate()
    assert len(text_of(first + read_events(response))) == 61
    connection.close()
    answer = unloading.result(PATIENCE)
    assert answer.status in (200, 503)
    assert server.process.wait(PATIENCE) == 0


def test_requests_for_a_stopping_model_wait_for_the_next_engine(fake):
    server = fake("--stop-timeout", "2s", a=DEAF)
    load(server, "a")
    unloading = background(unload_all, server)
    wait_for_state(server, "a", "stopping")
    later = [background(server.tokenize, "a") for _ in range(3)]
    assert [f.result(PATIENCE).status for f in later] == [200] * 3
    assert results(unloading.result(PATIENCE)) == {"a": "unloaded"}


def test_a_waiting_client_leaves_during_the_drain(fake):
    server = fake(a=SLOW_STREAM)
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    unloading = background(unload_all, server)
    wait_for_state(server, "a", "draining")
    waiting = server.connect()
    waiting.request("POST", "/tokenize", '{"model":"a","content":"x"}')
    until(lambda: server.engines()["a"]["waiting"] == 1)
    waiting.close()
    until(lambda: server.engines()["a"]["waiting"] == 0)
    read_events(response)
    connection.close()
    assert results(unloading.result(PATIENCE)) == {"a": "unloaded"}
    assert server_is_empty(server)  # nobody is there for whom it would be loaded


def test_the_streams_client_leaves_during_the_drain(fake):
    server = fake(a=ENDLESS)
    load(server, "a")
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    unloading = background(unload_all, server)
    wait_for_state(server, "a", "draining")
    connection.close()
    response.close()
    assert results(unloading.result(PATIENCE)) == {"a": "unloaded"}


def test_one_wish_does_not_end_the_drain_of_another(fake):
    server = fake("--drain-timeout", "1s", a=ENDLESS)
    pid = load(server, "a")["a"]
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    firm = background(unload_all, server, drain=4)
    wait_for_state(server, "a", "draining")
    patient = unload_all(server)
    assert patient.json["elapsed_ms"] < 60000
    answer = firm.result(PATIENCE)
    assert (answer.status, results(answer)) == (200, {"a": "unloaded"})
    assert not alive(pid)
    connection.close()


def test_an_engine_that_listens_to_nothing_while_it_loads(fake):
    server = fake("--stop-timeout", "1s", a={**DEAF, "never_ready": True})
    waiting = background(server.tokenize, "a")
    until(lambda: server.engines().get("a", {}).get("progress"))
    pid = pids(server)["a"]
    assert results(unload_all(server)) == {"a": "unloaded"}
    assert not alive(pid)
    assert waiting.result(PATIENCE).status == 503


def test_a_frozen_process_is_killed(hostler, models):
    server = hostler("--models-dir", models, "--stop-timeout", "1s")
    pid = load(server, "m1")["m1"]
    os.kill(pid, signal.SIGSTOP)
    assert results(unload_all(server)) == {"m1": "unloaded"}
    assert not alive(pid)


def test_classic_mode_loads_again_on_request(hostler, models):
    server = hostler("--model", models / "m1.gguf")
    until(lambda: server.get("/health").status == 200)
    before = pids(server)
    answer = unload_all(server)
    assert list(results(answer).values()) == ["unloaded"]
    assert not any(map(alive, before.values()))
    assert server.tokenize("any").status == 200
    assert pids(server) != before


# --- memory of a GPU -------------------------------------------------------------------------------

NVML = pathlib.Path(HOSTLER).with_name("fake_nvml.so")
MIB = 1 << 20


@pytest.fixture
def gpus(tmp_path):
    """gpus(free, pid, used): what the first GPU tells, in MiB; gpus.env makes a daemon listen."""
    if not NVML.exists():
        pytest.skip(f"{NVML} is not built")
    file = tmp_path / "nvml"

    def tell(free, pid=0, used=0):
        new = file.with_suffix(".new")
        new.write_text(f"{free},49152\n0:{pid}:{used}\n", encoding="ascii")
        new.rename(file)

    tell(24000)
    tell.env = {"HOSTLER_NVML": str(NVML), "FAKE_NVML_FILE": str(file)}
    return tell


def test_the_answer_waits_for_the_gpus_memory(fake, gpus):
    server = fake(env=gpus.env, a={})
    pid = load(server, "a")["a"]
    gpus(14000, pid, 10000)
    until(lambda: server.engines()["a"]["memory"]["gpu0"] == 10000 * MIB)
    unloading = background(unload_all, server)
    until(lambda: not alive(pid))
    assert not unloading.done()  # the driver still has it
    gpus(24000)
    answer = unloading.result(PATIENCE)
    assert answer.status == 200
    assert answer.json["results"][0]["freed"]["gpu0"] == 10000 * MIB
    assert answer.json["freed"]["gpu0"] == 10000 * MIB
    assert answer.json["memory"]["before"]["gpu0"]["available"] == 14000 * MIB
    assert answer.json["memory"]["after"]["gpu0"]["available"] == 24000 * MIB


def test_memory_that_never_comes_back_does_not_hold_the_answer_for_ever(fake, gpus):
    server = fake(env=gpus.env, a={})
    gpus(14000, load(server, "a")["a"], 10000)
    answer = unload_all(server)
    assert answer.json["memory"]["after"]["gpu0"]["available"] == 14000 * MIB


@pytest.mark.parametrize("path, stays", [("/models/unload", False), ("/models/unload-all", False),
                                         ("/models/unload-all", True)])
def test_the_daemon_ends_while_memory_is_waited_for(fake, gpus, path, stays):
    server = fake(env=gpus.env, a={})
    pid = load(server, "a")["a"]
    gpus(14000, pid, 10000)
    connection = server.connect()
    connection.request("POST", path, "{}" if path.endswith("all") else '{"model":"a"}')
    until(lambda: not alive(pid))
    if not stays:
        connection.close()
    server.process.terminate()
    if stays:
        assert connection.getresponse().status == 200
    connection.close()
    assert server.process.wait(PATIENCE) == 0


# --- again and again -------------------------------------------------------------------------------

def test_twenty_times_leave_nothing(real):
    def open_files():
        return len(os.listdir(f"/proc/{real.pid}/fd"))

    def sockets():
        return [name for _, _, names in os.walk(real.runtime) for name in names]

    seen = set()
    for n in range(20):
        seen |= set(load(real, "m1", "m2").values())
        assert unload_all(real).status == 200
        assert sockets() == []
        if n == 2:  # by now what is opened once is open
            some = open_files()
    assert len(seen) == 40 and not any(map(alive, seen))
    until(lambda: open_files() <= some + 1, what=f"open files back at {some}")
    assert server_is_empty(real)
