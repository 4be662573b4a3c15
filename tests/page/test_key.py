# SPDX-License-Identifier: MIT
"""A server with keys: the page asks once, and the key goes into a header field only."""
from page.expecting import expect

KEY = "a-key-that-must-not-leak"


def test_wrong_then_right(visit, hostler, models):
    server = hostler("--models-dir", models, "--api-key", KEY)
    v = visit(server)
    field = v.page.get_by_label("API key")
    field.fill("wrong")
    v.page.keyboard.press("Enter")
    expect(v.page.get_by_role("alert").filter(has_text="does not accept the key")).to_be_visible()
    v.page.get_by_label("API key").fill(KEY)
    v.page.get_by_role("button", name="Continue").click()
    expect(v.row("m1")).to_be_visible()
    v.page.get_by_role("button", name="Load m1").click()
    expect(v.state("m1")).to_have_text("loaded")
    v.page.reload()
    expect(v.page.get_by_label("API key")).to_be_visible()  # it was in memory only
    assert all(KEY not in url for url in v.urls)
    assert KEY not in v.store() and v.page.evaluate("sessionStorage.length") == 0
    assert v.context.cookies() == []


def test_kept_until_the_tab_is_closed(visit, hostler, models):
    server = hostler("--models-dir", models, "--api-key", KEY)
    v = visit(server)
    v.page.get_by_label("API key").fill(KEY)
    v.page.get_by_label("keep it until this tab is closed").check()
    v.page.get_by_role("button", name="Continue").click()
    expect(v.row("m1")).to_be_visible()
    v.page.reload()
    expect(v.row("m1")).to_be_visible()
    assert all(KEY not in url for url in v.urls) and KEY not in v.store()
    v.page.get_by_role("button", name="Change key").click()
    expect(v.page.get_by_label("API key")).to_be_visible()
    assert v.page.evaluate("sessionStorage.length") == 0


def test_below_a_prefix(visit, hostler, models):
    server = hostler("--models-dir", models, "--api-prefix", "/llm", "--api-key", KEY)
    v = visit(server, prefix="/llm")
    v.page.get_by_label("API key").fill(KEY)
    v.page.keyboard.press("Enter")
    expect(v.row("m1")).to_be_visible()
    v.page.get_by_role("button", name="Load m1").click()
    expect(v.state("m1")).to_have_text("loaded")
    assert all("/llm/" in url for url in v.urls)
