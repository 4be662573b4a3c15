# SPDX-License-Identifier: MIT
"""Who may ask, and where: keys and unix sockets."""
import socket

import pytest

from wire import is_json_error


@pytest.fixture(scope="module")
def guarded(module_hostler, models):
    return module_hostler("--models-dir", models, "--api-key", "one,two")


@pytest.mark.parametrize("headers,ok", [
    ({}, False), ({"Authorization": "Bearer one"}, True), ({"authorization": "bearer two"}, True),
    ({"X-Api-Key": "two"}, True), ({"Authorization": "Bearer on"}, False),
    ({"Authorization": "Bearer onee"}, False), ({"Authorization": "Bearer "}, False),
    ({"Authorization": "Basic one"}, False), ({"X-Api-Key": "one,two"}, False),
    ({"X-Api-Key": ""}, False)])
def test_a_key_is_needed(guarded, headers, ok):
    answer = guarded.tokenize("m1", headers=headers)
    if ok:
        assert answer.status == 200
    else:
        assert is_json_error(answer, 401) == "Invalid API Key"
        assert answer.error["type"] == "authentication_error"


@pytest.mark.parametrize("method,path,status", [
    ("GET", "/health", 200), ("GET", "/v1/health", 200), ("GET", "/models", 200),
    ("GET", "/v1/models", 200), ("GET", "/props", 401), ("GET", "/slots?model=m1", 401),
    ("GET", "/nowhere", 401), ("POST", "/models/load", 401), ("POST", "/models/unload-all", 401),
    ("GET", "/hostler/v1/status", 401)])
def test_what_is_public(guarded, method, path, status):
    assert guarded.request(method, path).status == status


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
