# SPDX-License-Identifier: MIT
"""hostler top, on a terminal by tmux. How it looks is in tests/golden/top, compared as text and as
a map of styles (terminal.py); UPDATE_GOLDEN=1 writes them anew, to be looked at."""
import os
import re
import signal
import subprocess

import pytest

from conftest import HOSTLER, ROOT, clean_env, run_cli, until
from fake_llama_swap import FakeLlamaSwap
from fake_ollama import FakeOllama
from scripted import EVIL, WIDE, Scripted
from terminal import Terminal
from wire import FAKE_ENGINE, fake_models

GOLDEN = ROOT / "tests" / "golden" / "top"
FULL = "q quit"  # stands on every picture of the table


@pytest.fixture
def scripted():
    server = Scripted()
    yield server
    server.stop()


@pytest.fixture
def top(tmp_path):
    """top(url, columns, rows, **env): runs it there."""
    terminals = []

    def start(server, columns=80, rows=24, command=None, **env):
        url = getattr(server, "url", None) or (f"unix:{server.socket}" if server.socket
                                               else f"http://127.0.0.1:{server.port}")
        t = Terminal(tmp_path, command or [str(HOSTLER), "--url", url, "top"], columns, rows, **env)
        terminals.append(t)
        return t

    yield start
    for t in terminals:
        t.close()


def fake(hostler, tmp_path, *args, **models):
    return hostler("--models-dir", fake_models(tmp_path / "fakes", **models), *args,
                   engine=FAKE_ENGINE, unix=True)


def quits(terminal):
    terminal.keys("q")
    assert terminal.ended() == (0, True)


# --- how it looks ----------------------------------------------------------------------------------

def stable(text):
    """Without what differs from run to run, columns kept."""
    text = re.sub(r"http://127\.0\.0\.1:\d+", lambda m: "http://HOST:PORT".ljust(len(m[0])), text)
    return text.rstrip() + "\n"


def picture(terminal, styles):
    text = stable(terminal.text())
    return text + "--- styles\n" + terminal.styles().rstrip() + "\n" if styles else text


def golden(terminal, name, styles=False, write=True):
    path = GOLDEN / f"{name}.txt"
    if write and os.environ.get("UPDATE_GOLDEN"):
        path.write_text(picture(terminal, styles), encoding="utf-8")
    wanted = path.read_text(encoding="utf-8")
    terminal.waits(lambda: picture(terminal, styles) == wanted, f"a screen as in {path}")


@pytest.mark.parametrize("name, columns, rows, env", [
    ("80x24", 80, 24, {}),
    ("120x40", 120, 40, {}),
    ("80x24-no-colour", 80, 24, {"NO_COLOR": "1"}),
    ("80x24-vt100-ascii", 80, 24, {"TERM": "vt100", "LC_ALL": "C"}),
    ("50x12", 50, 12, {}),
    ("24x6", 24, 6, {}),
    ("20x4", 20, 4, {}),
])
def test_a_screen(top, scripted, name, columns, rows, env):
    t = top(scripted, columns, rows, **env)
    t.shows(*(["too small"] if columns == 20 else ["loading 63%"] if rows < 24 else
              [FULL, "12:04:00", "loading 63%"]))
    golden(t, name, styles=True)
    quits(t)


def test_a_narrow_terminal_cuts_no_help(top, scripted):
    t = top(scripted, 60, 20)
    t.shows("1 held")
    t.keys("?")
    t.shows("hostler top: keys", "ended in the last 10 s.")
    assert "…" not in t.text()
    t.keys("q")
    t.shows(FULL)
    quits(t)


def test_other_screens(top, scripted):
    t = top(scripted)
    t.shows(FULL)
    t.keys("?")
    t.shows("hostler top: keys")
    golden(t, "help")
    t.keys("x", "U")
    t.shows("Unload all 4?")
    golden(t, "question", styles=True)
    t.keys("n", "Tab")
    t.shows("nothing was unloaded", "12:04:59")
    golden(t, "requests", styles=True)
    t.keys("/")
    t.type("QWEN")
    t.shows("/QWEN")
    t.lacks("llama-3.3-8b-instruct")
    golden(t, "filter")
    t.keys("Escape", "f")
    t.shows("log of ", "?[31mred?")
    golden(t, "log")
    t.keys("q")
    t.shows(FULL)
    quits(t)


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "vt100"}])
def test_without_colour_there_is_none(top, scripted, env):
    t = top(scripted, **env)
    t.shows(FULL, "mistral")
    assert not re.search(r"\x1b\[[\d;]*3[0-7]", t.raw())


