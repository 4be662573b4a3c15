# SPDX-License-Identifier: MIT
"""hostler as a process, and its engines as processes: what they see, and how they end."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import tempfile

import conftest
import pytest
import tiny_model
from background import background
from conftest import HOSTLER, PATIENCE, until
from wire import FAKE_ENGINE, Wire, chat, fake_models, open_stream, read_events

SLOW_STREAM = {"tokens": 60, "token_ms": 50}
ENDLESS = {"endless": True, "token_ms": 20}
SECRETS = {
    "LLAMA_API_KEY": "sk-key-of-the-daemon", "HF_TOKEN": "hf_secret", "HOSTLER_X": "x-secret",
    "LLAMA_ARG_NO_SUCH": "arg-secret", "AWS_SECRET_ACCESS_KEY": "aws-secret",
    "XDG_DATA_HOME": "/data-secret", "SSH_AUTH_SOCK": "/ssh-secret", "http_proxy": "http://secret",
}
KEY = {"Authorization": "Bearer " + SECRETS["LLAMA_API_KEY"]}


def proc(pid, name):
    return pathlib.Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")


def words(pid, name):
    return proc(pid, name).rstrip("\0").split("\0")


def gone(pid):
    """Ended. A killed daemon's engines may stay zombies where nobody reaps the orphans."""
    try:
        return proc(pid, "stat").rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children(pid):
    return [int(c) for c in proc(pid, f"task/{pid}/children").split()]


def pid_of(server, model):
    return server.engines()[model]["pid"]


def option(pid, name):
    argv = words(pid, "cmdline")
    return argv[argv.index(name) + 1]


def ended(server, patience=PATIENCE):
    return server.process.wait(patience)


@pytest.fixture
def runtime():
    """A folder with a path short enough for sockets, whatever pytest's are called."""
    folder = tempfile.mkdtemp(prefix="hr-", dir="/tmp")
    yield pathlib.Path(folder)
    os.chmod(folder, 0o700)
    shutil.rmtree(folder)


@pytest.fixture
def fake(hostler, tmp_path):
    def start(*args, env=None, wait=True, **misbehaviour):
        folder = fake_models(tmp_path / "fakes", **misbehaviour)
        return hostler("--models-dir", folder, *args, engine=FAKE_ENGINE, env=env, wait=wait)

    return start


# --- what an engine sees, and who sees it ----------------------------------------------------------

def test_sockets_lie_in_a_private_folder(hostler, models, runtime):
    server = hostler("--models-dir", models, env={"XDG_RUNTIME_DIR": str(runtime)})
    server.tokenize("m1")
    path = pathlib.Path(option(pid_of(server, "m1"), "--host"))
    assert path.is_socket() and path.parent.parent == runtime
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.parent.stat().st_uid == os.getuid()
    assert server.stop() == 0
    assert list(runtime.iterdir()) == []


def test_an_engines_environment_holds_no_secret(hostler, models):
    server = hostler("--models-dir", models, env={**SECRETS, "OMP_NUM_THREADS": "2"})
    assert server.tokenize("m1", headers=KEY).status == 200
    status = server.get("/hostler/v1/status", headers=KEY).json
    environment = words(status["engines"][0]["pid"], "environ")
    names = [v.split("=")[0] for v in environment]
    assert not set(names) & set(SECRETS)
    assert not [v for v in environment if "secret" in v or SECRETS["LLAMA_API_KEY"] in v]
    assert "OMP_NUM_THREADS=2" in environment and "PATH" in names
    assert [n for n in names if n.startswith(("LLAMA_", "HOSTLER", "HF_"))] == \
        ["LLAMA_ARG_THREADS_HTTP", "LLAMA_ARG_CACHE_RAM", "LLAMA_ARG_SLOT_SAVE_PATH",
         "LLAMA_SERVER_ROUTER_PORT",  # child mode
         "HOSTLER_ENGINE_PID"]


