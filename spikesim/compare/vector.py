"""`GateVector`: vector memory of a netlist, words of all streams by their address."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.power_models.gates.simulator import GateSimulator
from spikesim.power_models.gates.words import STREAMS
from spikesim.rtl.vector import image_of


class GateVector:
    """What lies in the interleaved banks (`spikesim.rtl.vector`). `names`: of memories, by their images."""

    def __init__(self, simulator: GateSimulator, names: dict[str, str]) -> None:
        self.simulator = simulator
        banks = sum(1 for image in names if image.startswith("vector_"))
        self.banks = [names[image_of(bank)] for bank in range(banks)]

    def load(self, words: NDArray[np.int32], first: int) -> None:
        """words: int32[streams, words], written from address `first` on, between two cycles."""
        contents = words.view(np.uint32).astype(np.uint64)
        for i in range(min(len(self.banks), contents.shape[1])):
            row, bank = divmod(first + i, len(self.banks))
            self.simulator.load(self.banks[bank], contents[:, i :: len(self.banks)], row)

    def words(self, first: int, count: int) -> NDArray[np.int32]:
        """int32[streams, count]: from address `first` on."""
        held = [self.simulator.memory(name)[:, :, 0] for name in self.banks]
        found = np.empty((STREAMS, count), np.uint32)
        for i in range(min(len(held), count)):
            row, bank = divmod(first + i, len(held))
            rows = range(i, count, len(held))
            found[:, i :: len(held)] = held[bank][:, row : row + len(rows)]
        return found.view(np.int32)
