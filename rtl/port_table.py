"""Tables of ports, registers and parameters in `docs/rtl.md`, made from the components themselves.

    python -m spikesim.rtl.port_table docs/rtl.md     rewrites what is between the markers

A table stands between `<!-- table: name -->` and `<!-- end -->`; `TABLES` names them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data, wiring

from spikesim.rtl import isa
from spikesim.rtl.array.unit import ArrayUnit
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.host.registers import register_table
from spikesim.rtl.host.unit import Host
from spikesim.rtl.pointwise.unit import PointwiseUnit
from spikesim.rtl.select import SelectUnit
from spikesim.rtl.sequencer import Sequencer
from spikesim.support.files import write_text_atomic

UNITS: tuple[Callable[[CoreConfig], Any], ...] = (
    SpikeCore,
    Host,
    Sequencer,
    PointwiseUnit,
    SelectUnit,
    ArrayUnit,
)


def port_table(component: wiring.Component) -> str:
    """A Markdown table: the port's Verilog name, its direction and width."""
    rows = [f"| `{name}` | {direction} | {width} |" for name, direction, width in ports(component)]
    return "\n".join(["| port | direction | bits |", "|---|---|---|", "| `clk`, `rst` | in | 1 |", *rows])


def ports(component: wiring.Component) -> Iterator[tuple[str, str, int]]:
    """Name in Verilog, direction and width of every port but clock and reset."""
    component._MustUse__used = (
        True  # only its ports are wanted: Amaranth warns of components that are never built
    )
    for path, member, _ in component.signature.flatten(component):
        direction = "out" if member.flow is wiring.Out else "in"
        name = "__".join(str(part) for part in path)
        if name not in ("clk", "rst"):  # every component has them, most without saying so
            yield name, direction, Shape.cast(member.shape).width


def parameter_table() -> str:
    """The fields of `CoreConfig` and their defaults."""
    rows = [f"| `{field.name}` | {field.default} |" for field in fields(CoreConfig)]
    return "\n".join(["| parameter | default |", "|---|---|", *rows])


def field_table(layout: data.StructLayout) -> str:
    """The fields of an instruction and their bits within its part of the word."""
    rows = [
        f"| `{name}` | {field.offset + Shape.cast(field.shape).width - 1}:{field.offset} |"
        for name, field in layout
    ]
    return "\n".join(["| field | bits |", "|---|---|", *rows])


TABLES: dict[str, Callable[[], str]] = {
    "parameters": parameter_table,
    "registers": register_table,
    **{f"ports {unit.__name__}": (lambda unit=unit: port_table(unit(CoreConfig()))) for unit in UNITS},  # type: ignore[misc]
    **{
        f"fields {name.lower()}": (lambda name=name: field_table(getattr(isa, name)))  # type: ignore[misc]
        for name in ("COMMON", "POINTWISE", "SELECT", "ARRAY", "SWEEP", "STORE", "RESOLVED")
    },
}


def filled(text: str) -> str:
    """The document with every table as it should be."""

    def table(found: re.Match[str]) -> str:
        return f"<!-- table: {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table: (.*?) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        write_text_atomic(path, filled(path.read_text(encoding="utf-8")))
