# SPDX-License-Identifier: MIT
"""The memory of cards in the screen Models, with a stand-in for their driver."""
import pytest

from cards import NVML, NO_VIEWS, Slots, blocks
from conftest import FAKE_ENGINE
from page.expecting import expect

A, B = "24576@1:NVIDIA A", "49152@2:NVIDIA B"


@pytest.fixture
def two_cards(hostler, tmp_path, monkeypatch):
    """A daemon on a machine with two cards, and the slots that these are in."""
    if not NVML.exists():
        pytest.skip(f"{NVML} is not built")
    for name in NO_VIEWS:
        monkeypatch.delenv(name, raising=False)
    slots = Slots(tmp_path, f"{A},{B}")
    slots.hold(f"{A},{B}", free="20480,49152")
    (tmp_path / "models").mkdir()
    blocks(tmp_path / "models" / "m.gguf")
    server = hostler("--models-dir", tmp_path / "models", "--memory", "gpu0=8G", engine=FAKE_ENGINE,
                     env={**slots.env, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    return server, slots


def device(v, name):
    return v.page.locator(".device").filter(has=v.page.get_by_role("heading", name=name, exact=True))


def test_two_cards(visit, axe, two_cards):
    server, _ = two_cards
    v = visit(server)
    first, second = device(v, "gpu0"), device(v, "gpu1")
    expect(first).to_contain_text("NVIDIA A")
    expect(first).to_contain_text("24.0 GiB")
    expect(first).to_contain_text("engines 0 B of 8.00 GiB")
    expect(first).to_contain_text("others 4.00 GiB")
    expect(first).to_contain_text("free 20.0 GiB")
    bar = first.get_by_role("img")
    expect(bar).to_have_attribute("aria-label", "gpu0: engines 0 B, others 4.00 GiB, free 20.0 GiB of 24.0 GiB, budget 8.00 GiB")
    line, whole = bar.locator(".bar-mark").bounding_box(), bar.bounding_box()
    assert abs((line["x"] - whole["x"]) / whole["width"] - 1 / 3) < 0.02
    others = bar.locator(".bar-others").bounding_box()
    assert abs(others["width"] / whole["width"] - 1 / 6) < 0.02
    expect(second).to_contain_text("NVIDIA B")
    expect(device(v, "host")).to_be_visible()
    assert v.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    v.check_access_in_both_schemes(axe)


def test_a_card_that_goes_and_comes(visit, two_cards):
    server, slots = two_cards
    v = visit(server)
    expect(device(v, "gpu1")).to_contain_text("NVIDIA B")
    slots.hold(A)
    assert server.get("/models?reload=1").status == 200
    expect(device(v, "gpu1")).to_contain_text("is gone")
    slots.hold(f"{A},{B}")
    assert server.get("/models?reload=1").status == 200
    expect(device(v, "gpu1")).not_to_contain_text("is gone")
