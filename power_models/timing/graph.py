"""`TimingGraph`: the delay arcs of a netlist in an order in which arrivals can be propagated, and the propagation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import ToolError
from spikesim.power_models.liberty.library import Floats, Table
from spikesim.power_models.netlist.netlist import OPEN, Indices, Netlist, Nets
from spikesim.support.jit import Int, jit

CLOCK_PORT = "clk"
"""Name of the clock port of memories."""

RISE, FALL = 0, 1
"""Numbers of the edges, wherever an array has an axis of two."""


@dataclass(frozen=True, kw_only=True)
class TimingGraph:
    """Arcs, drivers before what they drive. Net number `netlist.nets` is the clock at every register.

    * `source`, `target`, `cell`: int32[arcs]; `sense`: int8[arcs], +1, −1, 0 for both.
    * `delay`, `slew`: int32[arcs, 2], by the output's edge a row of `tables`, or −1 if the output has no such edge.
    * `tables`: int64[tables, 5], where in `points` its slews, loads and values start, and how many slews and loads.
    """

    source: Nets
    target: Nets
    cell: Nets
    sense: NDArray[np.int8]
    delay: Nets
    slew: Nets
    tables: Indices
    points: Floats


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """Per net (the clock's last) and edge: latest arrival, s, −∞ if it never comes; worst slew, s; and whence.

    `via`: twice the arc of the latest arrival plus the edge at that arc's source; −1 where a path starts.
    """

    arrival: Floats
    slew: Floats
    via: Indices


def timing_graph(netlist: Netlist) -> TimingGraph:
    """Clocks are ideal: arcs through clock gates are left out, and a register's start at the one clock.

    Raises ToolError: a loop, or a clock that is neither a port nor gated.
    """
    _check_clocks(netlist)
    rows: dict[int, int] = {}
    tables: list[Table] = []

    def row(table: Table | None) -> int:
        if table is None:
            return -1
        if id(table) not in rows:
            rows[id(table)] = len(tables)
            tables.append(table)
        return rows[id(table)]

    parts: list[tuple[Nets, Nets, Nets, NDArray[np.int8], Nets, Nets]] = []
    for group in netlist.groups:
        if group.cell.gate is not None:
            continue
        for output in group.cell.outputs:
            target = group.pin(output)
            for arc in group.cell.pins[output].arcs:
                source = np.full_like(target, netlist.nets) if arc.clocked else group.pin(arc.related)
                used = (target != OPEN) & (source > 1)
                n = int(np.count_nonzero(used))
                parts.append(
                    (
                        source[used],
                        target[used],
                        group.cells[used].astype(np.int32),
                        np.full(n, arc.sense, np.int8),
                        np.tile(np.array([row(t) for t in arc.delay], np.int32), (n, 1)),
                        np.tile(np.array([row(t) for t in arc.slew], np.int32), (n, 1)),
                    )
                )
    if not parts:
        raise ToolError("the netlist must have cells with delays to be timed")
    source, target, cell, sense, delay, slew = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    order = np.argsort(netlist.levels[cell], kind="stable")
    arrays = [array for t in tables for array in (t.slews, t.loads, t.values.reshape(-1))]
    starts = np.concatenate([[0], np.cumsum([array.size for array in arrays])[:-1]]).reshape(-1, 3)
    sizes = np.array([[t.slews.size, t.loads.size] for t in tables])
    return TimingGraph(
        source=source[order],
        target=target[order],
        cell=cell[order],
        sense=sense[order],
        delay=delay[order],
        slew=slew[order],
        tables=np.concatenate([starts, sizes], axis=1).astype(np.int64),
        points=np.concatenate(arrays),
    )


def clock_nets(netlist: Netlist) -> Nets:
    """The nets at the clock pins of registers, clock gates and memories."""
    nets = [group.pin(group.cell.clock) for group in netlist.groups if group.cell.clock]
    nets += [n for box in netlist.boxes for port, n in box.ports.items() if port == CLOCK_PORT]
    every = np.unique(np.concatenate([*nets, np.zeros(0, np.int32)]))
    return every[every > 1].astype(np.int32)


def _check_clocks(netlist: Netlist) -> None:
    clocks = np.zeros(netlist.nets, np.bool_)
    clocks[clock_nets(netlist)] = True
    for group in netlist.groups:
        register = group.cell.register
        if register is not None and not register.rising:
            raise ToolError(
                f"registers must take over at rising edges to be timed, not like {group.cell.name}"
            )
        if group.cell.gate is not None:
            continue
        for output in group.cell.outputs:
            nets = group.pin(output)
            wrong = np.flatnonzero((nets != OPEN) & clocks[nets])
            if wrong.size:
                name = netlist.net_names[int(nets[wrong[0]])]
                raise ToolError(
                    f"clock {name} must come from a port or a clock gate, not from a {group.cell.name}"
                )


def propagate(
    graph: TimingGraph, load: Floats, arrival: Floats, slew: Floats, *, settled: bool = False
) -> Arrivals:
    """Latest arrivals everywhere; `arrival` and `slew`, float64[nets + 1, 2], hold those where paths start.

    `load`: F, float64[nets, 2]. `settled`: the slews are known everywhere and stay.
    """
    arrival, slew = arrival.copy(), slew.copy()
    via = np.full(arrival.shape, -1, np.int64)
    _propagate(
        graph.source,
        graph.target,
        graph.sense,
        graph.delay,
        graph.slew,
        graph.tables,
        graph.points,
        load,
        arrival,
        slew,
        via,
        settled,
    )
    return Arrivals(arrival=arrival, slew=slew, via=via)


@jit()
def _propagate(
    source: Nets,
    target: Nets,
    sense: NDArray[np.int8],
    delay: Nets,
    slew_of: Nets,
    tables: Indices,
    points: Floats,
    load: Floats,
    arrival: Floats,
    slew: Floats,
    via: Indices,
    settled: bool,
) -> None:  # pragma: no cover (compiled)
    for arc in range(source.size):
        a, b = source[arc], target[arc]
        for edge in range(2):
            if delay[arc, edge] < 0:
                continue
            for before in range(2):
                if (sense[arc] == 1 and before != edge) or (sense[arc] == -1 and before == edge):
                    continue
                if arrival[a, before] == -np.inf:
                    continue
                at = arrival[a, before] + _look_up(
                    tables, points, delay[arc, edge], slew[a, before], load[b, edge]
                )
                if at > arrival[b, edge]:
                    arrival[b, edge] = at
                    via[b, edge] = 2 * arc + before
                if not settled:
                    steep = _look_up(tables, points, slew_of[arc, edge], slew[a, before], load[b, edge])
                    slew[b, edge] = max(slew[b, edge], steep)


@jit()
def _look_up(
    tables: Indices, points: Floats, table: Int, slew: float, load: float
) -> float:  # pragma: no cover (compiled)
    """As `Table.at`."""
    slews, loads, values = tables[table, 0], tables[table, 1], tables[table, 2]
    rows, columns = tables[table, 3], tables[table, 4]
    i, along, k = 0, 0.0, 0
    if rows > 1:
        while i < rows - 2 and points[slews + i + 1] <= slew:
            i += 1
        along = (slew - points[slews + i]) / (points[slews + i + 1] - points[slews + i])
        k = 1
    j, across, m = 0, 0.0, 0
    if columns > 1:
        while j < columns - 2 and points[loads + j + 1] <= load:
            j += 1
        across = (load - points[loads + j]) / (points[loads + j + 1] - points[loads + j])
        m = 1
    row = values + i * columns + j
    low = points[row] * (1 - across) + points[row + m] * across
    row += k * columns
    high = points[row] * (1 - across) + points[row + m] * across
    return float(low * (1 - along) + high * along)