def test_the_key_is_nowhere(hostler, models, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# ours\nsk-from-the-file\n", encoding="utf-8")
    server = hostler("--models-dir", models, "--api-key", "sk-from-argv", "--api-key-file", keys,
                     "--log-level", "debug")
    headers = {"Authorization": "Bearer sk-from-the-file"}
    assert server.tokenize("m1").status == 401
    assert server.tokenize("m1", headers=headers).status == 200
    status = server.get("/hostler/v1/status", headers=headers).json
    pid = status["engines"][0]["pid"]
    told = [proc(pid, "cmdline"), proc(pid, "environ"), json.dumps(status), server.log(),
            server.get("/models").body.decode(),
            server.post("/models/hold", {"all": True}, headers=headers).body.decode()]
    assert not [text for text in told if "sk-from" in text]


def test_an_engine_has_its_own_process_group(hostler, models):
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    server.tokenize("m2")
    one, two = pid_of(server, "m1"), pid_of(server, "m2")
    assert os.getpgid(one) == one and os.getpgid(two) == two
    assert sorted(children(server.pid)) == sorted([one, two])


def test_an_engine_inherits_no_descriptor(hostler, models):
    server = hostler("--models-dir", models)
    connection, response = open_stream(server, "m1", max_tokens=2)
    read_events(response)
    server.tokenize("m2")
    connection.close()
    ours = set()
    for fd in os.listdir(f"/proc/{server.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # a connection that was just closed
            ours.add(os.readlink(f"/proc/{server.pid}/fd/{fd}"))
    for model in ("m1", "m2"):
        pid = pid_of(server, model)
        theirs = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert {f for f in ours & theirs if f.startswith("socket:")} == set()


@pytest.mark.parametrize("by", ["option", "environment"])
def test_the_log_file_is_the_daemon_s(hostler, models, tmp_path, by):
    """An engine that got it would overwrite what the others write."""
    file = tmp_path / "a.log"
    file.write_text("of before\n", encoding="utf-8")
    server = (hostler("--models-dir", models, "--log-file", file) if by == "option" else
              hostler("--models-dir", models, env={"LLAMA_ARG_LOG_FILE": str(file)}))
    server.tokenize("m1")
    server.tokenize("m2")
    assert "--log-file" not in words(pid_of(server, "m1"), "cmdline")
    assert not [v for v in words(pid_of(server, "m1"), "environ") if "LOG_FILE" in v]
    until(lambda: file.read_text(encoding="utf-8") == "of before\n" + server.log())
    assert "[m1] " in server.log() and "[m2] " in server.log()
    moved = file.rename(tmp_path / "a.log.1")
    server.process.send_signal(signal.SIGHUP)
    until(file.exists, what="a new file")
    # The file is there before lines go to it.
    until(lambda: server.post("/models/hold", {"model": "m3"}) and "m3 is held" in file.read_text(encoding="utf-8"))
    server.post("/models/hold", {"model": "m4"})
    until(lambda: "m4 is held" in file.read_text(encoding="utf-8"))
    assert "m4 is held" not in moved.read_text(encoding="utf-8")


def test_a_log_file_that_cannot_be_written(hostler, models, tmp_path):
    server = hostler("--models-dir", models, "--log-file", tmp_path / "none" / "a.log", wait=False)
    assert server.process.wait(timeout=PATIENCE) == 1
    assert "cannot write the log to" in server.log()


def test_log_lines_name_their_model(hostler, models):
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    server.tokenize("m2")
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    lines = server.log().splitlines()
    for line in lines:
        assert re.match(rf"{time} (\[m[12]\] |(error|warn |info |debug) )", line), line
    assert {re.search(r"\[(m\d)\]", line).group(1) for line in lines if "] " in line[24:]} == \
        {"m1", "m2"}


def test_json_log(fake):
    server = fake("--log-format", "json", "--log-level", "debug",
                  a={"garbage": True, "huge_logs": 20, "log": 'a "quote" \\ and \t \x1b[1m ü'})
    assert server.tokenize("a").status == 200
    assert server.tokenize("nosuch").status == 400
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log_path.read_bytes().decode().splitlines()]
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    assert any(line.get("model") == "a" and 'a "quote"' in line["message"] for line in lines)
    assert any("model" not in line for line in lines)


# --- signals ---------------------------------------------------------------------------------------

def test_sigterm_lets_requests_finish(fake):
    server = fake(a=SLOW_STREAM, b={"load_s": 1})
    connection, response = open_stream(server, "a")
    first = read_events(response, 1)
    waiting = background(server.tokenize, "b")
    until(lambda: "b" in server.engines())
    pid = pid_of(server, "a")
    server.process.terminate()
    refused = waiting.result(PATIENCE)  # it would have needed a load
    assert refused.status == 503 and refused.error["state"] == "shutdown"
    try:
        assert server.tokenize("a").status == 503
    except ConnectionError:
        pass
    events = first + read_events(response)
    assert len(events) == 62 and events[-1][1] == "[DONE]"
    connection.close()
    assert ended(server) == 0
    assert gone(pid)
    assert list(server.runtime.iterdir()) == []


def test_sigterm_without_engines(fake):
    server = fake(a={})
    idle = socket.create_connection(("127.0.0.1", server.port))  # has sent nothing
    server.process.terminate()
    assert ended(server) == 0
    assert idle.recv(1) == b""
    idle.close()


def test_sigterm_ends_at_the_drain_timeout(fake):
    server = fake("--drain-timeout", "1s", a=ENDLESS)
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    server.process.terminate()
    assert "error" in json.loads(read_events(response)[-1][1])
    assert ended(server) == 0
    connection.close()


@pytest.mark.parametrize("first, second", [
    (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT),
])
def test_a_second_signal_stops_at_once(fake, first, second):
    server = fake(a={**ENDLESS, "slow_exit_s": 30}, b={"load_s": 60}, c={"hung": True})
    streams = [open_stream(server, "a") for _ in range(3)]
    for _, response in streams:
        read_events(response, 1)
    requests = [background(server.tokenize, name) for name in ("b", "c", "c")]
    until(lambda: server.engines().get("c", {}).get("requests") == 2)
    until(lambda: "b" in server.engines())
    pids = [e["pid"] for e in server.engines().values()]
    server.process.send_signal(first)
    until(lambda: "stopping; " in server.log())
    server.process.send_signal(second)
    assert ended(server) == 0
    assert all(map(gone, pids))
    for request in requests:  # an answer if there is time for it, else the end of the connection
        until(request.done)
        assert request.exception() or request.result().status in (502, 503)
    for connection, _ in streams:
        connection.close()


@pytest.fixture
def unkillable(fake, tmp_path):
    """A server with a loaded model `a` whose engine survives SIGKILL, as far as its parent can see."""
    tracer = tmp_path / "tracer"
    server = fake("--stop-timeout", "200ms", a={"traced": str(tracer)})
    server.tokenize("a")
    pid = int(tracer.read_text())
    if not pid:
        pytest.skip("this system lets nobody trace")
    yield server, pid_of(server, "a")
    os.kill(pid, signal.SIGKILL)


def test_an_engine_that_survives_sigkill_does_not_hold_the_end(unkillable):
    server, engine = unkillable
    server.process.terminate()
    assert ended(server) == 1
    assert re.search(rf"model a: its engine, process {engine}, survives SIGKILL", server.log())
    assert "all engines are gone" not in server.log()


def test_a_third_signal_exits_at_once(unkillable):
    server, _ = unkillable
    server.process.terminate()
    until(lambda: "stopping; " in server.log())
    server.process.send_signal(signal.SIGINT)
    until(lambda: "stopping at once" in server.log())
    server.process.terminate()
    assert ended(server) == 1
    assert "for the third time" in server.log()
    assert "survives SIGKILL" not in server.log(), "it did not wait for that"


def test_a_slow_readers_tail_is_sent_before_the_end(hostler, tmp_path):
    """The engine has done its part and its lease is over, but the client has not read all of it."""
    folder = fake_models(tmp_path / "fakes", a={"big_body": 8})
    server = hostler("--model", folder / "a.gguf", engine=FAKE_ENGINE, unix=True)
    until(lambda: server.get("/health").status == 200)
    connection = server.connect()
    connection.request("GET", "/big")
    response = connection.getresponse()
    size = 0
    while list(server.engines().values())[0]["requests"]:
        size += len(response.read(16384))
    server.process.terminate()
    until(lambda: "all engines are gone" in server.log(), what="the engine's end")
    assert size + len(response.read()) == 8 << 20
    connection.close()
    assert ended(server) == 0


def test_a_second_signal_ends_the_wait_for_clients(fake):
    """Once no engine is left: here for a request that does not come."""
    server = fake(a={})
    with Wire(server) as wire:
        wire.send(b"GET /health HTTP/1.1\r\n")
        assert server.get("/health").status == 200  # what was sent before has been read
        server.process.terminate()
        until(lambda: "all engines are gone" in server.log(), what="the engines' end")
        server.process.terminate()
        assert server.process.wait(2.5) == 0, "half of what it has without a second signal"


def test_a_file_system_that_hangs_does_not_hold_the_end(hostler, models, tmp_path):
    """A pipe that nobody writes to, in place of the presets, stands in for it."""
    presets = tmp_path / "p.ini"
    presets.write_text("", encoding="utf-8")
    server = hostler("--models-dir", models, "--models-preset", presets)
    presets.unlink()
    os.mkfifo(presets)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: any(task.read_text().startswith("wait_for_partner") for task in
                      pathlib.Path(f"/proc/{server.pid}/task").glob("*/wchan")) or not can_see_waits(server.pid))
    assert server.get("/health").status == 200
    server.process.terminate()
    assert ended(server) == 1
    assert "exits without waiting" in server.log()


