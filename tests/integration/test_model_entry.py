# SPDX-License-Identifier: MIT
"""GET /v1/models/ID: one entry of the list."""
import urllib.parse

import pytest

from wire import is_json_error

NAMES = ["m1", "u/r:Q4_K_M", "fast", "with blank", "größe"]


@pytest.fixture(scope="module")
def server(module_hostler, models, tmp_path_factory):
    presets = tmp_path_factory.mktemp("presets") / "p.ini"
    presets.write_text("".join(f"[{name}]\nmodel = {models / 'm1.gguf'}\n" for name in NAMES[1:] if name != "fast")
                       + "[m2]\nalias = fast\n", encoding="utf-8")
    return module_hostler("--models-dir", models, "--models-preset", presets)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plain", ["", "/:"], ids=["encoded", "plain"])
def test_an_entry_is_that_of_the_list(server, name, plain):
    answer = server.get("/v1/models/" + urllib.parse.quote(name, safe=plain))
    assert answer.status == 200
    assert answer.json == server.models()["m2" if name == "fast" else name]


def test_names_that_no_model_has(server):
    assert "did you mean 'm1'" in is_json_error(server.get("/v1/models/m1x"), 404)
    for path in ("/v1/models/", "/v1/models/u/r", "/v1/models/%00", "/v1/models/m1/"):
        is_json_error(server.get(path), 404)
    assert server.request("DELETE", "/v1/models/m1").status == 404
    assert server.get("/v1/models/m1?x=1").status == 200


def test_a_head_of_it(server):
    answer = server.request("HEAD", "/v1/models/m1")
    assert answer.status == 200 and answer.body == b""


def test_a_key_is_needed(hostler, models):
    server = hostler("--models-dir", models, "--api-key", "k")
    is_json_error(server.get("/v1/models/m1"), 401)
    assert server.get("/v1/models/m1", headers={"Authorization": "Bearer k"}).json["id"] == "m1"
