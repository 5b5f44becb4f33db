"""Cell libraries: what is read from them, in which units, and one sentence for everything that is wrong with one."""

import gc

import numpy as np
import pytest
from helpers.tiny_library import (
    BUF,
    DFF,
    HEADER,
    INV,
    MAPPABLE,
    NAND,
    TEMPLATES,
    cell,
    library_text,
    near,
    output,
    pin,
    read_text,
)
from hypothesis import given
from hypothesis import strategies as st

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.boolean import names_in, probability, truth_table
from spikesim.power_models.liberty.check import check_library
from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.synthesis.synthesis import default_liberty


def table_of(folder, tables, templates=TEMPLATES):
    """The rising delay of a cell whose arc has these tables."""
    timing = f'timing () {{ related_pin : "A"; {tables} }}'
    text = library_text(
        [cell("C", pin("A", "direction : input;"), output("Y", "A", timing))], HEADER, templates
    )
    return read_text(folder, text).cells["C"].pins["Y"].arcs[0].delay[0]


def both_tables(values, template, indices=""):
    return "".join(
        f"{kind} ({template}) {{ {indices} values ({values}); }}" for kind in ("cell_rise", "rise_transition")
    )


def at(table, slew_ns, load_ff):
    return float(table.at(np.array([slew_ns * 1e-9]), np.array([load_ff * 1e-15]))[0])


# What is read.


def test_everything_is_si(tmp_path):
    library = read_text(tmp_path, library_text())
    assert (library.name, library.voltage, library.temperature) == ("tiny", 2.0, 25.0)
    inverter = library.cells["INV"]
    assert [when for when, _ in inverter.leakage] == ["A", "!A", ""]
    assert [watts for _, watts in inverter.leakage] == near([2e-6, 4e-6, 5e-6])
    a, y = inverter.pins["A"], inverter.pins["Y"]
    assert (a.rise_capacitance, a.fall_capacitance, a.capacitance) == near((3e-15, 1e-15, 2e-15))
    (arc,) = y.arcs
    assert (arc.related, arc.sense, arc.clocked) == ("A", -1, False)
    # 0.1 + slew + 0.01 · load, between the points, beyond both ends, and the slew a tenth of it plus 0.02.
    for slew, load in ((0.05, 4.0), (0.5, 100.0), (0.0, 0.0)):
        assert at(arc.delay[0], slew, load) == near((0.1 + slew + 0.01 * load) * 1e-9)
        assert at(arc.slew[1], slew, load) == near((0.04 + 0.2 * slew + 0.002 * load) * 1e-9)
    (energy,) = y.energies
    assert energy.related == "A"
    assert at(energy.tables[0], 0.05, 4.0) == near((1 + 0.5 + 0.4) * 1e-15)


def test_energy_unit_is_capacitance_times_volts_squared(tmp_path):
    text = library_text().replace('voltage_unit : "1V"', 'voltage_unit : "100mV"')
    library = read_text(tmp_path, text)
    assert library.voltage == near(0.2)
    assert at(library.cells["NAND"].pins["Y"].energies[0].tables[1], 0, 0) == near(3e-15 * 0.01)


def test_flip_flop_and_clock_gate(tmp_path):
    cells = read_text(tmp_path, library_text()).cells
    flip = cells["DFF"]
    assert (flip.register.state, flip.register.inverse, flip.register.next_state) == ("IQ", "IQN", "D")
    assert not flip.register.asynchronous
    assert flip.clock == "CK"
    assert flip.pins["Q"].arcs[0].clocked
    # Setup: 0.05 + data slew + 2 · clock slew.
    assert float(flip.pins["D"].setup[0].at(np.array([3e-11]), np.array([2e-9]))[0]) == near(4.08e-9)
    assert cells["ICG"].gate == ("CK", "E", "GCK")
    assert cells["ICG"].clock == "CK"
    assert cells["NAND"].clock == ""


def test_wire_load_between_and_beyond_its_entries(tmp_path):
    library = read_text(tmp_path, library_text())
    got = library.wire_capacitance(np.array([0, 1, 2, 3, 5]))
    assert got == near(np.array([0, 1, 3, 5, 5 + 2 * 4]) * 0.5e-15)


