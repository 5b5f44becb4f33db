"""`StoreControl`: counts of a token from vector memory into row memory, a cache's row or column, a run per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed, run_enable
from spikesim.rtl.array.events import row_address_bits
from spikesim.rtl.array.load import READ_CYCLES
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.isa import ADDRESS, INSTRUCTION, RESOLVED


class StoreControl(wiring.Component):
    """For head h and feature f the count at src + h · src_stride + f, of the run from `address` on in `word`, goes to

    * `columns`: bank f mod ways, row head(h) + (s // lanes) · chunk_stride + f // ways, lane s mod lanes;
    * else: bank s mod ways, row head(h) + (f // lanes) · chunk_stride + s // ways, lane f mod lanes,

    head(h) = base + h · head_stride + q · block_stride; s, q: slot and block, of `finished` the block and 0.
    A cycle takes `fetched` counts of a head, which are neighbours: banks of a lane with `columns`, else lanes of a
    bank. `enable[b]` has the lanes to write in bank b, with the bytes of `row[b mod fetched]`. `factor_*` and
    `product`: the multiplier, two cycles.
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
                "reads": Out(config.fetched),
                "address": Out(ADDRESS),
                "word": In(signed(16)).array(config.fetched),
                "factor": Out(17),
                "stride": Out(ADDRESS),
                "product": In(places),
                "enable": Out(config.lanes).array(config.ways),
                "place": Out(places),
                "row": Out(config.lanes * 8).array(config.fetched),
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
        width = config.fetched
        bits = width.bit_length() - 1
        reading, ending = Signal(), Signal()
        pointer, next_pointer = Signal(ADDRESS), Signal(ADDRESS)
        last, highest = (
            Signal(20),
            Signal(20),
        )  # number of a head's last count, from the pointer and from its first
        heads = Signal(12)
        done = Signal()
        m.d.sync += [
            slot.eq(Mux(fields.finished, self.resolved.finished, self.resolved.slot)),
            block.eq(Mux(fields.finished, 0, self.resolved.finished)),
            highest.eq(fields.size - 1),
            self.done.eq(done),
        ]
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [
                    first.eq(fields.base),
                    pointer.eq(fields.src),
                    next_pointer.eq(fields.src + fields.src_stride),
                    heads.eq(self.instruction.common.groups),
                    last.eq(fields.size - 1),
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
        reads = run_enable(reading, ending, last, width)
        m.d.comb += [
            ending.eq(last[bits:] == 0),
            self.reads.eq(reads),
            self.address.eq(Mux(reading, pointer, 0)),
        ]
        with m.If(reading):
            m.d.sync += [pointer.eq(pointer + width), last.eq(last - width)]
            with m.If(ending):
                m.d.sync += [
                    pointer.eq(next_pointer),
                    next_pointer.eq(next_pointer + fields.src_stride),
                    last.eq(highest),
                    heads.eq(heads - 1),
                    reading.eq(heads != 1),
                ]
        # Places; `head` is ready when the first words are.
        read = delayed(m, reads, READ_CYCLES, "read")
        ends = delayed(m, Cat(reading & ending, heads == 1), READ_CYCLES, "ends")
        valid, head_end = read[0], ends[0]
        step_way, step_lane = way == config.ways - width, lane == config.lanes - width
        with m.If(valid):
            with m.If(columns):
                m.d.sync += way.eq(Mux(step_way, 0, way + width))
                with m.If(step_way):
                    m.d.sync += row.eq(row + 1)
            with m.Else():
                m.d.sync += lane.eq(Mux(step_lane, 0, lane + width))
                with m.If(step_lane):
                    m.d.sync += row.eq(row + fields.chunk_stride)
            with m.If(head_end):
                m.d.sync += [row.eq(0), head.eq(head + fields.head_stride)]
                with m.If(columns):
                    m.d.sync += way.eq(0)
                with m.Else():
                    m.d.sync += lane.eq(0)
        m.d.comb += done.eq(head_end & ends[1])
        m.d.sync += self.place.eq(head + row)
        self._row(m, columns, read, way, lane)
        return m

    def _row(self, m: Module, columns: Value, read: Value, way: Signal, lane: Signal) -> None:
        """Which banks and lanes take a count of the run, and which; both in registers."""
        width = self.config.fetched

        def hit(place: Signal, number: int, *, stepped: Value) -> Value:
            """Whether the run has a count for a bank (a lane), which it goes along if `stepped`."""
            own, first = number % width, number - number % width
            return Mux(stepped, (place == first) & read[own], (place == number) & read[0])

        banks = [hit(way, b, stepped=columns) for b in range(self.config.ways)]
        lanes = [hit(lane, i, stepped=~columns) for i in range(self.config.lanes)]
        for b, bank in enumerate(banks):
            for i, own in enumerate(lanes):
                m.d.sync += self.enable[b][i].eq(bank & own)
        counts = [Signal(8, name=f"count_{i}") for i in range(width)]
        m.d.sync += [count.eq(word[:8]) for count, word in zip(counts, self.word, strict=True)]
        for k in range(width):
            places = [Mux(columns, counts[k], count) for count in counts]
            m.d.comb += self.row[k].eq(Cat(places[i % width] for i in range(self.config.lanes)))
