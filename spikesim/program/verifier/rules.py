"""The rules of each instruction: shapes of its operands, ranges of its fields, and what its operands hold.

One function per instruction, in the order of `spikesim.program`. Each is called once every view of the instruction is
known to lie inside its vector and to be written when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from spikesim import program as isa
from spikesim.program import ACTIVATION_LIMIT, COUNT_LIMIT, WORD_LIMIT, CacheSpec, StateSpec, View
from spikesim.program.tables import EXP2_INDEX_BITS
from spikesim.program.verifier.findings import Findings
from spikesim.program.verifier.keys import check_keys, check_run
from spikesim.program.verifier.stores import Stores
from spikesim.program.verifier.words import WordTable, Writer

LOWEST_WORD = -(2**31)

MULTIPLIER_LIMIT = 2**17 - 1
"""Largest magnitude of the multiplier's second operand, 18 bits with its sign (`docs/numerics.md`)."""

SHIFT_LIMIT = 2**11 - 1
"""Shifts of the pointwise unit: a field of 12 bits, signed; −2048 is left out for symmetry."""

SCATTER_SHIFT = 31
"""Largest shift of a scatter: a field of 5 bits, and products of 23 bits leave nothing beyond."""

MEAN_SHIFT = 62
"""Largest right shift of a 64-bit product."""

FRACTION_LIMIT = 31
"""Largest binary point of a table's operand: a field of 5 bits."""

EXP2_FRACTIONS = (EXP2_INDEX_BITS, EXP2_INDEX_BITS + 12)
"""Binary points that the table of powers of two takes: its index, and up to 12 bits between entries."""


