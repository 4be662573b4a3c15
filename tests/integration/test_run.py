# SPDX-License-Identifier: MIT
"""hostler run: a conversation on a terminal by tmux, with a server that says what it is told to and
with a model that can speak; and images."""
import base64
import json
import os
import re
import signal
import stat
import subprocess

import pytest

import tiny_model
from conftest import HOSTLER, clean_env, run_cli, until
from fake_http import Fake, Handler
from terminal import Terminal
from test_real_model import REAL, pytestmark as needs_a_real_model

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5"
                       "ErkJggg==")


def delta(**members):
    return {"choices": [{"index": 0, "delta": members}]}


class ChatHandler(Handler):
    def route(self, path, body):
        if path == "/models":
            self.answer(200, {"data": self.server.models})
        elif path == "/v1/chat/completions" and self.server.refusal:
            self.answer(400, {"error": {"message": self.server.refusal}})
        elif path == "/v1/chat/completions":
            self.server.bodies.append(json.loads(body))
            timings = {"choices": [], "timings": {"predicted_n": 12, "predicted_ms": 1000}}
            chunks = [f"data: {json.dumps(d)}\n\n" for d in [*self.server.deltas, timings]]
            self.answer(200, "".join(chunks) + "data: [DONE]\n\n", kind="text/event-stream")
        else:
            self.answer(404, {"error": {"message": "no such route"}})


def entry(model, *inputs):
    return {"id": model, "status": {"value": "loaded"},
            "architecture": {"input_modalities": ["text", *inputs]}}


class Chat(Fake):
    handler = ChatHandler

    def __init__(self):
        self.models = [entry("blind"), entry("seeing", "image"), {"id": "silent", "status": "loaded"}]
        self.bodies, self.refusal = [], None
        self.deltas = [delta(content="Answer.\n")]
        super().__init__()

    def messages(self):
        return self.bodies[-1]["messages"]


@pytest.fixture
def chat():
    server = Chat()
    yield server
    server.stop()


@pytest.fixture
def talk(tmp_path):
    """talk(url, *args, columns=80, **env): `hostler run ARGS` on a terminal, all three of its
    streams."""
    terminals = []

    def start(url, *args, columns=80, rows=24, shell='exec "$@"', option="+m",
              **env):
        command = ["sh", "-c", 'exec "$@" 2>/dev/tty', "sh", "bash", option, "-c",
                   f'cd "$0" && {shell}', tmp_path, HOSTLER, "--url", url, "run", *args]
        state = {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path),
                 "LANG": "C.UTF-8", "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")}
        t = Terminal(tmp_path, command, columns, rows, **{**state, **env})
        terminals.append(t)
        t.shows(">>>")
        return t

    yield start
    for t in terminals:
        t.close()


def asks(terminal, server, text):
    """Says it, and waits for the answer: the messages that the server got."""
    before = len(server.bodies)
    terminal.type(text)
    terminal.keys("Enter")
    terminal.waits(lambda: len(server.bodies) > before, "a question")
    at_prompt(terminal)
    return server.messages()


def at_prompt(terminal, prompt=">>>"):
    terminal.waits(lambda: terminal.lines() and
                   [l for l in terminal.lines() if l.strip()][-1] == prompt, f"{prompt} alone")


def leaves(terminal):
    terminal.keys("C-d")
    assert terminal.ended() == (0, True)


def user(text):
    return {"role": "user", "content": text}


ANSWER = {"role": "assistant", "content": "Answer.\n"}


# --- messages --------------------------------------------------------------------------------------

def test_a_conversation_is_sent_as_a_whole(chat, talk):
    t = talk(chat.url, "blind", "--system", "be brief")
    assert "blind: Ctrl-C stops an answer, Ctrl-D ends, /help tells more." in t.text()
    asks(t, chat, "one")
    assert asks(t, chat, "two") == [{"role": "system", "content": "be brief"}, user("one"), ANSWER,
                                    user("two")]
    assert re.search(r"\[12 tokens, 12\.0 tokens/s, the first after [\d.]+ m?s\]", t.text())
    leaves(t)


