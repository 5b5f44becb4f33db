"""The command line in a process of its own that gets a signal in the midst of its work."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SIGNALS = pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "spikesim: interrupted; nothing was written\n"),
        (signal.SIGTERM, 143, ""),
        (signal.SIGHUP, 129, ""),
    ],
)
"""The signals that end a program, the exit code that each must have, and what it must say."""


def interrupted(script: str, words: list[str], folder: Path, number: signal.Signals) -> tuple[int, str]:
    """Runs `script` with `words` in `folder` and signals it once it said "ready": its exit code and standard error."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run started in the background of a script ignores SIGINT, and its children would inherit that.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509 - single-threaded child
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
    return process.returncode, error
