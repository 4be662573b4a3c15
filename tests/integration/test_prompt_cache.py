# SPDX-License-Identifier: MIT
"""Prompts outlive their engine: with a model that can speak, as its client sees it."""
import os
import pathlib
import signal

import pytest

from conftest import until

REAL = pathlib.Path(os.environ.get("REAL_MODEL", ""))
pytestmark = pytest.mark.skipif(
    not REAL.is_file() or REAL.stat().st_size < 50 << 20,
    reason="REAL_MODEL does not name a real model's file (scripts/model fetches one)")

FACTS = " ".join(f"The capital of country {n} is city {n * 7 % 40}." for n in range(40))
FIRST = [{"role": "system", "content": FACTS}, {"role": "user", "content": "What is the capital of France?"}]
RESTORED = "x-hostler-restored-tokens"


@pytest.fixture
def start(hostler, models, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "real.gguf").symlink_to(REAL.resolve())
    (folder / "tiny.gguf").symlink_to(models / "m1.gguf")

    def go(*args, cache="cache"):
        cache = cache if cache == "off" else tmp_path / cache
        return hostler("--models-dir", folder, "--models-max", "1", "-c", "4096", "--prompt-cache", cache, *args)

    return go


def ask(server, messages, path="/v1/chat/completions", **more):
    answer = server.post(path, {"model": "real", "messages": messages, "temperature": 0, "max_tokens": 8, **more})
    assert answer.status == 200, answer.body
    return answer


def text_of(answer):
    return answer.json["choices"][0]["message"]["content"]


def next_turn(messages, answer):
    return [*messages, {"role": "assistant", "content": text_of(answer)}, {"role": "user", "content": "And of Spain?"}]


def test_a_conversation_goes_on_after_its_model_was_swapped_out(start):
    server = start()
    first = ask(server, FIRST)
    prompt = first.json["usage"]["prompt_tokens"]
    assert prompt > 300 and RESTORED not in first.headers
    assert server.tokenize("tiny").status == 200  # which takes the one place
    server.until_gone("real", "evicted")
    second = ask(server, next_turn(FIRST, first))
    assert int(second.headers[RESTORED]) >= prompt
    assert second.json["timings"]["cache_n"] >= prompt
    # The same answer as without any cache.
    other = start(cache="off")
    assert text_of(ask(other, FIRST)) == text_of(first)
    plain = ask(other, next_turn(FIRST, first))
    assert text_of(plain) == text_of(second) and RESTORED not in plain.headers


def test_it_survives_the_daemon_and_a_crash_of_the_engine(start):
    server = start()
    first = ask(server, FIRST)
    prompt = first.json["usage"]["prompt_tokens"]
    assert server.stop() == 0
    server = start()
    second = ask(server, next_turn(FIRST, first))
    assert second.json["timings"]["cache_n"] >= prompt
    longer = next_turn(next_turn(FIRST, first), second)
    os.kill(server.engines()["real"]["pid"], signal.SIGKILL)
    until(lambda: server.state("real") == "unloaded")
    assert ask(server, longer).json["timings"]["cache_n"] >= prompt


@pytest.mark.parametrize("other", [("--cache-type-k", "q8_0"), ("--parallel", "2"), ("--flash-attn", "off"),
                                   ("--rope-freq-scale", "0.5"), ("--ubatch-size", "128")], ids=" ".join)
def test_with_other_arguments_it_is_not_offered(start, other):
    server = start()
    first = ask(server, FIRST)
    server.stop()
    server = start(*other)
    second = ask(server, next_turn(FIRST, first))
    assert RESTORED not in second.headers and second.json["timings"]["cache_n"] == 0


def test_arguments_that_do_not_touch_it_change_nothing(start, tmp_path):
    server = start()
    first = ask(server, FIRST)
    server.stop()
    server = start("--threads", "1", "--temp", "0.3", "--log-verbosity", "4", "--log-file", tmp_path / "log", "--no-warmup",
                   "--load-mode", "none", "--sse-ping-interval", "7", "--log-jsonl")
    second = ask(server, next_turn(FIRST, first))
    assert int(second.headers[RESTORED]) >= first.json["usage"]["prompt_tokens"]
