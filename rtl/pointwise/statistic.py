"""The running statistic of a group of output words."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.isa import Statistic
from spikesim.rtl.pointwise.add import add
from spikesim.rtl.pointwise.normalise import BITS
from spikesim.rtl.pointwise.rounding import RESULT

TERM = signed(34)


class Accumulator(wiring.Component):
    """`total` = the statistic of all words since the last header.

    Inputs of a slot: `value` one cycle early, `load` or `add` with the slot. `load`: a header, whose value is the
    statistic's start; the cycle it is high, `total` still is that of the group before. `add`: one more word. Sums of
    squares take words of 16 bits, the others of 33.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "kind": In(Statistic),
                "value": In(RESULT),
                "start": In(RESULT),
                "load": In(1),
                "add": In(1),
                "total": Out(signed(BITS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The term of a word, then the sum or the larger one."""
        m = Module()
        term = Signal(TERM, reset_less=True)
        low, half = self.value[:33].as_signed(), self.value[:16].as_signed()
        magnitude, largest, squares = Signal(), Signal(), Signal()
        m.d.sync += [
            magnitude.eq((self.kind == Statistic.SUM_ABS) | (self.kind == Statistic.MAX_ABS)),
            largest.eq((self.kind == Statistic.MAX) | (self.kind == Statistic.MAX_ABS)),
            squares.eq(self.kind == Statistic.SUM_SQUARES),
        ]
        with m.If(squares):
            m.d.sync += term.eq(half * half)
        with m.Else():
            m.d.sync += term.eq(Mux(magnitude & low[-1], -low, low))

        fresh = Signal()
        plain = Signal()
        m.d.sync += plain.eq(self.kind == Statistic.MAX)
        with m.If(self.load):
            m.d.sync += [self.total.eq(self.start), fresh.eq(1)]
        with m.Elif(self.add):
            m.d.sync += fresh.eq(0)
            with m.If(~largest):
                m.d.sync += self.total.eq(add(self.total, term, bits=BITS))
            with m.Elif((plain & fresh) | (term > self.total)):
                m.d.sync += self.total.eq(term)
        return m
