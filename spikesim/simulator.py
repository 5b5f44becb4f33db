"""The simulator: a program's values by the golden model, its cycles in closed form, spiking and dense at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.access import STREAM, is_matrix
from spikesim.accumulators import check_accumulators
from spikesim.cycle.cost import Counters
from spikesim.cycle.model import CycleModel
from spikesim.golden.frame import Frame, Words
from spikesim.golden.machine import Machine
from spikesim.hardware import HardwareConfig
from spikesim.program import Gather, Program, Section, View
from spikesim.statistics import SpikeStatistics
from spikesim.verifier import verify_joints, verify_stream


@dataclass(kw_only=True)
class InstructionCycles:
    """Cycles of one instruction summed over all tokens, and its counters.

    `kind`: its op, for a gather with what it reads: "gather matrix", "gather keys" …
    """

    kind: str
    spiking: int = 0
    dense: int = 0
    counters: Counters = field(default_factory=Counters)


class Simulator:
    """Runs one program for some sequences side by side and adds up what every instruction costs.

    `cycles`: one `InstructionCycles` per instruction, in program order. `spikes`: statistics of every counts
    vector that drives a weight matrix, by its name. `per_token`: with `detail`, per instruction the cycles of
    every token, {"spiking", "dense"} -> int64[tokens · sequences]. `encoders`: the gathers whose counts are in
    `spikes`.

    Raises CapacityError for a program whose sums may not fit the hardware's accumulators: its values would not be the
    hardware's.
    """

    def __init__(
        self, program: Program, hardware: HardwareConfig, sequences: int = 1, *, detail: bool = False
    ) -> None:
        check_accumulators([program], hardware)
        self.program = program
        self.machine = Machine(program, sequences)
        self.model = CycleModel(program, hardware)
        self.cycles = [InstructionCycles(kind=_kind(i)) for i in program.instructions()]
        self.tokens = 0
        self.spikes: dict[str, SpikeStatistics] = {}
        self.per_token: list[dict[str, list[Any]]] | None = None
        if detail:
            self.per_token = [{"spiking": [], "dense": []} for _ in self.cycles]
        self.encoders = encoders(program)
        self._first: dict[int, int] = {}
        first = 0
        for section in program.text.sections:
            self._first[id(section)] = first
            first += len(section.instructions)

    def run(self, inputs: dict[str, Words]) -> dict[str, Words]:
        """inputs: int32[tokens, sequences, words] by name -> all vectors; continues where the last call stopped."""
        vectors = self.machine.run(inputs, self._observe)
        self.tokens += next(iter(inputs.values())).shape[0] * self.machine.sequences
        return vectors

    def _observe(self, section: Section, frame: Frame) -> None:
        first = self._first[id(section)]
        for number, instruction in enumerate(section.instructions, first):
            cost = self.model.cost(instruction, frame)
            entry = self.cycles[number]
            entry.spiking += int(cost.spiking.sum())
            entry.dense += int(cost.dense.sum())
            entry.counters.add(cost.counters)
            if self.per_token is not None:
                self.per_token[number]["spiking"].append(cost.spiking)
                self.per_token[number]["dense"].append(cost.dense)
            if is_matrix(instruction):
                self.gathered(number, instruction, frame)
                if number in self.encoders:
                    self._count(instruction, frame)

    def gathered(self, number: int, gather: Gather, frame: Frame) -> None:
        """Called for every matrix gather of a frame, `number` in the program; does nothing here."""

    def _count(self, gather: Gather, frame: Frame) -> None:
        statistics = SpikeStatistics.of(frame.view(gather.counts))
        known = self.spikes.get(gather.counts.name)
        self.spikes[gather.counts.name] = statistics if known is None else known + statistics

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


def encoders(program: Program) -> frozenset[int]:
    """The matrix gathers, by number, that read their counts first: an input that several share counts once."""
    first: dict[View, int] = {}
    for number, instruction in enumerate(program.instructions()):
        if is_matrix(instruction):
            first.setdefault(instruction.counts, number)
    return frozenset(first.values())


def run_chain(simulators: Sequence[Simulator], words: NDArray[np.int32]) -> NDArray[np.int32]:
    """Runs words: int32[tokens, sequences, words] through all programs, as `spikesim.mapping.link` joins them.

    Returns the last program's output, int32[tokens, sequences, words]. Raises ProgramError if programs or words do not
    fit.
    """
    verify_stream(words)
    # Every machine has verified its own program.
    verify_joints([simulator.program for simulator in simulators])
    vectors: dict[str, Words] = {}
    stream = words
    for simulator in simulators:
        text = simulator.program.text
        inputs = {name: stream if name == STREAM else vectors[name] for name in text.inputs}
        if not inputs:
            # No vector carries tokens into this program; the empty one says how many there are.
            inputs["tokens"] = np.zeros((*words.shape[:2], 0), np.int32)
        results = simulator.run(inputs)
        vectors |= results
        if STREAM in text.inputs:
            stream = results[text.output]
    return stream


def _kind(instruction: Any) -> str:
    return f"gather {instruction.operand}" if isinstance(instruction, Gather) else str(instruction.op)
