"""Power against arithmetic by hand on a tiny library, and against OpenSTA on Nangate45."""

import re

import numpy as np
import pytest
from helpers.opensta import needs_sta, numbers_after, run_sta
from helpers.tiny_library import library_text, near, net, netlist, read_text

import spikesim.power_models.power.power as power_module
from spikesim.errors import LibertyError, ToolError
from spikesim.power_models.gates.activity import Activity
from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.netlist.netlist import read_netlist
from spikesim.power_models.power.power import power
from spikesim.power_models.synthesis.synthesis import default_liberty, synthesise
from spikesim.power_models.timing.analysis import analyse
from spikesim.power_models.timing.graph import clock_nets
from spikesim.rtl.array.sum import ArraySum
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.verilog import verilog

HERTZ = 1e9
CYCLES = 100
FJ_PER_CYCLE = 1e-15 * HERTZ  # W


@pytest.fixture
def library(tmp_path):
    return read_text(tmp_path, library_text())


def measured(of, nets, pulses=None, cycles=CYCLES):
    """`nets`: per name (toggles, ones); `pulses`: per cell."""
    toggles, ones = np.zeros(of.nets), np.zeros(of.nets)
    for name, (t, o) in nets.items():
        toggles[net(of, name)], ones[net(of, name)] = t, o
    clock = np.zeros(of.cells)
    for name, count in (pulses or {}).items():
        clock[of.cell_names.index(name)] = count
    return Activity(cycles=cycles, toggles=toggles, ones=ones, clock_pulses=clock)


def run(of, activity, **settings):
    timing = analyse(of, period_s=10e-9, clock_slew_s=0.02e-9, **settings)
    return power(of, timing, activity, frequency_hz=HERTZ), timing


def test_inverters_by_hand(library):
    """1 is 25 % of the time 1 and toggles 40 times in 100 cycles; its slew is 0.04 ns."""
    n = netlist(
        library, ["a"], ["y"], [("u.i", "INV", {"A": "a", "Y": "b"}), ("u.v.j", "INV", {"A": "b", "Y": "y"})]
    )
    p, _ = run(n, measured(n, {"a": (40, 25), "b": (40, 75), "y": (38, 25)}), input_slew_s=0.04e-9)
    # Leakage: 2 µW at 1, 4 µW at 0.
    assert p.leakage_w == near([(0.25 * 2 + 0.75 * 4) * 1e-6, (0.75 * 2 + 0.25 * 4) * 1e-6])
    # b carries half a femtofarad of wire and 2 of the pin (3 rising, 1 falling); y only wire.
    b_load, y_load = 2.5, 0.5
    assert p.net_switching_w[net(n, "b")] == near(0.4 * 0.5 * b_load * 2.0**2 * FJ_PER_CYCLE)
    assert p.switching_w == near(
        [0.4 * 0.5 * b_load * 4 * FJ_PER_CYCLE, 0.38 * 0.5 * y_load * 4 * FJ_PER_CYCLE]
    )
    # The input's net has no driver among cells but counts in the total.
    assert p.net_switching_w[net(n, "a")] == near(0.4 * 0.5 * b_load * 4 * FJ_PER_CYCLE)
    # Energies: rising 1 + 10·slew + 0.1·load, falling 2 + 20·slew + 0.2·load.
    b_slew = (
        (0.02 + (0.1 + 0.04 + 0.01 * 3.5) / 10) + (0.02 + (0.2 + 2 * 0.04 + 0.02 * 1.5) / 10)
    ) / 2  # rising into 3.5 fF, falling into 1.5 fF
    first = 0.4 * ((1 + 10 * 0.04 + 0.1 * b_load) + (2 + 20 * 0.04 + 0.2 * b_load)) / 2
    second = 0.38 * ((1 + 10 * b_slew + 0.1 * y_load) + (2 + 20 * b_slew + 0.2 * y_load)) / 2
    assert p.internal_w == near([first * FJ_PER_CYCLE, second * FJ_PER_CYCLE])
    assert p.total_w == near(
        p.leakage_w.sum() + p.internal_w.sum() + p.switching_w.sum() + p.net_switching_w[net(n, "a")]
    )
    assert p.by_unit(n) == {
        "u": near((p.leakage_w[0], p.internal_w[0], p.switching_w[0])),
        "u.v": near((p.leakage_w[1], p.internal_w[1], p.switching_w[1])),
    }
    assert p.without_energy == p.without_leakage == ()


