"""Plausible bugs of what the core refuses, notices and gives back; the system's bench must fail with each."""

from __future__ import annotations

_BENCH = "tests/rtl/test_system.py"
MUTANTS = [
    {
        "file": "rtl/sequencer.py",
        "old": "stops = early.unknown | (counter == depth)",
        "new": "stops = early.unknown",
        "why": "a program without an end goes on with its first instruction",
        "bench": _BENCH,
    },
    {
        "file": "rtl/sequencer.py",
        "old": "wrong = [unit.as_value() >= len(Unit)]",
        "new": "wrong = [unit.as_value() > len(Unit)]",
        "why": "an instruction of no unit is waited for",
        "bench": _BENCH,
    },
    {
        "file": "rtl/sequencer.py",
        "old": "Mux(fields.array.state, states, rows)",
        "new": "Mux(fields.array.state, rows, rows)",
        "why": "a gather of a state that is not there runs",
        "bench": _BENCH,
    },
    {
        "file": "rtl/sequencer.py",
        "old": "Unit.STORE: (fields.store.base, Const(rows, ROW)),",
        "new": "",
        "why": "a store beyond row memory lands in a row that is there",
        "bench": _BENCH,
    },
    {
        "file": "rtl/vector.py",
        "old": "bank.enable.eq(wanted & ~outside if port is self.write else wanted)",
        "new": "bank.enable.eq(wanted)",
        "why": "a write beyond vector memory lands in a word that is there",
        "bench": _BENCH,
    },
    {
        "file": "rtl/vector.py",
        "old": "m.d.sync += self.fault.eq(Cat(self._beyond).any())",
        "new": "",
        "why": "an address beyond vector memory is not noticed",
        "bench": _BENCH,
    },
    {
        "file": "rtl/array/unit.py",
        "old": "flipped = Mux(~state | high, signs, 0)",
        "new": "flipped = Mux(~state, signs, 0)",
        "why": "high bytes of a state come back with their signs turned over",
        "bench": _BENCH,
    },
    {
        "file": "rtl/array/unit.py",
        "old": "high, index = word >= row_words, word & (row_words - 1)",
        "new": "high, index = word > row_words, word & (row_words - 1)",
        "why": "the first high bytes of a state are its low ones",
        "bench": _BENCH,
    },
    {
        "file": "rtl/array/unit.py",
        "old": "from_state.eq(Mux(self.peek.enable, self.peek.state, of_state))",
        "new": "from_state.eq(of_state)",
        "why": "the memory that is read back is that of the last gather",
        "bench": _BENCH,
    },
    {
        "file": "rtl/array/unit.py",
        "old": "operands.step.state.eq(Mux(asked, state, step.state)),",
        "new": "operands.step.state.eq(step.state | state),",
        "why": "after a gather of a state rows are read back as one",
        "bench": _BENCH,
    },
    {
        "file": "rtl/array/rows.py",
        "old": "self.read[b].eq(read | (self.peek & (self.peek_bank == b)))",
        "new": "self.read[b].eq(read | (self.peek & (self.peek_bank == 0)))",
        "why": "another bank than that asked for is read back",
        "bench": _BENCH,
    },
    {
        "file": "rtl/core.py",
        "old": '(("host", self.rst), ("sync", reset))',
        "new": '(("host", self.rst), ("sync", self.rst))',
        "why": "a reset by software does not reach the units",
        "bench": _BENCH,
    },
]
