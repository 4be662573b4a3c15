# SPDX-License-Identifier: MIT
"""Cases that run against a stock llama-server and against hostler, with the same arguments.

A case is a test function that takes servers and `see`. It runs twice: with stock's servers, then
with hostler's. Whatever it does, it tells what it saw:

    def test_health(router, see):
        see("health", router.get("/health"), answer(200, {"status": "ok"}))

`see(what, value, expected)` records the value, in plain data and with what varies from run to run
(times, ids, ports, folders) made equal. For stock, `expected` must match at once: so a case cannot
pass because both fail in the same way. Then hostler's record must equal stock's, except for what
differences.py lists for that case.
"""
import fnmatch
import json
import pathlib
import re

from conformance.differences import ABSENT, ADDED, DIFFERENCES

PENDING = pathlib.Path(__file__).with_name("pending.txt")
SIDES = ("stock", "hostler")


# --- expectations ----------------------------------------------------------------------------------

class Whatever:
    """Matches everything."""

    def __repr__(self):
        return "…"


class OneOf:
    """Matches one of several: where stock itself varies from run to run."""

    def __init__(self, *choices):
        self.choices = choices

    def __repr__(self):
        return "one of " + ", ".join(map(repr, self.choices))


class Exactly:
    """A dictionary without further members."""

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return f"exactly {self.value!r}"


ANY = Whatever()


def mismatch(expected, value, path=""):
    """Where and how `value` is not what is expected, or None.

    A dictionary may have more members than expected; a list not. A type stands for any value of
    it, a compiled pattern for a text in which it is found.
    """
    def complain():
        return f"{path or 'it'} is {value!r}, not {expected!r}"

    if expected is ANY:
        return None
    if isinstance(expected, OneOf):
        found = [mismatch(e, value, path) for e in expected.choices]
        return None if None in found else complain()
    if isinstance(expected, Exactly):
        if isinstance(value, dict) and set(value) != set(expected.value):
            return f"{path or 'it'} has {sorted(value)}, not {sorted(expected.value)}"
        return mismatch(expected.value, value, path)
    if isinstance(expected, dict):
        if not isinstance(value, dict):
            return complain()
        found = (mismatch(e, value.get(k, ABSENT), f"{path}.{k}" if path else k)
                 for k, e in expected.items())
        return next((m for m in found if m), None)
    if isinstance(expected, (list, tuple)):
        if not isinstance(value, (list, tuple)) or len(value) != len(expected):
            return complain()
        found = (mismatch(e, v, f"{path}[{i}]") for i, (e, v) in enumerate(zip(expected, value)))
        return next((m for m in found if m), None)
    if isinstance(expected, type):
        # What the record made equal is named after its type.
        same = value == f"<{expected.__name__}>" or (
            isinstance(value, expected) and not (expected is int and isinstance(value, bool)))
        return None if same else complain()
    if isinstance(expected, re.Pattern):
        return None if isinstance(value, str) and expected.search(value) else complain()
    return None if expected == value and type(expected) is type(value) else complain()


JSON = "application/json; charset=utf-8"


def answer(status=200, body=ANY, **more):
    """An answer in JSON."""
    return {"status": status, "type": JSON, "body": body, **more}


def error(status, message=ANY, kind=ANY):
    """llama.cpp's shape of an error. Only a message that is named here is compared with hostler's."""
    return answer(status, Exactly({"error": Exactly(
        {"code": status, "message": message, "type": kind})}))


SUCCESS = answer(200, Exactly({"success": True}))


# --- records ---------------------------------------------------------------------------------------

# Members whose values differ from run to run: their type is what counts.
VARYING = re.compile(r"^(id|created|created_at|completed_at|started_at|total_bytes|timings|cache_id|.*_ms|.*_per_second|"
                     r"t_.*|pid|port|id_slot)$")
IDS = re.compile(r"\b(chatcmpl|cmpl|msg|resp|rs|fc|call)[-_][A-Za-z0-9]{16,}")

MARKERS = re.compile(r"<__media_\w+__>")


