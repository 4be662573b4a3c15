# SPDX-License-Identifier: MIT
"""A daemon that nobody asks anything is asleep."""
import pathlib
import re
import time

from conftest import until

WATCHED = 3  # seconds


def figure(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1])


def sleeps(pid):
    """Whether its loop is not woken once while it is watched."""
    before = figure(pid, "voluntary_ctxt_switches")
    time.sleep(WATCHED)
    return figure(pid, "voluntary_ctxt_switches") == before


def test_with_engines_and_a_connection_that_idle(hostler, models):
    server = hostler("--models-dir", models, "--models-max", "4")
    for name in ("m1", "m2", "m3", "m4"):
        assert server.tokenize(name).status == 200
    # Connections to engines are kept for 3 s, those of clients are looked at as long as there are any.
    until(lambda: sleeps(server.pid), what="a daemon that sleeps")
