"""The assembler: nothing that a field, a word or a memory does not hold is written as something else."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.programs import port

from spikesim import program as isa
from spikesim.errors import CapacityError
from spikesim.hardware import HardwareConfig
from spikesim.mapping import link as link_module
from spikesim.mapping.link import link
from spikesim.program import CacheKeys, CacheSpec, Program, ProgramText, Section, StateSpec, View, series
from spikesim.program.layout import CoreLayout, OperandLayout
from spikesim.rtl import assemble as assemble_module
from spikesim.rtl.assemble import HardwareInstruction, assemble
from spikesim.rtl.images import place_matrix, row_images, vector_image
from spikesim.rtl.isa import COMMON, FIELDS, INSTRUCTION, field_range

HARDWARE = HardwareConfig()
ALL_FIELDS = [("common", name) for name, _ in COMMON] + [
    (part, name) for part, layout in FIELDS.items() for name, _ in layout
]
ENUMERATIONS = {"unit", "extent", "operation", "statistic", "run"}


@pytest.fixture(autouse=True)
def nothing_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the verifier refuses never comes here; that this refuses it all the same is the test."""
    for module in (link_module, assemble_module):
        name = "verify_program" if hasattr(module, "verify_program") else "verify_chain"
        monkeypatch.setattr(module, name, lambda _programs: None)
    monkeypatch.setattr(link_module, "check_accumulators", lambda _programs, _hardware: None)


def _layout(part: str) -> Any:
    return COMMON if part == "common" else FIELDS[part]


def _instruction(part: str, name: str, value: int) -> HardwareInstruction:
    if part == "common":
        return HardwareInstruction(common={name: value}, fields={}, program=3, instruction=7)
    return HardwareInstruction(common={}, fields={part: {name: value}}, program=3, instruction=7)


def _bits(word: int, part: str, name: str) -> int:
    """The number in a field of a 512-bit word, by the positions of the layouts."""
    field = _layout(part)[name]
    offset = INSTRUCTION["common" if part == "common" else "fields"].offset + field.offset
    raw = word >> offset & (1 << field.width) - 1
    least, _ = field_range(_layout(part), name)
    return raw - (1 << field.width) if least < 0 and raw >> field.width - 1 else raw


@pytest.mark.parametrize(("part", "name"), ALL_FIELDS)
def test_every_field_holds_its_range_and_refuses_the_next_number(part: str, name: str) -> None:
    """Both ends, signed fields too; what is beyond is refused with field, value and limit."""
    low, high = field_range(_layout(part), name)
    assert high - low + 1 == 1 << _layout(part)[name].width
    if name not in ENUMERATIONS:  # members end below what their bits hold
        for value in (low, high):
            assert _bits(_instruction(part, name, value).word(), part, name) == value
    for value in (low - 1, high + 1, high + 1 << 4):
        wanted = f"{part}.{name} of program 3, instruction 7 must be in {low} … {high}"
        with pytest.raises(CapacityError, match=f"{re.escape(wanted)}.* not {value}$"):
            _instruction(part, name, value).word()


def test_all_bits_of_an_instruction_word_are_spoken_for() -> None:
    """Fields found by the layouts, none by hand: the widest unit and the unused bits make 512."""
    widest = max(layout.size for layout in FIELDS.values())
    assert INSTRUCTION.size == 512 == COMMON.size + widest + INSTRUCTION["unused"].width
    assert len(ALL_FIELDS) > 70


def _program(
    *instructions: Any,
    vectors: dict[str, int] | None = None,
    constants: dict[str, Any] | None = None,
    matrices: dict[str, Any] | None = None,
) -> Program:
    text = ProgramText(
        name="made_up",
        inputs=(port("h", 16),),
        outputs=(port("out", 16),),
        vectors={"h": 16, "out": 16, **(vectors or {})},
        sections=(Section(kind="parallel", instructions=(_copy(), *instructions)),),
        caches={"cache": CacheSpec(heads=2, size=4, tokens=16, block=4)},
        states={"state": StateSpec(copies=1, heads=2, size=4)},
    )
    return Program(text=text, constants=constants or {}, matrices=matrices or {})


def _whole(name: str, length: int = 16, **more: int) -> View:
    return View(name=name, length=length, stride=length, **more)


def _copy() -> isa.Multiply:
    return isa.Multiply(dst=_whole("out"), a=_whole("h"))


def _assemble(program: Program) -> CoreLayout:
    layout = link(series([program]), HARDWARE)
    assemble(series([program]), layout, ways=HARDWARE.array.ways, words=HARDWARE.pointwise.words)
    return layout


