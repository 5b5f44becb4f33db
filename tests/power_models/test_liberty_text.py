"""Liberty files in any spelling and encoding, and files that only claim to be some: read rightly, or one sentence."""

import gzip
import os
import random
import re

import numpy as np
import pytest
from helpers.tiny_library import (
    HEADER,
    INV,
    MAPPABLE,
    TEMPLATES,
    cell,
    library_text,
    near,
    output,
    pin,
    read_text,
)
from helpers.tried import tried

from spikesim.errors import LibertyError
from spikesim.power_models.liberty.boolean import spelled, truth_table
from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.liberty.text import parse

TEXT = library_text(MAPPABLE)


def written(folder, content):
    path = folder / "tiny.lib"
    path.write_bytes(content)
    return path


def row(what, happens, *values, kind=6, **more):
    return pytest.param(*values, marks=tried(kind, f"Liberty: {what}", happens), id=what, **more)


def replaced(old, new, text=TEXT):
    assert old in text
    return text.replace(old, new, 1)


# The file.


@pytest.mark.parametrize(
    "content",
    [
        row("a byte-order mark", "is no text", b"\xef\xbb\xbf" + TEXT.encode(), kind=13),
        row("lines that end as on Windows", "are read as any", TEXT.replace("\n", "\r\n").encode()),
        row("a comment in Latin-1", "is a comment", b"/* \xa9 caf\xe9 */ // \xe9\n" + TEXT.encode(), kind=13),
        row("a comment in UTF-8", "is a comment", ("/* © 日本 */" + TEXT).encode(), kind=13),
        row(
            "a string in Latin-1",
            "is read as any",
            TEXT.encode().replace(b"area : 1;", b'area : 1; user : "\xe9";', 1),
        ),
        row(
            "a comment within a value's line",
            "is no value",
            TEXT.replace("area : 1;", "area : /* 7 */ 1;").encode(),
        ),
    ],
)
def test_encodings_and_comments(content, tmp_path):
    """Whatever is around the statements, what is read and what Yosys and abc get is the same."""
    plain, odd = read_text(tmp_path, TEXT), read_liberty(written(tmp_path, content))
    assert odd.text == plain.text
    assert odd.text.isascii()
    assert odd.digest != plain.digest  # what is kept is found by the file's content
    assert repr(odd.cells) == repr(plain.cells)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        row("UTF-16", "is refused by name", TEXT.encode("utf-16"), "must be UTF-8 text, not UTF-16", kind=13),
        row(
            "packed by gzip",
            "is refused by name",
            gzip.compress(TEXT.encode()),
            "not packed by gzip; unpack it",
            kind=13,
        ),
        row("empty", "is refused", b"", "must have a library group", kind=13),
        row(
            "two libraries in one file", "are refused", (TEXT + TEXT).encode(), "a library group, not several"
        ),
    ],
)
def test_other_files(content, sentence, tmp_path):
    with pytest.raises(LibertyError, match=sentence) as caught:
        read_liberty(written(tmp_path, content))
    assert "tiny.lib" in str(caught.value)


@tried(12, "Liberty: a named pipe in place of the file", "is refused at once")
def test_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LibertyError, match="must be a Liberty file, a regular file, not a pipe"):
        read_liberty(tmp_path / "pipe")


