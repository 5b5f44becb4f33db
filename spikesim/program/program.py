"""The program of a spike core: sections of instructions, and the memories they name.

A program turns the words at its inputs into those at its outputs, once per step: a token of a language model, a time
step of a spiking network, a frame. The golden model, the cycle model and the RTL execute the same program. Memories
that it names:

* *vectors*: 32-bit words of the vector memory. A vector holds integers, packed scalars (`spikesim.program.scalar`), or
  counts.
* *matrices*: INT8 rows of the row memory, stored here `int8[outputs, channels]`.
* *caches*: INT8 keys, values and block means that grow by one entry per token (row memory).
* *states*: INT16 rows of the SSE state (state memory), with one decay factor per head and state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikesim.program.instructions import Frozen, Instruction, Name, SectionKind
from spikesim.program.ports import Port, Requires


class Section(Frozen):
    """Instructions that a simulator may run for many tokens at once, and how.

    `parallel`: no token depends on another. `attention`: tokens read caches that are already complete up to
    themselves.
    `recurrent`: every instruction of a token must be done before the next token begins. The hardware knows no
    sections: it runs all instructions of a token, then the next token.
    """

    kind: SectionKind
    instructions: tuple[Instruction, ...]


class CacheSpec(Frozen):
    """INT8 keys and values of `heads` key/value heads of `size` features for the last `tokens` tokens.

    `block` > 0 adds one mean vector per finished block of that many tokens (MoBA).
    """

    heads: int
    size: int
    tokens: int
    block: int = 0


class StateSpec(Frozen):
    """`copies` INT16 states of `heads` · `size` rows of `size` values: the shared one, or all partitions."""

    copies: int
    heads: int
    size: int


class ProgramText(Frozen):
    """What of a program is text: everything except the numbers in `constants` and `matrices`.

    A vector lives within a step, but those in `persistent`: they keep their words from one step of a sequence to the
    next, and begin as zeros.
    """

    name: Name
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...]
    vectors: dict[Name, int]
    persistent: tuple[Name, ...] = ()
    sections: tuple[Section, ...]
    caches: dict[Name, CacheSpec] = Field(default_factory=dict)
    states: dict[Name, StateSpec] = Field(default_factory=dict)
    requires: Requires = Requires()

    @property
    def input_names(self) -> tuple[str, ...]:
        """The vectors that words come in by."""
        return tuple(port.name for port in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The vectors that words leave by."""
        return tuple(port.name for port in self.outputs)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program and its numbers.

    * `text.vectors`: words of each vector, `text.inputs` / `text.outputs`: those by which words come in and leave.
    * `constants`: int32 vectors that are loaded once and only read.
    * `matrices`: int8[outputs, channels].
    """

    text: ProgramText
    constants: Mapping[str, NDArray[np.int32]]
    matrices: Mapping[str, NDArray[np.int8]]

    def instructions(self) -> Iterator[Instruction]:
        """All instructions in the order in which the core executes them in a step."""
        for section in self.text.sections:
            yield from section.instructions

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weight matrices."""
        return sum(matrix.size for matrix in self.matrices.values())
