# SPDX-License-Identifier: MIT
"""`hostler doctor`: every check, with the thing really broken, and where that can be, mended by the
very command that it prints.

Other tests run beside these, so a finding about the machine may be theirs: what is asserted is the
finding that this test is about.
"""
import concurrent.futures
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

import pytest

import tiny_model
from conftest import FAKE_ENGINE, HOSTLER, PATIENCE, SAN, clean_env, run_cli, until
from fake_http import Fake, Handler
from fake_llama_swap import FakeLlamaSwap
from fake_ollama import FakeOllama


class Report:
    def __init__(self, done):
        assert done.stdout, done.stderr
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        assert done.stderr == ""
        self.status = done.returncode
        self.body = json.loads(done.stdout)
        self.findings = self.body["findings"]

    def of(self, check, level="wrong"):
        return [f for f in self.findings if f["check"] == check and f["level"] == level]

    def one(self, check, level="wrong", **about):
        """The finding of that check, with these words in what, evidence or fix."""
        found = [f for f in self.of(check, level)
                 if all(word in (f[key] or "") for key, word in about.items())]
        assert len(found) == 1, (check, level, about, self.findings)
        return found[0]


def doctor(*args, server=None, **kw):
    return Report(run_cli("doctor", "--json", *args, server=server, **kw))


def mend(finding, **env):
    """Runs the one command that the finding names. `fix` holds it too, with its remark, as a text."""
    (remedy,) = finding["remedies"]
    command, remark = remedy["command"], remedy["remark"]
    assert finding["fix"] == command + (f"   # {remark}" if remark else "")
    done = subprocess.run(["bash", "-c", command], env=clean_env(**env), capture_output=True,
                          text=True, timeout=PATIENCE)
    assert done.returncode == 0, (command, done.stderr)


@pytest.fixture
def server(hostler, models):
    return hostler("--models-dir", models)


# --- all is well -----------------------------------------------------------------------------------

def test_nothing_is_wrong(server):
    report = doctor(server=server)
    wrong = {f["check"] for f in report.findings if f["level"] == "wrong"}
    assert wrong <= {"memory", "leftovers"}, report.findings  # of tests that run beside this one
    assert report.status == bool(wrong) and report.body["ok"] is not bool(wrong)
    assert {f["check"] for f in report.findings} >= {"server", "engine", "files", "open files"}
    assert all(f["evidence"] is None and f["fix"] is None for f in report.findings
               if f["level"] == "ok")


def test_as_text(server):
    done = run_cli("doctor", "m11", server=server)
    assert done.returncode == 1 and done.stderr == "" and "\033" not in done.stdout
    lines = done.stdout.splitlines()
    assert any(line.startswith("ok    server      hostler ") for line in lines)
    at = lines.index("wrong model       there is no model 'm11'")
    assert lines[at + 1].strip() == "the server lists 4"
    assert lines[at + 2].strip().startswith("fix: hostler doctor m1")
    assert lines[-1].endswith(" wrong")


# --- the server ------------------------------------------------------------------------------------

def unused_port():
    """Bound, not listening, as long as the socket lives."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken, taken.getsockname()[1]


def test_a_wrong_port(server):
    taken, port = unused_port()
    with taken:
        report = doctor("--url", f"http://127.0.0.1:{port}")
    assert report.status == 3 and not report.body["ok"]
    finding = report.one("server", what="nothing answers")
    assert "comes from --url" in finding["evidence"]
    assert finding["fix"] is None
    assert finding["advice"].startswith("use --url http://localhost:")  # which goes before any variable
    assert "answers" in finding["advice"]
    assert server.process.poll() is None


@pytest.mark.parametrize("variable", ["HOSTLER_URL", "LLAMA_SERVER_URL"])
def test_a_wrong_port_in_a_variable(server, variable):
    taken, port = unused_port()
    with taken:
        report = doctor(env={variable: f"http://127.0.0.1:{port}", "HOSTLER_API_KEY": "x"})
    finding = report.one("server", what="nothing answers")
    assert f"comes from {variable}" in finding["evidence"]
    assert finding["fix"].startswith(f"export {variable}=http://localhost:")


def test_nothing_listens_at_all(tmp_path):
    """In a network of its own, where nobody can be found."""
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a network namespace")
    done = subprocess.run(["unshare", "-n", str(HOSTLER), "doctor", "--json"], env=clean_env(),
                          capture_output=True, text=True, timeout=PATIENCE)
    finding = Report(done).one("server")
    assert done.returncode == 3 and "comes from the default" in finding["evidence"]
    assert "no router was found on another port" in finding["evidence"]
    assert "hostler serve" in finding["advice"] and finding["fix"] is None


def in_a_network_of_its_own(function):
    """Calls it where no other test listens; what it starts is there as well."""
    def call():
        if ctypes.CDLL(None).unshare(0x40000000):  # CLONE_NEWNET, for this thread alone
            pytest.skip("needs the right to make a network namespace")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
        return function()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def doctor_as_nobody(*args, **env):
    """As a user who is not root, whom no mode stops and no process hides from."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    with tempfile.TemporaryDirectory() as place:  # pytest's own are for their user only
        os.chmod(place, 0o755)
        shutil.copy(HOSTLER, place)
        return Report(subprocess.run(
            [f"{place}/hostler", "doctor", "--json", *args], env=clean_env(HOME="/nowhere", **env),
            user=65534, group=65534, extra_groups=[], cwd="/", capture_output=True, text=True,
            timeout=PATIENCE))


