# SPDX-License-Identifier: MIT
"""The screen Models, used as an operator does."""
import os
import signal

import pytest

import tiny_model
from conftest import FAKE_ENGINE, until
from page.expecting import expect
from wire import fake_models


def test_loading_and_unloading(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server)
    v.page.get_by_role("button", name="Load m2").click()
    expect(v.state("m2")).to_have_text("loaded")
    assert server.loaded() == ["m2"]
    expect(v.page.locator(".model-row[data-id]").first).to_have_attribute("data-id", "m2")  # those in memory are first
    v.page.get_by_role("button", name="Unload m2").click()
    expect(v.state("m2")).to_have_text("unloaded")
    until(lambda: server.loaded() == [])


def test_progress_of_a_load(visit, hostler, tmp_path):
    go_on = tmp_path / "go on"
    server = hostler("--models-dir", fake_models(tmp_path / "models", a={"load_until": str(go_on)}), engine=FAKE_ENGINE)
    v = visit(server)
    v.page.get_by_role("button", name="Load a", exact=True).click()
    expect(v.state("a")).to_contain_text("loading")
    expect(v.row("a").get_by_role("progressbar")).to_be_visible()
    go_on.touch()
    expect(v.state("a")).to_have_text("loaded")


def test_swapping_asks_who_goes(visit, hostler, models):
    server = hostler("--models-dir", models, "--models-max", "1")
    server.tokenize("m1")
    v = visit(server)
    v.page.get_by_role("button", name="Load m2").click()
    dialog = v.page.get_by_role("dialog")
    expect(dialog).to_contain_text("m1 would be unloaded")
    dialog.get_by_role("button", name="Load").click()
    expect(v.state("m2")).to_have_text("loaded")
    expect(v.row("m1").get_by_text("evicted")).to_be_visible()


def test_unload_all_reports_each_model(visit, hostler, models):
    server = hostler("--models-dir", models)
    for model in ("m1", "m3"):
        server.tokenize(model)
    v = visit(server)
    v.page.get_by_role("button", name="Unload all").click()
    dialog = v.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Unload 2 models?")
    dialog.get_by_role("button", name="Unload all").click()
    expect(dialog.get_by_role("status")).to_contain_text("Memory that came back")
    for model in ("m1", "m3"):
        expect(dialog.get_by_role("row", name=model)).to_contain_text("unloaded")
    assert server.loaded() == []
    dialog.get_by_role("button", name="Close").last.click()
    expect(dialog).to_be_hidden()


def test_hold_with_a_reason_and_release(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server)
    v.page.get_by_role("button", name="More for m1").click()
    v.page.get_by_role("dialog").get_by_role("button", name="Hold…").click()
    dialog = v.page.get_by_role("dialog", name="Hold m1")
    dialog.get_by_label("Why").fill("backup of the disk")
    dialog.get_by_role("button", name="Hold", exact=True).click()
    expect(v.row("m1")).to_contain_text("backup of the disk")
    assert server.tokenize("m1").error["state"] == "held"
    v.page.get_by_role("button", name="More for m1").click()
    v.page.get_by_role("dialog").get_by_role("button", name="Release h").click()
    expect(v.row("m1")).not_to_contain_text("backup of the disk")
    assert server.tokenize("m1").status == 200


def test_a_crash_is_told_with_its_reason(visit, hostler, models):
    server = hostler("--models-dir", models)
    server.tokenize("m1")
    v = visit(server)
    expect(v.state("m1")).to_have_text("loaded")
    os.kill(server.engines()["m1"]["pid"], signal.SIGKILL)
    expect(v.row("m1")).to_contain_text("signal 9")
    expect(v.page.get_by_role("button", name="Load m1")).to_be_visible()


def test_by_keyboard_alone(visit, hostler, models):
    server = hostler("--models-dir", models)
    v = visit(server)
    expect(v.row("m1")).to_be_visible()
    v.page.keyboard.press("/")
    v.page.keyboard.type("m3")
    expect(v.row("m1")).to_be_hidden()
    v.page.keyboard.press("Enter")
    expect(v.row("m3")).to_be_focused()
    v.page.keyboard.press("l")
    expect(v.state("m3")).to_have_text("loaded")
    v.page.keyboard.press("p")
    expect(v.row("m3").get_by_text("pinned")).to_be_visible()
    v.page.keyboard.press("m")
    dialog = v.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    v.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(v.row("m3")).to_be_focused()
    v.page.keyboard.press("u")
    expect(v.state("m3")).to_have_text("unloaded")
    assert server.models()["m3"]["pinned"]


def test_tab_leads_through_the_screen(visit, hostler, models):
    """From the top to the list and no trap on the way; the link that skips the navigation works."""
    server = hostler("--models-dir", models)
    v = visit(server)
    expect(v.row("m1")).to_be_visible()
    v.page.keyboard.press("Tab")
    expect(v.page.get_by_role("link", name="Skip to content")).to_be_focused()
    v.page.keyboard.press("Enter")
    expect(v.page.locator("#main")).to_be_focused()
    seen = set()
    for _ in range(30):
        v.page.keyboard.press("Tab")
        seen.add(v.page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"))
    assert "Search models" in seen and len(seen) > 6


@pytest.fixture(scope="module")
def thousands(module_hostler, tmp_path_factory):
    folder = tmp_path_factory.mktemp("thousands")
    first = tiny_model.make(str(folder / "m00000.gguf"))
    for i in range(1, 10_000):
        os.link(first, folder / f"m{i:05}.gguf")
    return module_hostler("--models-dir", folder)


def test_ten_thousand_models(visit, thousands):
    v = visit(thousands)
    expect(v.page.get_by_role("button", name="All 10000")).to_be_visible()
    expect(v.row("m00000")).to_be_visible()
    assert v.page.locator(".model-row[data-id]").count() < 200
    v.row("m00000").focus()
    v.page.keyboard.press("End")
    expect(v.row("m09999")).to_be_focused()
    v.page.get_by_label("Search models").fill("m0777")
    expect(v.row("m07770")).to_be_visible()
    expect(v.row("m09999")).to_be_hidden()
    v.page.get_by_role("button", name="Load m07775").click()
    expect(v.state("m07775")).to_have_text("loaded")


def test_the_server_starts_again_under_an_open_page(visit, hostler, models, tmp_path):
    """The page says that it lost the connection, comes back by itself, and shows what is true now."""
    first = hostler("--models-dir", models)
    first.tokenize("m1")
    v = visit(first)
    expect(v.state("m1")).to_have_text("loaded")
    first.stop()
    expect(v.page.get_by_text("no connection")).to_be_visible()
    again = hostler("--models-dir", models, "--port", str(first.port))
    assert again.port == first.port
    expect(v.page.get_by_text("live", exact=True)).to_be_visible()
    expect(v.state("m1")).to_have_text("unloaded")
    v.page.get_by_role("button", name="Load m2").click()
    expect(v.state("m2")).to_have_text("loaded")
