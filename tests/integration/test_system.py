# SPDX-License-Identifier: MIT
"""What a service manager and the journal see of the daemon, and what `make install` puts where."""
import fcntl
import grp
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

from conftest import HOSTLER, PATIENCE, ROOT, UnixConnection, clean_env
from unloading import ENDLESS
from wire import FAKE_ENGINE, fake_models

LAUNCH = pathlib.Path(__file__).with_name("launch.py")


def launcher(*words):
    return [sys.executable, LAUNCH, *words, "--"]


class Notifications:
    """The socket of a service manager."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(PATIENCE)
        self.messages = []

    def next(self, key):
        """The next message that assigns `key`, as a dictionary."""
        while True:
            text = self.socket.recv(65536).decode()
            message = dict(line.split("=", 1) for line in text.split("\n"))
            self.messages.append(message)
            if key in message:
                return message


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    address = (str(tmp_path / "notify") if request.param == "path"
               else f"@hostler-test-{os.getpid()}-{time.monotonic_ns()}")
    notifications = Notifications(address)
    yield {"NOTIFY_SOCKET": address}, notifications
    notifications.socket.close()


# --- notifications ---------------------------------------------------------------------------------

def test_ready_reloading_stopping(hostler, models, manager):
    environment, told = manager
    server = hostler("--models-dir", models, env=environment)
    assert told.next("READY") == {"READY": "1", "STATUS": "serves 4 models"}
    assert server.get("/health").status == 200

    before = time.monotonic_ns() // 1000
    server.process.send_signal(signal.SIGHUP)
    reloading = told.next("RELOADING")
    assert reloading["RELOADING"] == "1"
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert told.next("READY")["READY"] == "1"

    assert server.stop() == 0
    assert told.next("STOPPING")["STOPPING"] == "1"
    assert not any("WATCHDOG" in m for m in told.messages)


def test_a_reload_with_a_mistake_is_told(hostler, models, manager, tmp_path):
    environment, told = manager
    preset = tmp_path / "p.ini"
    preset.write_text("[m1]\n", encoding="utf-8")
    server = hostler("--models-dir", models, "--models-preset", preset, env=environment)
    told.next("READY")
    preset.write_text("[m1]\nctx-sise = 3\n", encoding="utf-8")
    server.process.send_signal(signal.SIGHUP)
    told.next("RELOADING")
    status = told.next("READY")["STATUS"]
    assert status.startswith(f"the models stay as they were: {preset}: line 2: ctx-sise: ")


def test_a_reload_that_cannot_read_another_file_is_told(hostler, models, manager, tmp_path):
    environment, told = manager
    folder = tmp_path / "logs"
    folder.mkdir()
    server = hostler("--models-dir", models, "--log-file", folder / "log", env=environment)
    told.next("READY")
    for status in (f"cannot write the log to {folder}/log: No such file or directory; the log continues in the "
                   "file that was open before", "serves 4 models"):
        if status.startswith("serves"):
            folder.mkdir()
        else:
            shutil.rmtree(folder)
        server.process.send_signal(signal.SIGHUP)
        told.next("RELOADING")
        assert told.next("READY")["STATUS"] == status


def test_many_reloads_end_ready(hostler, models, manager):
    environment, told = manager
    server = hostler("--models-dir", models, env=environment)
    for _ in range(20):
        server.process.send_signal(signal.SIGHUP)
    told.next("READY")
    told.next("RELOADING")
    server.stop()
    told.next("STOPPING")
    states = [next(iter(m)) for m in told.messages]
    assert states[-2] in ("READY", "RELOADING") and "READY" not in states[states.index("STOPPING"):]


def test_why_it_does_not_start_is_told(hostler, models, manager):
    environment, told = manager
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    server = hostler("--models-dir", models, "--port", port, env=environment, wait=False)
    assert told.next("STATUS")["STATUS"].startswith(f"port {port} on 127.0.0.1 is in use")
    assert server.process.wait(PATIENCE) == 1
    taken.close()


def test_watchdog(hostler, models, manager):
    environment, told = manager
    hostler("--models-dir", models, env={**environment, "WATCHDOG_USEC": "200000"})
    assert told.next("WATCHDOG") == {"WATCHDOG": "1"}
    begin = time.monotonic()
    for _ in range(5):
        told.next("WATCHDOG")
    assert 0.3 < time.monotonic() - begin  # every 100 ms, not as fast as it can


def test_watchdog_goes_on_while_requests_are_finished(hostler, tmp_path, manager):
    environment, told = manager
    folder = fake_models(tmp_path / "fakes", a=ENDLESS)
    server = hostler("--models-dir", folder, "--drain-timeout", "600", engine=FAKE_ENGINE,
                     env={**environment, "WATCHDOG_USEC": "100000"})
    connection = server.connect()
    connection.request("POST", "/v1/chat/completions",
                       json.dumps({"model": "a", "messages": [], "stream": True}))
    answer = connection.getresponse()
    assert answer.read(1)
    server.process.send_signal(signal.SIGTERM)
    told.next("STOPPING")
    for _ in range(5):
        told.next("WATCHDOG")
    connection.close()
    answer.close()
    assert server.process.wait(PATIENCE) == 0


def test_a_watchdog_of_another_process(hostler, models, manager):
    environment, told = manager
    server = hostler("--models-dir", models,
                     env={**environment, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"})
    told.next("READY")
    server.stop()
    told.next("STOPPING")
    assert not any("WATCHDOG" in m for m in told.messages)


@pytest.mark.parametrize("environment", [
    {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "/" + "x" * 200},
    {"NOTIFY_SOCKET": "/nobody/listens"}, {"LISTEN_FDS": "1"}, {"WATCHDOG_USEC": "x"},
    {"LISTEN_FDS": "99999999999999999999", "LISTEN_PID": "1"}])
def test_what_is_no_service_manager(hostler, models, environment):
    assert hostler("--models-dir", models, env=environment).get("/health").status == 200


# --- sockets handed over ---------------------------------------------------------------------------

def test_sockets_are_taken_over(hostler, models, tmp_path):
    path, name = tmp_path / "a.sock", f"@hostler-{os.getpid()}-{time.monotonic_ns()}"
    server = hostler("--models-dir", models, launcher=launcher("tcp", path, name))
    assert server.get("/health").status == 200
    for address in (str(path), "\0" + name[1:]):
        connection = UnixConnection(address, PATIENCE)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
    assert re.search(rf"and on unix:{re.escape(str(path))}\n", server.log())
    assert re.search(rf"and on unix:{name}\n", server.log())
    assert server.stop() == 0
    assert path.exists()  # it is the service manager's


def test_engines_get_nothing_of_it(hostler, models, tmp_path, manager):
    environment, told = manager
    folder = fake_models(tmp_path / "fakes", a={})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE, launcher=launcher("tcp"),
                     env={**environment, "WATCHDOG_USEC": "10000000"})
    told.next("READY")
    ours = {os.readlink(f"/proc/{server.pid}/fd/{fd}")
            for fd in os.listdir(f"/proc/{server.pid}/fd")}
    assert server.tokenize("a").status == 200
    pid = server.engines()["a"]["pid"]
    text = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    for name in (b"NOTIFY_SOCKET", b"LISTEN_", b"WATCHDOG_"):
        assert name not in text
    theirs = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert not {s for s in ours & theirs if s.startswith("socket:")}


def test_the_probe_of_the_engine_gets_no_socket(hostler, models, tmp_path):
    """The engine is asked for its options before anything else is done."""
    spy = tmp_path / "llama-server"
    spy.write_text(f"#!/bin/sh\nls -l /proc/self/fd >>{tmp_path}/fds\n"
                   f'exec {FAKE_ENGINE} "$@"\n', encoding="utf-8")
    spy.chmod(0o755)
    hostler("--models-dir", models, engine=spy, launcher=launcher("tcp"))
    assert "socket:" not in (tmp_path / "fds").read_text(encoding="utf-8")


def test_sockets_of_another_process(hostler, models):
    server = hostler("--models-dir", models, launcher=launcher("--foreign", "tcp"))
    assert server.get("/health").status == 200


def test_a_socket_that_is_of_no_use(hostler, models):
    server = hostler("--models-dir", models, launcher=launcher("dgram"), wait=False)
    assert server.process.wait(PATIENCE) == 1
    assert server.log() == (
        "hostler serve: descriptor 3, which was handed over, is no stream socket that listens: "
        "a socket unit needs ListenStream= and Accept=no\n")


USERMOD = "its group may: `sudo usermod -aG {group} $USER`, then log in again"
LOOK = "`ls -l {path}` shows who may"


@pytest.mark.parametrize("mode, group, folder_mode, words", [
    (0o060, 100, 0o755, USERMOD),
    (0o000, 100, 0o755, LOOK),
    (0o060, 0, 0o755, LOOK),  # nobody shall join root's group for that
    (0o060, 100, 0o000, "`namei -l {path}` shows who may, and which folder is closed")])
@pytest.mark.skipif(os.geteuid() != 0, reason="gives a socket to another group")
def test_a_socket_that_is_for_others(mode, group, folder_mode, words):
    """The client is no superuser, and finds itself where everybody may go."""
    told = ask_denied(mode, group, folder_mode)
    assert told == (3, words.format(group=grp.getgrgid(group).gr_name, path="PATH"))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a socket to another user")
def test_a_socket_of_a_group_that_one_is_in():
    """To join it once more would not help: it is its owner who may not."""
    assert ask_denied(0o060, 100, 0o755, owner=65534, groups=[100]) == (3, LOOK.format(path="PATH"))


def ask_denied(mode, group, folder_mode, owner=0, groups=()):
    """What `ps` says to somebody who may not open a socket: its status, and the hint."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        path = pathlib.Path(folder, "inner", "a.sock")
        path.parent.mkdir()
        program = shutil.copy(HOSTLER, folder)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        os.chown(path, owner, group)
        path.chmod(mode)
        path.parent.chmod(folder_mode)
        done = subprocess.run([program, "--url", f"unix:{path}", "ps"], capture_output=True, text=True,
                              timeout=PATIENCE, check=False, cwd="/", env=clean_env(),
                              user=65534, group=65534, extra_groups=list(groups))
        listener.close()
        error, hint = done.stderr.splitlines()
        assert error == f"hostler: you may not open unix:{path}: Permission denied"
        return done.returncode, hint.strip().replace(str(path), "PATH")


