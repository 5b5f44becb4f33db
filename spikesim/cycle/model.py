"""Cycles of each instruction for a batch of tokens, from its effects alone.

Several cores share every instruction: column chunks of a weight matrix, heads, or words of a vector are dealt
out evenly; an instruction is done when its slowest core is. Inputs of a projection and statistics of a whole
vector cross the broadcast network once.
"""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim import timing
from spikesim.chaining import POINTWISE, tails
from spikesim.cores import CORES
from spikesim.cycle.cost import Array, Cost, Counters, PerCore
from spikesim.cycle.delivery import Counts, Delivery, delivery, order_of, update_cycles
from spikesim.cycle.words import pointwise_words, vector_words
from spikesim.hardware import HardwareConfig
from spikesim.program.kept import kept_counts
from spikesim.program.layout import block_bits
from spikesim.program.shares import cache_heads
from spikesim.program.trace import Effects
from spikesim.support.arithmetic import ceil_div


class CycleModel:
    """Costs of a program's instructions on one hardware configuration, on all three cores."""

    def __init__(self, program: isa.Program, hardware: HardwareConfig) -> None:
        self.program = program
        self.kept = kept_counts(program)
        self.ways = hardware.array.ways
        self.lanes = hardware.array.lanes
        self.loaded, self.fetched = hardware.array.loaded, hardware.array.fetched
        self.drained = hardware.array.drained
        self.update_units = hardware.array.update_units
        self.hardware = hardware
        self.order = order_of(hardware)
        self.scan = hardware.array.scan_bits
        self.words = hardware.pointwise.words
        self._instructions = list(program.instructions())
        self._tails = tails(program, words=self.words, cores=hardware.system.cores)
        self.cores = hardware.system.cores
        self.broadcast_latency = hardware.system.broadcast_latency_cycles
        self.broadcast_words = hardware.system.broadcast_words_per_cycle
        self._heads_of: dict[str, tuple[int, int]] = {}
        # What is the same for every token, by the number of the instruction.
        same = [number for number, i in enumerate(self._instructions) if i.cached is None]
        self._cycles_of = {
            number: self._fixed_pointwise(number)
            for number in same
            if isinstance(self._instructions[number], POINTWISE)
        }
        self._words_of = {
            number: self._moved(number, 1, None, 0)
            for number in same
            if not isinstance(self._instructions[number], isa.Pool)
        }

    def cost(self, number: int, effects: Effects) -> Cost:
        """What an instruction, by its number, costs each token: its hardware instructions, dispatch to end."""
        cost = self._cost(number, effects)
        self._count_words(number, effects, cost.counters)
        return cost

    def _count_words(self, number: int, effects: Effects, counters: Counters) -> None:
        i: Any = self._instructions[number]
        if number in self._words_of:
            counters.vector_words, counters.pointwise_words = (
                effects.batch * words for words in self._words_of[number]
            )
            return
        keys = None if i.cached is None else self._keyed_words(i, effects)
        ends = int(_ends(i, effects).sum()) if isinstance(i, isa.Pool) else 0
        counters.vector_words, counters.pointwise_words = self._moved(number, effects.batch, keys, ends)

    def _moved(self, number: int, batch: int, keys: Array | None, ends: int) -> tuple[int, int]:
        """Words of vector memory, and words that go through the pointwise unit."""
        i = self._instructions[number]
        pointwise = pointwise_words(i, batch, keys, ends) if isinstance(i, POINTWISE) else 0
        return vector_words(i, batch, keys, cores=self.cores, kept=number in self.kept), pointwise

    def _cost(self, number: int, effects: Effects) -> Cost:
        instruction: isa.Instruction = self._instructions[number]
        tail = self._tails[number]
        match instruction:
            case (
                isa.Multiply()
                | isa.Add()
                | isa.Reduce()
                | isa.Invert()
                | isa.ScalarMultiply()
                | isa.Exponential()
                | isa.Lookup()
                | isa.SoftmaxWeights()
                | isa.Phase()
                | isa.Rotate()
            ):
                return self._pointwise(number, effects)
            case isa.SelectTop():
                return self._select_top(instruction, effects)
            case isa.Store():
                return self._store(instruction, effects)
            case isa.Pool():
                return self._pool(instruction, effects, tail)
            case isa.Decay():
                return self._decay(instruction, effects, tail)
            case isa.Gather():
                return self._gather(instruction, effects, kept=number in self.kept)
            case isa.Scatter():
                return self._scatter(instruction, effects)
            case _:
                assert_never(instruction)

    # Pointwise instructions cost the same on all cores.

    def _pointwise(self, number: int, effects: Effects) -> Cost:
        i: Any = self._instructions[number]
        if i.cached is not None:
            keys = self._keys_per_group(i.cached, effects, i.dst.groups)
            # a header per group is in it; the last statistic's is in the rule's fixed part
            keyed = self._slowest(timing.pointwise_slots(i, keys, words=self.words) + 1) - 1
            return self._same(timing.issue_cycles(i) + timing.pointwise(1, keyed, tail=self._tails[number]))
        return self._same(np.full(effects.batch, self._cycles_of[number], np.int64))

    def _fixed_pointwise(self, number: int) -> int:
        """Cycles of a pointwise instruction that reads no keys: the same for every token."""
        i: Any = self._instructions[number]
        groups, slots = self._shape(i)
        cycles = timing.ISSUE_CYCLES + timing.pointwise(groups, slots, tail=self._tails[number])
        if self.cores > 1 and groups == 1 and (isinstance(i, isa.Reduce) or getattr(i, "reduce", None)):
            cycles += self.broadcast_latency
        return cycles

    def _select_top(self, i: isa.SelectTop, effects: Effects) -> Cost:
        groups = ceil_div(i.dst.groups, self.cores)
        if i.keys is None:
            candidates: Array = np.full(effects.batch, i.a.length, np.int64)
            issue = timing.ISSUE_CYCLES
        else:
            candidates = effects.positions // i.keys.span
            issue = timing.ISSUE_CYCLES + timing.RESOLVE_CYCLES
        return self._same(issue + timing.select_top(groups, i.count, candidates))

    def _store(self, i: isa.Store, effects: Effects) -> Cost:
        held, everywhere = self._cache_heads(i.cache)
        size = self.program.text.caches[i.cache].size
        issue = timing.ISSUE_CYCLES + timing.RESOLVE_CYCLES
        cost = self._same(np.full(effects.batch, issue + timing.store(held, size, self.fetched)))
        cost.counters.row_stores = effects.batch * everywhere * size
        return cost

    def _pool(self, i: isa.Pool, effects: Effects, tail: int) -> Cost:
        (heads, everywhere), words = self._cache_heads(i.cache), i.src.length
        ends = _ends(i, effects)
        slots = ceil_div(heads * words, self.words)
        mean = timing.pointwise(1, slots, tail=tail) + timing.store(heads, words, self.fetched)
        issue = 3 * (timing.ISSUE_CYCLES + timing.RESOLVE_CYCLES)
        total = timing.pointwise(*self._shape(i), tail=tail) + np.where(ends, mean, 0)
        cost = self._same(issue + total)
        cost.counters.row_stores = int(ends.sum()) * everywhere * words
        return cost

    def _decay(self, i: isa.Decay, effects: Effects, tail: int) -> Cost:
        size, heads = self.program.text.states[i.state].size, ceil_div(i.dst.groups, self.cores)
        sweep = timing.sweep(1, size, ways=self.ways, lanes=self.lanes, units=self.update_units)
        swept = self._slowest((_known(effects.shifts) > 0) * sweep)
        issue = timing.ISSUE_CYCLES + (0 if i.partition is None else timing.PARTITION_CYCLES)
        factors = timing.pointwise(*self._shape(i), tail=tail)
        fixed = 2 * issue + factors + heads * timing.SWEEP_GROUP + timing.SWEEP_LATENCY
        return self._same(fixed + swept)

    # Event-driven instructions.

    def _gather(self, i: isa.Gather, effects: Effects, *, kept: bool) -> Cost:
        if i.operand == "matrix":
            return self._gather_matrix(i, effects, kept=kept)
        if i.operand == "values":
            return self._gather_values(i, effects)
        counts = _known(effects.counts)
        size, groups = i.counts.length, i.counts.groups
        delivered = self._delivered(counts.reshape(-1, size))
        channels = np.full((effects.batch, groups), size)
        busy = self._busy(delivered, ceil_div(channels, self.ways))
        if i.operand == "state":
            outputs = np.full((effects.batch, groups), size)
            return self._gathered(i, effects, delivered, channels, outputs, outputs, busy, passes=2)
        outputs = self._keyed_words(i, effects)
        if i.operand == "means":
            return self._gathered(i, effects, delivered, channels, outputs, outputs, busy)
        padded = self._padded(_keys(i), effects, groups, self.lanes, whole=False)
        cost = self._gathered(i, effects, delivered, channels, outputs, padded, busy)
        cost.counters.keys_read = int(outputs.sum())
        cost.counters.keys_cached = int((effects.positions + 1).sum()) * groups
        return cost

    def _gather_matrix(self, i: isa.Gather, effects: Effects, *, kept: bool) -> Cost:
        groups, channels, outputs = i.counts.groups, i.counts.length, i.dst.length
        delivered = self._delivered(_known(effects.counts).reshape(-1, channels))
        rows = effects.batch * groups
        busy = self._busy(delivered, np.full(rows, ceil_div(channels, self.ways)))
        # Every core has all groups and its share of the column chunks.
        mine = min(outputs, ceil_div(ceil_div(outputs, self.lanes), self.cores) * self.lanes)
        fixed = timing.ISSUE_CYCLES
        if self.cores > 1 and not kept:
            fixed += self.broadcast_latency + ceil_div(i.counts.words, self.broadcast_words)
        load = timing.KEPT_LOAD if kept else timing.load_counts(channels, self.loaded)

        def cycles(events: Array) -> Array:
            per_group = timing.gather(load, mine, events, lanes=self.lanes, drained=self.drained)
            total: Array = fixed + per_group.reshape(effects.batch, groups).sum(axis=1)
            return total

        return Cost(
            cycles={core: cycles(events) for core, events in busy.items()},
            counters=self._counters(
                delivered,
                busy,
                np.full(rows, channels),
                chunks=ceil_div(outputs, self.lanes),
                columns=outputs,
            ),
        )

    def _gather_values(self, i: isa.Gather, effects: Effects) -> Cost:
        keys = _keys(i)
        weights = _known(effects.counts)
        rows, lengths = self._banked(keys, effects, weights)
        delivered = self._delivered(rows, lengths)
        groups, size = i.dst.groups, i.dst.length
        channels = self._keys_per_group(_keys(i), effects, groups)
        busy = self._busy(delivered, self._padded(keys, effects, groups, self.ways) // self.ways)
        outputs = np.full((effects.batch, groups), size)
        return self._gathered(i, effects, delivered, channels, outputs, outputs, busy)

    def _gathered(
        self,
        i: isa.Gather,
        effects: Effects,
        delivered: Delivery,
        channels: Array,
        outputs: Array,
        padded: Array,
        busy: PerCore,
        *,
        passes: int = 1,
    ) -> Cost:
        """Cost of a gather with one operand per group; all arrays are int64[batch, groups].

        `padded`: outputs, where every block but the last is filled up to whole chunks. `busy`: event cycles. Without
        outputs nothing is executed.
        """
        groups = channels.shape[1]
        load = timing.load_counts(channels, self.loaded)
        gaps = np.zeros_like(load)
        issue = timing.ISSUE_CYCLES
        if i.operand != "state":
            issue += timing.RESOLVE_CYCLES
        elif i.partition is not None:
            issue += timing.PARTITION_CYCLES
        if i.keys is not None and i.keys.selected is not None:
            # Every block starts in bank 0, so that its counts are loaded by themselves.
            past, own = self._blocks(i.keys, effects, groups)
            if i.operand == "values":
                per_block = timing.load_counts(i.keys.span, self.loaded)
                if self.order == "plane":
                    gaps = past * timing.gap_words(i.keys.span, self.ways, self.scan)
                load = past * per_block + timing.load_counts(own, self.loaded)
            load = load + timing.block_list(past)
        some = outputs > 0

        def cycles(events: Array, load: Array) -> Array:
            per_group = timing.gather(
                load, padded, events, lanes=self.lanes, drained=self.drained, passes=passes
            )
            return issue + self._slowest(np.where(some, per_group, 0))

        # Both twins keep rows, not words of planes: they have no gaps to empty.
        loads = {core: load + gaps if core == "spiking" else load for core in CORES}
        counters = self._counters(
            delivered,
            {core: events.reshape(-1) for core, events in busy.items()},
            channels.reshape(-1),
            chunks=passes * ceil_div(padded, self.lanes).reshape(-1),
            columns=passes * outputs.reshape(-1),
        )
        return Cost(
            cycles={core: cycles(events, loads[core]) for core, events in busy.items()}, counters=counters
        )

    def _scatter(self, i: isa.Scatter, effects: Effects) -> Cost:
        size, groups = i.counts.length, i.counts.groups
        counts = _known(effects.counts).reshape(-1, size)
        delivered = self._delivered(counts)
        spiking = update_cycles(counts, self.hardware)
        # The dense twins multiply bytes: a 16-bit update takes them two passes. No row is left out, be its count 0 or
        # not, so that the banks stay in step.
        dense = np.full_like(spiking, 2 * timing.update_rows(size, self.update_units))
        busy: PerCore = {"spiking": spiking, "dense": dense, "skipping": dense}
        issue = timing.ISSUE_CYCLES + (0 if i.partition is None else timing.PARTITION_CYCLES)

        def cycles(events: Array) -> Array:
            per_group = timing.scatter(size, size, events, loaded=self.loaded, lanes=self.lanes)
            return issue + self._slowest(per_group.reshape(effects.batch, groups))

        counters = self._counters(
            delivered,
            busy,
            np.full(spiking.size, size),
            chunks=ceil_div(size, self.lanes),
            columns=size,
            scattered=True,
        )
        return Cost(cycles={core: cycles(events) for core, events in busy.items()}, counters=counters)

    # Shared pieces.

    def _cache_heads(self, cache: str) -> tuple[int, int]:
        """Heads of a cache on the fullest core, and on all cores, copies included."""
        if cache not in self._heads_of:
            self._heads_of[cache] = cache_heads(self.program.text, cache, self.cores)
        return self._heads_of[cache]

    def _delivered(self, counts: Counts, lengths: Array | None = None) -> Delivery:
        return delivery(counts, self.hardware, lengths)

    def _busy(self, delivered: Delivery, dense: Array) -> PerCore:
        """Cycles in which a gather's chunk takes events, in the shape of `dense`, those of the plain twin."""
        return {
            "spiking": delivered.cycles.reshape(dense.shape),
            "dense": dense,
            "skipping": delivered.busiest_bank.reshape(dense.shape),
        }

    def _counters(
        self,
        delivered: Delivery,
        busy: PerCore,
        channels: Array,
        *,
        chunks: Array | int,
        columns: Array | int,
        scattered: bool = False,
    ) -> Counters:
        """Of every group, or of all alike: `chunks` take its events one after another, `columns` of their lanes exist.

        Both are 0 for a group without outputs, which does nothing. `busy`, `channels`: an entry per group.
        """
        some: Any = columns > 0
        active = delivered.active_rows
        taken: PerCore = {
            "spiking": delivered.events,
            "dense": channels,
            "skipping": channels if scattered else active,
        }
        read = {**taken, "spiking": active if scattered else delivered.row_reads}
        counters = Counters(events=_sum_of(delivered.events, chunks))
        for core in CORES:
            ending = "" if core == "spiking" else f"_{core}"
            cycles = np.maximum(busy[core], 1)
            for name, each, times in (
                ("spikes", taken[core], some),
                ("row_reads", read[core], chunks),
                ("array_cycles", cycles, chunks),
                ("lane_cycles", cycles, columns),
            ):
                setattr(counters, name + ending, _sum_of(each, times))
        return counters

    def _same(self, cycles: NDArray[Any]) -> Cost:
        return Cost(cycles=dict.fromkeys(CORES, cycles.astype(np.int64, copy=False)))

    def _shape(self, instruction: Any) -> tuple[int, int]:
        """(groups, slots of each) of a pointwise instruction on the slowest core."""
        groups, slots, _ = timing.pointwise_share(instruction, words=self.words, cores=self.cores)
        return groups, slots

    def _slowest(self, per_head: NDArray[Any]) -> Array:
        """[batch, heads] -> int64[batch]: heads are dealt to cores in turn; the sum of the slowest core."""
        batch, heads = per_head.shape
        if self.cores == 1:
            total: Array = per_head.sum(axis=1, dtype=np.int64)
            return total
        rounds = ceil_div(heads, self.cores)
        padded = np.zeros((batch, rounds * self.cores), np.int64)
        padded[:, :heads] = per_head
        slowest: Array = padded.reshape(batch, rounds, self.cores).sum(axis=1).max(axis=1)
        return slowest

    def _blocks(self, keys: isa.CacheKeys, effects: Effects, groups: int) -> tuple[Array, Array]:
        """int64[batch, groups]: past blocks that are read, and tokens of the block that is not finished."""
        own = np.repeat((effects.positions % keys.span + 1)[:, None], groups, axis=1)
        if effects.selected is None:
            return np.zeros_like(own), own
        past = (effects.selected >= 0).sum(axis=2, dtype=np.int64)
        return np.broadcast_to(past, own.shape), own

    def _keyed_words(self, i: Any, effects: Effects) -> Array:
        """int64[batch, groups]: words of an instruction's vector with one per key, or per finished block of means."""
        keys: isa.CacheKeys = i.cached
        groups = i.counts.groups if isinstance(i, isa.Gather) else i.dst.groups
        if isinstance(i, isa.SelectTop) or (isinstance(i, isa.Gather) and i.operand == "means"):
            return np.repeat((effects.positions // keys.span)[:, None], groups, axis=1)
        return self._keys_per_group(keys, effects, groups)

    def _keys_per_group(self, keys: isa.CacheKeys, effects: Effects, groups: int) -> Array:
        """int64[batch, groups]: how many keys each group reads."""
        return self._padded(keys, effects, groups, unit=1)

    def _padded(
        self, keys: isa.CacheKeys, effects: Effects, groups: int, unit: int, *, whole: bool = True
    ) -> Array:
        """Keys per token and head, every block (the last only with `whole`) rounded up to `unit`: [batch, groups]."""
        known = np.repeat(effects.positions[:, None] + 1, groups, axis=1)
        past: Array = np.zeros_like(known)
        if keys.kind == "window":
            own = np.minimum(known, keys.span)
        elif keys.kind == "full" or keys.selected is None:
            own = known
        else:
            blocks, own = self._blocks(keys, effects, groups)
            past = blocks * (ceil_div(keys.span, unit) * unit)
        if whole:
            own = ceil_div(own, unit) * unit
        return own + past

    def _banked(self, keys: isa.CacheKeys, effects: Effects, weights: Counts) -> tuple[Counts, Array]:
        """weights[batch, groups, keys] -> [rows, columns], lengths: as the encoder numbers the keys that it loads.

        Column c lies in bank c mod ways. Each block starts in bank 0, its number of rows rounded up to a power of two;
        the past ones come in the order in which they were chosen, the token's own last.
        """
        batch, groups, _ = weights.shape
        position = np.repeat(effects.positions, groups)
        rows = weights.reshape(batch * groups, -1)
        if keys.kind != "blocks" or keys.selected is None:
            if keys.kind == "window":
                return _in_ring(rows, effects.first_key, keys.span), np.minimum(position + 1, keys.span)
            return rows, position + 1
        own = position // keys.span
        chosen = _known(effects.selected)
        chosen = np.broadcast_to(chosen, (batch, groups, chosen.shape[2])).reshape(len(rows), -1)
        past = (chosen >= 0).sum(axis=1)
        stride = self.ways << block_bits(keys.span, self.ways)
        banked = np.zeros((len(rows), (chosen.shape[1] + 1) * stride), np.int8)
        within, every = np.arange(keys.span), np.arange(len(rows))
        for number in range(chosen.shape[1] + 1):
            block = np.where(number == past, own, chosen[:, min(number, chosen.shape[1] - 1)])
            read = block[:, None] * keys.span + within - effects.first_key
            there = (number <= past)[:, None] & (read >= 0) & (read < rows.shape[1])
            found = rows[every[:, None], np.where(there, read, 0)]
            banked[:, number * stride : number * stride + keys.span] = np.where(there, found, 0)
        return banked, past * stride + position % keys.span + 1


def _in_ring(rows: Counts, first_key: int, span: int) -> Counts:
    """rows: int8[rows, keys] from `first_key` on -> int8[rows, slots]: position p lies in slot p mod span.

    Two positions share a slot, but no query sees both: one of the two is 0.
    """
    keys, start = rows.shape[1], 0
    ring = np.zeros((len(rows), min(span, first_key % span + keys)), np.int8)
    while start < keys:
        slot = (first_key + start) % span
        length = min(span - slot, keys - start)
        ring[:, slot : slot + length] |= rows[:, start : start + length]
        start += length
    return ring


def _sum_of(each: Array, times: Array | int) -> int:
    """Σ each · times."""
    return int(each.sum()) * times if isinstance(times, int) else int(each @ times)


def _ends(i: isa.Pool, effects: Effects) -> NDArray[np.bool_]:
    """bool[batch]: tokens that complete a block."""
    last: NDArray[np.bool_] = (effects.positions + 1) % i.block == 0
    return last


def _keys(i: isa.Gather) -> isa.CacheKeys:
    if i.keys is None:
        raise ValueError(f"a gather of {i.operand} must say which keys it reads")
    return i.keys


def _known(part: NDArray[Any] | None) -> NDArray[Any]:
    """A part of the effects that the instruction at hand has."""
    if part is None:
        raise ValueError("the effects must be those of this instruction")
    return part