def test_axes_in_either_order(tmp_path):
    swapped = """lu_table_template (t) { variable_1 : total_output_net_capacitance; variable_2 : input_net_transition;
        index_1 ("1, 2, 3"); index_2 ("0.1, 0.2"); }"""
    table = table_of(tmp_path, both_tables('"1, 4", "2, 5", "3, 6"', "t"), swapped)
    assert table.values == near(np.array([[1, 2, 3], [4, 5, 6]]) * 1e-9)
    assert table.slews == near([1e-10, 2e-10])
    assert at(table, 0.15, 2.5) == near(4e-9)


def test_constraint_in_either_order(tmp_path):
    """3 by the data's slew and 2 by the clock's, or the other way round; or by one of them alone."""

    def setup_of(template, values):
        timing = 'timing () { related_pin : "CK"; timing_type : setup_rising;'
        timing += f" rise_constraint (t) {{ values ({values}); }} }}"
        text = library_text(
            [cell("C", pin("CK", "direction : input;"), pin("D", "direction : input;" + timing))]
        )
        table = f"lu_table_template (t) {{ {template} }}"
        return (
            read_text(tmp_path, text.replace("wire_load", table + "wire_load", 1))
            .cells["C"]
            .pins["D"]
            .setup[1]
        )

    data, clock = "constrained_pin_transition", "related_pin_transition"
    for template, values in (
        (
            f'variable_1 : {data}; variable_2 : {clock}; index_1 ("1, 2, 3"); index_2 ("4, 6");',
            '"1, 4", "2, 5", "3, 6"',
        ),
        (
            f'variable_1 : {clock}; variable_2 : {data}; index_1 ("4, 6"); index_2 ("1, 2, 3");',
            '"1, 2, 3", "4, 5, 6"',
        ),
    ):
        table = setup_of(template, values)
        assert float(table.at(np.array([2.5e-9]), np.array([5e-9]))[0]) == near(4e-9)
    by_data = setup_of(f'variable_1 : {data}; index_1 ("1, 2");', '"1, 2"')
    assert float(by_data.at(np.array([1.5e-9]), np.array([9e-9]))[0]) == near(1.5e-9)
    by_clock = setup_of(f'variable_1 : {clock}; index_1 ("1, 2");', '"1, 2"')
    assert float(by_clock.at(np.array([9e-9]), np.array([1.5e-9]))[0]) == near(1.5e-9)


def test_voltage_of_the_default_corner(tmp_path):
    corners = "".join(
        f"operating_conditions (c{v}) {{ voltage : {v}; temperature : {v}0; }}" for v in (1, 2, 3)
    )
    library = read_text(
        tmp_path, library_text([INV], HEADER + corners + "default_operating_conditions : c2;")
    )
    assert (library.voltage, library.temperature) == (2, 20)


def test_values_may_be_one_string(tmp_path):
    table = table_of(tmp_path, both_tables('"1 2 \\\n 3, 4"', "both"))
    assert table.values == near(np.array([[1, 2], [3, 4]]) * 1e-9)


def test_indices_of_the_table_go_before_the_template(tmp_path):
    table = table_of(tmp_path, both_tables('"1, 2", "3, 4"', "both", 'index_2 ("5, 7");'))
    assert table.loads == near([5e-15, 7e-15])
    assert table.slews == near([1e-11, 1.1e-10])


def test_one_axis_or_none(tmp_path):
    by_load = 'lu_table_template (t) { variable_1 : total_output_net_capacitance; index_1 ("1, 2"); }'
    table = table_of(tmp_path, both_tables('"1, 4"', "t"), by_load)
    assert at(table, 99, 1.5) == near(2.5e-9)
    by_slew = 'lu_table_template (t) { variable_1 : input_net_transition; index_1 ("1, 2"); }'
    table = table_of(tmp_path, both_tables('"1, 4"', "t"), by_slew)
    assert at(table, 1.5, 99) == near(2.5e-9)
    assert at(table_of(tmp_path, both_tables('"7"', "scalar")), 3, 4) == near(7e-9)


