# SPDX-License-Identifier: MIT
"""Taking models out of service: /models/unload and /models/unload-all."""
import json
import re
import time

import pytest
from background import background
from conftest import PATIENCE, until
from events import Events
from unloading import (DEAF, ENDLESS, SLOW_STREAM, alive, fake, load, pids, real,  # noqa: F401
                       results, server_is_empty, text_of, unload_all, wait_for_state)
from wire import chat, is_json_error, open_stream, read_events

# --- llama.cpp's form ------------------------------------------------------------------------------

def test_unload_is_answered_when_the_engine_is_gone(real):
    """Who asks for the list then must not see it loaded: web interfaces, and loops in a shell, do."""
    for model in ("m1", "m2", "m3"):
        pid = load(real, model)[model]
        answer = real.post("/models/unload", {"model": model})
        assert (answer.status, answer.json) == (200, {"success": True})
        assert real.state(model) == "unloaded" and not alive(pid)
        assert real.models()[model]["status"]["reason"] == "unloaded"


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
    unloaded = background(server.post, "/models/unload", {"model": "a"})
    wait_for_state(server, "a", "draining")
    text = text_of(first + read_events(response))
    assert text[:-1] == [f"word{n} " for n in range(60)]
    assert unloaded.result(PATIENCE).json == {"success": True}
    assert server.state("a") == "unloaded" and not server.engines()
    connection.close()


def test_unload_of_a_model_that_stays_busy(fake):
    """It stays loaded, and the caller, and who follows events, are told so."""
    server = fake("--drain-timeout", "1s", a=ENDLESS)
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    events = Events(server)
    answer = server.post("/models/unload", {"model": "a"})
    message = is_json_error(answer, 409)
    assert answer.error["state"] == "busy" and "1 request " in message and "force" in message
    assert events.until("loaded")[-1] == ("status_change", "loaded") and "stays loaded" in events.cause
    events.close()
    assert server.state("a") == "loaded" and not server.models()["a"]["status"].get("draining")
    assert len(read_events(response, 3)) == 3
    connection.close()


def test_a_busy_unload_counts_what_was_in_flight(fake):
    """Not what came meanwhile and is served since."""
    server = fake("--drain-timeout", "2s", a=ENDLESS)
    first, response = open_stream(server, "a")
    read_events(response, 1)
    answer = background(server.post, "/models/unload", {"model": "a"})
    wait_for_state(server, "a", "draining")
    second, response = open_stream(server, "a")
    read_events(response, 1)
    assert "still answering 1 request " in is_json_error(answer.result(PATIENCE), 409)
    first.close()
    second.close()


def test_others_are_served_while_an_unload_waits(fake):
    """In vain: it ends in 409, and nobody was held back for it."""
    server = fake("--drain-timeout", "5s", a=ENDLESS)
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    answer = background(server.post, "/models/unload", {"model": "a"})
    wait_for_state(server, "a", "draining")
    for _ in range(5):
        got = server.tokenize("a")
        assert got.status == 200 and "x-hostler-queued-ms" not in got.headers
    assert not answer.done()
    is_json_error(answer.result(PATIENCE), 409)
    connection.close()


def test_an_unload_waits_for_those_who_come_meanwhile(fake):
    """It is unloaded as soon as it is idle."""
    server = fake(a=SLOW_STREAM)
    first, response = open_stream(server, "a")
    read_events(response, 1)
    answer = background(server.post, "/models/unload", {"model": "a"})
    wait_for_state(server, "a", "draining")
    second, other = open_stream(server, "a")
    assert len(text_of(read_events(other))) == len(text_of(read_events(response))) + 1
    assert answer.result(PATIENCE).json == {"success": True} and not server.engines()
    first.close()
    second.close()


def test_a_load_withdraws_an_unload_that_waits(fake):
    """Whoever asked for the unload is told at once, and the model stays loaded when it is idle."""
    server = fake(a=ENDLESS)
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    answer = background(server.post, "/models/unload", {"model": "a"})
    wait_for_state(server, "a", "draining")
    pid = pids(server)["a"]
    assert server.post("/models/load", {"model": "a"}).json == {"success": True}
    assert "still answering 1 request " in is_json_error(answer.result(PATIENCE), 409)
    assert server.post("/models/load", {"model": "a"}).status == 400
    connection.close()
    until(lambda: server.get("/hostler/v1/requests?model=a&state=done").json["requests"],
          what="the stream's end")
    assert server.state("a") == "loaded" and pids(server) == {"a": pid}
    # The next load is not put down to the one that withdrew that unload.
    assert server.post("/models/unload", {"model": "a"}).status == 200
    assert server.tokenize("a").status == 200
    assert "POST /tokenize" in server.engines()["a"]["loaded_by"]


def test_a_hold_refuses_others_while_an_unload_waits(fake):
    server = fake(a=ENDLESS)
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    answer = background(server.post, "/models/unload", {"model": "a", "hold": True})
    wait_for_state(server, "a", "draining")
    assert is_json_error(server.tokenize("a"), 503) and not answer.done()
    connection.close()
    assert answer.result(PATIENCE).json == {"success": True}


def engine_states(server):
    return {e["pid"]: e["state"] for e in server.get("/hostler/v1/status").json["engines"]}


