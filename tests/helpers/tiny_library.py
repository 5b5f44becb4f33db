"""A cell library small enough to compute with by hand, as Liberty text, and netlists of its cells.

Units: ns, fF, V, so energies in fJ; leakage in µW. Tables are planes `a + b·slew + c·load`, which interpolation and
extrapolation must hit exactly.
"""

import pytest

from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.netlist.netlist import read_netlist

SLEWS = (0.01, 0.11)
LOADS = (1, 11)


def plane(kind, a, b, c, template="both"):
    rows = ", \\\n".join(f'"{", ".join(str(a + b * s + c * x) for x in LOADS)}"' for s in SLEWS)
    return f"{kind} ({template}) {{ values ({rows}); }}"


def line(kind, a, b):
    return f'{kind} (slews) {{ values ("{", ".join(str(a + b * s) for s in SLEWS)}"); }}'


def arc(related, sense, rise, fall, extra=""):
    """Rise and fall: (a, b, c) of the delay; slews are a tenth of it plus 0.02."""
    tables = [
        plane("cell_rise", *rise),
        plane("cell_fall", *fall),
        plane("rise_transition", 0.02 + rise[0] / 10, rise[1] / 10, rise[2] / 10),
        plane("fall_transition", 0.02 + fall[0] / 10, fall[1] / 10, fall[2] / 10),
    ]
    return f'timing () {{ related_pin : "{related}"; timing_sense : {sense}; {extra} {" ".join(tables)} }}'


def energy(rise, fall, related="", when=""):
    named = (f'related_pin : "{related}";' if related else "") + (f'when : "{when}";' if when else "")
    if related:
        return f"internal_power () {{ {named} {plane('rise_power', *rise)} {plane('fall_power', *fall)} }}"
    return f"internal_power () {{ {named} {line('rise_power', *rise)} {line('fall_power', *fall)} }}"


def pin(name, contents):
    return f"pin ({name}) {{ {contents} }}"


def setup(rise, fall):
    tables = plane("rise_constraint", *rise, "constraint") + plane("fall_constraint", *fall, "constraint")
    return f'timing () {{ related_pin : "CK"; timing_type : setup_rising; {tables} }}'


def cell(name, *parts):
    return f"cell ({name}) {{ {' '.join(parts)} }}"


def output(name, function, *parts):
    return pin(name, f'direction : output; function : "{function}"; {" ".join(parts)}')


def leakage(when, value):
    return f'leakage_power () {{ when : "{when}"; value : {value}; }}'


INPUT = "direction : input; capacitance : {};"

INV = cell(
    "INV",
    "area : 1; cell_leakage_power : 5;",
    leakage("A", 2),
    leakage("!A", 4),
    pin("A", "direction : input; capacitance : 2; rise_capacitance : 3; fall_capacitance : 1;"),
    output(
        "Y",
        "!A",
        arc("A", "negative_unate", (0.1, 1, 0.01), (0.2, 2, 0.02)),
        energy((1, 10, 0.1), (2, 20, 0.2), "A"),
    ),
)

NAND = cell(
    "NAND",
    "area : 2;",
    pin("A", INPUT.format(2) + energy((0.5, 1), (0.3, 1), when="!B")),
    pin("B", INPUT.format(4)),
    output(
        "Y",
        "!(A & B)",
        arc("A", "negative_unate", (0.3, 1, 0.01), (0.1, 1, 0.01)),
        arc("B", "negative_unate", (0.2, 1, 0.01), (0.4, 1, 0.01)),
        energy((1, 0, 0), (3, 0, 0), "A"),
        energy((5, 0, 0), (5, 0, 0), "B"),
    ),
)

XOR = cell(
    "XOR",
    "area : 3;",
    pin("A", INPUT.format(2)),
    pin("B", INPUT.format(2)),
    output(
        "Y",
        "A ^ B",
        arc("A", "positive_unate", (0.2, 0, 0), (0.4, 0, 0), 'when : "!B";'),
        arc("A", "negative_unate", (0.6, 0, 0), (0.8, 0, 0), 'when : "B";'),
        arc("B", "non_unate", (0.1, 0, 0), (0.1, 0, 0)),
    ),
)

