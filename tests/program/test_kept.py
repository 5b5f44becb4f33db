"""Which gathers find their counts in the event encoders: what comes between two of the same counts decides."""

from __future__ import annotations

import numpy as np
import pytest

from spikesim import program as isa
from spikesim.program import Instruction, Program, ProgramText, Reduction, Section, View
from spikesim.program.kept import kept_counts

COUNTS = View(name="counts", offset=4, length=8, stride=8)


def vector(name: str, length: int = 8) -> View:
    return View(name=name, length=length, stride=length)


def product(counts: View = COUNTS, dst: View | None = None) -> isa.Gather:
    return isa.Gather(dst=dst or vector("sums", 3), counts=counts, operand="matrix", name="m")


def copied(dst: View) -> isa.Multiply:
    return isa.Multiply(dst=dst, a=vector("a", dst.length))


def statistic(dst: View) -> isa.Reduce:
    return isa.Reduce(a=vector("a"), reduction=Reduction(kind="max_abs", dst=dst))


def kept(*instructions: Instruction) -> list[int]:
    """The rule looks at instructions alone: nothing else of the program has to be there."""
    text = ProgramText(
        name="p",
        outputs=(),
        vectors={},
        sections=(Section(kind="parallel", instructions=instructions),),
    )
    return sorted(kept_counts(Program(text=text, constants={}, matrices={"m": np.zeros((3, 8), np.int8)})))


def test_the_same_counts_again_are_kept() -> None:
    assert kept(product(), product(), product()) == [1, 2]


@pytest.mark.parametrize(
    "between",
    [
        copied(vector("other")),
        copied(View(name="counts", offset=0, length=4)),
        copied(View(name="counts", offset=12, length=4)),
        statistic(View(name="counts", offset=12)),
        isa.Store(src=vector("k"), cache="c", kind="keys"),
        isa.Decay(dst=vector("g", 1), factor=vector("f", 1), state="s"),
        isa.SelectTop(dst=vector("top", 2), a=COUNTS, count=2),
    ],
)
def test_what_writes_elsewhere_and_loads_nothing_leaves_them(between: Instruction) -> None:
    assert kept(product(), between, product()) == [2]


@pytest.mark.parametrize(
    "between",
    [
        copied(COUNTS),
        copied(View(name="counts", offset=0, length=5)),
        copied(View(name="counts", offset=11, length=1)),
        copied(View(name="counts", offset=0, groups=2, length=1, stride=20)),
        statistic(View(name="counts", offset=7)),
        isa.Phase(
            cos=vector("cos", 4), sin=View(name="counts", offset=8, length=4), increment=vector("i", 4)
        ),
        product(dst=View(name="counts", offset=3, length=3)),
        product(vector("other")),
        product(COUNTS.model_copy(update={"groups": 2})),
        isa.Gather(dst=vector("read"), counts=COUNTS, operand="state", name="s"),
        isa.Gather(
            dst=vector("gate"),
            counts=COUNTS,
            operand="means",
            name="c",
            keys=isa.CacheKeys(cache="c", kind="blocks", span=4),
        ),
        isa.Scatter(counts=COUNTS, update=vector("u"), shift=0, state="s"),
    ],
)
def test_a_write_or_another_load_ends_what_is_held(between: Instruction) -> None:
    found = kept(product(), between, product())
    assert 2 not in found


@pytest.mark.parametrize(
    "other",
    [
        COUNTS.model_copy(update={"length": 7}),
        COUNTS.model_copy(update={"offset": 5}),
        COUNTS.model_copy(update={"name": "others"}),
        COUNTS.model_copy(update={"groups": 2}),
    ],
)
def test_only_the_very_same_words_are_kept(other: View) -> None:
    assert kept(product(), product(other)) == []


def test_counts_that_a_gather_overwrites_itself_are_not_held() -> None:
    assert kept(product(dst=View(name="counts", length=5)), product()) == []


def test_a_gather_that_keeps_and_overwrites_ends_it() -> None:
    assert kept(product(), product(dst=View(name="counts", length=5)), product()) == [1]
