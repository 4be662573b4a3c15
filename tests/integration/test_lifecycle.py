# SPDX-License-Identifier: MIT
"""Which models there are, when their engines come and go, and how the daemon starts and ends."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

import tiny_model
from conftest import HOSTLER, PATIENCE, clean_env, until
from wire import FAKE_ENGINE, Wire, chat, engine_get, fake_models, is_json_error

CHAT = "/v1/chat/completions"
ENDLESS = {"endless": True, "token_ms": 20}


@pytest.fixture
def fake(hostler, tmp_path):
    """fake(*args, a={…}): a daemon whose models have fake engines."""
    def start(*args, **models):
        return hostler("--models-dir", fake_models(tmp_path / "models", **models), *args,
                       engine=FAKE_ENGINE)
    return start


def at_once(count, call):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return [f.result() for f in [pool.submit(call, n) for n in range(count)]]


def spawns(server):
    return server.log().count(": starting")


def set_fake(tmp_path, model, **misbehaviour):
    path = tmp_path / "models" / f"{model}.gguf.fake"
    path.write_text(json.dumps(misbehaviour), encoding="utf-8")


# --- which models there are -----------------------------------------------------------------------

@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A folder with each form of a model, and what is none."""
    top = tmp_path_factory.mktemp("zoo")
    tiny_model.make(str(top / "plain.gguf"))
    tiny_model.make(str(top / "with.dots-Q4_K.gguf"))
    (top / "hollow.gguf").write_bytes(b"")
    (top / "broken.gguf").write_bytes(b"GGUF but not really")
    (top / "readme.txt").write_text("no model", encoding="utf-8")
    (top / "half.gguf.part").write_bytes(b"x")
    (top / "empty").mkdir()
    (top / "nothing").mkdir()
    (top / "nothing" / "notes.md").write_text("none", encoding="utf-8")
    tiny_model.make_mmproj(str(top / "mmproj-top.gguf"))
    tiny_model.make(str(top / "mtp-top.gguf"))
    for name in ("folder", "seeing", "drafting", "deep"):
        (top / name).mkdir()
    tiny_model.make(str(top / "folder" / "any-name.gguf"))
    tiny_model.make(str(top / "seeing" / "model.gguf"))
    tiny_model.make_mmproj(str(top / "seeing" / "mmproj-F16.gguf"))
    tiny_model.make(str(top / "drafting" / "model.gguf"))
    tiny_model.make(str(top / "drafting" / "eagle3-model.gguf"))
    (top / "deep" / "deeper").mkdir()
    tiny_model.make(str(top / "deep" / "deeper" / "model.gguf"))
    (top / "shards").mkdir()
    tiny_model.make_shards(str(top / "shards"), "big", 3)
    tiny_model.make_shards(str(top), "top", 2)
    tiny_model.make_shards(str(top), "gap", 3)
    (top / "gap-00002-of-00003.gguf").unlink()
    (top / "link.gguf").symlink_to(top / "plain.gguf")
    return top


@pytest.fixture(scope="module")
def zoo_server(module_hostler, zoo):
    server = module_hostler("--models-dir", zoo)
    until(lambda: all("context_length" in m or m["status"].get("failed")
                      for m in server.models().values()), what="the headers")
    return server


def test_the_list(zoo_server, zoo):
    listed = set(zoo_server.models())
    assert {"plain", "with.dots-Q4_K", "folder", "seeing", "drafting", "shards", "broken", "hollow",
            "link"} <= listed
    assert not {n for n in listed if "mmproj" in n or "mtp" in n or "eagle" in n}
    assert not listed & {"readme", "readme.txt", "half", "empty", "nothing", "deep"}
    assert zoo_server.get("/v1/models").json.keys() == {"object", "data"}
    assert str(zoo) not in json.dumps(sorted(listed))


def test_an_entry(zoo_server):
    entry = zoo_server.models()["plain"]
    assert entry["object"] == "model" and entry["owned_by"] == "llamacpp"
    assert entry["source"] == "models_dir" and entry["can_remove"] is False
    assert (entry["aliases"], entry["tags"]) == ([], [])
    assert entry["context_length"] == 2048 and entry["created"] > 1_500_000_000
    assert entry["architecture"] == {"input_modalities": ["text"], "output_modalities": ["text"]}
    assert entry["status"]["value"] == "unloaded"
    assert isinstance(entry["status"]["args"], list)


