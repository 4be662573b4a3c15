# SPDX-License-Identifier: MIT
"""POST /hostler/v1/capture: bodies are kept while it is on, in memory, bounded, and never for keys that have opted out."""
import json

import pytest

from conftest import until
from wire import FAKE_ENGINE, Wire, chat, fake_models, is_json_error
from live import Live

CHAT = "/v1/chat/completions"
PATH = "/hostler/v1/capture"
MIB = 1 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fake_models(tmp_path_factory.mktemp("m"), a={"tokens": 3}, b={"tokens": 3})


@pytest.fixture
def server(hostler, folder):
    return hostler("--models-dir", folder, engine=FAKE_ENGINE)


def capture(server, **body):
    answer = server.post(PATH, body)
    assert answer.status == 200
    return answer.json


def opened(server, agent, **headers):
    def found():
        every = server.get("/hostler/v1/requests?limit=1000", headers=headers).json["requests"]
        return [r for r in every if r["user_agent"] == agent and r["state"] == "done"]
    (record,) = until(found, what=f"the end of {agent}")
    return server.get(f"/hostler/v1/requests/{record['id']}", headers=headers).json


def ask(server, agent, body, path=CHAT, **headers):
    return server.post(path, body, headers={"User-Agent": agent, **headers})


def bodies(record):
    return record["request_body"], record["response_body"]


def test_off_on_off(server):
    assert server.get(PATH).json == {"allowed": True, "until": None, "model": None}
    ask(server, "before/1", chat("a"))
    assert bodies(opened(server, "before/1")) == (None, None)
    assert capture(server, **{"for": 600})["until"] > 0
    answer = ask(server, "plain/1", chat("a"))
    stream = ask(server, "stream/1", chat("a", stream=True))
    sent, came = bodies(opened(server, "plain/1"))
    assert json.loads(sent) == chat("a") and came.encode() == answer.body
    assert bodies(opened(server, "stream/1"))[1].encode() == stream.body
    assert not opened(server, "plain/1")["request_body_cut"] and not opened(server, "plain/1")["response_body_cut"]
    assert bodies(opened(server, "before/1")) == (None, None)
    assert capture(server, **{"for": 0})["until"] is None
    ask(server, "after/1", chat("a"))
    for agent in ("plain/1", "stream/1", "after/1"):
        assert bodies(opened(server, agent)) == (None, None)


def test_its_time_is_up(server):
    capture(server, **{"for": 0.3})
    until(lambda: server.get(PATH).json["until"] is None, what="the end of the time")
    ask(server, "late/1", chat("a"))
    assert bodies(opened(server, "late/1")) == (None, None)


def test_of_one_model(server):
    assert capture(server, **{"for": "10m", "model": "b"})["model"] == "b"
    ask(server, "a/1", chat("a"))
    ask(server, "b/1", chat("b"))
    ask(server, "none/1", chat("no-such"))
    assert bodies(opened(server, "a/1")) == bodies(opened(server, "none/1")) == (None, None)
    assert opened(server, "b/1")["request_body"]


def test_large_bodies_are_cut_and_the_oldest_make_way(server):
    capture(server, **{"for": 600})
    for i in range(40):
        body = json.dumps({**chat("a"), "filler": "x" * (2 * MIB)})
        assert ask(server, f"large-{i}/1", body).status == 200
    last = opened(server, "large-39/1")
    assert last["request_body_cut"] and len(last["request_body"]) == MIB and not last["response_body_cut"]
    assert last["request_bytes"] > 2 * MIB
    kept = [i for i in range(40) if opened(server, f"large-{i}/1")["request_body"]]
    assert kept == list(range(kept[0], 40)) and 8 <= len(kept) <= 32


def test_bytes_that_are_no_text(server):
    capture(server, **{"for": 600})
    with Wire(server) as wire:
        wire.send(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bytes/1\r\nContent-Length: 6\r\n\r\n\xff\x00{\"a\"")
        assert wire.head().status == 400
    assert opened(server, "bytes/1")["request_body"] == "??{\"a\""


def test_it_goes_off_while_a_request_goes_on(hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "m", a={"tokens": 2000, "token_ms": 10}), engine=FAKE_ENGINE)
    capture(server, **{"for": 600})
    with Wire(server).ask("POST", CHAT, chat("a", stream=True), User_Agent="long/1") as wire:
        wire.head()
        chunks = wire.chunks()
        next(chunks)
        capture(server, **{"for": 0})
        capture(server, **{"for": 600})
        next(chunks)
    assert bodies(opened(server, "long/1")) == (None, None)


def test_a_key_can_opt_out(hostler, folder, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# name: alice\n# capture: off\nk1\n# capture: off\n# name: bob\nk2\n# name: carol\nk3\n"
                    "# capture: off\n\nk4\n# capture: off\n# other\nk5\n# capture: offline\nk6\n", encoding="utf-8")
    server = hostler("--models-dir", folder, "--api-key-file", keys, engine=FAKE_ENGINE)
    key = {"Authorization": "Bearer k3"}
    assert server.post(PATH, {"for": 600}, headers=key).status == 200
    for i in range(1, 7):
        ask(server, f"k{i}/1", chat("a"), Authorization=f"Bearer k{i}")
    kept = {i: opened(server, f"k{i}/1", **key) for i in range(1, 7)}
    assert [i for i, r in kept.items() if r["request_body"]] == [3, 4, 5, 6]
    assert [kept[i]["key"] for i in (1, 2, 3)] == ["alice", "bob", "carol"]
    is_json_error(server.post(PATH, {"for": 0}), 401)
    is_json_error(server.get(PATH), 401)


@pytest.mark.parametrize("args, env", [(["--no-capture"], {}), ([], {"HOSTLER_NO_CAPTURE": "1"})])
def test_it_can_be_forbidden(hostler, folder, args, env):
    server = hostler("--models-dir", folder, *args, engine=FAKE_ENGINE, env=env)
    assert "--no-capture" in is_json_error(server.post(PATH, {"for": 60}), 403)
    assert server.get(PATH).json["allowed"] is False
    assert server.post(PATH, {"for": 0}).status == 200


@pytest.mark.parametrize("body, status", [
    ({}, 400), ({"for": -1}, 400), ({"for": "x"}, 400), ({"for": "25h"}, 400), ({"for": True}, 400), ({"for": 1e300}, 400),
    ({"for": 60, "model": "no-such"}, 404), ({"for": 60, "model": 1}, 400), ({"for": 60, "modell": "a"}, 400), ([], 400)])
def test_bad_orders(server, body, status):
    is_json_error(server.post(PATH, body), status)
    assert server.get(PATH).json["until"] is None


def test_pages_are_told(server):
    page = Live(server)
    until(lambda: page.ready, what="ready")
    assert page.server["capture"] == {"allowed": True, "until": None, "model": None}
    state = capture(server, **{"for": 600, "model": "a"})
    until(lambda: page.server["capture"] == state, what="that it is on")
    capture(server, **{"for": 0})
    until(lambda: page.server["capture"]["until"] is None, what="that it is off")
