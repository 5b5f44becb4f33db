"""Static timing against arithmetic by hand on a tiny library, and against OpenSTA on Nangate45."""

import re

import numpy as np
import pytest
from helpers.opensta import needs_sta, run_sta
from helpers.tiny_library import library_text, near, net, netlist, read_text

from spikesim.errors import ToolError
from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.netlist.netlist import read_netlist
from spikesim.power_models.synthesis.synthesis import default_liberty, synthesise
from spikesim.power_models.timing.analysis import analyse
from spikesim.rtl.array.sum import ArraySum
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.verilog import verilog

NS = 1e-9
RISE, FALL = 0, 1


@pytest.fixture
def library(tmp_path):
    return read_text(tmp_path, library_text())


def delay(a, b, c, slew, load):
    return a + b * slew + c * load


def slew_of(a, b, c, slew, load):
    return 0.02 + (a + b * slew + c * load) / 10


LOOP = [
    ("flip", "DFF", {"D": "y", "CK": "clk", "Q": "q"}),
    ("nand", "NAND", {"A": "a", "B": "q", "Y": "n"}),
    ("inv", "INV", {"A": "n", "Y": "y"}),
]


def test_loop_of_three_cells_by_hand(library):
    n = netlist(library, ["clk", "a"], [], LOOP)
    t = analyse(n, period_s=2 * NS, clock_slew_s=0.02 * NS, input_arrival_s=0.7 * NS, input_slew_s=0.4 * NS)
    # Loads: half a femtofarad of wire each, and the pins B, INV.A (3 rising, 1 falling) and D.
    q, n_rise, n_fall, y = 4.5, 3.5, 1.5, 1.5
    q_at = (delay(0.5, 1, 0.01, 0.02, q), delay(0.6, 1, 0.01, 0.02, q))
    q_slew = (slew_of(0.5, 1, 0.01, 0.02, q), slew_of(0.6, 1, 0.01, 0.02, q))
    n_at = (
        max(q_at[FALL] + delay(0.2, 1, 0.01, q_slew[FALL], n_rise), 0.7 + delay(0.3, 1, 0.01, 0.4, n_rise)),
        max(q_at[RISE] + delay(0.4, 1, 0.01, q_slew[RISE], n_fall), 0.7 + delay(0.1, 1, 0.01, 0.4, n_fall)),
    )
    assert n_at[RISE] > 1.4  # through the port, and n_at[FALL] from the register
    n_slew = (
        max(slew_of(0.2, 1, 0.01, q_slew[FALL], n_rise), slew_of(0.3, 1, 0.01, 0.4, n_rise)),
        max(slew_of(0.4, 1, 0.01, q_slew[RISE], n_fall), slew_of(0.1, 1, 0.01, 0.4, n_fall)),
    )
    y_at = (
        n_at[FALL] + delay(0.1, 1, 0.01, n_slew[FALL], y),
        n_at[RISE] + delay(0.2, 2, 0.02, n_slew[RISE], y),
    )
    y_slew = (slew_of(0.1, 1, 0.01, n_slew[FALL], y), slew_of(0.2, 2, 0.02, n_slew[RISE], y))
    slack = (
        2 - (0.05 + y_slew[RISE] + 2 * 0.02) - y_at[RISE],
        2 - (0.1 + y_slew[FALL] + 2 * 0.02) - y_at[FALL],
    )
    for name, at, slew in (("q", q_at, q_slew), ("n", n_at, n_slew), ("y", y_at, y_slew)):
        assert t.arrival[net(n, name)] == near(np.array(at) * NS), name
        assert t.slew[net(n, name)] == near(np.array(slew) * NS), name
    assert t.worst_slack_s == near(min(slack) * NS)
    assert t.worst.seconds == near((2 - min(slack)) * NS)
    assert (t.worst.start, t.worst.end) == ("a", "q")
    assert [(s.cell, s.net, s.rising) for s in t.worst.steps] == [
        ("", "a", False),
        ("nand", "n", True),
        ("inv", "y", False),
    ]
    assert [s.arrival_s for s in t.worst.steps] == near([0.7 * NS, n_at[RISE] * NS, y_at[FALL] * NS])
    assert t.load[net(n, "n")] == near(2.5e-15)
    # For a simulator: the mean of both edges, by output and input.
    by_kind = dict(zip((g.cell.name for g in n.groups), t.arc_delays, strict=True))
    assert by_kind["NAND"][0, 0] == near(
        [
            (delay(0.3, 1, 0.01, 0.4, n_rise) + delay(0.1, 1, 0.01, 0.4, n_fall)) / 2 * NS,
            (delay(0.2, 1, 0.01, q_slew[FALL], n_rise) + delay(0.4, 1, 0.01, q_slew[RISE], n_fall)) / 2 * NS,
        ]
    )
    # Inputs D and CK, outputs Q and QN, which nothing loads.
    unloaded = (delay(0.55, 1, 0.01, 0.02, 0) + delay(0.65, 1, 0.01, 0.02, 0)) / 2
    assert by_kind["DFF"][0] == near(np.array([[0, sum(q_at) / 2], [0, unloaded]]) * NS)


