# SPDX-License-Identifier: MIT
"""The servers of the cases: the same handle for a stock llama-server and for hostler."""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import threading

from conftest import HOSTLER, PATIENCE, Answer, Server, clean_env, until
from conformance.suite import without_additions
from integration.background import background
from integration.wire import Wire


def plain_answer(a):
    """Status, content type and body; the body of an event stream is its frames."""
    kind = a.headers.get("content-type")
    body = a.body.decode(errors="backslashreplace")
    if kind and kind.startswith("application/json"):
        try:
            body = json.loads(body)
        except ValueError:
            pass
    elif kind and kind.startswith("text/event-stream"):
        body = [frame(line) for line in body.splitlines() if line]
    return {"status": a.status, "type": kind, "body": body}


def frame(line):
    """A line of an event stream; the JSON of a data line is read."""
    if line.startswith("data: "):
        try:
            return json.loads(line[6:])
        except ValueError:
            pass
    return line


Answer.plain = plain_answer


class Events:
    """What a subscriber of /models/sse gets, as it comes."""

    def __init__(self, server, headers=None):
        self.server = server
        self.wire = Wire(server)
        self.wire.ask("GET", "/models/sse", Accept="text/event-stream", **(headers or {}))
        self.head = self.wire.head()
        self.lines, self.frames = [], []
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(OSError, EOFError, ValueError):
            for chunk in self.wire.chunks():
                with self.changed:
                    self.lines += chunk.decode().splitlines()
                    self.frames = [json.loads(x[6:]) for x in self.lines if x.startswith("data: ")]
                    self.changed.notify_all()

    def wait(self, found, what="the event"):
        """Waits until `found(frame)` for one of the frames."""
        until(lambda: any(found(f) for f in self.frames), self.server.patience,
              f"{what}; there were {self.frames}: that")

    def wait_status(self, model, status, times=1):
        def count():
            return sum(f["model"] == model and f.get("data", {}).get("status") == status
                       and "progress" not in f["data"] for f in self.frames) >= times
        until(count, self.server.patience, f"{model} {status}; there were {self.frames}: that")

    def story(self, *models):
        """(model, event, status) of each frame; the reports of a load's progress are left out,
        since there may be any number of them."""
        kept = [f for f in self.frames if not models or f["model"] in models]
        return [[f["model"], f["event"], f.get("data", {}).get("status")] for f in kept
                if "progress" not in f.get("data", {})]

    def close(self):
        with contextlib.suppress(OSError):
            self.wire.sock.shutdown(2)
        self.wire.sock.close()


