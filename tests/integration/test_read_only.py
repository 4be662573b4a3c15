# SPDX-License-Identifier: MIT
"""Where engines' sockets are when the usual folders cannot be used, as in a container with a read-only root."""
import os
import pathlib
import subprocess

import pytest

from conftest import PATIENCE

READ_ONLY = pathlib.Path(__file__).with_name("read_only.sh")


def nothing_writable(*folders):
    """Words before a command that runs it so."""
    launcher = ["unshare", "--mount", READ_ONLY, *folders, "--"]
    if subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount anything")
    return launcher


def socket_of(server, model):
    argv = pathlib.Path(f"/proc/{server.engines()[model]['pid']}/cmdline").read_text(encoding="utf-8").split("\0")
    return argv[argv.index("--host") + 1]


def test_a_read_only_root(hostler, models):
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no /dev/shm")
    server = hostler("--models-dir", models, env={"XDG_RUNTIME_DIR": "", "TMPDIR": ""},
                     launcher=nothing_writable("/dev/shm"))
    assert server.tokenize("m1").status == 200
    assert socket_of(server, "m1").startswith("/dev/shm/hostler-")
    large = server.post("/tokenize", {"unknown": "x" * 1_500_000, "content": "hi", "model": "m1"})
    assert large.status == 200
    assert server.post("/models/unload", {"model": "m1"}).status == 200


def test_nothing_can_be_written(hostler, models):
    """Each place is named, and why it cannot be used."""
    server = hostler("--models-dir", models, wait=False, env={"XDG_RUNTIME_DIR": "/nonexistent", "TMPDIR": ""},
                     launcher=nothing_writable())
    assert server.process.wait(PATIENCE) == 1
    for place in ("/nonexistent: No such file or directory", "/tmp: Read-only file system", "/dev/shm: Read-only"):
        assert place in server.log()


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_a_long_path(hostler, models, tmp_path, variable):
    """A socket's address has 107 bytes."""
    folder = tmp_path / ("d" * 150)
    folder.mkdir(mode=0o700)
    server = hostler("--models-dir", models, env={"XDG_RUNTIME_DIR": "", "TMPDIR": "", variable: str(folder)})
    assert len(str(folder)) > 180
    assert server.tokenize("m1").status == 200
