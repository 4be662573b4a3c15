# SPDX-License-Identifier: MIT
"""POST /models: a model comes from a hub into the cache; the hub is a folder on loopback."""
import json
import os
import threading

import pytest

from conformance.suite import SUCCESS, answer, error
from conformance.test_presets import arguments

fake_hub = pytest.importorskip("fake_hub")  # tests/fake_hub.py

REPOS = {"u/plain": ["x-Q4_0.gguf", "x-Q8_0.gguf", "README.md"], "u/slow": ["x-Q4_0.gguf"],
         "u/cut": ["x-Q4_0.gguf"], "u/none": ["README.md"], "u/secret": ["x-Q4_0.gguf"],
         "u/shards": ["x-Q4_0-00001-of-00002.gguf", "x-Q4_0-00002-of-00002.gguf"],
         "u/eyes": ["x-Q4_0.gguf", "mmproj-F16.gguf"], "u/broken": ["x-Q4_0.gguf"],
         "u/presets": ["preset.ini", "x-Q4_0.gguf"]}
PRESETS = "[*]\nctx-size = 512\n[one]\nhf-repo = u/plain:Q4_0\nalias = uno\n[two]\nhf-repo = u/plain:Q8_0\nctx-size = 256\n"
FAULTS = {"slow": {"rate": 60_000}, "cut": {"cut_at": 1000}, "secret": {"token": "hf_" + "x" * 37},
          "broken": {"file_status": 500}}


@pytest.fixture(scope="module")
def hub(tmp_path_factory, models):
    root = tmp_path_factory.mktemp("hub")
    for repo, names in REPOS.items():
        (root / repo).mkdir(parents=True)
        for name in names:
            if name.endswith(".gguf"):
                os.link(models / "m1.gguf", root / repo / name)
            else:
                (root / repo / name).write_text(PRESETS if name == "preset.ini" else "words", encoding="ascii")
    for name, fault in FAULTS.items():
        (root / "u" / f"{name}.fake").write_text(json.dumps(fault), encoding="ascii")
    server = fake_hub.Hub(root)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def begin(hub):
    """begin(start, …): a router that knows the hub."""
    return lambda start, *args, **env: start(*args, env={"HF_ENDPOINT": hub.url, **env})


def download(server, model):
    return server.post("/models", {"model": model})


def ended(events, model):
    events.wait(lambda f: f["model"] == model and f["event"] in ("download_finished", "download_failed"))
    return next(f["event"] for f in events.frames if f["event"].startswith("download_f"))


def test_a_download(begin, start, see):
    server = begin(start)
    with server.events() as events:
        see("answer", download(server, "u/plain:Q4_0"), SUCCESS)
        see("end", ended(events, "u/plain:Q4_0"), "download_finished")
        progress = [f for f in events.frames if f["event"] == "download_progress"]
        see("first", events.frames[0], {"model": "u/plain:Q4_0", "event": "model_status",
                                        "data": {"status": "downloading"}})
        see("progress", [len(f["data"]["progress"]) for f in progress[-1:]], [1])
        done = list(progress[-1]["data"]["progress"].values())[0]
        see("all of it", done["done"] == done["total"] > 0, True)
        see("url", list(progress[-1]["data"]["progress"])[0].rpartition("/")[2], "x-Q4_0.gguf")
    server.until(lambda: server.statuses() == {"u/plain:Q4_0": "unloaded"})
    see("entry", {k: server.entry("u/plain:Q4_0")[k] for k in ("id", "source", "can_remove")},
        {"id": "u/plain:Q4_0", "source": "cache", "can_remove": True})
    see("tokenize", server.tokenize("u/plain:Q4_0"), answer(200))


@pytest.mark.parametrize("name,model", [("u/plain", "u/plain:Q8_0"), ("u/plain:Q8_0", "u/plain:Q8_0"),
                                        ("u/shards:Q4_0", "u/shards:Q4_0"), ("u/eyes:Q4_0", "u/eyes:Q4_0")])
def test_what_comes(begin, start, see, name, model):
    server = begin(start)
    with server.events() as events:
        see("answer", download(server, name), SUCCESS)
        see("end", ended(events, name), "download_finished")
    server.until(lambda: server.statuses() and set(server.statuses().values()) == {"unloaded"})
    see("ids", list(server.entries()), [model])
    files = sorted(p.name for p in (start.folder / "cache").rglob("*.gguf"))
    see("files", files, {"u/shards:Q4_0": REPOS["u/shards"], "u/eyes:Q4_0": sorted(REPOS["u/eyes"])}.get(
        name, ["x-Q8_0.gguf"]))


@pytest.mark.parametrize("name", ["plain", "", "u/r/x", ":Q4_0"])
def test_what_is_no_name(begin, start, see, name):
    server = begin(start)
    see("answer", download(server, name), error(400, kind="invalid_request_error"))
    see("ids", list(server.entries()), [])


