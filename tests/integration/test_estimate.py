# SPDX-License-Identifier: MIT
"""What a model would take, and who would have to go: GET /hostler/v1/estimate; all that is known of
it: GET /hostler/v1/show; and llama-fit-params' part in deciding who goes."""
import os
import pathlib

import pytest

import tiny_model
from background import background
from conftest import PATIENCE, until
from unloading import load
from wire import FAKE_ENGINE, fake_models, is_json_error, open_stream, read_events

MIB = 1 << 20
# The header's arithmetic takes a micro-batch at its word, where the engine makes it no larger than the
# context: so these models look large, and are small.
LOOKS_LARGE = "ubatch-size = 65536\nctx-size = 1024\n"


@pytest.fixture
def start(hostler, models, tmp_path):
    """start(presets, *args): a daemon without a limit of places, with the models m1 to m4."""
    def call(text="", *args, **kw):
        path = tmp_path / "p.ini"
        path.write_text(text, encoding="utf-8")
        return hostler("--models-dir", models, "--models-preset", path, "--models-max", "0", *args, **kw)
    return call


@pytest.fixture
def alone(tmp_path, engine):
    """The engine as a program in a folder of its own, without llama-fit-params."""
    return program(tmp_path / "alone" / "llama-server", f'exec "{engine}" "$@"')


