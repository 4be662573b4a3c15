# SPDX-License-Identifier: MIT
"""With thousands of models: what a request costs grows with the models it is about, not with their square."""
import os
import time

import pytest
import tiny_model
from background import background

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
        return longest / (time.monotonic() - begun + 0.1)  # what takes little needs no slices

    assert min(longest_wait() for _ in range(3)) < 1 / 3


def test_a_list_of_names_has_a_ceiling(many):
    for path, body in (("/models/pin", {"models": ["m00000"] * 20001}),
                       ("/models/unload-all", {"except": ["m00000"] * 20001}),
                       ("/v1/streams/lookup", {"conversation_ids": ["c"] * 4097})):
        answer = many.post(path, body)
        assert answer.status == 400 and "at most" in answer.error["message"]
