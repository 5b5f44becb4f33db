"""What the words of each vector are: who writes them, whether they are plain or packed scalars, how large they get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim.program import ACTIVATION_LIMIT, WORD_LIMIT, Format, Instruction, Port, Program, Reduction, View
from spikesim.program.verifier.findings import Findings

SIGMOID_ONE = 2**16
ANGLE_ONE = 2**15
"""The largest words of a sigmoid and of a sine: 1 with 16 and 15 fractional bits (`docs/numerics.md`)."""

_LOOKUPS = {"sigmoid": (0, SIGMOID_ONE), "softplus": (0, WORD_LIMIT), "step": (0, 1)}


@dataclass(frozen=True, kw_only=True)
class Content:
    """What some words are: packed scalars, or integers from `low` to `high`."""

    packed: bool = False
    low: int = 0
    high: int = 0


PACKED = Content(packed=True)
ANY_WORD = Content(low=-(2**31), high=2**31 - 1)


@dataclass(frozen=True, kw_only=True)
class Writer:
    """An instruction, its number in the program and that of its section."""

    number: int
    section: int
    instruction: Any


def _within(limit: int) -> Content:
    return Content(low=-limit, high=limit)


def contents(i: Instruction) -> Iterator[tuple[View, Content]]:
    """Every view that an instruction writes, in the order of `writes`, and what it leaves there."""
    match i:
        case isa.Multiply() | isa.Add():
            yield from _with_statistic(i.dst, _within(i.limit), i.reduce)
        case isa.Rotate():
            yield from _with_statistic(i.dst, _within(ACTIVATION_LIMIT), i.reduce)
        case isa.SoftmaxWeights():
            yield from _with_statistic(i.dst, Content(low=0, high=i.limit), i.reduce)
        case isa.Reduce():
            yield i.reduction.dst, _statistic(i.reduction, _within(WORD_LIMIT))
        case isa.Invert() | isa.ScalarMultiply() | isa.Exponential() | isa.Decay():
            yield i.dst, PACKED
        case isa.Lookup():
            low, high = _LOOKUPS[i.function]
            yield i.dst, Content(low=low, high=high)
        case isa.Phase():
            yield i.cos, _within(ANGLE_ONE)
            yield i.sin, _within(ANGLE_ONE)
        case isa.SelectTop():
            # −1 is left where there are fewer candidates than choices.
            short = i.keys is not None or i.count > i.a.length
            yield i.dst, Content(low=-1 if short else 0, high=max(i.a.length - 1, 0))
        case isa.Gather():
            yield i.dst, ANY_WORD
        case isa.Scatter() | isa.Store() | isa.Pool():
            return
        case _:
            assert_never(i)


def _with_statistic(
    dst: View, content: Content, reduction: Reduction | None
) -> Iterator[tuple[View, Content]]:
    yield dst, content
    if reduction is not None:
        yield reduction.dst, _statistic(reduction, content)


def _statistic(reduction: Reduction, content: Content) -> Content:
    return content if reduction.kind == "max" else PACKED


def instructions_of(program: Program) -> Iterator[Writer]:
    """Every instruction with its number and that of its section."""
    number = 0
    for section, part in enumerate(program.text.sections):
        for instruction in part.instructions:
            yield Writer(number=number, section=section, instruction=instruction)
            number += 1


class WordTable:
    """The words of a program's vectors, once all its instructions are known.

    `by_view`: the instruction that wrote exactly this view; `keyed`: the one that made a vector indexed by key.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.by_view: dict[View, Writer] = {}
        self.keyed: dict[str, Writer] = {}
        self._contents: dict[str, dict[Content, None]] = {}
        self._writers: dict[str, NDArray[np.int32]] = {}
        self._unknown: set[str] = set()
        for port in program.text.inputs:
            self._contents[port.name] = {_within_format(port.format): None}
        for name, words in program.constants.items():
            self._contents[name] = {_constant(words): None}

    def unknown(self, i: Instruction) -> None:
        """What an instruction writes that is broken itself: nothing is said of the users of its vectors."""
        self._unknown.update(view.name for view, _ in contents(i))

    def record(self, writer: Writer, found: Findings) -> None:
        """Take note of what an instruction writes, all of it inside its vectors; a word has one writer."""
        for number, (view, content) in enumerate(contents(writer.instruction)):
            self._contents.setdefault(view.name, {})[content] = None
            if view.name not in self._writers:
                self._writers[view.name] = np.full(self.program.text.vectors[view.name], -1, np.int32)
            places = runs(self._writers[view.name], view)
            earlier = int(places.max())
            field = "what it writes" if number == 0 else "its statistic"
            value = f"{view.name}, which instruction {earlier} writes"
            if found.require(earlier < 0, field, "words that nothing else writes", value):
                self.by_view[view] = writer
            places[...] = writer.number
            if number == 0 and writer.instruction.keyed:
                self.keyed[view.name] = writer

    def is_written(self, name: str) -> bool:
        """Whether an instruction writes any word of a vector, as far as is known."""
        return name in self._writers or name in self._unknown

    def check_read(self, field: str, view: View, number: int, found: Findings) -> bool:
        """Whether the words of a view are there when instruction `number` reads them: none is written later."""
        if view.name in self._unknown:
            return False
        if view.name in self.program.constants or view.name in self.program.text.input_names:
            return True
        writers = self._writers.get(view.name)
        if writers is None:
            return found.require(
                False,
                field,
                "a constant, an input or written by an instruction",
                f"{view.name}, which is none",
            )
        if view.name in self.program.text.persistent:
            return True
        read = runs(writers, view)
        last = int(read.max())
        # Vectors share the memory of the core: what nobody wrote is what another vector left.
        return found.require(
            last < number, field, "written before it is read", f"written by instruction {last}"
        ) and found.require(
            int(read.min()) >= 0,
            field,
            "words that an instruction writes",
            f"some of {view.name} that none does",
        )

    def fits(self, field: str, port: Port, found: Findings) -> bool:
        """Whether all words of an output are written and stay within the bits of its format; scalars take all 32."""
        all_written = port.name in self._unknown or int(self._writers[port.name].min()) >= 0
        if not found.require(all_written, field, "words that an instruction writes", "some that none does"):
            return False
        low, high = port.format.least, port.format.limit
        if any(content.packed for content in self._contents.get(port.name, ())):
            return found.require(
                port.format.bits == 32, f"bits of {field}", "32, of packed scalars", port.format.bits
            )
        return self.plain(field, View(name=port.name), low, high, found)

    def plain(self, field: str, view: View, low: int, high: int, found: Findings) -> bool:
        """Require integers within low … high; a word that nothing wrote is 0."""
        for content in self._contents.get(view.name, ()):
            if not found.require(not content.packed, field, "plain words", f"packed scalars ({view.name})"):
                return False
            if not found.require(
                low <= content.low and content.high <= high,
                field,
                f"words within {low} … {high}",
                f"{content.low} … {content.high} ({view.name})",
            ):
                return False
        return True

    def packed(self, field: str, view: View, found: Findings) -> bool:
        """Require packed scalars; a word that nothing wrote is the scalar 0."""
        words = self.program.constants.get(view.name)
        if words is not None:
            mantissas = runs(words, view) & 0xFFFF
            fits = bool(((mantissas >= 2**15) | (runs(words, view) == 0)).all())
        else:
            fits = all(content.packed for content in self._contents.get(view.name, ()))
        return found.require(fits, field, "packed scalars", f"plain words ({view.name})")


def runs(words: NDArray[np.int32], view: View) -> NDArray[np.int32]:
    """[groups, length]: the words of a view that is known to lie inside its vector."""
    step = words.itemsize
    return np.lib.stride_tricks.as_strided(
        words[view.offset :], (view.groups, view.length), (view.stride * step, step)
    )


def _within_format(given: Format) -> Content:
    return Content(low=given.least, high=given.limit)


def _constant(words: NDArray[np.int32]) -> Content:
    if words.size == 0 or words.dtype != np.int32:
        return ANY_WORD
    return Content(low=int(words.min()), high=int(words.max()))
