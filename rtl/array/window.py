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
    last place down. The upper pass goes up the former, the lower pass from where that ended down to the last of the
    others. The row in use stands in the memory's output; that at which the bank turns from pass to pass stands in row
    memory's, too, and is not read again: its `first` event is that of the upper pass.
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
        m.submodules.list = rows = Ram(width=listed.size, depth=depth, kind="encoder")
        # The places filled last at either end, and whether there is anything.
        top, bottom = Signal(index, init=depth - 1), Signal(index)
        some, above = Signal(), Signal()
        digits = digits_of(self.code, config)
        loaded, tall = self.load & digits.any(), digits[planes:].any()
        place = Mux(tall, _after(top, depth), _before(bottom, depth))
        m.d.comb += [
            rows.write.enable.eq(loaded),
            rows.write.address.eq(place),
            rows.write.data.eq(Cat(self.row, self.code)),
            self.above.eq(above),
        ]
        with m.If(loaded):
            m.d.sync += some.eq(1)
            with m.If(tall):
                m.d.sync += [top.eq(place), above.eq(1)]
            with m.Else():
                m.d.sync += bottom.eq(place)
        with m.If(self.clear):
            m.d.sync += [top.eq(depth - 1), bottom.eq(0), some.eq(0), above.eq(0)]

        head = data.View(listed, rows.read[0].data)
        at, low, early = Signal(index, reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        mask = Signal(planes, reset_less=True)  # planes of the pass that are to come
        fresh = Signal(reset_less=True)  # nothing of the row has come in either pass
        steps = Mux(low, digits_of(head.code, config)[:planes], digits_of(head.code, config)[planes:]) & mask
        fires, single, last = Signal(), Signal(), Signal()
        turns, next_low, take, stays = Signal(), Signal(), Signal(), Signal()
        along = Mux(low, _before(at, depth), _after(at, depth))
        following = Mux(turns, Mux(next_low, top, 0), along)
        m.d.comb += [
            fires.eq(some & ~early & (low ^ self.upper)),
            single.eq(at_most(steps, 1)),
            last.eq(at == Mux(low, bottom, top)),
            stays.eq(~self.begin & last & ~low),
            self.left.eq(fires & ~(single & last)),
            turns.eq(self.begin | last),
            # A gather begins with the upper pass, wherever one before it on the same counts has ended.
            next_low.eq(Mux(self.begin, ~above, Mux(last, ~(low & above), low))),
            take.eq(self.begin | (self.go & fires & single)),
            rows.read[0].enable.eq(take & ~stays),
            rows.read[0].address.eq(following),
        ]
        with m.If(take):
            m.d.sync += [at.eq(following), low.eq(next_low), mask.eq(-1), fresh.eq(~stays)]
        with m.Elif(self.go & fires):
            m.d.sync += [mask.eq(Cat(steps[i + 1 :].any() for i in range(planes))), fresh.eq(0)]
        with m.If(self.begin | (self.go & self.end)):
            m.d.sync += early.eq(0)
        with m.Elif(take & last & low):
            m.d.sync += early.eq(1)  # of the next chunk
        self._events(m, self.go & fires, head, steps, fresh, low)
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


def _before(place: Value, depth: int) -> Value:
    """The place of the ring before it."""
    return Mux(place == 0, depth - 1, place - 1)[: bits_for(depth)]
