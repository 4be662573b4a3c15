# SPDX-License-Identifier: MIT
"""What it shares with the integration tests is imported by their modules' names."""
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / name) for name in ("", "integration")]
