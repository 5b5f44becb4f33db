"""What a worker and the processes of its network say to the launcher: lines of JSON through an inherited pipe.

A pipe, since it works where the disk is full, and since its end tells that every process is gone.
"""

from __future__ import annotations

import json
import os
import signal
from typing import Any, NoReturn

VARIABLE = "SPIKESIM_LAVA_PIPE"
"""Environment variable with the number of the pipe's descriptor."""

_LONGEST = 3000
"""Characters of a text: the line stays below the size that a pipe takes in one piece."""


def tell(kind: str, **values: Any) -> None:
    """Send one message; without a launcher, do nothing."""
    descriptor = os.environ.get(VARIABLE)
    if descriptor is None:
        return
    short = {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in values.items()}
    os.write(int(descriptor), (json.dumps({"kind": kind, **short}) + "\n").encode())


def fail(where: str, error: BaseException) -> NoReturn:
    """Say what went wrong and end every process of the network: Lava would wait for this one for ever."""
    try:
        number = error.errno if isinstance(error, OSError) else None
        tell("error", where=where, error=f"{type(error).__name__}: {error}", errno=number)
    finally:
        os.killpg(0, signal.SIGTERM)
    raise SystemExit(1) from error
