# SPDX-License-Identifier: MIT
"""Arguments and a ttl of one load: POST /models/load {"model","args","ttl"}."""
import pytest

from conftest import until
from wire import open_stream


def load(server, model="m1", **members):
    return server.post("/models/load", {"model": model, **members})


def show(server, model="m1"):
    return server.get(f"/hostler/v1/show?model={model}").json


def engine(server, model="m1"):
    engines = server.get("/hostler/v1/status").json["engines"]
    return next((e for e in engines if e["model"] == model and e["state"] == "loaded"), None)


def context(server, model="m1"):
    return server.get(f"/props?model={model}").json["default_generation_settings"]["n_ctx"]


def loaded_with(server, args, model="m1"):
    """Its engine, once it is the one that was loaded with these arguments."""
    return until(lambda: (e := engine(server, model)) and (e["this_load"] or {}).get("args", {}) == args and e,
                 what=f"an engine with {args}")


@pytest.fixture
def server(hostler, models):
    return hostler("--models-dir", models)


def test_arguments_hold_for_one_load_and_are_told(server):
    assert load(server, args={"c": 512}, ttl="10m").json == {"success": True}
    e = loaded_with(server, {"ctx-size": "512"})
    assert (e["ttl_ms"], e["this_load"]["ttl_ms"]) == (600_000, 600_000)
    assert "with ctx-size = 512, ttl = 10m" in e["loaded_by"]
    assert context(server) == 512
    told = show(server)
    assert {"option": "--ctx-size", "value": "512", "origin": "this load"} in told["arguments"]
    assert told["ttl_ms"] == 600_000
    server.post("/models/unload", {"model": "m1"})
    until(lambda: server.state("m1") == "unloaded")
    assert show(server)["this_load"] is None
    assert load(server).status == 200
    loaded_with(server, {})
    assert context(server) != 512
    assert not any(a["origin"] == "this load" for a in show(server)["arguments"])


def test_the_same_arguments_again_change_nothing(server):
    load(server, args={"ctx-size": 512})
    pid = loaded_with(server, {"ctx-size": "512"})["pid"]
    assert load(server, args={"ctx-size": "512"}).json == {"success": True}
    assert load(server).error["message"] == "model is already running"  # llama.cpp's words
    assert loaded_with(server, {"ctx-size": "512"})["pid"] == pid


def test_other_arguments_load_it_anew_after_its_requests(server):
    load(server)
    loaded_with(server, {})
    connection, answer = open_stream(server, "m1", max_tokens=64)
    assert load(server, args={"ctx-size": 1024}).status == 200
    assert b"[DONE]" in answer.read()
    connection.close()
    loaded_with(server, {"ctx-size": "1024"})
    assert context(server) == 1024
    assert load(server, args={}).status == 200  # none of its own
    loaded_with(server, {})


def test_a_ttl_of_its_own_is_set_while_it_runs(server):
    load(server)
    pid = loaded_with(server, {})["pid"]
    assert load(server, ttl=600).status == 200
    e = engine(server)
    assert (e["pid"], e["ttl_ms"]) == (pid, 600_000)
    assert load(server, ttl=0.2).status == 200
    server.until_gone("m1", "idle")
    assert show(server)["ttl_ms"] == 0


@pytest.mark.parametrize("args, said", [
    ({"ctx-sise": 512}, "did you mean 'ctx-size'?"),
    ({"--ctx-size": 512}, "did you mean 'ctx-size'?"),
    ({"port": 1}, "port: it belongs to the router"),
    ({"api-key": "x"}, "it belongs to the router"),
    ({"host": "0.0.0.0"}, "it belongs to the router"),
    ({"alias": "x"}, "it belongs to the router"),
    ({"model": "/x.gguf"}, "it chooses another model"),
    ({"hf-repo": "a/b"}, "it chooses another model"),
    ({"help": True}, "print something and end"),
    ({"ttl": 1}, "beside \"args\""),
    ({"pin": True}, "key of presets"),
    ({"c": 512, "ctx-size": 512}, "the same option"),
    ({"ctx-size": "many"}, "the engine refuses 'many'"),
    ({"ctx-size": None}, "must be a text"),
    ({"ctx-size": {"n": 1}}, "must be a text"),
    ({"ctx-size": [[1]]}, "must be a text"),
    ({"ctx-size": []}, "list is empty"),
    ({"jinja": [True]}, "a switch takes true or false"),
    ({"jinja": "perhaps"}, "perhaps"),
    ({"chat-template": "x" * 5000}, "longer than"),
    ({"x" * 5000: 1}, "no option has so long a name"),
    ({"lora-scaled": ["a"] * 100}, "more than"),
    ([], "must be an object"),
    ("ctx-size", "must be an object"),
])
def test_what_is_wrong_is_refused_with_its_name(server, args, said):
    answer = load(server, args=args)
    assert answer.status == 400, answer.body
    assert said in answer.error["message"]
    assert server.state("m1") == "unloaded"


