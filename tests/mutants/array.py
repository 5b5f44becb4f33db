"""Plausible bugs of the array unit; its bench, in one of the smaller shapes, must fail with each."""

from __future__ import annotations


def _mutant(file: str, old: str, new: str, why: str, shape: str = "plane_signed") -> dict[str, str]:
    bench = f"tests/rtl/test_array.py -k test_bench[{shape}]"
    return {"file": f"rtl/{file}.py", "old": old, "new": new, "why": why, "bench": bench}


MUTANTS = [
    _mutant(
        "array/planes",
        "codes.write.enable[i].eq(here | self.open)",
        "codes.write.enable[i].eq(here)",
        "codes of the group before fire again",
    ),
    _mutant(
        "array/planes",
        "(~self.open if i else self.load)",
        "Const(1)",
        "a bank without a count takes another's when its word is opened",
    ),
    _mutant(
        "array/planes",
        "single.eq((head & (head - 1)[:scan]) == 0)",
        "single.eq(head == 0)",
        "a word keeps its bank a cycle too long",
    ),
    _mutant(
        "array/planes",
        "~after_first & (after_plane >= self.limit)",
        "(after_plane >= self.limit)",
        "the next chunk's first entry keeps the last from ending",
    ),
    _mutant(
        "array/planes", "plane[0] ^ self.base[0]", "0", "a bank that is behind adds half", "plane_bitwise"
    ),
    _mutant(
        "array/planes",
        "early.eq(after_first)",
        "early.eq(0)",
        "a bank that is done goes on with the next chunk",
    ),
    _mutant(
        "array/gather",
        "self.limit.eq(Mux(following == 0, 0, following + skew))",
        "self.limit.eq(following + skew)",
        "the chunk ends before the last plane of a bank that is behind",
    ),
    _mutant(
        "baseline/dense",
        "jumps.eq(self.blocks & ((self.row & mask) == self.block_last))",
        "jumps.eq(0)",
        "rows that no block has are read",
        "dense_small",
    ),
    _mutant(
        "baseline/dense",
        "counts.write.enable.eq(self.load | self.open)",
        "counts.write.enable.eq(self.load)",
        "rows of the group before count",
        "dense",
    ),
    _mutant(
        "baseline/skip",
        "with m.If(self.begin | (self.go & self.end)):",
        "with m.If(self.begin | (self.go & ~self.left)):",
        "a bank that is done goes on with the next chunk instead of waiting",
        "dense_skip",
    ),
    _mutant(
        "baseline/skip",
        "valid.eq(takes)",
        "valid.eq(self.go)",
        "a bank that is done adds a row again",
        "dense_skip",
    ),
    _mutant(
        "baseline/skip",
        "(self.hold | place[:index].any())",
        "place[:index].any()",
        "a scatter ends before the lower half of its last counts",
        "dense_skip",
    ),
    _mutant(
        "array/unit",
        "scattering | loader.code[i].any()",
        "1",
        "zeros are listed for gathers",
        "dense_skip",
    ),
    _mutant(
        "array/list",
        "Mux(fires & single, ~after_first, ~early)",
        "Mux(fires & single, ~after_first, 1)",
        "a bank that is done keeps the chunk from ending",
        "row_signed",
    ),
    _mutant(
        "array/list",
        "digits.bit_select(plane, 1), negatives.bit_select(plane, 1)",
        "digits.bit_select(plane, 1), negatives[0]",
        "the sign of the lowest plane counts for all",
        "row_signed",
    ),
    _mutant(
        "array/window",
        "fires.eq(some & ~early & (low ^ self.upper))",
        "fires.eq(some & ~early)",
        "a bank without rows above the window starts with its lower pass in the upper one",
        "window_twos",
    ),
    _mutant(
        "array/window",
        "self.left.eq(fires & ~(single & last))",
        "self.left.eq(fires)",
        "a bank keeps a pass from ending a cycle too long",
        "window_single",
    ),
    _mutant(
        "array/window",
        "early.eq(1)  # of the next chunk",
        "early.eq(0)  # of the next chunk",
        "a bank that is done goes on with the next chunk",
        "window_twos",
    ),
    _mutant(
        "array/window",
        "Mux(place == depth - 1, 0, place + 1)",
        "(place + 1)",
        "the ring does not close",
        "window_single",
    ),
    _mutant(
        "array/window",
        "~(low & above)",
        "~low",
        "a bank without rows above the window takes an upper pass",
        "window_single",
    ),
    _mutant(
        "array/window",
        "low.eq(next_low), mask.eq(-1)]",
        "low.eq(next_low), mask.eq(mask | 1)]",
        "a row has the planes that the one before it left",
        "window_single",
    ),
    _mutant(
        "array/window",
        "m.d.sync += low.eq(1)  # the first",
        "m.d.sync += low.eq(low)  # the first",
        "the pass of the group before decides with which a group begins",
        "window_single",
    ),
    _mutant(
        "array/window",
        "digits[planes:].any()",
        "digits[planes + 1 :].any()",
        "the lowest plane above the window is forgotten",
        "window_single",
    ),
    _mutant(
        "array/window",
        "event.valid.eq(on & steps.any())",
        "event.valid.eq(on)",
        "a row that the upper pass has served is added again",
        "window_single",
    ),
    _mutant(
        "array/window",
        "Mux(low, negatives[:planes], negatives[planes:])",
        "negatives[:planes]",
        "signs below the window count above it",
        "window_single",
    ),
    _mutant(
        "array/window",
        "event.first.eq(fresh)",
        "event.first.eq(1)",
        "a row is read again for every event",
        "window_single",
    ),
    _mutant(
        "array/sum",
        "(held << shift)[:bits]",
        "(held << 1)[:bits]",
        "the sum of the upper pass weighs too little",
        "window_single",
    ),
    _mutant(
        "array/sum",
        "self.offset << shift",
        "self.offset << 1",
        "the offset of the upper pass weighs too little",
        "window_single",
    ),
    _mutant(
        "array/gather",
        "config.skew if scans_planes(config) else 0",
        "config.skew",
        "a group begins with the lower pass although there is an upper one",
        "window_single",
    ),
    _mutant(
        "array/load",
        "words = scans_planes(self.config)",
        "words = True",
        "gaps between blocks cost cycles",
        "window_twos",
    ),
    _mutant("array/load", "gap.eq(1)]", "gap.eq(0)]", "words between blocks are not emptied", "plane_twos"),
    _mutant(
        "array/load",
        "self.done.eq(running & ~gap & ending",
        "self.done.eq(running & ending",
        "the gap before a last block of one count is taken for its end",
        "plane_twos",
    ),
    _mutant(
        "array/load",
        "last[:bits] >= i",
        "last[:bits] > i",
        "the last count of a part of the banks is not loaded",
    ),
    _mutant(
        "array/load",
        "Mux(ending, last[:bits] + 1, width)",
        "width",
        "words behind a block's last are skipped",
    ),
    _mutant(
        "array/load",
        "with m.If(part == parts - 1):",
        "with m.If(part == parts):",
        "rows do not rise",
        "plane_bitwise",
    ),
    _mutant(
        "array/unit",
        "loader.valid[word] & (loader.part == b // width)",
        "loader.valid[word]",
        "every part of the banks takes a cycle's counts",
        "plane_bitwise",
    ),
    _mutant(
        "array/load", " row.eq(next_block[:rows])", " row.eq(row + 1)", "blocks follow each other densely"
    ),
    _mutant(
        "array/gather", "self.clear.eq(~fields.keep)", "self.clear.eq(1)", "counts that are kept are lost"
    ),
    _mutant(
        "array/gather",
        "self.table_write.eq(placing)",
        "self.table_write.eq(self.load)",
        "a gather that keeps its counts reads the rows of the one before",
    ),
    _mutant(
        "array/gather",
        "with m.Elif(fields.keep):",
        "with m.Elif(0):",
        "counts that are kept are loaded once more",
    ),
    _mutant(
        "array/gather",
        "doubling.eq(turn)]",
        "doubling.eq(turn & (self.base != 1))]",
        "the sum is not doubled before the last plane",
    ),
    _mutant(
        "array/gather",
        "pace.eq(runs - 1)",
        "pace.eq(runs - 2)",
        "chunks come faster than results drain",
    ),
    _mutant(
        "array/gather",
        "left.eq(fields.sharing - fields.head_phase)",
        "left.eq(fields.sharing)",
        "phase ignored",
    ),
    _mutant(
        "array/gather",
        "Mux(read[0], self.resolved.finished, self.word[:17])",
        "self.word[:17]",
        "the token's own block is taken from the list",
    ),
    _mutant(
        "array/rows", "event.valid & event.first", "event.valid & event.last", "a row read late", "row_signed"
    ),
    _mutant(
        "array/operands",
        "(state[:8] & low)",
        "((state[:8] ^ SIGN) & low)",
        "the low byte of a state is signed",
    ),
    _mutant("array/sum", "lacking.eq(negative - ", "lacking.eq(-", "negation without its one", "row_bitwise"),
    _mutant("array/sum", "Mux(low, counts << 7, 0)", "0", "half a byte of a state is missing", "dense_small"),
    _mutant("array/drain", "upper[i] << 8", "upper[i] << 7", "the pass over upper bytes weighs half"),
    _mutant(
        "array/drain",
        "busy & (~last | (left > i))",
        "busy",
        "columns that do not exist are written",
        "plane_bitwise",
    ),
    _mutant(
        "array/drain",
        "Mux(last, left, width)",
        "width",
        "words behind a block's last chunk are skipped",
        "plane_bitwise",
    ),
    _mutant(
        "array/state",
        "(~tie | (operand >> self.shift)[0])",
        "(~tie | 1)",
        "halves round up, not to even",
    ),
    _mutant("array/state", "over & self.write", "over", "wraps of words that are not written count"),
    _mutant(
        "array/state",
        "before = product << 4 if",
        "before = product << 3 if",
        "halves of a count",
        "dense_small",
    ),
    _mutant("array/scatter", "own & read[i]", "own", "columns that do not exist"),
    _mutant(
        "array/scatter",
        "read[0] & (own | (there == 0))",
        "read[0] & own",
        "columns of the chunk before where there are none",
    ),
    _mutant(
        "array/scatter",
        "reading.eq(more), run.eq(0)",
        "reading.eq(more)",
        "runs of the next chunk go where the last one ended",
        "row_signed",
    ),
    _mutant(
        "array/sweep", 'self.reads.eq(fsm.ongoing("READ"))', "self.reads.eq(self.row)", "shifts are not read"
    ),
    _mutant(
        "array/sweep", "Mux(self.word[4:31].any(), 17, self.word[:5])", "self.word[:4]", "shift of 16 lost"
    ),
    _mutant(
        "array/store",
        "Mux(fields.finished, 0, self.resolved.finished)",
        "self.resolved.finished",
        "means in blocks",
    ),
    _mutant(
        "array/store",
        "row.eq(0), head.eq(head + fields.head_stride)",
        "head.eq(head + fields.head_stride)",
        "row kept",
    ),
    _mutant("array/store", "(place == first) & read[own]", "place == first", "counts behind a head's last"),
    _mutant("array/store", "Mux(columns, counts[k], count)", "count", "a column's counts in the wrong banks"),
    _mutant(
        "array/store",
        "way.eq(Mux(step_way, 0, way + width))",
        "way.eq(Mux(step_way, 0, way + 1))",
        "runs overlap",
        "plane_bitwise",
    ),
]
