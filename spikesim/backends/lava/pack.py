"""Filling neurocores with parts, one after the other: next fit, and never beyond a limit.

A core that has no room for another neuron of the part at hand is closed. Equal cores are kept as one `Fill` with a
count, so that time follows the number of parts and not of cores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from spikesim.backends.lava.demand import DemandPart
from spikesim.backends.lava.target import Target

MANY = 1 << 62
"""Where a target gives no limit."""


@dataclass(frozen=True)
class Room:
    """The limits of an empty core. `state_bits`: memory that a neuron takes beside its synapses."""

    neurons: int
    bits: int
    axons: int
    state_bits: int

    @classmethod
    def of(cls, target: Target) -> Room:
        """The room of a core of `target`."""
        return cls(
            neurons=target.neurons_per_core,
            bits=MANY if target.memory_bits is None else target.memory_bits,
            axons=MANY if target.axons_in is None else target.axons_in,
            state_bits=target.state_bits if target.memory_is_shared else 0,
        )


@dataclass
class Fill:
    """`count` equal cores: what is in use of each, and how many neurons of which part are there."""

    count: int = 1
    neurons: int = 0
    bits: int = 0
    axons: int = 0
    pieces: list[tuple[DemandPart, int]] = field(default_factory=list)


class NoRoomError(Exception):
    """Raised when a single neuron of a part is more than an empty core has."""


def pack(parts: Iterable[DemandPart], room: Room) -> list[Fill]:
    """Lay `parts` on as many cores as they need; those on processors take none.

    Raises `NoRoomError` with a sentence if not even one neuron fits into an empty core.
    """
    fills: list[Fill] = []
    for part in parts:
        for piece in pieces(part, room):
            _lay(piece, room, fills)
    return fills


def pieces(part: DemandPart, room: Room) -> Iterator[DemandPart]:
    """A part whose neurons have too many inputs for a core as several, and the neurons that sum these.

    Inputs are split evenly into as few pieces as axons and memory allow. The sums are split again if need be.
    """
    if part.on != "neurocore" or not part.neurons:
        return
    split = max(
        -(-part.inputs // room.axons),
        -(-part.inputs * part.bits // max(1, room.bits - room.state_bits)),
        1,
    )
    if split == 1:
        yield part
        return
    if split >= part.inputs:
        raise NoRoomError(f"a neuron of {part.name} with {part.inputs:,} inputs does not fit into a core")
    for number in range(split):
        inputs = part.inputs * (number + 1) // split - part.inputs * number // split
        yield replace(part, inputs=inputs)
    yield from pieces(replace(part, inputs=split, shared=False), room)


def _lay(part: DemandPart, room: Room, fills: list[Fill]) -> None:
    left = part.neurons
    while left:
        if fills and fills[-1].count == 1:
            taken = min(left, _fitting(part, room, fills[-1]))
            if taken:
                _add(part, taken, room, fills[-1])
                left -= taken
        if not left:
            return
        most = _fitting(part, room, Fill())
        if not most:
            raise NoRoomError(f"a neuron of {part.name} with {part.inputs:,} inputs does not fit into a core")
        # The last core stays open for the next part, so it is never one of several equal ones.
        full = (left - 1) // most
        if full:
            filled = Fill(count=full)
            _add(part, most, room, filled)
            fills.append(filled)
            left -= full * most
        fills.append(Fill())


def _fitting(part: DemandPart, room: Room, core: Fill) -> int:
    """How many neurons of `part` the core has room for."""
    fitting = room.neurons - core.neurons
    bits = part.inputs * part.bits + room.state_bits
    if bits:
        fitting = min(fitting, (room.bits - core.bits) // bits)
    left = room.axons - core.axons
    if part.shared:
        return max(0, fitting) if part.inputs <= left else 0
    if part.inputs:
        fitting = min(fitting, left // part.inputs)
    return max(0, fitting)


def _add(part: DemandPart, neurons: int, room: Room, core: Fill) -> None:
    core.neurons += neurons
    core.bits += neurons * (part.inputs * part.bits + room.state_bits)
    core.axons += part.inputs * (1 if part.shared else neurons)
    core.pieces.append((part, neurons))
