"""`effects`: of a run, what the cycles of an instruction depend on; `TraceRecorder` keeps those of a whole run."""

from __future__ import annotations

import numpy as np

from spikesim.golden.frame import Frame
from spikesim.program import Decay, Gather, Instruction, Scatter
from spikesim.program.trace import Effects, Place, Trace


def effects(instruction: Instruction, frame: Frame) -> Effects:
    """Of one instruction, for the tokens of a frame in which it was executed."""
    keys = instruction.cached
    counts = shifts = selected = None
    first_key = 0
    if isinstance(instruction, Gather | Scatter):
        counts = np.array(frame.view(instruction.counts), dtype=np.int8, order="C")
    if isinstance(instruction, Decay):
        shifts = frame.shifts_of(instruction.dst)
    if keys is not None and keys.selected is not None:
        selected = np.ascontiguousarray(frame.view(keys.selected))
    if isinstance(instruction, Gather) and instruction.operand == "values" and keys is not None:
        first_key = frame.keys(keys).first
    return Effects(
        positions=frame.positions(), counts=counts, selected=selected, shifts=shifts, first_key=first_key
    )


class TraceRecorder:
    """Keeps the effects of every instruction in `trace`: a byte per count that is read, and little else."""

    def __init__(self) -> None:
        self.trace = Trace()

    def executed(self, place: Place, instruction: Instruction, frame: Frame) -> None:
        """The effects of an instruction that has just been executed."""
        self.trace.add(place, effects(instruction, frame))
