# SPDX-License-Identifier: MIT
"""GET /models: which models there are, and what an entry tells."""
import os
import shutil
import time

import pytest

import tiny_model
from conformance.suite import ABSENT, Exactly, answer, error

UNLOADED = {
    "id": "m1", "aliases": [], "tags": [], "object": "model", "owned_by": "llamacpp",
    "created": int, "status": {"value": "unloaded", "args": list, "failed": ABSENT,
                               "exit_code": ABSENT, "preset": str},
    "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
    "source": "models_dir", "can_remove": False, "meta": ABSENT}
META = {"vocab_type": int, "n_vocab": int, "n_ctx_train": int, "n_embd": int, "n_params": int,
        "size": int}


def ids_of(listed):
    return [e["id"] for e in listed.json["data"]]


def ids(server):
    return ids_of(server.get("/models"))


def test_every_field_of_an_unloaded_model(start, models, see):
    server = start("--models-dir", models)
    whole = server.get("/models").json
    see("list", {"keys": sorted(whole), "object": whole["object"], "n": len(whole["data"])},
        {"object": "list", "n": 4})
    see("entry", whole["data"][0], UNLOADED)
    see("order", ids(server), ["m1", "m2", "m3", "m4"])


def test_every_field_of_a_loaded_model(start, models, see):
    server = start("--models-dir", models, "-c", "512").be_loaded("m1")
    see("entry", server.get("/models").json["data"][0], {
        **UNLOADED, "status": {"value": "loaded", "failed": ABSENT}, "meta": {**META, "n_ctx": 512}})


def test_every_field_after_an_unload(start, models, see):
    server = start("--models-dir", models).be_loaded("m1").be_unloaded("m1")
    see("entry", server.get("/models").json["data"][0], UNLOADED)


def test_every_field_of_a_failed_model(start, see):
    root = start.models("good.gguf")
    (root / "bad.gguf").write_bytes(b"GGUF, but no more")
    server = start("--models-dir", root)
    server.load("bad")
    server.until(lambda: server.entry("bad")["status"].get("failed"))
    see("entry", server.get("/models").json["data"][0], {
        "id": "bad", "status": {"value": "unloaded", "failed": True, "exit_code": 1}})


def test_v1_models_is_the_same(router, see):
    # loaded or not, other cases decide
    see("v1", [e["id"] for e in router.get("/v1/models").json["data"]], ["m1", "m2", "m3", "m4"])
    see("type", router.get("/v1/models").headers["content-type"], "application/json; charset=utf-8")


def test_created_is_now(router, see):
    now = time.time()
    created = router.get("/models").json["data"][0]["created"]
    see("recent", now - 3600 < created <= now + 1, True)


def test_a_loading_model(start, slow_model, see):
    server = start("--models-dir", os.path.dirname(slow_model))
    server.load("slow")
    see("entry", server.status("slow") in ("loading", "loaded"), True)
    server.until_status("slow", "loaded")


@pytest.mark.parametrize("names,expected", [
    (["a.gguf"], ["a"]),
    (["b.gguf", "a.gguf", "C.gguf"], ["C", "a", "b"]),
    (["sub/x.gguf"], ["sub"]),
    (["sub/x.gguf", "sub/y.gguf"], ["sub"]),
    (["sub/deep/x.gguf"], []),
    (["sub/x.gguf", "sub/deep/y.gguf"], ["sub"]),
    (["a.gguf", "a.txt", "b.bin", "c"], ["a"]),
    (["a.GGUF"], []),
    (["x.gguf.gguf"], ["x"]),
    ([".hidden.gguf"], [".hidden"]),
    ([".hidden/x.gguf"], [".hidden"]),
    (["a b.gguf"], ["a b"]),
    (["größe.gguf"], ["größe"]),
    (["a.b.c-1.5_Q4.gguf"], ["a.b.c-1.5_Q4"]),
    (["user_model:Q4.gguf"], ["user_model:Q4"]),
    (["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"], ["m-00001-of-00002", "m-00002-of-00002"]),
    (["sub/m-00001-of-00002.gguf", "sub/m-00002-of-00002.gguf"], ["sub"]),
    (["mmproj-a.gguf", "a.gguf"], ["a"]),
    (["a.gguf", "mtp-a.gguf"], ["a"]),
    (["sub/mmproj.gguf"], []),
    (["sub/x.gguf", "sub/mmproj-x.gguf"], ["sub"]),
    (["x.gguf", "x/y.gguf"], ["x"]),
], ids=lambda v: ",".join(v) if isinstance(v, list) else "")
def test_names_in_a_folder(start, see, names, expected):
    server = start("--models-dir", start.models(*names))
    see("ids", ids(server), expected)


def test_an_empty_folder(start, see):
    see("list", start("--models-dir", start.models()).get("/models"),
        answer(200, Exactly({"object": "list", "data": []})))


@pytest.mark.parametrize("what", ["is not there", "is a file"])
def test_no_folder(start, see, what):
    path = start.file("a-file", "") if what == "is a file" else start.folder / "nowhere"
    see("refused", start.fails("--models-dir", path), True)


def model_args(server, model):
    """The arguments that concern the files."""
    args = server.entry(model)["status"]["args"]
    return {a: args[i + 1] for i, a in enumerate(args) if a in ("--model", "--mmproj", "--alias")}


