"""What the core must do: every word the simulator's instructions write, with its address, and their cycles.

The golden model keeps vectors indexed by key in the order of keys; the core keeps them in the order in which it
reads the cache: `_slots` translates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim.cores import CORES, CoreName
from spikesim.cycle.cost import Counters
from spikesim.golden.frame import Frame
from spikesim.hardware import HardwareConfig
from spikesim.program import Chain, Program, View
from spikesim.program.layout import CoreLayout, ProgramLayout
from spikesim.program.trace import Place
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a chain of programs must do, token by token.

    * `writes`: per token int64[writes, 4]: program, instruction, address, word; sorted by the first three.
    * `cycles`: per program and core int64[instructions, tokens].
    * `outputs`: int32[tokens, words].
    """

    writes: list[Integers]
    cycles: list[dict[CoreName, Integers]]
    outputs: NDArray[np.int32]
    counters: Counters
    clipped: int
    overflows: int


def expect(chain: Chain, layout: CoreLayout, hardware: HardwareConfig, words: NDArray[np.int32]) -> Expected:
    """Simulates `words`: int32[tokens, words], the input of each token, through all programs."""
    parts: list[list[Integers]] = [[] for _ in range(words.shape[0])]
    simulators = [
        Simulator(
            program, hardware, detail=True, observers=[_WriteRecorder(program, own, layout, number, parts)]
        )
        for number, (program, own) in enumerate(zip(chain.programs, layout.programs, strict=True))
    ]
    outputs = run_chain(chain, simulators, words[:, None])[:, 0]
    cycles, counters, clipped, overflows = [], Counters(), 0, 0
    for simulator in simulators:
        detail = simulator.per_token or []
        cycles.append({core: np.stack([np.concatenate(entry[core]) for entry in detail]) for core in CORES})
        counters.add(simulator.counters())
        clipped += sum(simulator.clipped.values())
        overflows += simulator.overflows
    return Expected(
        writes=[_sorted(np.concatenate(part)) for part in parts],
        cycles=cycles,
        outputs=np.ascontiguousarray(outputs),
        counters=counters,
        clipped=clipped,
        overflows=overflows,
    )


def expect_sequences(
    chain: Chain, layout: CoreLayout, hardware: HardwareConfig, words: NDArray[np.int32]
) -> Expected:
    """`expect` of words: int32[tokens, words]; or int32[sequences, tokens, words], each sequence from zeros."""
    if words.ndim == 2:
        return expect(chain, layout, hardware, words)
    parts = [expect(chain, layout, hardware, sequence) for sequence in words]
    counters = Counters()
    for part in parts:
        counters.add(part.counters)
    return Expected(
        writes=[writes for part in parts for writes in part.writes],
        cycles=[
            {core: np.concatenate([each[core] for each in program], axis=1) for core in CORES}
            for program in zip(*(part.cycles for part in parts), strict=True)
        ],
        outputs=np.concatenate([part.outputs for part in parts]),
        counters=counters,
        clipped=sum(part.clipped for part in parts),
        overflows=sum(part.overflows for part in parts),
    )


def _sorted(writes: Integers) -> Integers:
    ordered: Integers = writes[np.lexsort((writes[:, 2], writes[:, 1], writes[:, 0]))]
    return ordered