# --- the journal -----------------------------------------------------------------------------------

def test_journal_priorities(hostler, models, tmp_path):
    log = tmp_path / "log"
    server = hostler("--models-dir", models, "--log-level", "debug", "--log-file", log,
                     "--host", "0.0.0.0", launcher=launcher("--journal"))
    assert server.tokenize("m1").status == 200
    lines = server.log().splitlines()
    assert any(re.match(r"<6>info  hostler \S+ serves 4 models on ", line) for line in lines)
    assert any(line.startswith("<4>warn  no --api-key is set") for line in lines)
    assert any(line.startswith("<6>[m1] ") for line in lines)
    assert all(re.match(r"<[3467]>(\[m1\]|error|warn |info |debug) ?", line) for line in lines)
    assert not re.search(r"^<\d>", log.read_text(encoding="utf-8"), re.M)
    assert re.match(r"\d{4}-\d\d-\d\dT", log.read_text(encoding="utf-8"))


def test_journal_with_json(hostler, models):
    server = hostler("--models-dir", models, "--log-format", "json",
                     launcher=launcher("--journal"))
    for line in server.log().splitlines():
        assert line.startswith("<") and "time" in json.loads(line[3:])


def test_a_start_that_fails_is_an_error_in_the_journal(hostler):
    server = hostler("--models-dir", "/nowhere", launcher=launcher("--journal"), wait=False)
    assert server.process.wait(PATIENCE) == 1
    assert re.search(r"^<3>hostler serve: ", server.log(), re.M)
    server = hostler("--modles-dir", "/nowhere", launcher=launcher("--journal"), wait=False)
    assert server.process.wait(PATIENCE) == 2
    assert server.log().startswith("<3>hostler serve: unknown option '--modles-dir'")


