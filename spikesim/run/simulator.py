"""The simulator: a program's values by the golden model, its cycles in closed form, of all cores at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikesim.cores import CoreName
from spikesim.cycle.cost import Counters
from spikesim.errors import HardwareError, ProgramError
from spikesim.golden.frame import Words
from spikesim.golden.machine import Machine, Observer
from spikesim.hardware import HardwareConfig
from spikesim.program import Program
from spikesim.program.accumulators import check_accumulators
from spikesim.run.observers import CycleObserver, InstructionCost, PerToken, SpikeObserver
from spikesim.spikes.statistics import SpikeStatistics
from spikesim.support.arguments import of_type
from spikesim.support.shown import shown
from spikesim.timing import STEP_CYCLES

MOST_SEQUENCES = 2**31 - 1
"""Side by side; memory ends long before."""


class Simulator:
    """Runs one program for some sequences side by side and adds up what every instruction costs.

    `cycles`: one `InstructionCost` per instruction, in program order. `spikes`: statistics of every counts vector that
    drives a weight matrix, by its name. `per_token`: with `detail`, per instruction and core the cycles of every token,
    int64[tokens · sequences]. `encoded`: events of the same values. `observers` watch the run as well.

    Raises CapacityError for a program whose sums may not fit the hardware's accumulators: its values would not be the
    hardware's; ProgramError for a program, or inputs of a run, that break a rule.
    """

    def __init__(
        self,
        program: Program,
        hardware: HardwareConfig,
        sequences: int = 1,
        *,
        detail: bool = False,
        observers: Sequence[Observer] = (),
    ) -> None:
        of_type(program, Program, "program", ProgramError)
        of_type(hardware, HardwareConfig, "hardware", HardwareError)
        if not 1 <= of_type(sequences, int, "sequences", ProgramError) <= MOST_SEQUENCES:
            raise ProgramError(f"sequences must be in 1 … {MOST_SEQUENCES:,}, not {shown(sequences)}")
        check_accumulators([program], hardware)
        self.program = program
        self.machine = Machine(program, int(sequences))
        self.tokens = 0
        self._cycles = CycleObserver(program, hardware, detail=detail)
        self._spikes = SpikeObserver(program, hardware.numerics.coding)
        self._observers: tuple[Observer, ...] = (self._cycles, self._spikes, *observers)

    def run(self, inputs: dict[str, Words]) -> dict[str, Words]:
        """inputs: int32[tokens, sequences, words] by name -> all vectors; continues where the last call stopped."""
        of_type(inputs, dict, "inputs", ProgramError)
        vectors = self.machine.run(inputs, self._observers)
        self.tokens += next(iter(inputs.values())).shape[0] * self.machine.sequences
        return vectors

    @property
    def cycles(self) -> list[InstructionCost]:
        """What every instruction cost, in program order."""
        return self._cycles.costs

    @property
    def per_token(self) -> PerToken | None:
        """With `detail`, the cycles of every token and instruction."""
        return self._cycles.per_token

    @property
    def spikes(self) -> dict[str, SpikeStatistics]:
        """Statistics of every counts vector that drives a weight matrix."""
        return self._spikes.statistics

    @property
    def encoded(self) -> dict[str, int]:
        """Events of the values in `spikes`, each encoded once, by the name of their vector."""
        return self._spikes.events

    def counters(self) -> Counters:
        """All instructions' counters together."""
        total = Counters()
        for entry in self.cycles:
            total.add(entry.counters)
        return total

    @property
    def overflows(self) -> int:
        """State words that wrapped."""
        return sum(state.overflows for state in self.machine.states.values())

    @property
    def clipped(self) -> dict[str, int]:
        """Counts that saturated to the window, by vector name."""
        return self.machine.clipped


def step_cycles(simulators: Sequence[Simulator], core: CoreName) -> NDArray[np.int64]:
    """Cycles of every step of a chain, a simulator with `detail` for each program: int64[tokens · sequences].

    All instructions, and the end of the step, which is fetched and decoded like any of them.
    """
    per_instruction = [
        np.concatenate(entry[core]) for simulator in simulators for entry in simulator.per_token or []
    ]
    total: NDArray[np.int64] = np.stack(per_instruction).sum(axis=0, dtype=np.int64) + STEP_CYCLES
    return total
