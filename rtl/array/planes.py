"""`PlaneBank`: the event encoder of one bank in plane order.

It reads bit planes from the top down, `scan_bits` rows of a plane in a word, skips planes in which the bank has no
event, and hands over one event per cycle. The planes are repeated without end, once per column chunk.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import highest, lowest
from spikesim.rtl.array.events import (
    PLANE,
    bits_for,
    code_bits,
    digit_planes,
    digits_of,
    event_layout,
    row_bits,
    sign_bits,
)
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.memory import Ram


def scan_rows(config: CoreConfig) -> int:
    """Rows of a bank whose bits of a plane the encoder sees at once: no more than there can be."""
    return min(config.scan_bits, 1 << (config.encoder_rows - 1).bit_length())


def word_of(row: Value, config: CoreConfig) -> Value:
    """The word in which a row's bits lie."""
    return row[(scan_rows(config) - 1).bit_length() :]


class PlaneBank(wiring.Component):
    """Planes of the bank's codes in words of `scan_bits` rows; their signs, which an event needs later, row by row.

    * `clear` forgets the counts of the group before. `load`, `row`, `code`: one count. `open`, with the first row of
      every word, whether it is this bank's or not: nothing else is in the word yet. `last`: the last word opened.
    * `begin`: the first entry of the highest plane; events may come after BEGIN_CYCLES.
    * `go`: the bank delivers an event if it has one in plane `base` or above. `event` belongs to the cycle before;
      its plane counts from `base`. A word without events takes a cycle of its plane, too.
    * `left`: after this cycle the bank still has something in plane `limit` or above. `end`, with `go`: the chunk's
      last cycle. `occupied`: the planes with an event.

    The word after the one in use stands in the memory's output. An entry is a word of a plane: `head` is in use,
    `after` is read.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        words = bits_for(-(-config.encoder_rows // scan_rows(config)))
        super().__init__(
            {
                "clear": In(1),
                "open": In(1),
                "load": In(1),
                "row": In(row_bits(config)),
                "code": In(code_bits(config)),
                "last": In(words),
                "begin": In(1),
                "base": In(PLANE),
                "limit": In(PLANE),
                "go": In(1),
                "end": In(1),
                "left": Out(1),
                "occupied": Out(digit_planes(config)),
                "event": Out(event_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Load; the entry in use and the one after it; events."""
        m = Module()
        config = self.config
        planes, scan = digit_planes(config), scan_rows(config)
        m.submodules.codes = codes = Ram(
            width=scan * planes, depth=-(-config.encoder_rows // scan), granule=planes, kind="encoder"
        )
        place = self.row[: (scan - 1).bit_length()]
        digits = digits_of(self.code, config)
        m.d.comb += codes.write.address.eq(word_of(self.row, config))
        for i in range(scan):
            here = self.load & (Const(1) if scan == 1 else place == i)
            # Only the first row can come with the opening of its word.
            own = digits & (~self.open if i else self.load).replicate(planes)
            m.d.comb += [
                codes.write.enable[i].eq(here | self.open),
                codes.write.data.word_select(i, planes).eq(own),
            ]
        occupied = Signal(planes, reset_less=True)
        m.d.sync += occupied.eq(
            (occupied | (digits & self.load.replicate(planes))) & ~self.clear.replicate(planes)
        )
        m.d.comb += self.occupied.eq(occupied)

        words = len(self.last)
        head = Signal(scan, reset_less=True)
        plane, word = Signal(PLANE, reset_less=True), Signal(words, reset_less=True)
        early, none = Signal(reset_less=True), Signal()  # of a later chunk; no event at all
        after_plane, after_word = Signal(PLANE, reset_less=True), Signal(words, reset_less=True)
        after_first = Signal(reset_less=True)
        fires, single, filling, take = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            none.eq(~self.occupied.any()),
            fires.eq(~early & ~none & (plane >= self.base)),
            single.eq((head & (head - 1)[:scan]) == 0),
            take.eq(filling | (self.go & fires & single)),
            self.left.eq(
                ~none
                & Mux(
                    fires & single,
                    ~after_first & (after_plane >= self.limit),
                    ~early & (plane >= self.limit),
                )
            ),
        ]
        # What comes behind the entry that is read.
        lower = Cat(
            self.occupied[p] & (after_plane > p) for p in range(planes - 1)
        )  # the top one is below none
        turns, wraps = after_word == self.last, ~lower.any()
        next_word = Mux(turns, 0, after_word + 1)[:words]
        m.d.sync += filling.eq(self.begin)
        m.d.comb += [
            codes.read[0].enable.eq(self.begin | take),
            codes.read[0].address.eq(Mux(self.begin, 0, next_word)),
        ]
        with m.If(self.begin):
            m.d.sync += [after_plane.eq(highest(self.occupied)), after_word.eq(0), after_first.eq(1)]
        with m.Elif(take):
            m.d.sync += [after_word.eq(next_word), after_first.eq(turns & wraps)]
            with m.If(turns):
                m.d.sync += after_plane.eq(highest(Mux(wraps, self.occupied, lower)))
        with m.If(take):
            bits = [codes.read[0].data.word_select(i, planes) for i in range(scan)]
            with m.Switch(after_plane):
                for p in range(planes):
                    with m.Case(p):
                        m.d.sync += head.eq(Cat(row[p] for row in bits))
            m.d.sync += [plane.eq(after_plane), word.eq(after_word)]
        with m.Elif(self.go & fires):
            m.d.sync += head.eq(head & (head - 1)[:scan])
        with m.If(filling | (self.go & self.end)):
            m.d.sync += early.eq(0)
        with m.Elif(take):
            m.d.sync += early.eq(after_first)
        self._events(m, self.go & fires & head.any(), Cat(lowest(head), word), plane)
        return m

    def _events(self, m: Module, on: Value, row: Value, plane: Value) -> None:
        """The event in a register, and its sign from a memory beside it."""
        config = self.config
        event = Signal(event_layout(config), reset_less=True)
        number = Signal(PLANE, reset_less=True)
        m.d.sync += [
            event.valid.eq(on),
            event.row.eq(row),
            event.plane.eq(plane[0] ^ self.base[0]),  # no further from the base than one
            number.eq(plane),
        ]
        m.d.comb += [
            self.event.valid.eq(event.valid),
            self.event.digit.eq(event.valid),
            self.event.first.eq(1),
            self.event.last.eq(1),
            self.event.row.eq(event.row),
            self.event.plane.eq(event.plane),
        ]
        event = self.event
        width = sign_bits(config)
        if not width:
            m.d.comb += event.negative.eq(number == digit_planes(config) - 1)
            return
        m.submodules.signs = signs = Ram(width=width, depth=config.encoder_rows, kind="encoder")
        m.d.comb += [
            signs.write.enable.eq(self.load),
            signs.write.address.eq(self.row),
            signs.write.data.eq(self.code[-width:]),
            signs.read[0].enable.eq(on),
            signs.read[0].address.eq(row),
            event.negative.eq(
                signs.read[0].data.bit_select(number[1:], 1) if width > 1 else signs.read[0].data
            ),
        ]
