"""Packing: a whole number and an exponent into a packed scalar word."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

BITS = 56
"""Bits of the number, signed: a sum of 2^24 words."""

EXPONENT = signed(18)
"""Exponents on their way: two of 16 bits and a constant added up."""

LOWEST_EXPONENT = -1024
"""Below it a packed scalar is zero."""

LATENCY = 5


class Normaliser(wiring.Component):
    """`word` = value · 2^exponent, value ≥ 0, as a packed scalar: exponent · 2^16 + mantissa, rounded half to even.

    A mantissa is normalised to [2^15, 2^16); zero and results whose exponent is below `LOWEST_EXPONENT` are the word
    0. With `plain`, `word` = the low 32 bits of the value, which may be negative. Latency 5, throughput 1.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "value": In(signed(BITS)),
                "exponent": In(EXPONENT),
                "plain": In(1),
                "word": Out(signed(32)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Three stages of shifting left, one that rounds the mantissa, one that assembles the word."""
        m = Module()
        value: Any = self.value
        exponent: Any = self.exponent
        plain: Any = self.plain
        zeros: list[Any] = []
        for stage, steps in enumerate(((32, 16), (8, 4), (2, 1))):
            for places in steps:
                empty = ~value[BITS - places :].any() & ~plain
                value = Mux(empty, Cat(Const(0, places), value[: BITS - places]), value)[:BITS]
                zeros = [empty, *zeros]
            shifted = Signal(BITS, name=f"shifted{stage}", reset_less=True)
            counted = Signal(len(zeros), name=f"zeros{stage}", reset_less=True)
            next_exponent = Signal(EXPONENT, name=f"exponent{stage}", reset_less=True)
            next_plain = Signal(name=f"plain{stage}", reset_less=True)
            m.d.sync += [
                shifted.eq(value),
                counted.eq(Cat(*zeros)),
                next_exponent.eq(exponent),
                next_plain.eq(plain),
            ]
            value, exponent, plain, zeros = shifted, next_exponent, next_plain, list(counted)

        low = BITS - 16
        up = value[low - 1] & (value[: low - 1].any() | value[low])
        mantissa = Signal(17, reset_less=True)
        unrounded = Signal(signed(20), reset_less=True)
        rest = Signal(16, reset_less=True)
        rounded_plain = Signal(reset_less=True)
        empty_value = Signal(reset_less=True)
        m.d.sync += [
            mantissa.eq(Mux(plain, value[:16], value[low:] + up)),
            unrounded.eq(exponent + low - Cat(*zeros)),
            rest.eq(value[16:32]),
            rounded_plain.eq(plain),
            empty_value.eq(~value[-1]),
        ]

        carried = Signal(signed(20))
        m.d.comb += carried.eq(unrounded + mantissa[16])
        vanishes = empty_value | (carried < LOWEST_EXPONENT)
        with m.If(rounded_plain):
            m.d.sync += self.word.eq(Cat(mantissa[:16], rest))
        with m.Elif(vanishes):
            m.d.sync += self.word.eq(0)
        with m.Else():
            # a mantissa that rounds to 2^16 is all zeros but for the carry
            m.d.sync += self.word.eq(Cat(mantissa[:15], mantissa[15] | mantissa[16], carried[:16]))
        return m
