"""The gate-level simulator: cells against their truth tables, whole netlists and their counts against Verilator."""

import dataclasses

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from helpers.gate_netlists import Wires, bus, nangate, random_netlist, random_words
from helpers.gate_verilog import GateModel, gates

from spikesim.errors import CapacityError, ToolError
from spikesim.power_models.gates.functions import FUNCTIONS, TABLE, evaluate_word, match
from spikesim.power_models.gates.simulator import GateSimulator
from spikesim.power_models.gates.words import STREAMS, pack, unpack
from spikesim.power_models.liberty.boolean import names_in, truth_table
from spikesim.power_models.netlist.netlist import Netlist, read_netlist
from spikesim.rtl.memory import Ram
from spikesim.support.jit import jit

COUNTING = pack(np.arange(STREAMS), 6)
"""Six words that spell all combinations of six bits, one per stream."""


@jit()
def word(code, table, x):
    return evaluate_word(code, table, x[0], x[1], x[2], x[3], x[4], x[5])


def bits(words):
    """uint8[streams, …]"""
    return (
        (words[None] >> np.arange(64, dtype=np.uint64).reshape(-1, *[1] * words.ndim)) & np.uint64(1)
    ).astype(np.uint8)


# Cells


@pytest.mark.parametrize("text", FUNCTIONS)
def test_operations_are_found_in_any_order_of_pins(text):
    names = sorted(set(text) & set("abcdef"))
    for order in (names, names[::-1], names[1:] + names[:1]):
        table = truth_table(text, order)
        operation = match(table, len(order))
        assert operation.code < TABLE
        operands = np.zeros(6, np.uint64)
        operands[: len(order)] = COUNTING[list(operation.inputs)]
        expected = sum((table >> (s & (1 << len(order)) - 1) & 1) << s for s in range(64))
        assert int(word(operation.code, np.uint64(0), operands)) == expected


def test_any_function_of_six_inputs():
    rng = np.random.default_rng(1)
    for table in [int(t) for t in random_words(rng, 20)]:
        operation = match(table, 6)
        assert operation.code == TABLE
        assert int(word(TABLE, np.uint64(operation.table), COUNTING[list(operation.inputs)])) == table


def test_inputs_that_do_not_matter_are_dropped():
    assert match(truth_table("(a & !a) | c", ["a", "b", "c"]), 3).inputs == (2,)
    assert match(truth_table("a | !a", ["a"]), 1) is True
    with pytest.raises(ToolError, match="at most 6 inputs, not 7"):
        match(truth_table("a^b^c^d^e^f^g", "abcdefg"), 7)


def is_logic(cell, pin):
    function = cell.pins[pin].function
    return function and set(names_in(function)) <= set(cell.inputs)


def every_cell(library):
    """One instance of every cell with a function, fed by i0 … i5; (output net, its truth table over six inputs)."""
    wires = Wires()
    wires.port("i", "input", bus("i", 6))
    expected = []
    for cell in library.cells.values():
        if cell.register or cell.gate or cell.latch or not cell.outputs:
            continue
        if len(cell.inputs) > 6 or any(not is_logic(cell, pin) for pin in cell.outputs):
            continue
        pins = {pin: f"i{j}" for j, pin in enumerate(cell.inputs)}
        outputs = {pin: f"{cell.name}_{pin}" for pin in cell.outputs}
        wires.cell(cell.name, cell.name, **pins, **outputs)
        for pin, net in outputs.items():
            table = truth_table(cell.pins[pin].function, cell.inputs)
            size = 1 << len(cell.inputs)
            expected.append((net, sum((table >> n % size & 1) << n for n in range(64))))
    wires.port("o", "output", [net for net, _ in expected])
    return wires.netlist(library), expected


def test_every_cell_of_the_library():
    netlist, expected = every_cell(nangate())
    assert len(expected) >= 100
    recorded = GateSimulator(netlist).run(1, {"i": COUNTING}, record=["o"]).outputs["o"][0]
    for i, (net, table) in enumerate(expected):
        assert int(recorded[i]) == table, net


