# SPDX-License-Identifier: MIT
"""Models that all have work, and one place: who waits how long, how much is answered, how often models are loaded.

Clients are closed loops: each asks again when it has its answer, after a pause. Answers of a model's clients differ in
length, since an engine computes them side by side, and those of one length would end together and leave it idle. A
client that has no answer at the end has waited until then, and counts.
"""
import dataclasses
import http.client
import json
import os
import re
import threading
import time

from contenders import free_port, hostler, router
from report import median, spread


@dataclasses.dataclass
class Clients:
    model: str
    n: int
    tokens: int  # of the shortest answer; each other one's is half as long again
    pause: float = 0  # s


class Loop(threading.Thread):
    """One client. `waits`: what each answer took, in s."""

    def __init__(self, port, clients, number, end):
        super().__init__()
        self.model, self.pause, self.end = clients.model, clients.pause, end
        self.port, self.waits, self.answers = port, [], 0
        self.body = json.dumps({"model": clients.model, "prompt": "Once upon a time", "ignore_eos": True,
                                "temperature": 0, "max_tokens": clients.tokens * (2 + number) // 2})

    def run(self):
        while (begin := time.monotonic()) < self.end:
            answered = self.ask(self.end - begin)
            self.answers += answered
            self.waits.append(time.monotonic() - begin)
            if not answered:
                return
            time.sleep(self.pause)

    def ask(self, patience):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        try:
            connection.request("POST", "/v1/completions", self.body)
            response = connection.getresponse()
            response.read()
            return response.status == 200
        except OSError:
            return False
        finally:
            connection.close()


def run_clients(port, groups, seconds):
    """By model: (answers, mean wait, worst wait)."""
    end = time.monotonic() + seconds
    loops = [Loop(port, clients, i, end) for clients in groups for i in range(clients.n)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    out = {}
    for clients in groups:
        mine = [loop for loop in loops if loop.model == clients.model]
        waits = [w for loop in mine for w in loop.waits]
        out[clients.model] = (sum(loop.answers for loop in mine), sum(waits) / len(waits), max(waits))
    return out


def count_loads(log):
    """Both print what llama-server says when it begins."""
    return len(re.findall(r"load_model: loading model", log.read_text(errors="replace")))


class Logged:
    """A server whose output is kept."""

    def __init__(self, server, path):
        self.server, self.path = server, path

    def __enter__(self):
        with open(self.path, "w", encoding="utf-8") as log:
            self.server.output = log
            return self.server.__enter__()

    def __exit__(self, *exc):
        self.server.__exit__(*exc)


def contenders(b, models):
    """(label, server): each with one place and the same arguments for its engines."""
    arguments = ["--threads", "1", "--parallel", "4", "-c", "4096"]
    port = free_port()
    stock = router(b.engine, models, port)
    stock.argv[-1] = "1"
    stock.argv += arguments
    yield "llama.cpp router", stock

    def start(models, port, binary=None):
        server = hostler(models, port, "--models-max", "1", *arguments, **({"binary": binary} if binary else {}))
        server.argv[server.argv.index("--log-level") + 1] = "info"
        return server

    yield "hostler", start(models, free_port())
    if b.options.beside:
        yield "hostler, --beside", start(models, free_port(), b.options.beside)


def scenes(b):
    """(name, models folder, clients)"""
    yield "2 tiny models, a client each", b.models, [Clients("m1", 1, 32), Clients("m2", 1, 32)]
    yield "2 tiny models, 3 clients each", b.models, [Clients("m1", 3, 256), Clients("m2", 3, 256)]
    yield "4 tiny models, 2 clients each", b.models, [Clients(f"m{i}", 2, 256) for i in range(1, 5)]
    yield "3 clients, and a visitor", b.models, [Clients("m1", 3, 256), Clients("m2", 1, 32, 2)]
    real = os.environ.get("REAL_MODEL")
    if not real:
        return
    folder = b.folder / "contention"
    folder.mkdir()
    for name in ("real1", "real2"):
        os.symlink(os.path.abspath(real), folder / f"{name}.gguf")
    yield "2 real models, 2 clients each", folder, [Clients("real1", 2, 16), Clients("real2", 2, 16)]


def measure_contention(b):
    """At least 10 s each, since a turn is as long as some loads. REAL_MODEL names the file of a real model."""
    seconds = max(10, b.options.seconds)
    rows = []
    for scene, models, groups in scenes(b):
        figures = {}
        for round_ in b.rounds():
            for label, server in contenders(b, models):
                log = b.folder / f"contention-{round_}.log"
                with Logged(server, log):
                    result = run_clients(server.port, groups, seconds)
                figures.setdefault(label, []).append((result, count_loads(log)))
        for label, runs in figures.items():
            rows.append([scene if label == next(iter(figures)) else "", label] + row_of(groups, runs, seconds))
    b.report.table([f"one place, no pauses, {seconds} s", "", "answers a second", "answers by model", "mean wait by model, s",
                    "worst wait by model, s", "loads"], rows)


def row_of(groups, runs, seconds):
    """By model: medians."""
    rates = [sum(answers for answers, _, _ in result.values()) / seconds for result, _ in runs]
    columns = [[[result[clients.model][at] for result, _ in runs] for clients in groups] for at in range(3)]

    def medians(column, digits):
        return ", ".join(f"{median(values):,.{digits}f}" for values in column)

    return [spread(rates, 1), medians(columns[0], 0), medians(columns[1], 2), medians(columns[2], 1),
            spread([loads for _, loads in runs])]

