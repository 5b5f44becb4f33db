"""The registers that a processor sees over AXI4-Lite: one table for the hardware, its bench, what software is given,
and the documentation.

Registers have 32 bits; the two lowest address bits are ignored. Reserved bits read as zero. A write that is refused
(SLVERR) changes nothing but, for those that say so, ERROR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from amaranth.lib import data

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.isa import ADDRESS, POSITION_BITS

MAGIC = int.from_bytes(b"SPKE", "big")
VERSION = 2 << 16 | 0
"""Major and minor version of the register map, 16 bits each."""

CONTEXT_BITS = POSITION_BITS + 1
"""Bits of a number of positions, all of them included."""

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

Access = Literal["R", "W", "RW", "C"]
"""R read only, W write only (reads as zero), RW, or C: read, writing 1 clears."""


@dataclass(frozen=True, kw_only=True)
class HostField:
    """Bits of a register, from `low` on."""

    name: str
    low: int
    width: int = 1
    access: Access
    meaning: str

    @property
    def bits(self) -> str:
        """As documents write them."""
        high = self.low + self.width - 1
        return f"[{high}:{self.low}]" if self.width > 1 else f"[{self.low}]"


@dataclass(frozen=True, kw_only=True)
class HostRegister:
    """A row of the register map: a number (one field from bit 0 on), or fields. `note`: of the register as a whole."""

    name: str
    offset: int
    fields: tuple[HostField, ...]
    note: str = ""

    @property
    def access(self) -> Access:
        """What may be done to the register: C if any of its bits can be cleared."""
        kinds = [field.access for field in self.fields]
        return "C" if "C" in kinds else kinds[0]

    @property
    def width(self) -> int:
        """Bits up to the highest that means something."""
        return max(field.low + field.width for field in self.fields)

    @property
    def meaning(self) -> str:
        """In a sentence."""
        if len(self.fields) == 1:
            return self.fields[0].meaning
        parts = "; ".join(f"{field.name} {field.bits}: {field.meaning}" for field in self.fields)
        return f"{parts}. {self.note}" if self.note else parts


def _number(name: str, offset: int, access: Access, meaning: str, width: int = 32) -> HostRegister:
    field = HostField(name=name.lower(), low=0, width=width, access=access, meaning=meaning)
    return HostRegister(name=name, offset=offset, fields=(field,))


def _fields(name: str, offset: int, access: Access, *fields: tuple[str, str], note: str = "") -> HostRegister:
    """A register of single bits from 0 on."""
    bits = tuple(
        HostField(name=field, low=bit, access=access, meaning=meaning)
        for bit, (field, meaning) in enumerate(fields)
    )
    return HostRegister(name=name, offset=offset, fields=bits, note=note)


CONFIG_FIELDS = (
    HostField(name="ways", low=0, width=7, access="R", meaning="banks of the array"),
    HostField(name="lanes", low=8, width=9, access="R", meaning="columns of the array"),
    HostField(name="row_planes", low=20, width=3, access="R", meaning="planes of the window"),
    HostField(name="dense", low=24, access="R", meaning="the dense twin"),
    HostField(name="row_order", low=25, access="R", meaning="events row by row"),
    HostField(
        name="coding",
        low=26,
        width=2,
        access="R",
        meaning="0 bitwise, 1 two's complement, 2 signed digit, 3 ternary",
    ),
    HostField(name="skew", low=28, access="R", meaning="planes that a bank may be behind"),
    HostField(name="skip_zeros", low=29, access="R", meaning="the twin that skips zeros"),
    HostField(
        name="window_order",
        low=30,
        access="R",
        meaning="events in a window of planes; plane order if neither of the two",
    ),
)

ERRORS = (
    ("context", "a start at a POSITION beyond CONTEXT was refused"),
    ("entry", "a start at an ENTRY beyond program memory was refused"),
    ("program", "a run ended at an instruction that the core cannot execute, or behind program memory"),
    ("memory", "a run addressed vector memory beyond its end, which read what is undefined or wrote nothing"),
    ("transfer", "a transfer was refused that ends beyond its memory, or is to or from none"),
    ("frame", "a transfer in and its frame did not end together: see short and long of STATUS"),
)
"""Bits of ERROR."""

EVENTS = (
    ("done", "a run has ended"),
    ("transferred", "a transfer has ended"),
    ("error", "ERROR is not zero; cleared there"),
)
"""Bits of IRQ_STATUS and IRQ_MASK."""

REGISTERS = (
    _number("ID", 0x00, "R", '"SPKE": 0x53504B45'),
    _number("VERSION", 0x04, "R", "of the register map: major [31:16], minor [15:0]"),
    HostRegister(name="CONFIG", offset=0x08, fields=CONFIG_FIELDS),
    _fields(
        "CONTROL",
        0x0C,
        "W",
        ("start", "run the program from ENTRY to its end"),
        ("hold", "with start: POSITION stays when the run ends; one beyond CONTEXT is 0 to the run"),
        note="1 or 3; refused while the core or a transfer runs, and beyond CONTEXT or program memory (ERROR)",
    ),
    HostRegister(
        name="STATUS",
        offset=0x10,
        fields=(
            HostField(name="busy", low=0, access="R", meaning="the core runs"),
            HostField(
                name="done", low=1, access="C", meaning="it has finished since the last start, 1 clears"
            ),
            HostField(name="streaming", low=2, access="R", meaning="a transfer runs"),
            HostField(
                name="short",
                low=3,
                access="R",
                meaning="TLAST came before the last word of the last transfer in",
            ),
            HostField(
                name="long",
                low=4,
                access="R",
                meaning="its last word came without TLAST, so that more of the frame waits at the stream",
            ),
            HostField(name="error", low=5, access="R", meaning="ERROR is not zero"),
        ),
    ),
    _number("ENTRY", 0x14, "RW", "instruction at which a run starts", ADDRESS),
    _number(
        "POSITION",
        0x18,
        "RW",
        "of the token; one more when a token is done. Not writable while the core runs",
        CONTEXT_BITS,
    ),
    _number(
        "TARGET",
        0x1C,
        "RW",
        "memory of a transfer: 0 vector, 1 row, 2 program, 3 state (can only be read)",
        2,
    ),
    _number(
        "ADDRESS",
        0x20,
        "RW",
        "where a transfer starts: word of vector memory, row of bank 0, instruction of the program",
    ),
    _number("LENGTH", 0x24, "RW", "of a transfer in stream words"),
    _number(
        "TRANSFER",
        0x28,
        "W",
        "start a transfer: 1 from the input stream, 2 to the output stream, 3 drops what comes at the input stream up "
        "to TLAST. Refused while the core or a transfer runs, and beyond the memory (ERROR)",
    ),
    _number("CLEAR", 0x2C, "W", "1 clears all counters"),
    _number(
        "CONTEXT",
        0x30,
        "RW",
        "positions that the program has room for; after reset those that the core was made for, which are never "
        "exceeded. Not writable while the core runs",
        CONTEXT_BITS,
    ),
    _fields("ERROR", 0x34, "C", *ERRORS, note="1 clears"),
    _number(
        "ABORT",
        0x38,
        "W",
        "1 ends the transfer: in, at once; out, with TLAST at the next word. 2 resets everything but memories and this "
        "bus: registers, counters, the run, the streams (whose words may be withdrawn)",
    ),
    HostRegister(
        name="IRQ_STATUS",
        offset=0x3C,
        fields=tuple(
            HostField(name=name, low=bit, access="R" if name == "error" else "C", meaning=meaning)
            for bit, (name, meaning) in enumerate(EVENTS)
        ),
        note="1 clears",
    ),
    HostRegister(
        name="IRQ_MASK",
        offset=0x40,
        fields=tuple(
            HostField(name=name, low=bit, access="RW", meaning=f"`irq` is high when {meaning.split(';')[0]}")
            for bit, (name, meaning) in enumerate(EVENTS)
        ),
        note="`irq` is the level of all events that are not masked out",
    ),
    _number("VECTOR_WORDS", 0x44, "R", "words of vector memory"),
    _number("ROWS", 0x48, "R", "rows per bank of row memory"),
    _number("INSTRUCTIONS", 0x4C, "R", "instructions of program memory"),
    _number("STATE_ROWS", 0x50, "R", "rows per bank of state memory"),
    *(
        _number(f"{name.upper()}_{half}", COUNTER_BASE + 8 * i + 4 * high, "R", meaning)
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
    values = {
        "ways": config.ways,
        "lanes": config.lanes,
        "row_planes": config.row_planes,
        "dense": config.dense,
        "row_order": config.order == "row",
        "coding": ("bitwise", "twos_complement", "signed_digit", "ternary").index(config.coding),
        "skew": config.skew,
        "skip_zeros": config.skip_zeros,
        "window_order": config.order == "window",
    }
    return sum(values[field.name] << field.low for field in CONFIG_FIELDS)


def constants(config: CoreConfig) -> dict[str, int]:
    """The registers that are as the core was built."""
    return {
        "ID": MAGIC,
        "VERSION": VERSION,
        "CONFIG": config_word(config),
        "VECTOR_WORDS": config.vector_depth,
        "ROWS": config.row_depth,
        "INSTRUCTIONS": config.program_depth,
        "STATE_ROWS": config.state_depth,
    }


def register_table() -> str:
    """The register map as a Markdown table, for the documentation."""
    rows = [f"| 0x{r.offset:03X} | {r.name} | {r.access} | {r.meaning} |" for r in REGISTERS]
    return "\n".join(["| address | register | access | meaning |", "|---|---|---|---|", *rows])
