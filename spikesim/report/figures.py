"""The figures of the report. Each takes the report (or a part of it) and returns an inline SVG.

Half-width figures are 5.6 inches wide and stay legible when a phone shows them at two thirds of that size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from spikesim.report.drawing import INK, LINE, MUTED, horizontal_grid, new_figure, style, to_svg
from spikesim.report.numbers import percent, tick
from spikesim.report.palette import DENSE, LIGHT, SPIKING, kind_colour, kind_name, layer_label
from spikesim.results.report import Cores, Cycles, Fidelity, Item, Spikes

NEGLIGIBLE = 0.002
"""Share of all cycles below which a program has no bar of its own; tables list every program."""

_HALF = (5.6, 3.1)
_SPIKING, _DENSE = LIGHT[SPIKING], LIGHT[DENSE]
_SI = FuncFormatter(lambda value, _position: tick(value))


def layer_cosine(fidelity: Fidelity) -> str:
    """Draw how well each layer's output agrees with the float model."""
    layers = fidelity.layer_cosine
    with style():
        figure = new_figure(*_HALF)
        axes = figure.add_subplot()
        x = [entry.layer for entry in layers]
        y = [entry.cosine for entry in layers]
        axes.plot(x, y, color=MUTED, linewidth=0.9, zorder=2)
        axes.scatter(x, y, c=[_kind(entry.kind) for entry in layers], s=34, zorder=3)
        low = [entry.cosine if entry.minimum is None else entry.minimum for entry in layers]
        if low != y:
            axes.vlines(x, low, y, color=LINE, linewidth=2.2, zorder=1)
        floor = min(low)
        axes.set_ylim(floor - 0.12 * (1 - floor) - 1e-4, 1 + 0.05 * (1 - floor) + 1e-4)
        _layer_axis(axes, x)
        axes.yaxis.get_major_formatter().set_useOffset(False)  # type: ignore[attr-defined]
        axes.set_ylabel("cosine, integer against float")
        _kind_legend(axes, [entry.kind for entry in layers])
        return to_svg(figure, "cosine", "Cosine between integer and float output of each layer")


def firing_rate(spikes: Spikes) -> str:
    """Draw the firing rate of each layer's inputs, coloured by kind of layer."""
    layers = spikes.by_layer
    with style():
        figure = new_figure(*_HALF)
        axes = figure.add_subplot()
        x = [entry.layer for entry in layers]
        rates = [entry.firing_rate for entry in layers]
        axes.bar(x, rates, width=0.72, color=[_kind(entry.kind) for entry in layers])
        _mean_line(axes, spikes.firing_rate, f"all: {percent(spikes.firing_rate, 1)}")
        _layer_axis(axes, x)
        axes.set_ylim(0, 1.08 * max([*rates, spikes.firing_rate, 1e-6]))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.set_ylabel(f"spikes ÷ (values × {spikes.steps} steps)")
        _kind_legend(axes, [entry.kind for entry in layers])
        return to_svg(figure, "rate", "Firing rate of each layer")


def count_distribution(spikes: Spikes) -> str:
    """Draw how often each |s| occurs, on a logarithmic scale."""
    total = max(1, sum(spikes.histogram))
    shares = np.array(spikes.histogram) / total
    largest = int(np.flatnonzero(shares)[-1]) if shares.any() else 0
    right = min(127, max(16, largest))
    with style():
        figure = new_figure(*_HALF)
        axes = figure.add_subplot()
        axes.bar(range(right + 1), shares[: right + 1], width=0.86, color=_SPIKING)
        if shares.any():
            axes.set_yscale("log")
            axes.set_ylim(10.0 ** np.floor(np.log10(shares[shares > 0].min())), 4)
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: _power_percent(value)))
        axes.set_xlim(-0.9, right + 0.9)
        axes.set_xlabel("|s|, count of an activation")
        axes.set_ylabel("share of values")
        axes.axvline(7.5, color=INK, linewidth=0.8, linestyle=(0, (3, 3)))
        _beside(axes, 7.5, 1.7, f"{percent(spikes.within_7, 1)} of values within 7", INK)
        return to_svg(figure, "counts", "Distribution of counts, logarithmic")


def layer_cycles(cycles: Cycles, tokens: int, item: Item) -> str:
    """Draw cycles per token of each layer, spiking against dense, with the DRAM time where weights stream."""
    smallest = NEGLIGIBLE * max(cycles.spiking, cycles.dense)
    layers = [entry for entry in cycles.by_layer if max(entry.spiking, entry.dense, entry.dram) >= smallest]
    per_token = 1 / max(1, tokens)
    with style():
        figure = new_figure(*_HALF)
        axes = figure.add_subplot()
        x = np.arange(len(layers))
        _pair_of_bars(axes, x, [e.spiking * per_token for e in layers], [e.dense * per_token for e in layers])
        if any(entry.dram for entry in layers):
            streamed = np.flatnonzero([entry.dram for entry in layers])
            y = [layers[n].dram * per_token for n in streamed]
            axes.hlines(y, streamed - 0.44, streamed + 0.44, color=INK, linewidth=1.4)
            axes.plot([], [], color=INK, linewidth=1.4, label="DRAM time")
        _named_axis(axes, [layer_label(entry.layer, entry.kind) for entry in layers])
        axes.margins(y=0.06)
        axes.yaxis.set_major_formatter(_SI)
        axes.set_ylabel(f"cycles per {item}")
        _legend_above(axes)
        return to_svg(figure, "cycles", f"Cycles per {item} of each layer, spiking against dense")


