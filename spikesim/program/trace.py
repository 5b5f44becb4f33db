"""What the cycles of a run depend on, instruction by instruction: no values of vectors but the counts that fire.

Golden makes `Effects` while it runs; the cycle model takes nothing else. A `Trace` keeps those of a whole run, so that
the cycles of any number of arrays can be read from one run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from spikesim.errors import CheckpointError
from spikesim.support.array_files import write_safetensors


@dataclass(frozen=True, kw_only=True)
class Place:
    """An instruction: the name of its program, and its number there, counted from 0."""

    program: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What an instruction's cycles depend on, for a batch of tokens: those of all sequences, token by token.

    * `positions`: int64[batch], of each token in its sequence.
    * `counts`: int8[batch, groups, channels] of a gather or scatter. Of cached values the channels are keys, from the
      key at position `first_key` on, 0 where a token reads none.
    * `selected`: int32[batch, groups or 1, chosen], the past blocks that are read, −1 for none.
    * `shifts`: int32[batch, heads], by how much a decay shifts rows.
    """

    positions: NDArray[np.int64]
    counts: NDArray[np.int8] | None = None
    selected: NDArray[np.int32] | None = None
    shifts: NDArray[np.int32] | None = None
    first_key: int = 0

    @property
    def batch(self) -> int:
        """Tokens of all sequences."""
        return int(self.positions.size)


_KINDS = {"positions": np.int64, "counts": np.int8, "selected": np.int32, "shifts": np.int32}
"""The arrays of `Effects` and what they are made of."""


class Trace:
    """The effects of a run in the order in which they were found: instructions of a program, and parts of its tokens.

    An instruction may come several times, with the tokens that were run together each time.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Place, Effects]] = []

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, place: Place, found: Effects) -> None:
        """One more part."""
        self._parts.append((place, found))

    def of(self, program: str) -> Iterator[tuple[Place, Effects]]:
        """The parts of one program, in order."""
        return (part for part in self._parts if part[0].program == program)

    def save(self, path: Path) -> None:
        """As safetensors: `<part>.<program>.<number>.<array>`, and of cached values `first_key`."""
        arrays: dict[str, NDArray[Any]] = {}
        for n, (place, found) in enumerate(self._parts):
            name = f"{n}.{place.program}.{place.number}"
            for part in _KINDS:
                if (array := getattr(found, part)) is not None:
                    arrays[f"{name}.{part}"] = np.ascontiguousarray(array)
            arrays[f"{name}.first_key"] = np.array([found.first_key], np.int64)
        write_safetensors(path, arrays)

    @staticmethod
    def load(path: Path) -> Trace:
        """Reads a trace back. Raises CheckpointError for a file that `save` did not write."""
        try:
            arrays = load_file(path)
            parts: dict[int, tuple[Place, dict[str, NDArray[Any]]]] = {}
            for name, array in arrays.items():
                head, number, part = name.rsplit(".", 2)
                index, program = head.split(".", 1)
                place = Place(program=program, number=int(number))
                parts.setdefault(int(index), (place, {}))[1][part] = array
            trace = Trace()
            for _, (place, found) in sorted(parts.items()):
                trace.add(place, _effects(found))
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} must be a trace of a run: {error}") from None
        return trace


def _effects(arrays: Mapping[str, NDArray[Any]]) -> Effects:
    """Raises ValueError, KeyError or TypeError for arrays that are no effects."""
    given = dict(arrays)
    first_key = int(given.pop("first_key")[0])
    for part, array in given.items():
        if array.dtype != _KINDS[part]:
            raise ValueError(f"{part} must be {np.dtype(_KINDS[part])}, not {array.dtype}")
    return Effects(first_key=first_key, **given)
