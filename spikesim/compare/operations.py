"""Where a token's energy goes, by kind of instruction; and the energy of single things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikesim.compare.bases import Designs, parts_of
from spikesim.compare.parts import (
    ADDRESSING,
    ARRAY,
    ENCODER,
    ENCODER_MEMORY,
    OFFSET,
    POINTWISE,
    ROW_MEMORY,
    STATE_MEMORY,
    UPDATE,
    UPDATE_MEMORY,
)
from spikesim.compare.work import GatherWork, Work
from spikesim.cores import CORES, CoreName
from spikesim.cycle.delivery import gather_reads
from spikesim.hardware import HardwareConfig
from spikesim.results.comparison import Design, EventEnergy, OperationEnergy
from spikesim.spikes.digits import digits


@dataclass(frozen=True, kw_only=True)
class Amount:
    """What the gathers of one token are: `products` of a count and a weight, `additions` of an event and a weight.

    `weights_read`: of row memory, per core; a row of a bank has `lanes` of them.
    """

    products: float
    additions: float
    weights_read: Mapping[CoreName, float]
    lanes: int


def amount_of(gathers: Sequence[GatherWork], hardware: HardwareConfig) -> Amount:
    """Mean over the streams."""
    coding = hardware.numerics.coding
    events = [float((digits(g.counts, coding) != 0).sum()) / len(g.counts) for g in gathers]
    rows = [gather_reads(gather.counts, hardware) for gather in gathers]
    return Amount(
        products=float(sum(gather.matrix.size for gather in gathers)),
        additions=sum(e * gather.matrix.shape[0] for e, gather in zip(events, gathers, strict=True)),
        weights_read={
            core: sum(
                float(read[core].mean()) * gather.matrix.shape[0]
                for read, gather in zip(rows, gathers, strict=True)
            )
            for core in CORES
        },
        lanes=hardware.array.lanes,
    )


RULE = (
    "Energy by operation: leakage, control and vector memory by cycles; the array, its encoder and row memory by rows "
    "read; the pointwise unit and the state update by the cycles of the instructions that they execute."
)
"""How the energy of a unit is dealt out to the instructions that use it."""

_UPDATES = ("scatter", "decay", "store", "pool")
_GATHERING = (ARRAY, OFFSET, ENCODER, ENCODER_MEMORY, ADDRESSING, ROW_MEMORY)
_UPDATING = (UPDATE, UPDATE_MEMORY, STATE_MEMORY)


def operation_energies(work: Work, cores: Designs, frequency_hz: float) -> list[OperationEnergy]:
    """µJ per token of every kind of instruction, by `RULE`."""
    shares = {core: _shares(work, core, design, frequency_hz) for core, design in cores.items()}
    energies = [
        OperationEnergy(operation=kind, **{f"{core}_uj": energy[kind] for core, energy in shares.items()})
        for kind in work.by_kind
    ]
    return sorted(energies, key=lambda entry: -entry.dense_uj)


def _shares(work: Work, core: CoreName, design: Design, frequency_hz: float) -> dict[str, float]:
    kinds = work.by_kind

    def cycles(kind: str) -> float:
        return kinds[kind].cycles[core]

    def rows(kind: str) -> float:
        return kinds[kind].counters.of(core).row_reads

    updates = [kind for kind in kinds if kind in _UPDATES]
    gathers = [kind for kind in kinds if kind.startswith("gather")]
    others = [kind for kind in kinds if kind not in updates and kind not in gathers]
    energy = dict.fromkeys(kinds, 0.0)
    for unit in design.units:
        microjoules = 1e3 * design.cycles_per_token / frequency_hz
        dynamic = (unit.power.total - unit.power.leakage) * microjoules
        shared = unit.power.leakage * microjoules
        if unit.unit in _GATHERING:
            weights = {kind: rows(kind) for kind in gathers}
        elif unit.unit in _UPDATING:
            weights = {kind: cycles(kind) for kind in updates}
        elif unit.unit == POINTWISE:
            weights = {kind: cycles(kind) for kind in others}
        else:
            weights, shared, dynamic = {}, shared + dynamic, 0.0
        total = sum(weights.values())
        if not total:
            shared, dynamic = shared + dynamic, 0.0
        for kind, weight in weights.items():
            energy[kind] += dynamic * weight / total if total else 0.0
        every = sum(cycles(kind) for kind in kinds)
        for kind in kinds:
            energy[kind] += shared * cycles(kind) / every
    return energy


def event_energies(arrays: Designs, cores: Designs, amount: Amount, frequency_hz: float) -> list[EventEnergy]:
    """pJ of single things."""

    def of(
        name: str, designs: Designs, parts: tuple[str, ...] | None, counts: Mapping[CoreName, float]
    ) -> EventEnergy:
        energies = {
            f"{core}_pj": 1e9
            * parts_of(design, parts).power
            * design.cycles_per_token
            / frequency_hz
            / counts[core]
            for core, design in designs.items()
        }
        return EventEnergy(name=name, **energies)

    weights = dict.fromkeys(CORES, amount.products)
    operations = weights | {"spiking": amount.additions}
    reads = {core: count / amount.lanes for core, count in amount.weights_read.items()}
    return [
        of("per event (an addition) or multiply-accumulate: array", arrays, (ARRAY, OFFSET), operations),
        of("per weight: array and encoder", arrays, (ARRAY, OFFSET, ENCODER), weights),
        of(f"per row read ({amount.lanes} weights of a bank)", arrays, (ROW_MEMORY,), reads),
        of("per token: whole core", cores, None, dict.fromkeys(CORES, 1.0)),
    ]
