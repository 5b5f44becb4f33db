"""Yosys from its wheel, in a process of its own: an error of Yosys ends the process that it runs in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from spikesim.errors import ToolError
from spikesim.tools.process import run_leashed

_SCRIPT = "import sys\nfrom pyosys import libyosys\nd = libyosys.Design()\nfor c in sys.stdin: d.run_pass(c.strip())\n"


def run_yosys(folder: Path, commands: Sequence[str]) -> str:
    """The log of the commands, run in `folder`. Raises ToolError: Yosys is missing or fails."""
    done = run_leashed(
        [sys.executable, "-c", _SCRIPT],
        input="\n".join(commands),
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        if "No module named 'pyosys'" in done.stdout:
            raise ToolError("Yosys must be installed to synthesise: pip install 'pyosys>=0.70'")
        errors = re.findall(r"(?m)^(?:ERROR|\w*Error|Warning).*$", done.stdout)[-5:]
        raise ToolError("Yosys failed: " + "; ".join(errors or done.stdout.splitlines()[-3:]))
    return done.stdout
