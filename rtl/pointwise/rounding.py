"""Rounding shifts and saturation: every result of the pointwise unit passes through them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

SHIFT = signed(7)
"""Places of a rounding shift."""

RIGHT = 63
"""The most places to the right: more would leave nothing as well."""

LEFT = 31
"""The most places to the left, by definition of the arithmetic: a statistic's start may need more than that."""

_UNIT = 32
"""The shifter itself manages one more."""


RESULT_BITS = 48
"""Bits that leave the pointwise unit's shifters: a product of mantissas, a statistic's start shifted left by 31."""

RESULT = signed(RESULT_BITS + 1)


class RoundingShifter(wiring.Component):
    """result = value / 2^shift, halves to even; a negative shift multiplies.

    `value` has `width` bits, signed. Latency 3, throughput 1. `result` holds where |result| ≤ 2^(bits − 1), one bit
    more than `bits` for the rounding; outside, `overflow` is high and `negative` is the sign. `there`: whether the slot
    before each stage has something; without it holds.
    """

    def __init__(self, *, width: int, bits: int) -> None:
        self.width, self.bits = width, bits
        super().__init__(
            {
                "there": In(3),
                "value": In(signed(width)),
                "shift": In(SHIFT),
                "result": Out(signed(bits + 1)),
                "overflow": Out(1),
                "negative": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Everything is a shift right by shift + 32 of value · 2^_UNIT, the largest steps first.

        Lowest bit of a partly shifted value: the one just below the unit. All below that: one sticky bit.
        """
        m = Module()
        wide = self.width + _UNIT + 1
        value: Any = Cat(Const(0, _UNIT + 1), self.value)
        words = (self.shift[5:7] + 1)[:2]  # -1, 0, 1 units of 32 places, plus _UNIT
        sticky: Any = 0
        value, sticky = self._right(value, sticky, 64, words[1])
        value, sticky = self._right(value, sticky, 32, words[0])
        value, sticky = self._right(value, sticky, 16, self.shift[4])
        value, sticky = self._right(value, sticky, 8, self.shift[3])

        coarse = Signal(signed(wide), reset_less=True)
        coarse_sticky = Signal(reset_less=True)
        fine_shift = Signal(3, reset_less=True)
        coarse_negative = Signal(reset_less=True)
        with m.If(self.there[0]):
            m.d.sync += [
                coarse.eq(value),
                coarse_sticky.eq(sticky),
                fine_shift.eq(self.shift[:3]),
                coarse_negative.eq(self.value[-1]),
            ]

        value, sticky = coarse, coarse_sticky
        for bit in (2, 1, 0):
            value, sticky = self._right(value, sticky, 1 << bit, fine_shift[bit])
        fine = Signal(signed(wide), reset_less=True)
        fine_sticky = Signal(reset_less=True)
        fine_negative = Signal(reset_less=True)
        with m.If(self.there[1]):
            m.d.sync += [fine.eq(value), fine_sticky.eq(sticky), fine_negative.eq(coarse_negative)]

        whole = fine[1:]
        up = fine[0] & (fine_sticky | whole[0])
        beyond = whole[self.bits - 1 :]
        with m.If(self.there[2]):
            m.d.sync += [
                self.result.eq(whole[: self.bits].as_signed() + up),
                self.overflow.eq(beyond.any() & ~beyond.all()),
                self.negative.eq(fine_negative),
            ]
        return m

    @staticmethod
    def _right(value: Any, sticky: Any, places: int, enable: Any) -> tuple[Any, Any]:
        """(value, sticky) shifted right by `places` if `enable`."""
        shifted = value.as_signed() >> places
        dropped = value[:places].any() & enable
        return Mux(enable, shifted, value)[: len(value)].as_signed(), sticky | dropped


class Limiter(wiring.Component):
    """`result` = `value` clamped to −limit … limit; `clipped` where that changed it. No latency."""

    def __init__(self, *, bits: int) -> None:
        self.bits = bits
        super().__init__(
            {
                "value": In(signed(bits + 1)),
                "overflow": In(1),
                "negative": In(1),
                "limit": In(31),
                "result": Out(signed(32)),
                "clipped": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Compare the low word in both directions while the bits above it are checked."""
        m = Module()
        high = self.value[31:]
        outside = self.overflow | (high.any() & ~high.all())
        negative = Mux(self.overflow, self.negative, self.value[-1])
        low = self.value[:32].as_signed()
        above = (self.limit - low)[:33].as_signed() < 0
        below = (low + self.limit)[:33].as_signed() < 0
        m.d.comb += self.clipped.eq(outside | above | below)
        bound = Signal(signed(32))
        m.d.comb += bound.eq(Mux(negative, -self.limit, self.limit))
        m.d.comb += self.result.eq(Mux(self.clipped, bound, low))
        return m
