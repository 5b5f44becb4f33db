"""Every rule of the verifier: a program that breaks it, and the sentence that says so."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.broken_programs import CASES, program
from helpers.lava_loopback import run
from helpers.places import CHECKOUT
from helpers.programs import TINY, compiled_layer, small_config

from spikesim.errors import ProgramError
from spikesim.golden.machine import Machine
from spikesim.hardware import HardwareConfig
from spikesim.mapping.builder import ProgramBuilder, Value
from spikesim.mapping.dssa.compile import compile_position
from spikesim.mapping.link import link
from spikesim.program import Instruction, Multiply, Program, View
from spikesim.program.file import load_program, save_program
from spikesim.program.verifier import findings_of, verify_chain, verify_program
from spikesim.program.verifier.words import contents
from spikesim.rtl.assemble import assemble
from spikesim.run.simulator import Simulator, run_chain
from spikesim.verify.chain import model_chain, self_test_chain
from spikesim.verify.random_programs import RandomProgram

HARDWARE = HardwareConfig()
SEEDS = 300
INSTRUCTIONS = Instruction.__args__[0].__args__  # type: ignore[attr-defined]


def words(tokens: int = 7) -> np.ndarray:
    """int32[tokens, 8]: inputs of the sound program."""
    return np.random.default_rng(1).integers(-500, 500, (tokens, 8)).astype(np.int32)


# What is refused


def test_there_are_enough_cases_and_none_twice() -> None:
    assert len(CASES) >= 60
    assert len({json.dumps(case["changes"]) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[json.dumps(case["changes"])[:60] for case in CASES])
def test_a_broken_rule_is_one_sentence(case: dict[str, Any]) -> None:
    """The first finding is the expected sentence, and every sentence has the form of all errors."""
    with pytest.raises(ProgramError) as raised:
        verify_program(program(case["changes"]))
    found = [str(finding) for finding in raised.value.findings]
    assert found[0] == f"program sound{case['sentence']}"
    more = f"; {len(found) - 1} more like it" if len(found) > 1 else ""
    assert str(raised.value) == found[0] + more
    assert all(
        re.fullmatch(r"program sound(, instruction \d+ \(\w+\))?: .+ must be .+, not .+", s) for s in found
    )


def test_findings_are_collected() -> None:
    """Three independent faults are three findings, in program order; what depends on a fault is no finding."""
    faults = [[[16, "fraction"], 3], [[3, "dst", "offset"], 9], [[14, "shift"], 0], [[11, "a", "length"], 7]]
    assert [finding.number for finding in findings_of(program(faults))] == [3, 14, 16]


@pytest.mark.parametrize("consumer", ["machine", "simulator", "link", "assemble", "save and load", "chain"])
def test_whoever_takes_a_program_refuses_a_broken_one(consumer: str, tmp_path: Path) -> None:
    broken = program([[[3, "dst", "offset"], 1_000_000]])
    layout = link([program([])], HARDWARE)

    def load() -> None:
        save_program(broken, tmp_path)
        load_program(tmp_path, "sound")

    consumers = {
        "machine": lambda: Machine(broken),
        "simulator": lambda: Simulator(broken, HARDWARE),
        "link": lambda: link([broken], HARDWARE),
        "assemble": lambda: assemble([broken], layout, ways=8),
        "save and load": load,
        "chain": lambda: verify_chain([broken]),
    }
    with pytest.raises(ProgramError, match=r"instruction 3 .* dst must be inside the 8 words of x"):
        consumers[consumer]()


def test_the_builder_refuses_what_it_was_made_to_build() -> None:
    builder = ProgramBuilder("made", "made")
    h = builder.vector("h", 4)
    with builder.section("parallel"):
        builder.emit(Multiply(dst=builder.vector("out", 4), a=View(name="h", offset=1, length=4)))
    assert Value(view=h, fraction=0).view.words == 4
    with pytest.raises(ProgramError, match="a must be inside the 4 words of h, not reach to word 5"):
        builder.build(inputs=("h",), output="out")


# What is accepted


def test_the_sound_program_is_sound(tmp_path: Path) -> None:
    """It has every instruction, breaks no rule, and golden, cycle model and Lava's microcode agree on it."""
    made = program([])
    assert {type(i) for i in made.instructions()} == set(INSTRUCTIONS)
    assert not findings_of(made)
    found = run([made], words(), HARDWARE, "graded", tmp_path)
    assert not found.differences


def test_the_contents_are_those_of_what_is_written() -> None:
    """Two descriptions of an instruction, kept apart, name the same views in the same order."""
    for i in program([]).instructions():
        assert [view for view, _ in contents(i)] == list(i.writes())


def test_random_programs_are_accepted() -> None:
    for seed in range(SEEDS):
        made = RandomProgram(seed, stanzas=5 + seed % 6).program()
        assert not findings_of(made), f"seed {seed}: {findings_of(made)[0]}"