@pytest.mark.parametrize("wish, status", [({}, 409), ({"drain": 3}, 200)], ids=["left alone", "cut off"])
def test_unload_does_not_wait_for_an_engine_that_came_later(fake, tmp_path, wish, status):
    """The one that was loaded with other arguments is busy; in place of the new one, requests load a third."""
    preset = tmp_path / "presets.ini"
    preset.write_text("[a]\nc = 512\n", encoding="utf-8")
    server = fake("--models-preset", preset, "--drain-timeout", "3s", a=ENDLESS)
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    old, = engine_states(server)
    preset.write_text("[a]\nc = 1024\n", encoding="utf-8")
    server.get("/models?reload=1")
    until(lambda: sorted(engine_states(server).values()) == ["draining", "loaded"])
    newer = max(engine_states(server), key=lambda pid: pid != old)
    answer = background(server.post, "/models/unload", {"model": "a", **wish})
    until(lambda: newer not in engine_states(server))
    assert server.tokenize("a").status == 200
    assert answer.result(PATIENCE).status == status
    states = engine_states(server)
    assert (old in states) == (status == 409)
    states.pop(old, None)
    assert list(states.values()) == ["loaded"]
    connection.close()


@pytest.mark.parametrize("path, body", [("/models/unload-all", {}), ("/models/unload", {"model": "m1"}),
                                        ("/models/unload", {"models": ["m1"]})])
@pytest.mark.parametrize("value", ["1", "true"])
def test_a_dry_run_in_the_query_changes_nothing(real, path, body, value):
    before = load(real, "m1")
    answer = real.post(f"{path}?dry_run={value}", body)
    assert results(answer) == {"m1": "unloaded"} and answer.json["results"][0]["reason"] == "would_be_unloaded"
    assert pids(real) == before


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
    server = fake("--stop-timeout", "2s", a=DEAF, b=DEAF, c=DEAF)
    load(server, "a", "b", "c")
    report = unload_all(server).json
    stopped = [r["stopped_ms"] for r in report["results"]]
    assert len(stopped) == 3 and min(stopped) > 1500
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
    assert answer.json["elapsed_ms"] < 30000
    error = json.loads(read_events(response)[-1][1])["error"]
    assert error["code"] == 502 and "unloaded" in error["message"] and error["state"] == "unloaded"
    cut = whole.result(PATIENCE)  # nothing of its answer had come: so it can be told by a status
    assert cut.status == 502 and cut.error["state"] == "unloaded"
    assert "unloaded" in cut.error["message"] and "'a'" in cut.error["message"]
    connection.close()


# --- hold ------------------------------------------------------------------------------------------

def assert_held(answer, reason="lunch"):
    assert answer.status == 503
    assert answer.error["state"] == "held"
    assert answer.error["type"] == "unavailable_error"
    assert re.fullmatch(rf"model '\w+' is held: {reason}; it will not load "
                        r"(until it is released|for another \w+)", answer.error["message"])
    assert "127.0.0.1" not in answer.body.decode()  # who holds it is for operators
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


def test_hold_and_release_by_name(real):
    pid = load(real, "m1")["m1"]
    held = real.post("/models/hold", {"models": ["m1", "m2"], "for": 3600, "reason": "lunch"}).json
    assert [h["model"] for h in held["held"]] == ["m1", "m2"]
    for entry in held["held"]:
        assert entry["reason"] == "lunch" and entry["by"]
        assert abs(entry["until"] - time.time() - 3600) < 120
    assert real.tokenize("m1").status == 200  # it runs already
    assert_held(real.tokenize("m2"))
    assert pids(real) == {"m1": pid}
    assert real.models()["m2"]["held"]["reason"] == "lunch"
    left = real.post("/models/release", {"model": "m1"}).json["held"]
    assert [h["model"] for h in left] == ["m2"]


@pytest.mark.parametrize("body", [
    {}, {"model": "nosuch"}, {"models": ["m1", "nosuch"]}, {"models": ["m1", 7]}, {"models": "m1"},
    {"model": "m1", "for": "long"}, {"model": "m1", "for": -1}, {"model": "m1", "reason": 7},
    {"all": "yes"},
])
def test_a_hold_that_makes_no_sense_holds_nothing(real, body):
    assert real.post("/models/hold", body).status == 400
    assert real.get("/hostler/v1/status").json["holds"] == []


def test_an_unload_with_a_hold_tells_those_who_wait_of_the_hold(fake):
    """To ask again soon, as after another unload, would be in vain."""
    server = fake(a={"load_s": 5})
    waiting = background(server.tokenize, "a")
    until(lambda: server.state("a") == "loading")
    assert server.post("/models/unload", {"model": "a", "hold": True, "reason": "lunch"}).status == 200
    answer = waiting.result(PATIENCE)
    assert_held(answer)
    assert answer.headers["x-should-retry"] == "false"


def test_a_hold_refuses_those_who_wait_already(fake):
    server = fake("--models-max", "1", a=ENDLESS, b={})
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    waiting = background(server.tokenize, "b")
    until(lambda: "b" in server.queue())
    server.post("/models/hold", {"model": "b", "reason": "lunch"})
    assert_held(waiting.result(PATIENCE))
    connection.close()
