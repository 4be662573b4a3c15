# SPDX-License-Identifier: MIT
"""Each screen for everybody: axe-core in both colour schemes, a phone's width."""
import pytest

from conftest import until
from page.expecting import expect

VIEWS = ["models", "models/m1", "activity", "timelines", "playground", "downloads", "presets", "doctor"]


@pytest.fixture(scope="module")
def server(module_hostler, models, tmp_path_factory):
    presets = tmp_path_factory.mktemp("presets") / "presets.ini"
    presets.write_text("version = 1\n[*]\nctx-size = 1024\n\n[m1]\ntags = chat\n")
    server = module_hostler("--models-dir", models, "--models-preset", presets)
    server.post("/v1/chat/completions", {"model": "m1", "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]})
    server.post("/models/hold", {"model": "m3", "reason": "backup"})
    return server


def settle(v):
    """The view has drawn what it asked for."""
    expect(v.page.get_by_text("live", exact=True)).to_be_visible()
    expect(v.page.locator("main .view h1")).to_be_attached()
    expect(v.page.locator("main [aria-busy=true]")).to_have_count(0)


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_serious(visit, axe, server, view):
    v = visit(server, view)
    for scheme in ("light", "dark"):
        v.page.emulate_media(color_scheme=scheme)
        settle(v)
        v.check_access(axe)


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone(visit, axe, server, view):
    """Nothing is wider than the screen."""
    v = visit(server, view, width=360, height=740, has_touch=True, is_mobile=True)
    settle(v)
    assert v.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert v.page.evaluate("document.getElementById('main').scrollWidth") <= 360
    if view in ("models", "playground"):
        v.check_access(axe)


def test_a_dialog(visit, axe, server):
    v = visit(server)
    v.page.get_by_role("button", name="More for m1").click()
    expect(v.page.get_by_role("dialog")).to_be_visible()
    v.check_access(axe)


def test_nothing_is_loaded_from_elsewhere_and_all_of_it_soon(visit, server):
    """Every visit fails for a request to another host; here, what one visit fetches in all."""
    v = visit(server)
    settle(v)
    for view in VIEWS:
        v.show(view)
        settle(v)
    page = [u for u in v.urls if u.split("#")[0].split("?")[0].endswith((".js", ".css", ".svg", "/hostler/"))]
    assert 3 <= len(page) <= 30


def test_the_checks_are_awake(visit, axe, server):
    """What every visit and axe-core watch for is seen when it is there."""
    v = visit(server)
    settle(v)
    v.page.evaluate("""() => {
      const image = document.createElement("img");
      image.src = "https://elsewhere.example/x.png";
      document.getElementById("page").append(image);
      console.error("said");
    }""")
    expect(v.page.locator("#page > img")).to_be_attached()
    with pytest.raises(AssertionError, match="image-alt"):
        v.check_access(axe)
    until(lambda: v.page.evaluate("0") == 0 and any("CSP: img-src" in e for e in v.errors))
    assert any("said" in e for e in v.errors)
    v.errors.clear()
