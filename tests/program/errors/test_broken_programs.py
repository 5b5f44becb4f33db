"""Every rule of the verifier: a program that breaks it, and the sentence that says so."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.broken_programs import CASES, program
from helpers.lava_loopback import run
from helpers.places import CHECKOUT
from helpers.programs import TINY, compiled_layer, port, small_config

from spikesim.errors import CapacityError, ProgramError
from spikesim.golden.machine import Machine
from spikesim.hardware import HardwareConfig, NumericsConfig
from spikesim.mapping.builder import ProgramBuilder, Value
from spikesim.mapping.dssa.compile import compile_position
from spikesim.mapping.link import link
from spikesim.program import (
    Add,
    Chain,
    End,
    Format,
    Gather,
    Instruction,
    Link,
    Lookup,
    Multiply,
    Port,
    Program,
    ProgramText,
    Requires,
    Section,
    View,
    series,
)
from spikesim.program.file import load_program, save_program
from spikesim.program.verifier import findings_of, verify_chain, verify_for, verify_program
from spikesim.program.verifier.words import contents
from spikesim.rtl.assemble import assemble
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator
from spikesim.verify.job import model_job, self_test_job
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
    layout = link(series([program([])]), HARDWARE)

    def load() -> None:
        save_program(broken, tmp_path)
        load_program(tmp_path, "sound")

    consumers = {
        "machine": lambda: Machine(broken),
        "simulator": lambda: Simulator(broken, HARDWARE),
        "link": lambda: link(series([broken]), HARDWARE),
        "assemble": lambda: assemble(series([broken]), layout, ways=8, words=4),
        "save and load": load,
        "chain": lambda: verify_chain(series([broken])),
    }
    with pytest.raises(ProgramError, match=r"instruction 3 .* dst must be inside the 8 words of x"):
        consumers[consumer]()


def test_the_builder_refuses_what_it_was_made_to_build() -> None:
    builder = ProgramBuilder("made")
    h = builder.vector("h", 4)
    with builder.section("parallel"):
        builder.emit(Multiply(dst=builder.vector("out", 4), a=View(name="h", offset=1, length=4)))
    assert Value(view=h, fraction=0).view.words == 4
    with pytest.raises(ProgramError, match="a must be inside the 4 words of h, not reach to word 5"):
        builder.build(inputs=(port("h", 4),), outputs=(port("out", 4),))


# What is accepted


def test_the_sound_program_is_sound(tmp_path: Path) -> None:
    """It has every instruction, breaks no rule, and golden, cycle model and Lava's microcode agree on it."""
    made = program([])
    assert {type(i) for i in made.instructions()} == set(INSTRUCTIONS)
    assert not findings_of(made)
    found = run(series([made]), words(), HARDWARE, "graded", tmp_path)
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
            verify_chain(series([compile_position(config), layer.program]))


def test_whole_models_are_accepted() -> None:
    verify_chain(model_job(TINY, HARDWARE, tokens=2).chain)
    verify_chain(self_test_job(HARDWARE).chain)


# Chains


def _renamed(made: Program, **changes: object) -> Program:
    return Program(
        text=made.text.model_copy(update=changes), constants=made.constants, matrices=made.matrices
    )


def _linked(*programs: Program, **links: str | None) -> Chain:
    """A chain; `links`: what inputs take, "program.port", None for what comes in."""
    end = {name: End(program=name.split(".")[0], port=name.split(".")[1]) for name in links.values() if name}
    last = programs[-1].text
    return Chain(
        programs=programs,
        links=tuple(
            Link(to=End(program=name, port="h"), source=None if source is None else end[source])
            for name, source in links.items()
        ),
        output=End(program=last.name, port=last.outputs[0].name),
    )


