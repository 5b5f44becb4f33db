"""How much memory things take: the one definition that placing, linking, assembling and reporting go by.

Program memory in words, row and state memory in rows of a bank. Vector memory is laid out by `spikesim.mapping.link`;
`spikesim.program.shares` says what of it one of several cores holds. `fitted` turns the sizes of a hardware that are
"fit" into numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spikesim.hardware import KIB, STATE_BYTES, HardwareConfig
from spikesim.program import CacheSpec, ProgramText, StateSpec
from spikesim.program.layout import CoreLayout
from spikesim.support.arithmetic import ceil_div

INSTRUCTION_WORDS = 16
"""32-bit words of one hardware instruction."""

GENERAL = {"row_kib": 2048, "state_kib": 256, "vector_words": 65536, "program_words": 65536}
"""Sizes of fitted memories where there is no program to fit: a core for models yet to come."""

LEAST_VECTOR_WORDS, LEAST_PROGRAM_WORDS = 256, 64
"""As little as a hardware may have."""

ENDS = 2
"""Hardware instructions that end a chain: one behind the instructions of a token, one behind those that clear."""


def clearing_parts(text: ProgramText) -> int:
    """Hardware instructions that empty what a program keeps from token to token.

    Of a state the factors, the shifts, and a sweep of each copy; of a cache with blocks the running sums; and every
    persistent vector.
    """
    states = sum(2 + spec.copies for spec in text.states.values())
    return states + sum(1 for spec in text.caches.values() if spec.block) + len(text.persistent)


def program_words(text: ProgramText) -> int:
    """Words of program memory that a program takes, clearing included; a chain takes `ENDS` instructions more."""
    own = sum(i.PARTS for section in text.sections for i in section.instructions)
    return INSTRUCTION_WORDS * (own + clearing_parts(text))


def chain_words(texts: Iterable[ProgramText]) -> int:
    """Words of program memory of a chain of programs."""
    return sum(map(program_words, texts)) + ENDS * INSTRUCTION_WORDS


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What one core must hold: rows per bank of row and of state memory, words of vector and of program memory."""

    rows: int
    state_rows: int
    vector_words: int
    program_words: int

    @staticmethod
    def of(layout: CoreLayout) -> Needs:
        """What a core must have to hold a whole layout and its program."""
        return Needs(
            rows=layout.row_words,
            state_rows=layout.state_words,
            vector_words=layout.vector_words,
            program_words=layout.program_words,
        )

    def settings(self, hardware: HardwareConfig) -> dict[str, int]:
        """The least settings of `memory` that hold it, by name."""
        row = hardware.array.ways * hardware.array.lanes
        return {
            "row_kib": max(hardware.least_row_kib, ceil_div(self.rows * row, KIB)),
            "state_kib": max(hardware.least_state_kib, ceil_div(self.state_rows * row * STATE_BYTES, KIB)),
            "vector_words": max(LEAST_VECTOR_WORDS, self.vector_words),
            "program_words": max(LEAST_PROGRAM_WORDS, self.program_words),
        }


def fitted(hardware: HardwareConfig, needs: Needs | None = None) -> HardwareConfig:
    """The hardware with a number for every memory that is "fit": what is needed, or `GENERAL` if nothing says what."""
    sizes = GENERAL if needs is None else needs.settings(hardware)
    wanted = {f"memory.{name}": sizes[name] for name, size in hardware.memory if size == "fit"}
    return hardware.replace(**wanted) if wanted else hardware


def lacking(hardware: HardwareConfig, needs: Needs) -> dict[str, int]:
    """Settings that are smaller than what is needed, by name, and the least that would do."""
    return {
        f"memory.{name}": least
        for name, least in needs.settings(hardware).items()
        if (have := getattr(hardware.memory, name)) != "fit" and have < least
    }


@dataclass(frozen=True, kw_only=True)
class CacheShape:
    """One head of a cache: rows and column chunks of its features, of one block of its tokens, and its blocks.

    Every block begins in bank 0 and in lane 0; a cache without blocks is a single one and has no chunks of means.
    """

    feature_rows: int
    feature_chunks: int
    blocks: int
    token_rows: int
    token_chunks: int
    mean_chunks: int

    @staticmethod
    def of(spec: CacheSpec, *, ways: int, lanes: int) -> CacheShape:
        """The shape of a cache on an array."""
        span = spec.block or spec.tokens
        blocks = ceil_div(spec.tokens, span)
        return CacheShape(
            feature_rows=ceil_div(spec.size, ways),
            feature_chunks=ceil_div(spec.size, lanes),
            blocks=blocks,
            token_rows=ceil_div(span, ways),
            token_chunks=ceil_div(span, lanes),
            mean_chunks=ceil_div(blocks, lanes) if spec.block else 0,
        )

    @property
    def rows(self) -> int:
        """Rows per bank of keys (row = feature), values (row = token) and means (row = feature)."""
        keys = self.feature_rows * self.blocks * self.token_chunks
        values = self.feature_chunks * self.blocks * self.token_rows
        return keys + values + self.feature_rows * self.mean_chunks


def matrix_rows(outputs: int, channels: int, *, ways: int, lanes: int, cores: int = 1) -> int:
    """Rows per bank of a matrix, on the fullest of the cores that share its column chunks."""
    return ceil_div(ceil_div(outputs, lanes), cores) * ceil_div(channels, ways)


def cache_rows(spec: CacheSpec, *, ways: int, lanes: int, heads: int | None = None) -> int:
    """Rows per bank of so many heads of a cache, of all unless said."""
    held = spec.heads if heads is None else heads
    return held * CacheShape.of(spec, ways=ways, lanes=lanes).rows


def state_rows(spec: StateSpec, *, ways: int, lanes: int, cores: int = 1) -> int:
    """Rows per bank of a state, on the fullest of the cores that share the column chunks of its heads."""
    chunks = ceil_div(spec.heads * ceil_div(spec.size, lanes), cores)
    return spec.copies * chunks * ceil_div(spec.size, ways)
