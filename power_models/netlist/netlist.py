"""`Netlist`: a flat netlist of library cells as arrays, from the JSON that Yosys writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import ToolError
from spikesim.power_models.liberty.read import Cell, Floats, Library
from spikesim.support.jit import jit

Nets = NDArray[np.int32]
Indices = NDArray[np.int64]

ZERO, ONE, OPEN = 0, 1, -1
"""Numbers of the nets that are constant, and of a pin that is not connected."""


@dataclass(frozen=True, kw_only=True)
class CellGroup:
    """All instances of one library cell. `cells`: their numbers; `nets`: int32[cells, pins], pins as in `cell.pins`."""

    cell: Cell
    cells: Indices
    nets: Nets

    def pin(self, name: str) -> Nets:
        """int32[cells]: what pin `name` of every instance is connected to; OPEN if to nothing."""
        column: Nets = self.nets[:, list(self.cell.pins).index(name)]
        return column


@dataclass(frozen=True, kw_only=True)
class Box:
    """An instance that is no library cell (a memory): its module, its parameters, and per port its nets, LSB first."""

    name: str
    module: str
    parameters: dict[str, Any]
    ports: dict[str, Nets]


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """Nets 0 and 1 are constant. Cells are numbered; `unit` is a cell's number in `units`, its place in the hierarchy.

    * `inputs`, `outputs`: per port its nets, LSB first. `net_names`: one of each net's names.
    * `groups`: one per kind of library cell, every cell in exactly one.
    * `box_inputs`: per box the names of the ports that it reads (all others drive nets).
    * `bits`: of every net its number in the JSON it was read from; 0 and 1 for the constant ones.
    """

    library: Library
    net_names: list[str]
    inputs: dict[str, Nets]
    outputs: dict[str, Nets]
    cell_names: list[str]
    units: list[str]
    unit: Nets
    groups: list[CellGroup]
    boxes: list[Box]
    box_inputs: dict[str, frozenset[str]]
    bits: tuple[int, ...] = ()

    @property
    def nets(self) -> int:
        """How many nets there are, the two constant ones included."""
        return len(self.net_names)

    @property
    def cells(self) -> int:
        """How many library cells there are."""
        return len(self.cell_names)

    @cached_property
    def area(self) -> Floats:
        """float64[cells], in the library's unit (µm² in most)."""
        area = np.zeros(self.cells)
        for group in self.groups:
            area[group.cells] = group.cell.area
        return area

    @cached_property
    def fanout(self) -> Indices:
        """int64[nets]: input pins of cells and boxes, and output ports."""
        sinks = [nets.reshape(-1) for nets in self.outputs.values()]
        for group in self.groups:
            for name in group.cell.inputs:
                sinks.append(group.pin(name))
        for box in self.boxes:
            sinks += [nets for port, nets in box.ports.items() if port in self.box_inputs[box.module]]
        every = np.concatenate([*sinks, np.zeros(0, np.int32)])
        return np.bincount(every[every >= 0], minlength=self.nets).astype(np.int64)

    @cached_property
    def wire(self) -> Floats:
        """F, float64[nets]: the nets' wires by the library's default wire load; constant nets have none."""
        wire = self.library.wire_capacitance(self.fanout)
        wire[[ZERO, ONE]] = 0.0
        return wire

    @cached_property
    def load(self) -> Floats:
        """F, float64[nets]: wires and the input pins of cells; what boxes and output ports add is not known here."""
        load = self.wire.copy()
        for group in self.groups:
            for name in group.cell.inputs:
                nets = group.pin(name)
                np.add.at(load, nets[nets >= 0], group.cell.pins[name].capacitance)
        load[[ZERO, ONE]] = 0.0
        return load

    @cached_property
    def combinational(self) -> list[CellGroup]:
        """The groups whose outputs follow from their inputs alone: no registers, no gates of clocks."""
        return [g for g in self.groups if g.cell.register is None and g.cell.gate is None]

    @cached_property
    def levels(self) -> Nets:
        """int32[cells]: 0 for cells that are not combinational; else one more than the highest level they depend on.

        Raises ToolError if combinational cells form a loop.
        """
        sources: list[Indices] = []
        targets: list[Indices] = []
        driver = np.full(self.nets, -1, np.int64)
        for group in self.combinational:
            for name in group.cell.outputs:
                nets = group.pin(name)
                driver[nets[nets >= 0]] = group.cells[nets >= 0]
        combinational = np.zeros(self.cells, np.bool_)
        for group in self.combinational:
            combinational[group.cells] = True
            for name in group.cell.inputs:
                nets = group.pin(name)
                from_cell = np.where(nets >= 0, driver[nets], -1)
                known = from_cell >= 0
                sources.append(from_cell[known])
                targets.append(group.cells[known])
        source = np.concatenate([*sources, np.zeros(0, np.int64)])
        target = np.concatenate([*targets, np.zeros(0, np.int64)])
        order = np.argsort(source, kind="stable")
        starts = np.searchsorted(source[order], np.arange(self.cells + 1))
        waiting = np.bincount(target, minlength=self.cells)
        levels = _levels(combinational, starts, target[order], waiting)
        if np.any(levels[combinational] == 0):
            stuck = int(np.flatnonzero(combinational & (levels == 0))[0])
            raise ToolError(
                f"the netlist must have no combinational loop, but {self.cell_names[stuck]} is in one"
            )
        return levels


