# SPDX-License-Identifier: MIT
"""Options of the server itself: where it serves, and to whom."""
import re

import pytest

from conformance.suite import answer, error
from conformance.test_http import cors

ORIGIN = {"Origin": "http://web.test"}


def test_a_prefix(start, models, see):
    server = start("--models-dir", models, "--api-prefix", "/llama")
    see("health", server.get("/llama/health"), answer(200, {"status": "ok"}))
    see("models", server.get("/llama/v1/models").status, 200)
    see("tokenize", server.post("/llama/tokenize", {"model": "m1", "content": "hi"}), answer(200))
    see("without it", server.get("/health"), error(404))


@pytest.mark.parametrize("allowed", ["http://web.test", "http://other.test", "*"])
def test_origins(start, models, see, allowed):
    server = start("--models-dir", models, "--cors-origins", allowed)
    see("answer", cors(server.get("/health", headers=ORIGIN)),
        {"access-control-allow-origin": "http://web.test" if allowed == "*" else allowed})
    see("preflight", cors(server.request("OPTIONS", "/models/load", headers=ORIGIN)), {"status": 200})


def test_methods_and_headers(start, models, see):
    server = start("--models-dir", models, "--cors-methods", "GET", "--cors-headers", "X-One", "--no-cors-credentials")
    see("preflight", cors(server.request("OPTIONS", "/health", headers=ORIGIN)),
        {"access-control-allow-methods": "GET", "access-control-allow-headers": "X-One",
         "access-control-allow-credentials": "false", "access-control-allow-origin": "*"})


@pytest.mark.parametrize("args", [["--no-such-option"], ["--models-max", "many"], ["--ctx-size"], ["stray"]], ids=" ".join)
def test_what_is_refused(start, models, see, args):
    see("refused", start.fails("--models-dir", models, *args), True)


@pytest.mark.parametrize("flags", [
    ["--version"], ["--list-devices"], ["--cache-list"], ["-cl"], ["--completion-bash"], ["--usage"], ["--help"],
    ["--version", "--no-such-option"]], ids=" ".join)
def test_what_ends_the_process(start, models, see, flags):
    """It prints something in place of serving."""
    server = start("--models-dir", models, *flags, wait=False)
    see("exit status", server.process.wait(server.patience), 0)
    see("prints", bool(server.log()), True)


@pytest.mark.parametrize("flags", [["--list-devices"], ["--version"]], ids=" ".join)
def test_what_ends_the_process_follows_a_mistake(start, models, see, flags):
    see("refused", start.fails("--models-dir", models, "--models-max", "many", *flags), True)


# What llama.cpp's authors chose: the repository, the file in it, and the port where it is served.
SETS = {"--embd-gemma-default": ("embeddinggemma-300M-qat-q4_0-GGUF", "embeddinggemma-300M-qat-Q4_0.gguf", 8011),
        "--fim-qwen-3b-default": ("Qwen2.5-Coder-3B-Q8_0-GGUF", "qwen2.5-coder-3b-q8_0.gguf", 8012),
        "--gpt-oss-20b-default": ("gpt-oss-20b-GGUF", "gpt-oss-20b-mxfp4.gguf", 8013),
        "--vision-gemma-4b-default": ("gemma-3-4b-it-qat-GGUF", "gemma-3-4b-it-qat-Q4_0.gguf", 8014)}


@pytest.mark.parametrize("flag", SETS)
def test_a_set_is_one_model(start, models, see, flag):
    """A model of llama.cpp's choice makes a server of that model, although there is a folder of others."""
    repo, file, _ = SETS[flag]
    start.cached(f"ggml-org/{repo}", file)
    server = start("--models-dir", models, flag, "--port", "0", "--offline")
    server.until_healthy()
    see("role", "role" in server.get("/props").json, False)
    see("id", server.get("/v1/models").json["data"][0]["id"], re.compile(repo))
    see("any name", server.post("/tokenize", {"model": "x", "content": "hi"}), answer(200))


