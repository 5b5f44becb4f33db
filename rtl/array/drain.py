"""`Drain`: writes the sums of a column chunk to vector memory, one per cycle, while the array sums the next."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.gather import step_layout
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import WriteSignature
from spikesim.rtl.isa import ADDRESS


class Drain(wiring.Component):
    """`ended`: take `sums`, which all lack `offset`, and write the first `step.columns` of them to ascending addresses.

    The sums of a pass over upper bytes are kept instead, and added, times 2^8, to those of the pass that follows.
    `restart` sets the address to `destination`. `finished` comes with the last word of a `final` step.
    Latency from `ended` to the first word on `write`: 2.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "restart": In(1),
                "destination": In(ADDRESS),
                "ended": In(1),
                "step": In(step_layout(config)),
                "sums": In(config.accumulator_bits).array(config.lanes),
                "offset": In(config.accumulator_bits),
                "write": Out(WriteSignature()),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Two shift registers, an adder and a counter."""
        m = Module()
        config = self.config
        sums = Signal(data.ArrayLayout(config.accumulator_bits, config.lanes))
        upper = Signal(data.ArrayLayout(config.accumulator_bits - 8, config.lanes))
        offset, upper_offset = Signal(config.accumulator_bits), Signal(config.accumulator_bits - 8)
        left = Signal(range(config.lanes + 1))
        busy, last, wide, final = Signal(), Signal(), Signal(), Signal()
        address = Signal(ADDRESS)
        word = Signal(signed(config.accumulator_bits))
        m.d.comb += word.eq(sums[0] + offset + Mux(wide, upper[0] << 8, 0))
        m.d.sync += [
            self.write.enable.eq(busy),
            self.write.address.eq(address),
            self.write.data.eq(word),
            self.finished.eq(busy & last & final),
        ]
        with m.If(busy):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1), last.eq(left == 2), busy.eq(~last)]
            for lane in range(config.lanes - 1):
                m.d.sync += [sums[lane].eq(sums[lane + 1]), upper[lane].eq(upper[lane + 1])]
        with m.If(self.ended):
            with m.If(self.step.high):
                m.d.sync += upper_offset.eq(self.offset)
                for lane in range(config.lanes):
                    m.d.sync += upper[lane].eq(self.sums[lane])
            with m.Else():
                m.d.sync += [
                    busy.eq(1),
                    left.eq(self.step.columns),
                    last.eq(self.step.columns == 1),
                    wide.eq(self.step.state),
                    final.eq(self.step.final),
                    offset.eq(self.offset + Mux(self.step.state, upper_offset << 8, 0)),
                ]
                for lane in range(config.lanes):
                    m.d.sync += sums[lane].eq(self.sums[lane])
        with m.If(self.restart):
            m.d.sync += address.eq(self.destination)
        return m
