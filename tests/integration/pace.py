# SPDX-License-Identifier: MIT
"""Real engines that begin to load, and stand still, when the test says so."""
import contextlib
import os
import pathlib
import signal

from conftest import until
from unloading import load


class Gate:
    """A program to give as `engine`: llama-server, but while the gate is shut it does not begin."""

    def __init__(self, folder, engine):
        self.shut_file = folder / "shut"
        self.path = folder / "gated-engine"
        self.path.write_text(f"""#!/bin/sh
case "$*" in *--host*) while [ -e '{self.shut_file}' ]; do sleep 0.01; done ;; esac
exec '{engine}' "$@"
""", encoding="ascii")
        self.path.chmod(0o755)

    def shut(self):
        self.shut_file.touch()

    def open(self):
        self.shut_file.unlink()

    def __str__(self):
        return str(self.path)


def is_stopped(pid):
    """All its threads: the one that takes SIGSTOP stops the others, when it comes to run."""
    return all((task / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


class Frozen:
    """The model's engine does nothing while the block runs. Made beforehand, as it loads the model."""

    def __init__(self, server, model):
        self.pid = load(server, model)[model]

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        until(lambda: is_stopped(self.pid), what="the engine's standstill")

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
