"""`ScatterControl`: the order of a scatter's groups and column chunks, and its update words, read ahead."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed
from spikesim.rtl.array.events import row_address_bits
from spikesim.rtl.array.gather import BEGIN_CYCLES, step_layout
from spikesim.rtl.array.load import READ_CYCLES
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import WORD
from spikesim.rtl.isa import ADDRESS, INSTRUCTION, RESOLVED
from spikesim.rtl.queue import EntryQueue

_BEGIN = 7
"""From the last count loaded to `begin`: every bank has its list."""

_SETTLE = _BEGIN + BEGIN_CYCLES
"""From the last count loaded to the first cycle in which the first step may come, but for the update words."""

_FETCH = 4
"""From the last count loaded to the first address of an update word; the `lanes`-th lets the first step happen."""

_WRITTEN = 5
"""From the last step of a group to its write."""


def scatter_signature(config: CoreConfig) -> wiring.Signature:
    """Ports of `ScatterControl`."""
    return wiring.Signature(
        {
            "start": In(1),
            "instruction": In(INSTRUCTION),
            "resolved": In(RESOLVED),
            "done": Out(1),
            "clear": Out(1),
            "load": Out(1),
            "loaded": In(1),
            "counts": Out(ADDRESS),
            "reads": Out(1),
            "address": Out(ADDRESS),
            "word": In(WORD),
            "begin": Out(1),
            "left": In(1),
            "go": Out(1),
            "step": Out(step_layout(config)),
            "place": Out(row_address_bits(config)),
            "update": Out(signed(16)).array(config.lanes),
        }
    )


class ScatterControl(wiring.Component):
    """Group after group: load, `begin`, a step per cycle, `step` as of `GatherControl`; `place` of the chunk's row 0.

    `update` holds a chunk's update words from the cycle after its first step on; columns beyond the last get 0.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(scatter_signature(config))

    def elaborate(self, platform: Any) -> Module:
        """The state machine, the chunks, the update words."""
        m = Module()
        config = self.config
        fields, common = self.instruction.fields.array, self.instruction.common
        places, lane_bits = row_address_bits(config), (config.lanes - 1).bit_length()
        groups, wait = Signal(12), Signal(5)
        again, fetch, running, end, final = Signal(), Signal(), Signal(), Signal(), Signal()
        updates, head, heads = Signal(ADDRESS), Signal(places), Signal(8)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += groups.eq(common.groups)
                with m.If(self.start):
                    m.next = "SETUP"
            with m.State("SETUP"):
                m.d.comb += [self.clear.eq(1), self.load.eq(1)]
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += wait.eq(0)
                with m.If(self.loaded):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += wait.eq(wait + 1)
                m.d.comb += [self.begin.eq(wait == _BEGIN - 1), fetch.eq(wait == _FETCH - 1)]
                with m.If(wait == _SETTLE - 1):
                    m.d.sync += running.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += wait.eq(0)
                with m.If(final):
                    m.d.sync += running.eq(0)
                    m.next = "FLUSH"
            with m.State("FLUSH"):
                m.d.sync += wait.eq(wait + 1)
                with m.If(wait == _WRITTEN - 1):
                    m.d.sync += groups.eq(groups - 1)
                    with m.If(groups == 1):
                        m.d.comb += self.done.eq(1)
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "NEXT"
            with m.State("NEXT"):
                m.d.comb += again.eq(1)
                m.next = "SETUP"
        with m.If(self.start):
            m.d.sync += [
                self.counts.eq(fields.counts),
                updates.eq(fields.dst),
                head.eq(fields.base + self.resolved.offset),
                heads.eq(fields.sharing - fields.head_phase),
            ]
        with m.Elif(again):
            m.d.sync += [
                self.counts.eq(self.counts + fields.counts_stride),
                updates.eq(updates + fields.dst_stride),
                heads.eq(heads - 1),
            ]
            with m.If(heads == 1):
                m.d.sync += [heads.eq(fields.sharing), head.eq(head + fields.head_stride)]
        # Chunks.
        last_column = Signal(20)
        left = Signal(20 - lane_bits)
        fresh, maiden = Signal(), Signal()
        chunk_place = Signal(places)
        more = last_column[lane_bits:]
        full = Signal()
        m.d.sync += last_column.eq(fields.outputs - 1)
        m.d.comb += [
            self.go.eq(running & (~fresh | full)),
            end.eq(self.go & ~self.left),
            final.eq(end & (left == 0)),
            self.step.active.eq(self.go),
            self.step.first.eq(fresh),
            self.step.end.eq(end),
            self.step.final.eq(final),
            self.step.counted.eq(maiden),
            self.step.columns.eq(
                Mux(left == 0, last_column[:lane_bits] + 1, config.lanes) if lane_bits else 1
            ),
        ]
        with m.If(self.begin):
            m.d.sync += [left.eq(more), fresh.eq(1), maiden.eq(1), chunk_place.eq(head)]
        with m.Elif(self.go):
            m.d.sync += fresh.eq(end)
            with m.If(end):
                m.d.sync += [
                    left.eq(left - 1),
                    maiden.eq(0),
                    chunk_place.eq(chunk_place + fields.chunk_stride),
                ]
        with m.If(self.go & fresh):
            m.d.sync += self.place.eq(chunk_place)
        self._updates(m, fetch=fetch, first=updates, chunks=more, full=full, swap=self.go & fresh)
        return m

    def _updates(
        self, m: Module, *, fetch: Signal, first: Signal, chunks: Any, full: Signal, swap: Any
    ) -> None:
        """Reads every chunk's words into a queue, from it into `following`, which `swap` moves to `update`."""
        config, fields = self.config, self.instruction.fields.array
        lane_bits = (config.lanes - 1).bit_length()
        m.submodules.queue = queue = EntryQueue(width=16, depth=8)
        reading, address = Signal(), Signal(ADDRESS)
        words, columns = Signal(20), Signal(20)  # still to read, and of these columns that exist
        issue = Signal()
        m.d.comb += [
            issue.eq(reading & queue.credit),
            self.reads.eq(issue),
            self.address.eq(Mux(reading, address, 0)),
            queue.issue.eq(issue),
        ]
        with m.If(fetch):
            m.d.sync += [
                reading.eq(1),
                address.eq(first),
                words.eq(Cat(Const(config.lanes - 1, lane_bits), chunks)),
                columns.eq(fields.outputs),
            ]
        with m.Elif(issue):
            m.d.sync += [address.eq(address + 1), words.eq(words - 1), reading.eq(words != 0)]
            with m.If(columns != 0):
                m.d.sync += columns.eq(columns - 1)
        arrived = delayed(m, Cat(issue, columns != 0), READ_CYCLES, "arrived")
        following = Signal(data.ArrayLayout(signed(16), config.lanes))
        held = Signal(range(config.lanes + 1))
        m.d.comb += [
            queue.clear.eq(self.clear),
            queue.push.eq(arrived[0]),
            queue.entry.eq(Mux(arrived[1], self.word[:16], 0)),
            full.eq(held == config.lanes),
            queue.take.eq(queue.some & (swap | ~full)),
        ]
        with m.If(queue.take):
            m.d.sync += following[config.lanes - 1].eq(queue.front)
            for lane in range(config.lanes - 1):
                m.d.sync += following[lane].eq(following[lane + 1])
        with m.If(swap):
            m.d.sync += held.eq(queue.take)
            for lane in range(config.lanes):
                m.d.sync += self.update[lane].eq(following[lane])
        with m.Elif(queue.take):
            m.d.sync += held.eq(held + 1)
        with m.If(self.clear):
            m.d.sync += held.eq(0)