def test_messages_of_several_lines(chat, talk):
    t = talk(chat.url, "blind")
    t.type('"""first\n\n/bye\n')
    at_prompt(t, "...")
    assert asks(t, chat, 'last"""') == [user("first\n\n/bye\nlast")]
    t.type("a\\\n")
    at_prompt(t, "...")
    assert asks(t, chat, "b")[-1] == user("a\nb")
    leaves(t)


def test_a_line_is_edited_in_any_script(chat, talk):
    t = talk(chat.url, "blind")
    t.type("grüße 日本 x")
    t.keys("BSpace", "BSpace", "Left", "BSpace", "C-a")
    assert asks(t, chat, "€ ")[-1] == user("€ grüße 本")
    assert ">>> € grüße 本" in t.text()
    leaves(t)


def paste(terminal, text):
    file = terminal.socket.with_name("paste")
    file.write_text(text, encoding="utf-8")
    terminal.tmux("load-buffer", file)
    terminal.tmux("paste-buffer", "-p")


def test_what_is_pasted_is_one_message(chat, talk):
    t = talk(chat.url, "blind")
    t.type("explain: ")
    code = 'int main(void) {\n\tputs("ü\\n");\n\treturn 0;\n}'
    paste(t, code + "\n")
    t.shows("return 0;\n}")
    assert not chat.bodies
    assert asks(t, chat, " please") == [user("explain: " + code + " please")]
    leaves(t)


def test_a_long_paste(chat, talk):
    t = talk(chat.url, "blind")
    text = "\n".join(f"line {i} of a text that is longer than the screen" for i in range(400))
    paste(t, text)
    t.shows("line 399")
    assert asks(t, chat, "!") == [user(text + "!")]
    leaves(t)


def test_a_line_is_given_up_and_an_end_ends(chat, talk):
    t = talk(chat.url, "blind")
    t.type("one\\\n")
    at_prompt(t, "...")
    t.type("two")
    t.keys("Left", "C-c")
    at_prompt(t)
    assert ">>> one\\\n... two\n>>>" in t.text()
    assert asks(t, chat, "three") == [user("three")]
    leaves(t)


def test_it_can_be_stopped_and_continued(chat, talk):
    """By a shell with job control, which the stop hands the terminal to."""
    t = talk(chat.url, "blind", option="-m", shell=""""$@"
        echo "stopped with$(stty -a | grep -ow -e '-*icanon' -e '-*echo' | tr '\n' ' ')"; fg""")
    t.type("half")
    t.shows(">>> half")
    t.keys("C-z")
    t.shows("stopped withicanon echo")
    at_prompt(t, ">>> half")
    assert asks(t, chat, " whole") == [user("half whole")]
    leaves(t)


def test_it_fits_a_terminal_that_changes_its_size(chat, talk):
    t = talk(chat.url, "blind", columns=100)
    t.type("word " * 12)
    t.resize(40, 12)
    assert asks(t, chat, "end") == [user("word " * 12 + "end")]
    for line in t.lines():
        assert len(line) <= 40
    leaves(t)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_it_leaves_the_terminal_as_it_was(chat, talk, number):
    t = talk(chat.url, "blind")
    t.type("half")
    t.shows("half")
    os.kill(t.pid("hostler"), number)
    assert t.ended() == (128 + number, True)


# --- history ---------------------------------------------------------------------------------------

