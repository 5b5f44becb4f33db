"""A stage of a program as a Lava Process: the instructions between two rows of matrices.

Whatever is sent in one time step is used in the next: Dense holds its sums for a step, and the stage holds `live_out`
for one. So stage n of a chain works on token t in slot t + n.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from spikesim.backends.lava.messages import fail
from spikesim.backends.lava.plan import MOST_MATRICES
from spikesim.backends.lava.stage_run import StageRun, words_of

IDLE = np.zeros(1, np.int32)
"""What an unused port is as wide as."""


class StageProcess(AbstractProcess):
    """`work`: the stage and its words. `path`: the file that its record goes to after its last token.

    Ports `live_in` and `live_out` carry words from stage to stage, `sums_k` come from matrices, `counts_k` go to them.
    """

    def __init__(self, *, work: StageRun, path: Path) -> None:
        super().__init__(work=work, path=path, name=work.stage.name)
        stage = work.stage
        self.live_in = InPort(shape=(max(1, words_of(stage.live_in)),))
        self.live_out = OutPort(shape=(max(1, words_of(stage.live_out)),))
        for k in range(MOST_MATRICES):
            arriving = stage.arriving[k].instruction.dst.words if k < len(stage.arriving) else 1
            leaving = stage.leaving[k].instruction.counts.words if k < len(stage.leaving) else 1
            setattr(self, f"sums_{k}", InPort(shape=(arriving,)))
            setattr(self, f"counts_{k}", OutPort(shape=(leaving,)))


class _StageModel(PyLoihiProcessModel):
    """What a stage does in one time step."""

    live_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    live_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)

    def __init__(self, proc_params: dict[str, Any]) -> None:
        super().__init__(proc_params)
        self.work: StageRun = proc_params["work"]
        self.path: Path = proc_params["path"]

    def run_spk(self) -> None:
        """One time step."""
        try:
            self._step()
        except Exception as error:  # noqa: BLE001 - Lava would hang
            now = self.work.table.plane_at(self.time_step)
            at = "" if now is None else f", token {now[0]}"
            fail(f"stage {self.work.stage.name}{at}", error)

    def _step(self) -> None:
        work = self.work
        if work.stage.live_out:
            self.live_out.send(work.held)
        live = self.live_in.recv() if work.stage.live_in else IDLE[:0]
        sums = [getattr(self, f"sums_{k}").recv() for k in range(len(work.stage.arriving))]
        for k, sent in enumerate(work.step(self.time_step, live, sums)):
            getattr(self, f"counts_{k}").send(sent)
        if work.finished(self.time_step):
            work.save(self.path)


for _k in range(MOST_MATRICES):
    setattr(_StageModel, f"sums_{_k}", LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24))
    setattr(_StageModel, f"counts_{_k}", LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=8))


@implements(proc=StageProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "bit_accurate_loihi")
class PyStageModel(_StageModel):
    """The fixed-point model of `StageProcess`."""