@tried(12, "Liberty: a sparse file of a gigabyte", "is refused by its size")
def test_large_file(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(LibertyError, match="of at most 67,108,864 bytes"):
        read_liberty(tmp_path / "large")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        row(
            "a million groups in one another",
            "is refused within seconds",
            "a(){" * 10**6,
            "at most 3,000,000 words",
            kind=12,
        ),
        row(
            "4 million words",
            "is refused within seconds",
            "a:b;" * 10**6,
            "at most 3,000,000 words",
            kind=12,
        ),
        row(
            "a line of 20 megabytes",
            "is refused by the number it stands for",
            replaced("area : 1;", f"area : {'9' * 2 * 10**7};"),
            "area of cell INV must be a number, not '999",
            kind=12,
        ),
        row(
            "a table with ten million numbers",
            "is refused within seconds",
            replaced('values ("', 'values ("' + "1, " * 10**7),
            "must have at most 10,000 numbers",
            kind=12,
        ),
        row(
            "a function of a million brackets",
            "is refused by its length",
            replaced('function : "!A"', 'function : "' + "(" * 10**6 + "A" + ")" * 10**6 + '"'),
            "must have at most 10,000 characters",
            kind=12,
        ),
        row(
            "a name of a megabyte",
            "is shown shortened",
            replaced("cell (INV)", f"cell ({'é' * 10**6})"),
            "name of a cell",
            kind=12,
        ),
    ],
)
def test_bombs(text, sentence, tmp_path):
    with pytest.raises(LibertyError, match=sentence) as caught:
        read_text(tmp_path, text)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@tried(13, "Liberty: escape sequences in names", "never reach the terminal")
@pytest.mark.parametrize("where", ["cell (INV)", "pin (A)", "cell_rise (both)", "ff (IQ"])
def test_sentences_have_no_escape_sequences(where, tmp_path):
    with pytest.raises(LibertyError) as caught:
        read_text(tmp_path, replaced(where, where[:-1] + '\x1b[31m" ' + where[-1]).replace('" ', " "))
    assert str(caught.value).isprintable()


# Statements that are missing.


@pytest.mark.parametrize(
    "name",
    [
        row(f"{name} is missing", "is refused by name, not guessed", name)
        for name in (
            "time_unit",
            "voltage_unit",
            "capacitive_load_unit",
            "leakage_power_unit",
            "nom_voltage",
            "nom_temperature",
        )
    ],
)
def test_what_nobody_can_guess(name, tmp_path):
    text = re.sub(rf"\b{name}[^;]*;", "", TEXT)
    assert text != TEXT
    with pytest.raises(LibertyError, match=f"the library must state its .*{name}"):
        read_text(tmp_path, text)


@tried(6, "Liberty: leakage_power_unit is missing where no cell leaks", "is not asked for")
def test_unit_that_nothing_needs(tmp_path):
    text = replaced('leakage_power_unit : "1uW";', "", library_text([INV]))
    text = re.sub(r"leakage_power \(\) \{[^}]*\}|cell_leakage_power[^;]*;", "", text)
    assert read_text(tmp_path, text).cells["INV"].leakage == (("", 0.0),)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        row(
            "default_wire_load names none",
            "is refused, not left out",
            "default_wire_load : small",
            "default_wire_load : large",
            "default_wire_load must name one wire_load of the library, not 'large'",
        ),
        row(
            "default_operating_conditions names none",
            "is refused, not replaced by the first",
            "nom_voltage",
            "default_operating_conditions : hot; nom_voltage",
            "default_operating_conditions must name operating_conditions of the library, not 'hot'",
        ),
        row(
            "include_file",
            "is refused, not left out",
            "nom_voltage",
            'include_file ("more.lib"); nom_voltage',
            r"include_file must be replaced by the text that it names \(line 3\)",
        ),
        row(
            "a time unit that abc takes for nanoseconds",
            "is refused by name",
            '"1ns"',
            '"1us"',
            "time_unit must be 1ns, 100ps, 10ps or 1ps",
        ),
        row(
            "a fan-out with two lengths",
            "is refused",
            "(3, 5)",
            "(1, 5)",
            "one length from 0 on for each fan-out",
        ),
    ],
)
def test_library_that_is_not_whole(old, new, sentence, tmp_path):
    with pytest.raises(LibertyError, match=sentence):
        read_text(tmp_path, replaced(old, new))


# Spellings.


@pytest.mark.parametrize(
    "spelling",
    [
        row(f"capacitive_load_unit {text}", "is a femtofarad", text)
        for text in ("(1,fF)", '(1e0, "ff")', '("1", "ff")', '("1 ff")', "(0.001, PF)")
    ],
)
def test_unit_of_loads(spelling, tmp_path):
    library = read_text(tmp_path, replaced("(1, ff)", spelling))
    assert library.cells["NAND"].pins["A"].capacitance == near(2e-15)
    assert re.search(r"capacitive_load_unit \(1,ff\);", library.text)  # in words of abc, which knows no fF


