"""What a library states several times: the worst counts for time, a stated rule for power, and never the order."""

import random

import numpy as np
import pytest
from helpers.tiny_library import (
    BUF,
    DFF,
    GATE,
    INV,
    NAND,
    XOR,
    arc,
    cell,
    energy,
    leakage,
    library_text,
    near,
    netlist,
    output,
    pin,
    read_text,
    setup,
)
from helpers.tried import tried

from spikesim.errors import LibertyError
from spikesim.power_models.gates.activity import Activity
from spikesim.power_models.liberty.text import Group, parse
from spikesim.power_models.power.power import power
from spikesim.power_models.timing.analysis import analyse

HARD, EASY = setup((0.5, 1, 2), (0.6, 1, 2)), setup((0.05, 1, 2), (0.1, 1, 2))
SETUP = 'related_pin : "CK"; timing_type : setup_rising;'
PINS = "direction : input; capacitance : 1;"


def row(what, happens, *values):
    return pytest.param(*values, marks=tried(6, f"Liberty: {what}", happens), id=what)


def register(folder, constraints, *, others=()):
    """A library whose flip-flop has these setup groups."""
    assert EASY in DFF
    return read_text(folder, library_text([DFF.replace(EASY, constraints), INV, *others]))


def margin(library, edge=0):
    """ns, of the flip-flop's D at a data slew of 0.03 ns and a clock slew of 2 ns."""
    table = library.cells["DFF"].pins["D"].setup[edge]
    return 1e9 * float(table.at(np.array([3e-11]), np.array([2e-9]))[0])


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        row("two setup_rising groups, the harder last", "the harder counts", EASY + HARD, (4.53, 4.63)),
        row("two setup_rising groups, the harder first", "the harder counts", HARD + EASY, (4.53, 4.63)),
        row(
            "setup_rising with a condition",
            "counts as if it held",
            EASY + HARD.replace("{", '{ when : "A"; sdf_cond : "A == 1";', 1),
            (4.53, 4.63),
        ),
        row(
            "one setup group for each edge",
            "each edge has its own",
            "".join(
                f'timing () {{ {SETUP} {edge}_constraint (scalar) {{ values ("{value}"); }} }}'
                for edge, value in (("fall", 3), ("rise", 2))
            ),
            (2, 3),
        ),
        row(
            "setup for one edge alone",
            "the other edge is like it",
            'timing () { related_pin : "CK"; timing_type : setup_rising; fall_constraint (scalar) { values ("3"); } }',
            (3, 3),
        ),
    ],
)
def test_setup_is_the_worst_of_all_groups(constraints, expected, tmp_path):
    library = register(tmp_path, constraints)
    assert (margin(library, 0), margin(library, 1)) == near(expected, rel=1e-9)


def test_worst_is_taken_point_by_point(tmp_path):
    """One group is harder for slow data, the other for fast data."""
    flat = 'timing () { related_pin : "CK"; timing_type : setup_rising; rise_constraint (scalar) { values ("4.2"); } }'
    library = register(tmp_path, EASY + flat)
    table = library.cells["DFF"].pins["D"].setup[0]
    slews = np.array([0.0, 1e-9])
    assert table.at(slews, np.full(2, 2e-9)) == near([4.2e-9, 5.05e-9])


def path_ns(library, kind="XOR"):
    """Of D to Q through an inverter or exclusive or, to a flip-flop."""
    made = netlist(
        library,
        ["clk", "other"],
        ["out"],
        [
            ("first", "DFF", {"CK": "clk", "D": "next", "Q": "state"}, "CK", "D"),
            (
                "logic",
                kind,
                {"A": "state", "Y": "next"} | ({"B": "other"} if kind == "XOR" else {}),
                "A",
                "B",
            ),
            ("last", "INV", {"A": "state", "Y": "out"}, "A"),
        ],
    )
    return 1e9 * analyse(made, period_s=1e-8).worst.seconds


@tried(6, "Liberty: two groups of delays from one pin", "the slower counts, in either order")
def test_delay_is_the_worst_of_all_groups(tmp_path):
    fast = arc("A", "negative_unate", (0.1, 1, 0.01), (0.2, 2, 0.02))
    slow = arc("A", "negative_unate", (3.1, 1, 0.01), (3.2, 2, 0.02), 'when : "A";')
    assert fast in INV
    paths = [
        path_ns(read_text(tmp_path, library_text([DFF, INV.replace(fast, groups)])), "INV")
        for groups in (fast, slow, fast + slow, slow + fast)
    ]
    assert paths[2] == paths[3] == paths[1] > paths[0] + 3


