# SPDX-License-Identifier: MIT
"""--models-preset: an INI file with a section a model."""
import re

import pytest

from conformance.suite import Exactly, answer, error

ONE = "[one]\nmodel = M1\n"


def arguments(entry):
    """What an engine is started with, as sorted options and values; how its router talks to it and
    logs, and what all cases have in common, is left out."""
    args, found = entry["status"]["args"][1:], []
    for i, a in enumerate(args):
        if a.startswith("-") and not re.fullmatch(r"-[0-9.]+", a):
            value = args[i + 1] if i + 1 < len(args) and not args[i + 1].startswith("--") else None
            if a not in ("--host", "--port", "--threads", "--threads-http", "--log-colors", "--alias"):
                found.append([a, value])
    return sorted(found, key=str)


def ini(entry):
    """What `status.preset` says, without the order of its lines and how the engine logs."""
    section, *lines = entry["status"]["preset"].strip().split("\n")
    values = dict(line.split(" = ", 1) for line in lines)
    for name in ("log-colors", "threads"):
        values.pop(name, None)
    return {"section": section, "values": values}


def chosen(server, model, *names):
    """The values of these options."""
    return {a: v for a, v in arguments(server.entry(model)) if a in names}




def test_a_set_is_a_model(start, see):
    """A model of llama.cpp's choice; off, it is nothing."""
    server = start.preset("[one]\nfim-qwen-3b-default = 1\n[two]\nmodel = M1\nfim-qwen-3b-default = off\n")
    see("ids", list(server.entries()), ["one", "two"])
    see("one", arguments(server.entry("one")), [["--fim-qwen-3b-default", None]])
    see("tokenize", server.tokenize("two"), answer(200))


def test_a_section_is_a_model(start, see):
    server = start.preset("[one]\nmodel = M1\n[two]\nmodel = M2\nctx-size = 512\n")
    see("one", server.entry("one"), {"id": "one", "source": "preset", "can_remove": False, "aliases": [],
                                     "tags": [], "status": {"value": "unloaded"}})
    see("two", arguments(server.entry("two")), [["--ctx-size", "512"], ["--model", "MODELS/m2.gguf"]])
    see("order", list(server.entries()), ["one", "two"])
    see("tokenize", server.tokenize("two"), answer(200))


@pytest.mark.parametrize("key,option", [
    ("ctx-size = 512", "--ctx-size"), ("c = 512", "--ctx-size"), ("LLAMA_ARG_CTX_SIZE = 512", "--ctx-size"),
    ("n-gpu-layers = 0", "--n-gpu-layers"), ("ngl = 0", "--n-gpu-layers"), ("gpu-layers = 0", "--n-gpu-layers"),
    ("temp = 0.5", "--temperature"), ("temperature = 0.5", "--temperature"), ("np = 2", "--parallel"),
    ("LLAMA_ARG_N_PARALLEL = 2", "--parallel"), ("cache-type-k = q8_0", "--cache-type-k"),
    ("ctk = q8_0", "--cache-type-k"), ("chat-template = chatml", "--chat-template"),
    ("load-mode = none", "--load-mode"), ("flash-attn = off", "--flash-attn"), ("fa = off", "--flash-attn")],
    ids=lambda v: v.partition(" ")[0])
def test_names_of_an_option(start, see, key, option):
    server = start.preset(ONE + key + "\n")
    value = key.partition("= ")[2]
    see("arguments", chosen(server, "one", option), {option: value})
    see("status.preset", server.entry("one")["status"]["preset"],
        re.compile(f"\n{option[2:]} = {value}\n"))


@pytest.mark.parametrize("key,expected", [
    *((f"jinja = {v}", "--jinja") for v in ("true", "1", "on", "enabled", "yes", "TRUE", "no")),
    *((f"jinja = {v}", "--no-jinja") for v in ("false", "0", "off", "disabled")),
    ("no-jinja = true", "--no-jinja"), ("no-jinja = false", "--jinja"), ("LLAMA_ARG_JINJA = 0", "--no-jinja"),
    ("LLAMA_ARG_JINJA = 1", "--jinja"),
    ("kv-offload = false", "--no-kv-offload"), ("no-kv-offload = 1", "--no-kv-offload"),
    ("nkvo = 1", "--no-kv-offload"), ("nkvo = 0", "--kv-offload"), ("swa-full = true", "--swa-full"),
    ("swa-full = false", None), ("embedding = true", "--embeddings"), ("embeddings = 1", "--embeddings"),
    ("metrics = true", "--metrics"), ("metrics = false", None), ("context-shift = true", "--context-shift"),
    ("no-context-shift = true", "--no-context-shift")], ids=lambda v: v or "")
