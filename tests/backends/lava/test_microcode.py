"""Stages, spikes and microcode without Lava, which only carries their words: hundreds of programs against golden."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from helpers.lava_loopback import run
from helpers.places import CHECKOUT
from helpers.programs import TINY, compiled_layer, port, small_config
from hypothesis import example, given
from hypothesis import strategies as st

from spikesim import program as isa
from spikesim.backends.lava.integers import bit_length, pack, round_shift
from spikesim.backends.lava.plan import Live, Plan, levels, plan
from spikesim.backends.lava.spikes import CODINGS, GRADED, SERIAL, decode, spikes, steps_needed
from spikesim.backends.lava.timetable import Timetable
from spikesim.errors import CapacityError
from spikesim.golden import arithmetic
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_position
from spikesim.program import Program, ProgramText, Section, View, is_matrix, series
from spikesim.spikes.digits import INT8_PLANES
from spikesim.spikes.encode import encode
from spikesim.verify.job import model_job
from spikesim.verify.random_programs import RandomProgram

HARDWARE = HardwareConfig()
SEEDS = 240
BATCH = 40


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_random_programs(first: int, tmp_path: Path) -> None:
    """Every instruction with extreme operands, every coding, every account: 240 programs, nothing differs."""
    compared = 0
    for seed in range(first, first + BATCH):
        made = RandomProgram(seed)
        hardware = HARDWARE.replace(**{"numerics.coding": SERIAL[seed % len(SERIAL)]})
        coding = CODINGS[seed % len(CODINGS)]
        found = run(series([made.program()]), made.inputs(), hardware, coding, tmp_path)
        assert not found.differences, f"seed {seed}, {coding}: {found.differences[0]}"
        compared += sum(counts["words"] for counts in found.compared.values())
    assert compared > 10_000


def test_random_programs_use_every_instruction() -> None:
    ops = {type(i) for seed in range(SEEDS) for i in RandomProgram(seed).program().instructions()}
    known = set(isa.Instruction.__args__[0].__args__)  # type: ignore[attr-defined]
    assert ops == known


@pytest.mark.parametrize("coding", [GRADED, "signed_digit"])
def test_layers_of_every_kind(coding: str, tmp_path: Path) -> None:
    """What a compiler makes: MoBA, SSE and full attention behind their position program, in sizes of their own."""
    config = small_config(moba_chunk_size=3, window_size=4)
    for index in range(3):
        layer = compiled_layer(config, index, HARDWARE, tokens=17, sequences=1, seed=index)
        chain = series([compile_position(config), layer.program])
        found = run(chain, layer.words[:, 0], HARDWARE, coding, tmp_path)
        assert not found.differences, found.differences[0]


# Integers


@given(st.integers(-(2**61), 2**61), st.integers(-40, 70))
def test_round_shift_is_golden_s(value: int, shift: int) -> None:
    assert int(round_shift(value, shift)) == arithmetic.round_shift(value, shift)


@given(st.integers(0, 2**61), st.integers(-1100, 200))
@example(2**17 - 1, 0)
@example(2**40 - 1, -1033)
def test_pack_is_golden_s(value: int, exponent: int) -> None:
    assert int(pack(np.int64([value]), exponent)[0]) == arithmetic.pack_scalar(value, exponent)


@given(st.integers(0, 2**62 - 1))
def test_bit_length(value: int) -> None:
    assert int(bit_length(np.int64([value]))[0]) == value.bit_length()


# Spikes


@given(st.lists(st.integers(-127, 127), min_size=1, max_size=9), st.sampled_from(SERIAL))
def test_spikes_are_those_of_encode_and_mean_the_counts(counts: list[int], coding: str) -> None:
    """Step by step, in the order of time; the neuron's rule gives the count back."""
    values, steps = np.int64(counts), INT8_PLANES[coding]  # type: ignore[index]
    sent = spikes(values, coding, steps)
    assert np.array_equal(sent, encode(values, coding, steps=steps).dense())
    assert np.array_equal(decode(sent, coding), values)


