"""`report.html`: the template filled with a report's figures, tables and facts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spikesim.report import (
    activity,
    break_even_figures,
    comparison_figures,
    energy,
    figures,
    lava,
    lava_figures,
    numbers,
)
from spikesim.report.break_even import break_even
from spikesim.report.comparison import context, pair
from spikesim.report.item_words import ItemWords
from spikesim.report.items import reword
from spikesim.report.palette import DARK, LIGHT, is_layer, kind_colour, kind_name
from spikesim.report.raster import spike_raster
from spikesim.report.slack import slack_warning, timing_rows
from spikesim.report.summary import NOTHING_SCORED, facts, input_words, is_random, verdict
from spikesim.results.activity import Activity
from spikesim.results.comparison import Comparison
from spikesim.results.lava import LavaRun
from spikesim.results.report import COARSE_LABELS, Item, Report

FEW_LAYERS = 12
"""Up to so many layers, tables with a row per layer are unfolded from the start."""


_UNIT_GAP = re.compile(r"(?<=\d) (?=[%×]|°C|[TGMkmµn](?:\W|$)|[TGMkmµnpf]?(?:B/s|B|Hz|s|W|J|V|m²)(?:\W|$))")


def render(report: Report) -> str:
    """Return the whole page. It loads nothing from anywhere; equal reports give equal pages."""
    environment = Environment(
        loader=PackageLoader("spikesim.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[ItemWords],
    )
    item = report.model.item
    environment.extend(item=item)
    environment.filters |= {
        "change": numbers.change,
        "duration": numbers.duration,
        "fixed": numbers.fixed,
        "kind_colour": kind_colour,
        "kind_name": kind_name,
        "megahertz": numbers.megahertz,
        "nobreak": nobreak,
        "number": numbers.number,
        "percent": numbers.percent,
        "plural": numbers.plural,
        "quality": numbers.quality,
        "setting": setting,
        "si": numbers.si,
        "size": numbers.size,
        "whole": numbers.whole,
    }
    return environment.get_template("report.html.j2").render(
        report=report,
        facts=facts(report),
        verdict=verdict(report),
        nothing_scored=NOTHING_SCORED,
        is_network=item != "token",
        activity_energy=_activity_energy(report.activity),
        inputs=input_words(report),
        random=is_random(report),
        figures=draw(report),
        hardware=grouped(report.hardware),
        quantisation=grouped(report.quantisation),
        ratio=numbers.ratio,
        is_layer=is_layer,
        warnings=[text for text in report.warnings if text != report.input.note],
        coarse_labels=COARSE_LABELS,
        open_tables=len(report.model.layer_kinds) <= FEW_LAYERS,
        light=LIGHT,
        dark=DARK,
        **reword({**_area_and_power(report), **energy.context(report.energy), **_on_lava(report)}, item),
    )


def draw(report: Report) -> dict[str, Markup]:
    """Return the inline SVG of every figure that the report has data for, by name."""
    tokens, item = report.input.n_tokens, report.model.item
    drawn: dict[str, str] = {"counts": figures.count_distribution(report.spikes)}
    if report.fidelity.layer_cosine:
        drawn["cosine"] = figures.layer_cosine(report.fidelity)
    if report.raster is not None and report.raster.counts and report.raster.counts[0]:
        drawn["raster"] = spike_raster(report.raster, report.spikes, item)
    if report.activity is not None:
        drawn |= _draw_activity(report.activity, item)
    if report.spikes.by_layer:
        drawn["rate"] = figures.firing_rate(report.spikes)
    if report.cycles.by_layer:
        drawn["cycles"] = figures.layer_cycles(report.cycles, tokens, item)
    if report.cycles.by_instruction:
        drawn["instructions"] = figures.instruction_cycles(report.cycles, tokens, item)
    if report.cores.by_layer:
        drawn["occupancy"] = figures.occupancy(report.cores)
    others: dict[str, str] = {}
    if report.comparison is not None:
        others |= _draw_comparison(report.comparison)
    if report.energy is not None:
        others["energy"] = comparison_figures.energy_by_operation(
            energy.operations(report.energy), "energy", "Energy per token by component, estimated"
        )
    if report.lava is not None:
        others |= _draw_lava(report.lava)
    drawn |= reword(others, item)
    # Our own drawing, and its one text from outside (a label) is escaped by `to_svg` and by matplotlib.
    return {name: Markup(svg) for name, svg in drawn.items()}


def _draw_activity(found: Activity, item: Item) -> dict[str, str]:
    drawn: dict[str, str] = {}
    if any(layer.by_step for layer in found.by_layer):
        drawn["spikesbystep"] = activity.spikes_by_step(found)
    if found.rasters:
        drawn["rasters"] = activity.rasters(found.rasters, item)
    if found.pictures:
        drawn["pictures"] = activity.pictures(found.pictures)
    return drawn


def _draw_comparison(comparison: Comparison) -> dict[str, str]:
    drawn: dict[str, str] = {}
    if comparison.bases:
        drawn["bases"] = comparison_figures.bases(comparison)
    if pair(comparison) is not None:
        drawn["area"] = comparison_figures.area_by_unit(comparison)
        drawn["power"] = comparison_figures.power_by_unit(comparison)
    if comparison.operations:
        drawn["operations"] = comparison_figures.energy_by_operation(comparison.operations)
    settings = break_even(comparison)
    if any(setting.moves for setting in settings):
        drawn["breakeven"] = break_even_figures.against_sparsity(settings)
    if not all(setting.moves for setting in settings):
        drawn["settings"] = break_even_figures.by_setting(settings)
    return drawn


def _draw_lava(run: LavaRun) -> dict[str, str]:
    drawn: dict[str, str] = {}
    if run.placement.cores:
        drawn["lavachip"] = lava_figures.chip(run.placement)
    if run.traffic:
        drawn["lavaops"] = lava_figures.operations(run)
    return drawn


def _activity_energy(found: Activity | None) -> tuple[str, ...]:
    """By the literature's convention: of the spikes, and of a dense pass."""
    return () if found is None else numbers.quantities(numbers.ENERGY, found.spiking_uj, found.dense_uj)


