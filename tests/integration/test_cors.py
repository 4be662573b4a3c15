# SPDX-License-Identifier: MIT
"""Pages of other origins: told what llama-server tells them, in both modes and on every answer."""
import pathlib

import pytest

from conftest import until
from wire import FAKE_ENGINE, Wire, chat, fake_models

PAGE = "http://page.example"
TOKENIZE = {"model": "m1", "content": "hi"}


def told(head):
    return {n: v for n, v in head.fields if n.startswith("access-control-")}


def answers(server, origin):
    """What a page of `origin` gets on good answers, errors, and before it asks."""
    found = {}
    for method, target, body, more in (
            ("GET", "/health", b"", {}), ("HEAD", "/health", b"", {}), ("GET", "/nowhere", b"", {}),
            ("POST", "/tokenize", TOKENIZE, {}), ("POST", "/tokenize", b"{", {}),
            ("OPTIONS", "/tokenize", b"", {"Access_Control_Request_Method": "POST"})):
        with Wire(server) as wire:
            wire.ask(method, target, body, Origin=origin, Connection="close", **more)
            found[method, target, bool(body)] = told(wire.head())
    return found


SAME = {
    "default": [],
    "one": ["--cors-origins", PAGE],
    "this machine": ["--cors-origins", "localhost"],
    "no credentials": ["--no-cors-credentials"],
    "methods and fields": ["--cors-methods", "GET, PUT", "--cors-headers", "X-A, X-B"],
}


@pytest.mark.parametrize("mode", ["router", "classic"])
@pytest.mark.parametrize("args", SAME.values(), ids=SAME)
def test_as_llama_server_has_it(hostler, stock, models, mode, args):
    source = ["--models-dir", models] if mode == "router" else ["--model", models / "m1.gguf"]
    ours, theirs = hostler(*source, *args), stock(*source, *args)
    until(lambda: ours.get("/health").status == 200)
    for origin in (PAGE, "http://localhost:3000"):
        if args[:1] == ["--cors-origins"] and origin not in args and "localhost" not in args:
            continue  # it is told another's name there, and nothing here: refused in both
        assert answers(ours, origin) == answers(theirs, origin)


def test_a_list_means_each_of_it(hostler, models):
    """llama-server sends the list itself, which no browser understands."""
    server = hostler("--models-dir", models, "--cors-origins", f"http://other.example,{PAGE}")
    for fields in answers(server, PAGE).values():
        assert fields["access-control-allow-origin"] == PAGE
    for fields in answers(server, "http://third.example").values():
        assert "access-control-allow-origin" not in fields


def test_without_an_origin_nothing_is_said(hostler, models):
    server = hostler("--models-dir", models)
    for request in ("/health", "/nowhere"):
        assert not [n for n in server.get(request).headers if n.startswith("access-control-")]


def test_the_engines_own_word_is_dropped(hostler, models):
    """It says an empty Access-Control-Allow-Origin, or a second one."""
    server = hostler("--models-dir", models, "--no-cors-credentials")
    assert not [n for n in server.tokenize("m1").headers if n.startswith("access-control-")]
    with Wire(server) as wire:
        head = wire.ask("POST", "/tokenize", TOKENIZE, Origin=PAGE).head()
        assert [v for n, v in head.fields if n == "access-control-allow-origin"] == ["*"]


def test_streams_and_keys(hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "models", a={}), "--api-key", "k",
                     engine=FAKE_ENGINE)
    for key, status in (({}, 401), ({"Authorization": "Bearer k"}, 200)):
        with Wire(server) as wire:
            head = wire.ask("POST", "/v1/chat/completions", chat("a", stream=True), Origin=PAGE,
                            **key).head()
            assert head.status == status
            assert head["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("args,env,origin,allowed", [
    (["--tools", "all"], {}, PAGE, False), (["--tools", "all"], {}, "http://localhost:1", True),
    (["--tools", "all", "--cors-origins", "*"], {}, PAGE, True),
    (["--agent"], {}, PAGE, False), (["--no-agent"], {}, PAGE, True),
    ([], {"LLAMA_ARG_TOOLS": "all"}, PAGE, False),
    ([], {"LLAMA_ARG_CORS_ORIGINS": "localhost"}, PAGE, False),
    (["--cors-origins", ""], {}, PAGE, False)])
def test_who_may_ask_by_default(hostler, models, args, env, origin, allowed):
    server = hostler("--models-dir", models, *args, env=env)
    with Wire(server) as wire:
        head = wire.ask("GET", "/health", Origin=origin).head()
    assert head["access-control-allow-origin"] == (origin if allowed else None)


def test_engines_do_not_get_the_options(hostler, models):
    server = hostler("--models-dir", models, "--cors-methods", "GET",
                     env={"LLAMA_ARG_CORS_ORIGINS": PAGE})
    server.tokenize("m1")
    pid = server.engines()["m1"]["pid"]
    for place in ("cmdline", "environ"):
        assert b"cors" not in pathlib.Path(f"/proc/{pid}/{place}").read_bytes().lower()
    assert "cors" not in server.get("/models").body.decode()
