# SPDX-License-Identifier: MIT
"""Starts a program with odd attributes of a process, as some supervisors and scripts leave them:
inherit.py NAME=VALUE... -- PROGRAM [ARGUMENT]...

umask=0177 · blocked=all|NAMES · ignored=NAMES · closed=0,1,2 · nice=N · cpu=N · cwd=gone · LIMIT=N for FSIZE,
NOFILE and so on. A superuser's right to every file goes, so that modes count."""
import ctypes
import os
import resource
import signal
import sys
import tempfile

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


def signals(value):
    if value == "all":
        return signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    return {signal.Signals["SIG" + name] for name in value.split(",")}


def leave_folder():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


SETTERS = {
    "umask": lambda v: os.umask(int(v, 8)),
    "blocked": lambda v: signal.pthread_sigmask(signal.SIG_BLOCK, signals(v)),
    "ignored": lambda v: [signal.signal(s, signal.SIG_IGN) for s in signals(v)],
    "closed": lambda v: [os.close(int(fd)) for fd in v.split(",")],
    "nice": lambda v: os.nice(int(v)),
    "cpu": lambda v: os.sched_setaffinity(0, {int(v)}),
    "cwd": lambda v: leave_folder(),
}


def apply(word):
    name, value = word.split("=")
    if name in SETTERS:
        SETTERS[name](value)
    else:
        limit = getattr(resource, "RLIMIT_" + name)
        resource.setrlimit(limit, (int(value), int(value)))


def main(words):
    end = words.index("--")
    prctl = ctypes.CDLL(None).prctl
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):  # fails where there are none
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    for word in words[:end]:
        apply(word)
    os.execv(words[end + 1], words[end + 1:])


main(sys.argv[1:])
