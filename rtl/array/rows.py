"""`RowReader`: from the banks' events to the words of row and state memory, a pipeline of four addresses' steps."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed
from spikesim.rtl.array.events import bits_for, event_layout, row_address_bits, row_bits
from spikesim.rtl.array.gather import step_layout
from spikesim.rtl.config import CoreConfig

ADDRESS_CYCLES = 4
"""From a step to the addresses of its rows."""


class RowReader(wiring.Component):
    """`place[b]`, with `read[b]`, is the address of bank b's row ADDRESS_CYCLES after `step`; throughput 1.

    `events` are those of the step before. `early_step` belongs to them.

    place = table[block] + offset + row within the block. The block is `block`, or with `by_row` the row's bits from
    `block_bits` on. A row is read at its first event only; the memory holds its word until the next. `taken` and
    `taken_step` are events and step of the cycle in which the memory's words are there.

    While no step is under way, `peek` reads row `peek_place` of every bank; events and step that go with the words take
    that of `peek_bank`, alone, as a sum: of `peek_state` the high bytes if `peek_high`.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        places, blocks = row_address_bits(config), bits_for(config.blocks)
        super().__init__(
            {
                "table_write": In(1),
                "table_index": In(blocks),
                "table_place": In(places),
                "by_row": In(1),
                "block_bits": In(5),
                "offset": In(places),
                "block": In(blocks),
                "step": In(step_layout(config)),
                "events": In(event_layout(config)).array(config.ways),
                "peek": In(1),
                "peek_bank": In(bits_for(config.ways)),
                "peek_place": In(places),
                "peek_state": In(1),
                "peek_high": In(1),
                "early_step": Out(step_layout(config)),
                "read": Out(1).array(config.ways),
                "place": Out(places).array(config.ways),
                "taken": Out(event_layout(config)).array(config.ways),
                "taken_step": Out(step_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Register; block and row within it; first row of the block, and offset; sum."""
        m = Module()
        places, blocks, rows = (
            row_address_bits(self.config),
            bits_for(self.config.blocks),
            row_bits(self.config),
        )
        table = Signal(data.ArrayLayout(places, self.config.blocks))
        with m.If(self.table_write):
            m.d.sync += table[self.table_index].eq(self.table_place)
        shift, within = Signal(5), Signal(rows)
        m.d.sync += [
            shift.eq(self.block_bits),
            within.eq(Mux(self.by_row, (1 << self.block_bits) - 1, -1)),
        ]
        offset, block, offset_2 = Signal(places), Signal(blocks), Signal(places)
        by_row = Signal()
        m.d.sync += [
            offset.eq(self.offset),
            block.eq(self.block),
            offset_2.eq(offset),
            by_row.eq(self.by_row),
        ]
        m.d.sync += self.early_step.eq(self.step)
        step = delayed(m, self.early_step, ADDRESS_CYCLES - 1, "step")
        peeked, high, of_state = Signal(), Signal(), Signal()
        m.d.sync += [
            peeked.eq(self.peek),
            high.eq(self.peek_high),
            of_state.eq(self.peek_state),
            self.taken_step.eq(step),
        ]
        with m.If(peeked):
            alone = {"active": 1, "first": 1, "double": 0, "end": 0, "state": of_state, "high": high}
            m.d.sync += [self.taken_step[name].eq(value) for name, value in alone.items()]
        for b in range(self.config.ways):
            event = self.events[b]
            index, low = Signal(blocks, name=f"index_{b}"), Signal(rows, name=f"low_{b}")
            first, rest = Signal(places, name=f"first_{b}"), Signal(places, name=f"rest_{b}")
            m.d.sync += [
                index.eq(Mux(by_row, event.row >> shift, block)),
                low.eq(event.row & within),
                first.eq(table[index]),
                rest.eq(offset_2 + low),
                self.place[b].eq(Mux(self.peek, self.peek_place, first + rest)),
            ]
            read = delayed(m, event.valid & event.first & self.early_step.active, 2, f"read_{b}")
            m.d.sync += self.read[b].eq(read | self.peek)
            mine = Signal(name=f"mine_{b}")
            m.d.sync += [mine.eq(self.peek_bank == b), self.taken[b].eq(delayed(m, event, 3, f"event_{b}"))]
            with m.If(peeked):
                alone = {"digit": mine, "negative": 0, "plane": 0, "code": 1}
                m.d.sync += [self.taken[b][name].eq(value) for name, value in alone.items()]
        return m
