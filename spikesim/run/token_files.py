"""Token ids from files: `.npy` arrays, whose rows are sequences, and numbers as text, whose lines are not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import TokenError
from spikesim.support.npy import is_npy, read_npy
from spikesim.support.reading import read_text
from spikesim.support.shown import shown

_ARRAY = "a .npy file of whole numbers, [tokens] or [sequences, tokens]"
_NUMBERS = "whole numbers, separated by white space or commas"
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


class TokenFile(NamedTuple):
    """`ids`: int64[tokens], or int64[sequences, tokens] if the file says where sequences begin.

    `lines`: lines of text with several numbers, 0 for an array.
    """

    ids: NDArray[np.int64]
    lines: int = 0


def token_file(path: Path, vocabulary: int) -> TokenFile:
    """Token ids from a file. Raises TokenError unless all are whole numbers in the vocabulary."""
    if path.suffix == ".npy" or is_npy(path, _ARRAY, TokenError):
        ids: NDArray[Any] = read_npy(path, _ARRAY, TokenError, kinds="iu")
        if ids.ndim not in (1, 2) or not ids.size:
            raise TokenError(f"token file {path} must be {_ARRAY}, not an array of shape {shown(ids.shape)}")
        lines = 0
    else:
        ids, lines = _numbers(path)
    check_vocabulary(ids, vocabulary, str(path))
    return TokenFile(ids.astype(np.int64), lines)


def check_vocabulary(ids: NDArray[Any], vocabulary: int, name: str) -> None:
    """Raises TokenError if a token, of any integer type, lies outside the vocabulary."""
    wrong = ids[(ids < 0) | (ids >= vocabulary)]
    if wrong.size:
        raise TokenError(f"tokens of {name} must be in 0 … {vocabulary - 1}, not {wrong[0]}")


def _numbers(path: Path) -> tuple[NDArray[Any], int]:
    found: list[int] = []
    lines = 0
    for line in read_text(path, _NUMBERS, TokenError).splitlines():
        words = line.replace(",", " ").split()
        for word in words:
            if not _NUMBER.fullmatch(word):
                raise TokenError(f"token file {path} must hold {_NUMBERS}, not {shown(word)}")
        found += map(int, words)
        lines += len(words) > 1
    if not found:
        raise TokenError(f"token file {path} must hold at least one whole number")
    # Nineteen digits may be more than 63 bits; those are outside any vocabulary, and named as they stand.
    return np.array(found, object if max(found) >= 2**63 or min(found) < -(2**63) else np.int64), lines
