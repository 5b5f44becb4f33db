"""What programs ask of a Loihi-style chip: their parts, on neurocores or on the processors embedded beside them.

Which instruction lies where, on a chip whose neurons run microcode:

* Neurocores: matrices, scaling, sums and differences, RoPE, sums of absolute values and squares by fan-in, SSE states
  and caches as neuron variables, one word each.
* Processors: tables (lookup, softmax weights, 2^−x), reciprocals and products of packed scalars, largest words, top-k,
  the phase of RoPE. A neuron has no table and no division of the exactness that golden defines.

On a chip with fixed neurons, only matrices are on neurocores: its neurons add weights and fire. Nothing else of the
programs, not even the doubling between bit planes, is what such a neuron does.

Every instruction on neurocores is a neuron group: one neuron per word it writes, with a synapse per word that the
neuron reads. All synapses count, connections of weight 1 too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.lava.spikes import GRADED
from spikesim.backends.lava.target import Target
from spikesim.program import (
    COUNT_LIMIT,
    Add,
    CacheKeys,
    CacheSpec,
    Decay,
    Exponential,
    Gather,
    Instruction,
    Invert,
    Lookup,
    Multiply,
    Phase,
    Pool,
    Program,
    Reduce,
    Reduction,
    Rotate,
    ScalarMultiply,
    Scatter,
    SelectTop,
    SoftmaxWeights,
    Store,
    is_matrix,
)
from spikesim.results.lava import Share

Kind = Literal["matrix", "pointwise", "cache", "state", "processor"]

GRADED_BITS = 8
"""Bits of a count, −127 … 127."""

UNSIGNED_PLANES = frozenset({"twos_complement"})
"""Codings whose spikes are all of one sign; the weight of the last plane is negative instead."""

STORED_BITS = 8
"""Bits of an INT8 weight in synaptic memory."""

_ON_PROCESSORS = {
    "lookup": "tables",
    "softmax_weights": "softmax weights",
    "exponential": "powers of two",
    "invert": "reciprocals",
    "scalar_multiply": "products of scalars",
    "select_top": "top-k",
    "phase": "RoPE phase",
    "largest": "largest words",
}
_WEIGHTS = 1 << 22
"""Weights that are looked at together; bounds the memory that takes."""


@dataclass(frozen=True, kw_only=True)
class DemandPart:
    """Something of a program that is placed whole or in pieces.

    On neurocores: `neurons`, each with `inputs` synapses of `bits`. `shared`: all neurons of the part read the same
    inputs, so a core needs one axon per input and not one per input and neuron. On processors: `words` per token.
    `grows`: which of the two numbers is proportional to the context, and `tokens` the context it is given for.
    """

    name: str
    kind: Kind
    on: Share = "neurocore"
    neurons: int = 0
    inputs: int = 0
    bits: int = 0
    shared: bool = False
    words: int = 0
    tokens: int = 0
    grows: Literal["", "neurons", "inputs"] = ""
    note: str = ""

    @property
    def synapses(self) -> int:
        """Synapses of all its neurons."""
        return self.neurons * self.inputs

    def at(self, context: int) -> DemandPart:
        """The part as it is when programs keep `context` tokens."""
        if not self.grows:
            return self
        if self.grows == "neurons":
            return replace(self, neurons=-(-self.neurons * context // self.tokens), tokens=context)
        return replace(self, inputs=-(-self.inputs * context // self.tokens), tokens=context)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A program's parts, and `obstacles`: why it cannot be on the target, however many cores there are.

    `context`: tokens that its parts on neurocores are laid out for; 0 if none grows with it.
    """

    name: str
    parts: tuple[DemandPart, ...]
    context: int
    obstacles: tuple[str, ...]

    def at(self, context: int) -> Asked:
        """The same with another context."""
        if not self.context:
            return self
        return replace(self, parts=tuple(part.at(context) for part in self.parts), context=context)