def test_cell_without_power_tables_and_leakage_is_read(tmp_path):
    bare = cell("BARE", pin("A", "direction : input;"), output("Y", "A"))
    library = read_text(tmp_path, library_text([bare]))
    assert library.cells["BARE"].leakage == (("", 0.0),)
    assert library.cells["BARE"].pins["Y"].energies == ()


def test_leakage_of_other_states(tmp_path):
    """The whole cell's; a leakage without condition, of all supplies together; or the mean of the conditional ones."""

    def leakage(text):
        return (
            read_text(tmp_path, library_text([cell("C", text, pin("A", "direction : input;"))]))
            .cells["C"]
            .leakage
        )

    conditional = 'leakage_power () { when : "A"; value : 2; } leakage_power () { when : "!A"; value : 4; }'
    assert leakage(conditional)[-1] == ("", near(3e-6))
    assert leakage(conditional + "cell_leakage_power : 9;")[-1] == ("", near(9e-6))
    supplies = "".join(f"leakage_power () {{ related_pg_pin : V{n}; value : {n}; }}" for n in (1, 2))
    assert leakage(supplies + "cell_leakage_power : 9;") == (("", near(3e-6)),)


def test_semicolons_may_be_missing_and_comments_are_no_text(tmp_path):
    text = library_text([INV]).replace("area : 1;", "area : 1 /* ; } */ // }\n\n vendor : a + b\n")
    assert read_text(tmp_path, text).cells["INV"].area == 1


def test_byte_order_mark_is_no_text(tmp_path):
    assert read_text(tmp_path, "\ufeff" + library_text()).name == "tiny"


def test_clocked_output_goes_either_way_whatever_its_sense(tmp_path):
    text = library_text([DFF.replace("non_unate", "positive_unate")])
    assert read_text(tmp_path, text).cells["DFF"].pins["Q"].arcs[0].sense == 0


def test_default_library():
    library = read_liberty(default_liberty())
    assert len(library.cells) == 135
    assert library.voltage == 1.1
    check_library(library)
    flip = library.cells["DFF_X1"]
    assert flip.area == 4.522
    assert flip.pins["CK"].capacitance == near((0.949653e-15 + 0.856440e-15) / 2)
    assert flip.leakage[-1] == ("", near(79.112308e-9))
    # A corner of its table, as printed in the file: rising Q at the fourth slew and the fifth load.
    delay = flip.pins["Q"].arcs[0].delay[0]
    assert at(delay, 0.0409838, 15.1825) == near(0.128306e-9)
    assert library.cells["CLKGATE_X1"].gate == ("CK", "E", "GCK")


# What is refused.


def replaced(old, new):
    text = library_text()
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must have a library group"),
        ("cell (A) { }", "must have a library group"),
        ("\0\1\2", "must be Liberty, not"),
        ("library (x) { a b c }", "must be Liberty, not 'a b c }'"),
        ("library (x) { } }", "must have a { for every }"),
        (library_text()[:-40], r"must (end every group, but .* is cut off|end what|be Liberty)"),
        (library_text()[: library_text().index("Y") + 30], "is cut off|must"),
        ('library (x) { comment : "no end; }', "must end what '\"no end; }' begins"),
        ("library (x) { /* no end }", "must end what"),
        ("library (x { }", "must close the bracket of library"),
        ("library (x) { nom_voltage : 1; }", "the library must have cells"),
        (replaced("nom_voltage : 2.0;", ""), "must state its voltage"),
        (
            replaced("nom_voltage : 2.0;", "nom_voltage : high;"),
            "nom_voltage of library tiny must be a number, not 'high'",
        ),
        (
            replaced('time_unit : "1ns"', 'time_unit : "1 fortnight"'),
            "a unit must be like 1ns, not '1 fortnight'",
        ),
        (replaced('time_unit : "1ns"', 'time_unit : "0ns"'), "a unit must be like 1ns, not '0ns'"),
        (replaced("(1, ff)", "(ff)"), r"capacitive_load_unit must be like \(1, pf\), not \(ff\)"),
        (replaced("area : 1;", "area : big;"), "cell INV: area of cell INV must be a number, not 'big'"),
        (replaced("area : 1;", "area : nan;"), "area of cell INV must be a number, not 'nan'"),
        (replaced("area : 1;", "area : 1e999;"), "must be a number"),
        (
            replaced('index_2 ("1, 11")', 'index_2 ("11, 1")'),
            "index_2 of a table .* must have numbers that rise",
        ),
        (replaced('index_2 ("1, 11")', 'index_2 ("1, 1")'), "must have numbers that rise"),
        (
            replaced('index_2 ("1, 11")', 'index_2 ("1, 11, 21")'),
            r"must have as many values as its indices, \(2, 3\), say",
        ),
        (
            replaced("(3, 5)", "(3e12, 5)"),
            "fanout_length of wire_load small must be for fan-outs of 1 to a million",
        ),
        (
            replaced('related_pin : "A"', 'related_pin : "Z"'),
            "related_pin of Y must be a pin of the cell, not 'Z'",
        ),
    ],
)
def test_unsound_library_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(LibertyError, match=sentence) as caught:
        read_text(tmp_path, text)
    assert str(caught.value).startswith(f"Liberty file {tmp_path}/tiny.lib")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("word", ["abc", "1..2", "inf", "nan", "0x10", "1e"])