def test_functions_without_an_operation_of_their_own():
    library = nangate()
    cell = library.cells["OAI33_X1"]
    pin = dataclasses.replace(cell.pins["ZN"], function="(A1 & !A2 | A3 & B1) & !(B2 & B3) | A2 & !B3")
    odd = dataclasses.replace(cell, pins=cell.pins | {"ZN": pin})
    netlist, expected = every_cell(dataclasses.replace(library, cells={"OAI33_X1": odd}))
    recorded = GateSimulator(netlist).run(1, {"i": COUNTING}, record=["o"]).outputs["o"][0]
    assert int(recorded[0]) == expected[0][1]


def registered(library, kind, **pins):
    wires = Wires()
    wires.port("clk", "input", ["clk"])
    wires.port("i", "input", bus("i", 3))
    wires.cell("r", kind, **pins)
    wires.port("o", "output", ["q", "qn"])
    return wires.netlist(library)


def test_scan_register_takes_either_input():
    netlist = registered(nangate(), "SDFF_X1", D="i0", SI="i1", SE="i2", CK="clk", Q="q", QN="qn")
    rng = np.random.default_rng(2)
    words = random_words(rng, 50, 3)
    out = GateSimulator(netlist).run(50, {"i": words}, record=["o"]).outputs["o"]
    before = np.concatenate([words[:1], words[:-1]])
    expected = (before[:, 0] & ~before[:, 2]) | (before[:, 1] & before[:, 2])
    assert np.array_equal(out[:, 0], expected)
    assert np.array_equal(out[:, 1], ~expected)


def test_register_that_depends_on_its_own_state():
    library = nangate()
    cell = library.cells["DFF_X1"]
    toggle = dataclasses.replace(cell, register=dataclasses.replace(cell.register, next_state="D ^ IQN'"))
    library = dataclasses.replace(library, cells=library.cells | {"DFF_X1": toggle})
    simulator = GateSimulator(registered(library, "DFF_X1", D="i0", CK="clk", QN="qn"))
    out = simulator.run(6, {"i": np.array([5, 0, 0], np.uint64)}, record=["o"]).outputs["o"]
    ones = 2**64 - 1
    assert [int(w) for w in out[:, 1]] == [ones ^ 5, ones, ones ^ 5, ones, ones ^ 5, ones]
    toggles = dict(zip(simulator.netlist.net_names, simulator.activity().toggles, strict=True))
    assert toggles["qn"] == 6 * 2  # in two streams
    assert toggles["clk"] == 2 * 6 * 64


# Whole netlists


class Everything(wiring.Component):
    """A multiplier, accumulators behind clock gates, a state machine, a memory with granules and two read ports."""

    a: In(8)
    b: In(8)
    go: In(1)
    total: Out(24)
    mixed: Out(24)
    word: Out(20)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Ram(width=20, depth=10, reads=2, granule=10)
        with m.If(self.go):
            m.d.sync += self.total.eq(self.total + self.a * self.b)
        phase = Signal(2)
        with m.FSM():
            with m.State("rest"), m.If(self.go):
                m.next = "work"
            with m.State("work"):
                m.d.sync += [phase.eq(phase + 1), self.mixed.eq(self.mixed ^ (self.total << phase))]
                with m.If(self.a[0]):
                    m.next = "rest"
        m.d.comb += [
            words.read[0].enable.eq(self.go),
            words.read[0].address.eq(self.a),  # beyond the depth at times
            words.read[1].enable.eq(self.a[7]),
            words.read[1].address.eq(self.b),
            words.write.enable.eq(self.b[:2] & self.a[:2]),
            words.write.address.eq(self.b[3:]),
            words.write.data.eq(self.mixed),
            self.word.eq(words.read[0].data ^ words.read[1].data),
        ]
        return m


CYCLES = 150


@pytest.fixture(scope="module")
def everything():
    return gates(Everything())


@pytest.fixture(scope="module")
def stimulus(everything):
    rng = np.random.default_rng(3)
    words = {
        port: random_words(rng, CYCLES, nets.size)
        for port, nets in everything.netlist.inputs.items()
        if port != "clk"
    }
    words["rst"] &= random_words(rng, CYCLES, 1) & random_words(rng, CYCLES, 1) & random_words(rng, CYCLES, 1)
    words["rst"][0] = 2**64 - 1
    return words


@pytest.fixture(scope="module")
def expected(everything, stimulus, tmp_path_factory):
    return GateModel(everything, tmp_path_factory.mktemp("gates")).run(stimulus)


