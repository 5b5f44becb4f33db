"""How far the integer model is from the float model: cross entropy, classes, cosine; added up in a stream."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.golden.frame import Words
from spikesim.results.report import Fidelity, FloatInteger, LayerCosine


@dataclass(kw_only=True)
class Score:
    """Sums over predicted tokens; logits come in blocks, so that no whole logit matrix need exist."""

    tokens: int = 0
    float_nats: float = 0.0
    integer_nats: float = 0.0
    differences: float = 0.0
    squares: float = 0.0
    agreed: int = 0
    compared: int = 0

    def add(self, reference: torch.Tensor | None, integer: torch.Tensor, targets: torch.Tensor) -> None:
        """reference, integer: float[rows, vocab] logits, targets: int64[rows], −1 where there is nothing to predict."""
        known = targets >= 0
        chosen = targets.clamp(min=0)[:, None]
        self.tokens += int(known.sum())
        nats = _nats(integer, chosen)[known]
        self.integer_nats += float(nats.sum())
        if reference is not None:
            expected = _nats(reference, chosen)[known]
            self.float_nats += float(expected.sum())
            self.differences += float((nats - expected).sum())
            self.squares += float((nats - expected).square().sum())
            self.agreed += int((reference.argmax(-1) == integer.argmax(-1)).sum())
            self.compared += reference.shape[0]

    def fidelity(self, *, is_bytes: bool) -> Fidelity:
        """The figures of the report, without layer cosines."""
        if not self.tokens:
            return Fidelity()
        integer = self.integer_nats / self.tokens
        reference = self.float_nats / self.tokens if self.compared else None
        bits = FloatInteger(
            float_model=None if reference is None else reference / math.log(2),
            integer_model=integer / math.log(2),
        )
        perplexity = FloatInteger(
            float_model=None if reference is None else math.exp(min(reference, 700)),
            integer_model=math.exp(min(integer, 700)),
        )
        return Fidelity(
            scored_tokens=self.tokens,
            bits_per_byte=bits if is_bytes else None,
            perplexity=perplexity,
            increase_percent=None if not reference else 100 * (integer / reference - 1),
            increase_error_percent=None if not reference else self._error_percent(reference),
            compared_tokens=self.compared,
            top1_agreement=self.agreed / self.compared if self.compared else None,
        )

    def _error_percent(self, reference: float) -> float | None:
        """Standard error of the mean difference of a token's cross entropies, in percent of the mean `reference`."""
        if self.tokens < 2:
            return None
        mean = self.differences / self.tokens
        variance = max(self.squares / self.tokens - mean**2, 0.0)
        return 100 * math.sqrt(variance / (self.tokens - 1)) / reference


def _nats(logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """float64[rows]: the cross entropy of every row."""
    return -torch.log_softmax(logits.double(), -1).gather(-1, chosen)[:, 0]


FIRST_SAMPLES = 6
"""Samples whose scores a report shows one by one."""


class ClassScore:
    """The class of every sample: that of the largest score, of equal ones the first.

    `steps`, `sequences`: of the run. With `adds_steps` a sequence is a sample, and the scores of its steps are added
    up; else every step is one. `labels`: int64[samples], the classes, if known.
    """

    def __init__(
        self, steps: int, sequences: int, *, adds_steps: bool, labels: NDArray[np.int64] | None
    ) -> None:
        self.labels, self.adds_steps = labels, adds_steps
        self._sums: dict[str, NDArray[Any]] = {}
        self._first: dict[str, list[NDArray[Any]]] = {}
        self._classes: dict[str, NDArray[np.int64]] = {}
        self._samples = sequences if adds_steps else steps * sequences
        self._sequences = sequences

    def add(self, steps: slice, reference: torch.Tensor | None, words: Words) -> None:
        """reference: float32[steps, sequences, classes], words: int32[steps, sequences, classes], of some steps."""
        self._add("integer", steps, words, np.dtype(np.int64))
        if reference is not None:
            self._add("float", steps, reference.numpy(), np.dtype(np.float64))

    def _add(self, model: str, steps: slice, scores: NDArray[Any], kind: np.dtype[Any]) -> None:
        if not self.adds_steps and steps.start * self._sequences < FIRST_SAMPLES:
            known = self._first.setdefault(model, [])
            known.extend(scores.reshape(-1, scores.shape[-1])[: FIRST_SAMPLES - len(known)].astype(kind))
        if scores.shape[-1] < 2:
            return  # one score is no choice
        if self.adds_steps:
            self._sums[model] = self._sums.get(model, 0) + scores.sum(axis=0, dtype=kind)
        else:
            classes = self._classes.setdefault(model, np.zeros(self._samples, np.int64))
            first = steps.start * self._sequences
            found = scores.argmax(-1).reshape(-1)
            classes[first : first + found.size] = found

    def first(self, model: str) -> list[NDArray[Any]]:
        """The scores of the first samples, of the "integer" model in words; empty for a model that did not run."""
        if self.adds_steps:
            return list(self._sums.get(model, np.empty(0))[:FIRST_SAMPLES])
        return self._first.get(model, [])

    def classes(self, model: str) -> NDArray[np.int64] | None:
        """int64[samples] that the "integer" or the "float" model finds; None for one that did not run."""
        if self.adds_steps and model in self._sums:
            return np.asarray(self._sums[model].argmax(-1), np.int64)
        return self._classes.get(model)

    def fidelity(self) -> Fidelity:
        """The figures of the report, without layer cosines."""
        mine, reference = self.classes("integer"), self.classes("float")
        if mine is None:
            return Fidelity()
        accuracy = None
        if self.labels is not None:
            accuracy = FloatInteger(
                float_model=None if reference is None else float((reference == self.labels).mean()),
                integer_model=float((mine == self.labels).mean()),
            )
        return Fidelity(
            accuracy=accuracy,
            labelled_samples=0 if self.labels is None else self.labels.size,
            compared_samples=0 if reference is None else mine.size,
            class_agreement=None if reference is None else float((mine == reference).mean()),
        )


class Cosines:
    """Collects the cosine between every vector of the float model and the integer model's; two of zeros are alike."""

    def __init__(self) -> None:
        self._parts: list[torch.Tensor] = []

    def add(self, reference: torch.Tensor, integer: torch.Tensor) -> None:
        """reference, integer: float[steps, sequences, words], of some steps."""
        each = torch.nn.functional.cosine_similarity(reference.double(), integer.double(), dim=-1)
        silent = ~(reference.any(-1) | integer.any(-1))
        self._parts.append(torch.where(silent, 1.0, each))

    def layer(self, index: int, kind: str) -> LayerCosine:
        """Mean and minimum over all that was added."""
        each = torch.cat(self._parts).T.contiguous()
        return LayerCosine(layer=index, kind=kind, cosine=float(each.mean()), minimum=float(each.min()))
