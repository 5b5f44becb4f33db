"""`CountLoader`: reads the counts of one group, a run of words per cycle, and says where each belongs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.array.bits import delayed, run_enable
from spikesim.rtl.array.events import bits_for, code_bits, encode, row_bits, scans_planes
from spikesim.rtl.array.planes import scan_rows, word_of
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.isa import ADDRESS

READ_CYCLES = 3
"""From an address that a controller shows to the word in the unit's register: address register, memory, register."""

LOAD_CYCLES = READ_CYCLES + 1
"""From the cycle that counts a run of words as loaded to its codes on `code`."""


class CountLoader(wiring.Component):
    """Channel i of a run goes to bank i mod ways, row i // ways; several blocks are loaded one after the other.

    `start`: from the next cycle on, `loaded` words per cycle are read from `pointer` on, first `past` blocks of
    `span` words, then one of `own`; `done` in the last of these cycles. Block i starts in bank 0 at row
    i · 2^block_bits, in a cycle of its own; all words lie one after the other. `address` is that of a cycle's first
    word, 0 while idle, and `reads` has a bit for each word; `word` is their lower halves READ_CYCLES later.

    Word w of a cycle belongs to bank `part` · `loaded` + w. `part`, `row`, and its `code` and `valid` come LOAD_CYCLES
    after its cycle. `open`: the row is the first of a word of `PlaneBank`, for the others this is the row's first
    count. Words between two blocks are opened, too, one per cycle.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        width = config.loaded
        super().__init__(
            {
                "start": In(1),
                "pointer": In(ADDRESS),
                "past": In(8),
                "span": In(24),
                "own": In(24),
                "block_bits": In(5),
                "done": Out(1),
                "address": Out(ADDRESS),
                "reads": Out(width),
                "word": In(signed(16)).array(width),
                "valid": Out(1).array(width),
                "part": Out(bits_for(config.ways // width)),
                "open": Out(1),
                "row": Out(row_bits(config)),
                "code": Out(code_bits(config)).array(width),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A pointer, the words left of this block and the blocks left."""
        m = Module()
        width = self.config.loaded
        bits, parts = width.bit_length() - 1, self.config.ways // width
        rows = row_bits(self.config)
        running = Signal()
        pointer = Signal(ADDRESS)
        last = Signal(24)  # number of the block's last word, counted from the pointer
        blocks = Signal(8)
        part = Signal(bits_for(parts))
        row, block_row, block_rows = Signal(rows), Signal(rows), Signal(rows)
        ending, taken = Signal(), Signal(bits + 1)
        scan = scan_rows(self.config)
        words = scans_planes(self.config)
        gap = Signal()
        next_word = Cat(Const(0, (scan - 1).bit_length()), word_of(row, self.config) + 1)
        next_block = block_row + block_rows
        reads = run_enable(running & ~gap, ending, last, width)
        m.d.comb += [
            ending.eq(last[bits:] == 0),
            taken.eq(Mux(ending, last[:bits] + 1, width)),
            self.done.eq(running & ~gap & ending & (blocks == 0)),
            self.address.eq(Mux(running & ~gap, pointer, 0)),
            self.reads.eq(reads),
        ]
        with m.If(running & gap):
            m.d.sync += [row.eq(next_word), gap.eq(next_word != block_row)]
        with m.Elif(running):
            m.d.sync += pointer.eq(pointer + taken)
            with m.If(ending):
                m.d.sync += [
                    running.eq(blocks != 0),
                    blocks.eq(blocks - 1),
                    last.eq(Mux(blocks == 1, self.own, self.span) - 1),
                    part.eq(0),
                    block_row.eq(next_block[:rows]),
                    row.eq(next_block[:rows]),
                ]
                if words:
                    with m.If((blocks != 0) & (next_word < next_block)):
                        m.d.sync += [row.eq(next_word), gap.eq(1)]
            with m.Else():
                m.d.sync += [last.eq(last - width), part.eq((part + 1)[: len(part)])]
                with m.If(part == parts - 1):
                    m.d.sync += [part.eq(0), row.eq(row + 1)]
        with m.If(self.start):
            m.d.sync += [
                running.eq(1),
                pointer.eq(self.pointer),
                last.eq(Mux(self.past == 0, self.own, self.span) - 1),
                blocks.eq(self.past),
                part.eq(0),
                row.eq(0),
                block_row.eq(0),
                block_rows.eq(1 << self.block_bits),
                gap.eq(0),
            ]
        opens = running & (part == 0)
        if words:
            opens &= row[: (scan - 1).bit_length()] == 0
        valid = delayed(m, reads, READ_CYCLES, "valid")
        m.d.sync += self.open.eq(delayed(m, opens, READ_CYCLES, "opens"))
        for i in range(width):
            m.d.sync += [
                self.valid[i].eq(valid[i]),
                self.code[i].eq(encode(self.word[i], self.config)),
            ]
        m.d.sync += Cat(self.part, self.row).eq(delayed(m, Cat(part, row), READ_CYCLES, "place"))
        return m
