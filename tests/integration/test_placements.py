# SPDX-License-Identifier: MIT
"""The table of tests/placements.h through the daemon; when llama-fit-params is asked; what an engine holds beyond its
estimate while it loads."""
import os
import pathlib
import re
import stat

import pytest

from background import background
from cards import MIB, NO_VIEWS, NVML, alike, blocks, hollow_model, machine
from conftest import PATIENCE, until
from unloading import load
from wire import FAKE_ENGINE, chat

TABLE = pathlib.Path(__file__).parents[1] / "placements.h"
CARDS = {"one": (alike(1), None), "two": (alike(2), None), "four": (alike(4), None), "eight": (alike(8), None),
         "mixed": ("24576@1:NVIDIA A,49152@2:NVIDIA B", None), "uneven": (alike(2), "6144,18432"),
         "small": (alike(1, 2048), None), "mig": ("40960@1:NVIDIA A*2,24576@2:NVIDIA B", None)}


def table():
    """The lines of the table, each a tuple of texts."""
    text = TABLE.read_text(encoding="utf-8")
    lines = re.findall(r'^    \{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\}', text[text.index("placements[]"):], re.M)
    return [tuple(t.replace("\\\\", "\\") for t in re.findall(r'"((?:[^"\\]|\\.)*)"', line)) for line in lines]


