"""Cells that no design may be mapped to: read, named with the reason, and never seen by Yosys and abc."""

import re

import pytest
from helpers.tiny_library import (
    BUF,
    DFF,
    GATE,
    INV,
    MAPPABLE,
    NAND,
    arc,
    cell,
    library_text,
    output,
    pin,
    read_text,
    setup,
)
from helpers.tried import tried

from spikesim.compare.technology import Technology
from spikesim.errors import LibertyError
from spikesim.power_models.liberty.check import check_library
from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.netlist.buffering import buffer_of
from spikesim.power_models.synthesis.synthesis import default_liberty, synthesise

A = pin("A", "direction : input; capacitance : 1;")
B = pin("B", "direction : input; capacitance : 1;")
NOT_A = arc("A", "negative_unate", (0.1, 1, 0.01), (0.1, 1, 0.01))
NOT_B = arc("B", "negative_unate", (0.1, 1, 0.01), (0.1, 1, 0.01))
CHEAP = "area : 0.01;"
SETUP = setup((0.05, 1, 2), (0.1, 1, 2))
FLIP_FLOP = DFF.replace("area : 5;", CHEAP)


def nand(attributes=CHEAP, inputs=A + B, function="!(A & B)", arcs=NOT_A + NOT_B):
    """A NAND gate cheaper than any other cell: whoever may choose it will."""
    return cell("ODD", attributes, inputs, output("Y", function, arcs))


def flip_flop(old, new):
    assert old in FLIP_FLOP
    return FLIP_FLOP.replace(old, new).replace("cell (DFF)", "cell (ODD)")