@pytest.mark.parametrize("ttl", [-1, "soon", True, [1], 1e300])
def test_a_ttl_that_is_none_is_refused(server, ttl):
    assert load(server, ttl=ttl).status == 400
    assert server.state("m1") == "unloaded"


def test_what_can_never_fit_is_refused_and_nothing_goes_for_it(server):
    for model in ("m1", "m2"):
        load(server, model)
        loaded_with(server, {}, model)
    pids = [engine(server, m)["pid"] for m in ("m1", "m2")]
    answer = load(server, args={"ctx-size": 900_000_000})
    assert answer.status == 400
    assert "can never fit" in answer.error["message"]
    assert [engine(server, m)["pid"] for m in ("m1", "m2")] == pids


def test_an_unload_ends_what_was_wanted_of_a_load(server):
    load(server, args={"ctx-size": 512})
    server.post("/models/unload", {"model": "m1"})
    until(lambda: server.state("m1") == "unloaded")
    assert show(server)["this_load"] is None


def test_a_load_that_fails_leaves_the_model_as_it_was(server, tmp_path):
    assert load(server, args={"lora": str(tmp_path / "none.gguf")}).status == 200
    until(lambda: show(server)["last_exit"] and show(server)["last_exit"]["reason"] == "load_failed")
    assert show(server)["this_load"] is None
    assert server.tokenize("m1").status == 200


def test_members_of_others_and_null_do_not_disturb(server):
    assert load(server, args=None, ttl=None, extra={"a": 1}).json == {"success": True}
    assert loaded_with(server, {})["this_load"] is None


def test_a_page_of_another_origin_may_not_load(server):
    answer = server.post("/models/load", {"model": "m1", "args": {"log-file": "/tmp/x"}},
                         headers={"Origin": "http://evil.example"})
    assert answer.status == 403
    assert server.state("m1") == "unloaded"


# --- the command -------------------------------------------------------------------------------------

def shown(cli, server, model="m1"):
    return cli("show", model, server=server).stdout


def test_the_command_takes_the_engines_options(cli, server):
    done = cli("load", "m1", "--ctx-size", "512", "--ttl", "10m", server=server)
    assert done.returncode == 0, done.stderr
    assert "--ctx-size" in shown(cli, server) and "(this load)" in shown(cli, server)
    assert engine(server)["ttl_ms"] == 600_000 and context(server) == 512
    done = cli("load", "m1", "-c", "768", server=server)  # another engine, which is waited for
    assert done.returncode == 0 and done.stdout.startswith("m1 loaded in "), (done.stdout, done.stderr)
    assert context(server) == 768
    assert cli("load", "m1", server=server).stdout == "m1 already loaded\n"


def test_an_option_that_the_engine_does_not_have(cli, server):
    done = cli("load", "m1", "--ctx-sise=512", server=server)
    assert done.returncode == 1 and "ctx-sise" in done.stderr and "did you mean 'ctx-size'" in done.stderr
    assert server.state("m1") == "unloaded"


def test_an_option_is_not_taken_for_a_model(cli, server):
    done = cli("load", "--ctx-size", "512", server=server)
    assert done.returncode == 2 and "which model?" in done.stderr


def test_a_ttl_of_what_is_loaded(cli, server):
    assert cli("load", "m1", server=server).returncode == 0
    pid = engine(server)["pid"]
    assert cli("load", "m1", "--ttl", "5m", server=server).stdout == "m1 already loaded\n"
    assert (engine(server)["pid"], engine(server)["ttl_ms"]) == (pid, 300_000)
    assert cli("load", "m1", "--ttl", "soon", server=server).returncode != 0
