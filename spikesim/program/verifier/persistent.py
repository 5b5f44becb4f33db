"""Persistent vectors: what keeps its words from step to step, which steps must then come one after the other."""

from __future__ import annotations

from spikesim.program import Program
from spikesim.program.verifier.findings import Findings
from spikesim.program.verifier.words import WordTable, instructions_of

_DECISIVE = ("counts", "partition", "keys.selected")
"""Operands that decide how long an instruction takes. They must still be there when the step is over, and a persistent
vector that is read before it is written is not."""


def check_persistent(program: Program, words: WordTable, found: Findings) -> None:
    """A persistent vector is written, all of its users are in one recurrent section, and it decides no cycles."""
    persistent = program.text.persistent
    homes: dict[str, int] = {}
    for name in persistent:
        written = words.is_written(name) and name not in words.keyed
        found.require(written, "persistent", "vectors without keys that an instruction writes", name)
    for writer in instructions_of(program) if persistent else ():
        at = found.at(writer.number, writer.instruction.op)
        kind = program.text.sections[writer.section].kind
        for field, view, _ in writer.instruction.views():
            if view.name not in persistent:
                continue
            at.require(
                kind == "recurrent", field, f"in a recurrent section, since {view.name} is persistent", kind
            )
            home = homes.setdefault(view.name, writer.section)
            at.require(
                home == writer.section, field, f"in the section of all that use {view.name}", "another"
            )
            at.require(
                field not in _DECISIVE, field, "in a vector of the step's own", f"the persistent {view.name}"
            )
