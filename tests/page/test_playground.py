# SPDX-License-Identifier: MIT
"""The screen Playground: real engines answer, but for what no model says on demand."""
import base64
import io
import json
import os
import re
import signal
import subprocess
import wave

import tiny_model
from conftest import FAKE_ENGINE, until
from wire import fake_models
from page.expecting import expect


def choose(v, model, label="Model"):
    v.page.get_by_role("combobox", name=label, exact=True).click()
    v.page.get_by_role("option", name=re.compile(f"^{model} ")).click()


def send(v, text):
    v.page.get_by_label("Message", exact=True).fill(text)
    v.page.keyboard.press("Enter")


def answer(v, at=-1):
    return v.page.get_by_role("article").nth(at)


def tokens_at_most(v, n):
    v.page.get_by_label("Max tokens").fill(str(n))


def ended(v, at=-1):
    """The answer, once it is complete."""
    expect(answer(v, at)).to_have_attribute("aria-busy", "false")
    return answer(v, at)


def test_a_chat(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server, "playground")
    choose(v, "m1")
    tokens_at_most(v, 20)
    send(v, "hello")
    figures = ended(v).locator(".answer-figures")
    expect(figures).to_contain_text("20 tokens")
    expect(figures).to_contain_text("tokens/s")
    expect(figures).to_contain_text("loaded the model")
    assert server.loaded() == ["m1"]
    send(v, "and again")
    ended(v, 1)
    assert v.page.get_by_role("article").count() == 2
    answer(v, 1).get_by_role("button", name="Regenerate").click()
    ended(v, 1)
    requests = server.get("/hostler/v1/requests").json["requests"]
    assert len([r for r in requests if r["request"] == "POST /v1/chat/completions"]) == 3
    v.page.get_by_role("button", name="Edit").first.click()
    v.page.get_by_label("Edited message").fill("something else")
    v.page.get_by_role("button", name="Send the edited message").click()
    expect(v.page.get_by_role("article")).to_have_count(1)
    ended(v)
    expect(v.page.locator(".message-text")).to_have_text(["something else"])


ENDLESS = {"endless": True, "token_ms": 20}  # so that whatever is done to an answer meets it


def test_stopping_ends_the_work(visit, hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "models", m1=ENDLESS), engine=FAKE_ENGINE)
    v = visit(server, "playground")
    choose(v, "m1")
    send(v, "hello")
    expect(answer(v).locator(".answer-figures")).to_contain_text("tokens")
    v.page.get_by_role("button", name="Stop").click()
    expect(answer(v).locator(".answer-figures")).to_contain_text("stopped")
    until(lambda: server.engines()["m1"]["requests"] == 0)


def test_conversations_stay_in_the_browser(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server, "playground")
    choose(v, "m1")
    tokens_at_most(v, 5)
    send(v, "remember this")
    ended(v)
    entry = v.page.get_by_role("button", name="remember this").first
    expect(entry).to_be_visible()
    v.page.reload()
    expect(v.page.get_by_role("combobox", name="Model", exact=True)).to_have_value("m1")
    entry.click()
    expect(v.page.locator(".message-text")).to_have_text(["remember this"])
    ended(v)
    with v.page.expect_download() as download:
        v.page.get_by_role("button", name="Export this one").click()
    exported = json.loads(download.value.path().read_text())
    assert exported["conversations"][0]["turns"][0]["text"] == "remember this"
    v.page.get_by_role("button", name="Delete remember this").click()
    v.page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(v.page.get_by_role("button", name="remember this")).to_have_count(0)
    assert "remember this" not in v.store()


def test_two_models_side_by_side(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server, "playground")
    choose(v, "m1")
    v.page.get_by_role("button", name="Compare with another").click()
    choose(v, "m2", "Second model")
    tokens_at_most(v, 8)
    send(v, "hello")
    for at, model in enumerate(("m1", "m2")):
        expect(ended(v, at)).to_contain_text(model)
    assert server.loaded() == ["m1", "m2"]


