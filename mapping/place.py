"""Placing programs on cores: what stays in row, state and vector memory, and what streams from DRAM for every token.

All cores work on every layer: column chunks of matrices and heads of caches and states are dealt out evenly
(`spikesim.program.shares`), so the fullest core holds ⌈chunks / cores⌉ chunks.

* Of a memory with a capacity, layers are given room first come, first served; what does not fit any more streams.
* Row and state memory that are fitted hold everything if that is at most `limits.resident_kib` a core, both together.
  If it is more, nothing stays: row memory then holds two column chunks of the tallest matrix or cache, one in use and
  one arriving, and state memory the states of the layer that has most of them. Constants of a layer whose weights
  stream come with them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from spikesim.errors import CapacityError
from spikesim.hardware import KIB, STATE_BYTES, HardwareConfig
from spikesim.mapping.allocate import Allocation, allocate
from spikesim.mapping.link import lay_out
from spikesim.program import Chain, Link, Program, result_of
from spikesim.program.layout import CoreLayout
from spikesim.program.shares import cache_heads, vector_shares
from spikesim.program.sizes import (
    CacheShape,
    Needs,
    cache_rows,
    chain_words,
    fitted,
    lacking,
    matrix_rows,
    program_words,
    state_rows,
)
from spikesim.support.arithmetic import ceil_div

CONSTANT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class ProgramPlacement:
    """One program's share of the fullest core, in bytes or words, and what of it streams from DRAM.

    `vector_words`: of its own vectors, which all programs' share. `addresses`: first words of all its vectors, as
    `spikesim.mapping.link` lays them out; `matrices`: first row of each resident matrix in every bank, behind all
    resident caches, empty if the weights stream: both known once all programs are placed, and so is what stays in
    memories that are fitted. `constant_words`: of all cores together.
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
    matrices: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, int] = field(default_factory=dict)

    @property
    def dram_bytes(self) -> int:
        """Moved per token for weights and constants; caches and states that stream move what a token touches."""
        return (0 if self.resident else self.weight_bytes) + (
            0 if self.constants_resident else self.constant_words * CONSTANT_BYTES
        )


