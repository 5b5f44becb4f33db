"""Rounding, saturation and packed scalars: the integer primitives of every pointwise instruction.

Compiled for use inside other compiled loops. Sources: `docs/numerics.md`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.program.scalar import LOWEST_EXPONENT
from spikesim.support.jit import Int, jit


@jit()
def saturate(value: Int, limit: Int) -> Int:
    """value clamped to −limit … limit."""
    return min(max(np.int64(value), -np.int64(limit)), np.int64(limit))


@jit()
def round_shift(value: Int, shift: Int) -> Int:
    """round(value / 2^shift), halves to even, for |value| < 2^62.

    A negative shift is a left shift. It first clamps the value to ±2^31: every result is saturated to a word or less
    afterwards, so that this only keeps the shifter from overflowing.
    """
    if shift <= 0:
        return saturate(value, 2**31) << np.int64(min(-shift, 31))
    if shift > 62:
        return np.int64(0)
    quotient = np.int64(value) >> np.int64(shift)
    rest = np.int64(value) - (quotient << np.int64(shift))
    half = np.int64(1) << np.int64(shift - 1)
    if rest > half or (rest == half and (quotient & 1)):
        quotient += 1
    return quotient


@jit()
def pack_scalar(value: Int, exponent: Int) -> Int:
    """value ≥ 0 times 2^exponent as a packed scalar word: normalised, mantissa rounded half to even.

    Below 2^(LOWEST_EXPONENT + 15) it underflows to zero.
    """
    if value == 0:
        return np.int64(0)
    width = 0
    rest = np.int64(value)
    while rest > 0:
        rest >>= 1
        width += 1
    mantissa = round_shift(value, width - 16)
    exponent += width - 16
    if mantissa == 65536:
        mantissa = np.int64(32768)
        exponent += 1
    if exponent < LOWEST_EXPONENT:
        return np.int64(0)
    return exponent * 65536 + mantissa


@jit()
def mantissa_of(word: Int) -> Int:
    """The mantissa of a packed scalar, 0 or 2^15 … 2^16 − 1."""
    return np.int64(word) & np.int64(0xFFFF)


@jit()
def exponent_of(word: Int) -> Int:
    """The exponent of a packed scalar, signed."""
    return np.int64(word) >> np.int64(16)


@jit()
def interpolate(table: NDArray[np.int32], position: Int, low_bits: Int) -> Int:
    """table[position / 2^low_bits], linear between entries, the step rounded half to even."""
    index = np.int64(position) >> np.int64(low_bits)
    low = np.int64(position) & ((np.int64(1) << np.int64(low_bits)) - 1)
    base = np.int64(table[index])
    if low == 0:
        return base
    return base + round_shift((np.int64(table[index + 1]) - base) * low, low_bits)
