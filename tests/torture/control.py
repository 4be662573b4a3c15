# SPDX-License-Identifier: MIT
"""The file that a test shares with the preload library fail_nth.c: `struct control` there."""
import collections
import errno
import mmap
import os
import struct
import subprocess

NAME, WHERE, KINDS_MAX = 16, 4096, 64
ARMED, KIND, ERROR, NTH, TIMES, MIN_SIZE, HITS, HIT_PORT, PID, N_KINDS = (
    0, 8, 24, 32, 40, 48, 56, 64, 72, 80)
COUNTS = 88
WHERE_AT = COUNTS + KINDS_MAX * (NAME + 8)
SIZE = (WHERE_AT + WHERE + 4095) // 4096 * 4096

# What fails, how, so many times in a row, and of allocations only those that are at least so large.
Fault = collections.namedtuple("Fault", "kind error times min_size", defaults=(1, 0))
SHORT = 0  # in place of an errno: a read or a write of one byte


def name_of(error):
    return errno.errorcode[error] if error else "SHORT"


class Hit:
    """Where a call was made to fail."""

    def __init__(self, port, where):
        self.port = port  # of the client on whose TCP connection it was; 0: it was on none
        self.call, *self.frames = where.splitlines() or ["?"]

    def on_client(self):
        return self.port != 0

    def text(self):
        """The call and who made it, with the source's lines where they are known."""
        return "\n".join([self.call, *filter(None, map(source_line, self.frames))])


def source_line(frame):
    module, _, offset = frame.rpartition("+")
    if "libasan" in module or "fail_nth" in module:
        return ""
    place = f"{int(offset, 16) - 1:#x}"  # a return address: the call is before it
    done = subprocess.run(["addr2line", "-f", "-s", "-p", "-e", module, place], capture_output=True,
                          text=True, check=False)
    found = done.stdout.strip()
    return f"  {found}" if found and "??" not in found else f"  {os.path.basename(module)}+{offset}"


class Control:
    def __init__(self, path):
        self.path = path
        with open(path, "wb") as f:
            f.truncate(SIZE)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), SIZE)

    def number(self, at):
        return struct.unpack_from("<Q", self.map, at)[0]

    def set(self, at, number):
        struct.pack_into("<Q", self.map, at, number)

    def arm(self, fault=None, nth=0):
        """From now on calls are counted from 1; the nth of the fault's fails."""
        self.set(ARMED, 0)
        for i in range(KINDS_MAX):
            self.set(COUNTS + i * (NAME + 8) + NAME, 0)
        self.set(HITS, 0)
        self.set(HIT_PORT, 0)
        self.map[WHERE_AT] = 0
        self.set(NTH, nth)
        if fault:
            self.map[KIND:KIND + NAME] = fault.kind.encode().ljust(NAME, b"\0")
            self.set(ERROR, fault.error)
            self.set(TIMES, fault.times)
            self.set(MIN_SIZE, fault.min_size)
        self.set(ARMED, 1)

    def disarm(self):
        """The Hit, or None when there was none: there are fewer calls than nth."""
        self.set(ARMED, 0)
        if not self.number(HITS):
            return None
        where = self.map[WHERE_AT:WHERE_AT + WHERE].split(b"\0")[0].decode(errors="replace")
        return Hit(self.number(HIT_PORT), where)

    def has_cut_log(self):
        """Whether a line of the daemon's log is lost, since the write that failed was to its stderr."""
        return b"write, descriptor 2\n" in self.map[WHERE_AT:WHERE_AT + WHERE]

    def counts(self):
        """How many calls of each kind there were since arm()."""
        found = {}
        for i in range(self.number(N_KINDS)):
            at = COUNTS + i * (NAME + 8)
            name = self.map[at:at + NAME].split(b"\0")[0].decode()
            found[name] = self.number(at + NAME)
        return found
