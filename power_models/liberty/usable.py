"""Which cells a design may be mapped to: those alone whose function and times are known here.

Yosys and abc never see the others (`spelled.py`): what they cannot choose, nobody can misread.
"""

from __future__ import annotations

import re

import numpy as np

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.boolean import MOST_NAMES, holds, names_in, truth_table
from spikesim.power_models.liberty.library import Cell, Register
from spikesim.power_models.liberty.text import Group
from spikesim.support.shown import shown

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
"""Of cells and of what they hold: fit to be written into the text that Yosys reads."""
LATCH = "it is a latch"
_SPECIAL = {
    "is_level_shifter": "it shifts levels",
    "is_isolation_cell": "it isolates",
    "always_on": "it is always on",
    "pad_cell": "it is a pad",
    "is_macro_cell": "it is a macro",
}
_SPECIAL_NAMED = {
    "switch_cell_type": "it switches power",
    "retention_cell": "it retains its state",
}
_GROUPS = {
    "bus": "it has a bus",
    "bundle": "it has a bundle",
    "ff_bank": "it has several flip-flops",
    "latch_bank": "it has several latches",
    "memory": "it is a memory",
}


def shape_of(group: Group) -> str:
    """Why a cell is of no use whatever its pins are; "" if that is not so."""
    for name, reason in _GROUPS.items():
        if next(group.all(name), None):
            return reason
    several = (name for name in ("ff", "latch") if len(list(group.all(name))) > 1)
    return next((_GROUPS[f"{name}_bank"] for name in several), "")


def states_of(memory: Group) -> list[str]:
    """The names of an `ff` or `latch` group's state and of its inverse. Raises LibertyError: it has not these two."""
    names = [name for argument in memory.arguments for name in re.split(r"[\s,]+", argument) if name]
    if len(names) != 2 or not all(NAME.fullmatch(name) for name in names):
        raise LibertyError(
            f"{memory.name} must name its state and the inverse of it, not {shown(memory.arguments)}"
        )
    return names


def why_unused(cell: Cell, group: Group, library: Group) -> str:
    """Why nothing is mapped to a cell; "" if it may be used. Raises LibertyError: a statement is unsound."""
    if group.flag("dont_use"):
        return "the library says dont_use"
    for name, reason in _SPECIAL.items():
        if group.flag(name):
            return reason
    for name, reason in _SPECIAL_NAMED.items():
        if group.text(name):
            return reason
    if not group.text("area"):
        return "its area is not stated"
    return _pins(cell, group, library) or (
        _gate(cell, cell.gate)
        if cell.gate
        else _register(cell, cell.register, group)
        if cell.register
        else LATCH
        if cell.latch
        else _logic(cell, group)
    )


def _pins(cell: Cell, group: Group, library: Group) -> str:
    for pin in group.all("pin"):
        direction = pin.text("direction")
        name = shown(", ".join(pin.arguments))[1:-1]
        if direction not in ("input", "output", "internal"):
            return f"pin {name} is no input and no output"
        if pin.text("three_state"):
            return f"pin {name} may drive nothing"
        names = ("capacitance", "rise_capacitance", "fall_capacitance")
        if (
            direction == "input"
            and not any(pin.text(n) for n in names)
            and not library.text("default_input_pin_cap")
        ):
            return f"the capacitance of pin {name} is not stated"
        if any(not n.replace("_", "a").isalnum() or not n.isascii() for n in pin.arguments):
            return f"pin {name} has an unusual name"
    return "" if cell.outputs else "it has no output"


def _gate(cell: Cell, gate: tuple[str, str, str]) -> str:
    clock, enable, output = gate
    if sorted(cell.inputs) != sorted((clock, enable)) or cell.outputs != [output]:
        return "it gates a clock and has other pins"
    return "" if cell.pins[enable].setup else f"the setup time of pin {enable} is not stated"


def _register(cell: Cell, register: Register, group: Group) -> str:
    if not register.rising or register.clock not in cell.inputs or _also(group):
        return "it does not take over at the rising edge of one pin"
    used = names_in(register.next_state)
    if not used or set(used) - {*cell.inputs, register.state, register.inverse}:
        return "what it takes over is not a function of its pins"
    for name in used:
        if name in cell.inputs and cell.pins[name].setup is None:
            return f"the setup time of pin {name} is not stated"
    for name in cell.outputs:
        function = cell.pins[name].function
        if set(names_in(function)) - {register.state, register.inverse} or not function:
            return f"output {name} is not its state"
        if truth_table(function, [register.state], {register.inverse: 0b01}) not in (0b01, 0b10):
            return f"output {name} is not its state"
        if not _delayed(cell, name, register.clock, clocked=True):
            return f"there is no delay from {register.clock} to {name}"
    return ""


def _also(cell: Group) -> bool:
    """Whether the flip-flop has a second clock."""
    return any(ff.text("clocked_on_also") for ff in cell.all("ff"))


def _logic(cell: Cell, group: Group) -> str:
    if group.text("clock_gating_integrated_cell") or next(group.all("statetable"), None):
        return "it holds a state that is not known"
    inputs = cell.inputs
    if len(inputs) > MOST_NAMES:
        return f"it has more than {MOST_NAMES} inputs"
    for name in cell.outputs:
        function = cell.pins[name].function
        if not function:
            return f"the function of {name} is not stated"
        if set(names_in(function)) - set(inputs):
            return f"the function of {name} is not one of its inputs"
        bits = holds(truth_table(function, inputs), len(inputs))
        for i, related in enumerate(inputs):
            follows = np.any(bits != bits[np.arange(bits.size) ^ (1 << i)])
            if follows and not _delayed(cell, name, related, clocked=False):
                return f"there is no delay from {related} to {name}"
    return ""


def _delayed(cell: Cell, output: str, related: str, *, clocked: bool) -> bool:
    arcs = [arc for arc in cell.pins[output].arcs if arc.related == related and arc.clocked == clocked]
    return all(any(arc.delay[edge] is not None for arc in arcs) for edge in (0, 1))
