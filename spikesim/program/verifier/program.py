"""`verify_program`: all rules of one program, in a time that grows with its instructions and vectors."""

from __future__ import annotations

from spikesim.program import Program
from spikesim.program.verifier.declared import check_declarations, check_unused
from spikesim.program.verifier.findings import Finding, Findings, raise_if_any
from spikesim.program.verifier.keys import check_keyed_read
from spikesim.program.verifier.persistent import check_persistent
from spikesim.program.verifier.rules import Rules
from spikesim.program.verifier.stores import Stores, check_sections
from spikesim.program.verifier.views import check_view
from spikesim.program.verifier.words import WordTable, Writer, instructions_of


def verify_program(program: Program) -> None:
    """Raises ProgramError if a program breaks a rule; its `findings` are all that were found."""
    raise_if_any(findings_of(program))


def findings_of(program: Program) -> list[Finding]:
    """Every rule that a program breaks, none if it is sound; nothing follows from one finding to the next."""
    found = Findings(program.text.name)
    check_declarations(program, found)
    if found.found:
        return found.found
    words, stores, sound = WordTable(program), Stores(program), []
    for writer in instructions_of(program):
        at = found.at(writer.number, writer.instruction.op)
        if _check_views(writer, program, at):
            words.record(writer, at)
            stores.record(writer, at)
            sound.append(writer)
        else:
            words.unknown(writer.instruction)
    check_sections(program, found)
    check_unused(program, found)
    _check_outputs(program, words, found)
    check_persistent(program, words, found)
    rules = Rules(words, stores)
    for writer in sound:
        at = found.at(writer.number, writer.instruction.op)
        if _check_reads(writer, words, at):
            rules.check(writer, at)
    return sorted(found.found, key=lambda one: (one.number is None, one.number))


def _check_views(writer: Writer, program: Program, found: Findings) -> bool:
    views = writer.instruction.views()
    inside = [check_view(field, view, program, found, written=written) for field, view, written in views]
    return all(inside)


def _check_reads(writer: Writer, words: WordTable, found: Findings) -> bool:
    """Whether everything an instruction reads is there, key by key where it is indexed by key."""
    there = [
        words.check_read(field, view, writer.number, found)
        and check_keyed_read(field, view, writer, words, found)
        for field, view, written in writer.instruction.views()
        if not written
    ]
    return all(there)


def _check_outputs(program: Program, words: WordTable, found: Findings) -> None:
    for port in program.text.outputs:
        written = found.require(
            words.is_written(port.name) and port.name not in words.keyed,
            "outputs",
            "vectors without keys that an instruction writes",
            port.name,
        )
        if written:
            words.fits(f"output {port.name}", port, found)
