"""`Formats`: the binary point and limit of every value of a network, from the ranges that it was calibrated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.nodes import Floats, Neuron, Node, Sum
from spikesim.mapping.graph.reference import current_of, membrane_of
from spikesim.mapping.ranges import fraction_for
from spikesim.program import ACTIVATION_LIMIT, WORD_LIMIT

WIDE_LIMIT = 2**28
"""What a membrane or a current reaches in words: room for eight times the largest value of the calibration."""

_LEAST_PEAK = 2.0**-20
"""Of values that are all zero."""

_UNSEEN = 8.0
"""Thresholds that a potential is given room for, if the calibration says nothing about it."""


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
            peak = max(peak, self._unseen(node.name), _LEAST_PEAK)
            return fraction_for(peak, WIDE_LIMIT, 1.0), WORD_LIMIT
        return fraction_for(peak, ACTIVATION_LIMIT), ACTIVATION_LIMIT

    def membrane(self, neuron: Neuron) -> int:
        """Binary point of a neuron's membrane and current."""
        peaks = self.peaks[current_of(neuron.name)], self.peaks[membrane_of(neuron.name)]
        return fraction_for(max(*peaks, self._own_scale(neuron), _LEAST_PEAK), WIDE_LIMIT, 1.0)

    def _own_scale(self, neuron: Neuron) -> float:
        """What a neuron's potential reaches whatever the calibration: more if no neuron fired in it."""
        scale = _largest(neuron.threshold, neuron.reset, neuron.leak)
        return scale * _UNSEEN if self._is_silent(neuron) else scale

    def _is_silent(self, neuron: Neuron) -> bool:
        return neuron.threshold is not None and self.peaks[membrane_of(neuron.name)] < _largest(
            neuron.threshold
        )

    def _unseen(self, name: str) -> float:
        """What a value of neurons that were silent in the calibration may be: enough to make them fire at once."""
        found = [0.0]
        for user in self.graph.users(name):
            if not isinstance(user, Neuron):
                found.append(self._unseen(user.name))
            elif self._is_silent(user):
                found.append(self._own_scale(user) / max(_largest(user.gain), _LEAST_PEAK))
        return max(found)


def _largest(*arrays: Floats | None) -> float:
    return max(0.0 if array is None else float(np.abs(array).max()) for array in arrays)