def test_a_held_model_can_be_released_where_it_is_refused(visit, axe, hostler, models):
    server = hostler("--models-dir", models)
    server.post("/models/hold", {"model": "m1", "reason": "backup"})
    v = visit(server, "playground")
    choose(v, "m1")
    tokens_at_most(v, 5)
    send(v, "hello")
    refusal = v.page.get_by_role("alert").filter(has_text="backup")
    expect(refusal).to_be_visible()
    v.check_access_in_both_schemes(axe)
    refusal.get_by_role("button", name="Release it and send again").click()
    expect(ended(v).locator(".answer-figures")).to_contain_text("5 tokens")
    assert "held" not in server.models()["m1"]


def test_a_model_that_may_not_be_loaded_by_requests(visit, hostler, models):
    server = hostler("--models-dir", models, "--no-models-autoload")
    v = visit(server, "playground")
    choose(v, "m1")
    tokens_at_most(v, 5)
    send(v, "hello")
    v.page.get_by_role("button", name="Load it and send again").click()
    expect(ended(v).locator(".answer-figures")).to_contain_text("5 tokens")


def test_an_answer_that_waits_says_for_what(visit, hostler, tmp_path):
    go_on = tmp_path / "go on"
    server = hostler("--models-dir", fake_models(tmp_path / "models", a={"load_until": str(go_on)}), engine=FAKE_ENGINE)
    v = visit(server, "playground")
    choose(v, "a")
    send(v, "hello")
    expect(answer(v).locator(".waiting")).to_contain_text("loading")
    expect(answer(v).get_by_role("progressbar")).to_be_visible()
    go_on.touch()
    expect(ended(v).locator(".answer-figures")).to_contain_text("token")


def test_an_answer_that_waits_for_others(visit, hostler, tmp_path):
    """One place, and whoever has it does not end: how many are ahead is told, and what waits can be stopped."""
    server = hostler("--models-dir", fake_models(tmp_path / "models", a=ENDLESS, b={}), "--models-max", "1", engine=FAKE_ENGINE)
    v = visit(server, "playground")
    choose(v, "a")
    v.page.get_by_role("button", name="Compare with another").click()
    choose(v, "b", "Second model")
    send(v, "hello")
    expect(answer(v, 0).locator(".answer-figures")).to_contain_text("tokens")
    expect(answer(v, 1).locator(".waiting")).to_contain_text("next in the queue, when a has answered")
    v.page.get_by_role("button", name="Stop").click()
    expect(answer(v, 1).locator(".answer-figures")).to_contain_text("stopped")
    until(lambda: server.queue() == {})


def test_a_picture(visit, hostler, tmp_path):
    """It can be attached where the model takes pictures, and the engine gets it."""
    folder = tmp_path / "models" / "sees"
    folder.mkdir(parents=True)
    tiny_model.make(str(folder / "sees.gguf"))
    tiny_model.make_mmproj(str(folder / "mmproj-sees.gguf"))
    tiny_model.make(str(tmp_path / "models" / "blind.gguf"))
    server = hostler("--models-dir", tmp_path / "models")
    v = visit(server, "playground")
    choose(v, "blind")
    tokens_at_most(v, 3)
    send(v, "without")
    ended(v)
    expect(v.page.get_by_role("button", name="Attach")).to_have_count(0)
    choose(v, "sees")
    with v.page.expect_file_chooser() as chooser:
        v.page.get_by_role("button", name="Attach a picture").click()
    chooser.value.set_files({"name": "dot.png", "mimeType": "image/png", "buffer": v.page.screenshot()})
    expect(v.page.get_by_role("img", name="dot.png")).to_be_visible()
    send(v, "what is it?")
    expect(ended(v, 1).locator(".answer-figures")).to_contain_text("3 tokens")
    expect(v.page.locator(".message").get_by_role("img", name="dot.png")).to_be_visible()


