"""Arrays in and out of the command line: numbers as words, `.npy` and `.npz` files."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikesim.errors import CodingError, OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_numbers(words: Sequence[str]) -> NDArray[Any]:
    """Return the array in the one `.npy` file that is named, or the numbers themselves as one row.

    Raises `CodingError` if there are none, or something else than numbers.
    """
    import numpy as np

    if len(words) == 1 and (words[0].endswith(".npy") or Path(words[0]).exists()):
        values = _load(words[0])
    else:
        values = np.array([_number(word) for word in words])
        if values.dtype.kind not in "if":
            raise CodingError("numbers must fit 64 bits")
    if values.dtype.kind not in "iuf" or not values.size:
        what = "none" if not values.size else f"values of type {values.dtype}"
        raise CodingError(f"{words[0]} must hold integers or real numbers, not {what}")
    return values.reshape(1) if values.ndim == 0 else values


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write an uncompressed `.npz` file, whole or not at all. Raises `OutputError`."""
    import numpy as np

    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _load(name: str) -> NDArray[Any]:
    import numpy as np

    try:
        values = np.load(name, allow_pickle=False)
    except OSError as error:
        raise CodingError(f"{name} cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise CodingError(f"{name} must be a complete .npy file of numbers") from error
    if not isinstance(values, np.ndarray):
        values.close()
        raise CodingError(f"{name} must be a .npy file of one array, not a .npz archive")
    return values


def _number(word: str) -> int | float:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(word)
    raise CodingError(f"a number to encode must be an integer or a real number, not {word!r}")