class Rules:
    """Checks one instruction after the other; `found` is where the findings of the present one go."""

    def __init__(self, words: WordTable, stores: Stores) -> None:
        self.program, self.words, self.stores = words.program, words, stores
        self.found = Findings(words.program.text.name)
        self.writer: Writer

    def check(self, writer: Writer, found: Findings) -> None:
        """All rules of one instruction."""
        self.writer, self.found = writer, found
        i: isa.Instruction = writer.instruction
        match i:
            case isa.Multiply():
                self._multiply(i)
            case isa.Add():
                self._add(i)
            case isa.Reduce():
                self._reduce(i)
            case isa.Invert():
                self._scalars(i.dst, {"src": i.src})
            case isa.ScalarMultiply():
                self._scalars(i.dst, {"a": i.a, "b": i.b})
            case isa.Exponential():
                self._exponential(i)
            case isa.Lookup():
                self._lookup(i)
            case isa.SoftmaxWeights():
                self._softmax_weights(i)
            case isa.Phase():
                self._phase(i)
            case isa.Rotate():
                self._rotate(i)
            case isa.SelectTop():
                self._select_top(i)
            case isa.Gather():
                self._gather(i)
            case isa.Scatter():
                self._scatter(i)
            case isa.Decay():
                self._decay(i)
            case isa.Store():
                self._store(i)
            case isa.Pool():
                self._pool(i)
            case _:
                assert_never(i)

    # Shapes

    def _shape(self, field: str, view: View, groups: int, length: int) -> bool:
        return self.found.require(
            (view.groups, view.length) == (groups, length),
            field,
            f"{groups} × {length} words",
            f"{view.groups} × {view.length}",
        )

    def _like(self, dst: View, **views: View) -> None:
        for name, view in views.items():
            self._shape(name, view, dst.groups, dst.length)

    def _shared(self, field: str, view: View, groups: int, lengths: Sequence[int]) -> bool:
        """Groups as given, or one that all of them read, of stride 0 as the core steps through it."""
        fits = view.groups == groups or (view.groups == 1 and view.stride == 0)
        allowed = [f"{groups} × {length}" for length in dict.fromkeys(lengths)]
        if groups > 1:
            allowed += [f"1 × {length} of stride 0" for length in dict.fromkeys(lengths)]
        return self.found.require(
            fits and view.length in lengths,
            field,
            f"{' or '.join(allowed)} words",
            f"{view.groups} × {view.length} of stride {view.stride}",
        )

    def _word(self, field: str, view: View) -> bool:
        return self._shape(field, view, 1, 1)

    # What words are

    def _plain(self, field: str, view: View) -> bool:
        return self.words.plain(field, view, LOWEST_WORD, WORD_LIMIT, self.found)

    def _limited(self, field: str, view: View, limit: int) -> bool:
        return self.words.plain(field, view, -limit, limit, self.found)

    def _counts(self, field: str, view: View) -> bool:
        return self._limited(field, view, COUNT_LIMIT)

    def _packed(self, field: str, view: View) -> bool:
        return self.words.packed(field, view, self.found)

    # Statistics

    def _statistic(self, reduction: isa.Reduction | None, words: View, low: int, high: int) -> None:
        """A statistic of words within low … high: one word per group; sums of squares and of signs fit."""
        if reduction is None:
            return
        self._shape("reduce.dst", reduction.dst, words.groups, 1)
        if reduction.kind == "sum":
            rule = "sum_abs, sum_squares, max_abs or max of words of either sign"
            self.found.require(low >= 0, "reduce.kind", rule, "sum")
        if reduction.kind == "sum_squares":
            rule = f"sum_abs, max_abs or max of words beyond ±{ACTIVATION_LIMIT}"
            self.found.require(max(-low, high) <= ACTIVATION_LIMIT, "reduce.kind", rule, "sum_squares")

    # Pointwise

    def _multiply(self, i: isa.Multiply) -> None:
        found = self.found
        self._like(i.dst, a=i.a)
        self._plain("a", i.a)
        if i.b is not None:
            self._shared("b", i.b, i.dst.groups, (1,) if i.keys else (i.dst.length, 1))
            self._limited("b", i.b, MULTIPLIER_LIMIT)
        if i.scalar is not None:
            self._shared("scalar", i.scalar, i.dst.groups, (1,))
            self._packed("scalar", i.scalar)
        found.within(i.shift_b, -SHIFT_LIMIT, SHIFT_LIMIT, "shift_b")
        found.within(i.shift, -SHIFT_LIMIT, SHIFT_LIMIT, "shift")
        found.within(i.limit, 0, WORD_LIMIT, "limit")
        self._statistic(i.reduce, i.dst, -i.limit, i.limit)
        if i.keys is not None:
            self._keys(i.keys, i.dst)

    def _add(self, i: isa.Add) -> None:
        self._like(i.dst, a=i.a, b=i.b)
        self._plain("a", i.a)
        self._plain("b", i.b)
        self.found.within(i.limit, 0, WORD_LIMIT, "limit")
        self._statistic(i.reduce, i.dst, -i.limit, i.limit)

    def _reduce(self, i: isa.Reduce) -> None:
        kind = i.reduction.kind
        self._plain("a", i.a)
        self._shape("reduction.dst", i.reduction.dst, i.a.groups, 1)
        if kind == "sum":
            self.words.plain("a", i.a, 0, WORD_LIMIT, self.found)
        if kind == "sum_squares" and i.norm is None:
            self._limited("a", i.a, ACTIVATION_LIMIT)
        if i.norm is not None:
            self.found.require(
                kind == "sum_squares", "norm", "absent but for sum_squares", f"there for {kind}"
            )
            self._shape("norm", i.norm, i.a.groups, 1)
            self.found.require(self._is_peak(i.norm, i.a), "norm", "the max_abs of a", f"{i.norm.name}")
        if i.initial is not None:
            self.found.require(kind.startswith("sum"), "initial", "absent but for sums", f"there for {kind}")

    def _is_peak(self, norm: View, a: View) -> bool:
        """Whether `norm` is the max_abs that was taken of the words `a`."""
        made = self.words.by_view.get(norm)
        if made is None:
            return False
        i = made.instruction
        reduction = i.reduction if isinstance(i, isa.Reduce) else getattr(i, "reduce", None)
        of = i.a if isinstance(i, isa.Reduce) else getattr(i, "dst", None)
        return reduction is not None and (reduction.kind, reduction.dst, of) == ("max_abs", norm, a)

    def _scalars(self, dst: View, sources: dict[str, View]) -> None:
        self._shape("dst", dst, dst.groups, 1)
        for field, view in sources.items():
            self._shape(field, view, dst.groups, 1)
            self._packed(field, view)

    def _exponential(self, i: isa.Exponential) -> None:
        self._scalars(i.dst, {})
        self._like(i.dst, src=i.src)
        self._plain("src", i.src)
        self.found.within(i.fraction, *EXP2_FRACTIONS, "fraction")

    def _lookup(self, i: isa.Lookup) -> None:
        self._like(i.dst, a=i.a)
        self._plain("a", i.a)
        self.found.within(i.fraction, 0, FRACTION_LIMIT, "fraction")

    def _softmax_weights(self, i: isa.SoftmaxWeights) -> None:
        self._like(i.dst, a=i.a)
        self._shape("maximum", i.maximum, i.dst.groups, 1)
        made = self.words.keyed.get(i.a.name)
        reduce = made.instruction.reduce if made and isinstance(made.instruction, isa.Multiply) else None
        self.found.require(
            reduce is not None and (reduce.kind, reduce.dst) == ("max", i.maximum),
            "maximum",
            "the max that was taken of a",
            i.maximum.name,
        )
        self.found.within(i.fraction, *EXP2_FRACTIONS, "fraction")
        self.found.within(i.limit, 0, COUNT_LIMIT, "limit")
        self.found.require(i.reduce.kind == "sum", "reduce.kind", "sum", i.reduce.kind)
        self._statistic(i.reduce, i.dst, 0, i.limit)
        self._keys(i.keys, i.dst)

    def _phase(self, i: isa.Phase) -> None:
        self._shape("cos", i.cos, 1, i.cos.length)
        self._like(i.cos, sin=i.sin, increment=i.increment)
        self._plain("increment", i.increment)

    def _rotate(self, i: isa.Rotate) -> None:
        self._like(i.dst, a=i.a)
        self.found.require(i.a.length % 2 == 0, "a.length", "even, two halves", i.a.length)
        self._shape("cos", i.cos, 1, i.a.length // 2)
        self._shape("sin", i.sin, 1, i.a.length // 2)
        self._limited("a", i.a, ACTIVATION_LIMIT)
        self._plain("cos", i.cos)
        self._plain("sin", i.sin)
        self._statistic(i.reduce, i.dst, -ACTIVATION_LIMIT, ACTIVATION_LIMIT)

    # Selection

    def _select_top(self, i: isa.SelectTop) -> None:
        self._shape("dst", i.dst, i.a.groups, i.count)
        self._plain("a", i.a)
        if i.keys is not None:
            self.found.require(i.keys.kind == "blocks", "keys.kind", "blocks", i.keys.kind)
            self._keys(i.keys, None, i.dst.groups)

    def _keys(self, keys: isa.CacheKeys, dst: View | None, groups: int = 0, *, means: bool = False) -> bool:
        """The keys, and whether `dst`, if it is indexed by them, has room."""
        heads = groups if dst is None else dst.groups
        good = check_keys(keys, heads, self.writer, self.words, self.found)
        return good and (dst is None or check_run(dst, keys, self.words, self.found, means=means))

    # Gathers

    def _gather(self, i: isa.Gather) -> None:
        if i.partition is not None:
            self.found.require(i.operand == "state", "partition", "absent but for states", f"for {i.operand}")
        match i.operand:
            case "matrix":
                self._gather_matrix(i)
            case "state":
                self._gather_state(i)
            case "keys" | "values" | "means":
                self._gather_cache(i)
            case _:
                assert_never(i.operand)

    def _no_heads(self, i: isa.Gather) -> None:
        """Fields that only gathers of caches have."""
        self._counts("counts", i.counts)
        self.found.require(i.keys is None, "keys", f"absent for a {i.operand}", "there")
        self.found.require(i.first_head == 0, "first_head", f"0 for a {i.operand}", i.first_head)
        self.found.require(i.sharing == 1, "sharing", f"1 for a {i.operand}", i.sharing)

    def _gather_matrix(self, i: isa.Gather) -> None:
        self._no_heads(i)
        matrix = self.program.matrices.get(i.name)
        if matrix is None:
            self.found.require(False, "name", "a matrix of the program", i.name)
        elif matrix.ndim == 2:
            outputs, channels = matrix.shape
            # As many groups as there are runs of counts, all of the same matrix.
            self._shape("counts", i.counts, i.counts.groups, channels)
            self._shape("dst", i.dst, i.counts.groups, outputs)

    def _gather_state(self, i: isa.Gather) -> None:
        self._no_heads(i)
        spec = self._state(i.name, i.partition)
        if spec is not None:
            self._shape("counts", i.counts, spec.heads, spec.size)
            self._shape("dst", i.dst, spec.heads, spec.size)

    def _gather_cache(self, i: isa.Gather) -> None:
        spec = self._cache(i.name, "name")
        if i.keys is None:
            self.found.require(False, "keys", f"there for {i.operand}", "absent")
        if spec is None or i.keys is None:
            return
        self._counts("counts", i.counts)
        self.found.require(i.keys.cache == i.name, "keys.cache", f"{i.name}, as name is", i.keys.cache)
        if i.operand == "means":
            self.found.require(i.keys.kind == "blocks", "keys.kind", "blocks", i.keys.kind)
        self.stores.check_filled(i.name, i.operand, self.writer.number, self.found)
        groups = i.dst.groups
        if i.operand == "values":
            self._shape("counts", i.counts, groups, i.counts.length)
            self._shape("dst", i.dst, groups, spec.size)
            self._keys(i.keys, None, groups)
        else:
            self._shape("counts", i.counts, groups, spec.size)
            self._keys(i.keys, i.dst, means=i.operand == "means")
        self._heads(i, groups, spec)

    def _heads(self, i: isa.Gather, groups: int, spec: CacheSpec) -> None:
        """Query heads of a pass are those of whole key/value heads, or all of one."""
        found, first, sharing = self.found, i.first_head, i.sharing
        if not (
            found.require(sharing >= 1, "sharing", "at least 1", sharing)
            and found.require(first >= 0, "first_head", "at least 0", first)
        ):
            return
        last = (first + groups - 1) // sharing
        found.require(
            last < spec.heads,
            "first_head",
            f"one from which its groups read heads 0 … {spec.heads - 1} of {i.name}",
            f"{first}, up to head {last}",
        )
        whole = first % sharing == 0 and groups % sharing == 0
        found.require(
            whole or first // sharing == last,
            "sharing",
            "a divisor of first_head and groups, or all groups on one head",
            sharing,
        )

    # Stores

    def _cache(self, name: str, field: str) -> CacheSpec | None:
        spec = self.program.text.caches.get(name)
        self.found.require(spec is not None, field, "a cache that the program declares", name)
        return spec

    def _state(self, name: str, partition: View | None) -> StateSpec | None:
        spec = self.program.text.states.get(name)
        self.found.require(spec is not None, "state", "a state that the program declares", name)
        if spec is not None and partition is not None:
            self._word("partition", partition)
            self.words.plain("partition", partition, 0, spec.copies - 1, self.found)
        return spec

    def _scatter(self, i: isa.Scatter) -> None:
        self._counts("counts", i.counts)
        self._limited("update", i.update, ACTIVATION_LIMIT)
        self.found.within(i.shift, 0, SCATTER_SHIFT, "shift")
        spec = self._state(i.state, i.partition)
        if spec is not None:
            self._shape("counts", i.counts, spec.heads, spec.size)
            self._shape("update", i.update, spec.heads, spec.size)

    def _decay(self, i: isa.Decay) -> None:
        spec = self._state(i.state, i.partition)
        self._scalars(i.dst, {"factor": i.factor})
        if spec is not None:
            self._shape("dst", i.dst, spec.heads, 1)

    def _store(self, i: isa.Store) -> None:
        self._counts("src", i.src)
        spec = self._cache(i.cache, "cache")
        if spec is not None:
            self._shape("src", i.src, spec.heads, spec.size)

    def _pool(self, i: isa.Pool) -> None:
        self._counts("src", i.src)
        self.found.within(i.scale, 0, MULTIPLIER_LIMIT, "scale")
        self.found.within(i.shift, 1, MEAN_SHIFT, "shift")
        spec = self._cache(i.cache, "cache")
        if spec is not None:
            self._shape("src", i.src, spec.heads, spec.size)
            of_cache = spec.block if spec.block else "that of a cache with blocks"
            self.found.require(0 < i.block == spec.block, "block", f"{of_cache}", i.block)
