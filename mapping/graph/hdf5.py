"""Reading HDF5 files of other people: tables of arrays of numbers and text in the file itself, and nothing else.

HDF5 can refer to other files (external links, external storage, virtual data sets), unpack data by libraries that it
finds by a number in the file, and claim any size. Whoever reads checks the kind and the size of a data set before its
values are asked for.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikesim.errors import GraphError
from spikesim.support.reading import MEBIBYTE, open_regular
from spikesim.support.shown import shown

_MAGIC = b"\x89HDF\r\n\x1a\n"
_FILE_LIMIT = 1024 * MEBIBYTE
_VALUES_LIMIT = 1024 * MEBIBYTE
"""Bytes of all arrays, unpacked."""

_OBJECTS = 100_000
_TEXTS = 20_000
_LONGEST_TEXT = 4096
_DEEPEST = 16

_FILTERS = {1, 2, 3, 32000}
"""gzip, shuffle, checksum, and the one that h5py brings (LZF)."""

Tree = dict[str, Any]
"""Tables of tables, arrays, and text."""


def read_tree(path: Path, group: str, what: str) -> Tree:
    """What an HDF5 file has in a group. Raises GraphError, in one sentence, for anything but plain tables."""
    with open_regular(path, what, GraphError, limit=_FILE_LIMIT) as file:
        head = file.read(len(_MAGIC))
        if head != _MAGIC:
            found = f"one that begins with {shown(head)}" if head else "an empty one"
            raise GraphError(f"{path} must be {what}, an HDF5 file, not {found}")
        file.seek(0)
        try:
            opened = h5py.File(file, "r")
        except Exception:  # noqa: BLE001 - whatever the library raises
            raise GraphError(f"{path} must be {what}, not damaged or truncated") from None
        with opened:
            reader = _Reader(path, what)
            return reader.table(reader.member(opened, group), 0)


class _Reader:
    """Counts what has been read."""

    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what = path, what
        self._objects = self._bytes = self._texts = 0

    def _refuse(self, rule: str) -> GraphError:
        return GraphError(f"{self._path} must {rule}")

    def member(self, group: Any, name: str) -> Any:
        """A group or a data set that is in the file itself."""
        link = group.get(name, getlink=True)
        if link is None:
            raise self._refuse(f"be {self._what}, with a table {name}")
        if not isinstance(link, h5py.HardLink):
            raise self._refuse(f"hold its data itself, not refer to it as {shown(name)} does")
        return group[name]

    def table(self, group: Any, depth: int) -> Tree:
        """Everything below a group."""
        if not isinstance(group, h5py.Group):
            raise self._refuse(f"be {self._what}, with tables of data")
        if depth > _DEEPEST:
            raise self._refuse(f"have tables within tables to a depth of at most {_DEEPEST}")
        found: Tree = {}
        for name in group:
            self._objects += 1
            if self._objects > _OBJECTS:
                raise self._refuse(f"have at most {_OBJECTS:,} tables and arrays")
            if name == "metadata":
                continue  # for people; no rule says what is in it
            member = self.member(group, name)
            if isinstance(member, h5py.Group):
                found[name] = self.table(member, depth + 1)
            elif isinstance(member, h5py.Dataset):
                found[name] = self._values(name, member)
            else:
                raise self._refuse(f"hold tables and arrays, and {shown(name)} is neither")
        return found

    def _values(self, name: str, data: Any) -> Any:
        plist = data.id.get_create_plist()
        if data.is_virtual or data.external:
            raise self._refuse(f"hold its data itself, not refer to it as {shown(name)} does")
        filters = {plist.get_filter(number)[0] for number in range(plist.get_nfilters())}
        if filters - _FILTERS:
            raise self._refuse(f"be packed by gzip or not at all, not by filter {min(filters - _FILTERS)}")
        if h5py.check_string_dtype(data.dtype) is not None:
            return self._text(name, data)
        if data.dtype.kind not in "biuf" or data.shape is None:
            raise self._refuse(f"hold numbers and text, not {shown(str(data.dtype))} as {shown(name)} does")
        size = prod(data.shape) * data.dtype.itemsize
        self._bytes += size
        if self._bytes > _VALUES_LIMIT:
            raise self._refuse(
                f"hold arrays of at most {_VALUES_LIMIT:,} bytes in all, not {shown(data.shape)} in {shown(name)}"
            )
        return np.asarray(data[()])

    def _text(self, name: str, data: Any) -> Any:
        """One by one: many may refer to the same long one."""
        count = prod(data.shape)
        self._texts += count
        if self._texts > _TEXTS:
            raise self._refuse(f"hold at most {_TEXTS:,} texts")
        texts = np.empty(data.shape, object)
        for place in np.ndindex(*data.shape):
            value = data[place]
            if not isinstance(value, bytes) or len(value) > _LONGEST_TEXT:
                raise self._refuse(f"hold texts of at most {_LONGEST_TEXT:,} bytes in {shown(name)}")
            texts[place] = value.decode("utf-8", "backslashreplace")
        return texts if data.shape else texts[()]
