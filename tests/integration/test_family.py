# SPDX-License-Identifier: MIT
"""An engine that is several processes: behind a script, in other process groups, adopted by the daemon."""
import os
import pathlib
import shutil
import signal

import pytest
import tiny_model
from conftest import PATIENCE, until
from wire import chat, open_stream

WRAPPERS = {
    "plain": '"$ENGINE" "$@"\n',
    "status": '"$ENGINE" "$@"\nstatus=$?\necho "llama-server has ended with $status" >&2\nexit $status\n',
    "group": 'timeout 3600 "$ENGINE" "$@"\n',      # timeout(1) makes a process group of its own
    "session": 'setsid "$ENGINE" "$@"\n',          # a session, too, which no signal to a group reaches
    "nested": 'sh -c \'"$0" "$@"; exit $?\' "$ENGINE" "$@"\n',
    "taskset": 'taskset -c 0-1023 "$ENGINE" "$@"\n',
    "helper": 'sleep 1000 &\n"$ENGINE" "$@"\n',     # which nobody stops
    # A zombie in the script's group, which its parent, in a session of its own, does not reap.
    "zombie": '[ $# -lt 2 ] || { true & exec setsid sleep 1000; } &\nexec "$ENGINE" "$@"\n',
    "orphan": '[ $# -lt 2 ] || sh -c "setsid sleep 1000 & exit 0"\nexec "$ENGINE" "$@"\n',
}


OWN_MEMORY = ["--load-mode", "none", "-c", "512"]  # the weights are the engine's own memory


def proc(pid, name):
    return pathlib.Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")


