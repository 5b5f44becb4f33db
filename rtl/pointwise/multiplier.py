"""The multiplier of the pointwise unit."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.pointwise.add import add

A_BITS, B_BITS = 33, 18
PRODUCT_BITS = A_BITS + B_BITS

_DIGIT = 6
"""Bits of `b` per partial product."""


class Multiplier(wiring.Component):
    """product = a · b, signed, 33 × 18 bits. Latency 2, throughput 1: three partial products, then their sum.

    `there`: whether the slot before either has something; without it holds.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "there": In(2),
                "a": In(signed(A_BITS)),
                "b": In(signed(B_BITS)),
                "product": Out(signed(PRODUCT_BITS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The two low digits of `b` are unsigned, the high one carries the sign."""
        m = Module()
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
        return m
