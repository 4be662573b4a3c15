# SPDX-License-Identifier: MIT
"""What clients send, call for call, and what they read of the answers."""
import pytest

from conformance.suite import SUCCESS, answer, error

KEY = {"Authorization": "Bearer one"}
CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "temperature": 0, "seed": 1,
        "cache_prompt": False}


def states(got, key="data"):
    return {e["id"]: e["status"]["value"] for e in got.json[key]}


# --- Open WebUI ------------------------------------------------------------------------------------------

def test_open_webui_shows_models(guarded, see):
    """Its base address ends in /v1; only `status.value` counts."""
    got = guarded.get("/v1/models", headers={**KEY, "Content-Type": "application/json", "Accept": "*/*"})
    see("type", got.headers["content-type"], "application/json; charset=utf-8")
    see("status is an object", [isinstance(e["status"], dict) for e in got.json["data"]], [True] * 4)
    see("ids", [e["id"] for e in got.json["data"]], ["m1", "m2", "m3", "m4"])
    see("owned", {e["owned_by"] for e in got.json["data"]} == {"llamacpp"}, True)


def test_open_webui_ejects(guarded, see):
    guarded.load("m2", headers=KEY)
    guarded.until(lambda: states(guarded.get("/v1/models", headers=KEY))["m2"] == "loaded")
    see("eject", guarded.unload("m2", headers=KEY), SUCCESS)
    guarded.until(lambda: states(guarded.get("/v1/models", headers=KEY))["m2"] == "unloaded")
    see("again", guarded.unload("m2", headers=KEY), error(400, "model is not running"))


def test_open_webui_chats(router, see):
    body = {"model": "m1", "stream": True, "stream_options": {"include_usage": True}, **CHAT}
    got = router.post("/v1/chat/completions", body, headers={
        "Content-Type": "application/json", "X-OpenWebUI-User-Name": "x", "Accept-Encoding": "gzip, deflate, br"})
    see("status", got.status, 200)
    see("encoding", got.headers.get("content-encoding"), None)
    see("end", got.body.endswith(b"data: [DONE]\n\n"), True)


def test_open_webui_manages(router, see):
    router.be_unloaded("m3")
    with router.events() as events:
        see("load", router.load("m3"), SUCCESS)
        events.wait_status("m3", "loaded")
        see("unload", router.unload("m3"), SUCCESS)
        events.wait_status("m3", "unloaded")
        see("story", events.story("m3"), [["m3", "model_status", "loading"], ["m3", "status_change", "loaded"],
                                          ["m3", "status_change", "unloaded"]])


# --- pi --------------------------------------------------------------------------------------------------

def test_pi_loads_and_unloads(router, see):
    """It polls, and gives up on `status.failed`: an old failure must be gone once a load is answered."""
    router.be_unloaded("m4")
    see("load", router.load("m4"), SUCCESS)
    see("at once", "failed" in router.entry("m4")["status"], False)
    router.until(lambda: states(router.get("/models"))["m4"] == "loaded")
    entry = router.entry("m4")
    see("context", entry["meta"]["n_ctx"], 512)
    see("of training", entry["meta"]["n_ctx_train"], 2048)
    see("in the arguments", entry["status"]["args"][entry["status"]["args"].index("--ctx-size") + 1], "512")
    see("unload", router.unload("m4"), SUCCESS)
    router.until(lambda: states(router.get("/models"))["m4"] == "unloaded")


def test_pi_loads_what_failed_before(start, see):
    root = start.models()
    (root / "m.gguf").write_bytes(b"GGUF, but no more")
    server = start("--models-dir", root)
    server.load("m")
    server.until(lambda: server.entry("m")["status"].get("failed"))
    (start.models("m.gguf", folder="whole") / "m.gguf").replace(root / "m.gguf")  # at no time is it gone
    server.get("/models?reload=1")  # else an engine of hostler's may be replaced, since its file has changed
    server.load("m")
    see("failed", "failed" in server.entry("m")["status"], False)
    server.until_status("m", "loaded")


def test_pi_asks_without_loading(router, see):
    router.be_unloaded("m4")
    see("props", router.get("/props?model=m4&autoload=false"), error(400, "model is not loaded"))
    see("router", router.get("/props").json["models_autoload"], True)
    see("status", router.status("m4"), "unloaded")


def test_pi_selects_unloaded_models_of_a_preset(start, see):
    server = start.preset("[one]\nmodel = M1\n")
    see("entry", {k: server.entry("one")[k] for k in ("source", "architecture")},
        {"source": "preset", "architecture": {"input_modalities": ["text"]}})
    see("autoload", server.get("/props").json["models_autoload"], True)


# --- Zed -------------------------------------------------------------------------------------------------

