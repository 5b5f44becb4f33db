"""Random small programs that use every instruction in shapes no compiler would choose, with extreme operands.

A program is made of stanzas: arithmetic on whatever vectors there are; products with random matrices; attention over a
cache of random kind; a recurrent state. Every value stays within what `spikesim.program` allows; nothing else is
sensible.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim.program import (
    ACTIVATION_LIMIT,
    COUNT_LIMIT,
    WORD_LIMIT,
    CacheKeys,
    CacheSpec,
    Constant,
    Format,
    Port,
    Program,
    ProgramText,
    Reduction,
    Section,
    StateSpec,
    View,
)

INPUT_WORDS = 24


class RandomProgram:
    """One program, made from a seed. `INPUT_WORDS` words per token come in as "h" and go out as "h_out"."""

    def __init__(self, seed: int, stanzas: int = 6, tokens: int = 6) -> None:
        self.generator = np.random.default_rng(seed)
        self.tokens = tokens
        self.vectors: dict[str, int] = {"h": INPUT_WORDS}
        self.constants: dict[str, NDArray[np.int32]] = {}
        self.matrices: dict[str, NDArray[np.int8]] = {}
        self.caches: dict[str, CacheSpec] = {}
        self.states: dict[str, StateSpec] = {}
        self.persistent: list[str] = []
        self.sections: list[Section] = []
        self.instructions: list[Any] = []
        self.count = 0
        h = View(name="h", length=INPUT_WORDS, stride=INPUT_WORDS)
        # Vectors that may be read, and from their start how many words of them.
        self.words: list[View] = [h]
        choices: list[Callable[[], None]] = [
            self._arithmetic,
            self._scalars,
            self._tables,
            self._matrix,
            self._select,
            self._rotate,
            self._attention,
            self._state,
            self._persistent,
            self._chained,
        ]
        # Every program begins elsewhere, so that a few programs meet all stanzas.
        for n in range(stanzas):
            choices[(seed + n) % len(choices)]() if n < 4 else self._one(choices)()
        self._same_counts()
        self._flush("parallel")
        with_output = View(name="h_out", length=INPUT_WORDS, stride=INPUT_WORDS)
        self.vectors["h_out"] = INPUT_WORDS
        last = self._activations(INPUT_WORDS)
        self.instructions.append(isa.Add(dst=with_output, a=h, b=last))
        self._flush("parallel")

    def program(self) -> Program:
        """The program."""
        text = ProgramText(
            name=f"random_{self.count}",
            inputs=(_port("h"),),
            outputs=(_port("h_out"),),
            vectors=self.vectors,
            persistent=tuple(self.persistent),
            sections=tuple(self.sections),
            caches=self.caches,
            states=self.states,
        )
        return Program(text=text, constants=self.constants, matrices=self.matrices)

    def inputs(self) -> NDArray[np.int32]:
        """int32[tokens, INPUT_WORDS]: ordinary, silent and extreme tokens."""
        scale = self.generator.choice([1, 100, 2**14, WORD_LIMIT], (self.tokens, 1))
        words = self.generator.integers(-scale, scale + 1, (self.tokens, INPUT_WORDS))
        words[self.generator.integers(0, self.tokens)] = 0
        return words.astype(np.int32)

    # Pieces

    def _one(self, choices: Any) -> Any:
        return choices[int(self.generator.integers(len(choices)))]

    def _int(self, low: int, high: int) -> int:
        """low … high, both included."""
        return int(self.generator.integers(low, high + 1))

    def _flush(self, kind: Literal["parallel", "attention", "recurrent"]) -> None:
        if self.instructions:
            self.sections.append(Section(kind=kind, instructions=tuple(self.instructions)))
            self.instructions = []

    def _new(self, length: int, groups: int = 1, gap: int = 0) -> View:
        """A fresh vector of `groups` runs with `gap` words between them."""
        self.count += 1
        name, stride = f"v{self.count}", length + gap
        self.vectors[name] = groups * stride
        return View(name=name, groups=groups, length=length, stride=stride)

    def _constant(self, words: NDArray[Any]) -> str:
        self.count += 1
        name = f"c{self.count}"
        self.constants[name] = words.astype(np.int32)
        self.vectors[name] = words.size
        return name

    def _const(self) -> Constant:
        return Constant(mantissa=self._int(2**15, 2**16 - 1), exponent=self._int(-40, 4))

    def _a(self, length: int, groups: int = 1) -> View:
        """Some existing words as `groups` runs of `length`; overlapping runs if there are too few."""
        fitting = [view for view in self.words if view.length >= length]
        view = self._one(fitting or [self._spread(length)])
        room = view.length
        stride = length if room >= groups * length else self._int(0, (room - length) // max(1, groups - 1))
        return View(name=view.name, groups=groups, length=length, stride=stride)

    def _spread(self, length: int) -> View:
        words = self.generator.integers(-WORD_LIMIT, WORD_LIMIT + 1, length)
        view = View(name=self._constant(words), length=length, stride=length)
        self.words.append(view)
        return view

    def _activations(self, length: int, groups: int = 1, limit: int = ACTIVATION_LIMIT) -> View:
        """Words within ±limit made from what there is."""
        dst = self._new(length, groups, self._one([0, 0, 3]))
        shift = self._one([0, 3, 17, 26]) if limit > COUNT_LIMIT else self._one([0, 8, 24])
        self.instructions.append(
            isa.Multiply(
                dst=dst, a=self._a(length, groups), shift=shift, limit=limit, clip=limit == COUNT_LIMIT
            )
        )
        self.words.append(View(name=dst.name, length=length, stride=length))
        return dst

    def _counts(self, length: int, groups: int = 1) -> View:
        """Counts: dense, sparse, all alike or silent."""
        if self._int(0, 3):
            return self._activations(length, groups, self._one([COUNT_LIMIT, 7, 1, 0]))
        extreme = self._one([-COUNT_LIMIT, COUNT_LIMIT, 64, 0])
        words = np.full(groups * length, extreme)
        # one full bank of 2 or 4, the others nearly silent
        words[self.generator.random(words.size) < 0.3] = 0
        return View(name=self._constant(words), groups=groups, length=length, stride=length)

    def _scalar(self, a: View, kind: str | None = None) -> View:
        """A packed scalar per group of `a`."""
        dst = self._new(1, a.groups)
        chosen: Any = kind or self._one(["sum_abs", "max_abs"])
        self.instructions.append(isa.Reduce(a=a, reduction=Reduction(kind=chosen, dst=dst)))
        return dst

    def _reduction(self, groups: int, *, narrow: bool) -> Reduction | None:
        kinds: list[Any] = ["sum_abs", "max_abs", "max", *(["sum_squares"] if narrow else [])]
        if self._int(0, 2) == 0:
            return None
        return Reduction(kind=self._one(kinds), dst=self._new(1, groups, self._one([0, 0, 2])))

    # Stanzas

    def _arithmetic(self) -> None:
        groups, length = self._int(1, 4), self._int(1, 19)
        a = self._a(length, groups)
        b = self._activations(length, groups) if self._int(0, 1) else None
        if b is not None and self._int(0, 2) == 0:
            b = View(name=b.name, groups=1, length=length if groups == 1 else 1, stride=0)
        scalar = self._scalar(a) if self._int(0, 1) else None
        limit = self._one([COUNT_LIMIT, ACTIVATION_LIMIT, WORD_LIMIT])
        dst = self._new(length, groups, self._one([0, 5]))
        self.instructions.append(
            isa.Multiply(
                dst=dst,
                a=a,
                b=b,
                scalar=scalar,
                shift_b=self._one([0, 4, 15, 31]),
                shift=self._one([-20, -3, 0, 7, 27, 40]),
                limit=limit,
                clip=bool(self._int(0, 1)),
                reduce=self._reduction(groups, narrow=limit <= ACTIVATION_LIMIT),
            )
        )
        self.words.append(View(name=dst.name, length=length, stride=length))
        other = self._new(length, groups)
        self.instructions.append(
            isa.Add(
                dst=other,
                a=self._a(length, groups),
                b=self._a(length, groups),
                subtract=bool(self._int(0, 1)),
                limit=self._one([ACTIVATION_LIMIT, WORD_LIMIT]),
                reduce=self._reduction(groups, narrow=False),
            )
        )
        self.words.append(View(name=other.name, length=length, stride=length))

    def _chained(self) -> None:
        """Pointwise instructions that follow one another: word by word, in other runs, on one word, on other words."""
        groups, length = self._int(1, 4), self._int(1, 60)
        first = self._new(length, groups)
        other_runs = View(name=first.name, groups=length, length=groups, stride=groups)
        one_word = View(name=first.name, offset=self._int(0, groups * length - 1))
        makers: list[Any] = [
            lambda: isa.Add(dst=self._new(length, groups), a=first, b=first, limit=ACTIVATION_LIMIT),
            lambda: isa.Multiply(dst=self._new(groups, length), a=other_runs, shift=self._int(0, 9)),
            lambda: isa.Multiply(dst=self._new(length, groups), a=first, b=one_word, shift_b=15),
            lambda: isa.Multiply(
                dst=self._new(length, groups),
                a=first,
                shift=self._int(0, 9),
                reduce=self._reduction(groups, narrow=True),
            ),
            lambda: isa.Lookup(dst=self._new(length, groups), a=first, function="sigmoid", fraction=9),
            lambda: isa.Exponential(dst=self._new(1, groups), src=self._a(1, groups), fraction=12),
        ]
        self.instructions.append(isa.Multiply(dst=first, a=self._a(length, groups), shift=self._int(0, 26)))
        for _ in range(self._int(3, 8)):
            self.instructions.append(self._one(makers)())
            if not isinstance(self.instructions[-1], isa.Exponential):  # whose results are packed scalars
                dst = self.instructions[-1].dst
                self.words.append(View(name=dst.name, length=dst.length, stride=dst.length))

    def _scalars(self) -> None:
        groups, length = self._int(1, 5), self._int(1, 12)
        a = self._a(length, groups)
        norm = self._scalar(a, "max_abs")
        squares = self._new(1, groups)
        initial = self._const() if self._int(0, 1) else None
        self.instructions.append(
            isa.Reduce(a=a, reduction=Reduction(kind="sum_squares", dst=squares), norm=norm, initial=initial)
        )
        root, product, power = self._new(1, groups), self._new(1, groups), self._new(1, groups)
        self.instructions += [
            isa.Invert(dst=root, src=squares, constant=self._const(), root=True),
            isa.ScalarMultiply(dst=product, a=root, b=norm, constant=self._const()),
            isa.Invert(dst=self._new(1, groups), src=product, constant=self._const()),
            isa.Exponential(dst=power, src=self._a(1, groups), fraction=self._int(10, 22)),
            isa.ScalarMultiply(dst=self._new(1, groups), a=power, b=power, constant=self._const()),
        ]

    def _tables(self) -> None:
        for function in ("sigmoid", "softplus", "step"):
            length = self._int(1, 20)
            dst = self._new(length)
            chosen: Any = function
            self.instructions.append(
                isa.Lookup(dst=dst, a=self._a(length), function=chosen, fraction=self._int(4, 26))
            )
            self.words.append(dst)

    def _matrix(self) -> None:
        channels, outputs = self._int(1, 70), self._int(1, 40)
        name = self._weights(outputs, channels)
        groups = self._one([1, 1, 1, 2, 3])
        if groups > 1 and self._int(0, 1):
            # windows that overlap, as those of a convolution do
            run = self._counts(channels + groups - 1)
            counts = View(name=run.name, groups=groups, length=channels, stride=1)
        else:
            counts = self._counts(channels, groups)
        dst = self._new(outputs, groups, self._one([0, 0, 3]) if groups > 1 else 0)
        self.instructions.append(isa.Gather(dst=dst, counts=counts, operand="matrix", name=name))
        self.words.append(View(name=dst.name, length=outputs, stride=outputs))

    def _weights(self, outputs: int, channels: int) -> str:
        self.count += 1
        name = f"m{self.count}"
        low = self._one([-127, -128, 0])
        self.matrices[name] = self.generator.integers(low, 128, (outputs, channels)).astype(np.int8)
        return name

    def _same_counts(self) -> None:
        """Matrices of the same counts one after the other, which the encoders keep, but for others between them."""
        length = self._int(2, 70)
        counts, others = self._counts(length), self._counts(length)
        shorter = View(name=counts.name, length=length - 1, stride=length - 1)
        behind = View(name=counts.name, offset=1, length=length - 1, stride=length - 1)
        for _ in range(6):
            view = self._one([counts, counts, counts, counts, others, shorter, behind])
            if self._int(0, 3) == 0:
                self._activations(self._int(1, 9))
            outputs = self._int(1, 40)
            weights = self._weights(outputs, view.length)
            self.instructions.append(
                isa.Gather(dst=self._new(outputs), counts=view, operand="matrix", name=weights)
            )

    def _select(self) -> None:
        groups, length = self._int(1, 3), self._int(1, 9)
        dst = self._new(self._int(1, min(3, length)), groups)
        # few different values, so that ties are met
        a = self._activations(length, groups, self._one([1, 2, ACTIVATION_LIMIT]))
        self.instructions.append(isa.SelectTop(dst=dst, a=a, count=dst.length))

    def _rotate(self) -> None:
        half, groups = self._int(1, 8), self._int(1, 3)
        cos, sin = self._new(half), self._new(half)
        turns = self.generator.integers(-(2**31), 2**31, half)
        increment = View(name=self._constant(turns), length=half, stride=half)
        self.instructions.append(isa.Phase(cos=cos, sin=sin, increment=increment))
        dst = self._new(2 * half, groups)

        def shared(view: View) -> View:
            return View(name=view.name, length=half, stride=0)

        self.instructions.append(
            isa.Rotate(
                dst=dst,
                a=self._activations(2 * half, groups),
                cos=shared(cos),
                sin=shared(sin),
                reduce=self._reduction(groups, narrow=True),
            )
        )

    def _attention(self) -> None:
        self._flush("parallel")
        kind: Any = self._one(["window", "full", "blocks"])
        size, kv_heads, sharing = self._int(1, 20), self._int(1, 2), self._int(1, 3)
        span = self._int(1, 5) if kind != "full" else 0
        self.count += 1
        name, heads = f"k{self.count}", kv_heads * sharing
        block = span if kind == "blocks" else 0
        # room for more tokens than will come, and for whole blocks
        self.caches[name] = CacheSpec(
            heads=kv_heads, size=size, tokens=span if kind == "window" else 32, block=block
        )
        k, v, q = self._counts(size, kv_heads), self._counts(size, kv_heads), self._counts(size, heads)
        stores: list[Any] = [
            isa.Store(src=k, cache=name, kind="keys"),
            isa.Store(src=v, cache=name, kind="values"),
        ]
        self.instructions += stores
        if kind == "blocks":
            self.instructions.append(
                isa.Pool(src=k, cache=name, block=span, scale=round(2**16 / span), shift=16)
            )
        self._flush("parallel")
        keys = CacheKeys(cache=name, kind=kind, span=span)
        longest = {"window": span, "full": 32, "blocks": 3 * span}[kind]
        if kind == "blocks":
            gate = self._new(32, heads)
            selected = self._new(self._int(1, 2), heads)
            self.instructions += [
                isa.Gather(dst=gate, counts=q, operand="means", name=name, keys=keys, sharing=sharing),
                isa.SelectTop(dst=selected, a=gate, count=selected.length, keys=keys),
            ]
            keys = CacheKeys(cache=name, kind=kind, span=span, selected=selected)
        sums, scores, weights = (self._new(longest, heads) for _ in range(3))
        maximum, total, out = self._new(1, heads), self._new(1, heads), self._new(size, heads)
        scale = View(name=self._constant(self.generator.integers(1, 2**15, heads)), groups=heads, stride=1)
        self.instructions += [
            isa.Gather(dst=sums, counts=q, operand="keys", name=name, keys=keys, sharing=sharing),
            isa.Multiply(
                dst=scores,
                a=sums,
                b=scale,
                shift=self._int(0, 8),
                limit=2**30 - 1,
                reduce=Reduction(kind="max", dst=maximum),
                keys=keys,
            ),
            isa.SoftmaxWeights(
                dst=weights,
                a=scores,
                maximum=maximum,
                fraction=self._int(10, 20),
                limit=self._one([COUNT_LIMIT, 15]),
                reduce=Reduction(kind="sum", dst=total),
                keys=keys,
            ),
            isa.Gather(dst=out, counts=weights, operand="values", name=name, keys=keys, sharing=sharing),
        ]
        self._flush("attention")
        self.words.append(View(name=out.name, length=size * heads, stride=size * heads))

    def _state(self) -> None:
        self._flush("parallel")
        size, heads, copies = self._int(1, 20), self._int(1, 3), self._int(1, 3)
        self.count += 1
        name = f"s{self.count}"
        self.states[name] = StateSpec(copies=copies, heads=heads, size=size)
        counts, update = self._counts(size, heads), self._activations(size, heads)
        partition = None
        if copies > 1:
            scores = self._activations(copies)
            chosen = self._new(1)
            self.instructions.append(isa.SelectTop(dst=chosen, a=scores, count=1))
            partition = chosen
        factor = self._new(1, heads)
        steps = self._new(1, heads)
        self.instructions += [
            isa.Multiply(dst=steps, a=self._a(1, heads), shift=self._one([0, 12]), limit=2**20),
            isa.Exponential(dst=factor, src=steps, fraction=self._int(14, 18)),
        ]
        self._flush("parallel")
        read = self._new(size, heads)
        self.instructions += [
            isa.Decay(dst=self._new(1, heads), factor=factor, state=name, partition=partition),
            isa.Scatter(
                counts=counts, update=update, shift=self._one([0, 3, 7]), state=name, partition=partition
            ),
            isa.Gather(dst=read, counts=counts, operand="state", name=name, partition=partition),
        ]
        self._flush("recurrent")
        self.words.append(View(name=read.name, length=size * heads, stride=size * heads))

    def _persistent(self) -> None:
        """An integrator that leaks: what it holds is read before it is written, and again behind that."""
        self._flush("parallel")
        length, groups = self._int(1, 20), self._int(1, 2)
        self._activations(length, groups)
        given = self.instructions[-1].dst
        held = self._new(length, groups, self._one([0, 3]))
        self.persistent.append(held.name)
        left, fired = self._new(length, groups), self._new(length, groups)
        limit = self._one([ACTIVATION_LIMIT, WORD_LIMIT])
        self.instructions += [
            isa.Multiply(dst=left, a=held, shift=self._one([0, 1, 5]), limit=limit),
            isa.Add(dst=held, a=left, b=given, limit=limit, subtract=bool(self._int(0, 1))),
            isa.Lookup(dst=fired, a=held, function="step", fraction=0),
        ]
        self._flush("recurrent")
        self.words.append(View(name=fired.name, length=length * groups, stride=length * groups))


def _port(name: str) -> Port:
    return Port(name=name, format=Format(fraction=0), shape=(INPUT_WORDS,))
