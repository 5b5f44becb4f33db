"""`analyse`: static timing of a netlist, by its library's non-linear delay tables.

Graph-based, as sign-off tools start: every net keeps its latest arrival and its worst slew for each edge, whichever
paths they come from, so that no path is faster than stated. Wires have capacitance (`Netlist.load`) and no resistance.
Clocks are ideal: registers and memories see an edge of `clock_slew_s` at time 0, and all data are due a period later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikesim.errors import ToolError
from spikesim.power_models.liberty.library import Arc, Floats, Table
from spikesim.power_models.netlist.netlist import ONE, CellGroup, Netlist, Nets
from spikesim.power_models.timing.graph import FALL, RISE, Arrivals, clock_nets, propagate, timing_graph
from spikesim.power_models.timing.paths import Path, StartNames, endpoints_of, worst_path


@dataclass(frozen=True, kw_only=True)
class StaticTiming:
    """When everything settles. Of arrays with an axis of two, 0 is a rising and 1 a falling edge.

    * `worst`: the path with the least slack. `from_memory`: the longest that starts at a memory's read data,
      `to_memory`: the longest that ends at a memory's input; None if there is none.
    * `arrival`: s, float64[nets, 2], −∞ for what never switches (constants, clocks). `slew`: s, float64[nets, 2],
      0 for what never switches, the clock's slew for clocks. `load`: F, float64[nets], of wires and everything driven,
      averaged over both edges.
    * `endpoints`, `endpoint_slack_s`: names of where paths end, and float64[endpoints], +∞ without a path to it.
    * `arc_delays`: per group of cells float64[cells, outputs, inputs], s: how long an output takes to follow an input
      (of a register or clock gate: its clock), averaged over both edges and all conditions; 0 where it does not.
    """

    period_s: float
    worst: Path
    from_memory: Path | None
    to_memory: Path | None
    arrival: Floats
    slew: Floats
    load: Floats
    endpoints: tuple[str, ...]
    endpoint_slack_s: Floats
    arc_delays: list[Floats]

    @property
    def worst_slack_s(self) -> float:
        """Negative if the netlist is too slow for its clock."""
        return self.worst.slack_s


def analyse(
    netlist: Netlist,
    *,
    period_s: float,
    clock_slew_s: float = 20e-12,
    input_arrival_s: float = 0.0,
    input_slew_s: float = 20e-12,
    output_margin_s: float = 0.0,
    output_load_f: float = 0.0,
    memory_access_s: float = 0.0,
    memory_slew_s: float = 20e-12,
    memory_setup_s: float = 0.0,
    memory_pin_f: float = 0.0,
) -> StaticTiming:
    """Slack and paths of all registers, clock gates, ports and memories.

    Inputs arrive `input_arrival_s` after the clock's edge and outputs must be there `output_margin_s` before the next;
    a memory's data come `memory_access_s` after the edge, its inputs must be there `memory_setup_s` before it.
    `output_load_f`, `memory_pin_f`: what an output port and a memory's input pin add to their net.
    Raises ToolError: no path, a loop, or a clock that is neither a port nor gated.
    """
    if not period_s > 0:
        raise ToolError(f"the clock period must be positive, not {period_s:g} s")
    graph = timing_graph(netlist)
    load = _load(netlist, output_load_f, memory_pin_f)
    clocks = clock_nets(netlist)
    arrival = np.full((netlist.nets + 1, 2), -np.inf)
    slew = np.zeros((netlist.nets + 1, 2))
    arrival[netlist.nets, RISE] = 0.0
    slew[[*clocks, netlist.nets]] = clock_slew_s
    ports = list(netlist.inputs.values())
    starts = np.setdiff1d(np.concatenate([*ports, np.zeros(0, np.int32)]), clocks)
    arrival[starts], slew[starts] = input_arrival_s, input_slew_s
    memory = np.full_like(arrival, -np.inf)
    read = _memory_outputs(netlist)
    memory[read] = memory_access_s
    arrival[read], slew[read] = memory_access_s, memory_slew_s
    latest = propagate(graph, load, arrival, slew)
    ends = endpoints_of(netlist, latest.slew, clock_slew_s, output_margin_s, memory_setup_s)
    slack = ends.slack(period_s, latest.arrival)
    names = StartNames(netlist)

    def path(arrivals: Arrivals, slacks: Floats) -> Path | None:
        return worst_path(netlist, graph, arrivals, ends, slacks, period_s, names)

    worst = path(latest, slack)
    if worst is None:
        raise ToolError("the netlist must have a path to a register, port or memory to be timed")
    from_memory = None
    if read.size:
        later = propagate(graph, load, memory, latest.slew, settled=True)
        from_memory = path(later, ends.slack(period_s, later.arrival))
    return StaticTiming(
        period_s=period_s,
        worst=worst,
        from_memory=from_memory,
        to_memory=path(latest, np.where(ends.memory[:, None], slack, np.inf)),
        arrival=latest.arrival[:-1],
        slew=latest.slew[:-1],
        load=load.mean(axis=1),
        endpoints=ends.names,
        endpoint_slack_s=slack.min(axis=1),
        arc_delays=[_delays(group, latest.slew[:-1], load) for group in netlist.groups],
    )


def _load(netlist: Netlist, output_f: float, memory_f: float) -> Floats:
    """F, float64[nets, 2]: an input pin may hold more against a rising than against a falling edge."""
    load = np.stack([netlist.load, netlist.load], axis=1)
    for nets in netlist.outputs.values():
        np.add.at(load, nets, output_f)
    for box in netlist.boxes:
        for port in netlist.box_inputs[box.module] & box.ports.keys():
            np.add.at(load, box.ports[port], memory_f)
    for group in netlist.groups:
        for name in group.cell.inputs:
            pin, nets = group.cell.pins[name], group.pin(name)
            more = (pin.rise_capacitance - pin.fall_capacitance) / 2
            np.add.at(load[:, RISE], nets[nets > ONE], more)
            np.add.at(load[:, FALL], nets[nets > ONE], -more)
    load[: ONE + 1] = 0.0
    return load


def _memory_outputs(netlist: Netlist) -> Nets:
    nets = [
        n
        for box in netlist.boxes
        for port, n in box.ports.items()
        if port not in netlist.box_inputs[box.module]
    ]
    return np.concatenate([*nets, np.zeros(0, np.int32)])


def _delays(group: CellGroup, slew: Floats, load: Floats) -> Floats:
    cell = group.cell
    delays = np.zeros((group.cells.size, len(cell.outputs), len(cell.inputs)))
    for o, output in enumerate(cell.outputs):
        target = group.pin(output)
        driven = np.where(target[:, None] > ONE, load[target], 0.0)
        counts = np.zeros(len(cell.inputs))
        for arc in cell.pins[output].arcs:
            i = cell.inputs.index(arc.related)
            source = group.pin(arc.related)
            slews = np.where(source[:, None] > ONE, slew[source], 0.0)
            for table, before, edge in _cases(arc):
                delays[:, o, i] += table.at(slews[:, before], driven[:, edge])
                counts[i] += 1
        delays[:, o] /= np.maximum(counts, 1)
    return delays


def _cases(arc: Arc) -> list[tuple[Table, int, int]]:
    """Delay tables of an arc, each with the edges of its input and output."""
    return [
        (table, before, edge)
        for edge, table in enumerate(arc.delay)
        for before in ((RISE,) if arc.clocked else {1: (edge,), -1: (1 - edge,), 0: (RISE, FALL)}[arc.sense])
        if table is not None
    ]
