"""`PlaneBank`: the event encoder of one bank in plane order.

It scans bit planes from the top down, `scan_bits` rows at a time, skips words without an event in the plane, and hands
over one event per cycle. The planes are repeated without end, once per column chunk, until `clear`.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array_bits import at_most, lowest
from spikesim.rtl.array_events import (
    bits_for,
    code_bits,
    digits_of,
    event_layout,
    negatives_of,
    row_bits,
)
from spikesim.rtl.array_queue import EntryQueue, queue_depth
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.memory import Ram


def plane_bits(config: CoreConfig) -> int:
    """Bits of the number of a plane."""
    return 7 if config.coding == "ternary" else 3


class PlaneBank(wiring.Component):
    """Codes of the bank in words of `scan_bits` rows, and per word and plane whether it has an event.

    * `clear` forgets the counts of the group before. `load`, `row`, `code`: one count; rows ascend.
    * `begin`: read planes `top` … 0 over and over; the first entry is there after BEGIN_CYCLES.
    * `ready`: `event` and `final` hold for the entry in front. `final`: this is the bank's last event of the plane, or
      it has none left. `go` takes the event; `advance`, with `go`, turns to the next plane, when all banks are final.

    A ternary count is in plane p if its magnitude exceeds p, so a word's summary is its largest magnitude.
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
                "top": In(plane_bits(config)),
                "ready": Out(1),
                "final": Out(1),
                "event": Out(event_layout(config)),
                "go": In(1),
                "advance": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Load, fetch (plane, word, memory, planes of its codes), queue, consume."""
        m = Module()
        config = self.config
        rows = 1 << (config.encoder_rows - 1).bit_length()
        self.scan = min(config.scan_bits, rows)
        self.words = -(-config.encoder_rows // self.scan)
        self.scan_bits = (self.scan - 1).bit_length()
        self.word_bits = bits_for(self.words)
        m.submodules.codes = self.codes = Ram(
            width=self.scan * code_bits(config), depth=self.words, granule=code_bits(config)
        )
        m.submodules.queue = self.queue = EntryQueue(width=self._entry().size, depth=queue_depth(config))
        summary = self._load(m)
        self._fetch(m, summary)
        self._consume(m)
        return m

    def _entry(self) -> data.StructLayout:
        """`end`: the plane has no further entry. `some`, `single`: at least, at most one event."""
        return data.StructLayout(
            {
                "end": 1,
                "some": 1,
                "single": 1,
                "word": self.word_bits,
                "events": self.scan,
                "negative": self.scan,
            }
        )

    def _load(self, m: Module) -> list[Value]:
        """Writes codes; -> the summary registers, per plane a bit per word (ternary: per word a magnitude)."""
        config = self.config
        word = Signal(self.word_bits)
        started, latest = Signal(), Signal(self.word_bits)
        fresh = Signal()
        place = self.row[: self.scan_bits]
        m.d.comb += [
            word.eq(self.row[self.scan_bits :]),
            # The first count of a word overwrites all of it: what an earlier group left must not fire.
            fresh.eq(~started | (latest != word)),
            self.codes.write.address.eq(word),
        ]
        for i in range(self.scan):
            here = Const(1) if self.scan == 1 else place == i
            field = self.codes.write.data.word_select(i, code_bits(config))
            m.d.comb += [
                self.codes.write.enable[i].eq(self.load & (here | fresh)),
                field.eq(Mux(here, self.code, 0)),
            ]
        with m.If(self.load):
            m.d.sync += [started.eq(1), latest.eq(word)]
        with m.If(self.clear):
            m.d.sync += started.eq(0)
        digits = digits_of(self.code, config)
        if config.coding == "ternary":
            largest = Signal(data.ArrayLayout(7, self.words))
            for i in range(self.words):
                with m.If(self.load & (word == i) & (digits > largest[i])):
                    m.d.sync += largest[i].eq(digits)
                with m.If(self.clear):
                    m.d.sync += largest[i].eq(0)
            return [largest[i] for i in range(self.words)]
        summary = [Signal(self.words, name=f"summary_{p}") for p in range(len(digits))]
        for p, plane in enumerate(summary):
            for i in range(self.words):
                with m.If(self.load & (word == i) & digits[p]):
                    m.d.sync += plane[i].eq(1)
            with m.If(self.clear):
                m.d.sync += plane.eq(0)
        return list(summary)

    def _fetch(self, m: Module, summary: list[Value]) -> None:
        config = self.config
        planes = plane_bits(config)
        queue, read = self.queue, self.codes.read[0]
        # The plane after this one is kept ready, so that a plane of one word takes one cycle.
        active, pointer = Signal(), Signal(planes)
        ahead_valid, ahead, ahead_plane = Signal(), Signal(self.words), Signal(planes)
        valid, left, plane = Signal(), Signal(self.words), Signal(planes)
        rest, end, issue, turn, refill = Signal(self.words), Signal(), Signal(), Signal(), Signal()
        here: Value
        if config.coding == "ternary":
            here = Cat(largest > pointer for largest in summary)
        else:
            here = Signal(self.words)
            with m.Switch(pointer):
                for p, bits in enumerate(summary):
                    with m.Case(p):
                        m.d.comb += here.eq(bits)
        m.d.comb += [
            rest.eq(left & (left - 1)[: self.words]),
            end.eq(rest == 0),
            issue.eq(valid & queue.credit),
            turn.eq(~valid | (issue & end)),
            refill.eq(active & (~ahead_valid | turn)),
        ]
        with m.If(refill):
            m.d.sync += [
                ahead_valid.eq(1),
                ahead.eq(here),
                ahead_plane.eq(pointer),
                pointer.eq(Mux(pointer == 0, self.top, pointer - 1)),
            ]
        with m.If(turn):
            m.d.sync += [valid.eq(ahead_valid), left.eq(ahead), plane.eq(ahead_plane)]
        with m.Elif(issue):
            m.d.sync += left.eq(rest)
        with m.If(self.begin):
            m.d.sync += [active.eq(1), pointer.eq(self.top)]
        # Address register, then memory, then the planes of the codes.
        layout = data.StructLayout({"valid": 1, "end": 1, "some": 1, "word": self.word_bits, "plane": planes})
        asked, got = Signal(layout), Signal(layout)
        m.d.sync += [
            asked.valid.eq(issue),
            asked.end.eq(end),
            asked.some.eq(left.any()),
            asked.word.eq(lowest(left)),
            asked.plane.eq(plane),
            got.eq(asked),
        ]
        m.d.comb += [
            queue.clear.eq(self.clear),
            queue.issue.eq(issue),
            read.enable.eq(asked.valid & asked.some),
            read.address.eq(asked.word),
        ]
        events, negative = Signal(self.scan), Signal(self.scan)
        pushed = Signal(layout)
        m.d.sync += pushed.eq(got)
        codes = [read.data.word_select(i, code_bits(config)) for i in range(self.scan)]
        digits = [digits_of(code, config) for code in codes]
        if config.coding == "ternary":
            m.d.sync += [
                events.eq(Cat((digit > got.plane) & got.some for digit in digits)),
                negative.eq(Cat(code[7] for code in codes)),
            ]
        else:
            # Turned from rows to planes first: choosing a plane is then one wide multiplexer.
            negatives = [negatives_of(code, config) for code in codes]
            by_sign = config.coding == "bitwise"  # a count's sign is that of all its planes
            signs = Signal(self.scan)
            m.d.comb += signs.eq(Cat(sign[0] for sign in negatives))
            with m.Switch(got.plane):
                for p in range(len(digits[0])):
                    turned = Signal(self.scan, name=f"plane_{p}")
                    m.d.comb += turned.eq(Cat(digit[p] for digit in digits))
                    signs_here = signs if by_sign else Cat(sign[p] for sign in negatives)
                    with m.Case(p):
                        m.d.sync += [events.eq(Mux(got.some, turned, 0)), negative.eq(signs_here)]
        entry = data.View(self._entry(), queue.entry)
        m.d.comb += [
            queue.push.eq(pushed.valid),
            entry.end.eq(pushed.end),
            entry.some.eq(pushed.some),
            entry.single.eq(at_most(events, 1)),
            entry.word.eq(pushed.word),
            entry.events.eq(events),
            entry.negative.eq(negative),
        ]
        with m.If(self.clear):
            m.d.sync += [active.eq(0), ahead_valid.eq(0), valid.eq(0)]
            m.d.sync += [asked.valid.eq(0), got.valid.eq(0), pushed.valid.eq(0)]

    def _consume(self, m: Module) -> None:
        queue = self.queue
        head, full = Signal(self._entry()), Signal()
        index = lowest(head.events)
        finished = Signal()
        m.d.comb += [
            self.ready.eq(full),
            self.final.eq(head.end & head.single),
            self.event.valid.eq(head.some),
            self.event.digit.eq(head.some),
            self.event.negative.eq(head.negative.bit_select(index, 1) if len(index) else head.negative),
            self.event.first.eq(1),
            self.event.last.eq(1),
            self.event.row.eq(Cat(index, head.word) if self.scan > 1 else head.word),
            finished.eq(self.go & (self.advance | (head.single & ~head.end))),
            queue.take.eq(queue.some & (finished | ~full)),
        ]
        with m.If(queue.take):
            m.d.sync += [full.eq(1), head.eq(queue.front)]
        with m.Elif(finished):
            m.d.sync += full.eq(0)
        with m.Elif(self.go):
            # A bank that has finished its plane keeps the entry, empty, until all have.
            m.d.sync += [
                head.events.eq(head.events & (head.events - 1)[: self.scan]),
                head.some.eq(~head.single),
                head.single.eq(at_most(head.events, 2)),
            ]
        with m.If(self.clear):
            m.d.sync += full.eq(0)
