"""What a report calls an item of the model: pages and sentences are written for tokens, and say frames or steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # the command line is not to load what it does not show
    from spikesim.results.report import Item

T = TypeVar("T")

_WORD = re.compile(r"\b([Tt])oken(s?)\b")


def reword(value: T, item: Item) -> T:
    """Our own words with the name of the item for "token"; also those in tuples, lists, dicts and dataclasses.

    >>> reword("Tokens per second, 3 µJ per token", "frame")
    'Frames per second, 3 µJ per frame'
    """
    return value if item == "token" else _reworded(value, item)


def _reworded(value: Any, item: str) -> Any:
    if isinstance(value, str):
        first = {"t": item, "T": item.capitalize()}
        return type(value)(_WORD.sub(lambda match: first[match[1]] + match[2], value))
    if isinstance(value, Mapping):
        return {key: _reworded(each, item) for key, each in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_reworded(each, item) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        texts = {
            field.name: _reworded(getattr(value, field.name), item) for field in fields(value) if field.init
        }
        return replace(value, **texts)
    return value
