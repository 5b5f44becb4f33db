"""The functions of library cells as operations on words: bit s of every word belongs to stream s.

`match` finds the operation of a truth table, whatever the order of the cell's pins. `evaluate_word` computes one cell,
`kernels.py` blocks of cells of one operation; the text of both is made of `FUNCTIONS`. A function that has no operation
of its own is computed from its table.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import ToolError
from spikesim.power_models.liberty.boolean import truth_table
from spikesim.support.jit import jit, jit_text

MAX_INPUTS = 6
"""The truth table of this many inputs is one word."""

FUNCTIONS = (
    "a",
    "!a",
    "a&b",
    "!(a&b)",
    "a|b",
    "!(a|b)",
    "a^b",
    "!(a^b)",
    "a&!b",
    "a|!b",
    "a&b&c",
    "!(a&b&c)",
    "a|b|c",
    "!(a|b|c)",
    "a&b&c&d",
    "!(a&b&c&d)",
    "a|b|c|d",
    "!(a|b|c|d)",
    "a^b^c",
    "!(a^b^c)",
    "a&b|c&(a|b)",
    "!(a&b|c&(a|b))",
    "a&!c|b&c",
    "!(a&!c|b&c)",
    "!(a|b&c)",
    "!(a&(b|c))",
    "a|b&c",
    "a&(b|c)",
    "!(a&b|c&d)",
    "!((a|b)&(c|d))",
    "a&b|c&d",
    "(a|b)&(c|d)",
    "!(a|b|c&d)",
    "!(a&b&(c|d))",
    "!(a|b&c|d&e)",
    "!(a&(b|c)&(d|e))",
    "!(a&b|c&d|e&f)",
    "!((a|b)&(c|d)&(e|f))",
    "!((a|b|c)&(d|e|f))",
)
"""The function of every operation, a … f being its operands in order; its number is its place here.

Python binds these operators in the same order, but for `^`, which is therefore in no function with others.
"""

TABLE = len(FUNCTIONS)
"""The operation that looks up its table."""


class CellOperation(NamedTuple):
    """Operation `code`, operand j of which is the cell's input `inputs[j]`; `table` matters to TABLE alone."""

    code: int
    inputs: tuple[int, ...]
    table: int


@lru_cache(maxsize=4096)
def match(table: int, inputs: int) -> CellOperation | bool:
    """The operation of a truth table as `boolean.truth_table` gives it; a bool if the function is constant.

    Inputs that do not matter are not read. Raises ToolError: more than MAX_INPUTS matter.
    """
    matter = [i for i in range(inputs) if _cofactor(table, inputs, i, 0) != _cofactor(table, inputs, i, 1)]
    if not matter:
        return bool(table & 1)
    if len(matter) > MAX_INPUTS:
        raise ToolError(f"the function of a cell must have at most {MAX_INPUTS} inputs, not {len(matter)}")
    own = _bits(table, 1 << inputs)[_places(matter)]
    for code, function in enumerate(_function_tables()):
        if function.size != own.size or function.sum() != own.sum():
            continue
        for order in permutations(range(len(matter))):
            # Operand order[i] of the operation is input i of those that matter.
            if np.array_equal(function[_shuffle(order)], own):
                place = {operand: i for i, operand in enumerate(order)}
                return CellOperation(code, tuple(matter[place[j]] for j in range(len(matter))), 0)
    packed = sum(int(bit) << n for n, bit in enumerate(own))
    return CellOperation(TABLE, tuple(matter), packed)


def _bits(table: int, size: int) -> NDArray[np.int64]:
    return np.array([table >> n & 1 for n in range(size)], np.int64)


def _cofactor(table: int, inputs: int, fixed: int, value: int) -> list[int]:
    return [table >> n & 1 for n in range(1 << inputs) if n >> fixed & 1 == value]


def _places(matter: list[int]) -> NDArray[np.int64]:
    """Where a table's entries for all values of the inputs that matter are, the others being 0."""
    n = np.arange(1 << len(matter))
    return np.asarray(sum((n >> j & 1) << i for j, i in enumerate(matter)), np.int64)


@lru_cache(maxsize=1024)
def _shuffle(order: tuple[int, ...]) -> NDArray[np.int64]:
    n = np.arange(1 << len(order))
    return np.asarray(sum((n >> i & 1) << operand for i, operand in enumerate(order)), np.int64)


def operand_names(function: str) -> list[str]:
    """The names of its operands, in order."""
    return sorted(set(function) & set("abcdef"))


def in_python(function: str) -> str:
    """The function as an expression of words."""
    return function.replace("!", "~")


@lru_cache(maxsize=1)
def _function_tables() -> tuple[NDArray[np.int64], ...]:
    names = [operand_names(text) for text in FUNCTIONS]
    tables = [truth_table(text, own) for text, own in zip(FUNCTIONS, names, strict=True)]
    return tuple(_bits(table, 1 << len(own)) for table, own in zip(tables, names, strict=True))


@jit()
def _tabulated(
    table: np.uint64, a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64, e: np.uint64, f: np.uint64
) -> np.uint64:  # pragma: no cover (compiled)
    """Any function: the or of its minterms."""
    result = np.uint64(0)
    for n in range(64):
        if table >> np.uint64(n) & np.uint64(1):
            term = a if n & 1 else ~a
            term &= b if n & 2 else ~b
            term &= c if n & 4 else ~c
            term &= d if n & 8 else ~d
            term &= e if n & 16 else ~e
            term &= f if n & 32 else ~f
            result |= term
    return result


def _branch(code: int, function: str) -> str:
    return f"""
    if code == {code}:
        return {in_python(function)}"""


evaluate_word = jit_text(
    f"""
def evaluate_word(code, table, a, b, c, d, e, f):
    {"".join(map(_branch, range(TABLE), FUNCTIONS))}
    return _tabulated(table, a, b, c, d, e, f)
""",
    globals(),
)
"""uint64: the operation `code` of one cell's operands, uint64; those that it does not have are ignored."""
