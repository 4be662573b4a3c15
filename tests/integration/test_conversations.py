# SPDX-License-Identifier: MIT
"""Resumable streams: requests with X-Conversation-Id go on without their client."""
import json
import os
import pathlib
import signal

import pytest

import tiny_model
from background import background
from conftest import PATIENCE, UnixConnection, until
from pace import Frozen, Gate
from wire import Wire, chat, engine_socket, is_json_error

CHAT = "/v1/chat/completions"
TOKENS = 600  # some 0.3 s


def options(folder):
    """One thread each: where several tests share the processors, more only wait for each other."""
    return ["--models-dir", folder, "--threads", "1", "--unread-grace", "1h"]


def hasty(folder):
    """Who has no client is soon given up; so is an engine that stands still."""
    return [*options(folder), "--models-max", "1", "--unread-grace", "200ms", "--stop-timeout", "200ms"]


@pytest.fixture(scope="module")
def talkers(tmp_path_factory):
    """Two models, a and b, slow enough for a test to act before their answer is complete."""
    folder = tmp_path_factory.mktemp("talkers")
    for seed, name in enumerate("ab"):
        tiny_model.make(str(folder / f"{name}.gguf"), seed=seed, pad_mb=16)
    return folder


@pytest.fixture(scope="module")
def server(module_hostler, talkers):
    return module_hostler(*options(talkers))


@pytest.fixture
def gate(tmp_path, engine):
    return Gate(tmp_path, engine)


def say(server, model, conversation, tokens=TOKENS):
    """Asks for a stream: the connection, of which nothing is read yet."""
    return Wire(server).ask("POST", CHAT, chat(model, stream=True, max_tokens=tokens),
                            X_Conversation_Id=conversation)


def begun(server, model, conversation, **kw):
    """The same, and its first chunk has come."""
    wire = say(server, model, conversation, **kw)
    assert wire.head().status == 200
    wire.rest = wire.chunks()
    wire.first = next(wire.rest)
    return wire


def sockets(server):
    links = pathlib.Path(f"/proc/{server.pid}/fd").iterdir()
    return sum(os.readlink(link).startswith("socket:") for link in links if link.is_symlink())


def leave(server, wire):
    """It goes, and the server has noticed."""
    before = sockets(server)
    wire.close()
    until(lambda: sockets(server) < before, what="the server's notice that the client left")


def again(server, conversation, start=0):
    return server.get(f"/v1/stream?conv_id={conversation}&from={start}")


def stop(server, conversation):
    return server.request("DELETE", f"/v1/stream?conv_id={conversation}").status


def lookup(server, *conversations):
    answer = server.post("/v1/streams/lookup", {"conversation_ids": conversations})
    assert answer.status == 200
    assert all(isinstance(e["is_done"], bool) for e in answer.json)
    return {e["conversation_id"] for e in answer.json}


def requests(server, model):
    return server.engines().get(model, {}).get("requests")


def idle(server, model):
    until(lambda: requests(server, model) == 0, what=f"{model}: no request")


def is_whole(body):
    return body.startswith(b"data: ") and body.endswith(b"data: [DONE]\n\n")


# --- without the client ----------------------------------------------------------------------------

def test_the_answer_is_made_and_can_be_read_again(server):
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c1")
    with frozen:
        leave(server, wire)
        assert requests(server, "a") == 1
    whole = again(server, "c1").body  # what is there, and what still comes
    assert is_whole(whole) and whole.count(b"data: ") > TOKENS and whole.startswith(wire.first)
    middle = len(whole) // 2
    assert again(server, "c1", middle).body == whole[middle:]
    assert again(server, "c1", len(whole)).body == b""
    idle(server, "a")
    assert lookup(server, "c1") == {"c1"}
    ids = {"conversation_ids": ["c1"]}
    until(lambda: server.post("/v1/streams/lookup", ids).json[0]["is_done"], what="its end")
    assert server.post("/v1/streams/lookup", ids).json[0]["total_bytes"] == len(whole)