ODD = {
    "dont_use : true": (nand(CHEAP + "dont_use : true;"), "the library says dont_use"),
    'dont_use : "TRUE"': (nand(CHEAP + 'dont_use : "TRUE";'), "the library says dont_use"),
    "dont_use : 1": (nand(CHEAP + "dont_use : 1;"), "the library says dont_use"),
    "a cell without an area": (nand(""), "its area is not stated"),
    "a cell with a bus": (
        nand(CHEAP + "bus (D) { bus_type : B4; pin (D[3:0]) { direction : input; } }"),
        "it has a bus",
    ),
    "a cell with a bundle": (nand(CHEAP + "bundle (D) { members (D0, D1); }"), "it has a bundle"),
    "a level shifter": (nand(CHEAP + "is_level_shifter : true;"), "it shifts levels"),
    "an isolation cell": (nand(CHEAP + "is_isolation_cell : true;"), "it isolates"),
    "a pad": (nand(CHEAP + "pad_cell : true;"), "it is a pad"),
    "a power switch": (nand(CHEAP + "switch_cell_type : coarse_grain;"), "it switches power"),
    "a gate that drives three states": (
        nand(arcs=NOT_A + NOT_B + 'three_state : "A";'),
        "pin Y may drive nothing",
    ),
    "a pin that goes both ways": (
        nand(inputs=A + B + pin("P", "direction : inout; capacitance : 1;")),
        "pin P is no input and no output",
    ),
    "an input without a capacitance": (
        nand(inputs=A + pin("B", "direction : input;")),
        "the capacitance of pin B is not stated",
    ),
    "a function of something that is no pin": (
        nand(function="!(A & X)"),
        "the function of Y is not one of its inputs",
    ),
    "an output without a function": (
        nand().replace('function : "!(A & B)";', ""),
        "the function of Y is not stated",
    ),
    "a delay that is missing": (nand(arcs=NOT_A), "there is no delay from B to Y"),
    "a delay for one edge alone": (
        nand(arcs=NOT_A + NOT_B.replace("cell_fall", "x").replace("fall_transition", "y")),
        "there is no delay from B to Y",
    ),
    "a pin with an unusual name": (nand().replace("B", "B[0]"), "has an unusual name"),
    "a cell without an output": (cell("ODD", CHEAP, A), "it has no output"),
    "a state table": (
        nand(CHEAP + 'statetable ("A B", "Y") { table : "L L : - : H"; }'),
        "a state that is not known",
    ),
    "a latch": (nand(CHEAP + 'latch (IQ, IQN) { enable : "A"; data_in : "B"; }'), "it is a latch"),
    "a bank of flip-flops": (nand(CHEAP + "ff_bank (IQ, IQN, 4) { }"), "it has several flip-flops"),
    "two flip-flops in a cell": (flip_flop("ff (IQ", "ff (JQ, JQN) { } ff (IQ"), "it has several flip-flops"),
    "a flip-flop of the falling edge": (
        flip_flop('"CK"; }', '"!CK"; }'),
        "it does not take over at the rising edge",
    ),
    "a flip-flop of two clocks": (
        flip_flop('"CK"; }', '"CK & D"; }'),
        "it does not take over at the rising edge",
    ),
    "a flip-flop with a second clock": (
        flip_flop('"CK"; }', '"CK"; clocked_on_also : "D"; }'),
        "at the rising edge of one",
    ),
    "a flip-flop without a setup time": (flip_flop(SETUP, ""), "the setup time of pin D is not stated"),
    "a setup time of the falling edge alone": (
        flip_flop("setup_rising", "setup_falling"),
        "the setup time of pin D is not stated",
    ),
    "a flip-flop without a delay": (
        flip_flop("rising_edge", "falling_edge"),
        "there is no delay from CK to Q",
    ),
    "a flip-flop with logic behind it": (
        flip_flop('function : "IQ"', 'function : "IQ & D"'),
        "output Q is not its state",
    ),
    "a clock gate with a test pin": (
        GATE.replace("(ICG)", "(ODD)").replace("latch_posedge", "latch_posedge_precontrol"),
        "a state that is not known",
    ),
    "a clock gate of the falling edge": (
        GATE.replace("(ICG)", "(ODD)").replace("latch_posedge", "latch_negedge"),
        "a state that is not known",
    ),
    "a clock gate without a setup time": (
        GATE.replace("(ICG)", "(ODD)").replace("setup_rising", "hold_rising"),
        "the setup time of pin E is not stated",
    ),
}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(
            *ODD[what],
            marks=tried(6, f"Liberty: {what}", "nothing is mapped to the cell, and the report says why"),
            id=what,
        )
        for what in ODD
    ],
)
def test_cell_that_nothing_is_mapped_to(text, reason, tmp_path):
    library = read_text(tmp_path, library_text([*MAPPABLE, text]))
    assert reason in library.cells["ODD"].unused
    assert list(library.usable) == list(read_text(tmp_path, library_text(MAPPABLE)).cells)
    assert ("ODD" in library.text) == (
        reason == "it is a latch"
    )  # which Yosys would make of flip-flops otherwise
    check_library(library)
    assert buffer_of(library).name == "BUF"


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(text, marks=tried(6, f"Liberty: dont_use : {text}", "the cell is used"), id=text)
        for text in ('"false"', "false", "0", "FALSE")
    ],
)
def test_cell_that_may_be_used(spelling, tmp_path):
    library = read_text(tmp_path, library_text([*MAPPABLE, nand(f"{CHEAP} dont_use : {spelling};")]))
    assert not library.cells["ODD"].unused
    assert "dont_use" not in library.text


@tried(6, "Liberty: dont_use that is neither true nor false", "is refused by name")
def test_flag_that_is_none(tmp_path):
    with pytest.raises(LibertyError, match=r"dont_use of cell ODD must be true or false, not 'maybe'"):
        read_text(tmp_path, library_text([*MAPPABLE, nand(CHEAP + "dont_use : maybe;")]))


@tried(6, "Liberty: a library whose only flip-flop cannot be used", "is refused with the reason")
def test_why_a_library_will_not_do(tmp_path):
    falling = flip_flop('"CK"; }', '"!CK"; }')
    library = read_text(tmp_path, library_text([INV, NAND, BUF, falling]))
    with pytest.raises(
        LibertyError, match="rising edge; ODD is not used: it does not take over at the rising edge"
    ):
        check_library(library)
    unused = read_text(
        tmp_path, library_text([INV.replace("area : 1;", "area : 1; dont_use : 1;"), NAND, BUF, DFF])
    )
    with pytest.raises(
        LibertyError, match="must have an inverter; INV is not used: the library says dont_use"
    ):
        check_library(unused)


