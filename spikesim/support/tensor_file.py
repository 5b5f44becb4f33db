"""Opening safetensors files of other people."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from safetensors import safe_open

from spikesim.support.reading import MEBIBYTE, Failure, open_regular, reading
from spikesim.support.shown import shown

HEADER_LIMIT = 16 * MEBIBYTE
"""Bytes of a header. One of a model with a thousand tensors has a tenth of a mebibyte; the format allows a hundred."""

_LENGTH_BYTES = 8


def open_tensors(path: Path, framework: str, what: str, error: Failure) -> Any:
    """Return the opened file, whose sizes are checked; nothing is read of its tensors. Arguments as in `reading`.

    `framework`: what its tensors will be, "pt" or "numpy".
    """
    with open_regular(path, what, error) as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > HEADER_LIMIT:
        raise error(f"{path} must be {what} with a header of at most {HEADER_LIMIT:,} bytes, not {length:,}")
    if os.fsencode(path).decode("utf-8", "replace") != str(path):
        raise error(f"{shown(path)} must have a name in UTF-8, which the library for such files needs")
    with reading(path, what, error):
        return safe_open(path, framework=framework)