def test_a_client_that_stays_reads_the_same(server):
    answer = server.post(CHAT, chat("a", stream=True, max_tokens=20),
                         headers={"X-Conversation-Id": "c2"})
    assert is_whole(answer.body) and again(server, "c2").body == answer.body


def test_without_an_id_the_engine_stops(server):
    wire = begun(server, "a", None, tokens=1900)
    leave(server, wire)
    idle(server, "a")
    assert server.post("/v1/streams/lookup", {"conversation_ids": ["None", ""]}).json == []


def test_several_readers(server):
    leave(server, begun(server, "a", "c3"))
    readers = [background(again, server, "c3") for _ in range(5)]
    bodies = {r.result(PATIENCE).body for r in readers}
    assert len(bodies) == 1 and is_whole(bodies.pop())


def test_a_reader_that_leaves_does_not_end_it(server):
    leave(server, begun(server, "a", "c4"))
    with Wire(server).ask("GET", "/v1/stream?conv_id=c4&from=0") as reader:
        assert reader.head().status == 200
        next(reader.chunks())
    assert is_whole(again(server, "c4").body)


def test_the_model_is_not_evicted_meanwhile(hostler, talkers):
    server = hostler(*options(talkers), "--models-max", "1")
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c")
    with frozen:
        leave(server, wire)
        other = background(server.tokenize, "b")
        until(lambda: "b" in server.queue(), what="b in the queue")
        assert requests(server, "a") == 1
        reader = Wire(server).ask("GET", "/v1/stream?conv_id=c&from=0")
    assert reader.head().status == 200
    assert is_whole(b"".join(reader.chunks()))
    assert other.result(PATIENCE).status == 200
    server.until_gone("a", "evicted")
    assert is_json_error(again(server, "c"), 404) == "Stream not found or expired"


def test_its_engine_dies(hostler, talkers):
    server = hostler(*options(talkers))
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c")
    with frozen:
        leave(server, wire)
        os.kill(server.engines()["a"]["pid"], signal.SIGKILL)
    until(lambda: not server.engines(), what="the engine's end")
    assert server.models()["a"]["status"]["reason"] == "crashed"
    is_json_error(again(server, "c"), 404)
    assert server.tokenize("a").status == 200
    assert requests(server, "a") == 0


# --- for how long it keeps its engine --------------------------------------------------------------

def unread(server, model="a"):
    return [r["unread"] for r in server.get(f"/hostler/v1/requests?model={model}").json["requests"]]


def test_it_keeps_its_engine_for_a_grace_only(hostler, talkers):
    server = hostler(*hasty(talkers), "--max-wait", "1h")
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c")
    assert unread(server)[0] is False
    with frozen:
        leave(server, wire)
        assert unread(server)[0] is True
        assert server.tokenize("b").status == 200
        server.until_gone("a", "evicted")
    record = server.get("/hostler/v1/requests?model=a").json["requests"][0]
    assert record["state"] == "done" and record["error"] == "evicted" and record["unread"] is True


def test_a_reader_that_is_there_already_counts(hostler, talkers):
    def records():
        found = server.get("/hostler/v1/requests?model=a").json["requests"]
        return {r["request"]: r["unread"] for r in found}

    server = hostler(*options(talkers))
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c")
    with frozen, Wire(server).ask("GET", "/v1/stream?conv_id=c&from=0"):
        until(lambda: "GET /v1/stream" in records(), what="the reader's request")
        leave(server, wire)
        assert records()[f"POST {CHAT}"] is False
    until(lambda: records()[f"POST {CHAT}"], what="the request's mark when its last reader has left")


@pytest.mark.parametrize("order", [{"model": "a"}, {"models": ["a"]}], ids=["one", "several"])
def test_an_unload_waits_for_a_grace_only(hostler, talkers, order):
    server = hostler(*hasty(talkers), "--drain-timeout", "1h")
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c")
    with frozen:
        leave(server, wire)
        assert server.post("/models/unload", order).status == 200
    assert not server.engines()


