# SPDX-License-Identifier: MIT
"""How pytest runs the cases: each twice, then compared. tests/conftest.py loads this."""
import collections
import os
import sys
import time

import pytest

import tiny_model
from conformance import suite
from conformance.server import Host, Starter
from conftest import PATIENCE, engine_path

PENDING_PATIENCE = 2  # seconds that a case of a missing feature may wait for it


class Sides:
    """A fixture's two values, made when they are first asked for."""

    def __init__(self, make):
        self.make = make
        self.made = {}

    def of(self, side):
        if side not in self.made:
            self.made[side] = self.make(side)
        return self.made[side]


class Starters(Sides):
    def __init__(self, folder, models):
        super().__init__(lambda side: Starter(side, folder / side, engine_path(), models))

    def stop(self):
        problems = [p for s in self.made.values() for p in s.stop()]
        assert not problems, "\n".join(problems)


# --- fixtures --------------------------------------------------------------------------------------

@pytest.fixture
def start(tmp_path, models):
    """start(*args, env={…}): a server of the case's own; start.models(…), start.file(…)."""
    starters = Starters(tmp_path, models)
    yield starters
    starters.stop()


@pytest.fixture(scope="session")
def shared_start(tmp_path_factory, models):
    starters = Starters(tmp_path_factory.mktemp("conformance"), models)
    yield starters
    starters.stop()


def shared(*args):
    """A fixture: servers with these arguments, which all cases of a process share."""
    @pytest.fixture(scope="session")
    def servers(shared_start, models):
        made = [str(a).replace("MODELS", str(models)) for a in args]
        return Sides(lambda side: shared_start.of(side)(*made).until_healthy())
    return servers


router = shared("--models-dir", "MODELS", "--metrics", "--slots", "--props", "-c", "512")
manual = shared("--models-dir", "MODELS", "--no-models-autoload", "-c", "512")
guarded = shared("--models-dir", "MODELS", "--api-key", "one,two", "-c", "512")
classic = shared("--model", "MODELS/m1.gguf", "--metrics", "--slots", "--props", "-c", "512")


@pytest.fixture
def see(request, tmp_path, models):
    """see(what, value, expected): tells what the server showed."""
    def make(side):
        def places():
            folders = {tmp_path / side: "FOLDER", models: "MODELS"}
            if "shared_start" in request.fixturenames:
                folders[request.getfixturevalue("shared_start").of(side).folder] = "SHARED"
            return [(engine_path(), "ENGINE"), *((str(k), v) for k, v in folders.items())]
        return suite.Record(side, places)
    return Sides(make)


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory):
    """The file of a model that takes half a minute for a long answer."""
    path = tmp_path_factory.mktemp("slow") / "slow.gguf"
    return tiny_model.make(str(path), n_ctx_train=32768, pad_mb=8)


# --- running ---------------------------------------------------------------------------------------

def case_name(item):
    return item.nodeid.rpartition("conformance/")[2]


def is_case(item):
    return "see" in getattr(item, "fixturenames", ())


def run(item, side):
    """One side's record."""
    names = item._fixtureinfo.argnames  # pylint: disable=protected-access
    values = {n: item.funcargs[n] for n in names}
    values = {n: v.of(side) if isinstance(v, Sides) else v for n, v in values.items()}
    patience = PENDING_PATIENCE if is_pending_side(item, side) else PATIENCE
    for value in values.values():
        if isinstance(value, (Host, Starter)):
            value.patience = patience
    began = time.monotonic()
    try:
        item.obj(**values)
    except BaseException as e:
        if hasattr(e, "add_note"):
            e.add_note(f"(this was {side}'s turn)")
        raise
    seen = item.funcargs["see"].of(side).seen
    if os.environ.get("SHOW") in (side, "both"):
        took = time.monotonic() - began
        print(f"{case_name(item)}, {side}, {took:.1f} s: {suite.pretty(seen)}", file=sys.stderr)
    return seen


def is_pending_side(item, side):
    return side == "hostler" and suite.is_pending(case_name(item))


def note(item, **counts):
    item.user_properties.append(("conformance", {"case": case_name(item), **counts}))


def run_pending(item, stock):
    """What is not there yet may fail in any way; when it is, the list should lose the line."""
    try:
        alike = not suite.compare(case_name(item), stock, run(item, "hostler"))
    except Exception:  # pylint: disable=broad-except
        alike = False
    note(item, stock=1, pending=1, alike=alike)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    item = pyfuncitem
    if not is_case(item):
        return None
    name = case_name(item)
    stock = run(item, "stock")
    if suite.is_pending(name):
        run_pending(item, stock)
        return True
    note(item, stock=1)
    hostler = run(item, "hostler")
    problems = suite.compare(name, stock, hostler)
    if problems:
        pytest.fail("hostler is not like stock:\n" + "\n".join(problems), pytrace=False)
    note(item, hostler=1, differences=len(suite.listed_for(name)))
    return True


# --- the list --------------------------------------------------------------------------------------

COLLECTED = []  # before -k and the like take some away


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    COLLECTED.extend(case_name(i) for i in items if is_case(i))


@pytest.fixture
def collected_cases():
    return COLLECTED


def pytest_terminal_summary(terminalreporter):
    found = collections.Counter()
    alike = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for key, value in report.user_properties:
                if key != "conformance":
                    continue
                found.update({k: v for k, v in value.items() if isinstance(v, int)})
                if value.get("alike"):
                    alike.append(value["case"])
    if not found:
        return
    line = (f"conformance: {found['stock']} cases passed by stock, {found['hostler']} by hostler"
            f" ({found['differences']} listed differences)")
    if found["pending"]:
        line += f", {found['pending']} pending"
    terminalreporter.write_line(line)
    for case in sorted(alike):
        terminalreporter.write_line(f"conformance: no longer pending: {case}")
