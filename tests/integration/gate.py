# SPDX-License-Identifier: MIT
"""Real engines that begin to load when the test says so."""


class Gate:
    """A program to give as `engine`: llama-server, but while the gate is shut it does not begin."""

    def __init__(self, folder, engine):
        self.shut_file = folder / "shut"
        self.path = folder / "gated-engine"
        self.path.write_text(f"""#!/bin/sh
case "$*" in *--host*) while [ -e '{self.shut_file}' ]; do sleep 0.01; done ;; esac
exec '{engine}' "$@"
""", encoding="ascii")
        self.path.chmod(0o755)

    def shut(self):
        self.shut_file.touch()

    def open(self):
        self.shut_file.unlink()

    def __str__(self):
        return str(self.path)
