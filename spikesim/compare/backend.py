"""Gates of a cell library as a back end: the synthesised core, simulated gate by gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.execution import Outcome
from spikesim.compare.core_run import GateCore, images_of
from spikesim.compare.designs import build
from spikesim.compare.measure import core_source
from spikesim.compare.settings import STREAMS
from spikesim.compare.technology import Technology
from spikesim.cores import CoreName
from spikesim.errors import NumericError
from spikesim.hardware import HardwareConfig
from spikesim.mapping.link import link
from spikesim.program import Chain
from spikesim.rtl.assemble import assemble
from spikesim.rtl.config import datapath
from spikesim.rtl.emit import resident_config

_LIMIT, _BLOCK = 1 << 24, 64
"""Cycles after which a step is given up, and between looks whether it is done."""


@dataclass(frozen=True, kw_only=True)
class GatesBackEnd:
    """`technology`: library and clock."""

    technology: Technology
    core_name: CoreName = "spiking"
    name: str = "gates"

    def open(self, chain: Chain, hardware: HardwareConfig, folder: Path) -> GatesExecution:
        """Synthesises the core that holds the chain, unless the cache has it: minutes."""
        layout = link(chain, hardware)
        executable = assemble(chain, layout, ways=hardware.array.ways, words=hardware.pointwise.words)
        config = resident_config(hardware, layout, **datapath(self.core_name))
        netlist = build(core_source(config, self.technology), self.technology).netlist
        contents = images_of(chain, layout, executable, config)
        return GatesExecution(GateCore(netlist, contents, layout, executable), chain.output_words)


class GatesExecution:
    """A netlist with a chain in its memories."""

    def __init__(self, core: GateCore, words: int) -> None:
        self._core, self._words = core, words

    def run(self, words: NDArray[np.int32]) -> Outcome:
        """The same in all streams, which must agree."""
        core = self._core
        core.clear()
        outputs, counted = [], [0]
        for step in words:
            core.start(np.ascontiguousarray(np.broadcast_to(step, (STREAMS, step.size))))
            core.host.wait(_LIMIT, _BLOCK)
            found, cycles = core.output(self._words), core.host.read("CYCLES_LOW")
            if (found != found[0]).any() or (cycles != cycles[0]).any():
                raise NumericError("the netlist must do the same in all streams, but does not")
            outputs.append(found[0])
            counted.append(int(cycles[0]))
        return Outcome(machine="gates", outputs=np.stack(outputs), cycles=np.diff(counted).astype(np.int64))
