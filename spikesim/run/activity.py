"""What the spikes of a network do: events, silent windows, synaptic operations, membranes, rasters; layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikesim.golden.frame import Frame
from spikesim.hardware import Coding
from spikesim.program import COUNT_LIMIT, Instruction, Program, is_matrix
from spikesim.program.compiled import Block, Samples
from spikesim.program.ports import Port
from spikesim.program.trace import Place
from spikesim.results.activity import (
    AC_PJ,
    MAC_PJ,
    Activity,
    LayerActivity,
    LayerRaster,
    Membrane,
    Picture,
)
from spikesim.run.fidelity import ClassScore
from spikesim.run.observers import counted_words, events_of_counts
from spikesim.run.simulator import Simulator
from spikesim.support.arithmetic import ceil_div

RASTER_ROWS, RASTER_VALUES, RASTERS = 64, 96, 8
"""Steps or frames and values of a layer's raster; layers that have one."""

MOST_PIXELS, MOST_SCORES = 64, 1000
"""Pixels along an axis of a picture; scores that are shown, and not a map of them."""


class ActivityObserver:
    """Watches a program: windows, and how many are silent; events of every step; extremes of persistent vectors.

    `by_step`: with `steps` int64[steps], events of all sequences at each. `raster`: counts of the first sequence.
    """

    def __init__(self, program: Program, coding: Coding, *, by_step: bool) -> None:
        self.reads = counted_words(program)
        self.per_count = events_of_counts(coding).astype(np.uint8)
        self.windows = self.silent = 0
        self.extremes: dict[str, tuple[int, int]] = {}
        self.raster: tuple[str, int, list[NDArray[np.int32]]] | None = None
        self._each: dict[int, list[NDArray[np.int64]]] | None = {} if by_step else None
        self._persistent: dict[int, list[str]] = {}
        last = {
            view.name: number
            for number, instruction in enumerate(program.instructions())
            for view in instruction.writes()
            if view.name in program.text.persistent
        }
        for name, number in last.items():
            self._persistent.setdefault(number, []).append(name)

    def executed(self, place: Place, instruction: Instruction, frame: Frame) -> None:
        """All that there is to see, once the words are there."""
        if is_matrix(instruction):
            fired = frame.view(instruction.counts).any(axis=2)
            self.windows += fired.size
            self.silent += fired.size - int(np.count_nonzero(fired))
        for read in self.reads.get(place.number, ()):
            counts = read.of(frame)
            if self._each is not None:
                parts = self._each.setdefault(place.number, [])
                events = (self.per_count[step + COUNT_LIMIT].sum(dtype=np.int64) for step in counts)
                parts.append(np.fromiter(events, np.int64, len(counts)))
            if self.raster is None or self.raster[0] == read.vector:
                self._keep(read.vector, counts[:, 0])
        for name in self._persistent.get(place.number, ()):
            words = frame.vectors[name][frame.start : frame.stop]
            low, high = self.extremes.get(name, (int(words.flat[0]), int(words.flat[0])))
            self.extremes[name] = min(low, int(words.min())), max(high, int(words.max()))

    def _keep(self, vector: str, counts: NDArray[np.int32]) -> None:
        """counts: int32[steps, values] of the first sequence."""
        if self.raster is None:
            self.raster = vector, counts.shape[1], []
        rows = self.raster[2]
        shown = np.linspace(0, counts.shape[1] - 1, min(RASTER_VALUES, counts.shape[1])).astype(int)
        rows.extend(counts[: RASTER_ROWS - len(rows), shown])

    @property
    def by_step(self) -> NDArray[np.int64] | None:
        """int64[steps]: events of all sequences; None if they were not asked for, or there are none."""
        if not self._each:
            return None
        total: NDArray[np.int64] = np.sum([np.concatenate(parts) for parts in self._each.values()], axis=0)
        return total


