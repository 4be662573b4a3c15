# SPDX-License-Identifier: MIT
"""POST /models/load and /models/unload, one after the other and across each other."""
import os
import signal

import pytest

from conformance.suite import SUCCESS, answer, error
from conformance.test_streaming import start_long

NOT_FOUND = error(404, kind="not_found_error")
RUNNING = error(400, "model is already running", "invalid_request_error")
NOT_RUNNING = error(400, "model is not running", "invalid_request_error")
NO_JSON = {"empty": "", "no JSON": "model=m1", "cut off": '{"model":"m1"', "garbage behind": '{"model":"m1"}x',
           "UTF-8 broken": b'{"model":"\xff"}'}
NAMELESS = {
    "a list": '["m1"]', "a text": '"m1"', "null": "null", "no model": "{}", "a number": '{"model":1}',
    "model null": '{"model":null}', "model a list": '{"model":["m1"]}', "model empty": '{"model":""}',
    "model an object": '{"model":{"id":"m1"}}'}

FAILED = {"value": "unloaded", "failed": True, "exit_code": 1}


def outcome(server, model):
    """What an entry's status tells of how it went."""
    return {k: v for k, v in server.entry(model)["status"].items()
            if k in ("value", "failed", "exit_code")}


def test_load_and_unload(router, see):
    router.be_unloaded("m2")
    see("load", router.load("m2"), SUCCESS)
    router.until_status("m2", "loaded")
    see("tokenize", router.tokenize("m2"), answer(200, {"tokens": list}))
    see("unload", router.unload("m2"), SUCCESS)
    router.until_status("m2", "unloaded")


def test_load_twice(router, see):
    router.be_loaded("m1")
    see("again", router.load("m1"), RUNNING)
    see("status", router.status("m1"), "loaded")


def test_unload_twice(router, see):
    router.be_loaded("m2")
    see("first", router.unload("m2"), SUCCESS)
    router.until_status("m2", "unloaded")
    see("second", router.unload("m2"), NOT_RUNNING)


def test_unload_what_was_never_loaded(start, models, see):
    see("unload", start("--models-dir", models).unload("m1"), NOT_RUNNING)


@pytest.mark.parametrize("name", ["nowhere", "M1", "m1 ", "m1.gguf", "../m1", "*", "ü"])
def test_unknown_models(router, see, name):
    see("load", router.load(name), NOT_FOUND)
    see("unload", router.unload(name), error(400, "model is not found", "invalid_request_error"))


@pytest.mark.parametrize("route", ["load", "unload"])
@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_a_body_is_no_json(router, see, route, body):
    see("answer", router.post(f"/models/{route}", body), error(400, kind="invalid_request_error"))


@pytest.mark.parametrize("route", ["load", "unload"])
@pytest.mark.parametrize("body", NAMELESS.values(), ids=NAMELESS)
def test_a_body_names_no_model(router, see, route, body):
    see("answer", router.post(f"/models/{route}", body), error(404 if route == "load" else 400))


def test_further_members_of_a_load(router, see):
    """The web UI sends `extra_args`; llama.cpp does not look at it."""
    router.be_unloaded("m3")
    see("load", router.post("/models/load", {"model": "m3", "extra_args": ["-c", "64"], "x": None}),
        SUCCESS)
    router.until_status("m3", "loaded")
    see("context", router.entry("m3")["meta"]["n_ctx"], 512)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_the_content_type_of_a_load_does_not_matter(router, see, kind):
    router.be_loaded("m1")
    see("load", router.post("/models/load", {"model": "m1"},
                            headers={"Content-Type": kind} if kind else {}), RUNNING)


def test_load_while_loading(start, slow_model, see):
    server = start("--models-dir", os.path.dirname(slow_model))
    see("first", server.load("slow"), SUCCESS)
    see("second", server.load("slow"), RUNNING)
    server.until_status("slow", "loaded")


def test_unload_while_loading(start, slow_model, see):
    server = start("--models-dir", os.path.dirname(slow_model))
    server.load("slow")
    see("unload", server.unload("slow"), SUCCESS)
    server.until_status("slow", "unloaded")
    server.until(lambda: not server.engine_pids())
    see("load again", server.load("slow"), SUCCESS)
    server.until_status("slow", "loaded")


def test_unload_at_once_unload_again(start, slow_model, see):
    server = start("--models-dir", os.path.dirname(slow_model))
    server.load("slow")
    see("first", server.unload("slow").status, 200)
    see("second", server.unload("slow").status in (200, 400), True)  # is it gone already?
    server.until_status("slow", "unloaded")


def test_a_failed_load(start, see):
    (start.models() / "bad.gguf").write_bytes(b"GGUF, but no more")
    server = start("--models-dir", start.folder / "dir")
    see("load", server.load("bad"), SUCCESS)
    server.until(lambda: server.entry("bad")["status"].get("failed"))
    see("status", outcome(server, "bad"), FAILED)
    see("again", server.load("bad"), SUCCESS)


