"""`WindowBank`: the event encoder of one bank in window order.

It hands over the events of a row in succession, in two passes: first the planes from `row_planes` up of the few rows
that have an event there, then the planes below of all rows. The passes are repeated without end, once per column chunk.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import at_most, highest
from spikesim.rtl.array.events import (
    bits_for,
    code_bits,
    digits_of,
    event_layout,
    negatives_of,
    row_bits,
)
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.memory import Ram


class WindowBank(wiring.Component):
    """Rows with a count other than 0, each once with its code; an event of a row per cycle, from its highest down.

    * `clear` forgets the group before. `load`, `row`, `code`: one count.
    * `begin`: the first row of the first pass; events may come after BEGIN_CYCLES.
    * `go`: the bank takes its next step, if it has one in the pass that `upper` tells. `event` belongs to the cycle
      before; its plane counts from the lowest of its pass. In the lower pass a row without an event takes a step, too.
    * `left`: after this cycle the bank still has something in this pass. `end`, with `go`: the chunk's last cycle.
      `above`: the bank has something in the upper pass.

    One memory, taken for a ring, holds the rows with events above the window from place 0 up and the others from the
    last place down: the upper pass is the former, the lower pass all, and both end at the same place. The row in use
    stands in the memory's output.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "clear": In(1),
                "load": In(1),
                "row": In(row_bits(config)),
                "code": In(code_bits(config)),
                "begin": In(1),
                "upper": In(1),
                "go": In(1),
                "end": In(1),
                "left": Out(1),
                "above": Out(1),
                "event": Out(event_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Load; the row in use; where the next one stands; events."""
        m = Module()
        config, depth = self.config, self.config.encoder_rows
        index, planes = bits_for(depth), config.row_planes
        listed = data.StructLayout({"row": row_bits(config), "code": code_bits(config)})
        m.submodules.list = rows = Ram(width=listed.size, depth=depth)
        # The next free places, and whether there is anything.
        front, back = Signal(index), Signal(index, init=depth - 1)
        some, above = Signal(), Signal()
        digits = digits_of(self.code, config)
        loaded, tall = self.load & digits.any(), digits[planes:].any()
        place = Mux(tall, front, back)
        m.d.comb += [
            rows.write.enable.eq(loaded),
            rows.write.address.eq(place),
            rows.write.data.eq(Cat(self.row, self.code)),
            self.above.eq(above),
        ]
        with m.If(loaded):
            m.d.sync += some.eq(1)
            with m.If(tall):
                m.d.sync += [front.eq(_after(front, depth)), above.eq(1)]
            with m.Else():
                m.d.sync += back.eq(Mux(back == 0, depth - 1, back - 1))
        with m.If(self.clear):
            m.d.sync += [front.eq(0), back.eq(depth - 1), some.eq(0), above.eq(0)]

        head = data.View(listed, rows.read[0].data)
        at, low, early = Signal(index, reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        mask = Signal(planes, reset_less=True)  # planes of the row that are to come; the highest: all
        steps = Mux(low, digits_of(head.code, config)[:planes], digits_of(head.code, config)[planes:]) & mask
        fires, single, last = Signal(), Signal(), Signal()
        turns, next_low, take = Signal(), Signal(), Signal()
        following = _after(Mux(turns, Mux(next_low, back, depth - 1), at), depth)
        m.d.comb += [
            fires.eq(some & ~early & (low ^ self.upper)),
            single.eq(at_most(steps, 1)),
            last.eq(_after(at, depth) == front),
            self.left.eq(fires & ~(single & last)),
            turns.eq(self.begin | last),
            # A gather begins with the upper pass, wherever one before it on the same counts has ended.
            next_low.eq(Mux(self.begin, ~above, Mux(last, ~(low & above), low))),
            take.eq(self.begin | (self.go & fires & single)),
            rows.read[0].enable.eq(take),
            rows.read[0].address.eq(following),
        ]
        with m.If(take):
            m.d.sync += [at.eq(following), low.eq(next_low), mask.eq(-1)]
        with m.Elif(self.go & fires):
            m.d.sync += mask.eq(Cat(steps[i + 1 :].any() for i in range(planes)))
        with m.If(self.begin | (self.go & self.end)):
            m.d.sync += early.eq(0)
        with m.Elif(take & last & low):
            m.d.sync += early.eq(1)  # of the next chunk
        self._events(m, self.go & fires, head, steps, mask[-1], low)
        return m

    def _events(self, m: Module, on: Value, head: Any, steps: Value, fresh: Value, low: Value) -> None:
        """The step in a register."""
        config, planes = self.config, self.config.row_planes
        event = Signal(event_layout(config), reset_less=True)
        plane, negatives = highest(steps), negatives_of(head.code, config)
        m.d.sync += event.valid.eq(on & steps.any())
        with m.If(on):
            m.d.sync += [
                event.negative.eq(Mux(low, negatives[:planes], negatives[planes:]).bit_select(plane, 1)),
                event.first.eq(fresh),
                event.row.eq(head.row),
                event.plane.eq(plane),
            ]
        m.d.comb += [
            self.event.valid.eq(event.valid),
            self.event.digit.eq(event.valid),
            self.event.negative.eq(event.negative),
            self.event.first.eq(event.first),
            self.event.last.eq(1),
            self.event.row.eq(event.row),
            self.event.plane.eq(event.plane),
        ]


def _after(place: Value, depth: int) -> Value:
    """The next place of the ring."""
    return Mux(place == depth - 1, 0, place + 1)[: bits_for(depth)]