def test_values_that_are_no_numbers(tmp_path, word):
    with pytest.raises(LibertyError, match=f"values of a table cell_rise both must be numbers, not '{word}'"):
        table_of(tmp_path, both_tables(f'"1, 2", "3, {word}"', "both"))


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.lib", tmp_path):
        with pytest.raises(LibertyError, match=r"cannot be read: No such file|a regular file, not a folder"):
            read_liberty(path)


def test_binary_file(tmp_path):
    path = tmp_path / "tiny.lib"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(LibertyError, match="must be Liberty"):
        read_liberty(path)


def test_every_truncation_is_refused(tmp_path):
    text = library_text([NAND])
    for end in range(0, len(text.rstrip()) - 1, 7):
        with pytest.raises(LibertyError):
            read_text(tmp_path, text[:end])


def test_hostile_depth_and_size(tmp_path):
    deep = "a () {" * 200_000
    with pytest.raises(LibertyError, match="is cut off"):
        read_text(tmp_path, deep)
    with pytest.raises(LibertyError, match="must have a library group"):
        read_text(tmp_path, deep + "}" * 200_000)
    gc.collect()  # nor must taking such a tree apart recurse
    with pytest.raises(LibertyError, match="must"):
        read_text(tmp_path, "library (x) { " + "/* " * 200_000)
    with pytest.raises(LibertyError, match="must end what"):
        read_text(tmp_path, '" " ' * 100_000 + '"')


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        (INV, "must have an inverter"),
        (NAND, "must have a NAND or NOR gate"),
        (DFF, "must have a D flip-flop"),
        (BUF, "must have a buffer"),
    ],
)
def test_library_that_cannot_map(tmp_path, without, sentence):
    library = read_text(tmp_path, library_text([c for c in MAPPABLE if c is not without]))
    with pytest.raises(LibertyError, match=f"the library tiny {sentence}"):
        check_library(library)


def test_flip_flop_with_clear_is_not_enough(tmp_path):
    cleared = DFF.replace('clocked_on : "CK";', 'clocked_on : "CK"; clear : "!R";')
    library = read_text(tmp_path, library_text([INV, NAND, BUF, cleared]))
    with pytest.raises(LibertyError, match="flip-flop without clear and preset"):
        check_library(library)


def test_pad_whose_function_names_no_input_is_passed_over(tmp_path):
    pad = cell("PAD", pin("DI", "direction : input;"), output("Y", "YPAD"))
    check_library(read_text(tmp_path, library_text([pad, *MAPPABLE])))


@pytest.mark.parametrize("function", ["(!A)", "A'", "(A')", "!(A)", "1 ^ A"])
def test_inverter_in_any_spelling(tmp_path, function):
    spelled = INV.replace('function : "!A"', f'function : "{function}"')
    check_library(read_text(tmp_path, library_text([spelled, NAND, BUF, DFF])))


