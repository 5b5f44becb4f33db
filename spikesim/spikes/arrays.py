"""Taking numpy arrays and torch tensors alike, without importing torch for those who do not use it."""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError

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
    if is_tensor(values):
        if values.is_floating_point() or values.is_complex():
            raise CodingError(f"{thing} must be integers, not {values.dtype}")
        array: NDArray[Any] = values.detach().cpu().numpy()
    else:
        array = np.asarray(values)
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype.kind not in "iu":
        raise CodingError(f"{thing} must be integers, not {array.dtype}")
    if array.dtype.itemsize == 8 and array.size:
        largest = max(-int(array.min()), int(array.max()))
        if largest >= 1 << MAX_BITS:
            raise CodingError(f"{thing} must be smaller than 2^{MAX_BITS} in magnitude, not {largest}")
    return array
