"""A Lava network without Lava: the same stages and time steps, matrices and neurons in a few lines of numpy.

It runs hundreds of programs in the time in which Lava starts one. `tests/test_lava.py` runs the real thing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikesim.backends.lava.compare import LavaComparison
from spikesim.backends.lava.expected import GoldenChain
from spikesim.backends.lava.plan import dense_weights, plan
from spikesim.backends.lava.spikes import GRADED, base, first_sign, steps_needed
from spikesim.backends.lava.stage_run import StageRun
from spikesim.backends.lava.timetable import Timetable
from spikesim.hardware import HardwareConfig
from spikesim.program import Chain


class Matrix:
    """Dense, which holds its sums for a step, and the neuron behind it."""

    def __init__(self, weights: np.ndarray, coding: str, planes: int) -> None:
        self.weights, self.coding, self.planes = weights.astype(np.int64), coding, planes
        self.buffer = self.u = np.zeros(weights.shape[0], np.int64)
        self.seen = -1

    def output(self) -> np.ndarray:
        """What reaches the stage in this step."""
        if self.coding == GRADED:
            return self.buffer
        if self.seen < 0:
            self.seen = 0
            return np.zeros_like(self.u)
        sign = first_sign(self.coding) if self.seen == 0 else 1
        self.u = base(self.coding) * self.u + sign * self.buffer
        self.seen = (self.seen + 1) % self.planes
        if self.seen:
            return np.zeros_like(self.u)
        done, self.u = self.u, np.zeros_like(self.u)
        return done

    def take(self, spikes: np.ndarray) -> None:
        """The spikes of this step."""
        self.buffer = self.weights @ spikes


def run(
    chain: Chain, words: np.ndarray, hardware: HardwareConfig, coding: str, folder: Path
) -> LavaComparison:
    """words: int32[tokens, words] -> everything compared with golden."""
    programs = chain.programs
    cut, planes, tokens = plan(programs, chain.links), steps_needed(programs, coding), len(words)
    golden = GoldenChain(chain, words, hardware)
    entry = golden.entry(cut.sources)
    expected = {program.text.name: golden.run(program) for program in programs}
    by_name = {program.text.name: program for program in programs}
    runs = [
        StageRun(stage, by_name[stage.program], coding, Timetable(tokens=tokens, planes=planes, depth=depth))
        for depth, stage in enumerate(cut.stages)
    ]
    matrices = [
        [Matrix(dense_weights(by_name[stage.program], n.instruction), coding, planes) for n in stage.leaving]
        for stage in cut.stages
    ]
    end = Timetable(tokens=tokens, planes=planes, depth=len(runs))
    outputs = np.zeros((tokens, runs[-1].held.size), np.int32)
    for step in range(1, end.steps + 1):
        sums = [[matrix.output() for matrix in row] for row in matrices]
        held = [work.held for work in runs]
        token = end.token_at(step)
        if token is not None:
            outputs[token] = held[-1]
        for depth, work in enumerate(runs):
            live = held[depth - 1] if depth else entry[min((step - 1) // planes, tokens - 1)]
            sent = work.step(step, live, sums[depth - 1] if depth else [])
            for matrix, spikes in zip(matrices[depth], sent, strict=True):
                matrix.take(spikes)
            if work.finished(step):
                work.save(folder / f"{depth}.npz")
    np.save(folder / "outputs.npy", outputs)
    found = LavaComparison(coding, planes, hardware.numerics.coding)
    found.network(cut, expected, entry, folder)
    return found