def test_programs_that_do_not_fit_one_behind_the_other_are_refused() -> None:
    one = program([])
    two = _renamed(one, name="two")
    narrow = _renamed(one, name="narrow", outputs=(port("cos", one.text.vectors["cos"]),))
    fine = _renamed(one, name="fine", outputs=(Port(name="h_out", format=Format(fraction=3), shape=(8,)),))
    refused = [
        (series([one, one]), "input h must be linked to an output of an earlier program, not sound.h_out"),
        (
            _linked(narrow, two, narrow=None, two="narrow.cos"),
            "two: words of h must be 2, as narrow.cos has, not 8",
        ),
        (
            _linked(fine, two, fine=None, two="fine.h_out"),
            "two: format of h must be 32 bits, 3 of them a fraction, as fine.h_out has, not 32 bits, 0 of them",
        ),
        (_linked(one, two, sound=None), "two: input h must be linked to something, not missing"),
        (
            _linked(one, two, sound="two.h_out", two=None),
            "sound: input h must be linked to an output of an earlier program, not two.h_out",
        ),
        (
            _linked(one, two, sound=None, two="sound.x"),
            "two: input h must be linked to an output of an earlier program, not sound.x",
        ),
        (_linked(one, sound=None, three=None), "three: links must be to inputs of the programs, not three.h"),
        (
            replace(series([one]), links=series([one]).links * 2),
            "sound: links must be one for every input, not several for one",
        ),
        (
            replace(series([one]), output=End(program="sound", port="x")),
            "sound: the result must be sound.h_out, the first output of the last program, not sound.x",
        ),
        (
            Chain(programs=(), links=(), output=End(program="a", port="b")),
            "a chain must be at least one program",
        ),
    ]
    verify_chain(series([one, two]))
    verify_chain(_linked(one, two, sound=None, two="sound.h_out"))
    for chain, sentence in refused:
        with pytest.raises(ProgramError, match=re.escape(sentence)):
            verify_chain(chain)


def test_two_inputs_of_a_program_take_different_words() -> None:
    """Lava sends every word once; a program that wants it twice reads its vector twice."""
    names = ("a", "b")
    views = {name: View(name=name, length=2, stride=2) for name in (*names, "out")}
    text = ProgramText(
        name="both",
        inputs=tuple(port(name, 2) for name in names),
        outputs=(port("out", 2),),
        vectors={**dict.fromkeys(names, 2), "out": 2},
        sections=(
            Section(kind="parallel", instructions=(Add(dst=views["out"], a=views["a"], b=views["b"]),)),
        ),
    )
    made = Program(text=text, constants={}, matrices={})
    links = tuple(Link(to=End(program="both", port=name)) for name in names)
    chain = Chain(programs=(made,), links=links, output=End(program="both", port="out"))
    with pytest.raises(ProgramError, match="input b must be linked unlike the others, not what comes in"):
        verify_chain(chain)


# Persistent vectors


def _integrator(**changes: object) -> Program:
    """v ← v / 2 + h in a recurrent section, and its sign; a matrix of it, if asked."""
    whole = {name: View(name=name, length=4, stride=4) for name in ("h", "v", "half", "on", "sums")}
    body: list[Any] = [
        Multiply(dst=whole["half"], a=whole["v"], shift=1, limit=100),
        Add(dst=whole["v"], a=whole["half"], b=whole["h"], limit=100),
    ]
    after = [Lookup(dst=whole["on"], a=whole["v"], function="step", fraction=0)]
    if counts := changes.pop("counts", None):
        body.append(Gather(dst=whole["sums"], counts=whole[str(counts)], operand="matrix", name="w"))
    first = changes.pop("kind", "recurrent")
    inside = changes.pop("inside", True)
    sections = [Section(kind=first, instructions=tuple(body + (after if inside else [])))]  # type: ignore[arg-type]
    sections += [] if inside else [Section(kind="recurrent", instructions=tuple(after))]
    text = ProgramText(
        name="leaky",
        inputs=(port("h", 4),),
        outputs=(port("on", 4),),
        vectors=dict.fromkeys(whole, 4),
        persistent=("v",),
        sections=tuple(sections),
    )
    matrices = {"w": np.eye(4, dtype=np.int8)} if counts else {}
    return Program(text=text.model_copy(update=changes), constants={}, matrices=matrices)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"kind": "parallel"},
            "instruction 0 (multiply): a must be in a recurrent section, since v is persistent",
        ),
        (
            {"inside": False},
            "instruction 2 (lookup): a must be in the section of all that use v, not another",
        ),
        ({"counts": "v"}, "(gather): counts must be in a vector of the step's own, not the persistent v"),
        (
            {"persistent": ("v", "sums")},
            "persistent must be vectors without keys that an instruction writes, not sums",
        ),
        ({"persistent": ()}, "instruction 0 (multiply): a must be written before it is read"),
    ],
)
def test_persistent_vectors_are_used_where_steps_follow_each_other(
    changes: dict[str, object], sentence: str
) -> None:
    verify_program(_integrator())
    verify_program(_integrator(counts="half"))
    with pytest.raises(ProgramError, match=re.escape(sentence)):
        verify_program(_integrator(**changes))


