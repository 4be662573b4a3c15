# SPDX-License-Identifier: MIT
"""A daemon in a control group with a limit of memory, as far as this machine lets us make one."""
import contextlib
import os
import pathlib

import pytest

from conftest import until


@pytest.fixture
def group():
    """group(mib): words before a command that run it in a control group with that limit (version 1)."""
    made = []
    own = next((line.split(":", 2)[2] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()
                if line.split(":")[1] == "memory"), None)

    def call(mib):
        folder = pathlib.Path(f"/sys/fs/cgroup/memory{own}/hostler-test-{os.getpid()}-{len(made)}")
        try:
            folder.mkdir()
            made.append(folder)
            (folder / "memory.limit_in_bytes").write_text(f"{mib}M")
        except OSError as e:
            pytest.skip(f"no memory group can be made here: {e}")
        return ["sh", "-c", f'echo $$ > {folder}/cgroup.procs; exec "$@"', "-"]

    if own is None:
        pytest.skip("no memory groups of version 1 here")
    yield call
    for folder in made:
        def gone(folder=folder):
            for engine in folder.glob("hostler-*"):  # of a daemon that was killed
                with contextlib.suppress(OSError):
                    engine.rmdir()
            with contextlib.suppress(OSError):
                folder.rmdir()
            return not folder.exists()
        until(gone, what="the group's end")


def folder_of(pid):
    """Of the process's group (version 1); None: it has none."""
    own = next((line.split(":", 2)[2] for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
                if line.split(":")[1] == "memory"), None)
    return own and pathlib.Path(f"/sys/fs/cgroup/memory{own}")


def group_of(server):
    """Words that run a command in the server's group."""
    return ["sh", "-c", f'echo $$ > {folder_of(server.pid)}/cgroup.procs; exec "$@"', "-"]
