"""`GatherControl`: the order of a gather's groups, of their loads, column chunks and planes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed
from spikesim.rtl.array.events import PLANE, bits_for, lists_events, row_address_bits, scans_planes
from spikesim.rtl.array.load import READ_CYCLES
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import WORD
from spikesim.rtl.isa import ADDRESS, INSTRUCTION, RESOLVED, Extent, RunLength

BEGIN_CYCLES = 2
"""From `begin` to the first step that every bank can take."""

_BEGIN = 7
"""From the last count loaded to `begin`: every bank knows its codes, and the array its highest plane."""

_KEPT = 6
"""Of these, how many a gather does not wait whose counts the banks know already: its fields need the others."""

_SETTLE = _BEGIN + BEGIN_CYCLES + 1
"""From the last count loaded to the first event of a spiking array; the dense one is deeper and waits as much less."""


def step_layout(config: CoreConfig) -> data.StructLayout:
    """What goes with the events of a cycle through the array.

    `active`: the array takes operands. `first`: the first of a chunk. `double`: the first of a plane but the highest,
    or in window order of the lower pass behind an upper one.
    `end`: the last of a chunk; `final`: and of the group. `high`: of the pass over upper bytes. `state`: rows are
    those of state memory. `columns`: of the chunk. `counted`: the events are counted as spikes.
    """
    flags = ("active", "first", "double", "end", "final", "high", "state", "counted")
    return data.StructLayout({**dict.fromkeys(flags, 1), "columns": range(config.lanes + 1)})


class GatherControl(wiring.Component):
    """Group after group: start of the load (but of kept counts), start of the banks, a step per cycle, until the
    drain has `finished`.

    `step` belongs to the events that the banks show in the next cycle; with it come `offset`, from the first row of
    the head or block to that of the chunk, and `block`, the entry of the block table that holds this first row.

    `base` is the plane of the accumulators; `limit` the lowest one that all banks must have delivered before `base`
    falls, or before the chunk ends; `left`: a bank has not. `top`: the highest plane with an event. In window order a
    pass is what a plane is here: 1 the upper, 0 the lower. `table_*` writes the block table. `number` and `product`: a
    multiplication by the block stride, two cycles later.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        places, blocks = row_address_bits(config), bits_for(config.blocks)
        super().__init__(
            {
                "start": In(1),
                "instruction": In(INSTRUCTION),
                "resolved": In(RESOLVED),
                "done": Out(1),
                "clear": Out(1),
                "load": Out(1),
                "loaded": In(1),
                "counts": Out(ADDRESS),
                "past": Out(8),
                "own": Out(24),
                "reads": Out(1),
                "address": Out(ADDRESS),
                "word": In(WORD),
                "number": Out(17),
                "product": In(places),
                "table_write": Out(1),
                "table_index": Out(blocks),
                "table_place": Out(places),
                "begin": Out(1),
                "top": In(PLANE),
                "left": In(1),
                "base": Out(PLANE),
                "limit": Out(PLANE),
                "go": Out(1),
                "step": Out(step_layout(config)),
                "offset": Out(places),
                "block": Out(blocks),
                "by_row": Out(1),
                "destination": Out(ADDRESS),
                "finished": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The state machine; the rest of the groups' addresses; the chunks; the planes."""
        m = Module()
        config = self.config
        fields, common = self.instruction.fields.array, self.instruction.common
        blocked, keys = Signal(), Signal()
        channels, outputs = Signal(24), Signal(24)
        past_keys, state = Signal(8), Signal()
        settle = Signal(range(_SETTLE + 1))
        running, run = Signal(), Signal()
        groups = Signal(12)
        again, last_chunk = Signal(), Signal()
        m.d.sync += [
            blocked.eq(fields.blocks & (common.extent == Extent.BLOCKS)),
            keys.eq(fields.run == RunLength.OUTPUTS),
            channels.eq(Mux(fields.run == RunLength.CHANNELS, self.resolved.n, fields.channels)),
            outputs.eq(Mux(fields.run == RunLength.OUTPUTS, self.resolved.n, fields.outputs)),
            state.eq(fields.state),
        ]
        m.d.comb += [
            self.past.eq(Mux(blocked & ~keys, self.resolved.blocks, 0)),
            self.own.eq(Mux(blocked & ~keys, self.resolved.slot + 1, channels)),
            past_keys.eq(Mux(blocked & keys, self.resolved.blocks, 0)),
            self.by_row.eq(blocked & ~keys),
        ]
        listing, placing = Signal(), Signal()
        m.d.comb += self.reads.eq(listing)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += groups.eq(common.groups)
                with m.If(self.start):
                    m.next = "SETUP"
            with m.State("SETUP"):
                m.d.comb += [self.clear.eq(~fields.keep), placing.eq(1)]
                m.d.sync += settle.eq(_KEPT)
                with m.If(blocked):
                    m.next = "LIST"
                with m.Elif(fields.keep):
                    m.next = "SETTLE"
                with m.Else():
                    m.d.comb += self.load.eq(1)
                    m.next = "LOAD"
            with m.State("LIST"):
                m.d.comb += listing.eq(1)
                with m.If(last_chunk):
                    m.d.comb += self.load.eq(1)
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += settle.eq(0)
                with m.If(self.loaded):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += settle.eq(settle + 1)
                m.d.comb += self.begin.eq(settle == _BEGIN - 1)
                with m.If(settle == _SETTLE - 1 - config.dense):
                    m.d.comb += run.eq(1)
                    m.next = "RUN"
            with m.State("RUN"), m.If(self.finished):
                m.d.sync += groups.eq(groups - 1)
                with m.If(groups == 1):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.comb += again.eq(1)
                m.next = "SETUP"
        head = self._addresses(m, again)
        self._blocks(m, listing, last_chunk, blocked, placing, head)
        chunk_end = self._chunks(m, past_keys, outputs, state, blocked & keys, running)
        self._planes(m, run, running, chunk_end, state)
        return m

    def _addresses(self, m: Module, again: Value) -> Value:
        """Where the group's operands, results and block list lie; -> the first row of its head."""
        fields = self.instruction.fields.array
        places = row_address_bits(self.config)
        head, left = Signal(places), Signal(8)
        selected = Signal(ADDRESS)
        self.selected = selected
        with m.If(self.start):
            m.d.sync += [
                self.counts.eq(fields.counts),
                self.destination.eq(fields.dst),
                selected.eq(fields.selected),
                head.eq(fields.base + self.resolved.offset),
                left.eq(fields.sharing - fields.head_phase),
            ]
        with m.Elif(again):
            m.d.sync += [
                self.counts.eq(self.counts + fields.counts_stride),
                self.destination.eq(self.destination + fields.dst_stride),
                selected.eq(selected + fields.selected_stride),
                left.eq(left - 1),
            ]
            with m.If(left == 1):
                m.d.sync += [left.eq(fields.sharing), head.eq(head + fields.head_stride)]
        return head

    def _blocks(
        self, m: Module, listing: Value, listed: Value, blocked: Value, placing: Value, head: Value
    ) -> None:
        """Fills the block table: of a list, one per cycle, the token's own last; else the head alone (`placing`)."""
        config = self.config
        index, address = Signal(8), Signal(ADDRESS)
        own = Signal()
        m.d.comb += [
            own.eq(index == self.resolved.blocks),
            listed.eq(own),
            self.address.eq(Mux(listing, address, 0)),
        ]
        with m.If(listing):
            m.d.sync += [address.eq(address + 1), index.eq(index + 1)]
        with m.Else():
            m.d.sync += [address.eq(self.selected), index.eq(0)]
        read = delayed(m, Cat(own, index, listing), READ_CYCLES, "listed")
        m.d.comb += self.number.eq(Mux(read[0], self.resolved.finished, self.word[:17]))
        entry = delayed(m, read[1:], 2, "entry")  # the multiplier's cycles
        with m.If(blocked):
            m.d.sync += [
                self.table_write.eq(entry[8]),
                self.table_index.eq(entry[: bits_for(config.blocks)]),
                self.table_place.eq(head + self.product),
            ]
        with m.Else():
            m.d.sync += [self.table_write.eq(placing), self.table_index.eq(0), self.table_place.eq(head)]

    def _chunks(
        self, m: Module, past: Value, outputs: Value, state: Value, blocked_keys: Value, running: Value
    ) -> Value:
        """Counts column chunks, of every listed block and then of the token's own; -> the signal that ends one."""
        config, fields = self.config, self.instruction.fields.array
        lane_bits = (config.lanes - 1).bit_length()
        end, tail = Signal(), Signal()
        own, span = Signal(24), Signal(24)  # number of the last column
        blocks, left = Signal(8), Signal(24 - lane_bits)
        more_own, more_span = own[lane_bits:], span[lane_bits:]
        high, maiden = Signal(), Signal()
        m.d.sync += [
            own.eq(Mux(blocked_keys, self.resolved.slot, outputs - 1)),
            span.eq(self.instruction.common.span - 1),
        ]
        m.d.comb += tail.eq(left == 0)
        with m.If(self.begin):
            m.d.sync += [
                blocks.eq(past),
                left.eq(Mux(past == 0, more_own, more_span)),
                self.offset.eq(0),
                self.block.eq(0),
                high.eq(state),
                maiden.eq(1),
            ]
        with m.Elif(end):
            m.d.sync += [maiden.eq(0), high.eq(state & ~high)]
            with m.If(~high):
                with m.If(tail):
                    m.d.sync += [
                        blocks.eq(blocks - 1),
                        left.eq(Mux(blocks == 1, more_own, more_span)),
                        self.offset.eq(0),
                        self.block.eq(self.block + 1),
                    ]
                with m.Else():
                    m.d.sync += [left.eq(left - 1), self.offset.eq(self.offset + fields.chunk_stride)]
        own_columns, span_columns = own[:lane_bits] + 1, span[:lane_bits] + 1
        m.d.comb += [
            self.step.columns.eq(
                Mux(tail, Mux(blocks == 0, own_columns, span_columns), config.lanes) if lane_bits else 1
            ),
            self.step.end.eq(end),
            self.step.final.eq(end & tail & (blocks == 0) & ~high),
            self.step.high.eq(high),
            self.step.state.eq(state),
            self.step.counted.eq(maiden),
        ]
        return end

    def _planes(self, m: Module, run: Value, running: Value, chunk_end: Value, state: Value) -> None:
        """Steps through a chunk; its first step waits until the results of the one before have a free way out."""
        config = self.config
        fresh, doubling, turn = Signal(), Signal(), Signal()
        start, following = Signal(PLANE), Signal(PLANE)
        runs = config.lanes // config.drained
        pace = Signal(range(max(2, runs)))
        held = Signal()
        m.d.comb += [
            held.eq(fresh & (pace != 0)),
            self.go.eq(running & ~held),
            turn.eq(self.go & ~self.left),
            chunk_end.eq(turn & (self.base == 0)),
            self.step.active.eq(self.go),
            self.step.first.eq(fresh),
            self.step.double.eq(doubling),
            following.eq(Mux(run | (self.base == 0), start, self.base - 1)),
        ]
        with m.If(self.go & fresh):
            m.d.sync += pace.eq(runs - 1)
        with m.Elif(pace != 0):
            m.d.sync += pace.eq(pace - 1)
        with m.If(self.go):
            # Behind the last plane comes the first step of a chunk, which takes no sum over.
            m.d.sync += [fresh.eq(chunk_end), doubling.eq(turn)]
        if not lists_events(config):
            # Banks may be `skew` planes behind, but for the end, when all must have delivered everything.
            skew = config.skew if scans_planes(config) else 0
            m.d.sync += start.eq(Mux(self.top >= skew, self.top - skew, 0) if skew else self.top)
            with m.If(run | turn):
                m.d.sync += [
                    self.base.eq(following),
                    self.limit.eq(Mux(following == 0, 0, following + skew)),
                ]
        with m.If(run):
            m.d.sync += [running.eq(1), fresh.eq(1), doubling.eq(0), pace.eq(0)]
        with m.Elif(self.step.final):
            m.d.sync += running.eq(0)