def test_output_energy_goes_by_who_switches_while_the_output_follows(library):
    """Of NAND: 2 fJ if A causes it, 5 fJ if B does; A's own energy counts while B is 0."""
    n = netlist(library, ["a", "b"], ["y"], [("g", "NAND", {"A": "a", "B": "b", "Y": "y"})])
    p, _ = run(n, measured(n, {"a": (60, 50), "b": (10, 20), "y": (12, 90)}), input_slew_s=0.04e-9)
    by_a, by_b = 0.6 * 0.2, 0.1 * 0.5  # Y follows A while B is 1, and B while A is 1
    output = 0.12 * (by_a * 2 + by_b * 5) / (by_a + by_b)
    own = 0.6 * 0.8 * ((0.5 + 0.04) + (0.3 + 0.04)) / 2
    assert p.internal_w[0] == near((output + own) * FJ_PER_CYCLE)
    assert p.without_leakage == ("NAND",)
    assert p.leakage_w[0] == 0


def test_output_that_no_input_explains_costs_the_mean(library):
    n = netlist(library, ["a", "b"], ["y"], [("g", "NAND", {"A": "a", "B": "b", "Y": "y"})])
    p, _ = run(n, measured(n, {"a": (0, 50), "b": (0, 20), "y": (10, 90)}))
    assert p.internal_w[0] == near(0.1 * (2 + 5) / 2 * FJ_PER_CYCLE)


def test_missing_tables_count_nothing_and_are_named(library):
    n = netlist(library, ["a", "b"], ["y"], [("g", "XOR", {"A": "a", "B": "b", "Y": "y"})])
    p, _ = run(n, measured(n, {"a": (50, 50), "b": (50, 50), "y": (50, 50)}))
    assert p.without_energy == ("XOR",)
    assert p.internal_w.sum() == 0
    assert p.switching_w[0] > 0


@pytest.mark.parametrize("connected", ["Q", "QN", "both"])
def test_register_and_clock_by_hand(library, connected):
    """A register that gets 80 pulses in 100 cycles, is 1 for 30 of them and changes 20 times."""
    pins = {"Q": "q", "QN": "qn"} if connected == "both" else {connected: connected.lower()}
    cells = [("f", "DFF", {"D": "d", "CK": "clk", **pins}), ("last", "INV", {"A": "d", "Y": "z"})]
    n = netlist(library, ["clk", "d"], [], cells)
    values = {"d": (30, 40), "clk": (160, 40), "q": (20, 30), "qn": (20, 70)}
    used = {name: v for name, v in values.items() if name in n.net_names}
    p, _ = run(n, measured(n, used, {"f": 80}))
    # The clock is 1 for half of every pulse. QN is not independent of Q.
    stated = (1 - 0.4) * 0.4 * 0.3
    assert p.leakage_w[0] == near((stated * 1 + (1 - stated) * 7) * 1e-6)
    # Two edges per pulse while D is 0; Q 7 fJ, QN 1 fJ, also the one that is not connected.
    clock = 0.8 * 2 * 0.6 * ((2 + 0.2) + (4 + 0.2)) / 2
    assert p.internal_w[0] == near((clock + 0.2 * 7 + 0.2 * 1) * FJ_PER_CYCLE)
    assert p.net_switching_w[net(n, "clk")] == near(1.6 * 0.5 * 1.5 * 4 * FJ_PER_CYCLE)


