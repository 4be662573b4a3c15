# SPDX-License-Identifier: MIT
"""What an operator reads: `hostler doctor` as text, with each thing really broken.

The files of tests/golden/doctor are a situation each (SITUATIONS below): the command, all findings that
are not `ok`, the exit status. UPDATE_GOLDEN=1 writes them anew; read the difference as somebody would who
was woken at night: what is wrong, how is that known, what mends it. A new case: write its first line, then
update. test_doctor.py has what the findings must hold.
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile

import pytest

import tiny_model
from conftest import HOSTLER, PATIENCE, ROOT, SAN, clean_env, until
from fake_http import Fake, Handler
from test_doctor import orphaned, started  # noqa: F401 (fixtures)
from test_doctor import in_a_network_of_its_own, unused_port
from test_errors import Situation, read, write
from wire import FAKE_ENGINE, fake_models

GOLDEN = ROOT / "tests" / "golden" / "doctor"
WIDTH = 80
# Findings about the machine may be about a test that runs beside: those count that name what is ours.
OF_THE_MACHINE = ("memory", "leftovers")
FINDING = re.compile(r"^(ok   |note |wrong) (.{11}) ", re.M)


class Case(Situation):
    """Paths have the same length everywhere, since lines are broken where they end."""

    def __init__(self, request):
        super().__init__(request)
        self.folder.rmdir()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="doctor", dir="/tmp"))
        self.folder.chmod(0o755)
        self.names = {str(self.folder): "DIR"}
        self.models = self.folder / "models"
        self.models.mkdir()
        self.engine = self.folder / "llama-server"
        self.write_engine()
        self.env = {"LLAMA_CACHE": str(self.folder / "cache"), "LLAMA_SERVER": str(self.engine)}
        self.user = None  # to run doctor as, in place of our own
        self.nobody = ""  # an address where nobody listens

    def model(self, name="m1", **kw):
        return pathlib.Path(tiny_model.make(str(self.models / f"{name}.gguf"), **kw))

    def write_engine(self, version=4000, more="--models-dir PATH   directory of models\n"):
        """The fake one, of a version that no release changes, and with one more option."""
        done = subprocess.run([FAKE_ENGINE, "--help"], capture_output=True, text=True,
                              timeout=PATIENCE)
        (self.folder / "help").write_text(done.stdout + more, encoding="utf-8")
        self.engine.write_text("#!/bin/sh\ncase $1 in\n"
                               f"--version) echo 'version: {version} (abc)' >&2 ;;\n"
                               f"--help) cat {self.folder}/help ;;\n"
                               f"*) exec {FAKE_ENGINE} \"$@\" ;;\nesac\n", encoding="utf-8")
        self.engine.chmod(0o755)

    def hostler(self, *args, **kw):
        kw.setdefault("engine", self.engine)
        return self.serve(self.use("hostler")("--models-dir", self.models, *args, **kw))

    def process(self, *argv, **env):
        process = subprocess.Popen([str(a) for a in argv], env=clean_env(**env), text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.at_end(lambda: (process.kill(), process.communicate()))
        self.name(f"pid {process.pid},", "pid PID,")
        return process

    def run(self, line):
        program = HOSTLER
        if self.user:
            program = shutil.copy(HOSTLER, self.folder)
        kw = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        words = shlex.split(line.replace("NOBODY", self.nobody))
        return subprocess.run([str(program), *words[1:]], env=clean_env(**self.env),
                              text=True, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=PATIENCE, check=False, cwd="/", **kw)

    def is_ours(self, finding):
        check = finding[6:].split("  ")[0]
        return check not in OF_THE_MACHINE or any(name in finding for name in self.names)

    def show(self, text):
        text = super().show(text)
        text = re.sub(r"\bpid \d+", "pid PID", text)
        text = re.sub(r"\bkill \d+", "kill PID", text)
        text = re.sub(r"--pid \d+", "--pid PID", text)
        text = re.sub(r"\b\d+(\.\d)? [KMG]iB", "SIZE", text)
        text = re.sub(r"\b\d+ are open now", "N are open now", text)
        text = re.sub(r"\bmay open (\d{4,}|any number)$", "may open N", text, flags=re.M)
        text = re.sub(r"\bhostler([ /])\d+\.\d+\.\d+", r"hostler\1VERSION", text)
        return re.sub(r"\b(localhost|127\.0\.0\.1):\d+", r"\1:PORT", text)


def findings(out):
    starts = [m.start() for m in FINDING.finditer(out)]
    return [out[a:b] for a, b in zip(starts, starts[1:] + [out.rindex("\n", 0, -1) + 1])]


def isolated(situation):
    """Where no other test listens."""
    situation.isolated = True
    return situation


# --- the server ------------------------------------------------------------------------------------

def all_is_well(s):
    s.model()
    s.hostler()


def wrong(s):
    """An address where nobody listens."""
    taken, port = unused_port()
    s.at_end(taken.close)
    s.nobody = f"http://127.0.0.1:{port}"
    s.names = {s.nobody: "NOBODY", **s.names}
    s.env["HOSTLER_URL"] = s.nobody


@isolated
def nothing_listens(s):
    wrong(s)


@isolated
def wrong_port(s):
    s.hostler()
    wrong(s)


@isolated
def wrong_port_and_another_users_router(s):
    wrong_port(s)
    s.user = 65534


@isolated
def no_router(s):
    class Page(Fake):
        class handler(Handler):
            def route(self, path, body):
                self.answer(200, "<title>Open WebUI</title>", "text/html")

    page = Page()
    s.at_end(page.stop)
    s.env["HOSTLER_URL"] = page.url
    s.name(page.url, "SERVER")


@isolated
def single_model(s):
    s.env["HOSTLER_URL"] = f"unix:{s.folder}/s.sock"
    s.process(s.use("engine"), "-m", s.model(), "--host", s.folder / "s.sock")
    until(lambda: "with one model" in s.run("hostler doctor").stdout, what="its listening")


def key_wanted(s):
    keys = s.folder / "keys"
    keys.write_text("# mine\ns3cret\n", encoding="utf-8")
    s.hostler("--api-key-file", keys)


def key_wrong(s):
    key_wanted(s)
    s.env["HOSTLER_API_KEY"] = "s3cre"


def presets_not_read_again(s):
    preset = s.folder / "p.ini"
    preset.write_text("", encoding="utf-8")
    server = s.hostler("--models-preset", preset)
    preset.write_text("[m1]\nctx-sise = 3\n", encoding="utf-8")
    assert server.get("/models?reload=1").status == 500


def another_users_server(s):
    s.hostler()
    s.user = 65534


# --- models ----------------------------------------------------------------------------------------

def wrong_model(s):
    for name in ("qwen3", "coder", "gemma"):
        s.model(name)
    s.hostler()


def model_that_does_not_load(s):
    fake_models(s.models, qwen3={"exit_at_load": 1, "log": "error: tensor 'blk.0' is missing"})
    assert s.hostler().tokenize("qwen3").status == 500


def model_that_crashed(s):
    fake_models(s.models, qwen3={"crash_at": 1, "log": "error: a wheel came off"})
    assert s.hostler().tokenize("qwen3").status == 502


def held(s):
    s.model()
    s.hostler()
    s.run("hostler hold m1 --reason games")


def models_that_take_turns(s):
    fake_models(s.models, qwen3={}, coder={})
    server = s.hostler("--models-max", "1")
    for model in ["qwen3", "coder"] * 3:
        assert server.tokenize(model, headers={"User-Agent": "editor/2"}).status == 200


def model_that_comes_back(s):
    fake_models(s.models, qwen3={})
    server = s.hostler()
    for agent in ("editor/2", "home-assistant/1"):
        assert server.tokenize("qwen3", headers={"User-Agent": agent}).status == 200
        if agent == "editor/2":
            assert server.post("/models/unload-all", {}).status == 200


def takes(server, model, query=""):
    return server.get(f"/hostler/v1/estimate?model={model}{query}").json["memory"]["host"]


def no_room_beside_a_pinned_model(s):
    for seed, name in enumerate(("qwen3", "coder"), 1):
        s.model(name, seed=seed)
    preset = s.folder / "p.ini"
    preset.write_text("[qwen3]\npin = 1\n", encoding="utf-8")
    engine = s.use("engine")
    first = s.hostler(engine=engine)
    limit = takes(first, "coder") + (1 << 20)
    first.stop()
    server = s.hostler("--models-preset", preset, "--memory", f"host={limit}", engine=engine)
    assert server.tokenize("qwen3").status == 200
    until(lambda: any(server.get("/hostler/v1/estimate?model=coder").json["used"].values()),
          what="a look at what it has")


def no_room_for_all_its_context(s):
    s.model("long", n_ctx_train=1 << 17)
    engine = s.use("engine")
    first = s.hostler(engine=engine)
    limit = (takes(first, "long") + takes(first, "long", f"&ctx-size={1 << 16}")) // 2
    first.stop()
    s.hostler("--memory", f"host={limit}", engine=engine)


# --- the engine ------------------------------------------------------------------------------------

@isolated
def engine_missing(s):
    wrong(s)
    s.engine.unlink()


@isolated
def engine_too_old(s):
    wrong(s)
    s.write_engine(version=3000, more="")


# --- files -----------------------------------------------------------------------------------------

def cut_short(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:20000])
    os.utime(path, (0, 0))  # not just now


def files_that_are_not_whole(s):
    for name in ("half", "page", "lfs"):
        s.model(name)
    tiny_model.make_shards(str(s.models), "split", 3)
    s.hostler()
    cut_short(s.models / "half.gguf")
    (s.models / "page.gguf").write_text("<html>404</html>", encoding="utf-8")
    (s.models / "lfs.gguf").write_text("version https://git-lfs.github.com/spec/v1\n"
                                       "oid sha256:0\nsize 1\n", encoding="utf-8")
    (s.models / "split-00002-of-00003.gguf").unlink()


def files_that_presets_name(s):
    own, eyes = s.folder / "own.gguf", s.folder / "eyes.gguf"
    for path in (own, eyes):
        shutil.copy(s.model("qwen3"), path)
    preset = s.folder / "models.ini"
    preset.write_text(f"[own]\nmodel = {own}\nmmproj = {eyes}\n", encoding="utf-8")
    s.hostler("--models-preset", preset)
    cut_short(own)
    eyes.unlink()


@isolated
def presets_with_a_mistake(s):
    wrong(s)
    preset = s.folder / "models.ini"
    preset.write_text("[qwen3]\nctx-sise = 4096\n", encoding="utf-8")
    s.env["LLAMA_ARG_MODELS_PRESET"] = str(preset)


def folder_gone(s):
    server = s.hostler()
    s.models.rmdir()
    server.get("/models?reload=1")  # else it notices by itself, sooner or later


@isolated
def folder_not_readable(s):
    wrong(s)
    s.model("secret").chmod(0o600)
    (s.models / "inner").mkdir(mode=0o700)
    s.env["LLAMA_ARG_MODELS_DIR"] = str(s.models)
    s.env["HOME"] = str(s.folder)
    s.user = 65534


# --- the machine -----------------------------------------------------------------------------------

def few_open_files(s):
    server = s.hostler()
    subprocess.run(["prlimit", "--pid", str(server.pid), "--nofile=200:4096"], check=True)


def leftovers(s):
    runtime = s.folder / "run"
    runtime.mkdir(mode=0o700)
    s.env["XDG_RUNTIME_DIR"] = str(runtime)
    server = s.hostler(env={"XDG_RUNTIME_DIR": str(runtime)})
    left, = runtime.iterdir()
    server.kill()
    s.names = {str(left): "DIR/run/LEFT", **s.names}
    s.hostler()


def holds_memory(s, pid):
    until(lambda: f"pid {pid}," in s.run("hostler doctor").stdout, what="its being found")


def engine_without_a_router(s):
    s.hostler()
    pid = s.use("orphaned")(s.use("engine"), "-m", s.model(), "--host", s.folder / "o.sock",
                            LLAMA_SERVER_ROUTER_PORT="1")
    s.name(f"pid {pid},", "pid PID,")
    holds_memory(s, pid)


def server_of_its_own(s):
    s.hostler()
    holds_memory(s, s.process(s.use("engine"), "-m", s.model(), "--host", s.folder / "o.sock").pid)


def stranger_on_a_gpu(s):
    s.hostler()
    game = s.process("sleep", "600")
    s.env.update(HOSTLER_NVML=str(SAN / "fake_nvml.so"), FAKE_NVML_PROCESSES=f"1:{game.pid}:3000")


SITUATIONS = {f.__name__: f for f in (
    all_is_well, nothing_listens, wrong_port, wrong_port_and_another_users_router, no_router,
    single_model, key_wanted, key_wrong, presets_not_read_again, another_users_server, wrong_model,
    model_that_does_not_load, model_that_crashed, held, models_that_take_turns,
    model_that_comes_back, no_room_beside_a_pinned_model, no_room_for_all_its_context,
    engine_missing, engine_too_old, files_that_are_not_whole, files_that_presets_name,
    presets_with_a_mistake, folder_gone, folder_not_readable, few_open_files, leftovers,
    engine_without_a_router, server_of_its_own, stranger_on_a_gpu)}
BY_ROOT = {another_users_server, wrong_port_and_another_users_router, folder_not_readable}


# --- golden files ----------------------------------------------------------------------------------

def report(s, done):
    """The findings that are not ok (all of them, where none is), without those about other tests."""
    assert done.stderr == "", done.stderr
    all_of_it = findings(done.stdout)
    tail = done.stdout.splitlines()[-1]
    wrongs = sum(f.startswith("wrong") for f in all_of_it)
    assert tail == (f"{wrongs} thing{'s are' if wrongs > 1 else ' is'} wrong" if wrongs
                    else "nothing is wrong")
    ours = [f for f in all_of_it if s.is_ours(f)]
    told = [f for f in ours if not f.startswith("ok")] or ours
    status = done.returncode if any(f.startswith("wrong") for f in ours) else 0
    for line in "".join(told).splitlines():
        assert len(line) <= WIDTH or is_whole_command(line), line
    return s.show("".join(told)) + f"[{status}]\n"


def is_whole_command(line):
    """It is not broken, so that it can be copied; there is no comment in it that could go."""
    return re.match(r" {18}(fix: | {5})\S", line) and "   # " not in line


CASES = [(path.stem, line, result) for path in sorted(GOLDEN.glob("*.txt"))
         for line, result in read(path)]


@pytest.mark.parametrize("situation,line,expected", CASES,
                         ids=[f"{s}-{line.removeprefix('hostler ')}" for s, line, _ in CASES])
def test_golden(request, situation, line, expected):
    function = SITUATIONS[situation]
    if function in BY_ROOT and os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    s = Case(request)

    def look():
        function(s)
        return report(s, s.run(line))

    result = in_a_network_of_its_own(look) if hasattr(function, "isolated") else look()
    if os.environ.get("UPDATE_GOLDEN"):
        write(GOLDEN / f"{situation}.txt", line, result)
    else:
        assert result == expected


def test_every_situation_has_its_case():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SITUATIONS)
    assert all(expected.strip() for _, _, expected in CASES)
