# SPDX-License-Identifier: MIT
"""A subscriber to GET /models/sse."""
import json
import queue
import socket
import threading

from conftest import PATIENCE
from wire import Wire


def subscribe(server, version="HTTP/1.1", **kw):
    """A connection whose answer's head has come: from now on events do."""
    wire = Wire(server, **kw).ask("GET", "/models/sse", version=version)
    head = wire.head()
    assert head.status == 200 and head["content-type"] == "text/event-stream"
    assert head["cache-control"] == "no-cache" and head["content-length"] is None
    return wire


class Events:
    """What a subscriber is told, in a thread of its own."""

    def __init__(self, server):
        self.wire = subscribe(server)
        self.frames = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for frame in self.wire.chunks():
                self.frames.put(frame)
            self.frames.put("end")
        except (EOFError, OSError, ValueError):
            self.frames.put("broken off")

    def next(self):
        """The next event: (model, event, data). Why it came about is in `cause`, for a person."""
        frame = self.frames.get(timeout=PATIENCE)
        assert isinstance(frame, bytes), frame
        assert frame.startswith(b"data: ") and frame.endswith(b"\n\n") and frame.count(b"\n") == 2
        told = json.loads(frame[6:])
        assert list(told) == ["model", "event", "data"][:len(told)], told
        self.cause = (told.get("data") or {}).pop("cause", None)
        return told["model"], told["event"], told.get("data")

    def until(self, wanted):
        """All statuses up to the wanted one, which must be told: [(event, status)]."""
        seen = []
        while not seen or seen[-1][1] != wanted:
            _, event, data = self.next()
            seen.append((event, data["status"]))
        return seen

    def end(self):
        """How it ends."""
        while isinstance(frame := self.frames.get(timeout=PATIENCE), bytes):
            pass
        return frame

    def close(self):
        self.wire.sock.shutdown(socket.SHUT_RDWR)

    def none_left(self):
        return self.frames.empty()
