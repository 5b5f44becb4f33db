"""The figures of break-even: what spiking takes more or less than dense, by sparsity and by setting."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from spikesim.report.break_even import BreakEven, crossings, value_label
from spikesim.report.comparison import plain
from spikesim.report.drawing import INK, new_figure, style, to_svg
from spikesim.report.numbers import change, percent
from spikesim.report.palette import LIGHT
from spikesim.results.comparison import BreakEvenPoint

_COLOURS = ("orange", "blue", "green", "purple", "amber")
_MARKERS = ("o", "s", "^", "D", "v")

_LETTER, _LINE = 5.2, 11.0
"""Width of a letter and height of a line of small print, points; a little more than most fonts need."""

Box = tuple[float, float, float, float]


def against_sparsity(settings: Sequence[BreakEven]) -> str:
    """Draw what spiking takes more or less than dense, against sparsity: a line per setting that moves it."""
    curves = [setting for setting in settings if setting.moves]
    with style():
        figure = new_figure(11.2, 4.0)
        panels = figure.subplots(1, 2, sharex=True)
        for axes, saved, title in zip(
            panels, ("area_reduction", "energy_reduction"), ("area", "energy per token"), strict=True
        ):
            for n, curve in enumerate(curves):
                y = [-float(getattr(point, saved)) for point in curve.points]
                x = [point.sparsity for point in curve.points]
                _line(axes, x, y, LIGHT[_COLOURS[n % 5]], _MARKERS[n % 5], curve.ordered)
            axes.margins(x=0.08)
            _change_axis(axes, [-float(getattr(p, saved)) for c in curves for p in c.points])
            _label(axes, curves, saved)
            axes.set_title(f"{title}, spiking against dense at equal throughput", color=INK)
            axes.set_xlabel("sparsity: 1 − spikes ÷ (7 × values)")
            axes.xaxis.set_major_formatter(
                FuncFormatter(lambda share, _position: f"{100 * share:g} %".replace("-", "−"))
            )
            axes.xaxis.set_major_locator(MaxNLocator(6))
        handles: list[Line2D] = [
            Line2D(
                [],
                [],
                color=LIGHT[_COLOURS[n % 5]],
                marker=_MARKERS[n % 5],
                markersize=5,
                linestyle="-" if curve.ordered else "",
                label=curve.label,
            )
            for n, curve in enumerate(curves)
        ]
        handles.append(_break_even_mark())
        figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
        return to_svg(figure, "breakeven", "What spiking saves of area and energy, against sparsity")


def by_setting(settings: Sequence[BreakEven]) -> str:
    """Draw the same by the value of each setting that leaves sparsity as it is, one panel each."""
    still = [setting for setting in settings if not setting.moves]
    with style():
        figure = new_figure(5.6 if len(still) == 1 else 11.2, 3.2)
        panels = figure.subplots(1, len(still), squeeze=False)[0]
        for axes, setting in zip(panels, still, strict=True):
            x = [*range(len(setting.points))]
            for saved, colour, marker in (
                ("area_reduction", LIGHT["blue"], "s"),
                ("energy_reduction", LIGHT["orange"], "o"),
            ):
                y = [-float(getattr(point, saved)) for point in setting.points]
                _line(axes, x, y, colour, marker, setting.ordered)
                if setting.ordered:
                    for crossing in crossings(setting.points, saved):
                        at = setting.points.index(crossing.before) + crossing.part
                        _mark(axes, at)
            axes.set_xticks(x, [plain(point.value) for point in setting.points])
            axes.set_xlabel(setting.label)
            axes.margins(x=0.12)
            _change_axis(
                axes, [-v for point in setting.points for v in (point.area_reduction, point.energy_reduction)]
            )
        handles = [
            Line2D([], [], color=LIGHT["blue"], marker="s", markersize=5, label="area"),
            Line2D([], [], color=LIGHT["orange"], marker="o", markersize=5, label="energy per token"),
            _break_even_mark(),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=3)
        return to_svg(figure, "settings", "What spiking saves of area and energy, by setting")


def _line(
    axes: Axes, x: Sequence[float], y: Sequence[float], colour: str, marker: str, ordered: bool
) -> None:
    """Points, joined if there is something between them."""
    line = "-" if ordered else ""
    axes.plot(x, y, color=colour, marker=marker, markersize=5, linewidth=1.6, linestyle=line, zorder=3)


def _label(axes: Axes, curves: Sequence[BreakEven], saved: str) -> None:
    """Write sparsity at break-even and the values at the points wherever there is room; the table has all of them."""
    drawn = [
        (_place(point, saved), point, LIGHT[_COLOURS[n % 5]])
        for n, curve in enumerate(curves)
        for point in curve.points
    ]
    taken = [_box(axes, x, y, 0, 0, 5, 5) for (x, y), _, _ in drawn]
    for curve in curves:
        taken.extend(_along(axes, [_place(point, saved) for point in curve.points]) if curve.ordered else ())
    for curve in curves:
        for crossing in crossings(curve.points, saved) if curve.ordered else ():
            _mark(axes, crossing.sparsity)
            _write(axes, (crossing.sparsity, 0), percent(crossing.sparsity, 1), INK, taken)
    # Every curve goes through the point with nothing changed: it gets one name instead of one per setting.
    seen = Counter(place for place, _, _ in drawn)
    for place, count in seen.items():
        if count > 1:
            _write(axes, place, "as run", INK, taken)
    # The ends of the curves first: they tell which way a setting goes.
    ends = {_place(point, saved) for curve in curves for point in (curve.points[0], curve.points[-1])}
    for place, point, colour in sorted(drawn, key=lambda entry: entry[0] not in ends):
        if seen[place] == 1:
            _write(axes, place, value_label(point.parameter, point.value), colour, taken)


def _place(point: BreakEvenPoint, saved: str) -> tuple[float, float]:
    return point.sparsity, -float(getattr(point, saved))


def _write(axes: Axes, place: tuple[float, float], text: str, colour: str, taken: list[Box]) -> None:
    """Write beside a point where nothing is written yet, or not at all."""
    (x, y), wide = place, _LETTER * len(text)
    for right, up in (
        (0.5 * wide + 8, 8),
        (0, 11),
        (-0.5 * wide - 8, -8),
        (0, -11),
        (0.5 * wide + 9, -3),
        (-0.5 * wide - 9, 5),
        (0, 20),
        (0, -20),
    ):
        box = _box(axes, x, y, right, up, wide, _LINE)
        if not any(_overlap(box, other) for other in taken):
            taken.append(box)
            axes.annotate(
                text,
                (x, y),
                (right, up),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=8,
                color=colour,
            )
            return


def _box(axes: Axes, x: float, y: float, right: float, up: float, wide: float, high: float) -> Box:
    """The place of a text in points, roughly: the layout of the figure is not known before it is drawn."""
    left, most = axes.get_xlim()
    low, top = axes.get_ylim()
    middle = 390 * (x - left) / (most - left) + right
    height = 200 * (y - low) / (top - low) + up
    return middle - wide / 2, height - high / 2, middle + wide / 2, height + high / 2


def _along(axes: Axes, places: Sequence[tuple[float, float]]) -> list[Box]:
    """What a line through these points covers, as a string of small boxes."""
    return [
        _box(axes, one[0] + part * (two[0] - one[0]), one[1] + part * (two[1] - one[1]), 0, 0, 2, 2)
        for one, two in itertools.pairwise(places)
        for part in (n / 16 for n in range(1, 16))
    ]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _mark(axes: Axes, x: float) -> None:
    axes.plot([x], [0], marker="o", color=INK, markersize=9, markerfacecolor="none", zorder=5)


def _break_even_mark() -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="",
        marker="o",
        markersize=8,
        color=INK,
        markerfacecolor="none",
        label="breaks even",
    )


def _change_axis(axes: Axes, values: Sequence[float]) -> None:
    """Zero is as much as dense; below it spiking saves."""
    low, high = min(0.0, *values), max(0.0, *values)
    room = max(0.16 * (high - low), 0.05)
    axes.set_ylim(low - room, high + room)
    axes.axhspan(low - room, 0, color=LIGHT["green"], alpha=0.08, linewidth=0, zorder=0)
    axes.axhline(0, color=INK, linewidth=1.0, zorder=2)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: _signed(value)))
    axes.annotate(
        "spiking saves",
        (0, 0),
        (4, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8,
        color=LIGHT["green"],
    )


def _signed(value: float) -> str:
    return change(-value, 0)
