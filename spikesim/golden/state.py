"""The SSE state: INT16 rows with one lazily applied decay factor per head.

`S_true = G · S_stored`: a decay multiplies G, and only when G falls below ½ are the stored rows shifted. A
state that a token does not select is not touched at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.golden.arithmetic import exponent_of, mantissa_of, pack_scalar, rounded, rounding
from spikesim.program import StateSpec
from spikesim.program.scalar import FULL_FACTOR
from spikesim.spikes.intrinsics import run_of
from spikesim.support.jit import Int, jit

_LARGEST_SHIFT = 16


class State:
    """`rows`: int16[sequences, copies, heads, size, size]; `factors`: int32[sequences, copies, heads], packed scalars.

    `overflows` counts words that wrapped: a state width that was calibrated too narrow.
    """

    def __init__(self, spec: StateSpec, sequences: int) -> None:
        shape = (sequences, spec.copies, spec.heads)
        self.rows = np.zeros((*shape, spec.size, spec.size), np.int16)
        self.factors = np.full(shape, FULL_FACTOR, np.int32)
        self.overflows = 0

    def gather(self, dst: NDArray[np.int32], counts: NDArray[np.int32], copy: NDArray[np.int64]) -> None:
        """dst[b, h, :] = Σ_i counts[b, h, i] · rows[b, copy[b], h, i, :]."""
        _gather(dst, counts, self._flat(), copy)

    def scatter(
        self, counts: NDArray[np.int32], update: NDArray[np.int32], shift: int, copy: NDArray[np.int64]
    ) -> tuple[int, int]:
        """rows[b, copy[b], h, i, :] += round(counts[b, h, i] · update[b, h, :] / 2^shift), halves to even.

        Returns how many words it wrote, and how many of them wrapped.
        """
        wrapped = _scatter(counts, update, shift, self._flat(), copy)
        self.overflows += wrapped
        return int(np.count_nonzero(counts)) * self.rows.shape[-1], wrapped

    def decay(
        self,
        dst: NDArray[np.int32],
        shifts: NDArray[np.int32],
        factor: NDArray[np.int32],
        copy: NDArray[np.int64],
    ) -> None:
        """G ← G · factor; `dst` gets the new G and `shifts` the right shift applied to the rows, 0 mostly."""
        _decay(dst, shifts, factor, self.rows, self.factors, copy)

    def _flat(self) -> NDArray[np.int16]:
        """int16[sequences · copies, heads · size, size]: the same rows."""
        sequences, copies, heads, size, _ = self.rows.shape
        return self.rows.reshape(sequences * copies, heads * size, size)


# Rows and lines adjoin, which the compiler must know: only then are the loops along them vectorised.


@jit("void(int32[:,:,:], int32[:,:,:], int16[:,:,::1], int64[:])")
def _gather(dst: Any, counts: Any, rows: Any, copy: Any) -> None:
    size, copies = rows.shape[2], rows.shape[0] // counts.shape[0]
    sums = np.empty((1, 1, size), np.int32)
    for b in range(counts.shape[0]):
        for h in range(counts.shape[1]):
            line = run_of(sums, 0, 0)
            line[:] = 0
            for i in range(counts.shape[2]):
                count = np.int32(counts[b, h, i])
                if count:
                    row = run_of(rows, b * copies + copy[b], h * size + i)
                    for j in range(size):
                        line[j] += count * np.int32(row[j])
            for j in range(size):
                dst[b, h, j] = line[j]


@jit("int64(int32[:,:,:], int32[:,:,:], int64, int16[:,:,::1], int64[:])")
def _scatter(counts: Any, update: Any, shift: Int, rows: Any, copy: Any) -> Int:
    size, copies = rows.shape[2], rows.shape[0] // counts.shape[0]
    how = rounding(shift)
    words = np.empty((1, 1, size), np.int32)
    overflows = np.int64(0)
    for b in range(counts.shape[0]):
        for h in range(counts.shape[1]):
            line = run_of(words, 0, 0)
            for j in range(size):
                line[j] = update[b, h, j]
            for i in range(counts.shape[2]):
                count = np.int32(counts[b, h, i])
                if count:
                    row = run_of(rows, b * copies + copy[b], h * size + i)
                    wraps = np.int32(0)
                    for j in range(size):
                        exact = np.int32(row[j]) + rounded(count * line[j], how)
                        wrapped = np.int16(exact)
                        wraps += np.int32(wrapped) != exact
                        row[j] = wrapped
                    overflows += wraps
    return overflows


@jit("void(int32[:,:], int32[:,:], int32[:,:], int16[:,:,:,:,::1], int32[:,:,:], int64[:])")
def _decay(dst: Any, shifts: Any, factor: Any, rows: Any, factors: Any, copy: Any) -> None:
    for b in range(factor.shape[0]):
        for h in range(factor.shape[1]):
            old = factors[b, copy[b], h]
            word = pack_scalar(
                mantissa_of(old) * mantissa_of(factor[b, h]), exponent_of(old) + exponent_of(factor[b, h])
            )
            shift = _LARGEST_SHIFT
            if mantissa_of(word):
                shift = max(min(-16 - exponent_of(word), _LARGEST_SHIFT), 0)
            new = -16 * 65536 + (mantissa_of(word) if mantissa_of(word) else 32768)
            if shift:
                how = rounding(shift)
                state = rows[b, copy[b], h].reshape(-1)
                for j in range(state.size):
                    state[j] = rounded(state[j], how)
            factors[b, copy[b], h] = new
            dst[b, h] = new
            shifts[b, h] = shift
