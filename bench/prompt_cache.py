# SPDX-License-Identifier: MIT
"""What a swap costs a conversation, with and without the prompt cache; REAL_MODEL names the model's file.

The first table: one conversation, whose model is swapped out and comes back. The second: two agents on one place, which take turns,
each with a conversation that grows.
"""
import http.client
import json
import os
import pathlib
import time

from contenders import free_port, hostler, llama_swap, router
from report import median, spread

LENGTHS = (500, 2500, 8000)  # tokens, about
ARGUMENTS = ["-c", "12288", "--parallel", "1"]
SENTENCE = "Item {} of the list costs {} coins and weighs {} pounds. "  # some 20 tokens


def text(tokens, seed):
    return "".join(SENTENCE.format(n, n * seed % 97, n * 3 % 31) for n in range(tokens // 20))


def ask(port, model, messages, tokens=8):
    """The answer, and how long it took in s."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3600)
    begin = time.monotonic()
    connection.request("POST", "/v1/chat/completions", json.dumps(
        {"model": model, "messages": messages, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}),
        {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    took = time.monotonic() - begin
    connection.close()
    if response.status != 200:
        raise SystemExit(f"bench: {model}: {answer}")
    return answer, took


def next_turn(messages, answer, tokens, seed):
    said = answer["choices"][0]["message"]["content"]
    return [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": text(tokens, seed)}]


def start(models, folder, *args):
    return hostler(models, free_port(), "--models-max", "1", *ARGUMENTS, "--prompt-cache", folder, *args)


def swap_once(port, tokens, seed):
    """(s to the end of the first answer, of the first after a swap, tokens of the prompt, those computed then)"""
    first = [{"role": "user", "content": text(tokens, seed)}]
    ask(port, "real1", [{"role": "user", "content": "hi"}], 1)  # its load is not in the first figure
    answer, plain = ask(port, "real1", first, 1)
    ask(port, "tiny", [{"role": "user", "content": "hi"}], 1)
    again, swapped = ask(port, "real1", next_turn(first, answer, 20, seed), 1)
    return plain, swapped, answer["usage"]["prompt_tokens"], again["timings"]["prompt_n"]


def load_once(port):
    ask(port, "tiny", [{"role": "user", "content": "hi"}], 1)
    return ask(port, "real1", [{"role": "user", "content": "hi"}], 1)[1]


def measure_swaps(b, models):
    rows = []
    for tokens in LENGTHS:
        figures = []
        with start(models, b.folder / f"cache-{tokens}") as server:
            for n in b.rounds():
                plain, swapped, prompt, computed = swap_once(server.port, tokens, 7 + n)
                figures.append((prompt, computed, plain * 1000, load_once(server.port) * 1000, swapped * 1000))
        prompt, computed, plain, load, swapped = zip(*figures)
        rows.append([f"{median(prompt):,.0f}", f"{median(computed):.0f}", *map(spread, (plain, load, swapped)),
                     spread([s - one for s, one in zip(swapped, load)])])
    b.report.table(["tokens", "computed after the swap", "computed anew, ms", "load and a short answer, ms", "swap and answer, ms",
                    "more than the load, ms"], rows)


def take_turns(port, turns, tokens):
    """Two agents, one after the other: s for all of it."""
    talks = {"real1": [{"role": "user", "content": text(tokens, 7)}], "real2": [{"role": "user", "content": text(tokens, 11)}]}
    begin = time.monotonic()
    for turn in range(turns):
        for model in talks:
            answer, _ = ask(port, model, talks[model])
            talks[model] = next_turn(talks[model], answer, 40, turn + 3)
    return time.monotonic() - begin


def contenders(b, models):
    yield "hostler", start(models, b.folder / "cache-turns")
    yield "hostler, --prompt-cache off", start(models, "off")
    stock = router(b.engine, models, free_port())
    stock.argv[-1] = "1"
    stock.argv += ARGUMENTS
    yield "llama.cpp router", stock
    if b.have["llama-swap"]:
        yield "llama-swap", llama_swap(b.engine, models, b.folder, free_port(), ("real1", "real2"), ARGUMENTS)


def measure_turns(b, models):
    turns, tokens, rows = b.options.turns, 2000, []
    for label, server in contenders(b, models):
        with server:
            took = take_turns(server.port, turns, tokens)
        rows.append([label, f"{took:.1f}", f"{took / float(rows[0][1] if rows else took):.1f} ×"])
    b.report.table([f"two agents, {turns} turns each, from {tokens} tokens on", "s in all", "of hostler's"], rows)


def measure_prompt_cache(b):
    real = os.environ.get("REAL_MODEL")
    if not real or not pathlib.Path(real).is_file():
        b.report.say("prompt cache: REAL_MODEL names no model's file: left out")
        return
    folder = b.folder / "prompt-models"
    folder.mkdir()
    for name in ("real1", "real2"):
        os.symlink(os.path.abspath(real), folder / f"{name}.gguf")
    os.symlink(b.models / "m1.gguf", folder / "tiny.gguf")
    measure_swaps(b, folder)
    measure_turns(b, folder)
