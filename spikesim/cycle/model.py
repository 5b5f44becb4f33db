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
from spikesim.cycle.words import pointwise_words, vector_words
from spikesim.hardware import HardwareConfig, Order
from spikesim.program.kept import kept_counts
from spikesim.program.layout import block_bits
from spikesim.program.shares import cache_heads
from spikesim.program.trace import Effects
from spikesim.spikes.digits import digits
from spikesim.spikes.events import EventStatistics, event_statistics
from spikesim.support.arithmetic import ceil_div

Counts = NDArray[np.int8]


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
        self.coding = hardware.numerics.coding
        self.hardware = hardware
        self.order = _order(hardware)
        self.scan = hardware.array.scan_bits
        self.words = hardware.pointwise.words
        self._instructions = list(program.instructions())
        self._tails = tails(program, words=self.words, cores=hardware.system.cores)
        self.cores = hardware.system.cores
        self.broadcast_latency = hardware.system.broadcast_latency_cycles
        self.broadcast_words = hardware.system.broadcast_words_per_cycle
        self._planes = _planes_of_counts(self.coding)
        self._heads_of: dict[str, tuple[int, int]] = {}

    def cost(self, number: int, effects: Effects) -> Cost:
        """What an instruction, by its number, costs each token: its hardware instructions, dispatch to end."""
        cost = self._cost(number, effects)
        self._count_words(number, effects, cost.counters)
        return cost

    def _count_words(self, number: int, effects: Effects, counters: Counters) -> None:
        i: Any = self._instructions[number]
        keys: Array | None = None
        if i.cached is not None:
            keys = self._keyed_words(i, effects)
        counters.vector_words = vector_words(
            i, effects.batch, keys, cores=self.cores, kept=number in self.kept
        )
        if isinstance(i, POINTWISE):
            ends = int(_ends(i, effects).sum()) if isinstance(i, isa.Pool) else 0
            counters.pointwise_words = pointwise_words(i, effects.batch, keys, ends)

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
                return self._pointwise(instruction, effects, tail)
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

    def _pointwise(self, i: Any, effects: Effects, tail: int) -> Cost:
        if i.cached is not None:
            keys = self._keys_per_group(i.cached, effects, i.dst.groups)
            # a header per group is in it; the last statistic's is in the rule's fixed part
            keyed = self._slowest(timing.pointwise_slots(i, keys, words=self.words) + 1) - 1
            return self._same(timing.issue_cycles(i) + timing.pointwise(1, keyed, tail=tail))
        groups, slots = self._shape(i)
        cycles = timing.ISSUE_CYCLES + timing.pointwise(groups, slots, tail=tail)
        if self.cores > 1 and groups == 1 and (isinstance(i, isa.Reduce) or getattr(i, "reduce", None)):
            cycles += self.broadcast_latency
        return self._same(np.full(effects.batch, cycles))

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
        statistics = self._statistics(counts.reshape(-1, size))
        channels = np.full((effects.batch, groups), size)
        busy = self._busy(statistics, ceil_div(channels, self.ways))
        if i.operand == "state":
            outputs = np.full((effects.batch, groups), size)
            return self._gathered(i, effects, statistics, channels, outputs, outputs, busy, passes=2)
        outputs = self._keyed_words(i, effects)
        if i.operand == "means":
            return self._gathered(i, effects, statistics, channels, outputs, outputs, busy)
        padded = self._padded(_keys(i), effects, groups, self.lanes, whole=False)
        cost = self._gathered(i, effects, statistics, channels, outputs, padded, busy)
        cost.counters.keys_read = int(outputs.sum())
        cost.counters.keys_cached = int((effects.positions + 1).sum()) * groups
        return cost

    def _gather_matrix(self, i: isa.Gather, effects: Effects, *, kept: bool) -> Cost:
        groups, channels, outputs = i.counts.groups, i.counts.length, i.dst.length
        statistics = self._statistics(_known(effects.counts).reshape(-1, channels))
        every = np.full(effects.batch * groups, outputs)
        busy = self._busy(statistics, np.full_like(every, ceil_div(channels, self.ways)))
        # Every core has all groups and its share of the column chunks.
        mine = min(outputs, ceil_div(ceil_div(outputs, self.lanes), self.cores) * self.lanes)
        fixed = timing.ISSUE_CYCLES
        if self.cores > 1 and not kept:
            fixed += self.broadcast_latency + ceil_div(i.counts.words, self.broadcast_words)
        load = timing.KEPT_LOAD if kept else timing.load_counts(channels, self.loaded)
        one = np.ones(every.size, np.int64)

        def cycles(events: Array) -> Array:
            per_group: Array = timing.gather(
                load * one, mine * one, events, lanes=self.lanes, drained=self.drained
            )
            total: Array = fixed + per_group.reshape(effects.batch, groups).sum(axis=1)
            return total

        return Cost(
            cycles={core: cycles(events) for core, events in busy.items()},
            counters=self._counters(statistics, every, every, busy, np.full_like(every, channels)),
        )

    def _gather_values(self, i: isa.Gather, effects: Effects) -> Cost:
        keys = _keys(i)
        weights = _known(effects.counts)
        rows, lengths = self._banked(keys, effects, weights)
        statistics = self._statistics(rows, lengths)
        groups, size = i.dst.groups, i.dst.length
        channels = self._keys_per_group(_keys(i), effects, groups)
        busy = self._busy(statistics, self._padded(keys, effects, groups, self.ways) // self.ways)
        outputs = np.full((effects.batch, groups), size)
        return self._gathered(i, effects, statistics, channels, outputs, outputs, busy)

    def _gathered(
        self,
        i: isa.Gather,
        effects: Effects,
        statistics: EventStatistics,
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
            statistics,
            outputs.reshape(-1),
            padded.reshape(-1),
            {core: events.reshape(-1) for core, events in busy.items()},
            channels.reshape(-1),
            passes=passes,
        )
        return Cost(
            cycles={core: cycles(events, loads[core]) for core, events in busy.items()}, counters=counters
        )

    def _scatter(self, i: isa.Scatter, effects: Effects) -> Cost:
        size, groups = i.counts.length, i.counts.groups
        counts = _known(effects.counts).reshape(-1, size)
        statistics = self._statistics(counts)
        spiking = self._row_serial_cycles(counts)
        # The dense twins multiply bytes: a 16-bit update takes them two passes. No row is left out, be its count 0 or
        # not, so that the banks stay in step.
        dense = np.full_like(spiking, 2 * timing.update_rows(size, self.update_units))
        busy: PerCore = {"spiking": spiking, "dense": dense, "skipping": dense}
        issue = timing.ISSUE_CYCLES + (0 if i.partition is None else timing.PARTITION_CYCLES)

        def cycles(events: Array) -> Array:
            per_group = timing.scatter(size, size, events, loaded=self.loaded, lanes=self.lanes)
            return issue + self._slowest(per_group.reshape(effects.batch, groups))

        every = np.full(spiking.size, size)
        counters = self._counters(statistics, every, every, busy, every, scattered=True)
        return Cost(cycles={core: cycles(events) for core, events in busy.items()}, counters=counters)

    # Shared pieces.

    def _cache_heads(self, cache: str) -> tuple[int, int]:
        """Heads of a cache on the fullest core, and on all cores, copies included."""
        if cache not in self._heads_of:
            self._heads_of[cache] = cache_heads(self.program.text, cache, self.cores)
        return self._heads_of[cache]

    def _statistics(self, counts: Counts, lengths: Array | None = None) -> EventStatistics:
        return _event_statistics(counts, self.hardware, lengths)

    def _busy(self, statistics: EventStatistics, dense: Array) -> PerCore:
        """Cycles in which a gather's chunk takes events, in the shape of `dense`, those of the plain twin."""
        return {
            "spiking": _event_cycles(statistics, self.hardware).reshape(dense.shape),
            "dense": dense,
            "skipping": statistics.busiest_bank_active.astype(np.int64).reshape(dense.shape),
        }

    def _row_serial_cycles(self, counts: Counts) -> Array:
        """int64[rows]: cycles of the update unit that needs most to step through the planes of its rows one by one."""
        units, channels = self.update_units, counts.shape[1]
        planes = self._planes[counts.astype(np.int16) + isa.COUNT_LIMIT]
        padded = np.zeros((counts.shape[0], timing.update_rows(channels, units) * units), np.int64)
        padded[:, :channels] = planes
        busiest: Array = padded.reshape(counts.shape[0], -1, units).sum(axis=1).max(axis=1)
        return busiest

    def _counters(
        self,
        statistics: EventStatistics,
        outputs: Array,
        padded: Array,
        busy: PerCore,
        channels: Array,
        *,
        passes: int = 1,
        scattered: bool = False,
    ) -> Counters:
        """One entry of every array per group; groups without outputs do nothing."""
        chunks = passes * ceil_div(padded, self.lanes)
        lanes = passes * outputs
        some = outputs > 0
        events, active = statistics.events.astype(np.int64), statistics.active_rows.astype(np.int64)
        taken: PerCore = {"spiking": events, "dense": channels, "skipping": channels if scattered else active}
        read = {**taken, "spiking": active if scattered else _rows_read(statistics, self.order)}
        counters = Counters(events=int((events * chunks).sum()))
        for core in CORES:
            ending = "" if core == "spiking" else f"_{core}"
            cycles = np.maximum(busy[core], 1)
            for name, each in (
                ("spikes", taken[core] * some),
                ("row_reads", read[core] * chunks),
                ("array_cycles", cycles * chunks),
                ("lane_cycles", cycles * lanes),
            ):
                setattr(counters, name + ending, int(each.sum()))
        return counters

    def _same(self, cycles: NDArray[Any]) -> Cost:
        return Cost(cycles=dict.fromkeys(CORES, cycles.astype(np.int64)))

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
                slot = np.arange(effects.first_key, effects.first_key + rows.shape[1]) % keys.span
                lengths = np.minimum(position + 1, keys.span)
                banked = np.zeros((len(rows), int(slot.max()) + 1), np.int8)
                # In a ring two positions share a slot, but no query sees both; adding is therefore storing.
                np.add.at(banked.T, slot, rows.T)
                return banked, lengths
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


def gather_cycles(counts: NDArray[np.int8], hardware: HardwareConfig) -> Array:
    """counts: int8[rows, channels] -> int64[rows]: cycles in which a gather's chunk takes events, spiking."""
    return _event_cycles(_event_statistics(counts, hardware, None), hardware)


def skip_cycles(counts: NDArray[np.int8], hardware: HardwareConfig) -> Array:
    """counts: int8[rows, channels] -> int64[rows]: the same of the dense twin that skips zeros, at least 1."""
    busiest = _event_statistics(counts, hardware, None).busiest_bank_active
    return np.maximum(busiest, 1).astype(np.int64)


def gather_reads(counts: NDArray[np.int8], hardware: HardwareConfig) -> PerCore:
    """counts: int8[rows, channels] -> int64[rows] per core: words of row memory that a gather's chunk reads."""
    statistics = _event_statistics(counts, hardware, None)
    return {
        "spiking": _rows_read(statistics, _order(hardware)),
        "dense": np.full(len(counts), counts.shape[1], np.int64),
        "skipping": statistics.active_rows.astype(np.int64),
    }


def _rows_read(statistics: EventStatistics, order: Order) -> Array:
    """int64[rows]: by the spiking core; in plane order a row is read anew for every event."""
    reads: dict[Order, NDArray[np.int32]] = {
        "plane": statistics.events,
        "row": statistics.active_rows,
        "window": statistics.window_order_reads,
    }
    return reads[order].astype(np.int64)


def _event_statistics(counts: Counts, hardware: HardwareConfig, lengths: Array | None) -> EventStatistics:
    array = hardware.array
    return event_statistics(
        counts,
        array.ways,
        hardware.numerics.coding,
        skew=array.skew,
        scan=array.scan_bits,
        row_planes=array.row_planes if _order(hardware) == "window" else 8,
        lengths=lengths,
    )


def _event_cycles(statistics: EventStatistics, hardware: HardwareConfig) -> Array:
    cycles: dict[Order, NDArray[np.int32]] = {
        "plane": statistics.plane_order_cycles,
        "row": statistics.row_order_cycles,
        "window": statistics.window_order_cycles,
    }
    return cycles[_order(hardware)].astype(np.int64)


def _order(hardware: HardwareConfig) -> Order:
    """Ternary planes weigh the same, so that their events come row by row in any order."""
    return "row" if hardware.numerics.coding == "ternary" else hardware.array.order


def _planes_of_counts(coding: str) -> Array:
    """int64[255]: planes up to the highest event, for the counts −127 … 127."""
    counts = np.arange(-isa.COUNT_LIMIT, isa.COUNT_LIMIT + 1, dtype=np.int8)
    spikes = digits(counts, coding) != 0
    planes = np.arange(1, spikes.shape[0] + 1)[:, None]
    highest: Array = (planes * spikes).max(axis=0).astype(np.int64)
    return highest


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
