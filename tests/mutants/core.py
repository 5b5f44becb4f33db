"""Plausible bugs of sequencer, core, assembler and memory; random programs in lockstep must fail with each."""

from __future__ import annotations

_BENCH = "tests/verify/test_lockstep.py -k random_programs[row]"
_COUNTERS = "tests/rtl/test_core.py"
_MEMORY = "tests/rtl/test_verilog.py -k test_memory[ram]"
_KEPT = "tests/program/test_kept.py"

MUTANTS = [
    {
        "file": "rtl/sequencer.py",
        "old": "fits = ~difference[-1]",
        "new": "fits = ~difference[-1] & (difference != 0)",
        "why": "a position that is a multiple of the span is not seen as one",
        "bench": _BENCH,
    },
    {
        "file": "rtl/sequencer.py",
        "old": "Mux(known < common.span, known, common.span)",
        "new": "Mux(known > common.span, known, common.span)",
        "why": "the window is the longer of context and span",
        "bench": _BENCH,
    },
    {
        "file": "rtl/sequencer.py",
        "old": "skip.eq(nothing | (common.block_end & (remainder + 1 != common.span)))",
        "new": "skip.eq(nothing)",
        "why": "a mean is stored for every token",
        "bench": _BENCH,
    },
    {
        "file": "rtl/sequencer.py",
        "old": "skip.eq(nothing | (",
        "new": "skip.eq((",
        "why": "block means are gathered before there are any",
        "bench": _BENCH,
    },
    {
        "file": "rtl/sequencer.py",
        "old": "[state.eq(SequencerState.ADDRESS), self.read.enable.eq(1)]",
        "new": "state.eq(SequencerState.ADDRESS)",
        "why": "the number of the copy is not read",
        "bench": _BENCH,
    },
    {
        "file": "rtl/core.py",
        "old": "keys.eq(port.resolved.n), cached.eq(port.resolved.position + 1)",
        "new": "keys.eq(port.resolved.n), cached.eq(port.resolved.position)",
        "why": "the token's own key is not counted",
        "bench": _BENCH,
    },
    {
        "file": "rtl/core.py",
        "old": "(fields.run == RunLength.OUTPUTS) & (common.extent != Extent.FINISHED)",
        "new": "(fields.run == RunLength.OUTPUTS)",
        "why": "block means are counted as keys",
        "bench": _BENCH,
    },
    {
        "file": "rtl/core.py",
        "old": "Mux(array.active, array.lanes, 0)",
        "new": "Mux(array.active, self.config.lanes, 0)",
        "why": "lanes without a column are counted",
        "bench": _BENCH,
    },
    {
        "file": "rtl/assemble.py",
        "old": '"head_phase": i.first_head % i.sharing,',
        "new": '"head_phase": 1 if i.sharing > 1 else 0,',
        "why": "query heads share the wrong key/value head",
        "bench": _BENCH,
    },
    {
        "file": "spikesim/program/kept.py",
        "old": "_words(instruction.counts) == _words(held)",
        "new": "instruction.counts.name == held.name",
        "why": "other words of the vector are taken for those that the encoders hold",
        "bench": _BENCH,
    },
    {
        "file": "spikesim/program/kept.py",
        "old": "            held = instruction.counts\n",
        "new": "            held = held or instruction.counts\n",
        "why": "the first counts of a program are taken to be held for ever",
        "bench": _BENCH,
    },
    {
        "file": "spikesim/program/kept.py",
        "old": "isinstance(instruction, Gather | Scatter)",
        "new": "isinstance(instruction, Scatter)",
        "why": "a gather of a cache or a state leaves what the encoders hold",
        "bench": _KEPT,
    },
    {
        "file": "spikesim/program/kept.py",
        "old": "first < stop and begin < end",
        "new": "first == begin",
        "why": "a write to some of the words leaves them held",
        "bench": _KEPT,
    },
    {
        "file": "rtl/core.py",
        "old": "with m.If(run.enable.any()):",
        "new": "with m.If(run.enable[0] & run.enable[-1]):",
        "why": "short runs go where the host writes",
        "bench": "tests/verify/test_lockstep.py -k random_programs[plane]",
    },
    {
        "file": "rtl/memory.v",
        "old": "words[write_address][granule*GRANULE +: GRANULE] <= write_data[granule*GRANULE +: GRANULE];",
        "new": "words[write_address] <= write_data;",
        "why": "storing a key's feature overwrites its neighbours",
        "bench": _BENCH,
    },
    {
        "file": "rtl/memory.v",
        "old": ": {WIDTH{1'b1}};",
        "new": ": {WIDTH{1'b0}};",
        "why": "a word beyond the memory looks like one that was never written, and its use goes unnoticed",
        "bench": _MEMORY,
    },
    {
        "file": "rtl/memory.v",
        "old": "words[write_address][granule*GRANULE +: GRANULE] <=",
        "new": "words[write_address % (DEPTH - DEPTH / 4)][granule*GRANULE +: GRANULE] <=",
        "why": "the last quarter of a memory's words lies over the first",
        "bench": _MEMORY,
    },
    {
        "file": "rtl/core.py",
        "old": "high.eq(high + carry),",
        "new": "high.eq(high + 0 * carry),",
        "why": "the carry from the low to the high half of every counter is lost",
        "bench": _COUNTERS,
    },
    {
        "file": "rtl/core.py",
        "old": "shown.eq(low),",
        "new": "shown.eq(low + step),",
        "why": "the low half is shown a cycle before the high one that belongs to it",
        "bench": _COUNTERS,
    },
]
