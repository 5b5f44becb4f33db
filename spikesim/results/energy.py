"""Energy and area of what a whole model runs on: rates measured by `spikesim compare`, and estimates from them.

A *rate* is what a component of the core takes for one of what it is counted by, dynamic, its leakage and its area.
Rates are measured on one design and one model; the estimate moves them to another, and says how far off it was where
both are known.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spikesim.results.base import Rates, Result

Counted = Literal[
    "events", "row_reads", "array_cycles", "update_cycles", "pointwise_words", "vector_words", "cycles"
]
"""Events of the array (a twin's: rows); words read of row and state memory; cycles in which the array takes operands;
cycles of instructions that update a state or a cache; words through the pointwise unit; words of vector memory that
are read and written; all cycles."""


class EnergyRate(Result):
    """One component of the core."""

    component: str = Field(description="array, encoder, row memory, …")
    per: Counted = Field(description="what its dynamic energy is counted by")
    dynamic_pj: Rates = Field(description="pJ each, glitches included, leakage not")
    leakage_mw: Rates = Field(description="mW")
    area_um2: Rates = Field(description="µm² of one core's")


class Energies(Result):
    """Rates of one design, measured by one run of `spikesim compare`."""

    command: str = Field(description="the run")
    created: str = Field(description="its date and time, ISO 8601 with time zone")
    version: str = Field(description="of spikesim")
    model: str = Field(description="name of the model")
    library: str = Field(description="the cells")
    node: str = Field(description="technology node, such as 45 nm")
    voltage_v: float = Field(description="supply, V")
    clock_mhz: float = Field(gt=0, description="MHz")
    array: dict[str, int | str] = Field(description="ways, lanes, order, coding, words of the pointwise unit")
    memories: dict[str, int] = Field(description="words of each memory, per bank where it has banks")
    memory_access_ns: float = Field(gt=0, description="what the netlists leave for a read of a memory, ns")
    rates: tuple[EnergyRate, ...] = Field(description="per component")
    error: Rates = Field(
        description="estimate of the whole core's energy from these rates ÷ what was measured − 1, same tokens; "
        "skipping: None if that core was not measured"
    )


class EnergyEstimate(Result):
    """Energy per token, and area, estimated; not measured on gates."""

    components: dict[str, Rates] = Field(
        description="µJ per token of every component; DRAM is the same for all"
    )
    total_uj: Rates = Field(description="µJ per token, all together")
    areas_mm2: dict[str, Rates] = Field(description="mm² of every component, all cores together")
    total_mm2: Rates = Field(description="mm² of all cores; no network, clock tree or pads")
    error: Rates = Field(description="of the rates' own estimate against gates on their model, as a share")
    source: str = Field(description="where the rates come from, one sentence")
    notes: tuple[str, ...] = Field(
        description="how the rates were moved to this hardware, and what is left out"
    )
