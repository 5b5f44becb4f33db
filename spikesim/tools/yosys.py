"""Yosys from its wheel, each run in a process of its own: an error of Yosys ends the process that it runs in."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from spikesim.errors import ToolError
from spikesim.tools import yosys_worker
from spikesim.tools.process import run_leashed

_WORKER = [sys.executable, "-P", yosys_worker.__file__]
_SHOWN_ERRORS, _SHOWN_LINE = 5, 300


def run_yosys(folder: Path, commands: Sequence[str]) -> str:
    """The log of the commands, run in `folder`, where all files that they name are. Raises ToolError: Yosys is missing
    or fails."""
    try:
        done = run_leashed(
            _WORKER,
            input="\n".join(commands),
            cwd=folder,
            # Where abc works: Yosys pastes the name into a shell's command line, and the folder may be called anything.
            env={**os.environ, "TMPDIR": "."},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise ToolError(f"Yosys must be able to start: {error.strerror}") from None
    if done.returncode:
        raise ToolError(_sentence(done.returncode, done.stdout))
    return done.stdout


def named(file: str) -> str:
    """A file of the working folder, for options of Yosys's `abc`.

    Yosys makes such names absolute and pastes them into a script of abc's and into a shell's command line. What is
    absolute already stays: this name has nothing in it that either could take for anything but a name.
    """
    here = "/proc/self/cwd"
    return f"{here}/{file}" if os.path.isdir(here) else file


def _sentence(code: int, log: str) -> str:
    if "No module named 'pyosys'" in log:
        return "Yosys must be installed to synthesise: pip install 'pyosys>=0.70'"
    lines = re.findall(r"(?m)^(?:ERROR|\w*Error|Warning).*$", log)[-_SHOWN_ERRORS:] or log.splitlines()[-3:]
    if code < 0:
        lines.append(f"ended by a signal ({signal.strsignal(-code)})")
    return "Yosys failed: " + "; ".join(_plain(line) for line in lines)


def _plain(line: str) -> str:
    """Without anything that a terminal obeys."""
    return "".join(char if char.isprintable() else "?" for char in line[:_SHOWN_LINE]).strip()
