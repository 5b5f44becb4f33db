"""Units and look-up tables of a Liberty file, in SI and with their axes in one order."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.library import Floats, Table
from spikesim.power_models.liberty.text import Group, number

_SCALE = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18}

ZERO = Table(slews=np.zeros(1), loads=np.zeros(1), values=np.zeros((1, 1)))


@dataclass(frozen=True, kw_only=True)
class Units:
    """Factors from a library's units to SI, and its table templates by name."""

    time: float
    load: float
    leakage: float
    voltage: float
    templates: dict[str, Group]

    @property
    def energy(self) -> float:
        """Of internal power tables: the unit of capacitance times V²."""
        return self.load * self.voltage**2


def units_of(library: Group) -> Units:
    """Raises LibertyError."""
    load = library.attributes.get("capacitive_load_unit", ["1", "pf"])
    if len(load) != 2:
        raise LibertyError(f"capacitive_load_unit must be like (1, pf), not ({', '.join(load)[:40]})")
    return Units(
        time=_unit(library.text("time_unit", "1ns"), "s"),
        load=_unit(load[0] + load[1], "f"),
        leakage=_unit(library.text("leakage_power_unit", "1nW"), "W"),
        voltage=_unit(library.text("voltage_unit", "1V"), "V"),
        templates={
            g.arguments[0]: g for g in library.all("lu_table_template", "power_lut_template") if g.arguments
        },
    )


def _unit(text: str, base: str) -> float:
    found = re.fullmatch(rf"\s*([\d.]+)\s*([munpfa]?){base}\s*", text, re.IGNORECASE)
    value = number(found[1], f"the unit {text!r}") if found else 0.0
    if not found or value <= 0:
        raise LibertyError(f"a unit must be like 1n{base}, not {text[:40]!r}")
    return value * _SCALE[found[2].lower()]


def table(group: Group, units: Units, scale: float) -> Table:
    """Axes by their variables, wherever the library has put them; values times `scale`. Raises LibertyError."""
    template = units.templates.get(group.arguments[0] if group.arguments else "", Group("", []))
    values = _numbers(group, group.attributes.get("values", []), "values")
    axes = []
    for n in (1, 2, 3):
        variable = template.text(f"variable_{n}")
        points = group.attributes.get(f"index_{n}") or template.attributes.get(f"index_{n}")
        if variable and points:
            axis = _numbers(group, points, f"index_{n}")
            if not axis.size or np.any(np.diff(axis) <= 0):
                raise LibertyError(f"index_{n} of a table {group.name} must have numbers that rise")
            axes.append((variable, axis))
    sizes = tuple(points.size for _, points in axes)
    if len(axes) > 2 or values.size != np.prod(sizes, initial=1):
        raise LibertyError(
            f"a table {group.label} must have as many values as its indices, {sizes}, say, not {values.size}"
        )
    shaped = values.reshape(sizes)
    by_load = [i for i, (variable, _) in enumerate(axes) if "capacitance" in variable or "load" in variable]
    by_slew = [i for i in range(len(axes)) if i not in by_load]
    if len(by_load) == 2:
        raise LibertyError(f"a table {group.label} must have at most one axis of loads")
    if len(by_slew) == 2:  # a constraint: by the slews of data and clock
        data = next((i for i in by_slew if "constrained" in axes[i][0]), 0)
        order = [data, 1 - data]
        rows, columns = axes[data][1] * units.time, axes[1 - data][1] * units.time
    else:
        order = by_slew + by_load
        rows = axes[by_slew[0]][1] * units.time if by_slew else np.zeros(1)
        columns = axes[by_load[0]][1] * units.load if by_load else np.zeros(1)
        # The clock's slew alone: it is the second axis of a constraint.
        if by_slew and not by_load and "related" in axes[0][0]:
            rows, columns = columns, rows
    ordered = shaped.transpose(order).reshape(rows.size, columns.size)
    return Table(slews=rows, loads=columns, values=np.ascontiguousarray(ordered) * scale)


def _numbers(group: Group, rows: list[str], name: str) -> Floats:
    words = [word for row in rows for word in re.split(r"[\s,]+", row) if word]
    try:
        values = np.array([float(word) for word in words])
        if np.all(np.isfinite(values)):
            return values
    except ValueError:
        pass
    wrong = next(
        (word for word in words if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", word, re.I)), ""
    )
    raise LibertyError(f"{name} of a table {group.label} must be numbers, not {wrong[:40]!r}")
