# SPDX-License-Identifier: MIT
"""Presets over HTTP: reading the file, checking a text, writing it."""
import os
import stat

import pytest

from conftest import until
from wire import FAKE_ENGINE, is_json_error

PRESETS = "/hostler/v1/presets"
TEXT = "; all\n[*]\nctx-size = 256\n\n[m1]\nttl = 5m\nalias = first\n"


@pytest.fixture
def start(hostler, models, tmp_path):
    def call(text=TEXT, *args, **kw):
        path = tmp_path / "p.ini"
        path.write_bytes(text.encode())
        server = hostler("--models-dir", models, "--models-preset", path, *args, **kw)
        server.preset = path
        return server
    return call


@pytest.fixture(scope="module")
def server(module_hostler, models, tmp_path_factory):
    """For tests that do not change the file."""
    path = tmp_path_factory.mktemp("presets") / "p.ini"
    path.write_text(TEXT, encoding="utf-8")
    return module_hostler("--models-dir", models, "--models-preset", path)


def check(server, text):
    answer = server.post(PRESETS + "/check", {"text": text})
    assert answer.status == 200, answer.body
    return answer.json


def put(server, text, etag=None, **kw):
    etag = server.get(PRESETS).json["etag"] if etag is None else etag
    return server.request("PUT", PRESETS, {"text": text, "etag": etag}, **kw)


def lines(found):
    return [(p["line"], p.get("section")) for p in found]


def test_the_file_is_told(server):
    told = server.get(PRESETS).json
    assert told["text"] == TEXT and told["writable"] and told["why"] is None and told["etag"]
    assert told["path"].endswith("/p.ini") and told["problem"] is None and told["in_effect"]
    assert told["sections"] == [
        {"name": "*", "line": 2, "keys": [{"key": "ctx-size", "value": "256", "line": 3}]},
        {"name": "m1", "line": 5, "keys": [{"key": "ttl", "value": "5m", "line": 6},
                                           {"key": "alias", "value": "first", "line": 7}]}]


@pytest.mark.parametrize("text,where,what", [
    ("x = 1\n", (1, None), "before any section"),
    ("[*]\nctx-sze = 1\n", (2, "*"), "did you mean 'ctx-size'"),
    ("[m1]\n\nctx-sze = 1\n", (3, "m1"), "did you mean 'ctx-size'"),
    ("[m1]\nttl = soon\n", (2, "m1"), "write 90, 90s, 5m"),
    ("[m1\n", (1, None), "write [NAME]"),
    ("[m1]\nnonsense\n", (2, "m1"), "neither [SECTION] nor KEY = VALUE"),
    ("[m1]\n--ctx-size = 3\n", (2, "m1"), "without its dashes"),
    ("[*]\nalias = a\n", (2, "*"), "would name every model"),
    ("[m1]\nalias = m2\n", (2, "m1"), "is a name of model 'm2' already"),
    ("[m1]\nalias = x\n[m2]\nctx-size = 7\nalias = y, x\n", (5, "m2"), "already (line 2)"),
    ("[m1]\ntags = a\nctx-size = many\n", (3, "m1"), "no number of its range"),
    ("[m1]\nc = many\n", (2, "m1"), "no number of its range"),
    ("[m1]\n[m2]\ncache-type-k = q99\n", (3, "m2"), "refuses 'q99'"),
    ("[*]\nLLAMA_ARG_CTX_SIZE = many\n", (2, "*"), "no number of its range"),
    ("[m1]\nttl = 1\x02\n", (2, "m1"), "control characters"),
])
def test_a_mistake_has_its_line(server, text, where, what):
    found = check(server, text)
    assert not found["ok"] and lines(found["problems"]) == [where]
    assert what in found["problems"][0]["message"] and "p.ini" not in found["problems"][0]["message"]
    refused = put(server, text)
    assert refused.status == 400 and refused.error["problems"] == found["problems"]
    assert f"line {where[0]}: " in refused.error["message"]
    assert server.get(PRESETS).json["text"] == TEXT


def test_all_mistakes_are_told_in_order(server):
    found = check(server, "a = 1\n[m1]\nb-b = 1\nttl = never\n[*]\nport = 1\nc-c = 2\n[m2]\nd\n[m1]\ntemp = 'x\n")
    assert lines(found["problems"]) == [(1, None), (3, "m1"), (4, "m1"), (7, "*"), (9, "m2")]
    assert lines(found["warnings"]) == [(6, "*"), (10, "m1"), (11, "m1")]
    assert found["changes"] == []
    many = check(server, "[m1]\n" + "x-x = 1\n" * 5000)
    assert len(many["problems"]) == 100


