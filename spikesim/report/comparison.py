"""The area and power comparison in words and rows: what the page and the command line print, ready to be shown.

Savings are shown as what they do to the quantity, as they are published: "−70.6 %" is less, "+12 %" is more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikesim.report.numbers import (
    AREA,
    ENERGY,
    POWER,
    Ladder,
    change,
    duration,
    nanoseconds,
    percent,
    quantities,
    si,
    significant,
)

if TYPE_CHECKING:
    from spikesim.results.base import Rates
    from spikesim.results.comparison import (
        Basis,
        Beside,
        Comparison,
        Design,
        EventEnergy,
        Saving,
        UnitFigures,
    )
    from spikesim.results.report import Report

PJ = 1e-6
"""µJ in a pJ."""

PUBLISHED_NOTE = (
    "28 nm, 500 MHz, against an INT8 baseline; whether at equal cycles or equal throughput, and whether with"
    " memories, is not published"
)
"""What is known of the figures that stand beside ours."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of a card: what it is of, its value, and whether it is better ("less") or worse ("more") than dense.

    `skipping`: the same beside the twin that skips zeros; empty where that is not known.
    """

    name: str
    value: str
    tone: str = ""
    skipping: str = ""
    skipping_tone: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A basis, or what is published, at a glance."""

    title: str
    figures: tuple[Figure, ...]
    condition: str
    published: bool = False

    @property
    def both(self) -> bool:
        """Whether its figures stand beside either twin."""
        return any(figure.skipping for figure in self.figures)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A quantity of both designs and what spiking does to it."""

    name: str
    spiking: str
    dense: str
    change: str
    tone: str


@dataclass(frozen=True, kw_only=True)
class BasisRows:
    """The rows of one basis, as many beside the twin that skips zeros or none, and its reductions against other
    baselines by their labels."""

    title: str
    condition: str
    rows: tuple[Row, ...]
    skipping: tuple[Row, ...]
    others: tuple[tuple[str, tuple[Figure, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class BaselineRow:
    """Another arithmetic. `missed`: it does not meet the clock."""

    label: str
    area: str
    energy: str
    slack: str
    missed: bool
    note: str


@dataclass(frozen=True, kw_only=True)
class UnitRow:
    """One part of both designs; None where a design has no such part."""

    unit: str
    is_memory: bool
    spiking: UnitFigures | None
    dense: UnitFigures | None


def cards(report: Report, comparison: Comparison) -> tuple[Card, ...]:
    """The published figures, then one card per basis."""
    published = {
        name: value for basis in reversed(comparison.bases) for name, value in basis.published.items()
    }
    figures = [Figure(name=plain(name), value=change(value)) for name, value in published.items()]
    for known in report.spikes.published[:1]:
        figures.append(Figure(name="sparsity", value=percent(known.value)))
    ours = percent(report.spikes.sparsity.get(report.spikes.headline))
    beside = f"{report.spikes.published[0].label}: " if report.spikes.published else ""
    known_card = Card(
        title="Published",
        figures=tuple(figures),
        condition=f"{beside}{PUBLISHED_NOTE}. This run's sparsity: {ours} ({report.spikes.headline}).",
        published=True,
    )
    return (
        *((known_card,) if figures else ()),
        *(
            Card(
                title=sentence(basis.label),
                figures=_figures(basis.reduction, basis.skipping),
                condition=basis.condition,
            )
            for basis in comparison.bases
        ),
    )


def basis_rows(comparison: Comparison) -> tuple[BasisRows, ...]:
    """Every basis with its absolute figures."""
    return tuple(
        BasisRows(
            title=sentence(basis.label),
            condition=basis.condition,
            rows=_rows(basis),
            skipping=() if basis.skipping is None else _rows(basis.skipping),
            # Of the twin that skips zeros there is more to say than this.
            others=tuple(
                (label, _figures(other))
                for label, other in basis.others.items()
                if basis.skipping is None or other != basis.skipping.reduction
            ),
        )
        for basis in comparison.bases
    )


def pair(comparison: Comparison) -> tuple[Design, Design] | None:
    """The spiking design and its dense twin whose parts are set side by side: the cores, else the arrays."""
    named = {design.name: design for design in comparison.designs}
    for name in ("core", *(name.removeprefix("spiking_") for name in named if name.startswith("spiking_"))):
        if f"spiking_{name}" in named and f"dense_{name}" in named:
            return named[f"spiking_{name}"], named[f"dense_{name}"]
    return None


def units(spiking: Design, dense: Design) -> tuple[UnitRow, ...]:
    """The parts of both designs: logic first, then memories, each from large to small."""
    left = {unit.unit: unit for unit in spiking.units}
    right = {unit.unit: unit for unit in dense.units}
    rows = [
        UnitRow(
            unit=name,
            is_memory=any(part.is_memory for part in (left.get(name), right.get(name)) if part is not None),
            spiking=left.get(name),
            dense=right.get(name),
        )
        for name in dict.fromkeys((*left, *right))
    ]
    return tuple(sorted(rows, key=lambda row: (row.is_memory, -_area(row.spiking) - _area(row.dense))))


def unit_cells(row: UnitRow) -> tuple[str, ...]:
    """Area, then power, of a part: spiking and dense each."""
    both = (row.spiking, row.dense)
    return (
        *quantities(AREA, *(None if part is None else part.area_um2 for part in both)),
        *quantities(POWER, *(None if part is None else part.power.total for part in both)),
    )


def power_kinds(spiking: Design, dense: Design) -> tuple[tuple[str, str, str, str], ...]:
    """What the power of two designs consists of: name, spiking, dense and the change."""
    names = {
        "leakage": "leakage",
        "internal": "inside cells",
        "switching": "charging nets",
        "glitch": "glitches",
        "total": "together",
    }
    rows = []
    for name, label in names.items():
        left, right = (
            sum(float(getattr(unit.power, name)) for unit in design.units) for design in (spiking, dense)
        )
        saved = 1 - left / right if right else None
        shown = quantities(POWER, left, right)
        rows.append((label, shown[0], shown[1], change(saved)))
    return tuple(rows)


def event_cells(event: EventEnergy) -> tuple[str, str, str, str, str]:
    """The energy of a single thing: spiking, then dense and the change, then dense that skips zeros and the change."""
    energies = (event.spiking_pj, event.dense_pj, event.skipping_pj)
    spiking, *twins = quantities(ENERGY, *(None if pj is None else pj * PJ for pj in energies))
    mine = energies[0]
    changes = [change(1 - mine / pj if mine is not None and pj else None) for pj in energies[1:]]
    return spiking, twins[0], changes[0], twins[1], changes[1]


def baseline_rows(comparison: Comparison) -> tuple[BaselineRow, ...]:
    """Every other arithmetic, areas in one unit and energies in one unit, so that columns compare."""
    rows = comparison.baselines
    areas = quantities(AREA, *(row.area_um2 for row in rows))
    energies = quantities(ENERGY, *(None if row.energy_pj is None else row.energy_pj * PJ for row in rows))
    return tuple(
        BaselineRow(
            label=row.label,
            area=area,
            energy=energy,
            slack=nanoseconds(row.worst_slack_ns),
            missed=row.worst_slack_ns is not None and row.worst_slack_ns < 0,
            note=row.note,
        )
        for row, area, energy in zip(rows, areas, energies, strict=True)
    )


def design_rows(comparison: Comparison) -> tuple[tuple[Design, str, str], ...]:
    """Every design with its area and its power."""
    areas = [quantities(AREA, design.area_um2)[0] for design in comparison.designs]
    powers = [quantities(POWER, design.power_mw)[0] for design in comparison.designs]
    return tuple(zip(comparison.designs, areas, powers, strict=True))


def stages(comparison: Comparison) -> str:
    """How long the comparison took; what took no time came from the cache."""
    return ", ".join(
        f"{plain(name)} {duration(seconds) if seconds else 'cached'}"
        for name, seconds in comparison.seconds.items()
    )


def context(report: Report, comparison: Comparison) -> dict[str, Any]:
    """What the template of the section is filled with, figures apart."""
    both = pair(comparison)
    return {
        "cards": cards(report, comparison),
        "bases": basis_rows(comparison),
        "units": [(row, unit_cells(row)) for row in units(*both)] if both else [],
        "power_kinds": power_kinds(*both) if both else (),
        "events": [(event.name, event_cells(event)) for event in comparison.events],
        "baselines": baseline_rows(comparison),
        "designs": design_rows(comparison),
        "stages": stages(comparison),
    }


def verdict_of(comparison: Comparison) -> str:
    """One sentence on what spiking takes, on the basis that counts for a whole design where there is one."""
    chosen = {basis.name: basis for basis in comparison.bases}
    names = ("row_memory" if "row_memory" in chosen else "equal_throughput", "core", "unit")
    parts = [_summary(chosen[name]) for name in names if name in chosen][:2]
    return f"Spiking against dense {'; '.join(parts)}." if parts else ""


def basis_lines(basis: Basis) -> tuple[tuple[str, ...], ...]:
    """A basis for the terminal: label, then the change of area, power, energy, cycles, and tokens/s at equal area.

    A second line is beside the twin that skips zeros.
    """
    lines = [(basis.label, basis.reduction, basis.cycle_ratio)]
    if basis.skipping is not None:
        lines.append(
            ("  against dense that skips zeros", basis.skipping.reduction, basis.skipping.cycle_ratio)
        )
    return tuple(
        (
            label,
            change(saved.area),
            change(saved.power),
            change(saved.energy),
            f"{significant(ratio)} ×",
            _gain(saved),
        )
        for label, saved, ratio in lines
    )


def sentence(text: str) -> str:
    """The text with a capital letter in front."""
    return text[:1].upper() + text[1:]


def plain(name: str) -> str:
    """A name of the code as a word."""
    return name.replace("_", " ")


def _figures(saved: Saving, beside: Beside | None = None) -> tuple[Figure, ...]:
    """Of a saving, and the same beside the twin that skips zeros."""
    columns = [_shown(saved), {} if beside is None else _shown(beside.reduction)]
    return tuple(
        Figure(
            name=name,
            value=value,
            tone=tone,
            skipping=columns[1].get(name, ("", ""))[0],
            skipping_tone=columns[1].get(name, ("", ""))[1],
        )
        for name, (value, tone) in columns[0].items()
    )


def _shown(saved: Saving) -> dict[str, tuple[str, str]]:
    """Text and tone by name."""
    shown = {
        name: (change(value), _tone(value))
        for name, value in (("area", saved.area), ("power", saved.power), ("energy per token", saved.energy))
    }
    if saved.tokens_per_s is not None:
        shown["tokens/s, equal area"] = (_gain(saved), _tone(saved.tokens_per_s))
    return shown


def _gain(saved: Saving) -> str:
    """More tokens per second: "+20 %" is more."""
    return change(None if saved.tokens_per_s is None else -saved.tokens_per_s)


def _rows(beside: Beside) -> tuple[Row, ...]:
    saved, ratio = beside.reduction, beside.cycle_ratio
    rows = [
        _row("area", beside, beside.area_um2, AREA, saved.area),
        _row("power with glitches", beside, beside.power_mw, POWER, saved.power),
        _row("power, zero delay", beside, beside.power_zero_delay_mw, POWER, saved.power_zero_delay),
        _row("energy per token", beside, beside.energy_per_token_uj, ENERGY, saved.energy),
        Row(
            name="cycles for the same work",
            spiking=f"{significant(ratio)} ×",
            dense="1 ×",
            change=change(1 - ratio),
            tone=_tone(1 - ratio),
        ),
    ]
    tokens = beside.tokens_per_s_at_equal_area
    if tokens is not None and saved.tokens_per_s is not None:
        mine, its = (si(float(getattr(tokens, core))) for core in ("spiking", beside.twin))
        rows.append(
            Row(
                name="tokens/s at equal area",
                spiking=mine,
                dense=its,
                change=_gain(saved),
                tone=_tone(saved.tokens_per_s),
            )
        )
    return tuple(rows)


def _row(name: str, beside: Beside, rates: Rates, ladder: Ladder, saved: float) -> Row:
    spiking, dense = quantities(ladder, rates.spiking, getattr(rates, beside.twin))
    return Row(name=name, spiking=spiking, dense=dense, change=change(saved), tone=_tone(saved))


def _summary(basis: Basis) -> str:
    saved = basis.reduction
    return f"({basis.label}): {change(saved.area)} area, {change(saved.power)} power, {change(saved.energy)} energy"


def _tone(saved: float) -> str:
    """ "less" or "more" than dense, or neither, as far as the digits shown tell; of tokens/s "less" is for more."""
    if abs(saved) < 0.0005:
        return ""
    return "less" if saved > 0 else "more"


def _area(unit: UnitFigures | None) -> float:
    return 0.0 if unit is None else unit.area_um2