def test_names_cannot_steer_the_terminal(top, scripted):
    scripted.facts.status["loaded_by"] = "\x1b[2J"
    t = top(scripted, 100, 40)
    t.shows("evil?[31m?name", WIDE)
    states = [l.index("unloaded") for l in t.lines() if l.strip().startswith(("evil", "mistral"))]
    assert len(set(states)) == 1
    wide = t.line(WIDE)
    assert wide.index("unloaded") + 5 == states[0]  # five letters of two columns each
    quits(t)


def test_a_time_that_is_none(top, scripted):
    scripted.facts.status["recent"][0]["at"] = 1e300
    t = top(scripted)
    t.shows("?         gemma-3-12b-it")
    quits(t)


def test_the_locale_of_another_machine(top, scripted):
    t = top(scripted, LC_ALL="xx_XX.UTF-8")
    t.shows("█", FULL)


# --- terminals that will not do ---------------------------------------------------------------------

@pytest.mark.parametrize("term", ["dumb", "no-such-terminal", ""])
def test_a_terminal_that_cannot(top, scripted, term):
    t = top(scripted, TERM=term)
    assert t.ended() == (2, True)
    assert f"a terminal of type '{term}' is not known here, or cannot be drawn on" in t.errors()
    assert "`hostler ps` tells the same once" in t.errors()


def test_no_terminal(cli, hostler, models):
    done = cli("top", server=hostler("--models-dir", models))
    assert (done.returncode, done.stdout) == (2, "")
    assert "hostler: top: there is no terminal to draw on" in done.stderr
    assert "`hostler ps` tells the same once, and in lines" in done.stderr


def test_no_server(cli):
    done = cli("top", env={"HOSTLER_URL": "http://127.0.0.1:1"})
    assert done.returncode == 3 and "nothing answers at" in done.stderr


@pytest.mark.parametrize("kind", [FakeLlamaSwap, FakeOllama])
def test_a_server_of_another_kind(cli, kind):
    server = kind(["a"], ["a"])
    done = cli("top", env={"HOSTLER_URL": server.url})
    server.stop()
    assert (done.returncode, done.stdout) == (3, "")
    assert "with which this command does not work" in done.stderr


def test_a_wrong_key(cli, hostler, models):
    server = hostler("--models-dir", models, "--api-key", "secret")
    assert cli("top", server=server).returncode == 4


# --- keys -------------------------------------------------------------------------------------------

def test_keys_move(top, scripted):
    t = top(scripted)
    t.shows(FULL, "mistral")
    for keys, name in ((["j"], "llama"), (["Down"], "nomic"), (["k", "Up"], "gemma"),
                       (["G"], WIDE), (["g"], "gemma"), (["End"], WIDE), (["Home"], "gemma"),
                       (["NPage"], "deepseek"), (["C-b"], "gemma")):
        t.keys(*keys)
        t.waits(lambda: (t.selected() or "").startswith(name), f"{name} selected after {keys}")
    quits(t)


def test_order(top, scripted):
    t = top(scripted, 80, 40)
    t.shows(FULL, "mistral")

    titles = next(i for i, l in enumerate(t.lines()) if l.strip().startswith("MODEL"))

    def leads(name, *keys):
        t.keys(*keys)
        t.waits(lambda: t.lines()[titles + 1].strip().startswith(name), f"{name} first after {keys}")

    leads("gemma")
    leads("coder", "s")   # by name
    leads("qwen3", "s")   # memory
    leads("gemma", "s")   # requests: it has three
    leads("qwen3", "s")   # tokens
    leads("gemma", "s")   # idle
    leads(WIDE, "r")
    leads(WIDE, "s")      # by state, still the other way round
    quits(t)


def test_what_keys_ask_for(top, scripted):
    t = top(scripted)
    t.shows(FULL, "mistral")
    t.keys("p")
    t.shows("pin gemma-3-12b-it: done")
    t.keys("j", "j", "p")
    t.shows("unpin nomic-embed-text-v1.5: done")
    assert scripted.posts == [("/models/pin", {"model": "gemma-3-12b-it"}),
                              ("/models/unpin", {"model": "nomic-embed-text-v1.5"})]
    t.keys("/")
    t.type("evil")
    t.keys("Enter", "h")
    until(lambda: ("/models/hold", {"model": EVIL}) in scripted.posts, patience=30)
    t.keys("Escape", "U", "h")
    until(lambda: any(path == "/models/unload-all" and body["hold"] is True
                      for path, body in scripted.posts), patience=30)
    quits(t)