@pytest.mark.parametrize("name", ["u/nowhere", "u/none", "u/plain:Q2_K", "../x", "u/secret", "u/", "/r"])
def test_what_cannot_be_had(begin, start, see, name):
    """It turns out later, and stock calls it finished: the model is not in the list, that is all."""
    server = begin(start)
    with server.events() as events:
        got = download(server, name)
        see("answer", got, SUCCESS)
        if got.status == 200:
            see("end", ended(events, name), "download_finished")
    server.until(lambda: not server.entries())
    see("ids", list(server.entries()), [])


@pytest.mark.parametrize("body", ["", "{}", '{"model":1}', '{"model":null}', "[]", "x"], ids=repr)
def test_bad_bodies(begin, start, see, body):
    see("answer", begin(start).post("/models", body), error(400, kind="invalid_request_error"))


def test_with_a_token(begin, start, see):
    server = begin(start, HF_TOKEN="hf_" + "x" * 37)
    with server.events() as events:
        see("answer", download(server, "u/secret:Q4_0"), SUCCESS)
        see("end", ended(events, "u/secret:Q4_0"), "download_finished")


def test_what_is_there_already(begin, start, see):
    start.cached("u/plain", "x-Q4_0.gguf")
    see("answer", download(begin(start), "u/plain:Q4_0"), error(400, kind="invalid_request_error"))


def test_while_it_comes(begin, start, see):
    """It is listed, cannot be used, and cannot be asked for again."""
    server = begin(start)
    with server.events() as events:
        see("answer", download(server, "u/slow:Q4_0"), SUCCESS)
        see("status", server.status("u/slow:Q4_0"), "downloading")
        see("entry", {k: server.entry("u/slow:Q4_0")[k] for k in ("source", "can_remove")},
            {"source": "cache", "can_remove": True})
        see("again", download(server, "u/slow:Q4_0"), error(400))
        see("load", server.load("u/slow:Q4_0"), SUCCESS)
        see("tokenize", server.tokenize("u/slow:Q4_0"), error(400))
        see("unload", server.unload("u/slow:Q4_0"), SUCCESS)
        see("end", ended(events, "u/slow:Q4_0"), "download_failed")
    server.until(lambda: not server.entries())
    see("ids", list(server.entries()), [])


def test_delete_while_it_comes(begin, start, see):
    server = begin(start)
    with server.events() as events:
        download(server, "u/slow:Q4_0")
        events.wait(lambda f: f["event"] == "download_progress")
        see("delete", server.request("DELETE", "/models?model=u/slow:Q4_0"), SUCCESS)
        events.wait(lambda f: f["event"] == "model_remove")
    see("ids", list(server.entries()), [])


def test_a_reload_while_it_comes(begin, start, see):
    server = begin(start)
    download(server, "u/slow:Q4_0")
    see("reload", [[e["id"], e["status"]["value"]] for e in server.get("/models?reload=1").json["data"]],
        [["u/slow:Q4_0", "downloading"]])
    server.unload("u/slow:Q4_0")


@pytest.mark.parametrize("name", ["u/cut:Q4_0", "u/broken:Q4_0"])
def test_a_download_that_breaks_off(begin, start, see, name):
    """It is tried again for some seconds, and stopped here."""
    server = begin(start)
    with server.events() as events:
        see("answer", download(server, name), SUCCESS)
        events.wait(lambda f: f["model"] == name)
        see("first", events.frames[0]["data"], {"status": "downloading"})
        see("unload", server.unload(name), SUCCESS)
        see("end", ended(events, name), "download_failed")


def test_no_hub(start, see):
    server = start(env={"HF_ENDPOINT": "http://127.0.0.1:9/"})
    with server.events() as events:
        see("answer", download(server, "u/plain:Q4_0"), SUCCESS)
        see("end", ended(events, "u/plain:Q4_0"), "download_finished")
    see("health", server.get("/health").status, 200)


@pytest.mark.parametrize("name", ["u/presets", "u/presets:Q4_0"])
def test_a_repository_of_presets(begin, start, see, name):
    server = begin(start, "-hf", name, "--temp", "0.5").until_healthy()
    see("role", server.get("/props").json["role"], "router")
    see("sources", {k: e["source"] for k, e in server.entries().items()}, {"one": "preset", "two": "preset"})
    see("arguments", {m: [v for o, v in arguments(server.entry(m)) if o in ("--ctx-size", "--temperature")]
                      for m in ("one", "two")}, {"one": ["512", "0.5"], "two": ["256", "0.5"]})
    see("answers", [server.tokenize(m).status for m in ("uno", "two")], [200, 200])


def test_a_repository_of_presets_beside_a_folder(begin, start, see):
    start.cached("u/r", "x-Q4_0.gguf")
    server = begin(start, "-hf", "u/presets", "--models-dir", start.models("own.gguf")).until_healthy()
    see("ids", list(server.entries()), ["one", "own", "two", "u/r:Q4_0"])
