"""The product of a spike train with a matrix: one product per row of its planes, added with their weights."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError
from spikesim.spikes.arrays import integer_array, room
from spikesim.spikes.train import SpikeTrain
from spikesim.support.shown import shown

_EXACT_FLOAT64: Final = 1 << 52
"""Up to this magnitude (and its double) integers are exact in float64, whose product is much faster."""

_MOST: Final = (1 << 63) - 1
"""Largest magnitude of a sum."""


def spike_matmul(train: SpikeTrain, weights: Any) -> NDArray[np.int64]:
    """train of shape [..., inputs], weights: integer[inputs, outputs] -> int64[..., outputs] = Σ_t c_t (s_t W).

    Exact, and equal to `train.decode() @ weights`; c_t are the weights of the steps (`docs/dssa.md` 6.3). For two's
    complement this is the signed reading: the first step counts −2^(T−1).

    Raises CodingError if the shapes do not fit, for weights of magnitude 2^62 or more, and for a sum that is beyond
    ±(2^63 − 1).

    >>> from spikesim.spikes.encode import encode
    >>> spike_matmul(encode([[3, -2]], "signed_digit"), [[10, 1], [1, 10]]).tolist()
    [[28, -17]]
    """
    if not isinstance(train, SpikeTrain):
        raise CodingError(f"train must be a SpikeTrain, not {shown(train)}")
    matrix = integer_array(weights, "weights")
    if matrix.ndim != 2 or not train.shape or train.shape[-1] != matrix.shape[0]:
        raise CodingError(
            f"weights must be of shape [{(train.shape or (0,))[-1]}, outputs], not {matrix.shape}"
        )
    total: NDArray[np.int64] = room((*train.shape[:-1], matrix.shape[1]), np.int64, "the product")
    # Spikes are −1, 0 or 1, so no partial sum of a row is larger than the sum of a column's magnitudes.
    largest = float(np.abs(matrix.astype(np.float64)).sum(axis=0).max(initial=0.0))
    # What a sum of int64 may exceed on the way does no harm as long as the end is in range: they count modulo 2^64.
    if largest * 2.0 ** len(train.bits) > _MOST // 2:
        _check_sums(train, matrix)
    dtype = np.float64 if largest < _EXACT_FLOAT64 else np.int64
    operand = matrix.astype(dtype)
    for row in train.rows():
        total *= 2
        total += (row.astype(dtype) @ operand).astype(np.int64)
    return total


def _check_sums(train: SpikeTrain, matrix: NDArray[Any]) -> None:
    """Raises CodingError if a sum leaves int64, by Python's integers, which have no end."""
    sums = np.asarray(train.decode().astype(object) @ matrix.astype(object))
    for extreme in (np.max(sums, initial=0), np.min(sums, initial=0)):
        if abs(extreme) > _MOST:
            raise CodingError(f"sums of spikes × weights must be within ±(2^63 − 1), not {shown(extreme)}")
