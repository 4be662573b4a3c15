# SPDX-License-Identifier: MIT
"""A model's name has several spellings: everywhere a model can be named, all of them mean it."""
import json

import pytest

from conftest import until
from hub_cache import put

ID = "u/r:Q8_K_XL"
OTHERS = ["u/r:UD-Q8_K_XL", "u/r:q8_k_xl"]


@pytest.fixture
def preset(tmp_path):
    """preset(text): a file of presets."""
    def write(text):
        path = tmp_path / "p.ini"
        path.write_text(text, encoding="utf-8")
        return path
    return write


@pytest.fixture
def server(hostler, tmp_path, preset, models):
    put(tmp_path / "cache", "u/r", "x-UD-Q8_K_XL.gguf")
    return hostler("--models-dir", models, "--models-preset", preset("[u/r:UD-Q8_K_XL]\nctx-size = 256\n"))


def held(server):
    return [h["model"] for h in server.get("/hostler/v1/status").json["holds"]]


@pytest.mark.parametrize("name", OTHERS)
def test_every_route_that_names_a_model(server, name):
    assert server.post("/models/load", {"model": name}).status == 200
    until(lambda: server.state(ID) == "loaded")
    assert server.models()[ID]["meta"]["n_ctx"] == 256
    assert server.tokenize(name).status == 200
    assert server.get("/lora-adapters?model=" + name).status == 200
    for route in ("show", "estimate", "logs"):
        assert server.get(f"/hostler/v1/{route}?model={name}").status == 200
    requests = server.get(f"/hostler/v1/requests?model={name}").json
    assert {r["model"] for r in requests["requests"]} == {ID}
    assert server.post("/models/pin", {"model": name}).status == 200
    assert server.get(f"/hostler/v1/show?model={ID}").json["pinned"]
    assert server.post("/models/unpin", {"model": name}).status == 200
    assert server.post("/models", {"model": name}).error["message"] == f"model '{ID}' already exists"
    skipped = server.post("/models/unload-all", {"except": [name]}).json
    assert server.state(ID) == "loaded", skipped
    assert server.post("/models/unload", {"models": [name]}).status == 200
    assert server.state(ID) == "unloaded"
    assert server.post("/models/hold", {"models": [name]}).status == 200
    assert held(server) == [ID]
    assert server.post("/models/release", {"model": name}).status == 200
    assert held(server) == []


@pytest.mark.parametrize("name", OTHERS)
def test_commands(server, cli, name):
    for command in ("load", "show", "pin", "unpin", "hold", "release", "estimate", "unload"):
        done = cli(command, name, server=server)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert server.state(ID) == "unloaded"
    assert cli("load", ID, server=server).returncode == 0
    cli("unload", "--all", "--except", name, server=server)
    assert server.state(ID) == "loaded"


def test_commands_with_a_stock_router(stock, cli, tmp_path, preset, models):
    server = stock("--models-preset", preset(f"[u/r:UD-Q8_K_XL]\nmodel = {models / 'm1.gguf'}\n"))
    for command in ("load", "unload"):
        done = cli(command, "u/r:UD-Q8_K_XL", server=server)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_one_spelling_follows_another_at_a_reload(server, preset):
    """It is the same model: its engine and a hold of it stay."""
    assert server.tokenize(ID).status == 200
    pid = server.engines()[ID]["pid"]
    server.post("/models/pin", {"model": ID})
    for section in OTHERS:
        preset(f"[{section}]\nctx-size = 256\n")
        assert server.get("/models?reload=1").status == 200
        assert server.engines()[ID]["pid"] == pid
        assert server.get(f"/hostler/v1/show?model={ID}").json["pinned"]


def test_two_spellings_are_warned_of(hostler, preset, models):
    text = f"[u/r:UD-Q4]\nmodel = {models / 'm1.gguf'}\n[u/r:Q4]\nmodel = {models / 'm2.gguf'}\n"
    server = hostler("--models-preset", preset(text))
    assert list(server.models()) == ["u/r:Q4"]
    assert "line 3: [u/r:Q4] is the model 'u/r:Q4', as [u/r:UD-Q4] in line 1 is; only this one counts" in server.log()
    assert str(models / "m2.gguf") in server.models()["u/r:Q4"]["status"]["args"]


def test_what_an_earlier_version_kept(hostler, tmp_path, preset, models):
    """It kept holds and pins under the section's name."""
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "state.json").write_text(json.dumps(
        {"holds": {"u/r:UD-Q4": {"until": None, "reason": "a backup"}}, "pins": {"u/r:UD-Q4": True}}), encoding="utf-8")
    server = hostler("--state-dir", folder, "--models-preset",
                     preset(f"[u/r:UD-Q4]\nmodel = {models / 'm1.gguf'}\n"))
    assert held(server) == ["u/r:Q4"]
    assert server.get("/hostler/v1/show?model=u/r:Q4").json["pinned"]
    server.post("/models/release", {"model": "u/r:UD-Q4"})
    assert server.stop() == 0
    assert json.loads((folder / "state.json").read_text(encoding="utf-8"))["holds"] == {}


def test_files_whose_names_have_a_colon(hostler, tmp_path, preset, models):
    """A file is its very name; two that differ in what is no part of the normal form are two models."""
    folder = tmp_path / "dir"
    folder.mkdir()
    for name in ("m:7b-q4", "m:1b-q4", "n:x-q8"):
        (folder / f"{name}.gguf").symlink_to(models / "m1.gguf")
    server = hostler("--models-dir", folder, "--models-preset",
                     preset("[m:7b-q4]\nctx-size = 256\n[m:1b-q4]\nctx-size = 512\n[n:Q8]\nctx-size = 128\n"))
    assert list(server.models()) == ["m:1b-q4", "m:7b-q4", "n:x-q8"]
    sizes = {id: e["status"]["args"][e["status"]["args"].index("--ctx-size") + 1] for id, e in server.models().items()}
    assert sizes == {"m:1b-q4": "512", "m:7b-q4": "256", "n:x-q8": "128"}
    assert server.tokenize("n:q8").status == 200
    assert server.tokenize("m:q4").status == 400  # it could be either


def test_an_alias_that_is_another_models_spelling(hostler, preset, models):
    text = (f"[u/r:Q4]\nmodel = {models / 'm1.gguf'}\n[two]\nmodel = {models / 'm2.gguf'}\n"
            "tags = x\nalias = u/r:UD-Q4\n")
    server = hostler("--models-preset", preset(text))
    assert "line 6: alias 'u/r:UD-Q4' of [two] is another spelling of model 'u/r:Q4'" in server.log()


@pytest.mark.parametrize("text,line,owner", [
    ("[one]\nmodel = M\n\nalias = x\n[two]\nmodel = M\ntags = y\nalias = x\n", 8, "one"),
    ("[one]\nmodel = M\n\nalias = two\n[two]\nmodel = M\n", 4, "two"),
    ("[two]\nmodel = M\n\nalias = x\n[one]\nmodel = M\ntags = y\nalias = z, x\n", 8, "two")])
def test_the_line_of_an_alias_that_is_taken(hostler, preset, models, text, line, owner):
    path = preset(text.replace("M", str(models / "m1.gguf")))
    server = hostler("--models-preset", path, wait=False)
    assert server.process.wait(60) != 0
    assert f"line {line}: alias '" in server.log()
    assert f"is a name of model '{owner}' already" in server.log()
    assert text.count("alias") == 1 or "already (line 4)" in server.log()
