# SPDX-License-Identifier: MIT
"""What all tests share: finding the programs, tiny models, daemons that end with their test.

Every unit test, fuzz corpus and simulation built by the Makefile is collected as a test too.
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import tiny_model  # noqa: E402

pytest_plugins = ["conformance.plugin"]

HOSTLER = pathlib.Path(os.environ.get("HOSTLER", ROOT / "build" / "san" / "hostler"))
FAKE_ENGINE = ROOT / "tests" / "fake_engine.py"
SAN = ROOT / "build" / "san"
PATIENCE = 60  # seconds: a bound for conditions, never an expectation

# A script that runs us in the background has it ignored, and so would all that we start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def until(condition, patience=PATIENCE, what="the condition"):
    """Calls `condition` until it returns something true, and returns that."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {patience} s"
        time.sleep(0.01)


def engine_path():
    path = os.environ.get("LLAMA_SERVER")
    if not path:
        path = subprocess.run([ROOT / "scripts" / "engine"], check=True, capture_output=True,
                              text=True).stdout.strip()
    return path


@pytest.fixture(scope="session")
def engine():
    return engine_path()


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with four tiny models, m1 to m4."""
    folder = tmp_path_factory.mktemp("models")
    for seed in range(1, 5):
        tiny_model.make(str(folder / f"m{seed}.gguf"), seed=seed)
    return folder


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Server:
    """A process that serves HTTP: hostler, or a llama-server."""

    def __init__(self, argv, env, log):
        self.log_path = log
        self.port = None
        self.socket = None
        self.tls = None  # an ssl.SSLContext, where it speaks HTTPS
        with open(log, "wb") as out:
            self.process = subprocess.Popen([str(a) for a in argv], env=env, stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        self.pid = self.process.pid

    def is_writing_log(self):
        """Whether a thread that writes hostler's log (base/log_sink) has something to do."""
        for task in pathlib.Path(f"/proc/{self.pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):  # it has just ended
                name, rest = task.read_text(errors="replace").split("(", 1)[1].rsplit(")", 1)
                if name.startswith("log ") and rest.split()[0] != "S":
                    return True
        return False

    def log(self):
        """All that was logged before the call."""
        until(lambda: not self.is_writing_log(), what="the writing of the log")
        return self.log_path.read_text(errors="replace")

    def connect(self, timeout=PATIENCE):
        if self.socket:
            return UnixConnection(str(self.socket), timeout)
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout,
                                               context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=PATIENCE):
        connection = self.connect(timeout)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body=body, **kw)

    def stop(self, patience=PATIENCE):
        """SIGTERM, then the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"pid {self.pid} did not end; its log:\n{self.log()}")

    def kill(self):
        self.process.kill()
        self.process.wait()


class Hostler(Server):
    def models(self):
        return {m["id"]: m for m in self.get("/models").json["data"]}

    def state(self, model):
        return self.models()[model]["status"]["value"]

    def loaded(self):
        """Without those that are on their way out."""
        return sorted(m for m, e in self.models().items()
                      if e["status"]["value"] == "loaded" and not e["status"].get("draining"))

    def until_gone(self, model, reason):
        """Out of memory, not only out of service."""
        until(lambda: self.models()[model]["status"].get("reason") == reason, what=f"the end of {model}, {reason}")

    def engines(self):
        return {e["model"]: e for e in self.get("/hostler/v1/status").json["engines"]}

    def queue(self):
        return {q["model"]: q for q in self.get("/hostler/v1/status").json["queue"]}

    def tokenize(self, model, content="hi", **kw):
        return self.post("/tokenize", {"model": model, "content": content}, **kw)


def clean_env(**extra):
    """Nothing of the caller's configuration reaches a server under test, and not the size that Python's readline
    gives a terminal in the environment, which would count more than a terminal's own."""
    env = {k: v for k, v in os.environ.items() if k not in ("LINES", "COLUMNS")
           and not k.startswith(("LLAMA_", "HOSTLER", "HF_", "HUGGING", "CURL_", "SSL_CERT_"))}
    env.update(extra)
    return env


