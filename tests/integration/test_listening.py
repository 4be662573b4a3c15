# SPDX-License-Identifier: MIT
"""Where the server listens and what its paths begin with; how long it waits for a client."""
import http.client
import pathlib
import re
import socket
import time

import pytest

from conftest import UnixConnection, until
from wire import FAKE_ENGINE, Wire, chat, fake_models, is_json_error


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


def status_at(host, port):
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("GET", "/health")
    status = connection.getresponse().status
    connection.close()
    return status


@needs_ipv6
def test_a_line_for_each_address(hostler, models, tmp_path):
    path = tmp_path / "a.sock"
    server = hostler("--models-dir", models, "--host", f"127.0.0.1, ::1,{path}")
    until(lambda: f"unix:{path}" in server.log())
    lines = [line.split(None, 2)[2] for line in server.log().splitlines() if " on " in line]
    assert re.fullmatch(r"hostler \S+ serves 4 models on http://127\.0\.0\.1:\d+", lines[0])
    assert re.fullmatch(r"and on http://\[::1\]:\d+", lines[1])
    assert lines[2] == f"and on unix:{path}"
    assert "api-key" not in server.log()  # nobody else reaches it
    assert status_at("127.0.0.1", server.port) == 200
    assert status_at("::1", int(lines[1].rsplit(":", 1)[1])) == 200
    connection = UnixConnection(str(path), 30)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()


def test_who_is_reached_by_others_is_warned(hostler, models):
    server = hostler("--models-dir", models, "--host", "0.0.0.0")
    until(lambda: "no --api-key is set" in server.log())


@needs_ipv6
def test_all_addresses_of_both_kinds_on_one_port(hostler, models):
    """As llama-server has it: with several, `::` is IPv6 only."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = hostler("--models-dir", models, "--host", "0.0.0.0,::", "--port", port)
    assert status_at("127.0.0.1", server.port) == status_at("::1", server.port) == 200


def test_a_shared_port(hostler, models):
    first = hostler("--models-dir", models, "--reuse-port")
    second = hostler("--models-dir", models, "--port", first.port, "--reuse-port")
    assert second.port == first.port
    assert first.stop() == 0
    assert second.tokenize("m1").status == 200
    argv = pathlib.Path(f"/proc/{second.engines()['m1']['pid']}/cmdline").read_bytes()
    assert b"reuse" not in argv


# --- a prefix -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def below(module_hostler, models):
    return module_hostler("--models-dir", models, "--api-prefix", "/a/b/", "--api-key", "k")


@pytest.mark.parametrize("method,path,status", [
    ("GET", "/a/b/health", 200), ("GET", "/a/b/props", 200), ("GET", "/a/b/v1/models?x=1", 200),
    ("GET", "/a/b/hostler/v1/status", 200), ("GET", "/a/b/slots?model=m1", 200),
    ("GET", "/health", 404), ("GET", "/a/b", 404), ("GET", "/a/bhealth", 404),
    ("GET", "/a/b//health", 404), ("GET", "/x/a/b/health", 404), ("POST", "/a/b/health", 405),
    ("OPTIONS", "/health", 200), ("OPTIONS", "/a/b/health", 200)])
def test_paths_below_a_prefix(below, method, path, status):
    answer = below.request(method, path, headers={"X-Api-Key": "k"})
    assert answer.status == status, answer.body
    if status == 404 and not path.startswith("/a/b/"):
        assert "--api-prefix /a/b" in answer.error["message"]


def test_engines_do_not_know_of_it(below):
    assert below.post("/a/b/tokenize", {"model": "m1", "content": "x"},
                      headers={"X-Api-Key": "k"}).json["tokens"]
    status = below.get("/a/b/hostler/v1/status", headers={"X-Api-Key": "k"}).json
    argv = pathlib.Path(f"/proc/{status['engines'][0]['pid']}/cmdline").read_bytes()
    assert b"prefix" not in argv and b"/a/b" not in argv


def test_what_is_public_below_a_prefix(below):
    """With llama-server not even /health is, below one, and a health check cannot work."""
    assert below.get("/a/b/health").status == 200
    assert below.get("/health").status == below.get("/a/b/models").status == 401


def test_the_client_below_a_prefix_of_a_socket(cli, hostler, models, tmp_path):
    hostler("--models-dir", models, "--host", tmp_path / "h.sock", "--api-prefix", "/a/b")
    done = cli("list", "--url", f"unix:{tmp_path}/h.sock:/a/b")
    assert done.returncode == 0 and "m1" in done.stdout, done.stderr
    assert cli("list", "--url", f"unix:{tmp_path}/h.sock").returncode == 3


def test_the_client_below_a_prefix(cli, below):
    done = cli("list", "--url", f"http://127.0.0.1:{below.port}/a/b", env={"HOSTLER_API_KEY": "k"})
    assert done.returncode == 0 and "m1" in done.stdout, done.stderr


def test_a_prefix_in_classic_mode(hostler, tmp_path):
    folder = fake_models(tmp_path / "models", a={})
    server = hostler("--model", folder / "a.gguf", "--api-prefix", "/p", "--api-key", "k",
                     engine=FAKE_ENGINE)
    until(lambda: server.get("/p/health").status == 200)
    for path, target in (("/p/", "/"), ("/p/x.js?y", "/x.js?y")):
        assert server.get(path).json["target"] == target  # as the engine saw it
    assert server.get("/").status == server.get("/x.js").status == 401
    for path in ("/", "/x.js", "/echo"):
        assert server.get(path, headers={"X-Api-Key": "k"}).status == 404


# --- time -----------------------------------------------------------------------------------------

def test_a_request_that_does_not_come(hostler, models):
    server = hostler("--models-dir", models, "--timeout", "1")
    with Wire(server) as wire, Wire(server) as head:
        head.send(b"GET /health HTTP/1.1\r\nHo")
        wire.send(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{\"model\":\"m1\",")
        begin = time.monotonic()
        for w in (wire, head):
            assert "--timeout" in is_json_error(w.answer(), 408)
            assert w.at_end()
        assert time.monotonic() - begin < 25
    assert server.tokenize("m1").status == 200
    argv = pathlib.Path(f"/proc/{server.engines()['m1']['pid']}/cmdline").read_bytes().split(b"\0")
    assert argv[argv.index(b"--timeout") + 1] == b"1"


def test_a_slow_answer_is_no_request_that_does_not_come(hostler, tmp_path):
    """The engine's time is its own, and what moves does not stand still."""
    folder = fake_models(tmp_path / "models", a={"tokens": 30, "token_ms": 250})
    server = hostler("--models-dir", folder, "--timeout", "1", engine=FAKE_ENGINE)
    server.tokenize("a")
    with Wire(server) as wire:
        wire.ask("POST", "/v1/chat/completions", chat("a", stream=True))
        assert wire.head().status == 200
        assert b"".join(wire.chunks()).endswith(b"data: [DONE]\n\n")


def test_pings_are_the_engines(hostler, models):
    server = hostler("--models-dir", models, "--sse-ping-interval", "7")
    server.tokenize("m1")
    argv = pathlib.Path(f"/proc/{server.engines()['m1']['pid']}/cmdline").read_bytes().split(b"\0")
    assert argv[argv.index(b"--sse-ping-interval") + 1] == b"7"
