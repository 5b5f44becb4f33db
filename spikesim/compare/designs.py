"""`build`: from a generated component to a netlist that is timed, with models of its memories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikesim.compare.memories import MemoryMacro, macro
from spikesim.compare.parts import memory_of, part_of
from spikesim.compare.technology import Technology
from spikesim.comparison import Timing
from spikesim.errors import ToolError
from spikesim.power_models.netlist import Netlist, read_netlist
from spikesim.power_models.parts import children
from spikesim.power_models.static_timing import StaticTiming, analyse
from spikesim.power_models.synthesis import Synthesis
from spikesim.rtl.memory import MODULE

TOP = "top"
"""Every design's top module: equal parts of different designs then have equal names, and are mapped once."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A design in Verilog, top module `TOP`. `lists_serve_gathers`: see `part_of`; `unused`: output ports."""

    text: str
    lists_serve_gathers: bool
    unused: tuple[str, ...] = ()


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
    """Synthesises and times. Raises ToolError: the tool fails, or the netlist has latches or unknown cells."""
    synthesis = technology.synthesiser.synthesise(
        source.text, TOP, keep=_kept(source.text), black_boxes=(MODULE,), unused=source.unused
    )
    if synthesis.latches or synthesis.unknown:
        found = synthesis.unknown[0] if synthesis.unknown else f"{synthesis.latches} latches"
        raise ToolError(f"synthesis must leave cells of the library alone, not {found}")
    netlist = read_netlist(synthesis.netlist, technology.library)
    lists = source.lists_serve_gathers
    timing = analyse(netlist, period_s=technology.period_s)
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
        synthesis=synthesis,
        netlist=netlist,
        timing=timing,
        parts=tuple(part_of(unit, lists_serve_gathers=lists) for unit in netlist.units),
        macros=macros,
    )


def _image(parameters: dict[str, Any]) -> str:
    return str(parameters.get("IMAGE", "none"))


def _kept(text: str) -> list[str]:
    """The core's units, the array's units and the look-up table: mapped one by one, without wrappers of a memory."""
    units = [*children(text, TOP), *children(text, f"{TOP}_array"), f"{TOP}_pointwise_lookup_table"]
    return [unit for unit in units if MODULE not in children(text, unit)]
