"""Scaling between nodes: the source's own numbers, laws every scaling obeys, and two published cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikesim.errors import HardwareError
from spikesim.power_models.memories.scaling import library_node, node_nm, nominal_voltage, scaled

SOURCE_NODES = (180, 130, 90, 65, 45, 32, 20, 16, 14, 10, 7)

nodes = st.floats(7, 180)
kinds = st.sampled_from(["area", "energy", "delay"])


def test_the_example_of_the_corrigendum() -> None:
    """1 pJ at 65 nm, 1.3 V is 0.1755 pJ at 32 nm, 0.9 V."""
    assert scaled(1.0, "energy", 65, 32, from_voltage=1.3, to_voltage=0.9) == pytest.approx(0.1755, abs=1e-4)


def test_areas_are_the_tables_ratios() -> None:
    """Rows of the source's table, which is rounded to two digits."""
    for old, new, ratio in (
        (180, 130, 0.34),
        (130, 45, 0.16),
        (90, 65, 0.53),
        (45, 7, 0.059),
        (32, 16, 0.41),
    ):
        assert scaled(1.0, "area", old, new) == pytest.approx(ratio, rel=0.05)


def test_a_published_pair_of_cells() -> None:
    """Intel's 6T cells: 0.57 µm² in 65 nm, 0.346 µm² in 45 nm."""
    assert scaled(0.57, "area", "65 nm", "45 nm") == pytest.approx(0.346, rel=0.12)


def test_energy_goes_with_the_square_of_the_supply_at_45_nm() -> None:
    ratio = scaled(1.0, "energy", 45, 45, from_voltage=0.9, to_voltage=1.1)
    assert ratio == pytest.approx((1.1 / 0.9) ** 2, rel=0.002)


@given(kinds, nodes, nodes, nodes)
def test_scaling_is_a_ratio(kind: str, a: float, b: float, c: float) -> None:
    """There and back is nothing, and two steps are one; a node's own factor is 1."""
    value = scaled(3.0, kind, a, b)  # type: ignore[arg-type]
    assert value > 0
    assert scaled(value, kind, b, a) == pytest.approx(3.0)  # type: ignore[arg-type]
    assert scaled(value, kind, b, c) == pytest.approx(scaled(3.0, kind, a, c))  # type: ignore[arg-type]
    assert scaled(3.0, kind, a, a) == pytest.approx(3.0)  # type: ignore[arg-type]


@given(kinds, nodes, nodes)
def test_smaller_nodes_are_smaller_faster_and_frugal(kind: str, a: float, b: float) -> None:
    """At nominal supplies, but for the source's planar 32 nm, which it has 13 % faster than its 20 nm."""
    old, new = max(a, b), min(a, b)
    limit = 1.16 if kind == "delay" else 1.0
    assert scaled(1.0, kind, old, new) <= limit + 1e-9  # type: ignore[arg-type]


@given(nodes, st.floats(0.7, 1.45), st.floats(0.7, 1.45))
def test_supply(node: float, one: float, other: float) -> None:
    """More volts: more energy, no more delay."""
    low, high = (x * nominal_voltage(node) for x in sorted((one, other)))
    assert scaled(1.0, "energy", node, node, from_voltage=low, to_voltage=high) >= 1 - 1e-9
    # The cubics have shallow minima just below the nominal supply: 32 nm rises by 10 % there.
    assert scaled(1.0, "delay", node, node, from_voltage=low, to_voltage=high) <= 1.11
    assert scaled(1.0, "area", node, node, from_voltage=low, to_voltage=high) == pytest.approx(1)


def test_nodes_between_lie_between() -> None:
    for kind in ("area", "energy", "delay"):
        ends = [scaled(1.0, kind, 45, node) for node in (20, 32)]  # type: ignore[arg-type]
        assert min(ends) < scaled(1.0, kind, 45, 28) < max(ends)  # type: ignore[arg-type]


@pytest.mark.parametrize("node", ["45 nm", "45", 45, 45.0, " 45nm "])
def test_ways_to_write_a_node(node: str | float) -> None:
    assert node_nm(node) == 45


@pytest.mark.parametrize("node", ["5 nm", 250, "45 um", "", "nm"])
def test_nodes_that_cannot_be(node: str | float) -> None:
    with pytest.raises(HardwareError, match=r"the technology node must be between 7 nm and 180 nm, not"):
        scaled(1.0, "area", 45, node)


def test_what_the_source_does_not_have() -> None:
    with pytest.raises(HardwareError, match="must be area, energy or delay, not 'leakage'"):
        scaled(1.0, "leakage", 45, 7)  # type: ignore[arg-type]
    with pytest.raises(HardwareError, match=r"between 0\.70 V and 1\.45 V, not 1\.8 V"):
        scaled(1.0, "energy", 45, 45, from_voltage=1.8)


@pytest.mark.parametrize(
    ("name", "node", "voltage"),
    [
        ("NangateOpenCellLibrary", "45 nm", 1.1),
        ("osu018_stdcells", "180 nm", 1.8),
        ("sky130_fd_sc_hd__tt_025C_1v80", "130 nm", 1.8),
        ("sg13g2_stdcell_typ_1p20V_25C", "130 nm", 1.2),
        ("asap7sc7p5t_SIMPLE_RVT_TT_nldm_211120", "7 nm", 0.7),
    ],
)
def test_libraries(name: str, node: str, voltage: float) -> None:
    found = library_node(name)
    assert (found.node, found.voltage, found.assumed) == (node, voltage, False)
    for kind in ("area", "energy", "delay"):
        assert scaled(1.0, kind, 45, node, to_voltage=voltage) > 0  # type: ignore[arg-type]


def test_a_library_nobody_knows_is_assumed() -> None:
    found = library_node("acme_hd")
    assert found.assumed
    assert "acme_hd" in found.source


@pytest.mark.parametrize("node", SOURCE_NODES)
def test_every_node_has_a_supply(node: int) -> None:
    assert 0.6 < nominal_voltage(node) < 2
