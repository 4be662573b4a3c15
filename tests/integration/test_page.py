# SPDX-License-Identifier: MIT
"""The page as it is served: what HTTP says of it. What it does in a browser: tests/page."""
import gzip
import pathlib
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import FAKE_ENGINE, until
from wire import fake_models, is_json_error

GZIP = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.fixture(scope="module")
def server(module_hostler, models):
    return module_hostler("--models-dir", models, "--api-key", "k")


def named_by(html):
    return re.findall(r'(?:src|href)="([^"]+)"', html)


@pytest.mark.parametrize("path", ["/", "/hostler/", "/?x=1", "/hostler/?x=1"])
def test_it_is_served_without_a_key(server, path):
    answer = server.get(path)
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.body.startswith(b"<!doctype html>") and b"http" not in answer.body


@pytest.mark.parametrize("folder", ["/", "/hostler/"])
def test_all_that_it_names_is_there(server, folder):
    named = named_by(server.get(folder).body.decode())
    assert any(name.endswith(".js") for name in named) and any(name.endswith(".css") for name in named)
    for name in named:
        assert not name.startswith(("/", "http")), "relative, so that it works below --api-prefix"
        answer = server.get(folder + name)
        assert answer.status == 200 and len(answer.body) == int(answer.headers["content-length"])


def test_what_the_scripts_name_is_there(server):
    """Code that is fetched when it is needed, and the licences of all that the page contains."""
    known, new = set(), {"main.js"}
    while new:
        name = new.pop()
        known.add(name)
        answer = server.get(f"/hostler/{name}")
        assert answer.status == 200 and answer.headers["content-type"].startswith("text/javascript")
        assert b"sourceMappingURL" not in answer.body
        new |= set(re.findall(r"(?:chunk|asset)-[A-Za-z0-9_]+\.js", answer.body.decode())) - known
    licenses = server.get("/hostler/licenses.txt").body.decode()
    assert "preact" in licenses and "Permission is hereby granted" in licenses


def test_it_may_do_nothing_but_ask_its_server(server):
    for path in ("/", "/hostler/main.js"):
        headers = server.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in policy and "http" not in policy and "*" not in policy
        assert "frame-ancestors 'none'" in policy and "connect-src 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_no_code_stands_in_its_html(server):
    html = server.get("/").body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", html)


@pytest.mark.parametrize("accept,packed", [
    ("gzip", True), ("x-gzip", True), ("*", True), ("br, GZip;q=0.5", True), (" deflate , gzip ", True), ("*;q=0, gzip", True),
    ("gzip;q=0", False), ("gzip;q=0.000, *", False), ("br", False), ("", False), (None, False), ("gzipped", False), ("*;q=0", False)])
def test_it_is_packed_for_those_who_take_it(server, accept, packed):
    plain = server.get("/hostler/main.css")
    answer = server.get("/hostler/main.css", headers={} if accept is None else {"Accept-Encoding": accept})
    assert answer.status == 200 and answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    assert (gzip.decompress(answer.body) if packed else answer.body) == plain.body
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert (answer.headers["etag"] == plain.headers["etag"]) != packed


def test_who_has_it_is_told_so(server):
    for path in ("/", "/hostler/main.js"):
        for headers in ({}, GZIP):
            tag = server.get(path, headers=headers).headers["etag"]
            for known in (tag, f'W/{tag}', f'"x", {tag}', "*"):
                answer = server.get(path, headers={**headers, "If-None-Match": known})
                assert answer.status == 304 and not answer.body and answer.headers["etag"] == tag
                assert "content-encoding" not in answer.headers
            assert server.get(path, headers={**headers, "If-None-Match": '"x"'}).status == 200


def test_how_long_it_may_be_kept(server):
    assert server.get("/").headers["cache-control"] == "no-cache"
    assert server.get("/hostler/main.js").headers["cache-control"] == "no-cache"
    chunk = re.search(r"chunk-[A-Za-z0-9_]+\.js", server.get("/hostler/main.js").body.decode())
    if chunk:
        assert "immutable" in server.get(f"/hostler/{chunk[0]}").headers["cache-control"]


def test_head_and_other_methods(server):
    for path in ("/", "/hostler/", "/hostler/main.js"):
        get, head = server.get(path), server.request("HEAD", path)
        assert head.status == 200 and not head.body
        assert {**head.headers, "date": ""} == {**get.headers, "date": ""}
        refused = server.post(path, {}, headers={"X-Api-Key": "k"})
        assert refused.status == 405 and refused.headers["allow"] == "GET, HEAD, OPTIONS"


def test_a_path_without_its_slash_leads_there(server):
    answer = server.get("/hostler")
    assert (answer.status, answer.headers["location"]) == (301, "/hostler/")


