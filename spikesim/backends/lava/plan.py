"""Cuts a chain of programs into stages: what lies between matrix gathers, each a Lava Process of its own.

The *level* of an instruction is the stage that runs it. A matrix gather that is a Dense (`crossing`) takes its counts
at the end of a stage and hands its sums over at the start of the next, so that whatever depends on them is a level
higher. All users of a cache,
of a state or of a persistent vector share a level, since it lives in one Process. Within a stage instructions keep
their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim import program as isa
from spikesim.errors import CapacityError
from spikesim.program import End, Gather, Link, Program, is_matrix, result_of

SUM_LIMIT = 2**31
"""Dense adds up in 32 bits, with weights twice as large as they are (see `network`)."""

MOST_MATRICES = 16
"""Matrices that one stage can feed, or be fed by: ports are attributes of a Process."""


MOST_WEIGHTS = 2**26
"""Weights of a Dense that stands for a matrix gathered for several groups."""


def crossing(program: Program) -> frozenset[int]:
    """The matrix gathers, by number, that are a Dense between two stages; the others are gathered inside a stage.

    Inside are those of a recurrent edge, whose sums must be there before the step is over; those of a matrix that is
    gathered several times a step, such as a convolution's, row of positions by row; and those that would be too many
    weights once they are written out for all their groups.
    """
    times = Counter(i.name for i in program.instructions() if is_matrix(i))
    found, number = set(), 0
    for section in program.text.sections:
        for i in section.instructions:
            if is_matrix(i) and section.kind != "recurrent" and times[i.name] == 1 and _fits(program, i):
                found.add(number)
            number += 1
    return frozenset(found)


def _fits(program: Program, gather: Gather) -> bool:
    groups = gather.counts.groups
    return groups == 1 or groups**2 * program.matrices[gather.name].size <= MOST_WEIGHTS


def dense_weights(program: Program, gather: Gather) -> NDArray[np.int32]:
    """int32[groups · outputs, groups · channels]: a gather as one matrix, the same weights along its diagonal."""
    weights = program.matrices[gather.name].astype(np.int32)
    spread: NDArray[np.int32] = np.kron(np.eye(gather.counts.groups, dtype=np.int32), weights)
    return spread


@dataclass(frozen=True, kw_only=True)
class Live:
    """Words that cross the border between two stages: a vector of the program, or one that only passes `through`."""

    name: str
    words: int
    through: bool = False


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """An instruction and its number within its program."""

    number: int
    instruction: Any


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Stage `number` of a program.

    `arriving`, `leaving`: matrix gathers whose sums come in, whose counts go out. `live_in`, `live_out`: what it is
    sent by the stage before and sends to the next, in that order; the two ends may call the same words differently.
    """

    program: str
    number: int
    instructions: tuple[Numbered, ...]
    arriving: tuple[Numbered, ...]
    leaving: tuple[Numbered, ...]
    live_in: tuple[Live, ...] = ()
    live_out: tuple[Live, ...] = ()

    @property
    def name(self) -> str:
        """Unique within a chain: program and number."""
        return f"{self.program}.{self.number}"


@dataclass
class _Uses:
    """When the vectors of a program are used, while its instructions are given levels in order.

    Levels of the latest use of each kind: `written` by instructions, `landed` from matrices, `read` by instructions,
    `taken` as counts at the end of a stage.
    """

    written: dict[str, int] = field(default_factory=dict)
    landed: dict[str, int] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)

    def known(self, names: Iterable[str]) -> int:
        """The first level at which all these vectors hold what was written so far."""
        return max((max(self.written.get(n, 0), self.landed.get(n, 0)) for n in names), default=0)

    def instruction(self, inputs: list[str], outputs: list[str], floor: int) -> int:
        """Level of an instruction: after what it reads, and not before earlier uses of what it overwrites."""
        level = max(floor, self.known(inputs), self.known(outputs))
        for name in outputs:
            level = max(level, self.read.get(name, 0), self.taken.get(name, -1) + 1)
        _raise(self.read, inputs, level)
        _raise(self.written, outputs, level)
        return level

    def matrix(self, counts: str, sums: str) -> int:
        """Level at whose end a matrix takes its counts; its sums land one higher, before any instruction there."""
        level = max(
            self.known([counts]),
            self.written.get(sums, 0),
            self.read.get(sums, 0),
            self.taken.get(sums, 0),
            self.landed.get(sums, 0) - 1,
        )
        _raise(self.taken, [counts], level)
        _raise(self.landed, [sums], level + 1)
        return level


