"""Units and look-up tables of a Liberty file, in SI and with their axes in one order."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import numpy as np

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.library import Floats, Table
from spikesim.power_models.liberty.text import Group, number
from spikesim.support.shown import shown

_SCALE = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18}
SLEWS = (
    "input_net_transition",
    "input_transition_time",
    "constrained_pin_transition",
    "related_pin_transition",
)
LOADS = ("total_output_net_capacitance",)
_WORST = ("equal_or_opposite_output_net_capacitance", "related_out_total_output_net_capacitance")
"""What another output drives, which nothing here knows: the largest value along such an axis counts."""
_MOST_NUMBERS = 10_000
"""In one table; libraries have some fifty, statistical ones a thousand."""
_WORD = re.compile(r"[^\s,]+")

ZERO = Table(slews=np.zeros(1), loads=np.zeros(1), values=np.zeros((1, 1)))


@dataclass(frozen=True, kw_only=True)
class Units:
    """Factors from a library's units to SI, and its table templates by name.

    `leakage`: None if the library does not state it.
    """

    time: float
    load: float
    voltage: float
    leakage: float | None
    templates: dict[str, Group]

    @property
    def energy(self) -> float:
        """Of internal power tables: the unit of capacitance times V²."""
        return self.load * self.voltage**2

    def watts(self, value: float) -> float:
        """A leakage in SI. Raises LibertyError: the library states no unit of it."""
        if value and self.leakage is None:
            raise LibertyError("the library must state its leakage_power_unit, such as 1nW")
        return value * (self.leakage or 0.0)


def units_of(library: Group) -> Units:
    """Raises LibertyError: one is missing, or not a unit. Nothing is guessed: a guess may be wrong a thousandfold."""
    load = [word for value in library.values("capacitive_load_unit") for word in _WORD.findall(value)]
    if not load:
        raise LibertyError("the library must state its capacitive_load_unit, such as (1, pf)")
    if len(load) != 2:
        raise LibertyError(f"capacitive_load_unit must be like (1, pf), not ({', '.join(load)[:40]})")
    templates: dict[str, Group] = {}
    for group in library.all("lu_table_template", "power_lut_template"):
        name = group.arguments[0] if group.arguments else ""
        if name in templates and not _alike(group, templates[name]):
            raise LibertyError(
                f"template {name} must be stated once, not in lines {templates[name].line} and {group.line}"
            )
        templates[name] = group
    return Units(
        time=_stated(library, "time_unit", "s"),
        load=_unit("".join(load), "f"),
        voltage=_stated(library, "voltage_unit", "V"),
        leakage=_unit(stated, "W") if (stated := library.text("leakage_power_unit")) else None,
        templates=templates,
    )


def _alike(one: Group, other: Group) -> bool:
    names = [f"{kind}_{n}" for kind in ("variable", "index") for n in (1, 2, 3)]
    return all(one.values(name) == other.values(name) for name in names)


def _stated(library: Group, name: str, base: str) -> float:
    text = library.text(name)
    if not text:
        raise LibertyError(f"the library must state its {name}, such as 1{'n' if base == 's' else ''}{base}")
    return _unit(text, base)


def _unit(text: str, base: str) -> float:
    found = re.fullmatch(rf"\s*([\d.]+(?:e[-+]?\d+)?)\s*([munpfa]?){base}\s*", text, re.IGNORECASE)
    value = number(found[1], f"the unit {shown(text)}") if found else 0.0
    if not found or value <= 0:
        raise LibertyError(f"a unit must be like 1n{base}, not {shown(text)}")
    return value * _SCALE[found[2].lower()]


def table(group: Group, units: Units, scale: float) -> Table:
    """Axes by their variables, wherever the library has put them; values times `scale`. Raises LibertyError."""
    template = _template(group, units)
    values = _numbers(group, group.values("values"), "values")
    axes = []
    for n in (1, 2, 3):
        variable = template.text(f"variable_{n}")
        points = group.values(f"index_{n}") or template.values(f"index_{n}")
        if points and not variable:
            raise LibertyError(
                f"template {template.label} must have a variable_{n} for index_{n} of {_where(group)}"
            )
        if variable:
            if variable not in (*SLEWS, *LOADS, *_WORST):
                raise LibertyError(
                    f"variable_{n} of {template.label} must be a transition of an input or the load of an output, "
                    f"not {shown(variable)}"
                )
            axis = _numbers(group, points, f"index_{n}")
            if not axis.size or axis[0] < 0 or np.any(np.diff(axis) <= 0):
                raise LibertyError(f"index_{n} of {_where(group)} must have numbers that rise from 0 or more")
            axes.append((variable, axis))
    sizes = tuple(points.size for _, points in axes)
    if values.size != np.prod(sizes, initial=1):
        raise LibertyError(
            f"{_where(group)} must have as many values as its indices, {sizes}, say, not {values.size}"
        )
    shaped = values.reshape(sizes)
    unknown = tuple(i for i, (variable, _) in enumerate(axes) if variable in _WORST)
    shaped = shaped.max(axis=unknown) if unknown else shaped
    axes = [axis for axis in axes if axis[0] not in _WORST]
    by_load = [i for i, (variable, _) in enumerate(axes) if variable in LOADS]
    by_slew = [i for i in range(len(axes)) if i not in by_load]
    if len(axes) > 2 or len(by_load) == 2:
        raise LibertyError(f"{_where(group)} must have at most two axes, and one of loads")
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


def words_of(rows: list[str], what: str) -> list[str]:
    """The words of `values` or an index. Raises LibertyError: there are too many."""
    found = (word for row in rows for word in _WORD.findall(row[: 40 * _MOST_NUMBERS]))
    words = list(itertools.islice(found, _MOST_NUMBERS + 1))
    if len(words) > _MOST_NUMBERS or any(len(row) > 40 * _MOST_NUMBERS for row in rows):
        raise LibertyError(f"{what} must have at most {_MOST_NUMBERS:,} numbers")
    return words


def _template(group: Group, units: Units) -> Group:
    """The table's; an empty one for a single value, which needs none."""
    name = group.arguments[0] if group.arguments else ""
    template = units.templates.get(name)
    if template is not None:
        return template
    if name not in ("", "scalar") or group.values("index_1"):
        raise LibertyError(f"{_where(group)} must have a template of the library, not {shown(name)}")
    return Group("", [])


def _where(group: Group) -> str:
    return f"a table {group.label} (line {group.line})"


def _numbers(group: Group, rows: list[str], name: str) -> Floats:
    words = words_of(rows, f"{name} of {_where(group)}")
    try:
        values = np.array([float(word) for word in words])
        if np.all(np.isfinite(values)) and not any("_" in word for word in words):
            return values
    except ValueError:
        pass
    wrong = next(
        (word for word in words if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", word, re.I)), ""
    )
    raise LibertyError(
        f"{name} of a table {group.label} must be numbers, not {shown(wrong)} (line {group.line})"
    )
