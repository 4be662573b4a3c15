# SPDX-License-Identifier: MIT
"""Presets: what a section does to its model's engine, which mistakes are told, and what becomes of
engines when the file changes while they run."""
import os
import pathlib
import signal
import socket

import pytest

import tiny_model
from background import background
from conftest import PATIENCE, Server, clean_env, until
from wire import FAKE_ENGINE, engine_get, fake_models, open_stream, read_events


@pytest.fixture
def start(hostler, models, tmp_path):
    """start(text, *args): a daemon with the shared models m1 to m4 and this preset file."""
    def call(text, *args, folder=models, **kw):
        path = tmp_path / "p.ini"
        path.write_text(text, encoding="utf-8")
        server = hostler("--models-dir", folder, "--models-preset", path, *args, **kw)
        server.preset = path
        return server
    return call


def pid_of(server, model):
    engine = server.engines().get(model)
    return engine and engine["pid"]


def states(server):
    """Of all engines, also of two of one model, by pid."""
    return {e["pid"]: e["state"] for e in server.get("/hostler/v1/status").json["engines"]}


def words_of(pid, name="cmdline"):
    return pathlib.Path(f"/proc/{pid}/{name}").read_bytes().decode().split("\0")


def command_line(server, model):
    return words_of(pid_of(server, model))


def value(words, option):
    """Of an option on a command line; None without it."""
    return words[words.index(option) + 1] if option in words else None


def status(server, model):
    return server.models()[model]["status"]


def sighup(server):
    server.process.send_signal(signal.SIGHUP)


def ask_anew(server):
    return server.get("/models?reload=1")


# --- what a section says ----------------------------------------------------------------------------

def test_precedence(start, tmp_path, models):
    folder = tmp_path / "folder"
    (folder / "m").mkdir(parents=True)
    tiny_model.make(str(folder / "m" / "model.gguf"))
    tiny_model.make(str(folder / "m" / "eagle3-model.gguf"))
    server = start(f"[*]\nctx-size = 256\nbatch-size = 64\nthreads = 2\nmodel-draft = /none\n"
                   f"[m]\nctx-size = 512\nbatch-size = 128\n[own]\nmodel = {models / 'm1.gguf'}\n",
                   "--ctx-size", "1024", folder=folder,
                   env={"LLAMA_ARG_CTX_SIZE": "99", "LLAMA_ARG_BATCH": "99",
                        "LLAMA_ARG_THREADS": "99", "LLAMA_ARG_UBATCH": "32"})
    args = status(server, "m")["args"]
    assert [value(args, f"--{name}") for name in ("ctx-size", "batch-size", "threads", "ubatch-size")
            ] == ["1024", "128", "2", "32"]
    assert value(args, "--model-draft") == str(folder / "m" / "eagle3-model.gguf")
    args = status(server, "own")["args"]
    assert value(args, "--model-draft") == "/none" and value(args, "--batch-size") == "64"


def test_the_engine_gets_what_the_list_says(start):
    server = start("[m1]\nc = 512\nno-warmup = on\nno-kv-offload = false\ntemp = 0.5\n")
    assert server.tokenize("m1").status == 200
    listed, real = status(server, "m1")["args"], command_line(server, "m1")
    assert listed == real[:len(listed)]
    assert real[len(listed)] == "--host" and real[len(listed) + 1].endswith(".sock")
    assert {"--no-warmup", "--kv-offload"} <= set(real)
    assert value(real, "--ctx-size") == "512" and value(real, "--temperature") == "0.5"
    assert server.models()["m1"]["meta"]["n_ctx"] == 512


def test_values_that_a_comment_cuts(start):
    server = start("[m1]\nsamplers = top_k;top_p;temperature\ntemp = 0.5 ; warm\n\n[m2]\n"
                   "samplers = \"top_k;top_p;temperature\"; the order counts\nreverse-prompt = 'a#b'\ntags = a#b\n")
    assert value(status(server, "m1")["args"], "--samplers") == "top_k"
    assert value(status(server, "m1")["args"], "--temperature") == "0.5"
    assert value(status(server, "m2")["args"], "--samplers") == "top_k;top_p;temperature"
    assert value(status(server, "m2")["args"], "--reverse-prompt") == "a#b"
    assert server.tokenize("m2").status == 200
    assert value(command_line(server, "m2"), "--samplers") == "top_k;top_p;temperature"
    for line, key in {2: "samplers", 8: "tags"}.items():
        assert server.log().count(f"line {line}: the value of {key} ends where") == 1
    assert server.log().count("ends where a ';' or '#'") == 2


