# SPDX-License-Identifier: MIT
"""--access-log: a line for each request, no secret in it, and nobody waits for its disk. And the log's level, changed while the
server runs."""
import json
import os
import re
import signal
import subprocess
import threading

import pytest
from conftest import HOSTLER, clean_env, until
from figures import scrape
from wire import Wire, chat, open_stream, read_events

CHAT = "/v1/chat/completions"


@pytest.fixture
def start(hostler, models, tmp_path):
    def start(*args, file=tmp_path / "access.log"):
        server = hostler("--models-dir", models, "-c", "512", "--access-log", file, *args)
        server.access = file
        return server
    return start


def lines(server, n=1):
    """The first `n` lines, once they are there."""
    def written():
        found = server.access.read_text(encoding="utf-8").splitlines()
        return len(found) >= n and found
    return until(written, what=f"{n} lines of the access log")


def entries(server, n=1):
    return [json.loads(line) for line in lines(server, n)]


def test_a_line_for_each_request(start):
    server = start()
    answer = server.post(CHAT, chat("m1", max_tokens=3), headers={"User-Agent": 'a "quoted" one\\'})
    server.get("/health?key=secret")
    server.get("/nowhere/else")
    server.post(CHAT, chat("nobody"))
    e = {(x["method"], x["path"], x["status"]): x for x in entries(server, 4)}
    one = e["POST", CHAT, 200]
    assert one["route"] == CHAT and one["model"] == "m1" and one["api"] == "openai" and one["end"] == "answered"
    assert one["bytes_out"] == len(answer.body) and one["bytes_in"] > 0
    assert one["tokens"] == answer.json["usage"]["completion_tokens"] == 3
    assert one["prompt_tokens"] == answer.json["usage"]["prompt_tokens"]
    assert one["loaded"] is True and one["queue_ms"] <= one["first_byte_ms"] <= one["duration_ms"]
    assert one["user_agent"] == 'a "quoted" one\\'
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
    health = e["GET", "/health", 200]
    assert "model" not in health and health["route"] == "/health" and health["bytes_out"] == len('{"status":"ok"}')
    assert e["GET", "/nowhere/else", 404]["route"] == "other"
    refused = e["POST", CHAT, 400]
    assert refused["end"] == "refused" and refused["error"] == "not_found" and refused["bytes_out"] > 0
    assert "secret" not in server.access.read_text(encoding="utf-8")


def test_no_secret_is_in_it(start, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("topsecret\n", encoding="utf-8")
    server = start("--api-key-file", keys)
    server.post(CHAT + "?api_key=topsecret", chat("m1", max_tokens=1),
                headers={"Authorization": "Bearer topsecret", "Cookie": "a=topsecret", "Referer": "http://x/?topsecret"})
    server.get("/models", headers={"X-Api-Key": "topsecret"})
    server.get("/models", headers={"Authorization": "Bearer wrongsecret"})
    e = entries(server, 3)
    assert [x["status"] for x in e[-3:]] == [200, 200, 401]
    assert e[-3]["key"] and e[-1]["key"] is None
    assert "secret" not in server.access.read_text(encoding="utf-8")


def test_the_combined_format(start):
    server = start("--access-log-format", "combined")
    answer = server.get("/health", headers={"User-Agent": 'a "b\\ c'})
    found = lines(server)[-1]
    assert re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] '
                        r'"GET /health HTTP/1\.1" 200 %d "-" "a \\"b\\\\ c"' % len(answer.body), found), found


HOSTILE = [("GET", '/x"%0a%0d%1b[2J\\', "plain"), ("GET", "/health", 'a" 200 9 "\t\x80\xff'), ("GET", "/h\xe4\xff", "é"),
           ("GET", "/" + "x" * 9000, "y" * 9000), ("GET", "/<script>alert(1)</script>", "<b>\u00e2\u0080\u00a8")]