class Placer:
    """Places the programs of a model one after the other; remembers how full the fullest core is.

    `outlines`: the programs so far with numbers of no account in place of their weights; `layout`: of the fullest core,
    as if it held all of them but constants that stream. `links`: of the whole model.
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
        self._whole: Needs | None = None
        self._buffer = 0
        self._memory = _Remembered(hardware)

    @property
    def vector_words(self) -> int:
        """Words of vector memory in use."""
        return 0 if self.layout is None else self.layout.vector_words

    @property
    def program_words(self) -> int:
        """Words of program memory in use, those that clear and end included."""
        return chain_words(outline.text for outline in self.outlines)

    def place(self, program: Program) -> ProgramPlacement:
        """Gives the program memory or marks it as streamed; of fitted memories it is not said before `finished`.

        Raises CapacityError if it cannot run at all: vectors, instructions, or a single column chunk do not fit.
        """
        hardware = self.hardware
        row_fits, state_fits = hardware.memory.row_kib == "fit", hardware.memory.state_kib == "fit"
        text = program.text
        constant_words = sum(words.size for words in program.constants.values())
        layout, constants_resident = self._take_words(program)
        cache = self._row_bytes(sum(self._cache_rows(program)))
        state = self._row_bytes(sum(state_rows(s, **self._array) for s in text.states.values())) * STATE_BYTES
        weights = self._row_bytes(
            sum(matrix_rows(*matrix.shape, **self._array) for matrix in program.matrices.values())
        )
        spare = self._streaming_buffer(program)
        cache_resident = row_fits or self.row_used + cache + spare <= hardware.row_memory_bytes
        if cache_resident:
            self.row_used += cache
        state_resident = state_fits or self.state_used + state <= hardware.state_memory_bytes
        if state_resident:
            self.state_used += state
        # The last layers may use the streaming buffer too, as long as nothing streams; keeping it free is
        # simpler and safe.
        resident = row_fits or self.row_used + weights + spare <= hardware.row_memory_bytes
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
        )
        self.placements.append(placement)
        return placement

    def finished(self) -> list[ProgramPlacement]:
        """All placements, with the places of vectors and matrices, which depend on all programs."""
        if self.layout is None:
            return []
        self._whole = Needs.of(self.layout)
        self._settle()
        bank = self.hardware.row_bytes * self.hardware.array.ways
        next_row = sum(p.cache_bytes for p in self.placements if p.cache_resident) // bank
        placements = []
        for placement, outline, own in zip(self.placements, self.outlines, self.layout.programs, strict=True):
            first: dict[str, int] = {}
            for name, matrix in sorted(outline.matrices.items()) if placement.resident else ():
                first[name] = next_row
                next_row += matrix_rows(*matrix.shape, **self._array)
            placements.append(
                replace(placement, vector_words=own.own_words, addresses=own.vectors, matrices=first)
            )
        return placements

    def sized(self) -> HardwareConfig:
        """The hardware with a number for every memory: those that are fitted hold what `finished` says."""
        if self.layout is None:
            return fitted(self.hardware)
        bank = self.hardware.row_bytes * self.hardware.array.ways
        streams = not all(p.resident and p.cache_resident for p in self.placements)
        return fitted(
            self.hardware,
            Needs(
                rows=max(self.row_used, self._buffer if streams else 0) // bank,
                state_rows=self._states_held() // (STATE_BYTES * bank),
                vector_words=self.vector_words,
                program_words=self.program_words,
            ),
        )

    def beyond_rtl(self) -> dict[str, int]:
        """Memory settings that one core needs to hold everything, as the RTL does, and the hardware lacks, by name.

        None of several cores, as the RTL is of one; known when `finished`.
        """
        if self._whole is None or self.cores > 1:
            return {}
        return lacking(self.sized(), self._whole)

    def _settle(self) -> None:
        """Decides what of fitted memories stays: everything or nothing."""
        memory = self.hardware.memory
        row_fits, state_fits = memory.row_kib == "fit", memory.state_kib == "fit"
        held = (self.row_used if row_fits else 0) + (self.state_used if state_fits else 0)
        if held <= self.hardware.limits.resident_kib * KIB:
            return
        if state_fits:
            self.state_used = 0
            self.placements = [replace(p, state_resident=not p.state_bytes) for p in self.placements]
        if row_fits:
            self.row_used = 0
            self._stream_rows(constants=memory.vector_words == "fit")

    def _stream_rows(self, *, constants: bool) -> None:
        """Weights and caches of all programs stream, and with weights their `constants`."""
        self.placements = [
            replace(
                p,
                resident=not p.weight_bytes,
                cache_resident=not p.cache_bytes,
                constants_resident=p.constants_resident and not (constants and p.weight_bytes),
            )
            for p in self.placements
        ]
        self.outlines = [
            _outline(outline, constants=p.constants_resident)
            for outline, p in zip(self.outlines, self.placements, strict=True)
        ]
        self._memory = _Remembered(self.hardware)
        self.layout = lay_out(self._chain(), self.hardware, self._memory)

    def _states_held(self) -> int:
        """Bytes of state memory for what stays, or passes through."""
        passing = [p.state_bytes for p in self.placements if not p.state_resident]
        return max([self.state_used, *passing])

    def _take_words(self, program: Program) -> tuple[CoreLayout, bool]:
        """Lays out the vectors of one more program: the layout, and whether its constants stay.

        Those that do not pass through the words that all programs share. Raises CapacityError if nothing helps.
        """
        memory, name = self.hardware.memory, program.text.name
        outline, constants = _outline(program, constants=True), True
        layout = lay_out(self._chain(outline), self.hardware, self._memory)
        if memory.vector_words != "fit" and layout.vector_words > memory.vector_words:
            self._memory.forget(len(self.outlines))
            outline, constants = _outline(program, constants=False), False
            layout = lay_out(self._chain(outline), self.hardware, self._memory)
            if layout.vector_words > memory.vector_words:
                raise CapacityError(
                    f"memory.vector_words must be at least {layout.vector_words} for {name}, not "
                    f"{memory.vector_words}; raise it, or map for a shorter context"
                )
        self.outlines.append(outline)
        self.layout = layout
        if memory.program_words != "fit" and self.program_words > memory.program_words:
            raise CapacityError(
                f"memory.program_words must be at least {self.program_words} for the programs up to "
                f"{name}, not {memory.program_words}"
            )
        return layout, constants

    def _chain(self, *more: Program) -> Chain:
        """The programs so far and one more."""
        programs = (*self.outlines, *more)
        names = {program.text.name for program in programs}
        links = tuple(link for link in self.links if link.to.program in names)
        return Chain(programs=programs, links=links, output=result_of(programs[-1].text))

    def _streaming_buffer(self, program: Program) -> int:
        """Bytes for two column chunks of the tallest matrix: one in use, one arriving.

        A fitted memory may have to pass caches as well, whose chunks may be taller.
        """
        ways, lanes = self.hardware.array.ways, self.hardware.array.lanes
        tallest = max((matrix.shape[1] for matrix in program.matrices.values()), default=0)
        needed = 2 * ceil_div(tallest, ways) * ways * lanes
        shapes = [CacheShape.of(spec, ways=ways, lanes=lanes) for spec in program.text.caches.values()]
        rows = max((max(shape.feature_rows, shape.token_rows) for shape in shapes), default=0)
        self._buffer = max(self._buffer, needed, 2 * rows * ways * lanes)
        if self.hardware.memory.row_kib != "fit" and needed > self.hardware.row_memory_bytes:
            raise CapacityError(
                f"memory.row_kib must be at least {ceil_div(needed, 1024)} for {program.text.name}, "
                f"two column chunks of {tallest} rows, not {self.hardware.memory.row_kib}"
            )
        return needed

    def _cache_rows(self, program: Program) -> list[int]:
        array, text = self.hardware.array, program.text
        return [
            cache_rows(spec, ways=array.ways, lanes=array.lanes, heads=cache_heads(text, name, self.cores)[0])
            for name, spec in text.caches.items()
        ]

    @property
    def _array(self) -> dict[str, int]:
        array = self.hardware.array
        return {"ways": array.ways, "lanes": array.lanes, "cores": self.cores}

    def _row_bytes(self, rows: int) -> int:
        """Of so many rows in every bank, a byte per lane."""
        return rows * self.hardware.array.ways * self.hardware.array.lanes


class _Remembered:
    """An allocator that is asked for the same programs again whenever another one is placed behind them."""

    def __init__(self, hardware: HardwareConfig) -> None:
        self._deal = {"cores": hardware.system.cores, "lanes": hardware.array.lanes}
        self._shares: dict[int, Mapping[str, int]] = {}
        self._places: dict[tuple[int, frozenset[str]], Allocation[str]] = {}

    def shares(self, number: int, program: Program) -> Mapping[str, int]:
        """Words of every vector on the core."""
        if number not in self._shares:
            self._shares[number] = vector_shares(program.text, **self._deal)
        return self._shares[number]

    def places(self, number: int, program: Program, pinned: Collection[str]) -> Allocation[str]:
        """Where its own vectors lie."""
        key = number, frozenset(pinned)
        if key not in self._places:
            self._places[key] = allocate(program, pinned, self.shares(number, program))
        return self._places[key]

    def forget(self, number: int) -> None:
        """The program of this number is tried another way."""
        self._places = {key: places for key, places in self._places.items() if key[0] != number}


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
