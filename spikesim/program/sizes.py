"""How much memory things take: the one definition that placing, linking, assembling and reporting go by.

Program memory in words, row and state memory in rows of a bank. Vector memory is laid out by `spikesim.mapping.link`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spikesim.program import CacheSpec, ProgramText, StateSpec
from spikesim.support.arithmetic import ceil_div

INSTRUCTION_WORDS = 16
"""32-bit words of one hardware instruction."""

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


def cache_rows(spec: CacheSpec, *, ways: int, lanes: int, cores: int = 1) -> int:
    """Rows per bank of a cache, on the fullest of the cores that share its heads."""
    return ceil_div(spec.heads, cores) * CacheShape.of(spec, ways=ways, lanes=lanes).rows


def state_rows(spec: StateSpec, *, ways: int, lanes: int, cores: int = 1) -> int:
    """Rows per bank of a state, on the fullest of the cores that share the column chunks of its heads."""
    chunks = ceil_div(spec.heads * ceil_div(spec.size, lanes), cores)
    return spec.copies * chunks * ceil_div(spec.size, ways)
