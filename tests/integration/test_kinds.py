# SPDX-License-Identifier: MIT
"""Two kinds of engines in one daemon: llama-server, and the scripts of tests/kind. What such a kind needs is in
that folder alone; this build of hostler differs from the other one in nothing else."""
import json

import pytest

import conftest
from background import background
from conftest import PATIENCE, SAN, until

SCRIPT = '''
import http.server, json, os, socketserver, sys, time
asked = 0
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        global asked
        asked += 1
        if self.path == "/never" or self.path == "/slow" and asked < 3:
            self.answer(503, {})
        else:
            self.answer(200, {"path": self.path, "folder": os.getcwd(), "asked": asked})
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"exit" in body:
            print("MemoryError: no room", file=sys.stderr, flush=True)
            os._exit(1)
        while b"wait" in body and not os.path.exists(os.path.join(os.path.dirname(sys.argv[0]), "go")):
            time.sleep(0.01)
        self.answer(200, {"path": self.path, "kind": os.environ.get("KIND"), "mine": os.environ.get("MINE"),
                          "llama": os.environ.get("LLAMA_ARG_HOST"), "spent": {"words": 3}})
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''


@pytest.fixture
def start(hostler, models, tmp_path, monkeypatch):
    """start(text, *args): a daemon that knows both kinds, with m1 to m4 and the model `speech`."""
    monkeypatch.setattr(conftest, "HOSTLER", SAN / "hostler_kinds")
    script = tmp_path / "speech.py"
    script.write_text(SCRIPT, encoding="utf-8")

    def call(text="", *args):
        path = tmp_path / "p.ini"
        path.write_text(f"[speech]\nscript = {script}\n{text}", encoding="utf-8")
        server = hostler("--models-dir", models, "--models-preset", path, *args)
        server.preset = path
        return server
    return call


def transcribe(server, model="speech", **more):
    return server.post("/v1/audio/transcriptions?x=1", {"model": model, **more})


def test_it_is_a_model_like_others(start):
    server = start("env = MINE=yes\nalias = ear\nttl = 0\n")
    assert server.models()["speech"]["status"]["value"] == "unloaded"
    answer = transcribe(server, "ear")
    assert answer.status == 200, answer.body
    assert answer.json["path"] == "/inference?x=1"
    assert (answer.json["kind"], answer.json["mine"], answer.json["llama"]) == ("script", "yes", None)
    assert server.tokenize("m1").status == 200
    assert server.loaded() == ["m1", "speech"]
    used = {r["model"]: r["tokens"] for r in server.get("/hostler/v1/requests").json["requests"]}
    assert used["speech"] == 3
    shown = server.get("/hostler/v1/show?model=speech").json
    assert [a["option"] for a in shown["arguments"]] == ["--script"]
    assert shown["footprint"]["estimated"]["memory"]["host"] == 40 << 20
    assert server.post("/models/unload-all", {}).status == 200
    assert server.loaded() == []


def test_each_kind_serves_its_own_routes(start):
    server = start()
    answer = server.post("/v1/chat/completions", {"model": "speech", "messages": []})
    assert answer.status == 404
    assert "model 'speech' has no route POST /v1/chat/completions" in answer.error["message"]
    assert server.loaded() == []
    voices = server.get("/v1/voices?model=speech")
    assert (voices.status, voices.json["path"]) == (200, "/v1/voices?model=speech")
    refused = server.get("/v1/voices?model=m1")
    assert refused.status == 404 and "has no route GET /v1/voices" in refused.error["message"]
    assert server.get("/v1/voices").status == 400


def test_paths_and_folder_of_one_model(start, tmp_path):
    server = start(f"check = /slow\nfolder = {tmp_path}\ninference = /run\n")
    assert transcribe(server).json["path"] == "/run?x=1"
    pid = server.engines()["speech"]["pid"]
    engine = server.get("/hostler/v1/show?model=speech").json
    assert {a["option"]: a["value"] for a in engine["arguments"]}["--check"] == "/slow"
    server.preset.write_text(server.preset.read_text().replace("/run", "/other"), encoding="utf-8")
    assert server.get("/models?reload=1").status == 200
    until(lambda: transcribe(server).json["path"] == "/other?x=1", what="the new path")
    assert server.engines()["speech"]["pid"] == pid


def test_an_engine_keeps_its_own_paths_until_it_is_replaced(start, tmp_path):
    """Another folder is another process, which is not ready yet; the old one has a request."""
    server = start("inference = /run\n")
    held = background(transcribe, server, what="wait")
    until(lambda: server.engines().get("speech", {}).get("requests"), what="the first request's grant")
    pid = server.engines()["speech"]["pid"]
    server.preset.write_text(server.preset.read_text().replace("/run", "/other") +
                             f"folder = {tmp_path}\ncheck = /never\n", encoding="utf-8")
    assert server.get("/models?reload=1").status == 200
    until(lambda: any(e["pid"] != pid for e in server.get("/hostler/v1/status").json["engines"]),
          what="its replacement")
    assert transcribe(server).json["path"] == "/run?x=1"
    (tmp_path / "go").touch()
    assert held.result(PATIENCE).json["path"] == "/run?x=1"


def test_a_command_is_run_when_it_stops(start, tmp_path):
    note, command = tmp_path / "note", tmp_path / "stop"
    command.write_text(f'#!/bin/sh\necho "$1 $MINE" >>{note}\n', encoding="utf-8")
    command.chmod(0o700)
    server = start(f"stop = {command} engine=${{PID}}\nenv = MINE=yes\n")
    assert transcribe(server).status == 200
    pid = server.engines()["speech"]["pid"]
    assert server.post("/models/unload-all", {}).status == 200
    until(lambda: note.exists() and note.read_text(), what="the stop command")
    assert transcribe(server).status == 200
    other = server.engines()["speech"]["pid"]
    assert server.stop() == 0  # waits for the command
    assert note.read_text().splitlines() == [f"engine={pid} yes", f"engine={other} yes"]


def test_a_stop_command_that_cannot_be_run(start):
    server = start("stop = /nonexistent/stop\n")
    assert transcribe(server).status == 200
    assert server.post("/models/unload-all", {}).status == 200
    assert "cannot start /nonexistent/stop" in server.log()


def test_they_evict_each_other(start):
    server = start("", "--models-max", "1")
    for _ in range(2):
        assert transcribe(server).status == 200
        assert server.loaded() == ["speech"]
        assert server.tokenize("m1").status == 200
        assert server.loaded() == ["m1"]


def test_a_crash_is_explained_with_its_log(start):
    server = start()
    answer = transcribe(server, what="exit")
    assert answer.status == 502
    assert "exited with code 1" in answer.error["message"]
    assert "MemoryError: no room" in answer.error["log"]
    assert transcribe(server).status == 200


def test_estimates_with_options_are_the_other_kinds(start):
    server = start()
    assert server.get("/hostler/v1/estimate?model=speech").json["memory"]["host"] == 40 << 20
    answer = server.get("/hostler/v1/estimate?model=speech&ctx-size=5")
    assert answer.status == 400 and "no option that changes the memory" in answer.error["message"]


def test_mistakes_in_a_section_are_told(start):
    server = start()
    server.preset.write_text("[speech]\nscript = /x\nctx-size = 5\n", encoding="utf-8")
    answer = server.get("/models?reload=1")
    assert answer.status >= 400 and "line 3: ctx-size: no such key" in json.dumps(answer.json)
    assert transcribe(server).status == 200
