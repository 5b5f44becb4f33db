"""Figures of what the spikes of a network do."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from spikesim.report.drawing import INK, MUTED, new_figure, style, to_svg
from spikesim.report.numbers import tick
from spikesim.report.palette import LIGHT, NEGATIVE, POSITIVE, SPIKING, kind_colour, kind_name
from spikesim.results.activity import Activity, LayerRaster, Picture
from spikesim.results.report import Item

_SI = FuncFormatter(lambda value, _position: tick(value))
_CLASSES = 20
"""Scores of a sample that a figure shows."""


def spikes_by_step(activity: Activity) -> str:
    """Draw spikes of every layer at each step of a sample."""
    layers = [layer for layer in activity.by_layer if layer.by_step]
    with style():
        figure = new_figure(5.6, 3.1)
        axes = figure.add_subplot()
        shades = np.linspace(1, 0.35, max(1, len(layers)))
        for layer, shade in zip(layers, shades, strict=True):
            axes.plot(
                range(len(layer.by_step)),
                layer.by_step,
                color=LIGHT[kind_colour(layer.kind)],
                alpha=float(shade),
                linewidth=1.3,
                marker="o",
                markersize=3,
                label=f"{layer.layer} {kind_name(layer.kind)}",
            )
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(_SI)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("step of a sample")
        axes.set_ylabel("spikes, mean over samples")
        if len(layers) <= 8:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=4, borderaxespad=0)
        return to_svg(figure, "spikesbystep", "Spikes of each layer at each step of a sample")


def rasters(found: Sequence[LayerRaster], item: Item) -> str:
    """Draw counts of a few steps or frames, a panel for each layer."""
    columns = min(2, len(found))
    rows = -(-len(found) // columns)
    with style():
        figure = new_figure(11.2, 2.5 * rows + 0.2)
        for number, raster in enumerate(found):
            axes = figure.add_subplot(rows, columns, number + 1)
            _raster(axes, raster)
            if number >= len(found) - columns:
                axes.set_xlabel("step of the first sample" if item == "step" else item)
        return to_svg(figure, "rasters", "Spikes that each layer reads")


def _raster(axes: Axes, raster: LayerRaster) -> None:
    counts = np.array(raster.counts, np.int64)
    largest = max(1, int(np.abs(counts).max(initial=0)))
    width = 0.8 * 4.6 * 72 / max(8, len(counts))
    for sign, colour in ((1, LIGHT[POSITIVE]), (-1, LIGHT[NEGATIVE])):
        for low, high, strength in _strengths(largest):
            step, value = np.nonzero((sign * counts > low) & (sign * counts <= high))
            x = np.repeat(step.astype(float), 3)
            y = np.full((step.size, 3), np.nan)
            y[:, 0], y[:, 1] = value - 0.45, value + 0.45
            axes.plot(x, y.ravel(), color=colour, alpha=strength, linewidth=width, solid_capstyle="butt")
    axes.set_xlim(-0.5, max(8, len(counts)) - 0.5)
    axes.set_ylim(counts.shape[1] - 0.5, -0.5)
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    shown = "" if raster.values == counts.shape[1] else f", {counts.shape[1]} of {raster.values:,} values"
    most = "" if largest == 1 else f", |count| ≤ {largest}"
    axes.set_title(f"layer {raster.layer} ({kind_name(raster.kind)}){shown}{most}", color=INK)


def _strengths(largest: int) -> list[tuple[int, int, float]]:
    """Ranges of counts above one and up to another, and how strongly they are drawn: one for single spikes."""
    if largest == 1:
        return [(0, 1, 1.0)]
    edges = sorted({0, *(round(largest * share) for share in (0.25, 0.5, 1))})
    return [
        (low, high, 0.35 + 0.65 * (n + 1) / (len(edges) - 1))
        for n, (low, high) in enumerate(itertools.pairwise(edges))
    ]


def pictures(found: Sequence[Picture]) -> str:
    """Draw the first samples above the scores that they got."""
    images = any(picture.pixels for picture in found)
    with style():
        figure = new_figure(11.2, 3.6 if images else 2.1)
        grid = figure.add_gridspec(2 if images else 1, len(found), height_ratios=(1.5, 1) if images else None)
        for column, picture in enumerate(found):
            if picture.pixels:
                above = figure.add_subplot(grid[0, column])
                above.imshow(np.array(picture.pixels), cmap="gray", interpolation="nearest", aspect="equal")
                above.set_axis_off()
            axes = figure.add_subplot(grid[-1, column])
            _scores(axes, picture)
            if not column:
                axes.set_ylabel("score")
        return to_svg(figure, "pictures", "The first samples and their scores")


def _scores(axes: Axes, picture: Picture) -> None:
    scores = np.array(picture.integer)
    shown = np.arange(scores.size)
    if scores.size > _CLASSES:
        shown = np.sort(np.argsort(-scores, kind="stable")[:_CLASSES])
    found = int(scores.argmax())
    colours = [LIGHT[SPIKING] if each == found else LIGHT["slate"] for each in shown]
    axes.bar(range(shown.size), scores[shown], color=colours, width=0.8)
    if picture.reference is not None:
        axes.plot(
            range(shown.size),
            np.array(picture.reference)[shown],
            "_",
            color=INK,
            markersize=9 if shown.size < 12 else 5,
        )
    axes.axhline(0, color=MUTED, linewidth=0.6)
    every = max(1, -(-shown.size // 10))
    axes.set_xticks(range(0, shown.size, every), [str(each) for each in shown[::every]])
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(_SI)
    known = "" if picture.label is None else f", is {picture.label}"
    wrong = picture.label is not None and picture.label != found
    axes.set_title(f"class {found}{known}", color=LIGHT["red"] if wrong else INK)