def plain(value, places, key=""):
    """Plain data in which `places`, a list of (text, name), ids, times and ports are made equal."""
    if hasattr(value, "plain"):
        value = value.plain()
    if isinstance(value, dict):
        return {plain(str(k), places): plain(v, places, str(k)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        made = [plain(v, places, key) for v in value]
        for i, v in enumerate(made[:-1]):
            if v == "--port":
                made[i + 1] = "<port>"
        return made
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    if isinstance(value, str):
        for text, name in places:
            value = value.replace(text, name)
        value = MARKERS.sub("<marker>", IDS.sub(r"\1-<id>", value))
    if VARYING.match(key) and isinstance(value, (int, float)) and not isinstance(value, bool):
        return "<int>" if isinstance(value, int) else "<float>"
    return value


def mask_message(expected, value):
    """An error's message counts when the case names it: hostler may say more than stock."""
    body = value.get("body") if isinstance(value, dict) else None
    if not isinstance(body, dict) or not isinstance(body.get("error"), dict):
        return value
    probe = expected
    for name in ("body", "error", "message"):
        probe = probe.value if isinstance(probe, Exactly) else probe
        probe = probe.get(name, ANY) if isinstance(probe, dict) else ANY
    message = body["error"].get("message")
    if probe is not ANY or not (isinstance(message, str) and message):
        return value
    return {**value, "body": {**body, "error": {**body["error"], "message": "<str>"}}}


class Record:
    """What one server showed in one case: `see`."""

    def __init__(self, side, places):
        self.side = side
        self.places = places
        self.seen = {}

    def __call__(self, what, value, expected):
        assert what not in self.seen, f"two observations are called {what!r}"
        value = mask_message(expected, plain(value, self.places()))
        self.seen[what] = value
        if self.side == "stock":
            wrong = mismatch(expected, value, what)
            assert not wrong, f"stock: {wrong}\n{pretty(value)}"


def pretty(value):
    return json.dumps(value, indent=1, ensure_ascii=False, default=repr)


# --- comparison ------------------------------------------------------------------------------------

def at(value, path):
    """The member that a path like `load.body.error.message` or `events[0]` names, or ABSENT."""
    for name in path:
        try:
            value = value[int(name) if isinstance(value, list) else name]
        except (KeyError, IndexError, TypeError, ValueError):
            return ABSENT
    return value


def split(path, record):
    """A path's steps. The first is an observation's name, which may hold dots itself."""
    first = max((w for w in record if path == w or path.startswith((w + ".", w + "["))),
                key=len, default=path)
    return [first, *re.findall(r"[^.\[\]]+", path[len(first):])]


def without(value, path):
    if not path:
        return "listed as a difference"
    if isinstance(value, list):
        i = int(path[0])
        return value[:i] + [without(v, path[1:]) for v in value[i:i + 1]] + value[i + 1:]
    if isinstance(value, dict):
        rest = {k: v for k, v in value.items() if k != path[0]}
        return {**rest, path[0]: without(value.get(path[0]), path[1:])}
    return value


def differing(a, b, path=""):
    """Yields (path, stock's, hostler's) for each place where they are not the same."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in [*a, *(k for k in b if k not in a)]:
            yield from differing(a.get(k, ABSENT), b.get(k, ABSENT), f"{path}.{k}" if path else k)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            yield from differing(x, y, f"{path}[{i}]")
    elif a != b or type(a) is not type(b):
        yield path, a, b


def listed_for(case):
    """The differences on purpose of a case: its own, and those of a pattern that covers it."""
    return [d for d in DIFFERENCES if fnmatch.fnmatchcase(case, pattern(d.case))]


def compare(case, stock, hostler):
    """What is wrong: a list of texts, empty when nothing is."""
    problems = []
    for d in listed_for(case):
        path = split(d.path, stock)
        theirs, ours = at(stock, path), at(hostler, path)
        for side, expected, value in (("stock", d.stock, theirs), ("hostler", d.hostler, ours)):
            wrong = mismatch(expected, value, d.path)
            if wrong:
                problems.append(f"the listed difference does not hold for {side}: {wrong}")
        if theirs == ours:
            problems.append(f"{d.path} is listed as a difference, but is the same: {theirs!r}")
        stock, hostler = without(stock, path), without(hostler, path)
    for path, theirs, ours in differing(stock, hostler):
        problems.append(f"{path}:\n   stock   {theirs!r}\n   hostler {ours!r}")
    return problems


def pending():
    """Cases of features that are not there yet, a name or a pattern a line."""
    if not PENDING.exists():
        return []
    lines = PENDING.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def pattern(name):
    """A name in which * stands for any text, and [ for itself."""
    return name.replace("[", "[[]")


def is_pending(case):
    return any(fnmatch.fnmatchcase(case, pattern(p)) for p in pending())


def without_additions(entry):
    """An entry of /models without what hostler adds to each (test_listing.py sees the whole)."""
    status = {k: v for k, v in entry["status"].items() if f"status.{k}" not in ADDED}
    return {**{k: v for k, v in entry.items() if k not in ADDED}, "status": status}