class Host(Server):
    """A server of a case."""

    patience = PATIENCE
    side = None

    # --- asking ---

    def load(self, model, **kw):
        return self.post("/models/load", {"model": model}, **kw)

    def unload(self, model, **kw):
        return self.post("/models/unload", {"model": model}, **kw)

    def tokenize(self, model, content="hi", **kw):
        return self.post("/tokenize", {"model": model, "content": content}, **kw)

    def entries(self, **kw):
        return {e["id"]: without_additions(e) for e in self.get("/models", **kw).json["data"]}

    def entry(self, model, **kw):
        return self.entries(**kw)[model]

    def status(self, model, **kw):
        return self.entry(model, **kw)["status"]["value"]

    def statuses(self):
        return {k: e["status"]["value"] for k, e in self.entries().items()}

    def until_status(self, model, *wanted):
        until(lambda: self.status(model) in wanted, self.patience,
              f"{model}, which is {self.status(model)}, being {' or '.join(wanted)}:")
        return self

    def until_healthy(self):
        self.until(lambda: self.get("/health").status == 200, "its health")
        return self

    def until(self, condition, what="the condition"):
        return until(condition, self.patience, what)

    def later(self, call, *args, **kw):
        """Calls in the background; `.result(PATIENCE)` is what it returned."""
        return background(call, *args, **kw)

    def be_loaded(self, *models):
        """Brings them into the state that a case starts from."""
        for model in models:
            if self.status(model) == "unloaded":
                self.load(model)
        for model in models:
            self.until_status(model, "loaded")
        return self

    def be_unloaded(self, *models):
        for model in models:
            if self.status(model) != "unloaded":
                self.unload(model)
        for model in models:
            self.until_status(model, "unloaded")
        return self

    def events(self, **headers):
        return contextlib.closing(Events(self, headers))

    def wire(self):
        return Wire(self)

    # --- its processes ---

    def engine_pids(self):
        """The engines' processes by the names that their router gave them."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                state, parent = stat.rpartition(")")[2].split()[:2]
                argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if int(parent) == self.pid and state != "Z" and "--alias" in argv:
                    found[argv[argv.index("--alias") + 1]] = int(entry.name)
        return found

    @staticmethod
    def is_alive(pid):
        """Whether there is such a process; one that only waits to be reaped is none."""
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    def kill_engine(self, model, how=signal.SIGKILL):
        pid = self.engine_pids()[model]
        os.kill(pid, how)
        until(lambda: self.engine_pids().get(model) != pid, self.patience, "the engine's end")


LISTENING = {"stock": re.compile(r"listening on http://[^\n:]+:(\d+)"),
             "hostler": re.compile(r' serves .*on http://[^"\n]*:(\d+)["\n]')}


class Starter:
    """Starts servers of one side: start("--models-dir", folder, …). Their files are in `folder`."""

    def __init__(self, side, folder, engine, tiny_models):
        self.side, self.folder, self.engine = side, folder, str(engine)
        self.tiny_models = tiny_models
        self.patience = PATIENCE
        self.servers = []
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, *args, env=None, wait=True):
        number = len(self.servers)
        runtime = self.folder / f"run{number}"
        runtime.mkdir(mode=0o700)
        (self.folder / "cache").mkdir(exist_ok=True)
        environment = clean_env(**{
            "XDG_RUNTIME_DIR": str(runtime), "XDG_STATE_HOME": str(self.folder / "state"),
            "LLAMA_CACHE": str(self.folder / "cache"), **(env or {})})
        # A thread each: engines that wait for each other's turn on the machine spin meanwhile.
        args = ["--port", "0", "--threads", "1", *args]
        program = [self.engine]
        if self.side == "hostler":
            environment["LLAMA_SERVER"] = self.engine
            program = [HOSTLER, "serve"]
        server = Host([*program, *args], environment,
                      self.folder / f"server{number}.log")
        server.side, server.patience, server.folder = self.side, self.patience, self.folder
        self.servers.append(server)
        if wait:
            until(lambda: self.listening(server), what="the server's listening")
        return server

    def listening(self, server):
        assert server.process.poll() is None, f"{self.side} ended:\n{server.log()[-4000:]}"
        found = LISTENING[self.side].search(server.log())
        server.port = found and int(found[1])
        return found

    def fails(self, *args, **kw):
        """Whether a server with these arguments refuses to start: it ends by itself with an error."""
        server = self(*args, wait=False, **kw)

        def decided():
            return server.process.poll() is not None or LISTENING[self.side].search(server.log())
        until(decided, what="its start or its end")
        return server.process.poll() is not None and server.process.wait() != 0

    def models(self, *names, folder="dir"):
        """A folder for --models-dir in which each of these files is a tiny model."""
        root = self.folder / folder
        root.mkdir(exist_ok=True)
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(self.tiny_models / "m1.gguf", path)
        return root

    def cached(self, repo, *files, commit="a" * 40, ref="main"):
        """Puts tiny models under these names into the cache, as a download of `repo` would."""
        root = self.folder / "cache" / ("models--" + repo.replace("/", "--"))
        for name in ("refs", "blobs"):
            (root / name).mkdir(parents=True, exist_ok=True)
        if ref:
            (root / "refs" / ref).write_text(commit, encoding="ascii")
        for name in files:
            blob = root / "blobs" / hashlib.sha256(name.encode()).hexdigest()
            if not blob.exists():
                os.link(self.tiny_models / "m1.gguf", blob)
            link = root / "snapshots" / commit / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
        return root

    def presets(self, text):
        """Writes a file for --models-preset in which M1, M2 stand for tiny models: its path."""
        for number in "12":
            text = text.replace(f"M{number}", str(self.tiny_models / f"m{number}.gguf"))
        return self.file("models.ini", text)

    def preset(self, text, *args, **kw):
        """A server with these presets."""
        return self(*args, "--models-preset", self.presets(text), **kw)

    def file(self, name, text):
        """Writes a file of the case: its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def stop(self):
        """Ends all; what was wrong with their end."""
        problems = []
        for server in self.servers:
            if self.side == "stock":
                server.kill()  # its children see the end of their stdin
                continue
            if server.process.poll() is None:
                status = server.stop()
                if status != 0:
                    problems.append(f"hostler's exit status is {status}:\n{server.log()[-4000:]}")
            if re.search(r"AddressSanitizer|runtime error:|LeakSanitizer", server.log()):
                problems.append(server.log()[-8000:])
        self.servers = []
        return problems
