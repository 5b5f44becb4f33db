"""A lane of the pointwise pipeline: everything that is done to one word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, signed

from spikesim.rtl.config import Target
from spikesim.rtl.interface import WORD
from spikesim.rtl.pointwise.add import add
from spikesim.rtl.pointwise.decode import CONTROLS, PACKED
from spikesim.rtl.pointwise.delay import Kept, Line
from spikesim.rtl.pointwise.factors import Factors, GroupFactors
from spikesim.rtl.pointwise.index import TableIndex
from spikesim.rtl.pointwise.lookup_table import LookupTable
from spikesim.rtl.pointwise.multiplier import A_BITS, PRODUCT_BITS, Multiplier
from spikesim.rtl.pointwise.operands import PointwiseOperands
from spikesim.rtl.pointwise.rounding import RESULT, RESULT_BITS, SHIFT, Limiter, RoundingShifter


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all lanes see: the instruction's `controls` and `fields`, the token's `position`; of the slots, from stage
    0 on, `tags` and `second`; of the group its `maximum` and `factors`.
    """

    controls: Kept
    fields: Kept
    position: Any
    tags: Line
    second: Line
    maximum: Signal
    factors: GroupFactors


class Lane:
    """Stages 3 to 22 of one word of every slot.

    The first lane (`number` 0) has the headers, too, and the words of instructions that make packed scalars, a word a
    slot; synthesis leaves out of the others what only these need. `a`, `b`: the words, stage 3. Out of it come `value`
    from stage 11 on, `exponent` from 15, `result` from 22; at stage 21 `clipped`, if the lane has a word.

    `there`: a bit per stage, whether the lane has something of the slot at it. A register takes over what is there and
    holds otherwise, so that its clock rests: of most slots few lanes have a word, and of most cycles no stage a slot.

    All lanes but the first are alike, so that synthesis maps one of them.
    """

    def __init__(self, shared: Shared, number: int, stages: int, target: Target) -> None:
        self.module = m = Module()
        self.there = Signal(stages)
        self.a, self.b = Signal(WORD, reset_less=True), Signal(WORD, reset_less=True)
        self._shared, self._number, self._target = shared, number, target
        self._masked: dict[int, Any] = {}
        self._operands(m)
        self._first_product(m)
        self._table(m)
        self._second_product(m)

    def _controls(self, m: Module, stage: int) -> Any:
        """What the instruction at a stage asks for; of the lanes behind the first, nothing of packed scalars."""
        controls = self._shared.controls.at(stage)
        if not self._number:
            return controls
        if id(controls) not in self._masked:
            masked: Any = Signal(CONTROLS, name=f"controls_{stage}")
            for name in CONTROLS.members:
                m.d.comb += masked[name].eq(0 if name in PACKED else controls[name])
            self._masked[id(controls)] = masked
        return self._masked[id(controls)]

    def _header(self, stage: int) -> Any:
        """Whether the slot is a header, which is in the first lane."""
        tag = self._shared.tags.at(stage)
        return Const(0) if self._number else tag.valid & tag.header

    def _operands(self, m: Module) -> None:
        """Stages 3 and 4: the sum, difference or magnitude that is multiplied; exponents on their own."""
        operands = PointwiseOperands()
        m.submodules.operands = EnableInserter(self.there[3])(operands)
        m.d.comb += [
            operands.controls.eq(self._controls(m, 3)),
            operands.position.eq(self._shared.position),
            operands.header.eq(self._header(3)),
            operands.maximum.eq(self._shared.maximum),
            operands.a.eq(self.a),
            operands.b.eq(self.b),
        ]
        self._factor_a, self._factor_b = operands.factor_a, operands.factor_b
        self._negative = self.line("negative", operands.negative, 4)
        self._zero = self.line("zero", operands.zero, 4)
        self._odd = self.line("odd", operands.odd, 4)
        self._exponent = self.line("exponent", operands.exponent, 4)

    def line(self, name: str, signal: Any, stage: int) -> Line:
        """A signal of the lane's, through its stages."""
        return Line(self.module, name, signal, stage, there=self.there)

    def _first_product(self, m: Module) -> None:
        """Stages 4 to 11: multiply, add the halves of a rotation, round."""
        is_, tags = self._controls(m, 6), self._shared.tags
        m.submodules.first_multiplier = multiplier = Multiplier(self._target)
        m.d.comb += [
            multiplier.there.eq(self.there[4:6]),
            multiplier.a.eq(self._factor_a),
            multiplier.b.eq(self._factor_b),
        ]

        tag = tags.at(5)
        rotated, minus = Signal(reset_less=True), Signal(reset_less=True)
        with m.If(self.there[5]):
            m.d.sync += [
                rotated.eq(is_.rotate & ~tag.header & tag.place[0]),
                minus.eq(is_.rotate & ~tag.header & tag.place[0] & ~self._shared.second.at(5)),
            ]
        total = Signal(signed(PRODUCT_BITS), reset_less=True)
        product: Any = multiplier.product
        shift = Signal(SHIFT, reset_less=True)
        with m.If(self.there[6]):
            m.d.sync += total.eq(add(Mux(rotated, total, 0), product, bits=PRODUCT_BITS, invert=minus))
            with m.If(self._header(6)):
                m.d.sync += shift.eq(0)
            with m.Elif(is_.root):  # an odd exponent moves its factor 2 into the mantissa
                m.d.sync += shift.eq(Mux(self._odd.at(6), -6, -5))
            with m.Else():
                m.d.sync += shift.eq(is_.shift_first)

        m.submodules.first_shifter = shifter = RoundingShifter(width=PRODUCT_BITS, bits=RESULT_BITS)
        m.submodules.word_limiter = limiter = Limiter(bits=RESULT_BITS)
        m.d.comb += [
            shifter.there.eq(self.there[7:10]),
            shifter.value.eq(total),
            shifter.shift.eq(shift),
            limiter.value.eq(shifter.result),
            limiter.overflow.eq(shifter.overflow),
            limiter.negative.eq(shifter.negative),
            limiter.limit.eq(2**31 - 1),
        ]
        self._rounded: Any = shifter.result
        magnitude = Signal(signed(A_BITS), name="magnitude")
        m.d.comb += magnitude.eq(total)
        kept = self.line("magnitude", magnitude, 7)

        is_ = self._controls(m, 10)
        value = Signal(signed(A_BITS), reset_less=True)
        with m.If(self.there[10]):
            with m.If(is_.softplus & ~self._header(10)):
                m.d.sync += value.eq(kept.at(10))
            with m.Elif(is_.narrow & ~self._header(10)):
                m.d.sync += value.eq(limiter.result)
            with m.Else():
                m.d.sync += value.eq(self._rounded)
        self.value = self.line("value", value, 11)

    def _table(self, m: Module) -> None:
        """Stages 10 to 14: index and interpolate."""
        index = TableIndex(self._target)
        m.submodules.table_index = EnableInserter(self.there[10])(index)
        m.submodules.lookup_table = table = LookupTable(self._target)
        m.d.comb += [
            index.controls.eq(self._controls(m, 10)),
            index.rounded.eq(self._rounded),
            index.negative.eq(self._negative.at(10)),
            index.cosine.eq(~self._shared.tags.at(10).place[0]),
            table.there.eq(self.there[14 - len(table.there) : 14]),
            table.index.eq(index.index),
            table.low.eq(index.low),
        ]
        self._table_value = self.line("table", table.value, 14)
        self._sign = self.line("sign", index.sign, 11)
        self._whole = self.line("whole", index.whole, 11)

    def _second_product(self, m: Module) -> None:
        """Stages 14 to 22: factors, product, rounding, saturation, the second summand."""
        group = self._shared.factors
        factors = Factors()
        m.submodules.factors = EnableInserter(self.there[14])(factors)
        m.d.comb += [
            factors.controls.eq(self._controls(m, 14)),
            factors.fields.eq(self._shared.fields.at(14)),
            factors.factor.eq(group.factor),
            factors.places.eq(group.places),
            factors.norm.eq(group.norm),
            factors.header.eq(self._header(14)),
            factors.value.eq(self.value.at(14)),
            factors.table.eq(self._table_value.at(14)),
            factors.negative.eq(self._sign.at(14)),
            factors.zero.eq(self._zero.at(14)),
            factors.whole.eq(self._whole.at(14)),
            factors.operand_exponent.eq(self._exponent.at(14)),
        ]
        self.exponent = self.line("result_exponent", factors.exponent, 15)
        summand = self.line("summand", factors.summand, 15)

        fields, is_ = self._shared.fields.at(20), self._controls(m, 20)
        m.submodules.second_multiplier = multiplier = Multiplier(self._target)
        m.submodules.second_shifter = shifter = RoundingShifter(width=PRODUCT_BITS, bits=RESULT_BITS)
        m.submodules.limiter = limiter = Limiter(bits=RESULT_BITS)
        m.d.comb += [
            multiplier.there.eq(self.there[15:17]),
            multiplier.a.eq(factors.a),
            multiplier.b.eq(factors.b),
            shifter.there.eq(self.there[17:20]),
            shifter.value.eq(multiplier.product),
            shifter.shift.eq(self.line("shift", factors.shift, 15).at(17)),
            limiter.value.eq(shifter.result),
            limiter.overflow.eq(shifter.overflow),
            limiter.negative.eq(shifter.negative),
            limiter.limit.eq(is_.limit),
        ]
        tag = self._shared.tags.at(20)
        written = ~is_.rotate | tag.place[0]
        self.clipped = Signal()
        limited, result = Signal(RESULT, reset_less=True), Signal(RESULT, reset_less=True)
        with m.If(self.there[20]):
            m.d.sync += [
                limited.eq(Mux(is_.raw | self._header(20), shifter.result, limiter.result)),
                self.clipped.eq(written & fields.clip & ~is_.raw & limiter.clipped),
            ]
        with m.If(self.there[21]):
            # a softplus that is as large as a word has no second summand any more, so that this needs no limit
            m.d.sync += result.eq(add(limited, Cat(summand.at(21), 0), bits=RESULT.width))
        self.result = self.line("result", result, 22)
