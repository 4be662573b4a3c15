# SPDX-License-Identifier: MIT
"""A subscriber to GET /hostler/v1/live, and the picture that it makes of the server by what it is told."""
import json
import socket
import threading
import time

from conftest import until
from wire import Wire


def subscribe(server, receive_buffer=None, **fields):
    wire = Wire(server, receive_buffer=receive_buffer).ask("GET", "/hostler/v1/live", **fields)
    head = wire.head()
    assert head.status == 200 and head["content-type"] == "text/event-stream", head.fields
    assert head["cache-control"] == "no-cache" and head["content-length"] is None
    return wire


def merged(row, news):
    """What is null is gone."""
    return {k: v for k, v in {**row, **news}.items() if v is not None}


class Live:
    """Reads the stream in a thread of its own, as the page does. `frames` has all events as they came: (time, event, data, bytes)."""

    def __init__(self, server, **fields):
        self.wire = subscribe(server, **fields)
        self.models, self.requests, self.ended, self.frames, self.changes = {}, {}, set(), [], []
        self.server = self.devices = self.queue = None
        self.ready, self.over, self.comments, self.bytes = False, None, 0, 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        rest = b""
        try:
            for chunk in self.wire.chunks():
                self.bytes += len(chunk)
                *whole, rest = (rest + chunk).split(b"\n\n")
                for frame in whole:
                    self.take(frame)
            self.over = "end" if not rest else f"rest: {rest!r}"
        except (EOFError, OSError, ValueError) as e:
            self.over = f"broken off: {e!r}"

    def take(self, frame):
        if frame == b":":
            self.comments += 1
            return
        event, _, data = frame.partition(b"\ndata: ")
        assert event.startswith(b"event: ") and b"\n" not in data, frame
        event, data = event[7:].decode(), json.loads(data)
        getattr(self, f"on_{event}")(data)
        self.frames.append((time.monotonic(), event, data, len(frame) + 2))

    def on_server(self, data):
        self.server = data

    def on_models(self, data):
        for row in data["models"]:
            assert None not in row.values(), row
            self.models[row["id"]] = row

    def on_figures(self, data):
        for row in data["models"]:
            assert len(row) > 1 and row["id"] in self.models, row
            self.models[row["id"]] = merged(self.models[row["id"]], row)

    def on_removed(self, data):
        for name in data["models"]:
            self.models.pop(name, None)

    def on_devices(self, data):
        self.devices = data["devices"]

    def on_queue(self, data):
        self.queue = data

    def on_requests(self, data):
        for row in data["requests"]:
            assert len(row) > 1, row
            self.requests[row["id"]] = merged(self.requests.get(row["id"], {}), row)
        self.ended |= set(data["ended"])

    def on_changes(self, data):
        assert data["changes"]
        self.changes += reversed(data["changes"])

    def on_ready(self, data):
        assert data == {} and not self.ready
        self.ready = True

    def until_ready(self):
        until(lambda: self.ready, what="everything")
        return self

    def until_row(self, model, what="a row", **members):
        """Waits until the model's row has them; `None`: until it has no such member."""
        return until(lambda: (row := self.models.get(model)) is not None and
                     all(row.get(k) == v for k, v in members.items()) and row, what=f"{what} of {model}: {members}")

    def until_over(self):
        until(lambda: self.over, what="the stream's end")
        return self.over

    def count(self, event):
        return sum(1 for _, e, _, _ in self.frames if e == event)

    def close(self):
        self.wire.sock.shutdown(socket.SHUT_RDWR)
