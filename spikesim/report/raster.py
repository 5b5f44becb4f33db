"""The spike raster: every spike of a few channels over a few tokens, as the core would see them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spikesim.report.drawing import LINE, MUTED, horizontal_grid, new_figure, style, to_svg
from spikesim.report.palette import LIGHT, NEGATIVE, POSITIVE
from spikesim.results.report import Item, Raster, Spikes
from spikesim.spikes.digits import COUNT_CODINGS, INT8_PLANES, checked_coding, digits

MOST_CHANNELS = 64
MOST_STEPS = 240
"""What a page-wide figure shows clearly."""

_POSITIVE, _NEGATIVE = LIGHT[POSITIVE], LIGHT[NEGATIVE]


def spike_sample(raster: Raster, spikes: Spikes) -> NDArray[np.int8]:
    """Return int8[tokens, steps, channels] in {−1, 0, 1}, the sample cut to what a figure can show.

    Steps run most significant first in weighted codings.
    """
    counts = np.array(raster.counts, dtype=np.int64)[:, :MOST_CHANNELS]
    coding = checked_coding(spikes.coding)
    if coding in COUNT_CODINGS:
        planes = max(1, int(np.abs(counts).max(initial=0)))
    else:
        planes = min(spikes.steps, INT8_PLANES[coding])
    counts = counts[: max(1, MOST_STEPS // planes)]
    planes_first = digits(counts, coding, planes)
    if coding not in COUNT_CODINGS:
        planes_first = planes_first[::-1]
    return np.ascontiguousarray(planes_first.transpose(1, 0, 2))


def spike_raster(raster: Raster, spikes: Spikes, item: Item) -> str:
    """Draw the sample with spikes per step above it and spikes per channel beside it."""
    sample = spike_sample(raster, spikes)
    tokens, steps, channels = sample.shape
    flat = sample.reshape(tokens * steps, channels)
    position = "token position" if item == "token" else item
    with style():
        figure = new_figure(11.2, 4.3)
        grid = figure.add_gridspec(2, 2, width_ratios=(11, 1), height_ratios=(1, 5.2))
        axes = figure.add_subplot(grid[1, 0])
        above = figure.add_subplot(grid[0, 0], sharex=axes)
        beside = figure.add_subplot(grid[1, 1], sharey=axes)

        width = 0.62 * 10.2 * 72 / (tokens * steps)
        _spikes(axes, flat == 1, _POSITIVE, width, "+1")
        _spikes(axes, flat == -1, _NEGATIVE, width, "−1")
        edges = np.arange(tokens + 1) * steps - 0.5
        axes.vlines(edges, -0.5, channels - 0.5, color=LINE, linewidth=0.7, zorder=0)
        axes.set_xlim(-0.5, tokens * steps - 0.5)
        axes.set_ylim(channels - 0.5, -0.5)
        axes.grid(visible=False)
        every = max(1, tokens // 16)
        middles = np.arange(0, tokens, every)
        axes.set_xticks(
            middles * steps + (steps - 1) / 2, [str(raster.first_token + token) for token in middles]
        )
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.yaxis.set_major_formatter(lambda value, _position: f"{value + raster.first_channel:.0f}")
        axes.set_xlabel(
            f"{position} ({steps} {'steps' if item == 'token' else 'planes'} each, most significant first)"
            if steps > 1
            else position
        )
        axes.set_ylabel("channel")

        active = np.abs(flat)
        place, height = _dashes(np.arange(tokens * steps), 0, active.sum(1))
        above.plot(place, height, color=MUTED, linewidth=1.25 * width, solid_capstyle="butt")
        above.set_ylim(0, 1.05 * max(1, active.sum(1).max()))
        above.tick_params(labelbottom=False)
        above.set_ylabel("spikes")
        above.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        place, length = _dashes(np.arange(channels), 0, active.sum(0))
        beside.plot(length, place, color=MUTED, linewidth=0.7 * 3.3 * 72 / channels, solid_capstyle="butt")
        beside.set_xlim(0, 1.05 * max(1, active.sum(0).max()))
        beside.tick_params(labelleft=False)
        beside.set_xlabel("spikes")
        beside.xaxis.set_major_locator(MaxNLocator(2, integer=True))
        horizontal_grid(beside)
        above.legend(
            *axes.get_legend_handles_labels(),
            loc="lower right",
            bbox_to_anchor=(1, 0.98),
            ncols=2,
            borderaxespad=0,
        )
        where = f"layer {raster.layer} ({raster.kind}), {raster.name}"
        return to_svg(figure, "raster", f"Spike raster of {where}")


def _spikes(axes: Axes, where: NDArray[np.bool_], colour: str, width: float, label: str) -> None:
    """Draw one upright dash per spike."""
    step, channel = np.nonzero(where)
    x, y = _dashes(step, channel - 0.41, channel + 0.41)
    axes.plot(x, y, color=colour, linewidth=width, solid_capstyle="butt", label=label)


def _dashes(place: NDArray[Any], start: Any, end: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return many dashes as one broken line, which costs a page far less than one object each."""
    across = np.repeat(place.astype(float), 3)
    along = np.full((len(place), 3), np.nan)
    along[:, 0], along[:, 1] = start, end
    return across, along.ravel()
