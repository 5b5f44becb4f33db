"""What the fields of a spike train must be, so that nothing that reads them leaves an array.

The layout is that of `spikesim.spikes.packing`. Fields of anywhere are checked and copied here; `encode` makes its own.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError
from spikesim.spikes.arrays import MAX_BITS, checked_integer, room
from spikesim.spikes.digits import COUNT_CODINGS, Coding, checked_coding, checked_steps
from spikesim.spikes.packing import FORMS, Form, sign_planes
from spikesim.support.arithmetic import ceil_div
from spikesim.support.shown import shown


class Fields(NamedTuple):
    """Of a `SpikeTrain`."""

    coding: Coding
    shape: tuple[int, ...]
    steps: int
    bits: NDArray[np.uint64]
    signs: NDArray[np.uint64]


def checked_fields(coding: Any, shape: Any, steps: Any, bits: Any, signs: Any) -> Fields:
    """The fields as plain Python numbers and arrays of their own; CodingError if they are no train."""
    name = checked_coding(coding.item() if isinstance(coding, np.ndarray) and coding.ndim == 0 else coding)
    sides, size = _shape(shape)
    number = checked_steps(steps, name)
    words = ceil_div(size, 64)
    rows = number
    if name in COUNT_CODINGS:
        # As many as the largest count has bits.
        rows = min(max(1, len(bits)), MAX_BITS) if isinstance(bits, np.ndarray) and bits.ndim else 1
    planes = _planes(bits, "bits", name, rows, words, size)
    minus = _planes(signs, "signs", name, sign_planes(FORMS[name], rows), words, size)
    if name in COUNT_CODINGS and (largest := _largest(planes)) > number:
        raise CodingError(
            f"counts of a {name} train of {number} steps must be at most {number}, not {largest}"
        )
    if FORMS[name] is Form.SIGNED_DIGIT and (planes[1:] & planes[:-1]).any():
        raise CodingError("of two neighbouring steps of a signed_digit train one must be without a spike")
    # Copied last: what is refused may be larger than memory, by repeating itself.
    return Fields(name, sides, number, _copy(planes), _copy(minus))


def _shape(shape: Any) -> tuple[tuple[int, ...], int]:
    """The sides, and how many elements they make."""
    if not isinstance(shape, tuple | list | np.ndarray) or (
        isinstance(shape, np.ndarray) and shape.ndim != 1
    ):
        raise CodingError(f"shape must be a tuple of integers, not {shown(shape)}")
    sides = tuple(checked_integer(side, "a side of the shape", 0, None, "0 or more") for side in shape)
    try:
        np.broadcast_to(np.int64(0), sides)
    except (ValueError, OverflowError):
        raise CodingError(f"shape must be that of an array, not {shown(sides)}") from None
    return sides, math.prod(sides)


def _planes(value: Any, thing: str, coding: Coding, rows: int, words: int, size: int) -> NDArray[np.uint64]:
    """The value, if it is an array of `rows` planes."""
    rule = f"{thing} of this {coding} train must be uint64[{rows}, {words}]"
    if not isinstance(value, np.ndarray) or np.ma.is_masked(value):
        raise CodingError(f"{rule}, not {shown(value)}")
    array = np.asarray(value)
    if array.dtype != np.uint64 or array.shape != (rows, words):
        raise CodingError(f"{rule}, not {array.dtype}{list(array.shape)}")
    if (used := size % 64) and (array[:, -1] >> np.uint64(used)).any():
        raise CodingError(
            f"{thing} of a train of {size} elements must be 0 in the unused bits of the last word"
        )
    return array


def _copy(planes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    own: NDArray[np.uint64] = room(planes.shape, np.uint64, "the planes of a train")
    own[...] = planes
    return own


def _largest(planes: NDArray[np.uint64]) -> int:
    """The largest of the numbers whose bits the planes hold, most significant first."""
    largest, candidates = 0, ~np.uint64(0)
    for plane in planes:
        among = plane & candidates
        largest *= 2
        if among.any():
            largest, candidates = largest + 1, among
    return largest
