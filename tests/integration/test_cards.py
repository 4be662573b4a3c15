# SPDX-License-Identifier: MIT
"""On which card a model's memory is counted: by what its engine sees of the cards."""
import pathlib

import pytest

from cards import MIB, NO_VIEWS, NVML, alike, blocks, machine
from conftest import PATIENCE
from unloading import load
from wire import FAKE_ENGINE

MIXED = "24576@1:NVIDIA A,49152@2:NVIDIA B"


@pytest.fixture
def start(hostler, tmp_path, monkeypatch):
    """start(environment, presets, *args): a daemon with the model m of the fake engine."""
    if not NVML.exists():
        pytest.skip(f"{NVML} is not built")
    for name in NO_VIEWS:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "models"
    folder.mkdir()
    blocks(folder / "m.gguf")

    def call(env, text="", *args):
        path = tmp_path / "p.ini"
        path.write_text(text, encoding="utf-8")
        return hostler("--models-dir", folder, "--models-preset", path, *args, engine=FAKE_ENGINE, env=env)
    return call


def estimate(server):
    answer = server.get("/hostler/v1/estimate?model=m")
    assert answer.status == 200, answer.body
    return answer.json


def on(answer):
    """The cards that it counts on."""
    return sorted(name for name, size in answer["memory"].items() if name != "host" and size)


def test_the_example_of_the_documentation(start):
    """Room on the second card alone, and an engine that sees only that."""
    text = (pathlib.Path(__file__).parents[2] / "docs" / "memory.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("env = "))
    assert line.split(";")[0].strip() == "env = CUDA_VISIBLE_DEVICES=1"
    server = start(machine(alike(2), "100,24000"), f"[m]\n{line}\n", "--memory", "gpu0=200M")
    answer = estimate(server)
    assert on(answer) == ["gpu1"] and answer["fits"] and not answer["never"]
    show = server.get("/hostler/v1/show?model=m").json["footprint"]["estimated"]
    assert on(show) == ["gpu1"] and "undecided" not in show
    load(server, "m")
    assert server.post("/v1/chat/completions", {"model": "m", "messages": []}, timeout=PATIENCE).status == 200


CASES = [
    # cards, the preset's env, the daemon's, where it counts, whether that is told as not known
    (alike(1), "", {}, ["gpu0"], False),
    (alike(1), "CUDA_VISIBLE_DEVICES=", {}, [], False),
    (alike(1), "CUDA_VISIBLE_DEVICES=-1", {}, [], False),
    (alike(2), "", {}, ["gpu0", "gpu1"], False),
    (alike(2), "", {"CUDA_VISIBLE_DEVICES": "1"}, ["gpu1"], False),
    (alike(2), "CUDA_VISIBLE_DEVICES=0", {"CUDA_VISIBLE_DEVICES": "1"}, ["gpu0"], False),
    (alike(2), "CUDA_VISIBLE_DEVICES=GPU-00000002", {}, ["gpu1"], False),
    (alike(4), "CUDA_VISIBLE_DEVICES=1,3", {}, ["gpu1", "gpu3"], False),
    (alike(4), "A=1, CUDA_VISIBLE_DEVICES=2,0, B=2", {}, ["gpu0", "gpu2"], False),
    (alike(8), "CUDA_VISIBLE_DEVICES=7", {}, ["gpu7"], False),
    (alike(8), "CUDA_VISIBLE_DEVICES=5,9,1", {}, ["gpu5"], False),
    (alike(2), "GGML_VK_VISIBLE_DEVICES=1", {}, ["gpu1"], False),
    (MIXED, "CUDA_VISIBLE_DEVICES=0", {}, ["gpu0", "gpu1"], True),
    (MIXED, "CUDA_VISIBLE_DEVICES=0, CUDA_DEVICE_ORDER=PCI_BUS_ID", {}, ["gpu0"], False),
    (MIXED, "CUDA_VISIBLE_DEVICES=1", {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, ["gpu1"], False),
    (MIXED, "CUDA_VISIBLE_DEVICES=GPU-00000001", {}, ["gpu0"], False),
    ("40960@1:A*2,24576@2:B", "CUDA_VISIBLE_DEVICES=MIG-00000001-0000-0000-0000-000000000001", {}, ["gpu0.1"], False),
    ("40960@1:A*2,24576@2:B", "CUDA_VISIBLE_DEVICES=GPU-00000002", {}, ["gpu1"], False),
    ("40960@1:A*2", "", {}, ["gpu0.0"], False),
    ("24576@65:A,24576@1:A", "CUDA_VISIBLE_DEVICES=0", {}, ["gpu1"], False),  # numbers go by address
]


@pytest.mark.parametrize("cards, env, daemons, where, told", CASES)
def test_which_card(start, cards, env, daemons, where, told):
    server = start(machine(cards, **daemons), f"[m]\nenv = {env}\n" if env else "")
    answer = estimate(server)
    assert on(answer) == where
    assert ("numbered by CUDA" in (answer["note"] or "")) == told
    assert ("undecided" in server.get("/hostler/v1/show?model=m").json["footprint"]["estimated"]) == told


def test_a_refusal_says_what_is_not_known(start):
    server = start(machine(MIXED), "[m]\nenv = CUDA_VISIBLE_DEVICES=1\n", "--memory", "gpu0=200M")
    answer = server.post("/v1/chat/completions", {"model": "m", "messages": []})
    assert answer.status == 503 and "CUDA_DEVICE_ORDER=PCI_BUS_ID" in answer.json["error"]["message"]


def test_instances_have_budgets(start):
    server = start(machine("40960@1:A*2"), "", "--memory", "gpu0.1=5G")
    memory = server.get("/hostler/v1/status").json["memory"]
    assert sorted(memory) == ["gpu0.0", "gpu0.1", "host"]
    assert memory["gpu0.1"]["card"] == {"pci": "0000:01:00.0", "product": "A",
                                        "uuid": "MIG-00000001-0000-0000-0000-000000000001"}
    assert "card" not in memory["host"]
    assert memory["gpu0.0"]["total"] == 20480 * MIB and memory["gpu0.1"]["budget"] == 5 << 30


def test_what_was_measured_with_another_card_does_not_count(start, tmp_path):
    file = tmp_path / "p.ini"
    server = start(machine(alike(2)), "[m]\nenv = CUDA_VISIBLE_DEVICES=0\n")
    load(server, "m")
    server.post("/models/unload", {"models": ["m"]})
    assert estimate(server)["source"] == "measured"
    file.write_text("[m]\nenv = CUDA_VISIBLE_DEVICES=1\n", encoding="utf-8")
    assert server.get("/models?reload=1").status == 200
    answer = estimate(server)
    assert answer["source"] == "estimated" and on(answer) == ["gpu1"]
    file.write_text("[m]\nenv = CUDA_VISIBLE_DEVICES=0\n", encoding="utf-8")
    assert server.get("/models?reload=1").status == 200
    assert estimate(server)["source"] == "measured"
