"""What a program declares: vectors, inputs and output, constants, matrices, caches, states."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from spikesim.program import Port, Program, is_matrix
from spikesim.program.verifier.findings import Findings
from spikesim.program.verifier.views import MOST_WORDS

MOST_COPIES = 2**16
"""Copies of a state; assumed, far above any number of partitions, so that a slip does not ask for all memory."""

MOST_BLOCK = 2**24 - 1
"""Tokens of a block or window: a field of the instruction word, and block sums of counts then fit 32 bits."""


def check_declarations(program: Program, found: Findings) -> None:
    """Sizes, names and arrays; everything that needs no instruction to be judged."""
    text = program.text
    for name, words in text.vectors.items():
        found.within(words, 1, MOST_WORDS, f"vector {name}")
    found.require(bool(text.outputs), "outputs", "at least one port", "none")
    for side, ports in (("inputs", text.inputs), ("outputs", text.outputs)):
        for port in ports:
            _check_port(side, port, program, found)
        for one, other in pairwise(sorted(port.name for port in ports)):
            found.require(one != other, side, "named once each", f"{one} twice")
    for name in text.persistent:
        own = name in text.vectors and name not in program.constants and name not in text.input_names
        found.require(own, "persistent", "vectors of the program's own that are no constants or inputs", name)
    _check_constants(program, found)
    _check_matrices(program, found)
    for name, cache in text.caches.items():
        for field in ("heads", "size", "tokens"):
            found.within(getattr(cache, field), 1, MOST_BLOCK, f"cache {name}: {field}")
        found.within(cache.block, 0, MOST_BLOCK, f"cache {name}: block")
    for name, state in text.states.items():
        found.within(state.copies, 1, MOST_COPIES, f"state {name}: copies")
        for field in ("heads", "size"):
            found.within(getattr(state, field), 1, MOST_BLOCK, f"state {name}: {field}")
        found.require(
            name not in text.caches, f"state {name}", "named unlike every cache", f"{name} for both"
        )


def _check_port(side: str, port: Port, program: Program, found: Findings) -> None:
    """A port is a vector, all of it."""
    words = program.text.vectors.get(port.name)
    if not found.require(words is not None, side, "vectors that the program declares", port.name):
        return
    found.require(port.name not in program.constants, side, "vectors that are no constants", port.name)
    sound = bool(port.shape) and min(port.shape) >= 1 and port.words == words
    shape = " × ".join(map(str, port.shape)) or "nothing"
    found.require(sound, f"shape of {port.name}", f"{words} words", shape)


def _check_constants(program: Program, found: Findings) -> None:
    for name, words in program.constants.items():
        declared = program.text.vectors.get(name)
        if not found.require(declared is not None, f"constant {name}", "a vector of the program", "unknown"):
            continue
        rule = f"int32[{declared}] without gaps"
        value = _describe(words)
        found.require(
            words.dtype == np.int32 and words.shape == (declared,) and words.flags.c_contiguous,
            f"constant {name}",
            rule,
            value,
        )


def _check_matrices(program: Program, found: Findings) -> None:
    for name, matrix in program.matrices.items():
        found.require(
            matrix.dtype == np.int8 and matrix.ndim == 2 and matrix.size > 0 and matrix.flags.c_contiguous,
            f"matrix {name}",
            "int8[outputs, channels] without gaps",
            _describe(matrix),
        )


def _describe(array: np.ndarray) -> str:
    gaps = "" if array.flags.c_contiguous else " with gaps"
    return f"{array.dtype}[{', '.join(map(str, array.shape))}]{gaps}"


def check_unused(program: Program, found: Findings) -> None:
    """Every matrix is the operand of a gather."""
    used = {i.name for i in program.instructions() if is_matrix(i)}
    for name in program.matrices:
        found.require(name in used, f"matrix {name}", "the operand of a gather", "unused")
