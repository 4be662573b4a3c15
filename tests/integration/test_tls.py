# SPDX-License-Identifier: MIT
"""HTTPS: the same server, behind a certificate."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time

import pytest

from conftest import HOSTLER, UnixConnection, clean_env, until
from wire import (FAKE_ENGINE, Wire, chat, engine_get, fake_models, is_json_error, memory_of,
                  open_stream, read_events, request_bytes)

CHAT = "/v1/chat/completions"
# Under AddressSanitizer what was freed is kept for a while, and would be taken for growth.
LEAN = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


def make_certificate(folder, name="localhost"):
    """A self-signed certificate and its key: two paths."""
    cert, key = folder / f"{name}-cert.pem", folder / f"{name}-key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, key


def options(cert, key):
    return ["--ssl-cert-file", cert, "--ssl-key-file", key]


def trusting(cert):
    """A client's context that tells an end from a loss, which Python's own does not."""
    context = ssl.create_default_context(cafile=str(cert))
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(module_hostler, models, certificate):
    server = module_hostler("--models-dir", models, *options(*certificate), env=LEAN)
    server.tls = trusting(certificate[0])
    return server


@pytest.fixture
def fake(hostler, tmp_path, certificate):
    def start(*args, **behaviour):
        folder = fake_models(tmp_path / "models", **behaviour)
        server = hostler("--models-dir", folder, *args, *options(*certificate), engine=FAKE_ENGINE,
                         env=LEAN)
        server.tls = trusting(certificate[0])
        return server
    return start


# --- requests -------------------------------------------------------------------------------------

def test_requests_over_one_connection(secure):
    with Wire(secure) as wire:
        for _ in range(3):
            head = wire.ask("POST", "/tokenize", {"model": "m1", "content": "hi"}).answer()
            assert head.status == 200 and json.loads(head.body)["tokens"]
        wire.ask("GET", "/health").ask("GET", "/v1/models")  # pipelined
        assert wire.answer().status == wire.answer().status == 200


def test_byte_by_byte(secure):
    with Wire(secure) as wire:
        for byte in request_bytes("POST", "/tokenize", {"model": "m1", "content": "hi"}):
            wire.send(bytes([byte]))
        assert wire.answer().status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_and_resumption(secure, certificate, version):
    context = trusting(certificate[0])
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])

    def visit(session):
        raw = socket.create_connection(("127.0.0.1", secure.port))
        with context.wrap_socket(raw, server_hostname="127.0.0.1", session=session) as s:
            assert s.selected_alpn_protocol() == "http/1.1"
            s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert s.recv(1000).startswith(b"HTTP/1.1 200 OK")
            return s.session, s.session_reused

    session, reused = visit(None)
    assert not reused
    assert visit(session)[1]


def test_the_end_is_told(secure):
    """close_notify: else the client could not tell the end from a loss."""
    with Wire(secure) as wire:
        wire.ask("GET", "/health", Connection="close")
        assert wire.answer().status == 200
        assert wire.sock.recv(1) == b""  # an end without it is an error here


def test_tokens_pass_one_by_one(fake):
    server = fake(a={"endless": True, "token_ms": 50})
    connection, response = open_stream(server, "a")
    assert len(read_events(response, 3)) == 3  # of a stream that never ends
    connection.close()
    until(lambda: engine_get(server, "a")["live"] == 0, what="the end of generation")


def test_a_broken_answer_is_no_whole_one(hostler, tmp_path, certificate):
    """Its engine dies in the middle of a length: the connection ends without close_notify."""
    folder = fake_models(tmp_path / "models", a={"big_body": 100})
    server = hostler("--model", folder / "a.gguf", *options(*certificate), engine=FAKE_ENGINE)
    server.tls = trusting(certificate[0])
    until(lambda: server.get("/health").status == 200)
    with Wire(server, receive_buffer=4096) as wire:
        assert wire.ask("GET", "/big").head().status == 200
        os.kill(next(iter(server.engines().values()))["pid"], signal.SIGKILL)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            while wire.sock.recv(1 << 20):
                pass


# --- bounds ---------------------------------------------------------------------------------------

def test_a_big_body_and_a_big_answer(secure):
    with Wire(secure) as wire:
        text = "hi " * (1 << 20)
        head = wire.ask("POST", "/tokenize", {"model": "m2", "content": text},
                        Content_Type="application/json").answer()
    assert head.status == 200 and len(head.body) > 1 << 20
    assert len(json.loads(head.body)["tokens"]) > 1 << 20


def settled_memory(pid):
    """MiB of the process once it stays the same, within a little."""
    seen = [memory_of(pid)]

    def settles():
        seen.append(memory_of(pid))
        return len(seen) > 50 and max(seen[-50:]) - min(seen[-50:]) < 1
    until(settles, what="a memory that does not grow")
    return seen[-1]


def test_a_client_that_does_not_read_costs_little_memory(fake):
    server = fake(a={"endless": True})
    server.tokenize("a")
    before = settled_memory(server.pid)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(Wire(server, receive_buffer=4096)) for _ in range(10)]
        for wire in idle:
            wire.ask("POST", CHAT, chat("a", stream=True))
        until(lambda: engine_get(server, "a")["live"] == 10)
        assert settled_memory(server.pid) - before < 32
        assert idle[0].head().status == 200
        seen = b""
        for chunk in idle[0].chunks():  # it goes on when it is read, and nothing is missing
            seen += chunk
            if b"word5000 " in seen:
                break
        assert [b"word%d " % n in seen for n in range(0, 5000, 500)].count(False) == 0


def test_a_body_is_not_taken_faster_than_the_engine_reads(fake):
    server = fake(a={})
    server.tokenize("a")
    pid, before = server.engines()["a"]["pid"], settled_memory(server.pid)
    body = json.dumps({"model": "a", "x": "y" * (64 << 20)}).encode()
    with Wire(server) as wire:
        os.kill(pid, signal.SIGSTOP)
        try:
            wire.sock.settimeout(1)
            with pytest.raises(TimeoutError):  # there is no room for all of it
                wire.ask("POST", "/v1/completions", body)
            assert settled_memory(server.pid) - before < 24
        finally:
            os.kill(pid, signal.SIGCONT)


def test_idle_connections_are_cheap(secure):
    before = settled_memory(secure.pid)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(secure)) for _ in range(100)]
        for wire in wires:
            assert wire.ask("GET", "/health").answer().status == 200
        assert settled_memory(secure.pid) - before < 16  # MiB; with the sanitizer's own share


# --- what is no TLS -------------------------------------------------------------------------------

def plain_answer(server, request):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(request)
        data = b""
        while piece := s.recv(65536):
            data += piece
        return data


@pytest.mark.parametrize("request_line", [b"GET /health", b"POST /tokenize", b"OPTIONS *"])
def test_plain_http_is_told_so(secure, request_line):
    answer = plain_answer(secure, request_line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert "https://" in json.loads(body)["error"]["message"]


def test_garbage_ends_the_connection(secure):
    assert len(plain_answer(secure, b"\x16\x03\x01" + b"x" * 100)) < 20  # an alert at most
    assert secure.get("/health").status == 200


def test_a_client_that_says_nothing_is_closed(secure):
    """Ten seconds for the handshake, however slowly it drips."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", secure.port), timeout=30) as s:
        s.sendall(b"\x16\x03\x01")
        assert s.recv(1) == b""
    assert 9 < time.monotonic() - begin < 25


