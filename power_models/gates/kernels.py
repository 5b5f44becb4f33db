"""The cycles of a gate-level simulation, compiled: one clock edge, new inputs, and one pass over what has changed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.power_models.gates.functions import FUNCTIONS, TABLE, evaluate_word, in_python, operand_names
from spikesim.power_models.gates.memory import Log, Memories, clock_memories
from spikesim.power_models.gates.program import Blocks
from spikesim.power_models.gates.words import ALL_STREAMS, popcount
from spikesim.support.jit import Int, jit, jit_text

Words = NDArray[np.uint64]
Indices = NDArray[np.int64]


class SimulatorState(NamedTuple):
    """What a simulation is in the middle of.

    * `v`: uint64[slots], settled values. `pending`: uint64[sources], what sources take over at this edge.
    * `dirty`: uint8[blocks], 1: an operand has changed since the block was computed; 2: registers, and only the
      streams in `taken`, uint64[blocks], have had a clock since then.
    * `active`: uint8[blocks], the source changes at this edge. `masks`: uint64[nodes], streams that the clock reaches.
    * `toggles`, `ones`: int32[slots], counts of one call; `all_toggles`, `all_ones`: int64[slots], of all calls.
    * `pulses`: int64[nodes].
    """

    v: Words
    pending: Words
    scratch: Words
    dirty: NDArray[np.uint8]
    active: NDArray[np.uint8]
    taken: Words
    masks: Words
    toggles: NDArray[np.int32]
    ones: NDArray[np.int32]
    all_toggles: Indices
    all_ones: Indices
    pulses: Indices


class Layout(NamedTuple):
    """Ranges of blocks, and per node of the clock its parent and the slot of its enable; no nodes: no clock."""

    first_register: int
    end_register: int
    end: int
    parent: Indices
    enable: Indices


@jit()
def run_cycles(
    b: Blocks,
    layout: Layout,
    s: SimulatorState,
    memories: Memories,
    log: Log,
    cycle: Int,
    cycles: Int,
    inputs: Words,
    input_slots: Indices,
    input_blocks: Indices,
    outputs: Words,
    output_slots: Indices,
) -> None:  # pragma: no cover (compiled)
    """`cycles` cycles, of which the first has the number `cycle`: edge, inputs[t], settle, outputs[t].

    inputs, outputs: uint64[cycles, bits]; inputs may have fewer rows, and then keep the last one's values. At most
    2^24 cycles, or the counts of one call might overflow.
    """
    # Arrays leave their tuples once: every access through a tuple would count references.
    v, pending, scratch, dirty, active = s.v, s.pending, s.scratch, s.dirty, s.active
    taken, masks = s.taken, s.masks
    toggles, ones, all_toggles, all_ones, pulses = s.toggles, s.ones, s.all_toggles, s.all_ones, s.pulses
    code, table, arity, first, cells = b.code, b.table, b.arity, b.first, b.cells
    operand, operands, node, successor, successors = b.operand, b.operands, b.node, b.successor, b.successors
    parent, enable = layout.parent, layout.enable
    for i in range(v.size):
        all_ones[i] += np.int64(popcount(v[i])) * cycles
        toggles[i] = 0
        ones[i] = 0
    for t in range(cycles):
        remaining = np.int32(cycles - t)
        # The edge: all sources first compute what they take over, and then take it over.
        if parent.size:
            masks[0] = ALL_STREAMS
            pulses[0] += 64
            for k in range(1, parent.size):
                mask = masks[parent[k]] & v[enable[k]]
                masks[k] = mask
                pulses[k] += popcount(mask)
            if memories.shapes.shape[0]:
                clock_memories(memories, masks, v, pending, dirty, active, log, cycle + t)
        _clock_registers(
            layout.first_register,
            layout.end_register,
            code,
            table,
            arity,
            first,
            cells,
            operand,
            operands,
            node,
            v,
            pending,
            dirty,
            active,
            taken,
            masks,
        )
        for block in range(layout.end_register):
            if active[block]:
                active[block] = 0
                at, n = np.uint64(first[block]), np.uint64(cells[block])
                if _commit(v, toggles, ones, at, pending, at, n, remaining):
                    for i in range(successor[block], successor[block + 1]):
                        dirty[successors[i]] = 1
        if t < inputs.shape[0]:
            _apply(
                inputs[t],
                input_slots,
                input_blocks,
                v,
                toggles,
                ones,
                remaining,
                successor,
                successors,
                dirty,
            )
        _settle(
            layout.end_register,
            layout.end,
            code,
            table,
            arity,
            first,
            cells,
            operand,
            operands,
            successor,
            successors,
            v,
            scratch,
            dirty,
            toggles,
            ones,
            remaining,
        )
        for i in range(output_slots.size):
            outputs[t, i] = v[output_slots[i]]
    for i in range(v.size):
        all_toggles[i] += toggles[i]
        all_ones[i] += ones[i]


@jit()
def _apply(
    row: Words,
    slots: Indices,
    blocks: Indices,
    v: Words,
    toggles: NDArray[np.int32],
    ones: NDArray[np.int32],
    remaining: Int,
    successor: Indices,
    successors: NDArray[np.uint32],
    dirty: NDArray[np.uint8],
) -> None:  # pragma: no cover (compiled)
    """New values of inputs: row[i] for slots[i], which is in blocks[i]."""
    marked = -1
    for i in range(row.size):
        slot = slots[i]
        differ = v[slot] ^ row[i]
        if differ:
            toggles[slot] += popcount(differ)
            ones[slot] += (popcount(row[i]) - popcount(v[slot])) * remaining
            v[slot] = row[i]
            if blocks[i] != marked:
                marked = blocks[i]
                for j in range(successor[marked], successor[marked + 1]):
                    dirty[successors[j]] = 1


@jit()
def _commit(
    v: Words,
    toggles: NDArray[np.int32],
    ones: NDArray[np.int32],
    first: Int,
    new: Words,
    at: Int,
    n: Int,
    remaining: Int,
) -> bool:  # pragma: no cover (compiled)
    """Stores and counts new values, and says whether any differs.

    A net that is 1 from now on is so for the `remaining` cycles, or else the next change takes that back.
    """
    changed = np.uint64(0)
    for i in range(n):
        changed |= v[first + i] ^ new[at + i]
    if changed == 0:
        return False
    for i in range(n):
        old, now = v[first + i], new[at + i]
        toggles[first + i] += popcount(old ^ now)
        ones[first + i] += (popcount(now) - popcount(old)) * remaining
        v[first + i] = now
    return True


@jit()
def _clock_registers(
    begin: Int,
    end: Int,
    codes: Indices,
    tables: Words,
    arities: Indices,
    firsts: Indices,
    cells: Indices,
    operand: Indices,
    o: NDArray[np.uint32],
    node: Indices,
    v: Words,
    pending: Words,
    dirty: NDArray[np.uint8],
    active: NDArray[np.uint8],
    taken: Words,
    masks: Words,
) -> None:  # pragma: no cover (compiled)
    """What registers take over, into `pending`; in streams that their clock does not reach, their old state."""
    x = np.zeros(6, np.uint64)
    for block in range(begin, end):
        if dirty[block] == 0:
            continue
        if dirty[block] == 1:
            taken[block] = 0
        mask = masks[node[block]] & ~taken[block]
        if mask == 0:
            continue
        taken[block] |= mask
        dirty[block] = 0 if taken[block] == ALL_STREAMS else 2
        active[block] = 1
        at, n, p = np.uint64(firsts[block]), np.uint64(cells[block]), np.uint64(operand[block])
        if codes[block] == 0:
            for i in range(n):
                pending[at + i] = (v[at + i] & ~mask) | (v[o[p + i]] & mask)
            continue
        arity = np.uint64(arities[block])
        for i in range(n):
            for j in range(arity):
                x[j] = v[o[p + arity * i + j]]
            new = evaluate_word(codes[block], tables[block], x[0], x[1], x[2], x[3], x[4], x[5])
            pending[at + i] = (v[at + i] & ~mask) | (new & mask)


@jit()
def _tabulated(
    table: np.uint64, arity: Int, o: NDArray[np.uint32], p: Int, v: Words, out: Words, n: Int
) -> None:  # pragma: no cover (compiled)
    """Any function: a tree of multiplexers, one level per operand, over the table's bits."""
    tree = np.empty(64, np.uint64)
    for i in range(n):
        for m in range(1 << arity):
            tree[m] = ALL_STREAMS if table >> np.uint64(m) & np.uint64(1) else np.uint64(0)
        for j in range(arity):
            x = v[o[p + np.uint64(arity) * i + np.uint64(j)]]
            for m in range(1 << (arity - 1 - j)):
                tree[m] = (tree[2 * m] & ~x) | (tree[2 * m + 1] & x)
        out[i] = tree[0]


