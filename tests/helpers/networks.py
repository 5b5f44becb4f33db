"""Two small networks that take samples, and the front end that opens them: what comes after a reader, without one.

Both have exact float models: weights are whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.hardware import HardwareConfig
from spikesim.mapping.frontend import Lowered, Timed
from spikesim.program import (
    Add,
    End,
    Format,
    Gather,
    Instruction,
    Link,
    Lookup,
    Multiply,
    Port,
    Program,
    ProgramText,
    Requires,
    Section,
    View,
)
from spikesim.program.compiled import Block, Samples
from spikesim.results.report import ModelSummary

SHAPE, AXES, WORDS = (1, 2, 3, 3), (0, 2, 3, 1), 18
HIDDEN, CLASSES, THRESHOLD = 12, 5, 2.0
_ENTRY = Port(name="x", format=Format(fraction=5, bits=8), shape=(WORDS,))


def whole(name: str, words: int) -> View:
    return View(name=name, length=words, stride=words)


class SmallNetwork:
    """h = W x, scores = V h; or with state v ← v / 2 + W x, spikes = v > 2, scores = V spikes at every step."""

    links = (
        Link(to=End(program="layer_00", port="x")),
        Link(to=End(program="layer_01", port="h"), source=End(program="layer_00", port="h")),
    )
    output = End(program="layer_01", port="scores")
    entry = _ENTRY
    shape = SHAPE

    def __init__(self, path: Path, *, keeps_state: bool) -> None:
        generator = np.random.default_rng(7)
        self.first = generator.integers(-4, 5, (HIDDEN, WORDS)).astype(np.int8)
        self.second = generator.integers(-4, 5, (CLASSES, HIDDEN)).astype(np.int8)
        self.keeps_state = keeps_state
        self.calibrated: NDArray[np.float32] | None = None
        self.summary = ModelSummary(
            name=path.name,
            path=str(path),
            source="made up for a test",
            parameters=self.first.size + self.second.size,
            layers={"linear": 2},
            layer_kinds=("linear", "linear"),
            item="step" if keeps_state else "frame",
            input_shape=SHAPE,
            classes=CLASSES,
        )

    def calibrate(self, samples: NDArray[np.float32], hardware: HardwareConfig) -> None:
        self.calibrated = samples

    def check(self) -> None:
        """The core lacks nothing."""

    def host(self, items: int, steps: int) -> Samples:
        return Samples(items=items, shape=SHAPE, axes=AXES, steps=steps)

    def scores(self, samples: NDArray[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
        """float32[samples, steps, …]: what leaves both layers, by definition."""
        x = torch.from_numpy(samples).permute(0, 1, 2, 4, 5, 3).flatten(2)
        current = x @ torch.from_numpy(self.first).float().T
        if self.keeps_state:
            v, spikes = torch.zeros_like(current[:, 0]), []
            for step in range(current.shape[1]):
                v = v / 2 + current[:, step]
                spikes.append((v > THRESHOLD).float())
            current = torch.stack(spikes, 1)
        return current, current @ torch.from_numpy(self.second).float().T

    def lower(self, samples: NDArray[np.float32], stage: Timed) -> Iterator[Lowered]:
        found = self.scores(samples)
        # Sequences are samples with state, steps are samples without.
        h, scores = (each.transpose(0, 1) if self.keeps_state else each for each in found)
        for number, (program, known) in enumerate(((self._first(), h), (self._second(), scores))):
            block = Block(program=program.text.name, kind="linear", layer=number)
            yield Lowered(program=program, block=block, reference=lambda steps, known=known: known[steps])

    def _first(self) -> Program:
        body: tuple[Instruction, ...] = (
            Multiply(dst=whole("counts", WORDS), a=whole("x", WORDS), limit=127),
            Gather(
                dst=whole("sums", HIDDEN), counts=whole("counts", WORDS), operand="matrix", name="weights"
            ),
        )
        if not self.keeps_state:
            last = Multiply(dst=whole("h", HIDDEN), a=whole("sums", HIDDEN), shift=2, limit=2**15)
            return _program("layer_00", WORDS, HIDDEN, 3, (*body, last), self.first)
        membrane: tuple[Instruction, ...] = (
            Multiply(dst=whole("half", HIDDEN), a=whole("v", HIDDEN), shift=1, limit=2**20),
            Add(dst=whole("v", HIDDEN), a=whole("half", HIDDEN), b=whole("sums", HIDDEN), limit=2**20),
            Add(dst=whole("over", HIDDEN), a=whole("v", HIDDEN), b=whole("threshold", HIDDEN), subtract=True),
            Lookup(dst=whole("h", HIDDEN), a=whole("over", HIDDEN), function="step", fraction=0),
        )
        return _program("layer_00", WORDS, HIDDEN, 0, body, self.first, membrane)

    def _second(self) -> Program:
        shift, fraction = (0, 0) if self.keeps_state else (1, 2)
        body: tuple[Instruction, ...] = (
            Multiply(dst=whole("counts", HIDDEN), a=whole("h", HIDDEN), shift=shift, limit=127),
            Gather(
                dst=whole("sums", CLASSES), counts=whole("counts", HIDDEN), operand="matrix", name="weights"
            ),
            Multiply(dst=whole("scores", CLASSES), a=whole("sums", CLASSES), limit=2**20),
        )
        return _program("layer_01", HIDDEN, CLASSES, fraction, body, self.second)


def _program(
    name: str,
    inputs: int,
    outputs: int,
    fraction: int,
    body: tuple[Instruction, ...],
    weights: NDArray[np.int8],
    membrane: tuple[Instruction, ...] = (),
) -> Program:
    """A layer of either network; `fraction`: of what leaves."""
    first = name == "layer_00"
    source, result = ("x", "h") if first else ("h", "scores")
    vectors = {source: inputs, "counts": inputs, "sums": outputs, result: outputs}
    entry = _ENTRY
    if not first:
        own = Format(fraction=3) if fraction else Format(fraction=0)
        entry = Port(name="h", format=own, shape=(inputs,))
    sections = [Section(kind="parallel", instructions=body)]
    if membrane:
        vectors |= dict.fromkeys(("half", "v", "over", "threshold"), outputs)
        sections.append(Section(kind="recurrent", instructions=membrane))
    text = ProgramText(
        name=name,
        inputs=(entry,),
        outputs=(Port(name=result, format=Format(fraction=fraction), shape=(outputs,)),),
        vectors=vectors,
        persistent=("v",) if membrane else (),
        requires=Requires(accumulator_bits=20),
        sections=tuple(sections),
    )
    threshold = np.full(outputs, round(THRESHOLD * 2**_ENTRY.format.fraction), np.int32)
    constants = {"threshold": threshold} if membrane else {}
    return Program(text=text, constants=constants, matrices={"weights": weights})


class SmallFrontEnd:
    """Opens `*.frames` as the one without state and `*.steps` as the one with it."""

    name = "small"

    def __init__(self) -> None:
        self.opened: SmallNetwork | None = None

    def accepts(self, path: Path) -> bool:
        return path.suffix in (".frames", ".steps")

    def open(self, path: Path) -> SmallNetwork:
        self.opened = SmallNetwork(path, keeps_state=path.suffix == ".steps")
        return self.opened
