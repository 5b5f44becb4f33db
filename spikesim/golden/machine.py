"""The golden machine: runs a program on many tokens and sequences at once, in integers, with no notion of time.

What it computes per token does not depend on how many tokens are given at once: sections say which
instructions may run for many tokens together (`spikesim.program.Section`); `tests/golden/test_machine.py` checks it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, assert_never

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim.errors import ProgramError
from spikesim.golden import pointwise, scalars
from spikesim.golden.batches import in_batches
from spikesim.golden.cache import Cache
from spikesim.golden.frame import Frame, Words
from spikesim.golden.product import batched_product, product
from spikesim.golden.select import select_top
from spikesim.golden.state import State
from spikesim.program.trace import Place
from spikesim.program.verifier import verify_inputs, verify_program


class Observer(Protocol):
    """Watches a run: the one way by which cycles, statistics and records are taken of it."""

    def executed(self, place: Place, instruction: isa.Instruction, frame: Frame) -> None:
        """An instruction is done for the tokens of a frame, and so is its section: all words that were written and
        read are there, those of vectors indexed by key for the last time.
        """


Cut = tuple[int, int]
"""Of an instruction: the words that it wrote under a limit, and how many of them the limit changed."""

_UNLIMITED: Cut = 0, 0

SCORE_WORDS = 2**22
"""Words of one vector indexed by key that may be alive at a time: bounds the memory of attention."""


class Machine:
    """One program with its caches and states for `sequences` independent sequences.

    The kernels check no bounds: a program or inputs that break a rule are refused with a ProgramError instead.
    `persistent`: words of the persistent vectors, int32[sequences, words]. `clipped` counts, by the name of the counts
    vector, the words that saturated in instructions marked `clip`. `cut`: int64[instructions, 2], of every instruction
    the words that it wrote under a limit, and how many of them are not what they would be without it.
    """

    def __init__(self, program: isa.Program, sequences: int = 1) -> None:
        verify_program(program)
        if sequences < 1:
            raise ProgramError(f"sequences must be at least 1, not {sequences}")
        self.program = program
        self.sequences = sequences
        self.position = 0
        self.caches = {name: Cache(spec, sequences) for name, spec in program.text.caches.items()}
        self.states = {name: State(spec, sequences) for name, spec in program.text.states.items()}
        self.persistent = {
            name: np.zeros((sequences, program.text.vectors[name]), np.int32)
            for name in program.text.persistent
        }
        self.clipped: dict[str, int] = {}
        self.cut = np.zeros(
            (sum(len(section.instructions) for section in program.text.sections), 2), np.int64
        )

    def run(self, inputs: dict[str, Words], observers: Sequence[Observer] = ()) -> dict[str, Words]:
        """inputs: int32[tokens, sequences, words] by vector name -> every vector of the program, same layout.

        Tokens continue where the last call stopped.
        """
        tokens = verify_inputs(self.program, inputs, self.sequences, self.position)
        # Frames flatten tokens and sequences into one axis, which needs them adjacent in memory.
        vectors = {name: np.ascontiguousarray(words) for name, words in inputs.items()}
        for name, words in self.program.text.vectors.items():
            if name not in vectors and name not in self.program.constants:
                vectors[name] = np.zeros((tokens, self.sequences, words), np.int32)
        shifts = {
            i.dst: np.zeros((tokens, self.sequences, i.dst.groups), np.int32)
            for i in self.program.instructions()
            if isinstance(i, isa.Decay)
        }

        def frame(start: int, stop: int) -> Frame:
            return Frame(vectors, self.program.constants, shifts, self.caches, self.position, start, stop)

        first = 0
        for section in self.program.text.sections:
            for start, stop in self._spans(section, tokens):
                whole = frame(start, stop)
                if section.kind == "recurrent":
                    self._run_recurrent(section, whole, first)
                else:
                    for number, instruction in enumerate(section.instructions, first):
                        self.cut[number] += self.execute(instruction, whole)
                for number, instruction in enumerate(section.instructions, first):
                    place = Place(program=self.program.text.name, number=number)
                    for observer in observers:
                        observer.executed(place, instruction, whole)
            first += len(section.instructions)
        self.position += tokens
        return vectors

    def continue_from(self, earlier: Machine, tokens: int) -> None:
        """Be as after `tokens` tokens, though none of them has run: caches hold the keys and values that `earlier` has,
        over and over; states and persistent vectors are what it left.
        """
        self.position = tokens
        self.persistent = {name: words.copy() for name, words in earlier.persistent.items()}
        self.states = copy.deepcopy(earlier.states)
        for state in self.states.values():
            state.overflows = 0
        for name, cache in self.caches.items():
            cache.repeat(earlier.caches[name], tokens)
        for i in self.program.instructions():
            if isinstance(i, isa.Pool):
                cache = self.caches[i.cache]
                cache.pool(i, cache.keys.transpose(2, 0, 1, 3).astype(np.int32), 0)

    def _run_recurrent(self, section: isa.Section, whole: Frame, first: int) -> None:
        """Step by step: what persists goes from one to the next. `first`: number of its first instruction."""
        used = {view.name for i in section.instructions for _, view, _ in i.views()}
        kept = used.intersection(self.persistent)
        cuts: list[list[Cut]] = [[] for _ in section.instructions]
        for step in whole.tokens():
            for name in kept:
                whole.vectors[name][step.start] = self.persistent[name]
            for instruction, found in zip(section.instructions, cuts, strict=True):
                found.append(self.execute(instruction, step))
            for name in kept:
                self.persistent[name] = whole.vectors[name][step.start].copy()
        for number, found in enumerate(cuts, first):
            self.cut[number] += np.sum(found, axis=0, dtype=np.int64)

    def _spans(self, section: isa.Section, tokens: int) -> Iterator[tuple[int, int]]:
        """Slices of tokens whose key-indexed vectors stay within `SCORE_WORDS`."""
        if section.kind != "attention":
            yield 0, tokens
            return
        heads = max(i.dst.groups for i in section.instructions if isinstance(i, isa.Gather))
        window = max(map(_window, section.instructions))
        start = 0
        while start < tokens:
            keys = window or self.position + start + 1
            rows = max(1, SCORE_WORDS // (heads * self.sequences * (keys + 64)))
            stop = min(tokens, start + min(rows, max(64, keys)))
            yield start, stop
            start = stop

    def execute(self, instruction: isa.Instruction, frame: Frame) -> Cut:
        """Run one instruction for the tokens of a frame. Returns the words that it wrote under a limit, and how many of
        them are not what they would be without it: saturated, or wrapped in a state.
        """
        match instruction:
            case isa.Multiply():
                return self._multiply(instruction, frame)
            case isa.Add():
                return self._add(instruction, frame)
            case isa.Reduce():
                self._reduce(instruction, frame)
            case isa.Invert():
                self._invert(instruction, frame)
            case isa.ScalarMultiply():
                self._scalar_multiply(instruction, frame)
            case isa.Exponential():
                self._exponential(instruction, frame)
            case isa.Lookup():
                return self._lookup(instruction, frame)
            case isa.SoftmaxWeights():
                self._softmax_weights(instruction, frame)
            case isa.Phase():
                self._phase(instruction, frame)
            case isa.Rotate():
                return self._rotate(instruction, frame)
            case isa.SelectTop():
                self._select_top(instruction, frame)
            case isa.Gather():
                self._gather(instruction, frame)
            case isa.Scatter():
                return self._scatter(instruction, frame)
            case isa.Decay():
                self._decay(instruction, frame)
            case isa.Store():
                self._store(instruction, frame)
            case isa.Pool():
                return self._pool(instruction, frame)
            case _:
                assert_never(instruction)
        return _UNLIMITED

    def _multiply(self, i: isa.Multiply, frame: Frame) -> Cut:
        a = frame.view(i.a)
        valid, written = _NO_MASK, a.size
        if i.keys is not None:
            known = frame.keys(i.keys).valid
            valid = _spread(known, a.shape)
            written = int(np.count_nonzero(known)) * (a.shape[1] // known.shape[1])
            frame.scores[i.dst.name] = np.empty(a.shape, np.int32)
        dst = frame.view(i.dst)
        b = _NO_VECTOR if i.b is None else frame.spread(i.b, *a.shape[1:])
        scalar = _NO_SCALAR if i.scalar is None else frame.spread(i.scalar, a.shape[1], 1)[:, :, 0]
        statistic, kind = _statistic(i.reduce, frame)
        clipped, cut = in_batches(
            pointwise.multiply,
            (dst, a, b, scalar, valid, statistic),
            i.b is not None,
            i.scalar is not None,
            i.keys is not None,
            i.shift_b,
            i.shift,
            i.limit,
            kind,
        )
        if i.clip:
            self.clipped[i.dst.name] = self.clipped.get(i.dst.name, 0) + clipped
        return _UNLIMITED if i.bound else (written, cut)

    def _add(self, i: isa.Add, frame: Frame) -> Cut:
        statistic, kind = _statistic(i.reduce, frame)
        sign, dst = -1 if i.subtract else 1, frame.view(i.dst)
        words = dst, frame.view(i.a), frame.view(i.b), statistic
        (cut,) = in_batches(pointwise.add, words, sign, i.limit, kind)
        return dst.size, cut

    def _reduce(self, i: isa.Reduce, frame: Frame) -> None:
        statistic, kind = _statistic(i.reduction, frame)
        norm = _NO_SCALAR if i.norm is None else frame.scalars(i.norm)
        mantissa, exponent = (0, 0) if i.initial is None else (i.initial.mantissa, i.initial.exponent)
        words = frame.view(i.a), norm, statistic
        in_batches(pointwise.reduce, words, i.norm is not None, mantissa, exponent, kind)

    def _invert(self, i: isa.Invert, frame: Frame) -> None:
        scalars.invert(
            frame.scalars(i.dst), frame.scalars(i.src), i.root, i.constant.mantissa, i.constant.exponent
        )

    def _scalar_multiply(self, i: isa.ScalarMultiply, frame: Frame) -> None:
        scalars.scalar_multiply(
            frame.scalars(i.dst),
            frame.scalars(i.a),
            frame.scalars(i.b),
            i.constant.mantissa,
            i.constant.exponent,
        )

    def _exponential(self, i: isa.Exponential, frame: Frame) -> None:
        scalars.exponential(frame.scalars(i.dst), frame.scalars(i.src), i.fraction)

    def _lookup(self, i: isa.Lookup, frame: Frame) -> Cut:
        dst = frame.view(i.dst)
        function = pointwise.LOOKUPS[i.function]
        (cut,) = in_batches(pointwise.lookup, (dst, frame.view(i.a)), i.fraction, function)
        return dst.size, cut

    def _softmax_weights(self, i: isa.SoftmaxWeights, frame: Frame) -> None:
        a = frame.view(i.a)
        valid = _spread(frame.keys(i.keys).valid, a.shape)
        frame.scores[i.dst.name] = np.empty(a.shape, np.int32)
        statistic, _ = _statistic(i.reduce, frame)
        words = frame.view(i.dst), a, frame.scalars(i.maximum), valid, statistic
        in_batches(pointwise.softmax_weights, words, i.fraction, i.limit)

    def _phase(self, i: isa.Phase, frame: Frame) -> None:
        pointwise.phase(frame.view(i.cos), frame.view(i.sin), frame.positions(), frame.view(i.increment))

    def _rotate(self, i: isa.Rotate, frame: Frame) -> Cut:
        statistic, kind = _statistic(i.reduce, frame)
        dst = frame.view(i.dst)
        words = dst, frame.view(i.a), frame.view(i.cos), frame.view(i.sin), statistic
        (cut,) = in_batches(pointwise.rotate, words, kind)
        return dst.size, cut

    def _select_top(self, i: isa.SelectTop, frame: Frame) -> None:
        a = frame.view(i.a)
        if i.keys is None:
            candidates = np.full(frame.batch, a.shape[2])
        else:
            candidates = frame.positions() // i.keys.span
        select_top(frame.view(i.dst), a, candidates)

    def _gather(self, i: isa.Gather, frame: Frame) -> None:
        counts = frame.view(i.counts)
        if i.operand == "matrix":
            flat = np.ascontiguousarray(counts).reshape(-1, i.counts.length)
            frame.view(i.dst)[...] = product(flat, self.program.matrices[i.name]).reshape(
                frame.batch, i.dst.groups, i.dst.length
            )
        elif i.operand == "state":
            self.states[i.name].gather(frame.view(i.dst), counts, self._copies(i.partition, frame))
        else:
            self._gather_cache(i, counts, frame)

    def _gather_cache(self, i: isa.Gather, counts: Words, frame: Frame) -> None:
        cache = self.caches[i.name]
        heads = i.dst.groups
        if i.operand == "means":
            blocks = (
                max(1, (frame.first_position + frame.stop - frame.start - 1) // i.keys.span) if i.keys else 1
            )
            means = np.zeros((self.sequences, cache.means.shape[1], blocks, cache.means.shape[3]), np.int8)
            known = min(blocks, cache.means.shape[2])
            means[:, :, :known] = cache.means[:, :, :known]
            rows = means.swapaxes(2, 3)
        elif i.keys is not None:
            keys = frame.keys(i.keys)
            entries = cache.keys if i.operand == "keys" else cache.values
            rows = entries[:, :, keys.first : keys.stop]
            if i.operand == "keys":
                rows = rows.swapaxes(2, 3)
        first = i.first_head // i.sharing
        rows = rows[:, first : first + max(1, heads // i.sharing)]
        out = _grouped_product(frame.unflatten(counts), rows).reshape(frame.batch, heads, -1)
        if i.operand == "values":
            frame.view(i.dst)[...] = out
        else:
            frame.scores[i.dst.name] = out

    def _scatter(self, i: isa.Scatter, frame: Frame) -> Cut:
        return self.states[i.state].scatter(
            frame.view(i.counts), frame.view(i.update), i.shift, self._copies(i.partition, frame)
        )

    def _decay(self, i: isa.Decay, frame: Frame) -> None:
        shifts = frame.shifts[i.dst][frame.start]
        copies = self._copies(i.partition, frame)
        self.states[i.state].decay(frame.scalars(i.dst), shifts, frame.scalars(i.factor), copies)

    def _store(self, i: isa.Store, frame: Frame) -> None:
        self.caches[i.cache].store(i.kind, frame.unflatten(frame.view(i.src)))

    def _pool(self, i: isa.Pool, frame: Frame) -> Cut:
        return self.caches[i.cache].pool(i, frame.unflatten(frame.view(i.src)), frame.first_position)

    def _copies(self, partition: isa.View | None, frame: Frame) -> NDArray[np.int64]:
        """int64[batch]: which copy of a state each sequence uses."""
        if partition is None:
            return np.zeros(frame.batch, np.int64)
        return frame.scalars(partition)[:, 0].astype(np.int64)


_NO_VECTOR = np.zeros((1, 1, 1), np.int32)
_NO_SCALAR = np.zeros((1, 1), np.int32)
_NO_MASK = np.zeros((1, 1, 1), np.bool_)


def _window(instruction: Any) -> int:
    """Tokens of the sliding window an instruction reads, 0 if it reads none."""
    keys: isa.CacheKeys | None = instruction.cached
    return keys.span if keys is not None and keys.kind == "window" else 0


def _statistic(reduction: isa.Reduction | None, frame: Frame) -> tuple[Words, int]:
    """Where a reduction goes, int32[batch, groups], and its code."""
    if reduction is None:
        return _NO_SCALAR, 0
    return frame.scalars(reduction.dst), pointwise.REDUCTIONS[reduction.kind]


def _spread(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """`array` broadcast to `shape`, still writable as compiled loops with fixed signatures ask; they only read it."""
    strides = [
        0 if have == 1 != want else step
        for have, want, step in zip(array.shape, shape, array.strides, strict=True)
    ]
    return as_strided(array, shape, strides)


def _grouped_product(counts: Words, rows: NDArray[np.int8]) -> Words:
    """counts: int32[tokens, sequences, heads, inner], rows: int8[sequences, kv heads, inner, columns]
    -> int32[tokens, sequences, heads, columns]; query head h reads kv head h // (heads / kv heads)."""
    tokens, sequences, heads, inner = counts.shape
    groups = rows.shape[1]
    ratio = heads // groups
    left = counts.reshape(tokens, sequences, groups, ratio, inner).transpose(1, 2, 0, 3, 4)
    out = batched_product(left.reshape(sequences, groups, tokens * ratio, inner), rows)
    out = out.reshape(sequences, groups, tokens, ratio, -1).transpose(2, 0, 1, 3, 4)
    return np.ascontiguousarray(out).reshape(tokens, sequences, heads, -1)