class _WriteRecorder:
    """Notes every word that instructions write and its address, per token."""

    def __init__(
        self,
        program: Program,
        own: ProgramLayout,
        layout: CoreLayout,
        number: int,
        parts: list[list[Integers]],
    ) -> None:
        self.program = program
        self._own, self._layout, self._program_number, self._parts = own, layout, number, parts
        self._number = 0
        self._sums: dict[str, Integers] = {}

    def executed(self, place: Place, instruction: isa.Instruction, frame: Frame) -> None:
        """Records what an instruction wrote to vector memory."""
        self._number = place.number
        match instruction:
            case isa.Decay():
                self._put_decay(instruction, frame)
            case isa.Pool():
                self._put_pool(instruction, frame)
            case _:
                for k, view in enumerate(instruction.writes()):
                    if k == 0 and instruction.keyed and instruction.cached is not None:
                        self._put_keyed(view, instruction.cached, frame)
                    else:
                        self._put_view(view, frame)

    def _put(self, token: int, address: Integers, word: Integers) -> None:
        """Of one token: the words at the addresses, arrays of any one shape."""
        part = np.empty((address.size, 4), np.int64)
        part[:, 0], part[:, 1] = self._program_number, self._number
        part[:, 2], part[:, 3] = address.reshape(-1), word.reshape(-1)
        self._parts[token].append(part)

    def _put_view(self, view: View, frame: Frame) -> None:
        words = frame.view(view)
        address = self._addresses(view)
        for b in range(frame.batch):
            self._put(frame.start + b, address, words[b].astype(np.int64))

    def _addresses(self, view: View) -> Integers:
        """int64[groups, length]."""
        first = self._own.vectors[view.name] + view.offset
        groups = np.arange(view.groups, dtype=np.int64)[:, None] * view.stride
        return first + groups + np.arange(view.length, dtype=np.int64)

    def _put_keyed(self, view: View, keys: isa.CacheKeys, frame: Frame) -> None:
        words, first = frame.view(view), frame.keys(keys).first
        start = self._own.vectors[view.name] + view.offset
        for b, position in enumerate(frame.positions()):
            selected = None if keys.selected is None else frame.view(keys.selected)[b]
            for g in range(view.groups):
                slots = _slots(keys, int(position), None if selected is None else selected[g % len(selected)])
                run = words[b, g][slots - (0 if keys.kind == "blocks" and keys.selected is None else first)]
                address = start + g * view.stride + np.arange(slots.size, dtype=np.int64)
                self._put(frame.start + b, address, run.astype(np.int64))

    def _put_decay(self, i: isa.Decay, frame: Frame) -> None:
        """The new factors, twice: for who reads them, and for the next token; and by how much rows are shifted."""
        own, heads = self._own.states[i.state], self.program.text.states[i.state].heads
        groups = np.arange(i.dst.groups, dtype=np.int64)
        new, shifts = frame.scalars(i.dst).astype(np.int64), frame.shifts_of(i.dst).astype(np.int64)
        copies = np.zeros(frame.batch, np.int64) if i.partition is None else frame.scalars(i.partition)[:, 0]
        for b, copy in enumerate(copies):
            token = frame.start + b
            self._put(token, self._addresses(i.dst), new[b])
            self._put(token, own.factors + int(copy) * heads + groups, new[b])
            self._put(token, self._layout.scratch + groups, shifts[b])

    def _put_pool(self, i: isa.Pool, frame: Frame) -> None:
        """The running sum, and at the end of a block the mean in its place."""
        spec, first = self.program.text.caches[i.cache], self._own.caches[i.cache].sums
        address = first + np.arange(spec.heads * spec.size, dtype=np.int64)
        means = frame.caches[i.cache].means
        for b, position in enumerate(frame.positions()):
            words = frame.view(i.src)[b].reshape(-1).astype(np.int64)
            before = self._sums.get(i.cache) if position % i.block else None
            total = words if before is None else before + words
            self._sums[i.cache] = total
            self._put(frame.start + b, address, total)
            if (position + 1) % i.block == 0:
                mean = means[0, :, int(position) // i.block].reshape(-1).astype(np.int64)
                self._put(frame.start + b, address, mean)


def _slots(keys: isa.CacheKeys, position: int, selected: NDArray[np.int32] | None) -> Integers:
    """The keys an instruction works on, or the finished blocks, in the order in which the core has them."""
    if keys.kind == "window":
        count = min(position + 1, keys.span)
        slot = np.arange(count)
        window: Integers = position - (position - slot) % keys.span
        return window
    if keys.kind == "full":
        return np.arange(position + 1)
    if selected is None:
        return np.arange(position // keys.span)
    own = position // keys.span
    blocks = [*(int(block) for block in selected if block >= 0), own]
    all_keys = (np.arange(keys.span) + block * keys.span for block in blocks)
    known: Integers = np.concatenate(list(all_keys))
    finished: Integers = known[known <= position]
    return finished