@dataclass(kw_only=True)
class ActivityTally:
    """Adds up programs as they run. `items` ran, `steps` of each sample, with state if `keeps_state`."""

    coding: Coding
    items: int
    steps: int
    keeps_state: bool
    layers: list[LayerActivity] = field(default_factory=list)
    membranes: list[Membrane] = field(default_factory=list)
    rasters: list[LayerRaster] = field(default_factory=list)
    pictures: tuple[Picture, ...] = ()
    _silent: int = 0

    def watch(self, program: Program) -> ActivityObserver:
        """What watches a program that is about to run."""
        return ActivityObserver(program, self.coding, by_step=self.keeps_state)

    def add(self, program: Program, simulator: Simulator, seen: ActivityObserver, block: Block) -> None:
        """A program that is done for all items."""
        layer = len(self.layers) if block.layer is None else block.layer
        operations = macs = 0
        for number, instruction in enumerate(program.instructions()):
            if is_matrix(instruction):
                outputs = instruction.dst.length
                operations += simulator.cycles[number].counters.spikes * outputs
                macs += instruction.counts.groups * instruction.counts.length * outputs
        by_step = seen.by_step
        samples = self.items / self.steps
        self.layers.append(
            LayerActivity(
                layer=layer,
                kind=block.kind,
                name=block.program,
                values=sum(read.words.size for reads in seen.reads.values() for read in reads),
                spikes=sum(simulator.encoded.values()) / self.items,
                by_step=() if by_step is None else tuple((by_step / samples).tolist()),
                windows=seen.windows // self.items,
                silent_windows=seen.silent / seen.windows if seen.windows else 0.0,
                synaptic_operations=operations / self.items,
                macs=macs,
            )
        )
        self._silent += seen.silent
        self.membranes.extend(_membranes(program, simulator, seen, layer))
        if seen.raster is not None and len(self.rasters) < RASTERS:
            vector, values, rows = seen.raster
            counts = tuple(tuple(row.tolist()) for row in rows)
            self.rasters.append(
                LayerRaster(layer=layer, kind=block.kind, name=vector, counts=counts, values=values)
            )

    def result(self) -> Activity:
        """The section of a report."""
        windows = sum(layer.windows for layer in self.layers)
        operations = sum(layer.synaptic_operations for layer in self.layers)
        macs = sum(layer.macs for layer in self.layers)
        steps = self.steps if self.keeps_state else 1
        return Activity(
            by_layer=tuple(self.layers),
            spikes=sum(layer.spikes for layer in self.layers),
            windows=windows,
            silent_windows=self._silent / (windows * self.items) if windows else 0.0,
            synaptic_operations=operations,
            macs=macs,
            items_per_sample=steps,
            spiking_uj=1e-6 * AC_PJ * operations * steps,
            dense_uj=1e-6 * MAC_PJ * macs,
            membranes=tuple(self.membranes),
            rasters=tuple(self.rasters),
            pictures=self.pictures,
        )


def _membranes(
    program: Program, simulator: Simulator, seen: ActivityObserver, layer: int
) -> Iterator[Membrane]:
    for name, (low, high) in seen.extremes.items():
        limits: list[int | None] = []
        saturated = 0
        for number, instruction in enumerate(program.instructions()):
            if any(view.name == name for view in instruction.writes()):
                limits.append(getattr(instruction, "limit", None))
                saturated += int(simulator.machine.cut[number, 1])
        known = [limit for limit in limits if limit is not None]
        limit = max(known) if len(known) == len(limits) else None
        yield Membrane(
            layer=layer,
            program=program.text.name,
            name=name,
            minimum=low,
            maximum=high,
            limit=limit,
            saturated=saturated,
        )


def pictures(score: ClassScore, words: NDArray[np.int32], host: Samples, result: Port) -> tuple[Picture, ...]:
    """The first samples and their scores. `words`: int32[samples, steps, words], what comes in."""
    unit = 2.0**-result.format.fraction
    references = score.first("float")
    return tuple(
        Picture(
            pixels=_pixels(words[number], host),
            label=None if score.labels is None else int(score.labels[number]),
            integer=tuple((scores * unit).tolist()),
            reference=tuple(references[number].tolist()) if references else None,
        )
        for number, scores in enumerate(score.first("integer"))
        if scores.size <= MOST_SCORES
    )


def _pixels(words: NDArray[np.int32], host: Samples) -> tuple[tuple[float, ...], ...]:
    """The mean over steps and channels, stretched to 0 … 1; empty if the input is no image."""
    if len(host.shape) < 3 or min(host.shape[-2:]) < 2:
        return ()
    turned = words.mean(axis=0).reshape([host.shape[axis] for axis in host.axes])
    image = turned.transpose(np.argsort(host.axes)).reshape(-1, *host.shape[-2:]).mean(axis=0)
    image = image[:: ceil_div(image.shape[0], MOST_PIXELS), :: ceil_div(image.shape[1], MOST_PIXELS)]
    low, high = image.min(), image.max()
    image = (image - low) / (high - low) if high > low else np.zeros_like(image)
    return tuple(map(tuple, image.round(3).tolist()))