@pytest.mark.parametrize("text,changes", [
    (TEXT, {}), (TEXT + "\n; a comment\n", {}), ("", {"m1": "replaced", "m2": "replaced", "m3": "replaced", "m4": "replaced"}),
    (TEXT + "ctx-size = 512\n", {"m1": "replaced"}), (TEXT.replace("5m", "6m"), {"m1": "settings"}),
    (TEXT.replace("first", "second"), {"m1": "settings"}), (TEXT + "env = A=b\n", {"m1": "replaced"}),
    (TEXT.replace("ttl = 5m\n", ""), {"m1": "settings"}), (TEXT + "[new]\nmodel = /nowhere.gguf\n", {"new": "added"})])
def test_what_would_change(server, text, changes):
    found = check(server, text)
    assert found["ok"] and {c["model"]: c["change"] for c in found["changes"]} == changes


def test_a_check_changes_nothing(server):
    status = server.get(PRESETS).json
    check(server, TEXT + "ctx-size = 512\nlog-file = /nowhere/log\n")
    assert server.get(PRESETS).json == status
    assert "512" not in str(server.models()["m1"]["status"]["args"])


def test_a_text_is_written_and_takes_effect(start):
    server = start(TEXT + "[gone]\nmodel = /nowhere.gguf\n")
    new = TEXT.replace("256", "512").replace("\n", "\r\n") + "[more]\nmodel = /else.gguf\n"
    answer = put(server, new)
    assert answer.status == 200, answer.body
    assert {c["model"]: c["change"] for c in answer.json["changes"]} == {
        "gone": "removed", "more": "added", **{f"m{n}": "replaced" for n in range(1, 5)}}
    assert server.preset.read_bytes() == new.encode()
    models = server.models()
    assert "more" in models and "gone" not in models and "512" in models["m1"]["status"]["args"]
    told = server.get(PRESETS).json
    assert told["etag"] == answer.json["etag"] and told["text"] == new and told["in_effect"]
    assert "was written by PUT /hostler/v1/presets from 127.0.0.1" in server.log()


def test_an_engine_whose_arguments_change_is_replaced(start):
    server = start(engine=FAKE_ENGINE)
    assert server.tokenize("m1").status == server.tokenize("m2").status == 200
    before = {name: e["pid"] for name, e in server.engines().items()}
    assert put(server, TEXT + "ctx-size = 512\n").status == 200
    until(lambda: server.tokenize("m1").status == 200 and server.engines()["m1"]["pid"] != before["m1"])
    assert server.engines()["m2"]["pid"] == before["m2"]


def test_who_has_an_older_text_does_not_write(start):
    server = start()
    etag = server.get(PRESETS).json["etag"]
    server.preset.write_text(TEXT + "; edited\n", encoding="utf-8")
    told = server.get(PRESETS).json
    assert told["etag"] != etag and not told["in_effect"]
    refused = put(server, "[m1]\n", etag)
    assert "changed since it was read" in is_json_error(refused, 409)
    assert server.preset.read_text(encoding="utf-8") == TEXT + "; edited\n"
    assert put(server, "[m1]\n", told["etag"]).status == 200


def test_a_file_that_went_away_and_comes_back(start):
    server = start()
    server.preset.unlink()
    told = server.get(PRESETS).json
    assert told["writable"] and told["etag"] == told["text"] == "" and "No such file" in told["problem"]
    assert put(server, "[m2]\n", "x").status == 409
    assert put(server, "[m2]\n", "").status == 200
    assert server.preset.read_text(encoding="utf-8") == "[m2]\n"


def test_mode_owner_and_links_stay(start, tmp_path):
    server = start()
    real = tmp_path / "real" / "presets"
    real.parent.mkdir()
    server.preset.rename(real)
    server.preset.symlink_to("real/presets")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 12345, 23456)
    before = real.stat()
    assert put(server, "[m1]\n").status == 200
    after = real.stat()
    assert server.preset.is_symlink() and real.read_text(encoding="utf-8") == "[m1]\n"
    assert stat.S_IMODE(after.st_mode) == 0o640 and after.st_ino != before.st_ino
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert os.listdir(real.parent) == ["presets"]


