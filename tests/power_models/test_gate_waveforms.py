"""Simulation with delays: known hazards, and random netlists against an event-driven simulator written here."""

import heapq

import numpy as np
import pytest
from helpers.gate_netlists import Wires, bus, random_netlist, random_words

from spikesim.errors import ToolError
from spikesim.power_models.gates.simulator import GateSimulator
from spikesim.power_models.gates.waveforms import Delays, GateTimer
from spikesim.power_models.gates.words import pack
from spikesim.power_models.liberty.boolean import truth_table

PS = 1e-12


def arcs(netlist, delay_ps):
    """The same delay of every arc, or that of the cell by name."""
    by_name = delay_ps if isinstance(delay_ps, dict) else {}
    rows = []
    for group in netlist.groups:
        shape = (group.cells.size, len(group.cell.outputs), len(group.cell.inputs))
        cells = [by_name.get(netlist.cell_names[c], 0 if by_name else delay_ps) for c in group.cells]
        rows.append(np.broadcast_to(np.array(cells, float)[:, None, None] * PS, shape).copy())
    return rows


def timed(netlist, delays, words, *, sample_every=1, parts=1):
    """Runs all rows of the words of port a; the timer."""
    simulator = GateSimulator(netlist)
    timer = GateTimer(simulator.program, delays, parts=parts)
    simulator.run(len(words), {"a": words}, timer=timer, sample_every=sample_every)
    return simulator, timer


def net(netlist, name):
    return netlist.net_names.index(name)


def row(*values):
    """A row of inputs per stream: values[s] for the first streams, the last for all others."""
    every = [*values, *[values[-1]] * (64 - len(values))]
    return pack(np.array(every), 3)


def hazard(*, select=2):
    """z = a0 & s | a1 & !s, s being input `select`."""
    wires = Wires()
    wires.port("a", "input", bus("a", 3))
    wires.cell("inv", "INV_X1", A=f"a{select}", ZN="n")
    wires.cell("and0", "AND2_X1", A1="a0", A2=f"a{select}", ZN="x")
    wires.cell("and1", "AND2_X1", A1="a1", A2="n", ZN="y")
    wires.cell("or", "OR2_X1", A1="x", A2="y", ZN="z")
    wires.port("z", "output", ["z"])
    return wires.netlist()


@pytest.mark.parametrize(("or_delay", "glitches"), [(10, 1), (29, 1), (30, 1), (31, 0), (100, 0)])
def test_static_hazard_and_inertial_delay(or_delay, glitches):
    """The select falls: x falls at 20, n rises at 30, y at 50: z is 0 for 30 ps, unless it takes longer itself."""
    netlist = hazard()
    delays = Delays(arcs=arcs(netlist, {"inv": 30, "and0": 20, "and1": 20, "or": or_delay}), step=PS)
    # Stream 0 sees the hazard, 1 has one of the inputs at 0, all others do nothing.
    words = np.stack([row(0b111, 0b101, 0b011), row(0b011, 0b001, 0b011)])
    simulator, timer = timed(netlist, delays, words)
    times, streams = timer.waveform(net(netlist, "z"))
    if glitches:
        assert list(times) == [20 + or_delay, 50 + or_delay]
        assert [int(s) for s in streams] == [3, 1]
    else:
        assert list(times) == [20 + or_delay]
        assert [int(s) for s in streams] == [2]
    totals = timer.glitches()
    assert totals.timed[0, net(netlist, "z")] == 2 * glitches + 1
    assert totals.settled[0, net(netlist, "z")] == simulator.activity().toggles[net(netlist, "z")] == 1
    assert totals.timed[0, net(netlist, "n")] == totals.settled[0, net(netlist, "n")] == 2
    assert totals.cycles.tolist() == [128]


def test_opposite_edge_has_no_hazard():
    """The select rises: z is held by y until 50, by x from 20 on."""
    netlist = hazard()
    delays = Delays(arcs=arcs(netlist, {"inv": 30, "and0": 20, "and1": 20, "or": 10}), step=PS)
    _, timer = timed(netlist, delays, np.stack([row(0b011), row(0b111)]))
    assert timer.waveform(net(netlist, "z"))[0].size == 0


def test_reconvergent_paths():
    """z = a0 ^ (a0 delayed by three buffers): two transitions for each one of a0, though z settles at 0 always."""
    wires = Wires()
    wires.port("a", "input", bus("a", 1))
    for n, (source, target) in enumerate(zip(["a0", "b0", "b1"], ["b0", "b1", "b2"], strict=True)):
        wires.cell(f"buf{n}", "BUF_X1", A=source, Z=target)
    wires.cell("xor", "XOR2_X1", A="a0", B="b2", Z="z")
    wires.port("z", "output", ["z"])
    netlist = wires.netlist()
    words = random_words(np.random.default_rng(1), 50, 1)
    _, timer = timed(netlist, Delays(arcs=arcs(netlist, 10), step=PS, inputs=7 * PS), words)
    totals = timer.glitches()
    changes = sum(int(a ^ b).bit_count() for a, b in zip(words[:-1, 0], words[1:, 0], strict=True))
    assert totals.timed[0, net(netlist, "a0")] == changes
    assert totals.timed[0, net(netlist, "z")] == 2 * changes
    assert totals.settled[0, net(netlist, "z")] == 0
    assert timer.waveform(net(netlist, "z"))[0].tolist() == [17, 47]


