"""The dense twin's encoder: all rows of all banks in step. `DenseRows` says which; a `DenseBank` holds counts."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.events import bits_for, code_bits, event_layout, row_bits
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.memory import Ram


class DenseRows(wiring.Component):
    """`row` of a step: one more with each `go`, from 0 at `begin`, over and over.

    In a scatter (`halves`) every `turn` of a row has two steps; the last row has turns up to `last_turn`. `upper`: the
    first of the two, for the upper half. With `blocks`, rows whose bits below `block_bits` go beyond those of the
    block's last row, `block_last`, are skipped. `left`: this is not the last step.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        rows, turns = row_bits(config), bits_for(config.turns)
        super().__init__(
            {
                "begin": In(1),
                "go": In(1),
                "halves": In(1),
                "blocks": In(1),
                "block_bits": In(5),
                "block_last": In(rows),
                "last": In(rows),
                "last_turn": In(turns),
                "row": Out(rows),
                "turn": Out(turns),
                "upper": Out(1),
                "left": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A counter of rows, one of turns."""
        m = Module()
        final, lower, done = Signal(), Signal(), Signal()
        turns = self.config.turns
        last_turn = Mux(final, self.last_turn, turns - 1)
        mask, jumps = Signal(len(self.row)), Signal()
        m.d.sync += mask.eq((1 << self.block_bits) - 1)
        m.d.comb += [
            final.eq(self.row == self.last),
            jumps.eq(self.blocks & ((self.row & mask) == self.block_last)),
            self.upper.eq(self.halves & ~lower),
            done.eq(~self.halves | (self.turn == last_turn) if turns > 1 else 1),
            self.left.eq(~final | self.upper | ~done),
        ]
        with m.If(self.go):
            m.d.sync += lower.eq(self.upper)
            with m.If(~self.upper & done):
                m.d.sync += self.row.eq(Mux(final, 0, Mux(jumps, self.row | mask, self.row) + 1))
            if turns > 1:
                with m.If(~self.upper):
                    m.d.sync += self.turn.eq(Mux(done, 0, self.turn + 1))
        with m.If(self.begin):
            m.d.sync += [self.row.eq(0), lower.eq(0)]
            if turns > 1:
                m.d.sync += self.turn.eq(0)
        return m


class DenseBank(wiring.Component):
    """A bank's counts by row. `load`, `row`, `code`: one; `open`: with the first bank's, for those without one, too.

    `go`: a step of row `place`. `event` belongs to the cycle before; what all banks share of it is not set here.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "open": In(1),
                "load": In(1),
                "row": In(row_bits(config)),
                "code": In(code_bits(config)),
                "go": In(1),
                "place": In(row_bits(config)),
                "event": Out(event_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A memory, of counts and whether there is one."""
        m = Module()
        width = code_bits(self.config)
        m.submodules.counts = counts = Ram(
            width=width + 1,
            depth=max(self.config.encoder_rows, self.config.scatter_rows),
            kind="encoder",
        )
        read = counts.read[0]
        m.d.comb += [
            counts.write.enable.eq(self.load | self.open),
            counts.write.address.eq(self.row),
            counts.write.data.eq(Cat(self.code, self.load)),
            read.enable.eq(self.go),
            read.address.eq(self.place),
            self.event.valid.eq(read.data[width]),
            self.event.digit.eq(read.data[width]),
            self.event.code.eq(read.data[:width]),
        ]
        return m
