# SPDX-License-Identifier: MIT
"""An operator's load of a model whose file is not there for a while: it is done, ended, or told as given up."""
import pytest

from conftest import until
from unloading import ENDLESS
from wire import FAKE_ENGINE, fake_models, open_stream, read_events

WAITS = "its load waits for its file"


@pytest.fixture
def away(tmp_path):
    """away.file, which leaves and returns, and away.gate, without which its loads do not end."""
    class Away:
        folder, gate, elsewhere = tmp_path / "fakes", tmp_path / "gate", tmp_path / "elsewhere.gguf"
        file = folder / "a.gguf"

        def leaves(self):
            self.file.rename(self.elsewhere)

        def returns(self):
            self.elsewhere.rename(self.file)

    fake_models(Away.folder, a={"load_until": str(Away.gate)}, b={})
    return Away()


@pytest.fixture
def start(hostler, away):
    """start(*args): a daemon that loads a, which has just gone; its load is pending."""
    def call(*args, **kw):
        server = hostler("--models-dir", away.folder, *args, engine=FAKE_ENGINE, **kw)
        assert server.post("/models/load", {"model": "a"}).status == 200
        until(lambda: server.state("a") == "loading", what="its load")
        away.leaves()
        until(lambda: WAITS in server.log(), what="its end")
        return server
    return call


def returns_without_a_load(server, away):
    away.returns()
    away.gate.touch()
    until(lambda: "a" in server.models(), what="its return")
    assert server.tokenize("b").status == 200  # whatever was due has begun
    assert server.models()["a"]["status"]["value"] == "unloaded"


def test_it_is_loaded_when_its_file_is_back(start, away):
    server = start()
    assert "a" not in server.models()
    away.returns()
    away.gate.touch()
    until(lambda: server.models().get("a", {}).get("status", {}).get("value") == "loaded", what="its load")
    assert "after a change of its file while it was loaded" in server.engines()["a"]["loaded_by"]
    assert server.log().count(WAITS) == 1


def test_it_had_not_begun(hostler, away):
    """It waited for the place of a model that is in use."""
    fake_models(away.folder, b=ENDLESS)
    server = hostler("--models-dir", away.folder, "--models-max", "1", "--max-wait", "1h", engine=FAKE_ENGINE)
    connection, response = open_stream(server, "b")
    read_events(response, 1)
    assert server.post("/models/load", {"model": "a"}).status == 200
    away.leaves()
    until(lambda: WAITS in server.log(), what="its end")
    away.returns()
    away.gate.touch()
    until(lambda: "a" in server.models(), what="its return")
    connection.close()
    until(lambda: server.state("a") == "loaded", what="its load")


def test_a_section_is_missing_meanwhile(start, away, tmp_path):
    path = tmp_path / "p.ini"
    path.write_text("[a]\nalias = one\n", encoding="utf-8")
    server = start("--models-preset", path)
    assert server.models()["a"]["status"]["reason"] == "missing"
    away.returns()
    away.gate.touch()
    until(lambda: server.models()["a"]["status"]["value"] == "loaded", what="its load")


@pytest.mark.parametrize("route, body", [
    ("/models/unload", {"model": "a"}),
    ("/models/unload", {"models": ["a"]}),
    ("/models/unload-all", {}),
    ("/models/unload-all", {"hold": True}),
    ("/models/hold", {"all": True}),
])
def test_an_operator_ends_it(start, away, route, body):
    server = start()
    answer = server.post(route, body)
    assert answer.status == 200, answer.body
    if "hold" not in route and "hold" not in body and "model" not in body:
        assert [(r["model"], r["result"], r["reason"]) for r in answer.json["results"]] == [
            ("a", "unloaded", "was_waiting_to_load")]
    server.post("/models/release", {"all": True})
    returns_without_a_load(server, away)


def test_a_section_is_held_meanwhile(start, away, tmp_path):
    path = tmp_path / "p.ini"
    path.write_text("[a]\nalias = one\n", encoding="utf-8")
    server = start("--models-preset", path)
    assert server.post("/models/hold", {"model": "a"}).status == 200
    assert server.post("/models/release", {"model": "a"}).status == 200
    returns_without_a_load(server, away)


def test_who_only_asks_ends_nothing(start, away):
    server = start()
    answer = server.post("/models/unload-all", {"dry_run": True})
    assert [(r["model"], r["reason"]) for r in answer.json["results"]] == [("a", "would_be_unloaded")]
    away.returns()
    away.gate.touch()
    until(lambda: server.models().get("a", {}).get("status", {}).get("value") == "loaded", what="its load")


def test_it_is_given_up_and_told(start, away):
    server = start("--load-timeout", "2s")
    until(lambda: "its load is given up: its file has not come back" in server.log(), what="its end")
    recent = server.get("/hostler/v1/status").json["recent"]
    assert ("a", "failed", "its file has not come back") in [(r["model"], r["event"], r["why"]) for r in recent]
    returns_without_a_load(server, away)


def test_a_hold_and_a_pin_outlast_a_file_that_is_gone(hostler, away):
    server = hostler("--models-dir", away.folder, engine=FAKE_ENGINE)
    assert server.post("/models/hold", {"model": "a", "reason": "moved"}).status == 200
    assert server.post("/models/pin", {"model": "a"}).status == 200
    away.leaves()
    until(lambda: "a" not in server.models(), what="its end")
    away.returns()
    until(lambda: "a" in server.models(), what="its return")
    entry = server.models()["a"]
    assert entry["held"]["reason"] == "moved" and entry["pinned"]