def test_other_end_wins_when_the_port_is_early(library):
    t = analyse(netlist(library, ["clk", "a"], [], LOOP), period_s=2 * NS, input_arrival_s=0)
    assert t.worst.start == t.worst.end == "q"
    assert t.worst.steps[0].cell == "flip"


def test_slack_follows_the_period(library):
    n = netlist(library, ["clk", "a"], [], LOOP)
    long, short = analyse(n, period_s=3 * NS), analyse(n, period_s=1 * NS)
    assert long.worst_slack_s - short.worst_slack_s == near(2 * NS)
    assert long.worst.seconds == near(short.worst.seconds)
    assert short.worst_slack_s < 0


def test_conditional_and_non_unate_arcs(library):
    """A of XOR: by itself 0.2 up and 0.4 down, against it 0.6 up (A falling) and 0.8 down; B: 0.1 either way."""
    n = netlist(library, ["a", "b"], ["y"], [("x", "XOR", {"A": "a", "B": "b", "Y": "y"})])
    t = analyse(n, period_s=NS, input_arrival_s=0)
    assert t.arrival[net(n, "y")] == near([0.6 * NS, 0.8 * NS])
    assert t.slew[net(n, "y")] == near([0.08 * NS, 0.1 * NS])
    assert t.arc_delays[0][0, 0] == near([0.5 * NS, 0.1 * NS])
    assert t.worst.slack_s == near(0.2 * NS)
    # The output falls with a rising A.
    assert [s.rising for s in t.worst.steps] == [True, False]


def test_ports_keep_their_margins_and_loads(library):
    n = netlist(library, ["a"], ["y"], [("i", "INV", {"A": "a", "Y": "y"})])
    t = analyse(
        n,
        period_s=NS,
        input_arrival_s=0.1 * NS,
        input_slew_s=0,
        output_margin_s=0.05 * NS,
        output_load_f=10e-15,
    )
    assert t.worst.seconds == near((0.1 + delay(0.2, 2, 0.02, 0, 10.5) + 0.05) * NS)
    assert (t.worst.start, t.worst.end) == ("a", "y")
    assert t.endpoints == ("y",)


def memory(library, width=2):
    return netlist(
        library,
        ["clk"],
        [],
        [
            (
                "m",
                "ram",
                {"clk": "clk", "address": ["b"], "data": [f"r{i}" for i in range(width)]},
                "clk",
                "address",
            ),
            ("i", "INV", {"A": "r1", "Y": "b"}),
            ("slow", "NAND", {"A": "r0", "B": "q", "Y": "d"}),
            ("flip", "DFF", {"D": "d", "CK": "clk", "Q": "q"}),
        ],
    )


def test_paths_from_and_to_memories(library):
    n = memory(library)
    t = analyse(n, period_s=2 * NS, memory_slew_s=0.02 * NS, memory_setup_s=0.05 * NS, memory_pin_f=3e-15)
    assert (t.to_memory.start, t.to_memory.end) == ("m.data[1]", "m.address")
    assert t.to_memory.seconds == near((delay(0.2, 2, 0.02, 0.02, 3.5) + 0.05) * NS)
    assert (t.from_memory.start, t.from_memory.end) == ("m.data[0]", "q")
    assert (t.worst.start, t.worst.end) == ("q", "q")
    assert sorted(t.endpoints) == ["m.address", "q"]
    later = analyse(
        n, period_s=2 * NS, memory_access_s=0.9 * NS, memory_setup_s=0.05 * NS, memory_pin_f=3e-15
    )
    assert later.to_memory.seconds == near(t.to_memory.seconds + 0.9 * NS)
    assert later.from_memory.seconds == near(t.from_memory.seconds + 0.9 * NS)
    assert later.worst in (later.from_memory, later.to_memory)


def test_no_memory_no_memory_paths(library):
    t = analyse(netlist(library, ["clk", "a"], [], LOOP), period_s=NS)
    assert t.from_memory is None
    assert t.to_memory is None


