"""Cached keys, values and block means: INT8, one entry per token.

The core keeps only the tokens a layer can still read (a window, or the longest context); the golden model keeps them
all, which changes no value, and reads the part it needs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.program import COUNT_LIMIT, CacheSpec, Pool


class Cache:
    """`keys`, `values`: int8[sequences, heads, tokens, size]; `means`: int8[sequences, heads, blocks, size].

    `block_sum`: int32[sequences, heads, size], keys of the block that is not finished.
    """

    def __init__(self, spec: CacheSpec, sequences: int) -> None:
        shape = (sequences, spec.heads, 0, spec.size)
        self.keys = np.empty(shape, np.int8)
        self.values = np.empty(shape, np.int8)
        self.means = np.empty(shape, np.int8)
        self.block_sum = np.zeros((sequences, spec.heads, spec.size), np.int32)

    def store(self, kind: str, src: NDArray[np.int32]) -> None:
        """src: int32[tokens, sequences, heads, size] in ±127, appended as `keys` or `values`."""
        entries = src.transpose(1, 2, 0, 3).astype(np.int8)
        if kind == "keys":
            self.keys = np.concatenate([self.keys, entries], axis=2)
        else:
            self.values = np.concatenate([self.values, entries], axis=2)

    def repeat(self, other: Cache, tokens: int) -> None:
        """Hold `tokens` keys and values, those of another cache over and over; of none, zeros."""
        for kind in ("keys", "values"):
            known = getattr(other, kind)
            sequences, heads, have, size = known.shape
            if not have:
                known, have = np.zeros((sequences, heads, 1, size), np.int8), 1
            setattr(self, kind, np.ascontiguousarray(known[:, :, np.arange(tokens) % have]))

    def pool(self, instruction: Pool, src: NDArray[np.int32], position: int) -> tuple[int, int]:
        """Add src: int32[tokens, sequences, heads, size] to block sums; append the mean of every block that ends.

        `position` is that of the first token. The mean is saturate(round(sum · scale / 2^shift)). Returns the words of
        the means, and how many of them saturated.
        """
        entries = src.transpose(1, 2, 0, 3)
        done, cut = 0, 0
        finished: list[NDArray[np.int8]] = []
        while done < entries.shape[2]:
            take = min(instruction.block - (position + done) % instruction.block, entries.shape[2] - done)
            self.block_sum += entries[:, :, done : done + take].sum(axis=2, dtype=np.int32)
            done += take
            if (position + done) % instruction.block == 0:
                exact = self._mean(instruction)
                mean = np.clip(exact, -COUNT_LIMIT, COUNT_LIMIT)
                cut += int(np.count_nonzero(mean != exact))
                finished.append(mean.astype(np.int8))
                self.block_sum[...] = 0
        if finished:
            self.means = np.concatenate([self.means, np.stack(finished, axis=2)], axis=2)
        return len(finished) * self.block_sum.size, cut

    def _mean(self, instruction: Pool) -> NDArray[np.int64]:
        scaled = self.block_sum.astype(np.int64) * instruction.scale
        half = np.int64(1) << np.int64(instruction.shift - 1)
        quotient = scaled >> np.int64(instruction.shift)
        rest = scaled & (2 * half - 1)
        quotient += (rest > half) | ((rest == half) & (quotient & 1 == 1))
        return quotient
