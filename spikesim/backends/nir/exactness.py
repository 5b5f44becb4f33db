"""Which float holds every number that a tool forms while it adds up a matrix gather.

With planes least significant first, the potential after plane t is u(t) · 2^(T−1−t), where u(t) = Σ_{p ≤ t} 2^p · S(p)
is an integer and S(p) the product of the weights and the digits of plane p. Powers of two cost a float nothing. So a
step is exact if the float holds the integers in it: 2^t · S(t), u(t), and 2^t · S(t) − u(t−1) where a tool subtracts.
Each is Σ over channels of a weight times a number that only the count of the channel decides; its magnitude is at most
Σ|weight| of the row times the largest such number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.nir.targets import NIRTarget
from spikesim.errors import CapacityError, CodingError
from spikesim.program import COUNT_LIMIT
from spikesim.spikes.digits import digits, plane_weights

PlaneCoding = Literal["signed_digit", "bitwise", "twos_complement"]
"""Codings of signed counts whose planes weigh powers of two, which a leak of one half can add up."""

PLANE_CODINGS: tuple[PlaneCoding, ...] = get_args(PlaneCoding)

FloatBits = Literal[32, 64]

FLOATS: dict[FloatBits, int] = {32: 2**24, 64: 2**53}
"""Bits of a float, and the magnitude up to which it holds every integer (IEEE 754)."""


def checked_plane_coding(coding: str) -> PlaneCoding:
    """The coding itself. Raises CodingError for one whose planes do not weigh powers of two.

    >>> checked_plane_coding("bitwise")
    'bitwise'
    """
    for known in PLANE_CODINGS:
        if coding == known:
            return known
    raise CodingError(
        f"coding of NIR graphs must be one of {', '.join(PLANE_CODINGS)}, whose planes neurons can add up by halving"
        f" their potential, not {coding}"
    )


@dataclass(frozen=True, kw_only=True)
class Exactness:
    """`row_sum`: largest Σ|weight| of a row. `growth`: largest magnitude that a count of ±127 puts before a weight.

    `largest`: their product, which no integer of a step exceeds. `float_bits`: of the narrowest float that holds it.
    """

    row_sum: int
    growth: int
    largest: int
    float_bits: FloatBits


def growth(target: NIRTarget, coding: PlaneCoding, planes: int) -> int:
    """Largest number by which a weight is multiplied in any step of any count in ±127, found by trying them all.

    >>> from spikesim.backends.nir.targets import TARGETS
    >>> [growth(TARGETS["norse"], "signed_digit", 8), growth(TARGETS["snntorch"], "signed_digit", 8)]
    [170, 128]
    """
    counts = np.arange(-COUNT_LIMIT, COUNT_LIMIT + 1)
    added = digits(counts, coding, planes) * plane_weights(coding, planes)[:, None]
    after = added.cumsum(axis=0)
    formed = [added, after]
    if target.subtracts:
        formed.append(added - (after - added))
    return max(int(np.abs(numbers).max()) for numbers in formed)


def exactness(
    matrix: NDArray[np.int8], target: NIRTarget, coding: PlaneCoding, planes: int, name: str = "matrix"
) -> Exactness:
    """matrix: int8[outputs, channels] -> the bound of every integer that is formed, and the float that holds it.

    Raises CapacityError, with `name` in it, if not even 64 bits do.
    """
    # Rows are summed in 64 bits and without a wide copy of the matrix.
    sums = [int(np.abs(row.astype(np.int64)).sum()) for row in matrix]
    row_sum, factor = max(sums, default=0), growth(target, coding, planes)
    largest = row_sum * factor
    for bits, limit in FLOATS.items():
        if largest <= limit:
            return Exactness(row_sum=row_sum, growth=factor, largest=largest, float_bits=bits)
    raise CapacityError(f"sums of {name} must be at most 2^53 to be exact in 64-bit floats, not {largest}")