def refuses_to_write(server, why):
    told = server.get(PRESETS).json
    assert not told["writable"] and why in told["why"]
    assert why in is_json_error(put(server, "[m1]\n"), 403)


def test_what_is_no_file_is_not_written(start):
    server = start()
    server.preset.unlink()
    server.preset.mkdir()
    refuses_to_write(server, "cannot read the presets")


def test_text_that_json_cannot_carry_is_not_edited(start):
    server = start()
    server.preset.write_bytes(b"; \xe4\n[m1]\n")
    refuses_to_write(server, "not UTF-8")
    server.preset.write_text("; x\n" * 300_000, encoding="utf-8")
    refuses_to_write(server, "larger than 768 KiB")
    assert server.get(PRESETS).json["text"] == ""


def test_too_large_a_text_is_refused(server):
    assert "too large" in is_json_error(put(server, "; x\n" * 200_000), 400)
    assert put(server, "; x\n" * 500_000).status == 413


@pytest.mark.skipif(os.system("unshare --mount true 2>/dev/null") != 0, reason="needs a mount namespace of its own (unshare --mount)")
def test_a_file_that_is_mounted_by_itself_is_not_replaced(start, tmp_path):
    server = start(TEXT, launcher=["unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$0" && exec "$@"', tmp_path / "p.ini"])
    refuses_to_write(server, "mount its folder")


def test_without_a_file_of_presets(hostler, models):
    server = hostler("--models-dir", models)
    told = server.get(PRESETS).json
    assert told["path"] is None and not told["writable"] and "--models-preset" in told["why"]
    assert "--models-preset" in is_json_error(put(server, "", ""), 403)
    assert check(server, "[m1]\nctx-size = 3\n")["changes"] == [{"model": "m1", "change": "replaced"}]


def test_in_classic_mode(hostler, models):
    server = hostler("--model", models / "m1.gguf")
    assert "no presets" in server.get(PRESETS).json["why"]
    assert put(server, "", "").status == 403
    assert server.post(PRESETS + "/check", {"text": ""}).status == 400


@pytest.mark.parametrize("body", [{}, {"text": 1, "etag": ""}, {"text": "", "etag": None}, {"text": "a\0b", "etag": ""},
                                  {"text": "", "etag": "", "force": True}], ids=repr)
def test_bodies_that_are_refused(server, body):
    is_json_error(server.request("PUT", PRESETS, body), 400)


def test_only_a_key_may(hostler, models, tmp_path):
    path = tmp_path / "p.ini"
    path.write_text(TEXT, encoding="utf-8")
    server = hostler("--models-dir", models, "--models-preset", path, "--api-key", "k")
    for method, route in (("GET", PRESETS), ("PUT", PRESETS), ("POST", PRESETS + "/check")):
        assert server.request(method, route, {"text": ""}).status == 401
    assert put(server, "[m1]\n", server.get(PRESETS, headers={"X-Api-Key": "k"}).json["etag"],
               headers={"X-Api-Key": "k"}).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_write_none_without_a_key(hostler, models, tmp_path, host):
    path = tmp_path / "p.ini"
    path.write_text(TEXT, encoding="utf-8")
    server = hostler("--models-dir", models, "--models-preset", path, "--host", host)
    told = server.get(PRESETS).json
    assert not told["writable"] and "--api-key-file" in told["why"]
    is_json_error(put(server, "[m1]\n", told["etag"]), 403)
    assert path.read_text(encoding="utf-8") == TEXT


def test_a_foreign_page_may_not(server):
    foreign = {"Origin": "https://evil.example", "Content-Type": "application/json"}
    assert server.get(PRESETS, headers=foreign).status == 403
    assert put(server, "[m1]\n", headers=foreign).status == 403


def test_many_write_at_once(start):
    """One of those who read the same text writes, the others are told."""
    from concurrent.futures import ThreadPoolExecutor
    server = start()
    etag = server.get(PRESETS).json["etag"]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: put(server, f"[m1]\nctx-size = {n + 1}\n", etag).status, range(12)))
    assert answers.count(200) == 1 and set(answers) <= {200, 409, 503}
    assert server.preset.read_text(encoding="utf-8").startswith("[m1]\n")
