# SPDX-License-Identifier: MIT
"""Models in the Hugging Face cache (LLAMA_CACHE): which there are, and DELETE /models."""
import pytest

from conformance.suite import SUCCESS, answer, error
from conformance.test_presets import arguments


def ids(server):
    return list(server.entries())


def left(root):
    """The files of a repository that are still there: what snapshots name, and how many blobs."""
    snapshots = sorted(p.name for p in (root / "snapshots").rglob("*") if p.is_symlink()) if root.exists() else []
    blobs = len(list((root / "blobs").iterdir())) if root.exists() else 0
    return {"snapshots": snapshots, "blobs": blobs}


@pytest.mark.parametrize("files,expected", [
    (["x-Q4_K_M.gguf"], ["u/r:Q4_K_M"]),
    (["x-q4_0.gguf"], ["u/r:Q4_0"]),
    (["x.Q5_K_M.gguf"], ["u/r:Q5_K_M"]),
    (["x-BF16.gguf"], ["u/r:BF16"]),
    (["x-f16.gguf"], ["u/r:F16"]),
    (["x-IQ2_XXS.gguf"], ["u/r:IQ2_XXS"]),
    (["x-UD-Q4_K_XL.gguf"], ["u/r:Q4_K_XL"]),
    (["x-MXFP4.gguf"], ["u/r:MXFP4"]),
    (["x-Q4_K_M.gguf", "x-Q8_0.gguf"], ["u/r:Q4_K_M", "u/r:Q8_0"]),
    (["Q4_0/x-Q4_0.gguf"], ["u/r:Q4_0"]),
    (["x-Q4_0-00001-of-00002.gguf", "x-Q4_0-00002-of-00002.gguf"], ["u/r:Q4_0"]),
    (["x-Q4_0.gguf", "mmproj-F16.gguf"], ["u/r:Q4_0"]),
    (["mmproj-F16.gguf"], []),
    (["x-Q4_0.gguf", "mtp-x-Q4_0.gguf"], ["u/r:Q4_0"]),
    (["model.gguf"], []),
    (["config.json"], []),
    ([], []),
], ids=lambda v: ",".join(v))
def test_ids(start, see, files, expected):
    start.cached("u/r", *files)
    see("ids", ids(start()), expected)


@pytest.mark.parametrize("repo,expected", [
    ("u/r", ["u/r:Q4_0"]), ("u-n_s/r-e.p_o", ["u-n_s/r-e.p_o:Q4_0"]), ("r", []), ("a/b/c", []),
    ("u/r--x", []), ("u.x/r", ["u.x/r:Q4_0"])])
def test_repositories(start, see, repo, expected):
    start.cached(repo, "x-Q4_0.gguf")
    see("ids", ids(start()), expected)


@pytest.mark.parametrize("ref,commit,expected", [
    ("main", "a" * 40, ["u/r:Q4_0"]), ("dev", "a" * 40, ["u/r:Q4_0"]), (None, "a" * 40, []),
    ("main", "short", []), ("main", "z" * 40, []), ("main", "A" * 40, ["u/r:Q4_0"])],
    ids=["main", "another", "none", "short", "no hex", "upper case"])
def test_refs(start, see, ref, commit, expected):
    start.cached("u/r", "x-Q4_0.gguf", ref=ref, commit=commit)
    see("ids", ids(start()), expected)


def test_main_goes_before_others(start, see):
    start.cached("u/r", "old-Q4_0.gguf", ref="dev", commit="b" * 40)
    start.cached("u/r", "new-Q8_0.gguf")
    see("ids", ids(start()), ["u/r:Q8_0"])


def test_what_the_ref_does_not_name(start, see):
    start.cached("u/r", "old-Q4_0.gguf", commit="b" * 40)
    start.cached("u/r", "new-Q8_0.gguf")
    see("ids", ids(start()), ["u/r:Q8_0"])


def test_an_entry(start, see):
    start.cached("u/r", "x-Q4_0.gguf")
    server = start()
    see("unloaded", server.entry("u/r:Q4_0"), {"source": "cache", "can_remove": True, "status": {"value": "unloaded"}})
    see("arguments", arguments(server.entry("u/r:Q4_0")), [["--hf-repo", "u/r:Q4_0"]])
    server.be_loaded("u/r:Q4_0")
    see("meta", server.entry("u/r:Q4_0")["meta"], {"n_ctx": int})


