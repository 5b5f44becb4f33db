"""Caches and states: who writes them and when, which sections use them, and of which shape they are."""

from __future__ import annotations

from spikesim import program as isa
from spikesim.program import Program
from spikesim.program.verifier.findings import Findings
from spikesim.program.verifier.words import Writer, instructions_of


class Stores:
    """The instructions that write caches, and the sections that use states."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.written: dict[tuple[str, str], Writer] = {}
        self.home: dict[str, Writer] = {}

    def record(self, writer: Writer, found: Findings) -> None:
        """A cache takes one entry of each kind per token; a state lives in one section."""
        i = writer.instruction
        if isinstance(i, isa.Store | isa.Pool):
            kind = "means" if isinstance(i, isa.Pool) else i.kind
            first = self.written.setdefault((i.cache, kind), writer)
            found.require(
                first is writer, "cache", f"given {kind} once", f"{i.cache}, as by instruction {first.number}"
            )
        elif i.section == "recurrent":
            name = str(i.store)
            first = self.home.setdefault(name, writer)
            where = f"that of instruction {first.number}"
            found.require(first.section == writer.section, f"section of {name}", where, "another")

    def check_filled(self, cache: str, kind: str, number: int, found: Findings) -> bool:
        """Whether this token's keys, values or means are there when instruction `number` reads them."""
        writer = self.written.get((cache, kind))
        return found.require(
            writer is not None and writer.number < number,
            "name",
            f"a cache whose {kind} an earlier instruction stores",
            cache,
        )


def check_sections(program: Program, found: Findings) -> None:
    """Instructions are in sections of their kind, and a section of attention has something to attend with."""
    sections = program.text.sections
    for writer in instructions_of(program):
        i, kind = writer.instruction, sections[writer.section].kind
        wanted = i.section
        found.at(writer.number, i.op).require(wanted in (None, kind), "section", f"{wanted}", kind)
    for number, section in enumerate(sections):
        if section.kind == "attention":
            found.require(
                any(isinstance(i, isa.Gather) for i in section.instructions),
                f"section {number} (attention)",
                "one with a gather",
                "one without",
            )
