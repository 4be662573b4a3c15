# SPDX-License-Identifier: MIT
"""What an SDK sees through hostler is what it sees from the engine: byte for byte, frame by frame."""
import http.client
import json
import re

import pytest
from conftest import Server, clean_env, until
from wire import chat

VARYING = re.compile(rb'"(?:id|created|timings|[a-z_]+_ms|[a-z_]+_per_second)":(?:\{[^}]*\}|"[^"]*"|[^,}]*)')


@pytest.fixture(scope="module")
def direct(engine, models, tmp_path_factory):
    """The engine by hand, with the same model."""
    folder = tmp_path_factory.mktemp("direct")
    server = Server([engine, "--model", models / "m1.gguf", "--alias", "m1", "--props",
                     "--host", folder / "e.sock"], clean_env(), folder / "log")
    server.socket = folder / "e.sock"

    def ready():
        try:
            return server.get("/health").status == 200
        except (OSError, http.client.HTTPException):
            assert server.process.poll() is None, server.log()
            return False

    try:
        until(ready)
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def through(module_hostler, models):
    return module_hostler("--models-dir", models, "--props")


def ask(server, path, body):
    connection = server.connect()
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    frames = response.read()
    connection.close()
    return response.status, response.getheader("content-type"), VARYING.sub(b"", frames)


FIXED = {"seed": 7, "temperature": 0, "max_tokens": 24, "cache_prompt": False}


@pytest.mark.parametrize("path, body", [
    ("/v1/chat/completions", chat("m1", stream=True, **FIXED)),
    ("/v1/chat/completions", chat("m1", stream=True, stream_options={"include_usage": True}, **FIXED)),
    ("/v1/chat/completions", chat("m1", stream=False, **FIXED)),
    ("/v1/chat/completions", chat("m1", stream=True, logprobs=True, top_logprobs=2, **FIXED)),
    ("/v1/completions", {"model": "m1", "prompt": "Hello ü \u2603", "stream": True, **FIXED}),
    ("/completion", {"model": "m1", "prompt": "Hello", "stream": True, "n_predict": 8, "seed": 7,
                     "temperature": 0, "cache_prompt": False}),
    ("/v1/messages", {"model": "m1", "max_tokens": 8, "stream": True, "temperature": 0,
                      "messages": [{"role": "user", "content": "hi"}]}),
    ("/v1/chat/completions", {"model": "m1"}),  # the engine's own errors, too
    ("/v1/chat/completions", {"model": "m1", "messages": "no list"}),
    ("/tokenize", {"model": "m1", "content": "Hello ü"}),
    ("/v1/embeddings", {"model": "m1", "input": "hi"}),
])
def test_the_same_bytes(direct, through, path, body):
    expected = ask(direct, path, body)
    assert ask(through, path, body) == expected
    assert expected[2]