@pytest.mark.parametrize("names,model", [
    (["a.gguf"], "a"), (["sub/x.gguf"], "sub"), (["sub/x.gguf", "sub/mmproj-x.gguf"], "sub"),
    (["sub/m-00001-of-00002.gguf", "sub/m-00002-of-00002.gguf"], "sub"),
    (["sub/z-00001-of-00002.gguf", "sub/a.gguf"], "sub")],
    ids=lambda v: ",".join(v) if isinstance(v, list) else "")
def test_which_files_are_a_models(start, see, names, model):
    server = start("--models-dir", start.models(*names))
    see("arguments", {k: os.path.basename(v) for k, v in model_args(server, model).items()},
        {"--model": str})


def test_arguments_of_the_command_line(start, models, see):
    server = start("--models-dir", models, "-c", "512", "--temp", "0.5", "--load-mode", "none", "-np", "2",
                   "--cache-type-k", "q8_0", "--models-max", "2")
    see("unloaded", server.entry("m1")["status"]["args"], list)
    server.be_loaded("m1")
    see("loaded", server.entry("m1")["status"]["args"], list)
    see("preset", server.entry("m1")["status"]["preset"], str)


def test_shards_load(start, see):
    sub = start.models() / "sharded"
    sub.mkdir()
    tiny_model.make_shards(str(sub), "m", 2)
    server = start("--models-dir", sub.parent)
    see("tokenize", server.tokenize("sharded"), answer(200, {"tokens": list}))


def test_a_link_to_a_model(start, see):
    root = start.models("file")
    (root / "link.gguf").symlink_to("file")
    (root / "dangling.gguf").symlink_to("nowhere")
    server = start("--models-dir", root)
    see("ids", ids(server), ["link"])
    see("tokenize", server.tokenize("link"), answer(200, {"tokens": list}))


# --- ?reload=1 -------------------------------------------------------------------------------------

def test_a_file_appears(start, see):
    root = start.models("a.gguf")
    server = start("--models-dir", root)
    start.models("b.gguf")
    see("before", ids(server), ["a"])
    see("reload", ids_of(server.get("/models?reload=1")), ["a", "b"])
    see("after", ids(server), ["a", "b"])


def test_a_file_vanishes(start, see):
    root = start.models("a.gguf", "b.gguf")
    server = start("--models-dir", root)
    os.unlink(root / "a.gguf")
    see("before", ids(server), ["a", "b"])
    see("reload", ids_of(server.get("/models?reload=1")), ["b"])
    see("load", server.load("a"), error(404))
    see("tokenize", server.tokenize("a"), error(400))


def test_the_file_of_a_running_model_vanishes(start, see):
    root = start.models("a.gguf", "b.gguf")
    server = start("--models-dir", root).be_loaded("a", "b")
    os.unlink(root / "a.gguf")
    see("reload", ids_of(server.get("/models?reload=1")), ["b"])
    server.until(lambda: list(server.engine_pids()) == ["b"])
    see("tokenize a", server.tokenize("a"), error(400))
    see("tokenize b", server.tokenize("b"), answer(200))


def test_a_reload_leaves_what_did_not_change(start, see):
    server = start("--models-dir", start.models("a.gguf")).be_loaded("a")
    pid = server.engine_pids()
    server.get("/models?reload=1")
    see("status", server.status("a"), "loaded")
    see("same process", server.engine_pids() == pid, True)


def test_a_reload_while_loading(start, slow_model, see):
    server = start("--models-dir", os.path.dirname(slow_model))
    server.load("slow")
    see("reload", server.get("/models?reload=1").status, 200)
    see("tokenize", server.tokenize("slow"), answer(200))  # which waits for that load, or for another one


def test_a_reload_without_the_folder(start, see):
    root = start.models("a.gguf")
    server = start("--models-dir", root)
    shutil.rmtree(root)
    see("reload", server.get("/models?reload=1"), error(500))
    see("health", server.get("/health").status, 200)
    see("ids", ids(server), ["a"])


@pytest.mark.parametrize("query", ["reload=1", "reload=true", "reload=0", "reload", "reload=", "x=1"])
def test_what_asks_for_a_reload(start, see, query):
    server = start("--models-dir", start.models())
    start.models("new.gguf")
    server.get(f"/v1/models?{query}")
    see("ids", ids(server), ["new"] if query.startswith("reload=") and query != "reload=" else [])


def test_what_a_model_that_sees_takes(start, see):
    folder = start.models("eyes/x.gguf", "blind.gguf")
    tiny_model.make_mmproj(folder / "eyes" / "mmproj-x.gguf")
    server = start("--models-dir", folder)

    def takes():
        return {m: server.entry(m)["architecture"] for m in ("eyes", "blind")}

    server.until(lambda: "image" in takes()["eyes"]["input_modalities"], "the projector's header")
    see("unloaded", takes(), {"eyes": {"input_modalities": ["text", "image"]}})
    server.load("eyes")
    server.until_status("eyes", "loaded")
    see("loaded", takes(), {"eyes": {"input_modalities": list}})
    see("props", server.get("/props?model=eyes").json["modalities"], {"vision": True})
    server.post("/models/unload", {"model": "eyes"})
    server.until_status("eyes", "unloaded")
    see("unloaded again", takes(), {"eyes": {"input_modalities": list}})
