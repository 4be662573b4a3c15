# SPDX-License-Identifier: MIT
"""Prompts that engines keep in host memory: limited, counted and shown."""
import random
import subprocess
import sys

import pytest

import tiny_model
from conftest import until
from memory_group import group, group_of  # noqa: F401 (a fixture)

MIB = 1 << 20


@pytest.fixture
def start(hostler, models, tmp_path):
    """start(text, *args): a daemon without a limit of places, with the models m1 to m4."""
    def call(text, *args, folder=models, **kw):
        (tmp_path / "p.ini").write_text(text, encoding="utf-8")
        return hostler("--models-dir", folder, "--models-preset", tmp_path / "p.ini", "--models-max", "0", *args, **kw)
    return call


def use(server, *names):
    for name in names:
        answer = server.tokenize(name)
        assert answer.status == 200, answer.body


def show(server, model):
    return server.get(f"/hostler/v1/show?model={model}").json


def limits(server, model):
    """The entries of `show` about the limit of the cache."""
    entry = show(server, model)
    return [e for e in entry["environment"] + entry["arguments"]
            if "CACHE_RAM" in e.get("name", "") or e.get("option") == "--cache-ram"]


def environment_of(pid):
    with open(f"/proc/{pid}/environ", encoding="utf-8") as f:
        return f.read().split("\0")


def test_a_share_of_the_budget_where_nobody_sets_it(start, cli):
    server = start("[m2]\ncache-ram = 100\n[m3]\nenv = LLAMA_ARG_CACHE_RAM=50\n", "--memory", "host=8G")
    assert limits(server, "m1") == [{"name": "LLAMA_ARG_CACHE_RAM", "value": "512", "origin": "hostler"}]
    assert limits(server, "m2") == [{"option": "--cache-ram", "value": "100", "origin": "preset"}]
    assert [e["origin"] for e in limits(server, "m3")] == ["preset"]
    for model, growth in ("m1", 512), ("m2", 100), ("m3", 50):
        estimate = server.get(f"/hostler/v1/estimate?model={model}").json
        assert estimate["growth"] == estimate["estimated"]["growth"] == growth * MIB
        assert show(server, model)["footprint"]["estimated"]["growth"] == growth * MIB
    assert server.get("/hostler/v1/estimate?model=m1&cache-ram=7").json["growth"] == 7 * MIB
    assert "and up to 512 MiB more as conversations come" in cli("estimate", "m1", server=server).stdout
    assert "up to 512 MiB more as conversations come" in cli("show", "m1", server=server).stdout
    use(server, "m1")
    assert "LLAMA_ARG_CACHE_RAM=512" in environment_of(server.engines()["m1"]["pid"])
    assert "--cache-ram" not in server.models()["m1"]["status"]["args"]
    until(lambda: show(server, "m1")["footprint"]["measured"], what="its memory to be read")
    assert show(server, "m1")["footprint"]["measured"]["growth"] == 512 * MIB


