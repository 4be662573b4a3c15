# SPDX-License-Identifier: MIT
"""How the answers of commands look: in a pipe, and on terminals of 120, 80 and 60 columns. The files
of tests/golden/commands have a command each; UPDATE_GOLDEN=1 writes them anew, to be looked at.

And what they do with answers that no server should give."""
import copy
import json
import os
import re
import time

import pytest

from conftest import HOSTLER, ROOT, run_cli
from scripted import CLIENT, EVIL, Facts, GiB, Scripted, engine
from terminal import Terminal

PROMPTS = {"state": "on", "why": None, "dir": "/var/lib/hostler/prompt-cache", "files": 3, "bytes": 831260160,
           "max_bytes": 8 * GiB, "hits": 13, "saved_ms": 5198900.0, "error": None, "failed": 0, "broken": 0}
GOLDEN = ROOT / "tests" / "golden" / "commands"
MiB = 1 << 20


def ago(facts, *ages):
    """The same that many seconds ago. A half, so that a slow machine does not change the seconds."""
    return [{**f, "at": time.time() - age - 0.2} for f, age in zip(facts, ages)]


def argument(option, value, origin):
    return {"option": option, "value": value, "origin": origin}


def result(model, what, **more):
    return {"model": model, "result": what, **more}


class Afternoon(Facts):
    """With an answer to everything."""
    stream_ends = True
    events = [b"data: " + json.dumps(e).encode() + b"\n\n" for e in (
        {"model": "gemma-3-12b-it", "event": "model_status",
         "data": {"status": "loading", "progress": {"current": "text_model", "value": 0.63}}},
        {"model": "gemma-3-12b-it", "event": "model_status", "data": {"status": "loaded"}},
        {"model": "llama-3.3-8b-instruct", "event": "model_status",
         "data": {"status": "unloaded", "reason": "evicted", "cause": "for gemma-3-12b-it",
                  "saved": {"conversations": 3, "tokens": 7650, "bytes": 176160768}}},
        {"model": EVIL, "event": "model_status", "data": {"status": "unloaded"}},
        {"model": "coder", "event": "model_status",
         "data": {"status": "unloaded", "reason": "unloaded", "cause": f"unloaded by {CLIENT}"}},
        {"model": "coder", "event": "hold",
         "data": {"until": None, "reason": "training", "cause": CLIENT}},
        {"model": "coder", "event": "release", "data": {"cause": "its time is up"}},
        {"model": "coder", "event": "pin", "data": {"cause": CLIENT}},
        {"model": "*", "event": "models_reload"})]

    def __init__(self):
        super().__init__()
        self.now = self.requests
        if isinstance(self.now, list) and len(self.now) > 4:
            self.now[4].update(restored_tokens=2549, saved_ms=14900)
        for m in self.models[:4]:
            m["aliases"] = ["chat", "default"] if m["id"].startswith("qwen3") else []
            m["memory"] = {"host": 2 * GiB, "gpu0": 12 * GiB}
        for i, source in enumerate(("measured", "given", "fit-params", "estimated")):
            self.models[i]["memory_source"] = source
        self.models[5]["held"] = self.status["holds"][0]
        self.models[2]["pinned"] = self.models[5]["pinned"] = True
        self.status["prompt_cache"] = PROMPTS

    @property
    def requests(self):
        return ago(self.now, 1, 4, 6, 7, 40, 7500)

    @requests.setter
    def requests(self, value):
        self.now = value

    @property
    def show(self):
        changes = [{"model": "coder", "event": e, "why": w} for e, w in (
            ("failed", "its engine ended with signal 9"), ("load", CLIENT),
            ("stop", "POST /models/unload from 127.0.0.1:4711 (key alice, hostler/0.1.0)"),
            ("ready", "after 12.1 s"))]
        footprint = {"memory": {"host": 300 * MiB, "gpu0": 12 * GiB}, "mapped": 4 * GiB}
        return {
            **self.models[6], "status": {"value": "loaded"}, "aliases": ["code", "default"],
            "pinned": True, "loaded_by": CLIENT,
            "load_ms": 12100, "ttl_ms": 600000, "priority": 5, "max_requests": 4,
            "path": "/srv/models/Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf", "size": 18 * GiB,
            "mmproj": None, "draft": None,
            "header": {"name": "Qwen3 Coder 30B A3B Instruct", "architecture": "qwen3moe",
                       "parameters": 30532122624, "layers": 48, "context_length": 262144},
            "footprint": {"measured": {**footprint, "source": "measured"},
                          "estimated": {**footprint, "source": "estimated"}, "fitted": None,
                          "given": None},
            "arguments": [argument("--ctx-size", "65536", "preset [coder], models.ini:12"),
                          argument("--cache-type-k", "q8_0", "preset [*], models.ini:3"),
                          argument("--jinja", None, "command line")],
            "environment": [
                {"name": "LLAMA_ARG_THREADS_HTTP", "value": "64", "origin": "hostler"},
                {"name": "CUDA_VISIBLE_DEVICES", "value": None, "origin": "preset"}],
            "held": {"model": "coder", "until": None, "reason": "training", "by": CLIENT},
            "prompt_cache": {"off": "engines of this build use nothing of what is restored", "files": 2,
                             "tokens": 35567, "bytes": 819463680, "hits": 13, "saved_ms": 5198900.0,
                             "compute_token_ms": 5.88, "save_token_ms": 0.011, "restore_token_ms": 0.0038,
                             "token_bytes": 23040.0},
            "last_exit": {"reason": "crashed", "cause": "signal 9",
                          "saved": {"conversations": 2, "tokens": 35567, "bytes": 819463680},
                          "message": "its engine ended with signal 9\nE out of memory"},
            "recent": ago(changes, 12, 75, 3700, 90000)}

    @property
    def estimate(self):
        part = {"memory": {"host": GiB, "gpu0": 14 * GiB}, "mapped": 0}
        return {**part, "source": "fit-params", "mapped": 4 * GiB, "fits": True, "never": False,
                "loaded": False, "evicts": ["llama-3.3-8b-instruct", EVIL],
                "budget": {"host": 45 * GiB, "gpu0": 21 * GiB}, "used": {"gpu0": 18 * GiB},
                "available": {"host": 41 * GiB, "gpu0": 2 * GiB},
                "fitted": {**part, "source": "fit-params"},
                "estimated": {**part, "source": "estimated"}, "measured": None,
                "message": "it fits when 2 others go",
                "note": "llama-fit-params could not be asked: the model is not on this machine yet"}

    @property
    def cache(self):
        def saved(age, model, tokens, hits=0, ms=0.0):
            used = time.time() - age - 0.2
            return {"number": tokens, "model": model, "tokens": tokens, "bytes": tokens * 23040,
                    "created": used - 600, "used": used, "hits": hits, "saved_ms": ms, "token_ms": 5.9}

        return {**PROMPTS, "prompts": [saved(7500, EVIL, 512), saved(12, "qwen3-32b-q4_k_m", 33018, 12, 5184000.0),
                                       saved(75, "llama-3.3-8b-instruct", 2549, 1, 14900.0)]}

    def posted(self, path, body):
        if body.get("dry_run"):
            return {"results": [
                result(e["model"], "unloaded", freed=e["memory"],
                       reason="would_wait_for_requests" if e["requests"] else "would_be_unloaded")
                for e in self.engines]}
        back = engine("gemma-3-12b-it", "loading", 3)
        self.engines = self.status["engines"] = [back]
        figures = {"total": 24 * GiB, "available": 22 * GiB}

        return {"results": [
            result("qwen3-32b-q4_k_m", "unloaded", drained_ms=2100, stopped_ms=300,
                   freed={"host": 2 * GiB, "gpu0": 12 * GiB},
                   saved={"conversations": 1, "tokens": 33018, "bytes": 760734720}),
            result(EVIL, "unloaded", stopped_ms=80, freed={"host": 90 * MiB}),
            result("gemma-3-12b-it", "unloaded", stopped_ms=80, freed={"host": GiB}),
            result("llama-3.3-8b-instruct", "busy", reason="requests_in_flight"),
            result("coder", "failed", reason="process_does_not_end",
                   message="pid 4711 is in an uninterruptible wait"),
            result("nomic-embed-text-v1.5", "skipped", reason="excepted")],
            "freed": {"host": 3 * GiB, "gpu0": 12 * GiB}, "held": False,
            "memory": {"before": {}, "after": {"gpu0": figures}}}


