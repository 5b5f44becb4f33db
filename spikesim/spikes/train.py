"""Spike trains, bit-packed: what `spikesim.spikes.encode.encode` returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.spikes.digits import COUNT_CODINGS, Coding, plane_weights
from spikesim.spikes.intrinsics import trailing_zeros
from spikesim.spikes.packing import unpack
from spikesim.support.jit import jit


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeEvents:
    """Spikes as columns of equal length, sorted by step, then by index.

    * `step` int32[n]: 0 … T − 1.
    * `index` int64[n]: the element, counted through the encoded array in C order.
    * `sign` int8[n]: ±1. An event adds sign × |weights[step]| to its element, so the first step of two's complement,
      whose weight is negative, has events of sign −1.
    """

    step: NDArray[np.int32]
    index: NDArray[np.int64]
    sign: NDArray[np.int8]

    def __len__(self) -> int:
        return self.step.size


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeTrain:
    """Spikes of an integer array over `steps` time steps, most significant step first. Made by `encode`.

    The arrays are packed and read-only; `spikesim.spikes.packing` describes their layout. In the weighted codings
    `bits` holds one plane per step. A binary or ternary train is determined by its spike counts; `bits` and
    `signs` hold those as sign and magnitude, so that 127 steps cost as much as seven.
    """

    coding: Coding
    shape: tuple[int, ...]
    steps: int
    bits: NDArray[np.uint64]
    signs: NDArray[np.uint64]

    def __post_init__(self) -> None:
        self.bits.flags.writeable = False
        self.signs.flags.writeable = False

    @property
    def size(self) -> int:
        """Number of encoded elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the packed spikes take."""
        return self.bits.nbytes + self.signs.nbytes

    @property
    def weights(self) -> NDArray[np.int64]:
        """int64[steps]: what a spike of each step is worth; the first one of two's complement is negative."""
        weights = plane_weights(self.coding, self.steps)[::-1].copy()
        if self.coding == "twos_complement":
            weights[0] *= -1
        return weights

    @property
    def n_spikes(self) -> int:
        """Σ |spike| over all elements and steps."""
        per_plane = np.bitwise_count(self.bits).sum(axis=1, dtype=np.int64)
        if self.coding in COUNT_CODINGS:
            return int(per_plane @ self._bit_weights())
        return int(per_plane.sum())

    @property
    def firing_rate(self) -> float:
        """Spikes per element and step; 0 for a train without elements or without steps."""
        return self.n_spikes / max(1, self.size * self.steps)

    def decode(self) -> NDArray[np.int32] | NDArray[np.int64]:
        """The encoded integers (less what too few steps cut off), int32 up to 31 bits, otherwise int64."""
        total: NDArray[Any] = np.zeros(self.size, np.int32 if len(self.bits) < 32 else np.int64)
        for row in range(len(self.bits)):
            total *= 2
            total += self._digit(row)
        return total.reshape(self.shape)

    def planes(self) -> Iterator[NDArray[np.int8]]:
        """The spikes step by step: `steps` arrays int8[*shape] of −1, 0 and 1."""
        if self.coding in COUNT_CODINGS:
            counts = self.decode()
            magnitude, sign = np.abs(counts), np.sign(counts).astype(np.int8)
            for step in range(self.steps):
                yield np.where(magnitude > step, sign, np.int8(0))
        else:
            for row in range(self.steps):
                digit = self._digit(row)
                # The spike of the step that weighs −2^(T−1) is positive, its digit is not.
                yield (np.abs(digit) if self.coding == "twos_complement" else digit).reshape(self.shape)

    def dense(self) -> NDArray[np.int8]:
        """int8[steps, *shape] of −1, 0 and 1: all spikes, unpacked. Costs a byte per element and step."""
        out = np.empty((self.steps, *self.shape), np.int8)
        for step, plane in enumerate(self.planes()):
            out[step] = plane
        return out

    def events(self) -> SpikeEvents:
        """All spikes as (step, index, sign), 13 bytes each, sorted by step, then by index."""
        return self._count_events() if self.coding in COUNT_CODINGS else self._plane_events()

    def _bit_weights(self) -> NDArray[np.int64]:
        return plane_weights("bitwise", len(self.bits))[::-1]

    def _signs_of(self, row: int) -> NDArray[np.uint64] | None:
        """The sign plane that holds for a row of `bits`; None if none of its digits is negative."""
        signs: NDArray[np.uint64] | None = None
        if self.coding == "twos_complement" and row == 0:
            signs = self.bits[0]
        elif self.coding == "signed_digit":
            signs = self.signs[(len(self.bits) - 1 - row) // 2]
        elif len(self.signs):
            signs = self.signs[0]
        return signs

    def _digit(self, row: int) -> NDArray[np.int8]:
        """int8[size]: one row of `bits` with its signs."""
        digit = unpack(self.bits[row], self.size)
        signs = self._signs_of(row)
        if signs is None:
            return digit
        return digit - 2 * unpack(self.bits[row] & signs, self.size)

    def _plane_events(self) -> SpikeEvents:
        starts = np.zeros(self.steps + 1, np.int64)
        np.cumsum(np.bitwise_count(self.bits).sum(axis=1, dtype=np.int64), out=starts[1:])
        index = np.empty(starts[-1], np.int64)
        sign = np.empty(starts[-1], np.int8)
        no_signs = np.zeros(self.bits.shape[1], np.uint64)
        for row in range(self.steps):
            signs = self._signs_of(row)
            span = slice(starts[row], starts[row + 1])
            _extract(self.bits[row], no_signs if signs is None else signs, index[span], sign[span])
        step = np.repeat(np.arange(self.steps, dtype=np.int32), np.diff(starts))
        return SpikeEvents(step=step, index=index, sign=sign)

    def _count_events(self) -> SpikeEvents:
        counts = self.decode().reshape(-1)
        magnitude, sign = np.abs(counts), np.sign(counts).astype(np.int8)
        # Who is silent in a step stays silent: each step looks only at those that fired in the last one.
        index = np.flatnonzero(magnitude)
        firing = []
        for step in range(self.steps):
            index = index[magnitude[index] > step]
            if not index.size:
                break
            firing.append(index)
        every = np.concatenate(firing) if firing else np.zeros(0, np.int64)
        steps = np.repeat(np.arange(len(firing), dtype=np.int32), [len(part) for part in firing])
        return SpikeEvents(step=steps, index=every, sign=sign[every])


@jit()
def _extract(
    bits: NDArray[np.uint64], signs: NDArray[np.uint64], index: NDArray[np.int64], sign: NDArray[np.int8]
) -> None:  # pragma: no cover (compiled)
    """Write position and sign of every set bit of one plane; the outputs have exactly as many entries."""
    at = 0
    for word in range(bits.size):
        left, negative = bits[word], signs[word]
        while left != 0:
            bit = trailing_zeros(left)
            index[at] = 64 * word + bit
            sign[at] = -1 if (negative >> np.uint64(bit)) & np.uint64(1) else 1
            left &= left - np.uint64(1)
            at += 1
