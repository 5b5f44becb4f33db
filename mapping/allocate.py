"""Addresses in the vector memory: vectors that are never alive together share words."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from spikesim.program import Program


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """`addresses`: first word of every vector that is not constant; `words`: how many words that takes at most."""

    addresses: dict[str, int]
    words: int


def allocate(program: Program, pinned: Collection[str] = ()) -> Allocation:
    """First fit by liveness: a vector occupies its words from the first write to the last read.

    Inputs are alive from the start, the output to the end. `pinned` vectors have their place elsewhere. The
    same vector always gets the same address for the same program, so that emitted images are reproducible.
    """
    names = program.text.vectors.keys() - program.constants.keys() - set(pinned)
    inputs = [name for name in program.text.inputs if name in names]
    first: dict[str, int] = dict.fromkeys(inputs, -1)
    last: dict[str, int] = dict.fromkeys(inputs, -1)
    end = 0
    for number, instruction in enumerate(program.instructions()):
        for name in names.intersection(view.name for _, view, _ in instruction.views()):
            first.setdefault(name, number)
            last[name] = number
        end = number
    if program.text.output in names:
        last[program.text.output] = end + 1
    addresses: dict[str, int] = {}
    words = 0
    for name in sorted(first, key=lambda n: (first[n], -program.text.vectors[n], n)):
        size = program.text.vectors[name]
        taken = sorted(
            (addresses[other], addresses[other] + program.text.vectors[other])
            for other in addresses
            if last[other] >= first[name] and first[other] <= last[name]
        )
        address = 0
        for start, stop in taken:
            if address + size <= start:
                break
            address = max(address, stop)
        addresses[name] = address
        words = max(words, address + size)
    return Allocation(addresses=addresses, words=words)
