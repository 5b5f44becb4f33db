"""The read side of the pointwise unit: which slot comes next, and where its operands lie."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.isa import ADDRESS, INSTRUCTION, RESOLVED, PointwiseOperation
from spikesim.rtl.pointwise.decode import is_packed
from spikesim.rtl.pointwise.delay import TAG


class ReadSide(wiring.Component):
    """After `start`: per group a header, then the slots of its words; a header behind the last group. A slot per cycle.

    `tag` is the slot of this cycle, pipeline stage 0, `words` which of its lanes have a word: as many as there are
    left, but one in an operation that makes packed scalars. `address_a`, `address_b` are those of the slot before,
    stage 1, from registers. `second` (stage 0): the slot belongs to the second half of a rotated run.

    A rotation goes through its run twice, each time by half: the first slot of a word reads the low half and the
    second the high half, against cosine and sine in the first pass and sine and cosine in the second.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "start": In(1),
                "instruction": In(INSTRUCTION),
                "resolved": In(RESOLVED),
                "tag": Out(TAG),
                "words": Out(lanes),
                "second": Out(1),
                "address_a": Out(ADDRESS),
                "address_b": Out(ADDRESS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Counters of groups, runs of words and slots; a base per group and a pointer per operand."""
        m = Module()
        bits = (self.lanes - 1).bit_length()
        fields = self.instruction.fields.pointwise
        common = self.instruction.common
        rotate, decay, last_place = Signal(), Signal(), Signal(2)
        run = Signal(24, reset_less=True)
        m.d.sync += [
            rotate.eq(fields.operation == PointwiseOperation.ROTATE),
            decay.eq(fields.operation == PointwiseOperation.DECAY),
            run.eq(Mux(fields.operation == PointwiseOperation.ROTATE, self.resolved.n >> 1, self.resolved.n)),
        ]
        phase = Signal()
        m.d.sync += phase.eq(fields.operation == PointwiseOperation.PHASE)
        m.d.comb += last_place.eq(Mux(decay, 2, rotate | phase))
        alone = Signal()  # a word a slot
        m.d.sync += alone.eq(is_packed(fields.operation))
        others, slots = Signal(24), Signal(24)  # of a run: its words, its slots but the first
        m.d.comb += [others.eq(run - 1), slots.eq(Mux(alone, others, others >> bits))]
        every, rest = (
            Signal(self.lanes),
            Signal(self.lanes),
        )  # lanes that have a word; in the last slot of a run
        m.d.comb += [
            every.eq(Mux(alone, 1, -1)),
            rest.eq(every & Cat(others[:bits] >= lane if lane else 1 for lane in range(self.lanes))),
        ]

        busy, header, first = Signal(), Signal(), Signal()
        place, groups, left = Signal(2), Signal(12), Signal(24)  # left: slots of the run behind this one
        bases = {name: Signal(ADDRESS, name=f"{name}_base", reset_less=True) for name in ("a", "b", "scalar")}
        strides = {"a": fields.a_stride, "b": fields.b_stride, "scalar": fields.scalar_stride}
        pointers = {
            name: Signal(ADDRESS, name=f"{name}_pointer", reset_less=True)
            for name in ("a", "high", "b", "sin")
        }
        rewind = {
            "a": bases["a"],
            "high": bases["a"] + run,
            "b": bases["b"],
            "sin": bases["scalar"],
        }
        steps = {"a": fields.a_step, "high": 1, "b": fields.b_step, "sin": 1}
        words = Mux(alone, 1, self.lanes)
        to_start = [pointers[name].eq(base) for name, base in rewind.items()]
        behind = groups == 0

        with m.If(self.start):
            m.d.sync += [
                busy.eq(1),
                header.eq(1),
                first.eq(1),
                groups.eq(common.groups),
                # the factors of the selected copy of a state
                bases["a"].eq(
                    fields.a + Mux(fields.operation == PointwiseOperation.DECAY, self.resolved.offset, 0)
                ),
                bases["b"].eq(fields.b),
                bases["scalar"].eq(fields.scalar),
            ]
        with m.Elif(busy & header):
            m.d.sync += [
                busy.eq(~behind),
                header.eq(0),
                first.eq(0),
                place.eq(0),
                groups.eq(groups - 1),
                left.eq(slots),
                self.second.eq(0),
                *to_start,
            ]
        with m.Elif(busy & (place != last_place)):
            m.d.sync += place.eq(place + 1)
        with m.Elif(busy):
            m.d.sync += [
                place.eq(0),
                left.eq(left - 1),
                *(pointers[name].eq(pointers[name] + Mux(step, words, 0)) for name, step in steps.items()),
            ]
            with m.If((left == 0) & rotate & ~self.second):
                m.d.sync += [self.second.eq(1), left.eq(slots), *to_start]
            with m.Elif(left == 0):
                m.d.sync += [
                    header.eq(1),
                    *(base.eq(base + strides[name]) for name, base in bases.items()),
                ]

        with m.If(busy & header):
            m.d.comb += [self.tag.header.eq(1), self.tag.place[0].eq(first), self.tag.place[1].eq(behind)]
        with m.Elif(busy):
            m.d.comb += [self.tag.place.eq(place), self.words.eq(Mux(left == 0, rest, every))]
        m.d.comb += self.tag.valid.eq(busy)

        odd = rotate & place[0]
        m.d.sync += [
            self.address_a.eq(Mux(header, bases["scalar"], Mux(odd, pointers["high"], pointers["a"]))),
            self.address_b.eq(Mux(rotate & (place[0] ^ self.second), pointers["sin"], pointers["b"])),
        ]
        return m
