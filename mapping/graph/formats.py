"""`Formats`: the binary point and limit of every value of a network, from the ranges that it was calibrated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.nodes import Neuron, Node, Sum
from spikesim.mapping.graph.reference import current_of, membrane_of
from spikesim.mapping.ranges import fraction_for
from spikesim.program import ACTIVATION_LIMIT, WORD_LIMIT

WIDE_LIMIT = 2**28
"""What a membrane or a current reaches in words: room for eight times the largest value of the calibration."""

_LEAST_PEAK = 2.0**-20
"""Of values that are all zero."""


@dataclass(frozen=True, kw_only=True)
class Formats:
    """`peaks`: the largest magnitude of every value of the float model, what neurons keep included."""

    graph: Graph
    peaks: Mapping[str, float]

    def is_wide(self, name: str) -> bool:
        """Whether only neurons take a value, or sums that only neurons take: it then has the bits of a membrane."""
        users = self.graph.users(name)
        if not users or name == self.graph.output:
            return False
        return all(
            isinstance(user, Neuron) or (isinstance(user, Sum) and self.is_wide(user.name)) for user in users
        )

    def of(self, node: Node) -> tuple[int, int]:
        """Binary point and limit of a node's output: 16 bits, or those of a membrane."""
        peak = self.peaks[node.name]
        if self.is_wide(node.name):
            return fraction_for(max(peak, _LEAST_PEAK), WIDE_LIMIT, 1.0), WORD_LIMIT
        return fraction_for(peak, ACTIVATION_LIMIT), ACTIVATION_LIMIT

    def membrane(self, neuron: Neuron) -> int:
        """Binary point of a neuron's membrane and current."""
        values = [self.peaks[current_of(neuron.name)], self.peaks[membrane_of(neuron.name)], _LEAST_PEAK]
        for array in (neuron.threshold, neuron.reset, neuron.leak):
            values.append(0.0 if array is None else float(np.abs(array).max()))
        return fraction_for(max(values), WIDE_LIMIT, 1.0)