def _raise(levels: dict[str, int], names: Iterable[str], level: int) -> None:
    for name in names:
        levels[name] = max(levels.get(name, 0), level)


def levels(program: Program) -> list[int]:
    """The level of every instruction, in program order; of a matrix gather, that at whose end it takes its counts.

    Raises CapacityError if a cache or state would have to lie on both sides of a matrix.
    """
    instructions = list(program.instructions())
    dense = crossing(program)
    floors: dict[str, int] = {}
    while True:
        found = _one_pass(program, instructions, floors, dense)
        wanted: dict[str, int] = {}
        for instruction, level in zip(instructions, found, strict=True):
            for name in _held(program, instruction):
                wanted[name] = max(wanted.get(name, 0), level)
        if wanted == floors:
            return found
        if max(wanted.values(), default=0) > len(dense):
            store = max(wanted, key=lambda name: wanted[name])
            raise CapacityError(
                f"program {program.text.name} must use {store} on one side of every matrix to be cut into stages, "
                "not before and after one"
            )
        floors = wanted


def _one_pass(
    program: Program, instructions: Sequence[Any], floors: dict[str, int], dense: frozenset[int]
) -> list[int]:
    uses, found = _Uses(), []
    for number, i in enumerate(instructions):
        if number in dense:
            found.append(uses.matrix(i.counts.name, i.dst.name))
            continue
        inputs = [view.name for view in i.reads() if view.name not in program.constants]
        outputs = [view.name for view in i.writes()]
        floor = max((floors.get(name, 0) for name in _held(program, i)), default=0)
        found.append(uses.instruction(inputs, outputs, floor))
    return found


def _held(program: Program, instruction: isa.Operation) -> set[str]:
    """The cache or state that an instruction uses, and persistent vectors: they live in one Process."""
    views = {view.name for _, view, _ in instruction.views()}
    store = instruction.store
    return views.intersection(program.text.persistent) | ({store} if store is not None else set())


def stages(program: Program, exported: Sequence[str] = ()) -> list[Stage]:
    """The stages of one program, with what crosses the borders inside it.

    `exported`: inputs that a later program reads, which live to the end, as the program's outputs do.
    """
    numbered = [Numbered(number=n, instruction=i) for n, i in enumerate(program.instructions())]
    at, dense = levels(program), crossing(program)
    count = 1 + max((level + (n.number in dense) for n, level in zip(numbered, at, strict=True)), default=0)
    parts: list[dict[str, list[Numbered]]] = [
        {"instructions": [], "arriving": [], "leaving": []} for _ in range(count)
    ]
    for n, level in zip(numbered, at, strict=True):
        if n.number in dense:
            _check_matrix(program, n.instruction)
            parts[level]["leaving"].append(n)
            parts[level + 1]["arriving"].append(n)
        else:
            parts[level]["instructions"].append(n)
    for number, part in enumerate(parts):
        if len(part["leaving"]) > MOST_MATRICES:
            raise CapacityError(
                f"stage {number} of program {program.text.name} must feed at most {MOST_MATRICES} matrices, "
                f"not {len(part['leaving'])}"
            )
    borders = _borders(program, numbered, at, count, exported, dense)
    return [
        Stage(
            program=program.text.name,
            number=number,
            live_in=borders[number - 1] if number else (),
            live_out=borders[number] if number < count - 1 else (),
            **{name: tuple(items) for name, items in part.items()},
        )
        for number, part in enumerate(parts)
    ]


def _borders(
    program: Program,
    numbered: Sequence[Numbered],
    at: Sequence[int],
    count: int,
    exported: Sequence[str],
    dense: frozenset[int],
) -> list[tuple[Live, ...]]:
    """Per border inside the program, the vectors that are known before it and used after it."""
    first: dict[str, int] = dict.fromkeys(program.text.input_names, 0)
    last: dict[str, int] = dict.fromkeys((*program.text.output_names, *exported), count - 1)
    local = {view.name for n in numbered if n.instruction.keyed for view in (n.instruction.dst,)}
    for n, level in zip(numbered, at, strict=True):
        lands = level + (n.number in dense)
        for view in n.instruction.writes():
            first[view.name] = min(first.get(view.name, lands), lands)
        for view in n.instruction.reads():
            last[view.name] = max(last.get(view.name, 0), level)
    return [
        tuple(
            Live(name=name, words=words)
            for name, words in program.text.vectors.items()
            if name not in program.constants
            and name not in local
            and first.get(name, count) <= border < last.get(name, -1)
        )
        for border in range(count - 1)
    ]