def test_clock_gate_needs_its_enable_early_and_its_clock_is_ideal(library):
    n = netlist(
        library,
        ["clk", "a"],
        [],
        [
            ("gate", "ICG", {"CK": "clk", "E": "a", "GCK": "gated"}),
            ("flip", "DFF", {"D": "a", "CK": "gated", "Q": "q"}),
            ("i", "INV", {"A": "q", "Y": "z"}),
        ],
    )
    t = analyse(n, period_s=NS, input_arrival_s=0.4 * NS, clock_slew_s=0.02 * NS, input_slew_s=0)
    assert t.worst.end == "gated"
    assert t.worst_slack_s == near((1 - 0.3 - 0.4) * NS)
    assert np.all(np.isneginf(t.arrival[[net(n, "clk"), net(n, "gated")]]))
    assert t.slew[net(n, "gated")] == near([0.02 * NS] * 2)
    assert t.arrival[net(n, "q"), RISE] == near(delay(0.5, 1, 0.01, 0.02, 3.5) * NS)


def test_constants_never_arrive(library):
    cells = [("i", "INV", {"A": "1", "Y": "z"}), ("j", "NAND", {"A": "z", "B": "a", "Y": "y"})]
    n = netlist(library, ["a"], ["y"], cells)
    t = analyse(n, period_s=NS)
    assert np.all(np.isneginf(t.arrival[net(n, "z")]))
    assert t.worst.start == "a"


@pytest.mark.parametrize(
    ("inputs", "outputs", "cells", "period", "sentence"),
    [
        (["clk", "a"], [], LOOP, 0.0, "the clock period must be positive, not 0 s"),
        ([], [], [], NS, "the netlist must have cells with delays"),
        (
            [],
            ["y"],
            [("i", "INV", {"A": "1", "Y": "y"})],
            NS,
            "must have a path to a register, port or memory",
        ),
        (
            ["clk"],
            [],
            [("i", "INV", {"A": "clk", "Y": "c"}), ("f", "DFF", {"D": "q", "CK": "c", "Q": "q"})],
            NS,
            "clock c must come from a port or a clock gate, not from a INV",
        ),
        (
            ["a"],
            ["y"],
            [("i", "NAND", {"A": "y", "B": "a", "Y": "y"})],
            NS,
            "must have no combinational loop",
        ),
    ],
)
def test_what_cannot_be_timed(library, inputs, outputs, cells, period, sentence):
    with pytest.raises(ToolError, match=sentence):
        analyse(netlist(library, inputs, outputs, cells), period_s=period)


def test_falling_clock_is_refused(tmp_path):
    library = read_text(tmp_path, library_text().replace('clocked_on : "CK"', 'clocked_on : "!CK"'))
    with pytest.raises(ToolError, match="must take over at rising edges to be timed, not like DFF"):
        analyse(netlist(library, ["clk", "a"], [], LOOP), period_s=NS)


@pytest.fixture(scope="module")
def array_sum():
    library = read_liberty(default_liberty())
    text = verilog(ArraySum(CoreConfig(lanes=2, ways=4, encoder_rows=8, scatter_rows=8)), "sum")
    done = synthesise(text, "sum", library=library)
    return read_netlist(done.netlist, library)


def test_every_register_has_slack_and_every_delay_is_sound(array_sum):
    t = analyse(array_sum, period_s=2 * NS)
    assert 0.2 * NS < t.worst.seconds < 2.5 * NS
    assert len(t.endpoints) == t.endpoint_slack_s.size > 200
    assert t.endpoint_slack_s.min() == near(t.worst_slack_s)
    assert np.all(np.diff([s.arrival_s for s in t.worst.steps]) > 0)
    for group, delays in zip(array_sum.groups, t.arc_delays, strict=True):
        assert delays.shape == (group.cells.size, len(group.cell.outputs), len(group.cell.inputs))
        assert np.all(delays >= 0)
        assert np.all(delays < NS)


@needs_sta
@pytest.mark.parametrize("period_ns", [2.0, 1.0])
def test_opensta_agrees(array_sum, tmp_path, period_ns):
    ours = analyse(array_sum, period_s=period_ns * NS, clock_slew_s=20e-12, input_slew_s=20e-12)
    report = run_sta(tmp_path, array_sum, default_liberty(), period_ns, ["report_checks -digits 6"])
    slack = re.search(r"(-?[\d.]+)\s+slack", report)
    assert slack, report
    # OpenSTA's wires have a resistance too, of some 0.01 ps.
    assert ours.worst.seconds == near((period_ns - float(slack[1])) * NS, rel=0.005)
