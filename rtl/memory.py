"""`Ram`: an instance of the Verilog module in `memory.v`, or of the module of its kind (`memory_kinds.py`) around it.

Every memory of the core is one, but for the few entries of queues and the tables of the pointwise unit.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal

from amaranth.hdl import ClockSignal, Instance, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikesim.errors import HardwareError

MODULE = "spikesim_ram"
Kind = Literal["row", "state", "vector", "program", "encoder", "list"]
"""What a memory is for."""

MACRO_BITS = 64
"""The word of one macro of a wide memory: that of published macros, and 8 lanes of row memory."""
SMALLEST_MACRO = 1 << 15
"""Bits of a macro below which a memory is not cut further: its decoders would grow more than its energy falls."""


def macro_bits(width: int, depth: int) -> int:
    """Bits of the word in each macro of a memory whose words of `width` bits serve lanes, or fields, side by side."""
    bits = MACRO_BITS
    while bits < width and (width % bits or bits * depth < SMALLEST_MACRO):
        bits *= 2
    return min(bits, width) if width % bits == 0 else width


def memory_verilog() -> str:
    """The text of `memory.v`, part of every emitted design."""
    return resources.files("spikesim.rtl").joinpath("memory.v").read_text(encoding="utf-8")


def module_of(kind: Kind | None) -> str:
    """The name of a kind's module; a memory of no kind is the plain one."""
    return MODULE if kind is None else f"spikesim_{kind}_memory"


class Ram(wiring.Component):
    """`depth` words of `width` bits: `reads` synchronous read ports, one write port.

    Read data follow the address by one cycle and hold while `read[i].enable` is low. Reading the word that is
    being written returns the old word. `write.enable` has one bit per `granule` bits of the word.
    `image`: the plusarg that names an initial image in simulation. `macro`: bits of the word that one macro holds;
    macros lie side by side, and `macro_bits` says how wide those of a wide memory are. `kind`: what it is for, which
    decides whether it may be read in a cycle that writes it (`memory_kinds.KINDS`); a memory of no kind may.

    `depth` need not be a power of two: an address beyond it reads ones, which nothing may use, and writes nothing.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        reads: int = 1,
        granule: int | None = None,
        macro: int | None = None,
        image: str = "none",
        kind: Kind | None = None,
    ) -> None:
        self.width, self.depth, self.image, self.kind = width, depth, image, kind
        self.granule = granule or width
        self.macro = macro or width
        self.address_bits = max(1, (depth - 1).bit_length())
        read = wiring.Signature(
            {"enable": Out(1), "address": Out(self.address_bits), "data": In(width)},
        )
        write = wiring.Signature(
            {"enable": Out(width // self.granule), "address": Out(self.address_bits), "data": Out(width)},
        )
        super().__init__({"read": In(read).array(reads), "write": In(write)})

    def elaborate(self, platform: Any) -> Module:
        """An instance of the module. Raises HardwareError for macros that do not divide the word."""
        if self.width % self.macro:
            raise HardwareError(
                f"macro of a memory must divide its word of {self.width} bits, not {self.macro}"
            )
        m = Module()
        reads = len(self.read)
        enable = Signal(data.ArrayLayout(1, reads))
        address = Signal(data.ArrayLayout(self.address_bits, reads))
        words = Signal(data.ArrayLayout(unsigned(self.width), reads))
        for i, port in enumerate(self.read):
            m.d.comb += [enable[i].eq(port.enable), address[i].eq(port.address), port.data.eq(words[i])]
        m.submodules.memory = Instance(
            module_of(self.kind),
            p_WIDTH=self.width,
            p_DEPTH=self.depth,
            p_GRANULE=self.granule,
            p_MACRO=self.macro,
            p_READS=reads,
            p_ADDRESS=self.address_bits,
            p_IMAGE=self.image,
            i_clk=ClockSignal(),
            i_write_enable=self.write.enable,
            i_write_address=self.write.address,
            i_write_data=self.write.data,
            i_read_enable=enable.as_value(),
            i_read_address=address.as_value(),
            o_read_data=words.as_value(),
        )
        return m
