"""FPGAs that `spikesim rtl --target` names: what they have, and what a core needs of it.

Block RAM is worked out from the shapes of the memories, as Yosys maps them. It is an upper bound: synthesis leaves out
bits that nothing reads, such as those of an instruction word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spikesim.errors import HardwareError
from spikesim.hardware import HardwareConfig
from spikesim.program.sizes import GENERAL, LEAST_PROGRAM_WORDS, LEAST_VECTOR_WORDS
from spikesim.rtl.array.events import (
    bits_for,
    code_bits,
    digit_planes,
    lists_events,
    row_bits,
    scans_planes,
    sign_bits,
)
from spikesim.rtl.array.planes import scan_rows
from spikesim.rtl.config import CoreConfig, Datapath, core_config
from spikesim.rtl.isa import INSTRUCTION
from spikesim.rtl.pointwise.lookup_table import ENTRY, INDEX_BITS
from spikesim.support.arithmetic import ceil_div
from spikesim.support.nearest import named


@dataclass(frozen=True, kw_only=True)
class Device:
    """A part. `shapes`: width and depth of one block in each of its modes; `byte`: bits of its write enables.

    `multipliers` have 18 × 18 bits, or 25 × 18.
    """

    part: str
    blocks: int
    shapes: tuple[tuple[int, int], ...]
    byte: int
    multipliers: int


ECP5 = Device(
    part="LFE5U-85F",
    blocks=208,
    shapes=((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512)),
    byte=9,
    multipliers=156,
)
DEVICES = {"ecp5": ECP5}


def device_named(target: str) -> Device | None:
    """The device of a target; None for an ASIC. Raises HardwareError for another name."""
    if target != "asic" and target not in DEVICES:
        raise HardwareError(f"target must be one of {', '.join(['asic', *DEVICES])}, not {named(target)}")
    return DEVICES.get(target)


LANE_MULTIPLIERS = 4
"""Of a lane of the pointwise unit: two products of 33 × 18 bits in two halves each."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """`count` memories that are alike. `granule`: bits per write enable; 0: nothing is written but whole words."""

    name: str
    count: int
    width: int
    depth: int
    reads: int = 1
    granule: int = 0


def memories(config: CoreConfig) -> Iterator[Shape]:
    """All memories of a core, and the tables of its pointwise unit."""
    lanes, ways = config.lanes, config.ways
    yield Shape(name="row", count=ways, width=8 * lanes, depth=config.row_depth, granule=8)
    if config.state_depth:
        yield Shape(name="state", count=ways, width=16 * lanes, depth=config.state_depth)
    depth = ceil_div(config.vector_depth, config.vector_banks)
    yield Shape(name="vector", count=config.vector_banks, width=32, depth=depth, reads=2)
    yield Shape(name="program", count=1, width=INSTRUCTION.size, depth=config.program_depth)
    yield Shape(name="table", count=config.pointwise_words, width=ENTRY.size, depth=1 << INDEX_BITS)
    yield from _encoders(config)


def _encoders(config: CoreConfig) -> Iterator[Shape]:
    ways, rows = config.ways, config.encoder_rows
    longest = max(rows, config.scatter_rows)
    if config.dense:
        width = row_bits(config) + code_bits(config) if config.skip_zeros else code_bits(config) + 1
        yield Shape(name="encoder", count=ways, width=width, depth=longest)
        return
    row = row_bits(config) if lists_events(config) else bits_for(config.scatter_rows)
    depth = longest if lists_events(config) else config.scatter_rows
    yield Shape(name="list", count=ways, width=row + code_bits(config), depth=depth)
    if lists_events(config):
        return
    if scans_planes(config):
        scan, planes = scan_rows(config), digit_planes(config)
        yield Shape(
            name="encoder", count=ways, width=scan * planes, depth=ceil_div(rows, scan), granule=planes
        )
        if sign_bits(config):
            yield Shape(name="encoder", count=ways, width=sign_bits(config), depth=rows)
    else:
        yield Shape(name="encoder", count=ways, width=row_bits(config) + code_bits(config), depth=rows)


def blocks(shape: Shape, device: Device) -> int:
    """Blocks of block RAM of all memories of a shape: a copy per read port, in the mode that takes fewest."""
    width = shape.width
    if shape.granule:  # every write enable has bytes of its own
        per_byte = device.byte if shape.granule <= device.byte else shape.granule
        width = width // shape.granule * per_byte
    each = min(ceil_div(width, bits) * ceil_div(shape.depth, depth) for bits, depth in device.shapes)
    return shape.count * shape.reads * each


def blocks_of(config: CoreConfig, device: Device) -> dict[str, int]:
    """Blocks of block RAM that a core takes, by kind of memory."""
    found: dict[str, int] = {}
    for shape in memories(config):
        found[shape.name] = found.get(shape.name, 0) + blocks(shape, device)
    return found


def sized(hardware: HardwareConfig, device: Device, flags: Datapath) -> HardwareConfig:
    """The hardware with a number for every memory that is "fit": a general core's, the largest halved until all fit.

    If that is not enough, as little as there may be.
    """
    least = {
        "row_kib": hardware.least_row_kib,
        "state_kib": hardware.least_state_kib,
        "vector_words": LEAST_VECTOR_WORDS,
        "program_words": LEAST_PROGRAM_WORDS,
    }
    sizes = {name: GENERAL[name] for name, size in hardware.memory if size == "fit"}
    while True:
        found = hardware.replace(**{f"memory.{name}": size for name, size in sizes.items()})
        taken = blocks_of(core_config(found, target="fpga", **flags), device)
        larger = [name for name in sizes if sizes[name] // 2 >= least[name]]
        if sum(taken.values()) <= device.blocks or not larger:
            return found
        largest = max(larger, key=lambda name: taken[name.partition("_")[0]])
        sizes[largest] //= 2


def check_device(config: CoreConfig, device: Device) -> str:
    """What of the device the core takes, in a sentence. Raises HardwareError: it takes more than there is."""
    kinds = blocks_of(config, device)
    wanted = sum(kinds.values())
    multipliers = LANE_MULTIPLIERS * config.pointwise_words
    parts = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
    if wanted > device.blocks:
        raise HardwareError(
            f"the core must take at most {device.blocks} blocks of memory to fit into {device.part}, not {wanted} "
            f"({parts})"
        )
    if multipliers > device.multipliers:
        raise HardwareError(
            f"pointwise.words must be at most {device.multipliers // LANE_MULTIPLIERS} to fit into the "
            f"{device.multipliers} multipliers of {device.part}, not {config.pointwise_words}"
        )
    return f"{device.part}: {wanted} of {device.blocks} blocks of memory ({parts})"
