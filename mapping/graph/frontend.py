"""The front end of other networks: model files in, programs out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.errors import GraphError
from spikesim.hardware import HardwareConfig
from spikesim.mapping.frontend import Lowered, OpenedNetwork, Timed
from spikesim.mapping.graph import nodes
from spikesim.mapping.graph.calibrate import peaks
from spikesim.mapping.graph.formats import Formats
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.lower import lower_segment, port
from spikesim.mapping.graph.reference import Walk
from spikesim.mapping.graph.segments import Segment, folded, pruned, segments
from spikesim.mapping.graph.tensor import Tensor, channels_last, row_major
from spikesim.mapping.ranges import fraction_for
from spikesim.program import ACTIVATION_LIMIT, COUNT_LIMIT, End, Link, Port, Program
from spikesim.program.compiled import Block, Samples
from spikesim.results.report import ModelSummary
from spikesim.support.shown import unicode_name

SUFFIXES = {".pt2": "torch.export", ".nir": "NIR"}


def read_graph(path: Path) -> Graph:
    """The network of a file, by its suffix. Raises GraphError."""
    if path.suffix == ".nir":
        from spikesim.mapping.graph.nir_reader import read_nir

        return read_nir(path)
    from spikesim.mapping.graph.torch_export import open_exported

    return open_exported(path)


class GraphFrontEnd:
    """Reads what `torch.export.save` and the tools of NIR write."""

    name = "network"

    def accepts(self, path: Path) -> bool:
        """By its suffix."""
        return path.suffix in SUFFIXES

    def open(self, path: Path) -> OpenedNetwork:
        """Raises GraphError."""
        return OpenedGraph(read_graph(path), path, SUFFIXES[path.suffix])


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A segment's program, and where its last tensor lies."""

    segment: Segment
    program: Program
    tensor: Tensor