def test_a_stream_that_is_not_the_journal(hostler, models):
    server = hostler("--models-dir", models, env={"JOURNAL_STREAM": "8:12345"})
    assert not re.search(r"^<\d>", server.log(), re.M)


# --- make install ----------------------------------------------------------------------------------


def need(program):
    if not shutil.which(program):
        pytest.skip(f"needs {program}")


def make_install(**variables):
    """One at a time, since make writes the pages into the build folder first."""
    with open(ROOT / "build" / "install.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", "-o", "setup", "install",
                        *(f"{k}={v}" for k, v in variables.items())], cwd=ROOT, check=True,
                       capture_output=True, timeout=300)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What `make install` put below PREFIX."""
    prefix = tmp_path_factory.mktemp("prefix")
    make_install(PREFIX=prefix)
    return prefix


def commands():
    text = subprocess.run([HOSTLER, "help"], check=True, capture_output=True, text=True).stdout
    block = text.split("\ncommands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  ([a-z-]+) ", block, re.M)


def setting(unit, key):
    return re.findall(rf"^{key}=(.*)$", unit.read_text(encoding="utf-8"), re.M)


def test_destdir(tmp_path):
    make_install(DESTDIR=tmp_path, PREFIX="/usr")
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {
        "usr/bin/hostler", "usr/share/doc/hostler/LICENSE",
        "usr/share/bash-completion/completions/hostler", "usr/share/zsh/site-functions/_hostler",
        "usr/share/fish/vendor_completions.d/hostler.fish",
        "usr/lib/systemd/system/hostler.service", "usr/lib/systemd/system/hostler.socket",
        "usr/lib/systemd/system/hostler-sleep.service",
        "usr/lib/sysusers.d/hostler.conf", "usr/lib/tmpfiles.d/hostler.conf",
        "usr/share/man/man1/hostler.1",
        "usr/share/hostler/prometheus/hostler.rules.yml", "usr/share/hostler/grafana/hostler.json",
        *(f"usr/share/man/man1/hostler-{c}.1" for c in commands())}
    unit = tmp_path / "usr/lib/systemd/system/hostler.service"
    assert setting(unit, "ExecStart") == ["/usr/bin/hostler serve"]
    for path in found - {"usr/bin/hostler"}:
        text = (tmp_path / path).read_text(encoding="utf-8")
        assert str(tmp_path) not in text and "@PREFIX@" not in text


def test_what_is_installed_works(installed):
    done = subprocess.run([installed / "bin/hostler", "--version"], capture_output=True, text=True,
                          check=True)
    assert done.stdout.startswith("hostler ")
    subprocess.run(["bash", "-n", installed / "share/bash-completion/completions/hostler"],
                   check=True)


def options_of(command):
    """The long options that --help begins a line with."""
    help_text = subprocess.run([HOSTLER, "help", *command], check=True, capture_output=True,
                               text=True).stdout
    return set(re.findall(r"^  (--[a-z][a-z-]+)", help_text, re.M))


@pytest.mark.parametrize("command", ["", *commands()])
def test_man_pages(installed, command):
    need("groff")
    page = installed / "share/man/man1" / f"hostler{command and '-'}{command}.1"
    done = subprocess.run(["groff", "-k", "-ww", "-man", "-rLL=80n", "-Tutf8", page],
                          capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stderr == ""
    text = re.sub(r".\x08|\x1b\[\d*m", "", done.stdout)
    sections = re.findall(r"^([A-Z ]+)$", text, re.M)
    order = ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "EXIT STATUS", "ENVIRONMENT",
             "FILES", "EXAMPLES", "SEE ALSO"]
    assert sections == [s for s in order if s in sections]
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"):
        assert section in sections, f"packaging/man has no {section} for '{command}'"
    described = set(re.findall(r"^       (--[a-z][a-z-]+)", text, re.M))
    assert described == options_of([command] if command else [])
    assert max(map(len, text.splitlines())) <= 80


def test_man_pages_name_pages_that_exist(installed):
    folder = installed / "share/man/man1"
    for page in folder.iterdir():
        for name in re.findall(r"^\.BR (hostler\S*) \(1\)", page.read_text(encoding="utf-8"), re.M):
            assert (folder / (name.replace("\\-", "-") + ".1")).exists(), f"{page.name}: {name}"


def test_mandoc_finds_nothing_wrong(installed):
    need("mandoc")
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *(installed / "share/man/man1").iterdir()],
                          capture_output=True, text=True, check=False)
    # A date would differ from build to build.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


def units(prefix):
    return sorted((prefix / "lib/systemd/system").iterdir())


def test_units_are_right(installed):
    need("systemd-analyze")
    need("man")  # with which it looks for the units' man pages
    done = subprocess.run(["systemd-analyze", "verify", *units(installed)], capture_output=True,
                          text=True, check=False,
                          env={**os.environ, "MANPATH": str(installed / "share/man")})
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_is_hardened(installed):
    need("systemd-analyze")
    unit = installed / "lib/systemd/system/hostler.service"
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           "--threshold=25", unit], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_service_may_ask_what_is_in_memory(installed):
    """@system-service has no mincore(), without which a file would always be read ahead."""
    unit = installed / "lib/systemd/system/hostler.service"
    assert setting(unit, "SystemCallFilter") == ["@system-service mincore"]


def test_no_start_is_one_too_many(installed):
    """systemd would refuse the fifth within 10 s, and close the sockets with the service."""
    unit = installed / "lib/systemd/system/hostler.service"
    assert setting(unit, "StartLimitIntervalSec") == ["0"]
    assert setting(unit, "RestartSec") == ["2s"]


def test_users_and_folders(installed, tmp_path):
    need("systemd-sysusers")
    need("systemd-tmpfiles")
    if os.geteuid():
        pytest.skip("needs root, to make folders that belong to others")
    (tmp_path / "etc").mkdir()
    for program, file in (("systemd-sysusers", "sysusers.d"), ("systemd-tmpfiles", "tmpfiles.d")):
        subprocess.run([program, *(["--create"] if program.endswith("files") else []),
                        f"--root={tmp_path}", installed / "lib" / file / "hostler.conf"],
                       check=True, capture_output=True)
    group = (tmp_path / "etc/group").read_text(encoding="utf-8")
    assert re.search(r"^video:.*:hostler$", group, re.M)
    assert re.search(r"^render:.*:hostler$", group, re.M)
    for path, mode in (("etc/hostler", 0o755), ("etc/hostler/environment", 0o600), ("var/lib/hostler", 0o755),
                       ("var/lib/hostler/models", 0o2775)):
        assert (tmp_path / path).stat().st_mode & 0o7777 == mode, path
    assert (tmp_path / "etc/hostler").stat().st_gid == 0


def test_the_service_starts(installed, hostler, models, tmp_path, manager):
    """Its command line and its sockets, with its folders elsewhere."""
    environment, told = manager
    unit = installed / "lib/systemd/system/hostler.service"
    words = setting(unit, "ExecStart")[0].split()
    assert words == [str(installed / "bin/hostler"), "serve"]  # an option would win over the file
    folder, = [value for value in setting(unit, "Environment") if "MODELS" in value]
    variable = folder.removesuffix("=/var/lib/hostler/models")
    sockets = setting(unit.with_suffix(".socket"), "ListenStream")
    assert sockets == ["127.0.0.1:8080", "/run/hostler.sock"]
    path = tmp_path / "hostler.sock"
    server = hostler(launcher=launcher("tcp", path),
                     env={**environment, variable: str(models)})
    told.next("READY")
    assert server.tokenize("m1").status == 200

    sleep = installed / "lib/systemd/system/hostler-sleep.service"
    words = setting(sleep, "ExecStart")[0].split()
    assert words[0] == str(installed / "bin/hostler")
    assert "HOSTLER_URL=unix:/run/hostler.sock" in setting(sleep, "Environment")
    done = subprocess.run([HOSTLER, *words[1:]], capture_output=True, text=True, timeout=PATIENCE,
                          env=clean_env(HOSTLER_URL=f"unix:{path}"), check=False)
    assert done.returncode == 0, done.stderr
    assert server.loaded() == []
    assert server.tokenize("m1").status == 503  # until the machine sleeps
