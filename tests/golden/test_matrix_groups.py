"""A matrix gathered for several groups of counts at once, and inputs that several matrices share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.places import VECTORS
from helpers.programs import port
from helpers.rtl_cores import CORES

from spikesim import timing
from spikesim.compare import work as compare_work
from spikesim.cores import CORES as CORE_NAMES
from spikesim.flow import map_model
from spikesim.golden.machine import Machine
from spikesim.hardware import HardwareConfig
from spikesim.mapping.link import link
from spikesim.program import (
    Add,
    Gather,
    Instruction,
    Multiply,
    Program,
    ProgramText,
    Section,
    View,
    is_matrix,
    series,
)
from spikesim.rtl.assemble import assemble
from spikesim.run.observers import counted_words
from spikesim.run.simulator import Simulator
from spikesim.run.tokens import InputRequest
from spikesim.spikes.digits import encoder_planes
from spikesim.support.arithmetic import ceil_div
from spikesim.verify.random_programs import RandomProgram

TINY = VECTORS / "tiny_dssa"
CHANNELS, OUTPUTS, GROUPS = 6, 5, 4
TOKENS = 3


def _view(name: str, length: int, groups: int = 1, stride: int | None = None, offset: int = 0) -> View:
    return View(
        name=name, offset=offset, groups=groups, length=length, stride=length if stride is None else stride
    )


def _counts(size: int) -> Multiply:
    return Multiply(dst=_view("c", size), a=_view("h", size), limit=127)


def _program(instructions: tuple[Instruction, ...], vectors: dict[str, int]) -> Program:
    """Counts "c" are the input "h", saturated; the instructions may read either."""
    text = ProgramText(
        name="made",
        inputs=(port("h", vectors["h"]),),
        outputs=(port(*next(reversed(vectors.items()))),),
        vectors={"c": vectors["h"], **vectors},
        sections=(Section(kind="parallel", instructions=(_counts(vectors["h"]), *instructions)),),
    )
    matrix = np.random.default_rng(1).integers(-128, 128, (OUTPUTS, CHANNELS)).astype(np.int8)
    return Program(text=text, constants={}, matrices={"w": matrix})


def _words(size: int) -> np.ndarray:
    return np.random.default_rng(2).integers(-127, 128, (TOKENS, 1, size)).astype(np.int32)


@pytest.mark.parametrize("stride", [1, 2, CHANNELS, CHANNELS + 3])
def test_every_group_is_multiplied(stride: int) -> None:
    """Windows that overlap, as a convolution's, lie side by side or apart: each against numpy, gaps untouched."""
    size = stride * (GROUPS - 1) + CHANNELS
    gather = Gather(
        dst=_view("out", OUTPUTS, GROUPS, OUTPUTS + 2),
        counts=_view("c", CHANNELS, GROUPS, stride),
        operand="matrix",
        name="w",
    )
    first = _view("out", OUTPUTS)
    program = _program(
        (gather, Add(dst=_view("sum", OUTPUTS), a=first, b=first)),
        {"h": size, "out": GROUPS * (OUTPUTS + 2), "sum": OUTPUTS},
    )
    words = _words(size)
    got = Machine(program).run({"h": words})["out"].reshape(TOKENS, GROUPS, OUTPUTS + 2)
    matrix = program.matrices["w"].astype(np.int64)
    for group in range(GROUPS):
        window = words[:, 0, group * stride : group * stride + CHANNELS].astype(np.int64)
        assert np.array_equal(got[:, group, :OUTPUTS], window @ matrix.T)
    assert not got[:, :, OUTPUTS:].any()


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("order", ["plane", "row", "window"])
def test_groups_cost_what_they_cost_one_by_one(order: str, cores: int) -> None:
    """But for the issue of the instructions and the broadcast, paid once: spiking, dense and every counter."""
    hardware = HardwareConfig().replace(
        **{"array.ways": 2, "array.lanes": 2, "array.order": order, "system.cores": cores}
    )
    size = CHANNELS * GROUPS
    together = Gather(
        dst=_view("out", OUTPUTS, GROUPS), counts=_view("c", CHANNELS, GROUPS), operand="matrix", name="w"
    )
    alone = tuple(
        Gather(
            dst=_view("out", OUTPUTS, offset=group * OUTPUTS),
            counts=_view("c", CHANNELS, offset=group * CHANNELS),
            operand="matrix",
            name="w",
        )
        for group in range(GROUPS)
    )
    vectors = {"h": size, "out": GROUPS * OUTPUTS}
    results, costs = [], []
    for instructions in ((together,), alone):
        simulator = Simulator(_program(instructions, vectors), hardware, detail=True)
        results.append(simulator.run({"h": _words(size)})["out"])
        assert simulator.per_token is not None
        costs.append(
            {core: sum(np.concatenate(entry[core]) for entry in simulator.per_token) for core in CORE_NAMES}
            | {"counters": vars(simulator.counters())}
        )
    assert np.array_equal(*results)
    assert costs[0]["counters"] == costs[1]["counters"]
    assert costs[0]["counters"]["spikes"] > 0
    once = (GROUPS - 1) * timing.ISSUE_CYCLES
    if cores > 1:
        words = hardware.system.broadcast_words_per_cycle
        once += (GROUPS - 1) * hardware.system.broadcast_latency_cycles
        once += GROUPS * ceil_div(CHANNELS, words) - ceil_div(size, words)
    for core in CORE_NAMES:
        assert (costs[1][core] - costs[0][core] == once).all()


