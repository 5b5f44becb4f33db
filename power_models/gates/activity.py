"""`Activity`: how often every net of a netlist switched in a simulation, and how long it was 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import ToolError

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What a simulation counted; an average cycle has `toggles / cycles` transitions of a net.

    * `cycles`: simulated cycles, of all streams together where several were simulated side by side.
    * `toggles`: float64[nets], transitions in all those cycles. A clock's net, gated or not, has two per pulse.
    * `ones`: float64[nets], at how many cycles' ends the net was 1. A clock's net: half of its pulses, as it is 1 for
      half of each.
    * `clock_pulses`: float64[cells], pulses that the clock pin of a register or clock gate received; 0 for other cells.

    `a + b`: both simulations of the same netlist; raises ToolError if the sizes differ.
    """

    cycles: int
    toggles: Floats
    ones: Floats
    clock_pulses: Floats

    def __add__(self, other: Activity) -> Activity:
        same = (
            self.toggles.shape == other.toggles.shape and self.clock_pulses.shape == other.clock_pulses.shape
        )
        if not same:
            raise ToolError(
                f"activities must be of one netlist to be added, not of {self.toggles.size} and "
                f"{other.toggles.size} nets"
            )
        return Activity(
            cycles=self.cycles + other.cycles,
            toggles=self.toggles + other.toggles,
            ones=self.ones + other.ones,
            clock_pulses=self.clock_pulses + other.clock_pulses,
        )
