"""`sram` and `dram_energy_j`: area, energy, leakage and access time of memories that are not synthesised.

An analytic model of four terms, in 45 nm at 1.1 V from the figures of `constants.MEMORY`, then moved to the node and
supply by `scaling.scaled`. With b = words · bits_per_word, f the area of the cell ÷ that of the 6T cell:

* area = b · 6T cell · f ÷ efficiency + √(b · 6T cell · f) · (column height + row depth) + write enables;
* read = (e0 + e1 · √(b · f)) · (bits_per_word + shared bits) ÷ (64 + shared bits), e0 and e1 through the published
  energies of 8 KB and 1 MB; that of 32 KB then comes out 6 % low. A word wider than 64 bits costs no more than pieces
  of 64 bits of the same depth do, and the wires between them: a compiler cuts such a memory inside;
* access time = t0 + t1 · √(b · f);
* leakage = b · leakage per bit of the kind of cell, more for more ports, and as much more for what is around the cells
  as that takes of the area.

A memory of macros side by side (`macro_bits`) is their sum.

Memories of at most `REGISTER_LIMIT` (1 kbit) are arrays of flip-flops, since compilers make no macros that small:
their figures grow in proportion to their bits from library cells. A larger one is a macro and never cheaper, smaller
or faster than registers of 1 kbit, so that no figure falls when a memory grows across the limit, but for leakage:
flip-flops leak more than cells of memories do.

Left out: redundancy, test, error correction, power switches, wires to the macro, refresh and standby of DRAM. See
docs/memories.md for the sources and for how far off published macros it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from spikesim.errors import HardwareError
from spikesim.power_models import constants as c
from spikesim.power_models.memories.scaling import node_nm, scaled

MOST_MACROS = 64
"""Into more a memory is not split for the sake of its access time."""

Cells = Literal["high_performance", "low_operating_power", "low_standby_power"]
"""Transistors of cells and periphery, as in ITRS; only leakage tells them apart here. The one in the middle is the
default: no published figure says which an on-chip weight memory has, and the three lie four decades apart."""

Dram = Literal["open_row", "closed_row", "hbm2", "gddr5", "lpddr4"]

_LEAKAGE = {
    "high_performance": 1.0,
    "low_operating_power": c.LEAKAGE_LOP.value,
    "low_standby_power": c.LEAKAGE_LSTP.value,
}

_DRAM_J_PER_BIT = {
    "open_row": c.DRAM_LOW.value / 64,
    "closed_row": c.DRAM_HIGH.value / 64,
    "hbm2": c.DRAM_HBM2.value,
    "gddr5": c.DRAM_GDDR5.value,
    "lpddr4": c.DRAM_LPDDR4.value,
}

_NODE, _VOLTAGE = "45 nm", 1.1
_CACHE_VOLTAGE = 0.9
_KILOBYTE = 8192  # bits
_PUBLISHED_WIDTH = 64
"""Bits of the word whose energies are published."""

_SLOPE = (c.CACHE_1M.value - c.CACHE_8K.value) / (math.sqrt(1024 * _KILOBYTE) - math.sqrt(8 * _KILOBYTE))
_OFFSET = c.CACHE_8K.value - _SLOPE * math.sqrt(8 * _KILOBYTE)


@dataclass(frozen=True, kw_only=True)
class Sram:
    """One memory. Energies are of an access of one port to one word, without leakage; `area_um2` in µm².

    A masked write costs what a whole one does: the columns that keep their value are read. `registers`: built of
    flip-flops.
    """

    area_um2: float
    read_energy_j: float
    write_energy_j: float
    leakage_w: float
    access_s: float
    registers: bool


def sram(
    words: int,
    bits_per_word: int,
    *,
    read_ports: int = 1,
    write_ports: int = 1,
    shared_port: bool = False,
    write_granule: int | None = None,
    macro_bits: int | None = None,
    node: str | float = _NODE,
    voltage: float = _VOLTAGE,
    cells: Cells = "low_operating_power",
) -> Sram:
    """A memory of `words` words of `bits_per_word` bits.

    * `read_ports`, `write_ports`: accesses that may happen in one cycle. `shared_port`: reads and writes never happen
      in the same cycle, so that writes use the read ports: one port is then a 6T cell; with a port of each kind an 8T
      cell is taken, and every further port widens the cell by as much as the second full port does.
    * `write_granule`: bits per write enable; the whole word by default.
    * `macro_bits`: bits of the word that one macro holds, the whole word by default. An access reaches all macros side
      by side, each with a decoder of its own; no word line and no bit line crosses to the next.
    * `node`: 7 to 180 nm; `voltage` in V. `cells`: kind of transistors.

    Raises HardwareError for sizes, ports, nodes and supplies that cannot be.
    """
    granule = bits_per_word if write_granule is None else write_granule
    wide = bits_per_word if macro_bits is None else macro_bits
    for name, value in (
        ("words", words),
        ("bits_per_word", bits_per_word),
        ("read_ports", read_ports),
        ("write_ports", write_ports),
        ("write_granule", granule),
        ("macro_bits", wide),
    ):
        if value < 1:
            raise HardwareError(f"{name} of a memory must be at least 1, not {value}")
    if bits_per_word % wide:
        raise HardwareError(
            f"macro_bits of a memory must divide its word of {bits_per_word} bits, not {wide}"
        )
    if cells not in _LEAKAGE:
        raise HardwareError(f"cells of a memory must be one of {', '.join(_LEAKAGE)}, not {cells!r}")
    macros, bits = bits_per_word // wide, words * wide
    small = min(float(bits), c.REGISTER_LIMIT.value)
    registers = _registers(small, wide, read_ports)
    factor = _cell_factor(read_ports, write_ports, shared=shared_port)
    ports = max(read_ports, write_ports) if shared_port else read_ports + write_ports
    macro = _macro(bits, wide, factor, ports, _LEAKAGE[cells])
    is_registers = bits <= c.REGISTER_LIMIT.value
    area, read, write, leakage, access = (
        at_45 if is_registers else max(at_45, of_macro)
        for at_45, of_macro in zip(registers, macro, strict=True)
    )
    if not is_registers:
        leakage = macro[3]
    area = macros * area + max(macros, math.ceil(bits_per_word / granule)) * c.MASK_AREA.value

    def moved(joules: float) -> float:
        return scaled(joules, "energy", _NODE, node, from_voltage=_VOLTAGE, to_voltage=voltage)

    return Sram(
        area_um2=scaled(area, "area", _NODE, node),
        read_energy_j=macros * moved(read),
        write_energy_j=macros * moved(write),
        leakage_w=macros * leakage * _leakage_of(node, voltage),
        access_s=scaled(access, "delay", _NODE, node, from_voltage=_VOLTAGE, to_voltage=voltage),
        registers=is_registers,
    )


@dataclass(frozen=True, kw_only=True)
class Split:
    """A memory of `macros` equal macros and the multiplexers behind them. `whole`: the figures of all of it."""

    macros: int
    whole: Sram


def sram_within(
    access_s: float,
    words: int,
    bits_per_word: int,
    *,
    read_ports: int = 1,
    node: str | float = _NODE,
    voltage: float = _VOLTAGE,
    **more: Any,
) -> Split:
    """A memory split into as few macros as its access time, multiplexers included, allows; MOST_MACROS if none does.

    Energy per access stays that of the memory in one piece: an access reaches one macro, but its wires are as long.
    Other arguments as of `sram`.
    """
    one = sram(words, bits_per_word, read_ports=read_ports, node=node, voltage=voltage, **more)
    macros = 1
    whole = one
    while whole.access_s > access_s and macros < min(MOST_MACROS, words):
        macros *= 2
        part = sram(
            math.ceil(words / macros),
            bits_per_word,
            read_ports=read_ports,
            node=node,
            voltage=voltage,
            **more,
        )
        choices = read_ports * bits_per_word * (macros - 1)
        delay = scaled(
            math.log2(macros) * c.MULTIPLEXER_DELAY.value,
            "delay",
            _NODE,
            node,
            from_voltage=_VOLTAGE,
            to_voltage=voltage,
        )
        whole = Sram(
            area_um2=macros * part.area_um2 + scaled(choices * c.MULTIPLEXER_AREA.value, "area", _NODE, node),
            read_energy_j=one.read_energy_j,
            write_energy_j=one.write_energy_j,
            leakage_w=macros * part.leakage_w
            + choices * c.MULTIPLEXER_LEAKAGE.value * _leakage_of(node, voltage),
            access_s=part.access_s + delay,
            registers=part.registers,
        )
    return Split(macros=macros, whole=whole)


def dram_energy_j(size_bytes: float, kind: Dram = "open_row") -> float:
    """J to move so many bytes to or from DRAM, interface included. Weights stream: rows are open by default.

    Raises HardwareError for a negative size or another kind.
    """
    if size_bytes < 0:
        raise HardwareError(f"the bytes moved must be at least 0, not {size_bytes}")
    if kind not in _DRAM_J_PER_BIT:
        raise HardwareError(f"the kind of DRAM must be one of {', '.join(_DRAM_J_PER_BIT)}, not {kind!r}")
    return size_bytes * 8 * _DRAM_J_PER_BIT[kind]


_Figures = tuple[float, float, float, float, float]
"""Area µm², read J, write J, leakage W, access s; in 45 nm at 1.1 V."""


def _registers(bits: float, width: int, reads: int) -> _Figures:
    """Flip-flops, each port a tree of multiplexers."""
    read = bits * c.MULTIPLEXER_ENERGY.value + width * c.MULTIPLEXER_ENERGY.value
    return (
        bits * (c.FLIP_FLOP_AREA.value + reads * c.MULTIPLEXER_AREA.value),
        read,
        width * c.FLIP_FLOP_ENERGY.value,
        bits * (c.FLIP_FLOP_LEAKAGE.value + reads * c.MULTIPLEXER_LEAKAGE.value),
        c.REGISTER_CLOCK_TO_OUTPUT.value + c.REGISTER_ACCESS.value * math.log2(max(2.0, bits)),
    )


def _macro(bits: int, width: int, factor: float, ports: int, leakage: float) -> _Figures:
    cells = bits * c.CELL_AREA.value * factor
    side = math.sqrt(bits * factor)
    inside = cells / c.ARRAY_EFFICIENCY.value
    area = inside + math.sqrt(cells) * (c.COLUMN_HEIGHT.value + c.ROW_DEPTH.value)
    around = area / inside
    word = (width + c.SHARED_BITS.value) / (_PUBLISHED_WIDTH + c.SHARED_BITS.value)
    energy = (_OFFSET + _SLOPE * side) * word
    if width > _PUBLISHED_WIDTH:
        pieces = width / _PUBLISHED_WIDTH
        piece = _OFFSET + _SLOPE * side / math.sqrt(pieces)
        energy = min(energy, pieces * piece * c.WIDE_WORD.value)
    read = scaled(
        energy,
        "energy",
        _NODE,
        _NODE,
        from_voltage=_CACHE_VOLTAGE,
        to_voltage=_VOLTAGE,
    )
    return (
        area,
        read,
        read * c.WRITE_RATIO.value,
        bits * c.LEAKAGE_HP.value * leakage * (1 + (ports - 1) * c.LEAKAGE_PORT.value) * around,
        c.ACCESS_BASE.value + c.ACCESS_ROOT_BIT.value * side,
    )


def _cell_factor(reads: int, writes: int, *, shared: bool) -> float:
    ports = max(reads, writes) if shared else reads + writes
    if not shared and reads == writes == 1:
        return c.CELL_8T.value
    return 1 + (ports - 1) * c.CELL_PORT.value


def _leakage_of(node: str | float, voltage: float) -> float:
    """Per cell, relative to 45 nm at 1.1 V: V² within a node, as the current falls with the supply too.

    Constant below 90 nm, as narrower transistors leak more per width; above, by table.
    """
    nanometres = node_nm(node)
    older = ((180, c.LEAKAGE_180.value, 1.8), (130, c.LEAKAGE_130.value, 1.3), (90, c.LEAKAGE_90.value, 1.2))
    factor, nominal = next(
        ((value, supply) for nm, value, supply in older if nanometres >= nm), (1.0, _VOLTAGE)
    )
    return factor * (voltage / nominal) ** 2
