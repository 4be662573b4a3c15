# SPDX-License-Identifier: MIT
"""What hostler itself lacks, or an engine that is slow to accept, costs no engine."""
import contextlib
import os
import pathlib
import signal

import pytest
from background import background
from conftest import PATIENCE, until
from wire import FAKE_ENGINE, Wire, fake_models, is_json_error, open_stream, read_events, request_bytes

FILES = 160  # descriptors that the daemon may have
REQUESTS = 200  # the fake engine's accept queue holds 129


def engine_pid(server):
    return server.engines()["a"]["pid"]


def starts(server):
    return server.log().count("model a is loaded for")


def open_files(server):
    return len(list(pathlib.Path(f"/proc/{server.pid}/fd").iterdir()))


def running(server):
    return len(server.get("/hostler/v1/requests?state=running&limit=1000").json["requests"])


def fill_with_idle_clients(server):
    """Connections that send nothing, until the daemon accepts no more."""
    clients = []
    while len(clients) < 2 * FILES:
        clients.append(Wire(server))
        if open_files(server) >= FILES - 1:
            break
    for _ in range(8):
        clients.append(Wire(server))
    return clients


def test_a_shortage_of_descriptors_costs_no_engine(hostler, tmp_path):
    folder = fake_models(tmp_path / "fakes", a={"endless": True, "token_ms": 20})
    server = hostler("--models-dir", folder, "--models-max", "1", "--drain-timeout", "1s", engine=FAKE_ENGINE,
                     launcher=("sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh"))
    _connection, stream = open_stream(server, "a")
    read_events(stream, 2)
    pid = engine_pid(server)
    request = request_bytes("POST", "/tokenize", {"model": "a", "content": "hi"})
    with Wire(server) as asker:
        asker.send(request[:-1])  # so that it is not idle
        idle = fill_with_idle_clients(server)
        answer = None
        with contextlib.suppress(ConnectionError, EOFError):  # --max-connections may have closed it
            answer = asker.send(request[-1:]).answer()
        assert len(read_events(stream, 5)) == 5
        for client in idle:
            client.close()
        if answer and answer.status != 200:
            assert "try again" in is_json_error(answer, 503)
            assert int(answer["retry-after"]) > 0
    assert server.tokenize("a").status == 200
    assert engine_pid(server) == pid and starts(server) == 1


@pytest.mark.parametrize("patience", [None, "2s"])
def test_a_full_accept_queue_costs_no_engine(hostler, tmp_path, patience):
    folder = fake_models(tmp_path / "fakes", a={})
    limits = ("--load-timeout", patience) if patience else ()
    server = hostler("--models-dir", folder, *limits, engine=FAKE_ENGINE)
    assert server.tokenize("a").status == 200
    pid = engine_pid(server)
    os.kill(pid, signal.SIGSTOP)
    try:
        asking = [background(server.tokenize, "a") for _ in range(REQUESTS)]
        if patience:  # those that the engine's queue has no place for are answered
            until(lambda: sum(a.done() for a in asking) > 0)
        else:
            until(lambda: running(server) + sum(a.done() for a in asking) >= REQUESTS)
    finally:
        os.kill(pid, signal.SIGCONT)
    answers = [a.result(PATIENCE) for a in asking]
    # On a busy machine the last comes when the first has been tried for as long as that is done.
    refused = [a for a in answers if a.status != 200]
    assert len(refused) < REQUESTS
    assert all(is_json_error(a, 503) and a.headers["retry-after"] for a in refused)
    assert engine_pid(server) == pid and starts(server) == 1

