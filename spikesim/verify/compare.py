"""Comparing a record of the RTL with what the simulator expects: counts of what agreed, and the first differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim import timing
from spikesim.cores import CoreName
from spikesim.program import Program
from spikesim.rtl.assemble import Executable
from spikesim.verify.expected import Expected
from spikesim.verify.record import RTLRecord, TokenRecord

Integers = NDArray[np.int64]

SHOWN = 10
"""Differences kept in full; all are counted."""


@dataclass(frozen=True, kw_only=True)
class LockstepDifference:
    """One disagreement: where, what the simulator says, and what the RTL did."""

    kind: str
    token: int
    unit: str
    program: str
    instruction: int
    op: str
    place: str
    cycle: int
    expected: str
    got: str

    def __str__(self) -> str:
        return (
            f"{self.kind} of unit {self.unit}, token {self.token}, {self.program} instruction {self.instruction} "
            f"({self.op}), {self.place}, cycle {self.cycle}: expected {self.expected}, got {self.got}"
        )


@dataclass(kw_only=True)
class LockstepComparison:
    """How much agreed. `differences`: the first ones; `differing`: how many of each kind."""

    tokens: int = 0
    values: int = 0
    instructions: int = 0
    cycles: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    differing: dict[str, int] = field(default_factory=dict)
    differences: list[LockstepDifference] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Nothing differed."""
        return not self.differing

    def note(self, kind: str, count: int, first: Sequence[LockstepDifference]) -> None:
        """Adds `count` differences of a kind, of which the `first` ones are described."""
        if count:
            self.differing[kind] = self.differing.get(kind, 0) + count
            self.differences += first[: max(0, SHOWN - len(self.differences))]


class _Comparer:
    def __init__(
        self, programs: Sequence[Program], executable: Executable, core: CoreName, lanes: int
    ) -> None:
        self.programs, self.core, self.lanes = programs, core, lanes
        self.ops = [[i.op for i in program.instructions()] for program in programs]
        self.units = {(i.program, i.instruction): i.unit.name.lower() for i in executable.instructions}
        self.result = LockstepComparison()

    def difference(
        self, kind: str, token: int, owner: Any, place: str, cycle: int, expected: object, got: object
    ) -> LockstepDifference:
        program, instruction = int(owner[0]), int(owner[1])
        return LockstepDifference(
            kind=kind,
            token=token,
            unit=self.units.get((program, instruction), "?"),
            program=self.programs[program].text.name,
            instruction=instruction,
            op=self.ops[program][instruction],
            place=place,
            cycle=cycle,
            expected=str(expected),
            got=str(got),
        )

    def writes(self, token: int, expected: Integers, got: TokenRecord) -> None:
        found = got.writes
        if expected.shape[0] == found.shape[0] and np.array_equal(expected, found[:, :4]):
            self.result.values += expected.shape[0]
            return
        if expected.shape[0] == found.shape[0] and np.array_equal(expected[:, :3], found[:, :3]):
            wrong = np.flatnonzero(expected[:, 3] != found[:, 3])
            self.result.values += expected.shape[0] - wrong.size
            first = [self._word(token, expected, found[n], expected[n, 3]) for n in wrong[:SHOWN]]
            self.result.note("value", wrong.size, sorted(first, key=lambda d: d.cycle))
            return
        # Other words were written than expected: the first place where the two lists part.
        common = min(expected.shape[0], found.shape[0])
        apart = np.flatnonzero((expected[:common, :3] != found[:common, :3]).any(axis=1))
        n = int(apart[0]) if apart.size else common
        count = max(expected.shape[0], found.shape[0]) - n
        if n < found.shape[0] and (n >= expected.shape[0] or tuple(found[n, :3]) < tuple(expected[n, :3])):
            first = [self._word(token, expected, found[n], "no write")]
        else:
            row = expected[n]
            place = f"word {row[2]}"
            first = [self.difference("write", token, row[:2], place, -1, int(row[3]), "no write")]
        self.result.note("write", count, first)

    def _word(self, token: int, expected: Integers, row: Integers, wanted: object) -> LockstepDifference:
        mine = expected[(expected[:, 0] == row[0]) & (expected[:, 1] == row[1])]
        first = int(mine[0, 2]) if mine.size else int(row[2])
        lane = (int(row[2]) - first) % self.lanes
        place = f"lane {lane}, word {row[2]} of vector memory"
        return self.difference("value", token, row[:2], place, int(row[4]), wanted, int(row[3]))

    def cycles(self, token: int, expected: list[dict[CoreName, Integers]], got: TokenRecord) -> None:
        for program, entry in enumerate(expected):
            want = entry[self.core][:, token]
            mine = got.instructions[got.instructions[:, 0] == program]
            have = np.bincount(mine[:, 1], weights=mine[:, 2], minlength=want.size).astype(np.int64)
            wrong = np.flatnonzero(want != have)
            self.result.instructions += want.size - wrong.size
            self.result.cycles += int(want.sum())
            first = []
            for n in wrong[:SHOWN]:
                ends = mine[mine[:, 1] == n][:, 3]
                at = int(ends[-1]) if ends.size else -1
                first.append(
                    self.difference("cycles", token, (program, int(n)), "whole", at, want[n], have[n])
                )
            self.result.note("cycles", wrong.size, first)

    def counter(self, name: str, expected: int, got: int) -> None:
        self.result.counters[name] = got
        if expected != got:
            last = len(self.programs) - 1
            where = f"counter {name}, all tokens"
            self.result.note(
                "counter", 1, [self.difference("counter", 0, (last, 0), where, -1, expected, got)]
            )


def compare(
    programs: Sequence[Program],
    executable: Executable,
    expected: Expected,
    record: RTLRecord,
    *,
    core: CoreName,
    lanes: int,
) -> LockstepComparison:
    """Every write, every instruction's cycles, every output word, every counter."""
    comparer = _Comparer(programs, executable, core, lanes)
    result = comparer.result
    for token, (writes, got) in enumerate(zip(expected.writes, record.tokens, strict=False)):
        comparer.writes(token, writes, got)
        comparer.cycles(token, expected.cycles, got)
        output = expected.outputs[token]
        if not np.array_equal(output, got.output):
            last = len(programs) - 1
            result.note(
                "output",
                1,
                [comparer.difference("output", token, (last, 0), "output stream", -1, output, got.output)],
            )
        result.tokens += 1
    if len(record.tokens) != len(expected.writes):
        result.note("token", abs(len(expected.writes) - len(record.tokens)), [])
    for name, want in _counters(programs, expected, core).items():
        comparer.counter(name, want, record.counters[name])
    return result


def _counters(programs: Sequence[Program], expected: Expected, core: CoreName) -> dict[str, int]:
    """What the core's counters must be."""
    counters, tokens = expected.counters, len(expected.writes)
    own = counters.of(core)
    return {
        # A step begins with a fetch and ends with the dispatch of its end.
        "cycles": sum(int(entry[core].sum()) for entry in expected.cycles) + tokens * timing.STEP_CYCLES,
        # Executed or skipped; nothing is left out or done twice.
        "instructions": tokens * sum(i.PARTS for program in programs for i in program.instructions()),
        "events": own.events,
        "spikes": own.spikes,
        "row_reads": own.row_reads,
        "array_cycles": own.array_cycles,
        "lane_cycles": own.lane_cycles,
        "keys_read": counters.keys_read,
        "keys_cached": counters.keys_cached,
        "clipped": expected.clipped,
        "overflows": expected.overflows,
    }
