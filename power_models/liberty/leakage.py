"""What a cell leaks by its state, from `leakage_power` groups: a set of conditions per supply; supplies add up."""

from __future__ import annotations

from collections.abc import Iterable

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.boolean import one_spelling
from spikesim.power_models.liberty.tables import Units
from spikesim.power_models.liberty.text import Group

Leakage = tuple[tuple[str, float], ...]


def leakage_of(cell: Group, library: Group, units: Units) -> Leakage:
    """(condition, W), last what all other states leak, under "". Raises LibertyError: a state leaks less than nothing.

    * What several supplies (`related_pg_pin`) leak adds up. One that states no condition leaks in every state; one
      whose conditions are others than the first one's counts in every state with the most that it states.
    * A state that no condition covers leaks what a group without condition states, or else the cell as a whole
      (`cell_leakage_power`), or else the mean of the conditional values.
    """
    groups = list(cell.all("leakage_power"))
    spelling = one_spelling(group.text("when") for group in groups)
    supplies: dict[str, dict[str, float]] = {}
    for group in groups:
        states = supplies.setdefault(" ".join(sorted(group.text("related_pg_pin").split())), {})
        when = spelling[group.text("when")]
        # Twice the same state of one supply: two parts of its current.
        states[when] = states.get(when, 0.0) + group.number("value")
    states = _added_up([supplies[name] for name in sorted(supplies)])
    if "" not in states:
        whole = cell.number("cell_leakage_power", library.number("default_cell_leakage_power"))
        states[""] = whole or (sum(states.values()) / len(states) if states else 0.0)
    for when, value in states.items():
        if value < 0:
            where = f"in the state {when}" if when else "as a whole"
            raise LibertyError(f"the leakage of a cell must not be negative, but is {value:g} {where}")
    rest = states.pop("")
    return (*((when, units.watts(value)) for when, value in states.items()), ("", units.watts(rest)))


def _added_up(supplies: Iterable[dict[str, float]]) -> dict[str, float]:
    """One set of conditions for all supplies; the first that has conditions gives them."""
    supplies = list(supplies)
    conditions = next((states.keys() for states in supplies if states.keys() - {""}), None)
    if conditions is None:
        return {"": sum(states[""] for states in supplies)} if supplies else {}
    total: dict[str, float] = {}
    for when in conditions:
        total[when] = 0.0
        for states in supplies:
            total[when] += states[when] if states.keys() == conditions else max(states.values())
    return total