def test_a_page_is_closed_with_an_unload(hostler, talkers):
    """With the grace and the patience that there are unless given."""
    server = hostler("--models-dir", talkers, "--threads", "1", "--stop-timeout", "200ms")
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c")
    with frozen:
        answer = background(server.post, "/models/unload", {"model": "a"})
        until(lambda: server.engines()["a"]["state"] == "draining", what="the unload's beginning")
        wire.close()
        assert answer.result(PATIENCE).json == {"success": True}
    assert not server.engines()


def test_who_reads_it_again_keeps_it(hostler, talkers):
    server = hostler(*hasty(talkers), "--max-wait", "1h")
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c", tokens=1900)
    with frozen:
        leave(server, wire)
        reader = Wire(server).ask("GET", "/v1/stream?conv_id=c&from=0")
        until(lambda: unread(server) and not any(unread(server)), what="the reader")
        other = background(server.tokenize, "b")
        until(lambda: "b" in server.queue(), what="b in the queue")
        reader.close()
        until(lambda: any(unread(server)), what="the reader's end")
        assert other.result(PATIENCE).status == 200


def test_without_others_it_goes_on(hostler, talkers):
    server = hostler(*hasty(talkers), "--ttl", "1ms")
    assert server.post("/models/pin", {"model": "b"}).status == 200
    wire = begun(server, "b", "c")
    leave(server, wire)
    assert is_whole(again(server, "c").body)


# --- while its model loads -------------------------------------------------------------------------

def loading(hostler, talkers, gate, conversation="c"):
    """A daemon, and a request that waits for the load of a."""
    server = hostler(*options(talkers), engine=gate)
    gate.shut()
    wire = say(server, "a", conversation, tokens=20)
    until(lambda: server.queue().get("a", {}).get("waiting") == 1, what="the request's waiting")
    return server, wire


def test_the_client_leaves_while_its_model_loads(hostler, talkers, gate):
    server, wire = loading(hostler, talkers, gate)
    leave(server, wire)
    assert server.queue()["a"]["waiting"] == 1
    assert is_json_error(again(server, "c"), 503) == "Stream owner model is loading, retry later"
    gate.open()
    until(lambda: again(server, "c").status == 200, what="the stream")
    assert is_whole(again(server, "c").body)
    idle(server, "a")


def test_the_client_leaves_the_queue(hostler, talkers):
    server = hostler(*options(talkers), "--models-max", "1")
    frozen = Frozen(server, "a")
    first = begun(server, "a", "c1")
    with frozen:
        wire = say(server, "b", "c2", tokens=20)
        until(lambda: "b" in server.queue(), what="b in the queue")
        leave(server, wire)
        assert server.queue()["b"]["waiting"] == 1
        is_json_error(again(server, "c2"), 503)
    first.close()
    until(lambda: again(server, "c2").status == 200, what="the stream")
    assert is_whole(again(server, "c2").body)


@pytest.mark.parametrize("conversation", ["c", "c::a"])
def test_a_stop_while_it_loads(hostler, talkers, gate, conversation):
    server, wire = loading(hostler, talkers, gate, conversation)
    assert stop(server, conversation) == 204
    assert "cancelled" in is_json_error(wire.answer(), 400)
    assert server.queue() == {}
    is_json_error(again(server, conversation), 404)
    gate.open()
    until(lambda: server.state("a") == "loaded", what="the load")
    assert requests(server, "a") == 0
    is_json_error(again(server, conversation), 404)


def test_a_stop_when_the_client_has_left(hostler, talkers, gate):
    server, wire = loading(hostler, talkers, gate)
    leave(server, wire)
    assert stop(server, "c") == 204
    assert server.queue() == {}
    gate.open()
    until(lambda: server.state("a") == "loaded", what="the load")
    assert lookup(server, "c") == set()


