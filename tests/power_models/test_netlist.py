"""Netlists as arrays: numbering, levels, loads, units, and every netlist that must be refused."""

import numpy as np
import pytest
from helpers.tiny_library import library_text, module, near, net, netlist, read_text

from spikesim.errors import ToolError
from spikesim.power_models.netlist.netlist import OPEN, read_netlist, unit_of


@pytest.fixture
def library(tmp_path):
    return read_text(tmp_path, library_text())


def chain(library):
    return netlist(
        library,
        ["clk", "a"],
        ["y"],
        [
            ("u.v.flip$1", "DFF", {"D": "y", "CK": "clk", "Q": "q"}),
            ("u.first", "NAND", {"A": "a", "B": "q", "Y": "n1"}),
            ("second", "INV", {"A": "n1", "Y": "n2"}),
            ("third", "NAND", {"A": "n2", "B": "1", "Y": "y"}),
        ],
    )


def test_cells_nets_and_units(library):
    n = chain(library)
    assert n.cell_names == ["u.v.flip$1", "u.first", "second", "third"]
    assert [n.units[u] for u in n.unit] == ["u.v", "u", "", ""]
    assert n.area.tolist() == [5, 2, 1, 2]
    assert n.net_names[:2] == ["0", "1"]
    flip = next(g for g in n.groups if g.cell.name == "DFF")
    assert flip.pin("QN").tolist() == [OPEN]
    assert flip.pin("Q").tolist() == [net(n, "q")]


def test_levels_follow_what_drives(library):
    assert chain(library).levels.tolist() == [0, 1, 2, 3]


def test_load_is_wire_and_pins(library):
    n = chain(library)
    assert n.fanout[net(n, "y")] == 2  # the register and the port
    # Lengths 1, 3 (between 1 and 5), 5 for fan-outs 1, 2, 3, of 0.5 fF each; pins: D 1, NAND.A 2, NAND.B 4, INV 2 fF.
    assert n.load[net(n, "y")] == near(3 * 0.5e-15 + 1e-15)
    assert n.load[net(n, "q")] == near(0.5e-15 + 4e-15)
    assert n.load[net(n, "n1")] == near(0.5e-15 + 2e-15)
    assert n.load[:2].tolist() == [0, 0]


def test_memory_is_a_box(library):
    n = netlist(
        library,
        ["clk", "a"],
        ["y"],
        [
            ("m", "ram", {"clk": "clk", "address": ["a", "b"], "data": ["r0", "r1"]}, "clk", "address"),
            ("i", "INV", {"A": "r1", "Y": "b"}),
            ("j", "INV", {"A": "r0", "Y": "y"}),
        ],
    )
    (box,) = n.boxes
    assert box.module == "ram"
    assert n.box_inputs["ram"] == {"clk", "address"}
    assert [n.net_names[i] for i in box.ports["data"]] == ["r0", "r1"]
    assert n.fanout[net(n, "b")] == 1
    assert n.levels.tolist() == [1, 1]


def test_undefined_bit_is_zero(library):
    text = module(["a"], ["y"], [("i", "NAND", {"A": "a", "B": "0", "Y": "y"})])
    text["cells"]["i"]["connections"]["B"] = ["x"]
    n = read_netlist(text, library)
    assert n.groups[0].pin("B").tolist() == [0]


def test_loop_is_an_error_that_names_a_cell(library):
    n = netlist(
        library,
        ["a"],
        ["y"],
        [("i", "NAND", {"A": "a", "B": "z", "Y": "y"}), ("j", "INV", {"A": "y", "Y": "z"})],
    )
    with pytest.raises(ToolError, match=r"must have no combinational loop, but [ij] is in one"):
        _ = n.levels


def test_two_drivers_are_an_error_that_names_the_net(library):
    cells = [("i", "INV", {"A": "a", "Y": "y"}), ("j", "INV", {"A": "a", "Y": "y"})]
    with pytest.raises(ToolError, match="net y must have one driver, not several"):
        netlist(library, ["a"], ["y"], cells)


@pytest.mark.parametrize(
    ("name", "unit"),
    [("a.b.c$12", "a.b"), ("$abc$1$blif$2", ""), ("a.$techmap$b.c", "a"), ("x", "")],
)
def test_unit_is_the_instance_path(name, unit):
    assert unit_of(name) == unit


def test_levels_of_long_chain(library):
    cells = [(f"i{k}", "INV", {"A": f"n{k}", "Y": f"n{k + 1}"}) for k in range(3000)]
    n = netlist(library, ["n0"], ["n3000"], cells[::-1])
    assert np.array_equal(np.sort(n.levels), np.arange(1, 3001))
