"""The syntax of Liberty: `parse` turns a text into nested groups. What they mean is the matter of `read.py`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from spikesim.errors import LibertyError
from spikesim.support.shown import shown

_TOKEN = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | \\\s*\n | (?P<open>/\*) | (?P<string>"[^"]*") | (?P<mark>[(){};:,])
    | (?P<word>[^\s(){};:,"]+)""",
    re.VERBOSE | re.DOTALL,
)
_MOST_TOKENS = 3_000_000
"""Eight times what Nangate45 has; many more would take minutes and gigabytes."""


@dataclass(frozen=True, slots=True)
class Statement:
    """An attribute as it is written: `name : value;` or `name (value, value);`."""

    line: int
    values: list[str]


@dataclass(slots=True)
class Group:
    """A Liberty group: `name (arguments) { attributes and groups }`.

    An attribute may be repeated, but what is read as one value must be the same in each: which of several counts would
    depend on their order.
    """

    name: str
    arguments: list[str]
    line: int = 0
    attributes: dict[str, list[Statement]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def all(self, *names: str) -> Iterator[Group]:
        """Its direct groups of these names."""
        return (group for group in self.groups if group.name in names)

    def one(self, name: str) -> Group | None:
        """Its only direct group of this name. Raises LibertyError: there are several."""
        found = list(self.all(name))
        if len(found) > 1:
            raise LibertyError(
                f"{self.label} must have one {name}, not one in line {found[0].line} and one in {found[1].line}"
            )
        return found[0] if found else None

    def every(self, name: str) -> list[list[str]]:
        """The values of each statement of an attribute that may be repeated."""
        return [statement.values for statement in self.attributes.get(name, [])]

    def values(self, name: str) -> list[str]:
        """An attribute's values; empty without it. Raises LibertyError: it is repeated with others."""
        statements = self.attributes.get(name)
        if not statements:
            return []
        first = statements[0]
        for other in statements[1:]:
            if other.values != first.values:
                stated = " and ".join(f"{_short(s.values)} in line {s.line}" for s in (first, other))
                raise LibertyError(f"{name} of {self.label} must be stated once, not as {stated}")
        return first.values

    def text(self, name: str, default: str = "") -> str:
        """An attribute's value."""
        values = self.values(name)
        return values[0] if values else default

    def number(self, name: str, default: float = 0.0) -> float:
        """An attribute's value. Raises LibertyError if it is not a number."""
        text = self.text(name)
        return number(text, f"{name} of {self.label}") if text else default

    def flag(self, name: str) -> bool:
        """Whether an attribute is true; it is not if it is missing. Raises LibertyError: it is neither."""
        text = self.text(name, "false")
        value = _FLAGS.get(text.lower())
        if value is None:
            raise LibertyError(f"{name} of {self.label} must be true or false, not {shown(text)}")
        return value

    @property
    def label(self) -> str:
        """What a message calls it."""
        label = f"{self.name} {', '.join(self.arguments)}".strip()
        return shown(label)[1:-1]


_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def number(text: str, what: str) -> float:
    """A finite number. Raises LibertyError, which says of `what`."""
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LibertyError(f"{what} must be a number, not {shown(text)}")
    return value


def parse(text: str) -> Group:
    """The `library` group of a Liberty text. Raises LibertyError. Groups may nest to any depth."""
    tokens = _Tokens(text)
    top = Group("", [])
    stack = [top]
    while token := tokens.take():
        line = tokens.line
        if token == "}":
            if len(stack) == 1:
                raise LibertyError("the text must have a { for every }")
            stack.pop()
        elif token != ";":
            mark = tokens.take()
            if mark == ":":
                stack[-1].attributes.setdefault(token, []).append(Statement(line, [_value(token, tokens)]))
            elif mark == "(":
                arguments = _arguments(token, tokens)
                following = tokens.take()
                if following == "{":
                    group = Group(token, arguments, line)
                    stack[-1].groups.append(group)
                    stack.append(group)
                else:
                    tokens.put_back(following)
                    stack[-1].attributes.setdefault(token, []).append(Statement(line, arguments))
            else:
                rest = [token, mark, *(tokens.take() for _ in range(2))]
                while tokens.take():  # a string or comment without an end is the better explanation
                    pass
                raise LibertyError(
                    f"the text must be Liberty, not {shown(' '.join(rest).strip())} in line {line}"
                )
    if len(stack) > 1:
        raise LibertyError(f"the text must end every group, but {stack[-1].label} is cut off")
    libraries = list(top.all("library"))
    if len(libraries) != 1:
        raise LibertyError(f"the text must have a library group{', not several' if libraries else ''}")
    return libraries[0]


def _value(name: str, tokens: _Tokens) -> str:
    """A value without quotation marks may be an expression of several words; some files omit the semicolon."""
    words: list[str] = []
    while token := tokens.take():
        if token in (";", "}") or (words and tokens.fresh):
            tokens.put_back(token)
            break
        if token == ":" and len(words) > 1:  # the last word is the name of the next attribute
            tokens.put_back(token)
            tokens.put_back(words.pop())
            break
        if token in (":", "{"):
            raise LibertyError(f"{shown(name)} must be ended with a semicolon in line {tokens.line}")
        words.append(_plain(token))
    return " ".join(words)


def _arguments(name: str, tokens: _Tokens) -> list[str]:
    arguments = []
    while (token := tokens.take()) not in (")", "{", "}", ";", ""):
        if token != ",":
            arguments.append(_plain(token))
    if token != ")":
        raise LibertyError(f"the text must close the bracket of {shown(name)[1:-1]}")
    return arguments


class _Tokens:
    """Words, marks and strings one after the other, "" at the end; comments and continued lines are none.

    `line`: of the token taken last. `fresh`: whether it is the first in its line.
    """

    def __init__(self, text: str) -> None:
        self.line, self.fresh = 1, True
        self._stream = self._read(text)
        self._waiting: list[str] = []

    def take(self) -> str:
        if self._waiting:
            return self._waiting.pop()
        return next(self._stream, "")

    def put_back(self, token: str) -> None:
        self._waiting.append(token)

    def _read(self, text: str) -> Iterator[str]:
        end, line, fresh, count = 0, 1, True, 0
        for found in _TOKEN.finditer(text):
            start, token, kind = found.start(), found[0], found.lastgroup
            if start > end:
                gap = text[end:start]
                if not gap.isspace():
                    break
                if breaks := gap.count("\n"):
                    line += breaks
                    fresh = True
            if kind == "open":
                break
            end = start + len(token)
            if kind is not None:
                count += 1
                if count > _MOST_TOKENS:
                    raise LibertyError(f"the text must have at most {_MOST_TOKENS:,} words, not more")
                self.line, self.fresh = line, fresh
                yield token
                fresh = False
            if kind is None or kind == "string":
                line += token.count("\n")
        rest = text[end:].lstrip()
        if rest.startswith(('"', "/*")):
            raise LibertyError(f"the text must end what {rest[:20]!r} begins")
        if rest:
            raise LibertyError(f"the text must be Liberty, not {rest[:20]!r}")


def _plain(token: str) -> str:
    return re.sub(r"\\\s*\n\s*", " ", token[1:-1]).strip() if token.startswith('"') else token


def _short(values: list[str]) -> str:
    return shown(values[0] if len(values) == 1 else values)