def test_a_second_request_takes_the_place_of_one_that_waits(hostler, talkers, gate):
    server, first = loading(hostler, talkers, gate)
    second = say(server, "a", "c", tokens=30)
    assert "cancelled" in is_json_error(first.answer(), 400)
    gate.open()
    head = second.answer()
    assert head.status == 200 and is_whole(head.body)
    assert again(server, "c").body == head.body
    idle(server, "a")


def test_the_load_fails(hostler, tmp_path):
    (tmp_path / "models").mkdir()
    path = tiny_model.make(str(tmp_path / "models" / "a.gguf"))
    os.truncate(path, os.stat(path).st_size // 2)
    server = hostler(*options(tmp_path / "models"))
    assert say(server, "a", "c").answer().status == 500
    is_json_error(again(server, "c"), 404)
    assert server.queue() == {}


def test_one_pipelined_request_stops_another_connections(hostler, talkers, gate):
    """The one that is stopped has no client any more, and came on the connection after this one."""
    server = hostler(*options(talkers), engine=gate)
    gate.shut()
    with Wire(server) as first:
        first.ask("GET", "/health").answer()
        wire = say(server, "a", "c")
        until(lambda: "a" in server.queue(), what="the request's waiting")
        leave(server, wire)
        first.send(b"GET /models?reload=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
                   b"DELETE /v1/stream?conv_id=c HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert [first.answer().status, first.head().status] == [200, 204]
    assert server.queue() == {}
    gate.open()


# --- stopping --------------------------------------------------------------------------------------

def test_a_stop_ends_the_generation(server):
    wire = begun(server, "a", "s1", tokens=1900)
    assert stop(server, "s1") == 204
    rest = b"".join(wire.rest)
    assert rest.count(b"data: ") < 1800
    idle(server, "a")
    is_json_error(again(server, "s1"), 404)
    assert lookup(server, "s1") == set()
    assert stop(server, "s1") == 204


def test_a_stop_by_a_client_that_does_not_wait(server):
    frozen = Frozen(server, "a")
    leave(server, begun(server, "a", "s2", tokens=1900))
    with frozen:
        with Wire(server) as wire:
            wire.ask("DELETE", "/v1/stream?conv_id=s2")
    until(lambda: lookup(server, "s2") == set(), what="the end of the stream")
    idle(server, "a")


def test_a_second_request_takes_the_place_of_one_that_generates(server):
    first = begun(server, "a", "s3", tokens=1900)
    second = say(server, "a", "s3", tokens=20).answer()
    assert is_whole(second.body)
    assert b"".join(first.rest).count(b"data: ") < 1800
    assert again(server, "s3").body == second.body
    idle(server, "a")


def test_a_second_request_to_another_model(server):
    leave(server, begun(server, "a", "s4"))
    second = say(server, "b", "s4", tokens=20).answer()
    assert again(server, "s4").body == second.body
    assert lookup(server, "s4") == {"s4"}


# --- ids -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("target, status", [
    ("/v1/stream?conv_id=unknown", 404), ("/v1/stream?conv_id=x::unknown", 404),
    ("/v1/stream?conv_id=::", 404), ("/v1/stream", 400), ("/v1/stream?conv_id=", 400)])
def test_ids_that_nobody_has(server, target, status):
    message = is_json_error(server.get(target), status)
    assert ("conv_id" in message) == (status == 400)
    assert server.request("DELETE", target).status == (400 if status == 400 else 204)


def test_long_ids_are_not_remembered(server):
    long = "x" * 1025
    assert is_whole(say(server, "a", long, tokens=5).answer().body)
    is_json_error(again(server, long), 404)


