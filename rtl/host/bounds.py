"""What a transfer can reach: the memories of a core as the streams see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.program.sizes import INSTRUCTION_WORDS
from spikesim.rtl.config import CoreConfig
from spikesim.support.arithmetic import ceil_div

VECTOR, ROWS, PROGRAM, STATE = range(4)
"""Values of TARGET."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """A memory: `depth` addresses, each of `unit` stream words in each of `banks` banks; all but `depth` are powers of
    two. `writable`: from the input stream.
    """

    depth: int
    unit: int
    banks: int = 1
    writable: bool = True

    @property
    def shift(self) -> int:
        """log2 of the stream words of an address."""
        return (self.unit * self.banks - 1).bit_length()

    @property
    def words(self) -> int:
        """Stream words of the whole memory."""
        return self.depth << self.shift


def reaches(config: CoreConfig) -> tuple[Reach, ...]:
    """The memories by TARGET."""
    row, ways = ceil_div(config.lanes, 4), config.ways
    return (
        Reach(depth=config.vector_depth, unit=1),
        Reach(depth=config.row_depth, unit=row, banks=ways),
        Reach(depth=config.program_depth, unit=INSTRUCTION_WORDS),
        Reach(depth=config.state_depth, unit=2 * row, banks=ways, writable=False),  # low bytes, high bytes
    )


def address_bits(config: CoreConfig) -> int:
    """Bits of an address of any memory, and of the one behind its last."""
    return max(reach.depth for reach in reaches(config)).bit_length()


def length_bits(config: CoreConfig) -> int:
    """Bits of the number of stream words of any memory."""
    return max(reach.words for reach in reaches(config)).bit_length()


class TransferBounds(wiring.Component):
    """`inside`, a cycle late: whether `length` words from `address` on lie in the memory `target`."""

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        super().__init__({"target": In(2), "address": In(32), "length": In(32), "inside": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        """The end in stream words against the memory's."""
        m = Module()
        memories = reaches(self.config)
        width = 32 + max(memory.shift for memory in memories)
        begin, most = Signal(width), Signal(length_bits(self.config))
        with m.Switch(self.target):
            for target, memory in enumerate(memories):
                with m.Case(target):
                    m.d.comb += [begin.eq(self.address << memory.shift), most.eq(memory.words)]
        m.d.sync += self.inside.eq(begin + self.length <= most)
        return m


class TransferOrder(wiring.Component):
    """The place of a transfer's words: the words of a unit, lowest bits first, then the next bank's, then the next
    address.

    `begin` with `target` and `first` sets the first place; `step` moves on by a word. `word`: of the unit; `ends`: its
    last.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        unit = max(memory.unit for memory in reaches(config))
        super().__init__(
            {
                "begin": In(1),
                "target": In(2),
                "first": In(32),
                "step": In(1),
                "address": Out(address_bits(config)),
                "bank": Out(max(1, (config.ways - 1).bit_length())),
                "word": Out(range(unit)),
                "ends": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Three counters, each moved on by the end of the one before."""
        m = Module()
        last_word, last_bank = Signal.like(self.word), Signal.like(self.bank)
        m.d.comb += self.ends.eq(self.word == last_word)
        with m.If(self.step):
            m.d.sync += self.word.eq(Mux(self.ends, 0, self.word + 1))
            with m.If(self.ends):
                around = self.bank == last_bank
                m.d.sync += self.bank.eq(Mux(around, 0, self.bank + 1))
                with m.If(around):
                    m.d.sync += self.address.eq(self.address + 1)
        with m.If(self.begin):
            m.d.sync += [self.word.eq(0), self.bank.eq(0), self.address.eq(self.first)]
            with m.Switch(self.target):
                for target, memory in enumerate(reaches(self.config)):
                    with m.Case(target):
                        m.d.sync += [
                            last_word.eq(Const(memory.unit - 1)),
                            last_bank.eq(Const(memory.banks - 1)),
                        ]
        return m
