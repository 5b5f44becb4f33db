"""Whole-number arithmetic that Python has no name for."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Whole = TypeVar("Whole", int, NDArray[np.int64])


def ceil_div(a: Whole, b: int) -> Whole:
    """a / b rounded up, for a ≥ 0.

    >>> ceil_div(7, 2), ceil_div(8, 2)
    (4, 4)
    """
    return -(-a // b)
