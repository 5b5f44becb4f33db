"""What comes from files and users, fit to be shown: `shown` for values, `visible` for text."""

from __future__ import annotations

import os
import reprlib
import unicodedata
from pathlib import PurePath
from typing import Any

_LONGEST_INTEGER = 128
"""Bits. A longer integer is described: printing it may be refused by Python, and nobody reads it."""


class _Shown(reprlib.Repr):
    """Two levels deep, a few entries a level: the cost is bounded whatever the value refers to, itself included."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 4
        self.maxstring = self.maxother = 60

    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > _LONGEST_INTEGER:
            return f"an integer of {x.bit_length():,} bits"
        return super().repr_int(x, level)

    def repr_instance(self, x: Any, level: int) -> str:
        """Never the `repr` of a foreign type: it may print a gigabyte, or what a file made it print."""
        if isinstance(x, bool | float | complex | bytes | type(None)):
            return super().repr_instance(x, level)
        if isinstance(x, dict):
            return self.repr_dict(x, level)
        if isinstance(x, PurePath):
            return self.repr_str(str(x), level)
        return f"<{type(x).__name__}>"


_SHOWN = _Shown()


def shown(value: object) -> str:
    """The value as Python writes it, with … for what is left out: on one line, nothing in it that a terminal obeys.

    >>> shown("a\\x1b[31m"), shown([1, [2, [3, [4]]]])
    ("'a\\\\x1b[31m'", '[1, [2, [...]]]')
    """
    return _SHOWN.repr(value)


def unicode_name(path: str | os.PathLike[str]) -> str:
    """A path, or a word of the command line, fit for a report: the name of a file may be any bytes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def visible(text: str) -> str:
    r"""The text with an escape for every character that a terminal may obey or that is not seen, but for line breaks.

    Those are controls, marks of direction, halves of surrogate pairs and what Unicode has not assigned.

    >>> visible("a\x1b[31m\u202eb")
    'a\\x1b[31m\\u202eb'
    """
    if text.isprintable():
        return text
    return "".join(char if _is_seen(char) else char.encode("unicode_escape").decode() for char in text)


def _is_seen(char: str) -> bool:
    return char == "\n" or char.isprintable() or unicodedata.category(char) == "Zs"
