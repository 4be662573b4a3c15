# SPDX-License-Identifier: MIT
"""Streams: what SDKs read from them, and clients that leave them."""
import json
import os

import pytest

from conformance.suite import answer, error
from integration.wire import request_bytes

CHAT = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, "seed": 1,
        "cache_prompt": False}
TALES = {
    "/v1/chat/completions": {**CHAT, "max_tokens": 5}, "/chat/completions": {**CHAT, "max_tokens": 5},
    "/v1/completions": {"prompt": "hello", "max_tokens": 5, "temperature": 0, "cache_prompt": False},
    "/completion": {"prompt": "hello", "n_predict": 5, "temperature": 0, "cache_prompt": False},
    "/v1/messages": {**CHAT, "max_tokens": 5},
    "/v1/responses": {"input": "hi", "max_output_tokens": 5, "temperature": 0, "cache_prompt": False},
}


def lines(got):
    return [line for line in got.body.decode().split("\n") if line]


def shape(value):
    """The members of a chunk, and what kind of thing each is."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in sorted(value.items())}
    if isinstance(value, list):
        return [shape(v) for v in value[:1]]
    return type(value).__name__


@pytest.mark.parametrize("path", TALES)
def test_a_stream(router, see, path):
    router.be_loaded("m1")
    got = router.post(path, {"model": "m1", "stream": True, **TALES[path]})
    see("type", got.headers["content-type"], "text/event-stream")
    see("frames", got, {"status": 200, "body": list})


@pytest.mark.parametrize("path", TALES)
def test_the_same_without_a_stream(router, see, path):
    router.be_loaded("m1")
    see("answer", router.post(path, {"model": "m1", "stream": False, **TALES[path]}), answer(200))


def test_what_a_chat_chunk_has(router, see):
    router.be_loaded("m1")
    got = router.post("/v1/chat/completions", {"model": "m1", "stream": True, "max_tokens": 3, **CHAT})
    chunks = [json.loads(x[6:]) for x in lines(got) if x.startswith("data: {")]
    see("first", shape(chunks[0]), {"id": "str", "object": "str", "model": "str", "created": "int",
                                    "choices": [{"index": "int", "delta": {"role": "str"}}]})
    see("second", shape(chunks[1]), {"choices": [{"delta": {"content": "str"}}]})
    see("last", chunks[-1]["choices"][0]["finish_reason"], "length")
    see("end", lines(got)[-1], "data: [DONE]")


def test_usage_in_a_stream(router, see):
    router.be_loaded("m1")
    got = router.post("/v1/chat/completions", {
        "model": "m1", "stream": True, "max_tokens": 3, "stream_options": {"include_usage": True}, **CHAT})
    last = [json.loads(x[6:]) for x in lines(got) if x.startswith("data: {")][-1]
    see("last", {"choices": last["choices"], "usage": last["usage"]},
        {"choices": [], "usage": {"completion_tokens": 3}})


def test_every_byte_of_the_framing(router, see):
    """Frames end in a blank line; there are no others, and no comments while it goes on."""
    router.be_loaded("m1")
    got = router.post("/v1/chat/completions", {"model": "m1", "stream": True, "max_tokens": 3, **CHAT})
    frames = got.body.decode().split("\n\n")
    see("starts", [f[:6] for f in frames], ["data: "] * (len(frames) - 1) + [""])


@pytest.mark.parametrize("more", [{"logprobs": True, "top_logprobs": 2}, {"n_probs": 2}, {"timings_per_token": True},
                                  {"return_progress": True}, {"n": 2}, {"stop": ["a"]}], ids=lambda v: list(v)[0])
def test_more_in_a_stream(router, see, more):
    router.be_loaded("m1")
    got = router.post("/v1/chat/completions", {"model": "m1", "stream": True, "max_tokens": 4, **CHAT, **more})
    see("frames", got, {"status": 200, "type": "text/event-stream"})


def test_an_error_instead_of_a_stream(router, see):
    router.be_loaded("m1")
    got = router.post("/v1/chat/completions", {"model": "m1", "stream": True, "messages": "none"})
    see("answer", got, error(400))


def test_headers_of_a_stream(router, see):
    router.be_loaded("m1")
    got = router.post("/v1/chat/completions", {"model": "m1", "stream": True, "max_tokens": 2, **CHAT},
                      headers={"Origin": "http://web.test"})
    names = ("content-type", "access-control-allow-origin", "cache-control", "x-accel-buffering",
             "transfer-encoding")
    see("headers", {n: got.headers.get(n) for n in names}, {"transfer-encoding": "chunked"})


def test_a_stream_for_an_unloaded_model(start, models, see):
    server = start("--models-dir", models)
    got = server.post("/v1/chat/completions", {"model": "m1", "stream": True, "max_tokens": 2, **CHAT})
    see("type", got.headers["content-type"], "text/event-stream")
    see("frames", len(lines(got)), 5)


def busy(server, model):
    return any(slot["is_processing"] for slot in server.get(f"/slots?model={model}").json)


def start_long(server, model, conversation=None, **more):
    """A stream that goes on for long, of which the first bytes have come."""
    wire = server.wire()
    wire.send(request_bytes("POST", "/v1/chat/completions", {
        "model": model, "stream": True, "max_tokens": 20000, "ignore_eos": True, **CHAT, **more},
                            X_Conversation_Id=conversation))
    head = wire.head()
    assert head.status == 200
    wire.rest = wire.chunks()
    next(wire.rest)
    return wire


@pytest.fixture
def slow_args(slow_model):
    return "--models-dir", os.path.dirname(slow_model), "-c", "32768", "-np", "1", "--slots"


def test_a_client_that_leaves_a_stream(start, slow_args, see):
    """What it asked for is not generated further."""
    server = start(*slow_args)
    wire = start_long(server, "slow")
    see("busy", busy(server, "slow"), True)
    wire.close()
    server.until(lambda: not busy(server, "slow"), "the slot coming free")
    see("tokenize", server.tokenize("slow").status, 200)


def test_a_client_that_leaves_while_its_model_loads(start, slow_args, see):
    server = start(*slow_args)
    wire = server.wire().ask("POST", "/v1/chat/completions", {"model": "slow", "max_tokens": 20000, **CHAT})
    server.until(lambda: server.status("slow") != "unloaded")
    wire.close()
    server.until_status("slow", "loaded")
    server.until(lambda: not busy(server, "slow"), "the slot coming free")
    see("status", server.status("slow"), "loaded")


def test_two_streams_side_by_side(router, see):
    router.be_loaded("m1", "m2")
    both = [router.later(router.post, "/v1/chat/completions",
                         {"model": m, "stream": True, "max_tokens": 50, **CHAT}) for m in ("m1", "m2")]
    see("ends", [lines(b.result(60))[-1] for b in both], ["data: [DONE]"] * 2)


def test_a_load_beside_a_stream(start, slow_args, slow_model, see):
    """The list and other loads do not wait for it."""
    server = start(*slow_args)
    wire = start_long(server, "slow")
    see("list", server.status("slow"), "loaded")
    see("load again", server.load("slow").status, 400)
    wire.close()


def test_control_of_a_stream(router, see):
    router.be_loaded("m1")
    see("answer", router.post("/v1/chat/completions/control",
                              {"model": "m1", "id": "nothing", "action": "stop"}),
        error(400, kind="invalid_request_error"))