def parents():
    """{pid: parent} of all processes that are no zombies, and the zombies."""
    living, zombies = {}, {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent = proc(folder.name, "stat").rsplit(")", 1)[1].split()[:2]
            except OSError:
                continue
            (zombies if state in "ZX" else living)[int(folder.name)] = int(parent)
    return living, zombies


def family(pid):
    """The descendants of a process, zombies left out, and its children that are zombies."""
    living, zombies = parents()
    found = {pid}
    while more := {p for p, parent in living.items() if parent in found} - found:
        found |= more
    return found - {pid}, [p for p, parent in zombies.items() if parent == pid]


@pytest.fixture
def wrapped(hostler, tmp_path, engine):
    """wrapped(body, *args): a daemon whose engine is a script."""
    def start(body, *args, **kw):
        script = tmp_path / "engine.sh"
        script.write_text(f"#!/bin/sh\nENGINE={engine}\n{body}", encoding="utf-8")
        script.chmod(0o755)
        return hostler(*args, engine=script, **kw)
    return start


@pytest.fixture
def big(tmp_path):
    """A folder with a model whose engine holds some 100 MiB."""
    folder = tmp_path / "big"
    folder.mkdir()
    tiny_model.make(str(folder / "m1.gguf"), pad_mb=96)
    tiny_model.make(str(folder / "m2.gguf"), pad_mb=96)
    return folder


@pytest.mark.parametrize("wrapper", sorted(WRAPPERS))
def test_a_script_and_its_engine_are_one(wrapped, models, wrapper):
    server = wrapped(WRAPPERS[wrapper], "--models-dir", models)
    assert server.tokenize("m1").status == 200
    processes, _ = family(server.pid)
    assert len(processes) >= 1
    report = server.post("/models/unload", {"model": "m1"})
    assert report.status == 200, report.body
    assert family(server.pid)[0] == set()  # when the answer comes
    until(lambda: family(server.pid)[1] == [], what="the last one's being reaped")
    assert server.tokenize("m1").status == 200
    server.post("/models/unload-all")
    until(lambda: family(server.pid) == (set(), []), what="the end of all of its processes")


@pytest.mark.parametrize("wrapper", ["plain", "group", "session"])
def test_what_a_script_runs_is_measured(wrapped, big, wrapper):
    server = wrapped(WRAPPERS[wrapper], "--models-dir", big, *OWN_MEMORY)
    assert server.tokenize("m1").status == 200
    held = server.engines()["m1"]["memory"]["host"]
    assert held > 96 << 20
    report = server.post("/models/unload-all").json
    assert report["freed"]["host"] > 96 << 20


def test_a_limit_holds_for_what_scripts_run(wrapped, big):
    server = wrapped(WRAPPERS["plain"], "--models-dir", big, *OWN_MEMORY, "--memory", "host=200M")
    for _ in range(2):
        assert server.tokenize("m1").status == 200
        assert server.tokenize("m2").status == 200
        assert server.loaded() == ["m2"]


@pytest.mark.parametrize("wrapper", ["plain", "session"])
def test_a_script_that_is_killed_takes_its_engine_along(wrapped, models, wrapper):
    server = wrapped(WRAPPERS[wrapper], "--models-dir", models)
    assert server.tokenize("m1").status == 200
    os.kill(server.engines()["m1"]["pid"], signal.SIGKILL)
    until(lambda: family(server.pid) == (set(), []), what="the end of both")
    assert server.tokenize("m1").status == 200


@pytest.mark.parametrize("wrapper", ["plain", "status"])
def test_a_signal_is_told_though_a_shell_saw_it(wrapped, models, wrapper):
    server = wrapped(WRAPPERS[wrapper], "--models-dir", models)
    assert server.tokenize("m1").status == 200
    engine, = family(server.pid)[0] - {server.engines()["m1"]["pid"]}
    os.kill(engine, signal.SIGKILL)
    until(lambda: server.models()["m1"]["status"].get("signal") == signal.SIGKILL, what="its end to be told")
    assert server.tokenize("m1").status == 200


@pytest.mark.parametrize("wrapper", ["plain", "session"])
def test_by_force(wrapped, models, wrapper):
    """Also in the middle of a request."""
    server = wrapped(WRAPPERS[wrapper], "--models-dir", models)
    connection, _ = open_stream(server, "m1", **{k: v for k, v in chat("m1").items() if k != "model"})
    report = server.post("/models/unload-all", {"force": True})
    connection.close()
    assert report.status == 200
    until(lambda: family(server.pid) == (set(), []), what="the end of all of its processes")


def test_the_daemons_end_is_that_of_all(wrapped, models):
    server = wrapped(WRAPPERS["session"], "--models-dir", models)
    assert server.tokenize("m1").status == 200
    processes, _ = family(server.pid)
    assert server.stop() == 0
    living, _ = parents()
    assert not processes & set(living)


def test_an_engine_that_ignores_sigterm_behind_a_script(wrapped, models):
    """The script has gone by the signal; its engine is killed at the end of the stop's time."""
    server = wrapped('sh -c "trap \'\' TERM; exec \\"$ENGINE\\" \\"\\$@\\"" - "$@" &\nwait\n', "--models-dir", models,
                     "--stop-timeout", "1")
    assert server.post("/models/load", {"model": "m1"}).status == 200
    server.post("/models/unload-all", {"force": True})
    until(lambda: family(server.pid) == (set(), []), what="the end of both")


# --- PID 1 -----------------------------------------------------------------------------------------

def can_be_pid_1():
    return shutil.which("unshare") and os.system("unshare --pid --fork --mount-proc true 2>/dev/null") == 0


def test_as_pid_1_it_reaps_all(wrapped, models):
    if not can_be_pid_1():
        pytest.skip("no PID namespace can be made here")
    server = wrapped(WRAPPERS["orphan"], "--models-dir", models,
                     launcher=["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"])
    daemon = int(proc(server.pid, f"task/{server.pid}/children").split()[0])
    for _ in range(3):
        assert server.tokenize("m1").status == 200
        assert server.post("/models/unload-all").status == 200
        assert family(daemon) == (set(), [])
    os.kill(daemon, signal.SIGTERM)  # which unshare does not pass on
    assert server.process.wait(PATIENCE) == 0


def test_orphans_of_others_are_reaped(wrapped, models):
    """Of an engine that goes on: its helpers come and go."""
    server = wrapped('(sh -c "sleep 0.1 & exit 0" &)\nexec "$ENGINE" "$@"\n', "--models-dir", models)
    assert server.tokenize("m1").status == 200
    engine = server.engines()["m1"]["pid"]
    until(lambda: family(server.pid) == ({engine}, []), what="the helper's end")
