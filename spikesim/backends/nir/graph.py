"""One matrix gather as a NIR graph: input → weights → sums → output."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.nir.package import nir_package
from spikesim.backends.nir.targets import NIRTarget

NODES = ("input", "weights", "sums", "output")
"""Names of the nodes, in the order of the edges."""

THRESHOLD = 2.0**62
"""Threshold of every neuron. Integers of a step are at most 2^53, potentials 2^8 times that: it is never reached."""


def matrix_graph(
    matrix: NDArray[np.int8], target: NIRTarget, planes: int, metadata: dict[str, str | int | float]
) -> Any:
    """matrix: int8[outputs, channels] -> nir.NIRGraph; `metadata` travels in its file.

    `Linear` holds the weights times `Target.weight_scale`, float32, which holds them exactly; `LIF` halves its
    potential in every step and never fires.
    """
    nir = nir_package()
    outputs, channels = matrix.shape

    def each(value: float) -> NDArray[np.float32]:
        return np.full(outputs, value, np.float32)

    neurons = nir.LIF(
        tau=each(target.tau_s),
        r=each(target.r),
        v_leak=each(0),
        v_threshold=each(THRESHOLD),
        v_reset=each(0),
    )
    nodes = (
        nir.Input(np.array([channels])),
        nir.Linear(weight=matrix.astype(np.float32) * np.float32(target.weight_scale(planes))),
        neurons,
        nir.Output(np.array([outputs])),
    )
    return nir.NIRGraph(
        nodes=dict(zip(NODES, nodes, strict=True)),
        edges=list(pairwise(NODES)),
        metadata=metadata,
    )


def write_graph(path: Path, graph: Any) -> None:
    """Write a graph to an HDF5 file; equal graphs give equal bytes.

    By way of memory: the HDF5 library ends the process (SIGSEGV) when a disk is full.
    """
    content = io.BytesIO()
    nir_package().write(content, graph)
    path.write_bytes(content.getbuffer())