def test_a_quote_that_nothing_closes(start):
    """As in llama.cpp it is a part of the value, which is told."""
    server = start('[m1]\nctx-size = 512\nchat-template = "hello\nreverse-prompt = \'a;b\ntags = "x"\n')
    assert value(status(server, "m1")["args"], "--chat-template") == '"hello'
    for line, key in {3: "chat-template", 4: "reverse-prompt"}.items():
        assert server.log().count(f"line {line}: nothing closes the quote with which the value of {key} begins") == 1
    assert server.log().count("nothing closes the quote") == 2


def test_aliases_route_and_tags_are_listed(start):
    server = start("[m1]\nalias = gpt-4, best\ntags = chat,small\n")
    entry = server.models()["m1"]
    assert (entry["aliases"], entry["tags"]) == (["best", "gpt-4"], ["chat", "small"])
    assert entry["source"] == "preset"
    for name in ("gpt-4", "best", "m1"):
        assert server.tokenize(name).status == 200
    assert list(server.engines()) == ["m1"]
    assert "gpt-4" not in command_line(server, "m1")
    assert server.post("/models/unload", {"model": "gpt-4"}).json == {"success": True}
    assert "best" in server.tokenize("besd").error["message"]  # did you mean


def test_a_model_of_its_own(start, tmp_path):
    tiny_model.make(str(tmp_path / "own.gguf"), seed=9, n_ctx_train=512)
    server = start(f"[mine]\nmodel = {tmp_path / 'own.gguf'}\n[lost]\nmodel = /none/x.gguf\n")
    assert server.tokenize("mine").json["tokens"]
    assert server.models()["mine"]["context_length"] == 512
    answer = server.tokenize("lost")
    assert answer.status == 404
    assert "/none/x.gguf" in answer.error["message"]


def test_load_on_startup(start):
    server = start("[m1]\nload-on-startup = true\n[m2]\nload-on-startup = 0\n")
    until(lambda: server.state("m1") == "loaded")
    assert server.loaded() == ["m1"]
    assert "start" in server.engines()["m1"]["loaded_by"]


def test_times_and_pins_of_a_model(start):
    server = start("[m1]\nttl = 2\n[m2]\nttl = 0\n[m3]\npin = on\n", "--ttl", "3")
    for model, ttl_ms in {"m1": 2000, "m2": 0, "m3": 3000, "m4": 3000}.items():
        assert server.tokenize(model).status == 200
        assert server.engines()[model]["ttl_ms"] == ttl_ms
    until(lambda: server.loaded() == ["m2", "m3"], what="the others' being idle")
    server.until_gone("m1", "idle")
    server.until_gone("m4", "idle")


def test_what_is_pinned_is_not_evicted(start):
    server = start("[m1]\npin = on\n", "--models-max", "1", "--load-timeout", "2s", "--max-wait", "0")
    assert server.tokenize("m1").status == 200
    pid = pid_of(server, "m1")
    assert server.tokenize("m2").status == 503
    assert pid_of(server, "m1") == pid


def test_the_stop_timeout_of_a_model(start, tmp_path):
    folder = fake_models(tmp_path / "fakes", quick={"deaf": True}, slow={"deaf": True})
    server = start("[quick]\nstop-timeout = 300ms\n[slow]\nstop-timeout = 7\n",
                   "--stop-timeout", "1s", folder=folder, engine=FAKE_ENGINE)
    for model in ("quick", "slow"):
        assert server.tokenize(model).status == 200
    results = {r["model"]: r for r in server.post("/models/unload-all", {}).json["results"]}
    assert {r["result"] for r in results.values()} == {"unloaded"}
    assert 300 <= results["quick"]["stopped_ms"] < results["slow"]["stopped_ms"]
    # Longer than --stop-timeout and what an unload allows beyond that: its own counts.
    assert results["slow"]["stopped_ms"] >= 7000


