# SPDX-License-Identifier: MIT
"""An engine that hangs is told from one that is busy."""
import contextlib
import json
import os
import pathlib
import signal

import pytest
import tiny_model
from background import background
from conftest import PATIENCE, until
from wire import open_stream, read_events

ASK = {"model": "a", "prompt": "hi", "n_predict": 4, "ignore_eos": True}


@pytest.fixture
def server(hostler, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    tiny_model.make(str(folder / "a.gguf"), pad_mb=32)  # some milliseconds a token
    return hostler("--models-dir", folder, "--health-timeout", "600ms", "-c", "8192")


def engine_pid(server):
    return server.get("/hostler/v1/status").json["engines"][0]["pid"]


def is_stopped(task):
    return (task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def stopped(server):
    """The engine, ready and then made to hang; SIGKILL, which must come, ends it all the same."""
    assert server.post("/completion", ASK).status == 200
    pid = engine_pid(server)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: all(is_stopped(t) for t in pathlib.Path(f"/proc/{pid}/task").iterdir()))
    return pid


def test_a_request_to_one_that_hangs_gets_another(server):
    hung = stopped(server)
    assert server.post("/completion", ASK).status == 200  # it was not read, so it is sent again
    assert engine_pid(server) != hung
    assert "it hangs" in server.log()


def test_a_stream_that_hangs_ends_with_an_error(server):
    _connection, response = open_stream(server, "a", max_tokens=4000)
    read_events(response, 2)
    os.kill(engine_pid(server), signal.SIGSTOP)
    last = [text for _, text in read_events(response)][-1]
    assert "stopped answering" in json.loads(last)["error"]["message"]
    assert server.post("/completion", ASK).status == 200


def test_one_that_is_busy_is_left_alone(server):
    assert server.post("/completion", ASK).status == 200
    pid, tokens, took = engine_pid(server), 200, 0
    while took < 1200:  # twice the limit
        tokens *= 2
        assert server.post("/completion", {**ASK, "n_predict": tokens}).status == 200
        took = server.get("/hostler/v1/requests?limit=1").json["requests"][0]["elapsed_ms"]
    assert engine_pid(server) == pid and "hangs" not in server.log()


def test_an_idle_one_is_not_asked(server):
    stopped(server)
    until(lambda: server.get("/hostler/v1/status").json["engines"][0]["idle_ms"] > 1500)
    assert "hangs" not in server.log()


def test_others_that_come_do_not_hide_it(server):
    hung = stopped(server)
    asked = background(lambda: server.post("/completion", ASK))
    polls = 0
    while "it hangs" not in server.log():
        polls += 1
        assert polls < 200, "it was never noticed"
        with contextlib.suppress(TimeoutError, OSError):
            server.get("/slots?model=a", timeout=0.1)
    assert asked.result(PATIENCE).status in (200, 502)  # sent again, if nobody read it
    assert engine_pid(server) != hung


def test_one_whose_file_went_is_watched_too(server, tmp_path):
    _connection, response = open_stream(server, "a", max_tokens=4000)
    read_events(response, 2)
    (tmp_path / "models" / "a.gguf").unlink()
    until(lambda: not server.get("/models").json["data"])
    os.kill(engine_pid(server), signal.SIGSTOP)  # it is told of while it finishes
    last = [text for _, text in read_events(response)][-1]
    assert "stopped answering" in json.loads(last)["error"]["message"]
