# SPDX-License-Identifier: MIT
"""--models-max: who goes when a place is needed."""
import time

from conformance.suite import answer, error
from conformance.test_streaming import busy, start_long


def in_service(server, *values):
    """Models with one of these statuses. One that leaves still has its memory, and on hostler another may begin
    to load meanwhile."""
    statuses = {e["id"]: e["status"] for e in server.get("/models").json["data"]}
    return sorted(m for m, s in statuses.items() if s["value"] in values and not s.get("draining"))


def loaded(server):
    return in_service(server, "loaded")


def use(server, *models):
    """One after the other, each in a millisecond of its own: that is how fine both remember."""
    answers = []
    for model in models:
        answers.append(server.tokenize(model).status)
        now = time.monotonic()
        server.until(lambda: time.monotonic() > now + 0.003)  # pylint: disable=cell-var-from-loop
    return answers


def test_the_least_recently_used_goes(start, models, see):
    server = start("--models-dir", models, "--models-max", "2")
    see("first answers", use(server, "m1", "m2"), [200] * 2)
    end = time.monotonic() + 1  # so long that it does not matter whose load took longer
    while time.monotonic() < end:
        use(server, "m1")
    see("answers", use(server, "m1", "m3"), [200] * 2)
    see("loaded", loaded(server), ["m1", "m3"])


def test_gets_are_no_use(start, models, see):
    server = start("--models-dir", models, "--models-max", "2")
    use(server, "m1", "m2", "m1", "m2")
    server.get("/props?model=m1")
    server.tokenize("m3")
    see("loaded", loaded(server), ["m2", "m3"])


def test_a_load_evicts_too(start, models, see):
    server = start("--models-dir", models, "--models-max", "1").be_loaded("m1")
    see("load", server.load("m2"), answer(200, {"success": True}))
    server.until_status("m2", "loaded")
    see("loaded", loaded(server), ["m2"])


def test_swapping(start, models, see):
    server = start("--models-dir", models, "--models-max", "1")
    see("answers", [server.tokenize(m).status for m in ("m1", "m2", "m1", "m2")], [200] * 4)
    server.until(lambda: len(server.engine_pids()) == 1)


def test_swapping_side_by_side(start, models, see):
    server = start("--models-dir", models, "--models-max", "1")
    answers = [server.later(server.tokenize, m) for m in ("m1", "m2", "m1", "m2", "m3")]
    see("answers", [a.result(60).status for a in answers], [200] * 5)
    server.until(lambda: len(server.engine_pids()) == 1)
    see("engines", len(server.engine_pids()), 1)


def test_never_more_than_the_limit(start, models, see):
    server = start("--models-dir", models, "--models-max", "2")
    answers = [server.later(server.tokenize, f"m{1 + i % 4}") for i in range(12)]
    most = 0
    while not all(a.done() for a in answers):
        most = max(most, len(in_service(server, "loading", "loaded")))
    see("most", most <= 2, True)
    # Stock gives a 400 or 500 now and then: the model is evicted before its request gets to it.
    see("answered", {a.result(60).status for a in answers} <= {200, 400, 500, 502, 503}, True)


def test_no_limit(start, models, see):
    server = start("--models-dir", models, "--models-max", "0")
    see("answers", [server.tokenize(f"m{i}").status for i in range(1, 5)], [200] * 4)
    see("loaded", loaded(server), ["m1", "m2", "m3", "m4"])


def mixed(start, slow_model):
    root = start.models("quick.gguf")
    (root / "slow.gguf").symlink_to(slow_model)
    return "--models-dir", root, "--models-max", "1", "-c", "32768", "-np", "1", "--slots"


def test_a_busy_model_stays(start, slow_model, see):
    """Who wants another waits for it."""
    server = start(*mixed(start, slow_model))
    wire = start_long(server, "slow")
    waiting = server.later(server.tokenize, "quick")
    server.until(lambda: busy(server, "slow"))
    see("waits", waiting.done(), False)
    see("loaded", loaded(server), ["slow"])
    wire.close()
    see("then", waiting.result(60).status, 200)
    see("loaded then", loaded(server), ["quick"])


def test_a_closed_page_does_not_keep_its_model(start, slow_model, see):
    """Its answer goes on, so that it can be read again; who wants another model need not wait for its end."""
    server = start(*mixed(start, slow_model))
    start_long(server, "slow", conversation="page", max_tokens=30000).close()
    see("other model", server.tokenize("quick").status, 200)
    see("loaded", loaded(server), ["quick"])


def test_a_load_beside_a_busy_model(start, slow_model, see):
    server = start(*mixed(start, slow_model))
    wire = start_long(server, "slow")
    see("answer", server.load("quick"), error(500, kind="server_error"))
    wire.close()
    server.until(lambda: not busy(server, "slow") if server.status("slow") == "loaded" else True)


def test_a_client_that_leaves_the_queue(start, slow_model, see):
    """The model that it waited for is not loaded for it."""
    args = mixed(start, slow_model)
    start.models("third.gguf")
    server = start(*args)
    wire = start_long(server, "slow")
    with server.events() as events:
        gone = server.wire().ask("POST", "/tokenize", {"model": "quick", "content": "hi"})
        server.until(lambda: busy(server, "slow"))
        gone.close()
        left = time.monotonic()
        third = server.later(server.tokenize, "third")
        # Stock looks five times a second whether its client is still there.
        server.until(lambda: time.monotonic() > left + 0.5)
        wire.close()
        see("third", third.result(60).status, 200)
        events.wait_status("third", "loaded")
        see("story", events.story("quick", "third"), [["third", "model_status", "loading"],
                                                      ["third", "status_change", "loaded"]])
