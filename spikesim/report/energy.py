"""The estimate of a whole model's energy in rows: what the page and the command line print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikesim.report.numbers import ENERGY, MISSING, percent, quantities
from spikesim.results.comparison import OperationEnergy

if TYPE_CHECKING:
    from spikesim.results.base import Rates
    from spikesim.results.energy import EnergyEstimate

TITLES = {"spiking": "spiking", "dense": "dense", "skipping": "dense, skipping zeros"}
"""Of the cores, in the order of their columns."""


@dataclass(frozen=True, kw_only=True)
class EnergyRow:
    """A component, or all together: per core what it takes, and its share of the spiking core's energy."""

    name: str
    cells: tuple[str, ...]
    share: str
    total: bool = False


def cores_of(found: EnergyEstimate) -> tuple[str, ...]:
    """The cores whose rates are known."""
    return tuple(core for core in TITLES if getattr(found.total_uj, core) is not None)


def rows(found: EnergyEstimate) -> tuple[EnergyRow, ...]:
    """Every component, the most expensive of the spiking core first; all together."""
    ordered = sorted(found.components.items(), key=lambda item: -item[1].spiking)
    total = found.total_uj

    def row(name: str, rates: Rates, *, is_total: bool = False) -> EnergyRow:
        return EnergyRow(
            name=name,
            cells=quantities(ENERGY, *(getattr(rates, core) for core in cores_of(found))),
            share=percent(rates.spiking / total.spiking, 1) if total.spiking else MISSING,
            total=is_total,
        )

    return (*(row(name, rates) for name, rates in ordered), row("together", total, is_total=True))


def errors(found: EnergyEstimate) -> str:
    """How far off the rates are where gates say what is true: "spiking +1.2 %, dense −0.4 %"."""
    known = [(TITLES[core], getattr(found.error, core)) for core in TITLES]
    return ", ".join(f"{title} {_signed(error)}" for title, error in known if error is not None)


def operations(found: EnergyEstimate) -> tuple[OperationEnergy, ...]:
    """The components as the figure takes them."""
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
    return f"Energy per token, estimated: {each}; against gates on their model the rates are off by {errors(found)}."


def context(found: EnergyEstimate | None) -> dict[str, Any]:
    """What energy.html.j2 needs; nothing without an estimate."""
    if found is None:
        return {}
    return {
        "energy_cores": [TITLES[core] for core in cores_of(found)],
        "energy_rows": rows(found),
        "energy_errors": errors(found),
    }


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "−")
