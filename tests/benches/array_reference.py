"""What the array unit must do, from the golden model's arithmetic: results, places in the memories, cycles, counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spikesim import timing
from spikesim.golden.arithmetic import round_shift
from spikesim.golden.state import State
from spikesim.program import StateSpec
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.isa import Extent, RunLength
from spikesim.spikes.digits import digits
from spikesim.support.arithmetic import ceil_div


@dataclass
class Outcome:
    """Words written, cycles, and increments of the counters."""

    written: dict[int, int] = field(default_factory=dict)
    cycles: int = 0
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))

    def count(self, **increments: int) -> None:
        for name, value in increments.items():
            self.counters[name] += int(value)


COUNTERS = ("events", "rows", "spikes", "active", "lanes", "overflows")


class Reference:
    """`rows`: int8[ways, depth, lanes]; `states`: int16[ways, depth, lanes]; `words`: vector memory by address."""

    def __init__(self, config: CoreConfig, words) -> None:
        self.config, self.words = config, words
        order = config.order if config.coding != "ternary" and not config.dense else "row"
        self.by_plane, self.by_window = order == "plane", order == "window"
        self.scan = config.scan_bits
        self.units = min(config.state_banks, config.ways)
        self.rows = np.zeros((config.ways, config.row_depth, config.lanes), np.int8)
        self.states = np.zeros((config.ways, config.state_depth, config.lanes), np.int16)

    def vector(self, address: int, length: int) -> np.ndarray:
        return np.array([self.words[address + i] for i in range(length)], np.int64)

    # Events.

    def _digits(self, banked: np.ndarray) -> np.ndarray:
        """[planes, encoder rows, ways]."""
        return digits(banked, self.config.coding)

    def event_cycles(self, banked: np.ndarray, used: np.ndarray) -> int:
        """banked, used: counts and whether there is one, [encoder rows, ways]."""
        if self.config.dense:
            return int((banked != 0 if self.config.skip_zeros else used).sum(axis=0).max())
        fired = np.abs(self._digits(banked)).sum(axis=1)  # [planes, ways]
        if self.by_window:
            return self._window_cycles(np.abs(self._digits(banked)))
        if not self.by_plane:
            return int(fired.sum(axis=0).max())
        if not fired.any():
            return 0
        # What each bank has to do, a plane number per cycle: its events, and its words without any.
        spikes, skew = np.abs(self._digits(banked)), self.config.skew
        queues = []
        for bank in range(self.config.ways):
            queue = []
            for p in np.flatnonzero(fired[:, bank])[::-1]:
                for first in range(0, len(banked), self.scan):
                    queue += [p] * max(1, spikes[p, first : first + self.scan, bank].sum())
            queues.append(queue)
        base, cycles = max(max(queue[0] for queue in queues if queue) - skew, 0), 0
        while True:
            cycles += 1
            for queue in queues:
                if queue and queue[0] >= base:
                    queue.pop(0)
            if any(queue and queue[0] >= (base + skew if base else 0) for queue in queues):
                continue
            if base == 0:
                return cycles
            base -= 1

    def _window_cycles(self, spikes: np.ndarray) -> int:
        """Of spikes[planes, encoder rows, ways], played: a list of rows per bank and pass, all done before the next."""
        cut, cycles = self.config.row_planes, 0
        for first, last in ((cut, len(spikes)), (0, cut)):
            queues = []
            for bank in range(self.config.ways):
                queue = []
                for row in range(spikes.shape[1]):
                    events = int(spikes[first:last, row, bank].sum())
                    # The lower pass steps over rows that the upper one has served.
                    queue += [row] * (events or int(first == 0 and spikes[:, row, bank].any()))
                queues.append(queue)
            while any(queues):
                cycles += 1
                for queue in queues:
                    del queue[:1]
        return cycles

    def events(self, banked: np.ndarray, used: np.ndarray) -> int:
        return int(used.sum()) if self.config.dense else int(np.abs(self._digits(banked)).sum())

    # Instructions.

    def heads(self, fields: dict, resolved: dict, groups: int) -> list[int]:
        phase, sharing = fields["head_phase"], fields["sharing"]
        return [
            fields["base"] + resolved["offset"] + (g + phase) // sharing * fields["head_stride"]
            for g in range(groups)
        ]

    def gather(self, common: dict, fields: dict, resolved: dict) -> Outcome:
        ways, lanes = self.config.ways, self.config.lanes
        outcome = Outcome()
        memory = self.states if fields["state"] else self.rows
        passes = 2 if fields["state"] else 1
        run = fields["run"]
        blocked = fields["blocks"] and common["extent"] is Extent.BLOCKS
        for g, head in enumerate(self.heads(fields, resolved, common["groups"])):
            starts, tokens = [head], []
            if blocked:
                past = self.vector(fields["selected"] + g * fields["selected_stride"], resolved["blocks"])
                starts = [head + int(b) * fields["block_stride"] for b in [*past, resolved["finished"]]]
                tokens = [common["span"]] * len(past) + [resolved["slot"] + 1]
            # Rows: per channel its bank, its place of chunk 0 and its encoder row.
            if blocked and run is RunLength.CHANNELS:
                index = [(i, s) for i, count in enumerate(tokens) for s in range(count)]
                bank = np.array([s % ways for i, s in index])
                place = np.array([starts[i] + s // ways for i, s in index])
                row = np.array([(i << fields["block_bits"]) + s // ways for i, s in index])
                load = sum(timing.load_counts(count, self.config.loaded) for count in tokens)
                if self.by_plane:
                    load += (len(tokens) - 1) * timing.gap_words(common["span"], ways, self.scan)
            else:
                n = resolved["n"] if run is RunLength.CHANNELS else fields["channels"]
                bank, row = np.arange(n) % ways, np.arange(n) // ways
                place, load = row, timing.load_counts(n, self.config.loaded)
                if fields["keep"]:
                    load = timing.KEPT_LOAD
            # Columns: per chunk where its rows start, and how many there are.
            chunks, padded = [], 0
            outputs = resolved["n"] if run is RunLength.OUTPUTS else fields["outputs"]
            segments = [(head, outputs)]
            if blocked:
                segments = (
                    list(zip(starts, tokens, strict=True)) if run is RunLength.OUTPUTS else [(0, outputs)]
                )
            for number, (start, columns) in enumerate(segments):
                for c in range(ceil_div(columns, lanes)):
                    chunks.append((start + c * fields["chunk_stride"], min(lanes, columns - c * lanes)))
                last = number == len(segments) - 1
                padded += columns if last else ceil_div(columns, lanes) * lanes
            counts = self.vector(fields["counts"] + g * fields["counts_stride"], len(bank))
            sums = [
                counts @ memory[bank, (place + start) % memory.shape[1], :columns].astype(np.int64)
                for start, columns in chunks
            ]
            result = np.concatenate(sums)
            bits = self.config.accumulator_bits
            result = ((result + (1 << bits - 1)) % (1 << bits)) - (1 << bits - 1)
            result = ((result + (1 << 31)) % (1 << 32)) - (1 << 31)
            dst = fields["dst"] + g * fields["dst_stride"]
            outcome.written |= {dst + i: int(v) for i, v in enumerate(result)}
            # Cost.
            banked = np.zeros((row.max() + 1, ways), np.int64)
            used = np.zeros_like(banked)
            banked[row, bank], used[row, bank] = counts, 1
            spent = self.event_cycles(banked, used)
            outcome.cycles += int(
                timing.gather(load, padded, spent, lanes=lanes, drained=self.config.drained, passes=passes)
            )
            outcome.cycles += timing.block_list(resolved["blocks"]) if blocked else 0
            taken = banked != 0 if self.config.skip_zeros else used
            events, columns = self.events(banked, taken), sum(c for _, c in chunks)
            reads = events
            if not self.by_plane and not self.config.dense:
                reads = np.count_nonzero(banked)
            if self.by_window:
                spikes, cut = self._digits(banked) != 0, self.config.row_planes
                upper, lower = spikes[cut:].any(axis=0), spikes[:cut].any(axis=0)
                reads = np.count_nonzero(upper) + np.count_nonzero(lower)
                # A bank turns at its last row of the upper pass without reading it again.
                reads -= sum(
                    lower[np.flatnonzero(upper[:, b])[-1], b] for b in range(ways) if upper[:, b].any()
                )
            rounds = passes * len(chunks)
            outcome.count(
                events=events * rounds,
                rows=reads * rounds,
                spikes=events,
                active=max(spent, 1) * rounds,
                lanes=max(spent, 1) * passes * columns,
            )
        return outcome

    def scatter(self, common: dict, fields: dict, resolved: dict) -> Outcome:
        ways, lanes = self.config.ways, self.config.lanes
        outcome = Outcome()
        n, columns = fields["channels"], fields["outputs"]
        bank, row = np.arange(n) % ways, np.arange(n) // ways
        for g, head in enumerate(self.heads(fields, resolved, common["groups"])):
            counts = self.vector(fields["counts"] + g * fields["counts_stride"], n)
            update = self.vector(fields["dst"] + g * fields["dst_stride"], columns)
            chunk, lane = np.arange(columns) // lanes, np.arange(columns) % lanes
            where = (
                bank[:, None],
                (head + row[:, None] + chunk * fields["chunk_stride"]) % self.states.shape[1],
                lane,
            )
            # The golden model's states are square.
            size = max(n, columns)
            state = State(StateSpec(copies=1, heads=1, size=size), sequences=1)
            rows = state.rows[0, 0, 0, :n, :columns]
            rows[...] = self.states[where]
            padded = np.zeros((2, 1, 1, size), np.int32)
            padded[0, 0, 0, :n], padded[1, 0, 0, :columns] = counts, update
            _, overflows = state.scatter(padded[0], padded[1], fields["shift"], np.zeros(1, np.int64))
            self.states[where] = rows
            banked = np.zeros((row.max() + 1, ways), np.int64)
            used = np.zeros_like(banked)
            banked[row, bank], used[row, bank] = counts, 1
            if self.config.dense:
                spent, reads = 2 * -(-n // self.units), n
            else:
                fired = self._digits(banked) != 0
                highest = (fired * np.arange(1, len(fired) + 1)[:, None, None]).max(axis=0)
                steps = [highest[:, unit :: self.units].sum() for unit in range(self.units)]
                spent, reads = int(max(steps)), np.count_nonzero(banked)
            outcome.cycles += int(timing.scatter(n, columns, spent, loaded=self.config.loaded, lanes=lanes))
            events, rounds = self.events(banked, used), ceil_div(columns, lanes)
            outcome.count(
                events=events * rounds,
                rows=reads * rounds,
                spikes=events,
                active=max(spent, 1) * rounds,
                lanes=max(spent, 1) * columns,
                overflows=overflows,
            )
        return outcome

    def sweep(self, common: dict, fields: dict, resolved: dict) -> Outcome:
        outcome = Outcome(cycles=common["groups"] * timing.SWEEP_GROUP + timing.SWEEP_LATENCY)
        for g in range(common["groups"]):
            shift = self.words[fields["shifts"] + g]
            if shift <= 0:
                continue
            outcome.cycles += fields["rows"] * (self.config.ways // self.units)
            first = fields["base"] + resolved["offset"] + g * fields["head_stride"]
            for r in range(fields["rows"]):
                words = self.states[:, (first + r) % self.states.shape[1]]
                words[...] = [[round_shift(int(v), shift) for v in bank] for bank in words]
        return outcome

    def store(self, common: dict, fields: dict, resolved: dict) -> Outcome:
        ways, lanes = self.config.ways, self.config.lanes
        slot, block = resolved["slot"], resolved["finished"]
        if fields["finished"]:
            slot, block = block, 0
        size = fields["size"]
        for h in range(common["groups"]):
            first = fields["base"] + h * fields["head_stride"] + block * fields["block_stride"]
            for f, count in enumerate(self.vector(fields["src"] + h * fields["src_stride"], size)):
                column, row = (slot, f) if fields["columns"] else (f, slot)
                place = first + column // lanes * fields["chunk_stride"] + row // ways
                self.rows[row % ways, place % self.rows.shape[1], column % lanes] = count
        return Outcome(cycles=timing.store(common["groups"], size, self.config.fetched))
