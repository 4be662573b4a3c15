# SPDX-License-Identifier: MIT
"""Taking models out of service: /models/unload and /models/unload-all."""
import json
import os

import pytest
from background import background
from conftest import PATIENCE, until
from wire import FAKE_ENGINE, chat, fake_models, open_stream, read_events

SLOW_STREAM = {"tokens": 60, "token_ms": 50}  # 3 s: long enough to do something meanwhile
ENDLESS = {"endless": True, "token_ms": 20}


def alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


def pids(server):
    return {model: e["pid"] for model, e in server.engines().items()}


def load(server, *models):
    for model in models:
        assert server.post("/tokenize", {"model": model, "content": "x"}).status == 200
    return pids(server)


def unload_all(server, **wish):
    return server.post("/models/unload-all", wish)


def results(answer):
    return {r["model"]: r["result"] for r in answer.json["results"]}


def wait_for_state(server, model, state):
    until(lambda: server.engines().get(model, {}).get("state") == state, what=f"{model}: {state}")


def text_of(events):
    return [json.loads(text)["choices"][0]["delta"].get("content")
            for _, text in events if text != "[DONE]"]


@pytest.fixture
def real(hostler, models):
    return hostler("--models-dir", models)


@pytest.fixture
def fake(hostler, tmp_path):
    """fake(*args, a={…}, b={…}): a daemon with these models of the fake engine."""

    def start(*args, **misbehaviour):
        folder = fake_models(tmp_path / "fakes", **misbehaviour)
        return hostler("--models-dir", folder, *args, engine=FAKE_ENGINE)

    return start


# --- llama.cpp's form ------------------------------------------------------------------------------

def test_unload_answers_at_once_and_the_engine_ends(real):
    pid = load(real, "m1")["m1"]
    answer = real.post("/models/unload", {"model": "m1"})
    assert (answer.status, answer.json) == (200, {"success": True})
    until(lambda: real.state("m1") == "unloaded")
    assert not alive(pid)
    assert real.models()["m1"]["status"]["reason"] == "unloaded"


@pytest.mark.parametrize("body, message", [
    ({"model": "m1"}, "model is not running"),
    ({"model": "nosuch"}, "model is not found"),
    ({}, "model name is missing from the request"),
    ({"model": None}, "model name is missing from the request"),
    ({"model": 7}, "model name is missing from the request"),
    ({"model": ["m1"]}, "model name is missing from the request"),
])
def test_unload_refuses_as_llama_cpp_does(real, body, message):
    answer = real.post("/models/unload", body)
    assert answer.status == 400
    assert answer.error == {"code": 400, "message": message, "type": "invalid_request_error"}


@pytest.mark.parametrize("body", ["", "[]", "7", "{", '{"model":"m1"', "\0", '"m1"'])
def test_bodies_that_are_no_object(real, body):
    load(real, "m1")
    assert real.post("/models/unload", body).status == 400
    assert real.loaded() == ["m1"]


@pytest.mark.parametrize("wish", [
    {"drain": -1}, {"drain": "soon"}, {"drain": []}, {"drain": 1e300}, {"force": "yes"},
    {"force": 1}, {"hold": "long"}, {"hold": -2}, {"hold": {}}, {"dry_run": 0}, {"except": "m1"},
    {"except": {"m1": 1}}, {"except": [7]}, {"except": ["m1", "nosuch"]}, {"reason": 7},
])
def test_a_wish_of_a_wrong_type_changes_nothing(real, wish):
    pid = load(real, "m1")["m1"]
    answer = unload_all(real, **wish)
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert next(iter(wish)) in answer.error["message"] or "nosuch" in answer.error["message"] or \
        "not a text" in answer.error["message"]
    if "except" not in wish:
        assert real.post("/models/unload", {"model": "m1", **wish}).status == 400
    assert pids(real) == {"m1": pid}
    assert real.get("/hostler/v1/status").json["holds"] == []


