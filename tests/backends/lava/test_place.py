"""Placement on a Loihi-style chip, its time steps and its energy: limits hold, and what does not fit is named."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.places import CHECKOUT
from helpers.programs import port
from hypothesis import given, settings
from hypothesis import strategies as st

from spikesim.backends.lava.demand import asked
from spikesim.backends.lava.depth import Depth, depth
from spikesim.backends.lava.energy import estimate, shortest_step
from spikesim.backends.lava.pack import Room, pack
from spikesim.backends.lava.place import CHIPS_LISTED, place
from spikesim.backends.lava.target import Target, shipped
from spikesim.program import (
    Add,
    CacheKeys,
    CacheSpec,
    Decay,
    Exponential,
    Gather,
    Invert,
    Lookup,
    Multiply,
    Phase,
    Program,
    ProgramText,
    Reduce,
    Reduction,
    Rotate,
    Scatter,
    Section,
    SelectTop,
    SoftmaxWeights,
    StateSpec,
    Store,
    View,
    series,
)
from spikesim.results.lava import Placement, Traffic


def row(name: str, words: int = 1) -> View:
    return View(name=name, length=words, stride=words)


def heads(name: str, groups: int, words: int) -> View:
    return View(name=name, groups=groups, length=words, stride=words)


def program(
    name: str, instructions: list[Any], matrices: dict[str, np.ndarray] | None = None, **more: Any
) -> Program:
    text = ProgramText(
        name=name,
        inputs=tuple(port(one, 1) for one in more.pop("inputs", ("h",))),
        outputs=(port(more.pop("output", "out"), 1),),
        vectors={},
        sections=(Section(kind="parallel", instructions=tuple(instructions)),),
        **more,
    )
    return Program(text=text, constants={}, matrices=matrices or {})


def matrix(outputs: int, channels: int, value: int = 1) -> np.ndarray:
    return np.full((outputs, channels), value, np.int8)


def only_matrices(name: str, *shapes: tuple[int, int], value: int = 1) -> Program:
    matrices = {f"m{n}": matrix(*shape, value) for n, shape in enumerate(shapes)}
    gathers = [
        Gather(dst=row(f"s{n}", rows), counts=row("h", channels), operand="matrix", name=f"m{n}")
        for n, (rows, channels) in enumerate(shapes)
    ]
    return program(name, gathers, matrices)


def attention(name: str, tokens: int, *, kind: str = "full", kv_heads: int = 2, size: int = 32) -> Program:
    """Store, scores, softmax and values of an attention layer with as many query heads."""
    keys = CacheKeys(cache="kv", kind=kind, span=tokens if kind == "window" else 0)  # type: ignore[arg-type]
    q, scores, weights = (
        heads("q", kv_heads, size),
        heads("s", kv_heads, tokens),
        heads("w", kv_heads, tokens),
    )
    return program(
        name,
        [
            Store(src=heads("k", kv_heads, size), cache="kv", kind="keys"),
            Store(src=heads("v", kv_heads, size), cache="kv", kind="values"),
            Gather(dst=scores, counts=q, operand="keys", name="kv", keys=keys),
            SoftmaxWeights(
                dst=weights,
                a=scores,
                maximum=heads("m", kv_heads, 1),
                fraction=10,
                reduce=Reduction(kind="sum", dst=heads("t", kv_heads, 1)),
                keys=keys,
            ),
            Gather(dst=heads("out", kv_heads, size), counts=weights, operand="values", name="kv", keys=keys),
        ],
        caches={"kv": CacheSpec(heads=kv_heads, size=size, tokens=tokens)},
    )


def changed(name: str = "loihi2", **values: float) -> Target:
    """A shipped target with values changed: core__neurons=64; a limit that it lacks is made up."""
    units = {"axons_in": "axons", "axons_out": "axons", "synaptic_kib": "KiB", "synaptic_operation_pj": "pJ"}
    data = shipped(name).model_dump(exclude_none=True)
    for key, value in values.items():
        section, _, setting = key.partition("__")
        table = data[section].setdefault(setting, {"unit": units.get(setting, ""), "source": "made up"})
        table["value"] = value
    return Target.model_validate(data)


def demand(placement: Placement, name: str) -> Any:
    return next(row for row in placement.demands if row.name == name)


# Limits


@settings(max_examples=60, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 700), st.integers(1, 900)), min_size=1, max_size=5),
    neurons=st.integers(1, 300),
    kib=st.integers(1, 16),
    axons=st.one_of(st.none(), st.integers(8, 600)),
    chip=st.sampled_from(["loihi1", "loihi2"]),
    coding=st.sampled_from(["signed_digit", "twos_complement"]),
)
def test_no_core_is_beyond_its_limits_and_everything_is_placed_once(
    shapes: list[tuple[int, int]], neurons: int, kib: int, axons: int | None, chip: str, coding: str
) -> None:
    values: dict[str, float] = {"core__neurons": neurons, "core__synaptic_kib": kib}
    if axons is not None:
        values["core__axons_in"] = axons
    target = changed(chip, **values)
    want = asked(only_matrices("layer", *shapes), target, coding)
    twice = 2 if chip == "loihi1" and coding == "signed_digit" else 1
    limit = target.axons_in
    fills = pack(want.parts, Room.of(target))
    laid: dict[str, int] = {}
    for fill in fills:
        held = sum(count for _, count in fill.pieces)
        synapses = sum(count * part.inputs for part, count in fill.pieces)
        assert 0 < held <= neurons
        assert synapses * 8 <= kib * 8192  # weights of eight bits
        if limit is not None:
            assert sum(part.inputs * (1 if part.shared else count) for part, count in fill.pieces) <= limit
        for part, count in fill.pieces:
            if part.shared:  # the others sum the parts of a matrix that had to be split
                laid[part.name] = laid.get(part.name, 0) + fill.count * count * part.inputs
    assert laid == {f"m{n}": rows * channels * twice for n, (rows, channels) in enumerate(shapes)}


def test_equal_cores_are_counted_and_not_kept_one_by_one() -> None:
    parts = asked(attention("layer", 1 << 20), shipped(), "graded").parts
    fills = pack(parts, Room.of(shipped()))
    assert len(fills) < 40
    assert sum(fill.count for fill in fills) > 2**20 * 128 // 8192


def test_more_inputs_than_axons_are_split_and_summed() -> None:
    placed = place([only_matrices("layer", (100, 5000))], shipped("loihi1"), coding="twos_complement")
    found = demand(placed, "m0")
    assert found.neurons == 300  # two halves and the neurons that sum them
    assert found.synapses == 100 * 5000 + 100 * 2
    assert "split" in found.note
    assert placed.fits


def test_a_neuron_too_large_for_any_core_is_named() -> None:
    target = changed("loihi2", core__axons_in=1)
    placed = place([only_matrices("layer", (4, 100))], target)
    assert placed.layers[0].why == (
        "layer cannot be placed: a neuron of m0 with 100 inputs does not fit into a core"
    )
    assert placed.cores_used == 0


def test_programs_share_no_core_and_are_placed_whole_or_not_at_all() -> None:
    target = changed(chip__neurocores=4, core__neurons=10)
    programs = [only_matrices(name, (rows, 8)) for name, rows in (("a", 12), ("b", 25), ("c", 20))]
    placed = place(programs, target)
    assert [(layer.cores, layer.fits) for layer in placed.layers] == [(2, True), (3, False), (2, True)]
    assert placed.layers[1].why == "b needs 3 cores and 2 are left; its matrix m0 alone takes 3"
    assert [core.program for core in placed.cores] == ["a", "a", "c", "c"]
    assert (placed.cores_used, placed.chips_used) == (4, 1)


def test_cores_of_many_chips_are_counted_and_not_all_listed() -> None:
    target = changed(chip__chips=100, chip__neurocores=2, core__neurons=1)
    placed = place([only_matrices("a", (50, 8))], target)
    assert (placed.cores_used, placed.chips_used) == (50, 25)
    assert len(placed.cores) == 2 * CHIPS_LISTED


# Widths


@pytest.mark.parametrize(
    ("value", "bits", "why"),
    [
        (7, 4, ""),
        (-8, 4, "weights of m0 need 5 bits and Loihi 2 has 4"),
        (8, 4, "weights of m0 need 5 bits and Loihi 2 has 4"),
        (127, 8, ""),
    ],
)
def test_weights_must_be_as_narrow_as_the_target_holds(value: int, bits: int, why: str) -> None:
    placed = place([only_matrices("layer", (2, 3), value=value)], changed(bits__weight=bits))
    assert placed.layers[0].why == (f"layer: {why}" if why else "")
    assert demand(placed, "m0").synaptic_bytes == 6 * bits // 8


def test_sums_must_fit_the_state() -> None:
    # 520 · 127 · 127 = 8,387,080 < 2²³ = 8,388,608 < 521 · 127 · 127
    assert place([only_matrices("a", (3, 520), value=-127)], shipped()).fits
    placed = place([only_matrices("a", (3, 521), value=-127)], shipped())
    assert placed.layers[0].why == (
        "a: sums of m0 reach 8,403,209, which needs 25 bits, and neurons of Loihi 2 have 24"
    )
    assert placed.layers[0].placed


def test_graded_spikes_on_a_chip_of_binary_ones() -> None:
    programs = [
        only_matrices("a", (3, 5)),
        program("position", [Phase(cos=row("c"), sin=row("s"), increment=row("i"))]),
    ]
    placed = place(programs, shipped("loihi1"), coding="graded")
    assert [layer.fits for layer in placed.layers] == [False, True]
    assert "graded spikes need 8 bits and spikes of Loihi 1 carry 0" in placed.layers[0].why
    assert place(programs, shipped("loihi1"), coding="twos_complement").fits


@pytest.mark.parametrize(
    ("coding", "twice"), [("signed_digit", 2), ("bitwise", 2), ("ternary", 2), ("twos_complement", 1)]
)
def test_signed_binary_spikes_take_two_axons(coding: Any, twice: int) -> None:
    programs = [only_matrices("a", (10, 20))]
    assert demand(place(programs, shipped("loihi1"), coding=coding), "m0").synapses == 200 * twice
    assert demand(place(programs, shipped("loihi2"), coding=coding), "m0").synapses == 200


# What lies where


EVERYTHING = [
    Gather(dst=row("a", 12), counts=row("h", 8), operand="matrix", name="m"),
    Multiply(
        dst=row("b", 12),
        a=row("a", 12),
        b=row("scales", 12),
        reduce=Reduction(kind="max_abs", dst=row("top")),
    ),
    Add(dst=row("c", 12), a=row("b", 12), b=row("h", 12)),
    Reduce(a=row("c", 12), reduction=Reduction(kind="sum_abs", dst=row("sum"))),
    Invert(dst=row("i"), src=row("sum"), constant={"mantissa": 32768, "exponent": 0}),  # type: ignore[arg-type]
    Lookup(dst=row("d", 12), a=row("c", 12), function="sigmoid", fraction=11),
    Exponential(dst=row("e", 2), src=row("c", 2), fraction=10),
    SelectTop(dst=row("f", 2), a=row("c", 4), count=2),
    Rotate(dst=row("g", 8), a=row("b", 8), cos=row("cos", 4), sin=row("sin", 4)),
    Decay(dst=row("scale", 2), factor=row("e", 2), state="state"),
    Scatter(counts=heads("g", 2, 4), update=heads("c", 2, 4), shift=3, state="state"),
    Gather(dst=heads("out", 2, 4), counts=heads("g", 2, 4), operand="state", name="state"),
]


def everything() -> Program:
    states = {"state": StateSpec(copies=5, heads=2, size=4)}
    return program("layer", EVERYTHING, {"m": matrix(12, 8)}, states=states)


def test_programmable_neurons_hold_all_but_tables_reciprocals_and_choices() -> None:
    placed = place([everything()], shipped("loihi2"))
    on = {row.name: row.on for row in placed.demands}
    assert {name for name, where in on.items() if where == "processor"} == {
        "largest words",
        "reciprocals",
        "tables",
        "powers of two",
        "top-k",
    }
    assert {name for name, where in on.items() if where == "neurocore"} == {
        "m",
        "scaling",
        "sums and differences",
        "statistics",
        "RoPE",
        "sums over states",
        "state",
    }
    assert demand(placed, "state").neurons == 5 * 2 * 4 * 4
    assert demand(placed, "tables").words == 12
    assert demand(placed, "top-k").words == 4
    assert placed.layers[0].processor_words == 1 + 1 + 12 + 2 + 4


def test_fixed_neurons_hold_matrices_only() -> None:
    placed = place([everything()], shipped("loihi1"), coding="twos_complement")
    assert [row.name for row in placed.demands if row.on == "neurocore"] == ["m"]
    assert placed.layers[0].neurons == 12
    assert demand(placed, "state").note == "160 words in the memory of the processors"
    assert any("not programmable" in note for note in placed.notes)


def test_known_sizes_of_the_shipped_model() -> None:
    """2 key/value heads and 4 heads of 32 features, 1 + 4 states, windows of 64, contexts of 4,096."""
    states = {"shared": StateSpec(copies=1, heads=4, size=32), "parts": StateSpec(copies=4, heads=4, size=32)}
    sse = place([program("sse", [], states=states)], shipped())
    assert sum(row.neurons for row in sse.demands) == 20_480
    assert sse.layers[0].cores == 3
    window = place([attention("swa", 64, kind="window")], shipped())
    assert (demand(window, "kv: keys and values").neurons, demand(window, "kv: keys and values").cores) == (
        8192,
        1,
    )
    assert window.longest_context is None
    full = place([attention("full", 4096)], shipped())
    assert demand(full, "kv: keys and values").cores == 64


def test_long_context_is_named_with_the_longest_that_fits() -> None:
    programs = [attention("layer_00", 4096), attention("layer_01", 4096)]
    placed = place(programs, shipped())
    first, second = placed.layers
    assert first.fits
    assert second.why == (
        f"layer_01 needs {second.cores} cores and {128 - first.cores} are left; "
        "its K/V cache of 4,096 tokens alone takes 64"
    )
    assert placed.context == 4096
    longest = placed.longest_context
    assert longest is not None
    assert 3000 < longest < 4096
    assert place([attention(name, longest) for name in "ab"], shipped()).fits
    assert not place([attention(name, longest + 1) for name in "ab"], shipped()).fits


# Time steps


def depth_of(*programs: Program, planes: int = 1) -> Depth:
    """One behind the other, each under a name of its own."""
    named = [
        replace(made, text=made.text.model_copy(update={"name": f"{'abcdef'[n]}"}))
        for n, made in enumerate(programs)
    ]
    return depth(named, series(named).links, planes)


def chain_of(*words: str) -> list[Any]:
    return [Add(dst=row(b), a=row(a), b=row(a)) for a, b in itertools.pairwise(words)]


def test_latency_is_the_longest_path() -> None:
    three = program("a", chain_of("h", "x", "y", "out"))
    assert depth_of(three).latency == 1 + 3  # the token's words come one step before
    beside = program("b", [*chain_of("h", "x", "out"), *chain_of("h", "p", "q", "r")])
    assert depth_of(beside).latency == 1 + 3
    assert depth_of(three, three, three).latency == 1 + 9  # "h" is the output of the program before
    assert depth([], []).latency == 1


def test_gathers_take_a_step_per_plane_and_statistics_one_more() -> None:
    one = program(
        "a",
        [
            Gather(dst=row("s", 4), counts=row("h", 4), operand="matrix", name="m"),
            Multiply(dst=row("t", 4), a=row("s", 4), reduce=Reduction(kind="sum", dst=row("sum"))),
            Add(dst=row("out"), a=row("sum"), b=row("h")),
        ],
        {"m": matrix(4, 4)},
    )
    assert depth_of(one).latency == 1 + 1 + 2 + 1
    assert depth_of(one, planes=8).latency == 1 + 8 + 2 + 1
    with pytest.raises(ValueError, match="planes must be"):
        depth_of(one, planes=0)


def recurrence(state: str, number: int) -> list[Any]:
    """Decay, prediction, error, update: six steps, eight planes thirteen."""
    return [
        Decay(dst=row(f"scale{number}"), factor=row("h"), state=state),
        Gather(dst=row(f"p{number}", 4), counts=row("h", 4), operand="state", name=state),
        *chain_of(f"p{number}", f"q{number}", f"r{number}", f"u{number}"),
        Scatter(counts=row("h", 4), update=row(f"u{number}", 4), shift=0, state=state),
        Gather(dst=row(f"o{number}", 4), counts=row("h", 4), operand="state", name=state),
    ]


@pytest.mark.parametrize(("planes", "once", "twice"), [(1, 6, 12), (8, 13, 26)])
def test_interval_is_the_longest_recurrence(planes: int, once: int, twice: int) -> None:
    shared = program("a", recurrence("shared", 0))
    assert depth_of(shared, planes=planes).interval == once
    both = program("b", [*recurrence("shared", 0), *recurrence("parts", 1), *recurrence("parts", 2)])
    found = depth_of(shared, both, planes=planes)
    assert (found.interval, found.interval_of) == (twice, "b: parts")
    assert depth_of(program("c", chain_of("h", "out")), planes=planes).interval_of == ""


def test_a_state_is_read_after_it_changed() -> None:
    # Source, decay, prediction, three sums, update, reading: the last waits for the update, and only that.
    assert depth_of(program("a", recurrence("state", 0))).latency == 1 + 1 + 1 + 3 + 1 + 1


def test_what_is_computed_before_the_state_does_not_lengthen_the_interval() -> None:
    slow = program("a", [*chain_of("h", *"abcdefghij"), *recurrence("state", 0)])
    assert depth_of(slow).interval == 6


def test_shipped_model_has_the_known_depth_and_cores(tmp_path: Path) -> None:
    from spikesim.flow import map_model
    from spikesim.hardware import HardwareConfig
    from spikesim.program.file import load_program
    from spikesim.run.tokens import InputRequest

    model = CHECKOUT / "examples" / "tiny_dssa"
    map_model(
        model, output=tmp_path, hardware=HardwareConfig(), request=InputRequest(max_tokens=48), context=4096
    )
    names = ["position", "layer_00", "layer_01", "layer_02", "layer_03", "head"]
    programs = [load_program(tmp_path / "programs", name) for name in names]
    graded, serial = depth_of(*programs), depth_of(*programs, planes=8)
    assert (graded.latency, serial.latency) == (247, 451)
    assert (graded.interval, serial.interval) == (12, 26)
    placed = place(programs, shipped())
    assert [layer.program for layer in placed.layers if not layer.fits] == ["layer_03"]
    assert "K/V cache of 4,096 tokens alone takes 64" in placed.layers[4].why
    assert sum(row.synapses for row in placed.demands if row.part == "matrix") == 988_160  # dense, per token


# Energy and time


def test_energy_of_loihi_1_is_an_estimate_and_that_of_loihi_2_is_blank() -> None:
    traffic = [Traffic(coding="bitwise", planes=7, spikes_per_token=1000, synaptic_operations_per_token=1e6)]
    programs = [only_matrices("a", (100, 8))]
    placed = place(programs, shipped("loihi1"), coding="bitwise", traffic=traffic, steps_per_token=7)
    energy = placed.energy
    assert energy is not None
    assert energy.synaptic_uj == pytest.approx(23.6)
    assert energy.neurons_uj == pytest.approx(100 * 7 * 81e-6)
    assert energy.spikes_uj == pytest.approx(1.7e-3)
    assert "Estimate of the neurocores alone" in energy.note
    blank = place(programs, shipped("loihi2"), coding="bitwise", traffic=traffic)
    assert blank.energy is None
    assert "nobody has published" in blank.energy_note


def test_a_file_with_figures_gets_an_estimate_of_what_it_gives() -> None:
    target = changed(energy__synaptic_operation_pj=2.0)
    row_of = Traffic(coding="graded", planes=1, spikes_per_token=1, synaptic_operations_per_token=5e5)
    energy, note = estimate(target, row_of, 10, 1)
    assert energy is not None
    assert (energy.synaptic_uj, energy.neurons_uj, energy.spikes_uj, note) == (1.0, None, None, "")
    assert "neuron updates, spikes" in energy.note
    assert estimate(target, None, 10, 1)[0] is None
    assert estimate(shipped("loihi1"), row_of, 10, 1) == (
        None,
        "Blank: there are no graded spikes on Loihi 1.",
    )


def test_a_step_takes_what_bounds_it_most() -> None:
    assert shortest_step(shipped("loihi2"), 8192)[0] == 200
    assert shortest_step(shipped("loihi1"), 1000)[0] == pytest.approx(8400)
    assert shortest_step(shipped("loihi1"), 0)[0] is None


# Borders


def test_analysis_imports_neither_torch_nor_numba_nor_golden() -> None:
    script = (
        "import sys; import spikesim.backends.lava.place, spikesim.backends.lava.depth\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'numba')"
        " or name.startswith('spikesim.golden')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
