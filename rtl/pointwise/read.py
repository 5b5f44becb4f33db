"""The read side of the pointwise unit: which slot comes next, and where its operands lie."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.isa import ADDRESS, INSTRUCTION, RESOLVED, PointwiseOperation
from spikesim.rtl.pointwise.delay import TAG


class ReadSide(wiring.Component):
    """After `start`: per group a header, then the slots of its words; a header behind the last group. A slot per cycle.

    `tag` is the slot of this cycle, pipeline stage 0. `address_a`, `address_b` are those of the slot before, stage 1,
    from registers. `second` (stage 0): the slot belongs to the second half of a rotated run.

    A rotation goes through its run twice, each time by half: the first slot of a word reads the low half and the
    second the high half, against cosine and sine in the first pass and sine and cosine in the second.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "instruction": In(INSTRUCTION),
                "resolved": In(RESOLVED),
                "tag": Out(TAG),
                "second": Out(1),
                "address_a": Out(ADDRESS),
                "address_b": Out(ADDRESS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Counters of groups, words and slots; a base per group and a pointer per operand."""
        m = Module()
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

        busy, header, first = Signal(), Signal(), Signal()
        place, groups, left = Signal(2), Signal(12), Signal(24)
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
                left.eq(run),
                self.second.eq(0),
                *to_start,
            ]
        with m.Elif(busy & (place != last_place)):
            m.d.sync += place.eq(place + 1)
        with m.Elif(busy):
            m.d.sync += [
                place.eq(0),
                left.eq(left - 1),
                *(pointers[name].eq(pointers[name] + step) for name, step in steps.items()),
            ]
            with m.If((left == 1) & rotate & ~self.second):
                m.d.sync += [self.second.eq(1), left.eq(run), *to_start]
            with m.Elif(left == 1):
                m.d.sync += [
                    header.eq(1),
                    *(base.eq(base + strides[name]) for name, base in bases.items()),
                ]

        with m.If(busy & header):
            m.d.comb += [self.tag.header.eq(1), self.tag.place[0].eq(first), self.tag.place[1].eq(behind)]
        with m.Elif(busy):
            m.d.comb += self.tag.place.eq(place)
        m.d.comb += self.tag.valid.eq(busy)

        odd = rotate & place[0]
        m.d.sync += [
            self.address_a.eq(Mux(header, bases["scalar"], Mux(odd, pointers["high"], pointers["a"]))),
            self.address_b.eq(Mux(rotate & (place[0] ^ self.second), pointers["sin"], pointers["b"])),
        ]
        return m