class OpenedGraph:
    """A graph, lowered once it is calibrated."""

    def __init__(self, graph: Graph, path: Path, source: str) -> None:
        self.source_graph = graph
        self.graph = folded(pruned(graph.plainly_named()))
        self.path, self.source = path, source
        self.segments = segments(self.graph)
        self._pieces: list[Piece] = []
        self._links: list[Link] = []
        self._input: Tensor | None = None
        self.tensors: dict[str, Tensor] = {}
        self.formats: Formats | None = None

    @cached_property
    def summary(self) -> ModelSummary:
        """What reports say of it."""
        kinds = tuple(segment.kind for segment in self.segments)
        arrays = [array for node in self.graph.nodes for array in vars(node).values() if _is_float(array)]
        result = self.graph.shapes[self.graph.output]
        return ModelSummary(
            name=unicode_name(self.path.name),
            path=unicode_name(self.path),
            source=self.source,
            parameters=sum(array.size for array in arrays),
            layers={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
            layer_kinds=kinds,
            item="step" if self.keeps_state else "frame",
            input_shape=self.shape,
            classes=int(np.prod(result)),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the numbers that come in at every step."""
        return self.graph.input.shape

    @property
    def keeps_state(self) -> bool:
        """Whether steps depend on each other."""
        return self.graph.keeps_state

    def check(self) -> None:
        """Nodes were checked when they were read; a network without any is none."""
        if not self.segments:
            raise GraphError("a network must compute something, not hand its input on")

    def calibrate(self, samples: NDArray[np.float32], hardware: HardwareConfig) -> None:
        """Ranges from float32[samples, steps, *shape], and with them all programs."""
        known = peaks(self.graph, self.segments, samples)
        self.formats = Formats(graph=self.graph, peaks=known)
        self._input = self._entering(samples, known[self.graph.input.name])
        self.tensors = tensors = {self.graph.input.name: self._input}
        home: dict[str, str] = {}
        self._pieces, self._links = [], []
        for number, segment in enumerate(self.segments):
            name = f"{number:02}_{segment.last.name}"[:200]
            program, tensor = lower_segment(name, segment, self.graph, tensors, self.formats, hardware)
            for given in program.text.inputs:
                source = None
                if given.name != self.graph.input.name:
                    source = End(program=home[given.name], port=given.name)
                self._links.append(Link(to=End(program=name, port=given.name), source=source))
            home |= dict.fromkeys(program.text.output_names, name)
            self._pieces.append(Piece(segment=segment, program=program, tensor=tensor))

    def _entering(self, samples: NDArray[np.float32], peak: float) -> Tensor:
        """Small integers come in as spikes, anything else as activations; images channels last."""
        shape = self.shape
        axes = next(
            (len(node.kernel) for node in self.graph.nodes if isinstance(node, nodes.Conv | nodes.Pool)), 0
        )
        order = row_major(shape)
        if axes and len(shape) > axes:
            order = channels_last(shape, axes)
        words = order.size
        if peak <= COUNT_LIMIT and (samples == np.rint(samples)).all() and peak > 0:
            return Tensor(
                vector=self.graph.input.name, words=words, order=order, fraction=0, limit=_bits_limit(peak)
            )
        fraction = fraction_for(peak, ACTIVATION_LIMIT, 1.0)
        return Tensor(
            vector=self.graph.input.name, words=words, order=order, fraction=fraction, limit=ACTIVATION_LIMIT
        )

    def host(self, items: int, steps: int) -> Samples:
        """How its host turns items into words."""
        shape = self.shape
        axes = tuple(range(len(shape)))
        if not np.array_equal(self._known_input.order, row_major(shape)):
            spatial = next(len(n.kernel) for n in self.graph.nodes if isinstance(n, nodes.Conv | nodes.Pool))
            channel = len(shape) - spatial - 1
            axes = (*range(channel), *range(channel + 1, len(shape)), channel)
        return Samples(items=items, shape=shape, axes=axes, steps=steps)

    @property
    def entry(self) -> Port:
        """The port by which words come in."""
        return port(self._known_input)

    @property
    def _known_input(self) -> Tensor:
        if self._input is None:
            raise GraphError("a network must be calibrated before it is run")
        return self._input

    @property
    def links(self) -> tuple[Link, ...]:
        """Of all its programs."""
        return tuple(self._links)

    @property
    def programs(self) -> tuple[Program, ...]:
        """In order."""
        return tuple(piece.program for piece in self._pieces)

    @property
    def output(self) -> End:
        """Where the scores leave."""
        last = self._pieces[-1].program.text
        return End(program=last.name, port=last.outputs[0].name)

    def lower(self, samples: NDArray[np.float32], stage: Timed) -> Iterator[Lowered]:
        """Programs in order, while the float model runs float32[samples, steps, *shape] a segment further."""
        walk = Walk(self.graph, samples)
        for number, piece in enumerate(self._pieces):
            with stage("reference"):
                is_last = piece is self._pieces[-1]
                name = self.graph.output if is_last else piece.segment.last.name
                found = walk.advance(piece.segment.nodes, wanted=name)
                value = found.get(name, walk.live.get(name))
                words = None if value is None else self._in_memory(piece.tensor, value)
            block = Block(program=piece.program.text.name, kind=piece.segment.kind, layer=number)
            yield Lowered(
                program=piece.program,
                block=block,
                reference=None if words is None else lambda steps, words=words: words[steps],  # type: ignore[misc]
            )

    def _in_memory(self, tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        """float32[steps, samples, *shape] -> float32[steps, sequences, words] as the tensor's words lie."""
        steps, samples = value.shape[:2]
        words = torch.zeros(steps, samples, tensor.words)
        words[:, :, torch.from_numpy(tensor.order.reshape(-1))] = value.reshape(steps, samples, -1)
        return words if self.keeps_state else words.transpose(0, 1).reshape(steps * samples, 1, -1)


def _bits_limit(peak: float) -> int:
    """The largest word of the bits that a count takes: what a port's format says of it."""
    return min(COUNT_LIMIT, (1 << int(peak).bit_length()) - 1)


def _is_float(array: object) -> bool:
    return isinstance(array, np.ndarray) and array.dtype == np.float32
