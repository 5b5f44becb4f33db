"""`read_liberty`: a `Library` from a Liberty file. Its syntax is the matter of `text.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.library import Arc, Cell, Energy, Floats, Library, Pin, Register, Table
from spikesim.power_models.liberty.tables import ZERO, Units, table, units_of
from spikesim.power_models.liberty.text import Group, number, parse

__all__ = ["Arc", "Cell", "Energy", "Floats", "Library", "Pin", "Register", "Table", "read_liberty"]


def read_liberty(path: Path) -> Library:
    """Reads a Liberty file. Raises LibertyError: it cannot be read, or is not one."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise LibertyError(f"Liberty file {path} must be readable: {error.strerror}") from None
    try:
        return _library(parse(text))
    except LibertyError as error:
        raise LibertyError(f"Liberty file {path}: {error}") from None


def _library(group: Group) -> Library:
    units = units_of(group)
    wanted = group.text("default_operating_conditions")
    corners = [g for g in group.all("operating_conditions") if not wanted or g.arguments == [wanted]]
    conditions = corners[0] if corners else Group("", [])
    voltage = conditions.number("voltage", group.number("nom_voltage"))
    if voltage <= 0:
        raise LibertyError("the library must state its voltage (nom_voltage)")
    cells = {cell.arguments[0]: _cell(cell, group, units) for cell in group.all("cell") if cell.arguments}
    if not cells:
        raise LibertyError("the library must have cells")
    wire_load, wire_slope = _wire_load(group, units)
    return Library(
        name=group.arguments[0] if group.arguments else "",
        voltage=voltage * units.voltage,
        temperature=conditions.number("temperature", group.number("nom_temperature")),
        cells=cells,
        wire_load=wire_load,
        wire_slope=wire_slope,
    )


def _wire_load(library: Group, units: Units) -> tuple[Floats, float]:
    wanted = library.text("default_wire_load")
    model = next((g for g in library.all("wire_load") if g.arguments == [wanted]), None)
    if model is None:
        return np.zeros(0), 0.0
    # The parser keeps a repeated attribute under numbered names.
    repeated = [v for name, v in model.attributes.items() if name.startswith("fanout_length") and len(v) >= 2]
    what = f"fanout_length of {model.label}"
    points = np.array(sorted((number(v[0], what), number(v[1], what)) for v in repeated))
    if not points.size:
        return np.zeros(0), 0.0
    if not 1 <= points[-1, 0] <= 1e6:
        raise LibertyError(f"{what} must be for fan-outs of 1 to a million, not {points[-1, 0]:g}")
    lengths = np.interp(np.arange(1, int(points[-1, 0]) + 1), points[:, 0], points[:, 1])
    last = lengths[-1] - lengths[-2] if lengths.size > 1 else lengths[-1]
    per_length = model.number("capacitance") * units.load
    return np.asarray(lengths * per_length), float(model.number("slope", float(last)) * per_length)


def _cell(group: Group, library: Group, units: Units) -> Cell:
    name = group.arguments[0]
    gating = group.text("clock_gating_integrated_cell")
    pins: dict[str, Pin] = {}
    roles: dict[str, str] = {}
    try:
        for pin in group.all("pin"):
            for pin_name in pin.arguments:
                pins[pin_name] = _pin(pin, pin_name, library, units, gating=bool(gating))
                for role in ("clock", "enable", "out"):
                    if pin.text(f"clock_gate_{role}_pin") == "true":
                        roles[role] = pin_name
        _check_related(group, pins)
        register = _register(group)
        return Cell(
            name=name,
            area=group.number("area"),
            leakage=_leakage(group, library, units),
            pins=pins,
            register=register,
            gate=(roles["clock"], roles["enable"], roles["out"])
            if gating == "latch_posedge" and len(roles) == 3
            else None,
            latch=group.first("latch") is not None,
        )
    except LibertyError as error:
        raise LibertyError(f"cell {name}: {error}") from None


def _check_related(group: Group, pins: dict[str, Pin]) -> None:
    if group.first("bus") or group.first("bundle"):
        return  # nothing is mapped to a cell with such pins
    for pin in pins.values():
        for related in (*(arc.related for arc in pin.arcs), *(energy.related for energy in pin.energies)):
            if related and related not in pins:
                raise LibertyError(
                    f"related_pin of {pin.name} must be a pin of the cell, not {related[:40]!r}"
                )


