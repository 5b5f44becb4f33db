"""Signals that end a program: each by an exception, so that every `finally` runs and nothing is left behind."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

CLEANING_S: Final = 5.0
"""After a signal, for so long further ones are passed over: they would end the clean-up that the first has begun."""


def end_by_exceptions() -> None:
    """From now on SIGINT is `KeyboardInterrupt`, and the others leave with 128 and their number.

    What was ignored before (by `nohup`, or in the background of a shell) stays so.
    """
    last = -CLEANING_S

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < CLEANING_S:
            return
        last = now
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
