"""`GateProgram`: a netlist as flat arrays of operations on words, in an order in which one pass settles all nets.

Every value has a slot. Slots 0 and 1 are the constants; then come the sources (inputs, what memories read, states of
registers) and the outputs of cells. Slots lie in blocks: the cells of a block have the same operation, or are
registers of the same clock gate as well, and do not depend on each other. A block's `successors` are the blocks that
read it: only they need to be computed when it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import ToolError
from spikesim.power_models.gates.clocks import ClockTree, clock_tree
from spikesim.power_models.gates.functions import MAX_INPUTS
from spikesim.power_models.gates.instructions import (
    LOGIC,
    REGISTER,
    REGISTER_OUTPUT,
    Instructions,
    read_instructions,
)
from spikesim.power_models.netlist.netlist import ONE, ZERO, Netlist, Nets
from spikesim.support.jit import Int, jit

Indices = NDArray[np.int64]

_BLOCK_CELLS = 128
"""At most so many cells per block: larger ones idle less, smaller ones cost more time each."""


class Blocks(NamedTuple):
    """Per block its operation (`code`, `table`, `arity`), slots (`first`, `cells`) and first operand's place.

    `node`: of the clock, for registers. Operands and successors of all blocks lie one behind the other.
    """

    code: Indices
    table: NDArray[np.uint64]
    arity: Indices
    first: Indices
    cells: Indices
    operand: Indices
    operands: NDArray[np.uint32]
    node: Indices
    successor: Indices
    successors: NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The instructions of one output of a group's cells: `rows` of the group, and the `slots` of their results.

    `inputs`: which of `cell.inputs` the operands are, `places` where the first operand of each lies in
    `Blocks.operands`. For an output of registers `inputs` is the clock pin alone and there are no places.
    """

    group: int
    output: int
    inputs: tuple[int, ...]
    rows: Indices
    slots: Indices
    places: Indices


@dataclass(frozen=True, kw_only=True)
class GateProgram:
    """`blocks` in order: inputs, memories, `registers`, their other outputs, `logic`; the two are (first, end).

    * `slot`: int64[nets], where a net's value is; nets of the clock and undriven nets are at ZERO.
    * `port_slots`, `box_slots`: of an input port, of a box's outputs: the first slot and the first block.
    * `sources`: slots below this are constants, inputs, memories' outputs and registers.
    * `pieces`: of all instructions that have delays.
    """

    netlist: Netlist
    clocks: ClockTree
    blocks: Blocks
    slots: int
    sources: int
    slot: Indices
    port_slots: dict[str, tuple[int, int]]
    box_slots: list[tuple[int, int]]
    registers: tuple[int, int]
    logic: tuple[int, int]
    pieces: list[Piece]


def gate_program(netlist: Netlist, box_ports: Sequence[Sequence[tuple[Nets, Nets]]]) -> GateProgram:
    """`box_ports`: per box of the netlist and read port the nets it drives, and those that decide what it reads.

    Raises ToolError: the netlist has no single clock (`clock_tree`), has a loop, or a cell without a function.
    """
    clocks = clock_tree(netlist)
    code = read_instructions(netlist, clocks)
    slot = np.full(netlist.nets + code.states, -1, np.int64)
    slot[[ZERO, ONE]] = 0, 1
    rows: list[tuple[int, int]] = []  # first slot, cells
    end = 2

    def source(nets: Nets) -> None:
        nonlocal end
        slot[nets] = np.arange(end, end + nets.size)
        rows.append((end, nets.size))
        end += nets.size

    port_slots = {}
    for port, nets in netlist.inputs.items():
        if port != clocks.port:
            port_slots[port] = (end, len(rows))
            source(nets)
    box_slots = []
    port_pins: list[tuple[int, Nets]] = []
    for ports in box_ports:
        box_slots.append((end, len(rows)))
        for data, pins in ports:
            port_pins.append((len(rows), pins))
            source(data)

    batch = _batches(netlist, code)
    order, cuts = _placed(code, batch, slot, end)
    stage = code.stage[order]
    counts = [int(np.count_nonzero(stage == s)) for s in (REGISTER, REGISTER_OUTPUT)]
    block_first = np.flatnonzero(cuts)
    block_stage = stage[block_first]
    registers = (len(rows), len(rows) + int(np.count_nonzero(block_stage == REGISTER)))
    logic = (len(rows) + int(np.count_nonzero(block_stage < LOGIC)), len(rows) + block_first.size)
    places, operands = _flat_operands(code, order, slot)
    readers = [(block, slot[code.alias[pins]]) for block, pins in port_pins]
    blocks = _blocks(code, order, block_first, rows, readers, end, places, operands)
    net_slot = slot[code.alias[: netlist.nets]]
    net_slot[(net_slot < 0) | (clocks.net_node >= 0)] = ZERO
    return GateProgram(
        netlist=netlist,
        clocks=clocks,
        blocks=blocks,
        slots=end + order.size,
        sources=end + counts[0],
        slot=net_slot,
        port_slots=port_slots,
        box_slots=box_slots,
        registers=registers,
        logic=logic,
        pieces=_pieces(code, order, slot, places),
    )


