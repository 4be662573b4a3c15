# SPDX-License-Identifier: MIT
"""Who may ask."""
import pytest

from conformance.suite import answer, error

REFUSED = error(401, "Invalid API Key", "authentication_error")
KEYS = {
    "none": {}, "bearer": {"Authorization": "Bearer one"}, "the second": {"Authorization": "Bearer two"},
    "x-api-key": {"X-Api-Key": "one"}, "wrong": {"Authorization": "Bearer three"},
    "a part": {"Authorization": "Bearer on"}, "longer": {"Authorization": "Bearer onee"},
    "empty": {"Authorization": "Bearer "}, "both": {"Authorization": "Bearer one,two"},
    "case of the key": {"Authorization": "Bearer ONE"}, "case of the header": {"authorization": "Bearer one"},
    "case of the scheme": {"Authorization": "bearer one"}, "no scheme": {"Authorization": "one"},
    "basic": {"Authorization": "Basic one"}, "x-api-key wrong": {"X-Api-Key": "three"},
    "x-api-key with a scheme": {"X-Api-Key": "Bearer one"},
    "wrong bearer, right x-api-key": {"Authorization": "Bearer three", "X-Api-Key": "one"},
    "right bearer, wrong x-api-key": {"Authorization": "Bearer one", "X-Api-Key": "three"},
    "a blank more": {"Authorization": "Bearer  one"}, "a blank behind": {"Authorization": "Bearer one "}}
RIGHT = {"bearer", "the second", "x-api-key", "case of the header", "no scheme",
         "x-api-key with a scheme", "right bearer, wrong x-api-key", "a blank behind"}
ROUTES = [("GET", "/health"), ("GET", "/v1/health"), ("GET", "/models"), ("GET", "/v1/models"),
          ("GET", "/models?reload=1"), ("GET", "/props"), ("GET", "/props?model=m1"), ("GET", "/slots?model=m1"),
          ("GET", "/metrics?model=m1"), ("GET", "/models/sse"), ("POST", "/models/load"), ("POST", "/models/unload"),
          ("POST", "/models"), ("DELETE", "/models?model=m1"), ("POST", "/v1/chat/completions"),
          ("POST", "/tokenize"), ("GET", "/v1/stream?conv_id=x"), ("POST", "/v1/streams/lookup"),
          ("GET", "/nowhere"), ("HEAD", "/health"), ("HEAD", "/props")]


@pytest.mark.parametrize("headers", KEYS.values(), ids=KEYS)
def test_keys(guarded, see, request, headers):
    name = request.node.callspec.id
    got = guarded.get("/props", headers=headers)
    see("status", got.status, 200 if name in RIGHT else 401)
    if name not in RIGHT:
        see("answer", got, REFUSED)


@pytest.mark.parametrize("method,path", ROUTES)
def test_what_is_public(guarded, see, method, path):
    got = guarded.request(method, path, "{}" if method == "POST" else None)
    see("refused", got.status == 401, path not in ("/health", "/v1/health"))


def test_a_key_in_the_query_is_none(guarded, see):
    see("answer", guarded.get("/props?api_key=one&key=one"), REFUSED)


def test_a_key_is_not_needed_by_default(router, see):
    see("with one", router.get("/props", headers={"Authorization": "Bearer whatever"}).status, 200)


def test_a_request_with_a_key_reaches_the_engine(guarded, see):
    see("answer", guarded.tokenize("m1", headers={"Authorization": "Bearer two"}),
        answer(200, {"tokens": list}))


def test_keys_from_a_file(start, models, see):
    keys = start.file("keys", "three\n\nfour\n")
    server = start("--models-dir", models, "--api-key-file", keys)
    see("statuses", [server.get("/props", headers={"X-Api-Key": k}).status
                     for k in ("three", "four", "", "five", "three\tfour")], [200, 200, 401, 401, 401])


def test_keys_from_both(start, models, see):
    keys = start.file("keys", "three\n")
    server = start("--models-dir", models, "--api-key-file", keys, "--api-key", "one")
    see("statuses", [server.get("/props", headers={"X-Api-Key": k}).status for k in ("three", "one")],
        [200, 200])


def test_a_missing_key_file(start, models, see):
    see("refused", start.fails("--models-dir", models, "--api-key-file", start.folder / "nowhere"), True)


def test_keys_from_the_environment(start, models, see):
    server = start("--models-dir", models, env={"LLAMA_API_KEY": "one,two"})
    see("statuses", [server.get("/props", headers={"X-Api-Key": k}).status for k in ("one", "two", "three")],
        [200, 200, 401])


def test_a_key_is_not_shown(guarded, see):
    listed = guarded.get("/models").body + guarded.get("/models", headers=KEYS["bearer"]).body
    see("shown", b"two" in listed, False)