def test_a_model_answers(start, see):
    start.cached("u/r", "x-Q4_0.gguf")
    server = start()
    see("tokenize", server.tokenize("u/r:Q4_0"), answer(200, {"tokens": list}))
    see("by query", server.get("/lora-adapters?model=u%2Fr%3AQ4_0"), answer(200, []))
    see("by plain query", server.get("/lora-adapters?model=u/r:Q4_0"), answer(200, []))


@pytest.mark.parametrize("name", ["u/r", "U/R:Q4_0", "u/r:", "r:Q4_0", "u/r:latest"])
def test_names_that_are_none(start, see, name):
    start.cached("u/r", "x-Q4_0.gguf")
    see("tokenize", start().tokenize(name), error(400))


@pytest.mark.parametrize("name", ["u/r:q4_0", "u/r:UD-Q4_0"])
def test_another_spelling(start, see, name):
    start.cached("u/r", "x-Q4_0.gguf")
    server = start()
    see("tokenize", server.tokenize(name).status, 400)
    see("query", server.get("/lora-adapters?model=" + name).status, 400)
    see("load", server.load(name).status, 404)


def test_the_three_sources_in_order(start, models, see):
    start.cached("u/r", "x-Q4_0.gguf")
    server = start.preset("[zeta]\nmodel = M1\n[u/r:Q4_0]\nctx-size = 512\n", "--models-dir", models)
    see("sources", {k: e["source"] for k, e in server.entries().items()}, {
        "m1": "models_dir", "u/r:Q4_0": "preset", "zeta": "preset"})
    see("order", ids(server), ["m1", "m2", "m3", "m4", "u/r:Q4_0", "zeta"])
    see("can be removed", server.entry("u/r:Q4_0")["can_remove"], False)
    see("context", server.be_loaded("u/r:Q4_0").entry("u/r:Q4_0")["meta"]["n_ctx"], 512)


DEDUP = "dedup-cache-models = true\n"


@pytest.mark.parametrize("text,hidden", [
    ("[one]\nhf-repo = u/r:Q4_K_M\n", []),
    ("[one]\nhf-repo = u/r:Q4_K_M\n" + DEDUP, ["u/r:Q4_K_M"]),
    ("[one]\nhf-repo = u/r:q8_0\n" + DEDUP, ["u/r:Q8_0"]),
    ("[one]\nhf-repo = u/r\n" + DEDUP, ["u/r:Q4_K_M"]),
    ("[one]\nhf-repo = u/r\nhf-file = x-Q8_0.gguf\n" + DEDUP, ["u/r:Q8_0"]),
    ("[one]\nhf-repo = u/r:Q8_0\nspec-draft-hf = u/d:Q4_K_M\n" + DEDUP, ["u/d:Q4_K_M", "u/r:Q8_0"]),
    ("[one]\nmodel = M1\nhf-repo-draft = u/d\n" + DEDUP, ["u/d:Q4_K_M"]),
    ("[*]\n" + DEDUP + "[one]\nhf-repo = u/r:Q8_0\n", ["u/r:Q8_0"]),
    ("[*]\nhf-repo = u/r:Q8_0\n" + DEDUP + "[one]\nctx-size = 256\n", ["u/r:Q8_0"]),
    ("[*]\n" + DEDUP + "[one]\nhf-repo = u/r:Q8_0\ndedup-cache-models = false\n", []),
    ("[u/r:Q8_0]\nctx-size = 256\n" + DEDUP, []),
    ("[one]\nmodel = M1\n" + DEDUP, [])], ids=repr)
def test_dedup(start, see, text, hidden):
    """What a section stands for is not listed beside it, but can be used, and comes back."""
    start.cached("u/r", "x-Q4_K_M.gguf", "x-Q8_0.gguf")
    start.cached("u/d", "d-Q4_K_M.gguf")
    server = start.preset(text)
    cached = {"u/r:Q4_K_M", "u/r:Q8_0", "u/d:Q4_K_M"}
    see("hidden", sorted(cached - set(ids(server))), hidden)
    see("usable", [server.tokenize(m).status for m in hidden], [200] * len(hidden))
    start.presets(text.replace(DEDUP, ""))
    see("reload", server.get("/models?reload=1").status, 200)
    see("all are back", sorted(cached - set(ids(server))), [])