@pytest.mark.parametrize("flag", SETS)
def test_the_port_of_a_set(start, see, flag):
    """Its own, although a port stands before it. Whether that port is free does not matter: the log names it."""
    repo, file, port = SETS[flag]
    start.cached(f"ggml-org/{repo}", file)
    server = start(flag, "--offline", wait=False)
    server.until(lambda: str(port) in server.log() or server.process.poll() is not None)
    see("port", str(port) in server.log(), True)
    server.kill()


@pytest.mark.parametrize("args,env", [
    (["-m", ""], {}), (["-hf", ""], {}), ([], {"LLAMA_ARG_MODEL": ""}), ([], {"LLAMA_ARG_HF_REPO": ""}),
    (["-mu", "http://127.0.0.1:1/x.gguf"], {}), ([], {"LLAMA_ARG_MODEL_URL": "http://127.0.0.1:1/x.gguf"}),
    (["--hf-file", "x.gguf"], {}), ([], {"LLAMA_ARG_HF_FILE": "x.gguf"}), (["--mmproj", "x.gguf"], {})],
    ids=lambda v: " ".join(v) or "-")
def test_what_does_not_choose_a_model(start, models, see, args, env):
    server = start("--models-dir", models, *args, env=env)
    see("role", server.get("/props").json.get("role"), "router")
    see("tokenize", server.tokenize("m1"), answer(200))


@pytest.mark.parametrize("sources", [["--models-dir"], ["--models-preset"], []], ids=lambda v: "".join(v) or "no source")
def test_a_variable_names_a_model(start, models, see, sources):
    """One model, although the command line has others."""
    preset = start.presets("[one]\nmodel = M2\n")
    args = [*sources, models if "--models-dir" in sources else preset] if sources else []
    server = start(*args, env={"LLAMA_ARG_MODEL": str(models / "m1.gguf")}).until_healthy()
    see("role", "role" in server.get("/props").json, False)
    see("id", server.get("/v1/models").json["data"][0]["id"], "MODELS/m1.gguf")


@pytest.mark.parametrize("env", [
    {"LLAMA_ARG_MODEL": "/nowhere/m.gguf"}, {"LLAMA_ARG_HF_REPO": "nobody/nothing:Q4_0", "LLAMA_ARG_OFFLINE": "1"}],
    ids=lambda v: list(v)[0])
def test_a_variable_names_no_model_that_is_there(start, models, see, env):
    server = start("--models-dir", models, env=env, wait=False)
    see("exit status", server.process.wait(server.patience), 1)


@pytest.mark.parametrize("args,env", [
    (["-m", ""], "LLAMA_ARG_MODEL"), (["-hf", ""], "LLAMA_ARG_HF_REPO")])
def test_an_option_unsets_a_variable(start, models, see, args, env):
    server = start("--models-dir", models, *args, env={env: "/nowhere/m.gguf"})
    see("role", server.get("/props").json.get("role"), "router")


# Values at the edges of the options' ranges; what is refused by both is worded by each.
@pytest.mark.parametrize("args", [
    ["--timeout", "0"], ["--timeout", "-1"], ["--timeout", "1"], ["--models-max", "0"], ["--api-prefix", ""],
    ["--models-preset", ""], ["--ssl-key-file", ""], ["--ssl-cert-file", ""], ["--log-file", ""], ["--alias", ""],
    ["--cors-origins", ""], ["--cors-methods", ""], ["--models-max", " 2 "], ["--models-max", "+2"],
    ["--models-max", "2147483647"], ["--timeout", "5\t"], ["--api-prefix", "/"]], ids=repr)
def test_values_at_the_edge(start, models, see, args):
    server = start("--models-dir", models, *args)
    see("list", server.get("/models").status, 404 if args == ["--api-prefix", "/"] else 200)


def test_no_time_limit(start, models, see):
    """With 0, stock's engines break off some requests, which is no example: see test_lifecycle.py."""
    server = start("--models-dir", models, env={"LLAMA_ARG_TIMEOUT": "-1"})
    see("tokenize", server.tokenize("m1").status, 200)


@pytest.mark.parametrize("args", [
    ["--timeout", ""], ["--timeout", "99999999999"], ["--models-max", ""], ["--models-max", "99999999999"],
    ["--port", "-1"], ["--port", ""], ["--host", ""], ["--api-key-file", ""], ["--models-dir", "/nowhere"],
    ["--models-preset", "/nowhere"], ["--models-max", "-1"], ["--models-max", "2147483648"], ["--port", "99999999999"],
    ["--ssl-key-file", "/nowhere", "--ssl-cert-file", "/nowhere"]], ids=" ".join)