@pytest.mark.parametrize("coding", SERIAL)
def test_a_count_that_needs_more_steps_is_refused(coding: str) -> None:
    with pytest.raises(CapacityError, match="not be 127"):
        spikes(np.int64([0, 127]), coding, 5)


@given(st.integers(1, 127), st.sampled_from(SERIAL))
def test_steps_are_as_few_as_hold_the_limit(limit: int, coding: str) -> None:
    """Counts of either sign up to the limit fit, and one step less is too few for some."""
    steps = steps_needed([_gather_of(limit)], coding)
    every = np.arange(-limit, limit + 1)
    assert np.array_equal(decode(spikes(every, coding, steps), coding), every)
    if steps > 1 and coding != "twos_complement":
        with pytest.raises(CapacityError):
            spikes(every, coding, steps - 1)


def _gather_of(limit: int) -> Program:
    """One matrix whose counts saturate to a limit."""
    h, counts, out = (View(name=name, length=2, stride=2) for name in ("h", "counts", "out"))
    return _program(
        isa.Multiply(dst=counts, a=h, limit=limit),
        isa.Gather(dst=out, counts=counts, operand="matrix", name="w"),
    )


def _program(*instructions: isa.Instruction, **stores: object) -> Program:
    names = {view.name: view.offset + view.words for i in instructions for view in (*i.reads(), *i.writes())}
    text = ProgramText(
        name="made",
        inputs=(port("h", names["h"]),),
        outputs=(port("out", names["out"]),),
        vectors=names,
        sections=(Section(kind="parallel", instructions=instructions),),
        **stores,  # type: ignore[arg-type]
    )
    matrices = {i.name: np.int8([[1, -2], [3, 4]]) for i in instructions if is_matrix(i)}
    return Program(text=text, constants={}, matrices=matrices)


# The cut


def planned(*programs: Program) -> Plan:
    chain = series(programs)
    return plan(chain.programs, chain.links)


@pytest.mark.parametrize("seed", range(60))
def test_stages_keep_the_order_of_what_depends_on_each_other(seed: int) -> None:
    """Running stage after stage is running the program: no two uses of a vector or store change places."""
    program = RandomProgram(seed, stanzas=9).program()
    cut = planned(program)
    executed: list[int] = []
    for stage in cut.stages:
        executed += [n.number for n in stage.arriving]
        executed += [n.number for n in stage.instructions]
    assert sorted(executed) == list(range(len(list(program.instructions()))))
    place = {number: at for at, number in enumerate(executed)}
    instructions = list(program.instructions())
    for later, j in enumerate(instructions):
        for earlier in range(later):
            i = instructions[earlier]
            written = {v.name for v in i.writes()}
            clash = written & {v.name for v in (*j.reads(), *j.writes())} or {v.name for v in i.reads()} & {
                v.name for v in j.writes()
            }
            if clash or (i.store is not None and i.store == j.store):
                assert place[earlier] < place[later], (i, j)


@pytest.mark.parametrize("seed", range(0, 60, 7))
def test_a_store_lies_in_one_stage(seed: int) -> None:
    cut = planned(RandomProgram(seed, stanzas=9).program())
    homes: dict[str, set[int]] = {}
    keyed: dict[str, set[int]] = {}
    for stage in cut.stages:
        for n in stage.instructions:
            if (store := n.instruction.store) is not None:
                homes.setdefault(store, set()).add(stage.number)
            if n.instruction.keyed:
                keyed.setdefault(n.instruction.dst.name, set()).add(stage.number)
    assert all(len(stages) == 1 for stages in (*homes.values(), *keyed.values()))