@pytest.mark.parametrize("files,taken", [
    (["x-Q5_K_M.gguf", "x-Q8_0.gguf"], "u/r:Q8_0"), (["x-Q4_0.gguf", "x-Q8_0.gguf", "x-Q4_K_M.gguf"], "u/r:Q4_K_M"),
    (["x-Q6_K.gguf", "x-Q4_0.gguf", "x-IQ4_XS.gguf"], None), (["x-BF16.gguf", "x-Q6_K.gguf"], None),
    (["z-Q5_0.gguf", "a-Q6_K.gguf"], None), (["Q4_K_M/y-Q6_K.gguf", "x-Q8_0.gguf"], "u/r:Q8_0")],
    ids=lambda v: ",".join(v) if isinstance(v, list) else "")
def test_which_file_a_repository_stands_for(start, see, files, taken):
    """Without a tag, and without one of the usual tags, the file system's order decides."""
    start.cached("u/r", *files)
    server = start.preset("[one]\nhf-repo = u/r\n" + DEDUP)
    left = ids(server)
    see("number left", len(left), len(files))  # with the section's
    see("taken is listed", taken in left, False)


def test_a_reload_finds_what_was_added(start, see):
    server = start()
    start.cached("u/r", "x-Q4_0.gguf")
    see("before", ids(server), [])
    see("reload", [e["id"] for e in server.get("/models?reload=1").json["data"]], ["u/r:Q4_0"])


def test_another_variable(start, see):
    start.cached("u/r", "x-Q4_0.gguf")
    cache = str(start.folder / "cache")
    other = str(start.folder / "other")
    for name, env in {"HF_HUB_CACHE": {"HF_HUB_CACHE": cache}, "HF_HOME": {"HF_HOME": other},
                      "LLAMA_CACHE first": {"LLAMA_CACHE": other, "HF_HUB_CACHE": cache}}.items():
        see(name, ids(start(env={"LLAMA_CACHE": "", **env})),
            ["u/r:Q4_0"] if name == "HF_HUB_CACHE" else [])


# --- DELETE --------------------------------------------------------------------------------------------

def delete(server, model):
    return server.request("DELETE", f"/models?model={model}")


def test_delete(start, see):
    root = start.cached("u/r", "x-Q4_0.gguf")
    server = start()
    see("delete", delete(server, "u/r:Q4_0"), SUCCESS)
    see("ids", ids(server), [])
    see("left", left(root), {"snapshots": [], "blobs": 0})
    see("again", delete(server, "u/r:Q4_0"), error(500, kind="server_error"))


def test_delete_one_of_two(start, see):
    root = start.cached("u/r", "x-Q4_0.gguf", "x-Q8_0.gguf")
    server = start()
    see("delete", delete(server, "u%2Fr%3AQ8_0"), SUCCESS)
    see("ids", ids(server), ["u/r:Q4_0"])
    see("left", left(root), {"snapshots": ["x-Q4_0.gguf"], "blobs": 1})


def test_delete_with_shards(start, see):
    root = start.cached("u/r", "x-Q4_0-00001-of-00002.gguf", "x-Q4_0-00002-of-00002.gguf")
    see("delete", delete(start(), "u/r:Q4_0"), SUCCESS)
    see("left", left(root), {"snapshots": [], "blobs": 0})


def test_delete_with_a_projector(start, see):
    root = start.cached("u/r", "x-Q4_0.gguf", "mmproj-F16.gguf")
    see("delete", delete(start(), "u/r:Q4_0"), SUCCESS)
    see("left", left(root), {"snapshots": ["mmproj-F16.gguf"], "blobs": 1})


def test_delete_a_running_model(start, see):
    root = start.cached("u/r", "x-Q4_0.gguf")
    server = start().be_loaded("u/r:Q4_0")
    with server.events() as events:
        see("delete", delete(server, "u/r:Q4_0"), SUCCESS)
        events.wait(lambda f: f["event"] == "model_remove")
        see("story", events.story(), [["u/r:Q4_0", "status_change", "unloaded"], ["u/r:Q4_0", "model_remove", None]])
    see("engines", list(server.engine_pids()), [])
    see("left", left(root), {"blobs": 0})


@pytest.mark.parametrize("query,status", [("", 400), ("?model=", 400), ("?model=nowhere", 500), ("?model=m1", 500)])
def test_delete_of_what_is_not_cached(router, see, query, status):
    see("answer", router.request("DELETE", f"/models{query}"), error(status))
    see("ids", ids(router), ["m1", "m2", "m3", "m4"])
