"""`PointwiseUnit`: all vector arithmetic that is not a product of a matrix and counts, a word per cycle.

One pipeline for all operations, in the order of its stages:

    0 slot · 1 addresses · 2 memory · 3 operands · 4 sum or difference · 6 first product · 7 rotation ·
    10 rounded · 11 saturated, table index · 14 table value · 15 factors · 17 second product · 20 rounded ·
    21 saturated · 22 second summand · 23 statistic · 24 … 29 packed · 30 written

A signal's stage is the one at which it is valid; `Line.at` brings an earlier one along. A header flows ahead of each
group's words: wherever it passes, the stage takes over what the group's scalar says, and the statistic of the group
before leaves with it. An instruction's fields do not change while it runs and are not part of the pipeline.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import WORD, ControlSignature, ReadSignature, WriteSignature
from spikesim.rtl.pointwise.add import add
from spikesim.rtl.pointwise.decode import Decode
from spikesim.rtl.pointwise.delay import Line
from spikesim.rtl.pointwise.factors import Factors
from spikesim.rtl.pointwise.index import TableIndex
from spikesim.rtl.pointwise.lookup_table import LookupTable
from spikesim.rtl.pointwise.multiplier import A_BITS, PRODUCT_BITS, Multiplier
from spikesim.rtl.pointwise.normalise import EXPONENT, Normaliser
from spikesim.rtl.pointwise.operands import PointwiseOperands
from spikesim.rtl.pointwise.read import ReadSide
from spikesim.rtl.pointwise.rounding import RESULT, RESULT_BITS, SHIFT, Limiter, RoundingShifter
from spikesim.rtl.pointwise.statistic import Accumulator
from spikesim.rtl.pointwise.write import WriteSide


class PointwiseUnit(wiring.Component):
    """Executes the instructions of `Unit.POINTWISE`; `docs/rtl.md` has their equations.

    Cycles: a slot per header and word (`spikesim.timing.pointwise`), and `POINTWISE_LATENCY`. `clipped` is high for a
    cycle for each word that `limit` changed in an instruction with `clip`.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "control": In(ControlSignature()),
                "read_a": Out(ReadSignature()),
                "read_b": Out(ReadSignature()),
                "write": Out(WriteSignature()),
                "clipped": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The stages in order."""
        m = Module()
        self._fields = self.control.instruction.fields.pointwise
        m.submodules.decode = decode = Decode()
        m.d.comb += [
            decode.instruction.eq(self.control.instruction),
            decode.resolved.eq(self.control.resolved),
        ]
        self._controls = decode.controls
        self._operands(m)
        self._first_product(m)
        self._table(m)
        self._second_product(m)
        self._statistic(m)
        self._result(m)
        return m

    def _header(self, stage: int) -> Any:
        tag = self._tags.at(stage)
        return tag.valid & tag.header

    def _word(self, stage: int) -> Any:
        tag = self._tags.at(stage)
        return tag.valid & ~tag.header

    def _operands(self, m: Module) -> None:
        """Stages 0 to 4: read, then the sum, difference or magnitude that is multiplied; exponents on their own."""
        m.submodules.reader = reader = ReadSide()
        m.d.comb += [
            reader.start.eq(self.control.start),
            reader.instruction.eq(self.control.instruction),
            reader.resolved.eq(self.control.resolved),
            self.read_a.address.eq(reader.address_a),
            self.read_b.address.eq(reader.address_b),
        ]
        self._tags = Line(m, "tags", reader.tag, 0, reset=True)
        is_ = self._controls
        m.d.comb += [
            self.read_a.enable.eq(self._tags.at(1).valid),
            self.read_b.enable.eq(self._word(1) & ((is_.right_b & ~is_.no_b) | is_.product | is_.b_word)),
        ]
        self._second = Line(m, "second", reader.second, 0)
        a, b = Signal(WORD, reset_less=True), Signal(WORD, reset_less=True)
        m.d.sync += [a.eq(self.read_a.data), b.eq(self.read_b.data)]

        m.submodules.operands = operands = PointwiseOperands()
        m.d.comb += [
            operands.controls.eq(self._controls),
            operands.position.eq(self.control.resolved.position),
            operands.header.eq(self._header(3)),
            operands.a.eq(a),
            operands.b.eq(b),
        ]
        self._factor_a, self._factor_b = operands.factor_a, operands.factor_b
        self._negative = Line(m, "negative", operands.negative, 4)
        self._zero = Line(m, "zero", operands.zero, 4)
        self._odd = Line(m, "odd", operands.odd, 4)
        self._exponent = Line(m, "exponent", operands.exponent, 5)

    def _first_product(self, m: Module) -> None:
        """Stages 4 to 11: multiply, add the halves of a rotation, round."""
        is_ = self._controls
        m.submodules.first_multiplier = multiplier = Multiplier()
        m.d.comb += [multiplier.a.eq(self._factor_a), multiplier.b.eq(self._factor_b)]

        tag = self._tags.at(5)
        rotated, minus = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            rotated.eq(is_.rotate & ~tag.header & tag.place[0]),
            minus.eq(is_.rotate & ~tag.header & tag.place[0] & ~self._second.at(5)),
        ]
        total = Signal(signed(PRODUCT_BITS), reset_less=True)
        product: Any = multiplier.product
        m.d.sync += total.eq(add(Mux(rotated, total, 0), product, bits=PRODUCT_BITS, invert=minus))
        tag = self._tags.at(6)
        shift = Signal(SHIFT, reset_less=True)
        with m.If(tag.header):
            m.d.sync += shift.eq(0)
        with m.Elif(is_.root):  # an odd exponent moves its factor 2 into the mantissa
            m.d.sync += shift.eq(Mux(self._odd.at(6), -6, -5))
        with m.Else():
            m.d.sync += shift.eq(is_.shift_first)

        m.submodules.first_shifter = shifter = RoundingShifter(width=PRODUCT_BITS, bits=RESULT_BITS)
        m.submodules.word_limiter = limiter = Limiter(bits=RESULT_BITS)
        m.d.comb += [
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
        kept = Line(m, "magnitude", magnitude, 7)

        value = Signal(signed(A_BITS), reset_less=True)
        with m.If(is_.softplus & ~self._tags.at(10).header):
            m.d.sync += value.eq(kept.at(10))
        with m.Elif(is_.narrow & ~self._tags.at(10).header):
            m.d.sync += value.eq(limiter.result)
        with m.Else():
            m.d.sync += value.eq(self._rounded)
        self._value = Line(m, "value", value, 11)

    def _table(self, m: Module) -> None:
        """Stages 10 to 14: index and interpolate."""
        m.submodules.table_index = index = TableIndex()
        m.submodules.lookup_table = table = LookupTable()
        m.d.comb += [
            index.controls.eq(self._controls),
            index.rounded.eq(self._rounded),
            index.negative.eq(self._negative.at(10)),
            index.cosine.eq(~self._tags.at(10).place[0]),
            table.index.eq(index.index),
            table.low.eq(index.low),
        ]
        self._table_value = Line(m, "table", table.value, 14)
        self._sign = Line(m, "sign", index.sign, 11)
        self._whole = Line(m, "whole", index.whole, 11)

    def _second_product(self, m: Module) -> None:
        """Stages 13 to 22: factors, product, rounding, saturation, the second summand."""
        fields, is_ = self._fields, self._controls
        m.submodules.factors = factors = Factors()
        m.d.comb += [
            factors.controls.eq(is_),
            factors.fields.eq(fields),
            factors.early_header.eq(self._header(13)),
            factors.scalar.eq(self._value.at(13)),
            factors.header.eq(self._header(14)),
            factors.value.eq(self._value.at(14)),
            factors.table.eq(self._table_value.at(14)),
            factors.negative.eq(self._sign.at(14)),
            factors.zero.eq(self._zero.at(14)),
            factors.whole.eq(self._whole.at(14)),
            factors.operand_exponent.eq(self._exponent.at(14)),
        ]
        self._result_exponent = Line(m, "result_exponent", factors.exponent, 15)
        self._summand = Line(m, "summand", factors.summand, 15)

        m.submodules.second_multiplier = multiplier = Multiplier()
        m.submodules.second_shifter = shifter = RoundingShifter(width=PRODUCT_BITS, bits=RESULT_BITS)
        m.submodules.limiter = limiter = Limiter(bits=RESULT_BITS)
        m.d.comb += [
            multiplier.a.eq(factors.a),
            multiplier.b.eq(factors.b),
            shifter.value.eq(multiplier.product),
            shifter.shift.eq(Line(m, "shift", factors.shift, 15).at(17)),
            limiter.value.eq(shifter.result),
            limiter.overflow.eq(shifter.overflow),
            limiter.negative.eq(shifter.negative),
            limiter.limit.eq(is_.limit),
        ]
        tag = self._tags.at(20)
        written = self._word(20) & (~is_.rotate | tag.place[0])
        limited, result = Signal(RESULT, reset_less=True), Signal(RESULT, reset_less=True)
        m.d.sync += [
            limited.eq(Mux(is_.raw | tag.header, shifter.result, limiter.result)),
            self.clipped.eq(written & fields.clip & ~is_.raw & limiter.clipped),
        ]
        # a softplus that is as large as a word has no second summand any more, so that this needs no limit
        m.d.sync += result.eq(add(limited, Cat(self._summand.at(21), 0), bits=RESULT.width))
        self._final = Line(m, "result", result, 22)

    def _statistic(self, m: Module) -> None:
        """Stages 22 to 24: accumulate; a header takes the total of the group before it along."""
        is_ = self._controls
        m.submodules.accumulator = accumulator = Accumulator()
        tag = self._tags.at(23)
        m.d.comb += [
            accumulator.kind.eq(self._fields.statistic),
            accumulator.value.eq(self._final.at(22)),
            accumulator.start.eq(self._final.at(23)),
            accumulator.load.eq(self._header(23)),
            accumulator.add.eq(self._word(23) & (~is_.rotate | tag.place[0])),
        ]
        m.submodules.normaliser = self._normaliser = normaliser = Normaliser()
        total_exponent = Signal(EXPONENT, reset_less=True)
        value = Signal(normaliser.value.shape(), reset_less=True)
        exponent, plain = Signal(EXPONENT, reset_less=True), Signal(reset_less=True)
        own = self._result_exponent.at(23)
        m.d.comb += [
            normaliser.value.eq(value),
            normaliser.exponent.eq(exponent),
            normaliser.plain.eq(plain),
        ]
        with m.If(tag.header):
            m.d.sync += [
                value.eq(accumulator.total),
                exponent.eq(total_exponent),
                plain.eq(is_.maximum),
                total_exponent.eq(own),
            ]
        with m.Else():
            m.d.sync += [value.eq(self._final.at(23)), exponent.eq(own), plain.eq(~is_.packs)]

    def _result(self, m: Module) -> None:
        """Stages 29 and 30: the three words of a decay, and the write."""
        is_ = self._controls
        tag = self._tags.at(29)
        word = self._normaliser.word
        mantissa, exponent = word[:16], word[16:].as_signed()
        shift = Signal(5)
        m.d.comb += shift.eq(16)
        with m.If(mantissa != 0):
            with m.If(exponent >= -16):
                m.d.comb += shift.eq(0)
            with m.Elif(exponent > -32):
                m.d.comb += shift.eq(-16 - exponent)
        factor = Cat(mantissa[:15], mantissa[15] | (mantissa == 0), Const(-16, signed(16)))

        m.submodules.writer = writer = WriteSide()
        m.d.comb += [
            writer.start.eq(self.control.start),
            writer.instruction.eq(self.control.instruction),
            writer.resolved.eq(self.control.resolved),
            writer.tag.eq(tag),
        ]
        m.d.sync += [
            self.write.enable.eq(writer.enable),
            self.write.address.eq(writer.address),
            self.control.done.eq(self._header(29) & tag.place[1]),
        ]
        with m.If(is_.decay & ~tag.header):
            m.d.sync += self.write.data.eq(Mux(tag.place[1], shift, factor))
        with m.Else():
            m.d.sync += self.write.data.eq(word)