def test_unload_of_a_busy_model_lets_it_finish(fake):
    server = fake(a=SLOW_STREAM)
    connection, response = open_stream(server, "a")
    first = read_events(response, 1)
    assert server.post("/models/unload", {"model": "a"}).json == {"success": True}
    wait_for_state(server, "a", "draining")
    text = text_of(first + read_events(response))
    assert text[:-1] == [f"word{n} " for n in range(60)]
    until(lambda: server.state("a") == "unloaded")
    connection.close()


def test_unload_by_force_in_the_query_cuts_off(fake):
    server = fake(a=ENDLESS)
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    assert server.post("/models/unload?force=1", {"model": "a"}).json == {"success": True}
    assert "error" in json.loads(read_events(response)[-1][1])
    until(lambda: server.state("a") == "unloaded")
    connection.close()


# --- several by name -------------------------------------------------------------------------------

def test_several_by_name(real):
    before = load(real, "m1", "m2", "m3")
    answer = real.post("/models/unload", {"models": ["m1", "m3", "m1"]})
    assert answer.status == 200
    assert results(answer) == {"m1": "unloaded", "m3": "unloaded"}
    assert len(answer.json["results"]) == 2
    assert not alive(before["m1"]) and not alive(before["m3"])
    assert real.loaded() == ["m2"]


def test_several_by_name_with_one_unknown_and_one_not_loaded(real):
    load(real, "m1")
    answer = real.post("/models/unload", {"models": ["m1", "nosuch", "m4"]})
    assert answer.status == 409
    found = {r["model"]: (r["result"], r.get("reason")) for r in answer.json["results"]}
    assert found == {"m1": ("unloaded", None), "nosuch": ("failed", "not_found"),
                     "m4": ("skipped", "not_loaded")}
    assert real.loaded() == []


def test_nothing_loaded_is_no_failure(real):
    answer = real.post("/models/unload", {"models": ["m1", "m2"]})
    assert answer.status == 200
    assert results(answer) == {"m1": "skipped", "m2": "skipped"}


@pytest.mark.parametrize("names", [[], "m1", {}, 7, None])
def test_models_must_be_a_list(real, names):
    load(real, "m1")
    assert real.post("/models/unload", {"models": names}).status == 400
    assert real.loaded() == ["m1"]


def test_a_name_in_the_list_that_is_no_text(real):
    load(real, "m1")
    answer = real.post("/models/unload", {"models": [7, None]})
    assert answer.status in (400, 409)
    assert real.loaded() == ["m1"]


# --- unload-all ------------------------------------------------------------------------------------

def test_all_are_gone_when_the_answer_arrives(real):
    before = load(real, "m1", "m2", "m3")
    assert len(before) == 3 and all(map(alive, before.values()))
    answer = unload_all(real)
    left = [pid for pid in before.values() if alive(pid)]
    assert not left
    assert answer.status == 200
    report = answer.json
    assert results(answer) == dict.fromkeys(["m1", "m2", "m3"], "unloaded")
    for result in report["results"]:
        assert result["freed"]["host"] > 1 << 20
        assert 0 <= result["drained_ms"] <= report["elapsed_ms"]
        assert 0 <= result["stopped_ms"] <= report["elapsed_ms"]
    assert report["freed"]["host"] == sum(r["freed"]["host"] for r in report["results"])
    for when in ("before", "after"):
        figures = report["memory"][when]["host"]
        assert 0 < figures["available"] <= figures["total"]
    assert report["held"] is False
    assert server_is_empty(real)


def server_is_empty(server):
    status = server.get("/hostler/v1/status").json
    return status["engines"] == [] and status["queue"] == []


@pytest.mark.parametrize("body", ["", "{}", '{"drain":null,"hold":null,"except":null}'])
def test_all_with_an_empty_wish(real, body):
    load(real, "m1")
    assert results(real.post("/models/unload-all", body)) == {"m1": "unloaded"}


def test_all_of_nothing(real):
    answer = unload_all(real)
    assert answer.status == 200
    assert answer.json["results"] == []
    assert answer.json["freed"]["host"] == 0


