"""JSON files of other people: no name twice, no number that is none, no nesting that Python cannot follow."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from spikesim.support.reading import MEBIBYTE, Failure, read_text, reading
from spikesim.support.shown import shown

_VALUES = 500_000
"""Whoever checks them keeps a kilobyte for each that is wrong."""

_DIGITS = 4000
"""Python refuses to read longer integers, with advice that is none to a user."""


def read_json(path: Path, what: str, error: Failure, *, limit: int = 16 * MEBIBYTE) -> Any:
    """Return what a JSON file holds; arguments as in `reading`."""
    return parse_json(read_text(path, what, error, limit=limit), path, what, error)


def parse_json(text: str, path: Path, what: str, error: Failure) -> Any:
    """Return what a JSON text says; `path` and the others are for the sentence."""
    if text.count(",") > _VALUES:
        raise error(f"{path} must be {what} of at most {_VALUES:,} values")
    with reading(path, what, error):
        return json.loads(
            text,
            object_pairs_hook=_table,
            parse_float=_number,
            parse_int=_integer,
            parse_constant=_refuse,
        )


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"{shown(twice)} stands in it twice")
    return table


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{shown(text)} is beyond the range of a number")
    return value


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"an integer of {len(text):,} digits is beyond the range of a number")
    return int(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