def test_clock_gate_by_hand(library):
    """The gate lets 25 of 100 pulses pass; its latch is 1 for a quarter of the time."""
    n = netlist(
        library,
        ["clk", "e", "d"],
        [],
        [
            ("g", "ICG", {"CK": "clk", "E": "e", "GCK": "gated"}),
            ("f", "DFF", {"D": "d", "CK": "gated", "Q": "q"}),
        ],
    )
    nets = {"clk": (200, 50), "e": (20, 30), "gated": (50, 12.5), "d": (0, 0), "q": (0, 0)}
    p, _ = run(n, measured(n, nets, {"g": 100, "f": 25}))
    on, off = 0.5 * 0.3 * 0.25, 0.5 * 0.7
    rest = (8 + 16) / 2  # the library has no leakage of the whole cell: the mean of the two that it has
    assert p.leakage_w[0] == near((on * 8 + off * 16 + (1 - on - off) * rest) * 1e-6)
    own = 1.0 * 2 * 0.7 * 1  # the clock's edges while E is 0
    assert p.internal_w[0] == near((own + 0.5 * 5) * FJ_PER_CYCLE)
    assert p.switching_w[0] == near(0.5 * 0.5 * 1.5 * 4 * FJ_PER_CYCLE)
    # The register behind it is clocked 25 times, all with D at 0.
    assert p.internal_w[1] == near(0.25 * 2 * 3.2 * FJ_PER_CYCLE)


def test_constants_have_no_switching_and_known_state(library):
    cells = [("i", "INV", {"A": "1", "Y": "y"}), ("j", "NAND", {"A": "1", "B": "a", "Y": "z"})]
    n = netlist(library, ["a"], ["y", "z"], cells)
    activity = measured(n, {})
    activity.toggles[:2] = 1000
    p, _ = run(n, activity)
    assert p.leakage_w[0] == near(2e-6)
    assert p.net_switching_w.sum() == p.internal_w.sum() == 0


def test_conditions_that_overlap_share_the_state(tmp_path):
    library = read_text(tmp_path, library_text().replace('when : "!A"', 'when : "1"'))
    n = netlist(library, ["a"], ["y"], [("i", "INV", {"A": "a", "Y": "y"})])
    p, _ = run(n, measured(n, {"a": (0, 25)}))
    assert p.leakage_w[0] == near((0.25 * (2 + 4) / 2 + 0.75 * 4) * 1e-6)


def test_frequency_and_length_of_the_simulation(library):
    n = netlist(library, ["a"], ["y"], [("i", "INV", {"A": "a", "Y": "y"})])
    activity = measured(n, {"a": (40, 25), "y": (40, 75)})
    once, timing = run(n, activity)
    twice = power(n, timing, activity + activity, frequency_hz=HERTZ)
    assert twice.internal_w == near(once.internal_w)
    assert twice.leakage_w == near(once.leakage_w)
    faster = power(n, timing, activity, frequency_hz=2 * HERTZ)
    assert faster.internal_w == near(2 * once.internal_w)
    assert faster.switching_w == near(2 * once.switching_w)
    assert faster.leakage_w == near(once.leakage_w)


def test_pieces_give_what_the_whole_gives(library, monkeypatch):
    cells = [(f"g{i}", "NAND", {"A": "a", "B": f"n{i}", "Y": f"n{i + 1}"}) for i in range(20)]
    n = netlist(library, ["a", "n0"], ["n20"], cells)
    activity = measured(n, {f"n{i}": (3 * i, 4 * i) for i in range(21)} | {"a": (50, 30)})
    whole, _ = run(n, activity)
    monkeypatch.setattr(power_module, "_CHUNK", 48)
    pieces, _ = run(n, activity)
    for name in ("leakage_w", "internal_w", "switching_w"):
        assert getattr(pieces, name) == near(getattr(whole, name)), name
    assert whole.internal_w.all()