@pytest.mark.parametrize("model,option,file", [
    ("plain", "--model", "plain.gguf"), ("folder", "--model", "folder/any-name.gguf"),
    ("shards", "--model", "shards/big-00001-of-00003.gguf"),
    ("seeing", "--model", "seeing/model.gguf"), ("seeing", "--mmproj", "seeing/mmproj-F16.gguf"),
    ("drafting", "--model", "drafting/model.gguf"),
    ("drafting", "--model-draft", "drafting/eagle3-model.gguf")])
def test_the_files_of_a_model(zoo_server, zoo, model, option, file):
    args = zoo_server.models()[model]["status"]["args"]
    assert args[args.index(option) + 1] == str(zoo / file)


def test_a_projector_adds_a_modality(zoo_server):
    assert zoo_server.models()["seeing"]["architecture"]["input_modalities"] == ["text", "image"]


@pytest.mark.parametrize("model", ["broken", "hollow", "gap-00001-of-00003"])
def test_a_broken_model_says_why(zoo_server, model):
    status = zoo_server.models()[model]["status"]
    assert status["value"] == "unloaded" and status["failed"] and status["message"]
    answer = zoo_server.tokenize(model)
    assert answer.status in (400, 500, 503)
    assert status["message"] in is_json_error(answer, answer.status)


@pytest.mark.parametrize("model", ["plain", "folder", "shards", "link"])
def test_a_found_model_serves(zoo_server, model):
    assert zoo_server.tokenize(model, "hi").json["tokens"]
    entry = zoo_server.models()[model]
    assert entry["status"]["value"] == "loaded" and entry["meta"]["n_ctx_train"] == 2048


@pytest.mark.parametrize("by_signal", [True, False], ids=["SIGHUP", "?reload=1"])
def test_a_rescan(hostler, tmp_path, models, by_signal):
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    server = hostler("--models-dir", folder)
    pid = server.tokenize("m1") and server.engines()["m1"]["pid"]
    shutil.copy(models / "m1.gguf", folder / "new.gguf")
    (folder / "m2.gguf").unlink()
    assert "new" not in server.models()

    def rescan():
        if by_signal:
            os.kill(server.pid, signal.SIGHUP)
        else:
            server.get("/models?reload=1")
    rescan()
    until(lambda: "new" in server.models() and "m2" not in server.models())
    assert server.tokenize("new").status == 200
    is_json_error(server.tokenize("m2"), 400)
    assert server.engines()["m1"]["pid"] == pid  # who is still there keeps its engine
    (folder / "m1.gguf").unlink()
    rescan()
    until(lambda: "m1" not in server.engines(), what="the end of an engine without a model")
    shutil.rmtree(folder)
    rescan()
    assert server.get("/models").status == 200


def test_ten_thousand_files(hostler, tmp_path, models):
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(models / "m1.gguf", folder / "m00000.gguf")
    for n in range(1, 10000):
        os.link(folder / "m00000.gguf", folder / f"m{n:05}.gguf")
    begin = time.monotonic()
    server = hostler("--models-dir", folder)
    assert len(server.models()) == 10000
    assert time.monotonic() - begin < 30
    until(lambda: all("context_length" in m for m in server.models().values()), what="the headers")
    begin = time.monotonic()
    assert len(server.get("/models?reload=1").json["data"]) == 10000
    assert time.monotonic() - begin < 30
    assert server.tokenize("m04711").status == 200


# --- loading on demand ----------------------------------------------------------------------------

def test_waiters_share_one_load(hostler, models):
    server = hostler("--models-dir", models)
    answers = at_once(20, lambda n: server.tokenize("m1", f"{n}"))
    assert {a.status for a in answers} == {200}
    assert spawns(server) == 1 and len(server.engines()) == 1
    assert sum(a.headers.get("x-hostler-loaded") == "1" for a in answers) == 1
    assert any(int(a.headers.get("x-hostler-queued-ms", 0)) > 0 for a in answers)
    assert "x-hostler-loaded" not in server.tokenize("m1").headers


def test_two_models_load_at_once(fake):
    server = fake(a={"load_s": 1.5}, b={"load_s": 1.5})
    with Wire(server) as a, Wire(server) as b:
        a.ask("POST", CHAT, chat("a"))
        b.ask("POST", CHAT, chat("b"))
        until(lambda: [e["state"] for e in server.engines().values()] == ["loading"] * 2)
        assert (a.answer().status, b.answer().status) == (200, 200)


