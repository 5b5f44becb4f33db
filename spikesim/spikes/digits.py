"""The codings by name, and the one definition of the digits that a coding gives an integer.

Everything faster (the packed encoder, the event counters) is tested against `digits`. A *plane* p counts from the
least significant digit; a *step* t of a spike train runs the other way round, most significant first, so that
t = T − 1 − p in the weighted codings. Source: `docs/dssa.md` 6.2; signed digit: the non-adjacent form.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError
from spikesim.spikes.arrays import integer_array

Coding = Literal["binary", "ternary", "bitwise_unsigned", "bitwise", "twos_complement", "signed_digit"]

CODINGS: Final[tuple[Coding, ...]] = get_args(Coding)

COUNT_CODINGS: Final[frozenset[Coding]] = frozenset({"binary", "ternary"})
"""All spikes weigh one; the number of spikes is the value."""

UNSIGNED_CODINGS: Final[frozenset[Coding]] = frozenset({"binary", "bitwise_unsigned"})
"""Only integers ≥ 0 are legal."""

INT8_PLANES: Final[dict[Coding, int]] = {
    "binary": 127,
    "ternary": 127,
    "bitwise_unsigned": 8,  # the unsigned operand of the hardware is UINT8, a softmax weight
    "bitwise": 7,
    "twos_complement": 8,
    "signed_digit": 8,
}
"""Planes that hold every integer of the hardware's range: −127 … 127, or 0 … 255 for bitwise_unsigned."""


def checked_coding(coding: str) -> Coding:
    """The coding itself, or CodingError if there is none of this name."""
    for known in CODINGS:
        if coding == known:
            return known
    raise CodingError(f"coding must be one of {', '.join(CODINGS)}, not {coding!r}")


def plane_weights(coding: str, planes: int) -> NDArray[np.int64]:
    """int64[planes]: what an event of sign +1 in plane p adds: 1 in the count codings, else 2^p (planes ≤ 62).

    >>> plane_weights("bitwise", 4).tolist()
    [1, 2, 4, 8]
    """
    if checked_coding(coding) in COUNT_CODINGS:
        return np.ones(planes, np.int64)
    return np.left_shift(np.int64(1), np.arange(planes, dtype=np.int64))


def steps_for(largest: int, coding: str) -> int:
    """Time steps T that a coding takes for integers of magnitude up to `largest` (the table in `spikes/encode.py`).

    The rule of two's complement looks at the magnitude only, so that −128 gets nine steps.

    >>> [steps_for(127, coding) for coding in CODINGS]
    [127, 127, 7, 7, 8, 8]
    """
    coding = checked_coding(coding)
    if coding in COUNT_CODINGS:
        return largest
    if coding == "twos_complement":
        return max(2, largest.bit_length() + 1)
    if coding == "signed_digit":
        return max(1, (3 * largest // 2).bit_length())
    return max(1, largest.bit_length())


def encoder_planes(limit: int, coding: str) -> int:
    """Planes in which the core's encoder can send counts of magnitude up to `limit`, at most 127.

    As few as hold them; but two's complement extends the sign of a count over all planes that there are.

    >>> [encoder_planes(1, coding) for coding in ("ternary", "bitwise", "twos_complement", "signed_digit")]
    [1, 1, 8, 1]
    """
    coding = checked_coding(coding)
    return INT8_PLANES[coding] if coding == "twos_complement" else steps_for(limit, coding)


def digits(counts: Any, coding: str, planes: int | None = None) -> NDArray[np.int8]:
    """counts: integer[...] -> int8[planes, ...], digit p in {−1, 0, 1} of every count, least significant first.

    `planes` defaults to `INT8_PLANES[coding]`. Σ_p plane_weights[p] · digit_p equals the count whenever the planes
    suffice; with fewer, the higher planes are cut off (in two's complement the count is taken modulo 2^planes).
    The top plane of two's complement has the negative sign: its digit is −1. Written for obviousness, not for speed.

    Raises CodingError for an unknown coding, non-integers, or negative counts in an unsigned coding.

    >>> digits([7, -3], "bitwise", 3).T.tolist()
    [[1, 1, 1], [-1, -1, 0]]
    >>> digits([7, -3], "signed_digit", 4).T.tolist()
    [[-1, 0, 0, 1], [1, 0, -1, 0]]
    >>> digits([7, -3], "twos_complement", 4).T.tolist()
    [[1, 1, 1, 0], [1, 0, 1, -1]]
    >>> digits([2, -1], "ternary", 3).T.tolist()
    [[1, 1, 0], [-1, 0, 0]]
    """
    coding = checked_coding(coding)
    planes = INT8_PLANES[coding] if planes is None else planes
    values = integer_array(counts).astype(np.int64)
    if coding in UNSIGNED_CODINGS and values.size and values.min() < 0:
        raise CodingError(f"counts of the {coding} coding must be 0 or more, not {values.min()}")
    out = np.zeros((planes, *values.shape), np.int8)
    sign, magnitude = np.sign(values), np.abs(values)
    for p in range(planes):
        if coding in COUNT_CODINGS:
            out[p] = np.where(p < magnitude, sign, 0)
        elif coding in ("bitwise", "bitwise_unsigned"):
            out[p] = sign * (magnitude >> p & 1)
        elif coding == "twos_complement":
            out[p] = (values >> p & 1) * (-1 if p == planes - 1 else 1)
        else:
            # An odd remainder gets the digit that leaves a multiple of four, so that the next digit is zero.
            odd = values & 1
            digit = odd * (2 - (values & 3))
            out[p] = digit
            values = (values - digit) >> 1
    return out
