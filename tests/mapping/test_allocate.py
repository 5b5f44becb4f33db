"""Places in the vector memory, for random programs: what is alive together shares no word."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

from helpers.places import CHECKOUT
from helpers.programs import port
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from spikesim.mapping.allocate import Allocation, allocate
from spikesim.program import Add, Program, ProgramText, Section, View
from spikesim.verify.random_programs import RandomProgram

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Sums of earlier vectors, of any sizes: lives and places nest and cross in every way."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=25))
    views = [View(name=f"v{n}", length=1, stride=1) for n in range(len(sizes))]
    sums = [
        Add(dst=views[n], a=draw(st.sampled_from(views[:n])), b=draw(st.sampled_from(views[:n])))
        for n in range(1, len(views))
    ]
    words = {view.name: size for view, size in zip(views, sizes, strict=True)}
    last = draw(st.sampled_from(views[1:])).name
    text = ProgramText(
        name="sums",
        inputs=(port("v0", words["v0"]),),
        outputs=(port(last, words[last]),),
        vectors=words,
        sections=(Section(kind="parallel", instructions=tuple(sums)),),
    )
    return Program(text=text, constants={}, matrices={})


def mentioned(item: Any) -> Iterator[str]:
    """Names of all vectors that an instruction mentions, however deep."""
    if isinstance(item, View):
        yield item.name
    elif isinstance(item, BaseModel):
        for _, value in item:
            yield from mentioned(value)


def lives(program: Program) -> dict[str, range]:
    """Of every vector, the instructions from its first mention to its last; inputs come before, the output stays."""
    seen: dict[str, list[int]] = {name: [-1] for name in program.text.input_names}
    instructions = list(program.instructions())
    for number, instruction in enumerate(instructions):
        for name in mentioned(instruction):
            seen.setdefault(name, []).append(number)
    for name in program.text.output_names:
        seen[name].append(len(instructions))
    return {name: range(min(numbers), max(numbers) + 1) for name, numbers in seen.items()}


def words(program: Program, allocation: Allocation[str], name: str) -> range:
    first = allocation.addresses[name]
    return range(first, first + program.text.vectors[name])


def overlap(a: range, b: range) -> bool:
    return a.start < b.stop and b.start < a.stop


@given(programs() | SEEDS.map(lambda seed: RandomProgram(seed).program()), st.data())
def test_what_is_alive_together_shares_no_word(program: Program, data: st.DataObject) -> None:
    """Every vector that is neither constant nor pinned has its place, within the words that are asked for."""
    alive = {name: life for name, life in lives(program).items() if name not in program.constants}
    pinned = data.draw(st.sets(st.sampled_from(sorted(alive))))
    allocation = allocate(program, pinned)
    placed = {name: words(program, allocation, name) for name in allocation.addresses}
    assert placed.keys() == alive.keys() - pinned
    assert all(place.start >= 0 and place.stop <= allocation.words for place in placed.values())
    for a, b in combinations(placed, 2):
        assert not (overlap(alive[a], alive[b]) and overlap(placed[a], placed[b])), (a, b)


@given(SEEDS)
def test_words_are_shared_and_none_is_asked_for_in_vain(seed: int) -> None:
    """The last word is of some vector; and there are fewer than if nothing were shared, unless all live at once."""
    program = RandomProgram(seed, stanzas=8).program()
    allocation = allocate(program)
    assert allocation.words == max(words(program, allocation, name).stop for name in allocation.addresses)
    assert allocation.words < sum(program.text.vectors[name] for name in allocation.addresses)


@given(SEEDS)
def test_the_same_program_has_the_same_places(seed: int) -> None:
    """In whatever order its vectors are listed."""
    program = RandomProgram(seed).program()
    text = program.text.model_copy(update={"vectors": dict(reversed(program.text.vectors.items()))})
    assert allocate(replace(program, text=text)) == allocate(program)


def test_places_do_not_follow_the_order_of_a_set() -> None:
    """Python orders names otherwise in every process; emitted images are the same."""
    script = (
        "from spikesim.mapping.allocate import allocate\n"
        "from spikesim.verify.random_programs import RandomProgram\n"
        "print(sorted(allocate(RandomProgram(5, stanzas=12).program()).addresses.items()))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(CHECKOUT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1
