"""Memories: every anchor is met, published macros come out close, and nothing shrinks when a memory grows."""

from __future__ import annotations

import math
from dataclasses import astuple

import pytest
from helpers.places import CHECKOUT
from helpers.tried import tried
from hypothesis import given
from hypothesis import strategies as st

from spikesim.errors import HardwareError
from spikesim.power_models.constants import MEMORY, PUBLISHED
from spikesim.power_models.memories.model import Sram, dram_energy_j, sram

FAKERAM = (
    # words, bits, area µm², access ns, leakage µW, clock energy of a cycle pJ (rise + fall)
    (64, 32, 1240.624, 0.207, 81.6272, 2 * 0.795762),
    (256, 34, 6476.036, 0.241, 338.924, 2 * 2.471870),
    (512, 64, 17301.438, 0.305, 823.237, 2 * 5.300430),
    (1024, 32, 16406.082, 0.309, 797.666, 2 * 3.566400),
    (2048, 39, 45478.818, 0.435, 1876.600, 2 * 6.855190),
)
"""fakeram45 of OpenROAD-flow-scripts (flow/platforms/nangate45/lib): single-port macros by CACTI, ITRS-HP, 1.1 V."""

words = st.integers(1, 2**18)
widths = st.integers(1, 1024)
ports = st.fixed_dictionaries(
    {"read_ports": st.integers(1, 3), "write_ports": st.integers(1, 2), "shared_port": st.booleans()}
)


@pytest.mark.parametrize(
    ("kilobytes", "picojoules", "tolerance"), [(8, 10, 0.02), (32, 20, 0.07), (1024, 100, 0.01)]
)
def test_published_energies(kilobytes: int, picojoules: float, tolerance: float) -> None:
    """Horowitz 2014: a 64-bit read, 45 nm, 0.9 V. Two points are the fit's own, the third is not."""
    memory = sram(kilobytes * 128, 64, shared_port=True, voltage=0.9)
    assert memory.read_energy_j * 1e12 == pytest.approx(picojoules, rel=tolerance)


@pytest.mark.parametrize(("depth", "bits", "area", "access", "leakage", "energy"), FAKERAM[1:])
def test_published_macros(
    depth: int, bits: int, area: float, access: float, leakage: float, energy: float
) -> None:
    """Areas within 1.1, energies (which the model has from elsewhere) within 1.15, leakage and access within 1.7."""
    memory = sram(depth, bits, shared_port=True, cells="high_performance")
    assert memory.area_um2 == pytest.approx(area, rel=0.1)
    assert memory.read_energy_j * 1e12 == pytest.approx(energy, rel=0.15)
    assert 1 / 1.7 < memory.leakage_w * 1e6 / leakage < 1.7
    assert 0.99 < memory.access_s * 1e9 / access < 1.7


def test_the_smallest_macros() -> None:
    """2 and 4 kbit: between CACTI's ideal 64 × 32 and OpenRAM's laid-out 64 × 64 (FreePDK45, 4 banks)."""
    assert FAKERAM[0][2] < sram(64, 32, shared_port=True).area_um2 <= sram(64, 64).area_um2 < 13267.5
    assert sram(64, 32, shared_port=True).access_s < 2 * FAKERAM[0][3] * 1e-9


def test_density_of_published_memories() -> None:
    """Mb/mm², 40 and 45 nm: 0.33 to 0.94 in papers (table of OpenRAM's documentation), 2.9 for cells alone."""
    density = 1 / sram(16384, 64, shared_port=True).area_um2 * 16384 * 64
    assert 0.94 < density < 2.9


def no_more(smaller: Sram, larger: Sram) -> bool:
    """In no figure but leakage, where the larger one is a macro and the smaller one flip-flops, which leak more."""
    leaks = (smaller.registers and not larger.registers) or smaller.leakage_w <= larger.leakage_w * (
        1 + 1e-12
    )
    pairs = zip(figures(smaller), figures(larger), strict=True)
    return leaks and all(a <= b * (1 + 1e-12) for a, b in pairs)


def figures(memory: Sram) -> tuple[float, ...]:
    return memory.area_um2, memory.read_energy_j, memory.write_energy_j, memory.access_s


@given(words, words, widths, ports)
def test_more_words(one: int, other: int, width: int, p: dict[str, int]) -> None:
    few, many = sorted((one, other))
    assert no_more(sram(few, width, **p), sram(many, width, **p))


@given(st.integers(1, 2**14), widths, widths, ports)
def test_wider_words(depth: int, one: int, other: int, p: dict[str, int]) -> None:
    narrow, wide = sorted((one, other))
    assert no_more(sram(depth, narrow, **p), sram(depth, wide, **p))


@given(st.integers(1, 2**16), st.integers(1, 16), st.integers(1, 128), ports)
def test_macros_side_by_side(depth: int, count: int, width: int, p: dict[str, int]) -> None:
    """The sum of so many memories, read as fast as one."""
    one, cut = sram(depth, width, **p), sram(depth, count * width, macro_bits=width, **p)
    assert cut.area_um2 == pytest.approx(count * one.area_um2)
    assert cut.read_energy_j == pytest.approx(count * one.read_energy_j)
    assert cut.write_energy_j == pytest.approx(count * one.write_energy_j)
    assert cut.leakage_w == pytest.approx(count * one.leakage_w)
    assert (cut.access_s, cut.registers) == (one.access_s, one.registers)


