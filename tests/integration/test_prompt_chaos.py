# SPDX-License-Identifier: MIT
"""Prompt caches when something goes wrong: every client gets the answer that it would get without a cache, no model is stuck, nothing is
left behind. Engines are fake ones, whose answers show whether a slot's state belongs to its tokens (fake_slots.py)."""
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import time
from collections import Counter

import pytest

from background import background
from conftest import PATIENCE, until
from prompts import RESTORED, Place, expected, facts, next_turn, opening, restored
from wire import chunked


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
    p = place(a={"prompt_token_ms": 2, "prompt_sleep": 0.1})
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
    p = place(a={"prompt_token_ms": 1, "prompt_sleep": 0.2})
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


@pytest.mark.parametrize("choice", [{"cache_prompt": False}, {"id_slot": 0}], ids=["no cache", "a slot"])
def test_requests_that_keep_apart_are_no_evidence(place, choice):
    """Nothing is restored for them, and that they used nothing is not held against what is saved."""
    p = place()
    first = p.ask(opening())
    p.until_saved()
    for _ in range(3):
        p.swap_out()
        assert not restored(p.ask(next_turn(opening(), first), **choice))
    assert not p.deeds("restore")
    p.swap_out()
    assert restored(p.ask(next_turn(opening(), first)))
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


def held(p):
    """What the daemon has open, by kind, and its children; a file that was removed and is open or mapped has its name here."""
    of = f"/proc/{p.server.process.pid}"
    links = []
    for fd in os.listdir(f"{of}/fd"):
        try:
            links.append(re.sub(r"\d+", "N", os.readlink(f"{of}/fd/{fd}")))
        except FileNotFoundError:  # closed meanwhile
            pass
    with open(f"{of}/maps", encoding="utf-8") as maps:
        gone = sum("(deleted)" in line for line in maps)
    with open(f"{of}/task/{p.server.process.pid}/children", encoding="ascii") as children:
        return sorted(links), gone, len(children.read().split()), sorted(q.name for q in p.server.runtime.rglob("*") if not q.is_dir())


def more(now, before):
    """What is held now, and was not before: a client's connection may have been closing then."""
    return list(Counter(now[0]) - Counter(before[0])) or now[1:] != before[1:]


def unloaded(p):
    p.server.post("/models/unload-all", {})
    p.server.request("GET", "/health", headers={"Connection": "close"})


def test_nothing_is_left_of_what_went_wrong(place):
    """Descriptors, mappings, children and files are after it what they were after the first swap."""
    p = place("--save-timeout", "1s", a={"prompt_token_ms": 2, "prompt_sleep": 0.05})

    def swap(n, **wrong):
        first = p.ask(opening(f"n{n}"))
        p.set(**wrong)
        assert p.server.tokenize("b").status == 200  # which takes its place, unless it has crashed by then
        until(lambda: p.server.state("a") == "unloaded", what="the end of a")
        p.ask(next_turn(opening(f"n{n}"), first))
        p.set(**{name: None for name in wrong})
        unloaded(p)

    for n in range(2):
        swap(n)
    before = held(p)
    wrongs = [{"slot_save": how} for how in (500, "crash", "hang", "short", "nothing")] + \
             [{"slot_restore": how} for how in (400, "crash", "hang")] + [{"slot_list": how} for how in ("hang", "crash", "garbage")]
    for n, wrong in enumerate(wrongs, 2):
        swap(n, **wrong)
    until(lambda: not more(held(p), before), what=f"{before} in place of {held(p)}")
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


# --- APIs -------------------------------------------------------------------------------------------

def chat_request(text):
    return {"messages": [{"role": "system", "content": text}, {"role": "user", "content": "Well?"}], "max_tokens": 4}


def messages_request(text):
    return {"system": text, "messages": [{"role": "user", "content": "Well?"}], "max_tokens": 4}


def responses_request(text):
    return {"instructions": text, "input": [{"role": "user", "content": "Well?"}], "max_output_tokens": 4}


def completion_request(text):
    return {"prompt": text, "max_tokens": 4}


APIS = {"/v1/chat/completions": chat_request, "/v1/messages": messages_request, "/v1/responses": responses_request,
        "/v1/completions": completion_request, "/completion": completion_request}


