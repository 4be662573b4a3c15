# SPDX-License-Identifier: MIT
"""With thousands of models: what a request costs grows with the models it is about, not with their square."""
import os
import time

import pytest
import tiny_model
from background import background
from conftest import until

MODELS = 4000


@pytest.fixture(scope="module")
def many(module_hostler, tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    first = tiny_model.make(str(folder / "m00000.gguf"))
    for i in range(1, MODELS):
        os.link(first, folder / f"m{i:05}.gguf")
    return module_hostler("--models-dir", folder)


def seconds(call, *args):
    """The least of three: others may be at work."""
    def once():
        begun = time.monotonic()
        answer = call(*args)
        return time.monotonic() - begun, answer

    return min((once() for _ in range(3)), key=lambda pair: pair[0])


def test_a_list_of_all_models_costs_little_more_than_the_list_of_them(many):
    """Each of these was quadratic."""
    listing, answer = seconds(many.get, "/models")
    names = [m["id"] for m in answer.json["data"]]
    assert len(names) == MODELS
    for path, body in (("/models/unload-all", {"except": names}),
                       ("/models/unload", {"models": names})):
        took, answer = seconds(many.post, path, body)
        assert answer.status == 200
        assert took < 4 * listing + 0.1, path


def test_unknown_names_do_not_add_up(many):
    """The search for the nearest name has a ceiling, however long the name and however many are asked for."""
    listing, _ = seconds(many.get, "/models")
    took, answer = seconds(many.post, "/models/load", {"model": "m" + "0" * 60})
    assert answer.status == 404 or answer.status == 400
    assert took < listing


@pytest.mark.parametrize("method, path, body", [
    ("GET", "/models", None),
    ("POST", "/models/hold", {"all": True}),
    ("GET", "/hostler/v1/status", None),
    ("POST", "/models/release", {"all": True}),
])
def test_others_are_answered_meanwhile(many, method, path, body):
    """Work on all models is done in slices: nobody waits for the whole. The best of three, as above."""
    def longest_wait():
        begun = time.monotonic()
        whole = background(many.request, method, path, body)
        longest = 0
        while not whole.done():
            asked = time.monotonic()
            assert many.get("/health").status == 200
            longest = max(longest, time.monotonic() - asked)
        assert whole.result().status == 200
        return longest / (time.monotonic() - begun + 0.25)  # what takes little needs no slices

    assert min(longest_wait() for _ in range(3)) < 1 / 3


@pytest.mark.parametrize("path, body", [
    ("/models/hold", {"all": True, "reason": "a backup"}),
    ("/models/unload-all", {"hold": True, "reason": "a backup"}),
])
def test_all_models_are_held_at_once(many, path, body):
    """As soon as the first is seen to be held, the last one cannot be loaded any more, though log, history and state
    folder are still being written."""
    def held(model):
        return many.get(f"/hostler/v1/show?model={model}").json.get("held")

    whole = background(many.post, path, body)
    try:
        until(lambda: held("m00000"), what="the first hold")
        answer = many.post("/tokenize", {"model": f"m{MODELS - 1:05}", "content": "x"})
        assert answer.status == 503 and answer.error["state"] == "held"
        assert "a backup" in answer.error["message"]
        assert whole.result().status == 200
        assert held(f"m{MODELS - 1:05}")["reason"] == "a backup"
    finally:
        whole.result()
        assert many.post("/models/release", {"all": True}).json == {"held": []}


def test_a_release_wins_over_a_hold_that_is_still_being_recorded(many):
    whole = background(many.post, "/models/hold", {"all": True})
    until(lambda: many.get("/hostler/v1/show?model=m00000").json.get("held"), what="the first hold")
    last = f"m{MODELS - 1:05}"
    many.post("/models/release", {"model": last})
    held = [h["model"] for h in whole.result().json["held"]]
    try:
        if last in held:
            assert len(held) == MODELS  # all were recorded before the release came
        else:
            assert len(held) == MODELS - 1
        assert not many.get(f"/hostler/v1/show?model={last}").json.get("held")
    finally:
        many.post("/models/release", {"all": True})


def test_a_list_of_names_has_a_ceiling(many):
    for path, body in (("/models/pin", {"models": ["m00000"] * 20001}),
                       ("/models/unload-all", {"except": ["m00000"] * 20001}),
                       ("/v1/streams/lookup", {"conversation_ids": ["c"] * 4097})):
        answer = many.post(path, body)
        assert answer.status == 400 and "at most" in answer.error["message"]
