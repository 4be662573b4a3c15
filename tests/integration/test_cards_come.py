# SPDX-License-Identifier: MIT
"""Cards that are plugged in, pulled out, divided and numbered anew while the daemon runs."""
import signal

import pytest

from cards import MIB, NO_VIEWS, NVML, Slots, blocks
from conftest import PATIENCE, until
from unloading import load, pids, unload_all
from wire import FAKE_ENGINE

A, B, C = "24576@1:NVIDIA A", "49152@2:NVIDIA B", "16384@3:NVIDIA C"
ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@pytest.fixture
def start(hostler, tmp_path, monkeypatch):
    """start(slots, presets, *args): a daemon with the model m of the fake engine."""
    if not NVML.exists():
        pytest.skip(f"{NVML} is not built")
    for name in NO_VIEWS:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "models").mkdir()
    blocks(tmp_path / "models" / "m.gguf")

    def call(slots, text="", *args):
        path = tmp_path / "p.ini"
        path.write_text(text, encoding="utf-8")
        return hostler("--models-dir", tmp_path / "models", "--models-preset", path, *args, engine=FAKE_ENGINE,
                       env={**slots.env, **ORDER})
    return call


def reload(server):
    assert server.get("/models?reload=1").status == 200


def memory(server):
    return server.get("/hostler/v1/status").json["memory"]


def totals(server):
    """MiB by device; None: it is gone."""
    return {name: None if m.get("gone") else m["total"] // MIB for name, m in memory(server).items() if name != "host"}


def on(server, model="m"):
    """The cards that the model counts on."""
    answer = server.get(f"/hostler/v1/estimate?model={model}")
    assert answer.status == 200, answer.body
    return sorted(name for name, size in answer.json["memory"].items() if name != "host" and size)


def test_a_card_that_comes_is_seen_by_a_reload(start, tmp_path):
    slots = Slots(tmp_path, B)
    server = start(slots)
    assert totals(server) == {"gpu0": 49152} and on(server) == ["gpu0"]
    load(server, "m")
    pid = pids(server)
    slots.hold(f"{A},{B},{C}")  # NVML's number of the first one is 1 now
    reload(server)
    assert totals(server) == {"gpu0": 49152, "gpu1": 24576, "gpu2": 16384}
    assert memory(server)["gpu1"]["budget"] > 0 and memory(server)["gpu1"]["card"]["product"] == "NVIDIA A"
    assert pids(server) == pid  # the engine that runs goes on
    server.post("/models/unload", {"models": ["m"]})
    assert on(server) == ["gpu0", "gpu1", "gpu2"]
    load(server, "m")
    assert server.log().count("is new") == 2


def test_a_card_that_comes_is_seen_by_a_hangup(start, tmp_path):
    slots = Slots(tmp_path, A)
    server = start(slots, "[m]\nenv = CUDA_VISIBLE_DEVICES=1\n")
    assert on(server) == []
    slots.hold(f"{A},{B}")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: totals(server) == {"gpu0": 24576, "gpu1": 49152}, what="the new card")
    assert on(server) == ["gpu1"]


def test_a_card_that_comes_is_seen_by_a_load_after_a_rest(start, tmp_path):
    slots = Slots(tmp_path, A)
    server = start(slots, "[m]\nenv = CUDA_VISIBLE_DEVICES=1\n")
    until(slots.sleep, what="the cards' rest")
    slots.hold(f"{A},{B}")
    load(server, "m")
    assert totals(server) == {"gpu0": 24576, "gpu1": 49152}
    log = server.log()
    assert log.index("gpu1 is new") < log.index("model m is loaded")  # it was placed with both


def test_a_driver_that_is_loaded_after_the_start(start, tmp_path):
    slots = Slots(tmp_path, "")
    server = start(slots)
    assert totals(server) == {} and on(server) == []
    slots.hold(A)
    reload(server)
    assert totals(server) == {"gpu0": 24576} and on(server) == ["gpu0"]


