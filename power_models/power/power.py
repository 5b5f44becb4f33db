"""`power`: what every cell of a netlist dissipates under a measured activity, by its library's tables.

* Leakage: by the state of the pins, each state weighted with its probability.
* Internal: energy per transition of an input pin (of a clock pin two per pulse) and of an output pin. An output's
  transition is charged to its inputs in proportion to how often each switches while the output would follow it.
  Rising and falling transitions are equally many.
* Switching: ½·C·V² per transition of a net; C is the wire and every pin that it drives, charged to its driver.

Conditions are weighted as if pins were independent of one another. Slews and loads are those of static timing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikesim.errors import ToolError
from spikesim.power_models.gates.activity import Activity
from spikesim.power_models.liberty.boolean import MOST_NAMES
from spikesim.power_models.liberty.library import Energy, Floats
from spikesim.power_models.netlist.netlist import ONE, OPEN, ZERO, CellGroup, Netlist
from spikesim.power_models.power.states import CellStates, register_outputs
from spikesim.power_models.timing.analysis import StaticTiming

_CHUNK = 1 << 21
"""Probabilities of states held at a time: 16 MB."""


@dataclass(frozen=True, kw_only=True)
class PowerResult:
    """W. `leakage_w`, `internal_w`, `switching_w`: float64[cells], the last of the nets that a cell drives.

    * `net_switching_w`: float64[nets], also of those that ports and memories drive, which no cell has.
    * `without_energy`, `without_leakage`: kinds of cells in use for which the library states none: they count as 0.
    """

    leakage_w: Floats
    internal_w: Floats
    switching_w: Floats
    net_switching_w: Floats
    without_energy: tuple[str, ...]
    without_leakage: tuple[str, ...]

    @property
    def total_w(self) -> float:
        """Of all cells and nets."""
        return float(self.leakage_w.sum() + self.internal_w.sum() + self.net_switching_w.sum())

    def by_unit(self, netlist: Netlist) -> dict[str, tuple[float, float, float]]:
        """Leakage, internal and switching power of the cells of every unit, and of all nets that they drive."""
        parts = [
            np.bincount(netlist.unit, weights, len(netlist.units))
            for weights in (self.leakage_w, self.internal_w, self.switching_w)
        ]
        return {
            unit: (float(leak), float(inner), float(outer))
            for unit, leak, inner, outer in zip(netlist.units, *parts, strict=True)
        }


def power(netlist: Netlist, timing: StaticTiming, activity: Activity, *, frequency_hz: float) -> PowerResult:
    """Power at a clock frequency. `timing`, `activity`: of this netlist.

    Raises ToolError: the activity is of another netlist or of no cycles; LibertyError: a condition cannot be read.
    """
    _check(netlist, activity, frequency_hz)
    per_second = frequency_hz / activity.cycles
    toggles = activity.toggles.copy()
    toggles[[ZERO, ONE]] = 0.0
    ones = np.clip(activity.ones / activity.cycles, 0.0, 1.0)
    ones[[ZERO, ONE]] = 0.0, 1.0
    nets = toggles * per_second * 0.5 * timing.load * netlist.library.voltage**2
    leakage, internal, switching = np.zeros(netlist.cells), np.zeros(netlist.cells), np.zeros(netlist.cells)
    for group in _chunks(netlist.groups):
        pulses = activity.clock_pulses[group.cells]
        states = CellStates(group, ones, np.clip(pulses / (2 * activity.cycles), 0.0, 1.0))
        conditions = list(dict.fromkeys(when for when, _ in group.cell.leakage))
        shares = dict(zip(conditions, states.shares(conditions), strict=True))
        for when, watts in group.cell.leakage:
            leakage[group.cells] += shares[when] * watts
        pins = _Pins(group, timing, toggles, pulses)
        internal[group.cells] = _internal(group, states, pins) * per_second
        for name in group.cell.outputs:
            driven = group.pin(name)
            switching[group.cells] += np.where(driven == OPEN, 0.0, nets[driven])
    cells = [group.cell for group in netlist.groups]
    return PowerResult(
        leakage_w=leakage,
        internal_w=internal,
        switching_w=switching,
        net_switching_w=nets,
        without_energy=tuple(c.name for c in cells if not any(pin.energies for pin in c.pins.values())),
        without_leakage=tuple(c.name for c in cells if not any(watts for _, watts in c.leakage)),
    )


def _chunks(groups: list[CellGroup]) -> Iterator[CellGroup]:
    """The groups in pieces, so that all states of all cells of one fit into memory."""
    for group in groups:
        states = 1 << min(len(group.cell.inputs) + 2, MOST_NAMES)
        length = max(1, _CHUNK // states)
        for start in range(0, group.cells.size, length):
            part = slice(start, start + length)
            yield CellGroup(cell=group.cell, cells=group.cells[part], nets=group.nets[part])


def _check(netlist: Netlist, activity: Activity, frequency_hz: float) -> None:
    if not frequency_hz > 0:
        raise ToolError(f"the frequency must be positive, not {frequency_hz:g} Hz")
    if activity.cycles < 1:
        raise ToolError(f"the activity must be of at least one cycle, not {activity.cycles}")
    sizes = (activity.toggles.size, activity.ones.size, activity.clock_pulses.size)
    if sizes != (netlist.nets, netlist.nets, netlist.cells):
        raise ToolError(
            f"the activity must be of {netlist.nets} nets and {netlist.cells} cells as the netlist, "
            f"not of {sizes[0]} and {sizes[2]}"
        )


class _Pins:
    """Transitions, slews and loads at the pins of all instances of one library cell, float64[cells] each."""

    def __init__(self, group: CellGroup, timing: StaticTiming, toggles: Floats, pulses: Floats) -> None:
        self._group = group
        self._timing = timing
        self._slews = timing.slew.mean(axis=1)
        self._toggles = toggles
        self._pulses = pulses
        self._outputs = register_outputs(group.cell)

    def toggles(self, name: str) -> Floats:
        """Of a clock pin two per pulse. A register's output that is not connected switches with the other."""
        if name == self._group.cell.clock:
            return 2 * self._pulses
        nets = self._group.pin(name)
        known = np.where(nets == OPEN, 0.0, self._toggles[nets])
        for other in self._outputs if name in self._outputs else ():
            twin = self._group.pin(other)
            known = np.where((nets == OPEN) & (twin != OPEN), self._toggles[twin], known)
        return known

    def slew(self, name: str) -> Floats:
        """s, averaged over both edges."""
        nets = self._group.pin(name)
        return np.where(nets > ONE, self._slews[nets], 0.0)

    def load(self, name: str) -> Floats:
        """F."""
        nets = self._group.pin(name)
        return np.where(nets > ONE, self._timing.load[nets], 0.0)