def _check_matrix(program: Program, gather: Gather) -> None:
    """Raises CapacityError where a sum could leave the 32-bit words of Lava's Dense."""
    weights = program.matrices[gather.name]
    channels = weights.shape[1]
    # Dense computes with doubled weights.
    most = SUM_LIMIT // (2 * 128 * isa.COUNT_LIMIT)
    if channels > most:
        raise CapacityError(
            f"matrix {gather.name} of program {program.text.name} must have at most {most:,} channels for Lava's "
            f"32-bit sums, not {channels:,}"
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The stages of a chain of programs, one after the other, and what goes into the first.

    `entry`: the words that the first stage is sent for every token, and `sources` where they come from; `exit`: those
    that the last stage sends.
    """

    programs: tuple[Program, ...]
    stages: tuple[Stage, ...]
    sources: tuple[End | None, ...]

    @property
    def entry(self) -> tuple[Live, ...]:
        """Words into the first stage."""
        return self.stages[0].live_in

    @property
    def exit(self) -> tuple[Live, ...]:
        """Words out of the last stage."""
        return self.stages[-1].live_out


def plan(programs: Sequence[Program], links: Sequence[Link]) -> Plan:
    """Cut programs that are neighbours in a chain; `links`: those of the chain.

    Words that a later program takes pass through the stages of those between, so that every Process talks to the
    next one only. What leaves is the first output of the last program.
    """
    borders = _Borders(programs, links)
    chain: list[Stage] = []
    for number, program in enumerate(programs):
        entry = borders.entering(number)
        leaving = borders.leaving(number)
        passing = tuple(live for live in leaving if live.through)
        exported = [
            live.name for live in leaving if live.name in program.text.input_names and not live.through
        ]
        cut = stages(program, exported)
        for stage in cut:
            first, final = stage.number == 0, stage.number == len(cut) - 1
            chain.append(
                replace(
                    stage,
                    live_in=entry if first else stage.live_in + passing,
                    live_out=leaving if final else stage.live_out + passing,
                )
            )
    return Plan(programs=tuple(programs), stages=tuple(chain), sources=borders.alive[0])


class _Borders:
    """What is alive between programs: `alive[n]` enters program n, and what is alive behind the last leaves it."""

    def __init__(self, programs: Sequence[Program], links: Sequence[Link]) -> None:
        self.programs = programs
        numbers = {program.text.name: number for number, program in enumerate(programs)}
        own = [link for link in links if link.to.program in numbers]
        self.takes = {(numbers[link.to.program], link.source): link.to.port for link in own}
        self.words = {
            link.source: programs[numbers[link.to.program]].text.vectors[link.to.port] for link in own
        }
        made = {source: numbers.get(source.program, -1) if source else -1 for source in self.words}
        last_uses = {source: user for user, source in sorted(self.takes, key=itemgetter(0))}
        self.alive = [
            tuple(source for source, maker in made.items() if maker < n <= last_uses[source])
            for n in range(len(programs))
        ]
        last = programs[-1].text
        self.words.setdefault(result_of(last), last.outputs[0].words)
        self.alive.append((result_of(last),))

    def entering(self, number: int) -> tuple[Live, ...]:
        """Into program `number`, under the names it has for them."""
        return tuple(self._live(source, self.takes.get((number, source))) for source in self.alive[number])

    def leaving(self, number: int) -> tuple[Live, ...]:
        """Out of program `number`: what it gives, what it takes and hands on, and what passes through."""
        name = self.programs[number].text.name
        return tuple(
            self._live(
                source,
                source.port
                if source is not None and source.program == name
                else self.takes.get((number, source)),
            )
            for source in self.alive[number + 1]
        )

    def _live(self, source: End | None, name: str | None) -> Live:
        through = name is None
        return Live(name=name or str(source or "outside"), words=self.words[source], through=through)
