"""The codings by name, and the one definition of the digits that a coding gives an integer.

Everything faster (the packed encoder, the event counters) is tested against `digits`. A *plane* p counts from the
least significant digit; a *step* t of a spike train runs the other way round, most significant first, so that
t = T − 1 − p in the weighted codings. Source: `docs/dssa.md` 6.2; signed digit: the non-adjacent form.
"""

from __future__ import annotations

from typing import Any, Final, Literal, SupportsIndex, get_args

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError
from spikesim.spikes.arrays import MAX_BITS, checked_integer, integer_array, room
from spikesim.support.shown import shown

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


def checked_coding(coding: object) -> Coding:
    """The coding itself, or CodingError if there is none of this name."""
    for known in CODINGS:
        if isinstance(coding, str) and coding == known:
            return known
    raise CodingError(f"coding must be one of {', '.join(CODINGS)}, not {shown(coding)}")


def checked_steps(steps: SupportsIndex, coding: Coding, thing: str = "steps") -> int:
    """Time steps, or by another name planes, as an integer.

    At least 1, or 0 in the count codings; at most what the coding takes for the integers that there are, of 62 bits.
    """
    what, most = f"{thing} of the {coding} coding", most_steps(coding)
    if coding not in COUNT_CODINGS:
        return checked_integer(steps, what, 1, most, f"in 1 … {most}")
    return checked_integer(
        checked_integer(steps, what, 0, None, "0 or more"), what, 0, most, f"below 2^{MAX_BITS}"
    )


def most_steps(coding: Coding) -> int:
    """Steps that the coding takes for the largest integer.

    >>> most_steps("bitwise"), most_steps("signed_digit")
    (62, 63)
    """
    return steps_for((1 << MAX_BITS) - 1, coding)


def plane_weights(coding: str, planes: int) -> NDArray[np.int64]:
    """int64[planes]: what an event of sign +1 in plane p adds: 1 in the count codings, else 2^p.

    Raises CodingError for more planes than the coding can have, or than there is memory for.

    >>> plane_weights("bitwise", 4).tolist()
    [1, 2, 4, 8]
    """
    coding = checked_coding(coding)
    planes = checked_steps(planes, coding, "planes")
    if coding in COUNT_CODINGS:
        return room((planes,), np.int64, "the weight of every plane") + 1
    return np.left_shift(np.int64(1), np.arange(planes, dtype=np.int64))


def steps_for(largest: int, coding: str) -> int:
    """Time steps T that a coding takes for integers of magnitude up to `largest` (the table in `spikes/encode.py`).

    The rule of two's complement looks at the magnitude only, so that −128 gets nine steps.

    >>> [steps_for(127, coding) for coding in CODINGS]
    [127, 127, 7, 7, 8, 8]
    """
    coding = checked_coding(coding)
    largest = checked_integer(
        largest, "the largest magnitude", 0, (1 << MAX_BITS) - 1, f"in 0 … 2^{MAX_BITS} − 1"
    )
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

    Raises CodingError for an unknown coding, non-integers, negative counts in an unsigned coding, or more planes than
    the coding can have or than there is memory for.

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
    planes = checked_steps(INT8_PLANES[coding] if planes is None else planes, coding, "planes")
    values = integer_array(counts).astype(np.int64)
    if coding in UNSIGNED_CODINGS and values.size and values.min() < 0:
        raise CodingError(f"counts of the {coding} coding must be 0 or more, not {values.min()}")
    out = room((planes, *values.shape), np.int8, "a byte per digit")
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