# --- certificates ---------------------------------------------------------------------------------

def peer_of(server):
    raw = socket.create_connection(("127.0.0.1", server.port))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(raw) as s:
        return s.getpeercert(binary_form=True)


def der(cert):
    return ssl.PEM_cert_to_DER_cert(pathlib.Path(cert).read_text(encoding="ascii"))


def test_sighup_reads_the_certificate_again(hostler, models, tmp_path):
    first, key = make_certificate(tmp_path)
    second = make_certificate(tmp_path, "second")
    old = der(first)
    server = hostler("--models-dir", models, *options(first, key))
    server.tls = trusting(first)
    assert peer_of(server) == old
    with Wire(server) as wire:
        for new, ours in zip(second, (first, key)):
            ours.write_bytes(new.read_bytes())
        server.process.send_signal(signal.SIGHUP)
        until(lambda: peer_of(server) == der(second[0]), what="the new certificate")
        assert wire.ask("GET", "/health").answer().status == 200  # as it was begun
    key.write_text("nothing\n", encoding="ascii")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "no usable private key" in server.log(), what="the complaint")
    assert "stays in use" in server.log()
    assert peer_of(server) == der(second[0])


def test_a_unix_socket_stays_plain(hostler, models, tmp_path, certificate):
    path = tmp_path / "a.sock"
    server = hostler("--models-dir", models, "--host", f"127.0.0.1,{path}", *options(*certificate))
    server.tls = trusting(certificate[0])
    assert server.get("/health").status == 200
    connection = UnixConnection(str(path), 30)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()


