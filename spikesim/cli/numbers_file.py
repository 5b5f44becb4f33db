"""Arrays in and out of the command line: numbers as words, `.npy` and `.npz` files."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikesim.errors import CodingError, OutputError
from spikesim.support.shown import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRAIN = ("bits", "signs", "coding", "shape", "steps")
"""Arrays of a saved train; `scale` is there if integers were made of real numbers."""


def read_numbers(words: Sequence[str]) -> NDArray[Any]:
    """Return the array in the one `.npy` file that is named, or the numbers themselves as one row.

    Raises `CodingError` if there are none, or something else than numbers.
    """
    import numpy as np

    if len(words) == 1 and (words[0].endswith(".npy") or os.path.lexists(words[0])):
        return _load(Path(words[0]))
    values = np.array([_number(word) for word in words])
    if values.dtype.kind not in "if":
        raise CodingError("numbers must fit 64 bits")
    return values


def save_train(
    path: Path, arrays: Mapping[str, Any], *, inputs: Sequence[str] = (), force: bool = False
) -> None:
    """Write a train as an uncompressed `.npz` file, whole or not at all; an earlier one is replaced with `force`.

    Raises `OutputError`, also for a file in its place that holds no train.
    """
    import numpy as np

    from spikesim.support.files import atomic_file

    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    with atomic_file(path, inputs=inputs, force=force, is_ours=_is_train) as file:
        np.savez(file, **arrays)


def _is_train(path: Path) -> bool:
    """Whether a file is what `save_train` writes, by the names of its arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    return names - {"scale.npy"} == {f"{name}.npy" for name in _TRAIN}


def _load(path: Path) -> NDArray[Any]:
    """The array of a file, of one dimension or more."""
    from spikesim.support.npy import read_npy

    values = read_npy(path, "a .npy file of integers or real numbers", CodingError)
    if not values.size or not values.ndim:
        raise CodingError(
            f"{path} must hold an array of integers or real numbers, not {'one number' if values.size else 'none'}"
        )
    return values


def _number(word: str) -> int | float:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(word)
    raise CodingError(f"a number to encode must be an integer or a real number, not {shown(word)}")
