"""The three bases on which spiking and dense are set side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spikesim.compare.parts import ARRAY, ENCODER, ENCODER_MEMORY, OFFSET, ROW_MEMORY
from spikesim.power_models.constants import PUBLISHED_REDUCTIONS
from spikesim.results.base import Rates
from spikesim.results.comparison import Basis, Design, Saving


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


def unit_basis(spiking: Design, dense: Design, cycle_ratio: float, frequency_hz: float) -> Basis:
    """Operand gating or multipliers, adder trees and accumulators alone: power per cycle at full use."""
    return _basis(
        "unit",
        "per unit",
        "the array alone (operand registers, gates or multipliers, adder trees, accumulators, the offset of their "
        "sums), same ways and lanes, power per clock cycle while the model's weight matrices are gathered; not in it: "
        "that spiking takes more cycles, event encoder, memories and the choice between them",
        parts_of(spiking, (ARRAY, OFFSET)),
        parts_of(dense, (ARRAY, OFFSET)),
        cycles=(spiking.cycles_per_token, dense.cycles_per_token),
        cycle_ratio=cycle_ratio,
        frequency_hz=frequency_hz,
        published=PUBLISHED_REDUCTIONS,
    )


def equal_throughput_basis(spiking: Design, dense: Design, cycle_ratio: float, frequency_hz: float) -> Basis:
    """Array and encoder, the spiking array with as many more lanes as it takes for the dense twin's throughput.

    More lanes need no second encoder and no second offset: all lanes take the same events.
    """
    parts = (ARRAY, OFFSET, ENCODER)
    longer = parts_of(spiking, parts).times(spiking.cycles_per_token / dense.cycles_per_token)
    array, once = parts_of(spiking, (ARRAY,)), parts_of(spiking, (OFFSET, ENCODER))
    return _basis(
        "equal_throughput",
        "array and encoder at equal throughput",
        f"array and event encoder; the spiking array has {cycle_ratio:.2f} times the lanes (its array cycles ÷ the "
        "dense twin's, over all gathers), one encoder and one offset; energy of the same gathers from start to end, "
        "power = energy ÷ the dense twin's time; not in it: memories and the choice between them, row addressing, "
        "drain, which the whole core has",
        Slice(area=array.area * cycle_ratio + once.area, power=longer.power, zero_delay=longer.zero_delay),
        parts_of(dense, parts),
        cycles=(dense.cycles_per_token, dense.cycles_per_token),
        cycle_ratio=cycle_ratio,
        frequency_hz=frequency_hz,
    )


def memory_note(spiking: Design, dense: Design, cycle_ratio: float) -> str:
    """What becomes of the second basis if the encoder's and the row memory's part is counted."""
    array = parts_of(spiking, (ARRAY,))
    lengthened = spiking.cycles_per_token / dense.cycles_per_token
    texts = []
    for label, more in (
        ("the encoder's memories", (ENCODER_MEMORY,)),
        ("the encoder's memories and row memory", (ENCODER_MEMORY, ROW_MEMORY)),
    ):
        mine = parts_of(spiking, (OFFSET, ENCODER, *more))
        its = parts_of(dense, (ARRAY, OFFSET, ENCODER, *more))
        area = 1 - (array.area * cycle_ratio + mine.area) / its.area
        energy = 1 - (array.power + mine.power) * lengthened / its.power
        texts.append(f"with {label} {-100 * area:+.1f} % area and {-100 * energy:+.1f} % energy")
    return "Array and encoder at equal throughput, memories counted: " + "; ".join(texts) + "."


def core_basis(spiking: Design, dense: Design, frequency_hz: float) -> Basis:
    """Everything on chip."""
    return _basis(
        "core",
        "whole core with memories",
        "all units and all memories of one core running whole tokens, area as it is, power over each core's own time",
        parts_of(spiking),
        parts_of(dense),
        cycles=(spiking.cycles_per_token, dense.cycles_per_token),
        cycle_ratio=spiking.cycles_per_token / dense.cycles_per_token,
        frequency_hz=frequency_hz,
    )


def with_other(basis: Basis, label: str, other: Basis) -> Basis:
    """The basis, and what spiking saves of another baseline, from the same kind of basis against that."""
    return basis.model_copy(update={"others": basis.others | {label: other.reduction}})


def _basis(
    name: str,
    label: str,
    condition: str,
    spiking: Slice,
    dense: Slice,
    *,
    cycles: tuple[float, float],
    cycle_ratio: float,
    frequency_hz: float,
    published: Mapping[str, float] | None = None,
) -> Basis:
    """`cycles`: per token, of spiking and dense, over which the powers are taken."""
    energy = Rates(
        spiking=1e3 * spiking.power * cycles[0] / frequency_hz,
        dense=1e3 * dense.power * cycles[1] / frequency_hz,
    )
    return Basis.model_validate(
        {
            "name": name,
            "label": label,
            "condition": condition,
            "area_um2": Rates(spiking=spiking.area, dense=dense.area),
            "power_mw": Rates(spiking=spiking.power, dense=dense.power),
            "power_zero_delay_mw": Rates(spiking=spiking.zero_delay, dense=dense.zero_delay),
            "energy_per_token_uj": energy,
            "cycle_ratio": cycle_ratio,
            "reduction": Saving(
                area=1 - spiking.area / dense.area,
                power=1 - spiking.power / dense.power,
                power_zero_delay=1 - spiking.zero_delay / dense.zero_delay,
                energy=1 - energy.spiking / energy.dense,
            ),
            "published": dict(published or {}),
        }
    )
