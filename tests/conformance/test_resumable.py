# SPDX-License-Identifier: MIT
"""Streams that a client may leave and come back to: X-Conversation-Id, /v1/stream, /v1/streams/lookup."""
import os
import urllib.parse

import pytest

from conformance.suite import answer, error
from conformance.test_streaming import CHAT, busy
from integration.wire import request_bytes

ODD_IDS = ["conv-1", "chat::m1", "chat::m1::x", "größe", "a b", "a/b?c&d", "::", "x" * 200]


def begin(server, conversation, model="m1", tokens=5, **more):
    return server.post("/v1/chat/completions", {"model": model, "stream": True, "max_tokens": tokens, **CHAT, **more},
                       headers={"X-Conversation-Id": conversation})


def stream(server, conversation, more=""):
    return server.get(f"/v1/stream?conv_id={urllib.parse.quote(conversation, safe='')}{more}")


def lookup(server, *conversations):
    return server.post("/v1/streams/lookup", {"conversation_ids": list(conversations)})


@pytest.mark.parametrize("conversation", ODD_IDS, ids=range(len(ODD_IDS)))
def test_a_stream_again(router, see, conversation):
    router.be_loaded("m1")
    conversation = conversation.encode().decode("latin-1")
    first = begin(router, conversation)
    see("first", first.status, 200)
    again = router.get("/v1/stream?conv_id=" + urllib.parse.quote(conversation.encode("latin-1"), safe=""))
    see("again", {"status": again.status, "same": again.body == first.body}, {"status": 200, "same": True})


@pytest.mark.parametrize("start_at", ["0", "10", "100", "1000000", "-1", "x", ""])
def test_from(router, see, start_at):
    router.be_loaded("m1")
    first = begin(router, "from")
    again = stream(router, "from", f"&from={start_at}")
    position = int(start_at) if start_at.isdigit() else 0
    see("status", again.status, 400 if start_at == "x" else 200)
    see("the rest", again.body == first.body[position:], start_at not in ("x", "-1"))


def test_headers_of_a_stream_again(router, see):
    router.be_loaded("m1")
    begin(router, "headers")
    again = stream(router, "headers")
    see("headers", {n: again.headers.get(n) for n in ("content-type", "cache-control", "x-accel-buffering")},
        {"content-type": "text/event-stream"})


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/stream?conv_id=", "/v1/stream?x=1"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_no_conversation(router, see, method, path):
    see("answer", router.request(method, path), error(400, kind="invalid_request_error"))


def test_an_unknown_conversation(router, see):
    see("stream", stream(router, "nobody"), error(404, kind="not_found_error"))
    see("lookup", lookup(router, "nobody"), answer(200, []))
    got = router.request("DELETE", "/v1/stream?conv_id=nobody")
    see("delete", {"status": got.status, "body": got.body}, {"status": 204, "body": ""})


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"conversation_ids":"x"}', '{"conversation_ids":[1,null,""]}',
                                  '{"conversation_ids":[]}', "nonsense"], ids=repr)
def test_bad_lookups(router, see, body):
    see("lookup", router.post("/v1/streams/lookup", body), answer(200, []))


def test_lookup(router, see):
    router.be_loaded("m1")
    begin(router, "known")
    see("lookup", lookup(router, "nobody", "known"), answer(200, [{"conversation_id": "known"}]))


def test_lookup_over_models(router, see):
    router.be_loaded("m1", "m2")
    begin(router, "one", "m1")
    begin(router, "two", "m2")
    found = lookup(router, "one", "two", "three").json
    see("found", sorted(e["conversation_id"] for e in found), ["one", "two"])
    see("members", sorted(found[0]),
        ["completed_at", "conversation_id", "is_done", "started_at", "total_bytes"])


def test_delete(router, see):
    router.be_loaded("m1")
    begin(router, "gone")
    got = router.request("DELETE", "/v1/stream?conv_id=gone")
    see("delete", {"status": got.status, "body": got.body}, {"status": 204, "body": ""})
    see("stream", stream(router, "gone").status, 404)
    see("lookup", lookup(router, "gone"), answer(200, []))


