"""The syntax of Liberty: `parse` turns a text into nested groups. What they mean is the matter of `read.py`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from spikesim.errors import LibertyError

_TOKEN = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | \\\s*\n | (?P<open>/\*) | (?P<string>"[^"]*") | (?P<mark>[(){};:,])
    | (?P<word>[^\s(){};:,"]+)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass
class Group:
    """A Liberty group: `name (arguments) { attributes and groups }`."""

    name: str
    arguments: list[str]
    attributes: dict[str, list[str]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def all(self, *names: str) -> Iterator[Group]:
        """Its direct groups of these names."""
        return (group for group in self.groups if group.name in names)

    def first(self, name: str) -> Group | None:
        """Its first direct group of this name."""
        return next(self.all(name), None)

    def text(self, name: str, default: str = "") -> str:
        """An attribute's value."""
        values = self.attributes.get(name)
        return values[0] if values else default

    def number(self, name: str, default: float = 0.0) -> float:
        """An attribute's value. Raises LibertyError if it is not a number."""
        text = self.text(name)
        return number(text, f"{name} of {self.label}") if text else default

    @property
    def label(self) -> str:
        """What a message calls it."""
        return f"{self.name} {', '.join(self.arguments)}".strip()


def number(text: str, what: str) -> float:
    """A finite number. Raises LibertyError, which says of `what`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LibertyError(f"{what} must be a number, not {text[:40]!r}")
    return value


def parse(text: str) -> Group:
    """The `library` group of a Liberty text. Raises LibertyError. Groups may nest to any depth."""
    tokens = _tokens(text)
    tokens += [""] * 3  # what follows the last token
    end = len(tokens) - 3
    position = 0
    top = Group("", [])
    stack = [top]
    while position < end:
        token, following = tokens[position], tokens[position + 1]
        if token == "}":
            if len(stack) == 1:
                raise LibertyError("the text must have a { for every }")
            stack.pop()
            position += 1
        elif token == ";":
            position += 1
        elif following == ":":
            first = position = position + 2
            # A value without quotation marks may be an expression of several words, and some files omit the semicolon.
            while position < end and tokens[position] not in (";", "}"):
                if position > first and tokens[position + 1] in (":", "("):
                    break
                position += 1
            stack[-1].attributes[token] = [" ".join(_plain(word) for word in tokens[first:position])]
        elif following == "(":
            close = position + 2
            arguments = []
            while tokens[close] not in (")", "{", "}", ";", ""):
                if tokens[close] != ",":
                    arguments.append(_plain(tokens[close]))
                close += 1
            if tokens[close] != ")":
                raise LibertyError(f"the text must close the bracket of {token[:40]}")
            if tokens[close + 1] == "{":
                group = Group(token, arguments)
                stack[-1].groups.append(group)
                stack.append(group)
                position = close + 2
            else:
                # Repeated attributes (fanout_length) are kept, each under a name of its own.
                name = token if token not in stack[-1].attributes else f"{token}#{position}"
                stack[-1].attributes[name] = arguments
                position = close + 1
        else:
            raise LibertyError(
                f"the text must be Liberty, not {' '.join(tokens[position : position + 4])[:60]!r}"
            )
    if len(stack) > 1:
        raise LibertyError(f"the text must end every group, but {stack[-1].label} is cut off")
    library = top.first("library")
    if library is None:
        raise LibertyError("the text must have a library group")
    return library


def _tokens(text: str) -> list[str]:
    tokens = []
    end = 0
    for found in _TOKEN.finditer(text):
        if found.lastgroup == "open" or text[end : found.start()].strip():
            break
        end = found.end()
        if found.lastgroup is not None:
            tokens.append(found[0])
    rest = text[end:].strip()
    if rest.startswith(('"', "/*")):
        raise LibertyError(f"the text must end what {rest[:20]!r} begins")
    if rest:
        raise LibertyError(f"the text must be Liberty, not {rest[:20]!r}")
    return tokens


def _plain(token: str) -> str:
    return re.sub(r"\\\s*\n\s*", " ", token[1:-1]).strip() if token.startswith('"') else token
