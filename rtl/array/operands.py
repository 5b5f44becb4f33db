"""`ArrayOperands`: which bytes of row or state memory a gather adds up, ways × lanes; combinational."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.gather import step_layout
from spikesim.rtl.config import CoreConfig

SIGN = 0x80
"""Rows are summed with their sign bit turned over, as unsigned numbers: no operand has to be widened by its sign."""


class ArrayOperands(wiring.Component):
    """`rows`: of every way and lane an unsigned byte: row memory's, signed, plus 2^7; of a state word (`step.state`)
    the upper byte, signed, plus 2^7, or the lower.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "step": In(step_layout(config)),
                "words": In(config.lanes * 8).array(config.ways),
                "states": In(config.lanes * 16).array(config.ways),
                "rows": Out(config.lanes * 8).array(config.ways),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """One-hot choice among the three."""
        m = Module()
        chosen = (
            ~self.step.state,
            self.step.state & self.step.high,
            self.step.state & ~self.step.high,
        )
        row, high, low = (bit.replicate(8) for bit in chosen)
        for way in range(self.config.ways):
            lanes = []
            for lane in range(self.config.lanes):
                byte = self.words[way].word_select(lane, 8)
                state = self.states[way].word_select(lane, 16)
                lanes.append(((byte ^ SIGN) & row) | ((state[8:] ^ SIGN) & high) | (state[:8] & low))
            m.d.comb += self.rows[way].eq(Cat(lanes))
        return m