@pytest.fixture
def scripted():
    server = Scripted()
    server.facts = Afternoon()
    yield server
    server.stop()


# --- how it looks ----------------------------------------------------------------------------------

CASES = {
    "list": ["list"],
    "ps": ["ps"],
    "show": ["show", "coder"],
    "estimate": ["estimate", "coder", "--ctx-size", "65536"],
    "requests": ["requests"],
    "cache": ["cache"],
    "events": ["events"],
    "unload": ["unload", "--all"],
    "unload-dry-run": ["unload", "--all", "--dry-run"],
    "help": ["help"],
    "help-unload": ["help", "unload"],
}


def stable(text):
    """Without what differs from run to run, columns kept."""
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://HOST:PORT", text)
    return re.sub(r"^\d\d:\d\d:\d\d  ", "HH:MM:SS  ", text, flags=re.M)


def piped(server, args):
    done = run_cli(*args, env={"HOSTLER_URL": server.url, "TZ": "UTC"})
    return done.stdout, done.stderr


def on_terminal(server, args, folder, columns):
    server.facts = Afternoon()
    t = Terminal(folder, [str(HOSTLER), "--url", server.url, *args], columns, 90, NO_COLOR="1")
    try:
        t.ended()
        return re.sub(r"status=\d+ modes=\w+\s*\Z", "", t.text()), t.errors()
    finally:
        t.close()