def test_the_least_recently_used_is_evicted(hostler, models):
    """With turns that end at once: within a turn a short pause keeps an engine its place."""
    server = hostler("--models-dir", models, "--models-max", "2", "--max-wait", "1ms")
    for model, loaded in [("m1", ["m1"]), ("m2", ["m1", "m2"]), ("m1", ["m1", "m2"]),
                          ("m3", ["m1", "m3"]), ("m2", ["m2", "m3"])]:
        assert server.tokenize(model).status == 200
        if any(e["load_ms"] >= 1000 for e in server.engines().values()):
            pytest.skip("needs loads of less than a second: longer ones decide who goes, too")
        assert server.loaded() == loaded
    server.until_gone("m1", "evicted")


def test_looking_at_a_model_is_no_use_of_it(hostler, models):
    server = hostler("--models-dir", models, "--models-max", "2")
    server.tokenize("m1")
    server.tokenize("m2")
    assert server.get("/slots?model=m1").status == 200
    engines = server.engines()
    assert engines["m1"]["idle_ms"] > engines["m2"]["idle_ms"]


def test_an_engine_in_use_is_not_evicted(fake):
    server = fake("--models-max", "1", a={"tokens": 60, "token_ms": 25}, b={})
    with Wire(server) as a, Wire(server) as b:
        a.ask("POST", CHAT, chat("a", stream=True))
        assert a.head().status == 200
        b.ask("POST", CHAT, chat("b"))
        until(lambda: server.queue().get("b", {}).get("waiting") == 1)
        assert server.loaded() == ["a"]
        assert b"".join(a.chunks()).endswith(b"data: [DONE]\n\n")
        assert b.answer().status == 200
    assert server.loaded() == ["b"]
    server.until_gone("a", "evicted")


@pytest.mark.parametrize("option,query,loads", [
    (["--no-models-autoload"], "", False), (["--no-models-autoload"], "?autoload=1", True),
    (["--no-models-autoload"], "?autoload=true", True), ([], "?autoload=0", False),
    ([], "?autoload=", True), ([], "?autoload=false", False), ([], "?x=1", True)])
def test_autoload(fake, option, query, loads):
    server = fake(*option, a={})
    answer = server.post("/tokenize" + query, {"model": "a"})
    if loads:
        assert answer.status == 200
        return
    assert is_json_error(answer, 400) == "model is not loaded"
    assert not server.engines()
    assert server.post("/models/load", {"model": "a"}).json == {"success": True}
    until(lambda: server.loaded() == ["a"])
    assert server.post("/tokenize" + query, {"model": "a"}).status == 200


def test_load_by_hand(fake):
    server = fake(a={"load_s": 3}, b={})
    assert server.post("/models/load", {"model": "a"}).json == {"success": True}
    assert is_json_error(server.post("/models/load", {"model": "a"}), 400) == (
        "model is already running")
    assert server.state("a") == "loading"
    until(lambda: server.models()["a"]["status"].get("progress"), what="progress")
    until(lambda: server.state("a") == "loaded")
    is_json_error(server.post("/models/load", {"model": "c"}), 404)
    is_json_error(server.post("/models/load", {}), 400)


def test_a_load_by_hand_ends_the_hold_of_a_loaded_model(fake):
    server = fake(a={})
    server.post("/models/load", {"model": "a"})
    until(lambda: server.state("a") == "loaded")
    server.post("/models/hold", {"model": "a"})
    assert server.models()["a"]["held"] and server.state("a") == "loaded"
    assert server.post("/models/load", {"model": "a"}).json == {"success": True}
    assert server.get("/hostler/v1/status").json["holds"] == []
    assert server.post("/models/load", {"model": "a"}).status == 400
    is_json_error(server.post("/models/load", "{"), 400)


# --- loads that fail ------------------------------------------------------------------------------

@pytest.mark.parametrize("misbehaviour,word", [
    ({"exit_at_load": 7, "load_s": 1}, "code 7"),
    ({"crash_at_load": True, "load_s": 1}, "signal 9")])
def test_all_waiters_learn_why_a_load_failed(fake, tmp_path, misbehaviour, word):
    server = fake(a={**misbehaviour, "log": "out of luck"})
    answers = at_once(5, lambda n: server.tokenize("a"))
    for answer in answers:
        message = is_json_error(answer, 500)
        assert word in message and "\n" not in message and "out of luck" in answer.error["log"]
    status = server.models()["a"]["status"]
    assert status["failed"] and status["reason"] == "load_failed"
    assert "out of luck" in status["log"]
    assert spawns(server) == 1
    set_fake(tmp_path, "a")
    assert server.tokenize("a").status == 200  # once its reason is gone
    assert "failed" not in server.models()["a"]["status"]


