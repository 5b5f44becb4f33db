"""Where everything lies in the memories of one core: vectors, matrices, caches and states of a chain of programs.

`spikesim.mapping.link` makes a layout; `spikesim.rtl` assembles instructions and memory images from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikesim.support.arithmetic import ceil_div


@dataclass(frozen=True, kw_only=True)
class OperandLayout:
    """An operand of the array in row or state memory, in rows of a bank.

    Row r of column chunk c of head h, in block b, is at `base` + h · `head_stride` + b · `block_stride` +
    c · `chunk_stride` + r.
    """

    base: int
    head_stride: int = 0
    chunk_stride: int = 0
    block_stride: int = 0


@dataclass(frozen=True, kw_only=True)
class CacheLayout:
    """Keys, values and block means of a cache.

    In vector memory: `sums`, the first word of the running block sums, and `scale`, the factor that makes means.
    """

    keys: OperandLayout
    values: OperandLayout
    means: OperandLayout | None = None
    sums: int = 0
    scale: int = 0


@dataclass(frozen=True, kw_only=True)
class StateLayout:
    """An SSE state: `rows` words per bank and head, `copy_stride` rows per copy; `factors`: first word of G."""

    operand: OperandLayout
    rows: int
    copy_stride: int
    factors: int


@dataclass(frozen=True, kw_only=True)
class ProgramLayout:
    """Addresses of one program's vectors (first words), matrices, caches and states.

    `own_words`: of the words that all programs share, how many it uses.
    """

    vectors: dict[str, int]
    matrices: dict[str, OperandLayout]
    caches: dict[str, CacheLayout]
    states: dict[str, StateLayout]
    own_words: int = 0


@dataclass(frozen=True, kw_only=True)
class CoreLayout:
    """A chain of programs on one core.

    * `input`, `output`: first words of the vector that carries a token in, and of its result.
    * `scratch`: words that an instruction may use until it is done.
    * `literals`: words that are no program's constants, by address; among them those at `full_factor`, the decay
      factor of an empty state, and `clear_shift`, a right shift that empties one.
    * `vector_words`, `program_words`; `row_words`, `state_words` per bank: how much is used.
    * `encoder_rows`, `scatter_rows`, `blocks`: what the event encoder must hold.
    * `context`: positions that its caches have room for; None if nothing has a limit.
    """

    programs: tuple[ProgramLayout, ...]
    input: int
    output: int
    scratch: int
    full_factor: int
    clear_shift: int
    literals: dict[int, int]
    vector_words: int
    program_words: int
    row_words: int
    state_words: int
    encoder_rows: int
    scatter_rows: int
    blocks: int
    context: int | None


def block_bits(span: int, ways: int) -> int:
    """Bits of a row's number within a block of `span` tokens, as a gather of values numbers its encoder rows."""
    return (ceil_div(span, ways) - 1).bit_length()