def test_the_history_outlasts_the_session(chat, talk, tmp_path):
    t = talk(chat.url, "blind")
    asks(t, chat, "first")
    t.type('"""two\nlines"""\n')
    t.waits(lambda: len(chat.bodies) == 2, "the question")
    at_prompt(t)
    leaves(t)
    file = tmp_path / "state" / "hostler" / "history"
    assert file.read_text(encoding="utf-8") == "first\ntwo\\nlines\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    t = talk(chat.url, "blind")
    t.keys("Up")
    t.shows("two\nlines")
    assert asks(t, chat, "!") == [user("two\nlines!")]
    t.keys("C-r")
    t.type("fir")
    t.shows("first")
    t.keys("Enter")
    t.waits(lambda: len(chat.bodies) == 4, "the question")
    at_prompt(t)
    assert chat.messages()[-1] == user("first")
    leaves(t)


def test_a_history_that_cannot_be_kept_is_told_once(chat, talk, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "hostler").write_text("in the way")
    t = talk(chat.url, "blind")
    text = t.text().replace("\n", "")  # the terminal breaks long lines anywhere
    assert "the history is not kept" in text and "Not a directory" in text
    asks(t, chat, "one")
    asks(t, chat, "two")
    assert t.text().replace("\n", "").count("the history is not kept") == 1
    leaves(t)


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"LD_LIBRARY_PATH": "."}])
def test_without_libedit_lines_are_read_plainly(chat, talk, tmp_path, env):
    for name in ("libedit.so.2", "libedit.so.0"):  # which the loader gives up on
        (tmp_path / name).touch()
    t = talk(chat.url, "blind", **env)
    t.type('"""one\ntwo"""\n')
    t.waits(lambda: chat.bodies, "the question")
    assert chat.messages() == [user("one\ntwo")]
    t.type("half")
    t.keys("C-c")
    t.waits(lambda: t.text().count(">>>") == 3, "a prompt")
    t.type("/bye\n")
    assert t.ended() == (0, True)
    assert not (tmp_path / "state").exists()


# --- commands --------------------------------------------------------------------------------------

def says(terminal, line, *texts):
    terminal.keys("C-l")
    terminal.type(line)
    terminal.keys("Enter")
    terminal.shows(*texts)
    at_prompt(terminal)


def test_parameters_go_with_the_request(chat, talk):
    t = talk(chat.url, "blind", "--temperature", "0.5")
    says(t, "/set", "temperature        0.5      0 picks",
         "top_p              default  picks among")
    says(t, "/set top_k 20", ">>>")
    says(t, "/set reasoning off", ">>>")
    says(t, "/set system be brief", ">>>")
    says(t, "/set tempreature 1", "there is no parameter 'tempreature': did you mean temperature?")
    says(t, "/set top_p 3", "top_p: '3' is no number from 0 to 1")
    says(t, "/set seed", "seed wants a value")
    assert asks(t, chat, "x") == [{"role": "system", "content": "be brief"}, user("x")]
    body = chat.bodies[-1]
    assert (body["temperature"], body["top_k"]) == (0.5, 20)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    says(t, "/set temperature default", ">>>")
    says(t, "/show", "model              blind", "messages           2", "top_k              20",
         "think              off", "system             be brief")
    assert "temperature" not in t.text().split("/show")[1]
    asks(t, chat, "y")
    assert "temperature" not in chat.bodies[-1]
    leaves(t)


@pytest.mark.parametrize("columns", [80, 60, 44])
def test_lists_are_broken_at_blanks(chat, talk, columns):
    """No word is cut in two at the terminal's end, and what goes on does so below its column."""
    t = talk(chat.url, "blind", columns=columns, rows=60)
    says(t, "/set", "system ")
    says(t, "/help", "Ctrl-C stops an answer", "before it")
    wide = talk(chat.url, "blind", columns=200, rows=60)
    says(wide, "/help", "Ctrl-C stops an answer", "before it")
    assert t.text().split() == wide.text().split()
    says(t, "/set", "system ")
    says(wide, "/set", "system ")
    assert t.text().split() == wide.text().split()
    assert len(re.findall(r"\n {30}\S", t.text())) >= (1 if columns == 80 else 5)


