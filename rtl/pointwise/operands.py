"""The front of the pointwise pipeline: two words from memory become two factors."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.interface import WORD
from spikesim.rtl.isa import POSITION_BITS
from spikesim.rtl.pointwise.add import add
from spikesim.rtl.pointwise.decode import CONTROLS
from spikesim.rtl.pointwise.multiplier import A_BITS, B_BITS
from spikesim.rtl.pointwise.normalise import EXPONENT


class PointwiseOperands(wiring.Component):
    """The factors of the first product, a cycle after the words `a` and `b` and whether they are a `header`'s.

    `factor_a` is a sum, a difference, a magnitude, a mantissa or the word itself, `factor_b` a word of 18 bits, a
    mantissa, the position or 1; a header's word passes unchanged. `maximum`: of the word's group. With the factors:
    a is `negative`, it or its mantissa is `zero`, its exponent is `odd` and its root is taken; `exponent`, of the
    product or the table value.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "controls": In(CONTROLS),
                "position": In(POSITION_BITS),
                "header": In(1),
                "maximum": In(WORD),
                "a": In(WORD),
                "b": In(WORD),
                "factor_a": Out(signed(A_BITS)),
                "factor_b": Out(signed(B_BITS)),
                "negative": Out(1),
                "zero": Out(1),
                "odd": Out(1),
                "exponent": Out(EXPONENT),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """One adder for all that is added before the product; exponents beside it."""
        m = Module()
        is_, a, b, header = self.controls, self.a, self.b, self.header
        left, right, invert = Signal(WORD), Signal(WORD), Signal()
        with m.If(is_.softmax):
            m.d.comb += left.eq(self.maximum)
        with m.Elif(is_.left_a):
            m.d.comb += left.eq(a)
        with m.If(is_.right_b):
            m.d.comb += right.eq(Mux(is_.no_b, 0, b))
        with m.Elif(is_.packed_a):
            m.d.comb += right.eq(a[:16])
        with m.Elif(is_.exponential):
            m.d.comb += right.eq(Mux(a < 0, 0, a))
        with m.Else():
            m.d.comb += right.eq(a)
        m.d.comb += invert.eq(is_.subtract | is_.softmax | (is_.magnitude & (a < 0)))
        m.d.sync += self.factor_a.eq(add(left, right, bits=A_BITS, invert=invert))
        with m.If(is_.product):
            m.d.sync += self.factor_b.eq(b[:16])
        with m.Elif(is_.b_word):
            m.d.sync += self.factor_b.eq(b[:B_BITS].as_signed())
        with m.Elif(is_.phase):
            m.d.sync += self.factor_b.eq(self.position)
        with m.Else():
            m.d.sync += self.factor_b.eq(1)
        with m.If(header):
            m.d.sync += [self.factor_a.eq(a), self.factor_b.eq(1)]
        m.d.sync += [
            self.negative.eq(a < 0),
            self.zero.eq((a[:16] == 0) & (is_.packed_a | (a[16:] == 0))),
            self.odd.eq(is_.root & a[16]),
        ]

        exponents = Signal(EXPONENT, reset_less=True)
        exponent_a, exponent_b = a[16:].as_signed(), b[16:].as_signed()
        with m.If(is_.product):
            m.d.sync += exponents.eq(exponent_a + exponent_b)
        with m.Else():
            m.d.sync += exponents.eq(-Mux(is_.root, exponent_a >> 1, exponent_a))
        m.d.comb += self.exponent.eq(exponents + is_.bias)
        return m
