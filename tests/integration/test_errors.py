# SPDX-License-Identifier: MIT
"""Every way in which a command can fail: what it says, its exit status, and that stdout stays clean.

The cases are the files of tests/golden/errors, one a situation (SITUATIONS below). A case is a command,
what it writes, and its exit status:

    $ hostler lst
    hostler: there is no command 'lst'
             did you mean: hostler list
    [2]

Lines that begin with `| ` are stdout's. `UPDATE_GOLDEN=1 scripts/test tests/integration/test_errors.py -n 0`
writes what is said now; read the difference. A new case: write its first line, then update.
"""
import http.server
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import pytest

from conftest import HOSTLER, PATIENCE, ROOT, clean_env, run_cli, until
from test_tls import make_certificate, options
from unloading import ENDLESS
from wire import FAKE_ENGINE, fake_models

GOLDEN = ROOT / "tests" / "golden" / "errors"
NOBODY = "http://127.0.0.1:1"


# --- situations: the environment of a command, and what of its words differs from run to run -------

class Situation:
    def __init__(self, request):
        self.use = request.getfixturevalue
        self.env = {}
        self.names = {}  # what is replaced in the output, by what
        self.stdout = subprocess.PIPE
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="errors"))
        request.addfinalizer(lambda: shutil.rmtree(self.folder))
        self.name(str(self.folder), "DIR")

        self.at_end = request.addfinalizer

    def name(self, text, placeholder):
        self.names[text] = placeholder

    def serve(self, server):
        url = f"unix:{server.socket}" if server.socket else f"http://127.0.0.1:{server.port}"
        self.env["HOSTLER_URL"] = url
        self.name(url, "SERVER")
        return server

    def run(self, line):
        values = {placeholder: text for text, placeholder in self.names.items()}
        words = [re.sub(r"\b(?:" + "|".join(values) + r")\b", lambda m: values[m[0]], word)
                 for word in shlex.split(line)]
        assert words[0] == "hostler"
        return subprocess.run([HOSTLER, *words[1:]], env=clean_env(**self.env), text=True,
                              stdin=subprocess.DEVNULL, stdout=self.stdout, stderr=subprocess.PIPE,
                              timeout=PATIENCE, check=False)

    def show(self, text):
        for value, placeholder in self.names.items():
            text = text.replace(value, placeholder)
        text = re.sub(r"\b\d+\.\d s\b|\b\d+m\d+s\b", "TIME", text)
        # What libraries say differs from release to release.
        text = re.sub(r"(is not trusted: ).*?(?=\. If)", r"\1REASON", text)
        text = re.sub(r"(cannot resolve --host \S+: )[^;]*", r"\1REASON", text)
        text = re.sub(r'(ms": )\d+', r"\1N", text)
        return re.sub(r"127\.0\.0\.1:\d{4,}|a unix socket", "CLIENT", text)


def usage(s):
    """Nothing is sent: nobody listens there, and nobody is missed."""
    s.env["HOSTLER_URL"] = NOBODY


def nobody(s):
    s.env["HOSTLER_URL"] = NOBODY


class Page(http.server.BaseHTTPRequestHandler):
    """What a proxy or another service answers to everything."""
    page = b"<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title></head></html>\n"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