def test_a_stranger_gets_no_key():
    """The port of a process of another user: it is told of, and not offered as what mends anything."""
    class Stranger(Fake):
        class handler(Handler):
            def route(self, path, body):
                self.server.keys.append(self.headers["Authorization"])
                self.answer(401, {"error": {"message": "a key?"}})

        keys = []

    def look():
        stranger = Stranger()
        report = doctor_as_nobody(HOSTLER_API_KEY="s3cret")
        stranger.stop()
        return stranger, report

    stranger, report = in_a_network_of_its_own(look)
    finding = report.one("server", what="nothing answers")
    assert "from the default; no router of yours was found" in finding["evidence"]
    assert str(stranger.port) not in finding["advice"]
    note = report.one("server", "note")
    assert note["what"] == ("a server that wants a key of user root answers at "
                            f"http://localhost:{stranger.port}")
    assert "not yours" in note["evidence"] and note["fix"] is None
    assert stranger.keys and set(stranger.keys) == {None}


def test_a_socket_of_a_dead_server(hostler, models):
    server = hostler("--models-dir", models, unix=True)
    assert doctor(server=server).of("server", "ok")
    server.kill()
    report = doctor(server=server)
    assert report.status == 3 and "refused" in report.one("server")["what"]


def test_a_web_page_is_no_router():
    class Page(Fake):
        class handler(Handler):
            def route(self, path, body):
                self.answer(200, "<title>Open WebUI</title>", "text/html")

    page = Page()
    report = doctor("--url", page.url)
    assert report.status == 3
    assert "a web page, 'Open WebUI'" in report.one("server")["what"]
    page.stop()


def test_a_single_model_server_and_the_memory_that_it_holds(stock, models):
    single = stock("-m", models / "m1.gguf")
    report = doctor(server=single)
    assert report.status == 3
    finding = report.one("server", what="llama-server with one model")
    assert finding["evidence"] == f"it is pid {single.pid}"
    *other, end = finding["remedies"]  # another router, of a test beside this one
    assert not other or other[0]["command"].startswith("export HOSTLER_URL=")
    mend({"remedies": [end], "fix": finding["fix"].splitlines()[-1]})
    until(lambda: single.process.poll() is not None, what="its end")


def test_what_is_not_known_to_hold_one_model_is_not_ended(started, engine, models, tmp_path):
    path = tmp_path / "s.sock"
    single = started(engine, "-m", models / "m1.gguf", "--host", path, "--api-prefix", "/x")
    finding = until(lambda: doctor("--url", f"unix:{path}").of("server") if path.exists() else None,
                    what="its listening")[0]
    assert finding["evidence"] == f"it is pid {single.pid}"
    assert "kill" not in (finding["fix"] or "")


def test_a_server_that_is_still_loading():
    class Loading(Fake):
        class handler(Handler):
            def route(self, path, body):
                self.answer(503, {"error": {"code": 503, "message": "Loading model",
                                            "type": "unavailable_error"}})

    loading = Loading()
    report = doctor("--url", loading.url)
    assert not report.of("server")
    assert "is loading its model" in report.one("server", "note")["what"]
    assert "ask again" in report.one("server", "note")["advice"]
    loading.stop()


def test_a_single_model_server_whose_process_is_not_seen():
    """Who sees no pid is not told to ask the same once more."""
    class Single(Fake):
        class handler(Handler):
            def route(self, path, body):
                answers = {"/props": {"default_generation_settings": {}},
                           "/models": {"data": [{"id": "m"}]}}
                self.answer(200 if path in answers else 404, answers.get(path, {"error": "no"}))

    def look():
        single = Single()
        report = doctor("--url", single.url)
        single.stop()
        return report

    finding = in_a_network_of_its_own(look).one("server", what="llama-server with one model")
    assert "`hostler doctor` of the user who started it tells its pid" in finding["advice"]


@pytest.mark.parametrize("kind", [FakeLlamaSwap, FakeOllama])
def test_other_kinds_are_known(kind):
    other = kind(["a:latest"])
    report = doctor("a:latest", "--url", other.url)
    assert report.one("server", "ok")["what"].startswith(
        "llama-swap" if kind is FakeLlamaSwap else "Ollama")
    assert not report.of("engine") and not report.of("engine", "ok")
    other.stop()


def test_another_machine_is_not_looked_at():
    report = doctor("--url", "http://no-such-host.invalid:8080",
                    env={"no_proxy": "*", "http_proxy": "", "HTTP_PROXY": "", "all_proxy": ""})
    assert report.status == 3
    assert "is another machine" in report.one("machine", "note")["what"]
    assert {f["check"] for f in report.findings} == {"server", "machine"}


# --- the key ---------------------------------------------------------------------------------------

def test_a_key_is_missing_or_wrong(hostler, models, tmp_path):
    """The file is found from where the server was started, and its first key."""
    (tmp_path / "my keys").write_bytes(b"# mine\r\n\r\ns3cret\r\nother\n")
    server = hostler("--models-dir", models, "--api-key-file", "my keys",
                     launcher=["env", "-C", tmp_path])
    report = doctor(server=server)
    assert report.status == 4
    finding = report.one("key", what="wants a key")
    assert "HOSTLER_API_KEY and LLAMA_API_KEY are not set" in finding["evidence"]

    wrong = doctor(server=server, env={"HOSTLER_API_KEY": "s3cre"})
    assert wrong.status == 4
    assert wrong.one("key", what="refused the key")["evidence"] == "one of 5 characters was given"

    key = subprocess.run(["bash", "-c", finding["fix"] + '; printf %s "$HOSTLER_API_KEY"'],
                         capture_output=True, text=True, timeout=PATIENCE).stdout
    assert key == "s3cret"
    assert doctor(server=server, env={"HOSTLER_API_KEY": key}).of("server", "ok")


# --- models ----------------------------------------------------------------------------------------

def test_a_wrong_model_id(server):
    report = doctor("m11", server=server)
    assert report.status == 1
    finding = report.one("model", what="no model 'm11'")
    assert finding["fix"].startswith("hostler doctor m1")
    assert doctor("m1", server=server).one("model", "ok")["what"] == "'m1' is unloaded"


