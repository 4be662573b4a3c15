# SPDX-License-Identifier: MIT
"""The page's own unit tests (ui/tests), a case a file: scripts/ui bundles it and node runs it."""
import subprocess

import pytest

from conftest import ROOT

FILES = sorted((ROOT / "ui" / "tests").rglob("*.test.ts*"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_unit(file):
    done = subprocess.run([ROOT / "scripts" / "ui", "test", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_some():
    assert FILES
