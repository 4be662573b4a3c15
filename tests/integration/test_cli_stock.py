# SPDX-License-Identifier: MIT
"""The client commands against a stock llama.cpp router, and against what is no router at all.

What only a scripted server can do (cut streams, errors in the middle) is at the end.
"""
import http.server
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

import tiny_model
from background import background
from conftest import HOSTLER, PATIENCE, Server, clean_env, run_cli, until

ODD_NAMES = ["we ird", 'quo"te', "a'b", "a$(touch pwned)", "ünï🚀", "-dash", "--all", "x=y",
             "back\\slash", "`id`", "50%s", "tab\there"]


# --- servers ---------------------------------------------------------------------------------------

def llama_server(engine, log, *args):
    """A llama-server on a free port, which it names in its log."""
    server = Server([engine, "--port", "0", *args], clean_env(), log)

    def listening():
        assert server.process.poll() is None, f"it ended:\n{server.log()}"
        found = re.search(r"listening on http://[^:]+:(\d+)", server.log())
        server.port = found and int(found[1])
        return found

    try:
        until(listening, what="llama-server's listening")
    except BaseException:
        server.kill()
        raise
    return server


def states(server, key=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    listed = server.get("/models", headers=headers).json["data"]
    return {m["id"]: m["status"]["value"] for m in listed}


def loaded(server):
    return sorted(m for m, state in states(server).items() if state != "unloaded")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stock")
    for seed, name in enumerate(["alpha", "beta", "gamma", "delta", "epsilon"], 1):
        tiny_model.make(str(folder / f"{name}.gguf"), seed=seed)
    # Half a minute of answer, so that something can happen in the middle.
    tiny_model.make(str(folder / "slow.gguf"), n_ctx_train=32768, pad_mb=8)
    (folder / "broken.gguf").write_bytes(b"GGUF, but no more")
    return folder


@pytest.fixture(scope="module")
def shared_router(engine, folder, tmp_path_factory):
    server = llama_server(engine, tmp_path_factory.mktemp("log") / "router.log",
                          "--models-dir", folder, "--models-max", "4")
    yield server
    server.kill()


def unload_all(server):
    for model in loaded(server):
        server.post("/models/unload", {"model": model})
    until(lambda: not loaded(server), what="all being unloaded")


@pytest.fixture
def router(shared_router):
    """With nothing loaded."""
    unload_all(shared_router)
    yield shared_router
    unload_all(shared_router)


@pytest.fixture
def hostler(router):
    """hostler(*args): a client command against the router. Whatever it does, stdout is clean."""
    def run(*args, **kw):
        done = run_cli(*args, server=router, **kw)
        assert "\033" not in done.stdout and "hostler: " not in done.stdout
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done
    return run


def failed(done, status, *words):
    """It ended with that status, told of these words on stderr, and left stdout alone."""
    assert done.returncode == status, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("hostler: ")
    for word in words:
        assert word in done.stderr
    return True


# --- list, ps --------------------------------------------------------------------------------------

def test_list_is_a_table(hostler):
    done = hostler("list")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["MODEL", "STATE", "SIZE", "CONTEXT", "MEMORY", "SOURCE", "ALIASES"]
    assert ["alpha", "unloaded", "-", "2048", "-", "models_dir", "-"] in [x.split() for x in lines]
    assert len(lines) == 8


def test_list_as_json(hostler):
    assert hostler("load", "alpha").returncode == 0
    models = {m["id"]: m for m in json.loads(hostler("list", "--json").stdout)["models"]}
    assert models["alpha"]["state"] == "loaded" and models["beta"]["state"] == "unloaded"
    assert models["alpha"]["size"] > 400_000 and models["beta"]["size"] is None
    assert models["alpha"]["context"] == 2048
    assert models["alpha"]["source"] == "models_dir" and models["alpha"]["aliases"] == []


def test_list_names_are_one_a_line(hostler):
    names = hostler("list", "--names").stdout.splitlines()
    assert sorted(names) == ["alpha", "beta", "broken", "delta", "epsilon", "gamma", "slow"]


def test_ps_shows_what_is_loaded(hostler):
    assert len(hostler("ps").stdout.splitlines()) == 1
    assert json.loads(hostler("ps", "--json").stdout) == {"engines": []}
    assert hostler("load", "alpha", "beta").returncode == 0
    lines = [line.split() for line in hostler("ps").stdout.splitlines()[1:]]
    assert [line[:3] for line in lines] == [["alpha", "loaded", "-"], ["beta", "loaded", "-"]]
    engines = json.loads(hostler("ps", "--json").stdout)["engines"]
    assert [e["model"] for e in engines] == ["alpha", "beta"] and engines[0]["pid"] is None


# --- load ------------------------------------------------------------------------------------------

def test_load_waits_until_ready(hostler, router):
    done = hostler("load", "alpha", "gamma")
    assert done.returncode == 0 and done.stderr == ""
    assert re.fullmatch(r"(alpha|gamma) loaded in \S+ m?s\n(alpha|gamma) loaded in \S+ m?s\n",
                        done.stdout)
    assert states(router)["alpha"] == states(router)["gamma"] == "loaded"
    assert hostler("load", "alpha").stdout == "alpha already loaded\n"


@pytest.mark.parametrize("more", [("--ctx-size", "256"), ("--ttl", "5m")])
def test_load_refuses_what_a_stock_router_passes_over(hostler, router, more):
    failed(hostler("load", "alpha", *more), 2, "is no hostler", "presets")
    assert states(router)["alpha"] == "unloaded"


def test_load_does_what_it_can(hostler, router):
    done = hostler("load", "alpha", "broken", "alhpa", "alpha")
    assert done.returncode == 1
    assert re.fullmatch(r"alpha loaded in \S+ m?s\n", done.stdout)
    assert "model 'broken' failed to load" in done.stderr and "exit code 1" in done.stderr
    assert "no model 'alhpa'" in done.stderr and "did you mean 'alpha'?" in done.stderr
    assert loaded(router) == ["alpha"]


def test_load_again_after_a_failure(hostler):
    """The failure that the list still shows is not taken for that of the new load."""
    for _ in range(2):
        done = hostler("load", "broken")
        assert failed(done, 1, "model 'broken' failed to load")


def test_load_as_json(hostler):
    done = hostler("load", "--json", "alpha", "broken", "nothing-like-it")
    assert done.returncode == 1
    results = {r["model"]: r for r in json.loads(done.stdout)["results"]}
    assert results["alpha"]["result"] == "loaded" and results["alpha"]["ms"] >= 0
    assert (results["broken"]["result"], results["broken"]["reason"]) == ("failed", "load_failed")
    assert results["nothing-like-it"]["reason"] == "not_found"


def test_load_without_waiting(hostler, router):
    done = hostler("load", "--no-wait", "alpha")
    assert (done.returncode, done.stdout) == (0, "alpha requested\n")
    until(lambda: states(router)["alpha"] == "loaded", what="the load")


def test_load_of_more_than_fit_is_told(hostler, router):
    """A stock router refuses the fifth as long as four load, and else puts one out for it, whose
    `loaded in` would be only half of the truth then."""
    done = hostler("load", "alpha", "beta", "gamma", "delta", "epsilon")
    assert done.returncode == 1
    lost = set(re.findall(r"model '(\w+)' is not loaded \((?:unloaded|refused)\)", done.stderr))
    assert lost == {"alpha", "beta", "gamma", "delta", "epsilon"} - set(loaded(router))
    assert "make room" in done.stderr or "model limit reached" in done.stderr


def test_load_takes_the_place_of_another(hostler, router):
    """Which is told when it was named in the same command."""
    assert hostler("load", "alpha", "beta", "gamma", "delta").returncode == 0
    done = hostler("load", "alpha", "beta", "gamma", "delta", "epsilon")
    assert done.returncode == 1 and "epsilon loaded in" in done.stdout
    lost = re.findall(r"model '(\w+)' is not loaded \(unloaded\)", done.stderr)
    assert len(lost) == 1 and lost[0] not in loaded(router)


def test_load_gives_up_in_time(hostler, router):
    done = hostler("load", "--timeout", "0.001s", "slow")
    if done.returncode:  # it may be ready at the first look
        assert failed(done, 1, "model 'slow'", "timeout")
    until(lambda: states(router)["slow"] == "loaded", what="the load, which goes on")


# --- unload ----------------------------------------------------------------------------------------

def test_unload_waits_until_gone(hostler, router):
    assert hostler("load", "alpha", "beta").returncode == 0
    done = hostler("unload", "alpha")
    assert done.returncode == 0 and done.stderr == ""
    assert re.fullmatch(r"alpha unloaded in \S+ m?s\n", done.stdout)
    assert loaded(router) == ["beta"]


def test_unload_names_each(hostler, router):
    assert hostler("load", "alpha", "beta").returncode == 0
    done = hostler("unload", "alpha", "gamma", "gamme")
    assert done.returncode == 1
    assert re.fullmatch(r"alpha unloaded in \S+ m?s\ngamma not loaded\n", done.stdout)
    assert failed(subprocess.CompletedProcess([], 1, "", done.stderr), 1, "no model 'gamme'",
                  "did you mean 'gamma'?")
    assert loaded(router) == ["beta"]


def test_unload_what_is_not_loaded_is_no_failure(hostler):
    done = hostler("unload", "alpha")
    assert (done.returncode, done.stdout) == (0, "alpha not loaded\n")


def test_unload_all(hostler, router):
    assert hostler("load", "alpha", "beta", "gamma").returncode == 0
    done = hostler("unload", "--all")
    assert done.returncode == 0 and done.stderr == ""
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == ["alpha", "beta", "gamma"]
    assert loaded(router) == []
    assert hostler("unload", "--all").stdout == "nothing to unload\n"


def test_unload_all_but_some(hostler, router):
    assert hostler("load", "alpha", "beta", "gamma").returncode == 0
    done = hostler("unload", "--all", "--except", "beta", "--except=gamma", "--json")
    assert done.returncode == 0
    assert [(r["model"], r["result"]) for r in json.loads(done.stdout)["results"]] == [
        ("alpha", "unloaded")]
    assert loaded(router) == ["beta", "gamma"]


def test_a_slip_in_except_unloads_nothing(hostler, router):
    assert hostler("load", "alpha", "beta").returncode == 0
    assert failed(hostler("unload", "--all", "--except", "alhpa"), 2, "'alhpa'",
                  "did you mean 'alpha'?", "nothing was unloaded")
    assert loaded(router) == ["alpha", "beta"]


def test_unload_dry_run(hostler, router):
    assert hostler("load", "alpha").returncode == 0
    assert hostler("unload", "--all", "--dry-run").stdout == "alpha would be unloaded\n"
    assert hostler("unload", "alpha", "--dry-run").stdout == "alpha would be unloaded\n"
    assert loaded(router) == ["alpha"]


@pytest.mark.parametrize("option", ["--drain=5", "--force", "--hold", "--hold=1h", "--reason=x"])
def test_what_stock_cannot_do_is_refused_before_anything(hostler, router, option):
    assert hostler("load", "alpha").returncode == 0
    assert failed(hostler("unload", "--all", option), 2, "nothing was unloaded", option.split("=")[0],
                  "stock llama.cpp router")
    assert loaded(router) == ["alpha"]


def test_unload_of_a_busy_model_ends_its_answer(hostler, router):
    assert hostler("load", "slow").returncode == 0
    answer = background(hostler, "run", "slow", "go on")
    until(lambda: router.get("/slots?model=slow").json[0]["is_processing"], what="the answer's begin")
    assert hostler("unload", "slow").returncode == 0
    done = answer.result(PATIENCE)
    assert done.returncode == 1
    assert "model 'slow' broke off" in done.stderr or "did not answer" in done.stderr


def test_a_model_that_comes_back_is_told(hostler, router):
    """Its clients go on asking: what autoload does then is not `unloaded`."""
    assert hostler("load", "alpha").returncode == 0
    stop = threading.Event()

    def traffic():
        while not stop.is_set():
            router.post("/tokenize", {"model": "alpha", "content": "x"})

    client = background(traffic)
    try:
        done = hostler("unload", "alpha", "--json")
    finally:
        stop.set()
    client.result(PATIENCE)
    assert done.returncode == 1, done.stdout
    assert json.loads(done.stdout)["results"][0]["reason"] == "loaded_again"


# --- run -------------------------------------------------------------------------------------------

def test_run_streams_the_answer(hostler):
    done = hostler("run", "alpha", "hello", "there", "--max-tokens", "5", "--temperature=0")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.endswith("\n") and len(done.stdout) > 1


def test_run_as_json(hostler):
    done = hostler("run", "alpha", "--json", "--max-tokens", "5", stdin="hello")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer["object"] == "chat.completion" and answer["model"] == "alpha"
    assert answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5


def test_run_of_an_unknown_model(hostler):
    assert failed(hostler("run", "aplha", "x"), 1, "no model 'aplha'", "did you mean 'alpha'?")


def test_run_of_a_broken_model(hostler):
    assert failed(hostler("run", "broken", "x"), 1, "model 'broken' did not answer")


def test_run_wants_a_prompt(hostler):
    assert failed(hostler("run", "alpha"), 2, "no prompt")
    assert failed(hostler("run", "alpha", stdin=""), 2, "no prompt")
    assert failed(hostler("run"), 2, "which model?")


# --- names -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def odd_router(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    model = tiny_model.make(str(folder / "first.gguf"))
    for name in ODD_NAMES:
        os.link(model, folder / f"{name}.gguf")
    server = llama_server(engine, tmp_path_factory.mktemp("log") / "odd.log", "--models-dir", folder,
                          "--api-key", "k 1")
    yield server
    server.kill()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_can_be_said(odd_router, name, tmp_path):
    def run(*args):
        return run_cli(*args, server=odd_router, env={"LLAMA_API_KEY": "k 1"})

    shown = name.replace("\t", "?")  # a line stays a line
    if name not in run("list", "--names").stdout.splitlines():
        pytest.skip("this router does not serve a model of that name")
    done = run("load", "--", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{shown} loaded in ")
    assert states(odd_router, "k 1")[name] == "loaded"
    assert any(line.startswith(shown + " ") for line in run("ps").stdout.splitlines())
    done = run("run", "--max-tokens", "2", "--", name, "-x")
    assert done.returncode == 0, done.stderr
    done = run("unload", "--", name)
    assert done.returncode == 0 and done.stdout.startswith(f"{shown} unloaded in ")
    assert states(odd_router, "k 1")[name] == "unloaded"


def test_a_dash_without_the_two_is_explained(odd_router):
    assert failed(run_cli("load", "-dash", server=odd_router), 2, "-dash", "after `--`")


def test_bash_completes_names_as_data(odd_router, tmp_path):
    """What is completed is the shell's quoted form of the name, and nothing of it is run."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    os.symlink(HOSTLER, bin_folder / "hostler")
    script = ('source <(hostler completion bash); COMP_WORDS=(hostler load -- ""); COMP_CWORD=3\n'
              '_hostler; for r in "${COMPREPLY[@]}"; do eval "set -- $r"; printf "%s\\n" "$#$1"; done')
    env = clean_env(PATH=f"{bin_folder}:{os.environ['PATH']}", HOSTLER_API_KEY="k 1",
                    HOSTLER_URL=f"http://127.0.0.1:{odd_router.port}")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True,
                          text=True, timeout=PATIENCE)
    names = {"1" + name for name in states(odd_router, "k 1")}
    assert set(done.stdout.splitlines()) == names, done.stderr
    assert not (tmp_path / "pwned").exists()


# --- keys ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("args", [["list"], ["ps"], ["load", "first"], ["unload", "--all"],
                                  ["run", "first", "x"]])
def test_a_key_is_asked_for(odd_router, args):
    assert failed(run_cli(*args, server=odd_router), 4, "wants a key", "HOSTLER_API_KEY")
    assert failed(run_cli("--api-key", "no", *args, server=odd_router), 4, "refused the key")


def test_a_key_is_given(odd_router):
    for args, env in [((), {"HOSTLER_API_KEY": "k 1"}), ((), {"LLAMA_API_KEY": "k 1"}),
                      (("--api-key=k 1",), {"HOSTLER_API_KEY": "no"})]:
        assert run_cli(*args, "list", server=odd_router, env=env).returncode == 0
        assert run_cli("list", *args, server=odd_router, env=env).returncode == 0


def test_the_servers_own_variable_may_list_keys(odd_router):
    """As llama-server reads it; the other places are a client's, and name one."""
    assert run_cli("list", server=odd_router, env={"LLAMA_API_KEY": " k 1 ,k2"}).returncode == 0
    for args, env in [((), {"HOSTLER_API_KEY": "k 1,k2"}), (("--api-key", "k 1,k2"), {})]:
        assert failed(run_cli(*args, "list", server=odd_router, env=env), 4, "refused the key",
                      "this holds a comma")


@pytest.mark.parametrize("command", ["hold", "release"])
def test_a_stock_router_has_no_holds(shared_router, command):
    done = run_cli(command, "--all", server=shared_router)
    assert done.returncode == 3
    assert "is a stock llama.cpp router, which has no holds" in done.stderr


def test_version_tells_of_a_key(odd_router):
    done = run_cli("version", server=odd_router)
    assert done.returncode == 4 and "wants a key" in done.stdout


# --- what is no router -----------------------------------------------------------------------------

ALL = [["list"], ["ps"], ["load", "alpha"], ["unload", "alpha"], ["unload", "--all"],
       ["run", "alpha", "x"]]


@pytest.mark.parametrize("args", ALL)
def test_nothing_listens(args):
    with socket.socket() as taken:  # bound, not listening: nobody else can take the port
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = run_cli(*args, "--url", url)
    assert failed(done, 3, url, "refused", "hostler serve", "--url")


def test_nothing_listens_on_a_socket(tmp_path):
    assert failed(run_cli("list", "--url", f"unix:{tmp_path}/no.sock"), 3, "No such file")


@pytest.mark.parametrize("args", ALL)
def test_a_single_model_server_is_told_apart(single, args):
    done = run_cli(*args, server=single)
    if args[0] == "run":  # it can chat
        assert done.returncode == 0
    else:
        assert failed(done, 3, "not a llama.cpp router", "llama-server with one model",
                      "alpha.gguf")


def test_version_knows_a_single_model_server(single):
    assert "llama-server b" in run_cli("version", server=single).stdout


@pytest.fixture(scope="module")
def single(engine, folder, tmp_path_factory):
    server = llama_server(engine, tmp_path_factory.mktemp("log") / "single.log",
                          "-m", folder / "alpha.gguf", "-n", "4")
    until(lambda: server.get("/health").status == 200, what="the load")
    yield server
    server.kill()


class Scripted(http.server.BaseHTTPRequestHandler):
    """Answers as `server.script` says: (method, path) → (status, content type, [pieces])."""
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.server.bodies.append(self.rfile.read(length))
        status, kind, pieces = self.server.script.get(
            (self.command, self.path.split("?")[0]),
            self.server.script.get("else", (404, "text/html", [b"<html>not here</html>"])))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()
        self.close_connection = True

    do_GET = do_POST = answer

    def log_message(self, *args):
        pass


@pytest.fixture
def scripted():
    servers = []

    def start(script):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
        server.script, server.bodies = script, []
        server.port, server.socket_path = server.server_address[1], None
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        server.url = f"http://127.0.0.1:{server.port}"
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("args", ALL)
@pytest.mark.parametrize("status", [200, 404])
def test_a_web_page_is_no_router(scripted, args, status):
    page = b"<!doctype html><html><body>It works!</body></html>"
    server = scripted({"else": (status, "text/html", [page])})
    assert failed(run_cli(*args, "--url", server.url), 3, server.url)


def test_what_is_no_http_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def greet():
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                peer.recv(4096)
        background(greet)
        done = run_cli("list", "--url", f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert failed(done, 3, "HTTP")


def test_a_list_without_states_is_no_router(scripted):
    body = json.dumps({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}).encode()
    server = scripted({("GET", "/models"): (200, "application/json", [body])})
    assert failed(run_cli("list", "--url", server.url), 3, "tells no states")


def test_strange_lists_are_read(scripted):
    """A status may be a string, an id may be in `model` or `name`."""
    body = json.dumps({"models": [
        {"name": "a", "status": "loaded"}, {"model": "b", "status": {"value": "unloaded"}},
        {"id": 7}, None, {"id": "evil\x1b[2J\nname", "status": {"value": "loaded", "args": 3},
                          "aliases": "x", "meta": [], "size": "big"}]}).encode()
    server = scripted({("GET", "/models"): (200, "application/json", [body])})
    done = run_cli("list", "--url", server.url)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["a", "loaded"], ["b", "unloaded"], ["evil?[2J?name", "loaded"]]


# --- answers in pieces -----------------------------------------------------------------------------

def chunk(**delta):
    return json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()


def chat_server(scripted, *pieces, status=200, kind="text/event-stream"):
    return scripted({("POST", "/v1/chat/completions"): (status, kind, pieces)})


def test_a_stream_may_be_cut_anywhere(scripted):
    text = (b": hello\r\n\r\ndata: " + chunk(role="assistant", content=None) + b"\r\n\r\n"
            + b"data: " + chunk(reasoning_content="hm") + b"\n\ndata:" + chunk(content="Pa")
            + b"\n\ndata: " + chunk(content="r\u00efs") + b"\n\ndata: [DONE]\n\n")
    server = chat_server(scripted, *(text[i:i + 1] for i in range(len(text))))
    done = run_cli("run", "any", "x", "--url", server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Par\u00efs\n", "")


@pytest.mark.parametrize("end, message", [
    (b'data: {"error":{"code":500,"message":"no memory left"}}\n\n', "no memory left"),
    (b'error: {"code":500,"message":"slot died"}\n\n', "slot died"),
    (b"proxy error: Failed to read connection", "proxy error: Failed to read connection"),
    (b"", "in the middle"),
])
def test_an_answer_that_breaks_off_is_told(scripted, end, message):
    server = chat_server(scripted, b"data: " + chunk(content="Pa") + b"\n\n", end)
    done = run_cli("run", "any", "x", "--url", server.url)
    assert done.returncode == 1 and done.stdout == "Pa\n"
    assert "hostler: the answer of model 'any' broke off" in done.stderr and message in done.stderr
    done = run_cli("run", "any", "x", "--json", "--url", server.url)
    assert failed(done, 1, message)  # half an object is none


def test_prompts_are_joined_and_sent_as_json(scripted):
    server = chat_server(scripted, b"data: [DONE]\n\n")
    prompt = 'it\'s "quoted" $(id)\n\u00fc'
    done = run_cli("run", 'm"x', "sum:", "up", "--system", "be \\brief", "--max-tokens=9",
                   "--url", server.url, stdin=prompt)
    assert done.returncode == 0, done.stderr
    body = json.loads(server.bodies[-1])
    assert body["model"] == 'm"x' and body["stream"] is True and body["max_tokens"] == 9
    assert body["messages"] == [{"role": "system", "content": "be \\brief"},
                                {"role": "user", "content": "sum: up\n\n" + prompt}]


def test_a_refusal_is_passed_on(scripted):
    server = chat_server(scripted, b'{"error":{"message":"it is held","type":"x"}}', status=503,
                         kind="application/json")
    assert failed(run_cli("run", "any", "x", "--url", server.url), 1, "model 'any'", "it is held")


def test_a_closed_pipe_is_no_crash(hostler, router):
    assert hostler("load", "slow").returncode == 0
    env = clean_env(HOSTLER_URL=f"http://127.0.0.1:{router.port}")
    process = subprocess.Popen([HOSTLER, "run", "slow", "go on"], env=env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(1)
    process.stdout.close()
    assert process.wait(PATIENCE) in (1, -signal.SIGPIPE)
    assert process.stderr.read() == b""
    until(lambda: not any(s["is_processing"] for s in router.get("/slots?model=slow").json),
          what="the end of the generation, which nobody reads")


def test_a_full_disk_is_told(hostler):
    env = clean_env(HOSTLER_URL="http://127.0.0.1:1")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([HOSTLER, "help"], env=env, stdout=full, stderr=subprocess.PIPE,
                              timeout=PATIENCE, text=True)
    assert done.returncode == 1 and "could not be written" in done.stderr


# --- usage -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("args, words", [
    ([], ["usage"]), (["lst"], ["'lst'", "hostler list"]), (["list", "--jsno"], ["--jsno", "--json"]),
    (["load"], ["which model?"]), (["unload"], ["--all"]), (["unload", "--all", "x"], ["not both"]),
    (["unload", "x", "--except", "y"], ["--except goes with --all"]),
    (["unload", "x", "--drain", "1x"], ["'1x' is no time"]),
    (["unload", "x", "--drain=1", "--force"], ["not both"]), (["list", "--url"], ["wants a value"]),
    (["list", "x"], ["one too many"]), (["list", "--json=yes"], ["takes no value"]),
    (["--url", "ftp://x", "list"], ["ftp://x"]), (["run", "m", "x", "--max-tokens=0"], ["'0'"]),
    (["run", "m", "x", "--temperature", "nan"], ["'nan'"]), (["completion", "bsh"], ["bash"]),
    (["list", "--api-key", "a\nb"], ["control character"]), (["help", "lod"], ["hostler load"]),
])
def test_wrong_usage(args, words):
    done = run_cli(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert all(word in done.stderr for word in words), done.stderr


COMMANDS = ["list", "ps", "load", "unload", "run", "doctor", "completion", "help", "version"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    done = run_cli(command, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"usage: hostler {command} ")
    talks = command not in ("completion", "help")
    assert ("HOSTLER_URL" in done.stdout and "http://localhost:8080" in done.stdout) == talks
    assert run_cli("help", command).stdout == done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(shell):
    done = run_cli("completion", shell)
    assert done.returncode == 0
    for word in [*COMMANDS, "except", "dry-run", "max-tokens", "api-key"]:
        assert word in done.stdout


def test_the_program_does_not_bring_libcurl_along():
    linked = subprocess.run(["ldd", HOSTLER], capture_output=True, text=True, timeout=PATIENCE).stdout
    assert "libjansson" in linked and "libcurl" not in linked


# --- on a terminal ---------------------------------------------------------------------------------

class Terminal:
    """A command whose stdin, stdout and stderr are a terminal."""

    def __init__(self, *args, server, env=None):
        environment = clean_env(TERM="xterm", HOSTLER_URL=f"http://127.0.0.1:{server.port}")
        environment.pop("NO_COLOR", None)
        environment.update(env or {})
        self.text = ""
        try:
            self.pid, self.fd = pty.fork()
        except OSError as error:
            pytest.skip(f"needs a pseudo-terminal, that is a mounted /dev/pts: {error}")
        if self.pid == 0:
            os.execve(HOSTLER, [str(HOSTLER), *args], environment)

    def read(self):
        """What came since; False at the end."""
        if not select.select([self.fd], [], [], 0.05)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, text, patience=PATIENCE):
        """Waits for it, and forgets what came up to it."""
        end = time.monotonic() + patience
        while text not in self.text:
            assert self.read() and time.monotonic() < end, f"no {text!r} in {self.text!r}"
        before, self.text = self.text.split(text, 1)
        return before

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """The exit status, when it has ended by itself."""
        end = time.monotonic() + PATIENCE
        while self.read():
            assert time.monotonic() < end, f"it does not end: {self.text!r}"
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_colour_on_a_terminal_only(router):
    terminal = Terminal("list", server=router)
    assert terminal.end() == 0 and "\033[" in terminal.text
    for env in [{"NO_COLOR": "1"}, {"TERM": "dumb"}]:
        terminal = Terminal("list", server=router, env=env)
        assert terminal.end() == 0 and "\033" not in terminal.text


def test_progress_on_a_terminal_only(router):
    terminal = Terminal("load", "alpha", server=router)
    assert terminal.end() == 0
    assert "\033[1A\033[J" in terminal.text and "alpha loaded in" in terminal.text
    terminal = Terminal("load", "beta", server=router, env={"NO_COLOR": "1"})
    assert terminal.end() == 0
    assert re.fullmatch(r"beta loaded in \S+ m?s\r\n", terminal.text)


def test_a_conversation(router, tmp_path):
    terminal = Terminal("run", "alpha", "--max-tokens", "4", server=router,
                        env={"NO_COLOR": "1", "XDG_STATE_HOME": str(tmp_path)})
    terminal.expect(">>> ")
    terminal.type("hello\n")
    terminal.expect("tokens/s")
    terminal.expect(">>> ")
    terminal.type("and\x03")  # gives up the line, not the program
    terminal.expect(">>> ")
    terminal.type("\x04")
    assert terminal.end() == 0


def test_an_answer_can_be_stopped(router, tmp_path):
    terminal = Terminal("run", "slow", server=router,
                        env={"NO_COLOR": "1", "XDG_STATE_HOME": str(tmp_path)})
    terminal.expect(">>> ")
    terminal.type("go on\n")
    terminal.expect("go on\r\n")
    until(lambda: len(terminal.text) > 40 or not terminal.read(), what="an answer's begin")
    terminal.type("\x03")
    terminal.expect("stopped]")
    terminal.expect(">>> ")
    until(lambda: not any(s["is_processing"] for s in router.get("/slots?model=slow").json),
          what="the end of the generation")
    terminal.type("\x04")
    assert terminal.end() == 0


def test_what_a_model_says_does_not_steer_the_terminal(scripted):
    server = chat_server(scripted, b"data: " + chunk(content="a\x1b]0;title\x07b\nc")
                         + b"\n\ndata: [DONE]\n\n")
    terminal = Terminal("run", "any", "x", server=server, env={"NO_COLOR": "1"})
    assert terminal.end() == 0
    assert terminal.text.startswith("a?]0;title?b\r\nc\r\n")


def test_thoughts_are_shown_beside_the_answer(scripted):
    server = chat_server(scripted, b"data: " + chunk(reasoning_content="hm") + b"\n\ndata: "
                         + chunk(content="Paris") + b"\n\ndata: [DONE]\n\n")
    terminal = Terminal("run", "any", "x", server=server)
    assert terminal.end() == 0
    assert re.match(r"\033\[2m\[thinking\]\r\n\033\[0m\033\[2mhm\033\[0m\033\[2m\r\n\[thought for \d+ ms\]"
                    r"\033\[0m\r\n\r\nParis\r\n", terminal.text)
