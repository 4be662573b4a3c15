# SPDX-License-Identifier: MIT
"""Options of the server itself: where it serves, and to whom."""
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


@pytest.mark.parametrize("env,props", [
    ({"LLAMA_ARG_MODELS_MAX": "2"}, {"max_instances": 2}), ({"LLAMA_ARG_MODELS_AUTOLOAD": "0"}, {"models_autoload": False}),
    ({"LLAMA_ARG_NO_MODELS_AUTOLOAD": "1"}, {"models_autoload": False})], ids=lambda v: list(v)[0])
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
