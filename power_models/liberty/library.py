"""`Library`: what synthesis, timing and power know of a cell library. All units are SI, but areas stay the library's
(µm² in most, which Liberty does not say). Slews are between the library's own thresholds: they are only ever compared
with slews of the same library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.power_models.liberty.boolean import names_in, truth_table

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Table:
    """values[slew, load]: by the slew of the input, s, and the load of the output, F; an axis may have one point.

    Of a setup time: by the slews of data and clock.
    """

    slews: Floats
    loads: Floats
    values: Floats

    def at(self, slew: Floats, load: Floats) -> Floats:
        """float64[items]: between the points by both axes in proportion, beyond them on as between the last two."""
        i, along = _place(self.slews, slew)
        j, across = _place(self.loads, load)
        k, m = np.minimum(i + 1, self.slews.size - 1), np.minimum(j + 1, self.loads.size - 1)
        low = self.values[i, j] * (1 - across) + self.values[i, m] * across
        high = self.values[k, j] * (1 - across) + self.values[k, m] * across
        return np.asarray(low * (1 - along) + high * along)


def _place(axis: Floats, at: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The point before, and how far on towards the next, 1 being there."""
    if axis.size == 1:
        return np.zeros(at.shape, np.int64), np.zeros(at.shape)
    i = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, axis.size - 2)
    return i, (at - axis[i]) / (axis[i + 1] - axis[i])


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The largest of several tables, point by point: which of their conditions holds is not known."""

    tables: tuple[Table, ...]

    def at(self, slew: Floats, load: Floats) -> Floats:
        """float64[items]: as `Table.at`."""
        return np.asarray(np.max([table.at(slew, load) for table in self.tables], axis=0))


@dataclass(frozen=True, kw_only=True)
class Arc:
    """How an output follows an input pin: delays and output slews, s, of its (rise, fall); None: it does not so fall.

    `sense`: +1, −1, 0 for both. `clocked`: `related` is a clock whose rising edge alone counts.
    """

    related: str
    sense: int
    delay: tuple[Table | None, Table | None]
    slew: tuple[Table | None, Table | None]
    clocked: bool = False


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy inside the cell, J, of a transition of a pin: (rise, fall), by the slew of the input and the load.

    `related`: the input that causes an output's transition, "" for an input's own. `when`: its condition or "".
    """

    related: str
    when: str
    tables: tuple[Table, Table]


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A pin. `rise_capacitance`, `fall_capacitance`: F, against a rising and a falling edge.

    `function`: of an output, "" if unknown. `setup`: s, of a data input, (rise, fall).
    """

    name: str
    direction: str
    rise_capacitance: float
    fall_capacitance: float
    function: str = ""
    arcs: tuple[Arc, ...] = ()
    energies: tuple[Energy, ...] = ()
    setup: tuple[Table | Worst, Table | Worst] | None = None
    clock: bool = False

    @property
    def capacitance(self) -> float:
        """F, averaged over both edges."""
        return (self.rise_capacitance + self.fall_capacitance) / 2


@dataclass(frozen=True, kw_only=True)
class Register:
    """A flip-flop's behaviour: what it takes over at an edge of its clock; names of its state and its inverse."""

    state: str
    inverse: str
    next_state: str
    clocked_on: str
    asynchronous: bool

    @property
    def clock(self) -> str:
        """The pin that clocks it; "" if it is not exactly one."""
        names = names_in(self.clocked_on)
        return names[0] if len(names) == 1 else ""

    @property
    def rising(self) -> bool:
        """Whether it takes over at the rising edge of that pin."""
        return bool(self.clock) and truth_table(self.clocked_on, [self.clock]) == 0b10


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell. `register`, `gate` (of a clock: pins clock, enable, output) or neither.

    `leakage`: (condition, W), last the one of all other states with the condition "". `unused`: why nothing is mapped
    to it, "" if it may be used.
    """

    name: str
    area: float
    leakage: tuple[tuple[str, float], ...]
    pins: dict[str, Pin]
    register: Register | None = None
    gate: tuple[str, str, str] | None = None
    latch: bool = False
    unused: str = ""

    @property
    def inputs(self) -> list[str]:
        """Names of its input pins."""
        return [name for name, pin in self.pins.items() if pin.direction == "input"]

    @property
    def outputs(self) -> list[str]:
        """Names of its output pins."""
        return [name for name, pin in self.pins.items() if pin.direction == "output"]

    @property
    def clock(self) -> str:
        """The clock pin of a register or clock gate; "" of other cells."""
        if self.gate is not None:
            return self.gate[0]
        names = names_in(self.register.clocked_on) if self.register else []
        return names[0] if names else ""


@dataclass(frozen=True, kw_only=True)
class Library:
    """A cell library at one corner.

    * `wire_load`: capacitance of a net's wire, F, by fan-out from 1; empty: none. `wire_slope`: F per fan-out beyond.
    * `text`: what Yosys and abc read of it (`spelled.py`). `digest`: hexadecimal, of the file it was read from.
    """

    name: str
    voltage: float
    temperature: float
    cells: dict[str, Cell]
    wire_load: Floats
    wire_slope: float = 0.0
    text: str = ""
    digest: str = ""

    @property
    def usable(self) -> dict[str, Cell]:
        """The cells that a design may be mapped to."""
        return {name: cell for name, cell in self.cells.items() if not cell.unused}

    def wire_capacitance(self, fanout: NDArray[np.int64]) -> Floats:
        """F, by the library's default wire load model."""
        if not self.wire_load.size:
            return np.zeros(fanout.shape)
        last = self.wire_load.size
        known = self.wire_load[np.clip(fanout, 1, last) - 1]
        return np.where(fanout > 0, known + np.maximum(fanout - last, 0) * self.wire_slope, 0.0)