def test_a_model_that_only_the_engine_finds_broken(hostler, tmp_path, models):
    (tmp_path / "models").mkdir()
    whole = (models / "m1.gguf").read_bytes()
    (tmp_path / "models" / "cut.gguf").write_bytes(whole[:-100000])
    server = hostler("--models-dir", tmp_path / "models")
    answer = server.tokenize("cut")
    assert answer.status == 500 and "cut" in answer.error["message"]
    assert server.models()["cut"]["status"]["failed"]


def test_a_load_that_takes_too_long(fake):
    server = fake("--load-timeout", "1", a={"never_ready": True})
    answer = server.tokenize("a")
    assert answer.status in (500, 503) and "--load-timeout" in answer.error["message"]
    until(lambda: not server.engines(), what="the end of the engine")
    assert server.get("/health").status == 200


def test_the_queue_has_a_limit(fake):
    server = fake("--max-queue", "2", a={"load_s": 3})
    with Wire(server) as one, Wire(server) as two:
        for wire in (one, two):
            wire.ask("POST", CHAT, chat("a"))
        until(lambda: server.queue().get("a", {}).get("waiting") == 2)
        answer = server.tokenize("a")
        is_json_error(answer, 503)
        assert answer.error["state"] == "queue_full" and int(answer.headers["retry-after"]) >= 1
        assert [w.answer().status for w in (one, two)] == [200, 200]
    assert server.tokenize("a").status == 200


def test_nobody_waits_for_ever(fake):
    server = fake("--models-max", "1", "--load-timeout", "2", a=ENDLESS, b={})
    with Wire(server) as busy:
        busy.ask("POST", CHAT, chat("a", stream=True))
        assert busy.head().status == 200
        answer = server.tokenize("b")
        is_json_error(answer, 503)
        assert "retry-after" in answer.headers and answer.error["state"] == "wait_timeout"
        assert next(busy.chunks())


# --- idleness -------------------------------------------------------------------------------------

def test_ttl(fake):
    server = fake("--ttl", "1", a=ENDLESS, b={})
    server.tokenize("b")
    with Wire(server) as busy:
        busy.ask("POST", CHAT, chat("a", stream=True))
        assert busy.head().status == 200
        server.until_gone("b", "idle")
        assert server.loaded() == ["a"]
        assert server.engines()["a"]["requests"] == 1
    until(lambda: not server.loaded(), what="the end of the other, now idle")
    assert server.tokenize("b").status == 200


# --- classic mode ---------------------------------------------------------------------------------

def test_one_model_for_every_name(hostler, models):
    server = hostler("--model", models / "m1.gguf")
    until(lambda: server.get("/health").status == 200, what="the load")
    for body in ({"model": "m1"}, {"model": "whatever"}, {}, {"model": None}):
        answer = server.post("/tokenize", {"content": "hi", **body})
        assert answer.status == 200 and answer.json["tokens"], body
    assert server.get("/props").json["model_path"].endswith("m1.gguf")  # the engine's own
    data = server.get("/v1/models").json["data"]
    assert len(data) == 1 and data[0]["meta"]["n_ctx_train"] == 2048 and "status" not in data[0]
    assert server.get("/slots").json[0]["id"] == 0
    assert server.get("/nowhere").status == 404
    assert server.post(CHAT, chat("gpt-4", max_tokens=3)).json["choices"]


def test_aliases_of_the_one_model(hostler, models):
    server = hostler("-m", models / "m1.gguf", "--alias", "one,two")
    until(lambda: server.get("/health").status == 200)
    entry = server.get("/v1/models").json["data"][0]
    assert {"one", "two"} <= {entry["id"], *entry.get("aliases", [])}


def test_health_tells_of_the_one_models_load(hostler, tmp_path):
    folder = fake_models(tmp_path / "models", a={"load_s": 2})
    server = hostler("--model", folder / "a.gguf", engine=FAKE_ENGINE)
    is_json_error(server.get("/health"), 503)
    until(lambda: server.get("/health").status == 200, what="the load")


