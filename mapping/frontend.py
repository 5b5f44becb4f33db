"""What a front end is: it opens a model, and lowers it to programs one after the other.

`spikesim.flow` knows no model: it takes an `OpenedModel` and runs what it is given. Another kind of model is another
front end in `FRONT_ENDS` of `spikesim.flow`, and no edit of anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.hardware import HardwareConfig
from spikesim.program import End, Link, Program
from spikesim.program.compiled import Block, Embedding
from spikesim.results.report import ModelSummary

Reference = Callable[[slice], torch.Tensor]
"""Steps -> float32[steps, sequences, words]: what the float model has at a program's first output."""

Timed = Callable[[str], Any]
"""A context that is timed under a name."""


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A program, what it is to a reader, and the float model at its first output, if known."""

    program: Program
    block: Block
    reference: Reference | None = None


class OpenedModel(Protocol):
    """An opened model."""

    @property
    def summary(self) -> ModelSummary:
        """What reports say of it."""

    @property
    def host(self) -> Embedding:
        """How its host turns items into words."""

    @property
    def links(self) -> tuple[Link, ...]:
        """Of all its programs."""

    @property
    def output(self) -> End:
        """Where a step's result leaves."""

    def check(self) -> None:
        """Raises, before any work is done, for what the core lacks."""

    def table(self) -> NDArray[Any]:
        """The host's rows of words, int16 or int32[items, words]."""

    def lower(
        self,
        items: NDArray[np.int64],
        examples: NDArray[np.int64] | None,
        hardware: HardwareConfig,
        stage: Timed,
    ) -> Iterator[Lowered]:
        """Programs in order, each made while the float model runs items: int64[sequences, steps] one block further.

        `examples`: sequences that set the ranges of activations; None for the items themselves. Sequences of
        `hardware.limits.max_context` steps must be possible, the context that was asked for.
        """


class FrontEnd(Protocol):
    """Opens one kind of model."""

    name: str

    def accepts(self, path: Path) -> bool:
        """Whether the path looks like a model of this kind."""

    def open(self, path: Path) -> OpenedModel:
        """Raises a SpikesimError for a model that cannot be used."""
