# SPDX-License-Identifier: MIT
"""A model that can speak: REAL_MODEL names its file (scripts/model fetches one)."""
import json
import os
import pathlib

import pytest
from conftest import until
from wire import open_stream, read_events

REAL = pathlib.Path(os.environ.get("REAL_MODEL", ""))
pytestmark = pytest.mark.skipif(
    not REAL.is_file() or REAL.stat().st_size < 50 << 20,
    reason="REAL_MODEL does not name a real model's file (scripts/model fetches one)")

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]


@pytest.fixture
def server(hostler, models, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "real.gguf").symlink_to(REAL.resolve())
    (folder / "tiny.gguf").symlink_to(models / "m1.gguf")
    return hostler("--models-dir", folder, "--models-max", "1", "-c", "2048")


def ask(server, **more):
    return server.post("/v1/chat/completions", {"model": "real", "messages": QUESTION,
                                                "temperature": 0, "max_tokens": 20, **more})


def test_a_real_model_from_load_to_unload(server):
    assert server.post("/models/load", {"model": "real"}).json == {"success": True}
    until(lambda: server.state("real") == "loaded")
    answer = ask(server)
    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"].strip()
    assert answer.json["usage"]["completion_tokens"] > 0

    connection, response = open_stream(server, "real", messages=QUESTION, max_tokens=20,
                                       temperature=0)
    events = [text for _, text in read_events(response)]
    connection.close()
    assert events.pop() == "[DONE]"
    deltas = [json.loads(e)["choices"][0]["delta"] for e in events if json.loads(e)["choices"]]
    text = "".join(d.get("content") or "" for d in deltas)
    assert text == answer.json["choices"][0]["message"]["content"]

    assert server.tokenize("tiny").status == 200
    assert server.loaded() == ["tiny"]
    server.until_gone("real", "evicted")

    assert "x-hostler-loaded" in ask(server, max_tokens=1).headers
    report = server.post("/models/unload-all").json
    assert [(r["model"], r["result"]) for r in report["results"]] == [("real", "unloaded")]
    assert report["freed"]["host"] > 50 << 20
    assert server.loaded() == []


def test_a_load_that_is_seen_and_interrupted(server):
    server.post("/models/load", {"model": "real"})
    assert server.post("/models/unload-all").status == 200
    assert server.state("real") == "unloaded"
    assert ask(server, max_tokens=1).status == 200
