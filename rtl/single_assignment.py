"""Processes in RTLIL text, rewritten so that every path through one assigns every bit exactly once.

A process that Amaranth writes begins with a default and overrides it under conditions. As Verilog it shows its readers
values that it takes back in the same moment: they run for nothing, and a simulator that wakes a block without a change
of its inputs never comes to an end, because the block makes such a change itself (Icarus Verilog 11 wakes an
`always_comb` block with others). Here what a later condition does not override becomes its `else`, and a case
without an assignment joins the default, so that a block that runs again with the same inputs changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise


@dataclass(frozen=True)
class Bits:
    """Bits of a wire from `low` on, or of a constant: `wire` is then "" and `constant` its digits."""

    wire: str
    low: int
    width: int
    constant: str = ""

    def part(self, low: int, width: int) -> Bits:
        """So many of the bits, from `low` on."""
        if not self.wire:
            digits = self.constant[len(self.constant) - low - width : len(self.constant) - low]
            return Bits("", 0, width, digits)
        return replace(self, low=self.low + low, width=width)

    def joined(self, upper: Bits) -> Bits | None:
        """These bits with others above them as one operand, if they are one."""
        if not self.wire and not upper.wire:
            return Bits("", 0, self.width + upper.width, upper.constant + self.constant)
        if self.wire == upper.wire and self.low + self.width == upper.low:
            return replace(self, width=self.width + upper.width)
        return None

    def __str__(self) -> str:
        if not self.wire:
            return f"{self.width}'{self.constant}"
        return (
            f"{self.wire} [{self.low + self.width - 1}:{self.low}]"
            if self.width > 1
            else f"{self.wire} [{self.low}]"
        )


Operand = tuple[Bits, ...]
"""A value, lowest bits first."""


@dataclass(frozen=True)
class Choice:
    """The value of the first case one of whose patterns the selector matches; the last case has no pattern."""

    selector: str
    cases: tuple[tuple[str, Node], ...]


Node = Operand | Choice
Values = dict[Bits, Node | None]
"""What is assigned to each part of the target; None: nothing yet."""


@dataclass(frozen=True)
class _Assign:
    target: Bits
    value: Operand


@dataclass(frozen=True)
class _Switch:
    selector: str
    cases: tuple[tuple[str, tuple[_Assign | _Switch, ...]], ...]


_Statement = _Assign | _Switch

_PROCESS = re.compile(r"(?ms)^(  process \S+\n)(.*?)^  end\n")
_TOKEN = re.compile(r"(\d+)'([01x-]+)|(\S+) \[(\d+)(?::(\d+))?\]")


def with_single_assignments(text: str) -> str:
    """RTLIL text with all its processes rewritten. Amaranth's processes only: no `sync`, no attributes."""
    return _PROCESS.sub(lambda at: f"{at[1]}{_rewritten(at[2])}  end\n", text)


def _rewritten(body: str) -> str:
    lines = iter(body.splitlines())
    statements, _ = _block(lines)
    values: Values = dict.fromkeys(_parts(statements))
    return "".join(f"{line}\n" for line in _written(_run(statements, values), 4))


def _block(lines: Iterator[str]) -> tuple[tuple[_Statement, ...], str]:
    """Statements up to a line that ends them, and that line."""
    found: list[_Statement] = []
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "assign":
            target, value = _operands(rest)
            found.append(_Assign(target, value))
        elif word == "switch":
            found.append(_switch(rest, lines))
        else:
            return tuple(found), line.strip()
    return tuple(found), ""


def _switch(selector: str, lines: Iterator[str]) -> _Switch:
    cases = []
    line = next(lines).strip()
    while line != "end":
        patterns = line.removeprefix("case").strip()
        body, line = _block(lines)
        cases.append((patterns, body))
    return _Switch(selector, tuple(cases))


def _operands(text: str) -> tuple[Bits, Operand]:
    """The target and the value of an assignment."""
    bits = [
        Bits("", 0, int(at[1]), at[2])
        if at[1]
        else Bits(at[3], int(at[5] or at[4]), int(at[4]) - int(at[5] or at[4]) + 1)
        for at in _TOKEN.finditer(text)
    ]
    if not bits or _TOKEN.sub("", text).strip(" {}"):
        raise ValueError(f"an assignment must be of constants and parts of wires, not {text}")
    target, *value = bits
    return target, tuple(reversed(value))


