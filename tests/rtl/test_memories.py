"""Memories of a comparison: split until they are fast enough, their energy from counted accesses and driven nets."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.gate_netlists import Wires, bus
from helpers.tried import tried
from hypothesis import given
from hypothesis import strategies as st

from spikesim.compare.memories import MemoryMacro, macro, memory_power
from spikesim.compare.parts import (
    ENCODER_MEMORY,
    PROGRAM_MEMORY,
    ROW_MEMORY,
    STATE_MEMORY,
    UPDATE_MEMORY,
    VECTOR_MEMORY,
    memory_of,
    part_of,
)
from spikesim.errors import HardwareError
from spikesim.power_models.gates.simulator import MemoryCounts
from spikesim.power_models.memories.model import MOST_MACROS, Sram, sram, sram_within
from spikesim.power_models.netlist.netlist import Netlist
from spikesim.power_models.power.power import PowerResult
from spikesim.rtl.memory import MACRO_BITS, SMALLEST_MACRO, Ram, macro_bits
from spikesim.rtl.verilog import verilog

DEPTH, WIDTH = 4096, 64
NEVER = 1e-15
"""s: faster than any memory."""

sizes = {"depth": st.integers(1, 2**16), "width": st.integers(1, 256)}


@given(**sizes, nanoseconds=st.floats(0.05, 3))
def test_split_is_the_first_that_is_fast_enough(depth: int, width: int, nanoseconds: float) -> None:
    split = sram_within(nanoseconds * 1e-9, depth, width)
    assert split.macros.bit_count() == 1
    fast = split.whole.access_s <= nanoseconds * 1e-9
    assert fast or split.macros >= min(MOST_MACROS, depth)
    for more in np.geomspace(nanoseconds, 20, 30):
        larger = sram_within(more * 1e-9, depth, width)
        assert larger.macros == split.macros or larger.whole.access_s > nanoseconds * 1e-9


@given(**sizes, one=st.floats(0.05, 3), other=st.floats(0.05, 3))
def test_less_time_never_takes_less(depth: int, width: int, one: float, other: float) -> None:
    """Fewer ns: at least as many macros and µm²; an access costs what it costs in one piece."""
    fast, slow = (sram_within(t * 1e-9, depth, width) for t in sorted((one, other)))
    assert fast.macros >= slow.macros
    assert fast.whole.area_um2 >= slow.whole.area_um2 * (1 - 1e-12)
    whole = sram(depth, width)
    for split in (fast, slow):
        assert split.whole.read_energy_j == whole.read_energy_j
        assert split.whole.write_energy_j == whole.write_energy_j


def test_time_enough_leaves_one_macro() -> None:
    split = sram_within(1.0, DEPTH, WIDTH, shared_port=True, write_granule=8)
    assert split.macros == 1
    assert split.whole == sram(DEPTH, WIDTH, shared_port=True, write_granule=8)


def test_two_macros_by_hand() -> None:
    """Two of half the depth, and 64 multiplexers with one level of delay behind them."""
    one, half = sram(DEPTH, WIDTH), sram(DEPTH // 2, WIDTH)
    split = sram_within(one.access_s * 0.999, DEPTH, WIDTH)
    assert split.macros == 2
    assert split.whole.area_um2 == pytest.approx(2 * half.area_um2 + 64 * 1.862)
    assert half.access_s < split.whole.access_s <= one.access_s
    assert 2 * half.leakage_w < split.whole.leakage_w < 2.2 * half.leakage_w


def test_time_that_no_split_leaves() -> None:
    assert sram_within(NEVER, DEPTH, WIDTH).macros == MOST_MACROS
    assert sram_within(NEVER, 1, 8).macros == 1
    tiny = sram_within(NEVER, 5, 8)
    assert 5 <= tiny.macros <= 8
    assert math.isfinite(tiny.whole.area_um2)


def test_small_memory_is_registers() -> None:
    """Split or not; a larger one becomes registers when its macros are that small."""
    assert sram_within(1.0, 32, 32).whole.registers
    assert not sram_within(1.0, 64, 32).whole.registers
    assert sram_within(NEVER, 64, 32).whole.registers


def memory_netlist(**changes: int) -> Netlist:
    """One memory, of 4096 words of 64 bits in four granules, whose read data are the output."""
    parameters = {"WIDTH": WIDTH, "DEPTH": DEPTH, "GRANULE": 16, "MACRO": WIDTH, "READS": 1, "ADDRESS": 12}
    parameters |= changes
    wires = Wires()
    reads, width = parameters["READS"], parameters["WIDTH"]
    ports = {
        "clk": ["clk"],
        "write_enable": bus("we", width // parameters["GRANULE"]),
        "write_address": bus("wa", 12),
        "write_data": bus("wd", width),
        "read_enable": bus("re", reads),
        "read_address": bus("ra", 12 * reads),
        "read_data": bus("rd", width * reads),
    }
    for port, nets in ports.items():
        wires.port(port, "output" if port == "read_data" else "input", nets)
    wires.memory("array.rows", ports, **parameters)
    return wires.netlist()


def macro_of(part: str, *, access_s: float = 1.0, **changes: int) -> MemoryMacro:
    return macro(memory_netlist(**changes), 0, part, access_s=access_s, node="45 nm", voltage=1.1)


def test_macro_has_the_shape_of_its_box() -> None:
    """Only state and vector memory are written while they are read: a port of each kind."""
    found = macro_of(ROW_MEMORY)
    assert (found.name, found.part, found.macros) == ("array.rows", ROW_MEMORY, 1)
    assert found.model == sram(DEPTH, WIDTH, shared_port=True, write_granule=16)
    for part in (STATE_MEMORY, VECTOR_MEMORY):
        assert macro_of(part).model == sram(DEPTH, WIDTH, write_granule=16)
    assert macro_of(VECTOR_MEMORY, READS=2).model == sram(DEPTH, WIDTH, read_ports=2, write_granule=16)
    assert macro_of(ROW_MEMORY, access_s=0.4e-9).macros > 1


@given(st.integers(1, 64), st.integers(1, 2**16))
def test_memories_are_cut_into_equal_macros(lanes: int, depth: int) -> None:
    """Of 64 bits, or of as many more as they need to hold 32 kbit; a narrower or an odd word stays whole."""
    width = 8 * lanes
    bits = macro_bits(width, depth)
    assert width % bits == 0
    assert bits == width or (bits >= MACRO_BITS and bits * depth >= SMALLEST_MACRO)
    assert width <= MACRO_BITS or lanes.bit_count() > 1 or depth < 512 or bits == MACRO_BITS


def test_where_the_core_cuts_its_memories() -> None:
    """Rows along lanes, states of few words less finely, programs by fields; the text says so to whoever builds it."""
    assert (macro_bits(512, 5600), macro_bits(1024, 256), macro_bits(512, 4096)) == (64, 128, 64)
    text = verilog(Ram(width=512, depth=600, granule=8, macro=macro_bits(512, 600)), "rows")
    assert ".MACRO(32'd64)" in text


@tried(15, "macros of a memory in RTL that do not divide its word", "one sentence")
def test_macros_that_do_not_divide_the_word() -> None:
    with pytest.raises(HardwareError, match="macro of a memory must divide its word of 64 bits, not 48"):
        verilog(Ram(width=64, depth=16, macro=48), "rows")


def test_macros_side_by_side_are_each_a_memory() -> None:
    """512 bits cut along lanes: eight macros of 64, and of each as many as the time asks for."""
    found = macro_of(ROW_MEMORY, WIDTH=512, MACRO=64)
    one = macro_of(ROW_MEMORY)
    assert (found.macros, found.side_by_side) == (8, 8)
    assert found.model.read_energy_j == pytest.approx(8 * one.model.read_energy_j)
    assert found.model.leakage_w == pytest.approx(8 * one.model.leakage_w)
    assert found.model.area_um2 == pytest.approx(8 * one.model.area_um2)
    assert found.model.access_s == one.model.access_s
    fast = macro_of(ROW_MEMORY, WIDTH=512, MACRO=64, access_s=0.5e-9)
    assert (fast.macros, fast.side_by_side) == (8 * macro_of(ROW_MEMORY, access_s=0.5e-9).macros, 8)
    assert fast.macros > 8


def quiet_of(netlist: Netlist, watts: float) -> PowerResult:
    """Every net that is not constant dissipates the same."""
    none = np.zeros(netlist.cells)
    nets = np.full(netlist.nets, watts)
    fields: dict[str, Any] = dict.fromkeys(PowerResult.__dataclass_fields__, none)
    return PowerResult(**{**fields, "net_switching_w": nets})


def test_power_is_accesses_and_nets_by_hand() -> None:
    """100 cycles at 1 GHz: energy of 30 reads and 5 writes ÷ 100 ns, 64 nets of 1 µW; two boxes of a part add up, the
    other with writes of 12 of its four macros side by side."""
    netlist = memory_netlist()
    netlist = replace(netlist, boxes=[netlist.boxes[0], replace(netlist.boxes[0], name="other")])
    model = Sram(
        area_um2=10.0,
        read_energy_j=2e-12,
        write_energy_j=4e-12,
        leakage_w=3e-3,
        access_s=1e-9,
        registers=False,
    )
    names = ("array.rows", "other")
    macros = [
        MemoryMacro(name=name, part=ROW_MEMORY, macros=4, side_by_side=n, model=model)
        for name, n in zip(names, (1, 4), strict=True)
    ]
    counts = {
        "array.rows": MemoryCounts(reads=np.array([30]), writes=5),
        "other": MemoryCounts(reads=np.array([0]), writes=12),
    }
    (figures,) = memory_power(netlist, macros, counts, 100, quiet_of(netlist, 1e-6), 1e9)
    assert (figures.unit, figures.is_memory, figures.area_um2) == (ROW_MEMORY, True, 20.0)
    assert figures.power.leakage == pytest.approx(6.0)
    assert figures.power.internal == pytest.approx(1e3 * (30 * 2e-12 + (5 + 12 / 4) * 4e-12) / 100e-9)
    assert figures.power.switching == pytest.approx(2 * 64 * 1e-3)
    assert figures.power.glitch == 0


def test_memories_belong_to_parts() -> None:
    """By their images, else by where they are: a list is the encoder's where it serves gathers."""
    by_image = {
        "row_03": ROW_MEMORY,
        "state_00": STATE_MEMORY,
        "vector_00": VECTOR_MEMORY,
        "program": PROGRAM_MEMORY,
    }
    for image, part in by_image.items():
        assert memory_of("array.list_0.memory", image, lists_serve_gathers=True) == part
    assert memory_of("array.list_0.memory", "none", lists_serve_gathers=True) == ENCODER_MEMORY
    assert memory_of("array.list_0.memory", "none", lists_serve_gathers=False) == UPDATE_MEMORY
    assert memory_of("array.planes_12.memory", "none", lists_serve_gathers=False) == ENCODER_MEMORY


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("array.sum.lane_0", "array"),
        ("array.planes_3", "encoder"),
        ("array.window_3", "encoder"),
        ("array.state_1.x", "state update, stores"),
        ("array.drain", "row addressing, drain"),
        ("array", "row addressing, drain"),
        ("pointwise.factors", "pointwise"),
        ("host.bus", "control, host"),
        ("", "control, host"),
    ],
)
def test_units_belong_to_parts(path: str, part: str) -> None:
    assert part_of(path, lists_serve_gathers=False) == part