def _batches(netlist: Netlist, code: Instructions) -> Indices:
    """int64[instructions]: those of a batch have one operation and do not depend on each other; batches in order.

    Registers come first, by clock gate, then their outputs. Logic always goes on with the operation of the cell that
    has the longest path behind it, and takes all cells of that operation that are ready: this makes half as many
    batches as taking the operation with most cells ready.
    """
    batch = np.full(code.kind.size, -1, np.int64)
    begin = 0
    for stage in (REGISTER, REGISTER_OUTPUT):
        own = np.flatnonzero(code.stage == stage)
        _, batch[own] = np.unique(code.node[own] * len(code.operations) + code.kind[own], return_inverse=True)
        batch[own] += begin
        begin += own.size
    logic = np.flatnonzero(code.stage == LOGIC)
    number = np.full(code.kind.size, -1, np.int64)
    number[logic] = np.arange(logic.size)
    driver = np.full(netlist.nets + code.states, -1, np.int64)
    driver[code.result[logic]] = np.arange(logic.size)
    operands = code.operands[logic]
    source = np.where(operands >= 0, driver[operands], -1)
    target = np.broadcast_to(np.arange(logic.size)[:, None], source.shape)[source >= 0]
    source = source[source >= 0]
    by_source = np.argsort(source, kind="stable")
    starts = np.searchsorted(source[by_source], np.arange(logic.size + 1))
    waiting = np.bincount(target, minlength=logic.size)
    found = _schedule(code.kind[logic], max(1, len(code.operations)), starts, target[by_source], waiting)
    if np.any(found < 0):
        _ = netlist.levels  # names a cell of the loop
        raise ToolError("the netlist must have no combinational loop")
    batch[logic] = begin + found
    return batch


@jit()
def _schedule(
    kind: Indices, kinds: Int, starts: Indices, targets: Indices, waiting: Indices
) -> Indices:  # pragma: no cover (compiled)
    """int64[instructions]: batch, −1 behind a loop. `targets` from starts[i] on wait for instruction i."""
    count = kind.size
    order = np.empty(count, np.int64)
    left = waiting.copy()
    tail = 0
    for i in range(count):
        if left[i] == 0:
            order[tail] = i
            tail += 1
    head = 0
    while head < tail:
        for t in range(starts[order[head]], starts[order[head] + 1]):
            left[targets[t]] -= 1
            if left[targets[t]] == 0:
                order[tail] = targets[t]
                tail += 1
        head += 1
    height = np.zeros(count, np.int64)  # instructions behind this one, on the longest path
    for n in range(tail - 1, -1, -1):
        i = order[n]
        for t in range(starts[i], starts[i + 1]):
            height[i] = max(height[i], height[targets[t]] + 1)
    # Those that are ready are in a linked list per kind.
    batch = np.full(count, -1, np.int64)
    following = np.empty(count, np.int64)
    first = np.full(kinds, -1, np.int64)
    highest = np.full(kinds, -1, np.int64)
    for i in range(count):
        if waiting[i] == 0:
            following[i] = first[kind[i]]
            first[kind[i]] = i
            highest[kind[i]] = max(highest[kind[i]], height[i])
    number = 0
    while True:
        best = np.argmax(highest)
        if highest[best] < 0:
            return batch
        i = first[best]
        first[best] = highest[best] = -1
        while i >= 0:
            batch[i] = number
            for t in range(starts[i], starts[i + 1]):
                target = targets[t]
                waiting[target] -= 1
                if waiting[target] == 0:
                    other = kind[target]
                    following[target] = first[other]
                    first[other] = target
                    highest[other] = max(highest[other], height[target])
            i = following[i]
        number += 1


