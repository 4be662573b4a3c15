# SPDX-License-Identifier: MIT
"""Clients use up all the memory that the daemon may have: it serves on, and afterwards as before.

With the release build: AddressSanitizer keeps what was freed, so that no limit can be set for it.
"""
import contextlib
import pathlib
import resource

import pytest

from conftest import HOSTLER, ROOT, until
from wire import FAKE_ENGINE, Wire, chat, fake_models, is_json_error, request_bytes

RELEASE = ROOT / "build" / "hostler" if "san" in HOSTLER.parts else HOSTLER
CLIENTS = 900
INFERENCE = "/v1/chat/completions"


@pytest.fixture
def house(hostler, tmp_path):
    """A daemon of the release build, and as many descriptors as this process may have."""
    folder = fake_models(tmp_path / "models", a={"tokens": 1000000, "token_ms": 20}, b={})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hostler("--models-dir", folder, "--max-connections", "4000", engine=FAKE_ENGINE,
                  launcher=["sh", "-c", f"shift; exec '{RELEASE}' \"$@\"", "sh"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def limit(server, more):
    """From now on the daemon may have `more` bytes beside what it has; None: as many as it likes."""
    size = resource.RLIM_INFINITY
    if more is not None:
        status = pathlib.Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
        size = int(status.split("VmSize:")[1].split()[0]) * 1024 + more
    resource.prlimit(server.pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


@contextlib.contextmanager
def crowd(server, data):
    """Many clients, each in the middle of a request."""
    clients = []
    try:
        for _ in range(CLIENTS):
            wire = Wire(server)
            clients.append(wire)
            with contextlib.suppress(OSError):
                wire.send(data)
        yield clients
    finally:
        for wire in clients:
            wire.close()


def lacks_memory(server):
    """Whether a request that is no operator's is refused for want of memory."""
    with contextlib.suppress(OSError, EOFError, ValueError):
        answer = server.post("/tokenize", {"model": "a", "content": "x"})
        if answer.status == 503 and "memory" in answer.error["message"]:
            return answer
    return None


def until_it_is_there_again(server):
    until(lambda: server.get("/health").status == 200
          and server.post("/tokenize", {"model": "a", "content": "x"}).status == 200,
          what="the end of the shortage")


HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 12000
BODY = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n"
        + b'{"messages":"' + b"x" * 100000)
OBJECTS = b"[" + b"{}," * 300000 + b"{}]"
VALUES = (b"POST /models/unload-all HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(OBJECTS)
          + OBJECTS[:200000])


@pytest.mark.parametrize("data", [HEAD, BODY, VALUES], ids=["heads", "bodies", "documents"])
def test_clients_cannot_end_the_daemon(house, data):
    with Wire(house) as stream:
        stream.ask("POST", INFERENCE, chat("a", stream=True))
        assert stream.head().status == 200
        chunks = stream.chunks()
        next(chunks)
        pid = house.engines()["a"]["pid"]
        limit(house, 1024 * 1024)
        with crowd(house, data):
            answer = until(lambda: lacks_memory(house), what="a refusal")
            assert answer.headers["retry-after"] and is_json_error(answer, 503)
            # what needs little is served, and those who are served are served on
            for _ in range(3):
                until(lambda: house.get("/health").status == 200)
                assert house.get("/hostler/v1/status").json["engines"][0]["pid"] == pid
                assert b"hostler_requests_total" in house.get("/metrics").body
            assert house.post("/models/unload-all", {"dry_run": True}).status == 200
            next(chunks)
            assert house.process.poll() is None, house.log()
        until_it_is_there_again(house)
        limit(house, None)
        next(chunks)
        assert house.engines()["a"]["pid"] == pid
    log = house.log()
    assert log.count("memory is short") == log.count("memory is available again") >= 1
    assert house.tokenize("b").status == 200
