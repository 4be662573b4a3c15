# SPDX-License-Identifier: MIT
"""What people see and do of saved prompts: the routes, `hostler cache`, --forget, what reports tell."""
import json

import pytest

from conftest import run_cli, until
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