def said(path, answer, stream):
    """The answer's text, whatever its shape."""
    if not stream:
        values = [answer.json]
    else:
        lines = [line[6:] for line in answer.body.decode().splitlines() if line.startswith("data: {")]
        values = [json.loads(line) for line in lines]
    text = ""
    for v in values:
        if path == "/v1/messages":
            text += v.get("delta", {}).get("text", "") if stream else v["content"][0]["text"]
        elif path == "/v1/responses":
            text += v.get("delta", "") if stream else v["output"][0]["content"][0]["text"]
        elif path == "/completion":
            text += v["content"]
        elif v["choices"]:
            choice = v["choices"][0]
            text += choice.get("text") or (choice.get("delta") or choice.get("message") or {}).get("content") or ""
    return text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", APIS)
def test_each_api_is_saved_and_restored(place, path, stream):
    """Also where the answer does not tell what computing the prompt took."""
    p = place(a={"prompt_token_ms": 2, "prompt_sleep": 1})
    request = {"model": "a", "stream": stream, **APIS[path](facts("a", 60))}
    for turn in range(2):
        answer = p.server.post(path, request)
        assert answer.status == 200 and said(path, answer, stream) == expected(request), answer.body
        assert bool(restored(answer)) == bool(turn)
        p.swap_out()
    p.end()


# --- bodies -----------------------------------------------------------------------------------------

def send(server, body, pieces=1, length=True):
    """In so many pieces, with a length or as chunks."""
    size = len(body) // pieces + 1
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("Content-Length" if length else "Transfer-Encoding", len(body) if length else "chunked")
    connection.endheaders()
    for part in parts:
        connection.send(part if length else chunked(part)[:-5])
        if pieces > 1:
            time.sleep(0.002)
    if not length:
        connection.send(b"0\r\n\r\n")
    response = connection.getresponse()
    value = json.loads(response.read())
    connection.close()
    return response, value


@pytest.mark.parametrize("n,pieces,length", [(60, 40, True), (60, 1, False), (60, 30, False), (6000, 1, True), (6000, 50, True),
                                             (6000, 1, False)],
                         ids=["pieces", "chunked", "chunked in pieces", "long", "long in pieces", "long and chunked"])
def test_bodies_of_any_shape(place, n, pieces, length):
    p = place(a={"prompt_token_ms": 0.5 if n > 1000 else 10})
    messages = opening(n=n)
    request = {"model": "a", "messages": messages, "max_tokens": 4}
    for turn in range(2):
        response, value = send(p.server, json.dumps(request).encode(), pieces, length)
        assert response.status == 200 and value["choices"][0]["message"]["content"] == expected(request)
        if turn:
            assert int(response.headers.get(RESTORED, 0))
        p.swap_out()
    p.end()


# --- clients' own use of the slots --------------------------------------------------------------------

def test_clients_have_no_files_of_slots(place):
    p = place()
    p.ask(opening())
    answer = p.server.post("/slots/0?action=save&model=a", {"filename": "x"})
    assert answer.status == 501 and "--slot-save-path" in answer.error["message"]
    assert p.server.get("/slots?model=a").status == 200
    p.end()


