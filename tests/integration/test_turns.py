# SPDX-License-Identifier: MIT
"""Models that are busy at once, and one place: real engines, clients that leave no pauses."""
import threading
import time

from conftest import PATIENCE, until

CLIENTS = 4  # of a model, so that it is never idle


class Loop:
    """A client that asks again as soon as it has its answer. Answers differ in length: an engine computes them side by
    side, and those of one length would end together."""

    def __init__(self, server, model, tokens):
        self.server, self.model, self.tokens = server, model, tokens
        self.answers, self.worst, self.errors = 0, 0, []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended.is_set():
            begin = time.monotonic()
            answer = self.server.post("/v1/completions", {"model": self.model, "prompt": "a", "ignore_eos": True,
                                                          "max_tokens": self.tokens}, timeout=2 * PATIENCE)
            self.worst = max(self.worst, time.monotonic() - begin)
            self.answers += answer.status == 200
            if answer.status != 200:
                self.errors.append((answer.status, answer.body))
                return


def loops(server, *names):
    return {name: [Loop(server, name, 500 + 190 * i) for i in range(CLIENTS)] for name in names}


def answers(clients):
    return sum(c.answers for c in clients)


def end(running):
    clients = [client for of_model in running.values() for client in of_model]
    for client in clients:
        client.ended.set()
    for client in clients:
        client.thread.join(2 * PATIENCE)
        assert not client.errors and not client.thread.is_alive()
    return clients


def one_place(hostler, models, *args):
    return hostler("--models-dir", models, "--models-max", "1", "--threads", "1", "--parallel", str(CLIENTS), *args)


def test_two_busy_models_take_turns(hostler, models):
    """Long before --max-wait, again and again, and nobody is left out."""
    server = one_place(hostler, models, "--max-wait", "1h")
    running = loops(server, "m1", "m2")
    for _ in range(2):
        for name in running:
            seen = answers(running[name])
            until(lambda: answers(running[name]) >= seen + CLIENTS, what=f"answers of {name}")
    assert all(client.answers and client.worst < PATIENCE for client in end(running))


def test_a_visitor_to_another_model(hostler, models):
    """Whoever comes now and then waits for a load, and not for an end of the others' work."""
    server = one_place(hostler, models, "--max-wait", "1h")
    running = loops(server, "m1")
    for _ in range(3):
        seen = answers(running["m1"])
        until(lambda: answers(running["m1"]) > seen, what="answers of m1")
        assert server.tokenize("m2").status == 200
    end(running)


def test_a_model_that_nobody_waits_for_is_left_alone(hostler, models):
    server = one_place(hostler, models)
    running = loops(server, "m1")
    until(lambda: server.loaded() == ["m1"], what="the load")
    pid = server.engines()["m1"]["pid"]
    until(lambda: answers(running["m1"]) >= 10 * CLIENTS, what="more answers than a turn has")
    end(running)
    assert server.engines()["m1"]["pid"] == pid
