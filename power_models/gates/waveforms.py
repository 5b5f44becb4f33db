"""`GateTimer`: what all nets do within chosen cycles, with the delays of cells, in all 64 streams at once.

A net's waveform is a list of (time, streams in which it changes). Cells are taken in the order of the zero-delay
simulation; each merges the changes of its inputs in time, evaluates its function whenever any of them changes, and
delays the result.

Delays are inertial. Per stream and output at most one transition is pending:

* an input changes at time t and the function then differs from the output: a transition is due at t + delay from
  that input to the output, or when one is already pending, whichever comes first;
* an input changes and the function then equals the output: what is pending is cancelled, so a pulse shorter than the
  delay is swallowed;
* a transition that is due at t happens before inputs that change at t are looked at; inputs that change at the same
  time are looked at together, and the shortest of their delays counts.

Sources change once: registers at their clock-to-output delay, memories at their access time, inputs at a stated time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import ToolError
from spikesim.power_models.gates.activity import Activity
from spikesim.power_models.gates.functions import evaluate_word
from spikesim.power_models.gates.program import Blocks, GateProgram
from spikesim.power_models.gates.words import STREAMS, popcount
from spikesim.support.jit import Int, jit

Words = NDArray[np.uint64]
Indices = NDArray[np.int64]
Steps = NDArray[np.int32]
Floats = NDArray[np.float64]

_NEVER = np.int32(0x7FFF_FFFF)
_MOST_STEPS = 1 << 20
"""Of one delay; times of a path of a thousand cells still fit 32 bits."""


@dataclass(frozen=True, kw_only=True)
class Delays:
    """When things change after a clock edge, s.

    * `arcs`: per group of the netlist, float64[cells, outputs, inputs], as in `cell.outputs` and `cell.inputs`: from
      input to output; of registers, from the clock pin. Other entries are not read.
    * `inputs`, `memories`: when inputs and memories' outputs change; memories by name or all alike.
    * `step`: delays are rounded to multiples of this, cells' to 1 at least.
    """

    arcs: Sequence[Floats]
    inputs: float = 0.0
    memories: float | Mapping[str, float] = 0.0
    step: float = 1e-12


@dataclass(frozen=True, kw_only=True)
class Glitches:
    """Transitions in the sampled cycles, sample i in part i mod parts, so that the parts' spread tells the error.

    `cycles`: int64[parts], cycles of all streams. `timed`, `settled`: float64[parts, nets], transitions with delays and
    without; their difference is glitches. Nets of the clock have none.
    """

    cycles: Indices
    timed: Floats
    settled: Floats

    def added_to(self, activity: Activity) -> Activity:
        """An activity of zero-delay transitions with the glitches per sampled cycle in every cycle of its own.

        Raises ToolError: no cycle was sampled, or the netlist is another.
        """
        cycles = int(self.cycles.sum())
        if not cycles or activity.toggles.shape != self.timed.shape[1:]:
            raise ToolError("glitches must come from sampled cycles of the activity's own netlist")
        more = (self.timed - self.settled).sum(axis=0) * (activity.cycles / cycles)
        return Activity(
            cycles=activity.cycles,
            toggles=activity.toggles + more,
            ones=activity.ones,
            clock_pulses=activity.clock_pulses,
        )


class GateTimer:
    """Waveforms of a program's cycles. Raises ToolError: delays have wrong shapes, are negative or not finite."""

    def __init__(self, program: GateProgram, delays: Delays, *, parts: int = 8) -> None:
        if parts < 1 or not 0 < delays.step < 1:
            raise ToolError("a timer must have a part and a step of some picoseconds")
        self.program = program
        self._delay, self._source = _quantised(program, delays)
        self._waves = _Waves(program.slots)
        self._cycles = np.zeros(parts, np.int64)
        self._timed = np.zeros((parts, program.slots), np.int64)
        self._settled = np.zeros((parts, program.slots), np.int64)
        self._samples = 0

    def sample(self, before: Words, after: Words) -> None:
        """Counts a cycle: uint64[slots], settled values before the edge and after it.

        Raises ToolError if a waveform does not end at the settled value: the values are not of one cycle.
        """
        program, waves = self.program, self._waves
        part = self._samples % self._cycles.size
        while True:
            need = _waveforms(
                program.blocks,
                program.logic[0],
                before,
                after,
                self._source,
                self._delay,
                waves.start,
                waves.count,
                waves.times,
                waves.masks,
            )
            if need <= waves.times.size:
                break
            waves.grow(need)
        wrong = _count(
            before, after, waves.start, waves.count, waves.masks, self._timed[part], self._settled[part]
        )
        if wrong >= 0:
            raise ToolError(f"waveforms must end at settled values, but that of slot {wrong} does not")
        self._cycles[part] += STREAMS
        self._samples += 1

    def waveform(self, net: int) -> tuple[NDArray[np.int32], Words]:
        """(times in steps, streams that change) of a net in the last cycle sampled; for looking at single nets."""
        slot = self.program.slot[net]
        start, count = self._waves.start[slot], self._waves.count[slot]
        own = slice(start, start + count)
        return self._waves.times[own].copy(), self._waves.masks[own].copy()

    def glitches(self) -> Glitches:
        """All that was sampled."""
        slot = self.program.slot
        return Glitches(
            cycles=self._cycles.copy(),
            timed=self._timed[:, slot].astype(np.float64),
            settled=self._settled[:, slot].astype(np.float64),
        )


