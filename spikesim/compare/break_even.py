"""Where spiking stops winning: array and encoder at equal throughput, measured with one setting changed at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.compare.bases import Slice, parts_of
from spikesim.compare.measure import measure_array
from spikesim.compare.parts import ARRAY, ENCODER
from spikesim.compare.technology import Technology
from spikesim.compare.work import GatherWork, Work, array_cycles, prepare
from spikesim.comparison import BreakEvenPoint, Design
from spikesim.cycle.model import gather_cycles
from spikesim.digits import digits
from spikesim.flow import map_model
from spikesim.hardware import HardwareConfig
from spikesim.progress import SILENT, Progress
from spikesim.rtl.config import CoreConfig, core_config
from spikesim.timing import ceil_div
from spikesim.tokens import InputRequest

LANES = 4
"""Lanes of the netlists here; the array's area and power per lane hold for any number of them."""
_GATHERS = 4
"""Gathers of a point: the first of every kind of layer would be more than the curves need."""
_TOKENS = 256
"""Tokens that are mapped anew where a setting changes numbers."""
_LARGEST = 100_000_000
"""Parameters of a model that is mapped several times."""

NOTE = (
    f"Break-even points: {_GATHERS} weight matrices of the model, 64 tokens, netlists of {LANES} lanes; the array is "
    "scaled to the lanes of the hardware, the encoder is not."
)

_POINTS: dict[str, tuple[Any, ...]] = {
    "threshold_k": (1.0, 2.0, 3.0, 4.0, 6.0),
    "window": (3, 5, 7),
    "coding": ("bitwise", "signed_digit", "twos_complement", "ternary"),
    "ways": (4, 8, 16, 32),
    "accumulator_bits": (24, 28, 32),
}
_NUMERIC = ("threshold_k", "window")
"""Settings that change counts, so that the model is mapped anew."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One setting changed: the hardware with it, and the gathers as they then are."""

    parameter: str
    value: str
    hardware: HardwareConfig
    gathers: Sequence[GatherWork]


def break_even(
    work: Work, technology: Technology, checkpoint: Path, parameters: int, progress: Progress = SILENT
) -> list[BreakEvenPoint]:
    """Every point of every setting; those that need the checkpoint only if it is there and not too large."""
    remap = checkpoint.exists() and parameters <= _LARGEST
    points = list(_points(work, checkpoint if remap else None))
    measured = []
    with progress.stage("break-even points", len(points)) as advance:
        for point in points:
            measured.append(_measured(point, technology))
            advance()
    return measured


def _points(work: Work, checkpoint: Path | None) -> Iterator[Point]:
    base = work.hardware
    gathers = _chosen(work)
    for parameter, values in _POINTS.items():
        section = "array" if parameter in ("ways", "accumulator_bits") else "numerics"
        own = getattr(getattr(base, section), parameter)
        ordered = [*values, own] if isinstance(own, str) else sorted({*values, own})
        for value in dict.fromkeys(ordered):
            hardware = base.replace(**{f"{section}.{parameter}": value})
            if parameter in _NUMERIC and value != own:
                if checkpoint is None:
                    continue
                yield Point(
                    parameter=parameter,
                    value=_shown(value),
                    hardware=hardware,
                    gathers=_remapped(checkpoint, hardware),
                )
            else:
                yield Point(parameter=parameter, value=_shown(value), hardware=hardware, gathers=gathers)


def _chosen(work: Work) -> list[GatherWork]:
    """Gathers spread over the model."""
    picked = np.linspace(0, len(work.gathers) - 1, min(_GATHERS, len(work.gathers))).astype(int)
    return [work.gathers[i] for i in picked]


def _remapped(checkpoint: Path, hardware: HardwareConfig) -> list[GatherWork]:
    with tempfile.TemporaryDirectory(prefix="spikesim-") as folder:
        map_model(
            checkpoint, output=Path(folder), hardware=hardware, request=InputRequest(max_tokens=_TOKENS)
        )
        return _chosen(prepare(Path(folder), hardware, tokens=1))


def _measured(point: Point, technology: Technology) -> BreakEvenPoint:
    hardware = point.hardware.replace(**{"array.lanes": LANES})
    lanes = point.hardware.array.lanes
    longest = max(gather.matrix.shape[1] for gather in point.gathers)
    rows = ceil_div(longest, hardware.array.ways)
    spiking, dense = (
        measure_array(
            _small(core_config(hardware, dense=is_dense, encoder_rows=rows, scatter_rows=1), point.gathers),
            technology,
            point.gathers,
            name="dense_array" if is_dense else "spiking_array",
            label="break-even point",
        )
        for is_dense in (False, True)
    )
    ratio = _event_ratio(point)
    mine, its = _scaled(spiking, lanes), _scaled(dense, lanes)
    larger = _scaled(spiking, lanes * ratio)
    counts = np.concatenate([gather.counts.reshape(-1) for gather in point.gathers])
    events = float(np.mean(np.sum(digits(counts, hardware.numerics.coding) != 0, axis=0)))
    taken = spiking.cycles_per_token / dense.cycles_per_token
    return BreakEvenPoint(
        parameter=point.parameter,
        value=point.value,
        sparsity=1 - events / 7,
        events_per_value=events,
        cycle_ratio=ratio,
        area_reduction=1 - larger.area / its.area,
        energy_reduction=1 - mine.power * taken / its.power,
    )


def _event_ratio(point: Point) -> float:
    """Cycles in which the array takes operands, spiking ÷ dense, over all chunks of the gathers."""
    hardware, array = point.hardware, point.hardware.array
    spiking = array_cycles(point.gathers, array.lanes, lambda counts: gather_cycles(counts, hardware))
    dense = array_cycles(
        point.gathers,
        array.lanes,
        lambda counts: np.full(len(counts), ceil_div(counts.shape[1], array.ways), np.int64),
    )
    return spiking / dense


def _small(config: CoreConfig, gathers: Sequence[GatherWork]) -> CoreConfig:
    """The core with memories no larger than the gathers need."""
    shapes = [gather.matrix.shape for gather in gathers]
    rows = sum(ceil_div(outputs, config.lanes) * ceil_div(inputs, config.ways) for outputs, inputs in shapes)
    return replace(config, row_depth=rows, state_depth=2, vector_depth=max(map(sum, shapes)))


def _scaled(design: Design, lanes: float) -> Slice:
    return parts_of(design, (ARRAY,)).times(lanes / LANES) + parts_of(design, (ENCODER,))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
