"""Every word that an instruction cuts is counted, where it is cut and no more than once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.programs import angles, compiled_layer, port, small_config
from helpers.recount import Recount, shifted
from helpers.tried import tried

from spikesim.golden.machine import Machine
from spikesim.golden.pointwise import multiply
from spikesim.hardware import HardwareConfig
from spikesim.program import (
    Add,
    CacheSpec,
    Lookup,
    Multiply,
    Pool,
    Program,
    ProgramText,
    Rotate,
    Scatter,
    Section,
    StateSpec,
    View,
)

WORD = 2**31 - 1


def row(name: str, length: int) -> View:
    return View(name=name, length=length, stride=length)


def machine_of(kind: str, instructions: list[Any], inputs: dict[str, int], **parts: Any) -> Machine:
    """A machine of one section, whose other vectors are those that it writes."""
    written = {view.name: view.words for i in instructions for view in i.writes()}
    vectors = {
        **inputs,
        **written,
        "end": 1,
        **{name: w.size for name, w in parts.get("constants", {}).items()},
    }
    end = Multiply(dst=row("end", 1), a=row(next(iter(inputs)), 1), limit=WORD)
    text = ProgramText(
        name="words",
        inputs=tuple(port(name, words) for name, words in inputs.items()),
        outputs=(port("end", 1),),
        vectors=vectors,
        sections=(Section(kind=kind, instructions=(*instructions, end)),),  # type: ignore[arg-type]
        caches=parts.get("caches", {}),
        states=parts.get("states", {}),
    )
    return Machine(Program(text=text, constants=parts.get("constants", {}), matrices={}))


def given(*words: int) -> np.ndarray:
    """One token of one sequence."""
    return np.array(words, np.int32)[None, None]


@pytest.mark.parametrize(
    ("words", "settings", "beyond"),
    [
        pytest.param(
            (127, -127, 128, -129),
            {"limit": 127},
            2,
            marks=tried(
                1, "words just at a limit and just beyond it", "only those beyond it count as saturated"
            ),
        ),
        pytest.param(
            (2**30, -(2**30), 5),
            {"limit": WORD, "shift": -1},
            2,
            marks=tried(1, "a left shift that pushes bits out of a word", "the words count as saturated"),
        ),
        pytest.param(
            (255, 256, -255, -256),
            {"limit": 127, "shift": 1},
            4,
            marks=tried(1, "values that only rounding takes beyond a limit", "they count as saturated"),
        ),
        pytest.param(
            (253, -253),
            {"limit": 127, "shift": 1},
            0,
            marks=tried(1, "a tie that rounds to the limit", "none counts"),
        ),
    ],
)
def test_a_product_is_cut_where_it_does_not_fit(
    words: tuple[int, ...], settings: dict[str, int], beyond: int
) -> None:
    n = len(words)
    expected = sum(abs(shifted(w, settings.get("shift", 0))) > settings["limit"] for w in words)
    machine = machine_of("parallel", [Multiply(dst=row("y", n), a=row("x", n), **settings)], {"x": n})
    machine.run({"x": given(*words)})
    assert machine.cut[0].tolist() == [n, expected] == [n, beyond]


@tried(
    1, "a product beyond 31 bits that ends below the limit after all", "the word counts as saturated, once"
)
def test_a_product_that_was_cut_on_its_way_counts() -> None:
    """2³⁰ · 8 is cut to 2³¹ − 1, and shifted to 2¹¹ in place of 2¹³: well within a limit, and wrong."""
    factors = np.array([8, 8, 1], np.int32)
    i = Multiply(dst=row("y", 3), a=row("x", 3), b=row("factors", 3), shift=20, limit=32767)
    machine = machine_of("parallel", [i], {"x": 3}, constants={"factors": factors})
    out = machine.run({"x": given(2**30, 2**20, 2**30)})
    assert out["y"][0, 0].tolist() == [2**11, 8, 2**10]
    assert machine.cut[0].tolist() == [3, 1]
    assert machine.clipped == {}


@tried(
    1, "an instruction that overwrites what it reads, beyond 31 bits", "its words count as they were before"
)
def test_a_product_that_overwrites_its_operand_counts() -> None:
    dst, words = np.full((1, 1, 3), 2**30, np.int32), np.full((1, 1, 3), 8, np.int32)
    none, flags = np.zeros((1, 1), np.int32), np.zeros((1, 1, 1), np.bool_)
    counted = multiply(dst, dst, words, none, flags, none, True, False, False, 0, 20, 32767, 0)
    assert counted == (0, 3)
    assert dst.tolist() == [[[2**11] * 3]]


@tried(1, "a sum and a difference of large words", "each word beyond ±(2³¹ − 1) counts")
def test_sums_are_cut_where_they_do_not_fit() -> None:
    plus = Add(dst=row("s", 3), a=row("x", 3), b=row("y", 3))
    minus = Add(dst=row("d", 3), a=row("x", 3), b=row("y", 3), subtract=True)
    machine = machine_of("parallel", [plus, minus], {"x": 3, "y": 3})
    machine.run({"x": given(WORD, WORD, -WORD), "y": given(1, -1, -1)})
    assert machine.cut[:2].tolist() == [[3, 2], [3, 1]]


@tried(1, "softplus of a value beyond its fractional bits", "the word counts; where the table ends none does")
def test_softplus_is_cut_where_it_does_not_fit() -> None:
    i = Lookup(dst=row("y", 4), a=row("x", 4), function="softplus", fraction=0)
    machine = machine_of("parallel", [i], {"x": 4})
    out = machine.run({"x": given(2047, 2048, 100, -(2**30))})
    assert out["y"][0, 0].tolist() == [2047 << 20, WORD, 100 << 20, 0]
    assert machine.cut[0].tolist() == [4, 1]


@tried(1, "a rotation that makes an activation longer", "the words beyond ±32,767 count")
def test_rotated_words_are_cut_where_they_do_not_fit() -> None:
    i = Rotate(dst=row("y", 2), a=row("x", 2), cos=row("c", 1), sin=row("s", 1))
    tables = {"c": np.array([23170], np.int32), "s": np.array([23170], np.int32)}
    limited = Multiply(dst=row("x", 2), a=row("w", 2), limit=32767)
    machine = machine_of("parallel", [limited, i], {"w": 2}, constants=tables)
    machine.run({"w": given(32767, 32767)})
    # (x1 − x2) / √2 is 0, (x1 + x2) / √2 is 46,340.
    assert machine.cut[1].tolist() == [2, 1]


@tried(1, "block means beyond the range of calibration", "each word of a mean that is cut to ±127 counts")
def test_block_means_are_cut_where_they_do_not_fit() -> None:
    keys = Multiply(dst=row("k", 4), a=row("x", 4), limit=127)
    pool = Pool(src=row("k", 4), cache="cache", block=2, scale=3, shift=2)
    caches = {"cache": CacheSpec(heads=1, size=4, tokens=8, block=2)}
    machine = machine_of("parallel", [keys, pool], {"x": 4}, caches=caches)
    words = np.array([[100, 90, -100, 5], [80, 79, -71, 5], [1, 2, 3, 4]], np.int32)[:, None]
    machine.run({"x": words})
    sums = words[:2, 0].sum(axis=0)
    exact = [shifted(3 * int(s), 2) for s in sums]
    assert machine.cut[1].tolist() == [4, sum(abs(e) > 127 for e in exact)] == [4, 2]
    assert machine.caches["cache"].means[0, 0, 0].tolist() == [127, 127, -127, 8]


@tried(1, "state words that outgrow 16 bits", "each write that wraps counts, of the words that were written")
def test_wrapped_state_words_are_counted_where_they_are_written() -> None:
    counts = Multiply(dst=row("k", 2), a=row("x", 2), limit=127)
    update = Multiply(dst=row("u", 2), a=row("w", 2), limit=32767)
    scatter = Scatter(counts=row("k", 2), update=row("u", 2), shift=0, state="state")
    states = {"state": StateSpec(copies=1, heads=1, size=2)}
    machine = machine_of("recurrent", [counts, update, scatter], {"x": 2, "w": 2}, states=states)
    steps = [((3, 0), (10000, 20)), ((1, 1), (5000, 32767)), ((0, 0), (9, 9))]
    for k, u in steps:
        machine.run({"x": given(*k), "w": given(*u)})
    state, written, wrapped = np.zeros((2, 2), np.int64), 0, 0
    for k, u in steps:
        for n, count in enumerate(k):
            if count:
                exact = state[n] + count * np.array(u)
                written, wrapped = written + 2, wrapped + int((exact != exact.astype(np.int16)).sum())
                state[n] = exact.astype(np.int16)
    assert machine.cut[2].tolist() == [written, wrapped] == [6, 2]
    assert machine.states["state"].overflows == wrapped


@pytest.mark.parametrize("activation", ["threshold", "int8"])
@pytest.mark.parametrize("kind", [0, 1, 2], ids=["moba", "sse", "full"])
@tried(
    1,
    "a whole layer on words far beyond its calibration",
    "every instruction's count is that of an exact recount",
)
def test_the_counts_of_a_layer_are_those_of_an_exact_recount(kind: int, activation: str) -> None:
    """Of every product, sum and rotation, those over keys included, of words that go up to the limit of the stream."""
    hardware = HardwareConfig().replace(**{"numerics.activation": activation, "numerics.window": 4})
    layer = compiled_layer(small_config(), kind, hardware, tokens=7, sequences=1)
    words = layer.words.astype(np.int64) << 20
    words[3] = layer.words[3]
    words = np.clip(words, -WORD, WORD).astype(np.int32)
    machine, recount = Machine(layer.program), Recount()
    machine.run({"h": words, **angles(small_config(), 7, 1)}, [recount])
    assert {number: tuple(machine.cut[number].tolist()) for number in recount.cut} == recount.cut
    instructions = list(layer.program.instructions())
    sums = {instructions[number].writes()[0].name for number, (_, beyond) in recount.cut.items() if beyond}
    assert sums & {"h_mid", "h_sse", "h_out"}