def _placed(
    code: Instructions, batch: Indices, slot: Indices, first: int
) -> tuple[Indices, NDArray[np.bool_]]:
    """The order of the instructions, whose results get slots from `first` on, and where a block begins.

    Within a batch neighbours are of one unit and read neighbouring slots, for the sake of the processor's caches and
    so that a block idles when its unit does.
    """
    order = np.argsort(batch, kind="stable")
    starts = np.flatnonzero(np.diff(batch[order], prepend=-2))
    cuts = np.zeros(order.size, np.bool_)
    for start, end in zip(starts, [*starts[1:], order.size][: starts.size], strict=True):
        own = order[start:end]
        key = own if code.stage[own[0]] == REGISTER else slot[code.alias[code.operands[own, 0]]]
        own = own[np.lexsort((key, code.unit[own]))]
        order[start:end] = own
        slot[code.result[own]] = np.arange(first + start, first + end)
        unit = code.unit[own]
        begin = 0
        cuts[start] = True
        for at in np.flatnonzero(np.diff(unit, prepend=unit[0])):
            if at - begin >= _BLOCK_CELLS // 4:
                cuts[start + begin : start + at : _BLOCK_CELLS] = True
                cuts[start + at] = True
                begin = int(at)
        cuts[start + begin : end : _BLOCK_CELLS] = True
    return order, cuts


def _flat_operands(code: Instructions, order: Indices, slot: Indices) -> tuple[Indices, NDArray[np.uint32]]:
    """Where each instruction's operands begin, and all operands as slots; what nothing drives is ZERO."""
    arity = code.arity[order]
    places = np.concatenate([[0], np.cumsum(arity)])
    table = code.operands[order]
    used = np.arange(MAX_INPUTS) < arity[:, None]
    slots = slot[code.alias[table[used]]]
    slots[slots < 0] = ZERO
    return places, slots.astype(np.uint32)


def _blocks(
    code: Instructions,
    order: Indices,
    block_first: Indices,
    rows: list[tuple[int, int]],
    readers: list[tuple[int, Indices]],
    first: int,
    places: Indices,
    operands: NDArray[np.uint32],
) -> Blocks:
    sources = len(rows)
    instruction = order[block_first]
    cells = np.diff(np.append(block_first, order.size))
    kinds = [code.operations[kind] for kind in code.kind[instruction]]
    before = np.zeros(sources, np.int64)
    block_cells = np.concatenate([np.array([n for _, n in rows], np.int64), cells])
    block_start = np.concatenate([np.array([f for f, _ in rows], np.int64), first + block_first])
    slots = first + order.size
    slot_block = np.full(slots, -1, np.int64)
    slot_block[2:] = np.repeat(np.arange(block_cells.size), block_cells)
    reader = np.concatenate(
        [
            np.repeat(slot_block[first:], np.diff(places)),
            *(np.full(read.size, block) for block, read in readers),
        ]
    )
    read = np.concatenate(
        [slot_block[operands], *(slot_block[np.maximum(read, ZERO)] for _, read in readers)]
    )
    pairs = np.unique(read[read >= 0] * block_cells.size + reader[read >= 0])
    return Blocks(
        code=np.concatenate([before, np.array([o.code for o in kinds], np.int64)]),
        table=np.concatenate([before.astype(np.uint64), np.array([o.table for o in kinds], np.uint64)]),
        arity=np.concatenate([before, np.array([len(o.inputs) for o in kinds], np.int64)]),
        first=block_start,
        cells=block_cells,
        operand=np.concatenate([before, places[block_first]]),
        operands=operands,
        node=np.concatenate([before, code.node[instruction]]),
        successor=np.searchsorted(pairs, np.arange(block_cells.size + 1) * block_cells.size),
        successors=(pairs % block_cells.size).astype(np.uint32),
    )


def _pieces(code: Instructions, order: Indices, slot: Indices, places: Indices) -> list[Piece]:
    place = np.empty(order.size, np.int64)
    place[order] = places[:-1]
    return [
        Piece(
            group=origin.group,
            output=origin.output,
            inputs=origin.inputs,
            rows=origin.rows,
            slots=slot[origin.values],
            places=place[origin.first : origin.first + origin.rows.size] if origin.first >= 0 else places[:0],
        )
        for origin in code.origins
    ]