def can_see_waits(pid):
    """Whether this system tells what a thread waits for."""
    return pathlib.Path(f"/proc/{pid}/wchan").read_text() not in ("", "0")


def test_a_log_file_that_nobody_reads_is_not_waited_for(hostler, models, tmp_path):
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    server = hostler("--models-dir", models, "--log-file", pipe, wait=False)
    assert ended(server) == 1
    assert "nobody reads this pipe" in server.log()


def test_sighup_reads_the_models_again(fake, tmp_path):
    server = fake(a={})
    server.tokenize("a")
    pid = pid_of(server, "a")
    fake_models(tmp_path / "fakes", b={})
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "b" in server.models())
    assert pid_of(server, "a") == pid
    assert server.tokenize("b").status == 200
    (tmp_path / "fakes" / "a.gguf").unlink()
    server.process.send_signal(signal.SIGHUP)
    until(lambda: list(server.models()) == ["b"])
    until(lambda: gone(pid), what="the end of the engine whose model is gone")


def test_sighup_without_the_models_folder_keeps_what_is_known(fake, tmp_path):
    server = fake(a={})
    (tmp_path / "fakes").rename(tmp_path / "away")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: " error " in server.log())
    assert str(tmp_path / "fakes") in server.log()
    assert list(server.models()) == ["a"]
    (tmp_path / "away").rename(tmp_path / "fakes")
    assert server.tokenize("a").status == 200