def daemons(folder, engine):
    """What the fixture `hostler` does, for fixtures of another scope; its files are in `folder`."""
    servers = []

    def start(*args, engine=engine, env=None, wait=True, unix=False, launcher=()):
        number = len(servers)
        runtime = folder / f"run{number}"
        runtime.mkdir(mode=0o700)
        environment = clean_env(**{"XDG_RUNTIME_DIR": str(runtime), "LLAMA_SERVER": str(engine),
                                   "XDG_STATE_HOME": str(folder / f"state{number}"),
                                   "LLAMA_CACHE": str(folder / "cache"), **(env or {})})
        address = ["--host", folder / f"h{number}.sock"] if unix else ["--port", "0"]
        server = Hostler([*launcher, HOSTLER, "serve", *address, *args], environment,
                         folder / f"hostler{number}.log")
        server.runtime = runtime
        servers.append(server)
        if not wait:
            return server

        def listening():
            assert server.process.poll() is None, f"it ended:\n{server.log()}"
            found = re.search(r' serves .*on (?:unix:([^"\n]+)|https?://[^"\n]*:(\d+))["\n]', server.log())
            if found:
                server.socket = found[1]
                server.port = found[2] and int(found[2])
            return found

        until(listening, what="the daemon's listening")
        return server

    yield start
    problems = []
    for server in servers:
        if server.process.poll() is None:
            status = server.stop()
            if status != 0:
                problems.append(f"exit status {status}")
        log = server.log()
        if "AddressSanitizer" in log or "runtime error:" in log or "LeakSanitizer" in log:
            problems.append(log[-8000:])
    assert not problems, "\n".join(problems)


@pytest.fixture
def hostler(tmp_path, engine):
    """hostler(*args, engine=…, env={…}, wait=True): starts a daemon on a free port; it is stopped,
    and must have left no leak behind, when the test ends. `launcher`: words before its command."""
    yield from daemons(tmp_path, engine)


@pytest.fixture(scope="module")
def module_hostler(tmp_path_factory, engine):
    """The same for daemons that all tests of a file share."""
    yield from daemons(tmp_path_factory.mktemp("daemons"), engine)


def answers(server):
    try:
        return server.get("/health").status == 200
    except OSError:  # its socket is not there yet, or nobody listens on it
        return False


@pytest.fixture
def stock(tmp_path, engine):
    """stock(*args): llama.cpp's own server, a router or not, with hostler's command line."""
    servers = []

    def start(*args):
        path = tmp_path / f"s{len(servers)}.sock"
        server = Server([engine, *args, "--host", path], clean_env(LLAMA_CACHE=str(tmp_path)),
                        tmp_path / f"stock{len(servers)}.log")
        server.socket = path
        servers.append(server)
        until(lambda: answers(server), what="llama-server")
        return server

    yield start
    for server in servers:
        server.stop()


def run_cli(*args, server=None, stdin=None, env=None, timeout=PATIENCE):
    """A client command against `server`: a CompletedProcess with text."""
    environment = clean_env(**(env or {}))
    if server is not None:
        environment["HOSTLER_URL"] = (f"unix:{server.socket}" if server.socket
                                      else f"http://127.0.0.1:{server.port}")
    kw = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    return subprocess.run([str(HOSTLER), *map(str, args)], env=environment, capture_output=True,
                          text=True, timeout=timeout, **kw)


@pytest.fixture
def cli():
    return run_cli


# --- programs as tests -----------------------------------------------------------------------------

class ProgramFile(pytest.File):
    """A C source whose program the Makefile built: one test."""

    def collect(self):
        yield Program.from_parent(self, name=self.path.stem)


class Program(pytest.Item):
    def command(self):
        source = self.path.relative_to(ROOT / "tests")
        if source.parts[0] == "fuzz":
            corpus = self.path.parent / "corpus" / self.path.stem.removeprefix("fuzz_")
            return [SAN / "fuzz" / self.path.stem, *sorted(corpus.iterdir())]
        if source.parts[0] == "sim":
            return [SAN / "sim" / self.path.stem, "--events", "300000"]
        return [SAN / source.with_suffix("")]

    def runtest(self):
        command = [str(a) for a in self.command()]
        env = dict(os.environ, FAKE_ENGINE_PATH=str(FAKE_ENGINE),
                   FAKE_NVML=str(SAN / "fake_nvml.so"))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300,
                              errors="replace", env=env, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise AssertionError(f"{command[0]} ended with {done.returncode}\n"
                                 f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}")

    def repr_failure(self, excinfo, style=None):
        return str(excinfo.value)

    def reportinfo(self):
        return self.path, 0, self.name


def pytest_collect_file(file_path, parent):
    if file_path.suffix != ".c":
        return None
    if file_path.stem.startswith(("test_", "fuzz_", "sim_")):
        return ProgramFile.from_parent(parent, path=file_path)
    return None
