"""`Cost`: what one instruction costs a batch of tokens, on the spiking core and on its dense twin."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.int64]


@dataclass(kw_only=True)
class Counters:
    """Sums over tokens; the core counts the same in readable registers.

    * `events`: spikes taken by the array, once per column chunk they are applied to.
    * `spikes`: spikes encoded, once per gather or scatter; `spikes_dense`: rows the twin takes there.
    * `row_reads`: row-memory words read by the spiking core; `row_reads_dense` by its twin.
    * `array_cycles`, `array_cycles_dense`: cycles in which the array takes operands.
    * `lane_cycles`, `lane_cycles_dense`: the same, times the lanes whose columns exist.
    * `row_stores`: counts written into row memory by storing keys, values and block means, on all cores; the twin
      writes the same. `row_fills`: rows written with what streams from DRAM, of which instructions know nothing.
    * `keys_read`, `keys_cached`: keys that attention reads, and those it could have read.
    """

    events: int = 0
    spikes: int = 0
    spikes_dense: int = 0
    row_reads: int = 0
    row_reads_dense: int = 0
    array_cycles: int = 0
    array_cycles_dense: int = 0
    lane_cycles: int = 0
    lane_cycles_dense: int = 0
    row_stores: int = 0
    row_fills: int = 0
    keys_read: int = 0
    keys_cached: int = 0

    def add(self, other: Counters) -> None:
        """Adds the other's counts to these."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """`spiking`, `dense`: cycles, int64[batch]; `counters`: sums over the batch."""

    spiking: Array
    dense: Array
    counters: Counters = field(default_factory=Counters)
