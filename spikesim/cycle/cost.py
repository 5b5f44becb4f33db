"""`Cost`: what one instruction costs a batch of tokens, on the spiking core and on either dense twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikesim.cores import CoreName

Array = NDArray[np.int64]
PerCore = Mapping[CoreName, Array]
"""An array of one shape for every core."""


@dataclass(frozen=True, kw_only=True)
class CoreCounters:
    """What one core counts in its readable registers while its array works; a dense event is a row."""

    events: int
    spikes: int
    row_reads: int
    array_cycles: int
    lane_cycles: int


@dataclass(kw_only=True)
class Counters:
    """Sums over tokens; the cores count the same in readable registers.

    Without an ending: of the spiking core; `_dense`, `_skipping`: of its twin, and of the twin that skips zeros.

    * `events`: spikes taken by the array, once per column chunk they are applied to.
    * `spikes`: spikes encoded, once per gather or scatter; of a twin: rows that it takes there.
    * `row_reads`: words read of row and state memory; a twin's events are as many.
    * `array_cycles`: cycles in which the array takes operands.
    * `lane_cycles`: the same, times the lanes whose columns exist.
    * `row_stores`: counts written into row memory by storing keys, values and block means, on all cores; every core
      writes the same. `row_fills`: rows written with what streams from DRAM, of which instructions know nothing.
    * `pointwise_words`: words that go through the pointwise unit; `vector_words`: words of vector memory that are read
      and written. On all cores; every core does the same.
    * `keys_read`, `keys_cached`: keys that attention reads, and those it could have read.
    """

    events: int = 0
    spikes: int = 0
    spikes_dense: int = 0
    spikes_skipping: int = 0
    row_reads: int = 0
    row_reads_dense: int = 0
    row_reads_skipping: int = 0
    array_cycles: int = 0
    array_cycles_dense: int = 0
    array_cycles_skipping: int = 0
    lane_cycles: int = 0
    lane_cycles_dense: int = 0
    lane_cycles_skipping: int = 0
    row_stores: int = 0
    row_fills: int = 0
    pointwise_words: int = 0
    vector_words: int = 0
    keys_read: int = 0
    keys_cached: int = 0

    def add(self, other: Counters) -> None:
        """Adds the other's counts to these."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def of(self, core: CoreName) -> CoreCounters:
        """Those of one core."""
        if core == "spiking":
            return CoreCounters(
                events=self.events,
                spikes=self.spikes,
                row_reads=self.row_reads,
                array_cycles=self.array_cycles,
                lane_cycles=self.lane_cycles,
            )
        rows = getattr(self, f"row_reads_{core}")
        return CoreCounters(
            events=rows,
            spikes=getattr(self, f"spikes_{core}"),
            row_reads=rows,
            array_cycles=getattr(self, f"array_cycles_{core}"),
            lane_cycles=getattr(self, f"lane_cycles_{core}"),
        )


@dataclass(frozen=True, kw_only=True)
class Cost:
    """`cycles`: per core int64[batch]; `counters`: sums over the batch."""

    cycles: PerCore
    counters: Counters = field(default_factory=Counters)
