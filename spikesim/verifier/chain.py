"""`verify_chain`: whether programs are sound and fit one behind the other."""

from __future__ import annotations

from collections.abc import Sequence

from spikesim.access import STREAM
from spikesim.program import Program
from spikesim.verifier.findings import Finding, Findings, raise_if_any
from spikesim.verifier.program import findings_of


def verify_chain(programs: Sequence[Program]) -> None:
    """Raises ProgramError unless every program is sound and they fit: `findings_of`, `verify_joints`."""
    unsound = [finding for program in programs for finding in findings_of(program)]
    raise_if_any(unsound + _misfits(programs))


def verify_joints(programs: Sequence[Program]) -> None:
    """Raises ProgramError unless every program finds its inputs in the programs before it.

    The stream "h" is the output of the last program that takes it, of the same width; any other input is a vector of
    that name in an earlier program, and all programs that name it give it as many words.
    """
    raise_if_any(_misfits(programs))


def _misfits(programs: Sequence[Program]) -> list[Finding]:
    found: list[Finding] = []
    wanted = {name for program in programs for name in program.text.inputs if name != STREAM}
    names: set[str] = set()
    provided: dict[str, tuple[str, int]] = {}
    stream: tuple[str, int] | None = None
    if not programs:
        Findings("(none)", found=found).require(False, "a chain", "at least one program", "empty")
    for program in programs:
        text, at = program.text, Findings(program.text.name, found=found)
        at.require(text.name not in names, "name", "its own", "another program's too")
        names.add(text.name)
        for name in text.inputs:
            if name != STREAM:
                at.require(name in provided, f"input {name}", "a vector of an earlier program", "missing")
        for name, words in text.vectors.items():
            if name in wanted and name not in program.constants:
                before, width = provided.setdefault(name, (text.name, words))
                at.require(width == words, f"words of {name}", f"{width}, as in {before}", words)
        if STREAM in text.inputs and STREAM in text.vectors:
            words = text.vectors[STREAM]
            if stream is not None:
                at.require(
                    words == stream[1], f"words of {STREAM}", f"{stream[1]}, as {stream[0]} gives", words
                )
            stream = (text.name, text.vectors.get(text.output, words))
    return found