@pytest.mark.parametrize(
    ("spelling", "watts"),
    [
        row(f"leakage_power_unit {text}", "is read rightly", text, watts)
        for text, watts in (
            ('"1nw"', 1e-9),
            ('"1pW"', 1e-12),
            ("1uW", 1e-6),
            ('"1e-3 W"', 1e-3),
            ('"100 pw"', 1e-10),
        )
    ],
)
def test_unit_of_leakage(spelling, watts, tmp_path):
    library = read_text(tmp_path, replaced('"1uW"', spelling))
    assert library.cells["INV"].leakage[-1] == ("", near(5 * watts))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        row("a function without quotation marks", "is read whole", 'function : "!A"', "function : !A"),
        row(
            "a function of two words without quotation marks",
            "is read whole",
            'function : "!(A & B)"',
            "function : !A | (!B)",
        ),
        row("brackets without quotation marks", "are read whole", 'clocked_on : "CK"', "clocked_on : (CK)"),
        row(
            "semicolons are missing at ends of lines",
            "the lines end the values",
            'function : "!A";',
            'function : "!A"\n',
        ),
        row(
            "quotation marks around words",
            "are no part of them",
            "direction : input;",
            'direction : "input";',
        ),
        row("a continued line", "is one line", 'next_state : "D"', "next_state : \\\n D"),
        row("an attribute stated twice alike", "counts once", "area : 2;", "area : 2; area : 2;"),
    ],
)
def test_spellings(old, new, tmp_path):
    plain, odd = read_text(tmp_path, TEXT), read_text(tmp_path, replaced(old, new))
    assert odd.text == plain.text.replace('"!(A & B)"', '"!A | !B"' if "!B" in new else '"!(A & B)"')


@tried(6, "Liberty: a value runs into the next statement", "is refused, not cut")
def test_value_without_an_end(tmp_path):
    with pytest.raises(LibertyError, match="must be ended with a semicolon"):
        read_text(tmp_path, replaced("area : 1; ", "area : 1 pin (X) { } "))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("A ^ B & C", "(A ^ B) & C"),
        ("A B + C'", "(A & B) | !C"),
        ("!(!A)", "A"),
        ("(A)", "A"),
        ("A * !B", "A & !B"),
    ],
)
def test_one_spelling_of_functions(function, expected):
    """Yosys and abc rank operators otherwise than Liberty does."""
    assert spelled(function) == expected
    names = ["A", "B", "C"]
    assert truth_table(spelled(function), names) == truth_table(function, names)


# Tables.