@pytest.mark.parametrize("name", CASES)
def test_an_answer(scripted, tmp_path, name):
    picture = ""
    for columns in (0, 120, 80, 60):
        out, errors = (on_terminal(scripted, CASES[name], tmp_path, columns) if columns
                       else piped(scripted, CASES[name]))
        assert "Sanitizer" not in errors and "runtime error" not in errors
        title = f"{columns} columns" if columns else "piped"
        picture += f"--- {title}\n{stable(out).rstrip()}\n"
        if errors and not columns:
            picture += f"--- stderr\n{stable(errors).rstrip()}\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(picture, encoding="utf-8")
    assert picture == path.read_text(encoding="utf-8")


def test_every_golden_file_has_its_case():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize("command", [["requests"], ["show", "coder"]])
def test_json_has_exact_times(scripted, command):
    out = run_cli(*command, "--json", env={"HOSTLER_URL": scripted.url}).stdout
    answer = json.loads(out)
    assert all(isinstance(e["at"], float) for e in answer.get("requests") or answer["recent"])
    assert "ago" not in out


@pytest.mark.parametrize("name", re.findall(r"^  ([a-z]+) ", run_cli("help").stdout.split(
    "\ncommands:\n")[1].split("\n\n")[0], re.M))
def test_help_fits_a_terminal(name):
    wide = [line for line in run_cli("help", name).stdout.splitlines() if len(line) > 80]
    assert not wide or name == "serve"


# --- what else they do ------------------------------------------------------------------------------

def test_what_was_unloaded_is_told_when_the_look_after_it_fails(scripted):
    facts = scripted.facts
    report = {"results": [result("coder", "unloaded", stopped_ms=300)], "held": False}

    def posted(path, body):
        facts.status = []
        return report

    facts.posted = posted
    for options in ([], ["--json"]):
        facts.status = Facts().status
        done = run_cli("unload", "--all", *options, env={"HOSTLER_URL": scripted.url})
        assert done.returncode == 3 and "its answer to GET /hostler/v1/status" in done.stderr
        if options:
            assert json.loads(done.stdout) == report
        else:
            assert done.stdout == "coder unloaded in 0.3 s\n"


def test_events_of_a_model(scripted):
    done = run_cli("events", "codre", env={"HOSTLER_URL": scripted.url})
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no model 'codre'" in done.stderr and "did you mean 'coder'?" in done.stderr
    scripted.facts.models[3]["aliases"] = ["vision"]
    out = run_cli("events", "vision", env={"HOSTLER_URL": scripted.url}).stdout
    assert [l.split()[1] for l in out.splitlines()] == ["gemma-3-12b-it", "gemma-3-12b-it", "*"]


