"""`Instructions`: every output of every cell of a netlist as an operation, without an order yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import ToolError
from spikesim.power_models.gates.clocks import ClockTree
from spikesim.power_models.gates.functions import MAX_INPUTS, CellOperation, match
from spikesim.power_models.liberty.boolean import names_in, truth_table
from spikesim.power_models.liberty.library import Cell, Register
from spikesim.power_models.netlist.netlist import ONE, OPEN, ZERO, CellGroup, Netlist

Indices = NDArray[np.int64]

REGISTER, REGISTER_OUTPUT, LOGIC = 0, 1, 2
"""Stages: what a register takes over, an output that is not the state itself (QN), everything else."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """`values[i]` is output `output` of the cell in row `rows[i]` of netlist.groups[group].

    `inputs`: which of `cell.inputs` its operands are. `first`: its first instruction; −1 for outputs of registers,
    whose `inputs` is the clock pin alone.
    """

    group: int
    output: int
    inputs: tuple[int, ...]
    rows: Indices
    values: Indices
    first: int


@dataclass(frozen=True, kw_only=True)
class Instructions:
    """Values are numbered: the nets, then the `states` of registers. All arrays are int64[instructions].

    * `kind`: place in `operations`. `operands`: int64[instructions, MAX_INPUTS], OPEN beyond `arity`.
    * `node`: of the clock, −1 but for registers. `unit`: of the cell.
    * `alias`: int64[values]: the value that an operand stands for: a state for a register's output, a constant.
    """

    states: int
    operations: list[CellOperation]
    kind: Indices
    stage: Indices
    arity: Indices
    operands: Indices
    result: Indices
    node: Indices
    unit: Indices
    alias: Indices
    origins: list[Origin]


def read_instructions(netlist: Netlist, clocks: ClockTree) -> Instructions:
    """Raises ToolError: a cell is a latch or has an output without a function, or with one of too many inputs."""
    return _Reader(netlist, clocks).read()


class _Reader:
    def __init__(self, netlist: Netlist, clocks: ClockTree) -> None:
        self.netlist, self.clocks = netlist, clocks
        self.states = sum(g.cells.size for g in netlist.groups if g.cell.register is not None)
        self.alias = np.arange(netlist.nets + self.states)
        self.operations: dict[CellOperation, int] = {}
        self.columns: list[dict[str, Indices]] = []
        self.origins: list[Origin] = []
        self.count = 0

    def read(self) -> Instructions:
        state = self.netlist.nets
        for number, group in enumerate(self.netlist.groups):
            cell = group.cell
            if cell.latch:
                raise ToolError(f"cells must not be latches to be simulated, but {cell.name} is one")
            if cell.register is not None:
                self._registers(number, group, cell.register, state)
                state += group.cells.size
            elif cell.gate is None:
                self._logic(number, group)
        joined = {}
        for name in ("kind", "stage", "arity", "operands", "result", "node", "unit"):
            none = np.zeros((0, MAX_INPUTS) if name == "operands" else 0, np.int64)
            joined[name] = np.concatenate([none, *(column[name] for column in self.columns)])
        return Instructions(
            states=self.states,
            operations=list(self.operations),
            alias=self.alias,
            origins=self.origins,
            **joined,
        )

    def _logic(self, number: int, group: CellGroup) -> None:
        """Buffers of the clock are no logic; an input that is open is 0."""
        cell = group.cell
        keep = ~self.clocks.buffers[group.cells]
        for output, name in enumerate(cell.outputs):
            nets = group.pin(name).astype(np.int64)
            rows = np.flatnonzero(keep & (nets != OPEN))
            if not rows.size:
                continue
            function = cell.pins[name].function
            if not function or set(names_in(function)) - set(cell.inputs):
                raise ToolError(
                    f"output {name} of cell {cell.name} must be a function of its inputs to be simulated"
                )
            operation = match(truth_table(function, cell.inputs), len(cell.inputs))
            if isinstance(operation, bool):
                self.alias[nets[rows]] = ONE if operation else ZERO
                continue
            columns = [group.pin(cell.inputs[i])[rows].astype(np.int64) for i in operation.inputs]
            self._origin(number, output, operation.inputs, rows, nets[rows], self.count)
            self._add(LOGIC, operation, columns, nets[rows], group.cells[rows])

    def _registers(self, number: int, group: CellGroup, register: Register, state: int) -> None:
        cell = group.cell
        cells = group.cells
        states = np.arange(state, state + cells.size)
        names = _next_state_names(cell, register)
        operation = match(_next_state(register, names), len(names))
        if isinstance(operation, bool):
            raise ToolError(f"the next state of cell {cell.name} must depend on something")
        columns = [
            states if names[i] == register.state else group.pin(names[i]).astype(np.int64)
            for i in operation.inputs
        ]
        self._add(REGISTER, operation, columns, states, cells, self.clocks.cell_node[cells])
        clock = (cell.inputs.index(names_in(register.clocked_on)[0]),)
        direct = np.zeros(cells.size, np.bool_)  # the state lies in the net of an output
        for output, name in enumerate(cell.outputs):
            nets = group.pin(name).astype(np.int64)
            table = _of_state(register, cell.pins[name].function)
            if table is None:
                raise ToolError(
                    f"output {name} of register {cell.name} must be a function of its state alone"
                )
            shown = nets != OPEN
            straight = shown & ~direct if table == match(0b10, 1) else np.zeros(cells.size, np.bool_)
            self.alias[nets[straight]] = states[straight]
            direct |= straight
            self._origin(number, output, clock, np.flatnonzero(straight), states[straight], -1)
            rows = np.flatnonzero(shown & ~straight)
            if rows.size:
                self._origin(number, output, clock, rows, nets[rows], -1)
                self._add(REGISTER_OUTPUT, table, [states[rows]], nets[rows], cells[rows])

    def _origin(
        self, group: int, output: int, inputs: tuple[int, ...], rows: Indices, values: Indices, first: int
    ) -> None:
        if rows.size:
            self.origins.append(
                Origin(group=group, output=output, inputs=inputs, rows=rows, values=values, first=first)
            )

    def _add(
        self,
        stage: int,
        operation: CellOperation,
        columns: list[Indices],
        result: Indices,
        cells: Indices,
        node: Indices | None = None,
    ) -> None:
        # Operations count as one whatever the order of the cell's pins.
        kind = self.operations.setdefault(
            operation._replace(inputs=tuple(range(len(columns)))), len(self.operations)
        )
        operands = np.full((result.size, MAX_INPUTS), OPEN, np.int64)
        for j, column in enumerate(columns):
            operands[:, j] = np.where(column == OPEN, ZERO, column)
        every = np.ones(result.size, np.int64)
        self.columns.append(
            {
                "kind": every * kind,
                "stage": every * stage,
                "arity": every * len(columns),
                "operands": operands,
                "result": result,
                "node": -every if node is None else node,
                "unit": self.netlist.unit[cells].astype(np.int64),
            }
        )
        self.count += result.size


def _next_state_names(cell: Cell, register: Register) -> list[str]:
    """What the next state may depend on: pins, and the register's own state as the last."""
    used = names_in(register.next_state)
    return [*(pin for pin in cell.inputs if pin in used), register.state]


def _next_state(register: Register, names: list[str]) -> int:
    """The truth table over `names`; the inverse of the state follows from the state."""
    wide = truth_table(register.next_state, [*names, register.inverse])
    state = len(names) - 1
    table = 0
    for n in range(1 << len(names)):
        inverse = 1 - (n >> state & 1)
        table |= (wide >> (n | inverse << len(names)) & 1) << n
    return table


def _of_state(register: Register, function: str) -> CellOperation | None:
    if not function or set(names_in(function)) - {register.state, register.inverse}:
        return None
    wide = truth_table(function, [register.state, register.inverse])
    operation = match(
        (wide >> 2 & 1) | (wide >> 1 & 1) << 1, 1
    )  # the state is 0, its inverse 1; the state is 1
    return None if isinstance(operation, bool) else operation
