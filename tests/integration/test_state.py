# SPDX-License-Identifier: MIT
"""What outlasts the daemon: holds, pins, and what models took. It is in --state-dir."""
import json
import os
import subprocess
import time

import pytest

import tiny_model
from conftest import HOSTLER, PATIENCE, clean_env, until
from wire import is_json_error


@pytest.fixture
def state_dir(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def start(hostler, models, state_dir):
    """start(*args): a daemon with the models m1 to m4 and the folder `state_dir`."""
    def call(*args, folder=models, **kw):
        return hostler("--models-dir", folder, "--state-dir", state_dir, *args, **kw)
    return call


def kept(state_dir):
    """The file as it is; nothing before it was first written."""
    try:
        return json.loads((state_dir / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def write(state_dir, **sections):
    state_dir.mkdir()
    (state_dir / "state.json").write_text(json.dumps(sections), encoding="utf-8")


def status(server):
    return server.get("/hostler/v1/status").json


def holds(server):
    return {h["model"]: h for h in status(server)["holds"]}


def pinned(server, model):
    return server.get(f"/hostler/v1/show?model={model}").json["pinned"]


def end(server, how):
    if how == "term":
        assert server.stop() == 0
    else:
        server.kill()


# --- holds and pins --------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["term", "kill"])
def test_holds_outlast_a_restart(start, state_dir, how):
    server = start()
    agent = {"User-Agent": "night-shift/1"}
    server.post("/models/hold", {"model": "m1", "for": 300, "reason": "backup"}, headers=agent)
    server.post("/models/hold", {"model": "m2"})
    server.post("/models/hold", {"model": "m3", "for": 300})
    server.post("/models/release", {"model": "m3"})
    before = holds(server)
    assert sorted(before) == ["m1", "m2"]
    until(lambda: sorted(kept(state_dir).get("holds", {})) == ["m1", "m2"], what="the file")
    end(server, how)

    server = start()
    after = holds(server)
    assert sorted(after) == ["m1", "m2"]
    assert after["m1"]["reason"] == "backup" and "night-shift/1" in after["m1"]["by"]
    assert after["m1"]["by"] == before["m1"]["by"]
    assert abs(after["m1"]["until"] - before["m1"]["until"]) <= 1
    assert after["m2"]["until"] is None and after["m2"]["reason"] is None
    answer = server.tokenize("m1")
    assert "held: backup" in is_json_error(answer, 503) and answer.error["state"] == "held"
    assert 200 < int(answer.headers["retry-after"]) <= 301
    assert server.tokenize("m3").status == 200
    assert server.loaded() == ["m3"]

    server.post("/models/release", {"model": "m1"})
    assert server.post("/models/load", {"model": "m2"}).status == 200  # that releases it, too
    until(lambda: not kept(state_dir)["holds"], what="the file")
    end(server, how)
    server = start()
    assert not holds(server) and server.tokenize("m1").status == 200


def test_a_hold_that_an_unload_began_outlasts_a_restart(start):
    server = start()
    server.tokenize("m1")
    report = server.post("/models/unload-all", {"hold": 300, "reason": "games"})
    assert report.json["held"] is True
    end(server, "term")
    assert "games" in is_json_error(start().tokenize("m1"), 503)


def test_a_hold_ends_in_time_also_across_a_restart(start, state_dir):
    write(state_dir, holds={
        "m1": {"until": time.time() - 5, "reason": "over"},
        "m2": {"until": time.time() + 1.5, "reason": "soon"}, "m3": {"until": None}})
    server = start()
    assert sorted(holds(server)) == ["m2", "m3"]
    assert server.tokenize("m1").status == 200
    until(lambda: "m1" not in kept(state_dir)["holds"], what="m1's being forgotten")
    until(lambda: sorted(holds(server)) == ["m3"], what="the end of m2's hold")
    until(lambda: sorted(kept(state_dir)["holds"]) == ["m3"], what="m2's being forgotten")
    assert server.tokenize("m2").status == 200


def test_a_hold_is_the_names_and_outlasts_a_new_file(start, state_dir, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    tiny_model.make(folder / "m.gguf", seed=1)
    server = start(folder=folder)
    server.post("/models/hold", {"model": "m", "reason": "not yet"})
    server.post("/models/pin", {"model": "m"})
    (folder / "m.gguf").unlink()
    server.get("/models?reload=1")
    assert server.models() == {}
    tiny_model.make(folder / "m.gguf", seed=2)
    server.get("/models?reload=1")
    assert "not yet" in is_json_error(server.tokenize("m"), 503)
    assert pinned(server, "m")
    assert kept(state_dir)["holds"]["m"]["reason"] == "not yet"


@pytest.mark.parametrize("how", ["term", "kill"])
def test_pins_outlast_a_restart(start, state_dir, tmp_path, how):
    presets = tmp_path / "p.ini"
    presets.write_text("[m2]\npin = true\n", encoding="utf-8")
    server = start("--models-preset", presets, "--models-max", "1")
    assert server.post("/models/pin", {"model": "m1"}).status == 200
    assert server.post("/models/unpin", {"model": "m2"}).status == 200
    until(lambda: kept(state_dir).get("pins") == {"m1": True, "m2": False}, what="the file")
    end(server, how)

    server = start("--models-preset", presets, "--models-max", "1")
    assert pinned(server, "m1") and not pinned(server, "m2")
    server.tokenize("m2")
    assert server.tokenize("m1").status == 200  # takes the place of m2, which is no longer pinned,
    assert server.loaded() == ["m1"]  # and keeps it:
    assert server.get("/hostler/v1/estimate?model=m2").json["fits"] is False
    server.post("/models/unpin", {"model": "m1"})
    server.post("/models/pin", {"model": "m2"})  # as the presets say now: they may say otherwise later
    until(lambda: kept(state_dir)["pins"] == {"m1": False, "m2": True}, what="the file")


def test_a_state_that_cannot_be_written_is_told(start, state_dir, cli):
    """A folder in the new file's place stands in for a full disk: root may write everywhere."""
    def told():
        finding = [f for f in json.loads(cli("doctor", "--json", server=server).stdout)["findings"] if f["check"] == "state"]
        return server.get("/hostler/v1/status").json["state"], finding

    server = start()
    path = state_dir / "state.json"
    assert told() == ({"path": str(path), "failed": 0, "error": None}, [])
    (state_dir / "state.json.next").mkdir()
    server.post("/models/hold", {"model": "m1"})
    until(lambda: told()[0] == {"path": str(path), "failed": 1, "error": "Is a directory"})
    finding, = told()[1]
    assert finding["level"] == "wrong" and str(path) in finding["what"] and "1 write failed" in finding["evidence"]
    assert f"cannot write {path}: Is a directory" in server.log() and "(1 failed)" in server.log()
    (state_dir / "state.json.next").rmdir()
    server.post("/models/hold", {"model": "m2"})
    until(lambda: told() == ({"path": str(path), "failed": 1, "error": None}, []))
    assert set(kept(state_dir)["holds"]) == {"m1", "m2"}


# --- what models took ------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["term", "kill"])
def test_what_a_load_took_outlasts_a_restart(start, state_dir, how):
    server = start()
    server.tokenize("m1")
    before = server.get("/hostler/v1/show?model=m1").json
    assert before["footprint"]["measured"]["source"] == "measured" and before["load_ms"] > 0

    def measured():
        """The load time is kept at once, memory when it was read."""
        return [f for f in kept(state_dir).get("footprints", {}).values() if "loads" in f]

    (learned,) = until(measured, what="the file")
    end(server, how)

    server = start()
    after = server.get("/hostler/v1/show?model=m1").json
    assert after["status"]["value"] == "unloaded"
    assert after["load_ms"] == before["load_ms"] == learned["load_ms"]
    assert after["footprint"]["measured"]["memory"]["host"] >= learned["loads"][0]["most"]["host"] > 1 << 20
    assert after["footprint"]["measured"]["mapped"] == learned["mapped"]
    untouched = server.get("/hostler/v1/show?model=m2").json
    assert untouched["footprint"]["measured"] is None and untouched["load_ms"] == 0
    end(server, "term")

    # With other arguments it is another load.
    other = start("-c", "512").get("/hostler/v1/show?model=m1").json
    assert other["footprint"]["measured"] is None and other["load_ms"] == 0


def test_what_is_known_from_before_decides(start, models, state_dir):
    """A model that was measured is not refused by an estimate that is too high."""
    server = start("--memory", "host=8G")
    server.tokenize("m1")
    measured = server.get("/hostler/v1/estimate?model=m1").json
    estimated = measured["estimated"]["memory"]["host"]
    assert measured["source"] == "measured"
    assert measured["memory"]["host"] < estimated
    end(server, "term")
    between = (measured["memory"]["host"] + estimated) // 2
    server = start("--memory", f"host={between + measured['mapped']}")
    answer = server.get("/hostler/v1/estimate?model=m1").json
    assert answer["fits"] and answer["source"] == "measured"
    assert server.tokenize("m1").status == 200


# --- the folder ------------------------------------------------------------------------------------

def test_the_folder_is_made_and_is_the_users_alone(start, state_dir):
    server = start()
    server.post("/models/hold", {"model": "m1"})
    until(lambda: kept(state_dir), what="the file")
    assert state_dir.stat().st_mode & 0o777 == 0o700
    assert (state_dir / "state.json").stat().st_mode & 0o777 == 0o600


def test_a_second_daemon_on_the_folder(start, hostler, models, tmp_path):
    first = start()
    second = start(wait=False)
    assert second.process.wait(PATIENCE) == 1
    assert f"another hostler uses the folder {tmp_path / 'state'}" in second.log()
    assert "give another by --state-dir" in second.log()
    assert first.tokenize("m1").status == 200

    # By default it is nobody's mistake.
    shared = {"XDG_STATE_HOME": str(tmp_path / "home")}
    first = hostler("--models-dir", models, env=shared)
    second = hostler("--models-dir", models, env=shared)
    assert "another hostler uses the folder" in second.log() and "are forgotten" in second.log()
    second.post("/models/hold", {"model": "m1"})
    assert sorted(holds(second)) == ["m1"] and not holds(first)
    assert second.tokenize("m2").status == 200
    assert second.stop() == 0 and first.stop() == 0
    assert not holds(hostler("--models-dir", models, env=shared))


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(start, state_dir):
    state_dir.mkdir(mode=0o500)
    server = start(wait=False)
    assert server.process.wait(PATIENCE) == 1 and "--state-dir" in server.log()


def test_a_folder_that_cannot_be_made(engine, models, hostler, tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    done = subprocess.run(
        [str(HOSTLER), "serve", "--models-dir", str(models), "--port", "0", "--state-dir",
         str(tmp_path / "file" / "state")], env=clean_env(LLAMA_SERVER=str(engine)), timeout=PATIENCE,
        capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Not a directory" in done.stderr and "give another by --state-dir" in done.stderr
    server = hostler("--models-dir", models, env={"XDG_STATE_HOME": str(tmp_path / "file")})
    assert "Not a directory" in server.log() and server.tokenize("m1").status == 200


def test_off(hostler, models, tmp_path):
    home = {"XDG_STATE_HOME": str(tmp_path / "home")}
    server = hostler("--models-dir", models, "--state-dir", "off", env=home)
    server.post("/models/hold", {"model": "m1"})
    assert sorted(holds(server)) == ["m1"]
    assert server.stop() == 0
    assert not (tmp_path / "home").exists() and not (tmp_path / "off").exists()


@pytest.mark.parametrize("text", [
    "{", "", "[]", '{"holds":7}', "{\"holds\":{}}\0", "\x7fELF", '{"holds":' + "[" * 5000])
def test_a_broken_file_is_kept_aside(start, state_dir, text):
    state_dir.mkdir()
    (state_dir / "state.json").write_text(text, encoding="utf-8")
    server = start()
    assert "state.json.bad" in server.log()
    assert (state_dir / "state.json.bad").read_text(encoding="utf-8") == text
    assert not holds(server)
    server.post("/models/hold", {"model": "m1"})
    until(lambda: "m1" in kept(state_dir).get("holds", {}), what="a new file")


@pytest.mark.parametrize("sections", [
    {"holds": {"m1": 7, "m2": {"until": "later"}, "m3": {"until": 1e300, "by": [], "reason": 7},
               "nobody": {"until": None}}},
    {"pins": {"m1": "yes", "m2": None}}, {"of-tomorrow": {"x": 1}},
    {"footprints": {"x": 7, "y": {"loads": [7]}}}])
def test_a_file_with_other_things_than_expected(start, state_dir, sections):
    write(state_dir, **sections)
    server = start()
    assert all(h["until"] is None for h in holds(server).values())
    assert server.tokenize("m4").status == 200
    until(lambda: kept(state_dir).get("footprints"), what="the file")
    assert sections.keys() <= kept(state_dir).keys()  # what it does not know is not lost
