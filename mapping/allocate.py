"""Addresses in the vector memory: vectors that are never alive together share words."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from spikesim.program import Program

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Allocation(Generic[Name]):
    """`addresses`: first word of everything that was given a place; `words`: how many words that takes at most."""

    addresses: dict[Name, int]
    words: int


def allocate(
    program: Program, pinned: Collection[str] = (), words: Mapping[str, int] | None = None
) -> Allocation[str]:
    """First fit by liveness: a vector occupies its words from the first write to the last read.

    `words`: of every vector, if not all of them are on this core.

    Inputs are alive from the start, outputs to the end. `pinned` vectors have their place elsewhere. The
    same vector always gets the same address for the same program, so that emitted images are reproducible.
    """
    text = program.text
    names = text.vectors.keys() - program.constants.keys() - set(pinned)
    first = {name: -1 for name in text.input_names if name in names}
    last = dict(first)
    end = 0
    for number, instruction in enumerate(program.instructions()):
        for name in names.intersection(view.name for _, view, _ in instruction.views()):
            first.setdefault(name, number)
            last[name] = number
        end = number
    last |= {name: end + 1 for name in text.output_names if name in names}
    spans = {name: (first[name], last[name]) for name in first}
    return first_fit(spans, text.vectors if words is None else words)


def first_fit(spans: Mapping[Name, tuple[int, int]], words: Mapping[Name, int]) -> Allocation[Name]:
    """Addresses from 0 on: who is alive at the same time, first and last time included, shares no word."""
    addresses: dict[Name, int] = {}
    used = 0
    for name in sorted(spans, key=lambda n: (spans[n][0], -words[n], str(n))):
        first, last = spans[name]
        taken = sorted(
            (address, address + words[other])
            for other, address in addresses.items()
            if spans[other][1] >= first and spans[other][0] <= last
        )
        address = 0
        for start, stop in taken:
            if address + words[name] <= start:
                break
            address = max(address, stop)
        addresses[name] = address
        used = max(used, address + words[name])
    return Allocation(addresses=addresses, words=used)
