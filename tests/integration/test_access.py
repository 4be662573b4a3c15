# SPDX-License-Identifier: MIT
"""Who may ask, and where: keys and unix sockets."""
import pathlib
import socket

import pytest

from conftest import until
from wire import FAKE_ENGINE, fake_models, is_json_error


@pytest.fixture(scope="module")
def page_server(module_hostler, tmp_path_factory):
    folder = fake_models(tmp_path_factory.mktemp("page") / "models", a={})
    server = module_hostler("--model", folder / "a.gguf", "--api-key", "k", engine=FAKE_ENGINE)
    until(lambda: server.get("/health").status == 200)
    return server


@pytest.fixture(scope="module")
def guarded(module_hostler, models):
    return module_hostler("--models-dir", models, "--api-key", "one,two")


@pytest.mark.parametrize("headers,ok", [
    ({}, False), ({"Authorization": "Bearer one"}, True), ({"authorization": "bearer two"}, True),
    ({"X-Api-Key": "two"}, True), ({"Authorization": "Bearer on"}, False),
    ({"Authorization": "Bearer onee"}, False), ({"Authorization": "Bearer "}, False),
    ({"Authorization": "Basic one"}, False), ({"X-Api-Key": "one,two"}, False),
    ({"X-Api-Key": ""}, False), ({"Authorization": "one"}, True), ({"X-Api-Key": "Bearer two"}, True),
    ({"Authorization": "", "X-Api-Key": "two"}, True),
    ({"Authorization": "Bearer x", "X-Api-Key": "one"}, False),
    ({"Authorization": "Bearer  one"}, False)])
def test_a_key_is_needed(guarded, headers, ok):
    answer = guarded.tokenize("m1", headers=headers)
    if ok:
        assert answer.status == 200
    else:
        assert is_json_error(answer, 401) == "Invalid API Key"
        assert answer.error["type"] == "authentication_error"


@pytest.mark.parametrize("method,path,status", [
    ("GET", "/health", 200), ("GET", "/v1/health", 200), ("GET", "/models", 401),
    ("GET", "/v1/models", 401), ("GET", "/props", 401), ("GET", "/slots?model=m1", 401),
    ("GET", "/nowhere", 401), ("POST", "/models/load", 401), ("POST", "/models/unload-all", 401),
    ("GET", "/hostler/v1/status", 401)])
def test_what_is_public(guarded, method, path, status):
    assert guarded.request(method, path).status == status


@pytest.mark.parametrize("method, path", [
    ("GET", "/hostler/v1/live"), ("GET", "/hostler/v1/timeline"), ("GET", "/hostler/v1/requests"), ("GET", "/hostler/v1/requests/1"),
    ("GET", "/hostler/v1/requests?format=jsonl"), ("GET", "/hostler/v1/capture"), ("POST", "/hostler/v1/capture"),
    ("GET", "/hostler/v1/presets"), ("PUT", "/hostler/v1/presets"), ("POST", "/hostler/v1/presets/check"), ("GET", "/hostler/v1/doctor"),
    ("GET", "/hostler/v1/log-level"), ("POST", "/hostler/v1/log-level"), ("GET", "/hostler/v1/metrics"), ("GET", "/metrics"),
    ("GET", "/metrics?engines=1"), ("HEAD", "/metrics")])
def test_what_operators_see_and_change_wants_a_key(guarded, method, path):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}):
        answer = guarded.request(method, path, {} if method in ("POST", "PUT") else None, headers=headers)
        assert answer.status == 401, (headers, answer.body)


@pytest.mark.parametrize("mode", ["router", "classic"])
def test_keys_are_read_as_llama_server_reads_them(hostler, stock, models, mode):
    source = ["--models-dir", models] if mode == "router" else ["--model", models / "m1.gguf"]
    servers = [start(*source, "--api-key", "one,two") for start in (hostler, stock)]
    until(lambda: servers[0].get("/health").status == 200)
    for headers in (
            {}, {"Authorization": "Bearer two"}, {"Authorization": "two"}, {"X-Api-Key": "one"},
            {"X-Api-Key": "Bearer one"}, {"Authorization": "Basic one"},
            {"Authorization": "Bearer x", "X-Api-Key": "one"}, {"Authorization": "Bearer  one"},
            {"Authorization": "", "X-Api-Key": "two"}):
        ours, theirs = (s.get("/props", headers=headers).status for s in servers)
        assert ours == theirs, headers
    for method, path in (("GET", "/health"), ("GET", "/v1/health"), ("GET", "/nowhere"),
                         ("POST", "/v1/completions"), ("GET", "/health/"), ("GET", "//health"),
                         ("GET", "/models"), ("GET", "/v1/models"), ("OPTIONS", "/props")):
        ours, theirs = (s.request(method, path).status for s in servers)
        assert ours == theirs, path


