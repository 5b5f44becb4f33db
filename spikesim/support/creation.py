"""`creation_time`: when what is made now is said to be made."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from spikesim.errors import ProcessError
from spikesim.support.shown import shown

VARIABLE = "SOURCE_DATE_EPOCH"
"""Seconds since 1970: reports of the same run are then the same (reproducible-builds.org/specs/source-date-epoch)."""


def creation_time() -> datetime:
    """The time in UTC, or that of SOURCE_DATE_EPOCH. ProcessError if that is no time."""
    text = os.environ.get(VARIABLE)
    if not text:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise ProcessError(
            f"{VARIABLE} must be a whole number of seconds since 1970, not {shown(text)}"
        ) from None
