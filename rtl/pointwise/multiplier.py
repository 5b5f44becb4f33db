"""The multiplier of the pointwise unit."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.config import Target
from spikesim.rtl.pointwise.add import add

A_BITS, B_BITS = 33, 18
PRODUCT_BITS = A_BITS + B_BITS

_DIGIT = 6
"""Bits of `b` per partial product of gates."""
_HALF = 17
"""Bits of `a` in the lower of two partial products: with the sign of what has none, as many as a block takes."""


class Multiplier(wiring.Component):
    """product = a · b, signed, 33 × 18 bits. Latency 2, throughput 1: partial products, then their sum.

    Of gates, three of a digit of `b` each; for an FPGA, whose multipliers have 18 × 18 bits, two of a half of `a` each.
    `there`: whether the slot before either has something; without it holds.
    """

    def __init__(self, target: Target) -> None:
        self._in_blocks = target == "fpga"
        super().__init__(
            {
                "there": In(2),
                "a": In(signed(A_BITS)),
                "b": In(signed(B_BITS)),
                "product": Out(signed(PRODUCT_BITS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The parts of the way that suits the target."""
        m = Module()
        if self._in_blocks:
            self._halves(m)
        else:
            self._digits(m)
        return m

    def _halves(self, m: Module) -> None:
        """The low half of `a` is unsigned, the high one carries the sign."""
        low = Signal(signed(_HALF + 1 + B_BITS), reset_less=True)
        high = Signal(signed(PRODUCT_BITS - _HALF), reset_less=True)
        with m.If(self.there[0]):
            m.d.sync += [
                low.eq(Cat(self.a[:_HALF], 0).as_signed() * self.b),
                high.eq(self.a[_HALF:].as_signed() * self.b),
            ]
        with m.If(self.there[1]):
            total = (high + (low >> _HALF))[: len(high)]
            m.d.sync += self.product.eq(Cat(low[:_HALF], total).as_signed())

    def _digits(self, m: Module) -> None:
        """The two low digits of `b` are unsigned, the high one carries the sign."""
        low, middle, high = (
            Signal(signed(A_BITS + _DIGIT), name=name, reset_less=True) for name in ("low", "middle", "high")
        )
        with m.If(self.there[0]):
            m.d.sync += [
                low.eq(self.a * Cat(self.b[:_DIGIT], 0).as_signed()),
                middle.eq(self.a * Cat(self.b[_DIGIT : 2 * _DIGIT], 0).as_signed()),
                high.eq(self.a * self.b[2 * _DIGIT :].as_signed()),
            ]
        bits = PRODUCT_BITS - _DIGIT
        x, y, z = (Signal(signed(bits), name=f"summand{i}") for i in range(3))
        m.d.comb += [x.eq(low[_DIGIT:].as_signed()), y.eq(middle), z.eq(high << _DIGIT)]
        sums, carries = x ^ y ^ z, (x & y) | (x & z) | (y & z)
        total = add(sums, Cat(Const(0, 1), carries[: bits - 1]), bits=bits)
        with m.If(self.there[1]):
            m.d.sync += self.product.eq(Cat(low[:_DIGIT], total).as_signed())
