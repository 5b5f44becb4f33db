"""Spike trains, bit-packed: what `spikesim.spikes.encode.encode` returns."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError
from spikesim.spikes.arrays import room
from spikesim.spikes.digits import COUNT_CODINGS, Coding, plane_weights
from spikesim.spikes.fields import Fields, checked_fields
from spikesim.spikes.intrinsics import trailing_zeros
from spikesim.spikes.packing import unpack
from spikesim.support.jit import jit

_LISTED = "all spikes of a train"


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
    """Spikes of an integer array over `steps` time steps, most significant step first. Made by `encode`, or again from
    the fields that `spikesim encode -o` saves: `SpikeTrain(**np.load("train.npz"))`.

    The arrays are packed and read-only, copies of those given; `spikesim.spikes.packing` describes their layout. In
    the weighted codings `bits` holds one plane per step. A binary or ternary train is determined by its spike counts;
    `bits` and `signs` hold those as sign and magnitude, so that 127 steps cost as much as seven.

    Raises CodingError for fields that are not those of a train, and for unpacking one that does not fit in memory.
    """

    coding: Coding
    shape: tuple[int, ...]
    steps: int
    bits: NDArray[np.uint64]
    signs: NDArray[np.uint64]

    def __post_init__(self) -> None:
        _fill(self, checked_fields(self.coding, self.shape, self.steps, self.bits, self.signs))

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy or a pickle goes through the same checks, and is read-only as well.
        fields = {name: getattr(self, name) for name in Fields._fields}
        return functools.partial(SpikeTrain, **fields), ()

    @property
    def size(self) -> int:
        """Number of encoded elements."""
        return math.prod(self.shape)

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
        """Σ |spike| over all elements and steps, however many."""
        per_plane = np.bitwise_count(self.bits).sum(axis=1, dtype=np.int64).tolist()
        if self.coding in COUNT_CODINGS:
            return sum(ones << p for p, ones in enumerate(reversed(per_plane)))
        return sum(per_plane)

    @property
    def firing_rate(self) -> float:
        """Spikes per element and step; 0 for a train without elements or without steps."""
        return self.n_spikes / max(1, self.size * self.steps)

    def decode(self) -> NDArray[np.int32] | NDArray[np.int64]:
        """The encoded integers (less what too few steps cut off), int32 up to 31 bits, otherwise int64."""
        dtype = np.int32 if len(self.bits) < 32 else np.int64
        total: NDArray[Any] = room(self.shape, dtype, "the integers of a train")
        for row in self.rows():
            total *= 2
            total += row
        return total

    def rows(self) -> Iterator[NDArray[np.int8]]:
        """The integers digit by digit: int8[*shape] of −1, 0 and 1 for every row of `bits`, worth twice the next."""
        for row in range(len(self.bits)):
            yield self._digit(row).reshape(self.shape)

    def planes(self) -> Iterator[NDArray[np.int8]]:
        """The spikes step by step: `steps` arrays int8[*shape] of −1, 0 and 1."""
        if self.coding in COUNT_CODINGS:
            counts = self.decode()
            magnitude, sign = np.abs(counts), np.sign(counts).astype(np.int8)
            for step in range(self.steps):
                yield np.where(magnitude > step, sign, np.int8(0))
        else:
            for digit in self.rows():
                # The spike of the step that weighs −2^(T−1) is positive, its digit is not.
                yield np.abs(digit) if self.coding == "twos_complement" else digit

    def dense(self) -> NDArray[np.int8]:
        """int8[steps, *shape] of −1, 0 and 1: all spikes, unpacked. Costs a byte per element and step."""
        out: NDArray[np.int8] = room((self.steps, *self.shape), np.int8, "a train, unpacked,")
        if out.size:
            for step, plane in enumerate(self.planes()):
                out[step] = plane
        return out

    def events(self) -> SpikeEvents:
        """All spikes as (step, index, sign), 13 bytes each, sorted by step, then by index.

        Raises CodingError for counts of 2^31 or more: their steps have no number.
        """
        return self._count_events() if self.coding in COUNT_CODINGS else self._plane_events()

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
        index = room((int(starts[-1]),), np.int64, _LISTED)
        sign = room((int(starts[-1]),), np.int8, _LISTED)
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
        largest = int(magnitude.max(initial=0))
        if largest >= 1 << 31:
            raise CodingError(f"counts must be below 2^31 for their spikes to be listed, not {largest}")
        total = self.n_spikes
        step, index = room((total,), np.int32, _LISTED), room((total,), np.int64, _LISTED)
        # Between one magnitude that occurs and the next, the same elements fire in every step.
        at, reached, firing = 0, 0, np.flatnonzero(magnitude)
        for level in np.unique(magnitude[firing]).tolist():
            firing = firing[magnitude[firing] >= level]
            stop = at + (level - reached) * firing.size
            step[at:stop] = np.repeat(np.arange(reached, level, dtype=np.int32), firing.size)
            index[at:stop] = np.tile(firing, level - reached)
            at, reached = stop, level
        return SpikeEvents(step=step, index=index, sign=sign[index])


def packed_train(fields: Fields) -> SpikeTrain:
    """A train of fields that keep the rules, which are neither looked at nor copied: what `encode` has just made."""
    train = SpikeTrain.__new__(SpikeTrain)
    _fill(train, fields)
    return train


def _fill(train: SpikeTrain, fields: Fields) -> None:
    fields.bits.flags.writeable = False
    fields.signs.flags.writeable = False
    vars(train).update(fields._asdict())


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
