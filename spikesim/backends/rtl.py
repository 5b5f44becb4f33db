"""The RTL in Verilator as a back end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.execution import Outcome
from spikesim.cores import CoreName
from spikesim.hardware import HardwareConfig
from spikesim.mapping.link import link
from spikesim.program import Chain
from spikesim.rtl.config import datapath
from spikesim.rtl.emit import resident_config
from spikesim.timing import STEP_CYCLES
from spikesim.verify.lockstep import BuiltCore, Lockstep

LIMIT = 2**31 - 1
"""Clock cycles after which a step is given up: nothing here knows how many it should take."""


@dataclass(frozen=True, kw_only=True)
class RTLBackEnd:
    """A core that is generated for the chain, of kind `core_name`. `core`: one that is built already and holds it."""

    core_name: CoreName = "spiking"
    core: BuiltCore | None = None
    name: str = "RTL"

    def open(self, chain: Chain, hardware: HardwareConfig, folder: Path) -> RTLExecution:
        """Builds the core, if none is given, and loads it."""
        config = resident_config(hardware, link(chain, hardware), **datapath(self.core_name))
        core = self.core or BuiltCore(config, folder / "core")
        return RTLExecution(Lockstep(chain, hardware, core, folder / "run"))


class RTLExecution:
    """A loaded core."""

    def __init__(self, lockstep: Lockstep) -> None:
        self._lockstep = lockstep

    def run(self, words: NDArray[np.int32]) -> Outcome:
        """In Verilator, without a look at what golden says."""
        steps = self._lockstep.record(words, limit=LIMIT).tokens
        return Outcome(
            machine="RTL",
            outputs=np.stack([step.output for step in steps]),
            cycles=np.array([int(step.instructions[:, 2].sum()) + STEP_CYCLES for step in steps], np.int64),
        )
