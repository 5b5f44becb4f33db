"""`CountLoader`: reads the counts of one group, a word per read port and cycle, and says where each belongs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed
from spikesim.rtl.array.events import code_bits, encode, lists_events, row_bits
from spikesim.rtl.array.planes import scan_rows, word_of
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import WORD
from spikesim.rtl.isa import ADDRESS

READ_CYCLES = 3
"""From an address that a controller shows to the word in the unit's register: address register, memory, register."""

LOAD_CYCLES = READ_CYCLES + 1
"""From the cycle that counts a pair of words as loaded to its codes on `code`."""


class CountLoader(wiring.Component):
    """Channel i of a run goes to bank i mod ways, row i // ways; several blocks are loaded one after the other.

    `start`: from the next cycle on, min(2, ways) words per cycle are read from `pointer` on, first `past` runs of
    `span` words, then one of `own`; `done` in the last of these cycles. Run i starts in bank 0 at row i · 2^block_bits;
    all words lie one after the other. `address` shows the two addresses, the first is 0 while idle, and `reads` which
    of them count; `word` is what they hold READ_CYCLES later.

    `pair` has the banks, `row`, `code` and `valid` of port w's count, LOAD_CYCLES after its cycle. `open`: the row
    is the first of a word of `PlaneBank`, for the others this is the row's first count. Words between two blocks are
    opened, too, one per cycle.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "pointer": In(ADDRESS),
                "past": In(8),
                "span": In(24),
                "own": In(24),
                "block_bits": In(5),
                "done": Out(1),
                "address": Out(ADDRESS).array(2),
                "reads": Out(2),
                "word": In(WORD).array(2),
                "valid": Out(1).array(2),
                "pair": Out(max(1, (config.ways // 2 - 1).bit_length())),
                "open": Out(1),
                "row": Out(row_bits(config)),
                "code": Out(code_bits(config)).array(2),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A pointer, the words left of this run and the runs left."""
        m = Module()
        width = self.config.load_width
        pairs = self.config.ways // width
        rows = row_bits(self.config)
        running = Signal()
        pointer, other = Signal(ADDRESS), Signal(ADDRESS)
        left = Signal(24)
        runs = Signal(8)
        pair = Signal(max(1, (pairs - 1).bit_length()))
        row, block_row, block_rows = Signal(rows), Signal(rows), Signal(rows)
        ending, taken = Signal(), Signal(2)
        scan = scan_rows(self.config)
        words = not lists_events(self.config)  # of planes
        gap = Signal()
        next_word = Cat(Const(0, (scan - 1).bit_length()), word_of(row, self.config) + 1)
        next_block = block_row + block_rows
        m.d.comb += [
            ending.eq(left[1:] == 0 if width == 1 else (left[2:] == 0) & ~left[:2].all()),
            taken.eq(Mux((left == 1) | (width == 1), 1, 2)),
            self.done.eq(running & ~gap & ending & (runs == 0)),
            self.address[0].eq(Mux(running & ~gap, pointer, 0)),
            self.address[1].eq(other),
            self.reads.eq(Mux(running & ~gap, Cat(Const(1), taken[1]), 0)),
        ]
        with m.If(running & gap):
            m.d.sync += [row.eq(next_word), gap.eq(next_word != block_row)]
        with m.Elif(running):
            m.d.sync += [pointer.eq(pointer + taken), other.eq(other + taken)]
            with m.If(ending):
                m.d.sync += [
                    running.eq(runs != 0),
                    runs.eq(runs - 1),
                    left.eq(Mux(runs == 1, self.own, self.span)),
                    pair.eq(0),
                    block_row.eq(next_block[:rows]),
                    row.eq(next_block[:rows]),
                ]
                if words:
                    with m.If((runs != 0) & (next_word < next_block)):
                        m.d.sync += [row.eq(next_word), gap.eq(1)]
            with m.Else():
                m.d.sync += left.eq(left - width)
                m.d.sync += pair.eq((pair + 1)[: len(pair)])
                with m.If(pair == pairs - 1):
                    m.d.sync += [pair.eq(0), row.eq(row + 1)]
        with m.If(self.start):
            m.d.sync += [
                running.eq(1),
                pointer.eq(self.pointer),
                other.eq(self.pointer + 1),
                left.eq(Mux(self.past == 0, self.own, self.span)),
                runs.eq(self.past),
                pair.eq(0),
                row.eq(0),
                block_row.eq(0),
                block_rows.eq(1 << self.block_bits),
                gap.eq(0),
            ]
        counts = running & ~gap
        opens = running & (pair == 0)
        if words:
            opens &= row[: (scan - 1).bit_length()] == 0
        valid = delayed(m, Cat(counts, counts & (left != 1) & (width == 2), opens), READ_CYCLES, "valid")
        m.d.sync += self.open.eq(valid[2])
        place = delayed(m, Cat(pair, row), READ_CYCLES, "place")
        for port in range(2):
            m.d.sync += [
                self.valid[port].eq(valid[port]),
                self.code[port].eq(encode(self.word[port], self.config)),
            ]
        m.d.sync += Cat(self.pair, self.row).eq(place)
        return m
