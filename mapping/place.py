"""Placing programs on cores: what stays in row, state and vector memory, and what streams from DRAM for every token.

All cores work on every layer: column chunks of matrices and heads of caches and states are dealt out evenly,
so the fullest core holds ⌈chunks / cores⌉ chunks. Layers are given memory first come, first served; what does
not fit any more streams.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from spikesim.errors import CapacityError
from spikesim.hardware import STATE_BYTES, HardwareConfig
from spikesim.mapping.allocate import Allocation, allocate
from spikesim.mapping.link import lay_out, needed_memory
from spikesim.program import CacheSpec, Chain, Link, Program, StateSpec, result_of
from spikesim.program.layout import CoreLayout
from spikesim.program.sizes import cache_rows, chain_words, matrix_rows, program_words, state_rows
from spikesim.support.arithmetic import ceil_div

CONSTANT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class ProgramPlacement:
    """One program's share of the fullest core, in bytes or words, and what of it streams from DRAM.

    `vector_words`: of its own vectors, which all programs' share. `addresses`: first words of all its vectors, as
    `spikesim.mapping.link` lays them out; `matrices`: first row of each resident matrix in every bank, behind all
    resident caches, empty if the weights stream: both known once all programs are placed. `dram_bytes`:
    moved per token for weights and constants; caches and states that stream are added by what a token touches
    (`cache_resident`,
    `state_resident`).
    """

    name: str
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
    """Places the programs of a model one after the other; remembers how full the fullest core is.

    `outlines`: the programs so far with numbers of no account in place of their weights; `layout`: of one core that
    holds all of them but constants that stream. `links`: of the whole model.
    """

    def __init__(self, hardware: HardwareConfig, links: Sequence[Link]) -> None:
        self.hardware = hardware
        self.links = links
        self.cores = hardware.system.cores
        self.row_used = 0
        self.state_used = 0
        self.placements: list[ProgramPlacement] = []
        self.outlines: list[Program] = []
        self.layout: CoreLayout | None = None
        self._allocations: dict[tuple[int, frozenset[str]], Allocation[str]] = {}

    @property
    def vector_words(self) -> int:
        """Words of vector memory in use."""
        return 0 if self.layout is None else self.layout.vector_words

    @property
    def program_words(self) -> int:
        """Words of program memory in use, those that clear and end included."""
        return chain_words(outline.text for outline in self.outlines)

    def place(self, program: Program) -> ProgramPlacement:
        """Gives the program memory or marks it as streamed.

        Raises CapacityError if it cannot run at all: vectors, instructions, or a single column chunk do not fit.
        """
        hardware = self.hardware
        text = program.text
        constant_words = sum(words.size for words in program.constants.values())
        layout, constants_resident = self._take_words(program)
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
        if resident:
            self.row_used += weights
        placement = ProgramPlacement(
            name=text.name,
            cores=min(
                self.cores,
                max([1, *(ceil_div(m.shape[0], hardware.array.lanes) for m in program.matrices.values())]),
            ),
            weight_bytes=program.weight_bytes,
            row_bytes=weights,
            cache_bytes=cache,
            state_bytes=state,
            constant_words=constant_words,
            vector_words=layout.programs[-1].own_words,
            program_words=program_words(text),
            resident=resident,
            cache_resident=cache_resident,
            state_resident=state_resident,
            constants_resident=constants_resident,
            dram_bytes=(0 if resident else program.weight_bytes)
            + (0 if constants_resident else constant_words * CONSTANT_BYTES),
        )
        self.placements.append(placement)
        return placement

    def finished(self) -> list[ProgramPlacement]:
        """All placements, with the places of vectors and matrices, which depend on all programs."""
        if self.layout is None:
            return []
        bank = self.hardware.row_bytes * self.hardware.array.ways
        next_row = sum(p.cache_bytes for p in self.placements if p.cache_resident) // bank
        placements = []
        for placement, outline, own in zip(self.placements, self.outlines, self.layout.programs, strict=True):
            first: dict[str, int] = {}
            for name, matrix in sorted(outline.matrices.items()) if placement.resident else ():
                first[name] = next_row
                next_row += self._matrix_bytes(*matrix.shape) // bank
            placements.append(
                replace(placement, vector_words=own.own_words, addresses=own.vectors, matrices=first)
            )
        return placements

    def beyond_rtl(self) -> dict[str, int]:
        """Memory settings that one core needs to hold everything, as the RTL does, and the hardware lacks, by name."""
        if self.layout is None:
            return {}
        return needed_memory(self.layout, self.hardware, self.program_words)

    def _take_words(self, program: Program) -> tuple[CoreLayout, bool]:
        """Lays out the vectors of one more program: the layout, and whether its constants stay.

        Those that do not pass through the words that all programs share. Raises CapacityError if nothing helps.
        """
        memory, name = self.hardware.memory, program.text.name
        outline, resident = _outline(program, constants=True), True
        layout = lay_out(self._chain(outline), self.hardware, self._allocate)
        if layout.vector_words > memory.vector_words:
            outline, resident = _outline(program, constants=False), False
            layout = lay_out(self._chain(outline), self.hardware, self._allocate)
        if layout.vector_words > memory.vector_words:
            raise CapacityError(
                f"memory.vector_words must be at least {layout.vector_words} for {name}, not {memory.vector_words}; "
                "raise it, or lower limits.max_context"
            )
        self.outlines.append(outline)
        self.layout = layout
        if self.program_words > memory.program_words:
            raise CapacityError(
                f"memory.program_words must be at least {self.program_words} for the programs up to "
                f"{name}, not {memory.program_words}"
            )
        return layout, resident

    def _chain(self, outline: Program) -> Chain:
        """The programs so far and one more."""
        programs = (*self.outlines, outline)
        names = {program.text.name for program in programs}
        links = tuple(link for link in self.links if link.to.program in names)
        return Chain(programs=programs, links=links, output=result_of(outline.text))

    def _allocate(self, number: int, program: Program, pinned: Collection[str]) -> Allocation[str]:
        """`allocate`, once for every program and what is pinned of it."""
        if number >= len(self.outlines):  # it may be tried twice
            return allocate(program, pinned)
        key = number, frozenset(pinned)
        if key not in self._allocations:
            self._allocations[key] = allocate(program, pinned)
        return self._allocations[key]

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
        return self._bytes(matrix_rows(outputs, channels, **self._array))

    def _cache_bytes(self, spec: CacheSpec) -> int:
        return self._bytes(cache_rows(spec, **self._array))

    def _state_bytes(self, spec: StateSpec) -> int:
        return self._bytes(state_rows(spec, **self._array)) * STATE_BYTES

    @property
    def _array(self) -> dict[str, int]:
        array = self.hardware.array
        return {"ways": array.ways, "lanes": array.lanes, "cores": self.cores}

    def _bytes(self, rows: int) -> int:
        """Of so many rows in every bank, a byte per lane."""
        return rows * self.hardware.array.ways * self.hardware.array.lanes


def _outline(program: Program, *, constants: bool) -> Program:
    """The program with zeros that take no memory as its numbers; without `constants` these are vectors as others."""
    return Program(
        text=program.text,
        constants={
            name: np.broadcast_to(np.int32(0), words.shape)
            for name, words in program.constants.items()
            if constants
        },
        matrices={
            name: np.broadcast_to(np.int8(0), matrix.shape) for name, matrix in program.matrices.items()
        },
    )