def test_engines_stop_side_by_side(fake):
    server = fake(**{name: {"slow_exit_s": 2} for name in "abc"})
    load(server, "a", "b", "c")
    report = unload_all(server).json
    stopped = [r["stopped_ms"] for r in report["results"]]
    assert len(stopped) == 3 and min(stopped) > 500
    assert report["elapsed_ms"] < 0.75 * sum(stopped)


def test_except_keeps_a_model(real):
    before = load(real, "m1", "m2")
    answer = unload_all(real, **{"except": ["m2"]})
    assert results(answer) == {"m1": "unloaded"}
    assert pids(real) == {"m2": before["m2"]}


def test_dry_run_changes_nothing(real):
    before = load(real, "m1", "m2")
    answer = unload_all(real, dry_run=True, hold=True)
    assert answer.status == 200
    assert results(answer) == {"m1": "unloaded", "m2": "unloaded"}
    assert answer.json["freed"]["host"] > 0
    assert pids(real) == before
    assert real.get("/hostler/v1/status").json["holds"] == []
    answer = real.post("/models/unload", {"model": "m1", "dry_run": True})
    assert results(answer) == {"m1": "unloaded"}
    assert real.tokenize("m1").status == 200
    assert pids(real) == before


# --- drain -----------------------------------------------------------------------------------------

def test_a_stream_completes_and_later_requests_get_the_next_engine(fake):
    server = fake(a=SLOW_STREAM, b={})
    before = load(server, "a", "b")
    connection, response = open_stream(server, "a")
    first = read_events(response, 1)
    unloading = background(unload_all, server)
    wait_for_state(server, "a", "draining")
    later = [background(server.tokenize, "a") for _ in range(3)]
    until(lambda: server.engines()["a"]["waiting"] == 3, what="three waiters")
    text = text_of(first + read_events(response))
    connection.close()
    assert text[:-1] == [f"word{n} " for n in range(60)]
    answer = unloading.result(PATIENCE)
    assert answer.status == 200
    assert results(answer) == {"a": "unloaded", "b": "unloaded"}
    drained = {r["model"]: r["drained_ms"] for r in answer.json["results"]}
    assert drained["a"] > drained["b"]
    served = [f.result(PATIENCE) for f in later]
    assert [a.status for a in served] == [200] * 3
    assert all(int(a.headers["x-hostler-queued-ms"]) > 0 for a in served)
    assert sum("x-hostler-loaded" in a.headers for a in served) == 1
    assert not alive(before["a"]) and not alive(before["b"])
    assert server.loaded() == ["a"]


def test_busy_beyond_the_drain_timeout_stays_and_serves_on(fake):
    server = fake("--drain-timeout", "1s", a=ENDLESS, b={})
    before = load(server, "a", "b")
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    unloading = background(unload_all, server)
    wait_for_state(server, "a", "draining")
    waiting = background(server.tokenize, "a")
    answer = unloading.result(PATIENCE)
    assert answer.status == 409
    assert results(answer) == {"a": "busy", "b": "unloaded"}
    assert answer.json["results"][0]["reason"]
    assert waiting.result(PATIENCE).status == 200
    assert len(read_events(response, 5)) == 5
    assert pids(server) == {"a": before["a"]}
    assert server.tokenize("a").status == 200
    connection.close()
    assert unload_all(server).status == 200


@pytest.mark.parametrize("wish", [{"drain": 0.5}, {"drain": "500ms"}, {"drain": 0}])
def test_drain_cuts_off_at_its_deadline(fake, wish):
    server = fake(a=ENDLESS)
    pid = load(server, "a")["a"]
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    answer = unload_all(server, **wish)
    assert not alive(pid)
    if answer.status == 400:  # no such unit of time
        pytest.skip(answer.error["message"])
    assert answer.status == 200
    assert results(answer) == {"a": "unloaded"}
    assert answer.json["elapsed_ms"] >= (0 if wish["drain"] == 0 else 450)
    error = json.loads(read_events(response)[-1][1])["error"]
    assert error["code"] == 502 and "unloaded" in error["message"]
    connection.close()


