"""The campaign of `make kills`, a short one: commands that are ended in the midst of their work."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from helpers.places import CHECKOUT
from helpers.tried import tried


@pytest.mark.skipif(
    not os.path.exists("/proc/self/environ"), reason="orphans are found by what /proc shows of them"
)
@tried(
    11,
    "`map` and `simulate` ended at random moments",
    "output whole or absent, nothing left, the next run the same",
)
def test_four_kills() -> None:
    """In a process of its own, since it forks: this one has threads."""
    script = CHECKOUT / "tests" / "campaigns" / "kills.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(CHECKOUT), str(CHECKOUT / "tests")))}
    done = subprocess.run(
        [sys.executable, str(script), "4", "3", "map", "simulate"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"4 trials, 0 wrong", done.stdout)
