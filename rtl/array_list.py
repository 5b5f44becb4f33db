"""`ListBank`: the event encoder of one bank in row order, for every scatter, and for all gathers of a dense core.

It keeps the rows that take part in a list and steps through it without end, once per column chunk, until `clear`.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array_bits import at_most, fill_down, highest
from spikesim.rtl.array_events import (
    bits_for,
    code_bits,
    digits_of,
    event_layout,
    lists_events,
    negatives_of,
    row_bits,
)
from spikesim.rtl.array_queue import EntryQueue, queue_depth
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.memory import Ram


class ListBank(wiring.Component):
    """Rows with a count other than 0 (dense: all), each with its code; the steps of a row one per cycle.

    A row's steps, from its highest plane down: its events; with `every_plane`, for a scatter, every plane below, too,
    and on a dense core two, for the upper and the lower half of the count. A ternary row has as many as its magnitude.

    * `clear` forgets the group before. `load`, `row`, `code`: one count.
    * `begin`: step through the list over and over; the first entry is there after BEGIN_CYCLES.
    * `ready`, `event`, `final`, `go`, `advance`: as of `PlaneBank`, with the whole list in place of a plane.
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
                "ready": Out(1),
                "final": Out(1),
                "event": Out(event_layout(config)),
                "go": In(1),
                "advance": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Load, fetch, queue, consume."""
        m = Module()
        config = self.config
        self.listed = data.StructLayout({"row": row_bits(config), "code": code_bits(config)})
        m.submodules.list = self.list = Ram(width=self.listed.size, depth=self.depth)
        m.submodules.queue = self.queue = EntryQueue(width=self._entry().size, depth=queue_depth(config))
        self._fetch(m)
        self._consume(m)
        return m

    def _entry(self) -> data.StructLayout:
        """`end`: of the list. `some`, `single`: at least, at most one step. `steps`: a bit each, or their number."""
        config = self.config
        steps = 2 if config.dense else 7 if config.coding == "ternary" else len(self._digits(Const(0, 16)))
        return data.StructLayout(
            {
                "end": 1,
                "some": 1,
                "single": 1,
                "row": row_bits(config),
                "code": code_bits(config),
                "steps": steps,
            }
        )

    def _digits(self, code: Value) -> Value:
        return digits_of(code, self.config)

    def _steps(self, code: Value) -> Value:
        if self.config.dense:
            return Mux(self.every_plane, Const(3, 2), Const(1, 2))
        digits = self._digits(code)
        return digits if self.config.coding == "ternary" else Mux(self.every_plane, fill_down(digits), digits)

    def _few(self, steps: Value, limit: int) -> Value:
        counted = self.config.coding == "ternary" and not self.config.dense
        return steps <= limit if counted else at_most(steps, limit)

    def _fetch(self, m: Module) -> None:
        config, queue, read, write = self.config, self.queue, self.list.read[0], self.list.write
        index = bits_for(self.depth)
        length = Signal(range(self.depth + 1))
        stored = Signal(self.listed)
        loaded = Signal()
        m.d.sync += [stored.row.eq(self.row), stored.code.eq(self.code)]
        # Silent: no digit in any plane; of two's complement and signed digit that is a count of 0, too.
        m.d.sync += loaded.eq(self.load & (Const(1) if config.dense else self._digits(self.code).any()))
        m.d.comb += [
            write.enable.eq(loaded),
            write.address.eq(length[:index]),
            write.data.eq(stored),
        ]
        with m.If(loaded):
            m.d.sync += length.eq(length + 1)
        last, active, pointer = Signal(index), Signal(), Signal(index)
        issue, end = Signal(), Signal()
        m.d.sync += last.eq(Mux(length == 0, 0, length - 1))
        m.d.comb += [issue.eq(active & queue.credit), end.eq(pointer == last)]
        with m.If(issue):
            m.d.sync += pointer.eq(Mux(end, 0, pointer + 1))
        with m.If(self.begin):
            m.d.sync += [active.eq(1), pointer.eq(0)]
        layout = data.StructLayout({"valid": 1, "end": 1, "some": 1})
        asked, got, pushed = Signal(layout), Signal(layout), Signal(layout)
        address = Signal(index)
        fetched = Signal(self.listed)
        m.d.sync += [
            asked.valid.eq(issue),
            asked.end.eq(end),
            asked.some.eq(length != 0),
            address.eq(pointer),
            got.eq(asked),
            pushed.eq(got),
            fetched.eq(read.data),
        ]
        steps = Signal(self._entry()["steps"].width)
        entry = data.View(self._entry(), queue.entry)
        m.d.comb += [
            queue.clear.eq(self.clear),
            queue.issue.eq(issue),
            read.enable.eq(asked.valid & asked.some),
            read.address.eq(address),
            steps.eq(self._steps(fetched.code)),
            queue.push.eq(pushed.valid),
            entry.end.eq(pushed.end),
            entry.some.eq(pushed.some),
            entry.single.eq(self._few(steps, 1) | ~pushed.some),
            entry.row.eq(fetched.row),
            entry.code.eq(fetched.code),
            entry.steps.eq(steps),
        ]
        with m.If(self.clear):
            m.d.sync += [length.eq(0), loaded.eq(0), active.eq(0)]
            m.d.sync += [asked.valid.eq(0), got.valid.eq(0), pushed.valid.eq(0)]

    def _consume(self, m: Module) -> None:
        config, queue = self.config, self.queue
        head, full, fresh = Signal(self._entry()), Signal(), Signal()
        finished = Signal()
        digits, negatives = self._digits(head.code), negatives_of(head.code, config)
        if config.dense:
            plane: Value = head.steps[1]
            digit, negative = Const(1), Const(0)
            rest = Const(1, 2)
        elif config.coding == "ternary":
            plane, digit, negative = Const(0), Const(1), head.code[7]
            rest = head.steps - 1
        else:
            plane = highest(head.steps)
            digit, negative = digits.bit_select(plane, 1), negatives.bit_select(plane, 1)
            # All but the highest: what lies below a set bit.
            rest = Cat(head.steps[i] & head.steps[i + 1 :].any() for i in range(len(head.steps)))
        m.d.comb += [
            self.ready.eq(full),
            self.final.eq(head.end & head.single),
            self.event.valid.eq(head.some),
            self.event.digit.eq(head.some & digit),
            self.event.negative.eq(negative),
            self.event.first.eq(fresh),
            self.event.last.eq(head.single),
            self.event.row.eq(head.row),
            self.event.plane.eq(plane),
            self.event.code.eq(head.code[:8]),
            finished.eq(self.go & (self.advance | (head.single & ~head.end))),
            queue.take.eq(queue.some & (finished | ~full)),
        ]
        with m.If(queue.take):
            m.d.sync += [full.eq(1), fresh.eq(1), head.eq(queue.front)]
        with m.Elif(finished):
            m.d.sync += full.eq(0)
        with m.Elif(self.go):
            m.d.sync += [
                fresh.eq(0),
                head.steps.eq(rest),
                head.some.eq(~head.single),
                head.single.eq(head.single | self._few(head.steps, 2)),
            ]
        with m.If(self.clear):
            m.d.sync += full.eq(0)