def test_one_prompt_with_parameters(chat):
    done = run_cli("run", "blind", "--set", "top_k=20", "hi", "--set", "system = be brief",
                   "--set=reasoning off", "--temperature", "1", "--set", "temperature=0", env={"HOSTLER_URL": chat.url})
    assert (done.returncode, done.stdout) == (0, "Answer.\n")
    assert chat.messages() == [{"role": "system", "content": "be brief"}, user("hi")]
    body = chat.bodies[-1]
    assert (body["temperature"], body["top_k"]) == (0, 20)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize("setting, text", [
    ("tempreature=1", "there is no parameter 'tempreature': did you mean temperature?"),
    ("zzz", "there is no parameter 'zzz'; there are temperature, top_p, "),
    ("seed", "seed wants a value: "), ("=", "there is no parameter ''"),
    ("top_p=3", "top_p: '3' is no number from 0 to 1")])
def test_a_wrong_parameter(chat, setting, text):
    done = run_cli("run", "blind", "--set", setting, "hi", env={"HOSTLER_URL": chat.url})
    assert done.returncode == 2 and f"hostler: --set: {text}" in done.stderr
    assert not chat.bodies


def test_commands(chat, talk, tmp_path):
    t = talk(chat.url, "blind")
    says(t, "/help", "/set", "/save", "Ctrl-C stops an answer")
    says(t, "/hlep", "there is no /hlep: did you mean /help?")
    says(t, "/zzz", "there is no /zzz", "/help lists what there is")
    asks(t, chat, "one")
    says(t, "/save talk.md", "2 messages are in talk.md")
    says(t, "/save talk.json", "2 messages are in talk.json")
    says(t, "/save talk.md", "talk.md cannot be written: File exists")
    says(t, "/save", "/save wants a file")
    assert (tmp_path / "talk.md").read_text() == "## user\n\none\n\n## assistant\n\nAnswer.\n\n\n"
    assert json.loads((tmp_path / "talk.json").read_text()) == {
        "model": "blind", "messages": [user("one"), ANSWER]}
    says(t, "/clear", "forgotten")
    assert asks(t, chat, " /bye") == [user(" /bye")]
    says(t, "/model", "* blind (loaded)", "  seeing (loaded)")
    says(t, "/model seing", "no model 'seing'", "did you mean 'seeing'?")
    says(t, "/model seeing", ">>>")
    asks(t, chat, "x")
    assert chat.bodies[-1]["model"] == "seeing"
    t.type("/quit\n")
    assert t.ended() == (0, True)


def test_a_question_without_an_answer_is_forgotten(chat, talk):
    t = talk(chat.url, "blind")
    chat.refusal = "too long"
    t.type("first\n")
    t.shows("model 'blind' did not answer: too long")
    at_prompt(t)
    chat.refusal = None
    assert asks(t, chat, "second") == [user("second")]
    leaves(t)


# --- images ----------------------------------------------------------------------------------------

URL = "data:image/png;base64," + base64.b64encode(PNG).decode()


def looks_at(text, *urls):
    return {"role": "user", "content": [*({"type": "image_url", "image_url": {"url": u}} for u in urls),
                                        {"type": "text", "text": text}]}


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "my cat.png").write_bytes(PNG)
    (tmp_path / "fake.png").write_text("hello")
    return tmp_path


def run_in(folder, *args, server, stdin=""):
    return subprocess.run([HOSTLER, "--url", server.url, "run", *map(str, args)], cwd=folder,
                          env=clean_env(), input=stdin, text=True, capture_output=True, timeout=60,
                          check=False)


def test_images_named_in_a_prompt(chat, pictures):
    done = run_in(pictures, "seeing", "What is in a.png?", server=chat)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Answer.\n", "")
    assert chat.messages() == [looks_at("What is in a.png?", URL)]
    assert run_in(pictures, "seeing", "--image", "my cat.png", "compare with", "a.png",
                  server=chat).returncode == 0
    assert chat.messages() == [looks_at("compare with a.png", URL, URL)]
    assert run_in(pictures, "silent", "a.png", server=chat).returncode == 0
    assert chat.messages() == [looks_at("a.png", URL)], "a server that tells nothing decides itself"


