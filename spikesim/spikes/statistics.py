"""Spike statistics of activations, with every published quantity under a name that says how it was counted.

The population of a report is |s| of every element of the input of every spiked projection, all tokens; an
input shared by several projections counts once (`docs/dssa.md` 6.4). All quantities follow from the histogram of
|s|, which is what is collected: add the statistics of batches to merge them.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError
from spikesim.spikes.arrays import MAX_BITS, checked_integer, integer_array
from spikesim.support.jit import jit

WINDOW: Final = 7
"""Largest |s| that three bitwise planes hold."""

DEFINITIONS: Final[dict[str, str]] = {
    "elements": "number of integers s counted",
    "largest": "largest |s|",
    "silent": "share of s = 0",
    "average_spikes": "mean number of ones in |s|: spikes per element in bitwise (sign-magnitude) coding",
    "average_naf_spikes": "mean number of non-zero digits of s in non-adjacent form: spikes per element in "
    "signed-digit coding",
    "in_window": "share of |s| ≤ 7",
    "above_16": "share of |s| > 16",
    "sparsity3_all": "1 − (spikes of all elements) / (3 × elements); spikes beyond three planes count too",
    "sparsity3_in": "1 − (spikes of elements with |s| ≤ 7) / (3 × those elements); 1 if there are none",
    "sparsity3_drop": "1 − (spikes of elements with |s| ≤ 7) / (3 × all elements): larger ones send nothing",
    "sparsity3_sat": "1 − (spikes after clipping |s| to 7) / (3 × elements)",
    "sparsity3_low": "1 − (ones in the low three bits of |s|) / (3 × elements)",
    "steps": "planes T of the quantity `sparsity`: given, or bits of the largest |s| (at least one)",
    "sparsity": "1 − firing rate = 1 − (ones in the low T bits of |s|) / (T × elements)",
}
"""What each entry of `SpikeStatistics.to_dict` means, for people who read a report."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeStatistics:
    """Histogram of |s|, and the quantities of `DEFINITIONS` that follow from it.

    `magnitudes` int64[n]: the values of |s| that occur, ascending; `occurrences` int64[n]: how often each does.
    A quantity of an empty population is not defined and raises CodingError; so do fields of
    another kind, and a magnitude that occurs 2^62 times or more.

    >>> first = SpikeStatistics.of(np.int8([0, 1, -3, 7]))
    >>> first.silent, first.average_spikes, first.sparsity()
    (0.25, 1.5, 0.5)
    >>> (first + SpikeStatistics.of(np.int32([1000]))).above_16
    0.2
    """

    magnitudes: NDArray[np.int64]
    occurrences: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("magnitudes", "occurrences"):
            object.__setattr__(self, name, _column(getattr(self, name), name))
        if self.magnitudes.size != self.occurrences.size:
            raise CodingError(
                f"occurrences must be {self.magnitudes.size}, one for each magnitude, not {self.occurrences.size}"
            )
        if (np.diff(self.magnitudes) <= 0).any():
            raise CodingError("magnitudes must be ascending, each listed once")

    @classmethod
    def empty(cls) -> SpikeStatistics:
        """Statistics of no elements, to start a sum with."""
        return cls(magnitudes=np.zeros(0, np.int64), occurrences=np.zeros(0, np.int64))

    @classmethod
    def of(cls, counts: Any) -> SpikeStatistics:
        """counts: integer[...], array or tensor of any shape -> its statistics."""
        values = integer_array(counts).reshape(-1)
        if values.dtype == np.int8:
            table = np.zeros(256, np.int64)
            _histogram(np.ascontiguousarray(values).view(np.uint8), table)
            by_magnitude = np.zeros(129, np.int64)
            np.add.at(
                by_magnitude, np.abs(np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)), table
            )
        else:
            sizes = np.abs(values.astype(np.int64))
            if sizes.max(initial=0) >= 1 << 16:
                magnitudes, occurrences = np.unique(sizes, return_counts=True)
                return cls(magnitudes=magnitudes, occurrences=occurrences.astype(np.int64))
            by_magnitude = np.bincount(sizes)
        magnitudes = np.flatnonzero(by_magnitude)
        return cls(magnitudes=magnitudes, occurrences=by_magnitude[magnitudes])

    def __add__(self, other: SpikeStatistics) -> SpikeStatistics:
        if not isinstance(other, SpikeStatistics):
            return NotImplemented
        magnitudes, place = np.unique(
            np.concatenate((self.magnitudes, other.magnitudes)), return_inverse=True
        )
        occurrences = np.zeros(magnitudes.size, np.int64)
        np.add.at(occurrences, place, np.concatenate((self.occurrences, other.occurrences)))
        return SpikeStatistics(magnitudes=magnitudes, occurrences=occurrences)

    @property
    def elements(self) -> int:
        """Number of integers counted."""
        return sum(self.occurrences.tolist())

    @property
    def largest(self) -> int:
        """Largest |s|; 0 if there is none."""
        return int(self.magnitudes.max(initial=0))

    @property
    def silent(self) -> float:
        """Share of s = 0."""
        return self._mean(self.magnitudes == 0)

    @property
    def average(self) -> float:
        """Mean |s|: spikes per element in ternary coding."""
        return self._mean(self.magnitudes)

    @property
    def average_spikes(self) -> float:
        """Spikes per element in bitwise coding."""
        return self._mean(_ones(self.magnitudes))

    @property
    def average_naf_spikes(self) -> float:
        """Spikes per element in signed-digit coding."""
        half = self.magnitudes >> 1
        return self._mean(_ones((self.magnitudes + half) ^ half))

    @property
    def in_window(self) -> float:
        """Share of |s| ≤ 7."""
        return self._mean(self.magnitudes <= WINDOW)

    @property
    def above_16(self) -> float:
        """Share of |s| > 16."""
        return self._mean(self.magnitudes > 16)

    @property
    def sparsity3_all(self) -> float:
        """All spikes over three steps."""
        return 1 - self.average_spikes / 3

    @property
    def sparsity3_in(self) -> float:
        """Elements with |s| ≤ 7 only; 1 if there are none."""
        inside = self.magnitudes <= WINDOW
        only = SpikeStatistics(magnitudes=self.magnitudes[inside], occurrences=self.occurrences[inside])
        return only.sparsity3_all if only.elements else 1.0

    @property
    def sparsity3_drop(self) -> float:
        """Larger elements send nothing but are counted."""
        return 1 - self._mean(_ones(self.magnitudes) * (self.magnitudes <= WINDOW)) / 3

    @property
    def sparsity3_sat(self) -> float:
        """Larger elements are clipped to 7."""
        return 1 - self._mean(_ones(np.minimum(self.magnitudes, WINDOW))) / 3

    @property
    def sparsity3_low(self) -> float:
        """The low three bits of every element."""
        return self.sparsity(3)

    def steps(self, steps: int | None = None) -> int:
        """Planes of the bitwise coding: those given, or as many as the largest |s| has bits, at least one."""
        if steps is None:
            return max(1, self.largest.bit_length())
        return checked_integer(steps, "steps", 1, MAX_BITS, f"in 1 … {MAX_BITS}")

    def sparsity(self, steps: int | None = None) -> float:
        """1 − firing rate of the bitwise coding with `steps` planes; more significant bits are cut off."""
        planes = self.steps(steps)
        return 1 - self._mean(_ones(self.magnitudes & ((1 << planes) - 1))) / planes

    def to_dict(self, steps: int | None = None) -> dict[str, int | float]:
        """All quantities, under the names and in the order of `DEFINITIONS`."""
        own = {"steps": self.steps(steps), "sparsity": self.sparsity(steps)}
        return {name: own[name] if name in own else getattr(self, name) for name in DEFINITIONS}

    def _mean(self, of_magnitude: NDArray[Any]) -> float:
        """Mean over all elements of a quantity ≥ 0 given per magnitude."""
        elements = self.elements
        if not elements:
            raise CodingError("statistics must be of one element or more, not of none")
        if int(of_magnitude.max()) * elements < 1 << 63:
            total = int(of_magnitude @ self.occurrences)
        else:
            total = sum(map(operator.mul, of_magnitude.tolist(), self.occurrences.tolist()))
        return total / elements


def _column(values: Any, name: str) -> NDArray[np.int64]:
    """A column of statistics as int64[n]; CodingError if it is none of integers from 0 to 2^62 − 1."""
    column = integer_array(values, name).astype(np.int64, copy=False)
    if column.ndim != 1 or column.min(initial=0) < 0:
        raise CodingError(f"{name} must be integers of 0 or more in one row")
    return column


def _ones(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bitwise_count(values).astype(np.int64)


@jit()
def _histogram(codes: NDArray[np.uint8], table: NDArray[np.int64]) -> None:  # pragma: no cover (compiled)
    """Add the occurrences of every byte to `table`, int64[256]."""
    # Two tables by turns: equal neighbours, common in sparse data, would otherwise wait for each other's store.
    other = np.zeros(256, np.int64)
    for i in range(0, codes.size - 1, 2):
        table[codes[i]] += 1
        other[codes[i + 1]] += 1
    if codes.size & 1:
        table[codes[codes.size - 1]] += 1
    table += other
