"""The front end of DSSA language models: checkpoints in, programs out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.checkpoint import Checkpoint, open_checkpoint
from spikesim.mapping.dssa.compile import (
    check_mappable,
    compile_head,
    compile_layer,
    compile_position,
    embed,
    links,
)
from spikesim.mapping.dssa.model import DSSALayer
from spikesim.mapping.dssa.norm import RMSNorm
from spikesim.mapping.dssa.stream import stream_fraction
from spikesim.mapping.frontend import Lowered, Reference, Timed
from spikesim.mapping.ranges import RangeRecorder
from spikesim.program import ACTIVATION_LIMIT, End, Link, Program
from spikesim.program.compiled import Block, Embedding
from spikesim.results.report import ModelSummary
from spikesim.support.shown import unicode_name

_FLOAT_TOKENS = 2**13
"""Tokens that run through a float layer, or rows of the embedding that are rounded, at once."""


class DSSAFrontEnd:
    """Reads whatever `open_checkpoint` does."""

    name = "DSSA language model"

    def accepts(self, path: Path) -> bool:
        """Anything: it is the oldest front end, whose errors say what a model must be."""
        return True

    def open(self, path: Path) -> OpenedDSSA:
        """Raises CheckpointError or ConfigError."""
        return OpenedDSSA(path, open_checkpoint(path))


class OpenedDSSA:
    """A DSSA model, read block by block."""

    def __init__(self, path: Path, checkpoint: Checkpoint) -> None:
        self.path = path
        self.checkpoint = checkpoint
        self.config = checkpoint.config

    @cached_property
    def summary(self) -> ModelSummary:
        """What reports say of it."""
        config, resolved = self.config, self.path.resolve()
        kinds = config.layer_kinds
        directory = resolved.is_dir() and (resolved / "config.json").is_file()
        shapes = map(self.checkpoint.shape, self.checkpoint.names())
        return ModelSummary(
            name=unicode_name(
                resolved.name if resolved.is_dir() else f"{resolved.parent.name}/{resolved.name}"
            ),
            path=unicode_name(self.path),
            source="directory of safetensors" if directory else "PyTorch checkpoint",
            parameters=sum(map(math.prod, shapes)),
            layers={kind: kinds.count(kind) for kind in ("moba", "sse", "full") if kind in kinds},
            layer_kinds=kinds,
            hidden_size=config.hidden_size,
            vocab_size=config.vocab_size,
        )

    @property
    def host(self) -> Embedding:
        """The host looks the embedding up; scores are logits."""
        return Embedding(items=self.config.vocab_size)

    @property
    def links(self) -> tuple[Link, ...]:
        """Every layer takes the stream of the one before and the angles; the head takes the last stream."""
        return links(self.config)

    @property
    def output(self) -> End:
        """The logits."""
        return End(program="head", port="logits")

    @cached_property
    def stream(self) -> int:
        """Binary point of the residual stream where it begins."""
        return stream_fraction(self._embedding())

    def check(self) -> None:
        """Raises ConfigError."""
        check_mappable(self.config)

    def table(self) -> NDArray[Any]:
        """int[vocab, hidden] in the narrowest type that holds it, rounded block by block."""
        stream = self.stream  # first: it reads the embedding too, which need not be there twice
        embedding = self._embedding()
        largest = max(float(embedding.max()), -float(embedding.min())) * 2.0**stream
        kind = np.int16 if largest < ACTIVATION_LIMIT else np.int32
        table = np.empty((embedding.shape[0], embedding.shape[1]), kind)
        for first in range(0, len(table), _FLOAT_TOKENS):
            ids = np.arange(first, min(first + _FLOAT_TOKENS, len(table)))
            table[first : first + ids.size] = embed(embedding, ids, stream)
        return table

    def lower(
        self,
        items: NDArray[np.int64],
        examples: NDArray[np.int64] | None,
        hardware: HardwareConfig,
        stage: Timed,
    ) -> Iterator[Lowered]:
        """Position, layers, head; each layer is read, run in float and forgotten again."""
        config, stream = self.config, self.stream
        with stage("load"):
            embedding = self._embedding()
            h = torch.nn.functional.embedding(torch.from_numpy(items), embedding)
            # Without examples of its own, calibration watches the evaluated tokens as they pass.
            h_examples = None if examples is None else embedding[torch.from_numpy(examples)]
            del embedding
        yield self._lowered(compile_position(config), "position", None, None)
        for index, kind in enumerate(config.layer_kinds):
            with stage("load"):
                tensors = self.checkpoint.layer_tensors(index)
                layer = DSSALayer.from_tensors(config, index, tensors)
            with stage("calibrate"):
                ranges = RangeRecorder(config.moba_chunk_size if kind == "moba" else 0)
                if h_examples is not None:
                    h_examples = _run_float(layer, h_examples, ranges)
                h = _run_float(layer, h, ranges if h_examples is None else None)
            with stage("quantise"):
                program = compile_layer(config, index, tensors, ranges, hardware, stream)
                del tensors, layer
                stream = program.text.outputs[0].format.fraction
            yield self._lowered(program, kind, index, h.transpose(0, 1).__getitem__)
        with stage("load"):
            norm = RMSNorm(config.hidden_size, config.norm_eps)
            norm.weight.copy_(self.checkpoint.tensor("model.norm.weight"))
            tied = config.tie_word_embeddings
            weight = self.checkpoint.tensor("model.embeddings.weight" if tied else "lm_head.weight")
        with stage("quantise"):
            program = compile_head(config, weight, norm.weight, hardware, stream)
        last = h.transpose(0, 1)
        yield self._lowered(program, "head", None, lambda steps: norm(last[steps]) @ weight.T)

    def _lowered(
        self, program: Program, kind: str, layer: int | None, reference: Reference | None
    ) -> Lowered:
        name = program.text.name
        return Lowered(
            program=program,
            block=Block(program=name, kind=kind, layer=layer),
            reference=reference,
        )

    def _embedding(self) -> torch.Tensor:
        return self.checkpoint.tensor("model.embeddings.weight")


def _run_float(layer: DSSALayer, h: torch.Tensor, ranges: RangeRecorder | None) -> torch.Tensor:
    """One float layer on h: float32[sequences, tokens, hidden], some sequences at a time."""
    positions = torch.arange(h.shape[1])
    parts = torch.split(h, max(1, _FLOAT_TOKENS // h.shape[1]))
    return torch.cat([layer(part, positions, tap=ranges) for part in parts])
