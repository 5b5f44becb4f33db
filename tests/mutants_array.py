"""Plausible bugs of the array unit; its bench, in one of the smaller shapes, must fail with each."""

from __future__ import annotations


def _mutant(file: str, old: str, new: str, why: str, shape: str = "plane_signed") -> dict[str, str]:
    bench = f"tests/test_rtl_array.py -k test_bench[{shape}]"
    return {"file": f"rtl/array_{file}.py", "old": old, "new": new, "why": why, "bench": bench}


MUTANTS = [
    _mutant(
        "planes",
        "fresh.eq(~started | (latest != word))",
        "fresh.eq(0)",
        "codes of the group before fire again",
    ),
    _mutant(
        "planes",
        "fresh.eq(~started | (latest != word))",
        "fresh.eq(latest != word)",
        "only if the first word of this group was the last of the one before",
    ),
    _mutant(
        "planes",
        "head.single.eq(at_most(head.events, 2))",
        "head.single.eq(at_most(head.events, 1))",
        "a word keeps its bank a cycle too long",
    ),
    _mutant(
        "planes",
        "(digit > got.plane) & got.some",
        "(digit >= got.plane) & got.some",
        "a ternary count fires once too often",
        "plane_ternary",
    ),
    _mutant(
        "queue",
        "NEEDED = 5",
        "NEEDED = 4",
        "the queue is too short to hide the reading of codes",
        "dense_small",
    ),
    _mutant(
        "list",
        "head.single.eq(head.single | self._few(head.steps, 2))",
        "head.single.eq(self._few(head.steps, 2))",
        "a bank that waits starts anew on what an empty list left in the memory's output",
    ),
    _mutant(
        "list",
        "digits.bit_select(plane, 1), negatives.bit_select(plane, 1)",
        "digits.bit_select(plane, 1), negatives[0]",
        "the sign of the lowest plane counts for all",
        "row_signed",
    ),
    _mutant(
        "load",
        "(left[2:] == 0) & ~left[:2].all()",
        "left[2:] == 0",
        "an odd channel at the end is not loaded",
    ),
    _mutant(
        "load", " row.eq(block_row + block_rows)", " row.eq(row + 1)", "blocks follow each other densely"
    ),
    _mutant(
        "gather",
        "doubling.eq(plane != 0)",
        "doubling.eq(plane != self.top)",
        "the highest plane is not doubled, and the sum once after the last",
    ),
    _mutant(
        "gather",
        "pace.eq(config.lanes - 1)",
        "pace.eq(config.lanes - 2)",
        "chunks come faster than results drain",
    ),
    _mutant(
        "gather", "left.eq(fields.sharing - fields.head_phase)", "left.eq(fields.sharing)", "phase ignored"
    ),
    _mutant(
        "gather",
        "Mux(read[0], self.resolved.finished, self.word[:17])",
        "self.word[:17]",
        "the token's own block is taken from the list",
    ),
    _mutant("rows", "event.valid & event.first", "event.valid & event.last", "a row read late", "row_signed"),
    _mutant(
        "sum",
        "(state[:8] & low.replicate(8))",
        "((state[:8] ^ SIGN) & low.replicate(8))",
        "the low byte of a state is signed",
    ),
    _mutant("sum", "lacking.eq(negative - ", "lacking.eq(-", "negation without its one", "row_bitwise"),
    _mutant("sum", "Mux(low, counts << 7, 0)", "0", "half a byte of a state is missing", "dense_small"),
    _mutant("drain", "upper[0] << 8", "upper[0] << 7", "the pass over upper bytes weighs half"),
    _mutant(
        "state",
        "(~tie | (operand >> shift)[0])",
        "(~tie | 1)",
        "halves round up, not to even",
    ),
    _mutant("state", "over & self.write[b]", "over", "wraps of words that are not written count"),
    _mutant("state", "before = product << 4", "before = product << 3", "halves of a count", "dense_small"),
    _mutant("scatter", "Mux(arrived[1], self.word[:16], 0)", "self.word[:16]", "columns that do not exist"),
    _mutant("sweep", "Mux(self.word[4:31].any(), 17, self.word[:5])", "self.word[:4]", "shift of 16 lost"),
    _mutant(
        "store",
        "Mux(fields.finished, 0, self.resolved.finished)",
        "self.resolved.finished",
        "means in blocks",
    ),
    _mutant(
        "store",
        "row.eq(0), head.eq(head + fields.head_stride)",
        "head.eq(head + fields.head_stride)",
        "row kept",
    ),
]