def test_a_name_is_taken_as_a_whole(chat, pictures):
    assert run_in(pictures, "seeing", "my cat.png", "and", "a.png", server=chat).returncode == 0
    assert chat.messages() == [looks_at("my cat.png and a.png", URL, URL)]


def test_an_image_that_is_not_there_is_told(chat, pictures):
    """A model that is told of a picture and sees none makes one up."""
    for model in ("seeing", "blind", "silent"):
        done = run_in(pictures, model, "see ./none.png", server=chat)
        assert (done.returncode, done.stdout) == (0, "Answer.\n")
        assert done.stderr == (f"hostler: there is no file ./none.png here: model '{model}' is told its "
                               "name and sees nothing\n         a name in backquotes is only a name\n")
    assert run_in(pictures, "seeing", "rename `none.png`", server=chat).stderr == ""


def test_a_model_that_is_fetched_later_may_see(chat, pictures):
    chat.models.append({**entry("later"), "size": 0})
    assert run_in(pictures, "later", "see a.png", server=chat).returncode == 0
    assert chat.messages() == [looks_at("see a.png", URL)]
    chat.models[-1] |= {"size": 500000, "context_length": 2048}
    assert run_in(pictures, "later", "see a.png", server=chat).returncode == 1


def test_which_images_were_refused(chat, pictures):
    chat.refusal = "Failed to load image or audio file"
    done = run_in(pictures, "seeing", "--image", "my cat.png", "see a.png", server=chat)
    assert (done.returncode, done.stderr.splitlines()) == (1, [
        "hostler: model 'seeing' did not answer: Failed to load image or audio file",
        "         it was shown my cat.png",
        "         it was shown a.png: llama.cpp reads PNG, JPEG, GIF and BMP, undamaged"])
    done = run_in(pictures, "seeing", "see", server=chat)
    assert done.stderr.count("\n") == 1