def test_env_reaches_the_engine_and_secrets_nobody_else(start):
    server = start("[*]\nhf-token = hf_default\n"
                   "[m1]\nenv = EXTRA=for m1, GGML_ODD=2\nhf-token = hf_secret\n",
                   env={"PRIVATE": "of the daemon"})
    for model in ("m1", "m2"):
        assert server.tokenize(model).status == 200
    env = words_of(pid_of(server, "m1"), "environ")
    assert {"EXTRA=for m1", "GGML_ODD=2", "HF_TOKEN=hf_secret"} <= set(env)
    assert not any(w.startswith("PRIVATE=") for w in env)
    other = words_of(pid_of(server, "m2"), "environ")
    assert "HF_TOKEN=hf_default" in other and not any(w.startswith("EXTRA=") for w in other)
    assert not [w for w in command_line(server, "m1") if "hf_" in w or w == "--hf-token"]
    for path in ("/models", "/v1/models", "/hostler/v1/status", "/props"):
        body = server.get(path).body
        assert b"hf_secret" not in body and b"hf_default" not in body and b"for m1" not in body
    assert "hf_secret" not in server.log()


def test_the_same_as_a_llama_server_with_that_file(start, engine, models, tmp_path):
    """What both print of names, tags, arguments and presets, but for what each adds for itself."""
    server = start("version = 1\n[*]\nthreads = 2\nLLAMA_ARG_BATCH = 128\n"
                   "[m1] ; a comment\nalias = zz, aa\ntags = t2,t1\nc = 512 # another\nkvo = off\n"
                   "no-warmup = on\nno-jinja = false\ntemp = 0.5\nstop-timeout = 7\n"
                   "load-on-startup = false\n[m2]\nc = 1\n[m2]\nnp = 3\n"
                   f"[own]\nmodel = {models / 'm3.gguf'}\n", "--seed", "5")
    (tmp_path / "stock").mkdir()
    port = free_port()
    stock = Server([engine, "--models-dir", models, "--models-preset", server.preset, "--port", port,
                    "--seed", "5"], clean_env(LLAMA_CACHE=str(tmp_path / "stock")),
                   tmp_path / "stock.log")
    stock.port = port
    try:
        until(lambda: answers(stock), what="the stock router's listening")
        theirs = {m["id"]: m for m in stock.get("/models").json["data"]}
        ours = server.models()
        assert ours.keys() == theirs.keys()
        for name, entry in ours.items():
            for key in ("aliases", "tags", "source", "object", "owned_by"):
                assert entry[key] == theirs[name][key], (name, key)
            assert arguments(entry) == arguments(theirs[name])
            assert preset_lines(entry) == preset_lines(theirs[name])
    finally:
        stock.kill()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def answers(server):
    try:
        return server.get("/health").status == 200
    except OSError:
        assert server.process.poll() is None, server.log()
        return False


ADDED = {"--host", "--port", "--log-colors"}


def arguments(entry):
    words = entry["status"]["args"][1:]
    at = [i for i, w in enumerate(words) if w in ADDED]
    return [w for i, w in enumerate(words) if i not in at and i - 1 not in at]


def preset_lines(entry):
    """Switches are true or false with us, as written with them."""
    truth = {"on": "true", "off": "false", "1": "true", "0": "false"}
    lines = [l.split(" = ") for l in entry["status"]["preset"].strip().splitlines()]
    return sorted([k, *(truth.get(v, v) for v in rest)] for k, *rest in lines
                  if f"--{k}" not in ADDED)


# --- mistakes ---------------------------------------------------------------------------------------

