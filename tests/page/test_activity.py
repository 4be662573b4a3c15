# SPDX-License-Identifier: MIT
"""The screens Activity and of one model: what runs, what waits, what happened."""
import json
import threading

from conftest import FAKE_ENGINE, until
from page.expecting import expect
from wire import chat, fake_models


HIDE = """(hidden) => { Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange")); }"""


def begin(server, model, **more):
    """A request in a thread of its own."""
    thread = threading.Thread(target=lambda: server.post("/v1/chat/completions", chat(model, **more)), daemon=True)
    thread.start()
    return thread


def rows(v):
    return v.page.get_by_role("table").get_by_role("row")


def test_requests_run_wait_and_end(visit, hostler, tmp_path):
    folder = fake_models(tmp_path / "models", a={"tokens": 100_000, "token_ms": 20}, b={})
    server = hostler("--models-dir", folder, "--models-max", "1", engine=FAKE_ENGINE)
    server.tokenize("b")
    v = visit(server, "activity")
    expect(rows(v).filter(has_text="/tokenize")).to_contain_text("200")  # of before the page was opened
    first = begin(server, "a", stream=True)
    expect(rows(v).filter(has_text="running")).to_contain_text("a")
    second = begin(server, "b")
    waiting = rows(v).filter(has_text="waiting")
    expect(waiting).to_contain_text("b")
    v.page.get_by_role("button", name="Waiting").click()
    expect(rows(v)).to_have_count(2)  # its head, and the one
    v.page.get_by_role("button", name="All").click()
    assert server.post("/models/unload", {"model": "a", "force": True}).status == 200
    first.join()
    second.join()
    expect(rows(v).filter(has_text="waiting")).to_have_count(0)
    expect(rows(v).filter(has_text="running")).to_have_count(0)
    expect(rows(v).filter(has_text="/v1/chat/completions")).to_have_count(2)
    v.page.get_by_role("button", name="Failed").click()
    expect(rows(v).filter(has_text="/v1/chat/completions")).to_have_count(1)


def test_which_request_caused_a_load(visit, hostler, models):
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    v = visit(server, "activity")
    expect(rows(v).filter(has_text="m1").get_by_text("load", exact=True)).to_be_visible()
    load = v.page.get_by_role("listitem").filter(has_text="load").filter(has_text="m1")
    load.get_by_role("button", name="open the request").click()
    dialog = v.page.get_by_role("dialog", name="POST /tokenize")
    expect(dialog).to_contain_text("Caused a load")
    expect(dialog).to_contain_text("127.0.0.1")


def test_the_list_is_exported_as_json_lines(visit, hostler, models):
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    v = visit(server, "activity")
    expect(rows(v).filter(has_text="m1")).to_be_visible()
    with v.page.expect_download() as download:
        v.page.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename.endswith(".jsonl")
    lines = [json.loads(line) for line in download.value.path().read_text(encoding="utf-8").splitlines()]
    assert [r["model"] for r in lines] == ["m1"]


def test_a_model_with_its_requests_and_log(visit, hostler, models):
    server = hostler("--models-dir", models, "--ctx-size", "256")
    v = visit(server)
    v.row("m1").get_by_role("link").click()
    expect(v.page.get_by_role("heading", name="Models / m1")).to_be_visible()
    expect(v.page.get_by_role("row", name="--ctx-size")).to_contain_text("command line")
    expect(v.page.get_by_text("fits now")).to_be_visible()
    v.page.get_by_role("button", name="Load", exact=True).click()
    expect(v.page.get_by_role("button", name="Unload", exact=True)).to_be_visible()
    server.tokenize("m1")
    expect(rows(v).filter(has_text="/tokenize")).to_contain_text("200")
    log = v.page.get_by_role("log")
    expect(log).to_contain_text("m1")
    v.page.get_by_label("Search the log").fill("no line has this")
    expect(log).to_have_text("No line has that.")
    expect(v.page.get_by_role("row", name="measured")).to_be_visible()


def test_an_estimate_with_other_options(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server, "models/m1")
    field = v.page.get_by_label("Context")
    field.fill("512")
    answer = v.page.locator(".estimate")
    expect(answer).to_contain_text("fits now")
    field.fill("many")
    expect(answer).to_contain_text("ctx-size")  # the server's own words


def test_a_model_that_is_not_there(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server, "models/nobody")
    expect(v.page.get_by_role("heading", name="No model nobody")).to_be_visible()
    v.page.get_by_role("link", name="All models").click()
    expect(v.row("m1")).to_be_visible()


def test_nothing_is_asked_while_the_page_is_hidden(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server)
    expect(v.row("m1")).to_be_visible()
    v.page.evaluate(HIDE, True)
    expect(v.page.get_by_text("paused")).to_be_visible()
    before = len(v.urls)
    server.post("/models/load", {"model": "m1"})
    until(lambda: server.loaded() == ["m1"])
    assert len(v.urls) == before
    expect(v.state("m1")).to_have_text("unloaded")
    v.page.evaluate(HIDE, False)
    expect(v.state("m1")).to_have_text("loaded")


