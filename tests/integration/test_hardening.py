# SPDX-License-Identifier: MIT
"""Requests that are meant to do harm, and slips that would."""
import contextlib
import os
import pathlib
import shutil
import signal
import time

import pytest
from background import background
from conftest import until
from wire import FAKE_ENGINE, Wire, fake_models, is_json_error, memory_of, request_bytes


def test_a_head_that_is_exactly_full(hostler, models):
    """Its last value has no room for its end: it is refused, and nothing beyond it is read."""
    server = hostler("--models-dir", models)
    for extra in range(-3, 4):
        with Wire(server) as wire:
            # the target, each name and each value take a byte more in memory
            value = "a" * (65536 - len("/health") - 1 - len("Host") - 1 - len("localhost") - 1 - len("Origin") - 1 + extra)
            wire.send(f"GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: {value}\r\n\r\n".encode())
            assert wire.answer().status == (200 if extra < 0 else 431), extra
    assert server.get("/health").status == 200


@pytest.mark.parametrize("body", [b"zz\r\n", b"5\r\nhello\r\nzz\r\n"])
def test_a_body_that_breaks_off_is_answered(hostler, models, body):
    server = hostler("--models-dir", models)
    with Wire(server) as wire:
        wire.send(b"POST /models/unload-all HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert wire.answer().status == 400


def test_secrets_stay_off_the_command_line(hostler, models):
    server = hostler("--models-dir", models, "--api-key", "k", env={"HF_TOKEN": "hf_SECRET"})
    listed = server.get("/models", headers={"Authorization": "Bearer k"})
    assert listed.status == 200 and "hf_SECRET" not in listed.body.decode()


def test_a_hold_outlasts_a_file_that_changes(hostler, models, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(models / "m1.gguf", folder / "a.gguf")
    server = hostler("--models-dir", folder)
    server.post("/models/hold", {"model": "a", "reason": "lunch"})
    os.utime(folder / "a.gguf", (1, 1))
    server.get("/models?reload=1")
    answer = server.tokenize("a")
    assert answer.status == 503 and "lunch" in answer.error["message"]
    os.rename(folder / "a.gguf", folder / "b")
    assert server.get("/models?reload=1").json["data"] == []
    os.rename(folder / "b", folder / "a.gguf")
    server.get("/models?reload=1")
    assert server.tokenize("a").status == 503
    server.post("/models/release", {"all": True})
    assert server.tokenize("a").status == 200


def test_a_hold_that_is_over_is_not_shown(hostler, models):
    server = hostler("--models-dir", models)
    server.post("/models/hold", {"model": "m1", "for": 0.05})
    until(lambda: not server.get("/hostler/v1/status").json["holds"])
    assert "held" not in server.models()["m1"]
    assert server.tokenize("m1").status == 200


def test_a_reason_cannot_forge_a_log_line(hostler, models):
    server = hostler("--models-dir", models)
    server.post("/models/hold", {"model": "m1", "reason": "x\nforged"})
    until(lambda: "forged" in server.log())
    assert not any(line.startswith("forged") for line in server.log().splitlines())


@pytest.mark.parametrize("path", ["/models/unload", "/models/unload-all", "/models/hold"])
def test_a_reason_has_a_ceiling(hostler, models, path):
    """It is kept for each model: 500 KiB and 10,000 models came to 5 GB, in memory, in the state's file and in each list."""
    server = hostler("--models-dir", models)
    which = {"/models/unload": {"model": "m1", "hold": True}, "/models/unload-all": {"hold": True}, "/models/hold": {"all": True}}[path]
    answer = server.post(path, {**which, "reason": "x" * 1025})
    assert answer.status == 400 and "at most 1024 bytes" in answer.error["message"]
    assert server.get("/hostler/v1/status").json["holds"] == []
    assert server.post(path, {**which, "reason": "x" * 1024}).status == 200


def test_an_error_quotes_no_more_than_a_part(hostler, models):
    """A name of 1 MiB is not sent back to whoever does not read it."""
    server = hostler("--models-dir", models)
    for method, path in (("POST", "/models/load"), ("POST", "/models"), ("POST", "/models/hold"), ("POST", "/tokenize")):
        answer = server.request(method, path, {"model": "q" * 1000000})
        assert answer.status in (400, 404) and len(answer.error["message"]) < 10000, path


@pytest.mark.parametrize("path", ["/models/unload", "/models/unload-all", "/models/hold", "/models/release"])
def test_a_slip_in_a_member_does_nothing(hostler, models, path):
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    answer = server.post(path, {"model": "m1", "dryrun": True} if path != "/models/unload-all" else {"dryrun": True})
    assert answer.status == 400 and "dryrun" in answer.error["message"]
    assert server.loaded() == ["m1"]


@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_few_threads_serve_everybody_in_turn(hostler, models, threads):
    server = hostler("--models-dir", models, "--threads-http", threads)
    body = '{"model":"m1","content":"x","pad":"' + "a" * 400000 + '"}'  # too large to be sent again: a fresh connection
    start = time.monotonic()
    for _ in range(4):
        assert server.tokenize("m1").status == 200
        assert server.post("/tokenize", body).status == 200
    assert time.monotonic() - start < 30


def test_a_request_right_after_a_stream(hostler, models):
    """An engine may close a connection after a streamed answer: nobody else's request is on it then."""
    server = hostler("--models-dir", models, "--threads-http", "3")
    server.tokenize("m1")
    stream = {"model": "m1", "prompt": "x", "stream": True, "n_predict": 30, "ignore_eos": True}
    for _ in range(15):
        waiting = [background(server.post, "/completion", stream) for _ in range(3)]
        waiting += [background(server.tokenize, "m1") for _ in range(3)]
        assert [w.result(60).status for w in waiting] == [200] * 6


def test_a_busy_engine_ends_in_an_answer(hostler, models):
    server = hostler("--models-dir", models, "--threads-http", "3", "--load-timeout", "2s")
    assert server.tokenize("m1").status == 200
    with Wire(server) as stream:
        stream.send(b'POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Length: 82\r\n\r\n'
                    b'{"model":"m1","prompt":"x","stream":true,"ignore_eos":true,"n_predict":2000000000}')
        until(lambda: server.engines()["m1"]["requests"] == 1)
        answer = server.tokenize("m1")
        assert answer.status in (200, 503), answer.body
        if answer.status == 503:
            assert answer.error["state"] == "wait_timeout" and "retry-after" in answer.headers


def files_of_bodies(server):
    """Sizes, in bytes, of the files without a name in which the server holds requests' bodies."""
    sizes = []
    for fd in pathlib.Path(f"/proc/{server.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "(deleted)" in os.readlink(fd) and fd.is_file() and fd.stat().st_nlink == 0:
                sizes.append(fd.stat().st_size)
    return sizes


def test_large_bodies_wait_in_files(hostler, tmp_path):
    """They take hardly any memory, reach the engine whole, and leave nothing behind."""
    folder = fake_models(tmp_path / "fakes", a={})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    assert server.tokenize("a").status == 200
    begin, end = b'{"content":"', b'","model":"a"}'
    filler = b"x" * (15 << 20)
    head = request_bytes("POST", "/v1/completions", Content_Length=len(begin + filler + end))
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(server)) for _ in range(12)]
        before = memory_of(server.pid)
        for wire in wires:
            wire.send(head + begin + filler)
        until(lambda: sum(files_of_bodies(server)) > 12 * (14 << 20), what="the bodies' coming")
        assert memory_of(server.pid) - before < 60
        for wire in wires:
            assert wire.send(end).answer().status == 200
    until(lambda: not files_of_bodies(server), what="the files' end")


def test_a_body_whose_file_cannot_be_made(hostler, tmp_path):
    folder = fake_models(tmp_path / "fakes", a={})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE, env={"TMPDIR": str(tmp_path)})
    private = next(tmp_path.glob("hostler-*"))
    private.rename(tmp_path / "gone")
    body = b'{"content":"' + b"x" * (1 << 20) + b'","model":"a"}'
    answer = server.request("POST", "/v1/completions", body)
    assert "cannot be written" in is_json_error(answer, 503) and int(answer.headers["retry-after"]) > 0
    (tmp_path / "gone").rename(private)
    assert server.request("POST", "/v1/completions", body).status == 200