# Boolean functions.


@pytest.mark.parametrize(
    ("function", "table"),
    [
        ("A B", 0b1000),
        ("A*B", 0b1000),
        ("A + B", 0b1110),
        ("A^B", 0b0110),
        ("!A B", 0b0100),
        ("A' B", 0b0100),
        ("(A B)'", 0b0111),
        ("!(A B)''", 0b0111),
        ("A ^ B & A", 0b0010),  # exclusive or binds more tightly than and
        ("A | B ^ A", 0b1110),
        ("1", 0b1111),
        ("0 | A", 0b1010),
    ],
)
def test_truth_table(function, table):
    assert truth_table(function, ["A", "B"]) == table


@pytest.mark.parametrize(
    "function", ["", "A &", "& A", "(A", "A)", "()", "A ! ", "A $ B", "'", "A (& B)", "A | | B", "2"]
)
def test_no_function(function):
    with pytest.raises(LibertyError, match=r"^function .* must"):
        truth_table(function, ["A", "B"])


def test_unknown_name_and_too_many():
    with pytest.raises(LibertyError, match="must use the cell's pins, not C"):
        truth_table("A & C", ["A", "B"])
    with pytest.raises(LibertyError, match="at most 16 inputs, not 17"):
        truth_table("A", ["A", *(f"B{i}" for i in range(16))])


def test_deep_function():
    assert truth_table("(" * 100_000 + "A" + ")" * 100_000, ["A"]) == 0b10
    assert truth_table("!" * 100_001 + "A", ["A"]) == 0b01
    with pytest.raises(LibertyError) as caught:
        truth_table("(" * 100_000, ["A"])
    assert len(str(caught.value)) < 200


NAMES = ("A", "B1", "C_2", "D")
OPERATORS = {"|": 1, "&": 2, "^": 3}

trees = st.recursive(
    st.sampled_from([*NAMES, "0", "1"]),
    lambda inner: st.one_of(
        st.tuples(st.just("!"), inner), st.tuples(st.sampled_from(sorted(OPERATORS)), inner, inner)
    ),
    max_leaves=12,
)


def liberty(tree, spell, above=0):
    """With as few brackets as the strengths allow; `spell` picks among spellings of an operator."""
    if isinstance(tree, str):
        return tree
    if tree[0] == "!":
        return f"!{liberty(tree[1], spell, 9)}" if spell(2) else f"{liberty(tree[1], spell, 10)}'"
    strength = OPERATORS[tree[0]]
    sign = {"|": ("|", "+"), "&": ("&", " "), "^": ("^", " ^ ")}[tree[0]][spell(2)]
    text = liberty(tree[1], spell, strength) + sign + liberty(tree[2], spell, strength + 1)
    return f"({text})" if strength < above else text


def python(tree):
    if isinstance(tree, str):
        return tree
    return (
        f"(1 - {python(tree[1])})" if tree[0] == "!" else f"({python(tree[1])} {tree[0]} {python(tree[2])})"
    )


@given(trees, st.randoms(use_true_random=False))
def test_functions_as_python_evaluates_them(tree, random):
    table = truth_table(liberty(tree, random.randrange), NAMES)
    for n in range(1 << len(NAMES)):
        values = {name: n >> i & 1 for i, name in enumerate(NAMES)}
        assert table >> n & 1 == eval(python(tree), {}, values), (liberty(tree, random.randrange), values)


@given(trees, st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_probability_is_the_weight_of_its_ones(tree, ones):
    function = liberty(tree, lambda n: 0)
    expected = 0.0
    for n in range(16):
        bits = {name: n >> i & 1 for i, name in enumerate(NAMES)}
        weight = np.prod([p if n >> i & 1 else 1 - p for i, p in enumerate(ones)])
        expected += weight * eval(python(tree), {}, bits)
    got = probability(function, dict(zip(NAMES, ones, strict=True)))
    assert got == pytest.approx(expected, abs=1e-12)
    assert set(names_in(function)) <= set(NAMES)
