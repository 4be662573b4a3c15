# SPDX-License-Identifier: MIT
"""What people see and do of saved prompts: the routes, `hostler cache`, --forget, what reports tell."""
import json
import re

import pytest

from background import background
from conftest import PATIENCE, run_cli, until
from events import Events
from prompts import Place, opening, next_turn, restored
from wire import FAKE_ENGINE, fake_models


@pytest.fixture
def server(hostler, models, tmp_path):
    return hostler("--models-dir", models, "--prompt-cache", tmp_path / "cache", "--api-key", "secret", unix=True)


def cli(server, *args):
    return run_cli("--api-key", "secret", *args, server=server)


def test_an_empty_cache(server, tmp_path):
    until(lambda: cache_of(server)["state"] == "on")
    cache = cache_of(server)
    assert cache["dir"] == str(tmp_path / "cache") and cache["max_bytes"] > 0
    assert (cache["files"], cache["bytes"], cache["hits"], cache["prompts"]) == (0, 0, 0, [])
    assert cache["why"] is None and cache["error"] is None
    done = cli(server, "cache")
    assert done.returncode == 0 and done.stdout.endswith("nothing is saved yet\n")
    assert json.loads(cli(server, "cache", "--json").stdout)["prompts"] == []
    assert cli(server, "cache", "clear").stdout == "no prompts were saved\n"
    assert "saved prompts" not in cli(server, "ps").stdout
    done = cli(server, "unload", "--all", "--forget")
    assert (done.returncode, done.stdout) == (0, "nothing to unload\nno prompts were saved\n")


def cache_of(server, query=""):
    answer = server.get(f"/hostler/v1/cache{query}", headers={"Authorization": "Bearer secret"})
    assert answer.status == 200, answer.body
    return answer.json


def test_its_routes_need_a_key(server):
    assert server.get("/hostler/v1/cache").status == 401
    assert server.request("DELETE", "/hostler/v1/cache").status == 401
    answer = server.request("PUT", "/hostler/v1/cache", headers={"Authorization": "Bearer secret"})
    assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD, DELETE, OPTIONS"


@pytest.mark.parametrize("action", ["list", "clear"])
def test_names_and_actions_that_there_are_not(server, action):
    done = cli(server, "cache", action, "m22")
    assert done.returncode == 1 and "there is no model 'm22'" in done.stderr
    assert "m2" in done.stderr.splitlines()[1] and done.stdout == ""
    done = cli(server, "cache", "m1")
    assert done.returncode == 2 and "'m1' is neither list nor clear" in done.stderr
    assert cli(server, "cache", action, "m1").returncode == 0


def test_off(hostler, models):
    server = hostler("--models-dir", models, "--prompt-cache", "off")
    assert server.get("/hostler/v1/status").json["prompt_cache"]["state"] == "off"
    done = run_cli("cache", server=server)
    assert done.returncode == 0 and "nothing is saved: --prompt-cache is off" in done.stdout
    assert "not saved: --prompt-cache is off" in run_cli("show", "m1", server=server).stdout
    assert run_cli("cache", "clear", server=server).stdout == "no prompts were saved\n"
    doctor = json.loads(run_cli("doctor", "--json", server=server).stdout)
    assert not [f for f in doctor["findings"] if f["check"] == "prompts"]


def test_a_folder_that_cannot_be_used(hostler, models, tmp_path):
    """It is not asked for by name, so the daemon serves without it, and says so."""
    state = tmp_path / "state"
    (state / "prompt-cache").mkdir(parents=True)
    (state / "prompt-cache" / "diary.txt").write_text("not hostler's")
    server = hostler("--models-dir", models, "--state-dir", state)
    status = server.get("/hostler/v1/status").json["prompt_cache"]
    assert status["state"] == "failed" and str(state) in status["why"]
    assert f"nothing is saved: {status['why']}\n" in run_cli("cache", server=server).stdout
    assert status["why"] in run_cli("show", "m1", server=server).stdout
    found = json.loads(run_cli("doctor", "--json", server=server).stdout)["findings"]
    finding, = (f for f in found if f["check"] == "prompts")
    assert finding["level"] == "wrong" and status["why"] in finding["evidence"] and "--prompt-cache" in finding["advice"]


def test_a_forget_that_is_no_switch(hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "m", a={}), engine=FAKE_ENGINE)
    assert server.post("/models/unload-all", {"forget": "yes"}).status == 400
    answer = server.post("/models/unload-all", {"forget": True})
    assert answer.status == 200 and answer.json["forgotten"] == {"files": 0, "bytes": 0}
    assert "forgotten" not in server.post("/models/unload-all", {}).json
    assert server.post("/models/unload", {"model": "a", "forget": True}).json == {"success": True}


