# SPDX-License-Identifier: MIT
"""What the tests about unloading share."""
import json
import os

import pytest
from conftest import until
from wire import FAKE_ENGINE, fake_models

SLOW_STREAM = {"tokens": 60, "token_ms": 50}  # 3 s: long enough to do something meanwhile
ENDLESS = {"endless": True, "token_ms": 20}
DEAF = {"deaf": True}  # it stops when --stop-timeout is over


def alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


def pids(server):
    return {model: e["pid"] for model, e in server.engines().items()}


def load(server, *models):
    for model in models:
        answer = server.post("/tokenize", {"model": model, "content": "x"})
        assert answer.status == 200, answer.body
    return pids(server)


def unload_all(server, **wish):
    return server.post("/models/unload-all", wish)


def results(answer):
    return {r["model"]: r["result"] for r in answer.json["results"]}


def wait_for_state(server, model, state):
    until(lambda: server.engines().get(model, {}).get("state") == state, what=f"{model}: {state}")


def text_of(events):
    return [json.loads(text)["choices"][0]["delta"].get("content")
            for _, text in events if text != "[DONE]"]


def server_is_empty(server):
    status = server.get("/hostler/v1/status").json
    return status["engines"] == [] and status["queue"] == []


@pytest.fixture
def real(hostler, models):
    return hostler("--models-dir", models)


@pytest.fixture
def fake(hostler, tmp_path):
    """fake(*args, a={…}, b={…}): a daemon with these models of the fake engine."""

    def start(*args, env=None, **misbehaviour):
        folder = fake_models(tmp_path / "fakes", **misbehaviour)
        return hostler("--models-dir", folder, *args, engine=FAKE_ENGINE, env=env)

    return start
