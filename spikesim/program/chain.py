"""A chain of programs: the order in which a step executes them, and what goes from port to port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from spikesim.program.instructions import Frozen
from spikesim.program.ports import Port
from spikesim.program.program import Program


class End(Frozen):
    """A port of a program, by their names."""

    program: str
    port: str

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
    def entries(self) -> tuple[End, ...]:
        """The inputs that take what comes in from outside."""
        return tuple(link.to for link in self.links if link.source is None)

    @property
    def input_words(self) -> int:
        """Words that come in from outside per step; 0 if nothing does."""
        return self.port(self.entries[0]).words if self.entries else 0

    def last_use(self, source: End | None) -> int:
        """The number of the last program that takes what leaves at `source`, −1 if none does."""
        return max(
            (self.numbers[link.to.program] for link in self.links if link.source == source), default=-1
        )


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
            stream = End(program=name, port=program.text.outputs[0].name)
        given |= {port.name: End(program=name, port=port.name) for port in program.text.outputs}
    last = programs[-1].text
    output = End(program=last.name, port=last.outputs[0].name)
    return Chain(programs=tuple(programs), links=tuple(links), output=output)