def test_the_one_model_is_loaded_again_after_a_crash(hostler, models):
    server = hostler("--model", models / "m1.gguf")
    until(lambda: server.get("/health").status == 200)
    (engine,) = server.engines().values()
    os.kill(engine["pid"], signal.SIGKILL)
    until(lambda: engine["pid"] not in [e["pid"] for e in server.engines().values()])
    assert server.tokenize("any").status == 200


# --- options --------------------------------------------------------------------------------------

@pytest.mark.parametrize("args,env,n_ctx", [
    (["-c", "512"], {}, 512), (["--ctx-size", "768"], {}, 768),
    ([], {"LLAMA_ARG_CTX_SIZE": "512"}, 512),
    (["-c", "768"], {"LLAMA_ARG_CTX_SIZE": "512"}, 768)])
def test_the_engines_options_reach_it(hostler, models, args, env, n_ctx):
    server = hostler("--models-dir", models, "-np", "1", *args, env=env)
    props = server.tokenize("m1") and server.get("/props?model=m1").json
    assert props["default_generation_settings"]["n_ctx"] == n_ctx


def test_an_engine_has_a_clean_environment(hostler, tmp_path):
    folder = fake_models(tmp_path / "models", a={})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE, env={
        "LLAMA_API_KEY": "secret-key", "HOSTLER_TTL": "1h", "AWS_SECRET_ACCESS_KEY": "secret-too"})
    key = {"X-Api-Key": "secret-key"}
    assert server.tokenize("a", headers=key).status == 200
    pid = json.loads(server.get("/hostler/v1/status", headers=key).body)["engines"][0]["pid"]
    environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    assert b"secret" not in environment and b"HOSTLER_TTL" not in environment
    assert b"secret" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()


def test_no_time_limit(hostler, models):
    server = hostler("--models-dir", models, env={"LLAMA_ARG_TIMEOUT": "0"})
    assert server.tokenize("m1").status == 200


def serve(*args, env=None):
    """A start that fails: exit status and stderr."""
    done = subprocess.run([str(HOSTLER), "serve", *map(str, args)], env=clean_env(**(env or {})),
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("args,words", [
    (["--modls-dir", "x"], ["--modls-dir", "--models-dir"]), (["--ctx-sise", "9"], ["--ctx-size"]),
    (["--port", "http"], ["--port", "http"]), (["--port", "99999"], ["99999"]),
    (["--models-max"], ["--models-max", "value"]), (["--models-max", "-1"], ["-1"]),
    (["--ttl", "soon"], ["soon", "5m"]),
    (["--ssl-key-file", "k"], ["ssl-key-file"]), (["--log-level", "loud"], ["loud"])])
def test_wrong_usage(engine, args, words):
    status, said = serve(*args, env={"LLAMA_SERVER": str(engine)})
    assert status == 2, said
    assert all(w in said for w in words), said
    assert said.startswith("hostler serve: ") and said.count("\n") == 1


def test_no_engine(models):
    status, said = serve("--models-dir", models, "--engine", "/nonexistent/llama-server")
    assert status == 2 and "/nonexistent/llama-server" in said and "--engine" in said
    status, said = serve("--models-dir", models, env={"PATH": "/nonexistent"})
    assert status == 2 and "llama-server" in said


@pytest.mark.parametrize("option", ["--models-dir", "--model"])
def test_no_models(engine, tmp_path, option):
    status, said = serve(option, tmp_path / "nowhere", "--port", "0",
                         env={"LLAMA_SERVER": str(engine), "XDG_RUNTIME_DIR": str(tmp_path)})
    assert status == 1 and "nowhere" in said


def test_a_port_in_use(engine, models, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = serve("--models-dir", models, "--port", port, env={
            "LLAMA_SERVER": str(engine), "XDG_RUNTIME_DIR": str(tmp_path)})
    assert status == 1 and str(port) in said and "in use" in said


# --- the end --------------------------------------------------------------------------------------

def test_the_end_waits_for_requests_in_flight(fake):
    server = fake(a={"tokens": 40, "token_ms": 25})
    with Wire(server) as wire:
        wire.ask("POST", CHAT, chat("a", stream=True))
        assert wire.head().status == 200
        engine = engine_get(server, "a")["pid"]
        server.process.terminate()
        assert b"".join(wire.chunks()).endswith(b"data: [DONE]\n\n")
    assert server.process.wait(PATIENCE) == 0
    assert not pathlib.Path(f"/proc/{engine}").exists()
