"""Where the paths of static timing end, and the longest of them, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.power_models.liberty.library import Floats
from spikesim.power_models.netlist.netlist import ONE, OPEN, CellGroup, Netlist, Nets
from spikesim.power_models.timing.graph import CLOCK_PORT, FALL, RISE, Arrivals, TimingGraph


@dataclass(frozen=True, kw_only=True)
class Step:
    """A net on a path. `cell`: the instance that drives it, "" of a port or memory. `rising`: which way it goes."""

    cell: str
    net: str
    rising: bool
    arrival_s: float


@dataclass(frozen=True, kw_only=True)
class Path:
    """`seconds`: from the clock's edge, clock to output, setup time and margins included; `slack_s`: what is left."""

    start: str
    end: str
    seconds: float
    slack_s: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where paths end: nets, what they must keep before the clock's edge, s (float64[endpoints, 2]), and names."""

    nets: Nets
    margin: Floats
    memory: NDArray[np.bool_]
    names: tuple[str, ...]

    def slack(self, period_s: float, arrival: Floats) -> Floats:
        """float64[endpoints, 2], +∞ where nothing arrives."""
        return np.asarray(period_s - self.margin - arrival[self.nets])


def endpoints_of(
    netlist: Netlist, slew: Floats, clock_slew_s: float, output_margin_s: float, memory_setup_s: float
) -> Endpoints:
    """Data pins of registers and clock gates, with their setup times; output ports; inputs of memories.

    `slew`: s, float64[nets + 1, 2].
    """
    nets: list[Nets] = []
    margins: list[Floats] = []
    memory: list[bool] = []
    names: list[str] = []

    def add(ends: Nets, margin: Floats, labels: list[str], *, is_memory: bool) -> None:
        nets.append(ends)
        margins.append(margin)
        memory.extend([is_memory] * ends.size)
        names.extend(labels)

    for group in netlist.groups:
        if not group.cell.clock:
            continue
        for name in group.cell.inputs:
            setup = group.cell.pins[name].setup
            if name == group.cell.clock:
                continue
            ends = group.pin(name)
            known = ends > ONE
            ends = ends[known]
            margin = np.zeros((ends.size, 2))
            if setup is not None:
                clock = np.full(ends.size, clock_slew_s)
                for edge in (RISE, FALL):
                    margin[:, edge] = setup[edge].at(slew[ends, edge], clock)
            labels = _cell_names(netlist, group)
            add(ends, margin, [labels[i] for i in np.flatnonzero(known)], is_memory=False)
    for port, bits in netlist.outputs.items():
        add(bits, np.full((bits.size, 2), output_margin_s), _bits(port, bits.size), is_memory=False)
    for box in netlist.boxes:
        for port in sorted(netlist.box_inputs[box.module] & box.ports.keys() - {CLOCK_PORT}):
            bits = box.ports[port]
            margin = np.full((bits.size, 2), memory_setup_s)
            add(bits, margin, _bits(f"{box.name}.{port}", bits.size), is_memory=True)
    return Endpoints(
        nets=np.concatenate([*nets, np.zeros(0, np.int32)]).astype(np.int32),
        margin=np.concatenate([*margins, np.zeros((0, 2))]),
        memory=np.array(memory, np.bool_),
        names=tuple(names),
    )


def _cell_names(netlist: Netlist, group: CellGroup) -> list[str]:
    """Registers and gates by a net that they drive: tools name cells, people name signals."""
    names = [netlist.cell_names[cell] for cell in group.cells]
    for output in reversed(group.cell.outputs):
        for i, net in enumerate(group.pin(output)):
            if net != OPEN:
                names[i] = netlist.net_names[net]
    return names


def _bits(name: str, width: int) -> list[str]:
    return [name] if width == 1 else [f"{name}[{i}]" for i in range(width)]


class StartNames:
    """Names of where paths start that no cell drives."""

    def __init__(self, netlist: Netlist) -> None:
        self._names: dict[int, str] = {}
        for port, bits in netlist.inputs.items():
            self._names.update(zip(bits.tolist(), _bits(port, bits.size), strict=True))
        for box in netlist.boxes:
            for port in box.ports.keys() - netlist.box_inputs[box.module]:
                bits = box.ports[port]
                self._names.update(zip(bits.tolist(), _bits(f"{box.name}.{port}", bits.size), strict=True))

    def __getitem__(self, net: int) -> str:
        return self._names[net]


def worst_path(
    netlist: Netlist,
    graph: TimingGraph,
    arrivals: Arrivals,
    ends: Endpoints,
    slack: Floats,
    period_s: float,
    names: StartNames,
) -> Path | None:
    """The path with the least slack; None if none has any."""
    if not slack.size or not np.isfinite(slack.min()):
        return None
    end, edge = (int(i) for i in np.unravel_index(int(slack.argmin()), slack.shape))
    net = int(ends.nets[end])
    steps: list[Step] = []
    while net != netlist.nets:
        via = int(arrivals.via[net, edge])
        cell = "" if via < 0 else netlist.cell_names[int(graph.cell[via // 2])]
        at = float(arrivals.arrival[net, edge])
        steps.append(Step(cell=cell, net=netlist.net_names[net], rising=edge == RISE, arrival_s=at))
        if via < 0:
            break
        net, edge = int(graph.source[via // 2]), via % 2
    return Path(
        start=names[net] if net != netlist.nets else steps[-1].net,
        end=ends.names[end],
        seconds=period_s - float(slack.min()),
        slack_s=float(slack.min()),
        steps=tuple(reversed(steps)),
    )