def test_a_sound(visit, hostler, tmp_path):
    """Attached where the model takes sound, sent as the API wants it, and heard in the conversation."""
    folder = fake_models(tmp_path / "hears", hears={"tokens": 3})
    tiny_model.write_gguf(str(folder / "mmproj-hears.gguf"), {
        "general.architecture": "clip", "general.type": "mmproj", "clip.has_audio_encoder": True}, [])
    (tmp_path / "models").mkdir()
    folder.rename(tmp_path / "models" / "hears")
    server = hostler("--models-dir", tmp_path / "models", engine=FAKE_ENGINE)
    server.post("/hostler/v1/capture", {"for": 600})
    v = visit(server, "playground")
    choose(v, "hears")
    with v.page.expect_file_chooser() as chooser:
        v.page.get_by_role("button", name="Attach sound").click()
    assert "audio/wav" in chooser.value.element.get_attribute("accept")
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(3200))
    chooser.value.set_files({"name": "beep.wav", "mimeType": "audio/wav", "buffer": sound.getvalue()})
    expect(v.page.get_by_label("beep.wav", exact=True)).to_be_visible()
    send(v, "what is it?")
    ended(v)
    heard = v.page.locator(".message").get_by_label("beep.wav", exact=True)
    expect(heard).to_be_visible()
    until(lambda: 0 < heard.evaluate("(e) => e.duration") < 1)  # the browser could read it
    [record] = until(lambda: [r for r in server.get("/hostler/v1/requests").json["requests"] if r["state"] == "done"])
    body = json.loads(server.get(f"/hostler/v1/requests/{record['id']}").json["request_body"])
    assert {"type": "input_audio", "input_audio": {"data": base64.b64encode(sound.getvalue()).decode(), "format": "wav"}} in body["messages"][-1]["content"]


def test_by_keyboard_alone(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server, "playground")
    press = v.page.keyboard.press
    picker = v.page.get_by_role("combobox", name="Model", exact=True)
    picker.focus()
    press("ArrowDown")
    expect(v.page.get_by_role("option")).to_have_count(4)
    press("ArrowDown")
    press("ArrowDown")
    expect(v.page.get_by_role("option", selected=True)).to_contain_text("m3")
    press("Escape")
    expect(v.page.get_by_role("listbox")).to_be_hidden()
    v.page.keyboard.type("m2")
    press("Enter")
    expect(picker).to_have_value("m2")
    message = v.page.get_by_label("Message", exact=True)
    for _ in range(20):
        press("Tab")
        if message.evaluate("(e) => e === document.activeElement"):
            break
    v.page.keyboard.type("one")
    press("Shift+Enter")
    v.page.keyboard.type("two")
    press("Enter")
    expect(v.page.locator(".message-text")).to_have_text("one\ntwo")
    press("Escape")  # stops it, if it has not ended yet
    ended(v)


def test_from_the_list_of_models(visit, hostler, models):
    """A model's menu leads here; without that, a model that is in memory is chosen."""
    server = hostler("--models-dir", models)
    server.tokenize("m2")
    v = visit(server, "playground")
    picker = v.page.get_by_role("combobox", name="Model", exact=True)
    expect(picker).to_have_value("m2")
    v.show("models")
    v.page.get_by_role("button", name="More for m3").click()
    v.page.get_by_role("dialog").get_by_role("button", name="Chat with it").click()
    expect(picker).to_have_value("m3")
    choose(v, "m1")
    server.tokenize("m4")  # the list changes, the choice stays
    picker.click()
    expect(v.page.get_by_role("option", name="m4 loaded")).to_be_visible()
    v.page.keyboard.press("Escape")
    expect(picker).to_have_value("m1")


def test_in_classic_mode(visit, hostler, models):
    """The page is at /hostler/ there, with the one model."""
    server = hostler("--model", models / "m1.gguf")
    v = visit(server, "playground")
    v.page.get_by_role("combobox", name="Model", exact=True).click()
    v.page.get_by_role("option").first.click()
    tokens_at_most(v, 4)
    send(v, "hello")
    expect(ended(v).locator(".answer-figures")).to_contain_text("4 tokens")


def test_an_engine_that_is_killed_under_an_answer(visit, hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "models", m1=ENDLESS), engine=FAKE_ENGINE)
    v = visit(server, "playground")
    choose(v, "m1")
    send(v, "hello")
    expect(answer(v).locator(".answer-figures")).to_contain_text("tokens")
    os.kill(server.engines()["m1"]["pid"], signal.SIGKILL)
    expect(ended(v).get_by_role("alert")).to_contain_text("signal 9")
    answer(v).get_by_role("button", name="Send again").click()
    expect(answer(v).locator(".answer-figures")).to_contain_text("tokens")


