"""What a run is watched for: cycles of every instruction, and statistics of the spikes at every input of a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikesim.cores import CORES, CoreName
from spikesim.cycle.cost import Counters
from spikesim.cycle.model import CycleModel
from spikesim.golden.effects import effects
from spikesim.golden.frame import Frame
from spikesim.hardware import Coding, HardwareConfig
from spikesim.program import COUNT_LIMIT, Instruction, Program, View, is_matrix
from spikesim.program.trace import Effects, Place, Trace
from spikesim.spikes.digits import digits
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
    """Statistics of every counts vector that drives weight matrices, by its name: `statistics`.

    Every word counts once, however many matrices read it, or windows of one; what constants alone decide, such as the
    zeros of padding, does not. `events`: of the coding, for the same words.
    """

    def __init__(self, program: Program, coding: Coding) -> None:
        self.reads = counted_words(program)
        self.per_count = events_of_counts(coding)
        self.statistics: dict[str, SpikeStatistics] = {}
        self.events: dict[str, int] = {}

    def executed(self, place: Place, _instruction: Instruction, frame: Frame) -> None:
        """The spikes at the input of a matrix."""
        for read in self.reads.get(place.number, ()):
            counts = read.of(frame)
            statistics = SpikeStatistics.of(counts)
            known = self.statistics.get(read.vector)
            self.statistics[read.vector] = statistics if known is None else known + statistics
            events = int(
                (self.per_count[COUNT_LIMIT + statistics.magnitudes] * statistics.occurrences).sum()
                if self.is_even
                else self.per_count[counts + COUNT_LIMIT].sum()
            )
            self.events[read.vector] = self.events.get(read.vector, 0) + events

    @cached_property
    def is_even(self) -> bool:
        """Whether a count and its negative have as many events."""
        return np.array_equal(self.per_count, self.per_count[::-1])


@dataclass(frozen=True, kw_only=True)
class CountedWords:
    """Words of a vector of counts, ascending."""

    vector: str
    words: NDArray[np.int64]

    def of(self, frame: Frame) -> NDArray[np.int32]:
        """int32[tokens, sequences, words]"""
        vector = frame.vectors[self.vector][frame.start : frame.stop]
        first, last = int(self.words[0]), int(self.words[-1])
        if last - first + 1 == self.words.size:
            return vector[:, :, first : last + 1]
        return vector[:, :, self.words]


def counted_words(program: Program) -> dict[int, tuple[CountedWords, ...]]:
    """What matrices read, by the number of the last gather that reads of a vector; see `SpikeObserver`."""
    read: dict[str, NDArray[np.bool_]] = {}
    last: dict[str, int] = {}
    instructions = list(program.instructions())
    for number, instruction in enumerate(instructions):
        if is_matrix(instruction) and instruction.counts.name not in program.constants:
            name = instruction.counts.name
            known = read.setdefault(name, np.zeros(program.text.vectors[name], bool))
            known[_words_of(instruction.counts)] = True
            last[name] = number
    for instruction in instructions:
        reads = instruction.reads()
        if reads and all(view.name in program.constants for view in reads):
            for view in instruction.writes():
                if view.name in read:
                    read[view.name][_words_of(view)] = False
    found: dict[int, tuple[CountedWords, ...]] = {}
    for name, number in last.items():
        words = np.flatnonzero(read[name])
        if words.size:
            found[number] = (*found.get(number, ()), CountedWords(vector=name, words=words))
    return found


def events_of_counts(coding: Coding) -> NDArray[np.int64]:
    """int64[255]: events of the counts −127 … 127 in a coding."""
    found: NDArray[np.int64] = (digits(np.arange(-COUNT_LIMIT, COUNT_LIMIT + 1), coding) != 0).sum(axis=0)
    return found


def _words_of(view: View) -> NDArray[np.int64]:
    """int64[groups, length]: the words of a view."""
    starts: NDArray[np.int64] = view.offset + np.arange(view.groups, dtype=np.int64) * view.stride
    return starts[:, None] + np.arange(view.length)


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