def test_force_cuts_off_at_once(fake):
    server = fake(a={**ENDLESS, "slow_exit_s": 30})
    before = load(server, "a")
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    whole = background(server.post, "/v1/chat/completions", chat("a"))
    until(lambda: server.engines()["a"]["requests"] == 2)
    answer = unload_all(server, force=True)
    assert not alive(before["a"])
    assert answer.status == 200
    assert answer.json["elapsed_ms"] < 5000
    error = json.loads(read_events(response)[-1][1])["error"]
    assert error["code"] == 502 and "unloaded" in error["message"]
    cut = whole.result(PATIENCE)  # nothing of its answer had come: so it can be told by a status
    assert cut.status == 502
    assert "unloaded" in cut.error["message"] and "'a'" in cut.error["message"]
    connection.close()


# --- hold ------------------------------------------------------------------------------------------

def assert_held(answer, reason="lunch"):
    assert answer.status == 503
    assert answer.error["state"] == "held"
    assert answer.error["type"] == "unavailable_error"
    assert reason in answer.error["message"]
    assert int(answer.headers["retry-after"]) >= 1


def test_hold_until_released(real):
    load(real, "m1")
    answer = unload_all(real, hold=True, reason="lunch")
    assert (answer.status, answer.json["held"]) == (200, True)
    assert_held(real.tokenize("m1"))
    assert_held(real.tokenize("m2"))  # was not loaded, and is held all the same
    assert real.loaded() == []
    assert {h["model"] for h in real.get("/hostler/v1/status").json["holds"]} == set(real.models())
    assert real.post("/models/release", {"model": "m1"}).status == 200
    assert real.tokenize("m1").status == 200
    assert_held(real.tokenize("m2"))
    assert real.post("/models/release", {"all": True}).json == {"held": []}
    assert real.tokenize("m2").status == 200


def test_hold_for_some_time(real):
    load(real, "m1")
    assert unload_all(real, hold=1.5, reason="lunch").json["held"] is True
    assert_held(real.tokenize("m1"))
    until(lambda: real.tokenize("m1").status == 200)


def test_a_load_by_the_operator_ends_the_hold(real):
    unload_all(real, hold=True, reason="lunch")
    assert_held(real.tokenize("m1"))
    assert real.post("/models/load", {"model": "m1"}).json == {"success": True}
    assert real.tokenize("m1").status == 200
    assert_held(real.tokenize("m2"))


def test_requests_that_come_while_it_drains_with_hold(fake):
    server = fake(a=SLOW_STREAM)
    connection, response = open_stream(server, "a")
    first = read_events(response, 1)
    unloading = background(unload_all, server, hold="1h", reason="lunch")
    wait_for_state(server, "a", "draining")
    assert_held(server.tokenize("a"))
    assert len(text_of(first + read_events(response))) == 61
    connection.close()
    assert results(unloading.result(PATIENCE)) == {"a": "unloaded"}
    assert_held(server.tokenize("a"))
    assert server_is_empty(server)


def test_except_is_not_held(real):
    unload_all(real, hold=True, **{"except": ["m2"]})
    assert real.tokenize("m1").status == 503
    assert real.tokenize("m2").status == 200


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
    server = fake(a={"slow_exit_s": 1}, b={"slow_exit_s": 1})
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
    server = fake(a={"slow_exit_s": 1})
    pid = load(server, "a")["a"]
    unloading = background(unload_all, server)
    wait_for_state(server, "a", "stopping")
    assert server.post("/models/load", {"model": "a"}).json == {"success": True}
    assert results(unloading.result(PATIENCE)) == {"a": "unloaded"}
    assert not alive(pid)
    until(lambda: server.state("a") == "loaded")
    assert pids(server)["a"] != pid


def test_an_engine_that_listens_to_nothing_is_killed(fake):
    server = fake("--stop-timeout", "1s", a={"deaf": True}, b={})
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
    server = fake(a={"slow_exit_s": 1})
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