def _register(group: Group) -> Register | None:
    ff = group.first("ff")
    if ff is None or len(ff.arguments) != 2:
        return None
    return Register(
        state=ff.arguments[0],
        inverse=ff.arguments[1],
        next_state=ff.text("next_state"),
        clocked_on=ff.text("clocked_on"),
        asynchronous=bool(ff.text("clear") or ff.text("preset")),
    )


def _leakage(group: Group, library: Group, units: Units) -> tuple[tuple[str, float], ...]:
    """A state that no condition covers leaks what the cell as a whole states, or else the mean of the others."""
    stated = [(g.text("when"), g.number("value") * units.leakage) for g in group.all("leakage_power")]
    plain = [value for when, value in stated if not when]
    conditional = [(when, value) for when, value in stated if when]
    rest = group.number("cell_leakage_power", library.number("default_cell_leakage_power")) * units.leakage
    if plain:
        rest = sum(plain)  # several: one per supply
    elif rest == 0 and conditional:
        rest = sum(value for _, value in conditional) / len(conditional)
    return (*conditional, ("", rest))


def _pin(group: Group, name: str, library: Group, units: Units, *, gating: bool) -> Pin:
    direction = group.text("direction")
    capacitance = group.number("capacitance", library.number(f"default_{direction}_pin_cap"))
    rise, fall = group.number("rise_capacitance", capacitance), group.number("fall_capacitance", capacitance)
    arcs: list[Arc] = []
    setup = None
    for timing in group.all("timing"):
        kind = timing.text("timing_type", "combinational")
        if kind == "setup_rising":
            setup = _setup(timing, units) or setup
        elif kind in ("combinational", "rising_edge", "combinational_rise", "combinational_fall"):
            arcs += _arcs(timing, units, clocked=kind == "rising_edge")
    function = group.text("function")
    if gating and not function:
        function = group.text("state_function")
    return Pin(
        name=name,
        direction=direction,
        rise_capacitance=rise * units.load,
        fall_capacitance=fall * units.load,
        function=function,
        arcs=tuple(arcs),
        energies=tuple(e for power in group.all("internal_power") for e in _energies(power, units)),
        setup=setup,
        clock=group.text("clock") == "true" or group.text("clock_gate_clock_pin") == "true",
    )


def _setup(timing: Group, units: Units) -> tuple[Table, Table] | None:
    rise, fall = _edges(timing, "rise_constraint", "fall_constraint", units, units.time)
    if rise is None and fall is None:
        return None
    return rise or fall or ZERO, fall or rise or ZERO


def _arcs(timing: Group, units: Units, *, clocked: bool) -> list[Arc]:
    delay = _edges(timing, "cell_rise", "cell_fall", units, units.time)
    slew = _edges(timing, "rise_transition", "fall_transition", units, units.time)
    # A clock's edge makes an output go either way, whatever the library calls that.
    sense = 0 if clocked else {"positive_unate": 1, "negative_unate": -1}.get(timing.text("timing_sense"), 0)
    both = [d is not None and s is not None for d, s in zip(delay, slew, strict=True)]
    if not any(both):
        return []
    delay = (delay[0] if both[0] else None, delay[1] if both[1] else None)
    return [
        Arc(related=related, sense=sense, delay=delay, slew=slew, clocked=clocked)
        for related in timing.text("related_pin").split()
    ]


def _energies(power: Group, units: Units) -> list[Energy]:
    # A table `power` serves both edges; without a table for an edge, it costs nothing.
    plain = power.first("power")
    both = ZERO if plain is None else table(plain, units, units.energy)
    rise, fall = _edges(power, "rise_power", "fall_power", units, units.energy)
    return [
        Energy(related=related, when=power.text("when"), tables=(rise or both, fall or both))
        for related in power.text("related_pin").split() or [""]
    ]


def _edges(
    group: Group, rise: str, fall: str, units: Units, scale: float
) -> tuple[Table | None, Table | None]:
    up, down = group.first(rise), group.first(fall)
    return table(up, units, scale) if up else None, table(down, units, scale) if down else None
