"""Words whose bit s belongs to stream s, of 64 streams: from and to numbers, transposed, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import ToolError
from spikesim.support.jit import Int, jit

Words = NDArray[np.uint64]

STREAMS = 64
ALL_STREAMS = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def _popcount(_context: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.trunc(builder.ctpop(arguments[0]), ir.IntType(32))

    return types.int32(types.uint64), generate


popcount = cast(Callable[[np.uint64], int], intrinsic(_popcount))
"""popcount(word: uint64) -> int32: how many bits are set; for compiled functions alone."""


def pack(values: ArrayLike, width: int) -> Words:
    """uint64[…, width]: bit s of word b is bit b of values[…, s]; `values`: integers[…, STREAMS], as two's complement.

    Raises ToolError: there are not 64 streams, or the width is not 1 … 64.

    >>> words = pack(np.arange(64)[None], 6)
    >>> words.shape, hex(words[0, 5])
    ((1, 6), '0xffffffff00000000')
    """
    numbers = np.asarray(values)
    if numbers.ndim == 0 or numbers.shape[-1] != STREAMS or numbers.dtype.kind not in "iub":
        raise ToolError(f"values must be integers of {STREAMS} streams, the last axis, not {numbers.shape}")
    if not 1 <= width <= STREAMS:
        raise ToolError(f"values must have 1 … 64 bits, not {width}")
    flat = np.ascontiguousarray(numbers.reshape(-1, STREAMS).astype(np.uint64))
    words = np.empty((flat.shape[0], width), np.uint64)
    _transpose_rows(flat, words)
    return words.reshape(*numbers.shape[:-1], width)


def unpack(words: Words) -> NDArray[np.uint64]:
    """uint64[…, STREAMS]: the inverse of `pack`, of at most 64 bits."""
    if words.ndim == 0 or words.dtype != np.uint64 or not 1 <= words.shape[-1] <= STREAMS:
        raise ToolError(
            f"words must be uint64 of 1 … 64 bits, the last axis, not {words.dtype} {words.shape}"
        )
    flat = np.ascontiguousarray(words.reshape(-1, words.shape[-1]))
    values = np.empty((flat.shape[0], STREAMS), np.uint64)
    _transpose_rows(flat, values)
    return values.reshape(*words.shape[:-1], STREAMS)


@jit()
def _transpose_rows(source: Words, target: Words) -> None:  # pragma: no cover (compiled)
    square = np.empty(64, np.uint64)
    for i in range(source.shape[0]):
        square[:] = np.uint64(0)
        square[: source.shape[1]] = source[i]
        transpose(square)
        target[i] = square[: target.shape[1]]


@jit()
def transpose(square: Words) -> None:  # pragma: no cover (compiled)
    """square: uint64[64], in place: bit s of word b changes places with bit b of word s."""
    step = 32
    mask = np.uint64(0xFFFF_FFFF)
    while step:
        shift = np.uint64(step)
        for base in range(0, 64, 2 * step):
            low, high = square[base : base + step], square[base + step : base + 2 * step]
            for k in range(step):
                differ = ((low[k] >> shift) ^ high[k]) & mask
                low[k] ^= differ << shift
                high[k] ^= differ
        step >>= 1
        mask ^= mask << np.uint64(step)


def word_of(value: Int) -> np.uint64:
    """The word that holds a bit in all streams."""
    return ALL_STREAMS if value else np.uint64(0)
