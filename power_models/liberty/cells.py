"""A cell of a Liberty file: `read_cell`. Where a file states a time several times, all statements are kept, and the
worst of them counts: which of their conditions holds is not known.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.boolean import one_spelling
from spikesim.power_models.liberty.leakage import leakage_of
from spikesim.power_models.liberty.library import Arc, Cell, Energy, Pin, Register, Table, Worst
from spikesim.power_models.liberty.tables import ZERO, Units, table
from spikesim.power_models.liberty.text import Group
from spikesim.power_models.liberty.timings import DELAYS, kind_of, related_pins
from spikesim.power_models.liberty.usable import NAME, shape_of, states_of, why_unused
from spikesim.support.shown import shown

_LONGEST_FUNCTION = 10_000


def read_cell(group: Group, library: Group, units: Units) -> Cell:
    """Raises LibertyError, which names the cell."""
    name = group.arguments[0] if len(group.arguments) == 1 else ""
    if not NAME.fullmatch(name):
        raise LibertyError(
            f"the name of a cell must be of letters, digits, _ and $, not {shown(name)} (line {group.line})"
        )
    try:
        return _cell(name, group, library, units)
    except LibertyError as error:
        raise LibertyError(f"cell {name}: {error}") from None


def _cell(name: str, group: Group, library: Group, units: Units) -> Cell:
    shape = shape_of(group)
    if shape:  # of no use here, and of rules of its own
        return Cell(name=name, area=_not_negative(group, "area"), leakage=(("", 0.0),), pins={}, unused=shape)
    gating = group.text("clock_gating_integrated_cell")
    pins: dict[str, Pin] = {}
    roles: dict[str, str] = {}
    for pin in group.all("pin"):
        for pin_name in pin.arguments:
            if pin_name in pins:
                raise LibertyError(
                    f"pin {shown(pin_name)[1:-1]} must be described once, not again in line {pin.line}"
                )
            pins[pin_name] = _pin(pin, pin_name, library, units, gating=bool(gating))
            for role in ("clock", "enable", "out"):
                if pin.flag(f"clock_gate_{role}_pin"):
                    roles[role] = pin_name
    _check_related(pins)
    gate = None
    if gating == "latch_posedge" and len(roles) == 3:
        gate = roles["clock"], roles["enable"], roles["out"]
    cell = Cell(
        name=name,
        area=_not_negative(group, "area"),
        leakage=leakage_of(group, library, units),
        pins=pins,
        register=_register(group),
        gate=gate,
        latch=gate is None and next(group.all("latch"), None) is not None,
    )
    return dataclasses.replace(cell, unused=why_unused(cell, group, library))


def _check_related(pins: dict[str, Pin]) -> None:
    for pin in pins.values():
        for related in (*(arc.related for arc in pin.arcs), *(energy.related for energy in pin.energies)):
            if related and related not in pins:
                raise LibertyError(
                    f"related_pin of {pin.name} must be a pin of the cell, not {shown(related)}"
                )


def _register(group: Group) -> Register | None:
    ff = group.one("ff")
    if ff is None:
        return None
    names = states_of(ff)
    return Register(
        state=names[0],
        inverse=names[1],
        next_state=_expression(ff, "next_state"),
        clocked_on=_expression(ff, "clocked_on"),
        asynchronous=bool(ff.text("clear") or ff.text("preset")),
    )


def _pin(group: Group, name: str, library: Group, units: Units, *, gating: bool) -> Pin:
    direction = group.text("direction")
    capacitance = _not_negative(group, "capacitance", library.number(f"default_{direction}_pin_cap"))
    rise, fall = (_not_negative(group, f"{edge}_capacitance", capacitance) for edge in ("rise", "fall"))
    arcs: list[Arc] = []
    constraints: tuple[list[Table], list[Table]] = [], []
    for timing in group.all("timing"):
        kind = kind_of(timing)
        if kind == "setup_rising":
            related_pins(timing)
            for found, stated in zip(
                constraints, _edges(timing, _CONSTRAINTS, units, units.time), strict=True
            ):
                found += [stated] if stated else []
        elif kind in DELAYS:
            arcs += _arcs(timing, units, clocked=kind == "rising_edge")
    function = _expression(group, "function")
    if gating and not function:
        function = _expression(group, "state_function")
    return Pin(
        name=name,
        direction=direction,
        rise_capacitance=rise * units.load,
        fall_capacitance=fall * units.load,
        function=function,
        arcs=tuple(arcs),
        energies=_energies(group, units),
        setup=_setup(*constraints),
        clock=group.flag("clock") or group.flag("clock_gate_clock_pin"),
    )


def _setup(rise: list[Table], fall: list[Table]) -> tuple[Table | Worst, Table | Worst] | None:
    """An edge that none states is like the other."""
    if not rise and not fall:
        return None
    return _worst(rise or fall), _worst(fall or rise)


def _worst(tables: list[Table]) -> Table | Worst:
    return tables[0] if len(tables) == 1 else Worst(tables=tuple(tables))


def _arcs(timing: Group, units: Units, *, clocked: bool) -> list[Arc]:
    delay = _edges(timing, _DELAY, units, units.time)
    slew = _edges(timing, _TRANSITIONS, units, units.time)
    for stated, other, name, missing in zip(delay, slew, _DELAY, _TRANSITIONS, strict=True):
        if (stated is None) != (other is None):
            raise LibertyError(f"timing must have both {name} and {missing}, or neither (line {timing.line})")
        if other is not None and np.any(other.values < 0):
            raise LibertyError(
                f"{missing} must be of times from 0 on, not {other.values.min():g} s (line {timing.line})"
            )
    # A clock's edge makes an output go either way, whatever the library calls that.
    sense = 0 if clocked else {"positive_unate": 1, "negative_unate": -1}.get(timing.text("timing_sense"), 0)
    related = related_pins(timing)
    if delay == (None, None):
        return []
    return [Arc(related=name, sense=sense, delay=delay, slew=slew, clocked=clocked) for name in related]


def _energies(pin: Group, units: Units) -> tuple[Energy, ...]:
    groups = list(pin.all("internal_power"))
    spelling = one_spelling(group.text("when") for group in groups)
    energies = []
    for group in groups:
        # A table `power` serves both edges; without a table for an edge, it costs nothing.
        plain = group.one("power")
        both = ZERO if plain is None else table(plain, units, units.energy)
        rise, fall = _edges(group, _ENERGIES, units, units.energy)
        energies += [
            Energy(related=related, when=spelling[group.text("when")], tables=(rise or both, fall or both))
            for related in re.split(r"[\s,]+", group.text("related_pin").strip())
        ]
    return tuple(energies)


_DELAY = ("cell_rise", "cell_fall")
_TRANSITIONS = ("rise_transition", "fall_transition")
_CONSTRAINTS = ("rise_constraint", "fall_constraint")
_ENERGIES = ("rise_power", "fall_power")


def _edges(
    group: Group, names: tuple[str, str], units: Units, scale: float
) -> tuple[Table | None, Table | None]:
    up, down = (group.one(name) for name in names)
    return table(up, units, scale) if up else None, table(down, units, scale) if down else None


def _expression(group: Group, name: str) -> str:
    text = group.text(name)
    if len(text) > _LONGEST_FUNCTION:
        raise LibertyError(
            f"{name} of {group.label} must have at most {_LONGEST_FUNCTION:,} characters, not {len(text):,}"
        )
    return text


def _not_negative(group: Group, name: str, default: float = 0.0) -> float:
    value = group.number(name, default)
    if value < 0:
        raise LibertyError(f"{name} of {group.label} must not be negative, not {value:g}")
    return value
