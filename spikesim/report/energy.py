"""The estimate of a whole model's energy in rows: what the page and the command line print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikesim.report.numbers import AREA, ENERGY, MISSING, Ladder, percent, quantities

if TYPE_CHECKING:
    from spikesim.results.base import Rates
    from spikesim.results.comparison import OperationEnergy
    from spikesim.results.energy import EnergyEstimate

TITLES = {"spiking": "spiking", "dense": "dense", "skipping": "dense, skipping zeros"}
"""Of the cores, in the order of their columns."""


@dataclass(frozen=True, kw_only=True)
class EnergyRow:
    """A component, or all together: per core what it takes, and its share of what the spiking core takes."""

    name: str
    cells: tuple[str, ...]
    share: str
    total: bool = False


def cores_of(found: EnergyEstimate) -> tuple[str, ...]:
    """The cores whose rates are known."""
    return tuple(core for core in TITLES if getattr(found.total_uj, core) is not None)


def rows(found: EnergyEstimate) -> tuple[EnergyRow, ...]:
    """Every component, the most expensive of the spiking core first; all together."""
    return _rows(found.components, found.total_uj, ENERGY, cores_of(found))


def area_rows(found: EnergyEstimate) -> tuple[EnergyRow, ...]:
    """The same of the area, from large to small."""
    scaled = {name: _square_micrometres(rates) for name, rates in found.areas_mm2.items()}
    return _rows(scaled, _square_micrometres(found.total_mm2), AREA, cores_of(found))


def _rows(
    components: Mapping[str, Rates], total: Rates, ladder: Ladder, cores: tuple[str, ...]
) -> tuple[EnergyRow, ...]:
    def row(name: str, rates: Rates, *, is_total: bool = False) -> EnergyRow:
        return EnergyRow(
            name=name,
            cells=quantities(ladder, *(getattr(rates, core) for core in cores)),
            share=percent(rates.spiking / total.spiking, 1) if total.spiking else MISSING,
            total=is_total,
        )

    ordered = sorted(components.items(), key=lambda item: -item[1].spiking)
    return (*(row(name, rates) for name, rates in ordered), row("together", total, is_total=True))


def _square_micrometres(mm2: Rates) -> Rates:
    scaled = {core: 1e6 * area for core, area in mm2.model_dump(exclude_none=True).items()}
    return type(mm2).model_validate(scaled)


def errors(found: EnergyEstimate) -> str:
    """How far off the rates are where gates say what is true: "spiking +1.2 %, dense −0.4 %"."""
    known = [(TITLES[core], getattr(found.error, core)) for core in TITLES]
    return ", ".join(f"{title} {_signed(error)}" for title, error in known if error is not None)


def operations(found: EnergyEstimate) -> tuple[OperationEnergy, ...]:
    """The components as the figure takes them."""
    from spikesim.results.comparison import OperationEnergy

    return tuple(
        OperationEnergy(operation=name, spiking_uj=rates.spiking, dense_uj=rates.dense)
        for name, rates in found.components.items()
    )


def line(found: EnergyEstimate) -> str:
    """The estimate in a sentence."""
    energies = quantities(ENERGY, *(getattr(found.total_uj, core) for core in cores_of(found)))
    each = ", ".join(
        f"{TITLES[core]} {energy}" for core, energy in zip(cores_of(found), energies, strict=True)
    )
    areas = quantities(AREA, found.total_mm2.spiking * 1e6, found.total_mm2.dense * 1e6)
    return (
        f"Energy per token, estimated: {each}; against gates on their model the rates are off by {errors(found)}. "
        f"Area of all cores, estimated: spiking {areas[0]}, dense {areas[1]}."
    )


def context(found: EnergyEstimate | None) -> dict[str, Any]:
    """What energy.html.j2 needs; nothing without an estimate."""
    if found is None:
        return {}
    return {
        "energy_cores": [TITLES[core] for core in cores_of(found)],
        "energy_rows": rows(found),
        "energy_errors": errors(found),
        "area_rows": area_rows(found),
    }


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "−")
