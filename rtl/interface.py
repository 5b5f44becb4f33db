"""Signatures shared by the units of the core."""

from __future__ import annotations

from amaranth.hdl import signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.program.sizes import INSTRUCTION_WORDS
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.isa import ADDRESS, INSTRUCTION, RESOLVED, ROW
from spikesim.support.arithmetic import ceil_div

WORD = signed(32)
"""A word of vector memory."""


class ControlSignature(wiring.Signature):
    """The sequencer's side of a unit: `start` for one cycle; `instruction` and `resolved` hold until `done`.

    `done` is high for one cycle, the last one of the instruction; all its writes have been issued by then. A unit's
    cycles are counted from the cycle of `start` to the cycle of `done`, both included.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": Out(1),
                "instruction": Out(INSTRUCTION),
                "resolved": Out(RESOLVED),
                "done": In(1),
            }
        )


class ReadSignature(wiring.Signature):
    """A read port of vector memory: `data` belongs to the `address` of the cycle before, if that had `enable`.

    Units drive `address` from a register and take `data` into a register, so that the memory has the whole cycle.
    They enable what they will use and nothing else: a read that nobody needs costs as much as one that somebody does.
    """

    def __init__(self) -> None:
        super().__init__({"enable": Out(1), "address": Out(ADDRESS), "data": In(WORD)})


class WriteSignature(wiring.Signature):
    """The write port of vector memory, driven from registers."""

    def __init__(self) -> None:
        super().__init__({"enable": Out(1), "address": Out(ADDRESS), "data": Out(WORD)})


class RunReadSignature(wiring.Signature):
    """A read port of vector memory for a run of words, from `address` on: `enable` has a bit for each.

    `data`: the first `words` of them; `low`, if any: the lower halves of the first `halves`. As of `ReadSignature`,
    they belong to the address of the cycle before.
    """

    def __init__(self, words: int, *, halves: int = 0) -> None:
        members = {
            "enable": Out(max(words, halves)),
            "address": Out(ADDRESS),
            "data": In(WORD).array(words),
        }
        if halves:
            members["low"] = In(signed(16)).array(halves)
        super().__init__(members)


class RunWriteSignature(wiring.Signature):
    """The write port of vector memory for a run of `words`, from `address` on: `enable` has a bit for each."""

    def __init__(self, words: int) -> None:
        super().__init__({"enable": Out(words), "address": Out(ADDRESS), "data": Out(WORD).array(words)})


class RowLoadSignature(wiring.Signature):
    """The host's way into row memory: a row of `lanes` bytes, column 0 in the lowest bits, while nothing runs."""

    def __init__(self, config: CoreConfig) -> None:
        bank = max(1, (config.ways - 1).bit_length())
        super().__init__(
            {"enable": Out(1), "bank": Out(bank), "address": Out(ROW), "data": Out(config.lanes * 8)}
        )


def row_read_cycles(config: CoreConfig) -> int:
    """From asking for a word of a row to the word, which goes the way of a gather's sums (dense: with a product)."""
    return 5 if config.dense else 4


class RowReadSignature(wiring.Signature):
    """The host's way out of row and, with `state`, state memory, while nothing runs: a word of a row per cycle.

    `data`: four bytes of the row at `address` of `bank` `row_read_cycles` before, lowest column lowest, from byte
    4 · word on.
    Of a state the low bytes of all lanes come first, filled up to whole words, and then their high bytes.
    """

    def __init__(self, config: CoreConfig) -> None:
        bank = max(1, (config.ways - 1).bit_length())
        words = (2 * ceil_div(config.lanes, 4) - 1).bit_length()
        super().__init__(
            {
                "enable": Out(1),
                "state": Out(1),
                "bank": Out(bank),
                "address": Out(ROW),
                "word": Out(words),
                "data": In(32),
            }
        )


class ProgramReadSignature(wiring.Signature):
    """The host's way out of program memory, while nothing runs: a word of an instruction per cycle, two cycles late."""

    def __init__(self) -> None:
        word = (INSTRUCTION_WORDS - 1).bit_length()
        super().__init__({"enable": Out(1), "address": Out(ADDRESS), "word": Out(word), "data": In(32)})


class ProgramLoadSignature(wiring.Signature):
    """The host's way into program memory: an instruction, its first word in the lowest bits."""

    def __init__(self) -> None:
        super().__init__({"enable": Out(1), "address": Out(ADDRESS), "data": Out(32 * INSTRUCTION_WORDS)})