def test_times_are_local_and_in_utc_as_json(scripted):
    """Of events and the log alike: what happened at the same time reads the same."""
    env = {"HOSTLER_URL": scripted.url, "TZ": "XYZ-5"}
    scripted.facts.stream_ends = True
    scripted.log = [b"2019-12-31T20:00:01.123Z info  x\n2019-12-31T no time\n"]
    assert run_cli("logs", env=env).stdout == "2020-01-01 01:00:01.123 info  x\n2019-12-31T no time\n"
    line = run_cli("logs", "--json", env=env).stdout.splitlines()[0]
    assert json.loads(line) == {"line": "2019-12-31T20:00:01.123Z info  x"}

    def hour(zone):
        text = run_cli("events", env={**env, "TZ": zone}).stdout
        return int(text[:2])

    assert (hour("XYZ-5") - hour("XYZ")) % 24 in (4, 5, 6)  # the clock goes on between
    event = json.loads(run_cli("events", "--json", env=env).stdout.splitlines()[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("time"))
    assert event["model"] == "gemma-3-12b-it"


def test_logs_as_json(scripted):
    scripted.facts.stream_ends = True
    scripted.log = [b"one\ntw", b"o\ttab\n", b"\xff and no end"]
    done = run_cli("logs", "--json", env={"HOSTLER_URL": scripted.url})
    assert [json.loads(l) for l in done.stdout.splitlines()] == [
        {"line": "one"}, {"line": "two\ttab"}, {"line": "? and no end"}]
    scripted.log = [b"x" * 200000, b"\nlast"]
    done = run_cli("logs", env={"HOSTLER_URL": scripted.url})
    assert done.stdout == "x" * 200000 + "\nlast"


def test_a_control_character_cut_in_two(scripted, tmp_path):
    """U+009B begins an escape sequence on some terminals."""
    scripted.log = [b"begin\xc2", b"\x9b31mred\n", b"done\n"]
    t = Terminal(tmp_path, ["script", "-qefc", f"{HOSTLER} --url {scripted.url} logs -f",
                            str(tmp_path / "typed")])
    try:
        t.shows("begin", "done")
    finally:
        t.close()
    assert b"begin??31mred" in (tmp_path / "typed").read_bytes()


@pytest.mark.parametrize("command", [["list"], ["events"], ["logs"]])
def test_json_cannot_steer_the_terminal(scripted, tmp_path, command):
    scripted.facts.models[7]["id"] = "a\u009b31mb"
    scripted.facts.events = [b'data: {"model": "a\xc2\x9b31mb", "event": "pin"}\n\n']
    scripted.log = ["a\u009b31mb\n".encode()]
    scripted.facts.stream_ends = True
    typed = tmp_path / "typed"
    words = f"{HOSTLER} --url {scripted.url} {command[0]} --json"
    t = Terminal(tmp_path, ["script", "-qefc", words, str(typed)])
    try:
        t.ended()
    finally:
        t.close()
    assert b"a\\u009B31mb" in typed.read_bytes() and b"\xc2\x9b" not in typed.read_bytes()
    assert "a\u009b31mb" in run_cli(*words.split()[1:]).stdout  # whole, where a program reads it


@pytest.mark.parametrize("name, remedy", [("top", "tpo"), ("ps", "status")])
def test_what_a_wrong_name_leads_to(name, remedy):
    assert f"did you mean: hostler {name}" in run_cli(remedy).stderr


def test_a_hint_on_a_narrow_terminal(scripted, tmp_path):
    """Broken at blanks, below the text of the line above it."""
    t = Terminal(tmp_path, ["sh", "-c", f"exec {HOSTLER} --url {scripted.url} load zzz 2>&1"], 60)
    try:
        t.ended()
        assert t.lines()[:3] == [
            "hostler: there is no model 'zzz'",
            "         `hostler list` shows what there is; --reload looks",
            "         for new files first"]
    finally:
        t.close()


# --- answers that no server should give -------------------------------------------------------------

STRANGE = [None, -7, [None], "\x1b]0;evil\x07\x1b[31m\n\u009b2J"]


def places(value, path=()):
    """Paths of all members, those of like entries of a list once."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield (*path, key)
            yield from places(member, (*path, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def put(value, path, strange):
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = strange


@pytest.mark.parametrize("command", [["ps"], ["unload", "--all"], ["unload", "--all", "--dry-run"],
                                     ["estimate", "coder"], ["show", "coder"], ["list"]])
def test_devices_and_reasons_cannot_steer_the_terminal(scripted, command):
    evil = "gpu0\x1b]0;evil\x07"

    class Evil(Afternoon):
        estimate = {**Afternoon().estimate, "budget": {evil: GiB}, "used": {evil: GiB}}

        def posted(self, path, body):
            return {"results": [result("a", "unloaded", freed={evil: GiB}),
                                result("b", "skipped", reason=evil)], "held": False,
                    "freed": {evil: GiB},
                    "memory": {"after": {evil: {"total": 2 * GiB, "available": GiB}}}}

    scripted.facts = Evil()
    scripted.facts.status["memory"] = {evil: {"total": 2 * GiB, "available": GiB}}
    scripted.facts.engines[0]["memory"] = scripted.facts.models[0]["memory"] = {evil: GiB}
    out = run_cli(*command, env={"HOSTLER_URL": scripted.url}).stdout
    assert "\x1b" not in out and "\x07" not in out
    assert "gpu0?]0;evil?" in out or command[0] == "show"


def test_a_name_cannot_begin_a_line_of_a_hint(scripted):
    done = run_cli("load", "evil", env={"HOSTLER_URL": scripted.url})
    assert done.stderr.splitlines() == ["hostler: there is no model 'evil'",
                                        "         did you mean 'evil?[31m?name'?"]


class Strange(Afternoon):
    """One answer of it is another."""

    def __init__(self, name, answer):
        self.name, self.answer = name, answer
        super().__init__()
        if name in ("status", "models"):
            setattr(self, name, answer)

    show = property(lambda self: self.answer if self.name == "show" else None)
    estimate = property(lambda self: self.answer if self.name == "estimate" else None)
    cache = property(lambda self: self.answer if self.name == "cache" else None)
    requests = property(lambda self: self.answer, lambda self, _: None)

    @property
    def events(self):
        return [b"data: " + json.dumps(self.answer).encode() + b"\n\n"]

    def posted(self, path, body):
        return self.answer


def answer_of(name):
    facts = Afternoon()
    if name == "unload":
        return facts.posted("", {})
    if name == "events":
        return json.loads(facts.events[0].removeprefix(b"data: "))
    return getattr(facts, name)


@pytest.mark.parametrize("name, command", [
    ("models", ["list"]), ("status", ["ps"]), ("status", ["list"]), ("show", ["show", "coder"]),
    ("estimate", ["estimate", "coder"]), ("requests", ["requests"]), ("events", ["events"]),
    ("cache", ["cache"]),
    ("unload", ["unload", "--all"])],
    ids=lambda v: v if isinstance(v, str) else v[0])
def test_strange_answers(scripted, name, command):
    answer = answer_of(name)
    for path in places(answer):
        for strange in STRANGE:
            changed = copy.deepcopy(answer)
            put(changed, path, strange)
            scripted.facts = Strange(name, changed)
            done = run_cli(*command, env={"HOSTLER_URL": scripted.url})
            told = (path, strange, done.stderr)
            assert done.returncode in (0, 1, 3) and "runtime error" not in done.stderr, told
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr), told
            assert "(null)" not in done.stdout, told


@pytest.mark.parametrize("never", [1e300, -1e300, 1e15])
def test_a_time_that_is_none(scripted, never):
    """No clock shows it. What it is not: what lies in memory where a date would."""
    facts = scripted.facts
    facts.status["holds"][0]["until"] = never
    held = run_cli("ps", env={"HOSTLER_URL": scripted.url})
    assert "held: deepseek-r1-70b until released, by POST /models/hold" in held.stdout
    assert "runtime error" not in held.stderr and "Sanitizer" not in held.stderr