def test_a_card_that_goes_and_comes_back(start, tmp_path):
    """In another slot, under another number, while yet another one has come."""
    slots = Slots(tmp_path, f"{A},{B}")
    server = start(slots, "[m]\nenv = CUDA_VISIBLE_DEVICES=GPU-00000001\n", "--memory", "gpu0=5G")
    load(server, "m")
    server.post("/models/unload", {"models": ["m"]})
    assert server.get("/hostler/v1/estimate?model=m").json["source"] == "measured"
    slots.hold(B)
    reload(server)
    assert totals(server) == {"gpu0": None, "gpu1": 49152}
    assert memory(server)["gpu0"]["available"] == memory(server)["gpu0"]["budget"] == 0
    assert on(server) == []  # as the engine would see it
    assert server.get("/hostler/v1/estimate?model=m").json["source"] == "estimated"
    slots.hold(f"{B},{C}")
    reload(server)
    assert totals(server) == {"gpu0": None, "gpu1": 49152, "gpu2": 16384}
    slots.hold(f"{C},{B},{A}")
    reload(server)
    assert totals(server) == {"gpu0": 24576, "gpu1": 49152, "gpu2": 16384}
    assert memory(server)["gpu0"]["budget"] == 5 << 30
    slots.hold(f"{A},{B}")
    reload(server)
    assert server.get("/hostler/v1/estimate?model=m").json["source"] == "measured"


def test_what_needs_a_card_that_has_gone_is_refused_at_once(start, tmp_path):
    slots = Slots(tmp_path, f"{A},{B}")
    server = start(slots, "[m]\nmemory = host=100M, gpu1=1G\n")
    for _ in range(10):  # figures that were asked for before the card came back are no answer after it
        slots.hold(A)
        reload(server)
        answer = server.post("/tokenize", {"model": "m", "content": "x"}, timeout=PATIENCE)
        assert answer.status == 503 and answer.error["state"] == "too_large", answer.body
        assert "the card is gone" in answer.error["message"] and "bring back" in answer.error["message"]
        slots.hold(f"{A},{B}")
        reload(server)
        load(server, "m")
        unload_all(server)


def test_what_waits_for_room_gets_it_on_a_card_that_comes(start, tmp_path):
    """The presets name a device that was not there when they were read."""
    slots = Slots(tmp_path, A)
    server = start(slots, "[m]\nmemory = host=100M, gpu1=1G\n")
    assert server.get("/hostler/v1/estimate?model=m").json["memory"] == {"host": 100 * MIB, "gpu0": 0}
    slots.hold(f"{A},{B}")
    reload(server)
    assert server.get("/hostler/v1/estimate?model=m").json["memory"] == {"host": 100 * MIB, "gpu0": 0,
                                                                        "gpu1": 1024 * MIB}
    load(server, "m")


def test_a_card_that_is_divided_and_whole_again(start, tmp_path):
    slots = Slots(tmp_path, f"{A},{B}")
    server = start(slots, "[m]\nenv = CUDA_VISIBLE_DEVICES=MIG-00000001-0000-0000-0000-000000000001\n")
    assert on(server) == []
    slots.hold(f"{A}*2,{B}")
    reload(server)
    assert totals(server) == {"gpu0": None, "gpu1": 49152, "gpu0.0": 12288, "gpu0.1": 12288}
    assert on(server) == ["gpu0.1"]
    load(server, "m")
    slots.hold(f"{A}*4,{B}")
    reload(server)
    assert totals(server) == {"gpu0": None, "gpu1": 49152, "gpu0.0": 6144, "gpu0.1": 6144, "gpu0.2": 6144, "gpu0.3": 6144}
    server.post("/models/unload", {"models": ["m"]})
    slots.hold(f"{A},{B}")
    reload(server)
    assert totals(server) == {"gpu0": 24576, "gpu1": 49152, "gpu0.0": None, "gpu0.1": None, "gpu0.2": None,
                              "gpu0.3": None}
    assert on(server) == []


def test_who_uses_hostler_sees_it(start, tmp_path, cli):
    slots = Slots(tmp_path, f"{A},{B}")
    server = start(slots)
    slots.hold(A)
    reload(server)
    assert "memory: gpu1 is gone" in cli("ps", server=server).stdout


def test_an_idle_daemon_does_not_look_for_cards(start, tmp_path):
    slots = Slots(tmp_path, A)
    server = start(slots)
    until(slots.sleep, what="the cards' rest")
    slots.hold(f"{A},{B}")
    load(server, "m")
    assert not slots.sleep()
    server.post("/models/unload", {"models": ["m"]})
    until(slots.sleep, what="their rest again")
