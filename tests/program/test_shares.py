"""What one of several cores holds: never less than its part, all of it with one core, and no more than all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.programs import compiled_layer, small_config

from spikesim import program as isa
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_position
from spikesim.mapping.link import link
from spikesim.program import CacheSpec, Format, Port, Program, ProgramText, Section, View, series
from spikesim.program.shares import cache_heads, vector_shares
from spikesim.verify.random_programs import RandomProgram

PROGRAMS = [RandomProgram(seed).program() for seed in range(8)] + [
    compiled_layer(small_config(), index, HardwareConfig(), tokens=4, sequences=1).program
    for index in range(3)
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.text.name)
@pytest.mark.parametrize("cores", [2, 3, 64])
def test_all_cores_together_hold_every_word(program: Program, cores: int) -> None:
    text = program.text
    shares = vector_shares(text, cores=cores, lanes=4)
    assert shares.keys() == text.vectors.keys()
    for name, words in text.vectors.items():
        assert words <= cores * shares[name]
        assert 1 <= shares[name] <= words
    assert vector_shares(text, cores=1, lanes=4) == text.vectors


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.text.name)
def test_more_cores_need_no_more_each(program: Program) -> None:
    before = [compile_position(small_config())] if program.text.name.startswith("layer") else []
    chain = series([*before, program])
    sizes = [link(chain, HardwareConfig().replace(**{"system.cores": cores})) for cores in (1, 2, 8)]
    assert sizes[0].row_words >= sizes[1].row_words >= sizes[2].row_words
    assert sizes[0].state_words >= sizes[1].state_words >= sizes[2].state_words
    totals = [
        [vector_shares(program.text, cores=n, lanes=64)[v] for v in program.text.vectors] for n in (1, 2, 8)
    ]
    assert all((np.diff(words) <= 0).all() for words in zip(*totals, strict=True))


def _text(*instructions: Any, caches: dict[str, CacheSpec] | None = None, **vectors: int) -> ProgramText:
    return ProgramText(
        name="made",
        outputs=(Port(name="out", format=Format(fraction=0), shape=(1,)),),
        vectors={"out": 1, **vectors},
        sections=(Section(kind="parallel", instructions=instructions),),
        caches=caches or {},
    )


def test_logits_are_dealt_and_the_counts_of_a_matrix_are_not() -> None:
    gather = isa.Gather(
        dst=View(name="logits", length=1000), counts=View(name="x", length=72), operand="matrix", name="m"
    )
    shares = vector_shares(_text(gather, logits=1000, x=72), cores=8, lanes=16)
    assert shares["logits"] == 8 * 16  # 63 chunks of 16 columns, 8 on the fullest core
    assert shares["x"] == 72


def test_parts_add_up_and_whole_views_do_not() -> None:
    """Heads of two passes, each with a head per core; a whole view of the same words asks for no more."""

    def heads(offset: int) -> isa.Add:
        view = View(name="o", offset=offset, groups=4, length=10, stride=10)
        other = View(name="a", groups=4, length=10, stride=10)
        return isa.Add(dst=view, a=other, b=other)

    whole = View(name="o", groups=8, length=10, stride=10)
    text = _text(heads(0), heads(40), isa.Add(dst=whole, a=whole, b=whole), o=80, a=40)
    assert vector_shares(text, cores=4, lanes=1) == {"o": 20, "a": 10, "out": 1}
    shared = View(name="g", groups=4, length=10, stride=0)
    per_head = View(name="a", groups=4, length=10, stride=10)
    text = _text(isa.Add(dst=per_head, a=per_head, b=shared), a=40, g=10)
    assert vector_shares(text, cores=4, lanes=1)["g"] == 10


@pytest.mark.parametrize(
    ("cores", "fullest", "everywhere"),
    [(1, 8, 8), (2, 8, 16), (4, 8, 32), (8, 4, 32), (16, 2, 32), (32, 1, 32), (64, 1, 32)],
)
def test_a_key_value_head_lies_wherever_a_query_head_of_it_is(
    cores: int, fullest: int, everywhere: int
) -> None:
    """32 query heads in turn, 4 of each key/value head, whatever the passes."""
    gathers = [
        isa.Gather(
            dst=View(name="s", groups=8, length=4, stride=4),
            counts=View(name="q", groups=8, length=4, stride=4),
            operand="keys",
            name="kv",
            keys=isa.CacheKeys(cache="kv", kind="full"),
            first_head=first,
            sharing=4,
        )
        for first in range(0, 32, 8)
    ]
    text = _text(*gathers, caches={"kv": CacheSpec(heads=8, size=4, tokens=4)}, s=32, q=32)
    assert cache_heads(text, "kv", cores) == (fullest, everywhere)
