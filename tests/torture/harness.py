# SPDX-License-Identifier: MIT
"""Plays the acts while the nth call of a kind fails, and judges what became of the daemon.

What must hold (docs/design.md, "Invariants"): the daemon lives, and its sanitizers are silent; each
request has one answer, but for a client on whose own connection the failure was; an engine that is well
keeps its process, and the bystander, whose stream runs all the time, its stream; when calls succeed
again, the same act succeeds; nothing is left behind.
"""
import collections
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import tiny_model
from conftest import FAKE_ENGINE, SAN, daemons, until
from torture.acts import ACTS, Client, Outcome, Stage, chat, settle
from torture.control import Control, Fault, name_of

LIBRARY = SAN / "fail_nth.so"
STATUSES = {500, 502, 503, 504, 507}  # what an answer may be in place of the usual one


class Problem(Exception):
    """What must hold did not."""


class Bystander:
    """A client whose stream runs all the time."""

    def __init__(self, server):
        self.server = server
        self.lines = 0
        self.over = None  # how it ended
        self.client = Client(Stage(server, None))
        self.client.ask("POST", "/v1/chat/completions", chat("bystander", stream=True))
        if self.client.head().status != 200:
            raise Problem("the bystander's stream does not begin")
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for chunk in self.client.chunks():
                self.lines += 1
                if b'"error"' in chunk:
                    self.over = f"an error: {chunk!r}"
                    return
            self.over = "the end"
        except (OSError, EOFError, ValueError) as error:
            self.over = f"{type(error).__name__}: {error}"

    def goes_on(self):
        """Waits for more of its stream; false when it ended."""
        before = self.lines
        until(lambda: self.over or self.lines > before, what="more of the bystander's stream")
        return not self.over

    def leave(self):
        self.client.sock.close()
        self.client.file.close()


def write_engine(folder, engine):
    """The real engine, but for the bystander's model: its stream has to be slow and endless."""
    path = folder / "engine"
    path.write_text(f"""#!/bin/sh
case "$*" in *bystander.gguf*--host*) ;; *) exec '{engine}' "$@" ;; esac
while [ $# -gt 0 ]; do
    case $1 in --model | -m) model=$2 ;; --host) host=$2 ;; esac
    shift
done
exec '{sys.executable}' '{FAKE_ENGINE}' --model "$model" --host "$host"
""", encoding="utf-8")
    path.chmod(0o755)
    fit = pathlib.Path(engine).resolve().with_name("llama-fit-params")
    if fit.exists():
        (folder / "llama-fit-params").symlink_to(fit)
    return path