def test_words_that_are_overwritten_wait_for_their_readers() -> None:
    """The counts of a matrix are taken at the end of a stage: who writes them again comes a stage later."""
    h, c, s, out = (View(name=name, length=2, stride=2) for name in ("h", "c", "s", "out"))
    program = _program(
        isa.Multiply(dst=c, a=h, limit=127),
        isa.Gather(dst=s, counts=c, operand="matrix", name="w"),
        isa.Multiply(dst=c, a=h, shift=1, limit=127),
        isa.Add(dst=out, a=s, b=c),
    )
    assert levels(program) == [0, 0, 1, 1]
    again = _program(
        isa.Multiply(dst=c, a=h, limit=127),
        isa.Add(dst=out, a=s, b=c),
        isa.Gather(dst=s, counts=c, operand="matrix", name="w"),
        isa.Add(dst=out, a=s, b=c),
    )
    assert levels(again) == [0, 0, 0, 1]


def test_a_state_on_both_sides_of_a_matrix_cannot_be_cut() -> None:
    h, c, s = (View(name=name, length=2, stride=2) for name in ("h", "c", "s"))
    out = View(name="out", length=2, stride=2)
    program = _program(
        isa.Gather(dst=c, counts=h, operand="state", name="memory"),
        isa.Gather(dst=s, counts=c, operand="matrix", name="w"),
        isa.Scatter(counts=h, update=s, shift=0, state="memory"),
        isa.Add(dst=out, a=s, b=s),
        states={"memory": isa.StateSpec(copies=1, heads=1, size=2)},
    )
    with pytest.raises(CapacityError, match="must use memory on one side of every matrix"):
        planned(program)


def test_too_many_channels_for_the_sums_are_refused() -> None:
    program = _gather_of(1)
    wide = Program(text=program.text, constants={}, matrices={"w": np.broadcast_to(np.int8(1), (1, 70_000))})
    with pytest.raises(CapacityError, match=r"at most 66,0\d\d channels for Lava's 32-bit sums, not 70,000"):
        planned(wide)


def test_words_pass_through_programs_that_do_not_read_them() -> None:
    """cos and sin go from the position program past a layer; the stream goes past the position program."""
    job = model_job(TINY, HARDWARE, tokens=2)
    cut = plan(job.programs, job.chain.links)
    assert [live.name for live in cut.entry] == ["outside"]
    assert cut.sources == (None,)
    assert cut.entry[0].through
    for before, after in zip(cut.stages, cut.stages[1:], strict=False):
        assert [live.words for live in before.live_out] == [live.words for live in after.live_in]
    last_layer = max(stage.program for stage in cut.stages if stage.program.startswith("layer"))
    middle = next(s for s in cut.stages if s.program == "layer_00" and s.number == 1)
    assert {"cos", "sin"} <= {live.name for live in middle.live_out}
    final = [s for s in cut.stages if s.program == last_layer][-1]
    assert [live.name for live in final.live_out] == ["h_out"]
    assert cut.exit == (Live(name="logits", words=job.programs[-1].text.vectors["logits"]),)


def test_timetable_meets_every_token_once() -> None:
    table = Timetable(tokens=3, planes=4, depth=2)
    met = [table.plane_at(step) for step in range(1, 30)]
    assert [now for now in met if now is not None] == [(t, p) for t in range(3) for p in range(4)]
    assert table.token_at(table.steps) == 2


# What Lava demands of our own source


def test_no_process_uses_a_name_that_lava_overwrites() -> None:
    """Lava sets these on a model, or calls them, without a word to whoever used them before."""
    taken = {
        "phase",
        "time_step",
        "py_ports",
        "var_ports",
        "proc_params",
        "run",
        "start",
        "join",
        "ref_ports",
    }
    folder = CHECKOUT / "spikesim" / "backends" / "lava" / "processes"
    files = sorted(folder.glob("*.py"))
    assert {file.stem for file in files} == {"__init__", "stage", "horner", "recorder"}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets += [node.target] if isinstance(node, ast.AnnAssign) else []
            for target in targets:
                name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
                assert name not in taken, f"{file.name}: {name}"
