"""Exact integer matrix products, the outside truth of every gather.

INT8 products are carried through float32 matrix multiplication in blocks that provably stay below 2^24, where float32
holds every integer; the blocks are summed in int32. That is several times faster than integer kernels on CPUs without
dot-product instructions, and exact.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

EXACT_LIMIT = 2**24
"""float32 holds every integer up to this magnitude."""

_OUTPUT_BLOCK = 256
_INT8_MAGNITUDE = 128


def _span(counts: torch.Tensor) -> int:
    """Channels whose products with INT8 values certainly sum to less than `EXACT_LIMIT`."""
    largest = int(counts.abs().max()) if counts.numel() else 0
    return EXACT_LIMIT // (max(largest, 1) * _INT8_MAGNITUDE)


def product(counts: NDArray[np.int32], matrix: NDArray[np.int8]) -> NDArray[np.int32]:
    """counts: int32[batch, channels] in ±127, matrix: int8[outputs, channels] -> int32[batch, outputs].

    Weights are widened a block of outputs at a time, so that the float copy stays in cache.
    """
    batch, channels = counts.shape
    result = np.empty((batch, matrix.shape[0]), np.int32)
    integers = torch.from_numpy(counts)
    span = _span(integers)
    values = integers.to(torch.float32)
    weights = torch.from_numpy(matrix)
    for first in range(0, matrix.shape[0], _OUTPUT_BLOCK):
        block = weights[first : first + _OUTPUT_BLOCK].to(torch.float32)
        columns = result[:, first : first + _OUTPUT_BLOCK]
        columns[...] = torch.nn.functional.linear(values[:, :span], block[:, :span]).numpy()
        for start in range(span, channels, span):
            stop = start + span
            partial = torch.nn.functional.linear(values[:, start:stop], block[:, start:stop])
            columns += partial.to(torch.int32).numpy()
    return result


def batched_product(left: NDArray[np.int32], right: NDArray[np.int8]) -> NDArray[np.int32]:
    """left: int32[..., rows, inner] in ±127, right: int8[..., inner, columns] -> int32[..., rows, columns], exact."""
    inner = left.shape[-1]
    integers = torch.from_numpy(np.ascontiguousarray(left))
    span = _span(integers)
    a = integers.to(torch.float32)
    b = torch.from_numpy(np.ascontiguousarray(right)).to(torch.float32)
    total = torch.zeros((*a.shape[:-1], b.shape[-1]), dtype=torch.int32)
    for start in range(0, inner, span):
        stop = start + span
        total += torch.matmul(a[..., start:stop], b[..., start:stop, :]).to(torch.int32)
    return total.numpy()
