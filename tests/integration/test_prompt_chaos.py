# SPDX-License-Identifier: MIT
"""Prompt caches when something goes wrong: every client gets the answer that it would get without a cache, no model is stuck, nothing is
left behind. Engines are fake ones, whose answers show whether a slot's state belongs to its tokens (fake_slots.py)."""
import json
import os

import pytest

from background import background
from conftest import PATIENCE, until
from prompts import RESTORED, Place, expected, next_turn, opening, restored


@pytest.fixture
def place(hostler, tmp_path):
    """place(a={…}): a Place whose daemon runs."""
    def make(*args, **models):
        made = Place(hostler, tmp_path, **models)
        made.start(*args)
        return made
    return make


def test_a_swap_costs_no_prompt(place):
    p = place()
    first = p.ask(opening())
    assert not restored(first) and first.json["timings"]["cache_n"] == 0
    p.swap_out()
    second = p.ask(next_turn(opening(), first))
    assert restored(second) >= first.json["usage"]["prompt_tokens"]
    assert second.json["timings"]["cache_n"] >= restored(second)
    p.end()


# --- saving goes wrong ------------------------------------------------------------------------------

SAVES = {"no route": 501, "refused": 500, "dies in the middle": "crash", "hangs": "hang", "slow": "slow", "short file": "short",
         "no file": "nothing", "wrong count": "wrong_tokens"}
LISTS = {"no route": 501, "unknown route": 404, "hangs": "hang", "dies": "crash", "garbage": "garbage", "busy": "busy",
         "wrong counts": "wrong_counts", "slow": "slow"}


@pytest.mark.parametrize("how", SAVES)
def test_a_save_that_goes_wrong(place, how):
    p = place("--save-timeout", "2s", a={"slot_save": SAVES[how], "slot_slow_s": 0.3})
    first = p.ask(opening())
    until(lambda: p.deeds("save"), what="a save")
    if SAVES[how] == "crash":
        p.server.until_gone("a", "crashed")
    second = p.ask(next_turn(opening(), first))
    assert p.server.tokenize("b").status == 200  # which takes its place, whatever happens to the save
    p.ask(next_turn(next_turn(opening(), first), second))
    p.end()


@pytest.mark.parametrize("how", LISTS)
def test_a_list_of_slots_that_goes_wrong(place, how):
    p = place("--save-timeout", "2s", a={"slot_list": LISTS[how], "slot_slow_s": 0.3})
    first = p.ask(opening())
    until(lambda: p.deeds("list"), what="a list")
    if LISTS[how] == "crash":
        p.server.until_gone("a", "crashed")
    p.ask(next_turn(opening(), first))
    assert p.server.tokenize("b").status == 200
    p.ask(next_turn(opening(), first))
    p.end()


# --- restoring goes wrong ---------------------------------------------------------------------------

RESTORES = {"refused": 400, "no route": 501, "hangs": "hang", "useless": "useless", "wrong count": "wrong_tokens"}


@pytest.mark.parametrize("how", RESTORES)
def test_a_restore_that_goes_wrong(place, how):
    p = place(a={"prompt_token_ms": 2})
    first = p.ask(opening())
    p.until_saved()
    p.swap_out()
    p.set(slot_restore=RESTORES[how])
    p.ask(next_turn(opening(), first))
    assert p.deeds("restore") == 1
    p.end()


def test_an_engine_that_dies_while_it_restores(place):
    """Nothing of the request was sent: it waits for the next engine, which is not given that file again."""
    p = place()
    first = p.ask(opening())
    p.until_saved()
    p.swap_out()
    p.set(slot_restore="crash")
    answer = p.ask(next_turn(opening(), first))
    assert not restored(answer) and p.deeds("restore") == 1
    p.end()


def test_an_engine_that_dies_of_what_was_restored(place):
    """Its client is told that it broke off, once; when it asks again, nothing is restored."""
    p = place(a={"slot_restore": "poison"})
    first = p.ask(opening())
    p.until_saved()
    p.swap_out()
    request = {"model": "a", "messages": next_turn(opening(), first), "max_tokens": 4}
    assert p.server.post("/v1/chat/completions", request).status == 502
    p.ask(request["messages"])
    assert p.deeds("restore") == 1
    p.end()


