# SPDX-License-Identifier: MIT
"""Starts a program as a service manager does, in its own place: launch.py [--journal] [--foreign]
[SOCKET]... -- PROGRAM [ARGUMENT]...

SOCKET: `tcp`, `dgram`, a path, or @NAME: handed over as descriptor 3 and so on. --foreign hands them
to a process that is not PROGRAM. --journal makes stderr, whatever it is, look like the journal."""
import os
import socket
import sys

FIRST = 3
HIGH = 100


def open_socket(word):
    if word == "dgram":
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if word == "tcp":
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
    else:
        s = socket.socket(socket.AF_UNIX)
        s.bind("\0" + word[1:] if word.startswith("@") else word)
    s.listen(64)
    return s


def main(words):
    end = words.index("--")
    options, program = words[:end], words[end + 1:]
    sockets = [open_socket(w) for w in options if not w.startswith("--")]
    for i, s in enumerate(sockets):  # first out of the way of the numbers that they are to have
        os.dup2(s.fileno(), HIGH + i, inheritable=False)
    for i in range(len(sockets)):
        os.dup2(HIGH + i, FIRST + i)
    if sockets:
        os.environ["LISTEN_FDS"] = str(len(sockets))
        os.environ["LISTEN_PID"] = str(os.getppid() if "--foreign" in options else os.getpid())
        os.environ["LISTEN_FDNAMES"] = ":".join("x" for _ in sockets)
    if "--journal" in options:
        st = os.fstat(2)
        os.environ["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
    os.execv(program[0], program)


main(sys.argv[1:])
