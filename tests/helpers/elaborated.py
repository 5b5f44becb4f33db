"""Emitted Verilog as slang sees it, a front end of IEEE 1800 of its own: errors, and what blocks assign."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyslang.ast import Compilation, ProceduralBlockKind, StatementKind, SymbolKind
from pyslang.syntax import SyntaxTree

_COMBINATIONAL = ProceduralBlockKind.AlwaysComb

Bits = frozenset[tuple[str, int]]
"""Bits of variables, each with its number from the lowest of the declaration up."""


def elaborated(text: str) -> Compilation:
    """The design, whose instances have all been looked into; AssertionError for an error."""
    compilation = Compilation()
    compilation.addSyntaxTree(SyntaxTree.fromText(text))
    errors = [found for found in compilation.getAllDiagnostics() if found.isError()]
    assert not errors, "\n".join(f"{found.code} {found.args}" for found in errors)
    return compilation


def combinational_blocks(compilation: Compilation) -> Iterator[Any]:
    """The body of every `always_comb`, of each module once."""
    seen: set[str] = set()
    waiting = list(compilation.getRoot().topInstances)
    while waiting:
        instance = waiting.pop()
        if instance.definition.name in seen:
            continue
        seen.add(instance.definition.name)
        for member in instance.body:
            if member.kind == SymbolKind.Instance:
                waiting.append(member)
            elif member.kind == SymbolKind.ProceduralBlock and member.procedureKind == _COMBINATIONAL:
                yield member.body


def assigned(statement: Any) -> Bits:
    """What a statement assigns on every path; AssertionError if a path assigns a bit twice, or another less."""
    kind = statement.kind
    if kind == StatementKind.Block:
        return assigned(statement.body)
    if kind == StatementKind.List:
        bits: Bits = frozenset()
        for part in statement.list:
            more = assigned(part)
            assert not bits & more, f"{sorted(bits & more)[0]} is assigned twice"
            bits |= more
        return bits
    if kind == StatementKind.ExpressionStatement:
        return frozenset(_target(statement.expr.left))
    if kind == StatementKind.Conditional:
        assert statement.ifFalse is not None, f"an if without an else: {statement.syntax}"
        paths = [statement.ifTrue, statement.ifFalse]
    else:
        assert kind == StatementKind.Case, f"a statement of kind {kind}"
        assert statement.defaultCase is not None, f"a case without a default: {statement.syntax}"
        paths = [*(item.stmt for item in statement.items), statement.defaultCase]
    first, *others = map(assigned, paths)
    for other in others:
        assert first == other, f"{sorted(first ^ other)[0]} is not assigned on every path"
    return first


def _target(expression: Any) -> Iterator[tuple[str, int]]:
    """The bits of the left side of an assignment: a variable, or a constant part of one."""
    text = str(expression.syntax).strip()
    name, _, part = text.partition("[")
    if part:
        high, _, low = part.rstrip("] ").partition(":")
        numbers = range(int(low or high), int(high) + 1)
    else:
        numbers = range(expression.type.bitWidth)
    for number in numbers:
        yield name.strip(), number
