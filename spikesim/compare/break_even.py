"""Where spiking stops winning: array and encoder at equal throughput, measured with one setting changed at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.compare.bases import Slice, parts_of
from spikesim.compare.measure import Job, array_job, measured
from spikesim.compare.parts import ARRAY, ENCODER, OFFSET
from spikesim.compare.technology import Technology
from spikesim.compare.work import GatherWork, Work, array_cycles, prepare
from spikesim.cycle.delivery import gather_cycles
from spikesim.flow import map_model
from spikesim.hardware import Coding, HardwareConfig
from spikesim.results.comparison import BreakEvenPoint, Design
from spikesim.rtl.config import CoreConfig, core_config
from spikesim.run.saved_tokens import CALIBRATION_TOKENS_FILE, TOKENS_FILE
from spikesim.run.tokens import InputRequest
from spikesim.spikes.digits import digits
from spikesim.support.arithmetic import ceil_div
from spikesim.support.array_files import write_npy
from spikesim.support.progress import SILENT, Progress
from spikesim.support.temporary import temporary_folder

LANES = 4
"""Lanes of the netlists here; the array's area and power per lane hold for any number of them."""
_GATHERS = 4
"""Gathers of a point that run on its netlists; its cycle ratio and its events are of all."""
_TOKENS = 256
"""Tokens that are mapped anew where a setting changes numbers."""
_LARGEST = 100_000_000
"""Parameters of a model that is mapped several times."""

NOTE = (
    f"Break-even points: cycles and events of all weight matrices of the model, 64 tokens; power from {_GATHERS} of "
    f"them, from the sparsest to the densest, on netlists of {LANES} lanes; the array is scaled to the lanes of the "
    "hardware, encoder and offset are not."
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
    """One setting changed: the hardware with it, and all gathers as they then are."""

    parameter: str
    value: str
    hardware: HardwareConfig
    gathers: Sequence[GatherWork]


@dataclass(frozen=True, kw_only=True)
class WorkOrigin:
    """What the model is mapped from when a setting changes its numbers: a checkpoint, and token ids.

    `tokens`: int64[sequences, length], what runs; `ranges`: those that set the ranges of activations.
    """

    checkpoint: Path
    tokens: NDArray[np.int64]
    ranges: NDArray[np.int64]


def break_even(
    work: Work,
    technology: Technology,
    origin: WorkOrigin | None,
    parameters: int,
    progress: Progress = SILENT,
) -> list[BreakEvenPoint]:
    """Every point of every setting; those that need the checkpoint only if it is there and not too large."""
    remap = origin is not None and origin.checkpoint.exists() and parameters <= _LARGEST
    points = list(_points(work, origin if remap else None))
    names = _representative(work.gathers, work.hardware.numerics.coding)
    rows = work.layout.encoder_rows * work.hardware.array.ways
    jobs = [job for point in points for job in _jobs(point, names, rows, technology)]
    with progress.stage("break-even points", len(jobs)) as advance:
        designs = measured(jobs, advance)
    return [
        _point(point, spiking, dense)
        for point, spiking, dense in zip(points, designs[::2], designs[1::2], strict=True)
    ]


def _points(work: Work, origin: WorkOrigin | None) -> Iterator[Point]:
    base = work.hardware
    for parameter, values in _POINTS.items():
        section = "array" if parameter in ("ways", "accumulator_bits") else "numerics"
        own = getattr(getattr(base, section), parameter)
        ordered = [*values, own] if isinstance(own, str) else sorted({*values, own})
        for value in dict.fromkeys(ordered):
            hardware = _changed(base, **{f"{section}.{parameter}": value})
            gathers = work.gathers
            if parameter in _NUMERIC and value != own:
                if origin is None:
                    continue
                gathers = _remapped(origin, hardware)
            yield Point(parameter=parameter, value=_shown(value), hardware=hardware, gathers=gathers)


def _changed(hardware: HardwareConfig, **settings: Any) -> HardwareConfig:
    """The hardware with other settings. A memory of which a model needs nothing has a row of the array all the same."""
    sizes = {f"memory.{name}": getattr(hardware.memory, name) for name in ("row_kib", "state_kib")}
    changed = hardware.replace(**dict.fromkeys(sizes, "fit"), **settings)
    least = {"memory.row_kib": changed.least_row_kib, "memory.state_kib": changed.least_state_kib}
    return changed.replace(
        **{name: size if size == "fit" else max(size, least[name]) for name, size in sizes.items()}
    )


def _representative(gathers: Sequence[GatherWork], coding: Coding) -> set[str]:
    """Names of gathers from the sparsest to the densest: of equal parts of all, ranked so, those in the middle."""
    ranked = sorted(gathers, key=lambda gather: _events_per_value([gather], coding))
    parts = np.array_split(np.arange(len(ranked)), min(_GATHERS, len(ranked)))
    return {ranked[part[len(part) // 2]].name for part in parts}


def _events_per_value(gathers: Sequence[GatherWork], coding: Coding) -> float:
    counts = np.concatenate([gather.counts.reshape(-1) for gather in gathers])
    return float(np.mean(np.sum(digits(counts, coding) != 0, axis=0)))


def _remapped(origin: WorkOrigin, hardware: HardwareConfig) -> list[GatherWork]:
    with temporary_folder() as folder:
        tokens, ranges, output = (folder / n for n in (TOKENS_FILE, CALIBRATION_TOKENS_FILE, "mapping"))
        write_npy(tokens, origin.tokens)
        write_npy(ranges, origin.ranges)
        output.mkdir()
        request = InputRequest(tokens=tokens, max_tokens=_TOKENS)
        map_model(origin.checkpoint, output=output, hardware=hardware, request=request, calibration=ranges)
        return prepare(output, hardware, InputRequest(), tokens=1).gathers


def _jobs(point: Point, names: set[str], rows: int, technology: Technology) -> list[Job]:
    """Spiking and dense. `names`: of the gathers that run on the netlists; `rows`: counts that the encoder holds, in
    all banks."""
    hardware = _changed(point.hardware, **{"array.lanes": LANES})
    encoder_rows = ceil_div(rows, hardware.array.ways)
    gathers = [gather for gather in point.gathers if gather.name in names]
    return [
        array_job(
            _small(core_config(hardware, dense=is_dense, encoder_rows=encoder_rows, scatter_rows=1), gathers),
            technology,
            gathers,
            name="dense_array" if is_dense else "spiking_array",
            label="break-even point",
        )
        for is_dense in (False, True)
    ]


def _point(point: Point, spiking: Design, dense: Design) -> BreakEvenPoint:
    lanes = point.hardware.array.lanes
    hardware = _changed(point.hardware, **{"array.lanes": LANES})
    ratio = _event_ratio(point)
    mine, its = _scaled(spiking, lanes), _scaled(dense, lanes)
    larger = _scaled(spiking, lanes * ratio)
    events = _events_per_value(point.gathers, hardware.numerics.coding)
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
    return replace(config, row_depth=rows, state_depth=0, vector_depth=max(map(sum, shapes)))


def _scaled(design: Design, lanes: float) -> Slice:
    return parts_of(design, (ARRAY,)).times(lanes / LANES) + parts_of(design, (OFFSET, ENCODER))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
