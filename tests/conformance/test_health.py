# SPDX-License-Identifier: MIT
"""The routes that tell how the server is, and what is no route."""
import pytest

from conformance.suite import ANY, Exactly, answer, error


@pytest.mark.parametrize("path", ["/health", "/v1/health", "/health?x=1"])
def test_health(router, see, path):
    see("health", router.get(path), answer(200, Exactly({"status": "ok"})))


@pytest.mark.parametrize("path", ["/health", "/models", "/v1/models", "/props"])
def test_head(router, see, path):
    """As GET, without the body."""
    head = router.request("HEAD", path)
    see("head", {"status": head.status, "type": head.headers.get("content-type"),
                 "body": head.body}, {"status": 200, "body": ""})


def test_props(router, see):
    see("props", router.get("/props"), answer(200, {
        "role": "router", "max_instances": 4, "models_autoload": True,
        "model_alias": "llama-server", "model_path": "none",
        "default_generation_settings": Exactly({"params": None, "n_ctx": 0}),
        "build_info": str, "ui_settings": ANY}))


def test_props_tell_of_options(start, models, see):
    server = start("--models-dir", models, "--models-max", "2", "--no-models-autoload")
    see("props", server.get("/props"), answer(200, {"max_instances": 2, "models_autoload": False}))


def test_props_of_no_limit(start, models, see):
    server = start("--models-dir", models, "--models-max", "0")
    see("props", server.get("/props"), answer(200, {"max_instances": 0}))


@pytest.mark.parametrize("model", ["", "&autoload=false"])
def test_props_with_an_empty_model_are_the_routers(router, see, model):
    see("props", router.get(f"/props?model={model}"), answer(200, {"role": "router"}))


@pytest.mark.parametrize("method,path", [
    ("GET", "/nowhere"), ("GET", "/v1"), ("GET", "/v1/"), ("POST", "/nowhere"), ("GET", "/models/"),
    ("GET", "/models/m1"), ("GET", "/v1/models/unknown"), ("DELETE", "/nowhere"),
    ("GET", "//health"), ("GET", "/HEALTH"), ("POST", "/v1/models/load"), ("POST", "/v1/models/unload"), ("GET", "/v1/models/sse")])
def test_no_such_route(router, see, method, path):
    see("answer", router.request(method, path, body=None if method == "GET" else "{}"),
        error(404, kind="not_found_error"))


@pytest.mark.parametrize("method,path", [
    ("POST", "/health"), ("POST", "/v1/health"), ("DELETE", "/health"), ("PUT", "/models/load"),
    ("GET", "/models/load"), ("GET", "/models/unload"), ("GET", "/v1/chat/completions"),
    ("GET", "/tokenize"), ("POST", "/metrics"), ("DELETE", "/props"), ("POST", "/models/sse"),
    ("PUT", "/models"), ("PATCH", "/models"), ("POST", "/v1/models")])
def test_another_method(router, see, method, path):
    see("answer", router.request(method, path, body=None if method == "GET" else "{}"),
        error(404, kind="not_found_error"))
