"""What every layer of a DSSA model is lowered with: binary points from ranges, projections.

Each function appends instructions to a `ProgramBuilder` and returns the `Value` they leave. The equations are
those of `docs/dssa.md`, in the numbers of `docs/numerics.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.mapping.blocks import Blocks, Counts
from spikesim.mapping.builder import Statistic, Value
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.quantize import quantize_rows
from spikesim.mapping.ranges import RangeRecorder, fraction_for
from spikesim.program import ACTIVATION_LIMIT, Gather, View

Tensors = Mapping[str, torch.Tensor]

WIDE_EXTRA_BITS = 8
"""Values that only feed a norm keep this many more fractional bits than an activation, in 32-bit words."""


@dataclass(frozen=True, kw_only=True)
class Lowering(Blocks):
    """What lowering one layer needs: the builder, the model's shape, its float tensors, ranges and the numerics."""

    config: DSSAConfig
    tensors: Tensors
    ranges: RangeRecorder

    def real(self, name: str) -> NDArray[np.float64]:
        """A small parameter as float64."""
        return np.asarray(self.tensors[name].double().numpy())


@dataclass(frozen=True, kw_only=True)
class Output:
    """One named slice of a projection: which rows of which weight, and the number format it leaves in.

    `divisor`: float64[outputs], divides each output channel (a static INT8 scale); `groups` and `statistic` as in
    `ProgramBuilder.multiply`.
    """

    name: str
    weight: str
    fraction: int
    limit: int = ACTIVATION_LIMIT
    groups: int = 1
    statistic: Statistic | None = None
    divisor: NDArray[np.float64] | None = None


def activation(ranges: RangeRecorder, *names: str) -> int:
    """Binary point of a 16-bit activation that covers these values with a factor 2 to spare."""
    return fraction_for(ranges.peak(*names), ACTIVATION_LIMIT)


def wide(ranges: RangeRecorder, *names: str) -> int:
    """Binary point of a 32-bit value that only feeds a norm: finer than an activation, and far from saturation."""
    return activation(ranges, *names) + WIDE_EXTRA_BITS


def project(low: Lowering, name: str, counts: Counts, outputs: Sequence[Output]) -> dict[str, Value]:
    """All projections of one input in one gather; each output is requantised to its own format, by its own name."""
    builder = low.builder
    integers, scales = [], []
    for output in outputs:
        matrix, scale = quantize_rows(low.tensors[output.weight])
        integers.append(matrix)
        scales.append(scale if output.divisor is None else scale / output.divisor)
    weights = integers[0] if len(integers) == 1 else np.concatenate(integers)
    bound = builder.matrix(name, weights, counts.limit)
    accumulators = builder.vector(f"{name}.sums", weights.shape[0])
    builder.emit(Gather(dst=accumulators, counts=counts.view.split(1), operand="matrix", name=name))
    values, first = {}, 0
    for output, scale in zip(outputs, scales, strict=True):
        words = scale.size
        factors, factor_fraction = builder.reals(f"{output.name}.scales", scale * counts.factor)
        part = Value(view=accumulators.part(first, words, output.groups), fraction=0, limit=max(1, bound))
        per_token = View(name=counts.scale.name, offset=counts.scale.offset, groups=output.groups)
        values[output.name] = builder.multiply(
            output.name,
            part,
            b=factors.split(output.groups),
            b_fraction=factor_fraction,
            scalar=per_token,
            scalar_fraction=counts.fraction,
            fraction=output.fraction,
            limit=output.limit,
            statistic=output.statistic,
        )
        first += words
    return values
