"""Rounding, saturation and packed scalars: the integer primitives of every pointwise instruction.

Compiled for use inside other compiled loops. Sources: `docs/numerics.md`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.program.scalar import LOWEST_EXPONENT
from spikesim.spikes.intrinsics import leading_zeros
from spikesim.support.jit import Int, jit

Rounding = tuple[Int, Int, Int, Int, Int]
"""Largest magnitude, places to the left, to the right, what is added before, and the bit that tells odd from even."""


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
    return rounded(value, rounding(shift))


@jit()
def rounding(shift: Int) -> Rounding:
    """What `rounded` does to every value that is shifted by `shift` places: worked out once for a run of them."""
    if shift <= 0:
        return np.int64(2**31), np.int64(min(-shift, 31)), np.int64(0), np.int64(0), np.int64(0)
    if shift > 62:
        return np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    half = np.int64(1) << np.int64(shift - 1)
    return np.int64(2**62), np.int64(0), np.int64(shift), half - 1, np.int64(1)


@jit()
def rounded(value: Int, how: Rounding) -> Int:
    """`round_shift` without branches, so that loops over it are vectorised.

    All but one of half a unit is added, and that one as well if it makes a tie even.
    """
    ceiling, left, right, below, odd = how
    moved = saturate(value, ceiling) << left
    return (moved + below + ((moved >> right) & odd)) >> right


@jit()
def pack_scalar(value: Int, exponent: Int) -> Int:
    """value ≥ 0 times 2^exponent as a packed scalar word: normalised, mantissa rounded half to even.

    Below 2^(LOWEST_EXPONENT + 15) it underflows to zero.
    """
    if value == 0:
        return np.int64(0)
    width = 64 - leading_zeros(np.uint64(value))
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
