# SPDX-License-Identifier: MIT
"""The log's readers cannot hold the daemon up, and learn what they missed."""
import json
import os
import re
import resource

import pytest
from background import background
from conftest import PATIENCE, until, answers
from wire import FAKE_ENGINE, Wire, fake_models, memory_of

DROPPED = re.compile(r"(\d+) lines were dropped because the log could not be written")
LINES = 4000  # of 1 KiB each: more than a pipe (64 KiB) and the queue (1 MiB) take


def read_fifo(fd, wanted):
    """What comes until `wanted` (a regular expression) is in it."""
    text = ""

    def more():
        nonlocal text
        text += os.read(fd, 1 << 20).decode(errors="replace")
        return re.search(wanted, text)

    until(more, what=f"{wanted} in the log")
    return text


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_stderr_that_nobody_reads(hostler, tmp_path, form):
    fifo = tmp_path / "stderr"
    os.mkfifo(fifo)
    server = hostler("--models-dir", fake_models(tmp_path / "m", a={"log_lines": LINES}), "--log-format", form,
                     engine=FAKE_ENGINE, wait=False, unix=True,
                     launcher=("sh", "-c", 'exec 2<>"$0"; exec "$@"', fifo))
    server.socket = tmp_path / "h0.sock"
    until(lambda: answers(server), what="the daemon's answer")
    assert server.tokenize("a").status == 200
    log = server.get("/hostler/v1/logs?lines=1000000").body.decode()
    assert f"line {LINES - 1} " in log  # the daemon itself forgot nothing
    assert server.get("/health").status == 200

    fd = os.open(fifo, os.O_RDONLY)
    text = read_fifo(fd, DROPPED)
    written = [int(n) for n in re.findall(r"line (\d+) x", text)]
    assert written == list(range(len(written)))  # from the first on, in order, and none of those behind
    assert 0 < len(written) < LINES
    assert LINES - len(written) <= int(DROPPED.search(text)[1]) < LINES
    if form == "json":
        assert all(json.loads(line)["message"] for line in text.splitlines())
    server.post("/models/hold", {"model": "a"})
    read_fifo(fd, "a is held")
    stopped = background(server.stop)
    read_fifo(fd, "all engines are gone")
    assert stopped.result(PATIENCE) == 0
    os.close(fd)


def test_it_ends_though_nobody_reads_stderr(hostler, tmp_path):
    fifo = tmp_path / "stderr"
    os.mkfifo(fifo)
    server = hostler("--models-dir", fake_models(tmp_path / "m", a={"log_lines": LINES}), engine=FAKE_ENGINE,
                     wait=False, unix=True, launcher=("sh", "-c", 'exec 2<>"$0"; exec "$@"', fifo))
    server.socket = tmp_path / "h0.sock"
    until(lambda: answers(server), what="the daemon's answer")
    assert server.tokenize("a").status == 200
    assert server.stop() == 0


def test_a_log_file_on_a_full_disk(hostler, cli, tmp_path):
    """A limit on a file's size stands in for the disk: write() fails the same way."""
    def grow_to(n):
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (n, resource.RLIM_INFINITY))

    file = tmp_path / "a.log"
    server = hostler("--models-dir", fake_models(tmp_path / "m", a={"log_lines": 100}), "--log-file", file,
                     engine=FAKE_ENGINE)
    begun = file.stat().st_size
    grow_to(0)
    assert server.tokenize("a").status == 200
    assert not server.is_writing_log() or until(lambda: not server.is_writing_log())
    assert file.stat().st_size == begun

    told = server.get("/hostler/v1/status").json["log"]["file"]
    assert told == {"path": str(file), "dropped": told["dropped"], "error": "File too large"} and told["dropped"] >= 100
    findings = json.loads(cli("doctor", "--json", server=server).stdout)["findings"]
    finding, = [f for f in findings if f["check"] == "log" and str(file) in f["what"]]
    assert finding["level"] == "wrong" and "File too large" in finding["what"] and "lines were dropped" in finding["evidence"]
    server.post("/models/hold", {"model": "a"})
    until(lambda: "cannot write the log file: File too large" in server.get("/hostler/v1/logs?lines=1000").body.decode())
    server.post("/models/release", {"model": "a"})

    grow_to(resource.RLIM_INFINITY)
    server.post("/models/hold", {"model": "a"})
    text = until(lambda: "a is held" in file.read_text() and file.read_text())
    assert int(DROPPED.search(text)[1]) >= 100
    assert text.index("dropped") < text.index("a is held")
    told = server.get("/hostler/v1/status").json["log"]["file"]
    assert told["error"] is None and told["dropped"] >= 100
    assert server.stop(PATIENCE) == 0


def test_logs_that_are_asked_for_and_not_read(hostler, tmp_path):
    """Each such answer was made as a whole, of up to 8 MiB, and waited in memory."""
    server = hostler("--models-dir", fake_models(tmp_path / "m", a={"log_lines": LINES}), engine=FAKE_ENGINE)
    assert server.tokenize("a").status == 200
    target = f"/hostler/v1/logs?lines={LINES}"
    before = memory_of(server.pid)
    readers = []
    for _ in range(60):
        readers.append(Wire(server, receive_buffer=4096).ask("GET", target))
        assert readers[-1].head().status == 200
    assert memory_of(server.pid) - before < 60
    whole = server.get(target).body.decode().splitlines()
    assert len(whole) == LINES and re.search(f"line {LINES - 1} ", "".join(whole[-40:]))
    slow = b"".join(readers[0].chunks()).decode().splitlines()
    assert slow[-1] == whole[-1]  # it missed none, since none came meanwhile
    assert slow == whole
    for reader in readers:
        reader.close()
    with Wire(server) as wire:
        assert wire.ask("HEAD", target).head().status == 200
        assert wire.ask("GET", "/hostler/v1/logs?lines=3").answer()["content-length"]