def test_checkpoints_have_their_part_of_the_share(start, tmp_path):
    """Six of eight layers have a window of 4,096 tokens of 256 bytes: 6.06 MiB for each checkpoint, and there are 4 slots."""
    folder = tmp_path / "folder"
    folder.mkdir()
    metadata, tensors = tiny_model.model(1, 64, 8, 4096, "Windows", tiny_model.CHAT_TEMPLATE, 0, False)
    windows = {"llama.attention.sliding_window": tiny_model.Typed(tiny_model.U32, 4096),
               "llama.attention.sliding_window_pattern": tiny_model.Typed(tiny_model.U32, 4)}
    tiny_model.write_gguf(str(folder / "m.gguf"), {**metadata, **windows}, tensors)
    one = 4 * 4096 * (6 * 256 + 16)
    server = start("[m]\nctx-size = 4096\n", "--memory", "host=8G", folder=folder)
    use(server, "m")
    limits_of = {e["name"]: e["value"] for e in show(server, "m")["environment"] if e["origin"] == "hostler"}
    del limits_of["LLAMA_ARG_THREADS_HTTP"]
    assert limits_of == {"LLAMA_ARG_CTX_CHECKPOINTS": "10", "LLAMA_ARG_CACHE_RAM": str(512 - 10 * one // MIB - 1)}
    assert "LLAMA_ARG_CTX_CHECKPOINTS=10" in environment_of(server.engines()["m"]["pid"])
    assert "arguments changed" not in server.log()
    growth = server.get("/hostler/v1/estimate?model=m&cache-ram=0&ctx-checkpoints=7").json["growth"]
    assert growth == 7 * one
    server = start("[m]\nctx-size = 4096\nctx-checkpoints = 2\ncache-ram = 5\n", "--memory", "host=8G", folder=folder)
    until(lambda: show(server, "m")["footprint"]["estimated"]["growth"] == 2 * one + 5 * MIB, what="its header")


def test_a_reload_replaces_no_engine_for_it(start):
    server = start("", "--memory", "host=8G")
    use(server, "m1")
    before = server.engines()["m1"]["pid"]
    server.get("/models?reload=1")
    assert server.engines()["m1"]["pid"] == before and "arguments changed" not in server.log()


def test_engines_are_left_alone_where_memory_does_not_count(start):
    server = start("", "--memory", "off")
    assert limits(server, "m1") == []
    use(server, "m1")
    assert not [e for e in environment_of(server.engines()["m1"]["pid"]) if "CACHE_RAM" in e]


def test_all_may_grow_beside_each_other(start):
    """And a model that is alone is not refused for what it might come to."""
    text = "[m1]\ncache-ram = {0}\n[m2]\ncache-ram = {0}\n"
    server = start(text.format(100), "--memory", "host=1G")
    use(server, "m1", "m2")
    assert server.loaded() == ["m1", "m2"]
    server = start(text.format(500), "--memory", "host=1G")
    use(server, "m1", "m2")
    assert server.loaded() == ["m2"]
    server = start(text.format(8192), "--memory", "host=1G")
    use(server, "m1", "m2")
    assert server.loaded() == ["m2"]


def test_an_engine_grows_to_its_limit_and_no_further(start, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    tiny_model.make(str(folder / "m.gguf"), n_layer=8, n_ctx_train=1024)
    server = start("[*]\nparallel = 1\nthreads = 1\nctx-size = 1024\ncache-ram = 6\n", folder=folder)
    choose = random.Random(1)

    def converse():
        prompt = [choose.randrange(20, 250) for _ in range(800)]
        answer = server.post("/completion", {"model": "m", "prompt": prompt, "n_predict": 1})
        assert answer.status == 200, answer.body

    def held():
        return server.get("/hostler/v1/status").json["engines"][0]["memory"]["host"]

    converse()  # 1.6 MiB of keys and values each
    first = held()
    for _ in range(4):
        converse()
    grown = held() - first
    for _ in range(4):
        converse()
    assert 3 * MIB < grown and held() - first < 10 * MIB, (grown, held() - first)
    footprint = server.get("/hostler/v1/estimate?model=m").json
    assert footprint["source"] == "measured" and footprint["memory"]["host"] >= first + grown


# --- a host that runs short ------------------------------------------------------------------------

HOG = """
import sys
held = []
for line in sys.stdin:
    for _ in range(int(line)):
        held.append(bytearray(b"x" * (1 << 20)))
    print("held", flush=True)
"""


@pytest.fixture
def hog():
    """hog(server)(mib): another program takes so much more memory in the server's group."""
    processes = []

    def begin(server):
        process = subprocess.Popen([*group_of(server), sys.executable, "-c", HOG], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        processes.append(process)

        def take(mib):
            process.stdin.write(f"{mib}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "held\n"
        take(0)
        return take

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def available(server):
    return server.get("/hostler/v1/status").json["memory"]["host"]["available"] // MIB


def until_over(server, times):
    """Asks the daemon nothing, which would take memory and have the figures read."""
    until(lambda: server.log().count("no longer short of memory") == times, what="the shortage's end")


def test_idle_engines_go_before_the_kernel_kills(group, start, hog):  # noqa: F811
    server = start("[*]\nctx-size = 40000\nparallel = 1\n[m3]\npin = true\n", launcher=group(500))
    take = hog(server)
    use(server, "m1", "m2", "m3")
    assert server.loaded() == ["m1", "m2", "m3"]
    take(available(server) - 7)  # a quarter of the margin is 15 MiB, an engine has some 30
    until_over(server, 1)
    assert server.loaded() == ["m2", "m3"] and server.models()["m1"]["status"]["reason"] == "memory"
    assert "model m1 is being stopped: the host ran short of memory, and it was idle" in server.log()
    take(available(server) - 7)
    until_over(server, 2)
    assert server.loaded() == ["m3"] and server.models()["m2"]["status"]["reason"] == "memory"
    assert server.get("/health").status == 200