def test_booleans(start, see, key, expected):
    server = start.preset(ONE + key + "\n")
    see("arguments", arguments(server.entry("one")),
        sorted([["--model", "MODELS/m1.gguf"]] + ([[expected, None]] if expected else []), key=str))


@pytest.mark.parametrize("line,expected", [
    ("; a comment", "512"), ("# a comment", "512"), ("", "512"), ("  \t", "512"),
    ("ctx-size = 256", "256"), ("ctx-size=256", "256"), ("ctx-size   =   256   ", "256"), ("ctx-size = 256 ; words", "256"),
    ("ctx-size = 256 # words", "256"), ("version = 3", "512")], ids=repr)
def test_lines(start, see, line, expected):
    server = start.preset(f"[one]\nmodel = M1\nctx-size = 512\n{line}\n")
    see("ctx-size", chosen(server, "one", "--ctx-size"), {"--ctx-size": expected})


@pytest.mark.parametrize("value,expected", [
    ("a;b", "a"), ("a#b", "a"), ("a ; b", "a"), *((v, v) for v in (
        '"quoted"', "'single'", "a = b", "ü☃", "a  b", "\\n", "a\tb"))], ids=repr)
def test_values(start, see, value, expected):
    server = start.preset(f"[one]\nmodel = M1\nchat-template = {value}\n")
    see("value", chosen(server, "one", "--chat-template"), {"--chat-template": expected})
    see("status.preset", server.entry("one")["status"]["preset"],
        re.compile(re.escape(f"chat-template = {expected}\n")))


@pytest.mark.parametrize("value,expected", [
    ('"a;b"', '"a'), ("'a;b'", "'a"), ('"a#b" # words', '"a'), ('"a;b" ; "words"', '"a'), ('"a"b;c"', '"a"b'),
    ('"a" ; words', '"a"'), ('"a;b', '"a'), ('x"a;b"', 'x"a')], ids=repr)
def test_values_in_quotes(start, see, value, expected):
    server = start.preset(f"[one]\nmodel = M1\nchat-template = {value}\n")
    see("value", chosen(server, "one", "--chat-template"), {"--chat-template": expected})


@pytest.mark.parametrize("name,model", [
    *((n, n) for n in ("one", "a b", "user/repo:Q4", "größe", "[x", "1", "a.b-c_d")), (" padded ", "padded "),
    ("u/r:UD-Q4_K_XL", "u/r:Q4_K_XL"), ("u/r:q4_k_m", "u/r:Q4_K_M"), ("my:model-a.b", "my:B"), ("a:b:c-d", "a:b:D"),
    ("a:x-", "a:X-"), ("a:x-y z", "a:X-Y Z"), ("a:", "a:"), ("m:größe", "m:GRößE"), ("ab-c.d", "ab-c.d")],
    ids=repr)
def test_names_of_a_section(start, see, name, model):
    server = start.preset(f"[{name}]\nmodel = M1\n")
    see("ids", list(server.entries()), [model])


def answers_to(server, *names):
    return {name: server.tokenize(name).status for name in names}


@pytest.mark.parametrize("section,repo", [
    ("u/r:UD-Q8_K_XL", None), ("u/r:q8_k_xl", None), ("u/r:Q8_K_XL", None), ("u/r:UD-Q8_K_XL", "u/r:UD-Q8_K_XL"),
    ("u/r:q8_k_xl", "u/r:q8_k_xl")], ids=lambda v: v or "")
def test_a_section_of_a_cached_model_in_another_spelling(start, see, section, repo):
    start.cached("u/r", "x-UD-Q8_K_XL.gguf")
    server = start.preset(f"[{section}]\nctx-size = 256\n" + (f"hf-repo = {repo}\n" if repo else ""))
    see("ids", list(server.entries()), ["u/r:Q8_K_XL"])
    see("context", chosen(server, "u/r:Q8_K_XL", "--ctx-size"), {"--ctx-size": "256"})
    see("answers", answers_to(server, "u/r:Q8_K_XL"), {"u/r:Q8_K_XL": 200})
    see("context of the engine", server.entry("u/r:Q8_K_XL")["meta"]["n_ctx"], 256)