def instruction_cycles(cycles: Cycles, tokens: int, item: Item) -> str:
    """Draw cycles per token of each kind of instruction, most expensive first."""
    entries = sorted(cycles.by_instruction.items(), key=lambda item: max(item[1].spiking, item[1].dense))
    entries = [item for item in entries if item[1].spiking or item[1].dense][-12:]
    per_token = 1 / max(1, tokens)
    with style():
        figure = new_figure(_HALF[0], max(_HALF[1], 0.27 * len(entries) + 0.7))
        axes = figure.add_subplot()
        y = np.arange(len(entries))
        spiking = [entry.spiking * per_token for _, entry in entries]
        dense = [entry.dense * per_token for _, entry in entries]
        axes.barh(y + 0.19, spiking, 0.36, color=_SPIKING, label="spiking")
        axes.barh(y - 0.19, dense, 0.36, color=_DENSE, label="dense")
        for row, (one, other) in enumerate(zip(spiking, dense, strict=True)):
            share = one / (cycles.spiking * per_token) if cycles.spiking else 0
            _beside(axes, max(one, other), row, percent(share, 1))
        axes.set_yticks(y, [name.replace("_", " ") for name, _ in entries])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(-0.6, len(entries) - 0.4)
        axes.margins(x=0.16)
        axes.xaxis.set_major_formatter(_SI)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(f"cycles per {item} (labels: share of the spiking core's compute)")
        horizontal_grid(axes)
        axes.legend(loc="lower right")
        return to_svg(figure, "instructions", f"Cycles per {item} by kind of instruction")


def occupancy(cores: Cores) -> str:
    """Draw how busy the array is in each layer."""
    layers = cores.by_layer
    with style():
        figure = new_figure(*_HALF)
        axes = figure.add_subplot()
        x = np.arange(len(layers))
        _pair_of_bars(axes, x, [e.occupancy.spiking for e in layers], [e.occupancy.dense for e in layers])
        _mean_line(axes, cores.occupancy.spiking, f"spiking, mean {percent(cores.occupancy.spiking, 1)}")
        _named_axis(axes, [layer_label(entry.layer, entry.kind) for entry in layers])
        busiest = max(max(entry.occupancy.spiking, entry.occupancy.dense) for entry in layers)
        axes.set_ylim(0, min(1.03, max(0.1, 1.2 * busiest)))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.set_ylabel("array slots in use")
        _legend_above(axes)
        return to_svg(figure, "occupancy", "Core occupancy: share of array slots in use in each layer")


def _kind(kind: str) -> str:
    return LIGHT[kind_colour(kind)]


def _layer_axis(axes: Axes, layers: Sequence[int]) -> None:
    axes.set_xlim(min(layers) - 0.7, max(layers) + 0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=18, min_n_ticks=1))
    axes.set_xlabel("layer")


def _named_axis(axes: Axes, names: Sequence[str]) -> None:
    """Label bars by name, thinned out where there are many; the last one, usually the head, always stays."""
    every = max(1, -(-len(names) // 18))
    shown = [n for n in range(len(names)) if n % every == 0 and len(names) - 1 - n >= every]
    shown.append(len(names) - 1)
    axes.set_xticks(shown, [names[n] for n in shown])
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.set_xlabel("layer")


def _pair_of_bars(axes: Axes, x: np.ndarray, spiking: Sequence[float], dense: Sequence[float]) -> None:
    axes.bar(x - 0.205, spiking, 0.39, color=_SPIKING, label="spiking")
    axes.bar(x + 0.205, dense, 0.39, color=_DENSE, label="dense")


def _mean_line(axes: Axes, value: float, label: str) -> None:
    axes.axhline(value, color=INK, linewidth=0.9, linestyle=(0, (3, 2)), label=label)


def _beside(axes: Axes, x: float, y: float, text: str, colour: str = MUTED) -> None:
    """Write to the right of a point, the same small distance away at every scale."""
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=8.5, color=colour)


def _kind_legend(axes: Axes, kinds: Sequence[str]) -> None:
    names = list(dict.fromkeys(kinds))
    marks = [Line2D([], [], marker="s", linestyle="", markersize=6, color=_kind(kind)) for kind in names]
    lines, texts = axes.get_legend_handles_labels()
    labels = [*map(kind_name, names), *texts]
    _legend_above(axes, [*marks, *lines], labels)


def _legend_above(axes: Axes, handles: Sequence[Artist] = (), labels: Sequence[str] = ()) -> None:
    """Put the legend in one line above the axes, where it hides nothing."""
    if not handles:
        # Bars before the lines that refer to them, whatever order matplotlib lists them in.
        entries = sorted(
            zip(*axes.get_legend_handles_labels(), strict=True), key=lambda e: isinstance(e[0], Line2D)
        )
        handles, labels = [handle for handle, _ in entries], [label for _, label in entries]
    axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        ncols=len(labels),
        borderaxespad=0,
        columnspacing=1.3,
        handletextpad=0.5,
    )


def _power_percent(share: float) -> str:
    value = 100 * share
    if value > 100:
        return ""
    return f"{np.format_float_positional(value, precision=9, trim='-')} %"