MISTAKES = [
    ("[m1]\nctx-sise = 1\n", 2, ["ctx-sise", "did you mean 'ctx-size'?"]),
    ("[m1]\nqqqqqqqqqqqqqq = 1\n", 2, ["no such key", "option of the engine without its dashes"]),
    ("[m1]\n--ctx-size = 1\n", 2, ["write '--ctx-size' without its dashes"]),
    ("[m1]\n\n; x\nmmap\n", 4, ["neither [SECTION] nor KEY = VALUE"]),
    ("[m1\n", 1, ["write [NAME]"]),
    ("[]\n", 1, ["needs a name"]),
    ("[m1] ctx-size = 1\n", 1, ["nothing may follow [m1] but a comment"]),
    ("ctx-size = 1\n[m1]\n", 1, ["put it below [*] to mean all models, or below [MODEL]"]),
    ("[m1]\nttl = soon\n", 2, ["'soon' is no time", "90, 90s, 5m or 1h30m"]),
    ("[m1]\nstop-timeout = -5\n", 2, ["stop-timeout", "is no time"]),
    ("[m1]\npin = perhaps\n", 2, ["'perhaps' is neither on nor off"]),
    ("[m1]\nload-on-startup = maybe\n", 2, ["'maybe' is neither on nor off"]),
    ("[m1]\nno-warmup = x\n", 2, ["no-warmup: 'x' is neither on nor off"]),
    ("[m1]\npriority = high\n", 2, ["'high' is no whole number"]),
    ("[m1]\nmax-requests = -1\n", 2, ["give 0 or more"]),
    ("[m1]\nenv = NAME\n", 2, ["entry 1 of the list is not NAME=VALUE"]),
    ("[*]\nalias = x\n", 2, ["would name every model"]),
    ("[m1]\nalias = m2\n", 2, ["alias 'm2' of [m1] is a name of model 'm2' already"]),
    ("[m1]\nalias = x\n[m2]\nalias = x\n", 4, ["alias 'x' of [m2] is a name of model 'm1' already (line 2)"]),
    ("[m1]\nc = \x01\n", 2, ["control characters"]),
    ("[*]\nload-on-startup = on\n", None, ["4 models have load-on-startup, but --models-max allows 3"]),
]


