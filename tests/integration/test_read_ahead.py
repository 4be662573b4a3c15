# SPDX-License-Identifier: MIT
"""The files of a model that waits for its place are read into the page cache."""
import ctypes
import mmap
import os

import pytest

import tiny_model
from conftest import until
from wire import FAKE_ENGINE, Wire, chat, fake_models, open_stream

CHAT = "/v1/chat/completions"


def cached(path):
    """The part of its pages that is in memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = os.path.getsize(path)
    with open(path, "rb") as f, mmap.mmap(f.fileno(), size, mmap.MAP_PRIVATE) as pages:
        first = ctypes.c_char.from_buffer(pages)
        is_here = (ctypes.c_ubyte * (-(-size // mmap.PAGESIZE)))()
        failed = libc.mincore(ctypes.byref(first), ctypes.c_size_t(size), is_here)
        del first
    assert not failed, os.strerror(ctypes.get_errno())
    return sum(page & 1 for page in is_here) / len(is_here)


def drop(path):
    """Out of the page cache; skips where that cannot be done."""
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    if cached(path) > 0.1:
        pytest.skip("the page cache keeps what it is told to drop")


@pytest.fixture
def busy(hostler, tmp_path):
    """A daemon with one place, which `a` has, and the path of `b`'s file; `b` goes before `c`."""
    folder = fake_models(tmp_path / "models", a={"endless": True, "token_ms": 20}, b={}, c={})
    file = tiny_model.make(str(folder / "b.gguf"), pad_mb=48)
    presets = tmp_path / "presets.ini"
    presets.write_text("[b]\npriority = 1\n", encoding="utf-8")
    # Who waits for longer than --max-wait goes before who has priority.
    server = hostler("--models-dir", folder, "--models-preset", presets, "--models-max", "1", "--max-wait", "1h",
                     engine=FAKE_ENGINE)
    connection, _ = open_stream(server, "a")
    drop(file)
    yield server, file
    connection.close()


def test_while_another_is_busy(busy):
    server, file = busy
    with Wire(server) as wire:
        wire.ask("POST", CHAT, chat("b"))
        until(lambda: cached(file) > 0.5, what="the file of the model that waits in the page cache")
        assert server.state("b") == "unloaded"


def test_of_those_who_wait_the_one_whose_turn_is_next(busy):
    server, file = busy
    with Wire(server) as first, Wire(server) as second:
        first.ask("POST", CHAT, chat("c"))
        until(lambda: "c" in server.queue())
        second.ask("POST", CHAT, chat("b"))
        until(lambda: cached(file) > 0.5, what="the file of the one with the higher priority in the page cache")


def test_who_asks_not_has_nothing_read(busy):
    server, file = busy
    with Wire(server) as wire:
        assert wire.ask("GET", "/models").answer().status == 200
        assert wire.ask("POST", CHAT + "?autoload=0", chat("b")).answer().status == 400
    assert cached(file) < 0.1
