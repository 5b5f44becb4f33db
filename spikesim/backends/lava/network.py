"""A chain of programs as one Lava network: stages, Lava's own `Dense` for matrices, Horner neurons, a recorder.

Dense drops bit 0 of weights of mixed sign, which it takes for doubled already. So it is given 2 W, told that their
sign is mixed whatever they hold, and a weight exponent of −1, which halves the sums again: exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer as Source
from lava.utils.weightutils import SignMode
from numpy.typing import NDArray

from spikesim.backends.lava.plan import Numbered, Plan, dense_weights
from spikesim.backends.lava.processes.horner import Horner
from spikesim.backends.lava.processes.recorder import Recorder
from spikesim.backends.lava.processes.stage import StageProcess
from spikesim.backends.lava.spikes import GRADED, base, first_sign
from spikesim.backends.lava.stage_run import StageRun, words_of
from spikesim.backends.lava.timetable import Timetable

MESSAGE_BITS = 8
"""Bits of a spike's payload; with 0 Dense would take any spike, −1 among them, for +1."""


class Network:
    """All Processes of a plan, connected. `first`: a Process to run the network by. `steps`: time steps it takes."""

    def __init__(self, plan: Plan, coding: str, planes: int, words: NDArray[np.int32], folder: Path) -> None:
        """words: int32[tokens, entry words], what the first stage is sent. Records go to `folder`."""
        tokens = words.shape[0]
        self._programs = {program.text.name: program for program in plan.programs}
        self._coding, self._planes = coding, planes
        end = Timetable(tokens=tokens, planes=planes, depth=len(plan.stages))
        self.steps = end.steps
        self.processes: list[Any] = []
        before = self._source(words)
        sums: list[Any] = []
        for depth, stage in enumerate(plan.stages):
            table = Timetable(tokens=tokens, planes=planes, depth=depth)
            work = StageRun(stage, self._programs[stage.program], coding, table)
            process = self._add(StageProcess(work=work, path=folder / f"{depth}.npz"))
            if before is not None:
                before.connect(process.live_in)
            for k, port in enumerate(sums):
                port.connect(getattr(process, f"sums_{k}"))
            sums = []
            for k, gather in enumerate(stage.leaving):
                sums.append(self._matrix(stage.program, gather, getattr(process, f"counts_{k}")))
            before = process.live_out if stage.live_out else None
        recorder = Recorder(size=words_of(plan.exit), table=end, path=folder / "outputs.npy")
        if before is not None:
            before.connect(self._add(recorder).a_in)
        self.first = self.processes[0]

    def _add(self, process: Any) -> Any:
        self.processes.append(process)
        return process

    def _source(self, words: NDArray[np.int32]) -> Any:
        """Port that sends the words of token t during slot t; None if there are none."""
        if words.shape[1] == 0:
            return None
        data = np.zeros((words.shape[1], self.steps), np.int32)
        spread = np.repeat(words.T, self._planes, axis=1)[:, : self.steps]
        data[:, : spread.shape[1]] = spread
        return self._add(Source(data=data)).s_out

    def _matrix(self, program: str, gather: Numbered, counts: Any) -> Any:
        """The port that the sums of a matrix come out of."""
        i = gather.instruction
        weights = dense_weights(self._programs[program], i)
        dense = self._add(
            Dense(
                weights=2 * weights,
                weight_exp=-1,
                sign_mode=SignMode.MIXED,
                num_message_bits=MESSAGE_BITS,
                name=f"{program}.{i.name}",
            )
        )
        counts.connect(dense.s_in)
        if self._coding == GRADED:
            return dense.a_out
        neurons = self._add(
            Horner(
                size=weights.shape[0],
                planes=self._planes,
                base=base(self._coding),
                sign=first_sign(self._coding),
                name=f"{program}.{i.name}.horner",
            )
        )
        dense.a_out.connect(neurons.a_in)
        return neurons.s_out
