"""Exact integer matrix products, the outside truth of every gather.

`torch` multiplies INT8 matrices several times faster than float32 ones, and exactly where the processor has
dot-product instructions; elsewhere its kernels saturate sums of pairs to 16 bits. There, and where an operand is no
INT8 matrix, products are carried through float32 matrix multiplication in blocks that provably stay below 2^24, where
float32 holds every integer; the blocks are summed in int32.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

EXACT_LIMIT = 2**24
"""float32 holds every integer up to this magnitude."""

_OUTPUT_BLOCK = 256
_INT8_MAGNITUDE = 128


def product(counts: NDArray[np.int32], matrix: NDArray[np.int8]) -> NDArray[np.int32]:
    """counts: int32[batch, channels] in ±127, matrix: int8[outputs, channels] -> int32[batch, outputs]."""
    # torch takes the transpose of a single column for a row.
    if counts.shape[1] > 1 and int8_is_exact():
        return _int8_product(torch.from_numpy(counts.astype(np.int8)), torch.from_numpy(matrix)).numpy()
    return float32_product(counts, matrix)


@cache
def int8_is_exact() -> bool:
    """Whether INT8 products are exact on this processor: whether the largest pairs, which may saturate, come out whole.

    Asked of the kernels themselves, one row and many: which of them run is also up to environment variables.
    """
    channels = 256
    largest = torch.full((64, channels), 127, dtype=torch.int8)
    return all(
        bool((_int8_product(largest[:batch], weight * largest.sign()) == 127 * weight * channels).all())
        for batch in (1, 64)
        for weight in (127, -_INT8_MAGNITUDE)
    )


def _int8_product(counts: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """counts: int8[batch, channels], matrix: int8[outputs, channels] -> int32[batch, outputs].

    There is no public name for it; the version of torch is pinned.
    """
    return torch._int_mm(counts, matrix.t())


def float32_product(counts: NDArray[np.int32], matrix: NDArray[np.int8]) -> NDArray[np.int32]:
    """`product` on any processor.

    Weights are widened a block of outputs at a time, so that the float copy stays in cache.
    """
    batch, channels = counts.shape
    result = np.empty((batch, matrix.shape[0]), np.int32)
    integers = torch.from_numpy(np.ascontiguousarray(counts))
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


def _span(counts: torch.Tensor) -> int:
    """Channels whose products with INT8 values certainly sum to less than `EXACT_LIMIT`."""
    largest = int(counts.abs().max()) if counts.numel() else 0
    return EXACT_LIMIT // (max(largest, 1) * _INT8_MAGNITUDE)