def test_the_spelling_of_a_section_is_a_name_too(start, see):
    server = start.preset("[u/r:UD-Q4_K_XL]\nmodel = M1\n[m:8b]\nmodel = M2\nalias = n:x-q8\n")
    see("ids", list(server.entries()), ["m:8B", "u/r:Q4_K_XL"])
    see("listed", answers_to(server, "u/r:Q4_K_XL", "m:8B", "n:x-q8"), dict.fromkeys(
        ("u/r:Q4_K_XL", "m:8B", "n:x-q8"), 200))
    see("others", answers_to(server, "u/r:UD-Q4_K_XL", "u/r:q4_k_xl", "m:8b", "n:Q8"), dict.fromkeys(
        ("u/r:UD-Q4_K_XL", "u/r:q4_k_xl", "m:8b", "n:Q8"), 400))
    see("none", answers_to(server, "U/r:Q4_K_XL", "u/r", "u/r:", "M:8b", "m:"), dict.fromkeys(
        ("U/r:Q4_K_XL", "u/r", "u/r:", "M:8b", "m:"), 400))


def test_two_spellings_of_a_section(start, see):
    server = start.preset("[u/r:Q4_K_XL]\nmodel = M1\nctx-size = 512\n[u/r:UD-Q4_K_XL]\nmodel = M2\n")
    see("ids", list(server.entries()), ["u/r:Q4_K_XL"])
    see("arguments", arguments(server.entry("u/r:Q4_K_XL")), [["--model", "MODELS/m2.gguf"]])


def test_two_spellings_in_another_order(start, see):
    """Stock goes by the order of their names."""
    server = start.preset("[u/r:UD-Q4_K_XL]\nmodel = M1\n[u/r:Q4_K_XL]\nmodel = M2\n")
    see("arguments", arguments(server.entry("u/r:Q4_K_XL")), [["--model", "MODELS/m1.gguf"]])


def test_an_alias_in_another_models_spelling(start, see):
    """The exact name goes before another spelling."""
    server = start.preset("[u/r:Q4_K_XL]\nmodel = M1\n[two]\nmodel = M2\nalias = u/r:UD-Q4_K_XL\n")
    server.be_loaded("u/r:Q4_K_XL", "two")
    see("two", [server.post("/v1/completions", {"model": n, "prompt": "x", "max_tokens": 1}).json["model"]
                for n in ("u/r:Q4_K_XL", "u/r:UD-Q4_K_XL")], ["u/r:Q4_K_XL", "two"])


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=repr)
def test_line_endings(start, models, see, ending):
    path = start.folder / "models.ini"
    path.write_bytes(ending.join(["[one]", f"model = {models / 'm1.gguf'}", "ctx-size = 512", ""]).encode())
    server = start("--models-preset", path)
    see("ctx-size", chosen(server, "one", "--ctx-size"), {"--ctx-size": "512"})


def test_no_newline_at_the_end(start, see):
    see("ctx-size", chosen(start.preset("[one]\nmodel = M1\nctx-size = 512"), "one", "--ctx-size"),
        {"--ctx-size": "512"})


@pytest.mark.parametrize("text", [
    ONE + "no-such-option = 1\n", ONE + "ctx-size\n", "[one\nmodel = M1\n", ONE + "= 5\n", ONE + "ctx size = 5\n",
    "[]\nmodel = M1\n", "[*]\nno-such-option = 1\n", ONE + "  ctx-size = 5\n", ONE + "--ctx-size = 5\n"], ids=repr)
def test_what_is_refused_at_the_start(start, see, text):
    see("refused", start.fails("--models-preset", start.presets(text)), True)


@pytest.mark.parametrize("text", [
    "model = M1\n", "[one]\n", "[one]\nctx-size = 512\n", "", "[one]\nmodel =\n", "[*]\nctx-size = 512\n",
    ONE + "ctx-size = many\n", "[one]\nmodel = /nowhere/x.gguf\n", ONE + "port = 1234\n", ONE + "host = 0.0.0.0\n",
    ONE + "api-key = secret\n", ONE + "models-max = 1\n", ONE + "help = 1\n", ONE + "jinja =\n",
    ONE + "jinja = maybe\n", ONE + "LLAMA_ARG_NO_JINJA = 1\n", ONE + "stop-timeout = many\n",
    ONE + "stop-timeout = -1\n"], ids=repr)
def test_what_is_not_refused_at_the_start(start, see, text):
    path = start.presets(text)
    refused = start.fails("--models-preset", path)
    see("refused", refused, False)
    see("ids", list(start("--models-preset", path).entries()) if not refused else None, list)


