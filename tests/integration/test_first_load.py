# SPDX-License-Identifier: MIT
"""Classic mode: a server whose only model cannot be loaded at the start ends, as llama-server does. Later on it stays."""
import os
import signal

from background import background
from conftest import PATIENCE, until
from wire import FAKE_ENGINE, fake_models


def test_the_reason_is_told_and_the_status_is_1(hostler, tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_text("GGUF, but no more", encoding="utf-8")
    server = hostler("--model", path, wait=False)
    assert server.process.wait(PATIENCE) == 1
    assert "the only model could not be loaded: the engine of model 'bad' exited with code 1 while loading" in server.log()


def test_an_engine_that_cannot_be_executed(hostler, models, tmp_path, engine):
    """Its --help works, and its start does not: it is no program any more."""
    program = tmp_path / "engine"
    program.write_text(f"#!/bin/sh\n[ $# = 1 ] && exec {engine} \"$@\"\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    server = hostler("--model", models / "m1.gguf", engine=program, wait=False)
    assert server.process.wait(PATIENCE) == 1
    assert "exited with code 3 while loading" in server.log()


def test_a_load_that_takes_too_long(hostler, tmp_path):
    server = hostler("--model", fake_models(tmp_path, slow={"never_ready": True}) / "slow.gguf", "--load-timeout", "1s",
                     engine=FAKE_ENGINE, wait=False)
    assert server.process.wait(PATIENCE) == 1
    assert "not ready in time" in server.log()


def test_who_waits_is_answered(hostler, tmp_path):
    """With the reason, before the server is gone."""
    folder = fake_models(tmp_path, bad={"never_ready": True})
    server = hostler("--model", folder / "bad.gguf", engine=FAKE_ENGINE)
    answer = background(server.tokenize, None)
    until(lambda: server.queue() and server.engines(), what="a request that waits for the load")
    os.kill(server.engines()["bad"]["pid"], signal.SIGKILL)
    assert "ended by signal 9" in answer.result(PATIENCE).error["message"]
    assert server.process.wait(PATIENCE) == 1


def test_a_crash_later_on_does_not_end_it(hostler, models):
    server = hostler("--model", models / "m1.gguf")
    assert server.tokenize(None).status == 200
    engine = server.engines()["m1"]["pid"]
    os.kill(engine, signal.SIGKILL)
    until(lambda: server.engines().get("m1", {}).get("pid", engine) != engine or not server.engines(), what="its end")
    assert server.tokenize(None).status == 200


def test_a_stop_while_it_loads_is_no_failure(hostler, tmp_path):
    server = hostler("--model", fake_models(tmp_path, slow={"never_ready": True}) / "slow.gguf", engine=FAKE_ENGINE)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE) == 0


def test_it_is_not_healthy_before_it_is_loaded(hostler, tmp_path):
    """From the first answer on, also before its engine is started; and a router's query forbids no load."""
    folder, opened = tmp_path / "models", tmp_path / "loaded"
    fake_models(folder, slow={"load_until": str(opened)})
    server = hostler("--model", folder / "slow.gguf", "--no-models-autoload", engine=FAKE_ENGINE)
    while "slow" not in server.engines():
        assert server.get("/health").status == 503
    assert server.get("/health").status == 503
    answer = background(server.tokenize, None)
    opened.touch()
    assert answer.result(PATIENCE).status == 200
    assert server.post("/models/unload", {"model": "slow"}).status == 200
    assert server.post("/tokenize?autoload=0", {"content": "hi"}).status == 200