def test_persistent_vectors_keep_their_words_from_step_to_step() -> None:
    """Against a loop in Python; also when the steps come in two calls, and for every sequence by itself."""
    h = np.random.default_rng(3).integers(-90, 91, (9, 2, 4)).astype(np.int32)
    v, expected = np.zeros((2, 4), np.int64), []
    for words in h:
        v = np.clip(np.rint(v / 2).astype(np.int64) + words, -100, 100)  # halves to even, as round_shift does
        expected.append(v > 0)
    machine = Machine(_integrator(), 2)
    found = [machine.run({"h": part})["on"] for part in (h[:4], h[4:])]
    assert np.array_equal(np.concatenate(found), np.array(expected))


# Words that nobody writes


def test_words_that_nobody_writes_are_not_read() -> None:
    """They are what another vector left in the memory that all share; of a persistent vector they are zeros."""
    whole, part = (View(name="v", offset=n, length=4 - n, stride=4) for n in (0, 1))
    h, out = View(name="h", length=4, stride=4), View(name="out", length=4, stride=4)
    read = Section(
        kind="recurrent",
        instructions=(
            Multiply(dst=part, a=View(name="h", length=3, stride=3), limit=127),
            Add(dst=out, a=whole, b=h),
        ),
    )
    text = ProgramText(
        name="partly",
        inputs=(port("h", 4),),
        outputs=(port("out", 4),),
        vectors={"h": 4, "v": 4, "out": 4},
        sections=(read,),
    )
    made = Program(text=text, constants={}, matrices={})
    with pytest.raises(
        ProgramError, match="a must be words that an instruction writes, not some of v that none"
    ):
        verify_program(made)
    verify_program(_renamed(made, persistent=("v",)))
    gives = _renamed(made, persistent=("v",), outputs=(port("out", 4), port("v", 4)))
    with pytest.raises(
        ProgramError, match="output v must be words that an instruction writes, not some that none"
    ):
        verify_program(gives)


# What a program requires


def test_a_program_that_asks_for_too_narrow_accumulators_is_refused(tmp_path: Path) -> None:
    made = _renamed(program([]), requires=Requires(accumulator_bits=9))
    save_program(made, tmp_path)
    with pytest.raises(
        ProgramError, match=r"requires.accumulator_bits must be at least \d+, which its sums need, not 9"
    ):
        load_program(tmp_path, "sound")


def test_hardware_that_lacks_what_a_program_requires_is_refused() -> None:
    text = program([]).text.model_copy(update={"requires": Requires(accumulator_bits=22)})
    verify_for([text], HARDWARE)
    for requires, sentence in (
        (Requires(accumulator_bits=40), "array.accumulator_bits must be at least 40 for sound, not"),
        (
            Requires(accumulator_bits=8, numerics=NumericsConfig(window=3)),
            "numerics must be those that sound was compiled for",
        ),
    ):
        with pytest.raises(CapacityError, match=sentence):
            verify_for([text.model_copy(update={"requires": requires})], HARDWARE)


def test_sequences_longer_than_a_program_takes_are_refused() -> None:
    machine = Machine(_integrator(requires=Requires(steps=6)))
    h = np.zeros((4, 1, 4), np.int32)
    machine.run({"h": h})
    with pytest.raises(ProgramError, match="tokens of a sequence must be 1 … 6, not 8"):
        machine.run({"h": h})


def test_words_beyond_the_format_of_an_input_are_refused() -> None:
    narrow = Port(name="h", format=Format(fraction=0, bits=5), shape=(4,))
    machine = Machine(_integrator(inputs=(narrow,)))
    machine.run({"h": np.full((1, 1, 4), -15, np.int32)})
    with pytest.raises(ProgramError, match="words of input h must be -15 … 15, not 16"):
        machine.run({"h": np.full((1, 1, 4), 16, np.int32)})


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
        run_chain(series([made]), [Simulator(made, HARDWARE)], words())
    with pytest.raises(ProgramError, match="its input must be"):
        run_chain(series([made]), [Simulator(made, HARDWARE)], words()[:, None].astype(np.int16))
    assert run_chain(series([made]), [Simulator(made, HARDWARE)], words()[:, None]).shape == (7, 1, 8)


def test_the_benchmark_of_the_rtl_gives_words_with_sequences() -> None:
    path = CHECKOUT / "benchmarks" / "bench_rtl.py"
    spec = importlib.util.spec_from_file_location("bench_rtl", path)
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    assert bench.simulator_rate(series([program([])]), HARDWARE, words()) > 0
