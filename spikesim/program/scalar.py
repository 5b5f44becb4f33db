"""Packed scalars: one 32-bit word that holds a positive block-floating number.

A scalar is `mantissa · 2^exponent`, the mantissa normalised to [2^15, 2^16), or zero. The word is
`exponent · 2^16 + mantissa`, the exponent a signed 16-bit number; zero is the word 0. Thresholds, norms and decay
factors are scalars: one per token, or one per token and head.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import NumericError
from spikesim.program import Constant

MANTISSA_BITS = 16

LOWEST_EXPONENT = -1024
"""Smaller scalars underflow to zero: e^g of an extreme decay, the softmax weight of a hopeless key."""

FULL_FACTOR = (-16) * 65536 + 65535
"""The decay factor G of an empty state: the packed scalar just below 1."""


def constant(value: float) -> Constant:
    """The scalar nearest to `value` > 0. Raises NumericError for zero, negative, infinite or NaN values.

    >>> constant(1.0)
    Constant(mantissa=32768, exponent=-15)
    """
    if not (math.isfinite(value) and value > 0):
        raise NumericError(f"a scalar constant must be positive and finite, not {value}")
    fraction, exponent = math.frexp(value)
    mantissa = round(fraction * 2**MANTISSA_BITS)
    if mantissa == 2**MANTISSA_BITS:
        mantissa, exponent = mantissa // 2, exponent + 1
    return Constant(mantissa=mantissa, exponent=exponent - MANTISSA_BITS)


def unpack(words: NDArray[np.int32]) -> NDArray[np.float64]:
    """words: int32[...] packed scalars -> float64[...] their values, for people and reports, never for the model."""
    powers: NDArray[np.float64] = np.exp2((words >> MANTISSA_BITS).astype(np.float64))
    return (words & 0xFFFF) * powers


def pack(value: Constant) -> int:
    """The word of a constant, as the vector memory holds it."""
    return (value.exponent << MANTISSA_BITS) + value.mantissa