def test_a_model_whose_restores_are_of_no_use_is_left_alone(place):
    """Across engines and daemons, until its arguments change."""
    p = place(a={"slot_restore": "useless"})
    for turn in range(4):
        first = p.ask(opening(f"x{turn}"))
        p.until_saved()
        p.swap_out()
        p.ask(next_turn(opening(f"x{turn}"), first))
        p.swap_out()
    assert p.deeds("restore") == 2
    p.end()
    p.start()
    first = p.ask(opening("y"))
    p.swap_out()
    p.ask(next_turn(opening("y"), first))
    assert p.deeds("restore") == 2
    p.end()
    p.set(slot_restore=None)
    p.start("--ctx-size", "100000")
    first = p.ask(opening("z"))
    p.swap_out()
    assert restored(p.ask(next_turn(opening("z"), first)))
    p.end()


def test_a_client_that_leaves_while_its_prompt_is_restored(place):
    p = place()
    first = p.ask(opening())
    p.until_saved()
    p.swap_out()
    p.set(slot_restore="slow", slot_slow_s=1)
    connection = p.server.connect()
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": "a", "messages": next_turn(opening(), first)}))
    until(lambda: p.deeds("restore"), what="the restore")
    connection.close()
    p.set(slot_restore=None)
    p.ask(opening("other"))
    p.ask(next_turn(opening(), first))
    p.swap_out()
    p.end()


def test_a_restore_that_takes_longer_than_computing_is_given_up(place):
    p = place(a={"prompt_token_ms": 1})
    first = p.ask(opening(n=100))
    p.until_saved()
    p.swap_out()
    p.set(slot_restore="hang")
    answer = p.ask(next_turn(opening(n=100), first))
    assert RESTORED not in answer.headers
    p.end()


# --- engines and daemons that are killed --------------------------------------------------------------

@pytest.mark.parametrize("deed", ["list", "save", "restore"])
def test_an_engine_that_is_killed_meanwhile(place, deed):
    p = place()
    first = p.ask(opening())
    p.until_saved()
    if deed == "restore":
        p.swap_out()
    p.set(**{f"slot_{deed}": "slow", "slot_slow_s": 5})
    before = p.deeds(deed)
    answer = background(p.ask, next_turn(opening(), first))
    until(lambda: p.deeds(deed) > before, what=deed)
    if deed != "restore":
        answer.result(PATIENCE)
    p.set(**{f"slot_{deed}": None})
    os.kill(p.server.engines()["a"]["pid"], 9)
    again = answer.result(PATIENCE)
    p.ask(next_turn(next_turn(opening(), first), again))
    p.end()


def test_two_requests_of_one_conversation_at_once(place):
    p = place()
    first = p.ask(opening())
    p.until_saved()
    p.swap_out()
    both = [background(p.ask, next_turn(opening(), first, q)) for q in ("And the next?", "And the last?")]
    for one in both:
        one.result(PATIENCE)
    p.end()


# --- files ------------------------------------------------------------------------------------------

def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) - 9] ^= 1  # of the state: the engine does not notice
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [cut, flip, os.unlink])
@pytest.mark.parametrize("running", [True, False], ids=["while it runs", "between daemons"])
def test_a_file_that_is_not_what_was_saved(place, spoil, running):
    p = place()
    first = p.ask(opening())
    p.until_saved()
    p.swap_out()
    if not running:
        assert p.server.stop() == 0
    for path in p.data_files():
        spoil(path)
    if not running:
        p.start()
    second = p.ask(next_turn(opening(), first))
    assert not restored(second)
    p.swap_out()
    assert restored(p.ask(next_turn(next_turn(opening(), first), second)))
    p.end()


def test_files_that_were_swapped(place):
    """Each model's file has the other's name."""
    p = place()
    first = {m: p.ask(opening(), m) for m in "ab"}
    p.ask(opening(), "a")
    p.until_saved(2)
    assert p.server.stop() == 0
    one, other = p.data_files()[:2]
    one.rename(p.cache / "kept")
    other.rename(one)
    (p.cache / "kept").rename(other)
    p.start()
    for m in "ab":
        p.ask(next_turn(opening(), first[m]), m)
    p.end()
