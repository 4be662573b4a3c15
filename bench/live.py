# SPDX-License-Identifier: MIT
"""What a subscriber of GET /hostler/v1/live costs: the daemon's processor time with and without one, the bytes that it
gets, and the delay of others' tokens, while 20 streams run and some 90 requests a second go to 20 models."""
import http.client
import json
import threading
import time

from contenders import call, free_port, hostler_before_stand_in
from report import spread

import tiny_model

MODELS, STREAMS, RATE = 20, 20, 90


class Subscriber(threading.Thread):
    """Reads until its connection is closed. `bytes`: of bodies, so far."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.request("GET", "/hostler/v1/live")
        self.response, self.bytes = self.connection.getresponse(), 0
        assert self.response.status == 200
        self.start()

    def run(self):
        while piece := self.response.read1(65536):
            self.bytes += len(piece)


class Requests(threading.Thread):
    """A share of RATE requests a second, to one model after the other, until `over` is set."""

    def __init__(self, port, over, threads):
        super().__init__(daemon=True)
        self.port, self.over, self.pause, self.n = port, over, threads / RATE, 0
        self.start()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        due = time.monotonic()
        while not self.over.wait(max(0, due - time.monotonic())):
            due += self.pause
            body = json.dumps({"model": f"m{self.n % MODELS + 1}", "content": "x"})
            connection.request("POST", "/tokenize", body)
            assert connection.getresponse().read() is not None
            self.n += 1


def run_once(b, models, watched, binary):
    port = free_port()
    server = hostler_before_stand_in(models, port, **binary)
    server.argv += ["--models-max", str(MODELS)]  # nothing is evicted
    with server:
        statuses = [call(port, "POST", "/tokenize", json.dumps({"model": f"m{i}", "content": "x"}))[0]
                            for i in range(1, MODELS + 1)]
        assert statuses == [200] * MODELS
        over = threading.Event()
        clients = [Requests(port, over, 3) for _ in range(3)]
        subscriber = Subscriber(port) if watched else None
        time.sleep(2)  # the first picture is sent whole
        before, cpu, begun = subscriber.bytes if watched else 0, server.cpu_us(), time.monotonic()
        streams = b.load(server, "streams", connections=STREAMS, rate=30)
        seconds = time.monotonic() - begun
        over.set()
        for c in clients:
            c.join()
        return {"cpu": (server.cpu_us() - cpu) / seconds / 1e4, "p50": streams["p50_us"], "p99": streams["p99_us"],
                "bytes": (subscriber.bytes - before) / seconds if watched else 0,
                "requests": sum(c.n for c in clients) / (seconds + 2)}


def measure_live(b):
    models = b.folder / "twenty"
    models.mkdir()
    for seed in range(1, MODELS + 1):
        tiny_model.make(str(models / f"m{seed}.gguf"), seed=seed)
    kinds = [("", {})] + ([(", --beside", {"binary": b.options.beside})] if b.options.beside else [])
    runs = {}
    for _ in b.rounds():
        for suffix, binary in kinds:
            for watched in (False, True):
                label = ("a subscriber" if watched else "nobody watches") + suffix
                runs.setdefault(label, []).append(run_once(b, models, watched, binary))
    b.report.table(["20 models, 20 streams, requests beside", "requests/s", "daemon's CPU, % of a core", "bytes/s to the subscriber",
                    "token delay p50 µs", "p99 µs"],
                   [[label] + [spread([r[key] for r in found], digits) for key, digits in
                               (("requests", 0), ("cpu", 2), ("bytes", 0), ("p50", 0), ("p99", 0))]
                    for label, found in runs.items()])
