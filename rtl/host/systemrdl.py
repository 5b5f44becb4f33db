"""The register map of one core in SystemRDL 2.0, from which other tools make headers, pages and models of it.

`sw` is what a bus master may do, `hw` what the core does; `reset` is the value after `rst` and after ABORT = 2. Only
numbers and the words of the table go into the text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.host.registers import REGISTERS, Access, HostField, HostRegister, constants

MAP = "spike_core"
"""The name of the address map, and of the files made from it."""

_SOFTWARE: dict[Access, str] = {
    "R": "sw = r;",
    "W": "sw = w;",
    "RW": "sw = rw;",
    "C": "sw = rw; onwrite = woclr;",
}
_COUNTED = {"POSITION"}
"""What software writes and the core counts on."""


def reset_values(config: CoreConfig) -> dict[str, int]:
    """What every register is after a reset."""
    known = constants(config) | {"CONTEXT": config.context}
    return {register.name: known.get(register.name, 0) for register in REGISTERS}


def systemrdl(config: CoreConfig) -> str:
    """The address map `spike_core`: a register of 32 bits per row of the table, a field per field."""
    resets, fixed = reset_values(config), constants(config)
    registers = "\n".join(
        textwrap.indent("\n".join(_register(register, resets[register.name], register.name in fixed)), "    ")
        for register in REGISTERS
    )
    return (
        "// Made by spikesim from the table of the register map; change the table, not this file.\n"
        f"addrmap {MAP} {{\n"
        f'    name = "{MAP}";\n'
        '    desc = "Registers of the core, AXI4-Lite, addresses in bytes. Reserved bits read as zero.";\n'
        "    littleendian;\n"
        "    default regwidth = 32;\n"
        "    default accesswidth = 32;\n\n"
        f"{registers}}};\n"
    )


def _register(register: HostRegister, reset: int, is_fixed: bool) -> Iterator[str]:
    yield "reg {"
    yield f"    name = {_quoted(register.name)};"
    if about := register.note if len(register.fields) > 1 else register.meaning:
        yield f"    desc = {_quoted(about)};"
    for field in register.fields:
        value = reset >> field.low & (1 << field.width) - 1
        hardware = "na" if is_fixed else _hardware(register, field)
        yield "    field {"
        yield f"        desc = {_quoted(field.meaning)};"
        yield f"        {_SOFTWARE[field.access]} hw = {hardware};"
        yield f"    }} {field.name}[{field.low + field.width - 1}:{field.low}] = {field.width}'h{value:x};"
    yield f"}} {register.name} @ 0x{register.offset:X};\n"


def _hardware(register: HostRegister, field: HostField) -> str:
    """What the core does to a field: give its value, take it, or both."""
    if field.access in {"W", "RW"}:
        return "rw" if register.name in _COUNTED else "r"
    return "rw" if field.access == "C" else "w"


def _quoted(text: str) -> str:
    """A string of SystemRDL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
