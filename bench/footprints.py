#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What real engines take on the host, beside what hostler expected of them: bench/footprints.py FOLDER MODEL.gguf...

A case is a model with one of three contexts and one of four sets of arguments. Each load of a case gives the footprint
that hostler counted with before it, and what the engine held when it was ready, after a prompt that filled the
context, and after ten conversations (MiB on the host, without mapped weights). Each load is a line of
FOLDER/MODEL.jsonl; a run goes on where the last one ended, for --minutes, and what loads have taught is kept there,
too. --table prints what the folder has as tables in Markdown, with the estimates of the current build.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
os.environ.setdefault("HOSTLER", str(ROOT / "build" / "hostler"))
from conftest import Hostler, UnixConnection, clean_env, engine_path, until  # noqa: E402

CONTEXTS = 512, 2048, 8192
ARGUMENTS = {"": "", "`parallel = 1`": "parallel = 1\n", "q8_0 cache": "cache-type-k = q8_0\ncache-type-v = q8_0\n",
             "`load-mode = none`": "load-mode = none\n"}
CACHE_RAM = 16  # MiB, so that ten short conversations fill it
CONVERSATION = 150  # tokens
LOADS = 3
MIB = 1 << 20


class Case:
    def __init__(self, context, words):
        self.context, self.words = context, words
        self.name = f"c{context}-{list(ARGUMENTS).index(words)}"


CASES = [Case(c, w) for c in CONTEXTS for w in ARGUMENTS]


class Client(Hostler):
    """A daemon for one model, whose files are in `folder`."""

    def __init__(self, folder, model):
        text = f"[*]\ncache-ram = {CACHE_RAM}\nthreads = 1\n"
        for case in CASES:
            text += f"[{case.name}]\nmodel = {model}\nctx-size = {case.context}\n{ARGUMENTS[case.words]}"
        (folder / "p.ini").write_text(text, encoding="utf-8")
        (folder / "models").mkdir(exist_ok=True)
        self.socket = str(folder / "s.sock")
        pathlib.Path(self.socket).unlink(missing_ok=True)  # of a daemon that was killed
        argv = [os.environ["HOSTLER"], "serve", "--host", self.socket, "--models-dir", folder / "models",
                "--models-preset", folder / "p.ini", "--state-dir", folder / "state"]
        with open(folder / "log", "a", encoding="utf-8") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=out, env=clean_env(LLAMA_SERVER=engine_path()))
        until(pathlib.Path(self.socket).exists, what="the daemon's socket")
        until(lambda: all(self.estimate(c)["fitted"] or self.estimate(c)["estimated"]["memory"]["host"] > 0
                          for c in CASES), what="the models' headers")

    def connect(self, timeout=60):
        return UnixConnection(self.socket, timeout)

    def close(self):
        self.process.terminate()
        self.process.wait()

    def estimate(self, case):
        return self.get(f"/hostler/v1/estimate?model={case.name}").json

    def held(self):
        return self.get("/hostler/v1/status").json["engines"][0]["memory"]["host"] / MIB

    def complete(self, case, choose, tokens):
        prompt = [choose.randrange(300, 20000) for _ in range(tokens)]
        answer = self.post("/completion", {"model": case.name, "prompt": prompt, "n_predict": 1}, timeout=3600)
        assert answer.status == 200, answer.body

    def load(self, case):
        """What hostler counts with, and what the engine then takes."""
        before = self.estimate(case)
        self.tokenize(case.name)
        row = {"case": case.name, "source": before["source"], "footprint": before["memory"]["host"] / MIB,
               "growth": before["growth"] / MIB, "ready": self.held()}
        choose = random.Random(1)
        self.complete(case, choose, case.context - 64)
        row["prompt"] = self.held()
        for _ in range(10):
            self.complete(case, choose, CONVERSATION)
        row["conversations"] = self.held()
        self.post("/models/unload", {"model": case.name})
        until(lambda: not self.get("/hostler/v1/status").json["engines"], what="the engine's end")
        return row


def measure(folder, model, contexts, loads, until_time):
    path = folder / f"{model.stem}.jsonl"
    work = folder / model.stem
    work.mkdir(parents=True, exist_ok=True)
    done = [r["case"] for r in read(path)]
    due = [c for n in range(loads) for c in CASES if c.context in contexts and done.count(c.name) <= n]
    server = Client(work, model) if due else None
    for case in due:
        if time.time() > until_time:
            break
        with open(path, "a", encoding="utf-8") as out:
            out.write(json.dumps(server.load(case)) + "\n")
    if server:
        server.close()
    return all(read(path).count(c) for c in ()) and not due


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def span(values):
    low, high = round(min(values)), round(max(values))
    return f"{low}" if low == high else f"{low} to {high}"


def table(folder, models):
    print("| model | context | arguments | arithmetic | fit-params | ready | full context | ten conversations |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- |")
    errors = []
    for model in models:
        server = Client(folder / model.stem, model)
        rows = read(folder / f"{model.stem}.jsonl")
        for case in CASES:
            mine = [r for r in rows if r["case"] == case.name]
            e = server.estimate(case)
            expected = [e[k]["memory"]["host"] / MIB if e[k] else float("nan") for k in ("estimated", "fitted")]
            print(f"| {model.stem} | {case.context} | {case.words} | {expected[0]:.0f} | {expected[1]:.0f} | "
                  + " | ".join(span([r[k] for r in mine]) if mine else "-"
                               for k in ("ready", "prompt", "conversations")) + " |")
            errors += [(model.stem, case, r) for r in mine if r["source"] == "measured"]
        server.close()
    print("\n| model | context | arguments | footprint | next load | footprint / next load |\n"
          "| --- | --- | --- | --- | --- | --- |")
    for stem, case, r in errors:
        print(f"| {stem} | {case.context} | {case.words} | {r['footprint']:.1f} | {r['conversations']:.1f} | "
              f"{r['footprint'] / r['conversations']:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("models", type=pathlib.Path, nargs="+", metavar="MODEL.gguf")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no load after so long")
    parser.add_argument("--contexts", type=int, nargs="+", default=CONTEXTS)
    parser.add_argument("--loads", type=int, default=LOADS)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    models = [m.resolve() for m in options.models]
    if options.table:
        table(options.folder, models)
        return
    for model in models:
        measure(options.folder.resolve(), model, options.contexts, options.loads, time.time() + 60 * options.minutes)


if __name__ == "__main__":
    main()
