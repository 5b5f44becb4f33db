"""`ClockTree`: the one clock of a netlist, and through which clock gates it reaches every register and memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import ToolError
from spikesim.power_models.liberty.boolean import names_in, truth_table
from spikesim.power_models.netlist.netlist import ONE, Netlist

Indices = NDArray[np.int64]
_BOX_CLOCK = "clk"


@dataclass(frozen=True, kw_only=True)
class ClockTree:
    """Node 0 is the clock itself; every other node is a clock gate, behind `parent`, which comes before it.

    * `port`: the input that carries the clock, "" if nothing is clocked.
    * `enable`, `gate`: per node the enabling net and the gate's cell (ONE and −1 at node 0).
    * `net_node`, `cell_node`, `box_node`: the node whose clock a net carries, a register, a gate or a box receives;
      −1 if none. `buffers`: bool[cells], the cells that only pass the clock on.
    """

    port: str
    parent: Indices
    enable: Indices
    gate: Indices
    net_node: Indices
    cell_node: Indices
    box_node: Indices
    buffers: NDArray[np.bool_]


def clock_tree(netlist: Netlist) -> ClockTree:
    """Follows clock pins back through buffers, pairs of inverters and gates (pins clock, enable, output).

    Raises ToolError: there are several clocks, a clock comes from logic, a register or gate works at the falling edge
    or a register is asynchronous, the clock drives something other than clock pins.
    """
    return _Tracer(netlist).tree()


class _Tracer:
    def __init__(self, netlist: Netlist) -> None:
        self.netlist = netlist
        self.ports = {
            int(net): (port, i) for port, nets in netlist.inputs.items() for i, net in enumerate(nets)
        }
        # What drives a net, if it may be part of a clock tree: (cell, its input net, inverts, enabling net or −1).
        self.drivers: dict[int, tuple[int, int, bool, int]] = {}
        self.clock_pins: list[tuple[int, int, bool]] = []  # of registers: cell, net, inverted
        self.gates: list[tuple[int, int, int]] = []  # cell, clock net, output net
        for group in netlist.groups:
            cell = group.cell
            if cell.register is not None:
                pins = names_in(cell.register.clocked_on)
                if cell.register.asynchronous or len(pins) != 1 or pins[0] not in cell.pins:
                    raise ToolError(
                        f"registers must have one clock, no clear and no preset to be simulated; {cell.name} has other"
                    )
                inverted = truth_table(cell.register.clocked_on, pins) == 1
                nets = group.pin(pins[0])
                self.clock_pins += [
                    (int(c), int(n), inverted) for c, n in zip(group.cells, nets, strict=True)
                ]
            elif cell.gate is not None:
                clock, enable, output = (group.pin(pin) for pin in cell.gate)
                for c, i, e, o in zip(group.cells, clock, enable, output, strict=True):
                    self.gates.append((int(c), int(i), int(o)))
                    self.drivers[int(o)] = (int(c), int(i), False, int(e))
            elif len(cell.inputs) == 1 and len(cell.outputs) == 1 and cell.pins[cell.outputs[0]].function:
                inverts = truth_table(cell.pins[cell.outputs[0]].function, cell.inputs) == 1
                for c, i, o in zip(
                    group.cells, group.pin(cell.inputs[0]), group.pin(cell.outputs[0]), strict=True
                ):
                    self.drivers[int(o)] = (int(c), int(i), inverts, -1)
        self.root = -1
        self.known: dict[int, tuple[int, bool]] = {}  # net: node, inverted
        self.parent, self.enable, self.gate = [0], [ONE], [-1]
        self.buffers = np.zeros(netlist.cells, np.bool_)

    def tree(self) -> ClockTree:
        netlist = self.netlist
        cell_node = np.full(netlist.cells, -1, np.int64)
        for cell, net, inverted in self.clock_pins:
            node, falling = self._node(net, netlist.cell_names[cell])
            if falling != inverted:
                raise ToolError(
                    f"registers must work at the clock's rising edge; {netlist.cell_names[cell]} does not"
                )
            cell_node[cell] = node
        box_node = np.full(len(netlist.boxes), -1, np.int64)
        for i, box in enumerate(netlist.boxes):
            nets = box.ports.get(_BOX_CLOCK)
            if nets is None or nets.size != 1:
                raise ToolError(f"box {box.name} must have a port {_BOX_CLOCK} of one bit")
            box_node[i], falling = self._node(int(nets[0]), box.name)
            if falling:
                raise ToolError(f"memories must work at the clock's rising edge; {box.name} does not")
        for cell, net, output in self.gates:
            self._node(output, netlist.cell_names[cell])
            cell_node[cell] = self._node(net, netlist.cell_names[cell])[0]
        net_node = np.full(netlist.nets, -1, np.int64)
        for net, (node, _) in self.known.items():
            net_node[net] = node
        self._check_sinks(net_node)
        return ClockTree(
            port=self.ports[self.root][0] if self.root >= 0 else "",
            parent=np.array(self.parent, np.int64),
            enable=np.array(self.enable, np.int64),
            gate=np.array(self.gate, np.int64),
            net_node=net_node,
            cell_node=cell_node,
            box_node=box_node,
            buffers=self.buffers,
        )

    def _node(self, net: int, whose: str) -> tuple[int, bool]:
        """The node of a clock net and whether it is inverted; nodes are made as their gates are met."""
        path = []
        while net not in self.known:
            if net in self.ports:
                if self.root not in (-1, net):
                    raise ToolError(
                        f"the netlist must have one clock, not {self.ports[self.root][0]} and {self.ports[net][0]}"
                    )
                if self.netlist.inputs[self.ports[net][0]].size != 1:
                    raise ToolError(f"the clock must be a port of one bit, not one of {self.ports[net][0]}")
                self.root = net
                self.known[net] = (0, False)
                break
            if net not in self.drivers:
                raise ToolError(
                    f"the clock of {whose} must come from an input through buffers and clock gates, "
                    f"not from net {self.netlist.net_names[net] if net >= 0 else 'nothing'}"
                )
            path.append(net)
            net = self.drivers[net][1]
        node, inverted = self.known[net]
        for behind in reversed(path):
            cell, _, inverts, enable = self.drivers[behind]
            if enable >= 0:
                if inverted:
                    raise ToolError(
                        f"clock gates must work at the clock's rising edge; {self.netlist.cell_names[cell]} does not"
                    )
                self.parent.append(node)
                self.enable.append(enable)
                self.gate.append(cell)
                node = len(self.parent) - 1
            else:
                self.buffers[cell] = True
                inverted ^= inverts
            self.known[behind] = (node, inverted)
        return node, inverted

    def _check_sinks(self, net_node: Indices) -> None:
        netlist = self.netlist
        for port, nets in netlist.outputs.items():
            if np.any(net_node[nets] >= 0):
                raise ToolError(f"the clock must drive clock pins alone, not output {port} too")
        for group in netlist.groups:
            cell = group.cell
            clock = (
                names_in(cell.register.clocked_on) if cell.register else [cell.gate[0]] if cell.gate else []
            )
            for pin in cell.inputs:
                nets = group.pin(pin)
                wrong = (nets >= 0) & (net_node[nets] >= 0) & ~self.buffers[group.cells]
                if pin not in clock and np.any(wrong):
                    raise ToolError(
                        "the clock must drive clock pins alone, not "
                        f"{pin} of {netlist.cell_names[int(group.cells[np.argmax(wrong)])]} too"
                    )
        for box in netlist.boxes:
            for port, nets in box.ports.items():
                if (
                    port != _BOX_CLOCK
                    and port in netlist.box_inputs[box.module]
                    and np.any(net_node[nets] >= 0)
                ):
                    raise ToolError(f"the clock must drive clock pins alone, not {port} of {box.name} too")