def test_the_rtl_is_told_of_all_groups() -> None:
    """The hardware instruction has the groups, which all begin at the same rows."""
    gather = Gather(
        dst=_view("out", OUTPUTS, GROUPS), counts=_view("c", CHANNELS, GROUPS, 1), operand="matrix", name="w"
    )
    program = _program((gather,), {"h": CHANNELS + GROUPS - 1, "out": GROUPS * OUTPUTS})
    hardware = HardwareConfig()
    layout = link(series([program]), hardware)
    ways, words = hardware.array.ways, hardware.pointwise.words
    executable = assemble(series([program]), layout, ways=ways, words=words)
    found = [i for i in executable.instructions if "array" in i.fields]
    assert [i.common["groups"] for i in found] == [GROUPS]
    fields = found[0].fields["array"]
    assert (fields["counts_stride"], fields["channels"], fields["outputs"]) == (1, CHANNELS, OUTPUTS)
    assert fields["head_stride"] == 0


def test_random_programs_in_lockstep_gather_groups() -> None:
    """Lockstep cannot be blind to groups again: every kind of core meets them, apart and overlapping."""
    met: dict[str, set[bool]] = {name: set() for name in CORE_NAMES}
    for core in CORES.values():
        for seed in range(core.first_seed, core.first_seed + core.programs):
            for i in RandomProgram(seed).program().instructions():
                if is_matrix(i) and i.counts.groups > 1:
                    met[core.core].add(i.counts.stride < i.counts.length)
    assert met == {name: {False, True} for name in CORE_NAMES}


# An input that several matrices share


def _shared(gathers: int) -> Program:
    """Counts that are read by so many gathers, and others that are read by one."""
    counts = _view("counts", CHANNELS)
    made = Multiply(dst=counts, a=_view("h", CHANNELS), limit=127)
    reads = tuple(
        Gather(dst=_view(f"s{n}", OUTPUTS), counts=counts, operand="matrix", name="w") for n in range(gathers)
    )
    others = _view("others", CHANNELS)
    again = Multiply(dst=others, a=_view("h", CHANNELS), shift=2, limit=127)
    last = Gather(dst=_view("out", OUTPUTS), counts=others, operand="matrix", name="w")
    vectors = {"h": CHANNELS, "counts": CHANNELS, "others": CHANNELS}
    vectors |= {f"s{n}": OUTPUTS for n in range(gathers)} | {"out": OUTPUTS}
    return _program((made, *reads, again, last), vectors)


@pytest.mark.parametrize("gathers", [1, 2, 3])
def test_a_shared_input_counts_once(gathers: int) -> None:
    """However many gathers read it."""
    program = _shared(gathers)
    simulator = Simulator(program, HardwareConfig())
    simulator.run({"h": _words(CHANNELS)})
    assert simulator.spikes["counts"].elements == CHANNELS * TOKENS
    assert simulator.spikes["others"].elements == CHANNELS * TOKENS
    read = {number: [each.vector for each in words] for number, words in counted_words(program).items()}
    assert read == {gathers + 1: ["counts"], gathers + 3: ["others"]}


def test_a_report_counts_a_shared_input_once(tmp_path: Path) -> None:
    """Elements of the spikes section are channels × tokens of every projection input, whatever reads them."""
    (tmp_path / "out").mkdir()
    report = map_model(
        TINY,
        output=tmp_path / "out",
        hardware=HardwareConfig(),
        request=InputRequest(random_tokens=8, max_tokens=8),
    )
    assert report.spikes.elements == sum(row.elements for row in report.spikes.by_input)
    assert report.spikes.elements == sum(row.elements for row in report.spikes.by_layer)


@pytest.mark.parametrize("coding", ["signed_digit", "bitwise", "twos_complement", "ternary"])
def test_steps_of_the_narrowest_window(coding: str, tmp_path: Path) -> None:
    """window = 1 holds counts of −1, 0 and 1: as many steps as the coding needs for those, not one more."""
    hardware = HardwareConfig().replace(**{"numerics.window": 1, "numerics.coding": coding})
    (tmp_path / "out").mkdir()
    report = map_model(
        TINY, output=tmp_path / "out", hardware=hardware, request=InputRequest(random_tokens=8, max_tokens=8)
    )
    assert report.spikes.steps == encoder_planes(1, coding)
    events = report.spikes.events_per_value[coding]
    assert report.spikes.firing_rate == pytest.approx(events / report.spikes.steps)
    if coding != "twos_complement":
        assert report.spikes.steps == 1
        assert events == pytest.approx(1 - report.spikes.silent)


def test_two_gathers_of_a_matrix_are_both_powered() -> None:
    """What the netlists are given has every gather and every group, not the last one of each matrix."""
    size = CHANNELS + 1
    program = _program(
        (
            Gather(dst=_view("a", OUTPUTS), counts=_view("c", CHANNELS), operand="matrix", name="w"),
            Gather(dst=_view("b", OUTPUTS, 2), counts=_view("c", CHANNELS, 2, 1), operand="matrix", name="w"),
            Add(dst=_view("out", OUTPUTS), a=_view("a", OUTPUTS), b=_view("b", OUTPUTS)),
        ),
        {"h": size, "a": OUTPUTS, "b": 2 * OUTPUTS, "out": OUTPUTS},
    )
    recorder = compare_work.GatherRecorder(program)
    simulator = Simulator(program, HardwareConfig(), compare_work.STREAMS, observers=[recorder])
    words = np.random.default_rng(4).integers(-127, 128, (2, compare_work.STREAMS, size)).astype(np.int32)
    vectors = simulator.run({"h": words})
    works = list(recorder.gathers.values())
    sums = [vectors["a"], vectors["b"][:, :, :OUTPUTS], vectors["b"][:, :, OUTPUTS:]]
    assert len(works) == len(sums)
    for found, expected in zip(works, sums, strict=True):
        assert np.array_equal(found.sums, expected[-1])
