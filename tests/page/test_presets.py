# SPDX-License-Identifier: MIT
"""The screen Presets: a file that the daemon checks while one types."""
import pytest

from conftest import until
from page.expecting import expect


@pytest.fixture
def presets(tmp_path, models):
    path = tmp_path / "presets.ini"
    path.write_text(f"version = 1\n\n[*]\nctx-size = 1024\n\n[writer]\n; for letters\nmodel = {models / 'm1.gguf'}\n")
    return path


def editor(v):
    return v.page.get_by_label("Text of the presets")


def test_view_with_origins(visit, hostler, presets):
    v = visit(hostler("--models-preset", presets), "presets")
    expect(editor(v)).to_have_value(presets.read_text())
    v.page.get_by_role("navigation", name="Sections").get_by_role("button", name="writer").click()
    origins = v.page.get_by_role("complementary", name="Origins")
    expect(origins).to_contain_text("--ctx-size 1024")
    expect(origins).to_contain_text("*")


def test_edit_check_compare_write(visit, axe, hostler, presets):
    server = hostler("--models-preset", presets)
    v = visit(server, "presets")
    before = presets.read_text()
    editor(v).fill(before + "no-such-option = 1\n")
    expect(v.page.get_by_text("There is a problem.")).to_be_visible()
    expect(v.page.get_by_role("button", name="Line 9")).to_be_visible()
    expect(v.page.get_by_role("button", name="Review and write")).to_be_disabled()
    v.check_access_in_both_schemes(axe)
    editor(v).fill(before.replace("1024", "2048"))
    expect(v.page.get_by_text("The text is valid.")).to_be_visible()
    assert presets.read_text() == before
    v.page.get_by_role("button", name="Review and write").click()
    dialog = v.page.get_by_role("dialog")
    expect(dialog.locator(".diff-removed .diff-text")).to_have_text(["ctx-size = 1024"])
    expect(dialog.locator(".diff-added .diff-text")).to_have_text(["ctx-size = 2048"])
    v.check_access_in_both_schemes(axe)
    dialog.get_by_role("button", name="Write the file").click()
    expect(dialog).to_be_hidden()
    assert presets.read_text() == before.replace("1024", "2048")
    until(lambda: "2048" in server.models()["writer"]["status"]["args"])


def test_a_file_that_others_changed_meanwhile(visit, axe, hostler, presets):
    v = visit(hostler("--models-preset", presets), "presets")
    before = presets.read_text()
    editor(v).fill(before + "; mine\n")
    expect(v.page.get_by_text("The text is valid.")).to_be_visible()
    presets.write_text(before + "; theirs\n")
    v.page.get_by_role("button", name="Review and write").click()
    v.page.get_by_role("dialog").get_by_role("button", name="Write the file").click()
    conflict = v.page.get_by_role("alert").filter(has_text="was changed since")
    expect(conflict).to_contain_text("; theirs")
    v.check_access_in_both_schemes(axe)
    assert presets.read_text() == before + "; theirs\n"
    conflict.get_by_role("button", name="Keep my text").click()
    expect(editor(v)).to_have_value(before + "; mine\n")
    v.page.get_by_role("button", name="Review and write").click()
    v.page.get_by_role("dialog").get_by_role("button", name="Write the file").click()
    until(lambda: presets.read_text() == before + "; mine\n")


def test_without_a_file(visit, hostler, models):
    v = visit(hostler("--models-dir", models), "presets")
    expect(v.page.get_by_text("It cannot be edited here: ")).to_be_visible()
    expect(editor(v)).not_to_be_editable()


def test_what_is_probably_a_slip_is_told_and_may_be_written(visit, hostler, presets):
    v = visit(hostler("--models-preset", presets), "presets")
    editor(v).fill(presets.read_text() + "\n[writer]\nttl = 5\n")  # the second one of that name
    expect(v.page.locator("#presets-verdict")).to_contain_text("The text is valid.")
    expect(v.page.locator(".presets-problems .warn")).to_contain_text("writer")
    expect(v.page.get_by_role("button", name="Review and write")).to_be_enabled()


def test_line_ends_stay(visit, hostler, presets):
    presets.write_bytes(presets.read_text().replace("\n", "\r\n").encode())
    before = presets.read_bytes()
    v = visit(hostler("--models-preset", presets), "presets")
    editor(v).fill(editor(v).input_value().replace("1024", "2048"))
    v.page.get_by_role("button", name="Review and write").click()
    dialog = v.page.get_by_role("dialog")
    expect(dialog.locator(".diff-added")).to_have_count(1)
    dialog.get_by_role("button", name="Write the file").click()
    until(lambda: presets.read_bytes() == before.replace(b"1024", b"2048"))


def test_a_draft_outlives_its_view(visit, hostler, presets):
    v = visit(hostler("--models-preset", presets), "presets")
    editor(v).fill(presets.read_text() + "; mine\n")
    v.show("models")
    expect(v.page.get_by_label("Search models")).to_be_visible()
    v.show("presets")
    expect(editor(v)).to_have_value(presets.read_text() + "; mine\n")
    v.page.get_by_role("button", name="Discard").click()
    v.page.get_by_role("dialog").get_by_role("button", name="Drop it").click()
    expect(editor(v)).to_have_value(presets.read_text())