@jit()
def _levels(
    combinational: NDArray[np.bool_], starts: Indices, targets: Indices, waiting: Indices
) -> Nets:  # pragma: no cover (compiled)
    """A cell's level is final once all cells that drive it have theirs."""
    cells = combinational.size
    levels = np.zeros(cells, np.int32)
    ready = np.empty(cells, np.int64)
    head, tail = 0, 0
    for cell in range(cells):
        if combinational[cell] and waiting[cell] == 0:
            levels[cell] = 1
            ready[tail] = cell
            tail += 1
    reached = levels.copy()
    while head < tail:
        cell = ready[head]
        head += 1
        for i in range(starts[cell], starts[cell + 1]):
            target = targets[i]
            reached[target] = max(reached[target], levels[cell] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                levels[target] = reached[target]
                ready[tail] = target
                tail += 1
    return levels


def read_netlist(module: Mapping[str, Any], library: Library) -> Netlist:
    """A flat module of Yosys's JSON, `modules[top]`, whose cells are library cells and boxes.

    Undefined bits are 0. Raises ToolError: a net has several drivers.
    """
    numbers: dict[Any, int] = {"0": ZERO, "1": ONE, "x": ZERO, "z": ZERO}
    names = ["0", "1"]

    def net(bit: Any) -> int:
        number = numbers.get(bit)
        if number is None:
            number = numbers[bit] = len(names)
            names.append("")
        return number

    def bus(bits: list[Any]) -> Nets:
        return np.array([net(bit) for bit in bits], np.int32)

    inputs = {n: bus(p["bits"]) for n, p in module["ports"].items() if p["direction"] == "input"}
    outputs = {n: bus(p["bits"]) for n, p in module["ports"].items() if p["direction"] == "output"}
    cell_names: list[str] = []
    units: dict[str, int] = {}
    unit: list[int] = []
    members: dict[str, tuple[list[int], list[list[int]]]] = {}
    boxes: list[Box] = []
    box_inputs: dict[str, frozenset[str]] = {}
    for name, instance in module["cells"].items():
        kind = instance["type"].lstrip("\\")
        connections = instance["connections"]
        if kind not in library.cells:
            ports = {port: bus(bits) for port, bits in connections.items()}
            boxes.append(Box(name=name, module=kind, parameters=instance["parameters"], ports=ports))
            directions = instance["port_directions"]
            box_inputs[kind] = frozenset(port for port in ports if directions[port] == "input")
            continue
        cells, nets = members.setdefault(kind, ([], []))
        cells.append(len(cell_names))
        nets.append([net(b[0]) if (b := connections.get(pin)) else OPEN for pin in library.cells[kind].pins])
        unit.append(units.setdefault(unit_of(name), len(units)))
        cell_names.append(name)
    _name(names, numbers, module["netnames"])
    groups = [
        CellGroup(cell=library.cells[kind], cells=np.array(cells, np.int64), nets=np.array(nets, np.int32))
        for kind, (cells, nets) in sorted(members.items())
    ]
    netlist = Netlist(
        library=library,
        net_names=names,
        inputs=inputs,
        outputs=outputs,
        cell_names=cell_names,
        units=list(units),
        unit=np.array(unit, np.int32),
        groups=groups,
        boxes=boxes,
        box_inputs=box_inputs,
        bits=(0, 1, *(bit for bit in numbers if isinstance(bit, int))),
    )
    _check_drivers(netlist)
    return netlist


def unit_of(cell_name: str) -> str:
    """The instance path of a flattened cell, without what tools have added to it; "" at the top.

    >>> unit_of("$flatten\\\\array.\\\\list_0.$abc$26$blif$12"), unit_of("array.list_0.memory"), unit_of("$abc$3")
    ('array.list_0', 'array.list_0', '')
    """
    path = cell_name.removeprefix("$flatten").replace("\\", "").partition("$")[0]
    return path.rpartition(".")[0]


def _name(names: list[str], numbers: dict[Any, int], net_names: Mapping[str, Any]) -> None:
    """Names nets; one that a person wrote goes before one that a tool made."""
    for name, entry in sorted(net_names.items(), key=lambda item: item[1].get("hide_name", 0)):
        bits = entry["bits"]
        for i, bit in enumerate(bits):
            number = numbers.get(bit)
            if number is not None and number > ONE and not names[number]:
                names[number] = name if len(bits) == 1 else f"{name}[{i}]"
    for number, name in enumerate(names):
        names[number] = name or f"net {number}"


def _check_drivers(netlist: Netlist) -> None:
    drivers = list(netlist.inputs.values())
    for group in netlist.groups:
        drivers += [group.pin(name) for name in group.cell.outputs]
    for box in netlist.boxes:
        drivers += [n for port, n in box.ports.items() if port not in netlist.box_inputs[box.module]]
    every = np.concatenate([*drivers, np.zeros(0, np.int32)])
    counts = np.bincount(every[every >= 0], minlength=netlist.nets)
    if np.any(counts > 1):
        raise ToolError(f"net {netlist.net_names[int(np.argmax(counts))]} must have one driver, not several")
