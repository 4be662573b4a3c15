# SPDX-License-Identifier: MIT
"""--path: a folder's files at `/`."""
import os

import pytest

from conformance.suite import OneOf, error

FILES = {"index.html": "<h1>start</h1>", "a.css": "a{}", "a.js": "a=1", "a.mjs": "m=1", "a.json": "{}", "a.txt": "0123456789",
         "a.svg": "<svg/>", "a.wasm": "w", "a.woff2": "w", "a.ico": "i", "a.png": "p", "a.map": "m", "none": "n", "UPPER.HTML": "u",
         ".hidden": "h", "with blank.txt": "b", "ä.txt": "a", "empty.txt": "", "sub/index.html": "sub", "sub/deep/b.html": "deep",
         "bare/b.txt": "b"}
TYPES = ["/a.css", "/a.js", "/a.mjs", "/a.json", "/a.txt", "/a.svg", "/a.wasm", "/a.woff2", "/a.ico", "/a.png", "/a.map", "/none",
         "/UPPER.HTML", "/.hidden", "/with%20blank.txt", "/%C3%A4.txt", "/empty.txt", "/index.html", "/", "/sub/", "/sub/deep/b.html",
         "/a.txt?x=1"]
MISSING = ["/nothing", "/nothing/at/all", "/bare/", "/a.txt/", "/a.txt%00", "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt",
           "/sub/../../secret.txt", "/sub/%2e%2e/%2e%2e/secret.txt", "/out/"]
PLAIN = ["/sub/../a.txt", "/sub/%2e%2e/a.txt", "//a.txt", "/./a.txt", "/%61.txt", "/sub%2findex.html", "/in.txt", "/in_absolute.txt",
         "/in/index.html"]


def site(start):
    folder = start.file("secret.txt", "secret").parent
    start.file("outside/secret.txt", "secret")
    for name, text in FILES.items():
        start.file(f"site/{name}", text)
    for link, target in {"out": "../outside", "out.txt": "../secret.txt", "in": "sub", "in.txt": "a.txt",
                         "in_absolute.txt": folder / "site" / "a.txt", "again": "../site"}.items():
        os.symlink(target, folder / "site" / link)
    return folder / "site"


def serve(start, models, *more):
    return start("--models-dir", models, "--path", site(start), *more)


def fields(got, *names):
    return {"status": got.status, "body": got.body.decode(errors="replace"), **{n: got.headers.get(n) for n in names}}


def test_files(start, models, see):
    server = serve(start, models)
    for path in TYPES + PLAIN:
        see(path, fields(server.get(path), "content-type"), {"status": 200})


def test_what_is_no_file(start, models, see):
    server = serve(start, models)
    for path in MISSING:
        see(path, server.get(path), error(404, kind="not_found_error"))


def test_links_that_lead_out(start, models, see):
    server = serve(start, models)
    for path in ("/out.txt", "/out/secret.txt", "/again/../../secret.txt"):
        got = server.get(path)
        see(path, {"status": got.status, "secret": b"secret" == got.body}, {"status": OneOf(403, 404), "secret": False})


def test_a_folder_without_its_slash(start, models, see):
    server = serve(start, models)
    for path in ("/sub", "/bare", "/in", "/s%75b"):
        got = server.get(path)
        see(path, {"status": got.status}, {"status": 301})
    see("where", server.get("/sub").headers["location"], "/sub/")


def test_head(start, models, see):
    server = serve(start, models)
    got = server.request("HEAD", "/a.txt")
    see("head", fields(got, "content-type", "content-length", "accept-ranges"),
        {"status": 200, "body": "", "content-type": "text/plain", "content-length": "10", "accept-ranges": "bytes"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods(start, models, see, method):
    server = serve(start, models)
    see("answer", server.request(method, "/a.txt", "x"), error(404, kind="not_found_error"))


def test_ranges(start, models, see):
    server = serve(start, models)
    for wanted in ("bytes=0-1", "bytes=2-", "bytes=-3", "bytes=0-99", "bytes=-99", "bytes=9-9"):
        see(wanted, fields(server.get("/a.txt", headers={"Range": wanted}), "content-type", "content-length", "content-range"),
            {"status": 206})
    for wanted in ("bytes=10-", "bytes=5-4", "bytes=x", "items=0-1", "bytes=", "bytes=-0", "bytes=0-0,10-11"):
        see(wanted, {"status": server.get("/a.txt", headers={"Range": wanted}).status}, {"status": 416})


def test_several_ranges(start, models, see):
    server = serve(start, models)
    got = server.get("/a.txt", headers={"Range": "bytes=0-1,5-6,-1"})
    kind, _, boundary = got.headers["content-type"].partition("; boundary=")
    parts = [part.strip(b"\r\n").decode() for part in got.body.split(b"--" + boundary.encode())]
    see("parts", {"status": got.status, "type": kind, "parts": [p.splitlines() for p in parts]},
        {"status": 206, "type": "multipart/byteranges"})


def test_what_the_client_has_already(start, models, see):
    server = serve(start, models)
    first = server.get("/a.txt")
    tag, date = first.headers["etag"], first.headers["last-modified"]
    see("tag", tag.startswith('W/"') and tag.endswith('-a"'), True)
    for name, value, status in (("If-None-Match", tag, 304), ("If-None-Match", f'"x", {tag}', 304), ("If-None-Match", '"x"', 200),
                                ("If-None-Match", "*", 304), ("If-Modified-Since", date, 304),
                                ("If-Modified-Since", "Mon, 30 Nov 2020 11:45:14 GMT", 200), ("If-Modified-Since", "x", 200)):
        see(f"{name} {status} {len(value)}", server.get("/a.txt", headers={name: value}).status, status)
    both = {"Range": "bytes=0-1", "If-Range": '"x"'}
    see("If-Range", {"status": server.get("/a.txt", headers=both).status}, {"status": 200})


def test_with_a_key(start, models, see):
    """The start page is open, and nothing else."""
    server = serve(start, models, "--api-key", "k")
    for path in ("/", "/index.html", "/a.js", "/sub/", "/nothing"):
        see(path, {"status": server.get(path).status}, {"status": 200 if path == "/" else 401})
    see("key", server.get("/a.js", headers={"Authorization": "Bearer k"}).status, 200)


def test_below_a_prefix(start, models, see):
    server = serve(start, models, "--api-prefix", "/p")
    for path, status in (("/p/a.txt", 200), ("/p/", 200), ("/a.txt", 404), ("/", 404)):
        see(path, {"status": server.get(path).status}, {"status": status})


def test_by_a_variable(start, models, see):
    server = start("--models-dir", models, env={"LLAMA_ARG_STATIC_PATH": str(site(start))})
    see("file", fields(server.get("/a.txt"), "content-type"), {"status": 200, "body": FILES["a.txt"]})


def test_models_are_loaded_as_ever(start, models, see):
    server = serve(start, models)
    see("answer", server.tokenize("m1").status, 200)
    see("list", [m["id"] for m in server.get("/v1/models").json["data"]], ["m1", "m2", "m3", "m4"])
