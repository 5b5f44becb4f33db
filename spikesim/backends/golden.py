"""The golden model and the cycle model as a back end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.execution import Outcome
from spikesim.cores import CoreName
from spikesim.hardware import HardwareConfig
from spikesim.program import Chain
from spikesim.program.verifier import verify_chain
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator, step_cycles


@dataclass(frozen=True, kw_only=True)
class GoldenBackEnd:
    """`core_name`: whose cycles."""

    core_name: CoreName = "spiking"
    name: str = "golden"

    def open(self, chain: Chain, hardware: HardwareConfig, folder: Path) -> GoldenExecution:
        """Leaves `folder` empty."""
        verify_chain(chain)
        return GoldenExecution(chain, hardware, self.core_name)


class GoldenExecution:
    """Simulates; every run begins a sequence."""

    def __init__(self, chain: Chain, hardware: HardwareConfig, core: CoreName) -> None:
        self.chain, self.hardware, self.core = chain, hardware, core

    def run(self, words: NDArray[np.int32]) -> Outcome:
        """All steps at once."""
        simulators = [Simulator(program, self.hardware, detail=True) for program in self.chain.programs]
        outputs = run_chain(self.chain, simulators, np.ascontiguousarray(words[:, None]))[:, 0]
        return Outcome(
            machine="golden",
            outputs=np.ascontiguousarray(outputs),
            cycles=step_cycles(simulators, self.core),
        )