def _branch(code: int, function: str) -> str:
    """Of `_settle`: a block of cells of one operation."""
    names = operand_names(function)
    words = [f"v[o[p + np.uint64({len(names)}) * i + np.uint64({j})]]" for j in range(len(names))]
    return f"""
        elif code == {code}:
            for i in range(n):
                {", ".join(names)} = {", ".join(words)}
                out[i] = {in_python(function)}"""


_settle = jit_text(
    f"""
def _settle(
    begin, end, codes, tables, arities, firsts, cells, operand, o, successor, successors,
    v, out, dirty, toggles, ones, remaining,
):
    for block in range(begin, end):
        if dirty[block] == 0:
            continue
        dirty[block] = 0
        first, n, p = np.uint64(firsts[block]), np.uint64(cells[block]), np.uint64(operand[block])
        code = codes[block]
        if code == TABLE:
            _tabulated(tables[block], arities[block], o, p, v, out, n)
        {"".join(map(_branch, range(TABLE), FUNCTIONS))}
        if _commit(v, toggles, ones, first, out, np.uint64(0), n, remaining):
            for i in range(successor[block], successor[block + 1]):
                dirty[successors[i]] = 1
""",
    globals(),
)
"""Computes the blocks from `begin` to `end` one of whose operands has changed, in order.

All is in one function, with a branch per operation: a call would cost as much as ten cells. Indices are unsigned, as
signed ones would be checked for being negative.
"""