def data_nets(netlist: Netlist):
    """All nets but constants and those of the clock."""
    nets = np.flatnonzero(GateSimulator(netlist).program.clocks.net_node < 0)
    return nets[nets > 1]


def with_probe(netlist: Netlist):
    nets = data_nets(netlist)
    return dataclasses.replace(netlist, outputs={"probe": nets.astype(np.int32)}), nets


def test_values_of_all_nets_and_streams_equal_verilators(everything, stimulus, expected):
    netlist, nets = with_probe(everything.netlist)
    assert sum(g.cells.size for g in netlist.groups if g.cell.gate) > 1
    probe = GateSimulator(netlist).run(CYCLES, stimulus, record=["probe"]).outputs["probe"]
    assert np.array_equal(bits(probe), expected[:, 1:, nets])


def test_counts_of_all_nets_equal_verilators(everything, stimulus, expected):
    simulator = GateSimulator(everything.netlist)
    simulator.run(70, {port: words[:70] for port, words in stimulus.items()})
    simulator.run(CYCLES - 70, {port: words[70:] for port, words in stimulus.items()})
    activity, nets = simulator.activity(), data_nets(everything.netlist)
    assert activity.cycles == 64 * CYCLES
    transitions = (expected[:, 1:] != expected[:, :-1]).sum(axis=(0, 1))
    assert np.array_equal(activity.toggles[nets], transitions[nets])
    ones = expected[:, 1:].sum(axis=(0, 1))
    assert np.array_equal(activity.ones[nets], ones[nets])
    # While the clock is high, a net of the clock shows whether it has a pulse.
    clocks = np.flatnonzero(simulator.program.clocks.net_node >= 0)
    assert clocks.size > 2
    assert np.array_equal(activity.toggles[clocks], 2 * ones[clocks])
    for group in everything.netlist.groups:
        if group.cell.register:
            assert np.array_equal(activity.clock_pulses[group.cells], ones[group.pin("CK")])


def test_result_is_arithmetic(everything, stimulus):
    simulator = GateSimulator(everything.netlist)
    total = unpack(simulator.run(CYCLES, stimulus, record=["total"]).outputs["total"])
    a, b, go, rst = (unpack(stimulus[port]).astype(np.int64) for port in ("a", "b", "go", "rst"))
    expected = np.zeros(64, np.int64)
    for t in range(CYCLES):
        s = max(t - 1, 0)
        expected = np.where(rst[s], 0, (expected + go[s] * a[s] * b[s]) % (1 << 24))
        assert np.array_equal(total[t], expected)


@pytest.mark.parametrize(
    ("kind", "other"), [("NAND2_X1", "NOR2_X1"), ("XOR2_X1", "OR2_X1"), ("INV_X1", "BUF_X1")]
)
def test_one_wrong_cell_is_noticed(everything, stimulus, expected, kind, other):
    module = {**everything.module, "cells": dict(everything.module["cells"])}
    name, cell = next((n, c) for n, c in module["cells"].items() if c["type"] == kind)
    pins = dict(zip(nangate().cells[kind].pins, nangate().cells[other].pins, strict=True))
    module["cells"][name] = cell | {
        "type": other,
        "connections": {pins[p]: n for p, n in cell["connections"].items()},
    }
    netlist = read_netlist(module, nangate())
    assert netlist.net_names == everything.netlist.net_names
    netlist, nets = with_probe(netlist)
    probe = GateSimulator(netlist).run(CYCLES, stimulus, record=["probe"]).outputs["probe"]
    assert not np.array_equal(bits(probe), expected[:, 1:, nets])


def test_runs_continue_and_counts_add_up():
    netlist = random_netlist(np.random.default_rng(4), inputs=6, registers=8, cells=80)
    words = random_words(np.random.default_rng(5), 9000, 6)  # more than one block of compiled cycles
    whole, parts = GateSimulator(netlist), GateSimulator(netlist)
    recorded = whole.run(9000, {"a": words}, record=["z"]).outputs["z"]
    first = parts.run(5000, {"a": words[:5000]}, record=["z"]).outputs["z"]
    before = parts.activity()
    parts.reset_counts()
    second = parts.run(4000, {"a": words[5000:]}, record=["z"]).outputs["z"]
    assert np.array_equal(recorded, np.concatenate([first, second]))
    total = before + parts.activity()
    assert total.cycles == whole.activity().cycles == 9000 * 64
    for name in ("toggles", "ones", "clock_pulses"):
        assert np.array_equal(getattr(total, name), getattr(whole.activity(), name)), name
    assert np.array_equal(bits(recorded).sum(axis=(0, 1)), whole.activity().ones[netlist.outputs["z"]])
    with pytest.raises(ToolError, match="activities must be of one netlist"):
        _ = total + GateSimulator(every_cell(nangate())[0]).activity()