def test_unfit_activity_is_refused(library):
    n = netlist(library, ["a"], ["y"], [("i", "INV", {"A": "a", "Y": "y"})])
    timing = analyse(n, period_s=1e-9)
    good = measured(n, {})
    with pytest.raises(ToolError, match="at least one cycle, not 0"):
        power(n, timing, measured(n, {}, cycles=0), frequency_hz=HERTZ)
    with pytest.raises(ToolError, match="the frequency must be positive, not 0 Hz"):
        power(n, timing, good, frequency_hz=0)
    other = Activity(cycles=1, toggles=np.zeros(3), ones=np.zeros(3), clock_pulses=np.zeros(1))
    with pytest.raises(ToolError, match="must be of 4 nets and 1 cells as the netlist, not of 3 and 1"):
        power(n, timing, other, frequency_hz=HERTZ)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('when : "A"', 'when : "A &"', "function 'A &' must be a Boolean expression"),
        ('when : "A"', 'when : "VDD"', "function 'VDD' must use the cell's pins, not VDD"),
    ],
)
def test_unreadable_condition_is_refused(tmp_path, old, new, sentence):
    library = read_text(tmp_path, library_text().replace(old, new, 1))
    n = netlist(library, ["a"], ["y"], [("i", "INV", {"A": "a", "Y": "y"})])
    with pytest.raises(LibertyError, match=sentence):
        run(n, measured(n, {}))


def test_register_that_shows_something_else_is_refused(tmp_path):
    library = read_text(tmp_path, library_text().replace('function : "IQ"', 'function : "IQ & IQN"'))
    n = netlist(library, ["clk", "d"], [], [("f", "DFF", {"D": "d", "CK": "clk", "Q": "q"})])
    with pytest.raises(LibertyError, match="output Q of DFF must be the register's state or its inverse"):
        run(n, measured(n, {}))


@needs_sta
def test_opensta_agrees(tmp_path):
    """Every pin with the same activity: OpenSTA 2.0.17 reads none per net. It knows one leakage per cell, which is ours
    with every pin half of the time 1; it adds up conditions and arcs instead of weighting them, so that only a cell
    with neither has the right internal power, twice."""
    library = read_liberty(default_liberty())
    text = verilog(ArraySum(CoreConfig(lanes=2, ways=4, encoder_rows=8, scatter_rows=8)), "sum")
    done = synthesise(text, "sum", library=library, gate_clocks=False)
    n = read_netlist(done.netlist, library)
    clocks = clock_nets(n)
    toggles, ones = np.full(n.nets, 20.0), np.full(n.nets, 50.0)
    toggles[clocks], ones[clocks] = 200, 50
    clocked = np.concatenate([g.cells for g in n.groups if g.cell.clock])
    pulses = np.zeros(n.cells)
    pulses[clocked] = 100
    activity = Activity(cycles=100, toggles=toggles, ones=ones, clock_pulses=pulses)
    timing = analyse(n, period_s=2e-9)
    ours = power(n, timing, activity, frequency_hz=0.5e9)
    inverters = next(g for g in n.groups if g.cell.name == "INV_X1").cells[:5]
    commands = ["set_power_activity -global -activity 0.2 -duty 0.5", "report_power -digits 6"]
    commands += [f"report_power -instances c{cell} -digits 6" for cell in inverters]
    report = run_sta(tmp_path, n, default_liberty(), 2, commands)
    _, switching, leakage, _ = numbers_after(report, "Total")[:4]
    assert ours.switching_w.sum() == near(switching, rel=0.1)
    assert ours.leakage_w.sum() == near(leakage, rel=0.01)
    for cell in inverters:
        row = re.search(rf"(?m)^\s*(\S+)\s+(\S+)\s+\S+\s+\S+\s+c{cell}$", report)
        assert row, report
        assert 2 * ours.internal_w[cell] == near(float(row[1]), rel=0.03)
        assert ours.switching_w[cell] == near(float(row[2]), rel=0.1)
