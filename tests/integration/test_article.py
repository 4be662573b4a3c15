# SPDX-License-Identifier: MIT
"""One person, one box without a screen, and memory that is wanted back: what an operator does by hand,
section by section, against a stock llama.cpp router and against hostler. First as with curl, then
with our commands, which must come to the same on both."""
import json
import os
import pathlib
import re
import subprocess
import threading

import pytest

import tiny_model
from conftest import HOSTLER, PATIENCE, run_cli, until

ODD = ["we ird", "a'b", 'quo"te', "a$(touch pwned)", "`id`", "-dash", "ünï🚀"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """m1 to m3, and names that a script trips over."""
    made = tmp_path_factory.mktemp("article")
    first = tiny_model.make(str(made / "m1.gguf"))
    for name in ["m2", "m3", *ODD]:
        os.link(first, made / f"{name}.gguf")
    return made


@pytest.fixture(params=["stock", "hostler"])
def router(request, folder):
    server = request.getfixturevalue(request.param)("--models-dir", folder, "--models-max", "4")
    server.kind = request.param
    return server


def states(server):
    listed = server.get("/models").json["data"]
    return {m["id"]: m["status"]["value"] for m in listed}


def loaded(server):
    return sorted(m for m, state in states(server).items() if state != "unloaded")


def load(server, *names):
    for name in names:
        assert server.post("/models/load", {"model": name}).status == 200
    until(lambda: all(states(server)[n] == "loaded" for n in names), what=f"loading {names}")


def engines(server):
    """The processes that hold the memory."""
    threads = pathlib.Path(f"/proc/{server.pid}/task").glob("*/children")
    return [int(pid) for thread in threads for pid in thread.read_text(encoding="ascii").split()]


def test_list(router):
    load(router, "m1")
    listed = json.loads(run_cli("list", "--json", server=router).stdout)["models"]
    assert {m["id"]: m["state"] for m in listed} == states(router)
    lines = run_cli("list", server=router).stdout.splitlines()
    assert ["m1", "loaded"] in [l.split()[:2] for l in lines]
    assert ["m2", "unloaded"] in [l.split()[:2] for l in lines]
    assert [l.split()[:2] for l in run_cli("ps", server=router).stdout.splitlines()][1] == [
        "m1", "loaded"]


def test_unload_one(router):
    load(router, "m1", "m2", "m3")
    answer = router.post("/models/unload", {"model": "m1"})
    assert (answer.status, answer.json) == (200, {"success": True})
    until(lambda: loaded(router) == ["m2", "m3"], what="m1 unloaded")
    done = run_cli("unload", "m2", server=router)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("m2 unloaded in ")
    assert loaded(router) == ["m3"]  # at once: the command waits, the route does not


def test_unload_all(router):
    load(router, "m1", "m2")
    for name in loaded(router):  # the article's loop
        assert router.post("/models/unload", {"model": name}).status == 200
    until(lambda: not loaded(router), what="all unloaded")

    load(router, "m1", "m2", "m3")
    done = run_cli("unload", "--all", server=router)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(re.findall(r"^(m\d) unloaded in ", done.stdout, re.M)) == ["m1", "m2", "m3"]
    assert loaded(router) == []
    assert run_cli("unload", "--all", server=router).stdout == "nothing to unload\n"


@pytest.mark.parametrize("name", ODD)
def test_unusual_names(router, name):
    load(router, name)
    done = run_cli("unload", "--", name, server=router)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{name} unloaded in ")
    load(router, name)
    done = run_cli("unload", "--all", "--json", server=router)
    assert [(r["model"], r["result"]) for r in json.loads(done.stdout)["results"]] == [
        (name, "unloaded")]
    assert loaded(router) == [] and not pathlib.Path("pwned").exists()


@pytest.fixture
def client(router):
    """It asks again and again, whatever it is told."""
    over = threading.Event()

    def ask():
        while not over.is_set():
            try:
                router.post("/tokenize", {"model": "m1", "content": "hi"},
                            headers={"User-Agent": "a-client-that-stays/1.0"})
            except OSError:
                pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    until(lambda: states(router)["m1"] == "loaded", what="m1 loaded by a request")
    yield
    over.set()
    thread.join(PATIENCE)


@pytest.mark.usefixtures("client")
def test_reload_cause(router):
    for _ in range(20):  # until the client has asked before the command looks
        done = run_cli("unload", "--all", server=router)
        if done.returncode:
            break
    assert done.returncode == 1
    assert "model 'm1' was unloaded, but a request loaded it again" in done.stderr
    if router.kind == "stock":  # which cannot say who, nor keep it out
        assert "serve it with hostler, whose --hold prevents" in done.stderr
        return
    assert "POST /tokenize from" in done.stderr and "a-client-that-stays" in done.stderr
    until(lambda: "a-client-that-stays" in run_cli("show", "m1", server=router).stdout)
    assert "a-client-that-stays" in run_cli("requests", "m1", server=router).stdout
    assert run_cli("unload", "--all", "--hold", "--reason", "memory", server=router).returncode == 0
    assert router.post("/tokenize", {"model": "m1", "content": "hi"}).status == 503
    assert loaded(router) == []


def test_open_webuis_unload_call(router):
    """It reads a list below /v1, and ejects at the address without it."""
    load(router, "m1")
    listed = {m["id"]: m["status"]["value"] for m in router.get("/v1/models").json["data"]}
    assert listed["m1"] == "loaded" and listed["m2"] == "unloaded"
    answer = router.post("/models/unload", {"model": "m1"},
                         headers={"Content-Type": "application/json", "Authorization": "Bearer x"})
    assert answer.status == 200 and answer.headers["content-type"].startswith("application/json")
    assert answer.json == {"success": True}
    until(lambda: not loaded(router), what="m1 unloaded")
    wrong = router.post("/models/unload", {"model": "m1"})
    assert wrong.status == 400 and wrong.error["message"]


def from_cron(router, *command):
    """A session without a terminal, nearly no environment, and no stdin at all."""
    url = f"unix:{router.socket}" if router.socket else f"http://127.0.0.1:{router.port}"
    words = ["env", "-i", "PATH=/usr/bin:/bin", f"HOSTLER_URL={url}",
             "sh", "-c", 'exec "$@" <&-', "sh", HOSTLER, *command]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False,
                          start_new_session=True)