def test_json_that_hostler_reads_itself_counts(hostler, models):
    """Parsed, it takes a multiple of its size: what is more than there is is refused, and all is given back."""
    def unload(numbers):
        body = b'{"except":[' + b"0," * numbers + b"0]}"
        return server.request("POST", "/models/unload-all", body)

    server = hostler("--models-dir", models, env={"HOSTLER_MAX_BODY_MEMORY": "16M"})
    for _ in range(3):
        assert "--max-body-memory" in is_json_error(unload(400000), 503)
        until(lambda: unload(200000).status == 400, what="the release of what was parsed")


def test_held_bodies_are_bounded_in_sum(hostler, tmp_path):
    """Bodies that do not name their model: the sum decides, small requests go on, and it is given back."""
    folder = fake_models(tmp_path / "fakes", a={})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE, env={"HOSTLER_MAX_BODY_MEMORY": "32M"})
    begin, end = b'{"content":"', b'","model":"a"}'
    filler = b"x" * (20 << 20)
    head = request_bytes("POST", "/v1/completions", Content_Length=len(begin + filler + end))
    with Wire(server) as first, Wire(server) as second:
        first.send(head + begin + filler)
        until(lambda: sum(files_of_bodies(server)) > 19 << 20, what="the body's coming")
        second.send(head + begin)
        with contextlib.suppress(ConnectionError):
            second.send(filler)
            second.send(end)
        answer = second.answer()
        assert "--max-body-memory" in is_json_error(answer, 503) and int(answer["retry-after"]) > 0
        assert server.tokenize("a").status == 200
        assert first.send(end).answer().status == 200
        with Wire(server) as third:
            assert third.send(head + begin + filler + end).answer().status == 200


def test_a_small_body_that_comes_slowly_occupies_no_engine(hostler, models):
    """Its model is known from the query. Its engine may come and go meanwhile."""
    server = hostler("--models-dir", models)
    assert server.tokenize("m1").status == 200
    body = b'{"model":"m1","content":"' + b"x " * 5000 + b'"}'
    with Wire(server) as wire:
        wire.send(request_bytes("POST", "/tokenize?model=m1", Content_Length=len(body)) + body[:1000])
        assert server.tokenize("m1").status == 200
        assert server.engines()["m1"]["requests"] == 0
        os.kill(server.engines()["m1"]["pid"], signal.SIGKILL)
        until(lambda: not server.engines(), what="the engine's end")
        assert wire.send(body[1000:]).answer().status == 200