def program(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(0o755)
    return path


def fitting_engine(folder, engine, text):
    """The engine beside a llama-fit-params that does `text`; $REAL is the real one."""
    real = pathlib.Path(engine).with_name("llama-fit-params")
    program(folder / "llama-fit-params", f'REAL="{real}"\n{text}')
    return program(folder / "llama-server", f'exec "{engine}" "$@"')


def estimate(server, query):
    answer = server.get(f"/hostler/v1/estimate?{query}")
    assert answer.status == 200, answer.body
    return answer.json


def fitting(server, query):
    """The same, once it fits: engines that were slow to load stay for a while after their last use."""
    return until(lambda: (e := estimate(server, query))["fits"] and e, what="a place")


def show(server, model):
    return server.get(f"/hostler/v1/show?model={model}").json


# --- figures ---------------------------------------------------------------------------------------

def test_an_estimate_before_and_a_measurement_after(start):
    server = start()
    before = estimate(server, "model=m1")
    assert before["model"] == "m1" and before["source"] == "fit-params" and before["note"] is None
    assert before["memory"] == before["fitted"]["memory"] and before["measured"] is None
    assert before["estimated"]["source"] == "estimated"
    assert before["fits"] and not before["never"] and not before["loaded"] and before["evicts"] == []
    assert before["used"] == {"host": 0} and before["budget"]["host"] > before["memory"]["host"]
    assert not server.engines()  # asking loads nothing
    pid = load(server, "m1")["m1"]
    after = until(lambda: (e := estimate(server, "model=m1"))["used"]["host"] and e, what="a new reading")
    assert after["source"] == "measured" and after["memory"] == after["measured"]["memory"]
    assert after["loaded"] and after["fits"]
    assert after["memory"]["host"] <= before["memory"]["host"]
    assert server.engines()["m1"]["pid"] == pid


def test_what_it_grew_to_is_learned_at_its_end(start):
    server = start("", "--ctx-size", "8192", "--parallel", "1", "--threads", "1")
    load(server, "m1")
    until(lambda: estimate(server, "model=m1")["source"] == "measured", what="a reading")
    at_first = server.engines()["m1"]["memory"]["host"]
    prompt = {"model": "m1", "prompt": "hello world " * 1000, "n_predict": 1}
    assert server.post("/completion", prompt).json["tokens_evaluated"] > 2000
    until(lambda: server.engines()["m1"]["memory"]["host"] > at_first + MIB, what="the memory that the prompt took")
    grown = server.engines()["m1"]["memory"]["host"]
    server.post("/models/unload", {"models": ["m1"]})
    assert estimate(server, "model=m1")["memory"]["host"] >= grown


def test_with_other_arguments(start):
    server = start()
    load(server, "m1")
    figures = [estimate(server, f"model=m1&ctx-size={n}") for n in (1024, 262144)]
    assert [f["measured"] for f in figures] == [None, None]
    assert [f["source"] for f in figures] == ["fit-params"] * 2
    # 2 layers, 64 keys and 64 values of 2 bytes: 512 bytes a token
    grown = (262144 - 1024) * 512
    for way in ("fitted", "estimated"):
        small, large = (f[way]["memory"]["host"] for f in figures)
        assert large - small >= grown - MIB, way
    half = estimate(server, "model=m1&ctx-size=262144&cache-type-k=q8_0&cache-type-v=q8_0&flash-attn=on")
    for way in ("fitted", "estimated"):
        assert half[way]["memory"]["host"] < figures[1][way]["memory"]["host"] - grown // 3, way
    whole = estimate(server, "model=m1&load-mode=none")
    assert whole["mapped"] == 0 and figures[0]["mapped"] + MIB > server.models()["m1"]["size"]


def test_an_alias_and_a_figure_of_the_presets(start):
    server = start("[m1]\nalias = one\nmemory = 300M\n")
    answer = estimate(server, "model=one")
    assert answer["model"] == "m1"
    assert answer["source"] == "given" and answer["memory"]["host"] == 300 * MIB


def test_a_figure_of_the_presets_that_comes_and_goes(start, tmp_path):
    server = start()
    for text, source in (("[m1]\nmemory = 300M\n", "given"), ("", "fit-params")):
        (tmp_path / "p.ini").write_text(text, encoding="utf-8")
        assert server.get("/models?reload=1").status == 200
        assert estimate(server, "model=m1")["source"] == source


@pytest.mark.parametrize("query,status,words", [
    ("model=m11", 404, "did you mean 'm1'"), ("model=nothing-like-it", 404, "there is no model 'nothing-like-it'"),
    ("", 400, "missing"), ("model=", 404, "there is no model ''"),
    ("model=m1&log-file=/tmp/x", 400, "'log-file' is no option that changes the memory"),
    ("model=m1&model-url=http://x", 400, "model-url"), ("model=m1&host=0.0.0.0", 400, "host"),
    ("model=m1&ctx-siz=9", 400, "did you mean 'ctx-size'?"), ("model=m1&--ctx-size=9", 400, "--ctx-size"),
    ("model=m1&=9", 400, "is no option"), ("model=m1&ctx-size=64k", 400, "'64k' is no whole number"),
    ("model=m1&ctx-size=many", 400, "ctx-size"), ("model=m1&ctx-size", 400, "ctx-size")])
def test_questions_that_are_refused(start, query, status, words):
    assert words in is_json_error(start().get(f"/hostler/v1/estimate?{query}"), status)


@pytest.mark.parametrize("query,word", [("cache-type-k=q9_9", "q9_9")])
def test_a_question_that_llama_fit_params_cannot_answer(start, query, word):
    answer = estimate(start(), f"model=m1&{query}")
    assert answer["fitted"] is None and answer["source"] == "estimated" and word in answer["note"]


def test_a_client_that_leaves_before_the_answer(start, tmp_path, engine):
    gate = tmp_path / "gate"
    server = start(engine=fitting_engine(
        tmp_path / "bin", engine, f'while [ ! -e "{gate}" ]; do sleep 0.01; done; exec "$REAL" "$@"'))
    connection = server.connect()
    connection.request("GET", "/hostler/v1/estimate?model=m1")
    other = background(estimate, server, "model=m2")
    until(lambda: server.get("/health").status == 200)
    connection.close()
    gate.touch()
    assert other.result(PATIENCE)["source"] == "fit-params"


# --- who would go ----------------------------------------------------------------------------------

GIVEN = "".join(f"[m{n}]\nmemory = {m}M\n" for n, m in ((1, 100), (2, 300), (3, 200), (4, 450)))


def test_those_go_who_were_named_and_nobody_else(start):
    server = start(GIVEN, "--memory", "host=650M")
    load(server, "m1", "m2", "m3")
    answer = fitting(server, "model=m4")
    assert answer["evicts"] and "evicted" in answer["message"]
    assert server.loaded() == ["m1", "m2", "m3"]  # only asked
    load(server, "m4")
    assert server.loaded() == sorted({"m1", "m2", "m3", "m4"} - set(answer["evicts"]))
    assert len(answer["evicts"]) == 2  # 450 of 650 MiB: m2 alone leaves too little


def test_who_is_pinned_is_not_named(start):
    server = start(GIVEN, "--memory", "host=650M")
    server.post("/models/pin", {"model": "m2"})
    load(server, "m2", "m3")
    answer = estimate(server, "model=m4")
    assert not answer["fits"] and not answer["never"] and answer["evicts"] == []
    assert "pinned" in answer["message"]


@pytest.mark.parametrize("query, noted", [
    ("ctx-size=2048", False), ("ctx-size=2049", True), ("ctx-size=4096&parallel=2", False),
    ("ctx-size=8192&parallel=2", True), ("ctx-size=0", False)])
def test_a_context_beyond_the_trained_one(start, cli, query, noted):
    server = start()
    note = estimate(server, "model=m1&" + query)["note"]
    assert bool(note) == noted and (not noted or "the 2048 that the model was trained with" in note)
    options = [f"--{o}" for o in query.split("&")]
    told = cli("estimate", "m1", *options, server=server)
    assert ("trained with" in told.stdout) == noted


def test_never(start):
    server = start("", "--memory", "host=300M")
    answer = estimate(server, "model=m1&ctx-size=1000000")
    assert answer["never"] and not answer["fits"] and answer["evicts"] == []
    assert answer["budget"] == {"host": 300 * MIB} and "--memory" in answer["message"]
    assert not estimate(server, "model=m1")["never"]


def test_the_budget_and_what_is_left_of_it(start):
    """`budget` is what it is in the status, whatever is used of it."""
    server = start("[*]\nmemory = 200M\n", "--memory", "host=1G")
    before = estimate(server, "model=m2")
    assert before["available"] == before["budget"] == {"host": 1 << 30}
    load(server, "m1")
    after = until(lambda: (e := estimate(server, "model=m2"))["used"]["host"] and e, what="a new reading")
    assert after["budget"]["host"] == 1 << 30 == server.get("/hostler/v1/status").json["memory"]["host"]["budget"]
    assert after["available"]["host"] == (1 << 30) - after["used"]["host"]


def test_places_count_too(start):
    server = start("", "--models-max", "1")
    load(server, "m2")
    assert fitting(server, "model=m1")["evicts"] == ["m2"]


def test_who_is_there_to_stay_for_a_while(hostler, tmp_path):
    """After a load that took its time an engine in use is not evicted in its first short pause."""
    folder = fake_models(tmp_path / "fakes", a={"load_s": 1.2}, b={})
    server = hostler("--models-dir", folder, "--models-max", "1", engine=FAKE_ENGINE)
    load(server, "a", "a")
    assert not estimate(server, "model=b")["fits"]
    assert fitting(server, "model=b")["evicts"] == ["a"]


def test_without_budgets_by_memory(start):
    answer = estimate(start("", "--memory", "off"), "model=m1")
    assert answer["budget"] is None is answer["available"] and answer["fits"] and answer["memory"]["host"] > 0


# --- llama-fit-params ------------------------------------------------------------------------------

def test_it_is_found_where_a_link_leads(start, tmp_path, engine):
    (tmp_path / "bin").mkdir()
    link = tmp_path / "bin" / "llama-server"
    link.symlink_to(engine)
    assert estimate(start(engine=link), "model=m1")["source"] == "fit-params"


def test_it_is_found_on_path(start, alone, engine):
    path = f"{os.path.dirname(engine)}:{os.environ['PATH']}"
    assert estimate(start(engine=alone, env={"PATH": path}), "model=m1")["source"] == "fit-params"


def test_without_it_the_arithmetic_serves(start, alone):
    server = start(engine=alone)
    answer = estimate(server, "model=m1&ctx-size=4096")
    assert answer["source"] == "estimated" and answer["fitted"] is None
    assert f"there is no llama-fit-params beside {alone} or on PATH" in answer["note"]
    load(server, "m1")
    assert estimate(server, "model=m1")["source"] == "measured"


@pytest.mark.parametrize("text,note", [
    ("exit 3", "failed"), ("echo nonsense >&2; exit 1", "nonsense"),
    ('case "$*" in *fit-print*) echo Host many 1 1;; *) exec "$REAL" "$@";; esac', "no device"),
    ('case "$*" in *fit-print*) echo Host 1 1 99999999999999;; *) exec "$REAL" "$@";; esac', "no device"),
    ('kill -9 $$', "failed")])
def test_one_that_is_broken(start, tmp_path, engine, text, note):
    server = start("", "--memory", "host=8G", engine=fitting_engine(tmp_path / "bin", engine, text))
    answer = estimate(server, "model=m1")
    assert answer["source"] == "estimated" and note in answer["note"]
    load(server, "m1")


def test_nobody_goes_for_an_estimate_that_is_too_high(start, alone):
    presets = f"[m1]\nmemory = 300M\n[m2]\n{LOOKS_LARGE}"
    server = start(presets, "--memory", "host=600M")
    answer = estimate(server, "model=m2")
    assert answer["estimated"]["memory"]["host"] > 300 * MIB > answer["fitted"]["memory"]["host"]
    load(server, "m1", "m2")
    assert server.loaded() == ["m1", "m2"]
    assert show(server, "m2")["footprint"]["fitted"]["source"] == "fit-params"
    # Without the one that knows better somebody does.
    server = start(presets, "--memory", "host=600M", engine=alone)
    load(server, "m1", "m2")
    assert server.loaded() == ["m2"]


def test_nobody_is_refused_for_an_estimate_that_is_too_high(start, alone):
    presets = f"[m2]\n{LOOKS_LARGE}"
    load(start(presets, "--memory", "host=300M"), "m2")
    answer = start(presets, "--memory", "host=300M", engine=alone).tokenize("m2")
    assert "(estimated)" in is_json_error(answer, 503) and answer.error["state"] == "too_large"


def test_it_is_waited_for_and_others_are_served_meanwhile(start, tmp_path, engine):
    gate = tmp_path / "gate"
    server = start(f"[m1]\nmemory = 300M\n[m2]\n{LOOKS_LARGE}[m3]\nmemory = 50M\n", "--memory", "host=600M",
                   engine=fitting_engine(tmp_path / "bin", engine, f"""case "$*" in *fit-print*)
                       while [ ! -e "{gate}" ]; do sleep 0.01; done;; esac; exec "$REAL" "$@" """))
    load(server, "m1")
    waiting = background(server.tokenize, "m2")
    until(lambda: server.queue().get("m2", {}).get("waiting") == 1, what="m2's waiting")
    load(server, "m1", "m3")
    assert server.loaded() == ["m1", "m3"] and "m2" in server.queue()
    gate.touch()
    assert waiting.result(PATIENCE).status == 200
    assert server.loaded() == ["m1", "m2", "m3"]


def test_those_go_who_must_by_its_word(start, tmp_path, engine):
    """It says more than the arithmetic here: then this counts, and the fewest go."""
    server = start("[m1]\nmemory = 150M\n[m2]\nmemory = 290M\n[m3]\nctx-size = 1024\n",
                   "--memory", "host=450M", engine=fitting_engine(
                       tmp_path / "bin", engine,
                       'case "$*" in *fit-print*) echo Host 0 205 30;; *) exec "$REAL" "$@";; esac'))
    load(server, "m1", "m2", "m3")
    assert len(server.loaded()) == 2 and "m3" in server.loaded()


def test_a_reload_makes_nobody_wait_for_an_estimate_that_is_too_high(hostler, tmp_path):
    """A replacement loads beside its predecessor, which has not ended its answer."""
    folder, preset = tmp_path / "folder", tmp_path / "p.ini"
    folder.mkdir()
    tiny_model.make(str(folder / "m.gguf"), pad_mb=60)
    preset.write_text("[m]\nctx-size = 16384\n", encoding="ascii")
    server = hostler("--models-dir", folder, "--models-preset", preset, "--memory", "host=2G")
    connection, response = open_stream(server, "m", max_tokens=16000, ignore_eos=True)  # until it is closed
    read_events(response, 1)
    preset.write_text(f"[m]\n{LOOKS_LARGE.replace('65536', '15000')}", encoding="ascii")
    assert server.get("/models?reload=1").status == 200
    until(lambda: len(server.get("/hostler/v1/status").json["engines"]) == 2, what="its replacement")
    footprint = show(server, "m")["footprint"]
    assert 1024 * MIB < footprint["estimated"]["memory"]["host"] < 2048 * MIB  # with 1 GiB to spare that is too much
    assert footprint["fitted"]["source"] == "fit-params"
    connection.close()


# --- show ------------------------------------------------------------------------------------------

def test_where_arguments_come_from(start):
    server = start("[*]\nbatch-size = 512\nctx-size = 4096\n[m1]\nctx-size = 1024\nflash-attn = off\n"
                   "priority = 3\nttl = 1h\nmax-requests = 5\npin = true\n",
                   "--threads", "1", "--flash-attn", "on", env={"LLAMA_ARG_CACHE_TYPE_K": "q8_0"})
    shown = show(server, "m1")
    origin = {a["option"]: (a["value"], a["origin"]) for a in shown["arguments"]}
    assert origin["--threads"] == ("1", "command line")
    assert origin["--flash-attn"] == ("on", "command line")  # goes before the section's
    assert origin["--ctx-size"] == ("1024", "preset")
    assert origin["--batch-size"] == ("512", "preset [*]")
    assert origin["--cache-type-k"] == ("q8_0", "environment")
    assert origin["--model"] == (shown["path"], "model's files")
    assert {o for _, o in origin.values()} <= {"command line", "preset", "preset [*]", "environment",
                                               "model's files", "hostler"}
    assert (shown["priority"], shown["ttl_ms"], shown["max_requests"], shown["pinned"]) == (
        3, 3600000, 5, True)
    assert shown["header"]["architecture"] == "llama" and shown["header"]["layers"] == 2
    assert shown["header"]["context_length"] == 2048 and shown["header"]["chat_template"]
    assert shown["last_exit"] is None and shown["loaded_by"] is None and shown["recent"] == []


def test_secrets_are_not_shown(start):
    server = start("[*]\nenv = OTHER=hunter1\n[m1]\nenv = SECRET_TOKEN=hunter2\nhf-token = hunter4\n",
                   env={"HF_TOKEN": "hf_hunter3"})
    load(server, "m1")
    answer = server.get("/hostler/v1/show?model=m1")
    assert b"hunter" not in answer.body
    variables = {v["name"]: (v["value"], v["origin"]) for v in answer.json["environment"]}
    threads, origin = variables.pop("LLAMA_ARG_THREADS_HTTP")
    assert int(threads) > 8 and origin == "hostler"
    assert variables.pop("LLAMA_ARG_CACHE_RAM")[1] == "hostler"
    assert variables == {"SECRET_TOKEN": (None, "preset"), "HF_TOKEN": (None, "preset")}
    others = server.get("/hostler/v1/show?model=m2").json["environment"]
    assert {"name": "OTHER", "value": None, "origin": "preset [*]"} in others


def test_footprints_side_by_side(start):
    server = start()
    before = show(server, "m1")["footprint"]
    assert before["estimated"]["source"] == "estimated"
    assert (before["fitted"], before["measured"], before["given"]) == (None, None, None)
    load(server, "m1")
    shown = show(server, "m1")
    assert shown["footprint"]["measured"]["memory"]["host"] > 0 and shown["load_ms"] > 0
    assert shown["status"]["value"] == "loaded" and "POST /tokenize from" in shown["loaded_by"]
    given = start("[m1]\nmemory = 123M\n")
    load(given, "m1")
    assert show(given, "m1")["footprint"]["given"]["memory"]["host"] == 123 * MIB


def test_how_it_ended(start):
    server = start()
    load(server, "m1", "m2")
    server.post("/models/unload", {"models": ["m1"]})
    last = show(server, "m1")["last_exit"]
    assert (last["reason"], last["exit_code"], last["signal"], last["message"]) == ("unloaded", 0, 0, None)
    assert last["cause"].startswith("unloaded by POST /models/unload from")
    os.kill(server.engines()["m2"]["pid"], 11)
    until(lambda: "m2" not in server.engines(), what="the end of m2's engine")
    last = show(server, "m2")["last_exit"]
    assert (last["reason"], last["signal"], last["cause"]) == ("crashed", 11, None)
    assert last["exit_code"] != 0 and "signal 11" in last["message"]


@pytest.mark.parametrize("query,status", [("model=m11", 404), ("", 400)])
def test_show_of_what_there_is_not(start, query, status):
    is_json_error(start().get(f"/hostler/v1/show?{query}"), status)
