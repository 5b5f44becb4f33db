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

TERM_BITS = 34

LOWEST = -(1 << TERM_BITS - 1)
"""Below every term: the term of a lane without a word where the largest word is asked for."""


class Accumulator(wiring.Component):
    """`total` = the statistic of all words since the last header.

    `values`, `words`: of a slot's lanes, and which of them are words of the statistic; 1 + `levels` cycles later, the
    slot's `load` or `add`. `load`: a header, whose `start` is the statistic's; the cycle it is high, `total` still is
    that of the group before. `add`: words of this slot count. Sums of squares take words of 16 bits, the others of 33.

    The lanes' terms meet in a tree of `levels` registered levels, one adder a node.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.levels = (lanes - 1).bit_length()
        super().__init__(
            {
                "kind": In(Statistic),
                "values": In(RESULT).array(lanes),
                "words": In(lanes),
                "start": In(RESULT),
                "load": In(1),
                "add": In(1),
                "total": Out(signed(BITS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The terms of the words, their sum or the largest, then the same with the total."""
        m = Module()
        magnitude, largest, squares, plain = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            magnitude.eq((self.kind == Statistic.SUM_ABS) | (self.kind == Statistic.MAX_ABS)),
            largest.eq((self.kind == Statistic.MAX) | (self.kind == Statistic.MAX_ABS)),
            squares.eq(self.kind == Statistic.SUM_SQUARES),
            plain.eq(self.kind == Statistic.MAX),
        ]
        terms: list[Any] = [
            self._term(m, lane, magnitude, squares, plain if lane else None) for lane in range(self.lanes)
        ]
        while len(terms) > 1:
            pairs = zip(terms[::2], terms[1::2], strict=True)
            terms = [self._node(m, i, largest, *pair) for i, pair in enumerate(pairs)]
        term = terms[0]

        fresh = Signal()
        with m.If(self.load):
            m.d.sync += [self.total.eq(self.start), fresh.eq(1)]
        with m.Elif(self.add):
            m.d.sync += fresh.eq(0)
            with m.If(~largest):
                m.d.sync += self.total.eq(add(self.total, term, bits=BITS))
            with m.Elif((plain & fresh) | (term > self.total)):
                m.d.sync += self.total.eq(term)
        return m

    def _term(self, m: Module, lane: int, magnitude: Signal, squares: Signal, plain: Signal | None) -> Signal:
        """The term of a lane. `plain`: 0 or the lowest number where it has no word; the first lane always has one."""
        value = self.values[lane]
        term = Signal(signed(TERM_BITS), reset_less=True, name=f"term_{lane}")
        low, half = value[:33].as_signed(), value[:16].as_signed()
        with m.If(squares):
            m.d.sync += term.eq(half * half)
        with m.Else():
            m.d.sync += term.eq(Mux(magnitude & low[-1], -low, low))
        if plain is not None:
            with m.If(~self.words[lane]):
                m.d.sync += term.eq(Mux(plain, LOWEST, 0))
        return term

    @staticmethod
    def _node(m: Module, number: int, largest: Signal, left: Any, right: Any) -> Signal:
        """left + right; with `largest` the larger one, by the sign of left − right. A cycle later."""
        bits = len(left) + 1
        total = add(left, right, bits=bits, invert=largest)
        node = Signal(signed(bits), reset_less=True, name=f"node_{bits}_{number}")
        m.d.sync += node.eq(Mux(largest, Mux(total[-1], right, left), total))
        return node