DFF = cell(
    "DFF",
    'area : 5; cell_leakage_power : 7; ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }',
    leakage("!CK & D & Q & !QN", 1),
    pin("D", INPUT.format(1) + setup((0.05, 1, 2), (0.1, 1, 2))),
    pin("CK", "clock : true;" + INPUT.format(1) + energy((2, 10), (4, 10), when="!D")),
    output(
        "Q",
        "IQ",
        arc("CK", "non_unate", (0.5, 1, 0.01), (0.6, 1, 0.01), "timing_type : rising_edge;"),
        energy((6, 0, 0), (8, 0, 0), "CK"),
    ),
    output(
        "QN",
        "IQN",
        arc("CK", "non_unate", (0.55, 1, 0.01), (0.65, 1, 0.01), "timing_type : rising_edge;"),
        energy((1, 0, 0), (1, 0, 0), "CK"),
    ),
)

GATE = cell(
    "ICG",
    "area : 4; clock_gating_integrated_cell : latch_posedge;",
    leakage("CK & E & GCK", 8),
    leakage("!CK & !E & !GCK", 16),
    pin("IQ", "direction : internal; internal_node : IQ;"),
    pin("CK", "clock_gate_clock_pin : true;" + INPUT.format(3) + energy((1, 0), (1, 0), when="!E")),
    pin("E", "clock_gate_enable_pin : true;" + INPUT.format(2) + setup((0.2, 0, 0), (0.3, 0, 0))),
    pin(
        "GCK",
        'direction : output; clock_gate_out_pin : true; state_function : "CK & IQ";'
        + arc("CK", "positive_unate", (0.1, 0, 0), (0.1, 0, 0))
        + energy((4, 0, 0), (6, 0, 0), "CK"),
    ),
)

HEADER = """
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1uW"; capacitive_load_unit (1, ff);
  nom_voltage : 2.0; nom_temperature : 25;
"""

TEMPLATES = """
  lu_table_template (both) { variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0.01, 0.11"); index_2 ("1, 11"); }
  lu_table_template (slews) { variable_1 : input_transition_time; index_1 ("0.01, 0.11"); }
  lu_table_template (constraint) { variable_1 : constrained_pin_transition; variable_2 : related_pin_transition;
    index_1 ("0.01, 0.11"); index_2 ("1, 11"); }
  wire_load (small) { capacitance : 0.5; slope : 4; fanout_length (1, 1); fanout_length (3, 5); }
  default_wire_load : small;
"""

BUF = cell(
    "BUF",
    "area : 2;",
    pin("A", INPUT.format(2)),
    output("Y", "A", arc("A", "positive_unate", (0.2, 1, 0.01), (0.2, 1, 0.01))),
)

CELLS = (INV, NAND, XOR, DFF, GATE)
"""Those that figures are computed with."""
MAPPABLE = (*CELLS, BUF)
"""With all that synthesis needs."""


def library_text(cells=CELLS, header=HEADER, templates=TEMPLATES):
    return "library (tiny) {" + header + templates + "\n".join(cells) + "}\n"


def read_text(folder, text):
    path = folder / "tiny.lib"
    path.write_text(text, encoding="utf-8")
    return read_liberty(path)


def module(inputs, outputs, cells):
    """A flat module as Yosys writes it, its nets being names.

    `cells`: (instance, kind, {pin: net}), of a memory (instance, kind, {port: [nets]}, its inputs).
    """
    numbers = {"0": "0", "1": "1"}

    def bits(nets):
        return [numbers.setdefault(n, len(numbers) + 2) for n in ([nets] if isinstance(nets, str) else nets)]

    ports = {n: {"direction": "input", "bits": bits(n)} for n in inputs}
    ports |= {n: {"direction": "output", "bits": bits(n)} for n in outputs}
    instances = {}
    for name, kind, connections, *reads in cells:
        instances[name] = {
            "type": kind,
            "parameters": {},
            "port_directions": {p: "input" if p in reads else "output" for p in connections},
            "connections": {p: bits(n) for p, n in connections.items()},
        }
    names = {n: {"bits": [bit]} for n, bit in numbers.items() if n not in ("0", "1")}
    return {"ports": ports, "cells": instances, "netnames": names}


def netlist(library, inputs, outputs, cells):
    return read_netlist(module(inputs, outputs, cells), library)


def net(of, name):
    return of.net_names.index(name)


def near(value, rel=1e-9):
    """As pytest.approx, which would take any two capacitances for equal: it forgives 1e-12 whatever the size."""
    return pytest.approx(value, rel=rel, abs=0)