def test_a_request_for_a_model_that_does_not_load(start, see):
    (start.models() / "bad.gguf").write_bytes(b"GGUF, but no more")
    server = start("--models-dir", start.folder / "dir")
    see("tokenize", server.tokenize("bad"), error(500, kind="server_error"))
    see("status", outcome(server, "bad"), FAILED)


def test_a_failure_is_forgotten_by_the_next_load(start, see):
    root = start.models()
    (root / "m.gguf").write_bytes(b"GGUF, but no more")
    server = start("--models-dir", root)
    server.load("m")
    server.until(lambda: server.entry("m")["status"].get("failed"))
    os.unlink(root / "m.gguf")
    start.models("m.gguf")
    see("load", server.load("m"), SUCCESS)
    server.until_status("m", "loaded")
    see("failed", "failed" in server.entry("m")["status"], False)


def test_the_last_engine_is_killed(start, models, see):
    server = start("--models-dir", models).be_loaded("m1")
    with server.events() as events:
        server.kill_engine("m1")
        events.wait_status("m1", "unloaded")
        see("event", events.frames[0], {"event": "status_change",
                                        "data": {"status": "unloaded", "exit_code": 1}})
    see("status", outcome(server, "m1"), FAILED)
    see("tokenize", server.tokenize("m1"), answer(200))
    see("status after it", server.status("m1"), "loaded")


@pytest.mark.parametrize("model", ["m1", "m2", "m3"])
def test_one_of_several_engines_is_killed(start, models, see, model):
    server = start("--models-dir", models).be_loaded("m1").be_loaded("m2").be_loaded("m3")
    server.kill_engine(model)
    server.until_status(model, "unloaded")
    see("status", outcome(server, model), FAILED)
    see("others", [server.tokenize(m).status for m in ("m1", "m2", "m3") if m != model], [200, 200])
    see("tokenize", server.tokenize(model), answer(200))


def test_an_engine_is_killed_in_a_request(start, slow_model, see):
    """What had not begun ends in an error; the model comes back with the next request."""
    server = start("--models-dir", os.path.dirname(slow_model), "-c", "32768", "--slots").be_loaded("slow")
    asked = server.later(server.post, "/completion", {
        "model": "slow", "prompt": "hi", "n_predict": 20000, "ignore_eos": True})
    server.until(lambda: any(s["is_processing"] for s in server.get("/slots?model=slow").json))
    server.kill_engine("slow")
    see("answer", asked.result(60), {"status": 500})
    see("tokenize", server.until(lambda: server.tokenize("slow").status == 200), True)


def test_an_engine_is_killed_in_a_stream(start, slow_model, see):
    """The connection ends without the end of the stream."""
    server = start("--models-dir", os.path.dirname(slow_model), "-c", "32768", "--slots").be_loaded("slow")
    wire = start_long(server, "slow")
    server.kill_engine("slow")
    rest, whole = b"", True
    try:
        for chunk in wire.rest:
            rest += chunk
    except (OSError, EOFError):
        whole = False
    wire.close()
    see("end of the stream", b"[DONE]" in rest, False)
    see("last chunk", whole, True)
    see("an error in it", b'"error"' in rest, False)


def test_an_engine_is_killed_while_it_loads(start, slow_model, see):
    server = start("--models-dir", os.path.dirname(slow_model))
    server.load("slow")
    server.until(lambda: server.engine_pids())
    os.kill(server.engine_pids()["slow"], signal.SIGKILL)
    server.until_status("slow", "unloaded")
    see("status", outcome(server, "slow"), FAILED)
    see("tokenize", server.tokenize("slow").status, 200)


def test_the_order_of_a_reload_button(router, see):
    """Unload, wait, load, wait: what a web page does."""
    router.be_loaded("m4")
    seen = [router.unload("m4").status]
    router.until_status("m4", "unloaded")
    seen.append(router.load("m4").status)
    router.until_status("m4", "loaded")
    see("statuses", seen, [200, 200])
    see("tokenize", router.tokenize("m4").status, 200)


def test_loads_side_by_side(start, models, see):
    server = start("--models-dir", models)
    answers = [server.later(server.load, f"m{i}") for i in range(1, 5)]
    see("answers", [a.result(60) for a in answers], [SUCCESS] * 4)
    server.be_loaded("m1", "m2", "m3", "m4")
    see("statuses", server.statuses(), dict.fromkeys(("m1", "m2", "m3", "m4"), "loaded"))


def test_waiters_share_a_load(start, slow_model, see):
    server = start("--models-dir", os.path.dirname(slow_model))
    answers = [server.later(server.tokenize, "slow") for _ in range(8)]
    see("answers", [a.result(60).status for a in answers], [200] * 8)
    see("engines", len(server.engine_pids()), 1)


def test_unload_of_an_idle_model_that_answered(start, models, see):
    server = start("--models-dir", models)
    see("tokenize", server.tokenize("m1").status, 200)
    see("unload", server.unload("m1"), SUCCESS)
    server.until_status("m1", "unloaded")
    server.until(lambda: not server.engine_pids())
    see("tokenize again", server.tokenize("m1").status, 200)
