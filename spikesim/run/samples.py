"""What a network runs: samples of numbers, of a file or random ones; how they become steps, and the words of these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import TokenError
from spikesim.program.compiled import Samples
from spikesim.program.ports import Port
from spikesim.run.sample_files import SampleArrays, sample_file
from spikesim.run.tokens import InputRequest, Origin, Tokens

DEFAULT_RANDOM_SAMPLES = 16
RANDOM_STEPS = 8
RANDOM_RATE = 0.1
"""Samples that are drawn for want of any; of a network with state, steps of each and spikes of a number per step."""

_BLOCK_NUMBERS = 2**22
"""Numbers that become words at a time: bounds memory."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What samples a network takes: numbers of `shape` at every step; `classes`: scores that leave, if known."""

    shape: tuple[int, ...]
    keeps_state: bool
    classes: int | None = None

    @property
    def core(self) -> tuple[int, ...]:
        """The shape without axes of length 1 at its front, which samples may leave out."""
        ones = next((n for n, size in enumerate(self.shape) if size != 1), len(self.shape))
        return self.shape[ones:]


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleSet:
    """`numbers`: float32[samples, steps, *shape]; `labels`: int64[samples], their classes, if known.

    `name`: of the file; `seed`: of random numbers, None if nothing was drawn.
    """

    numbers: NDArray[np.float32]
    labels: NDArray[np.int64] | None = None
    name: str = ""
    seed: int | None = None

    @property
    def items(self) -> int:
        """Steps of all samples."""
        return prod(self.numbers.shape[:2])

    def tokens(self, host: Samples, port: Port, *, keeps_state: bool) -> tuple[Tokens, NDArray[np.int32]]:
        """What runs: a sequence for each sample, or without state one sequence, a step for each.

        With int32[rows, words], the words of every step."""
        ids = np.arange(self.items).reshape(self.numbers.shape[:2] if keeps_state else (1, -1))
        table = np.empty((self.items, port.words), np.int32)
        beyond = 0
        for rows, numbers in self._blocks():
            table[rows] = host.words(numbers, port)
            beyond += host.beyond(numbers, port)
        origin = Origin(
            kind="samples" if self.seed is None else "random samples",
            name=self.name,
            seed=self.seed,
            is_rows=keeps_state,
            samples=len(self.numbers),
            saturated=beyond,
        )
        return Tokens(ids=ids, origin=origin, labels=self.labels), table

    def _blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        flat = self.numbers.reshape(self.items, *self.numbers.shape[2:])
        block = max(1, _BLOCK_NUMBERS // prod(flat.shape[1:]))
        return ((slice(at, at + block), flat[at : at + block]) for at in range(0, self.items, block))


def samples_to_run(request: InputRequest, taken: Taken) -> SampleSet:
    """The samples that a request names, as many as it allows; without any, random ones.

    Raises TokenError for samples that the network does not take.
    """
    if request.samples is None:
        return random_samples(taken, request.max_samples or DEFAULT_RANDOM_SAMPLES, request.seed)
    return read_samples(request.samples, taken, request.max_samples)


def random_samples(taken: Taken, count: int, seed: int) -> SampleSet:
    """Numbers of 0 … 1, or for a network with state spikes, for want of samples."""
    generator = np.random.default_rng(seed)
    if taken.keeps_state:
        shape = (count, RANDOM_STEPS, *taken.shape)
        numbers = (generator.random(shape, np.float32) < RANDOM_RATE).astype(np.float32)
    else:
        numbers = generator.random((count, 1, *taken.shape), np.float32)
    return SampleSet(numbers=numbers, seed=seed)


def read_samples(given: Path | SampleArrays, taken: Taken, limit: int | None = None) -> SampleSet:
    """The first `limit` samples of a file or of arrays, all of them if None.

    Raises TokenError for samples that the network does not take, or labels that do not go with them.
    """
    arrays = sample_file(given) if isinstance(given, Path) else given
    labels = None if arrays.y is None else _labels(arrays, arrays.y, taken)
    steps = _steps(arrays, taken)
    whole = arrays.x[:limit].reshape(-1, steps, *taken.shape)
    with np.errstate(over="ignore"):  # which is found below
        whole = np.ascontiguousarray(whole, np.float32)
    if not np.isfinite(whole).all():
        raise TokenError(f"x{arrays.where} must be finite numbers that float32 holds, not NaN or infinite")
    return SampleSet(numbers=whole, labels=None if labels is None else labels[:limit], name=arrays.name)


def _steps(arrays: SampleArrays, taken: Taken) -> int:
    """Steps of each sample."""
    shape, core = arrays.x.shape, taken.core
    at = len(shape) - len(core)
    middle = list(shape[1:at])
    for _ in range(len(taken.shape) - len(core)):
        if middle and middle[-1] == 1:
            middle.pop()
    if at < 1 or shape[at:] != core or len(middle) > 1:
        axes = ["samples", *(["steps"] if taken.keeps_state else []), *map(str, taken.shape)]
        raise TokenError(f"x{arrays.where} must have the shape [{', '.join(axes)}], not {list(shape)}")
    if 0 in shape:
        raise TokenError(f"x{arrays.where} must hold at least one sample, not be of shape {list(shape)}")
    steps_each = middle[0] if middle else 1
    if steps_each > 1 and not taken.keeps_state:
        raise TokenError(
            f"x{arrays.where} must have one step a sample, not {steps_each} (shape {list(shape)}): "
            "the network keeps no state from step to step"
        )
    return steps_each


def _labels(arrays: SampleArrays, labels: NDArray[Any], taken: Taken) -> NDArray[np.int64]:
    """int64[samples]"""
    if labels.shape != arrays.x.shape[:1]:
        raise TokenError(
            f"y{arrays.where} must be a class for each of the samples, {list(arrays.x.shape[:1])}, "
            f"not of shape {list(labels.shape)}"
        )
    if taken.classes is not None:
        wrong = labels[(labels < 0) | (labels >= taken.classes)]
        if wrong.size:
            raise TokenError(f"y{arrays.where} must be classes in 0 … {taken.classes - 1}, not {wrong[0]}")
    return labels.astype(np.int64)
