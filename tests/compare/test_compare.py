"""A comparison from end to end on a small core, its figures consistent; a wrong netlist is noticed before it counts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from helpers.programs import small_config

from spikesim.backends.execution import BackEnd, differences
from spikesim.backends.golden import GoldenBackEnd
from spikesim.compare import CompareSettings, add_comparison, break_even
from spikesim.compare.array_run import run_array
from spikesim.compare.backend import GatesBackEnd
from spikesim.compare.baselines import fp8_job
from spikesim.compare.bases import (
    SKIPPING_LABEL,
    core_basis,
    equal_throughput_basis,
    parts_of,
    row_memory_basis,
    unit_basis,
)
from spikesim.compare.break_even import WorkOrigin
from spikesim.compare.core_run import run_core
from spikesim.compare.designs import Built, Source, build
from spikesim.compare.energies import gather_counters, usage_of
from spikesim.compare.measure import _verilog
from spikesim.compare.operations import amount_of, event_energies, operation_energies
from spikesim.compare.parts import (
    ARRAY,
    CONTROL,
    ENCODER,
    ENCODER_MEMORY,
    OFFSET,
    POINTWISE,
    ROW_MEMORY,
    STATE_MEMORY,
    UPDATE,
    VECTOR_MEMORY,
)
from spikesim.compare.settings import STREAMS
from spikesim.compare.technology import Technology
from spikesim.compare.work import GatherWork, Work, prepare
from spikesim.cores import CORES, CoreName
from spikesim.cycle.cost import Counters
from spikesim.errors import NumericError
from spikesim.flow import PROGRAM_FOLDER, map_model
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.model import DSSAModel
from spikesim.power_models.gates.simulator import GateSimulator
from spikesim.power_models.netlist.netlist import CellGroup, Netlist
from spikesim.power_models.synthesis import synthesis
from spikesim.power_models.timing.analysis import analyse
from spikesim.report import write_report
from spikesim.results.comparison import Agreement, Comparison, Design, GlitchShare, Power, Timing, UnitFigures
from spikesim.results.report import Report
from spikesim.rtl.array.core import ArrayCore
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.emit import resident_config
from spikesim.run.energy import estimate
from spikesim.run.observers import InstructionCost
from spikesim.run.saved_tokens import TOKENS_FILE
from spikesim.run.tokens import InputRequest

CLOCK = 200e6
HARDWARE = HardwareConfig().replace(
    **{
        "array.ways": 2,
        "array.lanes": 2,
        "array.order": "plane",
        "array.scan_bits": 4,
        "pointwise.words": 2,
        "clock.frequency_hz": int(CLOCK),
        "memory.row_kib": 64,
        "memory.state_kib": 8,
        "memory.vector_words": 2048,
        "memory.program_words": 16384,
        "limits.max_context": 64,
    }
)
"""As little hardware as there can be, at a clock that every part meets at once."""
QUICK = CompareSettings(quick=True)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a first run made. `checkpoint`: of the model; `folder`: what it was mapped into."""

    checkpoint: Path
    folder: Path
    report: Report

    @property
    def origin(self) -> WorkOrigin:
        programs = self.folder / PROGRAM_FOLDER
        tokens = np.load(programs / TOKENS_FILE)
        return WorkOrigin(checkpoint=self.checkpoint, tokens=tokens, ranges=tokens)

    @property
    def comparison(self) -> Comparison:
        assert self.report.comparison is not None
        return self.report.comparison

    def design(self, name: str) -> Design:
        return next(design for design in self.comparison.designs if design.name == name)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("SPIKESIM_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def compared(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """A layer with a sliding window and one with states, both tiny."""
    folder = tmp_path_factory.mktemp("mapped")
    config = small_config(
        hidden_size=16,
        num_hidden_layers=2,
        num_heads=1,
        head_dim=8,
        intermediate_size=16,
        vocab_size=16,
        attn_layers=(0,),
        attn_full_layers=(),
        attn_num_heads=1,
        attn_num_kv_heads=1,
        use_output_gate=False,
        num_sparse_partition=2,
        num_writer=1,
    )
    torch.manual_seed(0)
    checkpoint = folder / "model.pt"
    torch.save({"config": config.to_dict(), "state_dict": DSSAModel(config).state_dict()}, checkpoint)
    request = InputRequest(random_tokens=8, sequence_length=8)
    report = map_model(checkpoint, output=folder, hardware=HARDWARE, request=request)
    assert report.comparison is None
    report = add_comparison(report, folder, hardware=HARDWARE, liberty=None, settings=QUICK)
    return Compared(checkpoint=checkpoint, folder=folder, report=report)


@pytest.fixture(scope="module")
def technology(cache: Path) -> Technology:
    return Technology.of(None, CLOCK, use_cache=True)


@pytest.fixture(scope="module")
def work(compared: Compared) -> Work:
    return prepare(compared.folder, HARDWARE, InputRequest(), tokens=1)


def array_config(work: Work, *, dense: bool = False) -> CoreConfig:
    return dataclasses.replace(resident_config(work.hardware, work.layout, dense=dense), state_depth=0)


@pytest.fixture(scope="module")
def array(work: Work, technology: Technology) -> Built:
    """The spiking array, from the cache."""
    text = _verilog(ArrayCore, array_config(work), technology)
    return build(Source(text=text, lists_serve_gathers=False), technology)


@pytest.fixture(scope="module")
def core(work: Work, technology: Technology) -> Built:
    """The spiking core, from the cache."""
    text = _verilog(SpikeCore, resident_config(work.hardware, work.layout), technology)
    return build(Source(text=text, lists_serve_gathers=False), technology)


@pytest.mark.parametrize("core_name", CORES)
def test_gates_are_a_back_end(
    work: Work, technology: Technology, core_name: CoreName, tmp_path: Path
) -> None:
    """Three steps of a sequence, words and cycles, against golden; the netlists are those of the comparison."""
    words = np.concatenate([work.words[:1, stream] for stream in range(3)])
    back_ends: list[BackEnd] = [
        GoldenBackEnd(core_name=core_name),
        GatesBackEnd(technology=technology, core_name=core_name),
    ]
    golden, gates = (b.open(work.chain, work.hardware, tmp_path).run(words) for b in back_ends)
    assert gates.cycles is not None
    assert list(differences(golden, gates)) == []


def test_bases_follow_from_the_designs(compared: Compared, work: Work) -> None:
    """Area, power and energy of every basis are those of its parts; reductions are 1 − spiking ÷ twin."""
    bases = {basis.name: basis for basis in compared.comparison.bases}
    assert list(bases) == ["unit", "equal_throughput", "row_memory", "core"]
    for core_name, core in zip(CORES, ("spiking_core", "dense_core", "dense_skip_core"), strict=True):
        design, basis = compared.design(core), bases["core"]
        assert getattr(basis.area_um2, core_name) == pytest.approx(design.area_um2)
        assert getattr(basis.power_mw, core_name) == pytest.approx(design.power_mw)
        energy_uj = design.power_mw * 1e-3 * design.cycles_per_token / CLOCK * 1e6
        assert getattr(basis.energy_per_token_uj, core_name) == pytest.approx(energy_uj)
    for name, basis in bases.items():
        assert basis.skipping is not None
        assert (basis.twin, basis.skipping.twin) == ("dense", "skipping")
        assert basis.others == {SKIPPING_LABEL: basis.skipping.reduction}
        for beside in (basis, basis.skipping):
            for figure, reduction in (
                (beside.area_um2, beside.reduction.area),
                (beside.power_mw, beside.reduction.power),
                (beside.power_zero_delay_mw, beside.reduction.power_zero_delay),
                (beside.energy_per_token_uj, beside.reduction.energy),
            ):
                assert reduction == pytest.approx(1 - figure.spiking / getattr(figure, beside.twin)), name
            # As many tokens more as the twin's area × time is more.
            assert beside.reduction.tokens_per_s is not None
            gained = getattr(beside.area_um2, beside.twin) / beside.area_um2.spiking
            if name in ("unit", "core"):
                gained /= beside.cycle_ratio
            assert beside.reduction.tokens_per_s == pytest.approx(gained - 1), name
    unit, fair = bases["unit"], bases["equal_throughput"]
    assert unit.area_um2.spiking == pytest.approx(
        parts_of(compared.design("spiking_array"), [ARRAY, OFFSET]).area
    )
    assert unit.reduction.area > 0
    assert unit.published
    assert fair.reduction.power == pytest.approx(fair.reduction.energy)
    assert fair.cycle_ratio > 1
    # Gathers alone: a scatter takes its operands in the state update.
    counted = [entry.counters for kind, entry in work.by_kind.items() if kind.startswith("gather ")]
    assert len(counted) > 3
    spiking = sum(counters.array_cycles for counters in counted)
    assert fair.cycle_ratio == pytest.approx(spiking / sum(c.array_cycles_dense for c in counted))
    assert fair.skipping is not None
    skipping = sum(counters.array_cycles_skipping for counters in counted)
    assert fair.skipping.cycle_ratio == pytest.approx(spiking / skipping)
    assert fair.skipping.cycle_ratio > fair.cycle_ratio


def test_areas_add_up_to_the_cells(compared: Compared, array: Built, core: Built) -> None:
    """Units of logic: the area of all cells; units of memory: that of all macros; nothing twice, nothing left out."""
    for built, name in ((array, "spiking_array"), (core, "spiking_core")):
        design = compared.design(name)
        logic = sum(unit.area_um2 for unit in design.units if not unit.is_memory)
        assert logic == pytest.approx(float(built.netlist.area.sum()))
        memories = sum(unit.area_um2 for unit in design.units if unit.is_memory)
        assert memories == pytest.approx(sum(macro.model.area_um2 for macro in built.macros))
        assert design.cells == built.netlist.cells
        assert len({unit.unit for unit in design.units}) == len(design.units)
    own = {unit.unit for unit in compared.design("spiking_core").units}
    assert {
        ARRAY,
        OFFSET,
        ENCODER,
        POINTWISE,
        CONTROL,
        UPDATE,
        ROW_MEMORY,
        STATE_MEMORY,
        VECTOR_MEMORY,
    } <= own


def test_every_design_was_checked_and_timed(compared: Compared, work: Work) -> None:
    names = [design.name for design in compared.comparison.designs]
    assert names == [
        *("spiking_core", "dense_core", "dense_skip_core"),
        *("spiking_array", "dense_array", "dense_skip_array", "fp8_array"),
    ]
    for design in compared.comparison.designs:
        assert design.lockstep.tokens == STREAMS
        assert design.lockstep.values > 0
        assert design.glitches.cycles > 0
        assert design.glitches.factor >= 1
        assert 0 < design.timing.worst_slack_ns < design.timing.period_ns == 5.0
        assert all(unit.power.leakage > 0 and unit.power.total < 100 for unit in design.units), design.name
    for core_name, name in zip(CORES, names[:3], strict=True):
        design = compared.design(name)
        assert design.cycles_per_token == pytest.approx(work.cycles[core_name].mean())
        assert design.lockstep.values == work.outputs.size
        assert design.timing.memory_slack_ns is not None
        assert design.timing.memory_slack_ns > 0


def test_operations_are_all_of_the_energy(compared: Compared) -> None:
    fair = compared.comparison.bases[-1].energy_per_token_uj
    operations = compared.comparison.operations
    assert sum(entry.spiking_uj for entry in operations) == pytest.approx(fair.spiking)
    assert sum(entry.dense_uj for entry in operations) == pytest.approx(fair.dense)
    assert sum(entry.skipping_uj or 0 for entry in operations) == pytest.approx(fair.skipping)
    assert len(operations) > 5


def test_gathers_count_as_the_simulator_counts(work: Work) -> None:
    """All matrix gathers of the token: what the arrays count is what the cycle model does."""
    found = gather_counters(work.gathers, work.hardware)
    known = work.by_kind["gather matrix"].counters
    assert known.events > STREAMS
    for name, value in vars(found).items():
        if name.startswith(("events", "row_reads", "array_cycles")):
            assert value == round(getattr(known, name) / STREAMS), name


def test_energies_follow_from_the_designs(compared: Compared, work: Work) -> None:
    """Counts times rates are what the parts took; their estimate of the core is off by what they say."""
    energies = compared.comparison.energies
    assert energies is not None
    assert energies.array == {
        "ways": 2,
        "lanes": 2,
        "order": "plane",
        "coding": "signed_digit",
        "pointwise words": 2,
    }
    usage = usage_of(work)
    found = estimate(energies, usage, work.hardware)
    for core, name in zip(CORES, ("spiking", "dense", "dense_skip"), strict=True):
        design, array = compared.design(f"{name}_core"), compared.design(f"{name}_array")

        def dynamic_uj(design: Design, *names: str) -> float:
            powers = [unit.power for unit in design.units if unit.unit in names]
            return sum(p.total - p.leakage for p in powers) * 1e3 * design.cycles_per_token / CLOCK

        gathered = gather_counters(work.gathers, work.hardware).of(core)
        rates = {rate.component: getattr(rate.dynamic_pj, core) for rate in energies.rates}
        assert 1e-6 * rates["array"] * gathered.events == pytest.approx(dynamic_uj(array, ARRAY, OFFSET))
        assert 1e-6 * rates["row memory"] * gathered.row_reads == pytest.approx(dynamic_uj(array, ROW_MEMORY))
        for component, names in (
            ("pointwise", [POINTWISE]),
            ("vector memory", [VECTOR_MEMORY]),
            ("state memory", [STATE_MEMORY]),
            ("control, host", [CONTROL]),
        ):
            estimated = getattr(found.components[component], core)
            assert estimated == pytest.approx(dynamic_uj(design, *names)), component
        leakage = sum(unit.power.leakage for unit in design.units)
        assert getattr(found.components["leakage"], core) == pytest.approx(
            leakage * 1e3 * design.cycles_per_token / CLOCK, rel=1e-3
        )
        measured = design.power_mw * 1e3 * design.cycles_per_token / CLOCK
        error = getattr(energies.error, core)
        assert error == pytest.approx(getattr(found.total_uj, core) / measured - 1)
        assert 0 < abs(error) < 0.5


def test_report_has_the_figures(compared: Compared, tmp_path: Path) -> None:
    page = write_report(compared.report, tmp_path)
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    names = {"unit", "equal_throughput", "row_memory", "core"}
    for key in ("area_um2", "power_mw", "energy_per_token_uj", "reduction"):
        assert set(data[key]) == names, key
    assert set(data["timing"]) == {design.name for design in compared.comparison.designs}
    assert {entry["name"] for entry in data["constants"]} >= {"technology node", "clock"}
    assert data["comparison"]["seconds"].keys() >= {"prepare", "designs"}
    assert Report.model_validate(data) == compared.report
    assert "Array, encoder and row memory at equal throughput" in page.read_text(encoding="utf-8")


def test_second_run_is_from_the_cache(
    compared: Compared, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **more: object) -> NoReturn:
        raise AssertionError("made again")

    monkeypatch.setattr(synthesis, "run_yosys", refuse)
    monkeypatch.setattr(GateSimulator, "run", refuse)
    before = sorted(cache.rglob("*"))
    report = compared.report.model_copy(update={"comparison": None, "timing": {}})
    again = add_comparison(report, compared.folder, hardware=HARDWARE, liberty=None, settings=QUICK)
    assert again.comparison is not None
    same = again.comparison.model_copy(update={"seconds": compared.comparison.seconds})
    assert same == compared.comparison
    assert again.reduction == compared.report.reduction
    assert sorted(cache.rglob("*")) == before


def with_wrong_cells(netlist: Netlist, unit: str, most: int | None = 1) -> Netlist:
    """The first NANDs of a unit, `most` or all, are NORs."""
    groups = {group.cell.name: group for group in netlist.groups}
    nand, nor = groups["NAND2_X1"], groups["NOR2_X1"]
    assert list(nand.cell.pins) == list(nor.cell.pins)
    inside = [netlist.units[number] == unit for number in netlist.unit[nand.cells]]
    wrong = np.flatnonzero(inside)[:most]
    assert wrong.size
    groups["NAND2_X1"] = CellGroup(
        cell=nand.cell, cells=np.delete(nand.cells, wrong), nets=np.delete(nand.nets, wrong, axis=0)
    )
    groups["NOR2_X1"] = CellGroup(
        cell=nor.cell,
        cells=np.append(nor.cells, nand.cells[wrong]),
        nets=np.concatenate([nor.nets, nand.nets[wrong]]),
    )
    return dataclasses.replace(netlist, groups=list(groups.values()))


def test_wrong_cell_of_the_array_is_noticed(array: Built, work: Work) -> None:
    config = array_config(work)
    gathers = work.gathers[:2]
    arguments: dict[str, Any] = {"sample_every": 8, "access_s": array.access_s}
    run = run_array(array.netlist, array.timing, config, gathers, **arguments)
    assert run.values == STREAMS * sum(len(gather.matrix) for gather in gathers)
    wrong = with_wrong_cells(array.netlist, "array.sum.lane_0")
    with pytest.raises(
        NumericError, match=r"must compute what the simulator does, but sum \d+ of .* is -?\d+, not"
    ):
        run_array(wrong, analyse(wrong, period_s=5e-9), config, gathers, **arguments)


@pytest.mark.parametrize(("unit", "most"), [("array.sum.lane_0", 1), ("pointwise.lane_0", 1), ("host", None)])
def test_wrong_cells_of_the_core_are_noticed(unit: str, most: int | None, core: Built, work: Work) -> None:
    """All of the host's: few of them matter to a run that neither streams nor reads most registers."""
    found = next(name for name in core.netlist.units if name.startswith(unit))
    wrong = with_wrong_cells(core.netlist, found, most)
    with pytest.raises(NumericError, match=r"^the netlist('s host interface)? must"):
        run_core(
            wrong,
            analyse(wrong, period_s=5e-9),
            work,
            core_name="spiking",
            sample_every=10**6,
            access_s=core.access_s,
        )


def test_wrong_words_and_cycles_are_noticed(core: Built, work: Work) -> None:
    """One bit of one word of one stream; one cycle in one stream."""
    outputs = work.outputs.copy()
    outputs[0, 5, 3] ^= 1
    cycles = work.cycles | {"spiking": work.cycles["spiking"].copy()}
    cycles["spiking"][0, np.argmin(cycles["spiking"][0])] -= 1
    for changed, message in (
        ({"outputs": outputs}, "output word 3 of token 0 in stream 5 is"),
        ({"cycles": cycles}, r"must take \d+ cycles in stream \d+"),
    ):
        with pytest.raises(NumericError, match=message):
            run_core(
                core.netlist,
                core.timing,
                dataclasses.replace(work, **changed),  # type: ignore[arg-type]
                core_name="spiking",
                sample_every=10**6,
                access_s=core.access_s,
            )


def test_gather_that_never_ends_is_given_up(array: Built, work: Work) -> None:
    """The start does not arrive."""
    inputs = array.netlist.inputs | {"start": np.zeros(1, np.int32)}
    deaf = dataclasses.replace(array.netlist, inputs=inputs)
    config = array_config(work)
    with pytest.raises(NumericError, match=r"must be done with a gather within \d+ cycles, but is not"):
        run_array(deaf, array.timing, config, work.gathers[:1], sample_every=64, access_s=array.access_s)


def test_short_gathers_are_measured_too(array: Built, work: Work) -> None:
    """Few cycles of an array larger than the matrix: looked at cycle by cycle."""
    config = array_config(work)
    rng = np.random.default_rng(0)
    gather = GatherWork(
        name="small",
        matrix=rng.integers(-127, 128, (2, 2), np.int8),
        counts=rng.integers(-3, 4, (STREAMS, 2), np.int8),
    )
    run = run_array(array.netlist, array.timing, config, [gather], sample_every=1, access_s=array.access_s)
    assert 0 < run.cycles < 64
    assert run.activity.toggles.sum() > 0


def test_clock_that_cannot_be_met(cache: Path, work: Work) -> None:
    """5 GHz: the slack says so, and everything else is there."""
    design = fp8_job(Technology.of(None, 5e9, use_cache=True), work.gathers[:1], ways=1).design()
    assert design.timing.worst_slack_ns < 0
    assert design.timing.worst_path_ns > design.timing.period_ns == pytest.approx(0.2)
    assert design.lockstep.values > 0
    assert design.power_mw > 0


@pytest.fixture
def few_points(monkeypatch: pytest.MonkeyPatch, work: Work) -> dict[str, tuple[Any, ...]]:
    """Break-even points, to be filled, on the arrays that there are already."""
    points: dict[str, tuple[Any, ...]] = {}
    monkeypatch.setattr(break_even, "_POINTS", points)
    monkeypatch.setattr(break_even, "LANES", 2)
    monkeypatch.setattr(break_even, "_small", lambda config, gathers: array_config(work, dense=config.dense))
    return points


def test_break_even_points(
    few_points: dict[str, tuple[Any, ...]], compared: Compared, work: Work, technology: Technology
) -> None:
    """A smaller k needs the checkpoint and makes fewer events, so that fewer of its cycles are spiking's."""
    few_points["threshold_k"] = (1.0,)
    nowhere = dataclasses.replace(compared.origin, checkpoint=Path("nowhere"))
    (own,) = break_even.break_even(work, technology, nowhere, 1)
    less, same = break_even.break_even(work, technology, compared.origin, 1)
    assert (less.parameter, less.value) == ("threshold_k", "1")
    assert same == own
    assert (same.parameter, same.value) == ("threshold_k", "3")
    assert 0 < less.events_per_value < same.events_per_value
    assert less.cycle_ratio < same.cycle_ratio
    assert less.area_reduction > same.area_reduction
    assert less.energy_reduction > same.energy_reduction
    for point in (less, same):
        assert point.sparsity == pytest.approx(1 - point.events_per_value / 7)
        assert -3 < point.area_reduction < 1
        assert -3 < point.energy_reduction < 1


def test_points_that_are_left_out(
    few_points: dict[str, tuple[Any, ...]], compared: Compared, work: Work
) -> None:
    """Without the checkpoint settings that change numbers; the hardware's own value is always there, once."""
    few_points.update({"window": (3, 7), "coding": ("signed_digit", "ternary"), "ways": (2, 4)})
    found = [(p.parameter, p.value, p.hardware) for p in break_even._points(work, None)]
    names = [name for *name, _ in found]
    assert names == [
        ["window", "7"],
        ["coding", "signed_digit"],
        ["coding", "ternary"],
        ["ways", "2"],
        ["ways", "4"],
    ]
    assert [hardware.array.ways for *_, hardware in found] == [2, 2, 2, 2, 4]
    assert found[2][2].numerics.coding == "ternary"
    more = [p.value for p in break_even._points(work, compared.origin) if p.parameter == "window"]
    assert more == ["3", "7"]


def test_points_of_a_model_without_states(work: Work) -> None:
    """Its state memory has a row of every bank, which is too little for twice as many banks."""
    least = {"memory.row_kib": work.hardware.least_row_kib, "memory.state_kib": work.hardware.least_state_kib}
    bare = replace(work, hardware=work.hardware.replace(**least))
    found = [p.hardware for p in break_even._points(bare, None) if p.parameter == "ways"]
    assert max(hardware.array.ways for hardware in found) > bare.hardware.array.ways
    assert all(hardware.memory.state_kib >= hardware.least_state_kib for hardware in found)


def test_gathers_of_all_densities_are_chosen() -> None:
    """Seven gathers, gather n with n events per value: a middle one of each quarter of the ranking."""
    rng = np.random.default_rng(1)
    ranked = [
        GatherWork(
            name=f"{n}", matrix=np.ones((1, 4), np.int8), counts=np.full((STREAMS, 4), (1 << n) - 1, np.int8)
        )
        for n in range(7)
    ]
    shuffled = [ranked[i] for i in rng.permutation(len(ranked))]
    assert break_even._representative(shuffled, "bitwise") == {"1", "3", "5", "6"}
    assert break_even._representative(shuffled[:2], "bitwise") == {gather.name for gather in shuffled[:2]}


def made_up(cycles: float, **units: tuple[float, float]) -> Design:
    """Units of so many µm² and mW: half of it leakage, a quarter internal, an eighth each switching and glitches."""
    return Design(
        name="made_up",
        label="made up",
        cells=1,
        flip_flops=1,
        units=tuple(
            UnitFigures(
                unit=NAMES[name],
                area_um2=area,
                power=Power(leakage=mw / 2, internal=mw / 4, switching=mw / 8, glitch=mw / 8),
            )
            for name, (area, mw) in units.items()
        ),
        cycles_per_token=cycles,
        timing=Timing(period_ns=1, worst_slack_ns=0, worst_path_ns=1, start="a", end="b"),
        lockstep=Agreement(tokens=1, cycles=1, values=1),
        glitches=GlitchShare(cycles=1, factor=1, spread=0),
    )


NAMES = {
    "array": ARRAY,
    "offset": OFFSET,
    "encoder": ENCODER,
    "lists": ENCODER_MEMORY,
    "rows": ROW_MEMORY,
    "pointwise": POINTWISE,
    "update": UPDATE,
    "control": CONTROL,
}
SPIKING = made_up(200, array=(54, 2.7), offset=(6, 0.3), encoder=(20, 1), lists=(30, 1), rows=(100, 2))
DENSE = made_up(100, array=(194, 9.7), offset=(6, 0.3), encoder=(10, 0.5), rows=(100, 2))
SKIPPING = made_up(80, array=(194, 8.7), offset=(6, 0.3), encoder=(16, 1), lists=(20, 1), rows=(100, 3))
DESIGNS: dict[CoreName, Design] = {"spiking": SPIKING, "dense": DENSE, "skipping": SKIPPING}
BUSY: dict[CoreName, float] = {"spiking": 300, "dense": 200, "skipping": 120}
MEGAHERTZ = 1e6


def test_unit_basis_by_hand() -> None:
    basis = unit_basis(DESIGNS, BUSY, MEGAHERTZ)
    assert (basis.area_um2.spiking, basis.area_um2.dense, basis.area_um2.skipping) == (60, 200, 200)
    assert (basis.power_mw.spiking, basis.power_mw.dense, basis.power_mw.skipping) == (3, 10, 9)
    assert basis.power_zero_delay_mw.spiking == pytest.approx(3 * 7 / 8)
    assert basis.power_zero_delay_mw.dense == pytest.approx(10 * 7 / 8)
    assert basis.energy_per_token_uj.spiking == pytest.approx(3e-3 * 200e-6 * 1e6)
    assert basis.reduction.area == pytest.approx(0.7)
    assert basis.reduction.power == basis.reduction.power_zero_delay == pytest.approx(0.7)
    assert basis.reduction.energy == pytest.approx(1 - 600 / 1000)
    assert basis.cycle_ratio == 1.5
    assert basis.published
    assert not unit_basis(DESIGNS, BUSY, MEGAHERTZ, published=False).published
    # A token takes dense 100 µs, spiking half as long again; 200 µm² hold 3⅓ of its arrays.
    tokens = basis.tokens_per_s_at_equal_area
    assert tokens is not None
    assert (tokens.spiking, tokens.dense) == pytest.approx((1e4 / 1.5 * 200 / 60, 1e4))
    assert basis.reduction.tokens_per_s == pytest.approx(200 / 60 / 1.5 - 1)
    beside = basis.skipping
    assert beside is not None
    assert beside.cycle_ratio == 2.5
    assert beside.reduction.power == pytest.approx(1 - 3 / 9)
    assert beside.reduction.energy == pytest.approx(1 - 600 / 720)
    assert beside.reduction.tokens_per_s == pytest.approx(200 / 60 / 2.5 - 1)


def test_equal_throughput_by_hand() -> None:
    """1.5 times the array, one offset and one encoder; twice the time at the same power in the dense twin's time."""
    basis = equal_throughput_basis(DESIGNS, BUSY, MEGAHERTZ)
    assert (basis.area_um2.spiking, basis.area_um2.dense) == (54 * 1.5 + 6 + 20, 210)
    assert (basis.power_mw.spiking, basis.power_mw.dense) == (8, 10.5)
    assert basis.energy_per_token_uj.dense == pytest.approx(1.05)
    assert basis.reduction.energy == basis.reduction.power == pytest.approx(1 - 8 / 10.5)
    assert basis.reduction.tokens_per_s == pytest.approx(210 / 107 - 1)
    beside = basis.skipping
    assert beside is not None
    assert (beside.area_um2.spiking, beside.area_um2.skipping) == (54 * 2.5 + 6 + 20, 216)
    assert (beside.power_mw.spiking, beside.power_mw.skipping) == pytest.approx((4 * 2.5, 10))
    assert beside.energy_per_token_uj.spiking == pytest.approx(basis.energy_per_token_uj.spiking)
    assert beside.energy_per_token_uj.dense == pytest.approx(1.05)


def test_row_memory_by_hand() -> None:
    """The same with lists and rows, of which there is one of each."""
    basis = row_memory_basis(DESIGNS, BUSY, MEGAHERTZ)
    assert (basis.area_um2.spiking, basis.area_um2.dense) == (54 * 1.5 + 156, 310)
    assert basis.reduction.area == pytest.approx(1 - 237 / 310)
    assert basis.reduction.energy == pytest.approx(1 - 7 * 200 / (12.5 * 100))
    beside = basis.skipping
    assert beside is not None
    assert beside.reduction.area == pytest.approx(1 - (54 * 2.5 + 156) / 336)
    assert beside.reduction.energy == pytest.approx(1 - 7 * 200 / (14 * 80))


def test_core_by_hand() -> None:
    basis = core_basis(DESIGNS, MEGAHERTZ)
    assert (basis.area_um2.spiking, basis.area_um2.dense) == (210, 310)
    assert (basis.power_mw.spiking, basis.power_mw.dense) == (7, 12.5)
    assert basis.cycle_ratio == 2
    assert basis.reduction.energy == pytest.approx(1 - 1400 / 1250)
    assert basis.reduction.tokens_per_s == pytest.approx(310 / 210 / 2 - 1)
    beside = basis.skipping
    assert beside is not None
    assert beside.cycle_ratio == 2.5
    assert beside.reduction.energy == pytest.approx(1 - 1400 / (14 * 80))
    assert beside.energy_per_token_uj == basis.energy_per_token_uj


def kind(name: str, cycles: float, rows: int = 0) -> InstructionCost:
    """The same in both cores."""
    counters = Counters(row_reads=rows, row_reads_dense=rows, row_reads_skipping=rows)
    return InstructionCost(label=name, cycles=dict.fromkeys(CORES, cycles), counters=counters)  # type: ignore[arg-type]


def work_of(*kinds: InstructionCost) -> Work:
    """All that the figures look at."""
    work = object.__new__(Work)
    object.__setattr__(work, "by_kind", {entry.label: entry for entry in kinds})
    return work


def test_energy_by_operation_by_hand() -> None:
    """1 µJ per mW. Leakage (7.5) and control (2) by cycles, the array by rows, the rest by its instructions' cycles."""
    design = made_up(1000, array=(1, 4), pointwise=(1, 6), update=(1, 3), control=(1, 4))
    work = work_of(kind("gather a", 50, 30), kind("gather b", 30, 10), kind("scatter", 10), kind("norm", 10))
    cores = dict.fromkeys(CORES, design)
    found = {entry.operation: entry for entry in operation_energies(work, cores, MEGAHERTZ)}
    shared = (4 + 6 + 3 + 4) / 2 + 2
    expected = {
        "gather a": shared * 0.5 + 2 * 30 / 40,
        "gather b": shared * 0.3 + 2 * 10 / 40,
        "scatter": shared * 0.1 + 1.5,
        "norm": shared * 0.1 + 3,
    }
    assert {name: entry.spiking_uj for name, entry in found.items()} == pytest.approx(expected)
    assert {name: entry.dense_uj for name, entry in found.items()} == pytest.approx(expected)
    assert list(found) == sorted(found, key=lambda name: -expected[name])


@pytest.mark.parametrize("left_out", ["gather", "scatter", "norm"])
def test_energy_by_operation_is_all_of_it(left_out: str) -> None:
    """Also that of units which nothing uses."""
    kinds = [kind("gather", 50, 30), kind("scatter", 10), kind("norm", 10)]
    work = work_of(*(entry for entry in kinds if entry.label != left_out))
    spiking = made_up(1000, array=(1, 4), pointwise=(1, 6), update=(1, 3), control=(1, 4))
    dense = made_up(500, array=(1, 9), pointwise=(1, 6), rows=(1, 2))
    cores: dict[CoreName, Design] = {"spiking": spiking, "dense": dense, "skipping": dense}
    found = operation_energies(work, cores, MEGAHERTZ)
    assert sum(entry.spiking_uj for entry in found) == pytest.approx(17)
    assert sum(entry.dense_uj for entry in found) == pytest.approx(8.5)


def test_energy_of_single_things_by_hand() -> None:
    """Two streams of 3, −1 and 0, 7: 3 events each on average, for 5 outputs; 2 lanes share a row."""
    gather = GatherWork(
        name="g", matrix=np.ones((5, 2), np.int8), counts=np.array([[3, -1], [0, 7]], np.int8)
    )
    assert gather.sums.tolist() == [[2] * 5, [7] * 5]
    array = {"array.lanes": 2, "numerics.coding": "bitwise"}
    amount = amount_of([gather], HardwareConfig().replace(**array, **{"array.order": "plane"}))
    assert (amount.products, amount.additions) == (10, 15)
    assert amount.weights_read == {"spiking": 15, "dense": 10, "skipping": 7.5}
    in_rows = amount_of([gather], HardwareConfig().replace(**array, **{"array.order": "row"}))
    assert in_rows.weights_read == {"spiking": 7.5, "dense": 10, "skipping": 7.5}
    found = event_energies(DESIGNS, DESIGNS, amount, MEGAHERTZ)
    picojoules = [(entry.spiking_pj, entry.dense_pj, entry.skipping_pj) for entry in found]
    assert picojoules[0] == pytest.approx((6e5 / 15, 1e6 / 10, 7.2e5 / 10))
    assert picojoules[1] == pytest.approx((8e5 / 10, 1.05e6 / 10, 8e5 / 10))
    assert picojoules[2] == pytest.approx((4e5 * 2 / 15, 2e5 * 2 / 10, 2.4e5 * 2 / 7.5))
    assert picojoules[3] == pytest.approx((1.4e6, 1.25e6, 1.12e6))