def test_a_model_that_failed_for_its_file(hostler, tmp_path):
    """One fault is told once: with what mends it."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "bad.gguf").write_text("<html>404</html>", encoding="utf-8")
    server = hostler("--models-dir", folder)
    assert run_cli("load", "bad", server=server).returncode == 1
    report = doctor(server=server)
    assert report.one("file", what="'bad'")["fix"].startswith("rm -- ")
    assert report.of("model") == []
    tiny_model.make(str(folder / "bad.gguf"))
    finding = doctor(server=server).one("model", what="'bad' is failed (while loading)")
    assert finding["evidence"] and finding["fix"].startswith("hostler load bad")


def test_a_model_whose_engine_crashed(server):
    """`list`, `show` and doctor say the same of it."""
    assert server.tokenize("m1").status == 200
    os.kill(server.engines()["m1"]["pid"], signal.SIGSEGV)
    until(lambda: server.models()["m1"]["status"].get("failed"), what="its end")
    assert " failed " in run_cli("list", server=server).stdout.split("m1", 1)[1].split("\n")[0]
    assert "state        failed (crashed: signal 11)\n" in run_cli("show", "m1", server=server).stdout
    finding = doctor("m1", server=server).one("model")
    assert finding["what"] == "'m1' is failed (crashed: signal 11)"
    assert not doctor("m1", server=server).of("model", "ok")


def test_a_held_model(server):
    assert run_cli("hold", "m1", "--reason", "games", server=server).returncode == 0
    report = doctor("m1", server=server)
    finding = report.one("hold", what="'m1' is held")
    assert finding["evidence"].startswith("until released, by ")
    assert finding["evidence"].endswith(": games") and finding["fix"] == "hostler release m1"
    assert report.one("room", "ok")["what"] == "'m1' would fit"  # not `can be loaded`
    assert run_cli("hold", "m1", "--for", "1h", server=server).returncode == 0
    assert re.match(r"until 20\d\d-\S+ \S+, by ", doctor("m1", server=server).one("hold")["evidence"])


def test_models_that_take_turns(hostler, models):
    server = hostler("--models-dir", models, "--models-max", "1")
    for model in ["m1", "m2"] * 3:
        assert server.tokenize(model, headers={"User-Agent": "turner/2"}).status == 200
    report = doctor(server=server)
    assert report.status == 1
    finding = report.one("reload")  # for both: pinned, each would keep the other out for good
    assert finding["what"] == "'m1', 'm2' took turns in the last 10m: each load evicts another"
    assert "'m1' was loaded 3 times" in finding["evidence"]
    assert "evicted to make room for 'm2', which POST /tokenize from 127.0.0.1" in finding["evidence"]
    assert "turner/2" in finding["evidence"]
    assert finding["fix"] is None and "--models-max" in finding["advice"]


def test_a_model_that_goes_for_others(hostler, models):
    """None of which comes back as often."""
    server = hostler("--models-dir", models, "--models-max", "1")
    for model in ("m1", "m2", "m1", "m3", "m1"):
        assert server.tokenize(model).status == 200
    finding = doctor(server=server).one("reload", what="'m1' was loaded 3 times")
    assert "evicted to make room for 'm3'" in finding["evidence"]
    assert finding["fix"].startswith("hostler pin m1")


def test_a_model_that_comes_back(server):
    assert server.tokenize("m1").status == 200
    assert run_cli("unload", "m1", server=server).returncode == 0
    assert server.tokenize("m1", headers={"User-Agent": "home-assistant"}).status == 200
    finding = doctor(server=server).one("reload", what="'m1' was loaded again")
    assert "home-assistant" in finding["evidence"] and "unloaded by" in finding["evidence"]
    assert finding["fix"] == "hostler unload --hold m1"


def test_what_an_operator_loads_again_is_no_return(server):
    for command in ("load", "unload", "load", "unload", "load"):
        assert run_cli(command, "m1", server=server).returncode == 0
    assert doctor(server=server).of("reload") == []


def estimated(server, model, **options):
    query = "".join(f"&{k.replace('_', '-')}={v}" for k, v in options.items())
    return server.get(f"/hostler/v1/estimate?model={model}{query}").json["memory"]["host"]


def test_a_model_that_fits_with_a_smaller_context(hostler, tmp_path):
    tiny_model.make(str(tmp_path / "long.gguf"), n_ctx_train=1 << 17)
    server = hostler("--models-dir", tmp_path)
    full, half = estimated(server, "long"), estimated(server, "long", ctx_size=1 << 16)
    assert half < full
    server.stop()
    server = hostler("--models-dir", tmp_path, "--memory", f"host={(full + half) // 2}")
    report = doctor("long", server=server)
    assert report.status == 1
    finding = report.one("room", what="no room for 'long'")
    assert "it takes host" in finding["evidence"] and "engines may have host" in finding["evidence"]
    assert finding["fix"] is None
    assert finding["advice"] == f"ctx-size = {1 << 16} in its section of --models-preset: it fits then"


def test_a_context_of_the_command_line_goes_before_the_presets(hostler, tmp_path):
    """And what is less than that, not than all that the model could have, is looked for."""
    tiny_model.make(str(tmp_path / "long.gguf"), n_ctx_train=1 << 17)
    server = hostler("--models-dir", tmp_path)
    full, half = (estimated(server, "long", ctx_size=n) for n in (1 << 16, 1 << 15))
    server.stop()
    server = hostler("--models-dir", tmp_path, "-c", 1 << 16, "--memory", f"host={(full + half) // 2}")
    finding = doctor("long", server=server).one("room", what="no room for 'long'")
    assert f"start the server with --ctx-size {1 << 15}:" in finding["advice"]


def test_a_pinned_model_has_the_room(hostler, models, tmp_path):
    preset = tmp_path / "p.ini"
    preset.write_text("[m1]\npin = 1\n", encoding="utf-8")
    limit = estimated(hostler("--models-dir", models), "m2") + (1 << 20)
    server = hostler("--models-dir", models, "--models-preset", preset, "--memory", f"host={limit}")
    assert doctor("m2", server=server).one("room", "ok")["what"] == "'m2' can be loaded"
    assert server.tokenize("m1").status == 200
    finding = doctor("m2", server=server).one("room", what="no room for 'm2'")
    assert "it takes host " in finding["evidence"] and "pinned" in finding["evidence"]
    assert finding["fix"] == "hostler unload -- m1"
    assert run_cli(*finding["fix"].split()[1:], server=server).returncode == 0
    assert doctor("m2", server=server).one("room", "ok")


class Hostler(Fake):
    """Of hostler what doctor asks about, with an estimate."""

    class handler(Handler):
        def route(self, path, body):
            answers = {"/hostler/v1/status": {"version": "1", "engines": self.server.engines,
                                              "recent": [], "mode": "router"},
                       "/models": {"data": [{"id": "big", "status": {"value": "unloaded"},
                                             "context_length": 32768}]},
                       "/hostler/v1/estimate": self.server.estimate(self.path)}
            self.answer(200 if path in answers else 404, answers.get(path, {"error": "no"}))

    def __init__(self, never, engines, fits_below):
        self.never, self.fits_below = never, fits_below
        self.engines = [{"model": m, "state": "loaded", "requests": int(m != "idle")} for m in engines]
        super().__init__()

    def estimate(self, path):
        context = int(path.rsplit("ctx-size=", 1)[1]) if "ctx-size=" in path else 32768
        fits = context < self.fits_below
        return {"model": "big", "source": "estimated", "memory": {"host": 9 << 30}, "mapped": 0,
                "fits": fits, "never": self.never and not fits, "evicts": [],
                "budget": {"host": 4 << 30}, "used": {"host": 2 << 30},
                "available": {"host": 2 << 30}, "message": None}


@pytest.mark.parametrize("never, engines, fits_below, fix", [
    (False, ["a b", "c", "idle"], 0, "hostler unload -- 'a b' c"),
    (True, ["a"], 9000, "ctx-size = 8192"),
    (True, ["a"], 0, "smaller quantization"),
    (False, [], 0, "see `memory` below"),
])
def test_what_would_make_room(never, engines, fits_below, fix):
    fake = Hostler(never, engines, fits_below)
    finding = doctor("big", "--url", fake.url).one("room", what="no room for 'big'")
    assert finding["evidence"] == ("it takes host 9.0 GiB (estimated)\n"
                                   "engines may have host 4.0 GiB; 2.0 GiB is left")
    is_command = fix.startswith("hostler")
    assert fix in finding["fix" if is_command else "advice"]
    assert finding["advice" if is_command else "fix"] is None
    assert "idle" not in (finding["fix"] or "")
    fake.stop()


# --- the engine ------------------------------------------------------------------------------------

def test_the_engine_is_missing(hostler, models, engine, tmp_path):
    link = tmp_path / "llama-server"
    link.write_text(f'#!/bin/sh\nexec {engine} "$@"\n', encoding="utf-8")
    link.chmod(0o755)
    server = hostler("--models-dir", models, engine=link)
    assert str(link) in doctor(server=server).one("engine", "ok")["what"]
    link.unlink()
    finding = doctor(server=server).one("engine", what=str(link))
    assert "does not run" in finding["what"] and "LLAMA_SERVER=" in finding["fix"]


def test_the_engine_is_missing_where_no_server_runs(tmp_path):
    taken, port = unused_port()
    with taken:
        report = doctor("--url", f"http://127.0.0.1:{port}",
                        env={"LLAMA_SERVER": str(tmp_path / "none")})
    assert "does not run" in report.one("engine")["what"]


def test_the_engine_is_too_old(engine, tmp_path):
    """The real one's help, without what came with the router mode."""
    text = subprocess.run([engine, "--help"], capture_output=True, text=True, timeout=PATIENCE).stdout
    help_text = tmp_path / "help"
    help_text.write_text("".join(line for line in text.splitlines(True)
                                 if not line.startswith("--models-")), encoding="utf-8")
    old = tmp_path / "llama-server"
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && { echo 'version: 4000 (abc)' >&2; exit; }\n"
                   f"cat {help_text}\n", encoding="utf-8")
    old.chmod(0o755)
    taken, port = unused_port()
    with taken:
        report = doctor("--url", f"http://127.0.0.1:{port}", env={"LLAMA_SERVER": str(old)})
    finding = report.one("engine", what="is too old")
    assert "version: 4000" in finding["evidence"]


