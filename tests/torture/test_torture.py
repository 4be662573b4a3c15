# SPDX-License-Identifier: MIT
"""A fixed part of the torture run: each kind of call with its usual error, a few calls of each act.

All of it is `make torture`; see harness.py for what must hold.
"""
import pathlib
import tempfile

import pytest

from torture.acts import ACTS
from torture.faults import sample_faults
from torture.sweep import Job, Sweep

# Side by side, each on a daemon of its own.
PARTS = [list(ACTS)[i::4] for i in range(4)]


@pytest.mark.parametrize("acts", PARTS, ids="+".join)
def test_the_nth_call_fails(acts, engine):
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:  # short: a socket's path has 107 bytes
        sweep = Sweep(pathlib.Path(folder), engine)
        sweep.sample([Job(act, fault) for act in acts for fault in sample_faults()], 1)
    assert not sweep.findings, "\n\n".join(f"{what}\n{problem}" for what, problem in sweep.findings)
