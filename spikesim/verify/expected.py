"""What the core must do: every word the simulator's instructions write, with its address, and their cycles.

The golden model keeps vectors indexed by key in the order of keys; the core keeps them in the order in which it
reads the cache: `_slots` translates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim.cycle.cost import Counters
from spikesim.golden.frame import Frame
from spikesim.golden.machine import Machine
from spikesim.hardware import HardwareConfig
from spikesim.program import Program, View
from spikesim.program.access import SHIFT_SUFFIX
from spikesim.program.layout import CoreLayout, ProgramLayout
from spikesim.run.simulator import Simulator, run_chain

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a chain of programs must do, token by token.

    * `writes`: per token int64[writes, 4]: program, instruction, address, word; sorted by the first three.
    * `cycles`: per program {"spiking", "dense"} -> int64[instructions, tokens].
    * `outputs`: int32[tokens, words].
    """

    writes: list[Integers]
    cycles: list[dict[str, Integers]]
    outputs: NDArray[np.int32]
    counters: Counters
    clipped: int
    overflows: int


def expect(
    programs: list[Program], layout: CoreLayout, hardware: HardwareConfig, words: NDArray[np.int32]
) -> Expected:
    """Simulates `words`: int32[tokens, words], the input of each token, through all programs."""
    parts: list[list[Integers]] = [[] for _ in range(words.shape[0])]
    simulators = [Simulator(program, hardware, detail=True) for program in programs]
    for number, (simulator, own) in enumerate(zip(simulators, layout.programs, strict=True)):
        simulator.machine = _Recorder(simulator.program, own, layout, number, parts)
    outputs = run_chain(simulators, words[:, None])[:, 0]
    cycles, counters, clipped, overflows = [], Counters(), 0, 0
    for simulator in simulators:
        detail = simulator.per_token or []
        cycles.append(
            {
                core: np.stack([np.concatenate(entry[core]) for entry in detail])
                for core in ("spiking", "dense")
            }
        )
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


def _sorted(writes: Integers) -> Integers:
    ordered: Integers = writes[np.lexsort((writes[:, 2], writes[:, 1], writes[:, 0]))]
    return ordered


class _Recorder(Machine):
    """A golden machine that notes what every instruction writes, when it writes it: names are used again later."""

    def __init__(
        self,
        program: Program,
        own: ProgramLayout,
        layout: CoreLayout,
        number: int,
        parts: list[list[Integers]],
    ) -> None:
        super().__init__(program)
        self._own, self._layout, self._program_number, self._parts = own, layout, number, parts
        self._numbers = {id(instruction): n for n, instruction in enumerate(program.instructions())}
        self._sums: dict[str, Integers] = {}

    def execute(self, instruction: Any, frame: Frame) -> None:
        """Executes and records."""
        super().execute(instruction, frame)
        record = getattr(self, f"_record_{instruction.op}", self._record_results)
        self._number = self._numbers[id(instruction)]
        record(instruction, frame)

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

    def _record_results(self, i: Any, frame: Frame) -> None:
        keys: isa.CacheKeys | None = getattr(i, "keys", None)
        if keys is not None and not (isinstance(i, isa.SelectTop) or getattr(i, "operand", "") == "values"):
            self._put_keyed(i.dst, keys, frame)
        elif hasattr(i, "dst"):
            self._put_view(i.dst, frame)
        reduction = getattr(i, "reduce", None) or getattr(i, "reduction", None)
        if reduction is not None:
            self._put_view(reduction.dst, frame)

    def _record_phase(self, i: isa.Phase, frame: Frame) -> None:
        self._put_view(i.cos, frame)
        self._put_view(i.sin, frame)

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

    def _record_decay(self, i: isa.Decay, frame: Frame) -> None:
        token = frame.start
        heads = self.program.text.states[i.state].heads
        copy = 0 if i.partition is None else int(frame.scalars(i.partition)[0, 0])
        factors = self._own.states[i.state].factors + copy * heads + np.arange(i.dst.groups, dtype=np.int64)
        scratch = self._layout.scratch + np.arange(i.dst.groups, dtype=np.int64)
        shifts = frame.vectors[i.dst.name + SHIFT_SUFFIX][token].reshape(-1).astype(np.int64)
        new = frame.scalars(i.dst)[0].astype(np.int64)
        self._put(token, self._addresses(i.dst), new)
        self._put(token, factors, new)
        self._put(token, scratch, shifts)

    def _record_scatter(self, i: isa.Scatter, frame: Frame) -> None:
        """Writes state memory alone."""

    def _record_store(self, i: isa.Store, frame: Frame) -> None:
        """Writes row memory alone."""

    def _record_pool(self, i: isa.Pool, frame: Frame) -> None:
        """The running sum, and at the end of a block the mean in its place."""
        spec, first = self.program.text.caches[i.cache], self._own.caches[i.cache].sums
        address = first + np.arange(spec.heads * spec.size, dtype=np.int64)
        means = self.caches[i.cache].means
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
