"""Samples of numbers from files: `.npz` archives of `x` and `y`, and `.npy` arrays of `x` alone; or from memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import TokenError
from spikesim.support.npy import is_npz, read_npy, read_npz
from spikesim.support.shown import shown, unicode_name

_FILE = "a .npz archive of x and y, or a .npy array of x"
_NUMBERS, _NUMBER_KINDS = "samples of numbers", "biuf"
_CLASSES, _CLASS_KINDS = "classes as whole numbers", "iu"


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleArrays:
    """`x`: numbers[samples, …]; `y`: integers[samples], their classes, if known; `name`: of the file, if any."""

    x: NDArray[Any]
    y: NDArray[Any] | None = None
    name: str = ""

    @property
    def where(self) -> str:
        """For sentences about them."""
        return f" of {self.name}" if self.name else ""


def sample_file(path: Path) -> SampleArrays:
    """Samples from a file. Raises TokenError for anything but plain numbers; nothing is unpickled."""
    name = unicode_name(path)
    if not is_npz(path, _FILE, TokenError):
        return SampleArrays(
            x=read_npy(path, f"{_FILE}: {_NUMBERS}", TokenError, kinds=_NUMBER_KINDS), name=name
        )
    arrays = {"x": (_NUMBERS, _NUMBER_KINDS), "y": (_CLASSES, _CLASS_KINDS)}
    found = read_npz(path, TokenError, arrays=arrays, needed="x")
    return SampleArrays(x=found["x"], y=found.get("y"), name=name)


def sample_arrays(x: Any, y: Any = None) -> SampleArrays:
    """Samples from arrays, tensors or lists. Raises TokenError for anything but plain numbers."""
    numbers = _array("x", x, _NUMBERS, _NUMBER_KINDS)
    return SampleArrays(x=numbers, y=None if y is None else _array("y", y, _CLASSES, _CLASS_KINDS))


def _array(name: str, value: Any, what: str, kinds: str) -> NDArray[Any]:
    if hasattr(value, "detach"):
        value = value.detach()
    try:
        array = np.asarray(value)
    except Exception:  # noqa: BLE001 - whatever an object raises that says it becomes an array
        array = np.empty(0, object)
    if array.dtype.kind not in kinds:
        raise TokenError(f"{name} must be {what}, not {shown(value)}")
    return array
