"""`buffered`: buffers behind what drives too much, once the parts of a design are joined.

abc sizes and buffers within a part; it does not see that a register of one part drives a hundred pins of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from spikesim.power_models.liberty.boolean import truth_table
from spikesim.power_models.liberty.library import Cell, Library
from spikesim.power_models.netlist.netlist import Netlist
from spikesim.power_models.timing.analysis import StaticTiming

SLOWEST_S = 0.15e-9
"""A net whose edge takes longer gets buffers: about what a gate of Nangate45 shows at the load it is made for."""
_GROUP = 12
"""Pins behind one buffer."""


def overloaded(netlist: Netlist, timing: StaticTiming) -> list[int]:
    """Nets with slow edges and more than one group of pins, driven by cells."""
    driven = np.zeros(netlist.nets, np.bool_)
    for group in netlist.groups:
        for name in group.cell.outputs:
            nets = group.pin(name)
            driven[nets[nets >= 0]] = True
    slow = (timing.slew.max(axis=1) > SLOWEST_S) & (netlist.fanout > _GROUP) & driven
    return [int(net) for net in np.flatnonzero(slow)]


def buffer_of(library: Library) -> Cell | None:
    """The smallest buffer of at least twice the smallest inverter's drive, by area; None without buffers."""
    buffers = sorted(
        (cell for cell in library.usable.values() if _is_buffer(cell)), key=lambda cell: cell.area
    )
    return buffers[min(2, len(buffers) - 1)] if buffers else None


def _is_buffer(cell: Cell) -> bool:
    if cell.register or cell.gate or cell.latch or len(cell.inputs) != 1 or len(cell.outputs) != 1:
        return False
    function = cell.pins[cell.outputs[0]].function
    return bool(function) and truth_table(function, cell.inputs) == 0b10


def buffered(
    module: dict[str, Any], library: Library, bits: Sequence[int], inputs: dict[str, frozenset[str]]
) -> dict[str, Any]:
    """The flat module (`Synthesis.netlist`) with a tree of buffers behind each net of `bits`, Yosys's numbers.

    `inputs`: ports that read, by the name of a box's module. Buffers belong to the unit that drives the net. Without
    a buffer in the library nothing changes.
    """
    buffer = buffer_of(library)
    if buffer is None or not bits:
        return module
    wanted = set(bits)
    sinks: dict[int, list[tuple[str, str, int]]] = {bit: [] for bit in bits}
    drivers: dict[int, str] = {}
    cells = dict(module["cells"])
    for name, cell in cells.items():
        kind = cell["type"].lstrip("\\")
        known = library.cells.get(kind)
        for port, connected in cell["connections"].items():
            for i, bit in enumerate(connected):
                if bit not in wanted:
                    continue
                reads = known.pins[port].direction == "input" if known else port in inputs[kind]
                if reads:
                    sinks[bit].append((name, port, i))
                else:
                    drivers[bit] = name
    fresh = _fresh(module)
    for bit in bits:
        pins = sinks[bit]
        number = 0
        while len(pins) > _GROUP:
            behind = []
            for first in range(0, len(pins), _GROUP):
                output = next(fresh)
                for name, port, i in pins[first : first + _GROUP]:
                    cells[name] = _connected(cells[name], port, i, output)
                added = f"{_unit(drivers[bit])}$buffer${bit}${number}"
                number += 1
                cells[added] = {
                    "hide_name": 1,
                    "type": buffer.name,
                    "parameters": {},
                    "attributes": {},
                    "port_directions": {buffer.inputs[0]: "input", buffer.outputs[0]: "output"},
                    "connections": {buffer.inputs[0]: [bit], buffer.outputs[0]: [output]},
                }
                behind.append((added, buffer.inputs[0], 0))
            pins = behind
    return {**module, "cells": cells}


def _fresh(module: dict[str, Any]) -> Iterator[int]:
    highest = max(
        (
            bit
            for cell in module["cells"].values()
            for bits in cell["connections"].values()
            for bit in bits
            if isinstance(bit, int)
        ),
        default=1,
    )
    while True:
        highest += 1
        yield highest


def _connected(cell: dict[str, Any], port: str, index: int, bit: int) -> dict[str, Any]:
    bits = list(cell["connections"][port])
    bits[index] = bit
    return {**cell, "connections": {**cell["connections"], port: bits}}


def _unit(cell_name: str) -> str:
    """The start of a cell's name up to its own: what `netlist.unit_of` reads the unit from."""
    head, dollar, _ = cell_name.removeprefix("$flatten").partition("$")
    return f"$flatten{head}" if dollar and "." in head else ""