def test_numbers_and_constant_words_as_stimulus():
    netlist, _ = every_cell(nangate())
    simulator = GateSimulator(netlist)
    one = simulator.run(3, {"i": 0b101010}, record=["o"]).outputs["o"]
    words = np.array([2**64 - 1 if i % 2 else 0 for i in range(6)], np.uint64)
    assert np.array_equal(one, simulator.run(3, {"i": words}, record=["o"]).outputs["o"])
    assert np.array_equal(one, simulator.run(3, record=["o"]).outputs["o"])
    assert simulator.activity().toggles.sum() == 0


@pytest.mark.parametrize(
    ("stimulus", "record", "message"),
    [
        ({"clk": 0}, [], "inputs other than the clock, and clk is none"),
        ({"x": 0}, [], "x is none"),
        ({"a": 64}, [], "from 0 below 2.6, not 64"),
        ({"a": np.zeros((3, 6), np.uint64)}, [], r"uint64\[6\] or uint64\[4, 6\], not uint64 \(3, 6\)"),
        ({"a": np.zeros((4, 6), np.int64)}, [], "not int64"),
        ({}, ["a"], "outputs of the netlist, and a is none"),
    ],
)
def test_bad_stimulus(stimulus, record, message):
    simulator = GateSimulator(random_netlist(np.random.default_rng(4), inputs=6, registers=2, cells=10))
    with pytest.raises(ToolError, match=message):
        simulator.run(4, stimulus, record=record)


def test_pack_and_unpack():
    values = np.random.default_rng(6).integers(-(1 << 40), 1 << 40, (7, 64))
    words = pack(values, 41)
    assert words.shape == (7, 41)
    assert np.array_equal(unpack(words), values.astype(np.uint64) & np.uint64((1 << 41) - 1))
    assert words[3, 40] == sum(1 << s for s in range(64) if values[3, s] < 0)
    with pytest.raises(ToolError, match="64 streams"):
        pack(values[:, :3], 4)
    with pytest.raises(ToolError, match="1 … 64 bits"):
        pack(values, 65)


# Clocks


def clocked(*cells, d="i0"):
    wires = Wires()
    wires.port("clk", "input", ["clk"])
    wires.port("i", "input", bus("i", 3))
    for n, (kind, pins) in enumerate(cells):
        wires.cell(f"cell{n}", kind, **pins)
    wires.port("o", "output", ["q"])
    return wires.netlist()


def dff(clock, d="i0"):
    return "DFF_X1", {"D": d, "CK": clock, "Q": "q"}


