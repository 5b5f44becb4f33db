"""A Lava worker in which something goes wrong: `python lava_faults.py FAULT JOB`. Its processes inherit the fault."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.backends.lava import worker
from spikesim.backends.lava.microcode import Microcode

TOKEN = 1
"""The token at which it happens."""


def raises(_core: Any) -> None:
    raise KeyError("no such vector")


def hangs(_core: Any) -> None:
    time.sleep(1000)


def ignores_sigterm(_core: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)


def dies(_core: Any) -> None:
    os._exit(9)


def is_killed(_core: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def worker_dies(_core: Any) -> None:
    """The parent of this process is the worker."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1000)


def wrong(core: Any) -> None:
    """A word that has no right to be what it is."""
    for state in core.states.values():
        state.rows[0, 0, 0, 0] += 1


def disk_full(*_arguments: Any, **_arrays: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def main(fault: str, job: Path) -> None:
    begin = Microcode.begin

    def faulty(core: Microcode, position: int) -> None:
        begin(core, position)
        if position == TOKEN:
            globals()[fault](core)

    if fault == "disk_full":
        np.savez = disk_full  # type: ignore[assignment]
    else:
        Microcode.begin = faulty  # type: ignore[method-assign]
    worker.main(job)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
