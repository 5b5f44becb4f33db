"""The tables of the pointwise unit, one definition for the golden model and the RTL.

Each table is int32[segments + 1]: function values at segment borders, rounded to nearest; between borders the unit
interpolates linearly. The widths are those of `docs/numerics.md`. Tables are made from float64 once, at import;
at run time only their integers are used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SIGMOID_INPUT_FRACTION = 11
"""Binary point of the sigmoid and softplus input: |x| < 16 in 15 bits; larger inputs read the last entry."""

SIGMOID_FRACTION = 16
SOFTPLUS_FRACTION = 20
EXP2_FRACTION = 16
ANGLE_FRACTION = 15
"""Binary points of the table outputs."""

SIGMOID_LOW_BITS = 6
EXP2_INDEX_BITS = 10
ANGLE_INDEX_BITS = 9
ANGLE_LOW_BITS = 12
RECIPROCAL_LOW_BITS = 6
ROOT_LOW_BITS = 7
"""Bits interpolated inside a segment, or that select it."""


def _table(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], borders: NDArray[np.float64]
) -> NDArray[np.int32]:
    table = np.rint(function(borders)).astype(np.int32)
    table.setflags(write=False)
    return table


def _grid(segments: int) -> NDArray[np.float64]:
    return np.arange(segments + 1, dtype=np.float64)


SIGMOID = _table(lambda x: np.minimum(2.0**SIGMOID_FRACTION / (1 + np.exp(-x / 32)), 2.0**16 - 1), _grid(512))
"""σ(x) for 0 ≤ x ≤ 16 in segments of 1/32; σ(−x) = 1 − σ(x)."""

SOFTPLUS = _table(lambda x: 2.0**SOFTPLUS_FRACTION * np.log1p(np.exp(-x / 32)), _grid(512))
"""ln(1 + e^−x) for 0 ≤ x ≤ 16 in segments of 1/32; softplus(x) = max(x, 0) + that of |x|."""

EXP2 = _table(lambda x: 2.0**EXP2_FRACTION * np.exp2(-x / 1024), _grid(1024))
"""2^−x for 0 ≤ x ≤ 1 in segments of 1/1024."""

SINE = _table(lambda x: (2.0**ANGLE_FRACTION - 1) * np.sin(x * np.pi / 1024), _grid(512))
"""sin of the first quarter turn in segments of 1/2048 turn."""

RECIPROCAL = _table(lambda x: 2.0**31 / (2.0**15 + 64 * x), _grid(512))
"""2^31 / m for a mantissa 2^15 ≤ m ≤ 2^16 in segments of 64."""

INVERSE_ROOT = _table(lambda x: 2.0**24 / np.sqrt(2.0**15 + 128 * x), _grid(768))
"""2^24 / √m for 2^15 ≤ m ≤ 2^17 in segments of 128."""