@tried(6, "Liberty: several pins in one related_pin", "each has the delay")
@pytest.mark.parametrize("pins", ["A B", "A,B", "B, A"])
def test_several_related_pins(pins, tmp_path):
    both = cell(
        "BOTH",
        "area : 1;",
        pin("A", PINS),
        pin("B", PINS),
        output("Y", "A & B", arc(pins, "positive_unate", (1, 0, 0), (1, 0, 0))),
    )
    library = read_text(tmp_path, library_text([both, DFF, INV]))
    assert {a.related for a in library.cells["BOTH"].pins["Y"].arcs} == {"A", "B"}
    assert (
        library.text.count('related_pin : "A";') == library.text.count('related_pin : "B";') + 1
    )  # and the inverter's


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        row(
            "delays without a related_pin",
            "are refused with their line",
            'related_pin : "A"; timing_sense',
            "timing_sense",
            r"cell INV: timing must name its related_pin, not do without \(line \d+\)",
        ),
        row(
            "an area that is stated twice, differently",
            "is refused with both lines",
            "area : 1;",
            "area : 1;\narea : 2;",
            r"area of cell INV must be stated once, not as '1' in line \d+ and '2' in line \d+",
        ),
        row(
            "a direction that is stated twice, differently",
            "is refused with both lines",
            "direction : input;",
            "direction : input; direction : output;",
            "direction of pin A must be stated once",
        ),
        row(
            "two cells of one name",
            "are refused with their lines",
            "cell (NAND)",
            "cell (INV) { }\ncell (NAND)",
            r"cell INV must be described once, not in lines \d+ and \d+",
        ),
        row(
            "two pins of one name in a cell",
            "are refused with the line",
            "pin (Y)",
            "pin (A) { direction : input; }\npin (Y)",
            r"cell INV: pin A must be described once, not again in line \d+",
        ),
        row(
            "a timing_type that Liberty has not",
            "is refused by name",
            "timing_sense : negative_unate;",
            "timing_sense : negative_unate; timing_type : combinatorial;",
            r"timing_type must be one that Liberty has, not 'combinatorial'",
        ),
        row(
            "a negative capacitance",
            "is refused by name",
            "capacitance : 2",
            "capacitance : -2",
            "capacitance of pin A must not be negative",
        ),
        row(
            "a negative area",
            "is refused by name",
            "area : 1",
            "area : -1",
            "area of cell INV must not be negative",
        ),
        row(
            "a negative leakage",
            "is refused with its state",
            'when : "A"; value : 2;',
            'when : "A"; value : -2;',
            "the leakage of a cell must not be negative, but is -2 in the state A",
        ),
    ],
)
def test_contradictions(old, new, sentence, tmp_path):
    text = library_text()
    assert old in text
    with pytest.raises(LibertyError, match=sentence):
        read_text(tmp_path, text.replace(old, new, 1))


# Power.


def states(folder, *groups):
    found = (
        read_text(folder, library_text([cell("C", *groups, pin("A", PINS), pin("B", PINS))]))
        .cells["C"]
        .leakage
    )
    return {when: round(1e6 * watts, 9) for when, watts in found}


def supply(name, value, when=""):
    condition = f'when : "{when}";' if when else ""
    return f"leakage_power () {{ related_pg_pin : {name}; {condition} value : {value}; }}"


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        row("leakage of two supplies", "adds up", (supply("VDD", 6), supply("VBP", 4)), {"": 10}),
        row(
            "leakage of two supplies by state",
            "adds up in each state",
            (
                supply("VDD", 6, "A"),
                supply("VBP", 1, "A"),
                supply("VDD", 8, "!A"),
                supply("VBP", 2, "!A"),
                "cell_leakage_power : 9;",
            ),
            {"A": 7, "!A": 10, "": 9},
        ),
        row(
            "leakage of one supply by state, of another without",
            "the other leaks in every state",
            (supply("VDD", 6, "A"), supply("VDD", 8, "!A"), supply("VBP", 5), "cell_leakage_power : 9;"),
            {"A": 11, "!A": 13, "": 9},
        ),
        row(
            "leakage of two supplies by different conditions",
            "the second counts with its most",
            (
                supply("VBP", 6, "A"),
                supply("VBP", 8, "!A"),
                supply("VDD", 1, "B"),
                supply("VDD", 3, "!B"),
                "cell_leakage_power : 9;",
            ),
            {"A": 9, "!A": 11, "": 9},
        ),
        row(
            "conditions in two spellings",
            "are one condition",
            (leakage("A & B", 2), leakage("(B A)", 3), "cell_leakage_power : 9;"),
            {"(B A)": 5, "": 9},
        ),
    ],
)
def test_leakage(groups, expected, tmp_path):
    assert states(tmp_path, *groups) == expected
    for seed in range(5):
        shuffled = list(groups)
        random.Random(seed).shuffle(shuffled)
        assert states(tmp_path, *shuffled) == expected