def _internal(group: CellGroup, states: CellStates, pins: _Pins) -> Floats:
    """J, float64[cells], of all transitions."""
    energy = np.zeros(group.cells.size)
    for name in group.cell.inputs:
        per_condition: dict[str, list[Energy]] = {}
        for entry in group.cell.pins[name].energies:
            per_condition.setdefault(entry.when, []).append(entry)
        for share, entries in zip(states.shares(list(per_condition)), per_condition.values(), strict=True):
            energy += pins.toggles(name) * share * _joules(entries, pins.slew(name), np.zeros_like(energy))
    for name in group.cell.outputs:
        energy += pins.toggles(name) * _output_joules(group, name, states, pins)
    return energy


def _output_joules(group: CellGroup, name: str, states: CellStates, pins: _Pins) -> Floats:
    """J, float64[cells], of one transition of an output."""
    by_cause: dict[str, dict[str, list[Energy]]] = {}
    for entry in group.cell.pins[name].energies:
        by_cause.setdefault(entry.related, {}).setdefault(entry.when, []).append(entry)
    weights: list[Floats] = []
    joules: list[Floats] = []
    for related, per_condition in by_cause.items():
        cause = related or min(group.cell.inputs, default="")
        shares = states.shares(list(per_condition), states.follows(name, related))
        for share, entries in zip(shares, per_condition.values(), strict=True):
            weights.append(share * pins.toggles(cause))
            joules.append(_joules(entries, pins.slew(cause), pins.load(name)))
    if not weights:
        return np.zeros(group.cells.size)
    weight, joule = np.array(weights), np.array(joules)
    # An output that switches although no input seems to let it: pins are not as independent as they count here.
    weight = np.where(weight.sum(axis=0) > 0, weight, 1.0)
    return np.asarray((weight * joule).sum(axis=0) / weight.sum(axis=0))


def _joules(entries: list[Energy], slew: Floats, load: Floats) -> Floats:
    """Of a rising and a falling transition the mean; several entries (one per supply) add up."""
    each = [table.at(slew, load) for entry in entries for table in entry.tables]
    return np.asarray(sum(each, np.zeros(slew.shape)) / 2)
