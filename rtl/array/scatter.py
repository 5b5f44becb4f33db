"""`ScatterControl`: the order of a scatter's groups and column chunks, and its update words, read ahead in runs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed, run_enable
from spikesim.rtl.array.events import row_address_bits
from spikesim.rtl.array.gather import BEGIN_CYCLES, step_layout
from spikesim.rtl.array.load import READ_CYCLES
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.isa import ADDRESS, INSTRUCTION, RESOLVED

_BEGIN = 7
"""From the last count loaded to `begin`: every bank has its list."""

_SETTLE = _BEGIN + BEGIN_CYCLES
"""From the last count loaded to the first cycle in which the first step may come, but for the update words."""

_FETCH = 5
"""From the last count loaded to the first address of update words; a chunk's last ones let its first step happen."""

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
            "reads": Out(config.fetched),
            "address": Out(ADDRESS),
            "word": In(signed(16)).array(config.fetched),
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
        self._updates(m, fetch=fetch, first=updates, full=full, swap=self.go & fresh)
        return m

    def _updates(self, m: Module, *, fetch: Signal, first: Signal, full: Signal, swap: Any) -> None:
        """Reads a chunk's words in runs into `following`, which `swap` moves to `update`, and then the next chunk's."""
        config = self.config
        width, runs = config.fetched, config.lanes // config.fetched
        bits = width.bit_length() - 1
        reading, more = Signal(), Signal()
        address = Signal(ADDRESS)
        last = Signal(20)  # number of the last column, counted from the address
        run = Signal(range(max(2, runs)))  # of the chunk
        ending, through = Signal(), Signal()
        reads = run_enable(reading, ending, last, width)
        m.d.comb += [
            ending.eq(last[bits:] == 0),
            through.eq(ending | (run == runs - 1)),
            self.reads.eq(reads),
            self.address.eq(Mux(reading, address, 0)),
        ]
        with m.If(fetch):
            m.d.sync += [
                reading.eq(1),
                more.eq(1),
                run.eq(0),
                address.eq(first),
                last.eq(self.instruction.fields.array.outputs - 1),
            ]
        with m.Elif(swap):
            m.d.sync += [reading.eq(more), run.eq(0)]
        with m.Elif(reading):
            m.d.sync += [
                reading.eq(~through),
                more.eq(~ending),
                run.eq(run + 1),
                address.eq(address + width),
                last.eq(last - width),
            ]
        read = delayed(m, reads, READ_CYCLES, "read")
        place = delayed(m, Cat(run, reading & through), READ_CYCLES, "place")
        there, final = place[:-1], place[-1]
        following = Signal(data.ArrayLayout(signed(16), config.lanes))
        for lane in range(config.lanes):
            own, i = there == lane // width, lane % width
            with m.If(read[0] & (own | (there == 0))):  # the first run empties the others, which may not come
                m.d.sync += following[lane].eq(Mux(own & read[i], self.word[i], 0))
        with m.If(swap | self.clear):
            m.d.sync += full.eq(0)
        with m.Elif(final):
            m.d.sync += full.eq(1)
        with m.If(swap):
            for lane in range(config.lanes):
                m.d.sync += self.update[lane].eq(following[lane])