@pytest.mark.parametrize("form", ["json", "combined"])
def test_what_clients_send_forges_no_line(start, form):
    """Header fields and paths with quotes, control characters and bytes that are no UTF-8; those that are no HTTP have an answer, too."""
    server = start("--access-log-format", form)
    for method, path, agent in HOSTILE:
        wire = Wire(server).ask(method, path, User_Agent=agent)
        assert wire.head().status in (200, 400, 404, 414, 431), path[:40]
        wire.close()
    server.get("/health", headers={"User-Agent": "the last"})
    until(lambda: b"the last" in server.access.read_bytes(), what="the last line")
    written = server.access.read_bytes()
    found = written.decode().split("\n")[:-1]  # U+2028 ends no line of a log
    assert len(found) == len(HOSTILE) + 1
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", written) and max(map(len, found)) < 20000
    for line in found:
        if form == "json":
            json.loads(line)
        else:
            assert re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "(?:[^"\\]|\\.)*" \d{3} (?:\d+|-) "-" "(?:[^"\\]|\\.)*"', line), line


def test_one_whose_client_leaves(start):
    server = start()
    connection, response = open_stream(server, "m1", max_tokens=400, ignore_eos=True)
    read_events(response, 2)
    response.close()
    connection.close()
    gone = until(lambda: [x for x in entries(server, 1) if x["path"] == CHAT])[0]
    assert gone["end"] in ("client_gone", "answered")  # it may have been as quick
    if gone["end"] == "client_gone":
        assert gone["error"] == "client_gone"


def test_bytes_that_are_no_http(start):
    server = start()
    wire = Wire(server)
    wire.send(b"nonsense \x00\xff\r\n\r\n")
    wire.head()
    wire.close()
    bad = entries(server)[-1]
    assert bad["status"] == 400 and bad["path"] is None and bad["client"].startswith("127.0.0.1:")


def test_it_is_rotated(start):
    server = start()
    server.get("/health")
    lines(server)
    old = server.access.rename(server.access.with_suffix(".1"))
    server.process.send_signal(signal.SIGHUP)
    until(server.access.exists, what="the new file")

    def is_used():
        server.get("/health")
        return server.access.stat().st_size
    until(is_used)
    assert all(json.loads(line) for line in old.read_text(encoding="utf-8").splitlines())


def test_a_folder_that_cannot_be_written_any_more(start, tmp_path):
    """SIGHUP finds no folder there: the file that is open goes on, the log says why, and the next SIGHUP finds it again."""
    folder, away = tmp_path / "logs", tmp_path / "away"
    folder.mkdir()
    server = start(file=folder / "a.log")
    server.get("/health")
    lines(server)
    folder.rename(away)
    folder.write_text("no folder", encoding="utf-8")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "a.log" in server.log() and "Not a directory" in server.log())
    server.access = away / "a.log"
    before = len(lines(server))
    server.get("/health")
    lines(server, before + 1)
    folder.unlink()
    away.rename(folder)
    server.access = (folder / "a.log").rename(folder / "old.log") and folder / "a.log"
    server.process.send_signal(signal.SIGHUP)
    until(server.access.exists, what="the new file")
    assert server.stop() == 0


def test_a_full_disk_holds_nobody_up(start):
    server = start(file="/dev/full")
    for _ in range(20):
        assert server.get("/health").status == 200
    until(lambda: scrape(server).value("hostler_log_lines_dropped_total", sink="access"))
    assert "No space left on device" in server.get("/hostler/v1/status").json["log"]["access"]["error"]


def test_a_reader_that_stalls_holds_nobody_up(start, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    server = start(file=pipe)
    agent = {"User-Agent": "x" * 70}

    def ask():
        for _ in range(1500):
            server.get("/health", headers=agent)
    threads = [threading.Thread(target=ask) for _ in range(4)]  # a pipe and a queue of 1 MiB are full after that
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    dropped = until(lambda: scrape(server).value("hostler_log_lines_dropped_total", sink="access"))
    assert server.get("/hostler/v1/status").json["log"]["access"]["dropped"] >= dropped
    os.set_blocking(reader, True)
    assert json.loads(os.read(reader, 4096).split(b"\n")[0])["path"] == "/health"
    os.close(reader)


def test_a_file_that_cannot_be_opened(hostler, models, tmp_path):
    server = hostler("--models-dir", models, "--access-log", tmp_path / "none" / "a.log", wait=False)
    assert server.process.wait(60) == 1
    assert "cannot write the log to" in server.log() and "a.log" in server.log()


# --- the log's level ---------------------------------------------------------------------------------

def run(server, *args):
    done = subprocess.run([HOSTLER, "--url", f"http://127.0.0.1:{server.port}", "log-level", *args], capture_output=True,
                          text=True, env=clean_env(), check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_level_changes_while_it_runs(hostler, models):
    server = hostler("--models-dir", models, "-c", "512")
    assert run(server) == (0, "info\n")
    assert run(server, "debug") == (0, "debug\n")
    assert server.get("/hostler/v1/log-level").json == {"level": "debug"}
    assert "the log's level is debug from now on: POST /hostler/v1/log-level" in server.log()
    assert run(server, "error") == (0, "error\n")
    before = server.log()
    assert server.tokenize("m1").status == 200
    assert server.log() == before
    assert json.loads(run(server, "--json", "info")[1]) == {"level": "info"}


def test_levels_that_are_none(hostler, models):
    server = hostler("--models-dir", models, "--api-key", "k")
    headers = {"Authorization": "Bearer k"}
    for body in ({}, {"level": "loud"}, {"level": 3}, {"level": "info", "more": 1}, []):
        assert server.post("/hostler/v1/log-level", body, headers=headers).status == 400
    assert server.get("/hostler/v1/log-level").status == server.post("/hostler/v1/log-level", {"level": "debug"}).status == 401
    assert server.get("/hostler/v1/log-level", headers=headers).json == {"level": "info"}
