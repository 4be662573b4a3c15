# SPDX-License-Identifier: MIT
"""Which server the commands talk to when nobody says which."""
import pathlib
import subprocess
import sys

import pytest

from conftest import HOSTLER, PATIENCE, clean_env

OWN_NETWORK = pathlib.Path(__file__).with_name("own_network.py")


@pytest.mark.parametrize("ports, expected", [
    ("8080", "port-8080"), ("9931", "port-9931"), ("8080,9931", "port-8080"),
    ("", "nothing answers at http://localhost:8080")])
def test_the_default_address(ports, expected):
    can = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    if can.returncode:
        pytest.skip("needs network namespaces (unshare --net)")
    done = subprocess.run(["unshare", "--net", sys.executable, OWN_NETWORK, ports, HOSTLER, "list"], env=clean_env(),
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert expected in done.stdout + done.stderr