def test_no_file(start, see):
    see("refused", start.fails("--models-preset", start.folder / "nowhere.ini"), True)


def test_options_that_the_router_owns_are_not_passed_on(start, see):
    server = start.preset(ONE + "host = 0.0.0.0\nport = 1234\napi-key = secret\nalias = uno\n")
    see("arguments", arguments(server.entry("one")), [["--model", "MODELS/m1.gguf"]])
    see("aliases", server.entry("one")["aliases"], ["uno"])
    see("tokenize", server.tokenize("uno"), answer(200))


def test_a_section_whose_model_is_not_there(start, see):
    good = start.models("good.gguf")
    server = start.preset("[u/gone:Q4_K_M]\nctx-size = 512\nalias = later\n[lost]\nctx-size = 256\n", "--models-dir", good)
    see("sources", {k: e["source"] for k, e in server.entries().items()}, {
        "good": "models_dir", "lost": "preset", "u/gone:Q4_K_M": "preset"})
    see("statuses", server.statuses(), dict.fromkeys(("good", "lost", "u/gone:Q4_K_M"), "unloaded"))
    see("good", server.tokenize("good"), answer(200))
    start.cached("u/gone", "x-Q4_K_M.gguf")
    start.models("lost.gguf")
    see("reload", reload_(server), ["good", "lost", "u/gone:Q4_K_M"])
    see("there", [server.tokenize(m).status for m in ("later", "lost", "good")], [200] * 3)
    see("contexts", {m: server.entry(m)["meta"]["n_ctx"] for m in ("u/gone:Q4_K_M", "lost")},
        {"u/gone:Q4_K_M": 512, "lost": 256})


# --- precedence ------------------------------------------------------------------------------------

def test_all_are_for_each(start, see):
    server = start.preset("[*]\nctx-size = 512\n[one]\nmodel = M1\n[two]\nmodel = M2\nctx-size = 256\n")
    see("one", chosen(server, "one", "--ctx-size"), {"--ctx-size": "512"})
    see("two", chosen(server, "two", "--ctx-size"), {"--ctx-size": "256"})
    see("no model of its own", list(server.entries()), ["one", "two"])


def test_the_command_line_wins(start, see):
    server = start.preset("[*]\nctx-size = 512\n[one]\nmodel = M1\nctx-size = 256\n", "-c", "1024")
    see("one", chosen(server, "one", "--ctx-size"), {"--ctx-size": "1024"})


def test_a_section_beside_the_environment(start, see):
    """The engine inherits it, and an argument is stronger there."""
    server = start.preset(ONE + "ctx-size = 256\n[two]\nmodel = M2\n", env={"LLAMA_ARG_CTX_SIZE": "1024"})
    server.be_loaded("one", "two")
    see("contexts", {m: server.entry(m)["meta"]["n_ctx"] for m in ("one", "two")}, {"one": 256, "two": 1024})


def test_the_command_line_beside_all(start, see):
    server = start.preset("[*]\ntemp = 0.5\n[one]\nmodel = M1\nctx-size = 256\n", "-np", "2")
    see("one", arguments(server.entry("one")), [
        ["--ctx-size", "256"], ["--model", "MODELS/m1.gguf"], ["--parallel", "2"], ["--temperature", "0.5"]])


def test_the_last_of_two_counts(start, see):
    server = start.preset(ONE + "ctx-size = 512\nctx-size = 256\n")
    see("one", chosen(server, "one", "--ctx-size"), {"--ctx-size": "256"})


def test_all_behind_the_sections(start, see):
    server = start.preset(ONE + "[*]\nctx-size = 512\n")
    see("one", chosen(server, "one", "--ctx-size"), {"--ctx-size": "512"})


def test_a_boolean_of_all_taken_back(start, see):
    server = start.preset("[*]\njinja = false\n[one]\nmodel = M1\njinja = true\n[two]\nmodel = M2\nno-jinja = false\n"
                    "[three]\nmodel = M2\n")
    see("all", {m: [a for a, _ in arguments(server.entry(m)) if "jinja" in a] for m in ("one", "two", "three")},
        {"one": ["--jinja"], "two": ["--jinja"], "three": ["--no-jinja"]})


def test_two_sections_of_a_name(start, see):
    server = start.preset("[one]\nmodel = M1\nctx-size = 512\n[one]\nmodel = M2\n")
    see("arguments", arguments(server.entry("one")), [["--model", "MODELS/m2.gguf"]])


# --- with folders ----------------------------------------------------------------------------------

