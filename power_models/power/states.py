"""`CellStates`: how probable every state of a cell's inputs and memory is, and with it every condition on them.

Pins count as independent of one another, but an output as the function of the inputs that it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.boolean import holds, names_in, state_probabilities, truth_table
from spikesim.power_models.liberty.library import Cell, Floats
from spikesim.power_models.netlist.netlist import OPEN, CellGroup

_UNKNOWN = 0.5
"""Probability of a 1 where the netlist says nothing: at a pin that is not connected, in an unused register."""


class CellStates:
    """The states of all instances of one library cell.

    `ones`: float64[nets], how probable a 1 is; `clock_ones`: float64[cells], the same at the instances' clock pins.
    Raises LibertyError: a function cannot be read, or a register's output does not show its state.
    """

    def __init__(self, group: CellGroup, ones: Floats, clock_ones: Floats) -> None:
        cell = self._cell = group.cell
        variables = {name: _of_pin(group, name, ones) for name in cell.inputs}
        if cell.clock:
            variables[cell.clock] = clock_ones
        aliases = {}
        if cell.register is not None:
            variables[cell.register.state] = _register_ones(group, ones)
            aliases[cell.register.inverse] = f"!{cell.register.state}"
        elif cell.gate is not None:
            # What the output's function names beside pins is the state of the latch: it lets this share of pulses pass.
            passed = _of_pin(group, cell.gate[2], ones)
            share = np.divide(passed, clock_ones, out=np.zeros_like(passed), where=clock_ones > 0)
            for name in names_in(cell.pins[cell.gate[2]].function):
                variables.setdefault(name, np.clip(share, 0.0, 1.0))
        for name in cell.outputs:
            function = cell.pins[name].function
            if function and set(names_in(function)) <= variables.keys() | aliases.keys():
                aliases[name] = function
            else:  # of no known function: like another input
                variables[name] = _of_pin(group, name, ones)
        self._names = list(variables)
        self._tables: dict[str, int] = {}
        for name, function in aliases.items():
            self._tables[name] = truth_table(function, self._names, self._tables)
        self._states = state_probabilities(list(variables.values()))

    def shares(self, conditions: Sequence[str], counted: NDArray[np.bool_] | None = None) -> Floats:
        """float64[conditions, cells]: how probable each condition is.

        Conditions that hold together share the state equally; "" is what no other covers. `counted`: bool[states],
        only these count. Raises LibertyError: a condition cannot be read or is not of the cell's pins.
        """
        masks = np.zeros((len(conditions), self._states.shape[1]))
        for i, when in enumerate(conditions):
            if when:
                masks[i] = holds(truth_table(when, self._names, self._tables), len(self._names))
        covered = masks.sum(axis=0)
        masks /= np.maximum(covered, 1)
        for i, when in enumerate(conditions):
            if not when:
                masks[i] = covered == 0
        if counted is not None:
            masks *= counted
        return np.asarray(masks @ self._states.T)

    def follows(self, output: str, pin: str) -> NDArray[np.bool_] | None:
        """bool[states]: where `output` changes with `pin` alone; None for memory and unknown functions."""
        if self._cell.clock or output not in self._tables or pin not in self._names:
            return None
        bits = holds(self._tables[output], len(self._names))
        return np.asarray(bits != bits[np.arange(bits.size) ^ (1 << self._names.index(pin))])


def register_outputs(cell: Cell) -> dict[str, bool]:
    """A register's outputs: whether each shows the state, or its inverse. Raises LibertyError: neither."""
    shown = {}
    if cell.register is not None:
        for name in cell.outputs:
            table = truth_table(
                cell.pins[name].function, [cell.register.state], {cell.register.inverse: 0b01}
            )
            if table not in (0b10, 0b01):
                raise LibertyError(
                    f"output {name} of {cell.name} must be the register's state or its inverse"
                )
            shown[name] = table == 0b10
    return shown


def _of_pin(group: CellGroup, name: str, ones: Floats) -> Floats:
    nets = group.pin(name)
    return np.where(nets == OPEN, _UNKNOWN, ones[nets])


def _register_ones(group: CellGroup, ones: Floats) -> Floats:
    state = np.full(group.cells.size, _UNKNOWN)
    for name, direct in register_outputs(group.cell).items():
        nets = group.pin(name)
        state = np.where(nets == OPEN, state, ones[nets] if direct else 1 - ones[nets])
    return state
