"""The figures of the run on Lava. Each takes the run or a part of it and returns an inline SVG."""

from __future__ import annotations

import itertools
import re

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from spikesim.report.drawing import INK, LINE, MUTED, horizontal_grid, new_figure, style, to_svg
from spikesim.report.lava import coding_name, ordered
from spikesim.report.numbers import change, plural, significant, tick, whole
from spikesim.report.palette import DENSE, LIGHT, SPIKING
from spikesim.results.lava import CoreUse, LavaRun, Placement

COLUMNS = 32
"""Neurocores in a row of the picture."""
MOST_ROWS = 12
"""Rows of neurocores drawn, of all chips together; what lies beyond is said in words."""

_PARTS = {"matrix": "blue", "cache": "green", "state": "purple", "pointwise": "amber"}
_PART_NAMES = {
    "matrix": "matrices",
    "cache": "caches",
    "state": "states",
    "pointwise": "scaling, sums, RoPE",
}
_ROW = 1.55
"""Height of a row of cores with the names above it; a core is 1."""
_CHIP_GAP = 0.9
_SIDE = 0.86
"""Side of the square of a core."""


def chip(placement: Placement) -> str:
    """Draw the neurocores of the first chips: how full each is, with what, and of which program."""
    rows_per_chip = -(-placement.cores_per_chip // COLUMNS)
    chips = max(1, min(placement.chips_used, MOST_ROWS // rows_per_chip))
    drawn = min(placement.cores_per_chip, MOST_ROWS * COLUMNS)
    rows = chips * -(-drawn // COLUMNS)
    height = rows * _ROW + chips * _CHIP_GAP
    with style():
        figure = new_figure(11.4, height * 11.2 / COLUMNS + 0.32)
        axes = figure.add_subplot()
        y = 0.0
        for number in range(chips):
            first = number * placement.cores_per_chip
            title = _title(placement, number, drawn)
            axes.text(0, y + 0.45, title, va="center", color=MUTED, fontsize=8.5)
            y += _CHIP_GAP
            cores = placement.cores[first : first + drawn]
            _cores(axes, cores, drawn, y)
            y += _ROW * -(-drawn // COLUMNS)
        axes.set_xlim(0, COLUMNS)
        axes.set_ylim(y, 0)
        axes.set_axis_off()
        used = {core.part for core in placement.cores}
        figure.legend(
            handles=[
                Patch(color=LIGHT[colour], label=_PART_NAMES[part])
                for part, colour in _PARTS.items()
                if part in used
            ]
            + [Patch(facecolor="none", edgecolor=LIGHT["slate"], linewidth=0.8, label="empty")],
            loc="outside upper left",
            ncols=len(_PARTS) + 1,
            columnspacing=1.4,
            handletextpad=0.5,
            borderaxespad=0,
        )
        spoken = (
            f"Neurocores of {placement.target}: {whole(placement.cores_used)} of "
            f"{whole(placement.cores_available)} hold something"
        )
        return to_svg(figure, "lavachip", spoken)


def operations(run: LavaRun) -> str:
    """Draw synaptic operations per token of every coding beside dense."""
    rows = ordered(run.traffic)[::-1]
    values = [row.synaptic_operations_per_token for row in rows]
    dense = next((row.synaptic_operations_per_token for row in rows if row.coding == "dense"), 0.0)
    with style():
        figure = new_figure(5.6, 0.4 * len(rows) + 0.8)
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            value = row.synaptic_operations_per_token
            is_dense = row.coding == "dense"
            colour = LIGHT[DENSE if is_dense else SPIKING]
            axes.barh(place, value, 0.66, color=colour, alpha=1 if row.ran or is_dense else 0.5)
            share = "" if is_dense or not dense else f"  {change(1 - value / dense)}"
            axes.annotate(
                f"{_thousands(value)}{share}",
                (max(value, dense), place),  # right of the line of dense too
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=INK if row.ran else MUTED,
            )
        if dense:
            axes.axvline(dense, color=MUTED, linewidth=1.3, linestyle=(0, (3, 2)), zorder=3)
        names = [coding_name(row.coding) + (" (ran)" if row.ran else "") for row in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlim(0, 1.32 * max(values, default=0) or 1)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: tick(value)))
        axes.set_xlabel("synaptic operations per token (percent: against dense)")
        horizontal_grid(axes)
        return to_svg(figure, "lavaops", "Synaptic operations per token of every coding, beside dense")


def hidden_cores(placement: Placement) -> str:
    """What the picture leaves out, in words; "" if it shows everything."""
    rows_per_chip = -(-placement.cores_per_chip // COLUMNS)
    chips = max(1, min(placement.chips_used, MOST_ROWS // rows_per_chip))
    said = []
    if placement.chips_used > chips:
        said.append(f"{plural(placement.chips_used - chips, 'more chip')} in use")
    if placement.cores_per_chip > MOST_ROWS * COLUMNS:
        said.append(f"{plural(placement.cores_per_chip - MOST_ROWS * COLUMNS, 'more core')} per chip")
    return f"Not shown: {' and '.join(said)}." if said else ""


def _title(placement: Placement, number: int, drawn: int) -> str:
    used = min(max(placement.cores_used - number * placement.cores_per_chip, 0), placement.cores_per_chip)
    first = "" if drawn == placement.cores_per_chip else f", first {whole(drawn)} shown"
    return f"chip {number + 1}: {whole(used)} of {plural(placement.cores_per_chip, 'core')} in use{first}"


def _cores(axes: Axes, cores: tuple[CoreUse, ...], count: int, y: float) -> None:
    margin = (1 - _SIDE) / 2
    for number in range(count):
        row, column = divmod(number, COLUMNS)
        top = y + row * _ROW + 0.5
        left = column + margin
        if number < len(cores):
            core = cores[number]
            share = min(1.0, max(core.neurons, core.memory))
            colour = LIGHT[_PARTS[core.part]]
            axes.add_patch(Rectangle((left, top), _SIDE, _SIDE, facecolor=colour, alpha=0.16, linewidth=0))
            filled = max(share, 0.04) * _SIDE
            axes.add_patch(
                Rectangle((left, top + _SIDE - filled), _SIDE, filled, facecolor=colour, linewidth=0)
            )
        else:
            axes.add_patch(
                Rectangle((left, top), _SIDE, _SIDE, facecolor="none", edgecolor=LINE, linewidth=0.8)
            )
    _names(axes, cores, y)


def _names(axes: Axes, cores: tuple[CoreUse, ...], y: float) -> None:
    """A bracket above the cores of each program, with its name where there is room for it."""
    number = 0
    for program, group in itertools.groupby(cores, key=lambda core: core.program):
        count = len(list(group))
        last = number + count
        named = False
        while number < last:
            row, column = divmod(number, COLUMNS)
            width = min(last - number, COLUMNS - column)
            line = y + row * _ROW + 0.42
            axes.plot(
                [column + 0.1, column + width - 0.1], [line, line], color=MUTED, linewidth=0.9, clip_on=False
            )
            if not named:
                text = axes.text(
                    column + 0.1, line - 0.08, _short(program, width), va="bottom", fontsize=7, color=INK
                )
                text.set_in_layout(False)
                named = True
            number += width


def _short(program: str, cores: int) -> str:
    """A program's name as far as there is room above its cores: whole, its number, or its beginning.

    >>> _short("layer_00", 6), _short("layer_07", 1), _short("head", 1), _short("position", 1)
    ('layer_00', '07', 'head', 'posi')
    """
    if len(program) <= max(4, 4.5 * cores):
        return program
    number = re.search(r"\d+$", program)
    return number[0] if number and len(number[0]) <= 4 * cores else program[: 4 * cores]


def _thousands(value: float) -> str:
    return whole(value) if value < 10_000_000 else f"{significant(value / 1e6)} M"