def serve(engine, *args, env=None):
    done = subprocess.run([str(HOSTLER), "serve", *map(str, args)], capture_output=True, text=True,
                          env=clean_env(LLAMA_SERVER=str(engine), **(env or {})), timeout=60,
                          check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("cert,key,words", [
    (None, "key", ["--ssl-cert-file is missing", "--ssl-key-file"]),
    ("cert", None, ["--ssl-key-file is missing"]),
    ("/nowhere/c.pem", "key", ["--ssl-cert-file", "/nowhere/c.pem", "No such file", "PEM"]),
    ("cert", "/nowhere/k.pem", ["--ssl-key-file", "/nowhere/k.pem", "No such file"]),
    ("key", "key", ["--ssl-cert-file", "no usable certificate"]),
    ("cert", "cert", ["--ssl-key-file", "no usable private key"]),
    ("cert", "other", ["--ssl-key-file", "belong together"])])
def test_what_cannot_serve_is_refused_at_the_start(engine, models, tmp_path, certificate, cert, key,
                                                   words):
    known = dict(zip(("cert", "key"), certificate), other=make_certificate(tmp_path, "other")[1])
    args = ["--models-dir", models, "--port", "0"]
    for name, value in (("--ssl-cert-file", cert), ("--ssl-key-file", key)):
        args += [name, known.get(value, value)] if value else []
    status, said = serve(engine, *args)
    assert status == 2, said
    assert all(w in said for w in words), said
    assert said.startswith("hostler serve: ") and said.count("\n") == 1


def test_by_environment_and_unseen_by_engines(hostler, models, certificate):
    cert, key = map(str, certificate)
    server = hostler("--models-dir", models,
                     env={"LLAMA_ARG_SSL_CERT_FILE": cert, "LLAMA_ARG_SSL_KEY_FILE": key})
    server.tls = trusting(cert)
    assert server.tokenize("m1").status == 200
    pid = server.engines()["m1"]["pid"]
    for place in ("cmdline", "environ"):
        seen = pathlib.Path(f"/proc/{pid}/{place}").read_bytes().lower()
        assert b"ssl" not in seen and key.encode().lower() not in seen


# --- hostler's own commands -----------------------------------------------------------------------

def test_the_client_and_a_certificate_of_our_own(cli, secure, certificate):
    url = f"https://127.0.0.1:{secure.port}"
    names = ("SSL_CERT_FILE", "CURL_CA_BUNDLE")
    no_names = dict.fromkeys(names, "")
    refused = cli("list", "--url", url, env=no_names)
    assert refused.returncode not in (0, 2) and "not trusted" in refused.stderr
    assert "SSL_CERT_FILE=" in refused.stderr
    for name in names:
        done = cli("list", "--url", url, env={**no_names, name: str(certificate[0])})
        assert done.returncode == 0 and "m1" in done.stdout, done.stderr


def test_the_client_and_the_wrong_scheme(cli, secure, hostler, models):
    done = cli("list", "--url", f"http://127.0.0.1:{secure.port}")
    assert done.returncode and "https://" in done.stderr
    plain = hostler("--models-dir", models)
    done = cli("list", "--url", f"https://127.0.0.1:{plain.port}")
    assert done.returncode and "write http://" in done.stderr