@tried(6, "Liberty: energies of one condition in two spellings", "add up as those of two supplies")
def test_energy_of_two_supplies(tmp_path):
    groups = energy((1, 0), (1, 0), when="A & B") + energy((2, 0), (2, 0), when="B A")
    text = library_text([cell("C", pin("A", PINS + groups), pin("B", PINS), output("Y", "A"))])
    whens = {e.when for e in read_text(tmp_path, text).cells["C"].pins["A"].energies}
    assert len(whens) == 1


# The order of the file.


def rendered(group, rng):
    """A group as text again, all that is in it in another order."""
    parts = [rendered(inner, rng) for inner in group.groups]
    for name, statements in group.attributes.items():
        for statement in statements:
            values = ", ".join(map(quoted, statement.values))
            parts.append(f"{name} ({values});" if name in LISTS else f"{name} : {values};")
    rng.shuffle(parts)
    return f"{group.name} ({', '.join(map(quoted, group.arguments))}) {{\n" + "\n".join(parts) + "\n}\n"


LISTS = ("fanout_length", "index_1", "index_2", "values", "capacitive_load_unit")


def quoted(text):
    return text if text.replace("_", "a").replace(".", "0").isalnum() else f'"{text}"'


RICH = library_text(
    [INV, NAND, XOR, BUF, GATE, DFF.replace(EASY, EASY + HARD.replace("{", '{ when : "Q";', 1))]
)


def figures(library):
    """Everything that a netlist of these cells is judged by."""
    made = netlist(
        library,
        ["clk", "enable", "other"],
        ["out"],
        [
            ("gate", "ICG", {"CK": "clk", "E": "enable", "GCK": "gated"}, "CK", "E"),
            ("first", "DFF", {"CK": "gated", "D": "next", "Q": "state", "QN": "inverse"}, "CK", "D"),
            ("logic", "XOR", {"A": "state", "B": "other", "Y": "next"}, "A", "B"),
            ("choice", "NAND", {"A": "state", "B": "inverse", "Y": "between"}, "A", "B"),
            ("last", "INV", {"A": "between", "Y": "out"}, "A"),
        ],
    )
    timing = analyse(made, period_s=1e-8)
    # Some numbers for every net, by its name: how nets are numbered is nobody's business.
    drawn_from = {name: random.Random(name) for name in made.net_names}
    ones = {name: rng.uniform(0, 100) for name, rng in drawn_from.items()}
    ones["inverse"] = 100 - ones["state"]  # two outputs of one register
    activity = Activity(
        cycles=100,
        toggles=np.array([drawn_from[name].uniform(0, 50) for name in made.net_names]),
        ones=np.array([ones[name] for name in made.net_names]),
        clock_pulses=np.full(made.cells, 40.0),
    )
    drawn = power(made, timing, activity, frequency_hz=1e8)
    worst = sorted(timing.endpoint_slack_s)
    return [
        timing.worst.seconds,
        *worst,
        drawn.leakage_w.sum(),
        drawn.internal_w.sum(),
        drawn.switching_w.sum(),
    ]


@tried(
    6,
    "Liberty: all statements and groups of a library in another order",
    "gives equal times, powers and text for synthesis",
)
def test_order_never_matters(tmp_path):
    plain = read_text(tmp_path, RICH)
    expected = figures(plain)
    for seed in range(20):
        other = read_text(tmp_path, rendered(parse(RICH), random.Random(seed)))
        assert other.text == plain.text
        assert figures(other) == pytest.approx(expected, rel=1e-12, abs=0)
        assert {name: cell.unused for name, cell in other.cells.items()} == dict.fromkeys(plain.cells, "")


def test_rendering_keeps_everything():
    def leaves(group: Group) -> int:
        return len(group.attributes) + sum(leaves(inner) for inner in group.groups)

    assert leaves(parse(rendered(parse(RICH), random.Random(1)))) == leaves(parse(RICH)) > 150