@pytest.fixture(autouse=True)
def no_views(monkeypatch):
    if not NVML.exists():
        pytest.skip(f"{NVML} is not built")
    for name in (*NO_VIEWS, "MTMD_BACKEND_DEVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    blocks(folder / "plain.gguf")
    blocks(folder / "moe.gguf", experts=48)
    blocks(folder / "tied.gguf", tied=True)
    blocks(folder / "window.gguf", **{"llama.attention.sliding_window": 512,
                                      "llama.attention.sliding_window_pattern": 4})
    blocks(folder / "hybrid.gguf", **{"llama.attention.head_count_kv": [2, 0, 0, 0, 2, 0, 0, 0],
                                      "llama.ssm.conv_kernel": 4, "llama.ssm.inner_size": 4096,
                                      "llama.ssm.state_size": 128, "llama.ssm.group_count": 1})
    for name in ("draft", "eyes"):
        (folder / f"{name}.gguf").symlink_to(folder / "plain.gguf")
    other = folder / "other"
    other.mkdir()
    blocks(other / "small.gguf", n=2, mib=16, ends=8)
    hollow_model(other / "eyes.gguf", [("v.blk.0.attn_q.weight", 100)],
                 **{"general.architecture": "clip", "clip.has_vision_encoder": True})
    return folder


def section(number, env, args, model, folder):
    lines = [f"[p{number}]", f"model = {folder}/{model}.gguf"]
    words = args.split()
    while words:
        name = words.pop(0)[2:]
        value = words.pop(0) if words and not words[0].startswith("--") else "on"
        lines.append(f"{name} = {value}")
    if env:
        lines.append(f"env = {env}")
    if model == "draft":
        lines.append(f"model-draft = {folder}/other/small.gguf")
    if model == "eyes":
        lines.append(f"mmproj = {folder}/other/eyes.gguf")
    return "\n".join(lines) + "\n"


def books(footprint):
    """A footprint in the words of the table, without what only the arithmetic's own test sees."""
    found = {name: size // MIB for name, size in footprint["memory"].items() if size}
    found["mapped"] = footprint["mapped"] // MIB
    return {name: mib for name, mib in found.items() if mib}, "undecided" in footprint


def expected(text):
    words = [w for w in text.split() if w not in ("?", "~")]
    return {n: int(m) for n, m in zip(words[::2], words[1::2])}, "?" in text.split()


@pytest.mark.parametrize("cards", sorted(CARDS))
def test_the_table(hostler, tmp_path, kinds, cards):
    lines = [(i, line) for i, line in enumerate(table()) if line[0] == cards]
    assert lines
    preset = tmp_path / "p.ini"
    preset.write_text("".join(section(i, env, args, model, kinds) for i, (_, env, args, model, _) in lines),
                      encoding="utf-8")
    server = hostler("--models-preset", preset, env=machine(*CARDS[cards]))
    for i, (_, env, args, model, text) in lines:
        want = expected(text)
        until(lambda: server.get(f"/hostler/v1/show?model=p{i}").json["header"], what=f"p{i}'s header")
        if model == "draft":
            until(lambda: books(footprint(server, i)) == want, what=f"the books of {env} {args} {model}")
        assert books(footprint(server, i)) == want, (env, args, model)
        answer = server.get(f"/hostler/v1/estimate?model=p{i}").json
        assert books(answer["estimated"]) == want, (env, args, model)


def footprint(server, number):
    return server.get(f"/hostler/v1/show?model=p{number}").json["footprint"]["estimated"]


def test_the_table_has_some_forty_lines():
    assert len(table()) >= 40


# --- llama-fit-params ------------------------------------------------------------------------------

@pytest.fixture
def fitting(hostler, tmp_path, engine):
    """fitting(cards, presets, answer): a daemon whose llama-fit-params gives this answer, and a note that it was asked."""
    def call(cards, text, answer, **variables):
        folder = tmp_path / "bin"
        folder.mkdir()
        asked = tmp_path / "asked"
        program(folder / "llama-server", f'exec "{FAKE_ENGINE}" "$@"')
        real = pathlib.Path(engine).with_name("llama-fit-params")
        program(folder / "llama-fit-params",
                f'case "$*" in *--help*) exec "{real}" --help;; esac\necho x >>"{asked}"\nprintf "{answer}"')
        models = tmp_path / "models"
        models.mkdir()
        for name in ("m", "n"):
            blocks(models / f"{name}.gguf")
        preset = tmp_path / "p.ini"
        preset.write_text(text, encoding="utf-8")
        server = hostler("--models-dir", models, "--models-preset", preset, engine=folder / "llama-server",
                         env=machine(cards, **variables))
        return server, lambda: asked.read_text().count("x") if asked.exists() else 0
    return call


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


SPLIT = "CUDA0 300 10 20\\nCUDA1 900 30 60\\nHost 32 0 8\\n"


def test_it_is_asked_where_the_arithmetic_cannot_know_though_the_estimate_fits(fitting):
    server, asked = fitting(alike(2), "", SPLIT)
    load(server, "m")
    assert asked() == 1
    fitted = server.get("/hostler/v1/show?model=m").json["footprint"]["fitted"]
    assert books(fitted) == ({"host": 96 + 8, "mapped": 32, "gpu0": 512 + 330, "gpu1": 512 + 990}, False)


@pytest.mark.parametrize("text", ["n-gpu-layers = 4", "n-gpu-layers = 0"])
def test_it_is_asked_for_a_model_that_is_not_all_on_one_card(fitting, text):
    server, asked = fitting(alike(1), f"[m]\n{text}\n", "CUDA0 300 10 20\\nHost 32 0 8\\n")
    load(server, "m")
    assert asked() == 1


def test_it_is_not_asked_for_a_model_on_one_card_with_room(fitting):
    server, asked = fitting(alike(2), "[m]\nenv = CUDA_VISIBLE_DEVICES=0\n", "CUDA0 300 10 20\\nHost 32 0 8\\n")
    load(server, "m")
    assert asked() == 0


def test_its_cards_are_those_that_the_engine_sees(fitting):
    server, _ = fitting(alike(2), "[m]\nenv = CUDA_VISIBLE_DEVICES=1\n", "CUDA0 300 10 20\\nHost 32 0 8\\n")
    fitted = server.get("/hostler/v1/estimate?model=m").json["fitted"]
    assert books(fitted) == ({"host": 96 + 8, "mapped": 32, "gpu1": 512 + 330}, False)


def test_it_is_asked_again_when_what_is_free_has_changed(fitting, tmp_path):
    """Cards share a model by what is free on each, so an answer is of its time."""
    figures = tmp_path / "nvml"
    figures.write_text("24576,24576\n\n", encoding="ascii")
    server, asked = fitting(alike(2), "[n]\nmemory = gpu0=20G,gpu1=20G\npin = on\n",
                            "CUDA0 9000 10 20\\nCUDA1 9000 30 60\\nHost 32 0 8\\n", FAKE_NVML_FILE=str(figures))
    load(server, "n")
    figures.write_text("4096,4096\n\n", encoding="ascii")  # the stand-in for an engine holds nothing of a card
    until(lambda: server.get("/hostler/v1/status").json["memory"]["gpu0"]["available"] == 4096 * MIB, what="that figure")
    answer = background(server.post, "/v1/chat/completions", chat("m"), timeout=PATIENCE)
    until(lambda: asked() == 1, what="the first question")
    until(lambda: server.get("/hostler/v1/show?model=m").json["footprint"]["fitted"], what="the answer")
    figures.write_text("24576,24576\n\n", encoding="ascii")
    server.post("/models/unpin", {"model": "n"})
    server.post("/models/unload", {"models": ["n"]})
    assert answer.result(PATIENCE).status == 200
    assert asked() == 2


def test_an_engine_without_a_card_is_counted_on_the_host(fitting):
    server, _ = fitting(alike(2), "", "Host 600 8 40\\n")
    fitted = server.get("/hostler/v1/estimate?model=m").json["fitted"]
    assert books(fitted) == ({"host": 37, "mapped": 600}, False)  # no driver, and computing as by the arithmetic


# --- while it loads --------------------------------------------------------------------------------

def test_what_a_loading_engine_holds_beyond_its_estimate_counts_before_the_next_is_placed(hostler, tmp_path):
    """m is counted on gpu0 and goes to gpu1: the next model waits, which by the estimates would have fitted there."""
    models, figures, gate = tmp_path / "models", tmp_path / "nvml", tmp_path / "gate"
    models.mkdir()
    for name in ("m", "n"):
        blocks(models / f"{name}.gguf", n=64, mib=128)
    pathlib.Path(f"{models}/m.gguf.fake").write_text(f'{{"load_until": "{gate}"}}', encoding="ascii")
    preset = tmp_path / "p.ini"
    preset.write_text("[m]\nenv = CUDA_VISIBLE_DEVICES=0\n[n]\nenv = CUDA_VISIBLE_DEVICES=1\n", encoding="utf-8")
    figures.write_text("24576,24576\n\n", encoding="ascii")
    server = hostler("--models-dir", models, "--models-preset", preset, engine=FAKE_ENGINE,
                     env=machine(alike(2), FAKE_NVML_FILE=str(figures)))
    assert server.post("/models/load", {"model": "m"}).status == 200
    pid = until(lambda: server.engines().get("m", {}).get("pid"), what="the engine of m")
    figures.write_text(f"24576,4576\n1:{pid}:20000\n", encoding="ascii")
    answer = background(server.post, "/v1/chat/completions", chat("n"), timeout=PATIENCE)
    counted = until(lambda: (f := server.engines()["m"]["footprint"]["memory"])["gpu1"] and f, what="the new figure")
    assert counted["gpu1"] >= 20000 * MIB
    assert server.get("/hostler/v1/estimate?model=n").json["fits"] is False
    assert list(server.engines()) == ["m"]
    gate.touch()
    assert answer.result(PATIENCE).status == 200


# --- against llama-fit-params' own figures, which knows the host alone where there is no card

REAL = pathlib.Path(os.environ.get("REAL_MODEL", ""))


@pytest.mark.skipif(not REAL.is_file() or REAL.stat().st_size < 50 * MIB, reason="REAL_MODEL names no real model's file")
def test_the_arithmetic_is_not_below_llama_fit_params(hostler, tmp_path):
    (tmp_path / "real.gguf").symlink_to(REAL.resolve())
    server = hostler("--models-dir", tmp_path, env={"HOSTLER_NVML": "/nonexistent.so"})
    until(lambda: "header" not in (server.get("/hostler/v1/estimate?model=real").json["note"] or ""), what="reading the header")
    errors = {}
    for query in ("ctx-size=512", "ctx-size=2048", "ctx-size=8192", "ctx-size=8192&parallel=4", "ctx-size=8192&ubatch-size=128",
                  "ctx-size=8192&cache-type-k=q8_0&cache-type-v=q8_0&flash-attn=on", "ctx-size=8192&load-mode=none"):
        answer = server.get(f"/hostler/v1/estimate?model=real&{query}").json
        assert answer["source"] == "fit-params", answer["note"]
        computed, fitted = (sum(answer[way]["memory"].values()) + answer[way]["mapped"] for way in ("estimated", "fitted"))
        errors[query] = computed / fitted
    assert all(0.95 <= error <= 1.3 for error in errors.values()), errors