def test_zed(router, see):
    router.be_loaded("m1").be_unloaded("m2")
    found = states(router.get("/v1/models"))
    see("router", [found["m1"], found["m2"]], ["loaded", "unloaded"])
    props = router.get("/props?model=m1").json
    see("props", {"n_ctx": props["default_generation_settings"]["n_ctx"], "modalities": props["modalities"],
                  "caps": props["chat_template_caps"]},
        {"n_ctx": 512, "modalities": {"vision": False}, "caps": dict})


# --- the web UI ------------------------------------------------------------------------------------------

def test_the_web_ui(router, see):
    router.be_unloaded("m4")
    see("role", router.get("/props?autoload=false").json["role"], "router")
    see("list", router.get("/v1/models").status, 200)
    see("load", router.post("/models/load", {"model": "m4", "extra_args": []}), SUCCESS)
    router.until_status("m4", "loaded")
    see("props", router.get("/props?model=m4&autoload=false").json["default_generation_settings"]["n_ctx"], 512)
    got = router.post("/v1/chat/completions", {"model": "m4", "stream": True, "return_progress": True,
                                               "timings_per_token": True, "reasoning_format": "auto", **CHAT},
                      headers={"X-Conversation-Id": "c-1::m4", "Origin": "http://127.0.0.1:1"})
    see("chat", got.status, 200)
    see("progress", b'"prompt_progress"' in got.body, True)
    see("timings", b'"timings"' in got.body, True)
    see("unload", router.unload("m4"), SUCCESS)
    router.until_status("m4", "unloaded")


# --- llama.vscode ----------------------------------------------------------------------------------------

def test_llama_vscode(router, see):
    router.be_loaded("m1")
    entry = router.get("/v1/models").json["data"][0]
    see("known by", [entry["owned_by"], "meta" in entry], ["llamacpp", True])
    see("health", router.get("/health").json["status"], "ok")
    see("template", router.post("/apply-template", {"model": "m1", **CHAT}), answer(200, {"prompt": str}))
    see("tokenize", router.tokenize("m1"), answer(200, {"tokens": list}))
    see("infill", router.post("/infill", {"model": "m1", "input_prefix": "a", "input_suffix": "b", "prompt": "",
                                          "n_predict": 2, "t_max_predict_ms": 500}), error(501))
    see("embeddings", router.post("/v1/embeddings", {"model": "m1", "input": "hi"}), error(501))


# --- oh-my-pi, VS Code, LibreChat, Continue -----------------------------------------------------------------

def test_oh_my_pi(router, see):
    """It tells servers apart by what they do not have."""
    see("models", router.get("/models").status, 200)
    see("show", router.post("/api/show", {"model": "m1"}), error(404))
    see("tags", router.get("/api/tags"), error(404))
    see("props", router.get("/props").status, 200)


def test_vs_code(router, see):
    got = router.get("/v1/models").json
    see("lists", [sorted(got), isinstance(got["data"], list)], [["data", "object"], True])
    see("chat", router.post("/v1/chat/completions", {"model": "m1", "stream": False, "n": 1, **CHAT}), answer(200))


def test_continue(router, see):
    router.be_loaded("m1")
    got = router.post("/completion", {"model": "m1", "prompt": "hello", "n_predict": 3, "stream": True,
                                      "temperature": 0, "cache_prompt": False, "stop": ["###"]})
    see("frames", got, {"status": 200, "type": "text/event-stream"})


@pytest.mark.parametrize("agent", ["python-requests/2.32", "okhttp/4", "node", "Go-http-client/1.1", ""])
def test_who_asks_does_not_matter(router, see, agent):
    see("health", router.get("/health", headers={"User-Agent": agent, "Accept": "text/html"}), answer(200))


# --- Anthropic's and OpenAI's ways ----------------------------------------------------------------------------

def test_anthropic(guarded, see):
    headers = {"X-Api-Key": "one", "anthropic-version": "2023-06-01"}
    body = {"model": "m1", **CHAT}
    see("message", guarded.post("/v1/messages", body, headers=headers), answer(200, {
        "type": "message", "role": "assistant", "stop_reason": "max_tokens", "content": [{"type": "text"}]}))
    see("count", guarded.post("/v1/messages/count_tokens", body, headers=headers), answer(200, {"input_tokens": int}))
    see("stream", guarded.post("/v1/messages", {**body, "stream": True}, headers=headers).body.count(b"event: "), 8)
    see("unknown", guarded.post("/v1/messages", {**body, "model": "x"}, headers=headers), error(400))
    see("no key", guarded.post("/v1/messages", body), error(401))


def test_openai(guarded, see):
    see("retrieve", guarded.get("/v1/models/m1", headers=KEY).status, 404)
    see("unknown", guarded.post("/v1/chat/completions", {"model": "gpt-4o", **CHAT}, headers=KEY), error(400))
    see("responses", guarded.post("/v1/responses", {"model": "m1", "input": "hi", "max_output_tokens": 3,
                                                    "temperature": 0}, headers=KEY),
        answer(200, {"object": "response", "model": "m1"}))