def test_no_timer_runs_while_the_page_is_hidden(visit, hostler, tmp_path):
    """Not even the clock that tells how long a request has been running."""
    folder = fake_models(tmp_path / "models", a={"tokens": 100_000, "token_ms": 20}, b={"load_s": 3})
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    v = visit(server, "activity")
    v.context.add_init_script("""const begin = window.setTimeout; window.begun = 0;
        window.setTimeout = (...what) => { window.begun++; return begin(...what); };""")
    v.page.reload()
    begin(server, "a", stream=True)
    running = rows(v).filter(has_text="running")
    expect(running).to_be_visible()
    before = running.inner_text()
    until(lambda: running.inner_text() != before)  # the clock goes
    v.page.evaluate(HIDE, True)
    expect(v.page.get_by_text("paused")).to_be_visible()
    v.page.evaluate("window.begun = 0")
    server.tokenize("b")  # some seconds
    assert v.page.evaluate("window.begun") == 0
    v.page.evaluate(HIDE, False)
    expect(running).to_have_count(1)
    before = running.inner_text()
    until(lambda: running.inner_text() != before)
    assert server.post("/models/unload", {"model": "a", "force": True}).status == 200


def test_the_page_does_not_grow(visit, hostler, models):
    """Ever more requests, of which it keeps a thousand."""
    server = hostler("--models-dir", models)
    v = visit(server, "activity")
    session = v.context.new_cdp_session(v.page)

    def heap(requests):
        for _ in range(requests):
            server.tokenize("m1")
        expect(rows(v).filter(has_text="m1").first).to_be_visible()
        session.send("HeapProfiler.collectGarbage")
        return session.send("Runtime.getHeapUsage")["usedSize"]

    first = heap(1500)
    assert heap(2500) < first + (3 << 20)
    assert v.page.evaluate("document.querySelectorAll('*').length") < 2000


def test_an_opened_request_shows_no_secrets(visit, hostler, models):
    server = hostler("--models-dir", models, "--api-key", "secret-k")
    headers = {"Authorization": "Bearer secret-k", "X-Trace": "t1"}
    server.post("/v1/chat/completions", chat("m1", max_tokens=3), headers=headers)
    v = visit(server, "activity")
    v.page.get_by_label("API key").fill("secret-k")
    v.page.keyboard.press("Enter")
    rows(v).filter(has_text="m1").get_by_role("button").first.click()
    dialog = v.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Timings")
    dialog.get_by_text("Header fields of the request").click()
    expect(dialog.get_by_text("t1", exact=True)).to_be_visible()
    expect(dialog).not_to_contain_text("secret-k")


def test_bodies_are_seen_while_capture_is_on(visit, hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "models", a={"tokens": 3}), engine=FAKE_ENGINE)
    v = visit(server, "activity")
    panel = v.page.get_by_role("region", name="Capture bodies")
    dialog = v.page.get_by_role("dialog")

    def ask(text):
        server.post("/v1/chat/completions", chat("a", user=text))
        rows(v).filter(has_text="/v1/chat/completions").first.get_by_role("button").click()
        expect(dialog).to_contain_text("Timings")

    panel.get_by_label("For how long").select_option("1 minute")
    panel.get_by_role("button", name="Capture").click()
    expect(panel).to_contain_text("On for")
    ask("seen")
    expect(dialog.get_by_text('"user": "seen"')).to_be_visible()
    expect(dialog.get_by_text("Body of the answer")).to_be_visible()
    dialog.get_by_role("button", name="Close").last.click()
    panel.get_by_role("button", name="Stop").click()
    expect(panel).to_contain_text("Off.")
    ask("unseen")
    expect(dialog).to_contain_text("Its bodies were not captured.")
    expect(dialog).not_to_contain_text("unseen")
    dialog.get_by_role("button", name="Close").last.click()
    panel.get_by_role("button", name="as curl").click()
    expect(dialog).to_contain_text("hostler/v1/capture")


def test_capture_ends_by_itself(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server, "activity")
    panel = v.page.get_by_role("region", name="Capture bodies")
    expect(panel).to_contain_text("Off.")
    server.post("/hostler/v1/capture", {"for": 5, "model": "m1"})  # by somebody else
    expect(panel).to_contain_text("of m1")
    expect(panel).to_contain_text("Off.")
    expect(panel.get_by_role("button", name="Capture")).to_be_visible()


def test_no_capture_where_it_is_forbidden(visit, hostler, models):
    v = visit(hostler("--models-dir", models, "--no-capture"), "activity")
    expect(v.page.get_by_text("live", exact=True)).to_be_visible()
    expect(v.page.get_by_role("heading", name="What happened")).to_be_visible()
    expect(v.page.get_by_text("Capture bodies")).to_have_count(0)


def test_a_long_list_grows_as_one_scrolls(visit, hostler, models):
    """The table has the rows that can be seen, and all others in reach."""
    server = hostler("--models-dir", models)
    server.tokenize("m2")
    for _ in range(99):
        server.tokenize("m1")
    v = visit(server, "activity")
    expect(rows(v).filter(has_text="m1").first).to_be_visible()
    expect(v.page.get_by_role("button", name="Show more")).not_to_be_in_viewport()
    assert rows(v).count() < 60
    oldest = rows(v).filter(has_text="m2")
    expect(oldest).to_have_count(0)

    def reached():
        v.page.locator("table.requests").evaluate("(e) => e.parentElement.lastElementChild.scrollIntoView()")
        return oldest.count() == 1

    until(reached)
    expect(v.page.get_by_role("button", name="Show more")).to_have_count(0)
