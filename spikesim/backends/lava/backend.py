"""Lava as a back end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.execution import Outcome
from spikesim.backends.lava.run import execute
from spikesim.backends.lava.spikes import GRADED
from spikesim.hardware import HardwareConfig
from spikesim.program import Chain
from spikesim.program.verifier import verify_chain
from spikesim.results.lava import LavaCoding


@dataclass(frozen=True, kw_only=True)
class LavaBackEnd:
    """A network of Lava Processes; `coding`: how counts travel between them."""

    coding: LavaCoding = GRADED
    name: str = "Lava"

    def open(self, chain: Chain, hardware: HardwareConfig, folder: Path) -> LavaExecution:
        """Leaves `folder` empty: networks are made when they run."""
        verify_chain(chain)
        return LavaExecution(chain, hardware, self.coding)


class LavaExecution:
    """Runs the chain as one network or several. Time steps are not clock cycles: it tells none."""

    def __init__(self, chain: Chain, hardware: HardwareConfig, coding: LavaCoding) -> None:
        self.chain, self.hardware, self.coding = chain, hardware, coding

    def run(self, words: NDArray[np.int32]) -> Outcome:
        """In a worker of its own."""
        found = execute(self.chain, words, self.hardware, coding=self.coding)
        return Outcome(machine="Lava", outputs=found.outputs)