def test_default_library_may_be_used_but_for_what_it_says_itself():
    library = read_liberty(default_liberty())
    reasons = {cell.unused for cell in library.cells.values()}
    assert reasons == {
        "",
        "the library says dont_use",
        "it is a latch",
        "it holds a state that is not known",
        "pin Z may drive nothing",
        "pin ZN may drive nothing",
        "pin Q may drive nothing",
    }
    assert len(library.usable) == 110


DESIGN = """module top (clk, a, b, q, r);
  input clk;
  input a;
  input b;
  output q;
  reg q;
  output r;
  assign r = ~(a & b);
  always @(posedge clk) q <= ~(a & q);
endmodule
"""


@tried(6, "Liberty: cells nobody may use that are cheaper than all others", "synthesis takes none of them")
def test_synthesis_sees_what_is_read_alone(tmp_path):
    """All at once, each under a name of its own; without them the result is the same."""
    plain = read_text(tmp_path, library_text(MAPPABLE))
    odd = [text.replace("cell (ODD)", f"cell (ODD{i})") for i, (text, _) in enumerate(ODD.values())]
    library = read_text(tmp_path, library_text([*odd, *MAPPABLE]))
    assert len(library.cells) == len(MAPPABLE) + len(ODD)
    made = synthesise(DESIGN, "top", library=library)
    assert made.cells == synthesise(DESIGN, "top", library=plain).cells
    assert set(made.cells) <= set(plain.cells)
    # Both gates are what is chosen if the library may be taken at its word.
    allowed = read_text(tmp_path, library_text([nand(), *MAPPABLE]))
    assert "ODD" in synthesise(DESIGN, "top", library=allowed).cells


@tried(6, "Liberty: a flip-flop that takes over the inverse", "is mapped to rightly")
def test_inverting_flip_flop(tmp_path):
    """Its state is the inverse of D, so the design's register is its output QN."""
    inverting = DFF.replace('next_state : "D"', "next_state : !D")
    made = synthesise(DESIGN, "top", library=read_text(tmp_path, library_text([INV, NAND, BUF, inverting])))
    (register,) = (c for c in made.netlist["cells"].values() if c["type"] == "DFF")
    driver = {
        bit: (name, port)
        for name, c in made.netlist["cells"].items()
        for port, bits in c["connections"].items()
        for bit in bits
        if c["port_directions"][port] == "output"
    }
    inversions, at = 0, made.netlist["ports"]["q"]["bits"][0]
    while driver[at][1] == "Y":  # back through inverters and buffers
        instance = made.netlist["cells"][driver[at][0]]
        inversions += instance["type"] == "INV"
        at = instance["connections"]["A"][0]
    assert at in register["connections"]["Q"] + register["connections"]["QN"]
    state = inversions + (at in register["connections"]["QN"])
    data, inverted = register["connections"]["D"][0], 0
    while made.netlist["cells"][driver[data][0]]["type"] in ("INV", "BUF"):
        instance = made.netlist["cells"][driver[data][0]]
        inverted += instance["type"] == "INV"
        data = instance["connections"]["A"][0]
    assert made.netlist["cells"][driver[data][0]]["type"] == "NAND"
    assert (state + inverted) % 2 == 1  # together with the flip-flop's own inversion none


@tried(6, "Liberty: several cells that nothing is mapped to", "the report names them by reason")
def test_report_says_what_is_left_out(tmp_path):
    odd = [text.replace("cell (ODD)", f"cell (ODD{i})") for i, (text, _) in enumerate(ODD.values())]
    (tmp_path / "cells.lib").write_text(library_text([*odd, *MAPPABLE]), encoding="utf-8")
    (note,) = Technology.of(tmp_path / "cells.lib", 1e8, use_cache=False).notes
    assert note.startswith(
        "Nothing is mapped to these cells of the library: ODD0 and 2 more (the library says dont_use), "
    )
    assert "ODD3 (its area is not stated), ODD4 (it has a bus)" in note
    assert re.search(r"others for \d+ more reasons\.$", note)
    (tmp_path / "cells.lib").write_text(library_text(MAPPABLE), encoding="utf-8")
    assert Technology.of(tmp_path / "cells.lib", 1e8, use_cache=False).notes == ()
