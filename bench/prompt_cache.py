# SPDX-License-Identifier: MIT
"""What a swap costs a conversation, with and without the prompt cache; REAL_MODEL names the model's file.

`prompts`: one conversation, whose model is swapped out and comes back; then two agents on one place, which take turns,
each with a conversation that grows. `conversations`: many of them on few slots. `prompt-cost`: what the cache costs a request that gains
nothing.
"""
import http.client
import json
import os
import pathlib
import random
import time

import tiny_model
from contenders import free_port, hostler, llama_swap, router
from report import median, spread

LENGTHS = (500, 2500, 8000)  # tokens, about
ARGUMENTS = ["-c", "12288", "--parallel", "1"]
SENTENCE = "Item {} of the list costs {} coins and weighs {} pounds. "  # some 20 tokens


def text(tokens, seed):
    return "".join(SENTENCE.format(n, n * seed % 97, n * 3 % 31) for n in range(tokens // 20))


def send(port, method, path, body=None):
    """The answer, and how long it took in s."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3600)
    begin = time.monotonic()
    connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    took = time.monotonic() - begin
    connection.close()
    if response.status != 200:
        raise SystemExit(f"bench: {method} {path}: {answer}")
    return answer, took


def ask(port, model, messages, tokens=8, **more):
    return send(port, "POST", "/v1/chat/completions",
                {"model": model, "messages": messages, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, **more})


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


# --- many conversations ------------------------------------------------------------------------------

CONVERSATIONS, SLOTS, PLACES = 200, 4, 2
PAIRS = 500


def opening(n):
    return [{"role": "system", "content": f"You are helper number {n}. " + text(500, n % 89 + 3)}, {"role": "user", "content": "Begin."}]


class Asked:
    """What one server's conversations took, and of their second turns the parts of the earlier prompt that were not computed."""

    def __init__(self, server):
        self.server, self.said, self.seconds, self.kept = server, {}, 0, []

    def begin(self, n, model):
        self.said[n], took = ask(self.server.port, model, opening(n), 4)
        self.seconds += took

    def go_on(self, n, model):
        said = self.said[n]
        again, took = ask(self.server.port, model, next_turn(opening(n), said, 20, 5), 4)
        self.seconds += took
        self.kept.append(again["timings"]["cache_n"] / said["usage"]["prompt_tokens"])


def all_turns(asked, models):
    """Each conversation twice, in an order of chance; each turn of one server after the other, so that both have the same disturbances."""
    order = list(range(CONVERSATIONS))
    for seed, turn in ((1, Asked.begin), (2, Asked.go_on)):
        random.Random(seed).shuffle(order)
        for n in order:
            for one in asked:
                turn(one, n, models[n % len(models)])


def cache_of(port):
    return send(port, "GET", "/hostler/v1/cache")[0]


def measure_hits(b, folder):
    models, rows = ("real1", "real2", "real3"), []
    args = ["--models-max", PLACES, "-c", 1024 * SLOTS, "--parallel", SLOTS, "--prompt-cache"]
    with hostler(folder, free_port(), *args, b.folder / "cache-many") as on, hostler(folder, free_port(), *args, "off") as off:
        both = {"on": Asked(on), "off": Asked(off)}
        all_turns(both.values(), models)
        for label, asked in both.items():
            store = cache_of(asked.server.port)
            rows.append([label, f"{sum(k > 0.8 for k in asked.kept) / len(asked.kept):.0%}", str(store["hits"]), str(store["files"]),
                         f"{store['bytes'] / 2**20:,.0f}", f"{asked.seconds:.0f}", f"{asked.seconds / both['on'].seconds:.2f} ×"])
    b.report.table([f"{CONVERSATIONS} conversations, {len(models)} models, {SLOTS} slots, {PLACES} places", "second turns that compute less than a fifth anew",
                    "restored", "files", "MiB", "s in all", "of on"], rows)


def latencies(servers):
    """ms of requests with new prompts, one server after the other, so that both have the same disturbances."""
    took = [[] for _ in servers]
    for n in range(PAIRS):
        for i, server in enumerate(servers):
            fresh = [{"role": "user", "content": f"{n} is new"}]
            took[i].append(ask(server.port, "deep", fresh, 1, metadata={"large": "x" * 1200})[1] * 1000)  # large bodies are looked at
    return [sorted(t) for t in took]


def measure_nothing_to_gain(b, folder):
    args = ["-c", 8192, "--parallel", 1, "--prompt-cache"]
    with hostler(folder, free_port(), *args, b.folder / "cache-nothing") as on, hostler(folder, free_port(), *args, "off") as off:
        for server in (on, off):  # something of it is saved, at its engine's stop, so that bodies are read
            ask(server.port, "deep", [{"role": "user", "content": "y" * 7500}], 8)
            send(server.port, "POST", "/models/unload", {"model": "deep"})
            ask(server.port, "deep", [{"role": "user", "content": "hi"}], 1)
        files = cache_of(on.port)["files"]
        took = latencies((on, off))
    rows = [[label, *(f"{t[int(len(t) * part)]:.2f}" for part in (0.5, 0.9, 0.99)), f"{t[-1]:.2f}"]
            for label, t in zip((f"on, {files} files of its model", "off"), took)]
    b.report.table([f"ms of a request that gains nothing, {PAIRS} each", "median", "90 %", "99 %", "worst"], rows)


# --- what is measured --------------------------------------------------------------------------------

def models_of(b):
    """A folder with the real model under three names, and a tiny one; None, and a word of it, where there is none."""
    real = os.environ.get("REAL_MODEL")
    folder = b.folder / "prompt-models"
    if not real or not pathlib.Path(real).is_file():
        b.report.say("prompt cache: REAL_MODEL names no model's file: left out")
        return None
    if not folder.exists():
        folder.mkdir()
        for name in ("real1", "real2", "real3"):
            os.symlink(os.path.abspath(real), folder / f"{name}.gguf")
        os.symlink(b.models / "m1.gguf", folder / "tiny.gguf")
        tiny_model.make(str(folder / "deep.gguf"), n_layer=8, n_ctx_train=8192)  # slow enough for prompts to be saved
    return folder


def measure_prompt_cache(b):
    folder = models_of(b)
    if folder:
        measure_swaps(b, folder)
        measure_turns(b, folder)


def measure_conversations(b):
    folder = models_of(b)
    if folder:
        measure_hits(b, folder)


def measure_prompt_cost(b):
    folder = models_of(b)
    if folder:
        measure_nothing_to_gain(b, folder)
