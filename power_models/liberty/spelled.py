"""`spelled_library`: what Yosys and abc read of a library, in the one spelling that all three of us read alike.

It has the cells that a design may be mapped to, with what was read of them and nothing else: each attribute once, each
delay with one related pin, functions with all their brackets, units as abc knows them. In order of names, so that what
is mapped does not depend on the order of the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.boolean import spelled
from spikesim.power_models.liberty.library import Cell, Library
from spikesim.power_models.liberty.tables import LOADS, SLEWS, Units, words_of
from spikesim.power_models.liberty.text import Group
from spikesim.power_models.liberty.timings import DELAYS, kind_of, related_pins
from spikesim.power_models.liberty.usable import LATCH, states_of

_TIMES = {1e-9: "1ns", 1e-10: "100ps", 1e-11: "10ps", 1e-12: "1ps"}
"""What abc takes; with anything else it would count in nanoseconds."""
_LIBRARY_NUMBERS = ("nom_voltage", "nom_temperature", "default_max_transition")
_PIN_NUMBERS = ("rise_capacitance", "fall_capacitance", "max_capacitance", "max_transition")
_PIN_FLAGS = ("clock", "clock_gate_clock_pin", "clock_gate_enable_pin", "clock_gate_out_pin")
_MEMORY = ("next_state", "clocked_on", "data_in", "enable", "clear", "preset")
_TABLES = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")


def spelled_library(library: Group, groups: Mapping[str, Group], read: Library, units: Units) -> str:
    """`groups`: those of all cells, by name; `read`: what they were read as. Raises LibertyError."""
    lines = ["library (cells) {", "delay_model : table_lookup;", *_units(units)]
    lines += [f"{name} : {library.number(name)!r};" for name in _LIBRARY_NUMBERS if library.text(name)]
    names = {"": "scalar", "scalar": "scalar"}
    for name in sorted(units.templates):
        template = units.templates[name]
        variables = [variable for n in (1, 2, 3) if (variable := template.text(f"variable_{n}"))]
        if len(variables) > 2 or not {*SLEWS, *LOADS} >= set(variables):
            continue  # of energies, which nobody but the reader wants
        names[name] = f"t{len(names)}"
        lines.append(f"lu_table_template ({names[name]}) {{")
        lines += [f"variable_{n} : {variable};" for n, variable in enumerate(variables, 1)]
        lines += [*_rows(template, "index_1", "index_2"), "}"]
    default = library.number("default_input_pin_cap")
    # Latches too: without any, Yosys makes them of flip-flops, and nobody could count those in a design.
    wanted = [name for name, cell in read.cells.items() if cell.unused in ("", LATCH)]
    for name in sorted(wanted, key=_natural):
        lines += _cell(groups[name], read.cells[name], names, default)
    return "\n".join([*lines, "}", ""])


def _units(units: Units) -> list[str]:
    time = next((text for scale, text in _TIMES.items() if math.isclose(units.time, scale)), None)
    if time is None:
        raise LibertyError(
            f"time_unit must be 1ns, 100ps, 10ps or 1ps, which abc knows, not {units.time:g} s"
        )
    load = f"{units.load / 1e-12:.12g},pf" if units.load >= 1e-13 else f"{units.load / 1e-15:.12g},ff"
    return [f'time_unit : "{time}";', f"capacitive_load_unit ({load});"]


def _cell(group: Group, cell: Cell, templates: Mapping[str, str], default: float) -> Iterator[str]:
    yield f"cell ({cell.name}) {{"
    yield f"area : {cell.area!r};"
    if cell.gate:
        yield f"clock_gating_integrated_cell : {group.text('clock_gating_integrated_cell')};"
    for memory in group.all("ff") if cell.register else group.all("latch") if cell.latch else ():
        yield f"{memory.name} ({', '.join(states_of(memory))}) {{"
        yield from (f'{name} : "{spelled(text)}";' for name in _MEMORY if (text := memory.text(name)))
        yield from (f"{name} : {value};" for name in _BOTH if (value := memory.text(name)) in _BOTH_VALUES)
        yield "}"
    pins = {name: pin for pin in group.all("pin") for name in pin.arguments}
    for name in sorted(pins, key=_natural):
        pin, known = pins[name], cell.pins[name]
        yield f"pin ({name}) {{"
        yield f"direction : {known.direction};"
        if known.direction == "input":
            yield f"capacitance : {pin.number('capacitance', default)!r};"
        yield from (f"{key} : {pin.number(key)!r};" for key in _PIN_NUMBERS if pin.text(key))
        yield from (f"{key} : true;" for key in _PIN_FLAGS if pin.flag(key))
        if known.direction == "output" and not cell.gate:
            if known.function:
                yield f'function : "{spelled(known.function)}";'
            yield from _timings(pin, templates)
        yield "}"
    yield "}"


_BOTH = ("clear_preset_var1", "clear_preset_var2")
_BOTH_VALUES = ("L", "H", "N", "T", "X")


def _timings(pin: Group, templates: Mapping[str, str]) -> Iterator[str]:
    timings = []
    for timing in pin.all("timing"):
        kind = kind_of(timing)
        if kind in DELAYS and any(timing.one(name) for name in _TABLES):
            for related in related_pins(timing):
                text = "\n".join(_timing(timing, kind, related, templates))
                timings.append((_natural(related), timing.text("when"), text))
    # abc's choice among delays of one pin under several conditions depends on their order.
    yield from (text for _, _, text in sorted(timings))


def _timing(timing: Group, kind: str, related: str, templates: Mapping[str, str]) -> Iterator[str]:
    yield "timing () {"
    yield f'related_pin : "{related}";'
    yield f"timing_type : {kind};"
    sense = timing.text("timing_sense")
    if sense in _SENSES:
        yield f"timing_sense : {sense};"
    for name in _TABLES:
        table = timing.one(name)
        if table is not None:
            template = table.arguments[0] if table.arguments else ""
            if template not in templates:
                raise LibertyError(
                    f"{name} must be a table by the transition of an input and the load of an output alone "
                    f"(line {table.line})"
                )
            yield f"{name} ({templates[template]}) {{"
            yield from _rows(table, "index_1", "index_2", "values")
            yield "}"
    yield "}"


_SENSES = ("positive_unate", "negative_unate", "non_unate")


def _rows(group: Group, *names: str) -> Iterator[str]:
    for name in names:
        if rows := group.values(name):
            numbers = (", ".join(words_of([row], name)) for row in rows)
            yield name + " (" + ", ".join(f'"{row}"' for row in numbers) + ");"


def _natural(name: str) -> list[tuple[str, int]]:
    """A key by which A2 comes before A10."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D+)(\d*)", name)]