def test_load_unload_and_all(top, hostler, tmp_path):
    server = fake(hostler, tmp_path, a={"load_s": 10}, b={}, c={})
    t = top(server)
    t.shows(FULL, "unloaded")
    t.keys("l")
    t.waits(lambda: re.search(r" a +loading \d+% +[█·]{8}.* s left", t.text()), "a load's progress")
    until(lambda: server.loaded() == ["a"], what="a loaded")
    t.waits(lambda: t.state("a") == "loaded", "a loaded")
    t.waits(lambda: re.search(r"\d\d:\d\d:\d\d +a +ready: after 1", t.text()), "what happened")
    t.keys("u")
    until(lambda: server.loaded() == [], what="a unloaded")
    t.shows("unload a: done")
    t.keys("/", "b", "Enter", "l", "Escape", "G", "l")
    until(lambda: server.loaded() == ["b", "c"], what="b and c loaded")
    t.shows("2 of 4 loaded")
    t.keys("U")
    t.shows("Unload all 2?")
    t.keys("x")
    t.shows("nothing was unloaded")
    assert server.loaded() == ["b", "c"]
    t.keys("U", "y")
    until(lambda: server.loaded() == [], what="all unloaded")
    t.shows("unload all: 2 unloaded, freed host ")
    quits(t)


def test_pin_and_unpin(top, hostler, tmp_path):
    server = fake(hostler, tmp_path, a={}, b={})
    t = top(server)
    t.shows(FULL, "unloaded")
    t.keys("p")
    t.shows("pinned")
    t.keys("l")
    until(lambda: server.loaded() == ["a"], what="a loaded")
    t.keys("p")
    t.waits(lambda: not server.engines()["a"]["pinned"], "a unpinned")
    quits(t)


def test_hold_and_release(top, hostler, tmp_path):
    server = fake(hostler, tmp_path, a={}, b={})
    t = top(server)
    t.shows(FULL, "unloaded")
    t.keys("h")
    t.shows("unloaded,held", "1 held")
    assert [h["model"] for h in server.get("/hostler/v1/status").json["holds"]] == ["a"]
    t.keys("h")
    t.lacks("unloaded,held")
    assert server.get("/hostler/v1/status").json["holds"] == []
    quits(t)


def test_a_failed_load_says_why(top, hostler, tmp_path):
    server = fake(hostler, tmp_path, a={"exit_at_load": 3}, b={})
    t = top(server)
    t.shows(FULL, "unloaded")
    t.keys("l")
    t.shows("failed", "failed: its engine ")
    quits(t)


def test_what_a_key_wanted_is_sent_before_the_end(top, hostler, tmp_path):
    server = fake(hostler, tmp_path, a={})
    t = top(server)
    t.shows(FULL, "unloaded")
    t.keys("l", "q")
    assert t.ended() == (0, True)
    until(lambda: server.loaded() == ["a"], what="a loaded")