class _Waves:
    """Room for the waveforms of a cycle: slot s has times[start[s] : start[s] + count[s]]."""

    def __init__(self, slots: int) -> None:
        self.start = np.zeros(slots, np.int64)
        self.count = np.zeros(slots, np.int64)
        self.grow(16 * slots)

    def grow(self, need: int) -> None:
        self.times = np.empty(need + need // 2, np.int32)
        self.masks = np.empty(need + need // 2, np.uint64)


def _quantised(program: GateProgram, delays: Delays) -> tuple[Steps, Steps]:
    """Steps: int32[operands] from each operand to its cell's output; int32[slots] when a source changes."""
    netlist = program.netlist
    if len(delays.arcs) != len(netlist.groups):
        raise ToolError(f"arcs must have {len(netlist.groups)} groups, not {len(delays.arcs)}")
    delay = np.ones(program.blocks.operands.size, np.int32)
    source = np.zeros(program.slots, np.int32)
    for port, nets in netlist.inputs.items():
        if port in program.port_slots:
            first = program.port_slots[port][0]
            source[first : first + nets.size] = _steps(np.array(delays.inputs), delays.step, "inputs")
    for box, (first, _) in zip(netlist.boxes, program.box_slots, strict=True):
        access = delays.memories
        if isinstance(access, Mapping):
            if box.name not in access:
                raise ToolError(f"delays must name an access time of memory {box.name}")
            access = access[box.name]
        size = box.ports["read_data"].size
        source[first : first + size] = _steps(np.array(access), delays.step, box.name)
    for piece in program.pieces:
        group = netlist.groups[piece.group]
        arcs = delays.arcs[piece.group]
        shape = (group.cells.size, len(group.cell.outputs), len(group.cell.inputs))
        if arcs.shape != shape:
            raise ToolError(f"arcs of {group.cell.name} must be float64{list(shape)}, not {list(arcs.shape)}")
        for j, pin in enumerate(piece.inputs):
            steps = _steps(arcs[piece.rows, piece.output, pin], delays.step, group.cell.name)
            if piece.places.size:
                delay[piece.places + j] = np.maximum(steps, 1)
            else:
                source[piece.slots] = steps
    return delay, source


def _steps(seconds: Floats, step: float, whose: str) -> Steps:
    steps = np.rint(seconds / step)
    if not np.all((steps >= 0) & (steps < _MOST_STEPS)):
        raise ToolError(f"delays of {whose} must be 0 s or more and below {_MOST_STEPS * step:g} s")
    return steps.astype(np.int32)


@jit()
def _waveforms(
    b: Blocks,
    logic_begin: Int,
    before: Words,
    after: Words,
    source: Steps,
    delays: Steps,
    start: Indices,
    count: Indices,
    times: Steps,
    masks: Words,
) -> int:  # pragma: no cover (compiled)
    """The waveforms of a cycle; the result is how much room they need, and if that is more than there is, they are
    not complete. Blocks before `logic_begin` are sources, registers' other outputs among them.
    """
    code, table, arity, first, cells = b.code, b.table, b.arity, b.first, b.cells
    operand, operands = b.operand, b.operands
    begin = np.empty(6, np.uint64)
    end = np.empty(6, np.uint64)
    coming = np.empty(6, np.int32)  # when an input changes next
    x = np.zeros(6, np.uint64)
    changed = np.zeros(6, np.uint64)
    room = times.size
    used = 0
    count[0] = count[1] = 0
    for block in range(logic_begin):
        for slot in range(first[block], first[block] + cells[block]):
            differ = before[slot] ^ after[slot]
            start[slot] = used
            count[slot] = 0
            if differ:
                if used >= room:
                    return used + before.size
                times[used], masks[used] = source[slot], differ
                count[slot] = 1
                used += 1
    for block in range(logic_begin, first.size):
        k = arity[block]
        for cell in range(cells[block]):
            slot = first[block] + cell
            place = operand[block] + cell * k
            events = 0
            for j in range(k):
                events += count[operands[place + j]]
            start[slot] = used
            count[slot] = 0
            if events == 0:
                continue
            if used + events > room:
                return used + events
            for j in range(k):
                o = operands[place + j]
                begin[j], end[j] = start[o], start[o] + count[o]
                coming[j] = times[begin[j]] if count[o] else _NEVER
                x[j] = before[o]
            # Due transitions are at used … tail, in order of time; those before `head` have happened.
            head = tail = used
            value = before[slot]
            pending = np.uint64(0)  # streams that have a due transition
            while True:
                now = coming[0]
                for j in range(1, k):
                    now = min(now, coming[j])
                if now == _NEVER:
                    break
                for j in range(k):
                    changed[j] = 0
                    if coming[j] == now:
                        changed[j] = masks[begin[j]]
                        x[j] ^= changed[j]
                        begin[j] += np.uint64(1)
                        coming[j] = times[begin[j]] if begin[j] < end[j] else _NEVER
                wanted = evaluate_word(code[block], table[block], x[0], x[1], x[2], x[3], x[4], x[5])
                while head < tail and times[head] <= now:
                    value ^= masks[head]
                    pending &= ~masks[head]
                    head += 1
                for j in range(k):
                    if changed[j] == 0:
                        continue
                    differ = (wanted ^ value) & changed[j]
                    settled = changed[j] & ~differ
                    due = now + delays[place + j]
                    if pending & changed[j]:
                        for q in range(head, tail):
                            mask = masks[q] & ~settled
                            if times[q] <= due:
                                differ &= ~mask
                            else:
                                mask &= ~differ
                            masks[q] = mask
                        pending &= ~settled
                    if differ == 0:
                        continue
                    pending |= differ
                    at = tail
                    while at > head and times[at - 1] > due:
                        at -= 1
                    if at > head and times[at - 1] == due:
                        masks[at - 1] |= differ
                        continue
                    for q in range(tail, at, -1):
                        times[q], masks[q] = times[q - 1], masks[q - 1]
                    times[at], masks[at] = due, differ
                    tail += 1
            kept = used
            for q in range(used, tail):
                if masks[q]:
                    times[kept], masks[kept] = times[q], masks[q]
                    kept += 1
            count[slot] = kept - used
            used = kept
    return used


@jit()
def _count(
    before: Words,
    after: Words,
    start: Indices,
    count: Indices,
    masks: Words,
    timed: Indices,
    settled: Indices,
) -> int:  # pragma: no cover (compiled)
    """Adds the transitions per slot; a slot whose waveform does not lead from `before` to `after`, or −1."""
    wrong = -1
    for slot in range(before.size):
        value = before[slot]
        for q in range(start[slot], start[slot] + count[slot]):
            value ^= masks[q]
            timed[slot] += popcount(masks[q])
        if value != after[slot]:
            wrong = slot
        settled[slot] += popcount(before[slot] ^ after[slot])
    return wrong
