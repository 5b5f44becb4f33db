"""Where the tensors of a checkpoint come from: a `.pt` file, or safetensors files with or without an index."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from spikesim.errors import CheckpointError
from spikesim.mapping.dssa.torch_file import StoredTensor, TorchFile
from spikesim.support.json_file import read_json
from spikesim.support.nearest import named
from spikesim.support.shown import shown
from spikesim.support.tensor_file import open_tensors

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_WRAPPERS = ("_orig_mod.", "module.")
"""What torch.compile and parallel training put before every name of a model."""

_OUTSIDE = frozenset("/\\\0")
_LISTED = 4  # names shown in a message before "and n more"


class Store(Protocol):
    """Tensors by their names in a model that nothing is wrapped around."""

    @property
    def size(self) -> int:
        """Bytes of all files."""

    def names(self) -> list[str]:
        """Of all tensors of the files."""

    def shape(self, name: str) -> tuple[int, ...]:
        """As the file states it."""

    def dtype(self, name: str) -> str:
        """F32 and the like, as safetensors has it."""

    def check(self, name: str) -> None:
        """Raise CheckpointError if the files have not the bytes of a tensor; none is read."""

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Some rows of a matrix."""

    def tensor(self, name: str) -> Tensor:
        """The whole tensor."""


class TorchStore:
    """Tensors of a .pt file, mapped when they are asked for."""

    def __init__(self, file: TorchFile, tensors: Mapping[str, StoredTensor]) -> None:
        self._file = file
        self._tensors = {name: tensors[full] for name, full in _unwrapped(tensors).items()}
        self.size = file.size

    def names(self) -> list[str]:
        """Of all tensors of the file."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """As the file states it."""
        return self._tensors[name].shape

    def dtype(self, name: str) -> str:
        """F32 and the like, as safetensors has it."""
        return self._tensors[name].dtype

    def check(self, name: str) -> None:
        """The file says how many bytes there are of each storage."""
        self._file.check(name, self._tensors[name])

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Some rows, without the checksum of all."""
        return self._file.tensor(self._tensors[name], whole=False)[start:stop]

    def tensor(self, name: str) -> Tensor:
        """The whole tensor."""
        return self._file.tensor(self._tensors[name])


class SafetensorsStore:
    """Tensors of one or more safetensors files; every read touches only the bytes of that tensor.

    The library maps a file, and what was read of it stays in memory until the map ends. The handles kept here are for
    headers alone, and a tensor has a map of its own, so that a walk through a model never has more than a layer of it.
    """

    def __init__(self, folder: Path, files: Mapping[str, Iterable[str] | None]) -> None:
        """`files` of the folder: name -> tensors the index puts there, None for "all of them"."""
        file_of: dict[str, tuple[Path, Any]] = {}
        self.size = 0
        for file_name, wanted in files.items():
            path = folder / file_name
            if not path.exists():
                raise CheckpointError(
                    f"{folder / named(file_name)} is missing; put the shard beside its index"
                )
            file = _opened(path)
            inside: list[str] = list(file.keys())
            absent = sorted(set(wanted) - set(inside)) if wanted is not None else []
            if absent:
                raise CheckpointError(f"{path} must hold {listing(absent)}, which the index expects there")
            file_of |= dict.fromkeys(inside if wanted is None else wanted, (path, file))
            self.size += path.stat().st_size
        self._places = {name: (*file_of[full], full) for name, full in _unwrapped(file_of).items()}

    def names(self) -> list[str]:
        """Of all tensors of the files."""
        return list(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """As the header states it."""
        return tuple(self._slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """F32 and the like."""
        return str(self._slice(name).get_dtype())

    def check(self, name: str) -> None:
        """Nothing is left to check: the library has compared all sizes with the file's."""

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Some rows."""
        path, _, full = self._places[name]
        rows: Tensor = _opened(path).get_slice(full)[start:stop]
        return rows

    def tensor(self, name: str) -> Tensor:
        """The whole tensor."""
        path, _, full = self._places[name]
        tensor: Tensor = _opened(path).get_tensor(full)
        return tensor

    def _slice(self, name: str) -> Any:
        _, file, full = self._places[name]
        return file.get_slice(full)


def _opened(path: Path) -> Any:
    return open_tensors(path, "pt", "a complete safetensors file", CheckpointError)


def open_directory(path: Path) -> SafetensorsStore:
    """Open the weights of a directory in Hugging Face layout. Raises CheckpointError."""
    if (path / INDEX_FILE).exists():
        return SafetensorsStore(path, _read_index(path / INDEX_FILE))
    if (path / SINGLE_FILE).exists():
        return SafetensorsStore(path, {SINGLE_FILE: None})
    raise CheckpointError(
        f"{path} must hold {SINGLE_FILE} or {INDEX_FILE} beside its configuration, and has neither"
    )


def listing(names: list[str]) -> str:
    """Some names of a file, and how many more there are."""
    more = len(names) - _LISTED
    return ", ".join(map(named, names[:_LISTED])) + (f" and {more} more" if more > 0 else "")


def _unwrapped(names: Collection[str]) -> dict[str, str]:
    """Name -> name in the file: without what wrappers have put before all of them."""
    prefix = ""
    while wrapper := next((w for w in _WRAPPERS if all(n.startswith(prefix + w) for n in names)), None):
        prefix += wrapper
    return {name.removeprefix(prefix): name for name in names}


def _read_index(path: Path) -> dict[str, list[str]]:
    data = read_json(path, "a JSON index of shards", CheckpointError)
    weight_map = data.get("weight_map") if isinstance(data, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path} must hold a weight_map from tensor names to file names, and has none")
    files: dict[str, list[str]] = {}
    for name, file in weight_map.items():
        # a plain file name only: the index is untrusted and must not reach outside its directory
        if not isinstance(file, str) or file in ("", ".", "..") or not _OUTSIDE.isdisjoint(file):
            raise CheckpointError(
                f"{path} must name files of its own directory only, not {shown(file)} for {named(name)}"
            )
        files.setdefault(file, []).append(name)
    return files
