# SPDX-License-Identifier: MIT
"""The suite itself: it sees what differs, and its lists name what there is."""
import fnmatch
import re

import pytest

from conformance import suite
from conformance.differences import Difference
from conformance.suite import ABSENT, ANY, Exactly, OneOf, answer, error


def stale(patterns, cases):
    """The patterns for which no case of a collected file is there."""
    files = {c.partition("::")[0] for c in cases}
    return [p for p in patterns
            if p.partition("::")[0] in files and not any(fnmatch.fnmatchcase(c, p) for c in cases)]


def test_each_difference_is_of_a_case(collected_cases):
    assert not stale([suite.pattern(d.case) for d in suite.DIFFERENCES], collected_cases)
    assert all(d.why.strip() for d in suite.DIFFERENCES)


def test_each_pending_is_a_case(collected_cases):
    assert not stale([suite.pattern(p) for p in suite.pending()], collected_cases)


def test_stale_entries_are_found():
    assert stale(["a.py::gone", "a.py::t*", "not_collected.py::x"], ["a.py::test"]) == ["a.py::gone"]


@pytest.mark.parametrize("expected,value,fits", [
    (1, 1, True), (1, True, False), (1, 1.0, False), (int, 3, True), (int, "<int>", True), (int, True, False),
    (str, "x", True), ({"a": 1}, {"a": 1, "b": 2}, True), ({"a": 1}, {"b": 2}, False),
    (Exactly({"a": 1}), {"a": 1, "b": 2}, False), ([1, 2], [1, 2, 3], False), ([1, ANY], [1, {}], True),
    (re.compile("^b"), "abc", False), (OneOf(1, 2), 2, True), (OneOf(1, 2), 3, False), (ABSENT, ABSENT, True),
    ({"a": ABSENT}, {}, True), ({"a": ABSENT}, {"a": None}, False), ({}, [], False)], ids=repr)
def test_expectations(expected, value, fits):
    assert (suite.mismatch(expected, value) is None) == fits


@pytest.fixture
def listed(monkeypatch):
    def put(path, stock, hostler):
        entry = Difference("case", path, "why", stock, hostler)
        monkeypatch.setattr(suite, "DIFFERENCES", [entry])
    put("none", 1, 2)
    suite.DIFFERENCES.clear()
    return put


STOCK = {"answer": {"status": 200, "body": {"a": [1, 2]}}, "then": True}


@pytest.mark.parametrize("hostler", [
    {**STOCK, "then": 1}, {**STOCK, "then": None}, {"answer": STOCK["answer"]}, {**STOCK, "more": 1},
    {**STOCK, "answer": {"status": 200, "body": {"a": [1, 3]}}}, {**STOCK, "answer": {"status": 200, "body": {"a": [1]}}},
    {**STOCK, "answer": {"status": 200, "body": {"a": [1, 2], "b": None}}}], ids=repr)
def test_a_difference_that_is_not_listed(listed, hostler):
    assert suite.compare("case", STOCK, hostler)
    assert not suite.compare("case", STOCK, STOCK)


def test_a_difference_that_is_listed(listed):
    hostler = {**STOCK, "answer": {"status": 200, "body": {"a": [1, 3]}}}
    listed("answer.body.a[1]", 2, 3)
    assert not suite.compare("case", STOCK, hostler)
    assert suite.compare("another case", STOCK, hostler)
    assert suite.compare("case", STOCK, STOCK)  # does not hold any more
    assert suite.compare("case", STOCK, {**hostler, "then": False})  # and nothing else
    for stock, ours in ((1, 3), (2, 2), (ANY, 4)):
        listed("answer.body.a[1]", stock, ours)
        assert suite.compare("case", STOCK, hostler)
    listed("answer.body", ANY, ANY)
    assert not suite.compare("case", STOCK, hostler)


def test_messages_count_when_a_case_names_them():
    got = answer(400, {"error": {"code": 400, "message": "m1 is not there", "type": "x"}})
    assert suite.mask_message(error(400), got)["body"]["error"]["message"] == "<str>"
    assert suite.mask_message(error(400, "m1 is not there"), got) == got
    empty = answer(400, {"error": {"message": ""}})
    assert suite.mask_message(error(400), empty) == empty


def test_what_varies_is_made_equal():
    made = suite.plain({"id": "chatcmpl-" + "a" * 20, "created": 5, "prompt_ms": 0.5, "list": ["--port", "17"],
                        "path": "/tmp/x/m.gguf", "n": 3, "stopping": True}, [("/tmp/x", "FOLDER")])
    assert made == {"id": "chatcmpl-<id>", "created": "<int>", "prompt_ms": "<float>", "list": ["--port", "<port>"],
                    "path": "FOLDER/m.gguf", "n": 3, "stopping": True}
