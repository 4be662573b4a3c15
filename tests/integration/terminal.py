# SPDX-License-Identifier: MIT
"""A terminal of a given size, by tmux: what stands on it, with which colours, and its keys."""
import os
import re
import subprocess
import unicodedata

import pytest
from conftest import clean_env, until

COLOURS = {30: "k", 31: "r", 32: "g", 33: "y", 34: "b", 35: "m", 36: "c", 37: "w"}
NORMAL = {"colour": None, "bold": False, "dim": False, "reverse": False}


def needs_terminals():
    """Skips where none can be made: a chroot without /dev/pts."""
    try:
        for fd in os.openpty():
            os.close(fd)
    except OSError as error:
        pytest.skip(f"needs pseudo-terminals (/dev/pts): {error}")


class Terminal:
    """Runs `command` (a list) and then waits, so that what it left behind can be looked at. The
    tmux server is its own, on a socket below `folder`."""

    def __init__(self, folder, command, columns=80, rows=24, **env):
        needs_terminals()
        number = len(list(folder.glob("tmux*.log")))
        self.socket = folder / f"tmux{number}"
        self.errors_path = folder / f"tmux{number}.log"  # what the command says on stderr
        self.errors_path.touch()
        environment = clean_env(**{"TERM": "screen-256color", "LC_ALL": "C.UTF-8", "TZ": "UTC"})
        environment.pop("NO_COLOR", None)
        # Of Ctrl-C only the command shall end.
        script = ('trap : INT; before=$(stty -g); "$@" 2>"$0"; status=$?; '
                  'test "$before" = "$(stty -g)" && same=same || same=changed; '
                  'echo "status=$status modes=$same"; exec sleep 1000')
        variables = [f"{k}={v}" for k, v in {**{k: environment[k] for k in
                                               ("TERM", "LC_ALL", "TZ")}, **env}.items()]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows,
                  "env", *variables, "bash", "--norc", "-c", script, self.errors_path, *command,
                  env=environment)

    def tmux(self, *args, env=None):
        done = subprocess.run(["tmux", "-S", str(self.socket), *map(str, args)], env=env, text=True,
                              capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def keys(self, *keys):
        for key in keys:
            self.tmux("send-keys", key)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", columns, "-y", rows)

    def text(self):
        return "\n".join(line.rstrip() for line in self.tmux("capture-pane", "-p").splitlines())

    def lines(self):
        return self.text().splitlines()

    def line(self, start):
        """The first line that begins so, blanks before it aside; None."""
        return next((l for l in self.lines() if l.strip().startswith(start)), None)

    def state(self, model):
        """What stands behind that model's name in the table; None."""
        words = (self.line(model) or "").split()
        return words[1] if len(words) > 1 else None

    def waits(self, condition, what):
        """until(), with the screen as it is at the end."""
        try:
            return until(condition, patience=90, what=what)
        except AssertionError as e:
            raise AssertionError(f"{e}; the screen:\n{self.text()}\n{self.errors()}") from None

    def shows(self, *texts):
        """Waits until all of them are on the screen, and returns it."""
        self.waits(lambda: all(t in self.text() for t in texts), f"{texts} on the screen")
        return self.text()

    def lacks(self, text):
        self.waits(lambda: text not in self.text(), f"no {text} on the screen")

    def styles(self):
        """The screen as a map of styles, a letter a column: `.` none, a colour's letter, `d` dim,
        `B` bold, `#` reverse; capitals for bold colours."""
        style = dict(NORMAL)  # which goes on from line to line
        return "\n".join(style_line(l, style).rstrip(".") for l in self.raw().splitlines())

    def raw(self):
        return self.tmux("capture-pane", "-p", "-e")

    def selected(self):
        """The line in reverse."""
        for line, styles in zip(self.lines(), self.styles().splitlines()):
            if "#" in styles:
                return line.strip()
        return None

    def errors(self):
        return self.errors_path.read_text(encoding="utf-8", errors="replace")

    def pid(self, name):
        """Of the command: the shell's child."""
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()

        def child():
            done = subprocess.run(["pgrep", "-P", shell, "-x", name], text=True,
                                  capture_output=True, check=False)
            return done.stdout.split()

        return int(until(child, what=f"a {name}")[0])

    def ended(self):
        """Waits for the command's end: (exit status, whether the terminal is as it was)."""
        found = self.waits(lambda: re.search(r"status=(\d+) modes=(\w+)", self.text()),
                           "the end of the command")
        return int(found[1]), found[2] == "same" and self.is_given_back()

    def is_given_back(self):
        """The ordinary screen, with a cursor."""
        return self.tmux("display-message", "-p", "#{alternate_on}#{cursor_flag}").strip() == "01"

    def close(self):
        subprocess.run(["tmux", "-S", str(self.socket), "kill-server"], capture_output=True,
                       check=False)


def style_letter(s):
    if s["reverse"]:
        return "#"
    letter = COLOURS.get(s["colour"], "d" if s["dim"] else "B" if s["bold"] else ".")
    return letter.upper() if s["bold"] else letter


def change_style(s, code):
    if code == 0:
        s.update(NORMAL)
    elif code in (1, 2, 7):
        s[{1: "bold", 2: "dim", 7: "reverse"}[code]] = True
    elif code == 22:
        s.update(bold=False, dim=False)
    elif code == 27:
        s["reverse"] = False
    elif code in COLOURS or code == 39:
        s["colour"] = None if code == 39 else code


def style_line(line, style):
    out, at = "", 0
    while at < len(line):
        code = re.compile(r"\x1b\[([\d;]*)m").match(line, at)
        if code:
            for c in code[1].split(";"):
                change_style(style, int(c or 0))
            at = code.end()
            continue
        wide = unicodedata.east_asian_width(line[at]) in "WF"
        out += style_letter(style) * (2 if wide else 1)
        at += 1
    return out
