"""Kinds of memory: a module of its own for each, in whose place an integrator puts macros.

The module has the parameters and ports of `spikesim_ram`, but for COLLIDE, and an instance of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spikesim.rtl.memory import MODULE, Kind, memory_verilog, module_of
from spikesim.tools.modules import modules


@dataclass(frozen=True)
class Needs:
    """What a macro of the kind must be able to do. `collides`: it is read and written in the same cycle."""

    what: str
    collides: bool


KINDS: dict[Kind, Needs] = {
    "row": Needs("a bank of row memory: weights, keys, values; written by bytes", False),
    "state": Needs("a bank of state memory: whole words", True),
    "vector": Needs("a bank of vector memory: words of 32 bits, two read ports", True),
    "program": Needs("program memory: an instruction of 512 bits per word", False),
    "encoder": Needs("what the event encoder of a bank holds of a gather's counts", False),
    "list": Needs("a bank's list of rows: of scatters, and in row order of gathers, too", False),
}


def wrapper(kind: Kind) -> str:
    """The Verilog of a kind's module."""
    needs = KINDS[kind]
    header = _header()
    plain = re.sub(r"(?m)^    parameter integer COLLIDE .*\n", "", header)
    parameters = re.findall(r"parameter (?:integer )?(\w+) =", plain)
    ports = re.findall(r"(?m)^    (?:input|output) .* (\w+),?$", plain)
    passed = [f".{name}({name})" for name in parameters] + [f".COLLIDE({int(needs.collides)})"]
    joined = [f".{name}({name})" for name in ports]
    cycles = "the same cycle" if needs.collides else "different cycles"
    return (
        f"// {needs.what}. Read and written in {cycles}.\n"
        + plain.replace(f"module {MODULE} ", f"module {module_of(kind)} ").replace(
            "output reg ", "output wire"
        )
        + f"    {MODULE} #(\n        {', '.join(passed)}\n    ) ram (\n        {', '.join(joined)}\n    );\nendmodule\n"
    )


def wrappers(verilog_text: str) -> str:
    """The modules of the kinds that a design has instances of, `memory.v` not included."""
    used = [kind for kind in KINDS if f"  {module_of(kind)} #(" in verilog_text]
    return "".join(f"{wrapper(kind)}\n" for kind in used)


def unwrapped(verilog_text: str) -> str:
    """An emitted design whose memories are instances of `spikesim_ram` itself: one black box for all kinds."""
    names = {module_of(kind): kind for kind in KINDS}
    for name in modules(verilog_text):
        if name in names:
            verilog_text = verilog_text.replace(f"{wrapper(names[name])}\n", "")
    return re.sub(rf"(?m)^  (?:{'|'.join(names)}) #\(", f"  {MODULE} #(", verilog_text)


def black_boxed(verilog_text: str) -> str:
    """An emitted design with the memory's ports only, as synthesis takes it."""
    plain = unwrapped(verilog_text).replace(memory_verilog(), "")
    return plain + f"\n(* blackbox *)\n{_header()}endmodule\n"


def _header() -> str:
    """Parameters and ports of the memory."""
    text = memory_verilog()
    return text[text.index(f"module {MODULE}") : text.index("\n);") + 4]