@pytest.mark.parametrize(
    ("tables", "templates", "sentence"),
    [
        row(
            "a table of a template that is not there",
            "is refused by name",
            'cell_rise (none) { values ("1, 2", "3, 4"); }',
            "",
            r"a table cell_rise none \(line \d+\) must have a template of the library, not 'none'",
        ),
        row(
            "an axis of an unknown variable",
            "is refused by name",
            'cell_rise (odd) { values ("1, 2"); }',
            'lu_table_template (odd) { variable_1 : temperature; index_1 ("1, 2"); }',
            "variable_1 of lu_table_template odd must be a transition of an input or .*, not 'temperature'",
        ),
        row(
            "a negative index",
            "is refused by name",
            'cell_rise (both) { index_1 ("-1, 2"); values ("1, 2", "3, 4"); }',
            "",
            r"index_1 of a table cell_rise both \(line \d+\) must have numbers that rise from 0",
        ),
        row(
            "a number with an underscore",
            "is refused by name",
            'cell_rise (both) { values ("1, 2", "3, 1_0"); }',
            "",
            "must be numbers, not '1_0'",
        ),
        row(
            "two tables of one edge in an arc",
            "are refused with their lines",
            'cell_rise (both) { values ("1, 2", "3, 4"); } cell_rise (both) { values ("9, 9", "9, 9"); }',
            "",
            r"timing must have one cell_rise, not one in line \d+ and one in \d+",
        ),
        row(
            "a delay without a transition",
            "is refused by name",
            'cell_rise (both) { values ("1, 2", "3, 4"); }',
            "",
            r"timing must have both cell_rise and rise_transition, or neither \(line \d+\)",
        ),
        row(
            "a negative transition",
            "is refused by name",
            'cell_rise (both) { values ("1, 2", "3, 4"); } rise_transition (both) { values ("1, 2", "3, -4"); }',
            "",
            "rise_transition must be of times from 0 on, not -4e-09 s",
        ),
        row(
            "two templates of one name",
            "are refused with their lines",
            'cell_rise (t) { values ("1, 2"); }',
            "".join(
                f'lu_table_template (t) {{ variable_1 : {v}; index_1 ("1, 2"); }}\n'
                for v in ("input_net_transition", "total_output_net_capacitance")
            ),
            r"template t must be stated once, not in lines \d+ and \d+",
        ),
    ],
)
def test_unsound_tables(tables, templates, sentence, tmp_path):
    timing = f'timing () {{ related_pin : "A"; {tables} }}'
    text = library_text(
        [cell("C", pin("A", "direction : input;"), output("Y", "A", timing))], HEADER, TEMPLATES + templates
    )
    with pytest.raises(LibertyError, match=sentence):
        read_text(tmp_path, text)


@tried(6, "Liberty: an energy by what another output drives", "counts with the largest along that axis")
def test_axis_that_nothing_here_knows(tmp_path):
    template = """power_lut_template (three) {
        variable_1 : input_transition_time; index_1 ("1, 2");
        variable_2 : total_output_net_capacitance; index_2 ("1, 2");
        variable_3 : equal_or_opposite_output_net_capacitance; index_3 ("1, 2"); }"""
    power = (
        'internal_power () { related_pin : "A"; rise_power (three) { values ("1, 5, 2, 3, 9, 4, 6, 7"); } }'
    )
    text = library_text(
        [cell("C", pin("A", "direction : input;"), output("Y", "A", power))], HEADER, TEMPLATES + template
    )
    (energy,) = read_text(tmp_path, text).cells["C"].pins["Y"].energies
    assert energy.tables[0].values == near(np.array([[5, 3], [9, 7]]) * 1e-15)


# Files that somebody or something has damaged.

DAMAGE = [
    "nan",
    "-1",
    "1e999",
    '"',
    "{",
    "}",
    "(",
    ")",
    ";",
    ":",
    ",",
    "\\",
    "/*",
    "\0",
    "é",
    "1_0",
    "!",
    "\x1b[2J",
    "9" * 400,
]


def damaged(rng):
    """The library with a few words lost, doubled, exchanged or replaced."""
    words = re.findall(r'"[^"]*"|[\w.+-]+|\S|\s+', TEXT)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, other = rng.randrange(len(words)), rng.randrange(len(words))
        end = at + rng.choice((1, 1, 3, 20))
        match rng.randrange(4):
            case 0:
                del words[at:end]
            case 1:
                words[at:at] = words[at:end]
            case 2:
                words[at], words[other] = words[other], words[at]
            case 3:
                words[at] = rng.choice(DAMAGE)
    return "".join(words)


@tried(
    13,
    "Liberty: 300 files with words lost, doubled, exchanged or replaced",
    "are read, or refused with one sentence",
)
def test_damaged_files(tmp_path):
    texts: list[str] = []
    sentences: list[str] = []
    for seed in range(300):
        try:
            texts.append(read_text(tmp_path, damaged(random.Random(seed))).text)
        except LibertyError as error:
            sentences.append(str(error))
    assert texts
    assert all(parse(text).name == "library" for text in texts)
    assert sentences
    assert all(sentence.isprintable() and len(sentence) < 500 for sentence in sentences)
