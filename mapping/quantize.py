"""Symmetric INT8 weights, one scale per output channel, and integer mantissas for vectors of real constants."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.errors import NumericError

WEIGHT_LIMIT = 127
MANTISSA_LIMIT = 2**16 - 1


def quantize_rows(weight: torch.Tensor) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """weight: float[outputs, channels] -> int8[outputs, channels] in ±127, float64[outputs]: w ≈ int · scale.

    scale = max|row| / 127; the quotient is taken and rounded (half to even) in float32, as `docs/dssa.md` 6.1 asks.
    A row of zeros gets scale 0. Works through blocks of rows, so that no second float copy of a large matrix exists.
    """
    outputs = weight.shape[0]
    integers = np.empty(tuple(weight.shape), np.int8)
    scales = np.empty(outputs, np.float64)
    block = max(1, 2**22 // max(1, weight.shape[1]))
    for first in range(0, outputs, block):
        rows = weight[first : first + block].to(torch.float32)
        peak = rows.abs().amax(dim=1, keepdim=True)
        scale = peak / WEIGHT_LIMIT
        safe = torch.where(scale > 0, scale, torch.ones_like(scale))
        integers[first : first + block] = (
            torch.round(rows / safe).clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT).to(torch.int8).numpy()
        )
        scales[first : first + block] = scale[:, 0].double().numpy()
    return integers, scales


def mantissas(values: NDArray[np.float64]) -> tuple[NDArray[np.int32], int]:
    """values: float64[n] -> int32[n] in ±(2^16 − 1) and the binary point they share; the largest uses all 16 bits.

    Raises NumericError for values that are not finite.

    >>> mantissas(np.array([1.0, -0.25]))
    (array([32768, -8192], dtype=int32), 15)
    """
    if not np.isfinite(values).all():
        raise NumericError("constants must be finite")
    peak = float(np.abs(values).max()) if values.size else 0.0
    if peak == 0:
        return np.zeros(values.shape, np.int32), 0
    fraction = 15 - math.floor(math.log2(peak))
    integers = np.rint(np.ldexp(values, fraction))
    if np.abs(integers).max() > MANTISSA_LIMIT:
        fraction -= 1
        integers = np.rint(np.ldexp(values, fraction))
    return integers.astype(np.int32), fraction
