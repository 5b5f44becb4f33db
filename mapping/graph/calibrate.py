"""Ranges: how large every value of a network becomes on calibration samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import NumericError
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.reference import Values, Walk
from spikesim.mapping.graph.segments import Segment


def peaks(graph: Graph, pieces: tuple[Segment, ...], samples: NDArray[np.float32]) -> dict[str, float]:
    """The largest magnitude of every node, and of what neurons keep, for float32[samples, steps, *shape].

    Raises NumericError if one is not finite.
    """
    found = {graph.input.name: float(np.abs(samples).max(initial=0.0))}

    def seen(values: Values) -> None:
        for name, value in values.items():
            found[name] = max(found.get(name, 0.0), float(value.abs().max()))

    walk = Walk(graph, samples)
    for piece in pieces:
        walk.advance(piece.nodes, seen)
    for name, peak in found.items():
        if not np.isfinite(peak):
            raise NumericError(
                f"calibration values of {name} must be finite; check its weights for extreme values"
            )
    return found
