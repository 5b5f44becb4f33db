"""What a run is watched for: cycles of every instruction, and statistics of the spikes at every input of a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikesim.cores import CORES, CoreName
from spikesim.cycle.cost import Counters
from spikesim.cycle.model import CycleModel
from spikesim.golden.effects import effects
from spikesim.golden.frame import Frame
from spikesim.hardware import HardwareConfig
from spikesim.program import Instruction, Program, View, is_matrix
from spikesim.program.trace import Effects, Place, Trace
from spikesim.spikes.statistics import SpikeStatistics

PerToken = list[dict[CoreName, list[NDArray[np.int64]]]]
"""Cycles per instruction and core, of every token, in parts."""


@dataclass(kw_only=True)
class InstructionCost:
    """Cycles of one instruction summed over all tokens, per core, and its counters.

    `label`: its op, for a gather with what it reads: "gather matrix", "gather keys" …
    """

    label: str
    cycles: dict[CoreName, int] = field(default_factory=lambda: dict.fromkeys(CORES, 0))
    counters: Counters = field(default_factory=Counters)

    @property
    def spiking(self) -> int:
        """Cycles of the spiking core."""
        return self.cycles["spiking"]

    @property
    def dense(self) -> int:
        """Cycles of its dense twin."""
        return self.cycles["dense"]

    def add(self, cycles: Mapping[CoreName, int], counters: Counters) -> None:
        """What it cost once more."""
        for core, more in cycles.items():
            self.cycles[core] += more
        self.counters.add(counters)


class CycleObserver:
    """Adds up what every instruction of a program costs: `costs`, in program order.

    With `detail` `per_token` has the cycles of every token: per instruction and core int64[tokens · sequences], in the
    parts in which they were simulated.
    """

    def __init__(self, program: Program, hardware: HardwareConfig, *, detail: bool = False) -> None:
        self.model = CycleModel(program, hardware)
        self.costs = [InstructionCost(label=i.label) for i in program.instructions()]
        self.per_token: PerToken | None = None
        if detail:
            self.per_token = [{core: [] for core in CORES} for _ in self.costs]

    def executed(self, place: Place, instruction: Instruction, frame: Frame) -> None:
        """The cycles of an instruction that has just been executed."""
        self.add(place.number, effects(instruction, frame))

    def add(self, number: int, found: Effects) -> None:
        """The cycles of an instruction, by its number, of which the effects are known."""
        cost = self.model.cost(number, found)
        self.costs[number].add(
            {core: int(cycles.sum()) for core, cycles in cost.cycles.items()}, cost.counters
        )
        if self.per_token is not None:
            for core, cycles in cost.cycles.items():
                self.per_token[number][core].append(cycles)


def costs(program: Program, trace: Trace, hardware: HardwareConfig) -> list[InstructionCost]:
    """What a program's instructions cost on an array, from the trace of a run on whatever array."""
    observer = CycleObserver(program, hardware)
    for place, found in trace.of(program.text.name):
        observer.add(place.number, found)
    return observer.costs


class SpikeObserver:
    """Statistics of every counts vector that drives a weight matrix, by its name: `statistics`.

    `encoders`: the gathers, by number, that are counted; an input that several matrices share counts once.
    """

    def __init__(self, program: Program) -> None:
        self.encoders = encoders(program)
        self.statistics: dict[str, SpikeStatistics] = {}

    def executed(self, place: Place, instruction: Instruction, frame: Frame) -> None:
        """The spikes at the input of a matrix."""
        if place.number in self.encoders and is_matrix(instruction):
            name = instruction.counts.name
            statistics = SpikeStatistics.of(frame.view(instruction.counts))
            known = self.statistics.get(name)
            self.statistics[name] = statistics if known is None else known + statistics


class RasterObserver:
    """The first tokens' counts at the first matrix of a program: `counts`, by token and channel."""

    TOKENS, CHANNELS = 48, 96

    def __init__(self) -> None:
        self.counts: tuple[tuple[int, ...], ...] | None = None

    def executed(self, _place: Place, instruction: Instruction, frame: Frame) -> None:
        """Looks at the first gather of a matrix, for the first sequence."""
        if self.counts is None and is_matrix(instruction):
            words = frame.view(instruction.counts)[:: frame.sequences][: self.TOKENS, 0, : self.CHANNELS]
            self.counts = tuple(tuple(int(count) for count in row) for row in words)


def encoders(program: Program) -> frozenset[int]:
    """The matrix gathers, by number, that read their counts first: an input that several share counts once."""
    first: dict[View, int] = {}
    for number, instruction in enumerate(program.instructions()):
        if is_matrix(instruction):
            first.setdefault(instruction.counts, number)
    return frozenset(first.values())
