"""`Drain`: writes the sums of a column chunk to vector memory, in runs, while the array sums the next."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.gather import step_layout
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import RunWriteSignature
from spikesim.rtl.isa import ADDRESS


class Drain(wiring.Component):
    """`ended`: take `sums`, which all lack `offset`, and write the first `step.columns` of them to ascending addresses,
    `drained` of them per cycle.

    The sums of a pass over upper bytes are kept instead, and added, times 2^8, to those of the pass that follows.
    `restart` sets the address to `destination`. `finished` comes with the last words of a `final` step.
    Latency from `ended` to the first words on `write`: 2.
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
                "write": Out(RunWriteSignature(config.drained)),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Two shift registers, an adder per word and a counter."""
        m = Module()
        config, width = self.config, self.config.drained
        sums = Signal(data.ArrayLayout(config.accumulator_bits, config.lanes))
        upper = Signal(data.ArrayLayout(config.accumulator_bits - 8, config.lanes))
        offset, upper_offset = Signal(config.accumulator_bits), Signal(config.accumulator_bits - 8)
        left = Signal(range(config.lanes + 1))
        busy, last, wide, final = Signal(), Signal(), Signal(), Signal()
        address = Signal(ADDRESS)
        for i in range(width):
            word = Signal(signed(config.accumulator_bits), name=f"word_{i}")
            m.d.comb += word.eq(sums[i] + offset + Mux(wide, upper[i] << 8, 0))
            m.d.sync += [
                self.write.enable[i].eq(busy & (~last | (left > i))),
                self.write.data[i].eq(word),
            ]
        m.d.sync += [
            self.write.address.eq(address),
            self.finished.eq(busy & last & final),
        ]
        with m.If(busy):
            m.d.sync += [
                address.eq(address + Mux(last, left, width)),
                left.eq(left - width),
                last.eq(left <= 2 * width),
                busy.eq(~last),
            ]
            for lane in range(config.lanes - width):
                m.d.sync += [sums[lane].eq(sums[lane + width]), upper[lane].eq(upper[lane + width])]
        with m.If(self.ended):
            with m.If(self.step.high):
                m.d.sync += upper_offset.eq(self.offset)
                for lane in range(config.lanes):
                    m.d.sync += upper[lane].eq(self.sums[lane])
            with m.Else():
                m.d.sync += [
                    busy.eq(1),
                    left.eq(self.step.columns),
                    last.eq(self.step.columns <= width),
                    wide.eq(self.step.state),
                    final.eq(self.step.final),
                    offset.eq(self.offset + Mux(self.step.state, upper_offset << 8, 0)),
                ]
                for lane in range(config.lanes):
                    m.d.sync += sums[lane].eq(self.sums[lane])
        with m.If(self.restart):
            m.d.sync += address.eq(self.destination)
        return m
