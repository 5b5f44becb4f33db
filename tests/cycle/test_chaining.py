"""Chained issue: instructions played slot by slot read no word too early, and wait no longer than they must."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spikesim import program as isa
from spikesim import timing
from spikesim.chaining import tails
from spikesim.program import Program, View
from spikesim.verify.random_programs import RandomProgram

POINTWISE = (
    isa.Multiply, isa.Add, isa.Reduce, isa.Invert, isa.ScalarMultiply, isa.Exponential, isa.Lookup, isa.SoftmaxWeights,
    isa.Phase, isa.Rotate, isa.Decay, isa.Pool,
)  # fmt: skip
PACKED = (isa.Invert, isa.ScalarMultiply, isa.Exponential, isa.Decay)
Place = tuple[str, int]


class Play:
    """The slots of an instruction in order: which words each reads, and which it writes later."""

    def __init__(self, instruction: Any, words: int, keys: int | None) -> None:
        self.instruction = instruction
        self.words = 1 if isinstance(instruction, PACKED) else words
        self.reads: list[list[Place]] = []
        self.writes: list[list[Place]] = []
        groups, length = timing.pointwise_shape(instruction)
        self.shape = timing.pointwise_view(instruction)
        self.merged = groups == 1
        length = length if keys is None else keys
        for group in range(groups):
            self._header(group, behind=group > 0)
            for first in range(0, length, self.words) if not isinstance(instruction, isa.Rotate) else ():
                self._run(group, range(first, min(first + self.words, length)))
            if isinstance(instruction, isa.Rotate):
                self._rotated(group, length // 2)
        self._header(groups, behind=True, last=True)

    def _slot(self, reads: list[Place], writes: list[Place]) -> None:
        self.reads.append(reads)
        self.writes.append(writes)

    def _place(self, view: View, group: int, word: int) -> Place:
        if self.merged and self.shape.groups > 1:
            group, word = divmod(word, self.shape.length)
        stride = view.stride if view.groups > 1 else 0
        return view.name, view.offset + group * stride + (word if view.length > 1 else 0)

    def _header(self, group: int, *, behind: bool, last: bool = False) -> None:
        scalars = [getattr(self.instruction, name, None) for name in ("scalar", "norm", "maximum")]
        reduction = getattr(self.instruction, "reduce", None) or getattr(self.instruction, "reduction", None)
        reads = [(v.name, v.offset + group * v.stride) for v in scalars if v is not None and not last]
        writes = []
        if reduction is not None and behind:
            writes.append((reduction.dst.name, reduction.dst.offset + (group - 1) * reduction.dst.stride))
        self._slot(reads, writes)

    def _run(self, group: int, run: range) -> None:
        i = self.instruction
        sources = [getattr(i, name, None) for name in ("a", "b", "src", "increment", "factor")]
        reads = [self._place(view, group, word) for view in sources if view is not None for word in run]
        places = [i.cos, i.sin] if isinstance(i, isa.Phase) else [getattr(i, "dst", None)]
        if isinstance(i, isa.Decay):
            places += [None, None]
        for view in places:
            self._slot(reads, [self._place(view, group, word) for word in run] if view is not None else [])

    def _rotated(self, group: int, half: int) -> None:
        i = self.instruction
        for second in (False, True):
            for first in range(0, half, self.words):
                run = range(first, min(first + self.words, half))
                low = [self._place(i.a, group, word) for word in run]
                high = [self._place(i.a, group, word + half) for word in run]
                cos, sin = ([(v.name, v.offset + w) for w in run] for v in (i.cos, i.sin))
                self._slot(low + (sin if second else cos), [])
                done = [self._place(i.dst, group, word + half * second) for word in run]
                self._slot(high + (cos if second else sin), done)


def chains(program: Program) -> Iterator[list[int]]:
    """Numbers of pointwise instructions that follow one another."""
    chain: list[int] = []
    for number, instruction in enumerate(program.instructions()):
        if isinstance(instruction, POINTWISE):
            chain.append(number)
        if chain and (not isinstance(instruction, POINTWISE) or instruction.PARTS > 1):
            yield chain
            chain = []
    if chain:
        yield chain


def check(program: Program, words: int, generator: np.random.Generator) -> dict[str, int]:
    """Plays all chains; -> how many instructions there were of each kind."""
    instructions = list(program.instructions())
    found = tails(program, words=words)
    whole = timing.pointwise_latency(words)
    seen = {"followed at once": 0, "followed later": 0, "waited for": 0}
    for chain in chains(program):
        ready: dict[Place, int] = {}
        start = 0
        for number, following in zip(chain, [*chain[1:], None], strict=True):
            i = instructions[number]
            keys = (
                None if i.cached is None else int(generator.integers(1, timing.pointwise_view(i).length + 1))
            )
            play = Play(i, words, keys)
            groups, length = timing.pointwise_shape(i)
            slots = timing.pointwise_slots(i, length if keys is None else keys, words=words)
            assert len(play.reads) == groups * (slots + 1) + 1
            slack = whole
            for slot, (reads, writes) in enumerate(zip(play.reads, play.writes, strict=True), start):
                for place in reads:
                    assert ready.get(place, slot) <= slot, f"{number} reads {place} too early"
                    slack = min(slack, slot - ready.get(place, slot - whole))
                for place in writes:
                    ready[place] = slot + whole - 1
            if number != chain[0] and i.cached is None and found[number - 1] > timing.POINTWISE_TAIL:
                before = instructions[number - 1]
                if found[number - 1] < whole and all(instructions[n].cached is None for n in chain):
                    assert slack == 0, f"{number} could follow {before.op} earlier"
            last = start + len(play.reads) - 1
            if following is None or found[number] == whole:
                seen["waited for"] += 1
                ready, start = {}, 0
            else:
                seen["followed at once" if found[number] == timing.POINTWISE_TAIL else "followed later"] += 1
                start = last + found[number] + timing.issue_cycles(instructions[following]) + 1
    return seen


@pytest.mark.parametrize("words", [1, 4, 16])
def test_nothing_is_read_before_it_is_written(words: int) -> None:
    """Random programs, keyed instructions with any number of keys; and no tail is longer than a word asks for."""
    generator = np.random.default_rng(words)
    total: dict[str, int] = {}
    for seed in range(40):
        for name, count in check(RandomProgram(seed).program(), words, generator).items():
            total[name] = total.get(name, 0) + count
    assert min(total.values()) > 50, total


def test_several_cores_have_fewer_slots_to_follow() -> None:
    """A long instruction that the next one follows word by word: when its last slot enters, its first word is there."""
    view = View(name="x", length=4000, stride=4000)
    other, third = view.model_copy(update={"name": "y"}), view.model_copy(update={"name": "z"})
    vectors = {"x": 4000, "y": 4000, "z": 4000}
    instructions = (
        isa.Multiply(dst=other, a=view),
        isa.Multiply(dst=third, a=other),
        isa.Multiply(dst=third, a=view),
    )
    program = RandomProgram(0).program()
    section = isa.Section(kind="parallel", instructions=instructions)
    text = program.text.model_copy(update={"vectors": vectors, "sections": (section,)})
    alone = tails(Program(text=text, constants={}, matrices={}), words=4)
    many = tails(Program(text=text, constants={}, matrices={}), words=4, cores=100)
    whole = timing.pointwise_latency(4)
    assert alone == [timing.POINTWISE_TAIL, timing.POINTWISE_TAIL, whole]
    # 10 slots and two headers of 40 words: the last slot enters 11 cycles behind the first
    assert many == [whole - 1 - 1 - timing.ISSUE_CYCLES - 11, timing.POINTWISE_TAIL, whole]
