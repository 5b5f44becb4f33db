"""Runs the programs of a model one after the other: place, simulate, tally, save."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from spikesim.golden.frame import Words
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import LOGIT_FRACTION
from spikesim.mapping.place import Placer
from spikesim.program import Program, is_matrix
from spikesim.program.file import save_program
from spikesim.results.report import Raster
from spikesim.rtl.assemble import check_fits
from spikesim.run.account import Tally
from spikesim.run.simulator import Simulator

BLOCK_WORDS = 2**26
"""Vector words that may be alive at once while all sequences run side by side: bounds memory."""

RASTER_TOKENS, RASTER_CHANNELS = 48, 96


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
    """Runs programs for all tokens of all sequences; `folder`, if given, receives the programs."""

    def __init__(
        self, hardware: HardwareConfig, tokens: int, stopwatch: Stopwatch, folder: Path | None
    ) -> None:
        self.hardware = hardware
        self.placer = Placer(hardware)
        self.tally = Tally(hardware=hardware, tokens=tokens)
        self.stopwatch = stopwatch
        self.folder = folder

    def position(self, program: Program, sequences: int, length: int) -> dict[str, Words]:
        """cos and sin of every token: int32[tokens, sequences, words]."""
        angles: dict[str, list[Words]] = {"cos": [], "sin": []}

        def collect(_start: int, vectors: dict[str, Words]) -> None:
            for name, parts in angles.items():
                parts.append(vectors[name])

        # No vector carries tokens into this program; the empty one says how many there are.
        self._run(program, {"tokens": np.zeros((length, sequences, 0), np.int32)}, None, collect)
        return {name: np.concatenate(parts) for name, parts in angles.items()}

    def layer(self, program: Program, words: Words, angles: dict[str, Words], index: int) -> Words:
        """The residual stream after a layer: int32[tokens, sequences, hidden]."""
        out = np.empty_like(words)

        def collect(start: int, vectors: dict[str, Words]) -> None:
            result = vectors[program.text.output]
            out[start : start + result.shape[0]] = result
            if self.tally.raster is None:
                self.tally.raster = _raster(vectors, program, index)

        self._run(program, {"h": words, **angles}, index, collect)
        return out

    def head(self, program: Program, words: Words, take: Callable[[slice, torch.Tensor], None]) -> None:
        """Hands logits to `take` in blocks: rows of the flattened [tokens, sequences], float32[rows, vocab]."""
        sequences = words.shape[1]

        def collect(start: int, vectors: dict[str, Words]) -> None:
            logits = torch.from_numpy(vectors[program.text.output]).flatten(0, 1)
            rows = slice(start * sequences, start * sequences + logits.shape[0])
            take(rows, logits.float().mul_(2.0**-LOGIT_FRACTION))

        self._run(program, {"h": words}, None, collect)

    def _run(
        self,
        program: Program,
        inputs: dict[str, Words],
        index: int | None,
        collect: Callable[[int, dict[str, Words]], None],
    ) -> None:
        """Places and simulates in blocks of tokens; `collect(first token, vectors)` sees every block."""
        placement = self.placer.place(program)
        self._check_instructions()
        tokens, sequences = next(iter(inputs.values())).shape[:2]
        with self.stopwatch.stage("simulate"):
            simulator = Simulator(program, self.hardware, sequences)
            block = max(1, BLOCK_WORDS // (sequences * sum(program.text.vectors.values())))
            for start in range(0, tokens, block):
                part = {name: words[start : start + block] for name, words in inputs.items()}
                collect(start, simulator.run(part))
        self.tally.add(program, simulator, placement, index)
        self.tally.vector_words, self.tally.program_words = (
            self.placer.vector_words,
            self.placer.program_words,
        )
        if self.folder is not None:
            with self.stopwatch.stage("write"):
                save_program(program, self.folder)

    def _check_instructions(self) -> None:
        """Raises CapacityError if the program just placed does not fit the instruction words of a core."""
        layout = self.placer.layout
        if layout is not None:
            check_fits(self.placer.outlines[-1], layout.programs[-1], layout, ways=self.hardware.array.ways)


def _raster(vectors: dict[str, Words], program: Program, index: int) -> Raster | None:
    """The first tokens' counts at the input of a layer's first projection; None if it has none."""
    first = next(filter(is_matrix, program.instructions()), None)
    if first is None:
        return None
    counts = vectors[first.counts.name][:RASTER_TOKENS, 0, first.counts.offset :][:, :RASTER_CHANNELS]
    rows = tuple(tuple(int(count) for count in row) for row in counts)
    return Raster(layer=index, kind=program.text.kind, name="attention input", counts=rows)