@pytest.mark.parametrize("method,path,public", [
    ("GET", "/", True), ("HEAD", "/", True), ("GET", "/index.html?x=1", True),
    ("GET", "/_app/immutable/x.mjs", True), ("GET", "/favicon.ico", True), ("POST", "/", False),
    ("GET", "/build.json", True), ("GET", "/models", False), ("GET", "/v1/models", False),
    ("GET", "/a/b.js", False), ("GET", "/slots", False), ("GET", "/_app/../slots", False),
    ("GET", "/_app/%2e%2e/slots", False), ("GET", "/_app//slots", False), ("GET", "/.js", False),
    ("GET", "/slots?a=.js", False), ("GET", "/metrics", False), ("POST", "/x.js", False)])
def test_the_page_is_public_in_classic_mode(page_server, method, path, public):
    """The browser fetches it before anybody can give a key; what it then asks needs one."""
    assert page_server.request(method, path).status == (200 if public else 401)
    assert page_server.request(method, path, headers={"X-Api-Key": "k"}).status == 200


def test_only_a_key_loads_the_model_for_its_page(module_hostler, tmp_path):
    folder = fake_models(tmp_path / "models", a={})
    key = {"X-Api-Key": "k"}
    server = module_hostler("--model", folder / "a.gguf", "--api-key", "k", engine=FAKE_ENGINE)
    until(lambda: server.get("/health").status == 200)
    assert server.post("/models/unload-all", {}, headers=key).status == 200
    for path in ("/", "/index.html", "/?autoload=1"):
        answer = server.get(path)
        assert "only a request with an API key loads it" in is_json_error(answer, 503)
        assert answer.error["state"] == "not_loaded"
    assert server.get("/hostler/v1/status", headers=key).json["engines"] == []
    assert server.get("/", headers=key).status == 200
    assert server.get("/").status == 200


def test_only_the_page_is_public_in_router_mode(guarded):
    assert guarded.get("/").status == guarded.get("/hostler/").status == 200
    assert guarded.get("/index.html").status == guarded.get("/nowhere/").status == 401


def test_keys_of_the_environment_are_nowhere_else(hostler, models, tmp_path):
    """What the daemon's own command line holds is its user's doing: docs/api.md."""
    keys = tmp_path / "keys"
    keys.write_text("sk-in-a-file\n", encoding="utf-8")
    server = hostler("--models-dir", models, "--log-level", "debug",
                     env={"LLAMA_API_KEY": "sk-in-env", "LLAMA_ARG_API_KEY_FILE": str(keys)})
    for key in ("sk-in-env", "sk-in-a-file", "sk-wrong"):
        server.tokenize("m1", headers={"Authorization": f"Bearer {key}"})
    headers = {"X-Api-Key": "sk-in-env"}
    status = server.get("/hostler/v1/status", headers=headers)
    pid = status.json["engines"][0]["pid"]
    told = [pathlib.Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    told += [status.body, server.log().encode(), server.get("/models", headers=headers).body,
             pathlib.Path(f"/proc/{server.pid}/cmdline").read_bytes()]
    assert not [text for text in told if b"sk-" in text or str(keys).encode() in text]


def test_a_key_file(hostler, models, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# keys\n\nthree\nfour\n", encoding="utf-8")
    server = hostler("--models-dir", models, "--api-key-file", keys)
    assert server.get("/props").status == 401
    assert server.get("/props", headers={"X-Api-Key": "four"}).status == 200


def test_a_unix_socket(hostler, models):
    server = hostler("--models-dir", models, unix=True)
    assert server.socket.endswith(".sock")
    assert server.tokenize("m1").json["tokens"]
    path = server.socket
    assert server.stop() == 0
    with socket.socket(socket.AF_UNIX) as s, pytest.raises(OSError):
        s.connect(path)


def test_a_unix_socket_that_was_left_behind_is_replaced(hostler, models):
    first = hostler("--models-dir", models, unix=True)
    path = first.socket
    first.kill()
    second = hostler("--models-dir", models, "--host", path)
    assert second.socket == path
    assert second.get("/health").status == 200
