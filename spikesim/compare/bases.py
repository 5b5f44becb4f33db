"""The bases on which spiking is set beside its dense twin, and beside the twin that skips zeros."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from spikesim.compare.parts import ARRAY, ENCODER, ENCODER_MEMORY, OFFSET, ROW_MEMORY
from spikesim.cores import CORES, CoreName
from spikesim.power_models.constants import PUBLISHED_REDUCTIONS
from spikesim.results.base import Rates
from spikesim.results.comparison import Basis, BasisName, Beside, Design, Saving, Twin

Designs = Mapping[CoreName, Design]
"""The same part of all three cores."""
ArrayCycles = Mapping[CoreName, float]
"""Cycles in which the array takes operands, of the same work, in any unit."""

SKIPPING_LABEL = "dense that skips zeros"
_TWINS: tuple[Twin, ...] = ("dense", "skipping")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Some parts of a design: µm², mW with and without glitches."""

    area: float
    power: float
    zero_delay: float

    def __add__(self, other: Slice) -> Slice:
        return Slice(
            area=self.area + other.area,
            power=self.power + other.power,
            zero_delay=self.zero_delay + other.zero_delay,
        )

    def times(self, factor: float) -> Slice:
        """All three times a factor."""
        return Slice(area=self.area * factor, power=self.power * factor, zero_delay=self.zero_delay * factor)


def parts_of(design: Design, parts: Iterable[str] | None = None) -> Slice:
    """The named parts of a design together; all of them without names."""
    wanted = None if parts is None else set(parts)
    total = Slice(area=0.0, power=0.0, zero_delay=0.0)
    for unit in design.units:
        if wanted is None or unit.unit in wanted:
            total += Slice(area=unit.area_um2, power=unit.power.total, zero_delay=unit.power.zero_delay)
    return total


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A design on a basis. `cycles`: per token, over which its powers are taken; `pace`: at which it makes tokens."""

    slice: Slice
    cycles: float
    pace: float


def unit_basis(
    arrays: Designs,
    cycles: ArrayCycles,
    frequency_hz: float,
    *,
    name: BasisName = "unit",
    published: bool = True,
) -> Basis:
    """Operand gating or multipliers, adder trees and accumulators alone: power per cycle at full use.

    `published`: these figures are the ones to hold beside those of the literature.
    """
    return _basis(
        name,
        "per unit, plane order" if name == "unit_plane" else "per unit",
        "the array alone (operand registers, gates or multipliers, adder trees, accumulators, the offset of their "
        "sums), same ways and lanes, power per clock cycle while the model's weight matrices are gathered; not in it: "
        "that spiking takes more cycles, event encoder, memories and the choice between them",
        lambda twin: _arrays(arrays, cycles, twin, (ARRAY, OFFSET)),
        cycles,
        frequency_hz,
        published=PUBLISHED_REDUCTIONS if published else {},
    )


def equal_throughput_basis(arrays: Designs, cycles: ArrayCycles, frequency_hz: float) -> Basis:
    """Array and encoder, the spiking array with as many more lanes as it takes for the twin's throughput."""
    return _basis(
        "equal_throughput",
        "array and encoder at equal throughput",
        f"array and event encoder; {_lanes(cycles)}, one encoder and one offset; energy of the same gathers from start "
        "to end, power = energy ÷ the twin's time; not in it: memories and the choice between them, row addressing, "
        "drain, which the whole core has",
        lambda twin: _equalised(arrays, cycles, twin, (OFFSET, ENCODER)),
        cycles,
        frequency_hz,
    )


def row_memory_basis(arrays: Designs, cycles: ArrayCycles, frequency_hz: float) -> Basis:
    """The same with what feeds the array: the encoder's memory and row memory, which an event reads anew."""
    return _basis(
        "row_memory",
        "array, encoder and row memory at equal throughput",
        f"array, event encoder, the encoder's memory and row memory: what grows with a system; {_lanes(cycles)}, one "
        "encoder, one offset and the same memories; energy of the same gathers from start to end, every row that "
        "is read and all leakage included, power = energy ÷ the twin's time; not in it: row addressing, drain, all "
        "that the array does not need to gather",
        lambda twin: _equalised(arrays, cycles, twin, (OFFSET, ENCODER, ENCODER_MEMORY, ROW_MEMORY)),
        cycles,
        frequency_hz,
    )


