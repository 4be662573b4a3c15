# SPDX-License-Identifier: MIT
"""The dialog "Load with…": one load with options and a TTL of its own."""
import pytest

from conftest import until
from page.expecting import expect
from wire import open_stream


@pytest.fixture
def server(hostler, models):
    return hostler("--models-dir", models)


def show(server, model="m1"):
    return server.get(f"/hostler/v1/show?model={model}").json


def of_menu(v, model="m1"):
    """The dialog, from the model's menu."""
    v.page.get_by_role("button", name=f"More for {model}").click()
    v.page.get_by_role("dialog").get_by_role("button", name="Load with…").click()
    return v.page.get_by_role("dialog", name=f"Load {model} with…")


def fill(dialog, number, option, value):
    dialog.get_by_label(f"Option {number}", exact=True).fill(option)
    dialog.get_by_label(f"Value {number}", exact=True).fill(value)


def test_a_load_with_options_of_its_own(visit, server):
    v = visit(server)
    dialog = of_menu(v)
    fill(dialog, 1, "--ctx-size", "512")
    expect(dialog).to_contain_text("With these options: fits now, takes")
    dialog.get_by_role("button", name="Add an option").click()
    expect(dialog.get_by_label("Option 2", exact=True)).to_be_focused()
    fill(dialog, 2, "temp", "0.25")
    dialog.get_by_label("TTL").fill("10m")
    dialog.get_by_role("button", name="Load", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(v.state("m1")).to_have_text("loaded")
    # a short name is told as the engine's help has it
    expect(v.row("m1")).to_contain_text("with ctx-size 512, temperature 0.25, ttl 10m")
    told = show(server)
    assert told["this_load"] == {"args": {"ctx-size": "512", "temperature": "0.25"}, "ttl_ms": 600_000}
    v.show("models/m1")
    main = v.page.locator("#main")
    expect(main.get_by_text("with ctx-size 512, temperature 0.25, ttl 10m", exact=True)).to_be_visible()
    expect(main.get_by_role("row", name="--ctx-size")).to_contain_text("this load")
    main.get_by_role("button", name="Unload").click()
    expect(main.get_by_text("with ctx-size 512, temperature 0.25, ttl 10m", exact=True)).to_be_hidden()


def test_a_refusal_is_told_and_nothing_is_lost(visit, server):
    v = visit(server)
    dialog = of_menu(v)
    fill(dialog, 1, "ctx-sise", "512")
    dialog.get_by_label("TTL").fill("soon")
    dialog.get_by_label("TTL").press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("must be a number of seconds")
    dialog.get_by_label("TTL").fill("1h")
    dialog.get_by_label("TTL").press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("did you mean 'ctx-size'?")
    assert server.loaded() == []
    expect(dialog.get_by_label("Value 1", exact=True)).to_have_value("512")
    expect(dialog.get_by_label("TTL")).to_have_value("1h")
    dialog.get_by_label("Option 1", exact=True).fill("ctx-size")
    dialog.get_by_role("button", name="Load", exact=True).click()
    expect(v.state("m1")).to_have_text("loaded")
    assert show(server)["this_load"] == {"args": {"ctx-size": "512"}, "ttl_ms": 3_600_000}


def test_a_loaded_one_gets_a_ttl_and_goes_on(visit, server):
    server.post("/models/load", {"model": "m1", "args": {"ctx-size": 512}})
    until(lambda: server.loaded() == ["m1"])
    pid = server.engines()["m1"]["pid"]
    v = visit(server, "models/m1")
    v.page.locator("#main").get_by_role("button", name="Load with…").click()
    dialog = v.page.get_by_role("dialog")
    expect(dialog).to_contain_text("requests that run finish first")
    expect(dialog.get_by_label("Option 1", exact=True)).to_have_value("ctx-size")
    expect(dialog.get_by_role("button", name="Load anew")).to_be_disabled()  # nothing is changed
    dialog.get_by_label("TTL").fill("2h")
    dialog.get_by_role("button", name="Set TTL").click()
    expect(v.page.locator("#main").get_by_text("with ctx-size 512, ttl 2h", exact=True)).to_be_visible()
    assert server.engines()["m1"]["pid"] == pid
    assert show(server)["ttl_ms"] == 7_200_000


def test_a_loaded_one_is_loaded_anew_after_its_requests(visit, server):
    server.post("/models/load", {"model": "m1", "args": {"ctx-size": 512}})
    until(lambda: server.loaded() == ["m1"])
    pid = server.engines()["m1"]["pid"]
    v = visit(server)
    connection, answer = open_stream(server, "m1", max_tokens=64)
    dialog = of_menu(v)
    dialog.get_by_label("Value 1", exact=True).fill("1024")
    dialog.get_by_role("button", name="Load anew").click()
    expect(dialog).to_be_hidden()
    assert b"[DONE]" in answer.read()
    connection.close()
    expect(v.row("m1")).to_contain_text("with ctx-size 1024")
    expect(v.state("m1")).to_have_text("loaded")
    until(lambda: (e := server.engines().get("m1")) and e["state"] == "loaded" and e["pid"] != pid)
    dialog = of_menu(v)
    dialog.get_by_role("button", name="Remove option 1").click()
    expect(dialog.get_by_role("button", name="Add an option")).to_be_focused()
    dialog.get_by_role("button", name="Load anew").click()
    expect(v.row("m1").locator(".own-load")).to_be_hidden()


def test_as_curl_follows_what_is_typed(visit, server):
    v = visit(server)
    dialog = of_menu(v)
    fill(dialog, 1, "ctx-size", "8192")
    dialog.get_by_text("as curl").click()
    text = dialog.get_by_label("As curl")
    expect(text).to_contain_text('{"model":"m1","args":{"ctx-size":"8192"}}')
    expect(text).to_contain_text("/models/load'")
    dialog.get_by_label("TTL").fill("600")
    expect(text).to_contain_text('"ttl":600}')
    expect(dialog.get_by_label("Value 1", exact=True)).to_have_value("8192")


def test_who_would_go_for_it_is_told_before(visit, hostler, models):
    server = hostler("--models-dir", models, "--models-max", "1")
    server.tokenize("m2")
    dialog = of_menu(visit(server))
    expect(dialog).to_contain_text("fits after m2 goes")
    fill(dialog, 1, "temp", "0.5")  # nothing that the estimate knows
    expect(dialog).to_contain_text("Without these options: fits after m2 goes")


def test_by_keyboard_alone(visit, server):
    v = visit(server)
    v.row("m1").focus()
    v.page.keyboard.press("L")
    dialog = v.page.get_by_role("dialog", name="Load m1 with…")
    expect(dialog.get_by_label("Option 1", exact=True)).to_be_focused()
    v.page.keyboard.type("ctx-size")
    v.page.keyboard.press("Tab")
    v.page.keyboard.type("512")
    v.page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(v.row("m1")).to_be_focused()
    expect(v.row("m1")).to_contain_text("with ctx-size 512")
    v.page.keyboard.press("Shift+L")
    expect(dialog.get_by_label("Option 1", exact=True)).to_be_focused()
    v.page.keyboard.press("Escape")
    expect(v.row("m1")).to_be_focused()


def test_for_everybody(visit, axe, server):
    """axe-core in both colour schemes, a phone's width, with a refusal and the command open."""
    v = visit(server, width=360, height=740, has_touch=True, is_mobile=True)
    dialog = of_menu(v)
    fill(dialog, 1, "ctx-sise", "512")
    dialog.get_by_text("as curl").click()
    dialog.get_by_role("button", name="Load", exact=True).click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    v.check_access_in_both_schemes(axe)
    assert v.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert dialog.evaluate("(e) => e.scrollWidth - e.clientWidth") == 0
    dialog.get_by_label("Option 1", exact=True).fill("ctx-size")
    dialog.get_by_role("button", name="Load", exact=True).click()
    expect(v.row("m1")).to_contain_text("with ctx-size 512")
    assert v.row("m1").locator(".name").evaluate("(e) => e.scrollWidth - e.clientWidth") <= 0  # the mark shrinks, not the name
    v.check_access_in_both_schemes(axe)