HOSTILE = """# A title

<img src="https://elsewhere.example/x.png" onerror="window.hacked = 1"> <script>window.hacked = 1</script>
![tracker](https://elsewhere.example/pixel.png) [bad](javascript:window.hacked=1) [good](https://example.org/doc)
<iframe src="https://elsewhere.example"></iframe><style>body { display: none }</style>

```python
def f(x):
    return "<b>" + x
```

| a | b |
| - | - |
| 1 | **2** |
"""


def stream(*deltas):
    chunks = [json.dumps({"choices": [{"index": 0, "delta": d, "finish_reason": None}]}) for d in deltas]
    return "".join(f"data: {c}\n\n" for c in [*chunks, "[DONE]"])


def test_what_a_model_writes_is_shown_and_not_run(visit, axe, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server, "playground", permissions=["clipboard-read", "clipboard-write"])
    pieces = [{"content": HOSTILE[at:at + 7]} for at in range(0, len(HOSTILE), 7)]
    v.page.route("**/v1/chat/completions", lambda route: route.fulfill(
        content_type="text/event-stream", body=stream({"reasoning_content": "I think."}, *pieces)))
    choose(v, "m1")
    send(v, "hello")
    shown = ended(v)
    expect(shown.get_by_role("heading", name="A title")).to_be_visible()
    expect(shown.get_by_role("cell", name="2")).to_be_visible()
    expect(shown.locator(".hljs-keyword").first).to_have_text("def")
    link = shown.get_by_role("link", name="good")
    assert link.get_attribute("rel") == "noopener noreferrer nofollow" and link.get_attribute("target") == "_blank"
    assert shown.locator("img, script, iframe, style, a[href^=javascript]").count() == 0
    assert v.page.evaluate("window.hacked") is None
    expect(shown.locator(".reasoning-text")).to_be_hidden()
    shown.get_by_text("Reasoning").first.click()
    expect(shown.locator(".reasoning-text")).to_have_text("I think.")
    v.check_access_in_both_schemes(axe)
    shown.get_by_role("button", name="Copy this code").click()
    expect(shown.get_by_role("button", name="Copy this code")).to_have_text("Copied")
    assert v.page.evaluate("navigator.clipboard.readText()") == 'def f(x):\n    return "<b>" + x'


def test_embeddings_and_rerank(visit, axe, hostler, models, tmp_path):
    presets = tmp_path / "presets.ini"
    presets.write_text(f"version = 1\n[embedder]\nmodel = {models / 'm1.gguf'}\nembedding = 1\npooling = mean\n")
    server = hostler("--models-preset", presets)
    v = visit(server, "playground")
    v.page.get_by_role("button", name="Embeddings").click()
    choose(v, "embedder")
    v.page.get_by_label("Texts, one a line").fill("one\ntwo\nthree")
    v.page.get_by_role("button", name="Embed", exact=True).click()
    table = v.page.get_by_role("region", name="Similarities")
    expect(table.get_by_role("row")).to_have_count(4)
    expect(table.get_by_role("cell").first).to_have_text("1.000")
    v.check_access_in_both_schemes(axe)
    v.page.get_by_role("button", name="Rerank").first.click()
    choose(v, "embedder")
    v.page.get_by_role("button", name="Rerank").last.click()
    expect(v.page.get_by_role("alert").filter(has_text="rerank")).to_be_visible()  # this model does not, and says so


def test_as_curl_works_in_a_shell(visit, hostler, models):
    """What the dialog shows is run by a shell, with the key in its variable and nowhere else."""
    server = hostler("--models-dir", models, "--api-key", "secret-k")
    v = visit(server, "playground")
    v.page.get_by_label("API key").fill("secret-k")
    v.page.keyboard.press("Enter")
    choose(v, "m1")
    tokens_at_most(v, 3)
    v.page.get_by_label("Message", exact=True).fill("it's \"quoted\"")
    v.page.get_by_role("button", name="as curl").click()
    command = v.page.get_by_role("dialog").locator("pre").inner_text()
    assert "secret-k" not in command and "$HOSTLER_API_KEY" in command
    done = subprocess.run(["sh", "-c", command], env={**os.environ, "HOSTLER_API_KEY": "secret-k"}, capture_output=True, text=True,
                          timeout=120)
    assert "chat.completion.chunk" in done.stdout and "[DONE]" in done.stdout, done
