# SPDX-License-Identifier: MIT
"""Whether a request loads its model: the server's default, and the request's own `?autoload=`."""
import pytest

from conformance.suite import answer, error

NOT_LOADED = error(400, "model is not loaded", "invalid_request_error")
LOADS = ["true", "1"]
REFUSES = ["false", "0", "no", "yes", "True", "on", "2"]


@pytest.fixture
def tokenize():
    def ask(server, query=""):
        return server.post(f"/tokenize{query}", {"model": "m1", "content": "hi"})
    return ask


def test_on_by_default(start, models, see, tokenize):
    see("tokenize", tokenize(start("--models-dir", models)), answer(200, {"tokens": list}))


def test_off(manual, see, tokenize):
    manual.be_unloaded("m1")
    see("tokenize", tokenize(manual), NOT_LOADED)
    see("status", manual.status("m1"), "unloaded")


@pytest.mark.parametrize("value", LOADS + REFUSES + [""])
def test_a_request_says_otherwise_where_it_is_off(manual, see, tokenize, value):
    manual.be_unloaded("m1")
    see("tokenize", tokenize(manual, f"?autoload={value}"),
        answer(200) if value in LOADS else NOT_LOADED)


@pytest.mark.parametrize("value", LOADS + REFUSES + [""])
def test_a_request_says_otherwise_where_it_is_on(router, see, tokenize, value):
    router.be_unloaded("m1")
    see("tokenize", tokenize(router, f"?autoload={value}"),
        NOT_LOADED if value in REFUSES else answer(200))


def test_a_loaded_model_answers_anyway(manual, see, tokenize):
    manual.be_loaded("m1")
    see("plain", tokenize(manual), answer(200))
    see("refused", tokenize(manual, "?autoload=false"), answer(200))


@pytest.mark.parametrize("path", ["/props", "/slots", "/metrics", "/lora-adapters"])
@pytest.mark.parametrize("value", ["true", "false"])
def test_a_get_says_otherwise(manual, see, path, value):
    manual.be_unloaded("m1")
    got = manual.get(f"{path}?model=m1&autoload={value}")
    see("error", got.json.get("error") if got.status == 400 else None,
        None if value == "true" else {"message": "model is not loaded"})
    see("status", manual.status("m1"), "loaded" if value == "true" else "unloaded")


def test_the_last_of_two_counts(manual, see, tokenize):
    manual.be_unloaded("m1")
    see("tokenize", tokenize(manual, "?autoload=false&autoload=true"), answer(200))


def test_an_unknown_model_is_unknown_all_the_same(manual, see):
    see("tokenize", manual.post("/tokenize?autoload=false", {"model": "nowhere"}),
        error(400, kind="invalid_request_error"))


@pytest.mark.parametrize("option", ["--models-autoload", "--no-models-autoload"])
def test_the_options(start, models, see, tokenize, option):
    server = start("--models-dir", models, option)
    on = option == "--models-autoload"
    see("props", server.get("/props").json["models_autoload"], on)
    see("tokenize", tokenize(server), answer(200) if on else NOT_LOADED)