class Daemon:
    """A daemon with the preload library, models a and b, and a bystander."""

    def __init__(self, folder, engine):
        self.folder = folder
        models = folder / "models"
        models.mkdir(parents=True)
        for seed, name in enumerate(("a", "b", "bystander"), 1):
            tiny_model.make(str(models / f"{name}.gguf"), seed=seed)
        tiny_model.make(str(folder / "c.gguf"), seed=9)
        (models / "bystander.gguf.fake").write_text(json.dumps({"endless": True, "token_ms": 20}))
        self.control = Control(folder / "control")
        self.engine = write_engine(folder, engine)
        self.daemons = daemons(folder, self.engine)
        self.server = self.bystander = None

    def environment(self):
        options = os.environ.get("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
        return {"LD_PRELOAD": str(LIBRARY), "FAIL_NTH": str(self.control.path),
                "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0"}

    def start(self, wait=True):
        self.server = next(self.daemons)(
            "--models-dir", self.folder / "models", "--models-max", "2", "--threads", "1",
            "--drain-timeout", "10s", "--props", "--slots", env=self.environment(), wait=wait)
        return self.server

    def begin(self):
        """Starts it, with all in the state in which each act finds it."""
        self.start()
        self.stage = Stage(self.server, self.folder)
        self.bystander = Bystander(self.server)
        settle(self.server)
        for act, _ in ACTS.values():  # so that what is made once is made
            act(self.stage)
        settle(self.server)
        self.expected = {name: self.play(name) for name in ACTS}
        self.files = self.files_at_rest()

    def play(self, name):
        """Plays an act where nothing fails: its outcomes, by their names."""
        self.stage.outcomes = []
        ACTS[name][0](self.stage)
        settle(self.server)
        lost = [o for o in self.stage.outcomes if o.lost]
        if lost:
            raise Problem(f"without a failure: {lost}")
        return {o.name: o.status for o in self.stage.outcomes}

    def count(self, name):
        """How many calls of each kind an act makes."""
        self.control.arm()
        self.stage.outcomes = []
        ACTS[name][0](self.stage)
        self.control.disarm()
        settle(self.server)
        return self.control.counts()

    # -- what is seen from outside ----------------------------------------------------------------------

    def pids(self):
        return {m: e["pid"] for m, e in self.server.engines().items()}

    def open_files(self):
        """Its descriptors that are no sockets, and how many sockets there are."""
        files, sockets = [], 0
        for fd in pathlib.Path(f"/proc/{self.server.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(fd)
                if target.startswith("socket:"):
                    sockets += 1
                elif target not in ("/", "/dev/null"):  # libuv's spare one, opened anew as the other
                    files.append(target.split(":")[0])
        return sorted(files), sockets

    def files_at_rest(self):
        """Once the state is written, and nothing of an engine that has ended is open any more."""
        def at_rest():
            before = self.open_files()
            time.sleep(0.2)
            return before == self.open_files() and not any("state.json" in f for f in before[0])
        until(at_rest, what="the same open files twice")
        return self.open_files()

    def children(self):
        path = pathlib.Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children")
        return path.read_text(encoding="ascii").split()

    def check_alive(self):
        status = self.server.process.poll()
        if status is not None:
            raise Problem(f"the daemon ended with {status}:\n{self.server.log()[-6000:]}")

    def check_files(self):
        def same():
            files, sockets = self.open_files()
            return files == self.files[0] and sockets <= self.files[1] + 8
        try:
            until(same, 5)
        except AssertionError:
            files, sockets = self.open_files()
            more = collections.Counter(files) - collections.Counter(self.files[0])
            less = collections.Counter(self.files[0]) - collections.Counter(files)
            raise Problem(f"descriptors: new are {dict(more)}, closed are {dict(less)}; {sockets} sockets, "
                          f"before {self.files[1]}") from None

    def check_processes(self, removes):
        """A process and a socket for each engine; one that just starts has no socket yet."""
        def sockets():
            return list(self.server.runtime.glob("hostler-*/*.sock"))
        try:
            until(lambda: len(self.children()) == len(self.pids()) and
                  (len(sockets()) == len(self.pids()) or not removes), 10)
        except AssertionError:
            raise Problem(f"processes {self.children()}, engines {self.pids()}, sockets {sockets()}") from None

    # -- one failure -------------------------------------------------------------------------------------

    def torture(self, name, fault, nth):
        """Plays an act while its nth call fails. The Hit, None when there was none; or a Problem."""
        act, keeps = ACTS[name]
        if self.bystander.over:
            self.bystander = Bystander(self.server)
            settle(self.server)
        before = self.pids()
        self.stage.outcomes = []
        self.control.arm(fault, nth)
        try:
            with contextlib.suppress(ConnectionRefusedError, AssertionError):
                act(self.stage)
        finally:
            hit = self.control.disarm()
        try:
            self.judge(name, fault, hit, before, keeps)
        except (Problem, AssertionError, OSError, KeyError, ValueError) as problem:
            where = hit.text() if hit else "no failure"
            self.check_alive_or(problem, where)
            raise Problem(f"{problem}\nfailed: {where}") from problem
        return hit

    def check_alive_or(self, problem, where):
        try:
            self.server.process.wait(0.5 if isinstance(problem, OSError) else 0)
        except subprocess.TimeoutExpired:
            return
        raise Problem(f"the daemon ended with {self.server.process.returncode}:\n"
                      f"{self.server.log()[-6000:]}\nfailed: {where}") from problem

    def judge(self, name, fault, hit, before, keeps):
        self.check_alive()
        for outcome in self.stage.outcomes:
            self.judge_outcome(outcome, self.expected[name], fault, hit)
        self.judge_bystander(fault, hit)
        settle(self.server)
        after = self.pids()
        # Who has lost its client by its own failure is idle, and may be evicted.
        for model in (*(() if self.bystander.over else ("bystander",)), *keeps):
            if after.get(model) != before.get(model):
                raise Problem(f"the engine of {model} was stopped: {before} {after}")
        again = self.play(name)
        if again != self.expected[name]:
            raise Problem(f"afterwards: {again}, not {self.expected[name]}")
        self.check_files()
        # A socket's file that could not be removed goes with the daemon's private folder.
        self.check_processes(fault.times == 1 or fault.kind != "change")

    def judge_outcome(self, outcome, expected, fault, hit):
        if outcome.lost:
            if not hit or not may_be_lost(outcome, fault, hit):
                raise Problem(f"no answer: {outcome}")
        elif outcome.status not in (expected.get(outcome.name), *(STATUSES if hit else ())):
            raise Problem(f"another answer than {expected.get(outcome.name)}: {outcome}")
        elif outcome.status >= 400 and not outcome.error():
            raise Problem(f"no error in JSON: {outcome}")

    def judge_bystander(self, fault, hit):
        if self.bystander.goes_on():
            return
        outcome = Outcome("the bystander's stream", self.bystander.client.port, 200, True,
                          lost=self.bystander.over)
        if not hit or not may_be_lost(outcome, fault, hit):
            raise Problem(f"{outcome}")

    def end(self):
        """Stops it; raises what is wrong then."""
        self.control.disarm()
        if self.server and self.server.process.poll() is None:
            if self.bystander:
                self.bystander.leave()
            left = self.children()
            status = self.server.stop()
            check_end(self.server, status, left)


    def kill(self):
        self.server.kill()
        self.bystander = None


def is_thread_start(hit):
    """Whether a thread could not begin: AddressSanitizer ends the process then, and so does libuv, by design, when
    it makes the threads of its pool."""
    return bool(hit) and any(name in hit.text() for name in ("pthread_getattr_np", "allocate_stack"))


def torture_start(folder, engine, fault, nth):
    """A start while the nth call fails: the daemon serves, or it says why not and ends."""
    daemon = Daemon(folder, engine)
    daemon.control.arm(fault, nth)
    server = daemon.start(wait=False)
    hit = None
    try:
        until(lambda: server.process.poll() is not None or " serves " in server.log() or
              daemon.control.has_cut_log(), 20)
        hit = daemon.control.disarm()
        if server.process.poll() is None:
            status = server.stop()
            if status != 0:
                raise Problem(f"exit status {status}:\n{server.log()[-8000:]}")
        elif fault.kind == "pipe" and server.process.returncode == -signal.SIGABRT:
            pass  # libuv cannot make its pipe for signals, and aborts by design
        elif server.process.returncode not in (1, 2) or not (
                "hostler serve: " in server.log() or daemon.control.has_cut_log()):
            raise Problem(f"it ends with {server.process.returncode}:\n{server.log()[-8000:]}")
        check_sanitizers(server)
        if fault.times == 1 or fault.kind != "change":
            check_folder(server)
    except (Problem, AssertionError) as problem:
        server.kill()
        hit = hit or daemon.control.disarm()
        if is_thread_start(hit):
            return hit
        raise Problem(f"{problem}\nfailed: {hit.text() if hit else 'no failure'}") from problem
    return hit


def torture_end(folder, engine, fault, nth):
    """An end, with a stream that runs, while the nth call fails."""
    daemon = Daemon(folder, engine)
    server = daemon.start()
    daemon.bystander = Bystander(server)
    server.tokenize("a")
    daemon.control.arm(fault, nth)
    try:
        children = daemon.children()
        server.process.terminate()
        until(lambda: ": stopping; " in server.log() or server.process.poll() is not None, 20)
        server.process.terminate()  # so that the stream is not waited for
        status = server.process.wait(20)
        hit = daemon.control.disarm()
        # What cannot be removed for ever is left to the next start.
        check_end(server, status, children, fault.times == 1 or fault.kind != "change")
    except (Problem, AssertionError, subprocess.TimeoutExpired) as problem:
        server.kill()
        hit = daemon.control.disarm()
        raise Problem(f"{problem}\nfailed: {hit.text() if hit else 'no failure'}") from problem
    return hit


def check_folder(server):
    folders = list(server.runtime.iterdir())
    if folders:
        raise Problem(f"left in the folder for sockets: {folders}")


def check_end(server, status, children, removes=True):
    if status != 0:
        raise Problem(f"exit status {status}:\n{server.log()[-8000:]}")
    check_sanitizers(server)
    if removes:
        check_folder(server)
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), what="the engines' end")


def check_sanitizers(server):
    log = server.log()
    if "Sanitizer" in log or "runtime error:" in log:
        raise Problem(log[-8000:])


def may_be_lost(outcome, fault, hit):
    """Whether a client may go without a whole answer: the failure was on its own connection, or within
    the answer, which cannot be an error any more."""
    if hit.port == outcome.port or fault.times > 1 and hit.on_client():
        return True
    if outcome.head:
        return fault.kind in ("read_socket", "write_socket", "alloc") and not hit.on_client()
    return fault.kind == "alloc"