def test_a_queue_with_its_wait(top, hostler, tmp_path):
    server = fake(hostler, tmp_path, a={"load_s": 30})
    t = top(server)
    t.shows(FULL, "unloaded")
    waiter = subprocess.Popen([HOSTLER, "--url", f"unix:{server.socket}", "run", "a", "x"],
                              env=clean_env(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.shows("1 waiting up to ", "0+1")
    waiter.kill()
    waiter.wait()
    t.shows("0 waiting")
    quits(t)


# --- a log ------------------------------------------------------------------------------------------

def test_a_log_is_followed(top, scripted):
    scripted.log = [b"line %d\n" % i for i in range(100)]
    t = top(scripted)
    t.shows(FULL, "mistral")
    t.keys("f")
    t.shows("log of gemma-3-12b-it", "line 99")
    t.keys("g")
    t.shows("line 0\n")
    t.keys("G")
    t.shows("line 99")
    t.keys("k")
    t.lacks("line 99")
    t.keys("q")
    t.shows(FULL)
    quits(t)


def test_the_log_of_a_real_engine(top, hostler, tmp_path):
    server = fake(hostler, tmp_path, **{"a b": {"log": "what the engine says"}})
    t = top(server)
    t.shows(FULL, "unloaded")
    t.keys("f")
    t.shows("log of a b")
    assert server.post("/models/load", {"model": "a b"}).status == 200
    t.shows("what the engine says")
    t.keys("q", "Tab")
    server.tokenize("a b")
    t.waits(lambda: re.search(r"a b +200 ", t.text()), "the request")
    quits(t)


def test_a_server_without_logs_and_requests(top, scripted):
    scripted.missing = {"/hostler/v1/logs", "/hostler/v1/requests"}
    t = top(scripted)
    t.shows(FULL, "mistral")
    t.keys("Tab")
    t.shows("this server does not tell them")
    t.keys("f")
    t.shows("this server does not tell its logs")
    t.keys("Escape")
    quits(t)


# --- servers that come and go -----------------------------------------------------------------------

def test_a_restart(top, hostler, tmp_path):
    folder = fake_models(tmp_path / "fakes", a={}, b={})
    socket = tmp_path / "same.sock"
    args = ("--models-dir", folder, "--host", socket)
    first = hostler(*args, engine=FAKE_ENGINE, wait=False)
    until(socket.exists, what="a socket")
    first.socket = socket
    until(lambda: run_cli("ps", server=first).returncode == 0, what="a server")
    t = top(first)
    t.shows(FULL, "unloaded")
    first.stop()
    t.shows("unreachable for ", "nothing answers at ")
    assert t.line("a"), "what was known stays to be looked at"
    t.keys("?")
    t.shows("hostler top: keys")
    t.keys("x")
    second = hostler(*args, engine=FAKE_ENGINE, wait=False)
    second.socket = socket
    t.lacks("unreachable for ")
    t.shows("up ", "0 of 4 loaded")
    t.keys("l")
    until(lambda: second.loaded() == ["a"], what="a loaded at the new server")
    t.waits(lambda: t.state("a") == "loaded", "a loaded")
    quits(t)


def test_keys_live_while_the_server_hangs(top, hostler, tmp_path):
    server = fake(hostler, tmp_path, a={}, b={})
    t = top(server)
    t.shows(FULL, "unloaded")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        t.shows("no answer for ")
        t.keys("j")
        until(lambda: t.selected().startswith("b"), patience=5, what="b selected")
        t.keys("?")
        t.shows("hostler top: keys")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    t.keys("x")
    t.lacks("no answer for ")
    quits(t)


def test_another_service_takes_the_port(top, scripted):
    t = top(scripted)
    t.shows(FULL, "mistral")
    scripted.missing = {"/hostler/v1/status", "/models", "/hostler/v1/requests"}
    t.shows("unreachable for ", "is not a router")
    scripted.missing = set()
    t.lacks("unreachable for ")
    quits(t)


# --- sizes and ends ---------------------------------------------------------------------------------

def test_sizes_change(top, scripted):
    t = top(scripted)
    t.shows(FULL, "mistral")
    for columns, rows, text in ((120, 40, "LOADED BY"), (50, 12, "mistral"), (20, 3, "too small"),
                                (200, 60, "192.168.1.7:50112"), (80, 24, FULL)):
        t.resize(columns, rows)
        t.shows(text)
    golden(t, "80x24", styles=True, write=False)
    quits(t)


@pytest.mark.parametrize("number, status", [
    (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)])
def test_a_signal_gives_the_terminal_back(top, scripted, number, status):
    t = top(scripted)
    t.shows(FULL, "mistral")
    os.kill(t.pid("hostler"), number)
    assert t.ended() == (status, True)


def test_a_bug_gives_the_terminal_back(top, scripted):
    t = top(scripted)
    t.shows(FULL, "mistral")
    os.kill(t.pid("hostler"), signal.SIGSEGV)
    status, restored = t.ended()
    assert status != 0 and restored


def test_ctrl_c_quits(top, scripted):
    t = top(scripted)
    t.shows(FULL, "mistral")
    t.keys("C-c")
    assert t.ended() == (130, True)


def test_stop_and_go_on(top, scripted, tmp_path):
    t = top(scripted, command=["bash", "--norc", "-i"])
    t.type(f"{HOSTLER} --url {scripted.url} top\n")
    t.shows(FULL, "mistral")
    t.keys("C-z")
    t.waits(t.is_given_back, "the ordinary screen")
    t.type("fg\n")
    t.shows(FULL, "mistral")
    t.keys("q")
    t.waits(t.is_given_back, "the ordinary screen")
    t.type("exit\n")
    assert t.ended() == (0, True)


# --- a stock router ---------------------------------------------------------------------------------

def test_a_stock_router(top, stock, models):
    server = stock("--models-dir", models)
    t = top(server)
    t.shows(FULL, "m1", "unloaded")
    t.keys("l")
    t.waits(lambda: t.state("m1") == "loaded", "m1 loaded")
    t.shows("1 loaded")
    t.keys("h")
    t.shows("hold: this is a stock llama.cpp router")
    t.keys("u")
    t.shows("Unload m1? This server cuts off its requests.")
    t.keys("y")
    t.waits(lambda: t.state("m1") == "unloaded", "m1 unloaded")
    assert re.search(r"\d\d:\d\d:\d\d +m1 +loaded", t.text())
    quits(t)


def test_classic_mode(top, hostler, models):
    server = hostler("-m", models / "m1.gguf")
    t = top(server)
    t.shows(FULL, "m1", " loaded")
    quits(t)