def asked(program: Program, target: Target, coding: str) -> Asked:
    """What `program` asks of `target` if counts travel in `coding` ("graded", or a coding of the core)."""
    contexts = {
        keys.cache: program.text.caches[keys.cache].tokens
        for keys in _all_keys(program)
        if keys.kind != "window"
    }
    parts: list[DemandPart] = []
    obstacles: list[str] = []
    for instruction in program.instructions():
        if is_matrix(instruction):
            matrix = program.matrices[instruction.name]
            obstacles += _obstacles(instruction.name, matrix, target)
            parts.append(_matrix(instruction, matrix, target, coding))
        elif target.programmable:
            parts += _programmable(instruction, contexts)
        else:
            parts += _fixed(instruction)
    parts += _caches(program, target, contexts)
    parts += _states(program, target)
    if coding == GRADED and target.payload_bits < GRADED_BITS and program.matrices:
        obstacles.append(
            f"graded spikes need {GRADED_BITS} bits and spikes of {target.name} carry {target.payload_bits}; "
            "a bit-serial coding is needed"
        )
    return Asked(
        name=program.text.name,
        parts=tuple(parts),
        context=max((part.tokens for part in parts if part.grows), default=0),
        obstacles=tuple(obstacles),
    )


def axons_per_channel(target: Target, coding: str) -> int:
    """Axons, and rows of synapses, that one input channel of a matrix takes.

    Where spikes carry nothing, a negative one needs an axon of its own with the negated weights.
    """
    binary = target.payload_bits == 0
    return 2 if binary and coding not in UNSIGNED_PLANES else 1


def _matrix(instruction: Gather, matrix: NDArray[np.int8], target: Target, coding: str) -> DemandPart:
    outputs, channels = matrix.shape
    twice = axons_per_channel(target, coding)
    return DemandPart(
        name=instruction.name,
        kind="matrix",
        neurons=outputs * instruction.counts.groups,
        inputs=channels * twice,
        bits=min(STORED_BITS, target.weight_bits),
        shared=True,
        note="two axons per channel, one for each sign" if twice == 2 else "",
    )


