# SPDX-License-Identifier: MIT
"""--path: a folder's files beside the routes. What llama.cpp's router does, too: tests/conformance/test_files.py."""
import os
import subprocess

import pytest

from background import background
from conftest import HOSTLER, PATIENCE, clean_env, until
from wire import Wire, is_json_error


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("start", encoding="ascii")
    return folder


@pytest.fixture
def server(hostler, models, site):
    return hostler("--models-dir", models, "--path", site)


def test_no_file_hides_a_route(server, site):
    (site / "health").write_text("file", encoding="ascii")
    (site / "v1").mkdir()
    (site / "v1" / "models").write_text("file", encoding="ascii")
    (site / "tokenize").write_text("file", encoding="ascii")
    assert server.get("/health").json == {"status": "ok"}
    assert server.get("/v1/models").json["object"] == "list"
    assert server.get("/tokenize").body == b"file"  # a route for POST alone
    assert server.request("PUT", "/tokenize").status == 405
    assert server.tokenize("m1").status == 200


def test_a_path_without_a_file_is_answered_as_without_the_option(server):
    assert is_json_error(server.get("/nothing"), 404) == "there is no route GET /nothing"
    assert server.get("/tokenize").status == 405


def test_what_is_no_regular_file(server, site):
    os.mkfifo(site / "pipe")
    os.symlink("/dev/zero", site / "zero")
    os.symlink("loop", site / "loop")
    (site / "deep").mkdir()
    os.symlink("/etc", site / "deep" / "etc")
    for path, status in (("/pipe", 404), ("/zero", 403), ("/loop", 404), ("/deep/etc/passwd", 403), ("/deep/etc", 403)):
        is_json_error(server.get(path), status)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_is_not_readable(server, site):
    (site / "mine").write_text("x", encoding="ascii")
    (site / "mine").chmod(0)
    is_json_error(server.get("/mine"), 403)


def test_a_redirect_leads_nowhere_else(server, site):
    (site / "evil.example").mkdir()
    got = server.get("//evil.example")
    assert got.status == 301 and got.headers["location"] == "/evil.example/"


def test_a_redirect_keeps_the_prefix(hostler, models, site):
    (site / "sub").mkdir()
    server = hostler("--models-dir", models, "--path", site, "--api-prefix", "/p")
    assert server.get("/p/sub").headers["location"] == "/p/sub/"


def test_a_large_file_as_fast_as_its_client_reads(server, site):
    text = os.urandom(1 << 20) * 12
    (site / "large.bin").write_bytes(text)
    slow = Wire(server).ask("GET", "/large.bin")
    head = slow.head()
    assert head.status == 200 and head["content-length"] == str(len(text))
    others = [background(server.get, "/large.bin") for _ in range(8)]  # more than are read at once
    assert all(o.result(PATIENCE).body == text for o in others)
    assert slow.exactly(len(text)) == text


def test_clients_that_leave(server, site):
    with open(site / "large.bin", "wb") as file:
        file.truncate(64 << 20)
    for _ in range(20):
        wire = Wire(server).ask("GET", "/large.bin")
        assert wire.head().status == 200
        wire.close()
        Wire(server).ask("GET", "/large.bin").close()
    files = f"/proc/{server.pid}/fd"
    until(lambda: not any("large.bin" in os.readlink(f"{files}/{fd}") for fd in os.listdir(files)
                          if os.path.islink(f"{files}/{fd}")), what="the files' end")
    assert server.get("/index.html").body == b"start"


def test_a_file_that_becomes_shorter_breaks_the_answer_off(server, site):
    with open(site / "large.bin", "wb") as file:
        file.truncate(64 << 20)
    wire = Wire(server).ask("GET", "/large.bin")
    assert wire.head().status == 200
    os.truncate(site / "large.bin", 0)
    with pytest.raises(EOFError):
        wire.exactly(64 << 20)


def test_engines_do_not_get_it(server, site):
    assert "--path" not in server.models()["m1"]["status"]["args"]
    site.rename(site.parent / "elsewhere")
    assert server.tokenize("m1").status == 200
    is_json_error(server.get("/index.html"), 404)


@pytest.mark.parametrize("path", ["missing", "file"])
def test_what_is_no_folder(tmp_path, models, engine, path):
    (tmp_path / "file").write_text("x", encoding="ascii")
    end = subprocess.run([HOSTLER, "serve", "--engine", str(engine), "--models-dir", str(models), "--path", str(tmp_path / path)],
                         env=clean_env(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert end.returncode and "--path: " in end.stderr and str(tmp_path / path) in end.stderr
