"""The memories of a design: macros by `power_models.memory_model`, accesses as the simulation counted them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spikesim.compare.parts import STATE_MEMORY, VECTOR_MEMORY
from spikesim.power_models.gates.memory import shape_of
from spikesim.power_models.gates.simulator import MemoryCounts
from spikesim.power_models.memories.model import Sram, sram_within
from spikesim.power_models.netlist.netlist import Netlist
from spikesim.power_models.power.power import PowerResult
from spikesim.results.comparison import Power, UnitFigures


@dataclass(frozen=True, kw_only=True)
class MemoryMacro:
    """One memory of a netlist, of `macros` macros, of which `side_by_side` hold a word. `part`: what it belongs to."""

    name: str
    part: str
    macros: int
    side_by_side: int
    model: Sram


def macro(
    netlist: Netlist, number: int, part: str, *, access_s: float, node: str, voltage: float
) -> MemoryMacro:
    """The model of box `number`: macros side by side, split so that they are read within `access_s` if that can be.

    State and vector memory are written while they are read. All others are written by instructions or a host that
    read nothing of them at the time: one port serves both.
    """
    box = netlist.boxes[number]
    shape = shape_of(box)
    split = sram_within(
        access_s,
        shape.depth,
        shape.width,
        read_ports=shape.reads,
        shared_port=part not in (STATE_MEMORY, VECTOR_MEMORY),
        write_granule=shape.width // shape.granules,
        macro_bits=shape.width // shape.macros,
        node=node,
        voltage=voltage,
    )
    return MemoryMacro(
        name=box.name,
        part=part,
        macros=split.macros * shape.macros,
        side_by_side=shape.macros,
        model=split.whole,
    )


def memory_power(
    netlist: Netlist,
    macros: Sequence[MemoryMacro],
    counts: dict[str, MemoryCounts],
    cycles: int,
    quiet: PowerResult,
    frequency_hz: float,
) -> list[UnitFigures]:
    """Per part, memories of which it consists: accesses are internal power, the nets they drive switching power.

    A read reaches all macros side by side, a write those with an enable set, as the simulation counted them.
    """
    figures: dict[str, list[float]] = {}
    for box, entry in zip(netlist.boxes, macros, strict=True):
        count, model = counts[box.name], entry.model
        write = model.write_energy_j / entry.side_by_side
        energy = int(count.reads.sum()) * model.read_energy_j + count.writes * write
        nets = box.ports["read_data"]
        switching = float(quiet.net_switching_w[nets[nets > 1]].sum())
        total = figures.setdefault(entry.part, [0.0, 0.0, 0.0, 0.0])
        for i, value in enumerate(
            (model.area_um2, model.leakage_w, energy * frequency_hz / cycles, switching)
        ):
            total[i] += value
    return [
        UnitFigures(
            unit=part,
            is_memory=True,
            area_um2=area,
            power=Power(leakage=1e3 * leakage, internal=1e3 * internal, switching=1e3 * switching),
        )
        for part, (area, leakage, internal, switching) in figures.items()
    ]
