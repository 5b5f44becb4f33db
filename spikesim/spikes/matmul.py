"""The product of a spike train with a matrix, as the published software computes it: one product per time step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError
from spikesim.spikes.arrays import integer_array
from spikesim.spikes.train import SpikeTrain

_EXACT_FLOAT64 = 1 << 52
"""Up to this magnitude (and its double) integers are exact in float64, whose product is much faster."""


def spike_matmul(train: SpikeTrain, weights: Any) -> NDArray[np.int64]:
    """train of shape [..., inputs], weights: integer[inputs, outputs] -> int64[..., outputs] = Σ_t c_t (s_t W).

    Exact, and equal to `train.decode() @ weights`; c_t are the weights of the steps (`docs/dssa.md` 6.3). For two's
    complement this is the signed reading: the first step counts −2^(T−1).

    Raises CodingError if the shapes do not fit.

    >>> from spikesim.spikes.encode import encode
    >>> spike_matmul(encode([[3, -2]], "signed_digit"), [[10, 1], [1, 10]]).tolist()
    [[28, -17]]
    """
    matrix = integer_array(weights, "weights")
    if matrix.ndim != 2 or not train.shape or train.shape[-1] != matrix.shape[0]:
        raise CodingError(
            f"weights must be of shape [{(train.shape or (0,))[-1]}, outputs], not {matrix.shape}"
        )
    # Spikes are −1, 0 or 1, so no partial sum of a step is larger than the sum of a column's magnitudes.
    largest = np.abs(matrix.astype(np.float64)).sum(axis=0).max(initial=0.0)
    dtype = np.float64 if largest < _EXACT_FLOAT64 else np.int64
    operand = matrix.astype(dtype)
    total = np.zeros((*train.shape[:-1], matrix.shape[1]), np.int64)
    for weight, plane in zip(train.weights, train.planes(), strict=True):
        total += weight * (plane.astype(dtype) @ operand).astype(np.int64)
    return total
