# SPDX-License-Identifier: MIT
"""The screen Timelines: what a thrash looks like."""
from conftest import until
from page.expecting import expect


def test_memory_loads_and_evictions(visit, hostler, models):
    server = hostler("--models-dir", models, "--models-max", "1")
    for _ in range(3):
        for model in ("m1", "m2"):
            assert server.tokenize(model).status == 200
    v = visit(server, "timelines")
    expect(v.page.get_by_role("heading", name="Memory of host")).to_be_visible()
    assert v.page.locator("main canvas").count() >= 3
    marks = v.page.get_by_role("region", name="Loads and what ended them")
    expect(marks.get_by_role("listitem").filter(has_text="evicted")).to_have_count(5)
    verdict = v.page.locator(".verdict")
    expect(verdict).to_contain_text("Thrash")
    expect(verdict).to_contain_text("m1 and m2")
    v.page.get_by_role("button", name="Last day").click()
    expect(v.page.get_by_role("button", name="Last day")).to_have_attribute("aria-pressed", "true")
    expect(marks.get_by_role("link", name="m1").first).to_be_visible()
    server.tokenize("m3")
    v.page.get_by_role("button", name="Last 10 minutes").click()
    expect(marks.get_by_role("link", name="m3")).to_have_count(1)


def test_nothing_happened_yet(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server, "timelines")
    expect(v.page.locator(".verdict")).to_contain_text("No thrash.")
    until(lambda: server.get("/hostler/v1/timeline").status == 200)


def test_a_phone_and_who_cannot_see_the_charts(visit, axe, hostler, models):
    server = hostler("--models-dir", models, "--models-max", "1")
    for model in ("m1", "m2"):
        assert server.tokenize(model).status == 200
    v = visit(server, "timelines", width=360)
    for span in ("Last day", "Last 10 minutes", "Last hour"):
        v.page.get_by_role("button", name=span).click()
        expect(v.page.get_by_role("region", name="Memory of host")).to_contain_text("Engines have")
        expect(v.page.get_by_role("region", name="Loads and evictions")).to_contain_text("2 loads, 1 eviction")
    assert v.page.evaluate("document.documentElement.scrollWidth") <= 360
    v.check_access(axe)