FORMS: list[dict[str, object]] = [
    {},
    {"use_output_gate": False},
    {"sse_qk_relu": True},
    {"allow_neg_eigval": True},
    {"num_sparse_partition": 8, "num_writer": 3},
    {"qk_norm": False},
    {"attn_num_kv_heads": 4},
    {"attn_num_kv_heads": 1},
    {"head_dim": 8, "window_size": 100},
    {"moba_chunk_size": 3, "moba_topk": 4},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_layers_of_every_form_are_accepted(form: dict[str, object]) -> None:
    """Every kind of layer with every flag, adaptive threshold and INT8; also as a chain behind its angles."""
    config = small_config(**form)
    for activation in ("threshold", "int8"):
        hardware = HARDWARE.replace(**{"limits.max_context": 64, "numerics.activation": activation})
        for index in range(3):
            layer = compiled_layer(config, index, hardware, tokens=12, sequences=1)
            verify_chain([compile_position(config), layer.program])


def test_whole_models_are_accepted() -> None:
    verify_chain(model_chain(TINY, HARDWARE, tokens=2).programs)
    verify_chain(self_test_chain(HARDWARE).programs)


# Chains


def _renamed(made: Program, **changes: object) -> Program:
    return Program(
        text=made.text.model_copy(update=changes), constants=made.constants, matrices=made.matrices
    )


def test_programs_that_do_not_fit_one_behind_the_other_are_refused() -> None:
    one = program([])
    two = _renamed(one, name="two")
    verify_chain([one, two])
    with pytest.raises(ProgramError, match="program sound: name must be its own, not another program's too"):
        verify_chain([one, one])
    with pytest.raises(ProgramError, match="program two: words of h must be 2, as sound gives, not 8"):
        verify_chain([_renamed(one, output="cos"), two])
    wants = _renamed(two, inputs=("h", "angles"), vectors={**one.text.vectors, "angles": 3})
    with pytest.raises(
        ProgramError, match="input angles must be a vector of an earlier program, not missing"
    ):
        verify_chain([one, wants])
    gives = _renamed(one, vectors={**one.text.vectors, "angles": 2})
    with pytest.raises(ProgramError, match="words of angles must be 2, as in sound, not 3"):
        verify_chain([gives, wants])
    with pytest.raises(ProgramError, match="a chain must be at least one program, not empty"):
        verify_chain([])


# What programs are given to run on


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (words(), r"input h must be int32\[tokens, 2, 8\], not int32\[7, 8\]"),
        (np.zeros((7, 8, 1), np.int32), r"int32\[tokens, 2, 8\], not int32\[7, 8, 1\]"),
        (np.zeros((7, 2, 7), np.int32), r"int32\[tokens, 2, 8\], not int32\[7, 2, 7\]"),
        (np.zeros((7, 1, 8), np.int32), r"int32\[tokens, 2, 8\], not int32\[7, 1, 8\]"),
        (np.zeros((0, 2, 8), np.int32), r"int32\[tokens, 2, 8\], not int32\[0, 2, 8\]"),
        (np.zeros((7, 2, 8), np.int64), r"int32\[tokens, 2, 8\], not int64\[7, 2, 8\]"),
        (np.zeros((7, 2, 8)), r"int32\[tokens, 2, 8\], not float64\[7, 2, 8\]"),
        ([[0] * 8] * 7, r"int32\[tokens, 2, 8\], not list"),
    ],
)
@pytest.mark.parametrize("taker", [Machine, Simulator])
def test_inputs_of_another_shape_or_type_are_refused(taker: type, given: Any, sentence: str) -> None:
    made = program([])
    target = Machine(made, 2) if taker is Machine else Simulator(made, HARDWARE, 2)
    with pytest.raises(ProgramError, match=sentence):
        target.run({"h": given})


def test_missing_unknown_and_unequal_inputs_are_refused() -> None:
    machine, h = Machine(program([])), words()[:, None]
    with pytest.raises(ProgramError, match="input h must be given, not missing"):
        machine.run({"tokens": np.zeros((7, 1, 0), np.int32)})
    with pytest.raises(ProgramError, match=r"input x must be int32\[7, 1, 0\], not int32\[7, 1, 8\]"):
        machine.run({"h": h, "x": h})
    with pytest.raises(ProgramError, match=r"input tokens must be int32\[7, 1, 0\], not int32\[6, 1, 0\]"):
        machine.run({"h": h, "tokens": np.zeros((6, 1, 0), np.int32)})
    with pytest.raises(ProgramError, match="sequences must be at least 1, not 0"):
        Machine(program([]), 0)


def test_run_chain_refuses_words_without_sequences() -> None:
    """The call by which a benchmark corrupted the heap; with an axis for sequences it runs."""
    made = program([])
    with pytest.raises(
        ProgramError, match=r"its input must be int32\[tokens, sequences, words\], not int32\[7, 8\]"
    ):
        run_chain([Simulator(made, HARDWARE)], words())
    with pytest.raises(ProgramError, match="its input must be"):
        run_chain([Simulator(made, HARDWARE)], words()[:, None].astype(np.int16))
    assert run_chain([Simulator(made, HARDWARE)], words()[:, None]).shape == (7, 1, 8)


def test_the_benchmark_of_the_rtl_gives_words_with_sequences() -> None:
    path = CHECKOUT / "benchmarks" / "bench_rtl.py"
    spec = importlib.util.spec_from_file_location("bench_rtl", path)
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    assert bench.simulator_rate([program([])], HARDWARE, words()) > 0