def test_ids_that_name_their_model(hostler, talkers, gate):
    """As after a restart: its engine has what the daemon does not know."""
    server = hostler(*options(talkers), engine=gate)
    is_json_error(again(server, "c::a"), 404)  # not loaded
    gate.shut()
    waiting = background(server.tokenize, "a")
    until(lambda: server.engines().get("a"), what="the load")
    is_json_error(again(server, "c::a"), 503)
    gate.open()
    assert waiting.result(PATIENCE).status == 200
    is_json_error(again(server, "c::a"), 404)
    engine = UnixConnection(engine_socket(server, "a"), PATIENCE)
    engine.request("POST", CHAT, json.dumps(chat("a", stream=True, max_tokens=20)),
                   {"X-Conversation-Id": "x::c::a"})
    text = engine.getresponse().read()
    engine.close()
    assert again(server, "x::c::a").body == text
    assert lookup(server, "x::c::a", "c::a", "x::c::b") == {"x::c::a"}
    assert stop(server, "x::c::a") == 204
    assert lookup(server, "x::c::a") == set()


# --- lookup ----------------------------------------------------------------------------------------

def test_lookup_over_two_engines(server):
    for model in "ab":
        say(server, model, f"l-{model}", tokens=5).answer()
    assert lookup(server, "l-a", "l-b", "l-c", "", "l-a") == {"l-a", "l-b"}
    assert lookup(server) == set()
    for wrong in ({}, {"conversation_ids": "l-a"}, {"conversation_ids": [1, None, {}]}):
        assert server.post("/v1/streams/lookup", wrong).json == []
    is_json_error(server.post("/v1/streams/lookup", "[]"), 400)


def test_lookup_while_one_generates(server):
    say(server, "b", "l1", tokens=5).answer()
    wire = begun(server, "a", "l2")
    assert lookup(server, "l1", "l2") == {"l1", "l2"}
    stop(server, "l2")
    wire.close()


def test_an_engine_that_does_not_answer_is_left_out(server):
    for model in "ab":
        say(server, model, f"o-{model}", tokens=5).answer()
    with Frozen(server, "a"):
        with Wire(server) as wire:  # who leaves in the middle does no harm
            wire.ask("POST", "/v1/streams/lookup", {"conversation_ids": ["o-a", "o-b"]})
        assert lookup(server, "o-a", "o-b") == {"o-b"}


# --- unloading and the end -------------------------------------------------------------------------

def test_unload_waits_for_it(hostler, talkers):
    server = hostler(*options(talkers))
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c")
    with frozen:
        leave(server, wire)
        report = background(server.post, "/models/unload", {"models": ["a"]})
        until(lambda: server.engines()["a"]["state"] == "draining", what="the drain")
        assert requests(server, "a") == 1
        assert is_json_error(again(server, "c"), 503) == "Stream owner model is about to be unloaded"
    result = report.result(PATIENCE).json["results"][0]
    assert result["result"] == "unloaded" and result["drained_ms"] > 0
    is_json_error(again(server, "c"), 404)


def test_unload_by_force_does_not(hostler, talkers):
    server = hostler(*options(talkers))
    with Frozen(server, "a"):
        wire = say(server, "a", "c")
        until(lambda: requests(server, "a") == 1, what="the request")
        leave(server, wire)
        report = background(server.post, "/models/unload-all", {"force": True})
        assert report.result(PATIENCE).json["results"][0]["result"] == "unloaded"
    assert server.engines() == {}


def test_shutdown_waits_for_it(hostler, talkers):
    server = hostler(*options(talkers))
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c")
    with frozen:
        leave(server, wire)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in server.log(), what="the end's beginning")
    assert server.stop() == 0
    assert "SIGKILL" not in server.log()


def test_shutdown_drops_what_waits(hostler, talkers, gate):
    server, wire = loading(hostler, talkers, gate)
    leave(server, wire)
    assert server.stop() == 0
    gate.open()


def test_shutdown_at_once(hostler, talkers):
    server = hostler(*options(talkers), "--drain-timeout", "0", "--stop-timeout", "1")
    frozen = Frozen(server, "a")
    wire = begun(server, "a", "c", tokens=1900)
    with frozen:
        leave(server, wire)
        assert server.stop() == 0