def test_gates_behind_gates_buffers_and_two_inverters():
    netlist = clocked(
        ("CLKGATE_X1", {"CK": "clk", "E": "i1", "GCK": "g1"}),
        ("CLKBUF_X1", {"A": "g1", "Z": "b1"}),
        ("CLKGATE_X1", {"CK": "b1", "E": "i2", "GCK": "g2"}),
        ("INV_X1", {"A": "g2", "ZN": "n1"}),
        ("INV_X1", {"A": "n1", "ZN": "n2"}),
        dff("n2"),
    )
    words = random_words(np.random.default_rng(7), 100, 3)
    simulator = GateSimulator(netlist)
    out = simulator.run(100, {"i": words}, record=["o"]).outputs["o"][:, 0]
    state = np.uint64(0)
    first, both = 0, 0
    for t in range(100):
        d, e1, e2 = words[max(t - 1, 0)]
        state = (state & ~(e1 & e2)) | (d & e1 & e2)
        first, both = first + int(e1).bit_count(), both + int(e1 & e2).bit_count()
        assert out[t] == state
    activity = simulator.activity()
    pulses = dict(zip(netlist.cell_names, activity.clock_pulses, strict=True))
    assert [pulses[f"cell{n}"] for n in (0, 2, 5)] == [6400, first, both]
    toggles = dict(zip(netlist.net_names, activity.toggles, strict=True))
    assert [toggles[n] for n in ("clk", "b1", "n1", "n2")] == [12800, 2 * first, 2 * both, 2 * both]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([("INV_X1", {"A": "clk", "ZN": "n"}), dff("n")], "rising edge; cell1 does not"),
        ([("AND2_X1", {"A1": "clk", "A2": "i1", "ZN": "n"}), dff("n")], "not from net n"),
        ([("DFF_X1", {"D": "i1", "CK": "i2", "Q": "p"}), dff("clk")], "a port of one bit, not one of i"),
        (
            [("AND2_X1", {"A1": "clk", "A2": "i1", "ZN": "n"}), dff("clk")],
            "clock pins alone, not A1 of cell0",
        ),
        ([("DFFR_X1", {"D": "i1", "RN": "i2", "CK": "clk", "Q": "q"})], "no clear and no preset"),
        ([("DLH_X1", {"D": "i1", "G": "i2", "Q": "q"})], "latches"),
        ([("DFF_X1", {"D": "i1", "CK": "0", "Q": "q"})], "not from net 0"),
        (
            [("INV_X1", {"A": "n", "ZN": "m"}), ("INV_X1", {"A": "m", "ZN": "n"}), dff("clk", "n")],
            "no combinational loop",
        ),
        (
            [
                ("INV_X1", {"A": "clk", "ZN": "n"}),
                ("CLKGATE_X1", {"CK": "n", "E": "i1", "GCK": "g"}),
                dff("g"),
            ],
            "clock gates must work at the clock's rising edge; cell1",
        ),
    ],
)
def test_clocks_and_cells_that_cannot_be_simulated(cells, message):
    with pytest.raises(ToolError, match=message):
        GateSimulator(clocked(*cells))


# Memories

WIDTH, DEPTH, GRANULES, READS, ADDRESS = 100, 12, 4, 2, 4