def test_a_conversation_goes_on(router, see):
    """The latest stream of a conversation is what comes back."""
    router.be_loaded("m1", "m2")
    begin(router, "goes on", "m1")
    second = begin(router, "goes on", "m2", 7)
    see("same", stream(router, "goes on").body == second.body, True)


def test_without_a_header(router, see):
    router.be_loaded("m1")
    see("status", router.post("/v1/chat/completions", {"model": "m1", "stream": True, "max_tokens": 2, **CHAT}).status, 200)
    see("lookup", lookup(router, "", "m1"), answer(200, []))


def test_an_answer_that_is_no_stream(router, see):
    router.be_loaded("m1")
    got = router.post("/v1/chat/completions", {"model": "m1", "max_tokens": 2, **CHAT},
                      headers={"X-Conversation-Id": "no-stream"})
    see("status", got.status, 200)
    see("stream", stream(router, "no-stream").status, 404)


def test_after_an_unload(start, models, see):
    server = start("--models-dir", models).be_loaded("m1")
    begin(server, "kept")
    server.be_unloaded("m1")
    see("stream", stream(server, "kept").status, 404)
    see("lookup", lookup(server, "kept"), answer(200, []))
    server.be_loaded("m1")
    see("stream of another engine", stream(server, "kept").status, 404)


@pytest.fixture
def slow_args(slow_model):
    return "--models-dir", os.path.dirname(slow_model), "-c", "32768", "-np", "1", "--slots"


def long_stream(server, conversation, tokens=3000):
    """A stream of which the first bytes have come; its client leaves."""
    wire = server.wire()
    wire.send(request_bytes("POST", "/v1/chat/completions", {
        "model": "slow", "stream": True, "max_tokens": tokens, "ignore_eos": True, **CHAT},
        X_Conversation_Id=conversation))
    assert wire.head().status == 200
    wire.line()
    wire.close()


def test_a_client_that_leaves(start, slow_args, see):
    """The generation goes on without it, and comes whole."""
    server = start(*slow_args).be_loaded("slow")
    long_stream(server, "left", 200)
    again = stream(server, "left")
    see("again", {"status": again.status, "end": again.body.endswith(b"data: [DONE]\n\n")},
        {"status": 200, "end": True})
    see("chunks", again.body.count(b"data: {"), 202)


def test_a_stop(start, slow_args, see):
    server = start(*slow_args).be_loaded("slow")
    long_stream(server, "stopped", 30000)
    see("busy", busy(server, "slow"), True)
    see("lookup", [e["conversation_id"] for e in lookup(server, "stopped").json], ["stopped"])
    see("delete", server.request("DELETE", "/v1/stream?conv_id=stopped").status, 204)
    server.until(lambda: not busy(server, "slow"), "the slot coming free")
    see("stream", stream(server, "stopped").status, 404)


def test_while_the_model_loads(start, slow_args, see):
    server = start(*slow_args)
    asked = server.later(begin, server, "early", "slow")
    statuses = set()
    while not asked.done():
        statuses.add(stream(server, "early").status)
    see("first", asked.result(60).status, 200)
    see("others", statuses <= {404, 503, 200}, True)
    see("then", stream(server, "early").status, 200)


def stop_while_it_loads(server, conversation):
    """What became of the stop, the stream and the request."""
    asked = server.later(begin, server, conversation, "slow", 200)
    server.until(lambda: server.status("slow") != "unloaded")
    stopped = server.request("DELETE", f"/v1/stream?conv_id={conversation}").status
    return stopped, stream(server, conversation).status, asked.result(60).status


@pytest.mark.parametrize("suffix", ["", "::slow"])
def test_a_stop_while_the_model_loads(start, slow_args, see, suffix):
    server = start(*slow_args)
    for i in range(5):  # the load may be over before the stop comes
        found = stop_while_it_loads(server, f"cancelled{i}{suffix}")
        if found[2] != 200:
            break
        server.unload("slow")
        server.until(lambda: server.status("slow") == "unloaded")
    see("stop, stream, answer", found, [204, 404, 400])


def test_a_key_is_needed(guarded, see):
    see("statuses", [guarded.get("/v1/stream?conv_id=x").status, guarded.post("/v1/streams/lookup", {}).status,
                     guarded.request("DELETE", "/v1/stream?conv_id=x").status], [401, 401, 401])
