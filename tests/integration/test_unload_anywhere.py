# SPDX-License-Identifier: MIT
"""`hostler unload` on every kind of server: hostler and a stock llama.cpp router for real, llama-swap
and Ollama from their documented shapes; and on what is none of them, told apart with its remedy."""
import json
import os
import re
import subprocess
import threading

import pytest

import tiny_model
from background import background
from conftest import HOSTLER, PATIENCE, Server, clean_env, run_cli, until
from fake_http import Fake, Handler
from fake_llama_swap import FakeLlamaSwap
from fake_ollama import FakeOllama

NAMES = ["we ird", 'quo"te', "a'b", "a$(touch pwned)", "ünï🚀", "-dash", "--all", "back\\slash",
         "`id`", "50%25", "new\nline", "tab\there", "#hash?q=1&x"]
SLASHED = ["author/model", "../up", "a//b", "/"]


# --- servers of one face ---------------------------------------------------------------------------

class Llama:
    """A real router: hostler, or a stock llama-server. What the tests ask of any kind."""

    def __init__(self, server):
        self.server = server

    def load(self, *names):
        for name in names:
            assert self.server.post("/models/load", {"model": name}).status == 200
        until(lambda: set(self.loaded("loaded")) >= set(names), what=f"loading {names}")

    def loaded(self, *states):
        listed = self.server.get("/models").json["data"]
        return sorted(m["id"] for m in listed
                      if m["status"]["value"] in (states or ("loaded", "loading", "sleeping")))


class Made:
    """A fake: what is loaded is a set."""

    def __init__(self, server):
        self.server = server

    def load(self, *names):
        for name in names:
            if isinstance(self.server, FakeOllama):
                self.server.load(name)
            else:
                self.server.running[name] = "ready"

    def loaded(self, *_):
        if isinstance(self.server, FakeOllama):
            return sorted(m["name"] for m in self.server.loaded_models())
        return sorted(self.server.running)


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    model = tiny_model.make(str(folder / "first.gguf"))
    for name in ["second", "third", *NAMES]:
        os.link(model, folder / f"{name}.gguf")
    return folder