def test_a_faster_arc_overtakes():
    """Both inputs make the output rise; the one that comes later is faster by more than that, and counts."""
    wires = Wires()
    wires.port("a", "input", bus("a", 3))
    wires.cell("buf", "BUF_X1", A="a1", Z="b")
    wires.cell("or", "OR2_X1", A1="a0", A2="b", ZN="z")
    wires.port("z", "output", ["z"])
    netlist = wires.netlist()
    delays = arcs(netlist, 10)
    for group, delay in zip(netlist.groups, delays, strict=True):
        if group.cell.name == "OR2_X1":
            delay[0, 0, :] = np.array([50, 20]) * PS  # z would rise at 50 by a0, rises at 30 by b
    _, timer = timed(netlist, Delays(arcs=delays, step=PS), np.stack([row(0), row(0b11, 0b01, 0b10)]))
    times, streams = timer.waveform(net(netlist, "z"))
    assert times.tolist() == [30, 50]
    assert [int(s) for s in streams] == [2**64 - 1 - 2, 2]


def event_driven(netlist, before, after, source, delay):
    """Transitions per net in one stream; values of sources before and after the edge, nets' numbers as keys.

    An event queue over time: due transitions happen, then every cell that sees a change is looked at again.
    """
    values = dict(before)
    counts = dict.fromkeys(before, 0)
    cells, readers = [], {}
    for group, arcs_of in zip(netlist.groups, delay, strict=True):
        cell = group.cell
        if cell.register is not None:
            continue
        for i in range(group.cells.size):
            pins = [int(group.pin(pin)[i]) for pin in cell.inputs]
            for o, pin in enumerate(cell.outputs):
                table = truth_table(cell.pins[pin].function, cell.inputs)
                for p in pins:
                    readers.setdefault(p, set()).add(len(cells))
                cells.append((pins, int(group.pin(pin)[i]), table, [round(d / PS) for d in arcs_of[i, o]]))
    due = {}  # output: time of the one transition that is pending
    queue = [(source[n], n, True) for n in source if before[n] != after[n]]
    heapq.heapify(queue)
    while queue:
        now = queue[0][0]
        changed = set()
        while queue and queue[0][0] == now:
            _, n, is_source = heapq.heappop(queue)
            if is_source or due.get(n) == now:
                due.pop(n, None)
                values[n] ^= 1
                counts[n] += 1
                changed.add(n)
        for c in {c for n in changed for c in readers.get(n, ())}:
            pins, output, table, delays = cells[c]
            wanted = table >> sum(values[p] << j for j, p in enumerate(pins)) & 1
            if wanted == values[output]:
                due.pop(output, None)
                continue
            at = now + min(d for p, d in zip(pins, delays, strict=True) if p in changed)
            if output not in due or at < due[output]:
                due[output] = at
                heapq.heappush(queue, (at, output, False))
    assert all(values[n] == after[n] for n in after)
    return counts


@pytest.mark.parametrize("seed", range(6))
def test_random_netlists_against_an_event_driven_simulator(seed):
    rng = np.random.default_rng(seed)
    netlist = random_netlist(rng, inputs=7, registers=6, cells=70)
    step_ps = int(rng.integers(1, 12))  # coarse delays make many changes coincide
    delay = [
        rng.integers(1, 8, (g.cells.size, len(g.cell.outputs), len(g.cell.inputs))) * step_ps * PS
        for g in netlist.groups
    ]
    cycles = 4
    words = random_words(rng, cycles, 7)
    simulator = GateSimulator(netlist)
    timer = GateTimer(simulator.program, Delays(arcs=delay, step=PS, inputs=9 * PS), parts=1)
    source = {int(n): 9 for n in netlist.inputs["a"]}
    for group, own in zip(netlist.groups, delay, strict=True):
        if group.cell.register is not None:
            clock = group.cell.inputs.index("CK")
            for o, pin in enumerate(group.cell.outputs):
                for i, n in enumerate(group.pin(pin)):
                    if n >= 0:
                        source[int(n)] = round(own[i, o, clock] / PS)
    expected = np.zeros(netlist.nets)
    simulator.run(1, {"a": words[:1]})
    before = simulator.values()
    for t in range(cycles):
        simulator.run(1, {"a": words[t : t + 1]}, timer=timer)
        after = simulator.values()
        for s in range(0, 64, 9):
            one = {n: int(before[n]) >> s & 1 for n in range(netlist.nets)}
            other = {n: int(after[n]) >> s & 1 for n in range(netlist.nets)}
            counts = event_driven(netlist, one, other, source, delay)
            for n, count in counts.items():
                _, streams = timer.waveform(n) if simulator.program.slot[n] else ((), [])
                assert sum(int(w) >> s & 1 for w in streams) == count, (t, s, netlist.net_names[n])
        for n in range(netlist.nets):
            if simulator.program.slot[n]:
                expected[n] += sum(int(w).bit_count() for w in timer.waveform(n)[1])
        before = after
    assert np.array_equal(timer.glitches().timed[0], expected)
    assert expected.sum() > timer.glitches().settled.sum()