def _on_lava(report: Report) -> dict[str, Any]:
    """What lava.html.j2 needs; nothing without a run on Lava."""
    if report.lava is None:
        return {}
    return {
        **lava.context(report.lava),
        "lava_chip_hidden": lava_figures.hidden_cores(report.lava.placement),
    }


def _area_and_power(report: Report) -> dict[str, Any]:
    """What comparison.html.j2 needs; nothing without a comparison."""
    if report.comparison is None:
        return {}
    settings = break_even(report.comparison)
    return {
        **context(report, report.comparison),
        "timing": timing_rows(report.comparison),
        "slack_warning": slack_warning(report.comparison),
        "settings_curves": settings,
        "still": sum(not setting.moves for setting in settings),
    }


def grouped(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort settings into sections; those outside any section come first, below the empty name.

    >>> grouped({"array": {"ways": 16}, "coding": "bitwise"})
    {'': {'coding': 'bitwise'}, 'array': {'ways': 16}}
    """
    plain = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    sections = {name: dict(value) for name, value in settings.items() if isinstance(value, Mapping)}
    return {"": plain, **sections} if plain else sections


def nobreak(text: str) -> str:
    """Keep numbers and their units on one line."""
    return _UNIT_GAP.sub("\u00a0", text)


def setting(value: Any, name: str) -> str:
    """Return a setting's value with the unit that its name says.

    >>> setting(500_000_000, "frequency_hz"), setting(2.56e10, "bandwidth_bytes_per_s"), setting(None, "seed")
    ('500\\xa0MHz', '25.6\\xa0GB/s', '–')
    """
    if value is None:
        return numbers.MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        for ending, unit in (("_hz", "Hz"), ("_bytes_per_s", "B/s")):
            if name.endswith(ending):
                return nobreak(numbers.si(value, unit))
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(setting(item, "") for item in value)
    return str(value)
