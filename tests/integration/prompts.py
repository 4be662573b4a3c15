# SPDX-License-Identifier: MIT
"""What the tests of prompt caches share: conversations with fake engines whose slots can be saved, and what must hold at the end."""
import json
import os
import re
import pathlib

import fake_slots
import tiny_model
from conftest import until
from wire import FAKE_ENGINE

RESTORED = "x-hostler-restored-tokens"
# Computing 600 tokens is said to take 6 s, and takes 0.12 s: what is saved is worth it on the slowest machine.
SLOTS = {"prompt_token_ms": 10, "prompt_sleep": 0.02}


def facts(of, n=60):
    return " ".join(f"The capital of country {of}-{i} is city {i * 7 % 40}." for i in range(n))


def opening(of="a", n=60):
    return [{"role": "system", "content": facts(of, n)}, {"role": "user", "content": "What is the first one?"}]


def next_turn(messages, answer, question="And the next? " + "Think well. " * 60):
    return [*messages, {"role": "assistant", "content": text_of(answer)}, {"role": "user", "content": question}]


def text_of(answer):
    return answer.json["choices"][0]["message"]["content"]


def expected(request, n=4):
    """The answer of an engine without any cache."""
    return "".join(fake_slots.words(fake_slots.render(request), n))


def restored(answer):
    return int(answer.headers.get(RESTORED, 0))


class Place:
    """Daemons of one test, with models of the fake engine: one place, and a cache in a folder of its own."""

    def __init__(self, hostler, tmp_path, **models):
        self.start_daemon, self.tmp_path = hostler, tmp_path
        self.cache, self.log = tmp_path / "prompts", tmp_path / "slot.log"
        self.folder = tmp_path / "models"
        models = {"a": {}, "b": {}, **models}
        self.fakes = {name: {**SLOTS, "slot_log": str(self.log), **fake} for name, fake in models.items()}
        self.folder.mkdir(exist_ok=True)
        for seed, name in enumerate(self.fakes, 1):  # else one model could use the other's prompts
            tiny_model.make(str(self.folder / f"{name}.gguf"), seed=seed)
            self.set(name)
        self.server, self.engine = None, FAKE_ENGINE

    def start(self, *args, models_max=1, **kw):
        self.server = self.start_daemon("--models-dir", self.folder, "--models-max", models_max, "--prompt-cache", self.cache,
                                        "--state-dir", self.tmp_path / "state", *args, engine=self.engine, **kw)
        return self.server

    def set(self, model="a", **fake):
        """From now on it misbehaves like this; what is None is left out."""
        self.fakes[model] = {k: v for k, v in {**self.fakes[model], **fake}.items() if v is not None}
        path = self.folder / f"{model}.gguf.fake"
        path.with_suffix(".new").write_text(json.dumps(self.fakes[model]), encoding="utf-8")
        path.with_suffix(".new").rename(path)

    def ask(self, messages, model="a", **more):
        request = {"model": model, "messages": messages, "max_tokens": 4, **more}
        answer = self.server.post("/v1/chat/completions", request)
        assert answer.status == 200, answer.body
        assert text_of(answer) == expected(request), "an answer that no engine without a cache gives"
        return answer

    def swap_out(self, model="a", other="b"):
        """The other one takes the one place."""
        assert self.server.tokenize(other).status == 200
        self.server.until_gone(model, "evicted")

    def crash(self, model="a"):
        os.kill(self.server.engines()[model]["pid"], 9)
        until(lambda: self.server.state(model) == "unloaded", what="the crash")

    def deeds(self, what):
        """How often engines were asked for it: list, save, restore; also `restore ok`."""
        lines = self.log.read_text(encoding="ascii").splitlines() if self.log.exists() else []
        return sum(1 for line in lines if line.startswith(what))

    def until_saved(self, n=1):
        """The daemon knows it, too: its file is there some moments before."""
        until(lambda: len(self.server.get("/hostler/v1/cache").json["prompts"]) >= n, what="a saved prompt")

    def numbers(self, ending):
        return {p.name.split(".")[0] for p in self.cache.glob(f"*{ending}") if re.fullmatch(r"[0-9a-f]{16}", p.name.split(".")[0])}

    def data_files(self):
        return sorted(self.cache.glob("*.data"))

    def end(self):
        """What must hold after whatever happened: nobody is stuck, and nothing is left."""
        server = self.server
        until(lambda: all(e["state"] in ("loaded", "loading") for e in server.engines().values()), what="engines that are not on their way out")
        assert server.get("/hostler/v1/status").json["queue"] == []
        assert server.stop() == 0, server.log()
        self.check_files()

    def check_files(self):
        if not self.cache.exists():
            return
        assert self.numbers(".data") == self.numbers(".json")
        assert not list(pathlib.Path(self.cache, "engines").glob("*")), "engines' folders are left"
        names = {p.name for p in self.cache.iterdir()}
        rest = {n for n in names if not n.endswith((".data", ".json"))}
        assert rest <= {"lock", "seed", "engines"}, rest
