"""What the golden model makes of every instruction, in the form in which a stage records it.

This is the only part of the backend that knows the golden model; it runs before a worker does, never inside one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim.golden.frame import Frame
from spikesim.golden.machine import Machine
from spikesim.hardware import HardwareConfig
from spikesim.program import Chain, End, Gather, Program, Scatter
from spikesim.program.trace import Place
from spikesim.run.session import Session
from spikesim.run.simulator import Simulator


@dataclass(frozen=True, kw_only=True)
class ExpectedProgram:
    """One program by golden.

    `words`: by record name (`word.<instruction>.<write>`, `counts.<instruction>`) the int32[words] of each token.
    `stores`: final caches and states by record name. `spikes`: per instruction the spikes of all tokens by the
    account of the cycle model, in the coding of the hardware.
    """

    program: Program
    words: dict[str, list[NDArray[np.int32]]]
    stores: dict[str, NDArray[Any]]
    spikes: list[int]

    def counts_of(self, number: int) -> NDArray[np.int32]:
        """int32[tokens, channels]: counts of the matrix gather that is instruction `number`."""
        return np.stack(self.words[f"counts.{number}"])


class GoldenChain:
    """Runs programs one after the other for all tokens, as `spikesim.run.session.run_chain` does, one at a time."""

    def __init__(self, chain: Chain, words: NDArray[np.int32], hardware: HardwareConfig) -> None:
        """words: int32[tokens, words], what comes into the chain."""
        self.hardware = hardware
        self.tokens = words.shape[0]
        self._session = Session(chain.links, np.ascontiguousarray(words[:, None]))

    def entry(self, sources: Sequence[End | None]) -> NDArray[np.int32]:
        """int32[tokens, words]: what a network is sent whose next program would be the next one here."""
        parts = [self._session.value(source)[:, 0] for source in sources]
        empty = np.zeros((self.tokens, 0), np.int32)
        joined: NDArray[np.int32] = np.concatenate([empty, *parts], axis=1)
        return joined

    def run(self, program: Program) -> ExpectedProgram:
        """The next program, everything recorded."""
        recorder = _Recorder()
        simulator = Simulator(program, self.hardware, observers=[recorder])
        self._session.run(simulator)
        return ExpectedProgram(
            program=program,
            words=recorder.words,
            stores=dict(_stores(simulator.machine)),
            spikes=[entry.counters.spikes for entry in simulator.cycles],
        )


class _Recorder:
    """Notes what every instruction reads as counts and writes: `words`, as `ExpectedProgram` has them."""

    def __init__(self) -> None:
        self.words: dict[str, list[NDArray[np.int32]]] = {}

    def executed(self, place: Place, instruction: isa.Instruction, frame: Frame) -> None:
        """Notes the words of one instruction."""
        number = place.number
        if isinstance(instruction, Gather | Scatter):
            keyed = isinstance(instruction, Gather) and instruction.operand == "values"
            self._note(f"counts.{number}", instruction.counts, frame, instruction if keyed else None)
        for k, view in enumerate(instruction.writes()):
            keyed = k == 0 and instruction.keyed
            self._note(f"word.{number}.{k}", view, frame, instruction if keyed else None)

    def _note(self, name: str, view: isa.View, frame: Frame, keyed: isa.Operation | None) -> None:
        """Append the words of each token of the frame; of a vector indexed by key, those of the token's range."""
        words = frame.view(view)
        kept = self.words.setdefault(name, [])
        for row, position in enumerate(frame.positions()):
            own = words[row] if keyed is None else words[row][:, _range(keyed, int(position), frame)]
            kept.append(np.array(own, np.int32).reshape(-1))


def _range(instruction: isa.Operation, position: int, frame: Frame) -> slice:
    """Where the keys, or finished blocks, of a token lie among those of its frame."""
    keys = instruction.cached
    if isinstance(instruction, Gather) and instruction.operand == "means":
        return slice(0, position // keys.span if keys is not None else 0)
    if keys is None:
        return slice(0, position + 1)
    start = frame.keys(keys).first
    first = max(0, position - keys.span + 1) if keys.kind == "window" else 0
    return slice(first - start, position + 1 - start)


def _stores(machine: Machine) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, cache in machine.caches.items():
        yield f"cache.{name}.keys", cache.keys[0]
        yield f"cache.{name}.values", cache.values[0]
        yield f"cache.{name}.means", cache.means[0]
        yield f"cache.{name}.block sums", cache.block_sum[0]
    for name, state in machine.states.items():
        yield f"state.{name}.rows", state.rows[0]
        yield f"state.{name}.factors", state.factors[0]
