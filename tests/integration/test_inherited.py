# SPDX-License-Identifier: MIT
"""What hostler and its engines inherit from whoever starts the daemon must not keep models from being served."""
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys

import pytest

from conftest import HOSTLER, answers, clean_env, until

INHERIT = pathlib.Path(__file__).with_name("inherit.py")


@pytest.fixture
def served(hostler, models):
    """served("umask=0177", …): a daemon that was started so, and listens on a unix socket."""
    def start(*attributes, args=(), **kw):
        server = hostler("--models-dir", models, *args, unix=True, wait=False,
                         launcher=[sys.executable, INHERIT, *attributes, "--"], **kw)
        server.socket = server.log_path.with_name("h0.sock")
        until(lambda: answers(server) or server.process.poll() is not None, what="its health")
        assert server.process.poll() is None, server.log()
        return server
    return start


def status_of(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return re.search(rf"^{name}:\s*(\S+)$", text, re.M)[1]


def modes_below(folder):
    return {p.name: stat.S_IMODE(p.lstat().st_mode) for p in pathlib.Path(folder).rglob("*")}


@pytest.mark.parametrize("attributes", [
    ["umask=0177"], ["umask=0277"], ["umask=0777"], ["umask=0000"], ["blocked=all"], ["ignored=CHLD"],
    ["ignored=HUP,INT,TERM,PIPE,CHLD,USR1,ALRM,XFSZ,TTOU"], ["closed=0,1,2"], ["closed=0"], ["closed=1"], ["closed=2"],
    ["closed=0", "umask=0777", "blocked=all"], ["nice=19"], ["cpu=0"], ["cwd=gone"], ["FSIZE=0"], ["CORE=0"],
    ["NOFILE=256"], ["MEMLOCK=0"], ["SIGPENDING=0"]], ids=" ".join)
def test_a_model_is_served(served, attributes):
    if attributes == ["cpu=0"] and 0 not in os.sched_getaffinity(0):
        pytest.skip("this process may not use the first CPU")
    server = served(*attributes)
    assert server.tokenize("m1").status == 200
    engine = server.engines()["m1"]["pid"]
    assert int(status_of(engine, "SigBlk"), 16) == 0
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGXFSZ):
        assert not int(status_of(engine, "SigIgn"), 16) >> (number - 1) & 1
    assert server.post("/models/unload", {"model": "m1"}).status == 200
    assert server.stop() == 0


@pytest.mark.parametrize("mask,log", [("0777", 0o600), ("0022", 0o640), ("0000", 0o640)])
def test_modes_of_what_it_makes(served, tmp_path, mask, log):
    """The mask counts for others, never for the daemon's own user; nothing private is for others."""
    server = served(f"umask={mask}", args=("--log-file", tmp_path / "log"))
    assert server.tokenize("m1").status == 200
    assert server.post("/models/unload", {"model": "m1", "hold": True}).status == 200
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == log
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600
    until(lambda: "state.json" in modes_below(tmp_path / "state0"), what="the state file")
    for name, mode in {**modes_below(server.runtime), **modes_below(tmp_path / "state0")}.items():
        assert mode & 0o700 >= 0o600, name
    for folder in server.runtime.glob("hostler-*"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_limit_of_files_that_is_too_low_is_told(served):
    assert "open files is too low" in served("NOFILE=64").log()


@pytest.mark.parametrize("attributes", [["ignored=CHLD"], ["blocked=all"], ["closed=0"]], ids=" ".join)
def test_commands(attributes):
    done = subprocess.run([sys.executable, INHERIT, *attributes, "--", HOSTLER, "help"], env=clean_env(),
                          capture_output=True, check=False)
    assert done.returncode == 0 and done.stdout


def test_an_output_that_is_closed_is_told():
    done = subprocess.run([sys.executable, INHERIT, "closed=1", "--", HOSTLER, "help"], env=clean_env(),
                          capture_output=True, check=False)
    assert done.returncode != 0
    assert b"could not be written" in done.stderr