def test_an_image_that_is_piped_in(pictures, chat):
    done = subprocess.run([HOSTLER, "--url", chat.url, "run", "seeing", "see"], input=PNG, check=False,
                          env=clean_env(), capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b"not UTF-8 text\n         a picture is not piped in: name its file" in done.stderr


def test_what_is_piped_in_names_no_images(chat, pictures):
    assert run_in(pictures, "blind", "review", server=chat, stdin="+++ a.png\n").returncode == 0
    assert chat.messages() == [user("review\n\n+++ a.png\n")]
    assert run_in(pictures, "blind", "rename `a.png`", server=chat).returncode == 0
    assert chat.messages() == [user("rename `a.png`")]


@pytest.mark.parametrize("args, status, words", [
    (["blind", "see a.png"], 1, ["'blind' cannot see a.png", "'seeing' can"]),
    (["blind", "--image", "a.png", "x"], 1, ["'blind' cannot see a.png"]),
    (["seeing", "--image", "none.png", "x"], 2, ["the image none.png cannot be read: No such file"]),
    (["seeing", "see fake.png"], 2, ["the image fake.png is no image: PNG, JPEG"]),
])
def test_images_that_are_not_sent(chat, pictures, args, status, words):
    done = run_in(pictures, *args, server=chat)
    assert (done.returncode, done.stdout) == (status, "")
    assert all(w in done.stderr for w in words), done.stderr
    assert not chat.bodies


def test_images_in_a_conversation(chat, talk, pictures):
    t = talk(chat.url, "seeing", "--image", "a.png")
    assert asks(t, chat, "the one of before") == [looks_at("the one of before", URL)]
    says(t, "/image my cat.png", "my cat.png goes with your next message.")
    says(t, "/show", "images to come     my cat.png")
    assert asks(t, chat, "and now?")[-1] == looks_at("and now?", URL)
    assert asks(t, chat, "or 'my cat.png'")[-1] == looks_at("or 'my cat.png'", URL)
    assert asks(t, chat, "thanks")[-1] == user("thanks")
    says(t, "/image", "/image wants a file")
    says(t, "/image fake.png", "the image fake.png is no image")
    says(t, "/model blind", ">>>")
    t.type("see a.png\n")
    t.shows("model 'blind' cannot see a.png", "'seeing' can")
    assert len(chat.bodies) == 4
    leaves(t)


def test_images_of_before_and_a_model_that_is_blind(chat, talk, pictures):
    t = talk(chat.url, "seeing")
    assert asks(t, chat, "see a.png") == [looks_at("see a.png", URL)]
    says(t, "/model blind", ">>>")
    chat.refusal = "image input is not supported"
    says(t, "and you?", "earlier messages hold images; /clear forgets what was said")
    chat.refusal = None
    says(t, "/clear", "forgotten")
    assert asks(t, chat, "and now?") == [user("and now?")]
    leaves(t)


# --- thoughts --------------------------------------------------------------------------------------

def test_thoughts_are_set_apart_without_colour(chat, talk):
    chat.deltas = [delta(reasoning_content="Hm, "), delta(reasoning_content="Paris.\n"),
                   delta(content="Paris it is.")]
    t = talk(chat.url, "blind", NO_COLOR="1")
    assert asks(t, chat, "where?") == [user("where?")]
    assert re.search(r"\n\[thinking\]\nHm, Paris\.\n\[thought for \d+ m?s\]\n\nParis it is\.\n\[12 tokens",
                     t.text())
    leaves(t)


def cut():
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}


def test_thoughts_that_leave_no_tokens_for_an_answer(chat, talk, tmp_path):
    chat.deltas = [delta(reasoning_content="Hm."), cut()]
    done = run_in(tmp_path, "blind", "--max-tokens", "2", "where?", server=chat)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("hostler: model 'blind' thought until its tokens were used up, and did "
                                  "not answer\n         give it more with --max-tokens")
    done = run_in(tmp_path, "--json", "blind", "where?", server=chat)
    assert (done.returncode, done.stderr) == (0, "")
    chat.deltas = [delta(content="Par"), cut()]
    assert run_in(tmp_path, "blind", "where?", server=chat).returncode == 0
    t = talk(chat.url, "blind")
    says(t, "where?", "Par\n[12 tokens, 12.0 tokens/s", ", cut off]")
    leaves(t)


# --- a model that can speak ------------------------------------------------------------------------

@pytest.fixture
def real(hostler, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "real.gguf").symlink_to(REAL.resolve())
    server = hostler("--models-dir", folder, "-c", "2048")
    server.url = f"http://127.0.0.1:{server.port}"
    return server


@needs_a_real_model
def test_a_real_conversation(real, talk):
    t = talk(real.url, "real", "--temperature", "0", "--max-tokens", "24")
    t.type("What is the capital of France?\n")
    t.shows("tokens/s")
    at_prompt(t)
    t.type("/set max_tokens 2000\n")
    t.shows("/set max_tokens 2000\n>>>")
    t.type("Tell me a very long story.\n")
    t.waits(lambda: len(t.text().partition("long story.\n")[2].strip()) > 20, "a story's beginning")
    t.keys("C-c")
    t.shows(", stopped]")
    at_prompt(t)
    until(lambda: real.engines()["real"]["requests"] == 0, what="the end of the generation")
    leaves(t)


@needs_a_real_model
def test_a_real_model_without_eyes(real, pictures):
    done = run_in(pictures, "real", "what is in a.png", server=real)
    assert done.returncode == 1 and "model 'real' cannot see a.png" in done.stderr
    assert "no model of this server can" in done.stderr


