"""`ProgramBuilder`: collects instructions and names vectors while a layer is lowered; knows binary points."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikesim.mapping.quantize import mantissas
from spikesim.program import (
    ACTIVATION_LIMIT,
    WORD_LIMIT,
    Add,
    CacheKeys,
    CacheSpec,
    Constant,
    Invert,
    Multiply,
    Port,
    Program,
    ProgramText,
    Reduce,
    Reduction,
    Requires,
    ScalarMultiply,
    Section,
    StateSpec,
    View,
)
from spikesim.program.accumulators import bits_of, check_bits, row_bound
from spikesim.program.scalar import constant
from spikesim.program.verifier import verify_program

Statistic = Literal["sum", "sum_abs", "sum_squares", "max_abs", "max"]

_MANTISSA_BITS = 16
_WORD_BITS = 31


@dataclass(frozen=True, kw_only=True)
class Value:
    """A vector of fixed-point numbers: real = word · 2^−fraction, |word| ≤ limit.

    `statistic`: where the producing instruction left a statistic of it, one packed scalar per group.
    """

    view: View
    fraction: int
    limit: int = ACTIVATION_LIMIT
    statistic: View | None = None

    def split(self, groups: int) -> Value:
        """The same words seen as `groups` runs."""
        return replace(self, view=self.view.split(groups))

    def flat(self) -> Value:
        """The same words seen as one run; per-group statistics do not apply to it."""
        return replace(self, view=self.view.split(1), statistic=None)


class ProgramBuilder:
    """Builds one `Program`. Every vector is written once; names are `<what>` or `<what>.<n>` where repeated."""

    def __init__(self, name: str, requires: Requires | None = None) -> None:
        self.name = name
        self._requires = requires or Requires()
        self.vectors: dict[str, int] = {}
        self.constants: dict[str, NDArray[np.int32]] = {}
        self.matrices: dict[str, NDArray[np.int8]] = {}
        self._rows: dict[str, int] = {}
        self.caches: dict[str, CacheSpec] = {}
        self.states: dict[str, StateSpec] = {}
        self.persistent: list[str] = []
        self.sections: list[tuple[Literal["parallel", "attention", "recurrent"], list[Any]]] = []

    @contextmanager
    def section(self, kind: Literal["parallel", "attention", "recurrent"]) -> Iterator[None]:
        """Instructions emitted inside belong to one section; adjacent sections of a kind that allow it are merged."""
        if not (self.sections and self.sections[-1][0] == kind == "parallel"):
            self.sections.append((kind, []))
        yield

    def emit(self, instruction: Any) -> None:
        """Append an instruction to the section that is open."""
        self.sections[-1][1].append(instruction)

    def vector(self, name: str, words: int, groups: int = 1) -> View:
        """A new vector, seen as `groups` adjacent runs."""
        if name in self.vectors:
            raise ValueError(f"vector {name} is written twice")
        self.vectors[name] = words
        return View(name=name, length=words // groups, groups=groups, stride=words // groups)

    def scalars(self, name: str, groups: int = 1) -> View:
        """A new vector of single words, one per group."""
        return self.vector(name, groups, groups)

    def constant(self, name: str, words: NDArray[np.int32]) -> View:
        """A constant vector, loaded once."""
        view = self.vector(name, words.size)
        self.constants[name] = np.ascontiguousarray(words, np.int32)
        return view

    def reals(self, name: str, values: NDArray[np.float64]) -> tuple[View, int]:
        """A constant vector of real numbers as 16-bit mantissas; returns its view and binary point."""
        words, fraction = mantissas(values)
        return self.constant(name, words), fraction

    def reduction(self, name: str, kind: Statistic | None, groups: int) -> Reduction | None:
        """A reduction into a new scalar vector `<name>.<kind>`."""
        return None if kind is None else Reduction(kind=kind, dst=self.scalars(f"{name}.{kind}", groups))

    def multiply(
        self,
        name: str,
        a: Value,
        *,
        b: View | None = None,
        b_fraction: int = 0,
        scalar: View | None = None,
        fraction: int,
        limit: int = ACTIVATION_LIMIT,
        statistic: Statistic | None = None,
        clip: bool = False,
        bound: bool = False,
        keys: CacheKeys | None = None,
        scalar_fraction: int = 0,
    ) -> Value:
        """name = a · b · scalar at binary point `fraction`.

        Without `scalar` the product with `b` is rounded once, straight to `fraction`. With it the product is
        first rounded to 31 bits. `scalar_fraction`: the scalar stands for scalar · 2^−scalar_fraction.
        """
        shift_b, shift = 0, a.fraction - fraction
        if b is not None and scalar is None:
            shift_b, shift = a.fraction + b_fraction - fraction, 0
        elif b is not None:
            shift_b = max(0, a.limit.bit_length() + _MANTISSA_BITS - _WORD_BITS)
            shift = a.fraction + b_fraction - fraction - shift_b
        if scalar is not None:
            shift += scalar_fraction
        dst = self.vector(name, a.view.words, a.view.groups)
        reduce = self.reduction(name, statistic, a.view.groups)
        self.emit(
            Multiply(
                dst=dst,
                a=a.view,
                b=b,
                scalar=scalar,
                shift_b=shift_b,
                shift=shift,
                limit=limit,
                clip=clip,
                bound=bound,
                reduce=reduce,
                keys=keys,
            )
        )
        return Value(view=dst, fraction=fraction, limit=limit, statistic=reduce.dst if reduce else None)

    def add(
        self,
        name: str,
        a: Value,
        b: Value,
        *,
        subtract: bool = False,
        limit: int = WORD_LIMIT,
        statistic: Statistic | None = None,
    ) -> Value:
        """name = a ± b, both at the same binary point."""
        if a.fraction != b.fraction:
            raise ValueError(f"{name} adds values at different binary points")
        dst = self.vector(name, a.view.words, a.view.groups)
        reduce = self.reduction(name, statistic, a.view.groups)
        self.emit(Add(dst=dst, a=a.view, b=b.view, subtract=subtract, limit=limit, reduce=reduce))
        return Value(view=dst, fraction=a.fraction, limit=limit, statistic=reduce.dst if reduce else None)

    def reduce(
        self, name: str, a: View, kind: Statistic, *, norm: View | None = None, initial: float = 0.0
    ) -> View:
        """A statistic of `a` per group as packed scalars; `initial` > 0 is added to it."""
        reduction = Reduction(kind=kind, dst=self.scalars(name, a.groups))
        start = constant(initial) if initial > 0 else None
        self.emit(Reduce(a=a, reduction=reduction, norm=norm, initial=start))
        return reduction.dst

    def invert(self, name: str, src: View, value: float | Constant = 1.0, *, root: bool = False) -> View:
        """name = value / src, or value / √src, per group."""
        dst = self.scalars(name, src.groups)
        factor = value if isinstance(value, Constant) else constant(value)
        self.emit(Invert(dst=dst, src=src, constant=factor, root=root))
        return dst

    def scalar_multiply(self, name: str, a: View, b: View, value: float = 1.0) -> View:
        """name = a · b · value per group."""
        dst = self.scalars(name, a.groups)
        self.emit(ScalarMultiply(dst=dst, a=a, b=b, constant=constant(value)))
        return dst

    def matrix(self, name: str, weights: NDArray[np.int8], count_limit: int) -> int:
        """Adds a weight matrix; returns the proven bound of its accumulators for counts within ±count_limit."""
        self._rows[name] = row_bound(weights)
        self.matrices[name] = weights
        return self._rows[name] * count_limit

    def build(self, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Program:
        """The finished program, which requires as many bits of accumulators as were proven to be enough.

        Raises CapacityError if those are more than the builder was told there are, as `check_accumulators` does.
        """
        text = ProgramText(
            name=self.name,
            inputs=inputs,
            outputs=outputs,
            vectors=self.vectors,
            persistent=tuple(self.persistent),
            sections=tuple(
                Section(kind=kind, instructions=tuple(body)) for kind, body in self.sections if body
            ),
            caches=self.caches,
            states=self.states,
            requires=self._requires,
        )
        program = Program(text=text, constants=self.constants, matrices=self.matrices)
        verify_program(program)
        check_bits([program], self._requires.accumulator_bits, rows=self._rows)
        proven = self._requires.model_copy(update={"accumulator_bits": bits_of(program, self._rows)})
        return replace(program, text=text.model_copy(update={"requires": proven}))


def known(statistic: View | None) -> View:
    """A statistic that the producing instruction was asked to leave."""
    if statistic is None:
        raise ValueError("the value must carry its statistic")
    return statistic
