"""Where a token's energy goes, by kind of instruction; and the energy of single things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spikesim.compare.bases import parts_of
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
from spikesim.results.comparison import Design, EventEnergy, OperationEnergy
from spikesim.run.observers import InstructionCost
from spikesim.spikes.digits import digits


@dataclass(frozen=True, kw_only=True)
class Amount:
    """What the gathers of one token are: `products` of a count and a weight, `additions` of an event and a weight."""

    products: float
    additions: float
    lanes: int


def amount_of(gathers: Sequence[GatherWork], coding: str, lanes: int) -> Amount:
    """Mean over the streams."""
    events = [float((digits(g.counts, coding) != 0).sum()) / len(g.counts) for g in gathers]
    return Amount(
        products=float(sum(gather.matrix.size for gather in gathers)),
        additions=sum(e * gather.matrix.shape[0] for e, gather in zip(events, gathers, strict=True)),
        lanes=lanes,
    )


RULE = (
    "Energy by operation: leakage, control and vector memory by cycles; the array, its encoder and row memory by rows "
    "read; the pointwise unit and the state update by the cycles of the instructions that they execute."
)
"""How the energy of a unit is dealt out to the instructions that use it."""

_UPDATES = ("scatter", "decay", "store", "pool")
_GATHERING = (ARRAY, OFFSET, ENCODER, ENCODER_MEMORY, ADDRESSING, ROW_MEMORY)
_UPDATING = (UPDATE, UPDATE_MEMORY, STATE_MEMORY)


def operation_energies(
    work: Work, spiking: Design, dense: Design, frequency_hz: float
) -> list[OperationEnergy]:
    """µJ per token of every kind of instruction, by `RULE`."""
    mine = _shares(work, spiking, dense=False, frequency_hz=frequency_hz)
    its = _shares(work, dense, dense=True, frequency_hz=frequency_hz)
    energies = [OperationEnergy(operation=kind, spiking_uj=mine[kind], dense_uj=its[kind]) for kind in mine]
    return sorted(energies, key=lambda entry: -entry.dense_uj)


def _shares(work: Work, design: Design, *, dense: bool, frequency_hz: float) -> dict[str, float]:
    kinds = work.by_kind

    def cycles(kind: str) -> float:
        return kinds[kind].dense if dense else kinds[kind].spiking

    def rows(kind: str) -> float:
        return _rows(kinds[kind], dense=dense)

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


def _rows(entry: InstructionCost, *, dense: bool) -> float:
    return entry.counters.row_reads_dense if dense else entry.counters.row_reads


def event_energies(
    arrays: tuple[Design, Design], cores: tuple[Design, Design], amount: Amount, frequency_hz: float
) -> list[EventEnergy]:
    """pJ of single things; `arrays` and `cores`: spiking and dense."""

    def picojoules(designs: tuple[Design, Design], parts: tuple[str, ...] | None) -> tuple[float, float]:
        mine, its = (
            1e9 * parts_of(design, parts).power * design.cycles_per_token / frequency_hz for design in designs
        )
        return mine, its

    array = picojoules(arrays, (ARRAY, OFFSET))
    both = picojoules(arrays, (ARRAY, OFFSET, ENCODER))
    rows = picojoules(arrays, (ROW_MEMORY,))
    whole = picojoules(cores, None)
    return [
        EventEnergy(
            name="per event (an addition) or multiply-accumulate: array",
            spiking_pj=array[0] / amount.additions,
            dense_pj=array[1] / amount.products,
        ),
        EventEnergy(
            name="per weight: array and encoder",
            spiking_pj=both[0] / amount.products,
            dense_pj=both[1] / amount.products,
        ),
        EventEnergy(
            name=f"per row read ({amount.lanes} weights of a bank)",
            spiking_pj=rows[0] * amount.lanes / amount.additions,
            dense_pj=rows[1] * amount.lanes / amount.products,
        ),
        EventEnergy(name="per token: whole core", spiking_pj=whole[0], dense_pj=whole[1]),
    ]
