"""Calls in forked children, for campaigns of thousands: what a process of its own gives, without starting Python anew.

A child that hangs, eats memory or crashes harms nobody. Nothing may run threads before the first fork.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

CALM_SECONDS = 20.0
CALM_BYTES = 2 * 2**30
"""What a command may take of a machine to say that its input is wrong."""

_HEADROOM = 3 * 2**30  # of address space, so that a bomb ends in the child and not in the machine


@dataclass(frozen=True, kw_only=True)
class Ended:
    """`status`: of the exit, minus a signal's number; None if it was stopped because its time was over."""

    status: int | None
    output: str
    error: str
    seconds: float
    memory: int

    @property
    def fault(self) -> str:
        """Why this is no end that a user may see; empty for a result, or one sentence with status 1 or 2."""
        if self.status is None:
            return f"still running after {CALM_SECONDS:g} s"
        if self.status < 0:
            return f"ended by {signal.Signals(-self.status).name}"
        if self.memory > CALM_BYTES:
            return f"{self.memory / 2**30:.1f} GiB of memory"
        if "Traceback (most recent call last)" in self.error + self.output:
            return "a traceback: " + self.error.strip().splitlines()[-1]
        if self.status == 0:
            return ""
        said = [line for line in self.error.splitlines() if line.startswith("spikesim: ")]
        if self.status not in (1, 2) or len(said) != 1 or len(said[0]) < 20:
            return f"status {self.status} with {len(said)} sentences"
        if not said[0].isprintable():
            return "a sentence that a terminal may obey"
        return ""


def forked(
    call: Callable[[], int | None], folder: Path, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run `call` in a child that works in `folder`; its status is what it returns or exits with."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error:
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _live(call, folder, dict(environment or {}), output.fileno(), error.fileno())
        ended = _waited(child, started + CALM_SECONDS)
        if not ended:
            os.killpg(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
        seconds = time.monotonic() - started
        texts = []
        for file in (output, error):
            file.seek(0)
            texts.append(file.read().decode("utf-8", errors="replace"))
    return Ended(
        status=os.waitstatus_to_exitcode(status) if ended else None,
        output=texts[0],
        error=texts[1],
        seconds=seconds,
        memory=used.ru_maxrss * 1024,
    )


def _waited(child: int, until: float) -> bool:
    """Wait for the child's end, no longer than `until`; whether it came."""
    handle = os.pidfd_open(child)
    try:
        ready, _, _ = select.select([handle], [], [], max(0.0, until - time.monotonic()))
    finally:
        os.close(handle)
    return bool(ready)


def _live(
    call: Callable[[], int | None], folder: Path, environment: dict[str, str], output: int, error: int
) -> None:
    """The child's life; it never returns to the code of its parent."""
    status: object = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.update(environment)
        os.dup2(output, 1)
        os.dup2(error, 2)
        sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + _HEADROOM
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = call()
    except SystemExit as exit_:
        status = exit_.code
    except BaseException:  # noqa: BLE001 - whatever it is, it is shown and judged
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0 if status is None else status if isinstance(status, int) else 1)
