# SPDX-License-Identifier: MIT
"""Control groups of engines, where the daemon can make them. Here that is version 1, by root."""
import os
import pathlib
import signal
import subprocess
import sys

import pytest
import tiny_model
from conftest import until
from memory_group import folder_of, group  # noqa: F401 (a fixture)

MIB = 1 << 20
HOLD = """
import time
held = bytearray(b"x" * (80 << 20))
time.sleep(1000)
"""
# HOLD loses its family: it has neither a parent in it, nor its process group, nor its environment.
ESCAPE = """#!/bin/sh
if [ $# -ge 2 ]; then
    until grep -q hostler- /proc/self/cgroup; do :; done
    env -i setsid sh -c '"$0" "$1" & exit 0' {python} {hold}
fi
exec {engine} "$@"
"""


@pytest.fixture
def groups():
    """Where daemons that tests start make groups."""
    own = folder_of(os.getpid())
    if not own or not os.access(own, os.W_OK):
        pytest.skip("no memory groups of version 1 here, or no right to make any")
    return own


@pytest.fixture
def big(tmp_path):
    """A folder with a model whose engine holds some 100 MiB."""
    folder = tmp_path / "big"
    folder.mkdir()
    tiny_model.make(str(folder / "m1.gguf"), pad_mb=96)
    return folder


def engine_group(server, model):
    """Once the engine is there."""
    pid = server.engines()[model]["pid"]
    until(lambda: folder_of(pid).name.startswith(f"hostler-{server.pid}-"), what="the engine's group")
    return folder_of(pid)


def of(server, groups):
    return list(groups.glob(f"hostler-{server.pid}-*"))


def held(server, model):
    return server.get("/hostler/v1/status").json["engines"][0]["memory"]["host"]


def status_of(pid, *names):
    lines = dict(line.split(":", 1) for line in
                 pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines() if ":" in line)
    return sum(int(lines[name].split()[0]) for name in names) << 10


def test_the_groups_figure_is_that_of_the_processes(groups, hostler, big):
    """For a plain engine, which is one process, within a few per cent: the kernel's own memory comes to it."""
    server = hostler("--models-dir", big, "--load-mode", "none", "-c", "512")
    assert server.tokenize("m1").status == 200
    folder = engine_group(server, "m1")
    by_process = status_of(server.engines()["m1"]["pid"], "RssAnon", "RssShmem")
    by_group = held(server, "m1")
    assert by_process > 96 * MIB
    assert 0.97 * by_process < by_group < 1.05 * by_process, (by_process, by_group)
    report = server.post("/models/unload-all").json
    assert report["freed"]["host"] > 96 * MIB
    assert not folder.exists()
    assert server.tokenize("m1").status == 200
    server.stop()
    assert of(server, groups) == []


def test_mapped_weights_are_nobodys_own(groups, hostler, big):
    server = hostler("--models-dir", big, "-c", "512")
    assert server.tokenize("m1").status == 200
    engine_group(server, "m1")
    assert held(server, "m1") < 64 * MIB


def test_who_left_the_family_counts_and_ends(groups, hostler, big, tmp_path, engine):
    script, hold = tmp_path / "engine.sh", tmp_path / "hold.py"
    hold.write_text(HOLD, encoding="utf-8")
    script.write_text(ESCAPE.format(python=sys.executable, hold=hold, engine=engine), encoding="utf-8")
    script.chmod(0o755)
    server = hostler("--models-dir", big, "-c", "512", engine=script)
    assert server.tokenize("m1").status == 200
    folder = engine_group(server, "m1")
    until(lambda: held(server, "m1") > 80 * MIB, what="what left to count")
    assert len((folder / "cgroup.procs").read_text().split()) == 2
    assert server.post("/models/unload", {"model": "m1"}).status == 200
    assert not folder.exists()


def test_whom_the_kernel_killed(groups, hostler, big):
    server = hostler("--models-dir", big, "-c", "512")
    assert server.tokenize("m1").status == 200
    os.kill(server.engines()["m1"]["pid"], signal.SIGKILL)
    until(lambda: "ended by signal 9" in server.log(), what="its end")
    assert "since memory ran out" not in server.log()
    assert server.tokenize("m1").status == 200
    folder, pid = engine_group(server, "m1"), server.engines()["m1"]["pid"]
    pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text("1000")  # not the program that takes it all
    (folder / "memory.limit_in_bytes").write_text("200M")
    subprocess.run(["sh", "-c", f'echo $$ > {folder}/cgroup.procs; exec "$@"', "-", sys.executable, "-c",
                    "x = bytearray(b'x' * (300 << 20))"], check=False)
    until(lambda: server.log().count("model m1: the engine ended by signal 9") == 2, what="its end")
    assert "ended by signal 9 (Killed), from the kernel, since memory ran out" in server.log()


def test_what_a_killed_daemon_left_is_removed(groups, hostler, big):
    server = hostler("--models-dir", big)
    assert server.tokenize("m1").status == 200
    folder = engine_group(server, "m1")
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    until(lambda: not (folder / "cgroup.procs").read_text().split(), what="the engine's end")

    def removed():
        hostler("--models-dir", big).stop()
        return not folder.exists()
    until(removed, what="the group's removal")


def test_where_no_group_can_be_made(groups, hostler, big):
    """As in a container, whose files of control groups are read-only."""
    remount = f'mount --bind {groups} {groups} && mount -o remount,ro,bind {groups} && exec "$@"'
    server = hostler("--models-dir", big, "--load-mode", "none", "-c", "512",
                     launcher=["unshare", "--mount", "sh", "-c", remount, "-"])
    assert server.tokenize("m1").status == 200
    assert held(server, "m1") > 96 * MIB
    assert of(server, groups) == []
    assert server.post("/models/unload", {"model": "m1"}).status == 200
