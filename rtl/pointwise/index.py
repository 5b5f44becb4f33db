"""Where in its table an operation looks."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.config import Target
from spikesim.rtl.pointwise.decode import CONTROLS
from spikesim.rtl.pointwise.lookup_table import (
    EXP2_BASE,
    FULL,
    INDEX_BITS,
    RECIPROCAL_BASE,
    ROOT_BASE,
    SIGMOID_BASE,
    SINE_BASE,
    SOFTPLUS_BASE,
)
from spikesim.rtl.pointwise.rounding import RESULT

WHOLE_BITS = 11
"""Bits of the whole part of a power of two's exponent. With more, the power is zero."""


class TableIndex(wiring.Component):
    """`index` and `low` of the lookup table for `rounded`, a cycle later; of an FPGA's, which has its own register for
    the address, `index` in the same cycle.

    `rounded` has its binary point where the operation's table wants it: 11 places for sigmoid and softplus, 22 for a
    power of two, 21 below the leading one of a mantissa; of an angle it is the whole product, 2^32 for a turn.
    `negative` in is the operand's sign, `sign` out that of the value, for an angle its quadrant's. `cosine`: the
    angle is a quarter turn further. `whole`: of the power's exponent, the largest number if it is larger than that.
    """

    def __init__(self, target: Target) -> None:
        self._index_domain = "comb" if target == "fpga" else "sync"
        super().__init__(
            {
                "controls": In(CONTROLS),
                "rounded": In(RESULT),
                "negative": In(1),
                "cosine": In(1),
                "index": Out(INDEX_BITS),
                "low": Out(range(FULL + 1)),
                "sign": Out(1),
                "whole": Out(WHOLE_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A multiplexer of wires, but for the angle."""
        m = Module()
        is_, x = self.controls, self.rounded
        quadrant = Signal(2)
        m.d.comb += quadrant.eq(x[30:32] + self.cosine)  # cos x = sin(x + a quarter turn)
        part = Signal(22)  # of a quarter turn, 2^21; an odd quadrant runs backwards
        m.d.comb += part.eq(Mux(quadrant[0], (1 << 21) - x[9:30], x[9:30]))
        beyond = x[15:].any()
        index = m.d[self._index_domain]
        with m.If(is_.phase):
            index += self.index.eq(SINE_BASE | Mux(part[21], 511, part[12:21]))
            m.d.sync += self.low.eq(Mux(part[21], FULL, part[:12]))
        with m.Elif(is_.magnitude):
            index += self.index.eq(Mux(is_.softplus, SOFTPLUS_BASE, SIGMOID_BASE) | Mux(beyond, 511, x[6:15]))
            m.d.sync += self.low.eq(Mux(beyond, FULL, x[:6] << 6))
        with m.Elif(is_.invert):
            index += self.index.eq(RECIPROCAL_BASE | x[12:21])
            m.d.sync += self.low.eq(x[:12])
        with m.Else():
            index += self.index.eq(Mux(is_.root, ROOT_BASE, EXP2_BASE) | x[12:22])
            m.d.sync += self.low.eq(x[:12])

        m.d.sync += self.sign.eq(Mux(is_.phase, quadrant[1], self.negative))
        m.d.sync += self.whole.eq(x[22 : 22 + WHOLE_BITS] | x[22 + WHOLE_BITS :].any().replicate(WHOLE_BITS))
        return m
