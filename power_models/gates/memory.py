"""The memories of a netlist, as rtl/memory.v describes them: what they hold in each of 64 streams, and their counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import ToolError
from spikesim.power_models.gates.program import GateProgram
from spikesim.power_models.gates.words import ALL_STREAMS, STREAMS, popcount, transpose
from spikesim.power_models.netlist.netlist import Box, Netlist, Nets
from spikesim.support.jit import Int, jit

Words = NDArray[np.uint64]
Indices = NDArray[np.int64]

MODULE = "spikesim_ram"


class Memories(NamedTuple):
    """All memories, for compiled code. A word is `chunks` uint64, its lowest bits first.

    * `shapes`: int64[memories, fields], fields as in `_Field`. `pins`: slots of the input ports.
    * `base`: contents that all streams share while `private` is False. `copies`: those of each stream; what is
      not private takes no memory, as the system provides pages of zeros only once they are written.
    """

    shapes: Indices
    pins: NDArray[np.uint32]
    base: Words
    copies: Words
    private: NDArray[np.bool_]
    reads: Indices
    writes: Indices


class Log(NamedTuple):
    """Writes of memory number `memory` (−1: none): cycle, stream, address, and the word after the write.

    noted[0], their number, goes on beyond the arrays' size, and the writes are then lost.
    """

    memory: int
    cycle: Indices
    stream: Indices
    address: Indices
    data: Words
    noted: Indices


_WIDTH, _DEPTH, _GRANULES, _READS, _ADDRESS, _CHUNKS, _MACROS, _NODE = range(8)
_WRITE_ENABLE, _WRITE_ADDRESS, _WRITE_DATA, _READ_ENABLE, _READ_ADDRESS = range(8, 13)
_OUTPUT, _BLOCK, _BASE, _COPIES, _COUNTS = range(13, 18)
_FIELDS = 18


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Parameters of one memory: `granules` write enables, `reads` ports, `macros` side by side."""

    name: str
    width: int
    depth: int
    granules: int
    reads: int
    address: int
    macros: int

    @property
    def chunks(self) -> int:
        """uint64 per word."""
        return -(-self.width // 64)

    @property
    def size(self) -> int:
        """uint64 in all."""
        return self.depth * self.chunks


def shape_of(box: Box) -> Shape:
    """Raises ToolError: the box is no memory, or its ports do not have the sizes that its parameters say."""
    if not box.module.endswith(MODULE):
        raise ToolError(f"box {box.name} must be a {MODULE} to be simulated, not a {box.module}")
    try:
        width, depth, granule, macro, reads, address = (
            value if isinstance(value := box.parameters[name], int) else int(value, 2)
            for name in ("WIDTH", "DEPTH", "GRANULE", "MACRO", "READS", "ADDRESS")
        )
    except (KeyError, ValueError):
        raise ToolError(
            f"memory {box.name} must state WIDTH, DEPTH, GRANULE, MACRO, READS and ADDRESS"
        ) from None
    if min(width, depth, granule, macro, reads) < 1 or width % granule or not 1 <= address <= 32:
        raise ToolError(f"memory {box.name} must have sizes above 0 and whole granules")
    if width % macro or max(macro, granule) % min(macro, granule):
        raise ToolError(f"memory {box.name} must have whole macros, and whole granules in them")
    shape = Shape(
        name=box.name,
        width=width,
        depth=depth,
        granules=width // granule,
        reads=reads,
        address=address,
        macros=width // macro,
    )
    for port, bits in _port_bits(shape).items():
        if port not in box.ports or box.ports[port].size != bits:
            raise ToolError(f"memory {box.name} must have a port {port} of {bits} bits")
    return shape


def _port_bits(shape: Shape) -> dict[str, int]:
    return {
        "write_enable": shape.granules,
        "write_address": shape.address,
        "write_data": shape.width,
        "read_enable": shape.reads,
        "read_address": shape.reads * shape.address,
        "read_data": shape.reads * shape.width,
    }


def read_ports(netlist: Netlist) -> list[list[tuple[Nets, Nets]]]:
    """Per box and read port the nets of its data, and those of its enable and address, as `gate_program` wants them."""
    ports = []
    for box in netlist.boxes:
        shape = shape_of(box)
        data = box.ports["read_data"].reshape(shape.reads, shape.width)
        address = box.ports["read_address"].reshape(shape.reads, shape.address)
        enable = box.ports["read_enable"].reshape(shape.reads, 1)
        ports.append([(data[i], np.append(enable[i], address[i])) for i in range(shape.reads)])
    return ports


def build_memories(
    program: GateProgram, contents: Mapping[str, NDArray[np.uint64] | Sequence[int]]
) -> Memories:
    """`contents`: see `GateSimulator`. Raises ToolError: there is no memory of a name, or the words do not fit."""
    boxes = program.netlist.boxes
    unknown = set(contents) - {box.name for box in boxes}
    if unknown:
        raise ToolError(f"memories must be boxes of the netlist, and {sorted(unknown)[0]} is none")
    shapes = np.zeros((len(boxes), _FIELDS), np.int64)
    pins: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    base, pin, words, counts = [np.zeros(0, np.uint64)], 0, 0, 0
    given: dict[int, Words] = {}
    for i, box in enumerate(boxes):
        shape = shape_of(box)
        slot, block = program.box_slots[i]
        row = shapes[i]
        row[:_NODE] = (
            shape.width,
            shape.depth,
            shape.granules,
            shape.reads,
            shape.address,
            shape.chunks,
            shape.macros,
        )
        row[_NODE] = program.clocks.box_node[i]
        row[_OUTPUT:] = slot, block, words, STREAMS * words, counts
        ports = ("write_enable", "write_address", "write_data", "read_enable", "read_address")
        for field, port in enumerate(ports, _WRITE_ENABLE):
            row[field] = pin
            pins.append(program.slot[box.ports[port]])
            pin += box.ports[port].size
        initial = np.zeros((1, shape.depth, shape.chunks), np.uint64)
        if box.name in contents:
            initial = _words(shape, contents[box.name])
        base.append(initial[0].reshape(-1))
        if initial.shape[0] > 1:
            given[i] = initial
        words += shape.size
        counts += shape.reads
    memories = Memories(
        shapes=shapes,
        pins=np.concatenate(pins).astype(np.uint32),
        base=np.concatenate(base),
        copies=np.zeros(STREAMS * words, np.uint64),
        private=np.zeros(len(boxes), np.bool_),
        reads=np.zeros(counts, np.int64),
        writes=np.zeros(len(boxes), np.int64),
    )
    for i, initial in given.items():
        start = shapes[i, _COPIES]
        memories.copies[start : start + initial.size] = initial.reshape(-1)
        memories.private[i] = True
    return memories


def _words(shape: Shape, contents: NDArray[np.uint64] | Sequence[int]) -> Words:
    """uint64[1 or STREAMS, depth, chunks]; words that are not given are 0."""
    array = np.asarray(contents)
    if array.dtype == object or (shape.chunks > 1 and array.ndim == 1):
        limit = 1 << shape.width
        if array.ndim != 1 or any(not 0 <= int(word) < limit for word in array):
            raise ToolError(f"words of memory {shape.name} must be integers from 0 below 2^{shape.width}")
        mask = (1 << 64) - 1
        array = np.array([[int(w) >> 64 * c & mask for c in range(shape.chunks)] for w in array], np.uint64)
        array = array.reshape(-1, shape.chunks)
    elif shape.chunks == 1:
        array = array[..., None]
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[0] not in (1, STREAMS) or array.shape[2] != shape.chunks:
        raise ToolError(
            f"contents of memory {shape.name} must be words, or words of {STREAMS} streams, in "
            f"{shape.chunks} uint64 each, not {np.asarray(contents).shape}"
        )
    if array.shape[1] > shape.depth or array.dtype.kind not in "iu" or np.any(array < 0):
        raise ToolError(f"contents of memory {shape.name} must be at most {shape.depth} words from 0")
    top = shape.width - 64 * (shape.chunks - 1)
    if top < 64 and np.any(array[..., -1] >> top):
        raise ToolError(f"words of memory {shape.name} must be below 2^{shape.width}")
    words = np.zeros((array.shape[0], shape.depth, shape.chunks), np.uint64)
    words[:, : array.shape[1]] = array
    return words


def put(memories: Memories, number: int, shape: Shape, contents: NDArray[np.uint64], first: int) -> None:
    """Writes words into memory `number` from address `first` on: contents as of `build_memories`, in every stream.

    Raises ToolError: the words do not fit.
    """
    words = _words(shape, contents)
    count = np.asarray(contents).shape[-1 if shape.chunks == 1 else -2]
    if not 0 <= first <= shape.depth - count:
        raise ToolError(
            f"contents of memory {shape.name} must be at most {shape.depth - first} words from {first}"
        )
    start = memories.shapes[number, _COPIES]
    copies = memories.copies[start : start + STREAMS * shape.size].reshape(STREAMS, shape.depth, shape.chunks)
    if not memories.private[number]:
        copies[:] = held(memories, number, shape)
        memories.private[number] = True
    copies[:, first : first + count] = words[:, :count]


def read_blocks(memories: Memories, number: int) -> range:
    """The blocks of memory `number`'s read ports."""
    block, reads = memories.shapes[number, [_BLOCK, _READS]]
    return range(block, block + reads)


def held(memories: Memories, number: int, shape: Shape) -> Words:
    """uint64[1 or STREAMS, depth, chunks]: a copy of what memory `number` holds; one stream while all are equal."""
    if not memories.private[number]:
        start = memories.shapes[number, _BASE]
        return memories.base[start : start + shape.size].reshape(1, shape.depth, shape.chunks).copy()
    start = memories.shapes[number, _COPIES]
    words = memories.copies[start : start + STREAMS * shape.size]
    return words.reshape(STREAMS, shape.depth, shape.chunks).copy()


@jit()
def clock_memories(
    m: Memories,
    masks: Words,
    v: Words,
    pending: Words,
    dirty: NDArray[np.uint8],
    active: NDArray[np.uint8],
    log: Log,
    cycle: Int,
) -> None:  # pragma: no cover (compiled)
    """One clock edge of all memories, whose clocks reach the streams in `masks`, by node.

    Contents change at once; what is read goes to `pending`, and `active` says of which blocks. A word that is read
    and written is read first. Addresses beyond the depth read ones and write nothing. A port that is not `dirty`
    would read again what it has read.
    """
    address = np.empty(64, np.uint64)
    square = np.empty(64, np.uint64)
    enables = np.empty(64, np.uint64)
    for i in range(m.shapes.shape[0]):
        shape = m.shapes[i]
        mask = masks[shape[_NODE]]
        width, depth, chunks, bits = shape[_WIDTH], shape[_DEPTH], shape[_CHUNKS], shape[_ADDRESS]
        stride = depth * chunks
        for port in range(shape[_READS]):
            enabled = v[m.pins[shape[_READ_ENABLE] + port]] & mask
            if enabled == 0:
                continue
            m.reads[shape[_COUNTS] + port] += popcount(enabled)
            block = shape[_BLOCK] + port
            if dirty[block] == 0:
                continue
            if mask == ALL_STREAMS:
                dirty[block] = 0
            active[block] = 1
            _gather(m.pins, shape[_READ_ADDRESS] + port * bits, bits, v, address)
            inside = np.uint64(0)
            for s in range(64):
                start = shape[_COPIES] + s * stride if m.private[i] else shape[_BASE]
                if address[s] < np.uint64(depth):
                    inside |= np.uint64(1) << np.uint64(s)
                    address[s] = np.uint64(start) + address[s] * np.uint64(chunks)
                else:
                    address[s] = start
            words = m.copies if m.private[i] else m.base
            for chunk in range(chunks):
                for s in range(64):
                    square[s] = words[address[s] + np.uint64(chunk)]
                transpose(square)
                first = shape[_OUTPUT] + port * width + 64 * chunk
                for b in range(min(64, width - 64 * chunk)):
                    pending[first + b] = (v[first + b] & ~enabled) | ((square[b] | ~inside) & enabled)
        granules = shape[_GRANULES]
        written = np.uint64(0)
        for granule in range(granules):
            written |= v[m.pins[shape[_WRITE_ENABLE] + granule]]
        written &= mask
        if written == 0:
            continue
        macros = shape[_MACROS]
        if granules <= macros:  # a granule covers whole macros
            for granule in range(granules):
                enabled = v[m.pins[shape[_WRITE_ENABLE] + granule]] & mask
                m.writes[i] += popcount(enabled) * (macros // granules)
        else:
            for macro in range(macros):
                enabled = np.uint64(0)
                for granule in range(macro * granules // macros, (macro + 1) * granules // macros):
                    enabled |= v[m.pins[shape[_WRITE_ENABLE] + granule]]
                m.writes[i] += popcount(enabled & mask)
        dirty[shape[_BLOCK] : shape[_BLOCK] + shape[_READS]] = 1
        if not m.private[i]:
            m.private[i] = True
            for s in range(64):
                start = shape[_COPIES] + s * stride
                m.copies[start : start + stride] = m.base[shape[_BASE] : shape[_BASE] + stride]
        _gather(m.pins, shape[_WRITE_ADDRESS], bits, v, address)
        granule_bits = width // granules
        for chunk in range(chunks):
            square[:] = np.uint64(0)
            enables[:] = np.uint64(0)
            for b in range(min(64, width - 64 * chunk)):
                bit = 64 * chunk + b
                square[b] = v[m.pins[shape[_WRITE_DATA] + bit]]
                enables[b] = v[m.pins[shape[_WRITE_ENABLE] + bit // granule_bits]]
            transpose(square)
            transpose(enables)
            for s in range(64):
                at = np.int64(address[s])
                if at < depth and written >> np.uint64(s) & np.uint64(1):
                    place = shape[_COPIES] + s * stride + at * chunks + chunk
                    m.copies[place] = (m.copies[place] & ~enables[s]) | (square[s] & enables[s])
        if log.memory == i:
            _note(m, shape, log, cycle, written, address)


@jit()
def _note(
    m: Memories, shape: Indices, log: Log, cycle: Int, written: np.uint64, address: Words
) -> None:  # pragma: no cover (compiled)
    depth, chunks = shape[_DEPTH], shape[_CHUNKS]
    for s in range(64):
        at = np.int64(address[s])
        if at < depth and written >> np.uint64(s) & np.uint64(1):
            n = log.noted[0]
            if n < log.cycle.size:
                log.cycle[n], log.stream[n], log.address[n] = cycle, s, at
                start = shape[_COPIES] + (s * depth + at) * chunks
                log.data[n] = m.copies[start : start + chunks]
            log.noted[0] = n + 1


@jit()
def _gather(
    pins: NDArray[np.uint32], first: Int, bits: Int, v: Words, numbers: Words
) -> None:  # pragma: no cover (compiled)
    """numbers: uint64[64] ← per stream the number whose bits are at pins[first : first + bits]."""
    numbers[:] = np.uint64(0)
    for b in range(bits):
        numbers[b] = v[pins[first + b]]
    transpose(numbers)
