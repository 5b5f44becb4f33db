"""Reading `.pt2` files: the JSON and the bytes of tensors that torch.export.save writes, and nothing else.

`torch.export.load` does not do here. It unpickles every payload whose configuration says `use_pickle`, every object
among the constants, the older kinds of weight file, and the sample inputs; it hands sizes that are expressions to
sympy, which evaluates them as Python; it looks up operators by any path below the module `torch`, and tracing then
calls them. Here, the archive is checked before anything in it is read, tensors are made from bytes that are there, and
`spikesim.mapping.graph.program_file` builds the program from the JSON, out of operators that it knows.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import torch

from spikesim.errors import GraphError
from spikesim.support.json_file import parse_json
from spikesim.support.reading import MEBIBYTE, decoded, open_regular
from spikesim.support.shown import shown, visible

ARCHIVE_LIMIT = 4096 * MEBIBYTE
"""Bytes of a file."""

JSON_LIMIT = 64 * MEBIBYTE
"""Bytes of a JSON record. A network of a thousand operators has two mebibytes."""

_DIRECTORY_LIMIT = 8 * MEBIBYTE
"""Bytes of the list of records; a hundred thousand fit."""

_WHAT = "a .pt2 file as torch.export.save writes it"

DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
"""Element types by their numbers in a file (torch/_export/serde/schema.py), those that are no real numbers left out."""

_MODEL = re.compile(r"models/([A-Za-z0-9_-]+)\.json")
_HEADER = struct.Struct("<26xHH")
"""Of a record: the lengths of the name and of the extra field that follow."""


class Archive(NamedTuple):
    """`model`: what models/<name>.json says; `weights`, `constants`: tensors by their names in the program."""

    path: Path
    model: dict[str, Any]
    weights: dict[str, torch.Tensor]
    constants: dict[str, torch.Tensor]


def read_archive(path: Path) -> Archive:
    """An archive with one program. Raises GraphError, in one sentence, for anything else; nothing of it is executed."""
    with open_regular(path, _WHAT, GraphError, limit=ARCHIVE_LIMIT) as file, _opened(path, file) as archive:
        records = _Records(path, file, archive)
        name = records.program()
        model = records.json(f"models/{name}.json")
        weights = records.tensors(f"data/weights/{name}_weights_config.json", "data/weights/")
        constants = records.tensors(f"data/constants/{name}_constants_config.json", "data/constants/")
    return Archive(path, model, weights, constants)


@contextmanager
def _opened(path: Path, file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """The zip archive that a file is."""
    head = file.read(4)
    if head != b"PK\x03\x04":
        found = f"one that begins with {shown(head)}" if head else "an empty one"
        raise GraphError(f"{path} must be {_WHAT}, a zip archive, not {found}")
    short = _Short(file)
    try:
        archive = zipfile.ZipFile(cast(BinaryIO, short))
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, struct.error, NotImplementedError):
        raise GraphError(f"{path} must be {_WHAT}, not damaged or truncated") from None
    short.is_open = True
    with archive:
        yield archive


class _Short:
    """A file for zipfile, which reads all of its directory at once: no more of it than a program has. Once the archive
    `is_open`, records are read, whose sizes are known.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.is_open = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        if not self.is_open and size > _DIRECTORY_LIMIT:
            raise zipfile.BadZipFile
        return self._file.read(size)