# --- the daemon is killed --------------------------------------------------------------------------

def test_no_engine_outlives_a_killed_daemon(hostler, tmp_path, models, runtime):
    """One is ready, one in the middle of a real load, and neither is asked to leave."""
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(models / "m1.gguf", folder / "ready.gguf")
    tiny_model.make(str(folder / "big.gguf"), pad_mb=300)
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    server = hostler("--models-dir", folder, env=env)
    server.tokenize("ready")
    assert server.post("/models/load", {"model": "big"}).status == 200
    pids = [e["pid"] for e in server.engines().values()]
    server.kill()
    for pid in pids:
        until(lambda pid=pid: gone(pid), patience=20, what=f"the end of engine {pid}")
    left = list(runtime.iterdir())
    assert len(left) == 1 and list(left[0].iterdir())  # nobody was there to clear up

    again = hostler("--models-dir", folder, env=env)
    assert not left[0].exists()
    assert again.tokenize("ready").status == 200
    again.stop()
    assert list(runtime.iterdir()) == []
    server.process.returncode = 0


@pytest.mark.parametrize("fault", [{"load_s": 60}, {"deaf": True}, {"slow_exit_s": 60},
                                   {"stuck": True}, {"orphan": True}])
def test_no_stubborn_engine_outlives_a_killed_daemon(fake, fault, runtime):
    server = fake(env={"XDG_RUNTIME_DIR": str(runtime)}, a=fault)
    server.post("/models/load", {"model": "a"})
    if "load_s" not in fault:
        assert server.tokenize("a").status == 200
    pid = pid_of(server, "a")
    server.kill()
    until(lambda: gone(pid), patience=20, what="the end of the engine")
    server.process.returncode = 0


def test_leftovers_go_and_a_living_daemons_folder_stays(hostler, models, runtime):
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    dead, living = (hostler("--models-dir", models, env=env) for _ in range(2))
    for server in (dead, living):
        server.tokenize("m1")
    (runtime / "hostler-someone-else").mkdir()
    theirs = pathlib.Path(option(pid_of(dead, "m1"), "--host")).parent
    ours = pathlib.Path(option(pid_of(living, "m1"), "--host")).parent
    assert ours != theirs
    dead.kill()
    third = hostler("--models-dir", models, env=env)
    assert not theirs.exists() and ours.exists()
    assert living.tokenize("m1").status == 200
    assert third.tokenize("m1").status == 200
    third.stop()
    assert living.tokenize("m2").status == 200
    living.stop()
    assert [f.name for f in runtime.iterdir()] == ["hostler-someone-else"]
    dead.process.returncode = 0


# --- beginnings ------------------------------------------------------------------------------------