def _parts(statements: Sequence[_Statement]) -> list[Bits]:
    """The parts of the target that are assigned together, lowest first."""
    targets = list(_targets(statements))
    edges = sorted({edge for target in targets for edge in (target.low, target.low + target.width)})
    return [replace(targets[0], low=low, width=high - low) for low, high in pairwise(edges)]


def _targets(statements: Sequence[_Statement]) -> Iterator[Bits]:
    for statement in statements:
        if isinstance(statement, _Assign):
            yield statement.target
        else:
            for _, body in statement.cases:
                yield from _targets(body)


def _run(statements: Sequence[_Statement], values: Values) -> Values:
    """The values behind the statements."""
    values = dict(values)
    for statement in statements:
        if isinstance(statement, _Assign):
            target = statement.target
            for part in values:
                if target.low <= part.low < target.low + target.width:
                    values[part] = _slice(statement.value, part.low - target.low, part.width)
            continue
        cases = [(patterns, _run(body, values)) for patterns, body in statement.cases]
        if not _complete(statement):
            cases.append(("", values))
        cases[-1] = ("", cases[-1][1])
        for part in values:
            values[part] = _choice(statement.selector, [(patterns, found[part]) for patterns, found in cases])
    return values


def _slice(value: Operand, low: int, width: int) -> Operand:
    found: list[Bits] = []
    at = 0
    for bits in value:
        first, last = max(low, at), min(low + width, at + bits.width)
        if first < last:
            found.append(bits.part(first - at, last - first))
        at += bits.width
    return tuple(found)


def _complete(switch: _Switch) -> bool:
    """Whether its cases are all there can be: one without a pattern, or every value once."""
    patterns = [pattern for names, _ in switch.cases for pattern in names.split(", ")]
    if not switch.cases[-1][0]:
        return True
    width = int(patterns[0].partition("'")[0])
    return not any("-" in pattern for pattern in patterns) and len(set(patterns)) == 1 << width


def _choice(selector: str, cases: list[tuple[str, Node | None]]) -> Node | None:
    """One of the cases; without those that the last one serves as well."""
    otherwise = cases[-1][1]
    if _disjoint([patterns for patterns, _ in cases[:-1]]):
        cases = [case for case in cases[:-1] if case[1] != otherwise] + cases[-1:]
    while len(cases) > 1 and cases[-2][1] == otherwise:
        del cases[-2]
    if len(cases) == 1 or any(node is None for _, node in cases):
        return otherwise
    return Choice(selector, tuple((patterns, node) for patterns, node in cases if node is not None))


def _disjoint(cases: Sequence[str]) -> bool:
    """Whether no value matches patterns of two cases."""
    patterns = [pattern.partition("'")[2] for names in cases for pattern in names.split(", ")]
    return not any(
        all(a == b or "-" in (a, b) for a, b in zip(one, other, strict=True))
        for one, other in combinations(patterns, 2)
    )


def _written(values: Values, indent: int) -> Iterator[str]:
    """Lines that assign all parts: those that are chosen alike together, neighbours of one operand at once."""
    space = " " * indent
    parts = list(values)
    while parts:
        first = values[parts[0]]
        count = 1
        if isinstance(first, Choice):
            shape = _shape(first)
            while count < len(parts) and _shape(values[parts[count]]) == shape:
                count += 1
            group, parts = parts[:count], parts[count:]
            yield f"{space}switch {first.selector}"
            for number, (patterns, _) in enumerate(first.cases):
                yield f"{space}  case {patterns}".rstrip()
                inner = {part: values[part].cases[number][1] for part in group}  # type: ignore[union-attr]
                yield from _written(inner, indent + 4)
            yield f"{space}end"
        elif first is None:
            raise ValueError(f"{parts[0]} must be assigned on every path")
        else:
            target, value = parts.pop(0), first
            while parts and (joined := _joined(value, values[parts[0]])):
                target, value = replace(target, width=target.width + parts.pop(0).width), joined
            text = " ".join(map(str, reversed(value)))
            yield f"{space}assign {target} {text if len(value) == 1 else f'{{ {text} }}'}"


def _shape(node: Node | None) -> tuple[str, ...] | None:
    return (node.selector, *(patterns for patterns, _ in node.cases)) if isinstance(node, Choice) else None


def _joined(value: Operand, upper: Node | None) -> Operand | None:
    """Two operands of one piece as one such."""
    if not isinstance(upper, tuple) or len(value) != 1 or len(upper) != 1:
        return None
    both = value[0].joined(upper[0])
    return None if both is None else (both,)
