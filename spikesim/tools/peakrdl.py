"""PeakRDL: what other tools read of a register map, made from its SystemRDL.

Its exporters are commands, each run in a process of its own: files go in and out, nothing of them is imported here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from spikesim.errors import ToolError
from spikesim.tools.process import run_leashed

_SHOWN_ERRORS, _SHOWN_LINE = 3, 300


def run_peakrdl(folder: Path, arguments: Sequence[str]) -> None:
    """Runs `peakrdl` with the arguments in `folder`, where all files that they name are. Raises ToolError: PeakRDL or
    the exporter is missing, or refuses the map.
    """
    # A file of settings could name modules to load.
    environment = {name: value for name, value in os.environ.items() if name != "PEAKRDL_CFG"}
    try:
        done = run_leashed(
            [sys.executable, "-P", "-m", "peakrdl", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise ToolError(f"PeakRDL must be able to start: {error.strerror}") from None
    if done.returncode:
        raise ToolError(_sentence(arguments[0], done.stdout))


def _sentence(exporter: str, log: str) -> str:
    if "No module named" in log or "invalid choice" in log:
        package = exporter.replace("-", "")
        return f"PeakRDL must be installed with its exporter {exporter}: pip install peakrdl-cli peakrdl-{package}"
    lines = [line for line in log.splitlines() if re.search(r"\b(error|fatal)\b|Error:", line)][
        :_SHOWN_ERRORS
    ]
    said = "; ".join(_plain(line) for line in lines)
    return f"PeakRDL must accept the register map, but {exporter} failed: {said or 'it said nothing'}"


def _plain(line: str) -> str:
    """Without anything that a terminal obeys."""
    return "".join(char if char.isprintable() else "?" for char in line[:_SHOWN_LINE]).strip()