# --- with engines whose slots can be saved ----------------------------------------------------------

@pytest.fixture
def place(hostler, tmp_path):
    return Place(hostler, tmp_path)


def saved_prompts(server):
    return server.get("/hostler/v1/cache").json["prompts"]


def events(server, model):
    return [(e["event"], e["why"]) for e in server.get(f"/hostler/v1/show?model={model}").json["recent"]]


def test_what_was_saved_and_restored_is_told(place):
    server = place.start()
    first = place.ask(opening())
    place.until_saved()
    prompt, = saved_prompts(server)
    total = first.json["usage"]["total_tokens"]
    assert prompt["model"] == "a" and total - 2 <= prompt["tokens"] <= total and prompt["bytes"] > 0
    assert (prompt["hits"], prompt["saved_ms"]) == (0, 0) and prompt["token_ms"] > 0
    place.swap_out()
    why, = (w for e, w in events(server, "a") if e == "saved")
    assert why.startswith(f"1 conversation, {prompt['tokens']} tokens, ")
    second = place.ask(next_turn(opening(), first))
    tokens = restored(second)
    record = server.get("/hostler/v1/requests?model=a&limit=1").json["requests"][0]
    assert record["restored_tokens"] == tokens and record["saved_ms"] > 1000
    out = run_cli("requests", "a", server=server).stdout.splitlines()
    assert f"restored {tokens:,} tokens, " in out[1] and " s saved " in out[1] and "restored" not in out[2]
    # The next turn replaces the file: what its predecessor saved goes on counting.
    until(lambda: [p["tokens"] > prompt["tokens"] for p in saved_prompts(server)] == [True])
    prompt, = saved_prompts(server)
    assert prompt["hits"] == 1 and prompt["saved_ms"] >= record["saved_ms"]
    shown = server.get("/hostler/v1/show?model=a").json["prompt_cache"]
    assert (shown["files"], shown["tokens"], shown["hits"], shown["off"]) == (1, prompt["tokens"], 1, None)
    assert shown["compute_token_ms"] > (shown["save_token_ms"] or 0)  # null: it took less than a millisecond
    out = run_cli("show", "a", server=server).stdout
    assert re.search(rf"^prompts +1 saved, {prompt['tokens']:,} tokens, .*, 1 hit, .* saved$", out, re.M)
    assert "a token takes: computing " in out and re.search(r" saved +1 conversation, ", out)
    for command in (["ps"], ["cache"]):
        assert re.search(r"^(saved prompts: )?1 file, .* of .*, 1 hit, .* saved$", run_cli(*command, server=server).stdout, re.M)
    assert server.get("/hostler/v1/status").json["prompt_cache"]["hits"] == 1
    place.end()


def test_an_unload_tells_what_is_kept(place):
    server = place.start(models_max=2)
    place.ask(opening("x"))
    place.ask(opening("y"))
    assert server.tokenize("b").status == 200
    report = server.post("/models/unload-all", {}).json
    of = {r["model"]: r.get("saved") for r in report["results"]}
    assert of["b"] is None and of["a"]["conversations"] >= 1 and "forgotten" not in report
    assert server.get("/hostler/v1/show?model=a").json["last_exit"]["saved"] == of["a"]
    assert "; saved " in run_cli("show", "a", server=server).stdout
    place.ask(opening("x"))
    out = run_cli("unload", "a", server=server).stdout.splitlines()[0]
    assert re.fullmatch(r"a unloaded in .*, saved \d conversations? \([\d,]+ tokens, .*\)", out)
    place.end()


def test_forget(place):
    server = place.start(models_max=2)
    place.ask(opening("x"))
    place.ask(opening("y"), model="b")
    place.until_saved(2)
    dry = run_cli("unload", "a", "--forget", "--dry-run", server=server)
    assert "1 saved prompt would be removed" in dry.stdout and len(saved_prompts(server)) == 2
    done = run_cli("unload", "a", "--forget", server=server)
    assert done.returncode == 0 and "1 saved prompt removed, " in done.stdout and "conversation" not in done.stdout
    assert [p["model"] for p in saved_prompts(server)] == ["b"] and len(place.data_files()) == 1
    assert "saved" not in dict(events(server, "a"))
    assert restored(place.ask(opening("x"))) == 0
    place.until_saved(2)
    report = server.post("/models/unload-all", {"forget": True, "except": ["b"]}).json
    assert report["forgotten"]["files"] == 1 and [p["model"] for p in saved_prompts(server)] == ["b"]
    report = server.post("/models/unload-all", {"forget": True, "dry_run": True}).json
    assert report["forgotten"]["files"] == 1
    assert server.post("/models/unload", {"model": "b", "forget": True}).json == {"success": True}
    assert saved_prompts(server) == [] and place.data_files() == []
    place.end()


