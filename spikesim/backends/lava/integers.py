"""Integer primitives of the neuron microcode: rounding, saturation, packed scalars, tables; all over int64 arrays.

Formats and rules are those of `docs/numerics.md`; nothing here comes from the golden model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.program import tables
from spikesim.program.scalar import LOWEST_EXPONENT

Integers = NDArray[np.int64]

_LARGEST_SHIFT = 62
"""A longer right shift leaves nothing."""
_CLAMP = 2**31
"""What is shifted left is clamped to this before, since the result saturates to a word anyway."""


def saturate(value: Any, limit: int) -> Integers:
    """Clamp to ±limit."""
    clamped: Integers = np.clip(value, -limit, limit)
    return clamped


def round_shift(value: Any, shift: Any) -> Integers:
    """round(value / 2^shift), halves to even, elementwise; a negative shift is a left shift of at most 31.

    >>> [int(round_shift(value, 1)) for value in (1, 3, 5, -1, -3)]
    [0, 2, 2, 0, -2]
    """
    value, shift = np.asarray(value, np.int64), np.asarray(shift, np.int64)
    places = np.clip(shift, 1, _LARGEST_SHIFT)
    quotient = value >> places
    rest = value - (quotient << places)
    half = np.int64(1) << (places - 1)
    nearest = quotient + ((rest > half) | ((rest == half) & (quotient & 1 == 1)))
    left = np.clip(value, -_CLAMP, _CLAMP) << np.clip(-shift, 0, 31)
    return np.where(shift > _LARGEST_SHIFT, 0, np.where(shift > 0, nearest, left))


def mantissa(word: Integers) -> Integers:
    """The mantissa of packed scalars: 0, or 2^15 … 2^16 − 1."""
    return word & 0xFFFF


def exponent(word: Integers) -> Integers:
    """The signed exponent of packed scalars."""
    return word >> 16


def bit_length(value: Integers) -> Integers:
    """Bits of value ≥ 0.

    >>> bit_length(np.int64([0, 1, 2**31, 2**62 - 1])).tolist()
    [0, 1, 32, 62]
    """
    high = value >> 32
    # Either half is below 2^32, which a float holds exactly.
    bits = np.where(
        high > 0, 32 + np.frexp(high.astype(np.float64))[1], np.frexp((value & 0xFFFFFFFF) * 1.0)[1]
    )
    return bits.astype(np.int64)


def pack(value: Integers, power: Any) -> Integers:
    """value · 2^power, value ≥ 0, as packed scalars: mantissa rounded half to even, zero below 2^-1009."""
    value = np.asarray(value, np.int64)
    places = bit_length(value) - 16
    m, e = round_shift(value, places), power + places
    carry = m == 1 << 16
    m, e = np.where(carry, 1 << 15, m), e + carry
    return np.where((value == 0) | (e < LOWEST_EXPONENT), 0, e * 65536 + m)


def interpolate(table: NDArray[np.int32], place: Integers, low_bits: int) -> Integers:
    """table[place / 2^low_bits], linear between entries, the step rounded half to even."""
    index = place >> low_bits
    low = place & ((1 << low_bits) - 1)
    base = table[index].astype(np.int64)
    following = table[np.minimum(index + 1, table.size - 1)].astype(np.int64)
    result: Integers = base + round_shift((following - base) * low, low_bits)
    return result


def power_of_two(steps: Integers, fraction: int) -> Integers:
    """2^(−steps / 2^fraction), steps ≥ 0, as packed scalars; fraction ≥ 10."""
    whole = steps >> fraction
    rest = steps - (whole << fraction)
    value = interpolate(tables.EXP2, rest, fraction - tables.EXP2_INDEX_BITS)
    return pack(value, -tables.EXP2_FRACTION - whole)
