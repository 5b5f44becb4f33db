"""Arguments of the Python interface: of the type they are documented with, or one sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from spikesim.errors import SpikesimError
from spikesim.support.shown import shown

T = TypeVar("T")


def as_path(value: str | os.PathLike[str], what: str, error: type[SpikesimError]) -> Path:
    """The path that a caller gave as text or as a path; `what` begins the sentence of the error: "a model"."""
    try:
        path = Path(value)
    except Exception:  # noqa: BLE001 - `__fspath__` of a foreign type raises what it likes
        raise error(f"{what} must be a path, not {shown(value)}") from None
    if "\0" in str(path):
        raise error(f"{what} must be a path, which has no null byte, not {shown(value)}")
    return path


def of_type(value: object, kind: type[T], what: str, error: type[SpikesimError]) -> T:
    """The value, if it is of the kind; `what` begins the sentence of the error."""
    if not isinstance(value, kind):
        raise error(f"{what} must be a {kind.__name__}, not {shown(value)}")
    return value