def test_forget_of_what_is_not_loaded(place):
    server = place.start(models_max=2)
    place.ask(opening())
    place.until_saved()
    server.post("/models/unload-all", {})
    done = run_cli("unload", "--all", "--forget", server=server)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "nothing to unload")
    assert "1 saved prompt removed" in done.stdout and place.data_files() == []
    place.end()


def test_a_busy_model_that_is_to_forget_saves_again(place):
    """It stays loaded, and what comes later is saved as before."""
    place.set("a", token_ms=30)
    server = place.start("--drain-timeout", "300ms")
    place.ask(opening())
    place.until_saved()
    request = {"model": "a", "messages": opening("other"), "max_tokens": 100}
    answer = background(server.post, "/v1/chat/completions", request)
    until(lambda: server.get("/hostler/v1/requests?state=running").json["requests"])
    assert server.post("/models/unload", {"model": "a", "forget": True}).status == 409
    assert saved_prompts(server) == [] and not answer.done()
    assert answer.result(PATIENCE).status == 200
    place.until_saved()
    place.end()


def test_after_a_clear_it_is_saved_again(place):
    """A loaded model still has the conversation in its slot: the stop saves it anew."""
    server = place.start()
    first = place.ask(opening())
    place.until_saved()
    assert "1 saved prompt removed, " in run_cli("cache", "clear", "a", server=server).stdout
    assert place.data_files() == [] and saved_prompts(server) == []
    place.swap_out()
    assert restored(place.ask(next_turn(opening(), first))) > 100
    place.end()


def test_a_clear_lets_a_model_be_tried_again(place):
    """Its restores were of no use twice; its file, its arguments and the engine are the same since, but not what the engine can do."""
    place.set("a", slot_restore="useless")
    server = place.start()
    for turn in range(2):
        first = place.ask(opening(f"x{turn}"))
        place.until_saved()
        place.swap_out()
        place.ask(next_turn(opening(f"x{turn}"), first))
        place.swap_out()
    place.set("a", slot_restore=None)
    place.ask(opening("y"))
    off = server.get("/hostler/v1/show?model=a").json["prompt_cache"]["off"]
    assert off and place.deeds("restore") == 2
    assert run_cli("cache", "clear", "b", server=server).returncode == 0
    assert server.get("/hostler/v1/show?model=a").json["prompt_cache"]["off"] == off, "b is another model"
    assert run_cli("cache", "clear", "a", server=server).returncode == 0
    assert server.get("/hostler/v1/show?model=a").json["prompt_cache"]["off"] is None
    first = place.ask(opening("z"))
    place.until_saved()
    place.swap_out()
    assert restored(place.ask(next_turn(opening("z"), first))) > 100
    place.end()


def test_the_prompts_of_a_model_that_is_gone(place):
    server = place.start()
    place.ask(opening())
    place.until_saved()
    server.post("/models/unload-all", {})
    for path in place.folder.glob("a.gguf*"):
        path.unlink()
    until(lambda: "a" not in server.models())
    assert [p["model"] for p in server.get("/hostler/v1/cache?model=a").json["prompts"]] == ["a"]
    assert server.request("DELETE", "/hostler/v1/cache?model=a").json["removed"]["files"] == 1
    assert server.get("/hostler/v1/cache?model=a").status == 404
    place.end()


def test_an_event_tells_what_is_kept(place):
    server = place.start()
    place.ask(opening())
    place.until_saved()
    events_ = Events(server)
    server.post("/models/unload-all", {})
    data = {}
    while data.get("status") != "unloaded":
        _, _, data = events_.next()
    assert data["saved"]["conversations"] == 1
    place.end()


def test_a_nearly_full_cache(place):
    server = place.start("--prompt-cache-size", "5K")
    place.ask(opening())
    place.until_saved()
    found = json.loads(run_cli("doctor", "--json", server=server).stdout)["findings"]
    finding = [f for f in found if f["check"] == "prompts"]
    assert finding[0]["level"] == "note" and "--prompt-cache-size" in finding[0]["advice"]
    place.end()