def test_a_section_for_a_model_of_the_folder(start, models, see):
    server = start.preset("[m1]\nctx-size = 512\n", "--models-dir", models)
    see("m1", server.entry("m1"), {"source": "preset"})
    see("m2", server.entry("m2"), {"source": "models_dir"})
    see("arguments", arguments(server.entry("m1")), [["--ctx-size", "512"], ["--model", "MODELS/m1.gguf"]])
    see("tokenize", server.tokenize("m1"), answer(200))


def test_a_section_takes_another_file(start, models, see):
    server = start.preset("[m1]\nmodel = M2\n", "--models-dir", models)
    see("arguments", arguments(server.entry("m1")), [["--model", "MODELS/m2.gguf"]])


def test_all_are_for_the_folder_too(start, models, see):
    server = start.preset("[*]\nctx-size = 512\n", "--models-dir", models)
    see("m2", chosen(server, "m2", "--ctx-size"), {"--ctx-size": "512"})
    see("source", server.entry("m2")["source"], "models_dir")


def test_a_preset_and_the_folders_models_in_order(start, models, see):
    server = start.preset("[zeta]\nmodel = M1\n[alpha]\nmodel = M2\n", "--models-dir", models)
    see("order", list(server.entries()), ["alpha", "m1", "m2", "m3", "m4", "zeta"])


# --- aliases and tags ------------------------------------------------------------------------------

def test_aliases_route(start, see):
    server = start.preset("[one]\nmodel = M1\nalias = uno, eins ,un\n")
    see("aliases", server.entry("one")["aliases"], ["eins", "un", "uno"])
    see("tokenize", [server.tokenize(a).status for a in ("uno", "eins", "un", "one", "zwei")], [200] * 4 + [400])
    see("load", server.load("uno"), error(400))
    see("get", server.get("/lora-adapters?model=eins").status, 200)
    see("unload", server.unload("un"), answer(200))


def test_an_alias_in_an_answer(start, see):
    server = start.preset("[one]\nmodel = M1\nalias = uno\n")
    got = server.post("/v1/chat/completions", {"model": "uno", "max_tokens": 2,
                                               "messages": [{"role": "user", "content": "hi"}]})
    see("model", got.json["model"], "one")


def test_tags_inform(start, see):
    server = start.preset("[one]\nmodel = M1\ntags = fast, small ,fast\n")
    see("tags", server.entry("one")["tags"], ["fast", "small"])
    see("tokenize", server.tokenize("fast"), error(400))


@pytest.mark.parametrize("text", [
    ONE + "alias = two\n[two]\nmodel = M2\n", ONE + "alias = x\n[two]\nmodel = M2\nalias = x\n",
    "[two]\nmodel = M1\nalias = one\n[one]\nmodel = M2\n"], ids=["a model's", "another's", "an earlier model's"])
def test_an_alias_that_is_taken(start, see, text):
    see("refused", start.fails("--models-preset", start.presets(text)), True)


@pytest.mark.parametrize("alias,expected", [("one", ["one"]), ("x,x", ["x"])], ids=["its own", "twice"])
def test_an_alias_that_is_no_news(start, see, alias, expected):
    see("aliases", start.preset(ONE + f"alias = {alias}\n").entry("one")["aliases"], expected)


@pytest.mark.parametrize("alias,expected", [
    ("", []), (" ", []), (",", []), ("a,,b", ["a", "b"]), ("a b", ["a b"])], ids=repr)
def test_forms_of_aliases(start, see, alias, expected):
    see("aliases", start.preset(ONE + f"alias = {alias}\n").entry("one")["aliases"], expected)


# --- keys that only a preset has ---------------------------------------------------------------------

@pytest.mark.parametrize("value", ["true", "1", "on", "false", "0", "off"])
def test_load_on_startup(start, see, value):
    server = start.preset(ONE + f"load-on-startup = {value}\n")
    if value in ("true", "1", "on"):
        server.until_status("one", "loaded")
    see("status", server.status("one"), "loaded" if value in ("true", "1", "on") else "unloaded")
    see("not passed on", [a for a, _ in arguments(server.entry("one"))], ["--model"])


def test_load_on_startup_of_all(start, see):
    server = start.preset("[*]\nload-on-startup = true\n[one]\nmodel = M1\n[two]\nmodel = M2\nload-on-startup = false\n")
    server.until_status("one", "loaded")
    see("statuses", server.statuses(), {"one": "loaded", "two": "unloaded"})