def test_the_users_own_folder_for_slots(place, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    p = place("--slot-save-path", own)
    first = p.ask(opening())
    p.until_saved()
    slot = next(s["id"] for s in p.server.get("/slots?model=a").json if s.get("n_prompt_tokens"))
    saved = p.server.post(f"/slots/{slot}?action=save&model=a", {"filename": "mine", "model": "a"})
    assert saved.status == 200 and saved.json["n_saved"] > 500
    p.swap_out()
    assert restored(p.ask(next_turn(opening(), first)))
    p.end()
    assert [f.name for f in own.iterdir()] == ["mine"]


# --- many -------------------------------------------------------------------------------------------

def test_branches_of_a_conversation(place):
    p = place()
    first = p.ask(opening())
    p.swap_out()
    for question in ("And the next? ", "And the last? ", "And none? "):
        second = p.ask(next_turn(opening(), first, question * 40))
        p.swap_out()
        third = p.ask(next_turn(next_turn(opening(), first, question * 40), second))
        assert restored(third) >= second.json["usage"]["prompt_tokens"]
        p.swap_out()
    p.end()


def test_many_conversations_over_few_slots(place):
    """Of one length, so that the count of tokens does not tell slots apart; three models, one place."""
    p = place("--parallel", "4", c={})
    turns = {(m, n): opening(f"{m}{n:02}") for m in "abc" for n in range(8)}
    hits = asked = 0
    for turn in range(3):
        for m in "abc":
            for n in range(8):
                answer = p.ask(turns[m, n], m)
                turns[m, n] = next_turn(turns[m, n], answer)
                if turn:
                    asked += 1
                    hits += answer.json["timings"]["cache_n"] > 500
    assert hits > 0.9 * asked, f"{hits} of {asked}"
    p.end()


# --- stops ------------------------------------------------------------------------------------------

def test_an_unload_by_force_while_it_saves(place):
    p = place("--save-timeout", "30s")
    p.ask(opening())
    p.until_saved()
    p.set(slot_list="hang")
    p.ask(opening("other"))
    unload = background(p.server.post, "/models/unload", {"model": "a"})
    until(lambda: p.deeds("list") >= 2, what="the list")
    p.server.post("/models/unload-all", {"models": ["a"], "force": True})
    assert unload.result(PATIENCE).status == 200
    until(lambda: p.server.state("a") == "unloaded")
    p.set(slot_list=None)
    p.ask(opening("other"))
    p.end()


def test_a_drain_whose_time_is_over_while_it_saves(place):
    """It goes then: by force, without what was not saved yet."""
    p = place("--save-timeout", "10m")
    p.ask(opening())
    p.until_saved()
    p.set(slot_list="hang")
    p.ask(opening("other"))
    report = p.server.post("/models/unload", {"models": ["a"], "drain": 1}).json
    assert [r["result"] for r in report["results"]] == ["unloaded"] and p.deeds("list") >= 2
    p.set(slot_list=None)
    p.ask(opening("other"))
    p.end()


def test_the_daemon_ends_while_a_save_hangs(place):
    """--drain-timeout is for all that it waits for."""
    p = place("--save-timeout", "10m", "--drain-timeout", "1s")
    first = p.ask(opening())
    p.until_saved()
    p.set(slot_save="hang")
    p.ask(opening("other"))
    assert p.server.stop() == 0
    p.check_files()
    p.set(slot_save=None)
    p.start()
    assert restored(p.ask(next_turn(opening(), first)))
    p.end()


def test_a_request_right_after_an_unload(place):
    p = place()
    first = p.ask(opening())
    for _ in range(5):
        p.server.post("/models/unload", {"model": "a"})
        p.ask(next_turn(opening(), first))
    p.end()


def test_a_request_that_comes_while_its_model_is_saved(place):
    """An eviction is called off, and the request is served, restored or not."""
    p = place("--save-timeout", "20s")
    first = p.ask(opening())
    p.until_saved()
    p.set(slot_save="slow", slot_slow_s=1)
    second = p.ask(next_turn(opening(), first))
    before = p.deeds("save")
    other = background(p.server.tokenize, "b")
    until(lambda: p.deeds("save") > before or other.done(), what="the save")
    p.ask(next_turn(next_turn(opening(), first), second))
    assert other.result(PATIENCE).status == 200
    p.end()


def test_a_daemon_that_is_killed_at_any_moment(place):
    """What is left is whole, or is removed at the next start."""
    p = place(a={"slot_bytes": 1 << 20, "slot_save": "slow", "slot_slow_s": 0.05})
    choice = random.Random(7)
    messages = opening()
    for _ in range(12):
        ends = background(p.ask, messages) if choice.random() < 0.7 else background(p.swap_out)
        time.sleep(choice.random() * 1.2)
        p.server.kill()
        try:
            messages = next_turn(messages, ends.result(PATIENCE)) if len(messages) < 8 else opening()
        except Exception:  # pylint: disable=broad-except
            pass  # the daemon went away while it answered
        p.start()
    p.ask(messages)
    p.end()


def test_the_folder_is_gone(place):
    p = place()
    first = p.ask(opening())
    p.until_saved()
    shutil.rmtree(p.cache)
    second = p.ask(next_turn(opening(), first))
    p.swap_out()
    third = p.ask(next_turn(next_turn(opening(), first), second))
    p.swap_out()
    p.ask(next_turn(next_turn(next_turn(opening(), first), second), third))
    p.end()


def test_a_folder_that_goes_before_anything_is_saved(place):
    """The engine is the first that notices."""
    p = place()
    assert p.server.tokenize("a").status == 200
    shutil.rmtree(p.cache)
    p.ask(opening())
    until(p.cache.exists, what="the folder, made anew")
    p.ask(opening("other"))
    p.until_saved()
    p.end()


def test_the_users_own_folder_is_left_clean_by_a_save_that_hangs(place, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    p = place("--slot-save-path", own, "--save-timeout", "1s", a={"slot_save": "hang"})
    p.ask(opening())
    until(lambda: p.deeds("save"), what="a save")
    p.swap_out()
    p.end()
    assert not list(own.iterdir())


def test_what_a_daemon_that_was_killed_left_in_the_users_folder(place, tmp_path):
    """Nobody else's file is touched, also not one with such a name of a daemon with another cache."""
    own = tmp_path / "own"
    own.mkdir()
    others = {"mine", "hostler-12345678-12345678-0123456789abcdef"}
    for name in others:
        (own / name).write_text("x", encoding="ascii")
    p = place("--slot-save-path", own, a={"slot_save": "hang"})
    p.ask(opening())
    until(lambda: len(list(own.iterdir())) > len(others), what="a file that is being written")
    engine = p.server.engines()["a"]["pid"]
    p.server.process.kill()
    p.server.process.wait()
    until(lambda: not os.path.exists(f"/proc/{engine}"), what="the engine's end")
    assert {f.name for f in own.iterdir()} > others
    p.set(slot_save=None)
    p.start("--slot-save-path", own)
    p.ask(opening())
    p.until_saved()
    until(lambda: {f.name for f in own.iterdir()} == others, what="the removal of what was left")
    p.end()


def test_a_disk_that_is_full(place, tmp_path):
    disk = tmp_path / "prompts"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", disk], capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        p = place(a={"slot_bytes": 200 << 10})
        messages = opening()
        for n in range(4):
            first = p.ask(opening(f"x{n}"))
            messages = next_turn(opening(f"x{n}"), first)
            p.swap_out()
            p.ask(messages)
        assert p.server.stop() == 0, p.server.log()
        p.check_files()
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


@pytest.mark.parametrize("how", ["classic", "sleeping"])
def test_other_ways_to_run_a_model(hostler, tmp_path, how):
    p = Place(hostler, tmp_path, a={"sleep_after": 0.5} if how == "sleeping" else {})
    if how == "classic":
        p.server = hostler("--model", p.folder / "a.gguf", "--prompt-cache", p.cache, "--state-dir", tmp_path / "state",
                           engine=p.engine)
    else:
        p.start()
    first = p.ask(opening())
    p.until_saved()
    if how == "classic":
        assert p.server.post("/slots/0?action=save", {"filename": "x"}).status == 501
    if how == "sleeping":
        until(lambda: p.server.state("a") == "sleeping", what="its sleep")
        assert restored(p.ask(next_turn(opening(), first))), "what its slots held is lost by sleeping"
        p.swap_out()
    else:
        assert p.server.stop() == 0
        p.server = hostler("--model", p.folder / "a.gguf", "--prompt-cache", p.cache, "--state-dir", tmp_path / "state",
                           engine=p.engine)
    assert restored(p.ask(next_turn(opening(), first)))
    p.end()


def test_a_model_of_a_higher_priority_is_not_held_up(place, tmp_path):
    """What hangs has as long as it gains while such a model waits: 6 s here, not the minute that was given."""
    presets = tmp_path / "p.ini"
    presets.write_text("[b]\npriority = 10\n", encoding="utf-8")
    p = place("--save-timeout", "60s", "--models-preset", presets)
    p.ask(opening())
    p.until_saved()
    p.set(slot_list="hang")
    p.ask(opening("other"))
    began = time.monotonic()
    assert p.server.tokenize("b").status == 200
    assert time.monotonic() - began < 40
    p.end()
