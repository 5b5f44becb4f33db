"""Runs the programs of a model one after the other: place, simulate, tally, save."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from spikesim.golden.frame import Words
from spikesim.golden.machine import Observer
from spikesim.hardware import HardwareConfig
from spikesim.mapping.place import Placer, ProgramPlacement
from spikesim.program import Program
from spikesim.program.compiled import Block
from spikesim.program.file import save_program
from spikesim.results.report import Item, Raster
from spikesim.rtl.assemble import check_fits
from spikesim.run.account import Tally
from spikesim.run.activity import ActivityTally
from spikesim.run.observers import RasterObserver
from spikesim.run.session import Session, Take
from spikesim.run.simulator import Simulator


@dataclass(kw_only=True)
class Stopwatch:
    """Wall-clock seconds per stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to stage `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class Runner:
    """Runs the programs of a session: place, simulate, tally; `folder`, if given, receives them.

    `cached`: tokens that a sequence is supposed to have behind it already. Words go from program to program as if there
    were none, from empty caches on; but costs and spikes of a program that attends are those of a second run of the
    same inputs, which come after so many others: keys and values of the first run, repeated. What follows from
    positions is exact, and so is all of the dense twin; which weights are 0 is that of the repeated keys.

    `item`: what is counted as a token; `activity`: of a network, takes what its spikes do.
    """

    def __init__(
        self,
        hardware: HardwareConfig,
        session: Session,
        tokens: int,
        stopwatch: Stopwatch,
        folder: Path | None,
        cached: int = 0,
        *,
        item: Item = "token",
        activity: ActivityTally | None = None,
    ) -> None:
        self.hardware = hardware
        self.session = session
        self.sequences = session.sequences
        self.placer = Placer(hardware, session.links)
        self.tally = Tally(hardware=hardware, tokens=tokens, item=item)
        self.stopwatch = stopwatch
        self.folder = folder
        self.cached = cached
        self.activity = activity

    def run(self, program: Program, block: Block, take: Take | None = None) -> None:
        """The next program; `take` sees the words at its first output."""
        placement = self.placer.place(program)
        self._check_instructions()
        raster = None
        if self.activity is None and self.tally.raster is None and block.layer is not None:
            raster = RasterObserver()
        seen = None if self.activity is None else self.activity.watch(program)
        with self.stopwatch.stage("simulate"):
            observers: list[Observer] = [each for each in (raster, seen) if each is not None]
            simulator = Simulator(program, self.hardware, self.sequences, observers=observers)
            inputs = self.session.inputs(program) if self.cached and program.text.caches else None
            self.session.run(simulator, take)
            if inputs is not None:
                simulator = self._after_others(simulator, inputs)
        self.tally.add(program, simulator, placement, block)
        if self.activity is not None and seen is not None:
            self.activity.add(program, simulator, seen, block)
        if raster is not None and raster.counts is not None and block.layer is not None:
            self.tally.raster = Raster(
                layer=block.layer, kind=block.kind, name="attention input", counts=raster.counts
            )
        if self.folder is not None:
            with self.stopwatch.stage("write"):
                save_program(program, self.folder)

    @property
    def context(self) -> int:
        """The longest sequence that the programs so far are for; the limit of the hardware if they do not say."""
        steps = [outline.text.requires.steps for outline in self.placer.outlines]
        return min((n for n in steps if n is not None), default=self.hardware.limits.max_context)

    def finished(self) -> list[ProgramPlacement]:
        """All placements, which the tally goes by from now on: what stays on chip depends on all programs."""
        self.tally.settled(self.placer)
        return [tally.placement for tally in self.tally.programs]

    def _after_others(self, first: Simulator, inputs: Mapping[str, Words]) -> Simulator:
        """The same run again with `cached` tokens before it."""
        again = Simulator(first.program, self.hardware, self.sequences)
        again.machine.continue_from(first.machine, self.cached)
        for steps in self.session.blocks(first.program):
            again.run({name: words[steps] for name, words in inputs.items()})
        return again

    def _check_instructions(self) -> None:
        """Raises CapacityError if the program just placed does not fit the instruction words of a core."""
        layout = self.placer.layout
        if layout is not None:
            check_fits(
                self.placer.outlines[-1],
                layout.programs[-1],
                layout,
                ways=self.hardware.array.ways,
                words=self.hardware.pointwise.words,
            )