class _Records:
    """The records of an archive, by their names below its root folder; what they say of themselves is checked."""

    def __init__(self, path: Path, file: BinaryIO, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        self._size = os.fstat(file.fileno()).st_size
        self._infos: dict[str, zipfile.ZipInfo] = {}
        roots = set()
        spans = []
        for info in archive.infolist():
            root, name = self._parts(info)
            roots.add(root)
            if name in self._infos:
                raise self._refuse(f"hold every record once, not {shown(name)} twice")
            self._infos[name] = info
            begin = self._begin(file, info)
            spans.append((begin, begin + info.compress_size))
        if min((info.header_offset for info in archive.infolist()), default=0):
            raise GraphError(
                f"{self._path} must be {_WHAT}, not damaged or truncated"
            )  # a zip within it was found
        if len(roots) != 1:
            raise self._refuse(f"have its records in one folder, not in {len(roots)}")
        spans.sort()
        if any(end > begin for (_, end), (begin, _) in pairwise(spans)):
            raise self._refuse("hold the bytes of every record apart from those of others")

    def _refuse(self, rule: str) -> GraphError:
        return GraphError(f"{self._path} must {rule}")

    def _parts(self, info: zipfile.ZipInfo) -> tuple[str, str]:
        """The folder at the root and the name below it."""
        name = info.orig_filename
        parts = name.split("/")
        if not name.isprintable() or "\\" in name or ":" in name or not all(parts) or {".", ".."} & {*parts}:
            raise self._refuse(f"hold records with plain names, not {shown(name)}")
        if len(parts) < 2:
            raise self._refuse(f"have its records in one folder, not {shown(name)} outside of it")
        if (
            info.flag_bits & 1
            or info.compress_type != zipfile.ZIP_STORED
            or info.compress_size != info.file_size
        ):
            raise self._refuse(
                f"hold records as they are, not compressed or encrypted as {shown(name)} is ({info.compress_size:,}"
                f" bytes for {info.file_size:,})"
            )
        return parts[0], "/".join(parts[1:])

    def _begin(self, file: BinaryIO, info: zipfile.ZipInfo) -> int:
        """Where the data of a record begins, which must end within the file."""
        file.seek(info.header_offset)
        header = file.read(_HEADER.size)
        begin = self._size
        if len(header) == _HEADER.size:
            name, extra = _HEADER.unpack(header)
            begin = info.header_offset + _HEADER.size + int(name) + int(extra)
        if begin + info.file_size > self._size:
            raise GraphError(f"{self._path} must be {_WHAT}, not damaged or truncated")
        return begin

    def program(self) -> str:
        """The name of the one program."""
        for name, content in (("archive_format", b"pt2"), ("archive_version", None), ("byteorder", None)):
            if name not in self._infos and content:
                raise self._refuse(f"be {_WHAT}, not another zip archive, without {name}")
        if self._bytes("archive_format", 16) != b"pt2":
            raise self._refuse(f"be {_WHAT}, not of another format")
        if "byteorder" in self._infos and self._bytes("byteorder", 16) != b"little":
            raise self._refuse("be saved with the lowest byte of a number first")
        for name in self._infos:
            if name.startswith("data/aotinductor/"):
                raise self._refuse(f"hold a program, not compiled code such as {shown(name)}")
            if name.startswith(("data/constants/custom_obj_", "data/constants/opaque_obj_")):
                raise self._refuse(
                    f"hold tensors only, not a script object or another pickled one ({shown(name)})"
                )
            if name.startswith(("data/weights/", "data/constants/")) and name.endswith(".pt"):
                raise self._refuse(
                    f"hold the bytes of tensors, not pickled ones ({shown(name)}): save it anew"
                )
        found = [match[1] for name in self._infos if (match := _MODEL.fullmatch(name))]
        if len(found) != 1:
            raise self._refuse(f"hold one program, not {len(found)}")
        return found[0]

    def json(self, name: str) -> dict[str, Any]:
        """What a JSON record says."""
        text = decoded(self._bytes(name, JSON_LIMIT), self._path, GraphError)
        content = parse_json(text, self._path, f"{_WHAT}, with JSON in {visible(name)}", GraphError)
        if not isinstance(content, dict):
            raise self._refuse(f"have a table in {name}, not {shown(content)}")
        return content

    def tensors(self, config: str, folder: str) -> dict[str, torch.Tensor]:
        """Tensors by their names."""
        entries = self.json(config).get("config")
        if not isinstance(entries, dict):
            raise self._refuse(f"list its tensors in {config}")
        storages: dict[str, bytearray] = {}
        return {name: self._tensor(folder, name, entry, storages) for name, entry in entries.items()}

    def _tensor(self, folder: str, name: str, entry: Any, storages: dict[str, bytearray]) -> torch.Tensor:
        if not isinstance(entry, Mapping):
            raise self._refuse(f"describe {shown(name)} by a table, not {shown(entry)}")
        if entry.get("use_pickle") is not False:
            raise self._refuse(f"hold the bytes of tensors, not pickled ones, as {shown(name)} is")
        record = entry.get("path_name")
        if not isinstance(record, str) or folder + record not in self._infos:
            raise self._refuse(f"hold the bytes of {shown(name)}, which it has in {shown(record)}")
        meta = entry.get("tensor_meta")
        if not isinstance(meta, Mapping):
            raise self._refuse(f"describe {shown(name)}, not leave it to {shown(meta)}")
        code = meta.get("dtype")
        if not isinstance(code, int) or code not in DTYPES:
            raise self._refuse(
                f"hold {shown(name)} in real or whole numbers, not in those of kind {shown(code)}"
            )
        if meta.get("layout") != 7:
            raise self._refuse(
                f"hold {shown(name)} as a dense tensor, not in layout {shown(meta.get('layout'))}"
            )
        dtype = DTYPES[code]
        sizes, strides = (self._numbers(name, meta.get(key)) for key in ("sizes", "strides"))
        (offset,) = self._numbers(name, [meta.get("storage_offset")])
        held = self._infos[folder + record].file_size
        reach = _reach(sizes, strides)
        if reach is None or (reach and (offset + reach) * dtype.itemsize > held) or held % dtype.itemsize:
            raise self._refuse(
                f"hold the {shown(list(sizes))} elements of {shown(name)}, each once, not {held:,} bytes"
            )
        if not reach:
            return torch.empty(sizes, dtype=dtype)
        if record not in storages:
            storages[record] = bytearray(self._bytes(folder + record, ARCHIVE_LIMIT))
        flat = torch.frombuffer(storages[record], dtype=torch.uint8).view(dtype)
        return flat.as_strided(sizes, strides, offset)

    def _numbers(self, name: str, values: Any) -> tuple[int, ...]:
        """Whole numbers, each written as {"as_int": n}."""
        found = [value.get("as_int") if isinstance(value, Mapping) else None for value in _list(values)]
        if not isinstance(values, list) or not all(type(n) is int and 0 <= n < 2**63 for n in found):
            raise self._refuse(f"give sizes and strides of {shown(name)} in whole numbers")
        return tuple(found)  # type: ignore[arg-type]

    def _bytes(self, name: str, limit: int) -> bytes:
        info = self._infos.get(name)
        if info is None:
            raise self._refuse(f"hold {name}")
        if info.file_size > limit:
            raise self._refuse(f"have at most {limit:,} bytes in {name}, not {info.file_size:,}")
        try:
            return self._archive.read(info)
        except (zipfile.BadZipFile, ValueError, EOFError, OSError, RuntimeError, NotImplementedError):
            raise self._refuse(
                f"be undamaged: the checksum of {shown(name)}, or its header, is wrong"
            ) from None


def _list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else []


def _reach(sizes: tuple[int, ...], strides: tuple[int, ...]) -> int | None:
    """Elements from the first to the last, or None if sizes and strides do not fit or an element serves twice."""
    if len(sizes) != len(strides):
        return None
    if 0 in sizes:
        return 0
    reach = 1
    for stride, size in sorted(zip(strides, sizes, strict=True)):
        if size > 1:
            if stride < reach:
                return None
            reach += (size - 1) * stride
    return reach
