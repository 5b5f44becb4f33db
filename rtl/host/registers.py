"""The registers that a processor sees over AXI4-Lite: one table for the hardware, its bench and the documentation.

Registers have 32 bits; the two lowest address bits are ignored. Reserved bits read as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from amaranth.lib import data

from spikesim.rtl.config import CoreConfig

MAGIC = int.from_bytes(b"SPKE", "big")
VERSION = 1 << 16 | 0
"""Major and minor version of the register map, 16 bits each."""

COUNTER_NAMES = (
    "cycles",
    "instructions",
    "events",
    "spikes",
    "row_reads",
    "array_cycles",
    "lane_cycles",
    "clipped",
    "overflows",
    "keys_read",
    "keys_cached",
)
COUNTERS = data.StructLayout(dict.fromkeys(COUNTER_NAMES, 64))
"""The core's counters, in the order of their registers."""

COUNTER_BASE = 0x100
"""Byte address of the first counter's low word."""


@dataclass(frozen=True, kw_only=True)
class HostRegister:
    """A row of the register map. `access`: R read only, W write only (reads as zero), RW, or C: read, 1 clears."""

    name: str
    offset: int
    access: Literal["R", "W", "RW", "C"]
    meaning: str
    width: int = 32


REGISTERS = (
    HostRegister(name="ID", offset=0x00, access="R", meaning='"SPKE": 0x53504B45'),
    HostRegister(
        name="VERSION", offset=0x04, access="R", meaning="of the register map: major [31:16], minor [15:0]"
    ),
    HostRegister(
        name="CONFIG",
        offset=0x08,
        access="R",
        meaning="ways [6:0], lanes [16:8], row planes [22:20], dense [24], row order [25], coding [27:26] "
        "(0 bitwise, 1 two's complement, 2 signed digit, 3 ternary), skew [28], skip zeros [29], window order [30]; "
        "plane order if neither of the two",
    ),
    HostRegister(
        name="CONTROL",
        offset=0x0C,
        access="W",
        meaning="start [0]: run the program from ENTRY to its end; hold [1], with start: POSITION stays when the "
        "token is done",
    ),
    HostRegister(
        name="STATUS",
        offset=0x10,
        access="C",
        meaning="busy [0]: the core runs; done [1]: it has finished since the last start, 1 clears; streaming [2]: "
        "a transfer runs; short [3]: TLAST did not come with the last word of the last transfer in",
    ),
    HostRegister(
        name="ENTRY", offset=0x14, access="RW", width=24, meaning="instruction at which a token starts"
    ),
    HostRegister(
        name="POSITION",
        offset=0x18,
        access="RW",
        width=17,
        meaning="of the token; one more when a token is done. Not writable while the core runs",
    ),
    HostRegister(
        name="TARGET",
        offset=0x1C,
        access="RW",
        width=2,
        meaning="memory of a transfer: 0 vector, 1 row, 2 program; only vector memory can be read",
    ),
    HostRegister(
        name="ADDRESS",
        offset=0x20,
        access="RW",
        meaning="where a transfer starts: word of vector memory, row of bank 0, instruction of the program",
    ),
    HostRegister(name="LENGTH", offset=0x24, access="RW", meaning="of a transfer in stream words"),
    HostRegister(
        name="TRANSFER",
        offset=0x28,
        access="W",
        meaning="start a transfer: 1 from the input stream, 2 from vector memory to the output stream",
    ),
    HostRegister(name="CLEAR", offset=0x2C, access="W", meaning="1 clears all counters"),
    *(
        HostRegister(
            name=f"{name.upper()}_{half}",
            offset=COUNTER_BASE + 8 * i + 4 * high,
            access="R",
            meaning=meaning,
        )
        for i, name in enumerate(COUNTER_NAMES)
        for high, half, meaning in (
            (0, "LOW", f"counter `{name}`, bits [31:0]; reading it keeps the others for the next row"),
            (1, "HIGH", "bits [63:32] of the counter whose low word was read last"),
        )
    ),
)

OFFSETS = {register.name: register.offset for register in REGISTERS}


def config_word(config: CoreConfig) -> int:
    """The value of CONFIG for a core."""
    orders = (config.order == "row") << 25 | (config.order == "window") << 30
    coding = ("bitwise", "twos_complement", "signed_digit", "ternary").index(config.coding)
    flags = config.dense << 24 | config.skew << 28 | config.skip_zeros << 29
    return config.ways | config.lanes << 8 | config.row_planes << 20 | coding << 26 | orders | flags


def register_table() -> str:
    """The register map as a Markdown table, for the documentation."""
    rows = [f"| 0x{r.offset:03X} | {r.name} | {r.access} | {r.meaning} |" for r in REGISTERS]
    return "\n".join(["| address | register | access | meaning |", "|---|---|---|---|", *rows])
