"""How one setting changes what spiking saves and where it begins to save: measured points in order and in words."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikesim.report.comparison import plain
from spikesim.report.numbers import percent

if TYPE_CHECKING:
    from spikesim.results.comparison import BreakEvenPoint, Comparison

_PARAMETERS = {
    "threshold_k": "threshold k",
    "window": "window T",
    "ways": "ways",
    "accumulator_bits": "accumulator width",
}
_SHORT = {"threshold_k": "k = {}", "window": "T = {}", "ways": "{} ways", "accumulator_bits": "{} bits"}
_CATEGORIES = {"coding", "order", "activation"}
"""Settings whose values have no order: nothing lies between two of them."""
_STILL = 0.002
"""A setting moves sparsity if its points differ by more than this share."""


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """The measured points of one setting. `moves`: it changes sparsity; `ordered`: there is something between them.

    Points that move sparsity run by sparsity, others as they were measured. `area`, `energy`: where the curve
    crosses zero, in words.
    """

    parameter: str
    label: str
    points: tuple[BreakEvenPoint, ...]
    moves: bool
    ordered: bool
    area: str
    energy: str


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where a curve meets zero: how far between which two points, and the sparsity there."""

    before: BreakEvenPoint
    after: BreakEvenPoint
    part: float

    @property
    def sparsity(self) -> float:
        """As a share, on the straight line between the points."""
        return self.before.sparsity + self.part * (self.after.sparsity - self.before.sparsity)


def break_even(comparison: Comparison) -> tuple[BreakEven, ...]:
    """The measured points by setting."""
    settings = []
    for name in dict.fromkeys(point.parameter for point in comparison.break_even):
        points = [point for point in comparison.break_even if point.parameter == name]
        sparsities = [point.sparsity for point in points]
        moves = max(sparsities) - min(sparsities) > _STILL
        ordered = name not in _CATEGORIES
        if moves:
            points.sort(key=lambda point: point.sparsity)
        settings.append(
            BreakEven(
                parameter=name,
                label=_PARAMETERS.get(name, plain(name)),
                points=tuple(points),
                moves=moves,
                ordered=ordered,
                area=_where(points, "area_reduction", moves, ordered),
                energy=_where(points, "energy_reduction", moves, ordered),
            )
        )
    return tuple(settings)


def value_label(parameter: str, value: str) -> str:
    """A setting's value as it is written beside a point.

    >>> value_label("threshold_k", "3"), value_label("coding", "signed_digit")
    ('k = 3', 'signed digit')
    """
    return _SHORT.get(parameter, "{}").format(plain(value))


def crossings(points: Sequence[BreakEvenPoint], saved: str) -> tuple[Crossing, ...]:
    """Where the straight lines between neighbouring points cross zero; `saved`: area_reduction or energy_reduction."""
    found = []
    for before, after in itertools.pairwise(points):
        one, other = float(getattr(before, saved)), float(getattr(after, saved))
        if (one < 0) != (other < 0):
            found.append(Crossing(before=before, after=after, part=one / (one - other)))
    return tuple(found)


def _where(points: Sequence[BreakEvenPoint], saved: str, moves: bool, ordered: bool) -> str:
    """In words, where a curve crosses zero."""
    values = [float(getattr(point, saved)) for point in points]
    if min(values) >= 0:
        return "saves at every point"
    if max(values) < 0:
        return "saves at no point"
    if not ordered:
        named = [(plain(point.value), value >= 0) for point, value in zip(points, values, strict=True)]
        good = ", ".join(name for name, saves in named if saves)
        bad = ", ".join(name for name, saves in named if not saves)
        return f"saves with {good}; not with {bad}"
    places = []
    for crossing in crossings(points, saved):
        before, after = (value_label(p.parameter, p.value) for p in (crossing.before, crossing.after))
        between = f"between {before} and {after}"
        places.append(f"{percent(crossing.sparsity, 1)} sparsity, {between}" if moves else between)
    return f"breaks even {'at ' if moves else ''}{'; '.join(places)}"
