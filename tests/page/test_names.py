# SPDX-License-Identifier: MIT
"""Models whose names mean harm: they are text everywhere, and no view becomes wider than its window."""
import urllib.parse

import pytest

import tiny_model
from page.expecting import expect

NAMES = {
    "html": "<img src=x onerror=console.error(1)>",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "long": "a-very-long-name-" * 10,
    "emoji": "\U0001f9ea\U0001f469\u200d\U0001f52c \u2603",
    "quotes": "it's \"so\" & $(so) `so`",
}
VIEWS = ["models", "models/%s", "activity", "timelines", "playground", "presets", "downloads"]


@pytest.fixture(scope="module")
def server(module_hostler, tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    for name in NAMES.values():
        tiny_model.make(str(folder / f"{name}.gguf"))
    server = module_hostler("--models-dir", folder)
    for name in NAMES.values():
        assert server.tokenize(name).status == 200
    return server


@pytest.mark.parametrize("width", [360, 640, 1280])  # 640: a window of 1280 at 200 %
@pytest.mark.parametrize("kind", NAMES)
def test_it_is_text(visit, server, kind, width):
    v = visit(server, width=width)
    name = NAMES[kind]
    for view in VIEWS:
        v.show(view.replace("%s", urllib.parse.quote(name, safe="")))
        expect(v.page.locator("main .view h1").first).to_be_attached()
        expect(v.page.locator("main [aria-busy=true]")).to_have_count(0)
        if view.startswith("models/"):
            expect(v.page.get_by_role("heading", name=name)).to_be_visible()
        if view == "activity":
            expect(v.page.get_by_role("link", name=name, exact=True).first).to_be_visible()
        assert v.page.evaluate("document.documentElement.scrollWidth") <= width, view
        assert v.page.evaluate("document.getElementById('main').scrollWidth") <= width, view
        assert v.page.locator("main img").count() == 0
