"""`ListBank`: the event encoder of one bank in row order, and for every scatter.

It keeps the rows that take part in a list and steps through it without end, once per column chunk.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import at_most, fill_down, highest
from spikesim.rtl.array.events import (
    bits_for,
    code_bits,
    digit_planes,
    digits_of,
    event_layout,
    lists_events,
    negatives_of,
    row_bits,
)
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.memory import Ram


class ListBank(wiring.Component):
    """Rows with a count other than 0, each with its code; the steps of a row one per cycle.

    A row's steps, from its highest plane down: its events; with `every_plane`, for a scatter, every plane below, too. A
    ternary row has as many as its magnitude.

    * `clear` forgets the group before. `load`, `row`, `code`: one count.
    * `begin`: the first row of the list; steps may come after BEGIN_CYCLES.
    * `go`: the bank takes its next step, if it has one and its `turn`. `event` belongs to the cycle before.
    * `ready`: the bank has not yet taken all steps of the chunk.
    * `left`: after this cycle the bank still has something. `end`, with `go`: the chunk's last cycle.

    The row after the one in use stands in the memory's output.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        self.depth = config.scatter_rows
        if lists_events(config):
            self.depth = max(config.scatter_rows, config.encoder_rows)
        super().__init__(
            {
                "every_plane": In(1),
                "clear": In(1),
                "load": In(1),
                "row": In(row_bits(config)),
                "code": In(code_bits(config)),
                "begin": In(1),
                "go": In(1),
                "turn": In(1),
                "end": In(1),
                "ready": Out(1),
                "left": Out(1),
                "event": Out(event_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Load; the row in use and the one after it; events."""
        m = Module()
        config = self.config
        index = bits_for(self.depth)
        row = row_bits(config) if lists_events(config) else index
        listed = data.StructLayout({"row": row, "code": code_bits(config)})
        m.submodules.list = rows = Ram(width=listed.size, depth=self.depth, kind="list")
        length = Signal(range(self.depth + 1))
        loaded = self.load & digits_of(self.code, config).any()
        m.d.comb += [
            rows.write.enable.eq(loaded),
            rows.write.address.eq(length[:index]),
            rows.write.data.eq(Cat(self.row[:row], self.code)),
        ]
        with m.If(loaded):
            m.d.sync += length.eq(length + 1)
        with m.If(self.clear):
            m.d.sync += length.eq(0)

        head = Signal(listed, reset_less=True)
        steps, fresh = Signal(digit_planes(config), reset_less=True), Signal(reset_less=True)
        early = Signal(reset_less=True)  # of a later chunk
        after, after_first = Signal(index, reset_less=True), Signal(reset_less=True)
        fires, single, filling, take = Signal(), Signal(), Signal(), Signal()
        some = length != 0
        following = Mux(after + 1 == length, 0, after + 1)[:index]
        read = data.View(listed, rows.read[0].data)
        m.d.sync += filling.eq(self.begin)
        m.d.comb += [
            self.ready.eq(~early & some),
            fires.eq(self.ready & self.turn),
            single.eq(self._single(steps)),
            take.eq(filling | (self.go & fires & single)),
            self.left.eq(some & Mux(fires & single, ~after_first, ~early)),
            rows.read[0].enable.eq(self.begin | take),
            rows.read[0].address.eq(Mux(self.begin, 0, following)),
        ]
        with m.If(self.begin):
            m.d.sync += [after.eq(0), after_first.eq(1)]
        with m.Elif(take):
            m.d.sync += [after.eq(following), after_first.eq(following == 0)]
        with m.If(take):
            m.d.sync += [head.eq(read), steps.eq(self._steps(read.code)), fresh.eq(1)]
        with m.Elif(self.go & fires):
            m.d.sync += [steps.eq(self._rest(steps)), fresh.eq(0)]
        with m.If(filling | (self.go & self.end)):
            m.d.sync += early.eq(0)
        with m.Elif(take):
            m.d.sync += early.eq(after_first)
        self._events(m, self.go & fires, head, steps, fresh, single)
        return m

    def _steps(self, code: Value) -> Value:
        """Of a row: a bit for each, or of a ternary row their number."""
        digits = digits_of(code, self.config)
        return digits if self.config.coding == "ternary" else Mux(self.every_plane, fill_down(digits), digits)

    def _single(self, steps: Value) -> Value:
        return steps == 1 if self.config.coding == "ternary" else at_most(steps, 1)

    def _rest(self, steps: Value) -> Value:
        if self.config.coding == "ternary":
            return steps - 1
        # All but the highest: what lies below a set bit.
        return Cat(steps[i] & steps[i + 1 :].any() for i in range(len(steps)))

    def _events(self, m: Module, on: Value, head: Any, steps: Value, fresh: Value, single: Value) -> None:
        """The step in a register."""
        config = self.config
        event = Signal(event_layout(config), reset_less=True)
        digits, negatives = digits_of(head.code, config), negatives_of(head.code, config)
        if config.coding == "ternary":
            plane, digit, negative = Const(0), Const(1), head.code[7]
        else:
            plane = highest(steps)
            digit, negative = digits.bit_select(plane, 1), negatives.bit_select(plane, 1)
        m.d.sync += [
            event.valid.eq(on),
            event.digit.eq(on & digit),
            event.negative.eq(negative),
            event.first.eq(fresh),
            event.last.eq(single),
            event.row.eq(head.row),
            event.plane.eq(plane),
        ]
        m.d.comb += self.event.eq(event)
