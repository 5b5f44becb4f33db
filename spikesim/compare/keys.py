"""`data_digest`: numbers as a part of a key in the cache."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def data_digest(*data: NDArray[Any] | list[int]) -> str:
    """Of the shapes, types and values of arrays, and of lists of integers of any size."""
    digest = hashlib.sha256()
    for part in data:
        if isinstance(part, list):
            digest.update(repr(part).encode())
        else:
            digest.update(repr((part.shape, part.dtype)).encode())
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