def test_two_daemons_share_a_models_folder(hostler, models):
    one, two = (hostler("--models-dir", models) for _ in range(2))
    loads = [background(server.tokenize, f"m{n}") for n in range(1, 5) for server in (one, two)]
    assert [f.result(PATIENCE).status for f in loads] == [200] * 8
    assert one.post("/models/unload-all").status == 200
    assert two.loaded() == ["m1", "m2", "m3", "m4"]
    assert two.tokenize("m1").status == 200


def test_a_port_in_use(hostler, models):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = hostler("--models-dir", models, "--port", port, wait=False)
        assert ended(server) == 1
    assert f"{port}" in server.log() and "in use" in server.log()
    assert len([line for line in server.log().splitlines() if "hostler serve:" in line]) == 1
    assert list(server.runtime.iterdir()) == []
    server.process.returncode = 0


def test_a_unix_socket_in_use_and_a_stale_one(hostler, models, runtime):
    path = runtime / "api.sock"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        server = hostler("--models-dir", models, "--host", path, wait=False)
        assert ended(server) == 1
        assert str(path) in server.log()
    server.process.returncode = 0
    assert path.exists()  # and nobody listens
    server = hostler("--models-dir", models, "--host", path)
    assert server.get("/health").status == 200
    assert server.stop() == 0
    assert not path.exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_runtime_folder_that_cannot_be_written(hostler, models, runtime):
    runtime.chmod(0o500)
    server = hostler("--models-dir", models, env={"XDG_RUNTIME_DIR": str(runtime)})
    assert server.tokenize("m1").status == 200


@pytest.mark.parametrize("folder", ["/nonexistent/run", "/proc/self", "relative", ""])
def test_a_runtime_folder_that_is_none(hostler, models, runtime, folder):
    """Then $TMPDIR serves."""
    server = hostler("--models-dir", models, env={"XDG_RUNTIME_DIR": folder, "TMPDIR": str(runtime)})
    assert server.tokenize("m1").status == 200
    assert pathlib.Path(option(pid_of(server, "m1"), "--host")).parent.parent == runtime


def test_closed_standard_streams(hostler, models, tmp_path, monkeypatch):
    """As some supervisors start a daemon: descriptors 0 to 2 must not become something of ours."""
    closed = tmp_path / "closed"
    closed.write_text(f'#!/bin/sh\nexec {HOSTLER} "$@" <&- >&- 2>&-\n', encoding="utf-8")
    closed.chmod(0o700)
    monkeypatch.setattr(conftest, "HOSTLER", closed)
    server = hostler("--models-dir", models, unix=True, wait=False)
    server.socket = tmp_path / "h0.sock"
    until(lambda: conftest.answers(server))  # it is there before anybody listens on it
    assert server.tokenize("m1").status == 200
    assert server.post("/models/unload-all").status == 200


# --- bounds ----------------------------------------------------------------------------------------

def test_threads_and_descriptors_are_bounded(hostler, models):
    server = hostler("--models-dir", models, "--models-max", "2")
    threads = files = 0
    for n in range(24):
        assert server.tokenize(f"m{n % 4 + 1}").status == 200  # evicts from the third on
        if n == 8:
            files = len(os.listdir(f"/proc/{server.pid}/fd"))
            threads = len(os.listdir(f"/proc/{server.pid}/task"))
    assert threads <= 20  # the loop, the log, and 16 for what may wait
    assert len(os.listdir(f"/proc/{server.pid}/task")) <= threads + 1
    until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) <= files + 2)
    until(lambda: len(children(server.pid)) == 2, what="two engines and no zombie")


def test_no_zombies(fake):
    server = fake(crash={"crash_at": 1}, leave={"exit_at_load": 3}, orphan={"orphan": True}, ok={})
    assert server.tokenize("crash").status == 502
    assert server.tokenize("leave").status == 500
    assert server.tokenize("orphan").status == 200
    assert server.tokenize("ok").status == 200
    assert server.post("/models/unload-all").status == 200
    until(lambda: children(server.pid) == [])
    assert server.get("/hostler/v1/status").json["engines"] == []


def test_many_requests_at_once_and_a_chat(hostler, models):
    server = hostler("--models-dir", models, "--models-max", "2")
    many = [background(server.tokenize, f"m{n % 4 + 1}") for n in range(40)]
    assert [f.result(PATIENCE).status for f in many] == [200] * 40
    answer = server.post("/v1/chat/completions", chat("m1", max_tokens=4))
    assert answer.json["choices"][0]["message"]["content"]
