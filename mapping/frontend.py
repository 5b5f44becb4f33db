"""What a front end is: it opens a model, and lowers it to programs one after the other.

`spikesim.flow` knows no model: it takes an `OpenedModel` or an `OpenedNetwork` and runs what it is given. Another kind
is another front end in `FRONT_ENDS` or `NETWORKS` of `spikesim.flow`, and no edit of anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.hardware import HardwareConfig
from spikesim.program import End, Link, Port, Program
from spikesim.program.compiled import Block, Embedding, Samples
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


class OpenedNetwork(Protocol):
    """An opened network that takes samples of numbers. What it is to be calibrated for comes before all but `summary`.

    A network whose steps depend on each other runs every sample as a sequence; of any other, samples of one step are
    the steps of one sequence.
    """

    @property
    def summary(self) -> ModelSummary:
        """What reports say of it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the numbers that come in at every step; leading axes of length 1 may be left out of samples."""

    @property
    def keeps_state(self) -> bool:
        """Whether steps of a sample depend on each other."""

    def check(self) -> None:
        """Raises, before any work is done, for what the core lacks."""

    def calibrate(self, samples: NDArray[np.float32], hardware: HardwareConfig) -> None:
        """Sets the ranges of activations, and with them the programs: float32[samples, steps, *shape]."""

    def host(self, items: int, steps: int) -> Samples:
        """How its host turns as many items, `steps` of a sample, into words; see `Samples.words`."""

    @property
    def entry(self) -> Port:
        """The port by which words come in."""

    @property
    def links(self) -> tuple[Link, ...]:
        """Of all its programs."""

    @property
    def output(self) -> End:
        """Where a step's result leaves: a score for every class."""

    def lower(self, samples: NDArray[np.float32], stage: Timed) -> Iterator[Lowered]:
        """Programs in order, with references for what runs: float32[samples, steps, *shape].

        References give float32[steps, sequences, words], in the words' order, for the steps of the session.
        """


Opened_co = TypeVar("Opened_co", bound=OpenedModel | OpenedNetwork, covariant=True)


class FrontEnd(Protocol[Opened_co]):
    """Opens one kind of model."""

    name: str

    def accepts(self, path: Path) -> bool:
        """Whether the path looks like a model of this kind."""

    def open(self, path: Path) -> Opened_co:
        """Raises a SpikesimError for a model that cannot be used."""