@pytest.mark.parametrize("text,line,parts", MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_at_the_start(start, tmp_path, text, line, parts):
    server = start(text, "--models-max", "3", wait=False)
    assert server.process.wait(PATIENCE) in (1, 2)
    where = f"{tmp_path / 'p.ini'}: " + (f"line {line}: " if line else "")
    for part in [where, *parts]:
        assert part in server.log()


def test_a_mistake_in_env_tells_no_secret(start):
    server = start("[m1]\nenv = HF_TOKEN=hf_, se-cret\n", wait=False)
    assert server.process.wait(PATIENCE) in (1, 2)
    assert "env: entry 2 of the list is not NAME=VALUE" in server.log()
    assert "se-cret" not in server.log()


def test_a_file_that_cannot_be_read(hostler, models, tmp_path):
    server = hostler("--models-dir", models, "--models-preset", tmp_path / "none.ini", wait=False)
    assert server.process.wait(PATIENCE) in (1, 2)
    assert f"cannot read the presets in {tmp_path / 'none.ini'}: No such file" in server.log()


# --- while it runs ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def slow_models(tmp_path_factory):
    """m1 takes some seconds for 100 tokens."""
    folder = tmp_path_factory.mktemp("slow")
    tiny_model.make(str(folder / "m1.gguf"), pad_mb=60)
    tiny_model.make(str(folder / "m2.gguf"), seed=2)
    return folder


@pytest.mark.parametrize("reload", [sighup, ask_anew])
def test_a_section_that_changes(start, slow_models, reload):
    server = start("[m1]\nc = 512\n[m2]\nc = 512\n", folder=slow_models)
    assert server.tokenize("m2").status == 200
    unchanged = pid_of(server, "m2")
    connection, response = open_stream(server, "m1", max_tokens=450, ignore_eos=True)
    read_events(response, 2)
    old = pid_of(server, "m1")
    server.preset.write_text("[m1]\nc = 768\n[m2]\nctx-size = 512\nttl = 5000\n", encoding="utf-8")
    reload(server)
    assert server.tokenize("m1").status == 200
    # The new engine loads beside the old one, which goes on with its answer.
    until(lambda: pid_of(server, "m1") != old, what="its replacement")
    assert value(command_line(server, "m1"), "--ctx-size") == "768"
    until(lambda: states(server)[old] == "draining", what="its draining")
    assert [text for _, text in read_events(response)][-1] == "[DONE]"
    connection.close()
    until(lambda: old not in states(server), what="its end")
    assert server.tokenize("m1").status == 200
    assert pid_of(server, "m2") == unchanged and server.engines()["m2"]["ttl_ms"] == 5000000


@pytest.mark.parametrize("reload", [sighup, ask_anew])
def test_a_section_of_an_idle_model_that_changes(start, reload):
    server = start("[m1]\nc = 512\n")
    assert server.tokenize("m1").status == 200
    server.preset.write_text("[m1]\nc = 512\nenv = A=1\n", encoding="utf-8")
    reload(server)
    until(lambda: server.state("m1") == "unloaded")
    assert status(server, "m1")["reason"] == "replaced"
    assert "failed" not in status(server, "m1")
    assert server.tokenize("m1").status == 200
    assert "A=1" in words_of(pid_of(server, "m1"), "environ")


def test_names_that_change_cost_no_engine(start):
    server = start("[m1]\nalias = one\n[m2]\nalias = two\n")
    assert server.tokenize("one").status == 200
    pid = pid_of(server, "m1")
    server.preset.write_text("[m1]\nalias = two\n[m2]\nalias = one\n", encoding="utf-8")
    ask_anew(server)
    assert server.tokenize("two").status == 200
    assert pid_of(server, "m1") == pid and list(server.engines()) == ["m1"]


def test_sections_that_come_and_go(start, tmp_path):
    tiny_model.make(str(tmp_path / "own.gguf"), seed=9)
    server = start(f"[mine]\nmodel = {tmp_path / 'own.gguf'}\n[m1]\nc = 512\n")
    for model in ("mine", "m1", "m2"):
        assert server.tokenize(model).status == 200
    old, unchanged = pid_of(server, "m1"), pid_of(server, "m2")
    server.preset.write_text(f"[new]\nmodel = {tmp_path / 'own.gguf'}\nload-on-startup = on\n"
                             f"[other]\nmodel = {tmp_path / 'own.gguf'}\n", encoding="utf-8")
    ask_anew(server)
    listed = server.models()
    assert "mine" not in listed and {"new", "other", "m1"} <= listed.keys()
    until(lambda: "mine" not in server.engines() and "m1" not in server.engines())
    assert server.tokenize("mine").status in (400, 404)
    assert {listed[m]["status"]["value"] for m in ("new", "other")} == {"unloaded"}
    assert server.tokenize("m1").status == 200
    assert pid_of(server, "m1") != old and "--ctx-size" not in command_line(server, "m1")
    assert pid_of(server, "m2") == unchanged
    ask_anew(server)
    assert sorted(server.loaded()) == ["m1", "m2"]


def test_what_was_unloaded_stays_so_when_the_file_is_read_again(start):
    server = start("[m1]\nload-on-startup = on\n")
    until(lambda: server.loaded() == ["m1"])
    server.post("/models/unload", {"models": ["m1"]})
    ask_anew(server)
    assert server.state("m1") == "unloaded" and not server.queue()


@pytest.mark.parametrize("reload", [sighup, ask_anew])
def test_a_broken_file(start, reload):
    server = start("[m1]\nalias = one\n")
    assert server.tokenize("one").status == 200
    before, pid = server.models(), pid_of(server, "m1")
    server.preset.write_text("[m1]\nalias = two\nctx-sise = 3\n", encoding="utf-8")
    answer = reload(server)
    problem = f"{server.preset}: line 3: ctx-sise: no such key; did you mean 'ctx-size'?"
    if answer:
        assert answer.status == 500 and answer.error["message"].startswith(
            "reload failed, the models are as they were: " + problem)
    until(lambda: problem in server.log(), what="the error")
    assert server.models().keys() == before.keys()
    assert server.models()["m1"]["aliases"] == ["one"]
    assert server.tokenize("one").status == 200 and pid_of(server, "m1") == pid
    assert problem in server.get("/hostler/v1/status").json["problem"]
    server.preset.write_text("[m1]\nalias = two\n", encoding="utf-8")
    reload(server)
    until(lambda: server.models()["m1"]["aliases"] == ["two"])
    assert server.get("/hostler/v1/status").json["problem"] is None
    assert pid_of(server, "m1") == pid


def test_who_waits_for_a_model_that_changes_gets_the_next_engine(start, tmp_path):
    folder = fake_models(tmp_path / "fakes", a={"load_s": 3})
    server = start("[a]\nc = 1\n", folder=folder, engine=FAKE_ENGINE)
    waiting = [background(server.tokenize, "a") for _ in range(3)]
    until(lambda: server.engines().get("a", {}).get("waiting") == 3)
    old = pid_of(server, "a")
    (folder / "a.gguf.fake").write_text("{}", encoding="utf-8")
    server.preset.write_text("[a]\nc = 2\n", encoding="utf-8")
    sighup(server)
    assert [w.result(PATIENCE).status for w in waiting] == [200] * 3
    assert pid_of(server, "a") != old
    assert value(engine_get(server, "a")["argv"], "--ctx-size") == "2"


def test_an_operator_s_load_of_a_model_that_changes(start, tmp_path):
    folder = fake_models(tmp_path / "fakes", a={"load_s": 3})
    server = start("[a]\nc = 1\n", folder=folder, engine=FAKE_ENGINE)
    server.post("/models/load", {"model": "a"})
    until(lambda: server.state("a") == "loading")
    server.preset.write_text("[a]\nc = 2\n", encoding="utf-8")
    (folder / "a.gguf.fake").write_text("{}", encoding="utf-8")
    ask_anew(server)
    until(lambda: server.state("a") == "loaded")
    assert value(engine_get(server, "a")["argv"], "--ctx-size") == "2"


def test_a_file_that_nobody_asked_for_is_not_read(start, models, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    os.link(models / "m1.gguf", folder / "m1.gguf")
    server = start("[m1]\nalias = one\n", folder=folder)
    server.preset.write_text("[m1", encoding="utf-8")
    os.link(models / "m2.gguf", folder / "m2.gguf")
    until(lambda: "m2" in server.models(), what="the new model")
    assert server.models()["m1"]["aliases"] == ["one"]
    assert "stay as they were" not in server.log()


def open_files(server):
    folder = pathlib.Path(f"/proc/{server.pid}/fd")
    return len(list(folder.iterdir()))


@pytest.mark.parametrize("key", ["list-devices = on", "help = 1", "cl = 1"])
@pytest.mark.parametrize("section", ["[*]\n", ""], ids=["all", "one"])
def test_what_ends_an_engine_is_ignored(start, models, key, section):
    """With it no model could be loaded."""
    server = start(f"{section}{key}\n[m1]\n" if section else f"[m1]\n{key}\n", folder=models)
    assert f"{key.split()[0]} makes the engine print something and end and does not count here" in server.log()
    assert server.post("/tokenize", {"model": "m1", "content": "hi"}).status == 200


def test_what_belongs_to_the_router_is_told_to_whoever_asks(start, models, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    os.link(models / "m1.gguf", folder / "m1.gguf")
    server = start("[*]\nhost = 0.0.0.0\n[m1]\nport = 1\nalias = one\nno-models-autoload = 1\n",
                   folder=folder)
    lines = [f"{server.preset}: line {n}: {key} belongs to the router"
             for n, key in ((2, "host"), (4, "port"), (6, "no-models-autoload"))]
    assert [server.log().count(line) for line in lines] == [1, 1, 1]
    assert server.log().count("belongs to the router") == 3
    os.link(models / "m2.gguf", folder / "m2.gguf")  # nobody asks
    until(lambda: "m2" in server.models())
    assert server.log().count("belongs to the router") == 3
    assert ask_anew(server).status == 200
    assert [server.log().count(line) for line in lines] == [2, 2, 2]


def test_a_hundred_reloads_leave_nothing_open(start):
    server = start("[m1]\nc = 1\n")
    ask_anew(server)
    before = open_files(server)
    for i in range(100):
        server.preset.write_text(["[m1]\nc = 2\n", "[m1]\nc = \n[nobody]\n", "[m2\n"][i % 3],
                                 encoding="utf-8")
        ask_anew(server)
    until(lambda: open_files(server) <= before, what="files that are closed again")


def test_a_reader_without_a_key_reloads_nothing(start):
    server = start("[m1]\nalias = one\n", "--api-key", "k")
    key = {"headers": {"Authorization": "Bearer k"}}
    server.preset.write_text("[m1]\nalias = two\n", encoding="utf-8")

    def aliases(path):
        return {m["id"]: m for m in server.get(path, **key).json["data"]}["m1"]["aliases"]

    assert server.get("/models?reload=1").status == 401
    assert aliases("/models") == ["one"]
    assert aliases("/models?reload=1") == ["two"]
