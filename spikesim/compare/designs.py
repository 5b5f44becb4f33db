"""`build`: from a generated component to a netlist that is timed, with models of its memories."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spikesim.compare.memories import MemoryMacro, macro
from spikesim.compare.parts import memory_of, part_of
from spikesim.compare.technology import Technology
from spikesim.errors import ToolError
from spikesim.power_models.netlist.buffering import buffered, overloaded
from spikesim.power_models.netlist.netlist import Netlist, read_netlist
from spikesim.power_models.synthesis.parts import children
from spikesim.power_models.synthesis.synthesis import EFFORTS, Synthesis, just_misses
from spikesim.power_models.timing.analysis import StaticTiming, analyse
from spikesim.results.comparison import Timing
from spikesim.rtl.memory import MODULE
from spikesim.support.together import go_on

TOP = "top"
"""Every design's top module: equal parts of different designs then have equal names, and are mapped once."""


_MANY = ("_sum_lane_0", "_state_unit_0", "_pointwise_lane_0", "_pointwise_lane_1", "_lookup_table")
"""How the names of modules end that a design has many instances of."""

_BUFFERINGS = 3
"""Times that nets with slow edges are buffered: a tree has a level of its own behind each of its buffers."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A design in Verilog, top module `TOP`. `lists_serve_gathers`: see `part_of`."""

    text: str
    lists_serve_gathers: bool


@dataclass(frozen=True, kw_only=True)
class Built:
    """A design in gates. `parts`: of every unit of the netlist, its part; `macros`: one per memory, in order."""

    synthesis: Synthesis
    netlist: Netlist
    timing: StaticTiming
    parts: tuple[str, ...]
    macros: tuple[MemoryMacro, ...]

    @property
    def access_s(self) -> dict[str, float]:
        """Access times of the memories, by name."""
        return {entry.name: entry.model.access_s for entry in self.macros}

    @property
    def figures(self) -> Timing:
        """For the report. Paths start at memories' clocks, so that what their access times leave is stated apart."""
        timing = self.timing
        access = max((entry.model.access_s for entry in self.macros), default=None)
        slack = None
        if access is not None and timing.from_memory is not None:
            slack = 1e9 * (timing.from_memory.slack_s - access)
        return Timing(
            period_ns=1e9 * timing.period_s,
            worst_slack_ns=1e9 * timing.worst_slack_s,
            worst_path_ns=1e9 * timing.worst.seconds,
            start=timing.worst.start,
            end=timing.worst.end,
            memory_access_ns=None if access is None else 1e9 * access,
            memory_slack_ns=slack,
        )


def build(source: Source, technology: Technology) -> Built:
    """Synthesises and times; parts on paths that are too long are mapped again with more effort.

    Raises ToolError: the tool fails, or the netlist has latches or unknown cells.
    """
    kept = _kept(source.text)
    efforts: dict[str, int] = {}
    mapped = _map(source, technology, kept, efforts)
    for effort in range(1, len(EFFORTS)):
        if not just_misses(mapped.timing):
            break
        efforts |= dict.fromkeys(_late_parts(mapped.timing, kept), effort)
        mapped = _map(source, technology, kept, efforts)
    netlist, timing = mapped.netlist, mapped.timing
    lists = source.lists_serve_gathers
    # What logic takes behind a memory, setup included, is not the memory's.
    left = timing.from_memory.slack_s if timing.from_memory else technology.period_s
    macros = tuple(
        macro(
            netlist,
            number,
            memory_of(box.name, _image(box.parameters), lists_serve_gathers=lists),
            access_s=left,
            node=technology.node.node,
            voltage=technology.library.voltage,
        )
        for number, box in enumerate(netlist.boxes)
    )
    return Built(
        synthesis=mapped.synthesis,
        netlist=netlist,
        timing=timing,
        parts=tuple(part_of(unit, lists_serve_gathers=lists) for unit in netlist.units),
        macros=macros,
    )


@dataclass(frozen=True, kw_only=True)
class _Mapped:
    synthesis: Synthesis
    netlist: Netlist
    timing: StaticTiming


def _map(source: Source, technology: Technology, kept: Sequence[str], efforts: dict[str, int]) -> _Mapped:
    # One design at a time: its parts are mapped on all processors, and equal parts of the next are then there.
    with technology.building:
        go_on()
        synthesis = technology.synthesiser.synthesise(
            source.text, TOP, keep=kept, black_boxes=(MODULE,), efforts=efforts
        )
    if synthesis.latches or synthesis.unknown:
        found = synthesis.unknown[0] if synthesis.unknown else f"{synthesis.latches} latches"
        raise ToolError(f"synthesis must leave cells of the library alone, not {found}")
    module, library, period = synthesis.netlist, technology.library, technology.period_s
    netlist = read_netlist(module, library)
    timing = analyse(netlist, period_s=period)
    for _ in range(_BUFFERINGS):
        go_on()
        if not (nets := overloaded(netlist, timing)):
            break
        bits = [netlist.bits[net] for net in nets]
        module = buffered(module, library, bits, netlist.box_inputs)
        netlist = read_netlist(module, library)
        timing = analyse(netlist, period_s=period)
    return _Mapped(synthesis=synthesis, netlist=netlist, timing=timing)


def _late_parts(timing: StaticTiming, kept: Sequence[str]) -> set[str]:
    """The parts in which paths that are too long end, and in which the longest starts."""
    ends = [name for name, slack in zip(timing.endpoints, timing.endpoint_slack_s, strict=True) if slack < 0]
    paths = {name.rpartition(".")[0] for name in [*ends, timing.worst.start]}
    return {part for path in paths for part in _parts_at(path, kept)}


def _parts_at(path: str, kept: Sequence[str]) -> set[str]:
    """The parts of which one holds the unit at `path`: of equal units the first was mapped for all, which is the second
    of all units where the very first is another.
    """
    while path:
        name = f"{TOP}_{path.replace('.', '_')}"
        if name in kept:
            return {name}
        if alike := {re.sub(r"_\d+$", f"_{first}", name) for first in (0, 1)} & set(kept):
            return alike
        path = path.rpartition(".")[0]
    return {TOP}


def _image(parameters: dict[str, Any]) -> str:
    return str(parameters.get("IMAGE", "none"))


def _kept(text: str) -> list[str]:
    """What is mapped by itself: the core's and the array's units, and parts of them of which there are many.

    Wrappers of a memory are not.
    """
    inside = children(text)
    many = [name for name in inside if name.endswith(_MANY)]
    units = [*inside.get(TOP, ()), *inside.get(f"{TOP}_array", ()), *many]
    return [unit for unit in units if MODULE not in inside[unit]]