def page(s, status):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.status = status
    s.at_end(server.shutdown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    s.env["HOSTLER_URL"] = f"http://127.0.0.1:{server.server_port}"
    s.name(s.env["HOSTLER_URL"], "SERVER")


def web_page(s):
    page(s, 200)


def not_found(s):
    page(s, 404)


def no_http(s):
    """A server of another kind: it greets, as SSH does."""
    server = socket.create_server(("127.0.0.1", 0))

    def greet():
        while True:
            try:
                connection = server.accept()[0]
            except OSError:
                return
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            connection.recv(4096)
            connection.close()

    threading.Thread(target=greet, daemon=True).start()
    s.at_end(server.close)
    s.env["HOSTLER_URL"] = f"http://127.0.0.1:{server.getsockname()[1]}"
    s.name(s.env["HOSTLER_URL"], "SERVER")


def address(s):
    (s.folder / "file.sock").write_text("", encoding="utf-8")


def fake(s, *args, **behaviour):
    folder = fake_models(s.folder / "models", **behaviour)
    return s.serve(s.use("hostler")("--models-dir", folder, *args, engine=FAKE_ENGINE))


def models(s):
    fake(s, **{"qwen3": {}, "coder": {}, "SmolLM2-135M": {}})


def held(s):
    models(s)
    s.run("hostler hold qwen3 --reason training")


def held_for_a_time(s):
    models(s)
    s.run("hostler hold --all --for 1h")


def no_autoload(s):
    fake(s, "--no-models-autoload", qwen3={})


def broken(s):
    """Its engine ends while it loads."""
    fake(s, qwen3={"exit_at_load": 1, "log": "error: tensor 'blk.0' is missing"})


def no_room(s):
    """It takes more than engines may have."""
    (s.folder / "p.ini").write_text("[qwen3]\nmemory = 2G\n", encoding="utf-8")
    fake(s, "--models-preset", s.folder / "p.ini", "--memory", "host=1G", qwen3={})


def slow(s):
    """It never gets ready."""
    fake(s, qwen3={"never_ready": True})


def crashing(s):
    """Its engine dies in the middle of an answer."""
    fake(s, qwen3={"crash_stream": 2})


def busy(s):
    """A request that has no end is running."""
    server = fake(s, "--drain-timeout", "1", qwen3=ENDLESS)
    talk = subprocess.Popen([HOSTLER, "run", "qwen3", "x"], env=clean_env(**s.env),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    s.at_end(lambda: (talk.kill(), talk.wait()))
    until(lambda: server.engines().get("qwen3", {}).get("requests"), what="a request")


def silent(s):
    """It takes connections and says nothing."""
    server = socket.create_server(("127.0.0.1", 0))
    s.at_end(server.close)
    s.env["HOSTLER_URL"] = f"http://127.0.0.1:{server.getsockname()[1]}"
    s.name(s.env["HOSTLER_URL"], "SERVER")
    return server


def key_wanted(s):
    fake(s, "--api-key", "right", qwen3={})


def key_wrong(s):
    key_wanted(s)
    s.env["HOSTLER_API_KEY"] = "wrong"


def key_with_a_newline(s):
    key_wanted(s)
    s.env["HOSTLER_API_KEY"] = "right\n"


def stock(s):
    s.serve(s.use("stock")("--models-dir", s.use("models")))


def single(s):
    s.name(str(s.use("models")), "MODELS")
    s.serve(s.use("stock")("-m", s.use("models") / "m1.gguf"))


def tls(s):
    server = fake(s, *options(*make_certificate(s.folder)), qwen3={})
    plain = fake(s)
    s.names = {}
    s.name(f"127.0.0.1:{server.port}", "SECURE")
    s.name(f"127.0.0.1:{plain.port}", "PLAIN")
    s.env["SSL_CERT_DIR"] = "/nowhere"


def disk_full(s):
    models(s)
    s.stdout = open("/dev/full", "wb")
    s.at_end(s.stdout.close)


def serve(s):
    """Whatever listens on the default port, another one would be taken."""
    s.env["LLAMA_ARG_PORT"] = "0"
    s.env["LLAMA_SERVER"] = str(FAKE_ENGINE)
    s.env["XDG_RUNTIME_DIR"] = str(s.folder)
    fake_models(s.folder / "models", qwen3={})
    (s.folder / "mistake.ini").write_text("[qwen3]\nctx-sise = 4096\n", encoding="utf-8")
    (s.folder / "empty").write_text("", encoding="utf-8")
    taken = socket.create_server(("127.0.0.1", 0))
    s.at_end(taken.close)
    s.name(str(taken.getsockname()[1]), "TAKEN")
    s.name(str(FAKE_ENGINE), "ENGINE")


SITUATIONS = {f.__name__: f for f in (
    usage, nobody, web_page, not_found, no_http, silent, address, models, held, held_for_a_time,
    no_autoload, broken, no_room, slow, crashing, busy, key_wanted, key_wrong, key_with_a_newline,
    stock, single, tls, disk_full, serve)}


# --- golden files ----------------------------------------------------------------------------------

def read(path):
    """Pairs of a command's line and what follows it."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^\$ (hostler.*)\n((?:(?!\$ |#).*\n)*)", text, re.M)
    return [(line, result.strip("\n") + "\n") for line, result in found]


def write(path, line, result):
    text = path.read_text(encoding="utf-8")
    begin = text.index(f"$ {line}\n") + len(f"$ {line}\n")
    end = re.compile(r"^(?=\$ |#)|\Z", re.M).search(text, begin).start()
    tail = text[end:]
    path.write_text(text[:begin] + result + ("\n" + tail if tail else ""), encoding="utf-8")


CASES = [(path.stem, line, result) for path in sorted(GOLDEN.glob("*.txt"))
         for line, result in read(path)]


@pytest.mark.parametrize("situation,line,expected", CASES,
                         ids=[f"{s}-{line.removeprefix('hostler ')}" for s, line, _ in CASES])
def test_golden(request, situation, line, expected):
    s = Situation(request)
    SITUATIONS[situation](s)
    done = s.run(line)
    out = "".join(f"| {text}\n" for text in (done.stdout or "").splitlines())
    result = s.show(f"{out}{done.stderr}[{done.returncode}]\n")
    if os.environ.get("UPDATE_GOLDEN"):
        write(GOLDEN / f"{situation}.txt", line, result)
    else:
        assert result == expected


def test_every_situation_has_its_cases():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SITUATIONS)
    assert all(expected.strip() for _, _, expected in CASES)


def test_messages_have_one_shape():
    """`hostler: what happened`, and below it, indented, what to do."""
    shape = re.compile(r"(\| |hostler: |hostler serve: |problem: | {9,}\S|\[\d+\]$)")
    for situation, line, expected in CASES:
        for text in expected.splitlines():
            assert shape.match(text), (situation, line, text)
            assert len(text) < 200, (situation, line, text)


# --- every command, also those without a case of their own -----------------------------------------

def every_command():
    """Names and what they want at least, from the program itself."""
    found = {}
    text = subprocess.run([HOSTLER, "help"], check=True, capture_output=True, text=True).stdout
    for name in re.findall(r"^  ([a-z]+) ", text.split("\ncommands:\n")[1].split("\n\n")[0], re.M):
        usage_line = run_cli("help", name).stdout.split("\n", 1)[0]
        found[name] = ["qwen3"] if "MODEL" in usage_line else []
    return found


COMMANDS = every_command()
# What they print is what they found, or they ask nobody.
NO_CLIENTS = {"serve", "help", "completion", "version", "doctor"}
CLIENTS = sorted(set(COMMANDS) - NO_CLIENTS)


def invocation(command):
    prompt = ["hi"] if command == "run" else []
    return [command, *COMMANDS[command], *prompt]


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"serve", "load"}))  # load passes others on: the server knows them
def test_every_command_knows_its_options(command):
    done = run_cli(*invocation(command), "--frobnicate")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"hostler: hostler {command} has no option --frobnicate\n         ")


@pytest.mark.parametrize("command", CLIENTS)
@pytest.mark.parametrize("situation,status", [(nobody, 3), (not_found, 3), (key_wanted, 4),
                                              (key_wrong, 4), (no_http, 3)])
def test_every_client_tells_the_server_apart(request, situation, status, command):
    s = Situation(request)
    situation(s)
    done = s.run(shlex.join(["hostler", *invocation(command)]))
    if command == "top" and done.returncode == 2:
        pytest.skip("needs a terminal first")
    assert (done.returncode, done.stdout) == (status, "")
    assert re.match(r"hostler: .+\n         .+\n\Z", done.stderr), done.stderr


def interrupt(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in (130, -signal.SIGINT), (process.returncode, err)
    return out, err


@pytest.mark.parametrize("command", CLIENTS)
def test_an_interrupt_ends_it(request, command):
    s = Situation(request)
    server = silent(s)
    server.settimeout(PATIENCE)
    process = subprocess.Popen([HOSTLER, *invocation(command)], env=clean_env(**s.env), text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if command == "top":
        process.communicate(timeout=PATIENCE)
        pytest.skip("needs a terminal")
    connection = server.accept()[0]
    out, err = interrupt(process)
    connection.close()
    assert out == "" and len(err.splitlines()) <= 2, err


def test_an_interrupted_load_goes_on(request):
    s = Situation(request)
    slow(s)
    process = subprocess.Popen([HOSTLER, "load", "qwen3"], env=clean_env(**s.env), text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: "loading" in s.run("hostler list").stdout, what="the load")
    assert interrupt(process)[0] == ""
    assert "loading" in s.run("hostler list").stdout


def test_a_prompt_that_is_no_text(request):
    s = Situation(request)
    models(s)
    done = subprocess.run([HOSTLER, "run", "qwen3"], env=clean_env(**s.env), input=b"\xff\xfe",
                          capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"hostler: the prompt is not UTF-8 text\n")


def test_without_a_command_the_help_is_shown_as_an_error():
    done = run_cli()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == run_cli("help").stdout
