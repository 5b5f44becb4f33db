"""Runs the programs of a model one after the other: place, simulate, tally, save."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from spikesim.hardware import HardwareConfig
from spikesim.mapping.place import Placer
from spikesim.program import Program
from spikesim.program.compiled import Block
from spikesim.program.file import save_program
from spikesim.results.report import Raster
from spikesim.rtl.assemble import check_fits
from spikesim.run.account import Tally
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
    """Runs the programs of a session: place, simulate, tally; `folder`, if given, receives them."""

    def __init__(
        self,
        hardware: HardwareConfig,
        session: Session,
        tokens: int,
        stopwatch: Stopwatch,
        folder: Path | None,
    ) -> None:
        self.hardware = hardware
        self.session = session
        self.sequences = session.sequences
        self.placer = Placer(hardware, session.links)
        self.tally = Tally(hardware=hardware, tokens=tokens)
        self.stopwatch = stopwatch
        self.folder = folder

    def run(self, program: Program, block: Block, take: Take | None = None) -> None:
        """The next program; `take` sees the words at its first output."""
        placement = self.placer.place(program)
        self._check_instructions()
        raster = RasterObserver() if self.tally.raster is None and block.layer is not None else None
        with self.stopwatch.stage("simulate"):
            observers = [] if raster is None else [raster]
            simulator = Simulator(program, self.hardware, self.sequences, observers=observers)
            self.session.run(simulator, take)
        self.tally.add(program, simulator, placement, block)
        self.tally.vector_words = self.placer.vector_words
        self.tally.program_words = self.placer.program_words
        if raster is not None and raster.counts is not None and block.layer is not None:
            self.tally.raster = Raster(
                layer=block.layer, kind=block.kind, name="attention input", counts=raster.counts
            )
        if self.folder is not None:
            with self.stopwatch.stage("write"):
                save_program(program, self.folder)

    def _check_instructions(self) -> None:
        """Raises CapacityError if the program just placed does not fit the instruction words of a core."""
        layout = self.placer.layout
        if layout is not None:
            check_fits(self.placer.outlines[-1], layout.programs[-1], layout, ways=self.hardware.array.ways)
