# SPDX-License-Identifier: MIT
"""GET /models/sse: what happens to models, as it happens."""
import os

from conformance.suite import Exactly
from integration.wire import request_bytes

LOAD = [["m1", "model_status", "loading"], ["m1", "status_change", "loaded"]]
UNLOAD = [["m1", "status_change", "unloaded"]]


def test_the_head(router, see):
    with router.events() as events:
        names = ("content-type", "transfer-encoding", "cache-control", "x-accel-buffering")
        see("head", {"status": events.head.status, **{n: events.head[n] for n in names}},
            {"status": 200, "content-type": "text/event-stream", "transfer-encoding": "chunked"})


def test_head_to_another_origin(router, see):
    with router.events(Origin="http://web.test") as events:
        see("origin", events.head["access-control-allow-origin"], "http://web.test")


def test_load_and_unload(start, models, see):
    server = start("--models-dir", models)
    with server.events() as events:
        server.be_loaded("m1").be_unloaded("m1")
        events.wait_status("m1", "unloaded")
        see("story", events.story(), LOAD + UNLOAD)
        see("exit code", events.frames[-1]["data"], Exactly({"status": "unloaded", "exit_code": 0}))


def test_every_field(start, models, see):
    server = start("--models-dir", models, "-c", "512")
    with server.events() as events:
        server.load("m1")
        events.wait_status("m1", "loaded")
        frames = [f for f in events.frames if "progress" not in f["data"]]
        see("spawn", frames[0], Exactly({"model": "m1", "event": "model_status",
                                         "data": Exactly({"status": "loading"})}))
        see("ready", frames[1], Exactly({"model": "m1", "event": "status_change", "data": {
            "status": "loaded", "info": {"id": "m1", "meta": {"n_ctx": 512}}}}))


def test_progress(start, models, see):
    server = start("--models-dir", models)
    with server.events() as events:
        server.load("m1")
        events.wait_status("m1", "loaded")
        first = next(f for f in events.frames if "progress" in f["data"])
        see("first", first, Exactly({"model": "m1", "event": "status_change", "data": Exactly({
            "status": "loading", "progress": Exactly({
                "stages": ["text_model"], "current": "text_model", "value": 0.0})})}))
        see("last", [f for f in events.frames if "progress" in f["data"]][-1]["data"]["progress"]["value"], 1.0)


def test_the_framing(start, models, see):
    """A data line and a blank line; comments may come between, and no replay of what was before."""
    server = start("--models-dir", models).be_loaded("m1")
    with server.events() as events:
        server.be_unloaded("m1")
        events.wait_status("m1", "unloaded")
        see("lines", [x for x in events.lines if not x.startswith(":")],
            ['data: {"model":"m1","event":"status_change","data":{"status":"unloaded","exit_code":0}}', ""])


def test_a_request_loads(start, models, see):
    server = start("--models-dir", models)
    with server.events() as events:
        see("tokenize", server.tokenize("m1").status, 200)
        events.wait_status("m1", "loaded")
        see("story", events.story(), LOAD)


def test_several_subscribers(start, models, see):
    server = start("--models-dir", models)
    with server.events() as one, server.events() as two, server.events() as three:
        server.be_loaded("m1").be_unloaded("m1")
        for events in (one, two, three):
            events.wait_status("m1", "unloaded")
        see("stories", [e.story() for e in (one, two, three)], [LOAD + UNLOAD] * 3)


def test_a_subscriber_that_leaves(start, models, see):
    server = start("--models-dir", models)
    gone = server.events()
    with server.events() as events:
        with gone:
            server.be_loaded("m1")
            events.wait_status("m1", "loaded")
        server.be_unloaded("m1").be_loaded("m1")
        events.wait_status("m1", "loaded", times=2)
        see("story", events.story(), LOAD + UNLOAD + LOAD)
        see("health", server.get("/health").status, 200)


def test_no_replay(start, models, see):
    server = start("--models-dir", models).be_loaded("m1")
    with server.events() as events:
        server.be_loaded("m2")
        events.wait_status("m2", "loaded")
        see("models", sorted({f["model"] for f in events.frames}), ["m2"])


def test_eviction(start, models, see):
    server = start("--models-dir", models, "--models-max", "1").be_loaded("m1")
    with server.events() as events:
        see("tokenize", server.tokenize("m2").status, 200)
        events.wait_status("m2", "loaded")
        events.wait_status("m1", "unloaded")
        see("who goes", events.story("m1"), [["m1", "status_change", "unloaded"]])
        see("who comes", events.story("m2"), [["m2", "model_status", "loading"], ["m2", "status_change", "loaded"]])


