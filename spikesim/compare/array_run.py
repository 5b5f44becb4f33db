"""`run_array`: gathers of real counts and weights on the gates of the array and its encoder, in 64 streams, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.compare.core_run import named, packed_rows
from spikesim.compare.measured import GateRun, delays, scaled, summed
from spikesim.compare.settings import STREAMS
from spikesim.compare.vector import GateVector
from spikesim.compare.work import GatherWork
from spikesim.errors import NumericError
from spikesim.power_models.gates.activity import Activity
from spikesim.power_models.gates.simulator import GateSimulator, MemoryCounts
from spikesim.power_models.gates.waveforms import GateTimer
from spikesim.power_models.netlist.netlist import Netlist
from spikesim.power_models.timing.analysis import StaticTiming
from spikesim.program.layout import OperandLayout
from spikesim.rtl.assemble import HardwareInstruction
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.images import place_matrix
from spikesim.rtl.isa import Unit
from spikesim.support.arithmetic import ceil_div
from spikesim.support.progress import SILENT, Progress

_BLOCK = 16
"""Cycles between looks whether a stream is done: activity is counted while all of them are busy."""
_SHORT = 16 * _BLOCK
"""Cycles of a gather, about, below which every cycle is looked at."""
_PATIENCE = 64
"""Cycles per word loaded or row added, after which a gather is given up."""
_WRITTEN = 4
"""Cycles from `done` until the last sum is in memory, and some."""
_COUNTS = 0
"""Where counts lie in vector memory; sums lie behind them."""


@dataclass(frozen=True, kw_only=True)
class GatherLayout:
    """Matrices in row memory: rows int8[ways, rows, lanes], and per gather where it lies."""

    rows: NDArray[np.int8]
    operands: tuple[OperandLayout, ...]


def lay_out(gathers: Sequence[GatherWork], ways: int, lanes: int) -> GatherLayout:
    """One matrix behind the other."""
    operands, used = [], 0
    for gather in gathers:
        outputs, channels = gather.matrix.shape
        height = ceil_div(channels, ways)
        operands.append(OperandLayout(base=used, chunk_stride=height))
        used += ceil_div(outputs, lanes) * height
    rows = np.zeros((ways, used, lanes), np.int8)
    for gather, operand in zip(gathers, operands, strict=True):
        place_matrix(rows, gather.matrix, operand)
    return GatherLayout(rows=rows, operands=tuple(operands))


def instruction(gather: GatherWork, operand: OperandLayout) -> HardwareInstruction:
    """The gather as the array unit executes it; its sums go behind its counts."""
    outputs, channels = gather.matrix.shape
    return HardwareInstruction(
        common={"unit": Unit.GATHER, "groups": 1},
        fields={
            "array": {
                "counts": _COUNTS,
                "channels": channels,
                "outputs": outputs,
                "dst": _COUNTS + channels,
                "base": operand.base,
                "chunk_stride": operand.chunk_stride,
                "sharing": 1,
            }
        },
    )


def run_array(
    netlist: Netlist,
    timing: StaticTiming,
    config: CoreConfig,
    gathers: Sequence[GatherWork],
    *,
    sample_every: int,
    access_s: Mapping[str, float],
    progress: Progress = SILENT,
) -> GateRun:
    """Every gather once, for all streams. Raises NumericError if a sum differs from the product.

    `sample_every`: blocks of `_BLOCK` cycles of which one cycle is simulated with delays. `access_s`: of memories.
    """
    layout = lay_out(gathers, config.ways, config.lanes)
    names = named(netlist)
    memories = {names[f"row_{bank:02}"]: packed_rows(layout.rows[bank]) for bank in range(config.ways)}
    simulator = GateSimulator(netlist, memories=memories)
    vector = GateVector(simulator, names)
    timer = GateTimer(simulator.program, delays(timing, access_s))
    simulator.run(4, {"rst": 1, "start": 0, "instruction": 0})
    simulator.run(1, {"rst": 0})
    parts: list[_Part] = []
    with progress.stage("gathers on gates", len(gathers)) as advance:
        for gather, operand in zip(gathers, layout.operands, strict=True):
            vector.load(gather.counts.astype(np.int32), _COUNTS)
            simulator.run(1, {"start": 1, "instruction": instruction(gather, operand).word()})
            outputs, channels = gather.matrix.shape
            dense = ceil_div(channels, config.ways) * ceil_div(outputs, config.lanes)
            block = 1 if dense < _SHORT else _BLOCK
            parts.append(_gather(simulator, timer, sample_every, block, _PATIENCE * (dense + channels)))
            simulator.run(_WRITTEN)
            _check(gather, vector)
            advance()
    factors = [part.factor for part in parts]
    activity = scaled(parts[0].activity, factors[0])
    for part, factor in zip(parts[1:], factors[1:], strict=True):
        activity = activity + scaled(part.activity, factor)
    return GateRun(
        activity=activity,
        memories=summed([part.memories for part in parts], factors),
        glitches=timer.glitches(),
        cycles=sum(part.cycles for part in parts),
        values=STREAMS * sum(gather.matrix.shape[0] for gather in gathers),
        tokens=STREAMS,
    )


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One gather: counts while all streams are busy, and its cycles, mean over the streams."""

    activity: Activity
    memories: dict[str, MemoryCounts]
    cycles: float

    @property
    def factor(self) -> float:
        """The gather's length ÷ that of the time counted."""
        return self.cycles * STREAMS / self.activity.cycles


def _gather(simulator: GateSimulator, timer: GateTimer, sample_every: int, block: int, most: int) -> _Part:
    """Runs until all streams are done, looking every `block` cycles, for at most `most` of them."""
    simulator.reset_counts()
    done = np.zeros(STREAMS, np.int64)
    counted: tuple[Activity, dict[str, MemoryCounts]] | None = None
    cycle, busy = 0, True
    while np.any(done == 0):
        if cycle > most:
            raise NumericError(f"the netlist must be done with a gather within {most} cycles, but is not")
        if busy:
            counted = simulator.activity(), simulator.memory_counts()
        sampled = busy and cycle // _BLOCK % sample_every == 0 and (block > 1 or cycle % 4 == 2)
        run = simulator.run(
            block, {"start": 0}, record=["done"], timer=timer if sampled else None, sample_every=block
        )
        ended = run.outputs["done"][:, 0]
        for offset in np.flatnonzero(ended):
            streams = (int(ended[offset]) >> np.arange(STREAMS).astype(object)) & 1
            done[streams.astype(bool)] = cycle + int(offset) + 2
        busy = busy and not ended.any()
        cycle += block
    if counted is None or counted[0].cycles == 0:
        raise NumericError("a gather must take longer than its activity is looked at")
    return _Part(activity=counted[0], memories=counted[1], cycles=float(done.mean()))


def _check(gather: GatherWork, vector: GateVector) -> None:
    outputs, channels = gather.matrix.shape
    got = vector.words(_COUNTS + channels, outputs)
    wanted = gather.sums
    if not np.array_equal(got, wanted):
        stream, column = (int(i) for i in np.argwhere(got != wanted)[0])
        raise NumericError(
            f"the netlist must compute what the simulator does, but sum {column} of {gather.name} in stream {stream} "
            f"is {got[stream, column]}, not {wanted[stream, column]}"
        )
