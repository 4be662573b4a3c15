# SPDX-License-Identifier: MIT
"""The screen Downloads, with a hub that is slow or fails to order."""
import json
import threading

import pytest

import tiny_model
from fake_hub import Hub
from page.expecting import expect


@pytest.fixture
def hub(tmp_path):
    server = Hub(tmp_path / "hub")
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def add(name, padding=0, **fake):
        folder = server.root / name
        folder.mkdir(parents=True)
        with open(tiny_model.make(str(folder / "tiny-Q4_K_M.gguf")), "ab") as file:
            file.truncate(file.tell() + padding)
        folder.with_name(folder.name + ".fake").write_text(json.dumps(fake), encoding="ascii")
        return name

    server.add = add
    yield server
    server.shutdown()


def begin(v, name):
    v.page.get_by_label("Model on Hugging Face").fill(name)
    v.page.get_by_role("button", name="Download", exact=True).click()


def test_download_use_and_delete(visit, hostler, hub):
    name = hub.add("u/quick")
    server = hostler(env={"HF_ENDPOINT": hub.url})
    v = visit(server, "downloads")
    begin(v, name)
    ended = v.page.get_by_role("region", name="Ended").get_by_role("listitem").filter(has_text=name)
    expect(ended).to_contain_text("complete")
    model = next(m for m in server.models() if m.startswith(name))
    v.page.get_by_role("button", name=f"Delete {model}").click()
    dialog = v.page.get_by_role("dialog")
    expect(dialog).to_contain_text("removed from the disk")
    dialog.get_by_role("button", name="Cancel").click()
    assert model in server.models()
    v.page.get_by_role("button", name=f"Delete {model}").click()
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(v.page.get_by_text("No model is in the cache.")).to_be_visible()
    assert model not in server.models()


def test_progress_and_cancel(visit, axe, hostler, hub):
    name = hub.add("u/slow", padding=32 << 20, rate=500_000)  # a minute
    server = hostler(env={"HF_ENDPOINT": hub.url})
    v = visit(server, "downloads")
    begin(v, name)
    row = v.page.get_by_role("listitem").filter(has_text=name)
    expect(row.get_by_role("progressbar", name=f"Download of {name}")).to_be_visible()
    expect(row).to_contain_text(" of 32.0 MiB")
    v.check_access_in_both_schemes(axe)
    v.page.get_by_role("button", name=f"Cancel {name}").click()
    v.page.get_by_role("dialog").get_by_role("button", name="Cancel the download").click()
    expect(v.page.get_by_role("region", name="Ended")).to_contain_text("it was cancelled")
    expect(v.page.get_by_role("region", name="Under way")).to_have_count(0)


def test_a_download_that_fails_says_why(visit, hostler, hub):
    name = hub.add("u/broken", file_status=503)
    server = hostler(env={"HF_ENDPOINT": hub.url})
    v = visit(server, "downloads")
    begin(v, name)
    ended = v.page.get_by_role("region", name="Ended").get_by_role("listitem").filter(has_text=name)
    expect(ended.get_by_role("button", name="Try again")).to_be_visible()
    (hub.root / "u/broken.fake").write_text("{}")
    ended.get_by_role("button", name="Try again").click()
    expect(ended).to_contain_text("complete")


def test_a_name_that_is_none(visit, hostler, hub):
    server = hostler(env={"HF_ENDPOINT": hub.url})
    v = visit(server, "downloads")
    begin(v, "no name")
    expect(v.page.locator("#download-problem")).to_be_visible()