def test_a_failed_load(start, see):
    (start.models() / "bad.gguf").write_bytes(b"GGUF, but no more")
    server = start("--models-dir", start.folder / "dir")
    with server.events() as events:
        server.load("bad")
        events.wait_status("bad", "unloaded")
        see("story", events.story(), [["bad", "model_status", "loading"], ["bad", "status_change", "unloaded"]])
        see("exit code", events.frames[-1]["data"], {"status": "unloaded", "exit_code": 1})


def test_a_killed_engine(start, models, see):
    server = start("--models-dir", models).be_loaded("m1")
    with server.events() as events:
        server.kill_engine("m1")
        events.wait_status("m1", "unloaded")
        see("story", events.story(), UNLOAD)
        see("data", events.frames[-1]["data"], {"status": "unloaded", "exit_code": 1})


def test_an_unload_while_loading(start, slow_model, see):
    server = start("--models-dir", os.path.dirname(slow_model))
    with server.events() as events:
        server.load("slow")
        events.wait_status("slow", "loading")
        server.unload("slow")
        events.wait_status("slow", "unloaded")
        loaded = ["slow", "status_change", "loaded"]  # on a busy machine before the unload comes
        story = events.story()
        see("story", [s for s in story if s != loaded],
            [["slow", "model_status", "loading"], ["slow", "status_change", "unloaded"]])
        see("exit code", 1 if loaded in story else events.frames[-1]["data"]["exit_code"], 1)


def test_sleep_and_wake(start, models, see):
    server = start("--models-dir", models, "--sleep-idle-seconds", "1")
    with server.events() as events:
        server.load("m1")
        events.wait_status("m1", "sleeping")
        see("while asleep", server.status("m1"), "sleeping")
        see("tokenize", server.tokenize("m1").status, 200)
        events.wait_status("m1", "loaded", times=2)
        see("story", events.story()[:4], LOAD + [["m1", "status_change", "sleeping"],
                                                 ["m1", "status_change", "loaded"]])
        waking = [f for f in events.frames if f["data"]["status"] == "loaded"][1]
        see("of waking", waking["data"], {"status": "loaded"})


def test_what_does_not_wake(start, models, see):
    server = start("--models-dir", models, "--sleep-idle-seconds", "1", "--metrics", "--slots")
    server.load("m1")
    server.until_status("m1", "sleeping")
    asked = [server.get(p).status for p in ("/props?model=m1", "/metrics?model=m1", "/models", "/health")]
    see("asked", asked, list([200] * 4))
    see("status", server.status("m1"), "sleeping")


def test_unload_of_a_sleeping_model(start, models, see):
    server = start("--models-dir", models, "--sleep-idle-seconds", "1")
    with server.events() as events:
        server.load("m1")
        server.until_status("m1", "sleeping")
        see("load", server.load("m1").status, 400)
        see("unload", server.unload("m1").status, 200)
        events.wait_status("m1", "unloaded")
        see("last", events.story()[-1], ["m1", "status_change", "unloaded"])


def test_reload(start, see):
    server = start("--models-dir", start.models("a.gguf"))
    with server.events() as events:
        server.get("/models?reload=1")
        events.wait(lambda f: f["event"] == "models_reload")
        see("frames", events.frames, [Exactly({"model": "*", "event": "models_reload"})])


def test_reload_that_takes_a_model(start, see):
    root = start.models("a.gguf", "b.gguf")
    server = start("--models-dir", root).be_loaded("a")
    with server.events() as events:
        os.unlink(root / "a.gguf")
        server.get("/models?reload=1")
        events.wait(lambda f: f["event"] == "models_reload")
        story = events.story()
        see("story", story[:1 + story.index(["*", "models_reload", None])],
            [["a", "status_change", "unloaded"], ["*", "models_reload", None]])


def test_an_end_of_the_server(start, models, see):
    """A subscriber does not keep it from ending."""
    server = start("--models-dir", models)
    with server.events():
        server.process.terminate()
        see("ended", server.process.wait(30), 0)


def test_http_1_0(router, see):
    with router.wire() as wire:
        wire.send(b"GET /models/sse HTTP/1.0\r\n\r\n")
        see("status", wire.head().status, 200)


def test_head_request(router, see):
    with router.wire() as wire:
        wire.send(request_bytes("HEAD", "/models/sse"))
        see("status", wire.head().status, 200)
