"""Cycles of each instruction for all tokens of a frame.

Several cores share every instruction: column chunks of a weight matrix, heads, or words of a vector are dealt
out evenly; an instruction is done when its slowest core is. Inputs of a projection and statistics of a whole
vector cross the broadcast network once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim import timing
from spikesim.cycle.cost import Array, Cost, Counters
from spikesim.digits import digits
from spikesim.events import EventStatistics, event_statistics
from spikesim.golden.frame import Frame, KeyRange, Words
from spikesim.golden.machine import SHIFT_SUFFIX
from spikesim.hardware import HardwareConfig


class CycleModel:
    """Costs of a program's instructions on one hardware configuration, spiking and dense."""

    def __init__(self, program: isa.Program, hardware: HardwareConfig) -> None:
        self.program = program
        self.ways = hardware.array.ways
        self.lanes = hardware.array.lanes
        self.plane_order = hardware.array.order == "plane"
        self.coding = hardware.numerics.coding
        self.cores = hardware.system.cores
        self.broadcast_latency = hardware.system.broadcast_latency_cycles
        self.broadcast_words = hardware.system.broadcast_words_per_cycle
        self._planes = _planes_of_counts(self.coding)

    def cost(self, instruction: Any, frame: Frame) -> Cost:
        """What the instruction costs each token of the frame, issue and latency included."""
        cost = getattr(self, "_" + instruction.op, self._pointwise)(instruction, frame)
        fixed = timing.ISSUE_CYCLES + timing.LATENCY[instruction.op]
        return Cost(spiking=cost.spiking + fixed, dense=cost.dense + fixed, counters=cost.counters)

    # Pointwise instructions cost the same on both cores.

    def _pointwise(self, i: Any, frame: Frame) -> Cost:
        view = i.a if isinstance(i, isa.Reduce) else i.dst
        if getattr(i, "keys", None) is not None:
            counts = frame.keys(i.keys).valid.sum(axis=2)
            words = self._slowest(np.broadcast_to(counts, (frame.batch, view.groups)))
        else:
            words = np.full(frame.batch, self._share(view))
        if self.cores > 1 and (isinstance(i, isa.Reduce) or getattr(i, "reduce", None)) and view.groups == 1:
            words = words + self.broadcast_latency
        return self._both(timing.stream(words))

    def _phase(self, i: isa.Phase, frame: Frame) -> Cost:
        return self._both(np.full(frame.batch, 2 * i.cos.length))

    def _select_top(self, i: isa.SelectTop, frame: Frame) -> Cost:
        if i.keys is None:
            candidates = np.full(frame.batch, i.a.length)
        else:
            candidates = frame.positions() // i.keys.span
        return self._both((candidates + i.count) * timing.ceil_div(i.dst.groups, self.cores))

    def _store(self, i: isa.Store, frame: Frame) -> Cost:
        spec = self.program.text.caches[i.cache]
        heads = timing.ceil_div(spec.heads, self.cores)
        return self._both(np.full(frame.batch, heads * timing.load_counts(spec.size)))

    def _pool(self, i: isa.Pool, frame: Frame) -> Cost:
        words = self._share(i.src)
        ends = (frame.positions() + 1) % i.block == 0
        return self._both(np.where(ends, 2 * words, words))

    def _decay(self, i: isa.Decay, frame: Frame) -> Cost:
        size = self.program.text.states[i.state].size
        shifts = frame.vectors[i.dst.name + SHIFT_SUFFIX][frame.start : frame.stop]
        sweep = timing.decay(size, ways=self.ways, lanes=self.lanes)
        per_head = 1 + (shifts.reshape(frame.batch, -1) > 0) * np.int64(sweep)
        return self._both(self._slowest(per_head))

    # Event-driven instructions.

    def _gather(self, i: isa.Gather, frame: Frame) -> Cost:
        if i.operand == "matrix":
            return self._gather_matrix(i, frame)
        if i.operand == "values":
            return self._gather_values(i, frame)
        counts = frame.view(i.counts)
        size, groups = i.counts.length, i.counts.groups
        statistics = self._statistics(counts.reshape(-1, size))
        spiking = self._event_cycles(statistics).reshape(frame.batch, groups)
        dense = np.full_like(spiking, timing.ceil_div(size, self.ways))
        if i.operand == "state":
            outputs, passes = np.full((frame.batch, groups), size), 2
        else:
            outputs, passes = self._padded_outputs(i, frame, groups), 1
        keys = i.operand == "keys"
        return self._gathered(
            i, frame, statistics, np.int64(size), outputs, spiking, dense, passes=passes, keys=keys
        )

    def _gather_matrix(self, i: isa.Gather, frame: Frame) -> Cost:
        counts = frame.view(i.counts)[:, 0]
        channels, outputs = i.counts.words, self.program.matrices[i.name].shape[0]
        statistics = self._statistics(counts)
        spiking = self._event_cycles(statistics)
        dense = np.full_like(spiking, timing.ceil_div(channels, self.ways))
        chunks = timing.ceil_div(outputs, self.lanes)
        mine = min(outputs, timing.ceil_div(chunks, self.cores) * self.lanes)
        broadcast = 0
        if self.cores > 1:
            broadcast = self.broadcast_latency + timing.ceil_div(
                timing.load_counts(channels), self.broadcast_words
            )
        one = np.int64(1)
        return Cost(
            spiking=broadcast + timing.gather(channels * one, mine * one, spiking, lanes=self.lanes),
            dense=broadcast + timing.gather(channels * one, mine * one, dense, lanes=self.lanes),
            counters=self._counters(statistics, np.full(frame.batch, chunks), spiking, dense, channels),
        )

    def _gather_values(self, i: isa.Gather, frame: Frame) -> Cost:
        keys = _keys(i)
        valid = frame.keys(keys)
        weights = frame.view(i.counts)
        rows = self._banked(keys, valid, weights.reshape(-1, weights.shape[2]))
        statistics = self._statistics(rows)
        groups, size = i.dst.groups, i.dst.length
        spiking = self._event_cycles(statistics).reshape(frame.batch, groups)
        channels = np.broadcast_to(valid.valid.sum(axis=2), spiking.shape).astype(np.int64)
        dense = self._padded(keys, frame, groups, self.ways) // self.ways
        outputs = np.full((frame.batch, groups), size)
        return self._gathered(i, frame, statistics, channels, outputs, spiking, dense, passes=1)

    def _gathered(
        self,
        i: isa.Gather,
        frame: Frame,
        statistics: EventStatistics,
        channels: Any,
        outputs: Array,
        spiking: Array,
        dense: Array,
        *,
        passes: int,
        keys: bool = False,
    ) -> Cost:
        """Cost of a gather with one operand per group; spiking and dense are event cycles [batch, groups]."""
        lanes = self.lanes
        chunks = passes * timing.ceil_div(outputs, lanes)
        width = i.counts.length if i.operand != "values" else int(np.max(channels, initial=0))
        counters = self._counters(
            statistics, chunks.reshape(-1), spiking.reshape(-1), dense.reshape(-1), width
        )
        if keys:
            counters.keys_read = int(frame.keys(_keys(i)).valid.sum()) * (
                i.counts.groups // frame.keys(_keys(i)).valid.shape[1]
            )
            counters.keys_cached = int((frame.positions() + 1).sum()) * i.counts.groups
        return Cost(
            spiking=self._slowest(timing.gather(channels, outputs, spiking, lanes=lanes, passes=passes)),
            dense=self._slowest(timing.gather(channels, outputs, dense, lanes=lanes, passes=passes)),
            counters=counters,
        )

    def _scatter(self, i: isa.Scatter, frame: Frame) -> Cost:
        size, groups = i.counts.length, i.counts.groups
        counts = frame.view(i.counts).reshape(-1, size)
        statistics = self._statistics(counts)
        spiking = self._row_serial_cycles(counts).reshape(frame.batch, groups)
        # The dense twin multiplies bytes: a 16-bit update takes it two passes.
        dense = np.full_like(spiking, 2 * timing.ceil_div(size, self.ways))
        chunks = np.full(spiking.size, timing.ceil_div(size, self.lanes))
        return Cost(
            spiking=self._slowest(timing.scatter(size, size, spiking, lanes=self.lanes)),
            dense=self._slowest(timing.scatter(size, size, dense, lanes=self.lanes)),
            counters=self._counters(
                statistics, chunks, spiking.reshape(-1), dense.reshape(-1), size, per_row=True
            ),
        )

    # Shared pieces.

    def _statistics(self, counts: Words) -> EventStatistics:
        return event_statistics(counts.astype(np.int8), self.ways, self.coding)

    def _event_cycles(self, statistics: EventStatistics) -> Array:
        chosen = statistics.plane_order_cycles if self.plane_order else statistics.row_order_cycles
        return chosen.astype(np.int64)

    def _row_serial_cycles(self, counts: Words) -> Array:
        """int64[rows]: cycles of the bank that needs most to step through the planes of its rows one by one."""
        planes = self._planes[counts + isa.COUNT_LIMIT]
        padded = np.zeros(
            (counts.shape[0], timing.ceil_div(counts.shape[1], self.ways) * self.ways), np.int64
        )
        padded[:, : counts.shape[1]] = planes
        busiest: Array = padded.reshape(counts.shape[0], -1, self.ways).sum(axis=1).max(axis=1)
        return busiest

    def _counters(
        self,
        statistics: EventStatistics,
        chunks: Array,
        spiking: Array,
        dense: Array,
        rows: int,
        *,
        per_row: bool = False,
    ) -> Counters:
        events = statistics.events.astype(np.int64)
        read = events if self.plane_order and not per_row else statistics.active_rows.astype(np.int64)
        return Counters(
            events=int((events * chunks).sum()),
            spikes=int(events.sum()),
            row_reads=int((read * chunks).sum()),
            row_reads_dense=int(rows * chunks.sum()),
            array_cycles=int((spiking * chunks).sum()),
            array_cycles_dense=int((dense * chunks).sum()),
        )

    def _both(self, cycles: Array) -> Cost:
        return Cost(spiking=cycles.astype(np.int64), dense=cycles.astype(np.int64))

    def _share(self, view: isa.View) -> int:
        """Words of a pointwise instruction that the slowest core handles."""
        if view.groups == 1:
            return timing.ceil_div(view.length, self.cores)
        return timing.ceil_div(view.groups, self.cores) * view.length

    def _slowest(self, per_head: NDArray[Any]) -> Array:
        """[batch, heads] -> int64[batch]: heads are dealt to cores in turn; the sum of the slowest core."""
        batch, heads = per_head.shape
        if self.cores == 1:
            total: Array = per_head.sum(axis=1, dtype=np.int64)
            return total
        rounds = timing.ceil_div(heads, self.cores)
        padded = np.zeros((batch, rounds * self.cores), np.int64)
        padded[:, :heads] = per_head
        slowest: Array = padded.reshape(batch, rounds, self.cores).sum(axis=1).max(axis=1)
        return slowest

    def _padded_outputs(self, i: isa.Gather, frame: Frame, groups: int) -> Array:
        """Lanes drained for keys or block means: whole chunks but for the last."""
        if i.operand == "means":
            return np.repeat((frame.positions() // _keys(i).span)[:, None], groups, axis=1)
        return self._padded(_keys(i), frame, groups, self.lanes, whole=False)

    def _padded(
        self, keys: isa.CacheKeys, frame: Frame, groups: int, unit: int, *, whole: bool = True
    ) -> Array:
        """Keys per token and head, every block (the last only with `whole`) rounded up to `unit`: [batch, groups]."""
        positions = np.repeat(frame.positions()[:, None], groups, axis=1)
        known = positions + 1
        if keys.kind == "window":
            own, past = np.minimum(known, keys.span), np.int64(0)
        elif keys.kind == "full" or keys.selected is None:
            own, past = known, np.int64(0)
        else:
            own = positions % keys.span + 1
            chosen = (frame.view(keys.selected) >= 0).sum(axis=2)
            past = chosen * (timing.ceil_div(keys.span, unit) * unit)
        if whole:
            own = timing.ceil_div(own, unit) * unit
        return (own + past).astype(np.int64)

    def _banked(self, keys: isa.CacheKeys, valid: KeyRange, weights: Words) -> Words:
        """weights[rows, keys] with columns moved so that column c lies in bank c mod ways, as the cache stores it.

        Each block, and the ring of a window, starts in bank 0.
        """
        position = np.arange(valid.first, valid.stop)
        if keys.kind == "window":
            slot = position % keys.span
        elif keys.kind == "blocks":
            slot = (
                position // keys.span * (timing.ceil_div(keys.span, self.ways) * self.ways)
                + position % keys.span
            )
        else:
            slot = position
        if np.array_equal(slot, np.arange(slot.size)):
            return weights
        banked = np.zeros((weights.shape[0], int(slot.max()) + 1), np.int32)
        # In a ring two positions share a slot, but no query sees both; adding is therefore storing.
        np.add.at(banked.T, slot, weights.T)
        return banked


def _planes_of_counts(coding: str) -> Array:
    """int64[255]: planes up to the highest event, for the counts −127 … 127."""
    counts = np.arange(-isa.COUNT_LIMIT, isa.COUNT_LIMIT + 1, dtype=np.int8)
    spikes = digits(counts, coding) != 0
    planes = np.arange(1, spikes.shape[0] + 1)[:, None]
    highest: Array = (planes * spikes).max(axis=0).astype(np.int64)
    return highest


def _keys(i: isa.Gather) -> isa.CacheKeys:
    if i.keys is None:
        raise ValueError(f"a gather of {i.operand} must say which keys it reads")
    return i.keys
