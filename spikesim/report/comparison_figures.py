"""The figures of the area and power comparison. Each takes the comparison and returns an inline SVG."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from spikesim.report.comparison import UnitRow, pair, plain, sentence, units
from spikesim.report.drawing import INK, MUTED, horizontal_grid, new_figure, style, to_svg
from spikesim.report.numbers import (
    AREA,
    ENERGY,
    POWER,
    Ladder,
    change,
    percent,
    quantities,
    significant,
    unit_for,
)
from spikesim.report.palette import DENSE, LIGHT, SPIKING
from spikesim.results.comparison import Comparison, OperationEnergy, UnitFigures

MOST_RATIO = 4.0
"""Bars of spiking ÷ dense end here; longer ones say so and keep their number."""
MOST_OPERATIONS = 12

_SPIKING, _DENSE, _CARD = LIGHT[SPIKING], LIGHT[DENSE], LIGHT["card"]
_LOGIC = ("blue", "green", "purple", "orange", "amber")
_SHADES = (1.0, 0.55, 0.3)
"""How strong a colour is when it comes for the first, second or third time."""
_MEASURES = {
    "area": "area",
    "power": "power",
    "power_zero_delay": "without glitches",
    "energy": "energy per token",
}
_MEMORY_SHADES = (1.0, 0.72, 0.5, 0.34, 0.22)
_LABELLED = 0.085
"""A part of a bar as wide as this share of it has room for its percentage."""


def bases(comparison: Comparison) -> str:
    """Draw spiking as a share of dense on every basis; marks: the published shares, and those of the other twin."""
    savings = [
        beside.reduction
        for basis in comparison.bases
        for beside in (basis, basis.skipping)
        if beside is not None
    ]
    ratios = [1 - float(getattr(saving, name)) for saving in savings for name in _MEASURES]
    longest = min(MOST_RATIO, max(1.0, *ratios))
    marked = other = False
    with style():
        figure = new_figure(5.6, 1.72 * len(comparison.bases) + 0.7)
        axes = figure.add_subplot()
        places: list[float] = []
        y = 0.0
        for basis in comparison.bases:
            heading = axes.text(0, y, sentence(basis.label), va="center", color=INK, fontweight="bold")
            heading.set_in_layout(False)  # it may run over the numbers beside the axes
            for name in _MEASURES:
                y += 1
                places.append(y)
                saved = float(getattr(basis.reduction, name))
                shown = min(1 - saved, longest)
                axes.barh(y, max(shown, 0), 0.66, color=_SPIKING, alpha=0.55 if "zero" in name else 1)
                if shown < 1 - saved:
                    axes.text(shown, y, f"{significant(1 - saved)} × →", va="center", ha="right", color=_CARD)
                _outside(axes, y, change(saved))
                if basis.skipping is not None:
                    beside = 1 - float(getattr(basis.skipping.reduction, name))
                    axes.plot(
                        min(beside, longest), y, "D", color=_CARD, markeredgecolor=INK, markersize=5, zorder=5
                    )
                    other = True
                if name in basis.published:
                    marked = True
                    x = 1 - basis.published[name]
                    axes.plot([x, x], [y - 0.45, y + 0.45], color=INK, linewidth=2.4, zorder=4)
            y += 1.5
        axes.axvline(1, color=MUTED, linewidth=1.3, linestyle=(0, (3, 2)), zorder=3)
        axes.set_yticks(places, [*_MEASURES.values()] * len(comparison.bases))
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(y - 0.9, -0.7)
        axes.set_xlim(0, 1.04 * longest)
        axes.set_xticks([tick for tick in (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4) if _keep(tick, longest)])
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %", decimals=0))
        axes.set_xlabel("spiking, dense INT8 = 100 %")
        horizontal_grid(axes)
        handles = [Line2D([], [], color=MUTED, linewidth=1.3, linestyle=(0, (3, 2)), label="dense INT8")]
        if marked:
            handles.append(Line2D([], [], color=INK, linewidth=2.4, label="published"))
        if other:
            diamond = Line2D([], [], marker="D", markersize=5, markerfacecolor=_CARD, markeredgecolor=INK)
            diamond.set(linestyle="none", label="against dense that skips zeros")
            handles.append(diamond)
        _legend_above(axes, handles)
        return to_svg(figure, "bases", "Spiking as a share of dense on each basis, beside published figures")


def area_by_unit(comparison: Comparison) -> str:
    """Draw the area of both designs as bars of their units."""
    return _stacked(comparison, "area", AREA, lambda unit: unit.area_um2)


def power_by_unit(comparison: Comparison) -> str:
    """Draw the power of both designs as bars of their units."""
    return _stacked(comparison, "power", POWER, lambda unit: unit.power.total)


def energy_by_operation(
    operations: Sequence[OperationEnergy],
    name: str = "operations",
    title: str = "Energy per token by operation, spiking against dense",
) -> str:
    """Draw energy per token of each operation, spiking against dense, most expensive first."""
    entries = sorted(operations, key=lambda entry: max(entry.spiking_uj, entry.dense_uj))[-MOST_OPERATIONS:]
    totals = (sum(entry.spiking_uj for entry in operations), sum(entry.dense_uj for entry in operations))
    factor, unit = unit_for(ENERGY, max(max(entry.spiking_uj, entry.dense_uj) for entry in entries))
    with style():
        figure = new_figure(5.6, max(2.6, 0.34 * len(entries) + 0.8))
        axes = figure.add_subplot()
        for row, entry in enumerate(entries):
            for shift, value, total, colour in (
                (0.2, entry.spiking_uj, totals[0], _SPIKING),
                (-0.2, entry.dense_uj, totals[1], _DENSE),
            ):
                axes.barh(row + shift, value / factor, 0.38, color=colour)
                share = percent(value / total, 1) if total else ""
                _beside(axes, value / factor, row + shift, share)
        axes.set_yticks(range(len(entries)), [textwrap.fill(plain(entry.operation), 24) for entry in entries])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(-0.6, len(entries) - 0.4)
        axes.set_xlim(left=0)
        axes.margins(x=0.16)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(f"{unit} per token (labels: share of the design's energy)")
        horizontal_grid(axes)
        _legend_above(axes, [Patch(color=_SPIKING, label="spiking"), Patch(color=_DENSE, label="dense")])
        return to_svg(figure, name, title)


def _stacked(
    comparison: Comparison, name: str, ladder: Ladder, figure_of: Callable[[UnitFigures], float]
) -> str:
    """Both designs as stacked bars: everything, and below it the logic alone, which memories would hide."""
    both = pair(comparison)
    if both is None:
        raise ValueError("the comparison must have a spiking design and its dense twin")
    rows = units(*both)
    colours = _colours(rows)
    logic = [row for row in rows if not row.is_memory]
    parts = [("with memories", rows), ("logic only", logic)] if len(logic) < len(rows) else [("", rows)]
    with style():
        # Columns of a legend are as wide as its longest name.
        columns = max(1, min(len(rows), 72 // (4 + max(len(row.unit) for row in rows))))
        legend_rows = -(-len(rows) // columns)
        figure = new_figure(5.6, 1.3 * len(parts) + 0.2 * legend_rows + 0.3)
        panels = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
        for axes, (title, shown) in zip(panels, parts, strict=True):
            _bars(axes, shown, colours, ladder, figure_of)
            if title:
                axes.set_title(title, color=MUTED)
        figure.legend(
            handles=[Patch(facecolor=c, alpha=a, label=row.unit) for row, (c, a) in colours],
            loc="outside upper left",
            ncols=columns,
            columnspacing=1.2,
            handletextpad=0.5,
            borderaxespad=0,
        )
        return to_svg(figure, name, f"{sentence(name)} of both designs by unit")


def _bars(
    axes: Axes,
    rows: Sequence[UnitRow],
    colours: Sequence[tuple[UnitRow, tuple[str, float]]],
    ladder: Ladder,
    figure_of: Callable[[UnitFigures], float],
) -> None:
    values = [[0.0 if part is None else figure_of(part) for part in (row.spiking, row.dense)] for row in rows]
    totals = [sum(column) for column in zip(*values, strict=True)] or [0.0, 0.0]
    factor, unit = unit_for(ladder, max(totals))
    look = {row.unit: pair_of for row, pair_of in colours}
    for n, (total, label) in enumerate(zip(totals, quantities(ladder, *totals), strict=True)):
        left = 0.0
        for row, pair_of_values in zip(rows, values, strict=True):
            value = pair_of_values[n] / factor
            colour, alpha = look[row.unit]
            axes.barh(1 - n, value, 0.66, left=left, color=colour, alpha=alpha, linewidth=0)
            if pair_of_values[n] > _LABELLED * max(totals):
                ink = _CARD if alpha > 0.7 else INK
                text = f"{100 * pair_of_values[n] / total:.0f} %"
                axes.text(left + value / 2, 1 - n, text, ha="center", va="center", color=ink, fontsize=8)
            left += value
        _beside(axes, left, 1 - n, label, INK)
    axes.set_yticks([1, 0], ["spiking", "dense"])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(-0.5, 1.5)
    axes.set_xlim(0, 1.2 * max(totals) / factor or 1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: _axis_number(value)))
    axes.set_xlabel(unit, labelpad=1)
    horizontal_grid(axes)


def _colours(rows: Sequence[UnitRow]) -> list[tuple[UnitRow, tuple[str, float]]]:
    """A colour and its strength for every unit: hues for logic, shades of one grey for memories."""
    logic = [row for row in rows if not row.is_memory]
    memories = [row for row in rows if row.is_memory]
    chosen = [
        (row, (LIGHT[_LOGIC[n % 5]], _SHADES[min(n // 5, len(_SHADES) - 1)])) for n, row in enumerate(logic)
    ]
    for n, row in enumerate(memories):
        chosen.append((row, (_DENSE, _MEMORY_SHADES[min(n, len(_MEMORY_SHADES) - 1)])))
    return chosen


def _axis_number(value: float) -> str:
    shown = significant(value)
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _keep(tick: float, longest: float) -> bool:
    """Ticks close together only where the axis is short."""
    return tick <= 1.05 * longest and (longest <= 2 or tick not in {0.25, 0.75})


def _beside(axes: Axes, x: float, y: float, text: str, colour: str = MUTED) -> None:
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=8.5, color=colour)


def _outside(axes: Axes, y: float, text: str) -> None:
    """Write right of the axes, where no bar and no mark can be."""
    axes.annotate(
        text,
        (1, y),
        (58, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        va="center",
        color=INK,
    )


def _legend_above(axes: Axes, handles: Sequence[Line2D | Patch]) -> None:
    axes.legend(
        handles=list(handles),
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        ncols=len(handles),
        borderaxespad=0,
        columnspacing=1.3,
        handletextpad=0.5,
    )
