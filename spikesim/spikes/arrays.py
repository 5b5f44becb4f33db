"""Taking numpy arrays, torch tensors and whatever else becomes an array, without importing torch for those who do not.

Whatever an object does when it is asked for its numbers, the caller gets an array that numpy holds, or one sentence.
"""

from __future__ import annotations

import math
import operator
import sys
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikesim.errors import CodingError
from spikesim.support.shown import shown

MAX_BITS: Final = 62
"""Magnitudes of integers are below 2^MAX_BITS."""


def is_tensor(values: object) -> bool:
    """True for a torch tensor. torch is never imported here: whoever holds a tensor has imported it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def integer_array(values: Any, thing: str = "counts") -> NDArray[Any]:
    """values: any integer array, tensor or nested list -> the same integers as a numpy array, without a copy
    where that is possible.

    Raises CodingError if the values are not integers (booleans count as unsigned ones), or of magnitude 2^62 or
    more: one bit less than int64 has leaves room for n + n/2 of the signed-digit coding.

    >>> integer_array([[1, -2]]).tolist()
    [[1, -2]]
    """
    if is_tensor(values) and (values.is_floating_point() or values.is_complex()):
        raise CodingError(f"{thing} must be integers, not {values.dtype}")
    array = _array(values, thing, "integers")
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype.kind not in "iu":
        if array.size == 0 and isinstance(values, list | tuple):
            return array.astype(np.int64)  # for numpy, a list of nothing is one of floats
        raise CodingError(f"{thing} must be integers, not {array.dtype}")
    if array.dtype.itemsize == 8 and array.size:
        largest = max(-int(array.min()), int(array.max()))
        if largest >= 1 << MAX_BITS:
            raise CodingError(f"{thing} must be smaller than 2^{MAX_BITS} in magnitude, not {largest}")
    return array


def real_array(values: Any, thing: str) -> NDArray[Any]:
    """values: any array, tensor or nested list of real numbers -> the same as a numpy array of its own type.

    bfloat16 and narrower tensors, which numpy has no type for, come as float32. Raises CodingError for anything else.
    """
    array = _array(values, thing, "real numbers")
    if array.dtype.kind not in "biuf":
        raise CodingError(f"{thing} must be real numbers, not {array.dtype}")
    return array


def checked_integer(
    value: Any, thing: str, low: int | None = None, high: int | None = None, rule: str = ""
) -> int:
    """The value as an integer from `low` to `high`; else CodingError with the rule in words, such as "1 or more"."""
    try:
        number = int(operator.index(value))  # of True it gives True
    except Exception:  # noqa: BLE001 - a tensor of several numbers raises what torch likes
        raise CodingError(f"{thing} must be an integer, not {shown(value)}") from None
    if (low is not None and number < low) or (high is not None and number > high):
        raise CodingError(f"{thing} must be {rule}, not {shown(number)}")
    return number


def room(shape: tuple[int, ...], dtype: DTypeLike, what: str) -> NDArray[Any]:
    """An array of zeros; CodingError with `what` it is to hold if it is larger than any memory, or than there is."""
    try:
        return np.zeros(shape, dtype)
    except (ValueError, OverflowError, MemoryError):  # numpy raises the first two for what no address reaches
        size = math.prod(shape) * np.dtype(dtype).itemsize
        raise CodingError(f"{what} must fit in memory, not take {shown(size)} bytes") from None


def _array(values: Any, thing: str, what: str) -> NDArray[Any]:
    """What numpy makes of the values; CodingError if it makes nothing of them, or they are masked in part."""
    try:
        if is_tensor(values):
            # numpy knows no floating-point types of less than 32 bits but float16.
            if values.is_floating_point() and values.element_size() < 4:
                values = values.float()
            array: NDArray[Any] = values.numpy(force=True)
        elif np.ma.is_masked(values):
            raise CodingError(f"{thing} must be {what} throughout, not masked in part")
        else:
            array = np.asarray(values)
    except (CodingError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - `__array__` of a foreign type raises what it likes
        raise CodingError(f"{thing} must be an array of {what} ({_first_line(error)})") from None
    return array


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:120] if lines else type(error).__name__