_MATRIX = {"m": np.zeros((16, 16), np.int8)}
_KEYS = CacheKeys(cache="cache", kind="full")
_ONE = View(name="h")
CASES: dict[str, tuple[Any, str, int]] = {
    "groups": (
        isa.Multiply(
            dst=_whole("big", 2, groups=5000),
            a=_whole("big", 2, groups=5000),
            scalar=View(name="h", stride=1),
        ),
        "common.groups",
        5000,
    ),
    "channels": (
        isa.Gather(dst=_whole("out"), counts=View(name="huge", length=2**21), operand="state", name="state"),
        "array.channels",
        2**21,
    ),
    "address": (
        isa.Multiply(dst=_whole("out"), a=View(name="huge", offset=2**24 + 5, length=16)),
        "pointwise.a",
        0,
    ),
    "sharing": (
        isa.Gather(
            dst=_whole("out"), counts=_whole("h"), operand="keys", name="cache", keys=_KEYS, sharing=300
        ),
        "array.sharing",
        300,
    ),
    "shift": (isa.Multiply(dst=_whole("out"), a=_whole("h"), shift=-2049), "pointwise.shift", -2049),
    "shift_b": (isa.Multiply(dst=_whole("out"), a=_whole("h"), shift_b=2048), "pointwise.shift_b", 2048),
    "limit": (
        isa.Add(dst=_whole("out"), a=_whole("h"), b=_whole("h"), limit=2**31),
        "pointwise.limit",
        2**31,
    ),
    "negative limit": (isa.Multiply(dst=_whole("out"), a=_whole("h"), limit=-1), "pointwise.limit", -1),
    "stride": (
        isa.Multiply(dst=View(name="out", groups=2, length=2, stride=-3), a=_whole("h", 2, groups=2)),
        "pointwise.dst_stride",
        -3,
    ),
    "fraction": (
        isa.Lookup(dst=_whole("out"), a=_whole("h"), function="sigmoid", fraction=32),
        "pointwise.fraction",
        32,
    ),
    "scatter": (
        isa.Scatter(
            counts=View(name="h", groups=2, length=4, stride=4),
            update=View(name="h", groups=2, length=4, stride=4),
            shift=32,
            state="state",
        ),
        "array.shift",
        32,
    ),
    "chosen": (isa.SelectTop(dst=_ONE, a=_whole("h"), count=256), "common.chosen", 256),
    "span": (
        isa.SelectTop(
            dst=_ONE, a=_whole("h"), count=1, keys=CacheKeys(cache="cache", kind="blocks", span=2**24)
        ),
        "common.span",
        2**24,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_programs_that_do_not_fit_are_refused(case: str) -> None:
    """Program, instruction, field, value and limit, in one sentence."""
    instruction, field, value = CASES[case]
    program = _program(instruction, vectors={"huge": 2**25, "big": 10_000})
    with pytest.raises(CapacityError) as error:
        _assemble(program)
    sentence = str(error.value)
    assert sentence.startswith(f"{field} of made_up, instruction 1 ({instruction.op}) must be in ")
    if value:
        assert sentence.endswith(f"not {value}")


def test_a_layout_that_does_not_fit_is_refused() -> None:
    """Rows of a state or a cache beyond their address, vectors beyond theirs."""
    program = _program(isa.Decay(dst=_ONE, factor=_ONE, state="state"))
    layout = _assemble(program)
    own = layout.programs[0]
    state = own.states["state"]
    far = replace(own, states={"state": replace(state, operand=replace(state.operand, base=2**32))})
    with pytest.raises(
        CapacityError, match=r"sweep\.base of made_up, instruction 1 \(decay\) must be in 0 … 429"
    ):
        assemble(series([program]), replace(layout, programs=(far,)), ways=8, words=4)
    with pytest.raises(CapacityError, match=r"pointwise\.scalar of made_up, instruction 1 \(decay\)"):
        assemble(series([program]), replace(layout, scratch=2**24), ways=8, words=4)
    nothing = _program()
    with pytest.raises(CapacityError, match=r"pointwise\.a of made_up, clearing"):
        assemble(series([nothing]), replace(_assemble(nothing), full_factor=2**24 + 1), ways=8, words=4)


@pytest.mark.parametrize("scale", [2**17, -(2**17) - 1])
def test_a_factor_of_a_mean_beyond_the_multiplier_is_refused(scale: int) -> None:
    pool = isa.Pool(
        src=View(name="h", groups=2, length=4, stride=4), cache="cache", block=4, scale=scale, shift=3
    )
    with pytest.raises(CapacityError, match=f"scale of made_up, pool of cache, .* not {scale}$"):
        _assemble(_program(pool))


def test_images_hold_every_number_as_it_is() -> None:
    """Constants, literals and weights in wider types are written exactly, or refused by name."""
    words = np.array([2**31 - 1, -(2**31), 5] + [0] * 13, np.int64)
    program = _program(vectors={"c": 16}, constants={"c": words}, matrices=_MATRIX)
    layout = _assemble(program)
    first = layout.programs[0].vectors["c"]
    assert vector_image([program], layout)[first : first + 3].view(np.int32).tolist() == words[:3].tolist()
    for wrong in (2**31, -(2**31) - 1):
        words[4] = wrong
        with pytest.raises(CapacityError, match=f"constant c of made_up must be .* 32 bits, not {wrong}$"):
            vector_image([program], layout)
    with pytest.raises(CapacityError, match=r"literal at word 3 must be .* not 2147483648$"):
        vector_image([], replace(layout, programs=(), literals={3: 2**31}))
    with pytest.raises(CapacityError, match="literals must lie in words"):
        vector_image([], replace(layout, programs=(), literals={layout.vector_words: 1}))


@pytest.mark.parametrize("weight", [128, -129, 0.5])
def test_weights_that_are_no_bytes_are_refused(weight: float) -> None:
    matrix: Any = np.zeros((16, 16), np.float64)
    matrix[3, 4] = weight
    program = _program(matrices={"m": matrix})
    layout = _assemble(program)
    with pytest.raises(CapacityError, match=rf"matrix m of made_up must be .* 8 bits, not {weight}"):
        row_images([program], layout, ways=8, lanes=64)
    matrix[3, 4] = -128
    rows = row_images([program], layout, ways=8, lanes=64)
    assert rows.min() == -128


def test_a_matrix_beyond_its_banks_is_refused() -> None:
    with pytest.raises(CapacityError, match=r"must lie in rows 0 … 3 of its banks, not 3 … 4"):
        place_matrix(np.zeros((8, 4, 8), np.int8), np.zeros((8, 16), np.int8), OperandLayout(base=3))
