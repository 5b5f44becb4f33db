"""Placing programs on cores: what stays in row, state and vector memory, and what streams from DRAM for every token.

All cores work on every layer: column chunks of matrices and heads of caches and states are dealt out evenly,
so the fullest core holds ⌈chunks / cores⌉ chunks. Layers are given memory first come, first served; what does
not fit any more streams.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from spikesim.errors import CapacityError
from spikesim.hardware import HardwareConfig
from spikesim.mapping.allocate import Allocation, allocate
from spikesim.program import CacheSpec, Program, StateSpec
from spikesim.timing import ceil_div

INSTRUCTION_WORDS = 16
"""Words of program memory per instruction."""

CONSTANT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class ProgramPlacement:
    """One program's share of the fullest core, in bytes or words, and what of it streams from DRAM.

    `matrices`: first row of each resident matrix in every bank, empty if the weights stream. `dram_bytes`:
    moved per token for weights and constants; caches and states that stream are added by what a token touches
    (`cache_resident`,
    `state_resident`).
    """

    name: str
    kind: str
    cores: int
    weight_bytes: int
    row_bytes: int
    cache_bytes: int
    state_bytes: int
    constant_words: int
    vector_words: int
    program_words: int
    resident: bool
    cache_resident: bool
    state_resident: bool
    constants_resident: bool
    dram_bytes: int
    matrices: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, int] = field(default_factory=dict)


class Placer:
    """Places the programs of a model one after the other; remembers how full the fullest core is."""

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        self.cores = hardware.system.cores
        self.row_used = 0
        self.state_used = 0
        self.constant_words = 0
        self.peak_words = 0
        self.program_words = 0
        self.placements: list[ProgramPlacement] = []

    def place(self, program: Program) -> ProgramPlacement:
        """Gives the program memory or marks it as streamed.

        Raises CapacityError if it cannot run at all: vectors, instructions, or a single column chunk do not fit.
        """
        allocation = allocate(program)
        hardware = self.hardware
        text = program.text
        program_words = INSTRUCTION_WORDS * sum(len(section.instructions) for section in text.sections)
        constant_words = sum(words.size for words in program.constants.values())
        self._check_words(program, allocation, constant_words, program_words)
        cache = sum(self._cache_bytes(spec) for spec in text.caches.values())
        state = sum(self._state_bytes(spec) for spec in text.states.values())
        rows = {name: self._matrix_bytes(*matrix.shape) for name, matrix in program.matrices.items()}
        spare = self._streaming_buffer(program)
        cache_resident = self.row_used + cache + spare <= hardware.row_memory_bytes
        if cache_resident:
            self.row_used += cache
        state_resident = self.state_used + state <= hardware.state_memory_bytes
        if state_resident:
            self.state_used += state
        weights = sum(rows.values())
        # The last layers may use the streaming buffer too, as long as nothing streams; keeping it free is
        # simpler and safe.
        resident = self.row_used + weights + spare <= hardware.row_memory_bytes
        first: dict[str, int] = {}
        if resident:
            for name, size in rows.items():
                first[name] = self.row_used // (hardware.row_bytes * hardware.array.ways)
                self.row_used += size
        constants_resident = (
            self.constant_words + constant_words + self.peak_words <= hardware.memory.vector_words
        )
        if constants_resident:
            self.constant_words += constant_words
        self.program_words += program_words
        placement = ProgramPlacement(
            name=text.name,
            kind=text.kind,
            cores=min(
                self.cores,
                max([1, *(ceil_div(m.shape[0], hardware.array.lanes) for m in program.matrices.values())]),
            ),
            weight_bytes=program.weight_bytes,
            row_bytes=weights,
            cache_bytes=cache,
            state_bytes=state,
            constant_words=constant_words,
            vector_words=allocation.words,
            program_words=program_words,
            resident=resident,
            cache_resident=cache_resident,
            state_resident=state_resident,
            constants_resident=constants_resident,
            dram_bytes=(0 if resident else program.weight_bytes)
            + (0 if constants_resident else constant_words * CONSTANT_BYTES),
            matrices=first,
            addresses=allocation.addresses,
        )
        self.placements.append(placement)
        return placement

    def _check_words(
        self, program: Program, allocation: Allocation, constants: int, program_words: int
    ) -> None:
        memory, name = self.hardware.memory, program.text.name
        self.peak_words = max(self.peak_words, allocation.words + constants)
        if self.peak_words > memory.vector_words:
            raise CapacityError(
                f"memory.vector_words must be at least {self.peak_words} for {name}, not {memory.vector_words}; "
                "raise it, or lower limits.max_context"
            )
        if self.program_words + program_words > memory.program_words:
            raise CapacityError(
                f"memory.program_words must be at least {self.program_words + program_words} for the programs up to "
                f"{name}, not {memory.program_words}"
            )

    def _streaming_buffer(self, program: Program) -> int:
        """Bytes for two column chunks of the tallest matrix: one in use, one arriving."""
        ways, lanes = self.hardware.array.ways, self.hardware.array.lanes
        tallest = max((matrix.shape[1] for matrix in program.matrices.values()), default=0)
        needed = 2 * ceil_div(tallest, ways) * ways * lanes
        if needed > self.hardware.row_memory_bytes:
            raise CapacityError(
                f"memory.row_kib must be at least {ceil_div(needed, 1024)} for {program.text.name}, "
                f"two column chunks of {tallest} rows, not {self.hardware.memory.row_kib}"
            )
        return needed

    def _matrix_bytes(self, outputs: int, channels: int) -> int:
        ways, lanes = self.hardware.array.ways, self.hardware.array.lanes
        return ceil_div(ceil_div(outputs, lanes), self.cores) * ceil_div(channels, ways) * ways * lanes

    def _cache_bytes(self, spec: CacheSpec) -> int:
        ways, lanes = self.hardware.array.ways, self.hardware.array.lanes
        tokens = _padded_tokens(spec, lanes)
        keys = ceil_div(spec.size, ways) * ways * tokens
        values = ceil_div(_padded_tokens(spec, ways), ways) * ways * ceil_div(spec.size, lanes) * lanes
        means = 0
        if spec.block:
            means = (
                ceil_div(spec.size, ways) * ways * ceil_div(ceil_div(spec.tokens, spec.block), lanes) * lanes
            )
        return ceil_div(spec.heads, self.cores) * (keys + values + means)

    def _state_bytes(self, spec: StateSpec) -> int:
        ways, lanes = self.hardware.array.ways, self.hardware.array.lanes
        chunks = ceil_div(spec.heads * ceil_div(spec.size, lanes), self.cores)
        return spec.copies * chunks * ceil_div(spec.size, ways) * ways * lanes * 2


def _padded_tokens(spec: CacheSpec, unit: int) -> int:
    """Tokens of a cache, every MoBA block rounded up so that it starts a new chunk."""
    if not spec.block:
        return ceil_div(spec.tokens, unit) * unit
    return ceil_div(spec.tokens, spec.block) * ceil_div(spec.block, unit) * unit
