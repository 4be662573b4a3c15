# SPDX-License-Identifier: MIT
"""Requests that go on while the test goes on."""
import threading
from concurrent.futures import Future


def background(call, *args, **kw):
    """Calls it in a thread that does not outlive the tests: `.result(PATIENCE)` is what it returned."""
    future = Future()

    def run():
        try:
            future.set_result(call(*args, **kw))
        except BaseException as error:  # pylint: disable=broad-except
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