def test_values_beyond_the_edge(start, models, see, args):
    see("refused", start.fails("--models-dir", models, *args), True)


# What stock takes and makes something of that nobody meant; FOLDER is the case's own.
MISTAKEN = {"5x": ["--models-max", "5x"], "a fraction": ["--models-max", "1.5"], "hexadecimal": ["--models-max", "0x10"],
            "an exponent": ["--models-max", "1e3"], "5x seconds": ["--timeout", "5x"], "1.5 seconds": ["--timeout", "1.5"],
            "a port in hexadecimal": ["--port", "0x1f90"], "port 65536": ["--port", "65536"],
            "an empty key": ["--api-key", ""], "no key but commas": ["--api-key", ", ,"],
            "an empty file of keys": ["--api-key-file", "FOLDER/empty"],
            "a file of keys with comments": ["--api-key-file", "FOLDER/comments"],
            "a folder of keys": ["--api-key-file", "FOLDER"],
            "a log in no folder": ["--log-file", "/nowhere/log"], "a log that is a folder": ["--log-file", "FOLDER"],
            "a relative prefix": ["--api-prefix", "llama"], "a prefix with a blank": ["--api-prefix", "/a b"],
            "a prefix with a query": ["--api-prefix", "/a?b"],
            "a key without a certificate": ["--ssl-key-file", "FOLDER/empty"],
            "a certificate without a key": ["--ssl-cert-file", "FOLDER/empty"],
            "methods with a line break": ["--cors-methods", "GET\nX-Other: 1"]}


@pytest.mark.parametrize("what", MISTAKEN)
def test_what_is_mistaken(start, models, see, what):
    start.file("empty", "")
    start.file("comments", "# one\n#two\n")
    args = [a.replace("FOLDER", str(start.folder)) for a in MISTAKEN[what]]
    see("refused", start.fails("--models-dir", models, *args), False)


@pytest.mark.parametrize("args", [
    ["-c", "abc"], ["-c", ""], ["-c", "99999999999"], ["--temp", "abc"], ["--seed", "abc"], ["-np", "0"],
    ["--cache-type-k", "nope"], ["--flash-attn", "nope"], ["--split-mode", "nope"], ["--device", "nope"],
    ["--spec-type", "nope"], ["--sleep-idle-seconds", "0"], ["--chat-template-file", "/nowhere"], ["--json-schema", "{"],
    ["--slot-save-path", "/nowhere"], ["--override-kv", "x"], ["-c", "512", "-c", "abc"]], ids=" ".join)
def test_engines_would_refuse_it(start, models, see, args):
    """It is said at the start, and not when the first client wants a model."""
    see("refused", start.fails("--models-dir", models, *args), True)


@pytest.mark.parametrize("variable,value", [("CTX_SIZE", "abc"), ("N_PARALLEL", "0"), ("FLASH_ATTN", "nope")])
def test_engines_would_refuse_a_variable(start, models, see, variable, value):
    see("refused", start.fails("--models-dir", models, env={f"LLAMA_ARG_{variable}": value}), True)


@pytest.mark.parametrize("args", [["-c", "5x"], ["-c", "-1"], ["-t", "0"], ["-np", "-2"], ["--lora", "/nowhere"]], ids=" ".join)
def test_engines_may_refuse_it_later(start, models, see, args):
    see("refused", start.fails("--models-dir", models, *args), False)


@pytest.mark.parametrize("args", [
    ["--tools", "nope"], ["--tools", ""], ["--mcp-servers-json", "{"], ["--ui-config", "{"]], ids=" ".join)
def test_what_stock_reads_when_it_starts(start, models, see, args):
    see("refused", start.fails("--models-dir", models, *args), True)


def default_of(text, option):
    """What --help says, in stock's layout and in hostler's."""
    return re.search(rf"^ *(?:-\w+, +)?{option}\b.*?default:\s*([^ ;,)\n]+)", text, re.S | re.M)[1]


