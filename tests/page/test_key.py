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


def test_what_the_rights_do_not_permit_is_not_offered(visit, hostler, models):
    """The daemon tells the page which rights its caller has; here they are made fewer on the way."""
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    v = visit(server)
    expect(v.page.get_by_role("button", name="Unload m1")).to_be_visible()
    v.context.add_init_script("""const parse = JSON.parse; JSON.parse = (text) => {
        const value = parse(text); if (value?.rights) value.rights = ["list", "infer", "status"]; return value; };""")
    v.page.reload()
    expect(v.row("m1")).to_be_visible()
    for name in ("Load m2", "Unload m1", "Unload all"):
        expect(v.page.get_by_role("button", name=name)).to_have_count(0)
    for view, absent in (("activity", "Capture"), ("models/m1", "Unload"), ("models/m1", "Hold"), ("models/m2", "Load"),
                         ("downloads", "Download"), ("presets", "Review and write")):
        v.show(view)
        expect(v.page.locator("main h1").first).to_be_visible()
        expect(v.page.locator("main [aria-busy=true]")).to_have_count(0)
        button = v.page.get_by_role("button", name=absent)
        assert button.count() == 0 or not button.is_enabled(), f"{view} offers {absent}"