def test_samples_and_parts():
    netlist = random_netlist(np.random.default_rng(1), inputs=6, registers=6, cells=60)
    words = random_words(np.random.default_rng(2), 200, 6)
    delays = Delays(arcs=arcs(netlist, 10))
    simulator, every = timed(netlist, delays, words)
    activity = simulator.activity()
    nets = np.flatnonzero(simulator.program.clocks.net_node < 0)
    assert np.array_equal(every.glitches().settled.sum(axis=0)[nets], activity.toggles[nets])
    glitches = every.glitches().added_to(activity)
    assert np.array_equal(glitches.toggles[nets], every.glitches().timed.sum(axis=0)[nets])
    clock = net(netlist, "clk")
    assert glitches.toggles[clock] == activity.toggles[clock] == 2 * 200 * 64
    some, few = timed(netlist, delays, words, sample_every=7, parts=4)
    assert np.array_equal(some.activity().toggles, activity.toggles)  # sampling changes nothing
    assert few.glitches().cycles.tolist() == [64 * 8, 64 * 7, 64 * 7, 64 * 7]
    estimate = few.glitches().added_to(activity).toggles.sum()
    assert estimate == pytest.approx(glitches.toggles.sum(), rel=0.02)
    assert estimate > 1.05 * activity.toggles.sum()


def test_memories_change_at_their_access_time():
    wires = Wires()
    ports = {
        "clk": ["clk"],
        "write_enable": ["0"],
        "write_address": bus("a", 3),
        "write_data": bus("a", 3),
        "read_enable": ["1"],
        "read_address": bus("a", 3),
        "read_data": bus("rd", 3),
    }
    wires.port("clk", "input", ["clk"])
    wires.port("a", "input", bus("a", 3))
    wires.memory("ram", ports, WIDTH=3, DEPTH=8, GRANULE=3, MACRO=3, READS=1, ADDRESS=3)
    wires.cell("inv", "INV_X1", A="rd0", ZN="z")
    wires.port("z", "output", ["z"])
    netlist = wires.netlist()
    simulator = GateSimulator(netlist, memories={"ram": np.arange(8)})
    for memories in (400 * PS, {"ram": 400 * PS}):
        timer = GateTimer(simulator.program, Delays(arcs=arcs(netlist, 10), step=PS, memories=memories))
        simulator.run(3, {"a": np.stack([row(0), row(1), row(0)])}, timer=timer)
        assert timer.waveform(net(netlist, "rd0"))[0].tolist() == [400]
        assert timer.waveform(net(netlist, "z"))[0].tolist() == [410]
    with pytest.raises(ToolError, match="an access time of memory ram"):
        GateTimer(simulator.program, Delays(arcs=arcs(netlist, 10), memories={}))


def test_delays_that_do_not_fit():
    netlist = hazard()
    program = GateSimulator(netlist).program
    good = arcs(netlist, 10)
    with pytest.raises(ToolError, match="must have 3 groups, not 2"):
        GateTimer(program, Delays(arcs=good[:2]))
    with pytest.raises(ToolError, match=r"arcs of AND2_X1 must be float64\[2, 1, 2\], not \[2, 1, 1\]"):
        GateTimer(program, Delays(arcs=[good[0][:, :, :1], *good[1:]]))
    for wrong in (-1.0, np.nan, 1.0):
        with pytest.raises(ToolError, match="must be 0 s or more and below"):
            GateTimer(program, Delays(arcs=[good[0] + wrong, *good[1:]]))
    with pytest.raises(ToolError, match="the simulator's own program"):
        GateSimulator(netlist).run(1, timer=GateTimer(program, Delays(arcs=good)))


def test_values_of_two_different_cycles_are_noticed():
    netlist = hazard()
    simulator = GateSimulator(netlist)
    timer = GateTimer(simulator.program, Delays(arcs=arcs(netlist, 10)))
    before = np.zeros(simulator.program.slots, np.uint64)
    after = before.copy()
    after[simulator.program.slot[net(netlist, "z")]] = 1
    with pytest.raises(ToolError, match="waveforms must end at settled values"):
        timer.sample(before, after)