# --- a model that can see --------------------------------------------------------------------------

@pytest.fixture
def eyes(hostler, tmp_path, models):
    """The real engine with a made projector: by folder, by preset, and a model that is blind."""
    folder = tmp_path / "models"
    (folder / "eyes").mkdir(parents=True)
    (folder / "blind.gguf").symlink_to(models / "m1.gguf")
    tiny_model.make(folder / "eyes" / "eyes.gguf")
    projector = tiny_model.make_mmproj(folder / "eyes" / "mmproj-eyes.gguf")
    preset = tmp_path / "p.ini"
    preset.write_text(f"[glasses]\nmodel = {folder}/blind.gguf\nmmproj = {projector}\n",
                      encoding="utf-8")
    server = hostler("--models-dir", folder, "--models-preset", preset)
    server.url = f"http://127.0.0.1:{server.port}"
    return server


def prompt_tokens(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["usage"]["prompt_tokens"]


@pytest.mark.parametrize("model", ["eyes", "glasses"])
def test_a_real_engine_sees(eyes, pictures, model):
    told = prompt_tokens(run_in(pictures, "--json", model, "--max-tokens", "4", "see `a.png`", server=eyes))
    shown = prompt_tokens(run_in(pictures, "--json", model, "--max-tokens", "4", "see 'a.png'", server=eyes))
    assert shown == told + 4
    done = run_in(pictures, "blind", "see a.png", server=eyes)
    assert done.returncode == 1 and "'eyes' can" in done.stderr


def test_a_real_engine_is_shown_what_it_cannot_read(eyes, pictures):
    (pictures / "half.png").write_bytes(PNG[:40])
    done = run_in(pictures, "eyes", "--max-tokens", "4", "see half.png", server=eyes)
    assert done.returncode == 1 and "it was shown half.png: " in done.stderr, done.stderr
    assert prompt_tokens(run_in(pictures, "--json", "eyes", "--max-tokens", "4", "see a.png", server=eyes))


def test_a_real_engine_without_eyes_after_one_with(eyes, talk, pictures):
    t = talk(eyes.url, "eyes", "--max-tokens", "4", "--image", "a.png")
    says(t, "see", "tokens/s")
    says(t, "/model blind", ">>>")
    says(t, "and you?", "earlier messages hold images; /clear")
    leaves(t)


THINKS = """{%- for message in messages %}{{ '<|' + message['role'] + '|>\n' }}
{%- set content = message['content'] %}
{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1] %}{%- endif %}
{{- content + '\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\n<think>\n' }}{%- endif %}"""


def test_a_real_engine_thinks(hostler, tmp_path, models):
    """The template opens the thought, a grammar ends it."""
    (tmp_path / "thinks.jinja").write_text(THINKS, encoding="utf-8")
    preset = tmp_path / "p.ini"
    preset.write_text(f"[thinker]\nmodel = {models}/m1.gguf\n"
                      f"chat-template-file = {tmp_path}/thinks.jinja\n"
                      'grammar = root ::= "hm " [a-z]{3} "</think>" "well " [a-z]{5}\n', encoding="utf-8")
    server = hostler("--models-preset", preset)
    server.url = f"http://127.0.0.1:{server.port}"
    done = run_in(tmp_path, "thinker", "go", server=server)
    assert done.returncode == 0 and re.fullmatch(r"well [a-z]{5}\n", done.stdout), done
    message = json.loads(run_in(tmp_path, "--json", "thinker", "go", server=server).stdout)["choices"][0]["message"]
    assert re.fullmatch(r"hm [a-z]{3}", message["reasoning_content"].strip())
    assert re.fullmatch(r"well [a-z]{5}", message["content"])
    done = run_in(tmp_path, "thinker", "--max-tokens", "3", "go", server=server)
    assert (done.returncode, done.stdout) == (1, "") and "thought until" in done.stderr