def memory_alone(macros=1, **changes):
    wires = Wires()
    ports = {
        "clk": ["clk"],
        "write_enable": bus("we", GRANULES),
        "write_address": bus("wa", ADDRESS),
        "write_data": bus("wd", WIDTH),
        "read_enable": bus("re", READS),
        "read_address": bus("ra", READS * ADDRESS),
        "read_data": bus("rd", READS * WIDTH),
    }
    for port, nets in ports.items():
        wires.port(port, "output" if port == "read_data" else "input", nets)
    parameters = {"WIDTH": WIDTH, "DEPTH": DEPTH, "GRANULE": WIDTH // GRANULES, "MACRO": WIDTH // macros}
    wires.memory("ram", ports, **parameters | {"READS": READS, "ADDRESS": ADDRESS} | changes)
    return wires.netlist()


def number(row, s):
    return sum((int(w) >> s & 1) << i for i, w in enumerate(row))


@pytest.mark.parametrize("macros", [1, 2, 4, 20])
def test_memory_is_that_of_memory_v(macros):
    """However many macros lie side by side; of those, the written ones are counted: 20 are five in a granule."""
    netlist = memory_alone(macros)
    rng = np.random.default_rng(8)
    cycles = 60
    words = {p: random_words(rng, cycles, n.size) for p, n in netlist.inputs.items() if p != "clk"}
    words["write_enable"] &= random_words(rng, cycles, GRANULES)
    initial = [int(w) << 40 | n for n, w in enumerate(rng.integers(0, 1 << 60, DEPTH - 2))]
    simulator = GateSimulator(netlist, memories={"ram": initial})
    run = simulator.run(cycles, words, record=["read_data"], log="ram")
    log = list(zip(run.log.cycle, run.log.stream, run.log.address, run.log.data, strict=True))
    reads, writes, logged = np.zeros(READS, int), 0, []
    granule = (1 << WIDTH // GRANULES) - 1
    for s in range(64):
        held = [*initial, 0, 0]
        data = [0] * READS
        for t in range(cycles):
            row = {p: number(w[max(t - 1, 0)], s) for p, w in words.items()}
            for port in range(READS):
                if row["read_enable"] >> port & 1:
                    reads[port] += 1
                    address = row["read_address"] >> ADDRESS * port & (1 << ADDRESS) - 1
                    data[port] = held[address] if address < DEPTH else (1 << WIDTH) - 1
            mask = sum(
                granule << WIDTH // GRANULES * g for g in range(GRANULES) if row["write_enable"] >> g & 1
            )
            writes += sum(mask >> m * WIDTH // macros & (1 << WIDTH // macros) - 1 > 0 for m in range(macros))
            address = row["write_address"]
            if mask and address < DEPTH:
                held[address] = (held[address] & ~mask) | (row["write_data"] & mask)
                logged.append((t, s, address, held[address]))
            assert number(run.outputs["read_data"][t], s) == sum(
                d << WIDTH * i for i, d in enumerate(data)
            ), (t, s)
        final = [int(low) | int(high) << 64 for low, high in simulator.memory("ram")[s]]
        assert final == held
    counts = simulator.memory_counts()["ram"]
    assert list(counts.reads) == list(reads)
    assert counts.writes == writes
    assert [(t, s, a, int(d[0]) | int(d[1]) << 64) for t, s, a, d in log] == sorted(logged)


def test_memory_is_kept_once_until_a_stream_writes():
    netlist = memory_alone()
    simulator = GateSimulator(netlist, memories={"ram": [5, 6]})
    simulator.run(4, {"read_enable": 3})
    assert simulator.memory("ram").shape == (1, DEPTH, 2)
    one = np.zeros(GRANULES, np.uint64)
    one[0] = 1 << 9  # stream 9 alone
    simulator.run(2, {"write_enable": one, "write_data": 3})
    contents = simulator.memory("ram")
    assert contents[:, 0, 0].tolist() == [3 if s == 9 else 5 for s in range(64)]
    assert contents[:, 1, 0].tolist() == [6] * 64


def test_contents_per_stream():
    netlist = memory_alone()
    words = random_words(np.random.default_rng(9), 64, DEPTH, 2) >> np.uint64(64 - 36)
    simulator = GateSimulator(netlist, memories={"ram": words})
    out = simulator.run(1, {"read_enable": 1, "read_address": 7}, record=["read_data"]).outputs["read_data"]
    assert [number(out[0, :WIDTH], s) for s in range(64)] == [
        int(w[0]) | int(w[1]) << 64 for w in words[:, 7]
    ]


@pytest.mark.parametrize(
    ("memories", "message"),
    [
        ({"rom": [1]}, "rom is none"),
        ({"ram": [1 << WIDTH]}, "from 0 below 2.100"),
        ({"ram": np.zeros((3, DEPTH, 2), np.uint64)}, "in 2 uint64 each"),
        ({"ram": np.zeros((DEPTH + 1, 2), np.uint64)}, "at most 12 words"),
        ({"ram": np.full((DEPTH, 2), 1 << 40, np.uint64)}, "must be below 2.100"),
    ],
)
def test_contents_that_do_not_fit(memories, message):
    with pytest.raises(ToolError, match=message):
        GateSimulator(memory_alone(), memories=memories)


def test_a_log_has_a_limit():
    simulator = GateSimulator(memory_alone())
    with pytest.raises(CapacityError, match="at most 100 writes of memory ram to be logged, not 128"):
        simulator.run(2, {"write_enable": 1}, log="ram", log_limit=100)


@pytest.mark.parametrize("macro", [30, 20])
def test_macros_that_are_not_whole(macro):
    with pytest.raises(ToolError, match="memory ram must have whole macros, and whole granules in them"):
        GateSimulator(memory_alone(MACRO=macro))


def test_boxes_that_are_no_memories():
    wires = Wires()
    wires.port("clk", "input", ["clk"])
    wires.memory(
        "ram",
        {"clk": ["clk"], "read_data": bus("rd", 4)},
        WIDTH=4,
        DEPTH=4,
        GRANULE=4,
        MACRO=4,
        READS=1,
        ADDRESS=2,
    )
    with pytest.raises(ToolError, match="a port write_enable of 1 bits"):
        GateSimulator(wires.netlist())
    wires.module["cells"]["ram"]["type"] = "rom"
    with pytest.raises(ToolError, match="box ram must be a spikesim_ram to be simulated, not a rom"):
        GateSimulator(wires.netlist())
