#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What real engines take on the host beside what hostler expected: bench/footprints.py [--conversations N] MODEL.gguf...

For each model, three contexts and four sets of arguments: the header's arithmetic, llama-fit-params' answer, what the
engine holds when it is ready, after a prompt that fills the context (as far as --prompt tokens go), and after N more
conversations. MiB without mapped weights, as a table in Markdown.
"""
import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
os.environ.setdefault("HOSTLER", str(ROOT / "build" / "hostler"))
from conftest import Hostler, UnixConnection, clean_env, engine_path, until  # noqa: E402

CONTEXTS = 512, 2048, 8192
ARGUMENTS = {"": "", "one slot": "parallel = 1\n", "q8_0 cache": "cache-type-k = q8_0\ncache-type-v = q8_0\n",
             "weights read": "load-mode = none\n"}
MIB = 1 << 20


def held(server):
    return server.get("/hostler/v1/status").json["engines"][0]["memory"]["host"] / MIB


def measure(server, name, prompt, conversations):
    estimate = server.get(f"/hostler/v1/estimate?model={name}").json
    row = [estimate[k]["memory"]["host"] / MIB if estimate[k] else None for k in ("estimated", "fitted")]
    server.tokenize(name)
    row.append(held(server))
    choose = random.Random(1)
    for i in range(1 + conversations):
        tokens = [choose.randrange(20, 250) for _ in range(prompt)]
        answer = server.post("/completion", {"model": name, "prompt": tokens, "n_predict": 1}, timeout=900)
        assert answer.status == 200, answer.body
        if i == 0:
            row.append(held(server))
    row.append(held(server))
    server.post("/models/unload", {"model": name})
    return row


def serve(folder, models):
    """A daemon with a section for each case; its names in order."""
    sections, names = "[*]\ncache-ram = 64\n", []
    for m, path in enumerate(models):
        for context in CONTEXTS:
            for i, text in enumerate(ARGUMENTS.values()):
                names.append((f"c{m}-{context}-{i}", path, context, list(ARGUMENTS)[i]))
                sections += f"[{names[-1][0]}]\nmodel = {path}\nctx-size = {context}\n{text}"
    (folder / "p.ini").write_text(sections, encoding="utf-8")
    argv = [os.environ["HOSTLER"], "serve", "--port", "0", "--models-dir", folder, "--models-preset", folder / "p.ini"]
    return argv, names


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=10)
    parser.add_argument("--prompt", type=int, default=8192, help="tokens at most of each prompt")
    parser.add_argument("models", nargs="+", metavar="MODEL.gguf")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(pathlib.Path(folder), options)


def run(folder, options):
    argv, names = serve(folder, [pathlib.Path(m).resolve() for m in options.models])
    socket = folder / "s.sock"
    argv[argv.index("--port"):argv.index("--port") + 2] = ["--host", socket]
    log = folder / "log"
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, env=clean_env(LLAMA_SERVER=engine_path()))
    try:
        until(socket.exists, what="the daemon's socket")
        table(Client(socket), names, options)
    finally:
        process.terminate()
        process.wait()


class Client(Hostler):
    def __init__(self, socket):
        self.socket = str(socket)

    def connect(self, timeout=60):
        return UnixConnection(self.socket, timeout)


def table(server, names, options):
    print("| model | context | arguments | arithmetic | fit-params | ready | full prompt | conversations | fit / most |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, path, context, words in names:
        row = measure(server, name, min(options.prompt, context - 64), options.conversations)
        cells = ["-" if v is None else f"{v:.0f}" for v in row]
        best = row[1] or row[0]
        print(f"| {path.stem} | {context} | {words} | {' | '.join(cells)} | {best / row[3]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
