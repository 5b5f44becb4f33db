"""The factors of the second product: what belongs to a group, and what to a word."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.isa import POINTWISE
from spikesim.rtl.pointwise.decode import CONTROLS, clamped
from spikesim.rtl.pointwise.index import WHOLE_BITS
from spikesim.rtl.pointwise.lookup_table import VALUE
from spikesim.rtl.pointwise.multiplier import A_BITS, B_BITS
from spikesim.rtl.pointwise.normalise import EXPONENT
from spikesim.rtl.pointwise.rounding import SHIFT

NORM_BITS = 11
"""Bits of a norm's places. With more, a statistic's start and all its words have long vanished."""


class GroupFactors(wiring.Component):
    """`factor`, `places` and `norm` of the words behind a header, from its `scalar`; a cycle after `header`."""

    def __init__(self) -> None:
        super().__init__(
            {
                "controls": In(CONTROLS),
                "fields": In(POINTWISE),
                "header": In(1),
                "scalar": In(signed(A_BITS)),
                "factor": Out(17),
                "places": Out(SHIFT),
                "norm": Out(NORM_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Registers that a header sets."""
        m = Module()
        fields, is_, scalar = self.fields, self.controls, self.scalar
        mantissa, exponent = scalar[:16], scalar[16:32].as_signed()
        norm = Signal(NORM_BITS)
        largest = 2**NORM_BITS - 1
        with m.If(is_.reduce & fields.has_scalar & (mantissa != 0) & (exponent >= 0)):
            m.d.comb += norm.eq(Mux(exponent >= largest, largest, exponent + 1))
        places = (fields.shift - Mux(fields.has_scalar, exponent, 0))[:18].as_signed()
        with m.If(self.header):
            m.d.sync += [
                self.factor.eq(Mux(fields.has_scalar, mantissa, 1)),
                self.norm.eq(norm),
                self.places.eq(clamped(Mux(is_.reduce, Cat(norm, 0).as_signed(), places))),
            ]
        return m


class Factors(wiring.Component):
    """`a`, `b`, the places `shift` of their product, a `summand` for behind it, and its `exponent`; a cycle later.

    The slot's `header`, `value`, `table`, `negative`, `zero`, `whole`, `operand_exponent` go in, and its group's
    `factor`, `places`, `norm`. A header's product is the start of its group's statistic, its exponent the statistic's.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "controls": In(CONTROLS),
                "fields": In(POINTWISE),
                "factor": In(17),
                "places": In(SHIFT),
                "norm": In(NORM_BITS),
                "header": In(1),
                "value": In(signed(A_BITS)),
                "table": In(VALUE),
                "negative": In(1),
                "zero": In(1),
                "whole": In(WHOLE_BITS),
                "operand_exponent": In(EXPONENT),
                "a": Out(signed(A_BITS)),
                "b": Out(signed(B_BITS)),
                "shift": Out(SHIFT),
                "summand": Out(VALUE),
                "exponent": Out(EXPONENT),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """One multiplexer per output."""
        m = Module()
        self._factors(m)
        self._rest(m)
        return m

    def _factors(self, m: Module) -> None:
        """Constants of the instruction, the word, the table's value, or the group's factor."""
        fields, is_ = self.fields, self.controls
        negative, zero = self.negative, self.zero
        with m.If(is_.constant):
            m.d.sync += self.a.eq(Mux(zero, 0, fields.mantissa))
        with m.Elif(is_.softmax):
            m.d.sync += self.a.eq(fields.limit)
        with m.Elif(is_.step):
            m.d.sync += self.a.eq(~negative & ~zero)
        with m.Elif(is_.softplus):
            m.d.sync += self.a.eq(Mux(negative, 0, self.value))
        with m.Elif(is_.table_factor):
            m.d.sync += self.a.eq(Mux(negative & ~is_.exponential, -1, 1))
        with m.Else():
            m.d.sync += self.a.eq(self.value)

        with m.If(is_.table_factor):
            m.d.sync += self.b.eq(self.table[: B_BITS - 1])
        with m.Elif(is_.scalar_multiply):
            m.d.sync += self.b.eq(fields.mantissa)
        with m.Elif(is_.multiply):
            m.d.sync += self.b.eq(self.factor)
        with m.Else():
            m.d.sync += self.b.eq(1)

        with m.If(self.header):  # the start of a statistic
            m.d.sync += [self.a.eq(Mux(is_.reduce, fields.mantissa, 0)), self.b.eq(1)]

    def _rest(self, m: Module) -> None:
        """Places, exponent and summand."""
        fields, is_, header = self.fields, self.controls, self.header
        with m.If(is_.multiply | is_.reduce):
            m.d.sync += self.shift.eq(self.places)
        with m.Elif(is_.softmax):
            m.d.sync += self.shift.eq(Mux(self.whole >= 47, 63, self.whole[:6] + 16))
        with m.Else():
            m.d.sync += self.shift.eq(is_.shift_second)

        with m.If(is_.exponential):
            m.d.sync += self.exponent.eq(-16 - self.whole)
        with m.Else():
            m.d.sync += self.exponent.eq(self.operand_exponent)

        with m.If(header):
            start = (Cat(Const(0, 1), self.norm, 0).as_signed() - fields.exponent)[:14].as_signed()
            m.d.sync += [self.shift.eq(Mux(is_.reduce, clamped(start), 0)), self.exponent.eq(self.norm << 1)]

        with m.If(is_.softplus & ~header):
            m.d.sync += self.summand.eq(self.table)
        with m.Else():  # sigmoid(−x) = 1 − sigmoid(x)
            m.d.sync += self.summand.eq((is_.sigmoid & ~header & self.negative) << 16)
