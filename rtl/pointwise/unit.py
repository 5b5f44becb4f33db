"""`PointwiseUnit`: all vector arithmetic that is not a product of a matrix and counts, a run of words per cycle.

One pipeline for all operations, in the order of its stages; with P words a cycle (lanes), from 23 on log2 P later:

    0 slot · 1 addresses · 2 memory · 3 operands · 4 sum or difference · 6 first product · 7 rotation ·
    10 rounded · 11 saturated, table index · 14 table value · 15 factors · 17 second product · 20 rounded ·
    21 saturated · 22 second summand · (lanes' statistics meet) · 23 statistic · 24 … 29 packed · 30 written

A signal's stage is the one at which it is valid; `Line.at` brings an earlier one along. A header flows ahead of each
group's words: wherever it passes, the stage takes over what the group's scalar says, and the statistic of the group
before leaves with it. An instruction may follow into the pipeline before the one in front of it has left: what it says
(`Kept`) moves on with its first header, by regions.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import WORD, ControlSignature, RunReadSignature, RunWriteSignature
from spikesim.rtl.isa import ADDRESS, PointwiseOperation
from spikesim.rtl.pointwise.decode import Decode
from spikesim.rtl.pointwise.delay import Kept, Line
from spikesim.rtl.pointwise.factors import GroupFactors
from spikesim.rtl.pointwise.lane import Lane, Shared
from spikesim.rtl.pointwise.normalise import EXPONENT, Normaliser
from spikesim.rtl.pointwise.read import ReadSide
from spikesim.rtl.pointwise.statistic import Accumulator
from spikesim.rtl.pointwise.write import WriteSide


class PointwiseUnit(wiring.Component):
    """Executes the instructions of `Unit.POINTWISE`; `docs/rtl.md` has their equations.

    Cycles: a slot per header and run of words, and the instruction's tail (`spikesim.timing.pointwise`): `done` comes
    so long after its last slot, and the next may start. With the whole latency all is written by then. `clipped`: how
    many words `limit` changed in a cycle, in an instruction with `clip`.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.words, self._target = config.pointwise_words, config.target
        super().__init__(
            {
                "control": In(ControlSignature()),
                "read_a": Out(RunReadSignature(self.words)),
                "read_b": Out(RunReadSignature(self.words)),
                "write": Out(RunWriteSignature(self.words)),
                "clipped": Out(range(self.words + 1)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """What all lanes share, the lanes, and behind them what they share again."""
        m = Module()
        m.submodules.decode = decode = Decode()
        m.d.comb += [
            decode.instruction.eq(self.control.instruction),
            decode.resolved.eq(self.control.resolved),
        ]
        fields = self.control.instruction.fields.pointwise
        m.submodules.accumulator = self._accumulator = Accumulator(self.words)
        self._late = self._accumulator.levels
        self._read(m, fields, decode.controls)
        self._end(m, fields.tail)
        self._group(m)
        self._lanes = []
        for number in range(self.words):
            lane = Lane(self._shared, number, 29 + self._late, self._target)
            m.submodules[f"lane_{number}"] = lane.module
            self._lanes.append(lane)
            for stage in range(2, len(lane.there)):  # the first has headers, too
                there = self._words.at(stage)[number] if number else self._tags.at(stage).valid
                m.d.comb += lane.there[stage].eq(there)
        self._scalar(m)
        self._operands(m)
        self._statistic(m)
        self._result(m)
        return m

    def _header(self, stage: int) -> Any:
        tag = self._tags.at(stage)
        return tag.valid & tag.header

    def _word(self, stage: int) -> Any:
        tag = self._tags.at(stage)
        return tag.valid & ~tag.header

    def _read(self, m: Module, fields: Any, controls: Any) -> None:
        """Stages 0 and 1: the slots, and the words that they need of memory."""
        m.submodules.reader = reader = ReadSide(self.words)
        m.d.comb += [
            reader.start.eq(self.control.start),
            reader.instruction.eq(self.control.instruction),
            reader.resolved.eq(self.control.resolved),
            self.read_a.address.eq(reader.address_a),
            self.read_b.address.eq(reader.address_b),
        ]
        self._tags = Line(m, "tags", reader.tag, 0, reset=True)
        self._second = Line(m, "second", reader.second, 0)
        self._words = Line(m, "words", reader.words, 0, reset=True)
        self._fields = Kept(m, "fields", fields, self._tags)
        self._controls = Kept(m, "controls", controls, self._tags)
        start = Signal(ADDRESS, reset_less=True)
        offset = Mux(fields.operation == PointwiseOperation.DECAY, self.control.resolved.offset, 0)
        m.d.sync += start.eq(fields.result + offset)
        self._result_start = Kept(m, "result_start", start, self._tags)
        is_ = controls
        wanted_b = self._word(1) & ((is_.right_b & ~is_.no_b) | is_.product | is_.b_word)
        runs = self._words.at(1)
        m.d.comb += [
            self.read_a.enable.eq(Mux(self._header(1), 1, Mux(fields.a_step, runs, runs[0]))),
            self.read_b.enable.eq(Mux(wanted_b, Mux(fields.b_step, runs, runs[0]), 0)),
        ]

    def _end(self, m: Module, tail: Any) -> None:
        """`done` in the last of the `tail` cycles behind the last slot, that slot's included."""
        ending, left = Signal(), Signal.like(tail, name="left")
        m.d.sync += [left.eq(left - 1), self.control.done.eq(ending & (left == 0))]
        with m.If(self._header(0) & self._tags.at(0).place[1]):
            m.d.sync += [ending.eq(1), left.eq(tail - 3)]
        with m.Elif(left == 0):
            m.d.sync += ending.eq(0)

    def _group(self, m: Module) -> None:
        """What the words of a group take over from its header."""
        m.submodules.group = self._factors = GroupFactors()
        maximum = Signal(WORD, reset_less=True)
        self._shared = Shared(
            controls=self._controls,
            fields=self._fields,
            position=self.control.resolved.position,
            tags=self._tags,
            second=self._second,
            maximum=maximum,
            factors=self._factors,
        )

    def _scalar(self, m: Module) -> None:
        """Stages 3 and 13: a header's word, in time for the words right behind it and for the header itself."""
        first, factors = self._lanes[0], self._factors
        with m.If(self._header(3)):
            m.d.sync += self._shared.maximum.eq(first.a)
        m.d.comb += [
            factors.controls.eq(self._controls.at(13)),
            factors.fields.eq(self._fields.at(13)),
            factors.header.eq(self._header(13)),
            factors.scalar.eq(first.value.at(13)),
        ]

    def _operands(self, m: Module) -> None:
        """Stage 2: the words that were read; one word for all lanes where the instruction does not step."""
        a, b, fields = self.read_a.data, self.read_b.data, self._fields.at(2)
        for number, lane in enumerate(self._lanes):
            with m.If(lane.there[2]):
                m.d.sync += [
                    lane.a.eq(Mux(fields.a_step, a[number], a[0]) if number else a[0]),
                    lane.b.eq(Mux(fields.b_step, b[number], b[0]) if number else b[0]),
                ]

    def _statistic(self, m: Module) -> None:
        """Stages 22 to 24: accumulate; a header takes the total of the group before it along."""
        first, late = self._lanes[0], 23 + self._late
        is_, accumulator = self._controls.at(late), self._accumulator
        tag = self._tags.at(late)
        lanes = zip(self._lanes, self._words.at(21), strict=True)
        m.d.comb += [
            accumulator.kind.eq(self._fields.at(22).statistic),
            *(
                value.eq(lane.result.at(22))
                for value, lane in zip(accumulator.values, self._lanes, strict=True)
            ),
            accumulator.words.eq(self._words.at(22)),
            accumulator.start.eq(first.result.at(late)),
            accumulator.load.eq(self._header(late)),
            accumulator.add.eq(self._word(late) & (~is_.rotate | tag.place[0])),
            self.clipped.eq(sum((lane.clipped & there for lane, there in lanes), Const(0))),
        ]
        m.submodules.normaliser = self._normaliser = normaliser = Normaliser()
        total_exponent = Signal(EXPONENT, reset_less=True)
        value = Signal(normaliser.value.shape(), reset_less=True)
        exponent, plain = Signal(EXPONENT, reset_less=True), Signal(reset_less=True)
        own = first.exponent.at(late)
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
            m.d.sync += [value.eq(first.result.at(late)), exponent.eq(own), plain.eq(~is_.packs)]

    def _result(self, m: Module) -> None:
        """Stages 29 and 30: the three words of a decay, and the write."""
        late = 29 + self._late
        is_, tag = self._controls.at(late), self._tags.at(late)
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

        m.submodules.writer = writer = WriteSide(self.words)
        m.d.comb += [
            writer.fields.eq(self._fields.at(late)),
            writer.result.eq(self._result_start.at(late)),
            writer.tag.eq(tag),
            writer.words.eq(self._words.at(late)),
        ]
        m.d.sync += [self.write.enable.eq(writer.enable), self.write.address.eq(writer.address)]
        with m.If(is_.decay & ~tag.header):
            m.d.sync += self.write.data[0].eq(Mux(tag.place[1], shift, factor))
        with m.Else():
            m.d.sync += self.write.data[0].eq(word)
        for number, lane in enumerate(self._lanes[1:], 1):  # plain words, all of them
            plain = lane.line("plain", lane.result.at(22)[:32], 22)
            m.d.sync += self.write.data[number].eq(plain.at(late))
