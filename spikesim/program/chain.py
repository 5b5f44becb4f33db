"""A chain of programs: the order in which a step executes them, and what goes from port to port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from spikesim.program.instructions import Frozen, Name
from spikesim.program.ports import Port
from spikesim.program.program import Program, ProgramText


class End(Frozen):
    """A port of a program, by their names."""

    program: Name
    port: Name

    def __str__(self) -> str:
        return f"{self.program}.{self.port}"


class Link(Frozen):
    """What comes in at `to`: the words that leave at `source`, those of the step itself if it is None."""

    to: End
    source: End | None = None


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Programs in order, the links between them, and `output`: where a step's result leaves."""

    programs: tuple[Program, ...]
    links: tuple[Link, ...]
    output: End

    @cached_property
    def sources(self) -> Mapping[End, End | None]:
        """What every input takes."""
        return {link.to: link.source for link in self.links}

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The place of every program in the order."""
        return {program.text.name: number for number, program in enumerate(self.programs)}

    def port(self, end: End) -> Port:
        """The port at an end; KeyError if there is none."""
        text = self.programs[self.numbers[end.program]].text
        return {port.name: port for port in (*text.inputs, *text.outputs)}[end.port]

    @property
    def output_words(self) -> int:
        """Words of a step's result."""
        return self.port(self.output).words

    @property
    def input_words(self) -> int:
        """Words that come in from outside per step; 0 if nothing does."""
        return next((self.port(link.to).words for link in self.links if link.source is None), 0)

    @cached_property
    def last_uses(self) -> Mapping[End | None, int]:
        """Of everything that is taken, the number of the last program that takes it."""
        found: dict[End | None, int] = {}
        for link in self.links:
            found[link.source] = max(found.get(link.source, -1), self.numbers[link.to.program])
        return found


def result_of(last: ProgramText) -> End:
    """Where the result leaves of a chain that ends with this program: at its first output."""
    return End(program=last.name, port=last.outputs[0].name)


def series(programs: Sequence[Program]) -> Chain:
    """Programs one behind the other. An input takes the last earlier output of its name; any other takes the stream:
    the first output of the program before that took it, or what comes in from outside.
    """
    links, given = [], dict[str, End]()
    stream: End | None = None
    for program in programs:
        name, takes_stream = program.text.name, False
        for port in program.text.inputs:
            known = port.name in given
            takes_stream |= not known
            source = given[port.name] if known else stream
            links.append(Link(to=End(program=name, port=port.name), source=source))
        if takes_stream:
            stream = result_of(program.text)
        given |= {port.name: End(program=name, port=port.name) for port in program.text.outputs}
    return Chain(programs=tuple(programs), links=tuple(links), output=result_of(programs[-1].text))
