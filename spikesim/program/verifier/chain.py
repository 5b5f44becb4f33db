"""`verify_chain` and `verify_links`: whether programs fit one behind the other."""

from __future__ import annotations

from collections.abc import Sequence

from spikesim.program.chain import Chain, End, Link, result_of
from spikesim.program.ports import Port
from spikesim.program.program import ProgramText
from spikesim.program.verifier.findings import Finding, Findings, raise_if_any
from spikesim.program.verifier.program import findings_of


def verify_chain(chain: Chain) -> None:
    """Raises ProgramError unless every program is sound and every link fits, as `verify_links` says."""
    found = [finding for program in chain.programs for finding in findings_of(program)]
    found += _links([program.text for program in chain.programs], chain.links, chain.output)
    raise_if_any(found)


def verify_links(texts: Sequence[ProgramText], links: Sequence[Link], output: End) -> None:
    """Raises ProgramError unless every input is linked, once, to an output of an earlier program or to what comes in.

    Both ends have the same words and format, no two inputs of a program take the same, and `output` is the first output
    of the last program.
    """
    raise_if_any(_links(texts, links, output))


def _links(texts: Sequence[ProgramText], links: Sequence[Link], output: End) -> list[Finding]:
    found: list[Finding] = []
    if not texts:
        Findings("(none)", found=found).require(False, "a chain", "at least one program", "empty")
        return found
    sources = {link.to: link.source for link in links}
    given: dict[End | None, Port] = {}
    names: set[str] = set()
    for text in texts:
        at = Findings(text.name, found=found)
        at.require(text.name not in names, "name", "its own", "another program's too")
        names.add(text.name)
        taken: set[End | None] = set()
        for port in text.inputs:
            end = End(program=text.name, port=port.name)
            if not at.require(end in sources, f"input {port.name}", "linked to something", "missing"):
                continue
            source = sources[end]
            field, name = f"input {port.name}", "what comes in" if source is None else str(source)
            at.require(source not in taken, field, "linked unlike the others", name)
            taken.add(source)
            if source is None:
                _check_same(port, name, given.setdefault(None, port), at)
            elif at.require(source in given, field, "linked to an output of an earlier program", name):
                _check_same(port, name, given[source], at)
        given |= {End(program=text.name, port=port.name): port for port in text.outputs}
    inputs = {End(program=text.name, port=name) for text in texts for name in text.input_names}
    for link in links:
        Findings(link.to.program, found=found).require(
            link.to in inputs, "links", "to inputs of the programs", str(link.to)
        )
    at = Findings(output.program, found=found)
    at.require(len(sources) == len(links), "links", "one for every input", "several for one")
    last = texts[-1]
    if last.outputs:
        rule = f"{result_of(last)}, the first output of the last program"
        at.require(output == result_of(last), "the result", rule, str(output))
    return found


def _check_same(port: Port, name: str, source: Port, found: Findings) -> None:
    """Equal words and formats at both ends of a link."""
    found.require(
        port.words == source.words, f"words of {port.name}", f"{source.words}, as {name} has", port.words
    )
    same = port.format == source.format
    found.require(same, f"format of {port.name}", f"{source.format}, as {name} has", str(port.format))