# --- files -----------------------------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "mo dels"
    folder.mkdir()
    tiny_model.make(str(folder / "good.gguf"))
    return folder


def age(path):
    """So that it is not taken for one that is being written."""
    os.utime(path, (0, 0))


def test_a_half_downloaded_file(hostler, folder):
    server = hostler("--models-dir", folder)
    whole = (folder / "good.gguf").read_bytes()
    (folder / "half.gguf").write_bytes(whole[:len(whole) // 2])
    age(folder / "half.gguf")
    finding = doctor(server=server).one("file", what="'half'")
    assert "incomplete" in finding["what"] and "half.gguf" in finding["evidence"]
    mend(finding)
    assert not (folder / "half.gguf").exists() and (folder / "good.gguf").exists()
    assert doctor(server=server).of("files", "ok")


def test_a_name_that_looks_like_a_command_and_its_remark(hostler, folder):
    """The command stays whole, on one line."""
    server = hostler("--models-dir", folder)
    names = [folder / "a   # b.gguf", folder / "inner" / "c\n   # d.gguf"]
    names[1].parent.mkdir()
    for path in names:
        path.write_text("<html>404</html>", encoding="utf-8")
    out = run_cli("doctor", server=server).stdout
    commands = re.findall(r"fix: (rm .*)", out)
    assert commands and "   # b.gguf'" in commands[0]
    for command in commands:
        subprocess.run(["bash", "-c", command], check=True, timeout=PATIENCE)
    assert not names[0].exists()


def test_a_file_that_is_being_downloaded(hostler, folder):
    """By who has it open, or by its age alone."""
    server = hostler("--models-dir", folder)
    half, zeros = folder / "half.gguf", folder / "zeros.gguf"
    whole = (folder / "good.gguf").read_bytes()
    zeros.write_bytes(bytes(1 << 16))
    with open(half, "wb") as f, open(zeros, "r+b"):
        f.write(whole[:len(whole) // 2])
        f.flush()
        age(half)
        report = doctor(server=server)
        assert report.of("file") == []
        finding = report.one("file", "note", what="the file of 'half' is still being written")
        assert "open for writing" in finding["evidence"] and finding["fix"] is None
        assert report.one("file", "note", what="the file of 'zeros' is still being written")
    assert doctor(server=server).one("file", what="'half' is incomplete")
    os.utime(half)
    assert "last minute" in doctor(server=server).one("file", "note", what="'half'")["evidence"]
    with open(half, "rb"):  # which writes nothing
        age(half)
        assert doctor(server=server).one("file", what="'half' is incomplete")


def test_a_broken_file_of_the_cache(hostler, models, tmp_path):
    """The name is a link; what takes the disk goes with it."""
    repo = tmp_path / "hub" / "models--me--tiny-GGUF"
    snapshot, blob = repo / "snapshots" / ("a" * 40), repo / "blobs" / ("b" * 64)
    for path in (snapshot, blob.parent, repo / "refs"):
        path.mkdir(parents=True)
    (repo / "refs" / "main").write_text("a" * 40, encoding="utf-8")
    blob.write_bytes((models / "m1.gguf").read_bytes()[:20000])
    age(blob)
    link = snapshot / "tiny-Q4_K_M.gguf"
    link.symlink_to(blob)
    env = {"LLAMA_CACHE": str(tmp_path / "hub")}
    server = hostler(env=env)
    mend(doctor(server=server, env=env).one("file", what="incomplete"))
    assert not link.is_symlink() and not blob.exists()


def test_broken_files(hostler, folder):
    server = hostler("--models-dir", folder)
    (folder / "page.gguf").write_text("<html>404</html>", encoding="utf-8")
    (folder / "lfs.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
                                     "size 1\n", encoding="utf-8")
    (folder / "part-00001-of-00002.gguf").write_bytes((folder / "good.gguf").read_bytes())
    report = doctor(server=server)
    for name in ("page", "lfs", "part-00001-of-00002"):
        assert f"'{name}'" in report.one("file", what=f"'{name}'")["what"]
    assert "Git LFS" in report.one("file", what="'lfs'")["evidence"]


def test_a_broken_part(hostler, folder):
    """That part is named, not the first, which is whole."""
    paths = tiny_model.make_shards(str(folder), "big", 3)
    server = hostler("--models-dir", folder)
    whole = pathlib.Path(paths[1]).read_bytes()
    pathlib.Path(paths[1]).write_bytes(whole[:len(whole) // 2])
    age(paths[1])
    mend(doctor(server=server).one("file", what="incomplete"))
    assert [os.path.exists(path) for path in paths] == [True, False, True]
    finding = doctor(server=server).one("file", what="cannot be loaded")
    assert "1 of 3 shards missing" in finding["evidence"]
    assert finding["advice"] == "fetch the part that is missing" and finding["fix"] is None


def test_what_may_be_whole_is_not_to_be_deleted(hostler, folder):
    server = hostler("--models-dir", folder)
    data = (folder / "good.gguf").read_bytes()
    (folder / "new.gguf").write_bytes(data[:4] + struct.pack("<I", 99) + data[8:])
    finding = doctor(server=server).one("file", what="'new'")
    assert "newer than this program" in finding["evidence"]
    assert finding["advice"].startswith("update hostler") and finding["fix"] is None


def test_a_server_of_another_user_is_not_judged(server):
    """What nobody may read and run says nothing of a server that is root's."""
    report = doctor_as_nobody("a model", "--url", f"http://127.0.0.1:{server.port}",
                              LLAMA_SERVER="/nowhere/llama-server", LLAMA_ARG_MODELS_DIR="/nowhere")
    assert report.of("server", "ok")
    for check in ("engine", "folder", "file"):
        assert not report.of(check)
    finding = report.one("files", "note")
    assert finding["fix"] == f"sudo -u root hostler doctor --url http://127.0.0.1:{server.port} 'a model'"


def test_the_engine_on_the_servers_path(hostler, models, engine, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "llama-server").symlink_to(engine)
    server = hostler("--models-dir", models,
                     env={"LLAMA_SERVER": "", "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
    assert doctor(server=server, env={"PATH": "/nowhere"}).of("engine", "ok")


def test_the_engine_by_a_path_from_where_the_server_was_started(hostler, models, engine, tmp_path):
    (tmp_path / "llama-server").symlink_to(engine)
    server = hostler("--models-dir", models, engine="./llama-server",
                     launcher=["env", "-C", tmp_path])
    assert doctor(server=server).of("engine", "ok")


def test_a_folder_that_is_gone(hostler, folder):
    server = hostler("--models-dir", folder)
    shutil.rmtree(folder)
    finding = doctor(server=server).one("folder", what=str(folder))
    assert "No such file" in finding["evidence"]
    mend(finding)
    assert folder.is_dir() and not doctor(server=server).of("folder")


def test_a_folder_and_a_file_that_may_not_be_read():
    place = pathlib.Path(tempfile.mkdtemp())  # pytest's own are for their user only
    try:
        place.chmod(0o755)
        inner = place / "models" / "inner"
        inner.mkdir(parents=True)
        tiny_model.make(str(place / "models" / "secret.gguf"))
        (place / "models" / "secret.gguf").chmod(0o600)
        inner.chmod(0o700)

        def run():
            taken, port = unused_port()
            with taken:
                return doctor_as_nobody("--url", f"http://127.0.0.1:{port}",
                                        LLAMA_ARG_MODELS_DIR=str(place / "models"))
        report = run()
        assert "Permission denied (as user 65534)" in report.one("folder", what="inner")["evidence"]
        assert "cannot be read" in report.one("file", what="'secret'")["what"]
        (place / "models").chmod(0o700)
        assert report.one("folder")["fix"].startswith(
            f"sudo chmod a+rx {place}/models/inner ")
        assert str(place / "models") in run().one("folder")["what"]
        place.chmod(0o700)  # what keeps out is above
        finding = run().one("folder")
        assert finding["what"].startswith(f"{place}/models ")
        assert finding["fix"].startswith(f"sudo chmod a+x {place}   # ")
    finally:
        shutil.rmtree(place)


def test_a_part_that_may_not_be_read():
    """That one is named, not the first. The engine is a copy: the checkout may be closed to others."""
    place = pathlib.Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        engine = shutil.copy(FAKE_ENGINE, place / "llama-server")
        paths = tiny_model.make_shards(str(place), "big", 3)
        os.chmod(paths[2], 0o600)
        (place / "p.ini").write_text(f"[big]\nmodel = {paths[0]}\n", encoding="utf-8")
        taken, port = unused_port()
        with taken:
            report = doctor_as_nobody("--url", f"http://127.0.0.1:{port}", LLAMA_SERVER=str(engine),
                                      LLAMA_ARG_MODELS_PRESET=str(place / "p.ini"))
        finding = report.one("file", what="'big' cannot be read")
        assert finding["fix"].startswith(f"sudo chmod a+r {paths[2]} ")
    finally:
        shutil.rmtree(place)


def test_presets_with_a_mistake(hostler, models, tmp_path):
    preset = tmp_path / "p.ini"
    preset.write_text("[m1]\n", encoding="utf-8")
    server = hostler("--models-dir", models, "--models-preset", preset)
    preset.write_text("[m1]\nctx-sise = 3\n", encoding="utf-8")
    assert run_cli("list", "--reload", server=server).returncode == 1
    finding = doctor(server=server).one("server", what="could not be read again")
    assert "ctx-sise" in finding["evidence"] and finding["fix"].startswith("hostler list --reload")


def of_presets(hostler, folder, text, **kw):
    """Presets beside the folder, and a daemon that has them."""
    preset = folder.parent / "my presets.ini"
    preset.write_text(text, encoding="utf-8")
    return preset, hostler("--models-dir", folder, "--models-preset", preset, **kw)


def test_files_that_presets_name(hostler, folder, tmp_path):
    """Each is judged as one of the folder is, and its section named."""
    files = tmp_path / "files"
    files.mkdir()
    whole = (folder / "good.gguf").read_bytes()
    for name in ("own", "eyes", "small", "tuned", "steers"):
        (files / f"{name}.gguf").write_bytes(whole)
    preset, server = of_presets(hostler, folder, f"""\
[*]
control-vector-scaled = {files}/steers.gguf:0.5

[own]
model = {files}/own.gguf
mmproj = {files}/eyes.gguf

[good]
md = {files}/small.gguf
lora = {folder}/good.gguf,{files}/tuned.gguf
""")
    assert doctor(server=server).one("files", "ok")["what"] == "the files of 2 models are whole"
    (files / "own.gguf").write_bytes(whole[:len(whole) // 2])
    age(files / "own.gguf")
    (files / "eyes.gguf").write_text("<html>404</html>", encoding="utf-8")
    (files / "small.gguf").unlink()
    (files / "tuned.gguf").write_bytes(b"GGUF" + struct.pack("<I", 99) + whole[8:])
    (files / "steers.gguf").unlink()
    report = doctor(server=server)
    found = {f["what"]: f for f in report.of("file")}
    assert set(found) == {
        "the file of 'own' is incomplete", "the mmproj of 'own' is broken",
        "the draft of 'good' is not there", "the control vector of [*] is not there",
        "the LoRA of 'good' is in a format that this hostler does not know"}
    half = found["the file of 'own' is incomplete"]
    assert half["evidence"].endswith(f"\nmodel = {files}/own.gguf in [own], {preset}:4")
    broken = found["the mmproj of 'own' is broken"]
    for finding in (half, broken):  # any file may be named there by mistake: it is not to be deleted
        assert finding["fix"].startswith(f"${{EDITOR:-vi}} +4 '{preset}'   # ")
    gone = found["the draft of 'good' is not there"]
    assert gone["fix"].startswith(f"${{EDITOR:-vi}} +8 '{preset}'   # ")
    mend(gone, EDITOR="echo -n")  # one with arguments of its own
    assert found["the control vector of [*] is not there"]["evidence"].endswith(
        f"in [*] of {preset}")


def test_presets_are_read_as_the_server_sees_them(hostler, folder, engine, tmp_path):
    """It was started in another folder; the address is the environment's."""
    for name in ("one-00001-of-00002", "one-00002-of-00002"):
        shutil.copy(folder / "good.gguf", tmp_path / f"{name}.gguf")
    (tmp_path / "p.ini").write_text("[one]\nm = one-00001-of-00002.gguf\n", encoding="utf-8")
    server = hostler("--models-dir", folder, env={"LLAMA_ARG_MODELS_PRESET": "p.ini"},
                     launcher=["env", "-C", tmp_path])
    assert doctor(server=server).one("files", "ok")["what"] == "the files of 2 models are whole"
    (tmp_path / "one-00002-of-00002.gguf").unlink()
    finding = doctor(server=server).one("file", what="the file of 'one' is not there")
    assert f"{tmp_path}/one-00002-of-00002.gguf" in finding["evidence"]
    assert f"{tmp_path}/p.ini:1" in finding["evidence"]


def test_presets_that_are_gone(hostler, folder):
    preset, server = of_presets(hostler, folder, "")
    preset.unlink()
    mend(doctor(server=server).one("presets", what="cannot be read"))
    assert not doctor(server=server).of("presets")


def test_a_file_without_a_name(hostler, folder):
    _, server = of_presets(hostler, folder, "[good]\nmmproj =\n")
    finding = doctor(server=server).one("file")
    assert finding["what"] == "the mmproj of 'good' is given without a name"
    assert "in [good]" in finding["evidence"] and "EDITOR" in finding["fix"]


def test_presets_of_a_stock_router(stock, folder, tmp_path):
    preset = tmp_path / "p.ini"
    shutil.copy(folder / "good.gguf", tmp_path / "own.gguf")
    preset.write_text(f"[own]\nmodel = {tmp_path}/own.gguf\n", encoding="utf-8")
    router = stock("--models-dir", folder, "--models-preset", preset)
    (tmp_path / "own.gguf").write_text("<html>404</html>", encoding="utf-8")
    finding = doctor(server=router).one("file", what="the file of 'own' is broken")
    assert f"in [own], {preset}:1" in finding["evidence"]


def test_a_file_of_folder_and_presets_is_judged_once(hostler, folder, tmp_path):
    _, server = of_presets(hostler, folder, f"[same]\nmodel = {folder}/good.gguf\n")
    (folder / "good.gguf").write_text("<html>404</html>", encoding="utf-8")
    assert len(doctor(server=server).of("file")) == 1


def test_companions_of_a_folders_model(hostler, folder):
    inner = folder / "sees"
    inner.mkdir()
    for name in ("sees.gguf", "mmproj-sees.gguf"):
        shutil.copy(folder / "good.gguf", inner / name)
    server = hostler("--models-dir", folder)
    (inner / "mmproj-sees.gguf").write_text("<html>404</html>", encoding="utf-8")
    finding = doctor(server=server).one("file", what="the mmproj of 'sees' is broken")
    mend(finding)
    assert not (inner / "mmproj-sees.gguf").exists() and (inner / "sees.gguf").exists()


def test_presets_that_no_server_would_take(folder, tmp_path, engine):
    """No server runs yet: those that are to be its."""
    preset = tmp_path / "p.ini"
    env = {"LLAMA_ARG_MODELS_PRESET": str(preset), "LLAMA_SERVER": str(engine)}
    taken, port = unused_port()
    with taken:
        absent = doctor("--url", f"http://127.0.0.1:{port}", env=env)
        preset.write_text("[m1]\nctx-sise = 3\n", encoding="utf-8")
        mistake = doctor("--url", f"http://127.0.0.1:{port}", env=env)
    finding = absent.one("presets", what="cannot be read")
    assert finding["fix"].startswith("unset LLAMA_ARG_MODELS_PRESET   # ")
    finding = mistake.one("presets", what="contain an error")
    assert "line 2: ctx-sise" in finding["evidence"]
    assert finding["fix"].startswith(f"hostler serve --models-preset {preset}   #")


# --- limits, leftovers -----------------------------------------------------------------------------

def test_too_few_open_files(server):
    subprocess.run(["prlimit", "--pid", str(server.pid), "--nofile=200:"], check=True)
    report = doctor(server=server)
    assert report.status == 1
    finding = report.one("open files", what=f"pid {server.pid}")
    assert "may open 200 files only" in finding["what"] and "are open now" in finding["evidence"]
    mend(finding)
    assert "may open " in doctor(server=server).one("open files", "ok")["what"]


def test_leftovers_of_a_dead_daemon(hostler, models):
    runtime = pathlib.Path(tempfile.mkdtemp())  # a short name, as a socket's must be
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    server = hostler("--models-dir", models, env=env)
    run_folder, = runtime.iterdir()
    assert not [f for f in doctor(server=server, env=env).of("leftovers")
                if str(run_folder) in f["what"]]
    server.kill()
    finding = doctor(server=server, env=env).one("leftovers", what=str(run_folder))
    mend(finding)
    assert not run_folder.exists()
    runtime.rmdir()


# --- memory ----------------------------------------------------------------------------------------

@pytest.fixture
def started():
    """started(argv, env={}): a process with an open stdin, ended with the test."""
    processes = []

    def start(*argv, **env):
        process = subprocess.Popen([str(a) for a in argv], env=clean_env(**env),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def orphaned(started):
    """orphaned(argv, env={}): the pid of a process with an open stdin, whose parent is gone."""
    pids = []

    def start(*argv, **env):
        parent = started("sh", "-c", 'exec 3<&0; "$@" <&3 >/dev/null 2>&1 & echo $!', "sh", *argv, **env)
        pids.append(int(parent.stdout.readline()))
        parent.wait(PATIENCE)
        return pids[-1]

    yield start
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def held_by(server, pid, level, **env):
    return [f for f in doctor(server=server, env=env).of("memory", level)
            if f["what"].startswith(f"pid {pid}, ")]


def test_an_engine_whose_router_is_gone(server, orphaned, engine, models, tmp_path):
    orphan = orphaned(engine, "-m", models / "m2.gguf", "--host", tmp_path / "o.sock",
                      LLAMA_SERVER_ROUTER_PORT="1")
    finding, = until(lambda: held_by(server, orphan, "wrong"), what="its being found")
    assert "an engine whose router is gone" in finding["evidence"]
    assert "m2.gguf" in finding["evidence"] and finding["fix"] == f"kill {orphan}"


@pytest.mark.parametrize("variable", [{}, {"LLAMA_SERVER_ROUTER_PORT": "0"}], ids=["its own server", "an engine"])
def test_one_model_with_a_key_is_no_router(engine, models, variable):
    """It answers as a router would to somebody without its key. In a network of its own, where doctor finds no other."""
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a network namespace")
    script = f"""
import socket, subprocess, time
engine = subprocess.Popen([{str(engine)!r}, "-m", {str(models / 'm1.gguf')!r}, "--port", "45991", "--api-key", "k"],
                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while socket.socket().connect_ex(("127.0.0.1", 45991)) and engine.poll() is None:
    time.sleep(0.05)
subprocess.run([{str(HOSTLER)!r}, "--url", "http://127.0.0.1:1", "doctor", "--json"])
engine.kill()
"""
    network = ["unshare", "-n", sys.executable, pathlib.Path(__file__).parent / "own_network.py", ""]
    done = subprocess.run([*network, sys.executable, "-c", script], env=clean_env(**variable),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    finding, = [f for f in json.loads(done.stdout)["findings"] if f["check"] == "server"]
    assert "no router was found on another port" in finding["evidence"] and "45991" not in json.dumps(finding)


def test_a_daemon_of_another_name(hostler, models, tmp_path):
    """As an upgrade leaves it, which replaces the file below it. Its engine is no orphan."""
    program = shutil.copy(HOSTLER, tmp_path / "hostler.old")
    server = hostler("--models-dir", models,
                     launcher=["sh", "-c", 'shift; exec "$0" "$@"', program])
    assert server.tokenize("m1").status == 200
    pid = server.engines()["m1"]["pid"]
    report = doctor(server=server)
    assert not [f for f in report.findings if f"pid {pid}, " in f["what"]]
    assert {f["check"] for f in report.findings} >= {"engine", "files", "open files"}
    gpu = {"HOSTLER_NVML": str(SAN / "fake_nvml.so"), "FAKE_NVML_PROCESSES": f"1:{pid}:3000"}
    assert not held_by(server, pid, "note", **gpu)


def test_an_engine_whose_parent_lives_is_not_ended(server, started, engine, models, tmp_path):
    """Whatever that is called."""
    child = started(engine, "-m", models / "m2.gguf", "--host", tmp_path / "o.sock",
                    LLAMA_SERVER_ROUTER_PORT="1")
    until((tmp_path / "o.sock").exists, what="its listening")
    assert not held_by(server, child.pid, "wrong") and not held_by(server, child.pid, "note")


def test_a_server_that_no_router_owns(server, stock, models):
    alone = stock("-m", models / "m2.gguf")
    finding, = held_by(server, alone.pid, "note")
    assert "a server of its own" in finding["evidence"]
    assert "holds host " in finding["what"] and "MiB" in finding["what"]
    assert finding["fix"] is None  # it may be somebody's work
    alone.stop()
    assert not held_by(server, alone.pid, "note")


def test_whoever_holds_nothing_is_not_named(server, started, engine):
    dead = started(engine, "--version")
    stat = pathlib.Path(f"/proc/{dead.pid}/stat")
    until(lambda: ") Z " in stat.read_text(encoding="utf-8"), what="its end")
    assert "(llama-server)" in stat.read_text(encoding="utf-8")
    assert not held_by(server, dead.pid, "note")


def test_secrets_of_other_processes_are_not_shown(server, started, orphaned, engine, models, tmp_path):
    orphan = orphaned(engine, "-m", models / "m2.gguf", "--port", "0", "--api-key", "s3cret",
                      "--host", tmp_path / "o.sock", LLAMA_SERVER_ROUTER_PORT="1")
    finding, = until(lambda: held_by(server, orphan, "wrong"), what="its being found")
    assert finding["evidence"].endswith(f"\nllama-server -m {models}/m2.gguf --port 0")
    game = started("sh", "-c", "cat; : s3cret")
    job = started("cat", "-", "PASSWORD=s3cret")
    for process in (game, job):
        finding, = on_gpu(server, process)
        assert "s3cret" not in json.dumps(finding)


def test_engines_of_a_router_are_no_strangers(server, stock, models):
    assert server.tokenize("m1").status == 200
    router = stock("--models-dir", models)
    assert router.post("/models/load", {"model": "m1"}).status == 200
    until(lambda: any(m["status"]["value"] == "loaded"
                      for m in router.get("/models").json["data"]), what="its load")
    engines = subprocess.run(["pgrep", "-P", str(router.pid)], capture_output=True,
                             text=True).stdout.split()
    assert engines
    note, = held_by(server, router.pid, "note")
    assert note["evidence"].startswith("another router, whose engines are its own\n")
    for pid in [server.engines()["m1"]["pid"], *engines]:
        assert not held_by(server, pid, "wrong") and not held_by(server, pid, "note")


def on_gpu(server, process):
    return held_by(server, process.pid, "note", HOSTLER_NVML=str(SAN / "fake_nvml.so"),
                   FAKE_NVML_PROCESSES=f"1:{process.pid}:3000")


def test_a_stranger_on_a_gpu(server, started):
    game = started("sleep", "600")
    finding, = on_gpu(server, game)
    assert "sleep, holds" in finding["what"] and "gpu1 2.9 GiB" in finding["what"]
    assert finding["evidence"] == "none of the server's engines\nsleep 600" and finding["fix"] is None