def core_basis(cores: Designs, frequency_hz: float) -> Basis:
    """Everything on chip."""
    cycles = {core: design.cycles_per_token for core, design in cores.items()}
    sides = {
        core: _Side(slice=parts_of(design), cycles=cycles[core], pace=cycles[core])
        for core, design in cores.items()
    }
    return _basis(
        "core",
        "whole core with memories",
        "all units and all memories of one core running whole tokens, area as it is, power over each core's own time",
        lambda twin: sides,
        cycles,
        frequency_hz,
    )


def _lanes(cycles: ArrayCycles) -> str:
    dense, skipping = (cycles["spiking"] / cycles[twin] for twin in _TWINS)
    return (
        f"the spiking array has {dense:.2f} times the lanes, and beside the twin that skips zeros {skipping:.2f} times "
        "(its array cycles ÷ the twin's, over all gathers)"
    )


def _arrays(
    arrays: Designs, cycles: ArrayCycles, twin: Twin, parts: tuple[str, ...]
) -> dict[CoreName, _Side]:
    """The named parts of the arrays as they are, each at the pace that its cycles leave it beside the twin."""
    return {
        core: _Side(
            slice=parts_of(design, parts),
            cycles=design.cycles_per_token,
            pace=arrays[twin].cycles_per_token * cycles[core] / cycles[twin],
        )
        for core, design in arrays.items()
    }


def _equalised(
    arrays: Designs, cycles: ArrayCycles, twin: Twin, once: tuple[str, ...]
) -> dict[CoreName, _Side]:
    """Spiking with as many more lanes as it takes for the twin's throughput; `once`: parts that more lanes share.

    More lanes need no second encoder and no second offset: all lanes take the same events. Twice the lanes read twice
    the weights of a row half as often.
    """
    sides = _arrays(arrays, cycles, twin, (ARRAY, *once))
    spiking, its = arrays["spiking"], arrays[twin].cycles_per_token
    longer = sides["spiking"].slice.times(spiking.cycles_per_token / its)
    area = parts_of(spiking, (ARRAY,)).area * cycles["spiking"] / cycles[twin] + parts_of(spiking, once).area
    grown = Slice(area=area, power=longer.power, zero_delay=longer.zero_delay)
    return sides | {"spiking": _Side(slice=grown, cycles=its, pace=its)}


def _basis(
    name: BasisName,
    label: str,
    condition: str,
    sides: Callable[[Twin], Mapping[CoreName, _Side]],
    cycles: ArrayCycles,
    frequency_hz: float,
    *,
    published: Mapping[str, float] | None = None,
) -> Basis:
    """`sides`: of all designs, beside a twin."""
    dense, skipping = (
        _beside(twin, sides(twin), cycles["spiking"] / cycles[twin], frequency_hz) for twin in _TWINS
    )
    return Basis(
        **{field: getattr(dense, field) for field in Beside.model_fields},
        name=name,
        label=label,
        condition=condition,
        skipping=skipping,
        published=dict(published or {}),
        others={SKIPPING_LABEL: skipping.reduction},
    )


def _beside(twin: Twin, sides: Mapping[CoreName, _Side], cycle_ratio: float, frequency_hz: float) -> Beside:
    def rates(figure: Callable[[_Side], float]) -> Rates:
        return Rates(**{core: figure(sides[core]) for core in CORES})

    mine, its = sides["spiking"], sides[twin]
    energy = rates(lambda side: 1e3 * side.slice.power * side.cycles / frequency_hz)
    tokens = rates(lambda side: frequency_hz / side.pace * its.slice.area / side.slice.area)
    return Beside(
        twin=twin,
        area_um2=rates(lambda side: side.slice.area),
        power_mw=rates(lambda side: side.slice.power),
        power_zero_delay_mw=rates(lambda side: side.slice.zero_delay),
        energy_per_token_uj=energy,
        tokens_per_s_at_equal_area=tokens,
        cycle_ratio=cycle_ratio,
        reduction=Saving(
            area=1 - mine.slice.area / its.slice.area,
            power=1 - mine.slice.power / its.slice.power,
            power_zero_delay=1 - mine.slice.zero_delay / its.slice.zero_delay,
            energy=1 - energy.spiking / getattr(energy, twin),
            tokens_per_s=tokens.spiking / getattr(tokens, twin) - 1,
        ),
    )
