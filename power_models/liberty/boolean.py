"""Boolean functions as Liberty writes them, and their truth tables: `(A1 & A2)`, `!A+B C`, `A^B'`.

From the strongest: `'` behind a factor, `!` before it, `^`, and (`&`, `*` or nothing), or (`|`, `+`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import LibertyError

MOST_NAMES = 16
"""A truth table has a bit for every combination; cells of real libraries have up to ten pins."""

_NAME = r"[A-Za-z_][\w\[\].]*"
_TOKEN = re.compile(rf"\s*({_NAME}|[01]|[!'^&*|+()])")
_STRENGTH = {"|": 1, "&": 2, "^": 3, "!": 4}
_SAME = {"+": "|", "*": "&"}


def names_in(expression: str) -> list[str]:
    """The names of an expression, each once, in order of appearance."""
    return list(dict.fromkeys(re.findall(_NAME, expression)))


def truth_table(expression: str, inputs: Sequence[str], defined: Mapping[str, int] | None = None) -> int:
    """Bit n of the result is the value for the inputs that n spells, `inputs[0]` being n's lowest bit.

    `defined`: truth tables, over the same inputs, of further names. Raises LibertyError if the expression cannot be
    read, has other names, or there are more than `MOST_NAMES` inputs.
    """
    if len(inputs) > MOST_NAMES:
        raise LibertyError(
            f"function {expression!r} must have at most {MOST_NAMES} inputs, not {len(inputs)}"
        )
    every = (1 << (1 << len(inputs))) - 1
    values = {"0": 0, "1": every, **(defined or {})}
    for i, name in enumerate(inputs):
        period = 1 << (
            i + 1
        )  # 2^i zeros, then 2^i ones, and again: every's bits at each period, spread over its half
        values[name] = every // ((1 << period) - 1) * (((1 << (period // 2)) - 1) << (period // 2))
    stack: list[int] = []
    for token in _postfix(expression):
        if token == "!":
            stack[-1] ^= every
        elif token in _STRENGTH:
            right = stack.pop()
            left = stack.pop()
            stack.append({"&": left & right, "|": left | right, "^": left ^ right}[token])
        elif token in values:
            stack.append(values[token])
        else:
            raise LibertyError(f"function {expression!r} must use the cell's pins, not {token}")
    return stack[0]


def spelled(expression: str) -> str:
    """The expression in the one spelling that all tools read alike: `!`, `&`, `|`, `^` and brackets around each pair.

    >>> spelled("A B + C'"), spelled("((!A))")
    ('(A & B) | !C', '!A')
    """
    stack: list[str] = []
    for token in _postfix(expression):
        if token == "!":
            inner = stack.pop()
            stack.append(inner[1:] if inner.startswith("!") else f"!{inner}")
        elif token in _STRENGTH:
            right = stack.pop()
            stack.append(f"({stack.pop()} {token} {right})")
        else:
            stack.append(token)
    whole = stack[0]
    return whole[1:-1] if whole.startswith("(") else whole


def one_spelling(expressions: Iterable[str]) -> dict[str, str]:
    """For each condition the one, of those given, that stands for all that hold in the same states."""
    chosen: dict[object, str] = {}
    keys = {expression: _meaning(expression) for expression in sorted(set(expressions))}
    for expression, key in keys.items():
        chosen.setdefault(key, expression)
    return {expression: chosen[key] for expression, key in keys.items()}


def _meaning(expression: str) -> object:
    names = sorted(names_in(expression))
    try:
        return tuple(names), truth_table(expression, names)
    except LibertyError:  # whoever has to weigh the condition says what is wrong with it
        return expression


def holds(table: int, inputs: int) -> NDArray[np.bool_]:
    """bool[2**inputs]: the bits of a truth table, the lowest first."""
    size = 1 << inputs
    octets = np.frombuffer(table.to_bytes((size + 7) // 8, "little"), np.uint8)
    return np.unpackbits(octets, count=size, bitorder="little").astype(np.bool_)


def probability(expression: str, ones: Mapping[str, float]) -> float:
    """How probable it is that the expression holds, its names being independently 1 with the given probabilities."""
    names = names_in(expression)
    states = state_probabilities([np.array([ones[name]]) for name in names])[0]
    return float(states[holds(truth_table(expression, names), len(names))].sum())


def state_probabilities(ones: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """float64[items, 2**inputs]: how probable each combination is; `ones`: float64[items] for every input, the lowest
    bit first, that it is 1, independently of the others."""
    states = np.ones((ones[0].size if ones else 1, 1))
    for one in ones:
        states = np.concatenate([states * (1 - one)[:, None], states * one[:, None]], axis=1)
    return states


def _postfix(expression: str) -> list[str]:
    """The expression in reverse Polish notation, operators `!&|^`; without recursion, as files may be hostile."""
    tokens = _TOKEN.findall(expression)
    if "".join(tokens) != re.sub(r"\s+", "", expression) or not tokens:
        raise LibertyError(f"function {_short(expression)} must be a Boolean expression of pins")
    output: list[str] = []
    waiting: list[str] = []
    after_factor = False

    def push(operator: str) -> None:
        while waiting and waiting[-1] != "(" and _STRENGTH[waiting[-1]] >= _STRENGTH[operator]:
            output.append(waiting.pop())
        waiting.append(operator)

    for token in tokens:
        token = _SAME.get(token, token)
        if after_factor and token == "'":
            output.append("!")
        elif after_factor and token in ("&", "|", "^"):
            push(token)
            after_factor = False
        elif after_factor and token == ")":
            while waiting and waiting[-1] != "(":
                output.append(waiting.pop())
            if not waiting:
                raise LibertyError(f"function {_short(expression)} must open the brackets that it closes")
            waiting.pop()
        elif token in ("'", "&", "|", "^", ")"):
            raise LibertyError(f"function {_short(expression)} must be a Boolean expression of pins")
        else:
            if after_factor:
                push("&")
            after_factor = token not in ("!", "(")
            (output if after_factor else waiting).append(token)
    if not after_factor:
        raise LibertyError(f"function {_short(expression)} must be a Boolean expression of pins")
    while waiting:
        if waiting[-1] == "(":
            raise LibertyError(f"function {_short(expression)} must close its brackets")
        output.append(waiting.pop())
    return output


def _short(expression: str) -> str:
    return repr(expression if len(expression) <= 60 else expression[:60] + "…")
