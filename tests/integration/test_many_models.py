# SPDX-License-Identifier: MIT
"""With thousands of models: what a request costs grows with the models it is about, not with their square."""
import os
import time

import pytest
import tiny_model

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