def test_a_cut_bank_of_row_memory() -> None:
    """512 bits in macros of 64: a seventh less energy and half the access time, for some per cent of area."""
    whole, cut = (sram(5600, 512, shared_port=True, write_granule=8, macro_bits=bits) for bits in (512, 64))
    assert whole.read_energy_j / cut.read_energy_j == pytest.approx(1.14)
    assert cut.access_s < 0.5 * whole.access_s
    assert 1.02 < cut.area_um2 / whole.area_um2 < 1.05


@given(words, widths, st.sampled_from([180, 130, 90, 65, 45, 28, 16, 7]))
def test_figures_are_sound(depth: int, width: int, node: int) -> None:
    """Positive and finite; a macro is never smaller than its cells."""
    memory = sram(depth, width, node=node, voltage={180: 1.8, 130: 1.3, 90: 1.2, 65: 1.1}.get(node, 0.9))
    assert all(math.isfinite(x) and x > 0 for x in astuple(memory)[:5])
    assert sram(depth, width).area_um2 > 0.346 * depth * width


@given(st.integers(1, 2**14), widths)
def test_ports(depth: int, width: int) -> None:
    """6T < 8T < a full second port < a third one; with registers only the read trees grow."""
    kinds = [
        sram(depth, width, shared_port=True),
        sram(depth, width),
        sram(depth, width, read_ports=2, shared_port=True),
        sram(depth, width, read_ports=2),
    ]
    areas = [memory.area_um2 for memory in kinds]
    assert areas == sorted(areas)
    energies = [memory.read_energy_j for memory in kinds]
    assert energies == sorted(energies)


def test_registers_end_at_one_kilobit() -> None:
    """The figures do not jump down there, and say which side they are on; leakage does, from flip-flops to cells."""
    below, above = sram(32, 32), sram(33, 32)
    assert below.registers
    assert not above.registers
    assert below.area_um2 == pytest.approx(1024 * (4.522 + 1.862) + 4.522 + 1.064)
    assert above.area_um2 == pytest.approx(below.area_um2, rel=0.01)
    assert above.access_s == pytest.approx(below.access_s, rel=0.01)
    assert above.leakage_w < 0.1 * below.leakage_w


def test_granules_cost_area_only() -> None:
    whole, bytewise = sram(1024, 64), sram(1024, 64, write_granule=8)
    assert 0 < bytewise.area_um2 - whole.area_um2 < 0.01 * whole.area_um2
    assert astuple(bytewise)[1:] == astuple(whole)[1:]


def test_cells_tell_in_leakage_only() -> None:
    hp, lop, lstp = (
        sram(4096, 64, cells=cells)
        for cells in ("high_performance", "low_operating_power", "low_standby_power")
    )
    assert hp.leakage_w > 5 * lop.leakage_w >= 5 * lstp.leakage_w
    assert (hp.area_um2, hp.read_energy_j, hp.access_s) == (lop.area_um2, lop.read_energy_j, lop.access_s)


def test_a_smaller_node() -> None:
    """7 nm: the source's area ratio; less energy and time."""
    old, new = sram(4096, 64), sram(4096, 64, node="7 nm", voltage=0.7)
    assert new.area_um2 / old.area_um2 == pytest.approx(0.059)
    assert new.read_energy_j < 0.1 * old.read_energy_j
    assert new.access_s < old.access_s


def test_dram() -> None:
    """8 bytes: 1.3 and 2.6 nJ (Horowitz 2014). HBM2 3.97 pJ a bit (O'Connor 2017)."""
    assert dram_energy_j(8) == pytest.approx(1.3e-9)
    assert dram_energy_j(8, "closed_row") == pytest.approx(2.6e-9)
    assert dram_energy_j(1000, "hbm2") == pytest.approx(8000 * 3.97e-12)
    assert dram_energy_j(0) == 0
    with pytest.raises(HardwareError, match="the bytes moved must be at least 0, not -1"):
        dram_energy_j(-1)
    with pytest.raises(HardwareError, match="kind of DRAM must be one of"):
        dram_energy_j(1, "core")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["words", "bits_per_word", "read_ports", "write_ports", "write_granule", "macro_bits"]
)
def test_impossible_memories(name: str) -> None:
    arguments = {"words": 16, "bits_per_word": 8} | {name: 0}
    with pytest.raises(HardwareError, match=f"{name} of a memory must be at least 1, not 0"):
        sram(**arguments)


@tried(15, "a memory whose macros do not divide its word", "one sentence")
def test_macros_that_do_not_divide_the_word() -> None:
    with pytest.raises(HardwareError, match="macro_bits of a memory must divide its word of 64 bits, not 24"):
        sram(16, 64, macro_bits=24)


def test_impossible_cells() -> None:
    with pytest.raises(HardwareError, match="cells of a memory must be one of high_performance"):
        sram(16, 8, cells="relay")  # type: ignore[arg-type]


def test_every_constant_says_where_it_comes_from() -> None:
    for constant in (*MEMORY, *PUBLISHED):
        assert constant.source, constant.name
        assert constant.value > 0, constant.name
    assert len({constant.name + constant.node for constant in MEMORY}) == len(MEMORY)


def test_the_table_of_the_documentation_is_complete() -> None:
    """docs/memories.md names every constant of the model, its value to the digits given, and whether it is assumed."""
    text = (CHECKOUT / "docs" / "memories.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(): line.split("|") for line in text.splitlines() if line.count("|") > 6}
    for constant in MEMORY:
        row = rows[
            f"{constant.name}, {constant.node}"
            if constant.name.startswith("leakage of a cell")
            else constant.name
        ]
        assert float(row[2]) == pytest.approx(constant.value, rel=0.005), constant.name
        assert row[3].strip() == constant.unit
        assert ("assumed" in row[6]) == constant.assumed, constant.name