def _obstacles(name: str, matrix: NDArray[np.int8], target: Target) -> Iterator[str]:
    """Why a matrix cannot be on this target, however many cores there are."""
    largest, sum_of_row = 0, 0
    rows = max(1, _WEIGHTS // max(1, matrix.shape[1]))
    for first in range(0, len(matrix), rows):
        magnitudes = np.abs(matrix[first : first + rows].astype(np.int16))
        largest = max(largest, int(magnitudes.max(initial=0)))
        sum_of_row = max(sum_of_row, int(magnitudes.sum(axis=1, dtype=np.int64).max(initial=0)))
    needed = 1 + largest.bit_length()
    if needed > target.weight_bits:
        yield f"weights of {name} need {needed} bits and {target.name} has {target.weight_bits}"
    needed = 1 + (sum_of_row * COUNT_LIMIT).bit_length()
    if needed > target.state_bits:
        yield (
            f"sums of {name} reach {sum_of_row * COUNT_LIMIT:,}, which needs {needed} bits, and neurons of "
            f"{target.name} have {target.state_bits}"
        )


def _programmable(instruction: Instruction, contexts: dict[str, int]) -> Iterator[DemandPart]:
    """The parts of an instruction that is no matrix, on a chip whose neurons run microcode."""
    i = instruction
    match i:
        case Multiply():
            inputs = 1 + (i.b is not None) + (i.scalar is not None)
            yield _neurons("scaling", i.dst.words, inputs, i.keys, contexts)
        case Add():
            yield _neurons("sums and differences", i.dst.words, 2)
        case Rotate():
            yield _neurons("RoPE", i.dst.words, 4)
        case Gather():
            yield _sums(i, contexts)
        case SelectTop():
            yield _computed(i.op, i.a.words)
        case SoftmaxWeights() | Lookup() | Exponential() | Invert() | ScalarMultiply():
            yield _computed(i.op, i.dst.words)
        case Phase():
            yield _computed(i.op, i.cos.words + i.sin.words)
        case Reduce() | Decay() | Scatter() | Store() | Pool():
            pass  # a statistic, see below; the others are what the neurons of a state or cache do
        case _:
            assert_never(i)
    if isinstance(i, Reduce):
        yield _statistic(i.reduction, i.a.words)
    elif isinstance(i, Multiply | Add | Rotate | SoftmaxWeights) and i.reduce is not None:
        yield _statistic(i.reduce, i.dst.words, *_growth(i.cached, contexts))


def _fixed(instruction: Instruction) -> Iterator[DemandPart]:
    """Everything but matrices, on a chip whose neurons only add and fire."""
    match instruction:
        case Scatter():
            words = instruction.counts.words * instruction.update.length
        case Store() | Pool():
            words = instruction.src.words
        case _:
            words = sum(view.words for view in instruction.writes())
    name = _ON_PROCESSORS.get(instruction.op, instruction.op)
    yield DemandPart(name=name, kind="processor", on="processor", words=words, note="fixed neurons")


def _neurons(
    name: str, words: int, inputs: int, keys: CacheKeys | None = None, contexts: dict[str, int] | None = None
) -> DemandPart:
    tokens, grows = _growth(keys, contexts or {})
    return DemandPart(
        name=name,
        kind="pointwise",
        neurons=words,
        inputs=inputs,
        bits=STORED_BITS,
        tokens=tokens,
        grows="neurons" if grows else "",
    )


def _sums(i: Gather, contexts: dict[str, int]) -> DemandPart:
    """The neurons that sum what the variables of a cache or state give for the counts of a token."""
    reads_entries = i.operand == "values"  # its rows are tokens; those of the others are features
    tokens, grows = _growth(i.keys, contexts, by_block=i.operand == "means")
    return DemandPart(
        name="sums over states" if i.operand == "state" else "sums over caches",
        kind="pointwise",
        neurons=i.dst.words,
        inputs=i.counts.length,
        bits=STORED_BITS,
        tokens=tokens,
        grows=("inputs" if reads_entries else "neurons") if grows else "",
    )


def _computed(op: str, words: int) -> DemandPart:
    return DemandPart(name=_ON_PROCESSORS[op], kind="processor", on="processor", words=words)


def _statistic(reduction: Reduction, words: int, tokens: int = 0, grows: bool = False) -> DemandPart:
    groups = reduction.dst.words
    if reduction.kind in ("max", "max_abs"):
        return _computed("largest", groups)
    return DemandPart(
        name="statistics",
        kind="pointwise",
        neurons=groups,
        inputs=-(-words // groups),
        bits=STORED_BITS,
        tokens=tokens,
        grows="inputs" if grows else "",
    )


def _growth(keys: CacheKeys | None, contexts: dict[str, int], by_block: bool = False) -> tuple[int, bool]:
    """The context that a result with a word per key (or per block) is laid out for, and whether it grows with it."""
    if keys is None or keys.cache not in contexts:
        return 0, False
    return contexts[keys.cache], keys.kind == "full" or by_block


def _caches(program: Program, target: Target, contexts: dict[str, int]) -> Iterator[DemandPart]:
    for name, spec in program.text.caches.items():
        context = contexts.get(name, 0)
        yield _variables(f"{name}: keys and values", "cache", _kept(spec), target, context)
        if spec.block:
            means = spec.heads * spec.size * max(1, spec.tokens // spec.block)
            yield _variables(f"{name}: block means", "cache", means, target, context)


def _kept(spec: CacheSpec) -> int:
    return 2 * spec.heads * spec.size * spec.tokens


def _states(program: Program, target: Target) -> Iterator[DemandPart]:
    for name, spec in program.text.states.items():
        yield _variables(name, "state", spec.copies * spec.heads * spec.size**2, target)


def _variables(
    name: str, kind: Literal["cache", "state"], words: int, target: Target, context: int = 0
) -> DemandPart:
    """Words that outlive a token: a neuron variable each, or memory of the processors."""
    if not target.programmable:
        note = f"{words:,} words in the memory of the processors"
        return DemandPart(name=name, kind=kind, on="processor", note=note)
    return DemandPart(
        name=name,
        kind=kind,
        neurons=words,
        inputs=2 if kind == "state" else 1,  # a state word takes a count and an update, a cached one itself
        bits=STORED_BITS,
        tokens=context,
        grows="neurons" if context else "",
    )


def _all_keys(program: Program) -> Iterator[CacheKeys]:
    return (keys for instruction in program.instructions() if (keys := instruction.cached) is not None)