@pytest.fixture(scope="module")
def stock_router(engine, odd_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stock")
    server = Server([engine, "--models-dir", odd_folder, "--models-max", "4", "--host",
                     folder / "s.sock"], clean_env(LLAMA_CACHE=str(folder)), folder / "log")
    server.socket = folder / "s.sock"

    def answers():
        try:
            return server.get("/health").status == 200
        except OSError:
            return False
    until(answers, what="llama-server")
    yield server
    server.kill()


@pytest.fixture(scope="module")
def hostler_server(module_hostler, odd_folder):
    return module_hostler("--models-dir", odd_folder)


@pytest.fixture(params=["hostler", "stock", "llama-swap", "ollama"])
def any_server(request):
    """With the models `first`, `second`, `third` and all of NAMES, none loaded."""
    if request.param in ("hostler", "stock"):
        server = request.getfixturevalue(
            "hostler_server" if request.param == "hostler" else "stock_router")
        face = Llama(server)
        yield face
        for name in face.loaded():
            server.post("/models/unload", {"model": name})
        until(lambda: not face.loaded(), what="all being unloaded")
        return
    kind = FakeLlamaSwap if request.param == "llama-swap" else FakeOllama
    server = kind(["first", "second", "third", *NAMES, *SLASHED])
    yield Made(server)
    server.stop()


def cli(face, *args, **kw):
    server = getattr(face, "server", face)
    if isinstance(server, Fake):
        kw["env"] = {"HOSTLER_URL": server.url, **kw.get("env", {})}
        server = None
    done = run_cli(*args, server=server, **kw)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    assert "\033" not in done.stdout
    return done


def results(done):
    return {r["model"]: r["result"] for r in json.loads(done.stdout)["results"]}


# --- the same everywhere ---------------------------------------------------------------------------

def test_all_go(any_server):
    any_server.load("first", "second", "third")
    done = cli(any_server, "unload", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for name in ("first", "second", "third"):
        assert sum(bool(re.match(rf"{name} unloaded in \S+ m?s", line)) for line in lines) == 1
    assert any_server.loaded() == []
    assert cli(any_server, "unload", "--all").stdout == "nothing to unload\n"


def test_all_but_one(any_server):
    any_server.load("first", "second")
    done = cli(any_server, "unload", "--all", "--except", "second", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert results(done)["first"] == "unloaded" and results(done).get("second") in (None, "skipped")
    assert any_server.loaded() == ["second"]


def test_a_slip_in_except_unloads_nothing(any_server):
    any_server.load("first")
    done = cli(any_server, "unload", "--all", "--except", "frist")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'first'?" in done.stderr and "nothing was unloaded" in done.stderr
    assert any_server.loaded() == ["first"]


def test_some_by_name(any_server):
    any_server.load("first", "second")
    done = cli(any_server, "unload", "first", "third", "frist")
    assert done.returncode == 1
    assert re.match(r"first unloaded in ", done.stdout) and "third not loaded\n" in done.stdout
    assert "there is no model 'frist'" in done.stderr and "did you mean 'first'?" in done.stderr
    assert any_server.loaded() == ["second"]


def test_dry_run_does_nothing(any_server):
    any_server.load("first", "second")
    done = cli(any_server, "unload", "--all", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["first", "second"]
    assert all("would be unloaded" in line for line in done.stdout.splitlines())
    assert results(cli(any_server, "unload", "--all", "--dry-run", "--json")) == {
        "first": "unloaded", "second": "unloaded"}
    assert any_server.loaded() == ["first", "second"]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names(any_server, name):
    """As data, all the way: no shell, no path, no query, no JSON of it."""
    listed = [m["id"] for m in json.loads(cli(any_server, "list", "--json").stdout)["models"]]
    if name not in listed:
        pytest.skip("this server does not serve a model of that name")
    any_server.load(name, "first")
    done = cli(any_server, "unload", "--", name)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == done.stdout.count(" unloaded in ") + done.stdout.count("now has")
    shown = re.sub(r"[\n\t]", "?", name)
    assert done.stdout.startswith(f"{shown} unloaded in ")
    assert any_server.loaded() == ["first"]


def test_names_with_slashes():
    for kind in (FakeLlamaSwap, FakeOllama):
        server = kind(SLASHED)
        face = Made(server)
        for name in SLASHED:
            face.load(name)
            done = cli(face, "unload", "--", name)
            assert (done.returncode, done.stderr) == (0, ""), (kind, name)
            assert face.loaded() == []
        server.stop()


def test_from_cron(any_server):
    """No terminal, no home, no locale, stdin closed: as cron and systemd start things."""
    any_server.load("first")
    server = any_server.server
    unix = not isinstance(server, Fake) and server.socket
    url = f"unix:{unix}" if unix else f"http://127.0.0.1:{server.port}"
    done = subprocess.run([HOSTLER, "--url", url, "unload", "--all"], env={"PATH": "/usr/bin:/bin"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
                          cwd="/", start_new_session=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("first unloaded in ") and "\r" not in done.stdout + done.stderr
    assert any_server.loaded() == []


@pytest.mark.parametrize("option", ["--drain=5", "--force", "--hold", "--reason=x"])
def test_what_only_hostler_can_do_is_refused_elsewhere(any_server, option):
    any_server.load("first")
    done = cli(any_server, "unload", "--all", option)
    if done.returncode == 0:
        assert cli(any_server, "version").stdout.count("hostler") > 1
        cli(any_server, "release", "--all")
        return
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing was unloaded" in done.stderr and option.split("=")[0] in done.stderr
    assert any_server.loaded() == ["first"]


# --- models that come back -------------------------------------------------------------------------

def keep_asking(server, stop):
    while not stop.is_set():
        server.post("/tokenize", {"model": "first", "content": "x"},
                    headers={"User-Agent": "stubborn/1"})


@pytest.mark.parametrize("args", [["first"], ["--all"]])
def test_a_model_that_comes_back_on_hostler_is_told_with_who_asked(hostler_server, args):
    face = Llama(hostler_server)
    face.load("first")
    stop = threading.Event()
    client = background(keep_asking, hostler_server, stop)
    try:
        done = cli(face, "unload", *args)
    finally:
        stop.set()
    client.result(PATIENCE)
    assert done.returncode == 1
    assert "model 'first' was unloaded, but a request loaded it again: " in done.stderr
    assert "POST /tokenize from 127.0.0.1" in done.stderr and "stubborn/1" in done.stderr
    assert "hostler unload --hold -- first" in done.stderr
    cli(face, "unload", "--all")


def test_a_model_that_comes_back_elsewhere():
    for server in (FakeLlamaSwap(["a", "b"], ["a", "b"], returns="a"),
                   FakeOllama(["a:latest", "b:latest"], ["a:latest", "b:latest"],
                              returns="a:latest")):
        done = cli(Made(server), "unload", "--all", "--json")
        assert done.returncode == 1, done.stdout
        assert [r["reason"] for r in json.loads(done.stdout)["results"]
                if r["result"] == "failed"] == ["loaded_again"]
        server.stop()


# --- llama-swap ------------------------------------------------------------------------------------

def test_llama_swap_is_asked_once_for_all():
    server = FakeLlamaSwap(["a", "b/c", "d"], ["a", "b/c"], unlisted=["b/c"])
    done = cli(Made(server), "unload", "--all")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["a", "b/c"]
    assert [path for _, path, _ in server.asked if "unload" in path] == ["/unload"]
    server.stop()


def test_llama_swap_is_asked_for_each_when_some_stay():
    server = FakeLlamaSwap(["a", "b/c", "d"], ["a", "b/c", "d"])
    assert cli(Made(server), "unload", "--all", "--except=d").returncode == 0
    assert [(m, p) for m, p, _ in server.asked if "unload" in p] == [
        ("POST", "/api/models/unload/a"), ("POST", "/api/models/unload/b%2Fc")]
    assert list(server.running) == ["d"]
    server.stop()


def test_llama_swap_wants_a_key():
    server = FakeLlamaSwap(["a"], ["a"], key="secret")
    done = cli(Made(server), "unload", "--all")
    assert (done.returncode, done.stdout) == (4, "") and "wants a key" in done.stderr
    done = cli(Made(server), "unload", "--all", env={"HOSTLER_API_KEY": "no"})
    assert done.returncode == 4 and "refused the key" in done.stderr
    assert cli(Made(server), "unload", "--all", env={"HOSTLER_API_KEY": "secret"}).returncode == 0
    assert not server.running
    server.stop()


# --- Ollama ----------------------------------------------------------------------------------------

def test_ollama_finishes_requests_first():
    server = FakeOllama(["a:latest", "b:7b"], ["a:latest", "b:7b"], busy_s=0.5)
    done = cli(Made(server), "unload", "--all", "--json")
    assert done.returncode == 0 and set(results(done).values()) == {"unloaded"}
    assert all(r["stopped_ms"] >= 400 for r in json.loads(done.stdout)["results"])
    asked = [json.loads(body) for m, p, body in server.asked if m == "POST"]
    assert asked == [{"model": m, "keep_alive": 0, "stream": False} for m in ("a:latest", "b:7b")]
    server.stop()


def test_ollama_names_may_lack_latest():
    server = FakeOllama(["a:latest"], ["a:latest"])
    done = cli(Made(server), "unload", "a")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("a:latest unloaded in ")
    server.stop()


def test_list_and_ps_of_others():
    swap = FakeLlamaSwap(["a", "b"], ["a"])
    assert [line.split()[:2] for line in cli(Made(swap), "list").stdout.splitlines()[1:]] == [
        ["a", "loaded"], ["b", "unloaded"]]
    ollama = FakeOllama(["a:latest", "b:latest"], ["a:latest"])
    assert "host 1.0 GiB, gpu 5.0 GiB" in cli(Made(ollama), "ps").stdout
    listed = {m["id"]: m for m in json.loads(cli(Made(ollama), "list", "--json").stdout)["models"]}
    assert listed["a:latest"]["context"] == 4096 and listed["b:latest"]["size"] == 4 << 30
    for server, kind in ((swap, "llama-swap"), (ollama, "Ollama")):
        done = cli(Made(server), "load", "b")
        assert (done.returncode, done.stdout) == (3, "") and f"is {kind}" in done.stderr
        done = cli(Made(server), "hold", "b")
        assert done.returncode == 3 and f"is {kind}, which has no holds" in done.stderr
        server.stop()


# --- what is none of them --------------------------------------------------------------------------

class Page(Fake):
    """Answers everything alike."""

    class handler(Handler):
        def route(self, path, body):
            self.answer(self.server.status, self.server.text, "text/html", **self.server.fields)

    def __init__(self, status, text="", **fields):
        self.status, self.text, self.fields = status, text, fields
        super().__init__()


NGINX_502 = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body></body></html>\r\n"
SPA = "<!doctype html>\n<html><head>\n<title>\n  Open WebUI </title></head></html>"


@pytest.mark.parametrize("page, words", [
    ((200, SPA), ["a web page, 'Open WebUI", "web interface", "router's own address"]),
    ((404, "<html><head><title>404 Not Found</title></head></html>"),
     ["status 404", "404 Not Found", "router's own address"]),
    ((502, NGINX_502), ["status 502", "Bad Gateway", "proxy whose server does not run"]),
    ((302, "", "Location", "/login"), ["redirects", "/login", "router's own address"]),
    ((308, "", "Location", "https://127.0.0.1:1/"), ["redirects", "https://", "name it with https"]),
    ((404, "404 page not found"), ["status 404", "name the router with --url"]),
    ((200, "hello"), ["something else than JSON", "name the router with --url"]),
])
def test_pages_and_proxies_are_told_apart(page, words):
    server = Page(*page[:2], **dict([page[2:]] if page[2:] else []))
    done = cli(Made(server), "unload", "--all")
    assert (done.returncode, done.stdout) == (3, "")
    for word in [server.url, *words]:
        assert word in done.stderr, done.stderr
    server.stop()


def test_a_page_that_wants_a_password():
    server = Page(401, "<html><title>401</title></html>")
    done = cli(Made(server), "unload", "--all")
    assert (done.returncode, done.stdout) == (4, "") and "wants a key" in done.stderr
    server.stop()


def test_a_single_model_server(stock, odd_folder):
    server = stock("-m", odd_folder / "first.gguf")
    done = cli(server, "unload", "--all")
    assert (done.returncode, done.stdout) == (3, "")
    assert "llama-server with one model" in done.stderr and "hostler doctor" in done.stderr


@pytest.mark.parametrize("entries", [
    [{"id": "a", "status": "loaded"}, {"id": "b", "status": "unloaded"}],
    [{"model": "a", "status": {"value": "loaded"}}, {"name": "b", "status": {"value": "unloaded"}}],
    [{"name": "a", "state": "loaded"}],
])
def test_routers_of_other_builds(entries):
    """A status that is a string or an object; `id`, `model` or `name`."""

    class Other(Fake):
        class handler(Handler):
            def route(self, path, body):
                if (self.command, path) == ("GET", "/models"):
                    self.answer(200, {"data": entries})
                elif (self.command, path) == ("POST", "/models/unload"):
                    name = json.loads(body)["model"]
                    for entry in entries:
                        if name in entry.values():
                            entry.pop("state", None)
                            entry["status"] = "unloaded"
                    self.answer(200, {"success": True})
                else:
                    self.answer(404, {"error": {"code": 404, "message": "File Not Found",
                                                "type": "not_found_error"}})

    server = Other()
    done = cli(Made(server), "unload", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("a unloaded in ") and done.stdout.count("\n") == 1
    server.stop()


class Stubborn(Fake):
    """Says yes, and its model stays."""

    class handler(Handler):
        def route(self, path, body):
            if (self.command, path) == ("GET", "/models"):
                self.answer(200, {"data": [{"id": "a", "status": {"value": "loaded"}}]})
            elif (self.command, path) == ("POST", "/models/unload"):
                self.answer(200, {"success": True})
            else:
                self.answer(404, {"error": {"code": 404, "message": "File Not Found"}})


@pytest.mark.parametrize("timeout, is_told", [("300ms", False), ("4s", True)])
def test_a_model_that_does_not_go(timeout, is_told):
    server = Stubborn()
    done = cli(Made(server), "unload", "--all", "--timeout", timeout)
    assert (done.returncode, done.stdout) == (1, "")
    assert "model 'a' is still loaded" in done.stderr
    assert ("waiting for 'a' to end" in done.stderr and "--timeout: 4s" in done.stderr) == is_told
    server.stop()


def test_a_router_without_the_route():
    class Old(Fake):
        class handler(Handler):
            def route(self, path, body):
                if path == "/models":
                    self.answer(200, {"data": [{"id": "a", "status": "loaded"}]})
                else:
                    self.answer(404, {"error": {"code": 404, "message": "File Not Found"}})

    server = Old()
    done = cli(Made(server), "unload", "--all")
    assert (done.returncode, done.stdout) == (1, "")
    assert "model 'a' was not unloaded" in done.stderr and "no POST /models/unload" in done.stderr
    server.stop()