def test_cron_without_a_terminal(router):
    load(router, "m1", "m2")
    done = from_cron(router, "unload", "--all", "--except", "m2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("m1 unloaded in ") and "\x1b" not in done.stdout
    done = from_cron(router, "unload", "--all", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [r["model"] for r in json.loads(done.stdout)["results"] if r["result"] == "unloaded"] == [
        "m2"]
    done = from_cron(router, "unload", "--all")
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing to unload\n", "")
    done = from_cron(router, "unload", "m4")
    assert (done.returncode, done.stdout) == (1, "") and "there is no model 'm4'" in done.stderr
    assert from_cron(router, "unload").returncode == 2


@pytest.mark.parametrize("kind", ["stock", "hostler"])
def test_404(request, folder, kind):
    """A server of one model has no such route; hostler has it there, too."""
    server = request.getfixturevalue(kind)("-m", folder / "m1.gguf")
    done = run_cli("unload", "--all", server=server)
    if kind == "stock":
        assert server.post("/models/unload", {"model": "m1"}).status == 404
        assert (done.returncode, done.stdout) == (3, "")
        assert "it is a llama-server with one model" in done.stderr
        assert "its memory comes back when it ends" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("m1") and " unloaded in " in done.stdout


def test_wrong_id(router):
    load(router, "m1")
    answer = router.post("/models/unload", {"model": "M1.gguf"})
    assert answer.status in (400, 404) and answer.error["message"]
    done = run_cli("unload", "m11", server=router)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(r"hostler: there is no model 'm11'\n +did you mean 'm1'\?\n\Z", done.stderr)
    assert loaded(router) == ["m1"]


def test_memory_check(router):
    load(router, "m1", "m2")
    before = engines(router)
    assert len(before) >= 2
    done = run_cli("unload", "--all", server=router)
    assert done.returncode == 0
    assert not set(before) & set(engines(router))  # neither running nor left as zombies
    assert len(run_cli("ps", server=router).stdout.splitlines()) == (
        1 if router.kind == "stock" else 2)
    if router.kind == "hostler":
        assert re.search(r"^freed host \d", done.stdout, re.M)
        assert re.search(r"^host now has .* available$", done.stdout, re.M)
