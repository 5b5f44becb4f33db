"""`StoreControl`: counts of a token from vector memory into row memory, a cache's row or column, one per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed
from spikesim.rtl.array.events import row_address_bits
from spikesim.rtl.array.load import READ_CYCLES
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import WORD
from spikesim.rtl.isa import ADDRESS, INSTRUCTION, RESOLVED


class StoreControl(wiring.Component):
    """For head h and feature f the count at src + h · src_stride + f, from `address` and `word`, goes to

    * `columns`: bank f mod ways, row head(h) + (s // lanes) · chunk_stride + f // ways, lane s mod lanes;
    * else: bank s mod ways, row head(h) + (f // lanes) · chunk_stride + s // ways, lane f mod lanes,

    head(h) = base + h · head_stride + q · block_stride; s, q: slot and block, of `finished` the block and 0.
    `enable[b]` has the lane to write in bank b, one-hot. `factor_*` and `product`: the multiplier, two cycles.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        places = row_address_bits(config)
        super().__init__(
            {
                "start": In(1),
                "instruction": In(INSTRUCTION),
                "resolved": In(RESOLVED),
                "done": Out(1),
                "busy": Out(1),
                "reads": Out(1),
                "address": Out(ADDRESS),
                "word": In(WORD),
                "factor": Out(17),
                "stride": Out(ADDRESS),
                "product": In(places),
                "enable": Out(config.lanes).array(config.ways),
                "place": Out(places),
                "count": Out(8),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """First the two products, then the stream: reads, and a generator of places in step with their words."""
        m = Module()
        config, fields = self.config, self.instruction.fields.store
        places = row_address_bits(config)
        way_bits, lane_bits = (config.ways - 1).bit_length(), (config.lanes - 1).bit_length()
        columns = fields.columns
        slot, block = Signal(17), Signal(17)
        first, head, row = Signal(places), Signal(places), Signal(places)
        way, lane = Signal(max(1, way_bits)), Signal(max(1, lane_bits))
        # Reads.
        reading, last = Signal(), Signal()
        pointer, next_pointer = Signal(ADDRESS), Signal(ADDRESS)
        left, heads, size = Signal(20), Signal(12), Signal(20)
        done = Signal()
        m.d.sync += [
            slot.eq(Mux(fields.finished, self.resolved.finished, self.resolved.slot)),
            block.eq(Mux(fields.finished, 0, self.resolved.finished)),
            size.eq(fields.size),
            self.done.eq(done),
        ]
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [
                    first.eq(fields.base),
                    pointer.eq(fields.src),
                    next_pointer.eq(fields.src + fields.src_stride),
                    heads.eq(self.instruction.common.groups),
                    left.eq(fields.size),
                ]
                with m.If(self.start):
                    m.next = "BLOCK"
            with m.State("BLOCK"):
                m.d.comb += [self.factor.eq(block), self.stride.eq(fields.block_stride)]
                m.next = "CHUNK"
            with m.State("CHUNK"):
                m.d.comb += [
                    self.factor.eq(Mux(columns, slot[lane_bits:], 0)),
                    self.stride.eq(fields.chunk_stride),
                ]
                m.d.sync += reading.eq(1)
                m.next = "ADD BLOCK"
            with m.State("ADD BLOCK"):
                m.d.sync += first.eq(first + self.product)
                m.next = "ADD CHUNK"
            with m.State("ADD CHUNK"):
                m.d.sync += [
                    head.eq(first + Mux(columns, self.product, slot[way_bits:])),
                    row.eq(0),
                    way.eq(Mux(columns, 0, slot[:way_bits])),
                    lane.eq(Mux(columns, slot[:lane_bits], 0)),
                ]
                m.next = "STREAM"
            with m.State("STREAM"), m.If(self.done):
                m.next = "IDLE"
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        m.d.comb += [
            last.eq(left == 1),
            self.reads.eq(reading),
            self.address.eq(Mux(reading, pointer, 0)),
        ]
        with m.If(reading):
            m.d.sync += [pointer.eq(pointer + 1), left.eq(left - 1)]
            with m.If(last):
                m.d.sync += [
                    pointer.eq(next_pointer),
                    next_pointer.eq(next_pointer + fields.src_stride),
                    left.eq(size),
                    heads.eq(heads - 1),
                    reading.eq(heads != 1),
                ]
        # Places; `head` is ready when the first word is.
        arrived = delayed(m, Cat(reading, last, heads == 1), READ_CYCLES, "arrived")
        valid, head_end, final = arrived[0], arrived[0] & arrived[1], arrived[:3].all()
        step_way = (way == config.ways - 1) & columns
        step_lane = (lane == config.lanes - 1) & ~columns
        with m.If(valid):
            with m.If(columns):
                m.d.sync += way.eq((way + 1)[:way_bits] if way_bits else Const(0))
                with m.If(step_way):
                    m.d.sync += row.eq(row + 1)
            with m.Else():
                m.d.sync += lane.eq((lane + 1)[:lane_bits] if lane_bits else Const(0))
                with m.If(step_lane):
                    m.d.sync += row.eq(row + fields.chunk_stride)
            with m.If(head_end):
                m.d.sync += [row.eq(0), head.eq(head + fields.head_stride)]
                with m.If(columns):
                    m.d.sync += way.eq(0)
                with m.Else():
                    m.d.sync += lane.eq(0)
        m.d.comb += done.eq(valid & final)
        m.d.sync += [self.place.eq(head + row), self.count.eq(self.word[:8])]
        for b in range(config.ways):
            for i in range(config.lanes):
                m.d.sync += self.enable[b][i].eq(valid & (way == b) & (lane == i))
        return m