def test_more_on_startup_than_there_is_room(start, see):
    path = start.presets("[one]\nmodel = M1\n[two]\nmodel = M2\n[*]\nload-on-startup = true\n")
    see("refused", start.fails("--models-preset", path, "--models-max", "1"), True)


@pytest.mark.parametrize("value", ["1", "30"])
def test_stop_timeout(start, see, value):
    server = start.preset(ONE + f"stop-timeout = {value}\n")
    server.be_loaded("one").be_unloaded("one")
    see("status", server.status("one"), "unloaded")
    see("status.preset", server.entry("one")["status"]["preset"], re.compile(f"\nstop-timeout = {value}\n"))


def test_status_preset(start, see):
    server = start.preset("[*]\nload-mode = none\n[one]\nmodel = M1\nalias = uno\ntags = t\nctx-size = 512\n"
                    "load-on-startup = false\nstop-timeout = 5\njinja = false\n", "--temp", "0.5")
    see("preset", ini(server.entry("one")), {
        "section": "[one]", "values": Exactly({
            "jinja": "false", "temperature": "0.5", "ctx-size": "512", "load-mode": "none", "stop-timeout": "5",
            "model": "MODELS/m1.gguf", "load-on-startup": "false"})})


def test_a_preset_without_aliases_from_the_command_line(start, see):
    server = start.preset(ONE, "--alias", "elsewhere")
    see("aliases", server.entry("one")["aliases"], [])


def test_two_models_of_one_file(start, see):
    server = start.preset("[short]\nmodel = M1\nctx-size = 256\n[long]\nmodel = M1\nctx-size = 1024\n")
    server.be_loaded("short", "long")
    see("contexts", {m: server.entry(m)["meta"]["n_ctx"] for m in ("short", "long")}, {"short": 256, "long": 1024})


def test_a_model_with_its_own_names(start, see):
    """A client sees the section's name, and the file nowhere."""
    server = start.preset(ONE)
    got = server.post("/v1/chat/completions", {"model": "one", "max_tokens": 2,
                                               "messages": [{"role": "user", "content": "hi"}]})
    see("model", got.json["model"], "one")


# --- changes -----------------------------------------------------------------------------------------

def reload_(server):
    return [e["id"] for e in server.get("/models?reload=1").json["data"]]


def test_a_section_appears(start, see):
    server = start.preset(ONE)
    start.presets(ONE + "[two]\nmodel = M2\nload-on-startup = true\n")
    see("before", list(server.entries()), ["one"])
    see("reload", reload_(server), ["one", "two"])
    see("two", server.status("two"), "unloaded")


def test_a_section_vanishes(start, see):
    server = start.preset(ONE + "[two]\nmodel = M2\n").be_loaded("one", "two")
    start.presets(ONE)
    see("reload", reload_(server), ["one"])
    server.until(lambda: list(server.engine_pids()) == ["one"])
    see("one", server.status("one"), "loaded")


def test_a_section_changes(start, see):
    """A running engine with other arguments goes; it comes back with the new ones."""
    server = start.preset(ONE + "ctx-size = 512\n").be_loaded("one")
    start.presets(ONE + "ctx-size = 256\n")
    reload_(server)
    server.until_status("one", "unloaded")
    see("arguments", chosen(server, "one", "--ctx-size"), {"--ctx-size": "256"})
    see("tokenize", server.tokenize("one").status, 200)
    see("context", server.entry("one")["meta"]["n_ctx"], 256)


def test_an_alias_changes(start, see):
    server = start.preset(ONE + "alias = uno\n").be_loaded("one")
    pids = server.engine_pids()
    start.presets(ONE + "alias = eins\n")
    reload_(server)
    see("same process", server.engine_pids() == pids, True)
    see("tokenize", [server.tokenize(a).status for a in ("uno", "eins")], [200, 400])


def test_a_section_that_did_not_change(start, see):
    server = start.preset(ONE).be_loaded("one")
    pids = server.engine_pids()
    start.presets("; a new comment\n" + ONE + "[two]\nmodel = M2\n")
    see("reload", reload_(server), ["one", "two"])
    see("same process", server.engine_pids() == pids, True)


def test_a_change_that_is_a_mistake(start, models, see):
    """Nothing is lost by it."""
    server = start.preset(ONE).be_loaded("one")
    start.presets(ONE + "no-such-option = 1\n")
    see("reload", server.get("/models?reload=1").status, 500)
    see("tokenize", server.tokenize("one").status, 200)
    see("list", list(server.entries()), ["one"])