def test_defaults(start, see):
    server = start("--help", wait=False)
    server.process.wait(server.patience)
    see("defaults", {option: default_of(server.log(), option) for option in (
        "--port", "--host", "--timeout", "--models-max", "--cors-headers")}, {"--host": "127.0.0.1"})


@pytest.mark.parametrize("variable,value", [
    ("LLAMA_ARG_REUSE_PORT", "maybe"), ("LLAMA_ARG_EMBEDDINGS", "maybe"), ("LLAMA_API_KEY", ","),
    ("LLAMA_ARG_API_PREFIX", "llama")])
def test_variables_that_are_mistaken(start, models, see, variable, value):
    see("refused", start.fails("--models-dir", models, env={variable: value}), False)


@pytest.mark.parametrize("variable,value", [
    *((f"LLAMA_ARG_{name}", "") for name in (
        "MODELS_MAX", "PORT", "HOST", "TIMEOUT", "CTX_SIZE", "MODELS_AUTOLOAD", "JINJA", "API_KEY_FILE", "TOOLS",
        "N_GPU_LAYERS", "CACHE_TYPE_K")),
    ("LLAMA_ARG_MODELS_AUTOLOAD", "no"), ("LLAMA_ARG_JINJA", "no")])
def test_variables_that_stock_refuses(start, models, see, variable, value):
    see("refused", start.fails("--models-dir", models, env={variable: value}), True)


def test_a_prefix_that_ends_with_a_slash(start, models, see):
    server = start("--models-dir", models, "--api-prefix", "/llama/")
    see("health", server.get("/llama/health").status, 404)


def test_no_folder(start, see):
    see("list", start("--models-dir", "").get("/models"), answer(200, {"data": []}))


@pytest.mark.parametrize("env,props", [
    ({"LLAMA_ARG_MODELS_MAX": "2"}, {"max_instances": 2}), ({"LLAMA_ARG_MODELS_AUTOLOAD": "0"}, {"models_autoload": False}),
    ({"LLAMA_ARG_NO_MODELS_AUTOLOAD": "1"}, {"models_autoload": False}),
    ({"LLAMA_ARG_NO_MODELS_AUTOLOAD": "0"}, {"models_autoload": False}),
    ({"LLAMA_ARG_NO_MODELS_AUTOLOAD": "1", "LLAMA_ARG_MODELS_AUTOLOAD": "1"}, {"models_autoload": False}),
    ({"LLAMA_ARG_MODELS_AUTOLOAD": "1", "LLAMA_ARG_NO_MODELS_AUTOLOAD": "1"}, {"models_autoload": False}),
    ({"LLAMA_ARG_NO_MODELS_AUTOLOAD": ""}, {"models_autoload": False})],
    ids=lambda v: " ".join(f"{k}={x}" for k, x in v.items()))
def test_the_environment(start, models, see, env, props):
    server = start(env={**env, "LLAMA_ARG_MODELS_DIR": str(models)})
    got = server.get("/props").json
    see("props", {k: got[k] for k in props}, props)
    see("models", list(server.entries()), ["m1", "m2", "m3", "m4"])


def test_an_argument_beats_the_environment(start, models, see):
    server = start("--models-dir", models, "--models-max", "3", env={"LLAMA_ARG_MODELS_MAX": "2"})
    see("props", server.get("/props").json["max_instances"], 3)


def test_no_models_at_all(start, see):
    server = start()
    see("list", server.get("/models"), answer(200, {"data": []}))
    see("role", server.get("/props").json["role"], "router")


def test_a_signal_ends_it(start, models, see):
    server = start("--models-dir", models).be_loaded("m1")
    pids = server.engine_pids()
    server.process.terminate()
    see("exit status", server.process.wait(30), 0)
    see("engines", [pid for pid in pids.values() if server.is_alive(pid)], [])


def test_a_kill_takes_the_engines_along(start, models, see):
    server = start("--models-dir", models).be_loaded("m1", "m2")
    pids = server.engine_pids()
    server.kill()
    server.until(lambda: not any(server.is_alive(pid) for pid in pids.values()), "the engines' end")
    see("engines", [pid for pid in pids.values() if server.is_alive(pid)], [])
