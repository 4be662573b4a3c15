# SPDX-License-Identifier: MIT
"""Which calls fail, and how: what the kernel may answer to each."""
from errno import (EAGAIN, ECONNABORTED, ECONNRESET, EINTR, EIO, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC,
                   ENOTCONN, EPIPE)

from torture.control import SHORT, Fault

# The first of each is the one that a sample takes.
ERRORS = {
    "accept": (EMFILE, ENFILE, ENOMEM, ECONNABORTED, EINTR, EAGAIN),
    "socket": (EMFILE, ENFILE, ENOMEM),
    "connect": (EAGAIN, ENOMEM, EINTR),
    "sockopt": (ENOBUFS,),
    "peername": (ENOTCONN,),
    "open": (EMFILE, ENOMEM, EIO, EINTR),
    "dir": (EMFILE, EIO),
    "read_file": (EIO, EINTR, SHORT),
    "read_socket": (ECONNRESET, EAGAIN, EINTR, ENOMEM, SHORT),
    "read_pipe": (EAGAIN, EINTR, SHORT),
    "write_file": (ENOSPC, EIO, EINTR, SHORT),
    "write_socket": (EAGAIN, EPIPE, EINTR, ENOBUFS, ENOMEM, SHORT),
    "write_pipe": (EAGAIN, EINTR, EPIPE),
    "close": (EINTR, EIO),
    "mmap": (ENOMEM,),
    "alloc": (ENOMEM,),
    "fork": (EAGAIN, ENOMEM),
    "exec": (ENOMEM, EAGAIN, EMFILE),
    "wait": (EINTR,),
    "pipe": (EMFILE, ENFILE),
    "dup": (EMFILE, EINTR),
    "poll": (EINTR,),
    "inotify": (ENOSPC, EMFILE),
    "stat": (EIO, ENOMEM),
    "change": (ENOSPC, EIO),
}
# Those that last: from the nth call on all fail, until the act is over. (Not accept(): nobody would be
# answered, and that is no finding.)
LASTING = {"socket": EMFILE, "open": EMFILE, "dir": EMFILE, "pipe": EMFILE,
           "fork": EAGAIN, "exec": ENOMEM, "dup": EMFILE, "mmap": ENOMEM, "inotify": ENOSPC,
           "change": ENOSPC, "write_file": ENOSPC, "connect": EAGAIN}
# Who cannot reach or start an engine waits for that: so these come back.
TIMES = {"socket": 5, "connect": 5, "pipe": 4, "fork": 4, "exec": 4, "dup": 4}
FOR_EVER = 1 << 40


# No large allocation succeeds, while others do. (If those failed for ever too, the reserve would not help:
# tests/integration/test_memory_shortage.py has a limit that leaves it.)
LARGE = Fault("alloc", ENOMEM, FOR_EVER, 100_000)


def all_faults():
    found = [Fault(kind, e) for kind, errors in ERRORS.items() for e in errors]
    return found + [LARGE] + [Fault(kind, e, TIMES.get(kind, FOR_EVER)) for kind, e in LASTING.items()]


# A write that fails with ENOMEM ends the call; with EAGAIN, which stands first, it goes on.
MORE_SAMPLES = [Fault("write_socket", ENOMEM), LARGE]


def sample_faults():
    return [Fault(kind, errors[0]) for kind, errors in ERRORS.items()] + MORE_SAMPLES
