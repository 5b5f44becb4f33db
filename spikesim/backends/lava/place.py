"""A chain of programs on a Loihi-style target: which core holds what, and which program does not fit and why.

Analysis only, no chip is involved. Programs are placed one after the other, whole or not at all, and share no core.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from spikesim.backends.lava.demand import GRADED_BITS, Asked, DemandPart, asked
from spikesim.backends.lava.energy import estimate, shortest_step
from spikesim.backends.lava.pack import MANY, Fill, NoRoomError, Room, pack, pieces
from spikesim.backends.lava.spikes import GRADED
from spikesim.backends.lava.target import Target
from spikesim.errors import HardwareError
from spikesim.program import Program
from spikesim.results.lava import CoreUse, Demand, LavaCoding, LayerUse, Placement, Traffic

CHIPS_LISTED = 4
"""Cores are listed one by one for so many chips; a large model on its 40,000 cores is a table, not a list."""

LONGEST = 1 << 24
"""Contexts are searched up to here, the largest that a core can be configured for."""

Packed = Sequence[Fill] | str
"""The cores of a program, or the sentence why a part of it fits into none."""


def require_payload(target: Target, coding: str) -> None:
    """Raise `HardwareError` if spikes of the target cannot carry what `coding` sends."""
    if coding == GRADED and target.payload_bits < GRADED_BITS:
        raise HardwareError(
            f"the coding for {target.name} must be bit-serial, because its spikes carry {target.payload_bits} bits, "
            f"not graded, which needs {GRADED_BITS}"
        )


def place(
    programs: Iterable[Program],
    target: Target,
    *,
    coding: LavaCoding = "graded",
    traffic: Sequence[Traffic] = (),
    steps_per_token: int = 1,
    kinds: Mapping[str, str] | None = None,
) -> Placement:
    """Lay programs on `target` and say what does not fit. Linear in instructions and parts, not in cores.

    `traffic`: a row per coding, for the energy (none without the row of `coding`). `steps_per_token`: time steps in
    which every neuron is updated for one token, for the energy too: planes, or the interval where that is more.
    `kinds`: what each program is to a reader. Programs may be a generator, so that one at a time is in memory.
    """
    room = Room.of(target)
    wanted = [asked(program, target, coding) for program in programs]
    packed = [_packed(one, room) for one in wanted]
    demands = tuple(demand for one in wanted for demand in _demands(one, room))
    layers: list[LayerUse] = []
    cores: list[CoreUse] = []
    used, fullest = 0, 0
    for one, fills in zip(wanted, packed, strict=True):
        own = [demand for demand in demands if demand.program == one.name]
        needed = 0 if isinstance(fills, str) else sum(fill.count for fill in fills)
        crowded = ""
        if isinstance(fills, str):
            crowded = fills
        elif needed > target.cores - used:
            crowded = _too_many(one, needed, target.cores - used, room)
        else:
            used += needed
            fullest = max([fullest, *(fill.neurons for fill in fills)])
            listed = CHIPS_LISTED * target.cores_per_chip
            for fill in fills:
                count = min(fill.count, listed - len(cores))
                cores += [_core_use(one.name, fill, room)] * max(0, count)
        layers.append(
            LayerUse(
                program=one.name,
                kind=(kinds or {}).get(one.name, ""),
                cores=needed,
                neurons=sum(demand.neurons for demand in own),
                synapses=sum(demand.synapses for demand in own),
                synaptic_bytes=sum(demand.synaptic_bytes for demand in own),
                processor_words=sum(demand.words for demand in own),
                placed=not crowded,
                fits=not crowded and not one.obstacles,
                why=_why(one, crowded),
            )
        )
    row = next((row for row in traffic if row.coding == coding), None)
    neurons = sum(layer.neurons for layer in layers)
    energy, energy_note = estimate(target, row, neurons, steps_per_token)
    step_ns, step_note = shortest_step(target, fullest)
    context = max((one.context for one in wanted), default=0)
    return Placement(
        target=target.name,
        coding=coding,
        chips=target.chips,
        chips_used=-(-used // target.cores_per_chip),
        cores_used=used,
        cores_available=target.cores,
        cores_per_chip=target.cores_per_chip,
        processors=target.processors,
        programmable=target.programmable,
        neurons_per_core=room.neurons,
        memory_per_core=None if room.bits == MANY else room.bits // 8,
        limits=target.constants(),
        demands=demands,
        layers=tuple(layers),
        cores=tuple(cores),
        context=context,
        longest_context=_longest_context(wanted, room, target.cores) if context else None,
        step_ns=step_ns,
        step_note=step_note,
        energy=energy,
        energy_note=energy_note,
        notes=tuple(_notes(target, layers, used)),
    )


def _packed(one: Asked, room: Room) -> Packed:
    try:
        return pack(one.parts, room)
    except NoRoomError as error:
        return f"cannot be placed: {error}"


def _why(one: Asked, crowded: str) -> str:
    """One sentence on everything that is wrong; "" if nothing is."""
    obstacles = "; ".join(dict.fromkeys(one.obstacles))
    if crowded:
        return f"{one.name} {crowded}" + (f"; {obstacles}" if obstacles else "")
    return f"{one.name}: {obstacles}" if obstacles else ""


def _demands(one: Asked, room: Room) -> list[Demand]:
    """The parts of a program, those that do the same thing together, in order."""
    together: dict[tuple[str, str], list[DemandPart]] = {}
    for part in one.parts:
        together.setdefault((part.kind, part.name), []).append(part)
    found = []
    for parts in together.values():
        try:
            laid = [piece for part in parts for piece in pieces(part, room)]
        except NoRoomError:
            laid = [part for part in parts if part.on == "neurocore"]
        neurons = sum(piece.neurons for piece in laid)
        synaptic_bits = sum(piece.synapses * piece.bits for piece in laid)
        bits = synaptic_bits + neurons * room.state_bits
        split = len(laid) > len(parts)
        notes = [parts[0].note, "inputs split over cores, with neurons that sum the parts" if split else ""]
        found.append(
            Demand(
                program=one.name,
                name=parts[0].name,
                part=parts[0].kind,
                on=parts[0].on,
                neurons=neurons,
                synapses=sum(piece.synapses for piece in laid),
                synaptic_bytes=-(-synaptic_bits // 8),
                cores=max(neurons / room.neurons, bits / room.bits),
                words=sum(part.words for part in parts),
                note="; ".join(note for note in notes if note),
            )
        )
    return found


def _too_many(one: Asked, needed: int, left: int, room: Room) -> str:
    """Why a program is not placed: how many cores are missing, and what takes most of them."""
    largest, most = max(
        ((part, sum(fill.count for fill in pack([part], room))) for part in one.parts),
        key=lambda pair: pair[1],
    )
    if largest.kind == "cache" and largest.tokens:
        name = f"its K/V cache of {largest.tokens:,} tokens"
    elif largest.kind == "pointwise":
        name = f"one group of neurons ({largest.name})"
    else:
        name = f"its {largest.kind} {largest.name}"
    cores = f"{needed:,} {'core' if needed == 1 else 'cores'}"
    return f"needs {cores} and {left:,} {'is' if left == 1 else 'are'} left; {name} alone takes {most:,}"


def _core_use(program: str, fill: Fill, room: Room) -> CoreUse:
    def share(piece: tuple[DemandPart, int]) -> float:
        part, neurons = piece
        bits = neurons * (part.inputs * part.bits + room.state_bits)
        return max(neurons / room.neurons, bits / room.bits)

    by_kind: dict[str, float] = {}
    for piece in fill.pieces:
        by_kind[piece[0].kind] = by_kind.get(piece[0].kind, 0) + share(piece)
    return CoreUse.model_validate(
        {
            "program": program,
            "part": max(by_kind, key=lambda kind: by_kind[kind]),
            "neurons": fill.neurons / room.neurons,
            "memory": fill.bits / room.bits if room.bits != MANY else 0,
        }
    )


def _longest_context(wanted: Sequence[Asked], room: Room, cores: int) -> int:
    """The longest context for which all programs find room together; 0 if there is none."""

    def fits(context: int) -> bool:
        total = 0
        for one in wanted:
            fills = _packed(one.at(context), room)
            if isinstance(fills, str):
                return False
            total += sum(fill.count for fill in fills)
        return total <= cores

    return _last(fits, LONGEST)


def _last(holds: Callable[[int], bool], most: int) -> int:
    """The largest number up to `most` for which `holds` is true, if it is true up to some number; else 0.

    >>> _last(lambda n: n <= 300, 1000), _last(lambda n: False, 1000), _last(lambda n: True, 1000)
    (300, 0, 1000)
    """
    low, high = 0, 1
    while high < most and holds(high):
        low, high = high, min(2 * high, most)
    if high == most and holds(high):
        return most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _notes(target: Target, layers: Sequence[LayerUse], used: int) -> Iterable[str]:
    """What a reader of the placement should know."""
    if not target.programmable:
        yield (
            f"Neurons of {target.name} are not programmable: only matrices are on neurocores, and all else, the "
            "doubling between bit planes too, on the processors."
        )
    if target.memory_is_shared and target.core.memory_kib is not None:
        yield (
            f"No share of a core's memory is known to hold synapses alone: synapses and {target.state_bits}-bit states "
            f"are counted against all {target.core.memory_kib.value:,} KiB, which is optimistic."
        )
    if target.memory_bits is None:
        yield "No memory per core is given: synapses are counted and not limited."
    if target.axons_in is None:
        yield f"No limit of axons is given for {target.name}: fan-in and fan-out are not checked."
    else:
        yield "Axons out are counted once per neuron; what goes to several cores needs more."
    yield "Words on processors are counted; nothing public says how many a processor computes per step."
    chips = math.ceil(used / target.cores_per_chip)
    for name in ("neurons", "synapses"):
        limit = getattr(target.chip, name)
        total = sum(getattr(layer, name) for layer in layers if layer.fits)
        if limit is not None and total > chips * limit.value:
            yield f"{total:,} {name} are more than {limit.value:,} per chip; more chips are needed than shown."