@pytest.mark.parametrize("path", ["/hostler/nothing.js", "/hostler/v1", "/hostler/../hostler/main.js", "/hostler/%6dain.js",
                                  "/hostler/index.html/", "/hostler//", "/hostler/main.js/", "/main.js"])
def test_what_is_none_of_its_files(server, path):
    is_json_error(server.get(path, headers={"X-Api-Key": "k"}), 404)


def test_a_client_that_reads_slowly_gets_it_all(server):
    """The answer waits in the page's own memory, and other clients are served meanwhile."""
    whole = server.get("/hostler/main.js").body
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.sendall(b"GET /hostler/main.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert server.get("/health").status == 200
        got = b""
        while piece := slow.recv(1000):
            got += piece
    assert got.split(b"\r\n\r\n", 1)[1] == whole


def test_below_a_prefix(hostler, models):
    server = hostler("--models-dir", models, "--api-prefix", "/a/b")
    assert server.get("/").status == server.get("/hostler/").status == 404
    for folder in ("/a/b/", "/a/b/hostler/"):
        for name in named_by(server.get(folder).body.decode()):
            assert server.get(folder + name).status == 200
    assert server.get("/a/b/hostler").headers["location"] == "/a/b/hostler/"


@pytest.mark.parametrize("off", [
    (["--no-ui"], {}), (["--no-webui"], {}), (["--ui", "--no-ui"], {}), ([], {"LLAMA_ARG_UI": "0"}),
    ([], {"LLAMA_ARG_NO_UI": "1"}), ([], {"LLAMA_ARG_NO_WEBUI": "1"}), ([], {"LLAMA_ARG_WEBUI": "off"})], ids=repr)
def test_it_can_be_turned_off(hostler, models, off):
    args, env = off
    server = hostler("--models-dir", models, *args, env=env)
    for path in ("/", "/hostler", "/hostler/", "/hostler/main.js"):
        is_json_error(server.get(path), 404)
    assert server.get("/hostler/v1/status").status == 200


@pytest.mark.parametrize("args", [["--ui"], ["--webui"], ["--no-ui", "--ui"], ["--ui", "hostler"]], ids=repr)
def test_it_is_on(hostler, models, args):
    server = hostler("--models-dir", models, *args)
    assert server.get("/").status == server.get("/hostler/").status == 200


def test_files_of_path_hide_it_at_the_root_only(hostler, models, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    server = hostler("--models-dir", models, "--path", folder)
    assert b"hostler/main.js" in server.get("/").body
    (folder / "index.html").write_text("theirs", encoding="utf-8")
    assert server.get("/").body == b"theirs"
    assert b"main.js" in server.get("/hostler/").body


def test_in_classic_mode_the_root_is_the_engines(hostler, tmp_path):
    folder = fake_models(tmp_path / "models", a={})
    server = hostler("--model", folder / "a.gguf", engine=FAKE_ENGINE)
    until(lambda: server.get("/health").status == 200)
    assert b"main.js" in server.get("/hostler/").body
    assert b"main.js" not in server.get("/").body


def test_a_name_that_leads_here_does_not_get_it(server):
    assert server.get("/", headers={"Host": "evil.example"}).status == 421


# --- doctor -----------------------------------------------------------------------------------------------------------

DOCTOR = "/hostler/v1/doctor"


def test_the_doctors_findings(server):
    assert server.get(DOCTOR).status == 401
    report = server.get(DOCTOR, headers={"Authorization": "Bearer k"}).json
    by_check = {f["check"]: f for f in report["findings"]}
    assert by_check["server"]["level"] == "ok" and "with 4 models" in by_check["server"]["what"]
    assert "key" not in by_check, "it asks with the key of who asked"


def test_doctors_findings_are_kept_for_a_while(server):
    """Those who ask at once, and shortly after, get the findings of one run."""
    key = {"X-Api-Key": "k"}
    with ThreadPoolExecutor(8) as pool:
        bodies = {a.body for a in pool.map(lambda _: server.get(DOCTOR, headers=key), range(8))}
    assert len(bodies) == 1 and server.get(DOCTOR, headers=key).body in bodies


def test_the_doctor_finds_its_server_below_a_prefix(hostler, models):
    server = hostler("--models-dir", models, "--api-prefix", "/p")
    assert server.get("/p" + DOCTOR).json["findings"][0]["what"].endswith("with 4 models")


def test_the_doctor_over_a_unix_socket(hostler, models):
    server = hostler("--models-dir", models, "--api-prefix", "/p", unix=True)
    report = server.get("/p" + DOCTOR).json
    assert report["url"].startswith("unix:") and report["findings"][0]["level"] == "ok"


def test_a_client_that_leaves_does_not_end_the_run(hostler, models):
    server = hostler("--models-dir", models)
    with socket.create_connection(("127.0.0.1", server.port)) as gone:
        gone.sendall(f"GET {DOCTOR} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: server.get("/health").status == 200)
    assert server.get(DOCTOR).status == 200


# --- the engine's own page --------------------------------------------------------------------------------------------

UI = {"/": ("text/html; charset=utf-8", '<!doctype html><script src="./_app/start.js"></script><link href="./_app/app.css">'
                                        "<script>import('./bundle.js')</script>"),
      "/_app/start.js": ("text/javascript", 'import"./chunks/a.mjs";const deps=["_app/nodes/0.js"];fetch("./v1/models.json")'),
      "/_app/chunks/a.mjs": ("text/javascript", 'export const up = "../../favicon.svg"'),
      "/_app/nodes/0.js": ("text/javascript", "0"), "/_app/app.css": ("text/css", "a{src:url(fonts/f.woff2)}"),
      "/_app/fonts/f.woff2": ("font/woff2", "\0font"), "/favicon.svg": ("image/svg+xml", "<svg/>"), "/bundle.js": ("text/javascript", "1")}

# What it is started as: a router, which serves a page on a unix socket as llama-server does, packed whether asked or not.
ENGINE_WITH_UI = """#!{python}
import gzip, http.server, os, socketserver, sys
args = sys.argv[1:]
if "--models-dir" not in args or "--host" not in args or not args[args.index("--host") + 1].endswith(".sock"):
    os.execv({fake!r}, [{fake!r}, *args])
if any(name.startswith("LLAMA_ARG_") for name in os.environ) or os.listdir(args[args.index("--models-dir") + 1]):
    sys.exit(1)
ui = {ui!r}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, text = ui.get(self.path, ("application/json", ""))
        body = gzip.compress(text.encode()) if kind.startswith("text/") else text.encode()
        self.send_response(200 if self.path in ui or self.path == "/health" else 404)
        self.send_header("Content-Type", kind)
        if kind.startswith("text/"):
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        print("x" * 10000, flush=True)
    def address_string(self):
        return "unix"
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    def get_request(self):
        return self.socket.accept()[0], ("unix", 0)
Server(args[args.index("--host") + 1], Handler).serve_forever()
"""


@pytest.fixture
def engine_with_ui(tmp_path):
    path = tmp_path / "llama-server"
    path.write_text(ENGINE_WITH_UI.format(python="/usr/bin/env python3", fake=str(FAKE_ENGINE), ui=UI), encoding="utf-8")
    path.chmod(0o755)
    return path


def started_for_its_page():
    return [p for p in pathlib.Path("/proc").glob("[0-9]*") if p.name.isdigit() and b"hostler-ui-" in read(p / "cmdline")]


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_engines_page_is_served(hostler, models, engine_with_ui, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    server = hostler("--models-dir", models, "--ui", "engine", "--api-key", "k", "--api-prefix", "/p", engine=engine_with_ui,
                     env={"TMPDIR": str(temporary), "LLAMA_ARG_CTX_SIZE": "256"})
    assert f"has a web page, of {len(UI)} files" in server.log()
    for path, (kind, text) in UI.items():
        answer = server.get("/p" + path, headers=GZIP)
        packed = answer.headers.get("content-encoding") == "gzip"
        assert (answer.status, answer.headers["content-type"]) == (200, kind) and packed == kind.startswith("text/")
        assert (gzip.decompress(answer.body) if packed else answer.body) == text.encode()
        assert "content-security-policy" not in answer.headers
        assert not server.request("HEAD", "/p" + path).body
    assert b"main.js" in server.get("/p/hostler/").body
    assert server.get("/p/v1/models").status == 401 and server.get("/p/nothing.js").status == 401
    assert server.post("/p/bundle.js", {}).status == 401
    assert not list(temporary.glob("hostler-ui-*"))  # the engines' sockets may be in there, too
    assert not [p for p in started_for_its_page() if str(temporary).encode() in read(p / "cmdline")]
    args = server.get("/p/models", headers={"X-Api-Key": "k"}).json["data"][0]["status"]["args"]
    assert "engine" not in args


def test_an_engine_without_a_page(hostler, models):
    """Debian's build has none."""
    server = hostler("--models-dir", models, "--ui", "engine")
    if "has no web page" in server.log():
        assert b"hostler/main.js" in server.get("/").body
    else:
        assert b"hostler/main.js" not in server.get("/").body
    assert b"main.js" in server.get("/hostler/").body


def test_an_engine_that_cannot_be_asked(hostler, models, tmp_path):
    """One that ends at once, as builds without a router do."""
    path = tmp_path / "llama-server"
    path.write_text(f'#!/bin/sh\ncase "$*" in *hostler-ui-*) exit 1 ;; esac\nexec {FAKE_ENGINE} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    server = hostler("--models-dir", models, "--ui", "engine", engine=path)
    assert "has no web page" in server.log() and b"hostler/main.js" in server.get("/").body
