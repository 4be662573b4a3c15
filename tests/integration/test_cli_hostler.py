# SPDX-License-Identifier: MIT
"""The client commands against hostler: what a stock router lacks."""
import json
import re
import signal
import subprocess

import pytest

from conftest import HOSTLER, clean_env, run_cli, until
from terminal import Terminal
from unloading import ENDLESS, wait_for_state
from wire import FAKE_ENGINE, Wire, chat, fake_models


@pytest.fixture
def server(hostler, models):
    return hostler("--models-dir", models)


def load(cli, server, *names):
    done = cli("load", *names, server=server)
    assert done.returncode == 0, done.stderr


def test_hold_and_release(cli, server):
    done = cli("hold", "m1", "m2", "--for", "10m", "--reason", "training", server=server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 2
    assert "held: m1 until 2" in done.stdout and "training" in done.stdout
    listed = cli("list", server=server).stdout.splitlines()
    assert ["unloaded,held" in line for line in listed[1:]] == [True, True, False, False]

    done = cli("run", "m1", "hello", server=server)
    assert done.returncode == 1
    assert done.stderr.count("model 'm1'") == 1 and "is held: training" in done.stderr
    assert "'hostler release m1' ends it" in done.stderr

    done = cli("release", "m1", server=server)
    assert (done.returncode, done.stdout) == (0, "m1 released\n")
    done = cli("release", "m1", "m2", server=server)
    assert (done.returncode, done.stdout) == (0, "m1 is not held\nm2 released\n")
    done = cli("release", "--all", server=server)
    assert (done.returncode, done.stdout) == (0, "no model is held any more\n")
    assert server.get("/hostler/v1/status").json["holds"] == []


def test_run_where_requests_load_nothing(cli, hostler, models):
    server = hostler("--models-dir", models, "--no-models-autoload")
    done = cli("run", "m1", "hello", server=server)
    assert done.returncode == 1 and "'hostler load m1' loads it" in done.stderr


def test_hold_of_an_unknown_model_holds_the_others(cli, server):
    done = cli("hold", "m1", "M22", server=server)
    assert done.returncode == 1
    assert "there is no model 'M22'" in done.stderr
    assert [h["model"] for h in server.get("/hostler/v1/status").json["holds"]] == ["m1"]


def test_load_tells_that_it_ends_a_hold(cli, server):
    cli("hold", "m1", "m2", "--reason", "backup", server=server)
    done = cli("load", "m1", server=server)
    assert done.returncode == 0
    assert re.fullmatch(r"m1: the hold is over \(until released, by POST /models/hold .*: backup\)\n"
                        r"m1 loaded in .*\n", done.stdout)
    result, = json.loads(cli("load", "m2", "--json", server=server).stdout)["results"]
    assert (result["result"], result["ended_hold"]["reason"]) == ("loaded", "backup")
    result, = json.loads(cli("load", "m2", "--json", server=server).stdout)["results"]
    assert "ended_hold" not in result


def test_load_ends_the_hold_of_a_loaded_model(cli, server):
    load(cli, server, "m1")
    assert cli("hold", "m1", server=server).returncode == 0
    done = cli("load", "m1", server=server)
    assert done.returncode == 0
    assert done.stdout.startswith("m1: the hold is over (until released, by ")
    assert done.stdout.endswith(")\nm1 already loaded\n")
    assert server.get("/hostler/v1/status").json["holds"] == []


def test_the_end_of_a_hold_on_a_narrow_terminal(server, tmp_path):
    load(run_cli, server, "m1")
    assert run_cli("hold", "m1", "--reason", "backup", server=server).returncode == 0
    url = f"unix:{server.socket}" if server.socket else f"http://127.0.0.1:{server.port}"
    t = Terminal(tmp_path, [str(HOSTLER), "--url", url, "load", "m1"], 60)
    try:
        t.ended()
        assert t.lines()[0] == "m1: the hold is over (until released, by POST /models/hold"
        assert t.lines()[1].startswith("  from ")
    finally:
        t.close()


def test_unpin_tells_of_what_was_not_pinned(cli, server):
    assert cli("unpin", "m1", server=server).stdout == "m1 is not pinned\n"
    assert cli("pin", "m1", server=server).stdout == "m1 pinned\n"
    assert cli("unpin", "m1", server=server).stdout == "m1 unpinned\n"


def test_a_model_without_room_did_not_fail_while_loading(cli, hostler, models, tmp_path):
    (tmp_path / "p.ini").write_text("[m1]\nmemory = 2G\n", encoding="utf-8")
    server = hostler("--models-dir", models, "--models-preset", tmp_path / "p.ini", "--memory", "host=1G")
    assert cli("load", "m1", server=server).returncode == 1
    assert re.search(r"^state +failed \(no room\)$", cli("show", "m1", server=server).stdout, re.M)


def test_hold_wants_models_or_all(cli, server):
    assert cli("hold", server=server).returncode == 2
    assert cli("hold", "m1", "--all", server=server).returncode == 2
    assert cli("hold", "m1", "--for", "0", server=server).returncode == 2


def test_unload_with_hold_confirms_it(cli, server):
    load(cli, server, "m1")
    done = cli("unload", "--all", "--hold=10m", "--reason", "games", server=server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(
        "4 models held for 10m (games); 'hostler release --all' ends it\n")
    assert done.stdout.startswith("m1 unloaded in ")

    assert cli("release", "--all", server=server).returncode == 0
    assert cli("unload", "--all", "--hold", server=server).stdout == (
        "nothing was loaded; 4 models held until released; 'hostler release --all' ends it\n")

    assert cli("unload", "m2", "--hold", server=server).stdout.endswith(
        "1 model held until released; 'hostler release m2' ends it\n")


def test_a_time_behind_hold_and_a_blank(cli, server):
    for names in (["--all", "--hold", "10m"], ["--hold", "10m", "m1"]):
        done = cli("unload", *names, server=server)
        assert done.returncode == 2
        assert "'10m' looks like a time: write --hold=10m" in done.stderr


def test_ps_in_a_pipe_tells_holds_and_memory(cli, server):
    cli("hold", "m3", "--reason", "why not", server=server)
    lines = cli("ps", server=server).stdout.splitlines()
    assert any(line.startswith("held: m3 until released") and line.endswith(": why not")
               for line in lines)
    assert any(line.startswith("memory: host, ") for line in lines)


def test_a_reload_with_a_mistake_in_the_presets(cli, hostler, models, tmp_path):
    preset = tmp_path / "p.ini"
    preset.write_text("[m1]\n", encoding="utf-8")
    server = hostler("--models-dir", models, "--models-preset", preset)
    preset.write_text("[m1]\nctx-sise = 3\n", encoding="utf-8")
    done = cli("list", "--reload", server=server)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"hostler: reload failed, the models are as they were: {preset}: line 2: ctx-sise: ")
    for command in ("ps", "list"):
        done = cli(command, server=server)
        assert done.returncode == 0 and done.stdout
        assert done.stderr.startswith(f"problem: {preset}: line 2: ctx-sise: ")
        assert done.stderr.count("\n") == 1
        assert cli(command, "--json", server=server).stderr == ""
    assert cli("list", "--names", server=server).stderr == ""
    preset.write_text("[m1]\n", encoding="utf-8")
    assert cli("list", "--reload", server=server).stderr == ""
    assert cli("ps", server=server).stderr == ""


def test_an_interrupted_unload_goes_on(cli, hostler, tmp_path):
    folder = fake_models(tmp_path / "fakes", a=ENDLESS)
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    url = f"http://127.0.0.1:{server.port}"
    talk = subprocess.Popen([HOSTLER, "--url", url, "run", "a", "x"], env=clean_env(),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    until(lambda: server.engines().get("a", {}).get("requests"), what="a request")
    out = cli("unload", "a", "--dry-run", server=server).stdout
    assert "a would wait for 1 request first" in out
    unload = subprocess.Popen([HOSTLER, "--url", url, "unload", "a", "--drain", "1m"],
                              env=clean_env(), stderr=subprocess.PIPE, text=True)
    wait_for_state(server, "a", "draining")
    assert "draining" in cli("list", server=server).stdout
    unload.send_signal(signal.SIGINT)
    assert "the unload goes on at the server" in unload.communicate(timeout=30)[1]
    assert unload.returncode == 130
    talk.kill()
    talk.wait()
    until(lambda: not server.engines(), what="the unload's end")


def test_an_unload_that_takes_longer_than_its_timeout(cli, hostler, tmp_path):
    """The server goes on with it."""
    server = hostler("--models-dir", fake_models(tmp_path / "fakes", a=ENDLESS), engine=FAKE_ENGINE)
    with Wire(server) as wire:
        wire.ask("POST", "/v1/chat/completions", chat("a", stream=True))
        until(lambda: server.engines().get("a", {}).get("requests"), what="a request")
        done = cli("unload", "a", "--timeout", "4s", server=server)
        assert (done.returncode, done.stdout) == (1, "")
        assert "waiting for requests to finish" in done.stderr and "the unload goes on" in done.stderr
    until(lambda: not server.engines(), what="the unload's end")


def test_dry_run_tells_what_would_be_freed(cli, server):
    load(cli, server, "m1")
    out = cli("unload", "--all", "--dry-run", server=server).stdout
    assert out.startswith("m1 would be unloaded, freeing host ")
    assert server.loaded() == ["m1"]


def test_a_failed_load_is_told_shortly(cli, hostler, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "bad.gguf").write_bytes(b"GGUF, but no more")
    done = cli("load", "bad", server=hostler("--models-dir", folder))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) <= 8, done.stderr  # a sentence, two lines of log, …, the last four
    assert done.stderr.count("bad'") == 1, done.stderr


def test_the_evicted_are_told_why(cli, hostler, models):
    server = hostler("--models-dir", models, "--models-max", "1")
    done = cli("load", "m1", "m2", server=server)
    assert done.returncode == 1
    assert "was evicted for another model: --models-max is 1" in done.stderr


@pytest.mark.parametrize("wanted", ["smollm2-135m-instruct-q4_1", "SmolLM", "135M"])
def test_nearest_names(cli, hostler, tmp_path, wanted):
    folder = fake_models(tmp_path / "fakes", **{"SmolLM2-135M-Instruct-Q4_1": {}, "other": {}})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    for command in (["load", wanted], ["unload", wanted], ["run", wanted, "hi"],
                    ["unload", "--all", "--except", wanted]):
        done = cli(*command, server=server)
        assert done.returncode in (1, 2)
        assert "did you mean 'SmolLM2-135M-Instruct-Q4_1'?" in done.stderr


def test_classic_mode(cli, hostler, models):
    server = hostler("-m", models / "m1.gguf")
    until(lambda: server.engines(), what="an engine")
    name = cli("list", "--names", server=server).stdout.strip()
    assert name, cli("list", server=server).stderr
    load(cli, server, name)
    assert "loaded" in cli("list", server=server).stdout
    assert name in cli("ps", server=server).stdout
    assert cli("unload", name, server=server).stdout.startswith(f"{name} unloaded in ")
    assert "unloaded" in cli("list", server=server).stdout
    load(cli, server, name)


def test_version_tells_when_the_server_is_not_reached(cli):
    done = cli("version", env={"HOSTLER_URL": "http://127.0.0.1:1"})
    assert done.returncode == 3 and "server: not reached (" in done.stdout


def test_small_words(cli):
    assert "did you mean: hostler list" in cli("ls").stderr
    assert "bash, zsh or fish" in cli("completion", "tcsh").stderr
    assert "from 1 to 1000000000" in cli("run", "m", "x", "--max-tokens", "0").stderr
    assert cli("load").stderr.startswith("hostler: load: which model?")
    assert "--url" not in cli("help", "completion").stdout
    for command in ["", "list", "ps", "load", "unload", "hold", "release", "run", "version"]:
        lines = cli("help", *command.split()).stdout.splitlines()
        assert all(len(line) <= 80 and line == line.rstrip() for line in lines)
