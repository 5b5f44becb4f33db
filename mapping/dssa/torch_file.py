"""Reading `.pt` files: what torch.save writes for plain data and dense tensors, and nothing else.

The pickle inside is read by a machine that knows a part of its instructions and makes no objects but tables, lists
and descriptions of tensors: nothing is executed, nothing is allocated because the file says so, and what a tensor
claims to be is compared with the bytes there are before a byte of it is touched.

`torch.load(weights_only=True)` does not do here: it unpacks records of any size, and a key made of nested tuples keeps
it hashing without end, in a place where no signal reaches it.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from spikesim.errors import CheckpointError
from spikesim.support.nearest import named
from spikesim.support.reading import MEBIBYTE, open_regular

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

_STORAGES = {
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "DoubleStorage": "F64",
    "ComplexFloatStorage": "C64",
    "ComplexDoubleStorage": "C128",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
"""Element types by their names in a file; those that are no weights only have to be named."""

_PICKLE_LIMIT = 4 * MEBIBYTE
"""Bytes of all but the tensors' data. A model with a thousand tensors has a tenth of a mebibyte."""

_DIRECTORY_LIMIT = 8 * MEBIBYTE
"""Bytes of the list of records; a hundred thousand fit."""

_MOST = 2**63

_HEADER = struct.Struct("<26xHH")
"""Of a record: the lengths of the name and of the extra field that follow."""


class StoredTensor(NamedTuple):
    """A tensor of a file, as the pickle describes it: a view of a storage, in elements."""

    key: str
    dtype: str
    elements: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def fault(self) -> str | None:
        """What is wrong with the view, or None: it must lie in its storage, and no element may serve twice."""
        sizes = (self.elements, self.offset, *self.shape, *self.stride)
        if len(self.shape) != len(self.stride) or not all(type(n) is int and 0 <= n < _MOST for n in sizes):
            return "sizes and strides must be whole numbers"
        reach = 1
        for stride, size in sorted(zip(self.stride, self.shape, strict=True)):
            if size > 1:
                if stride < reach:
                    return "every element must have a number of its own, save it after .contiguous()"
                reach += (size - 1) * stride
        if 0 not in self.shape and self.offset + reach > self.elements:
            return f"its storage must hold {self.offset + reach} elements, not {self.elements}"
        return None


class _Storage(NamedTuple):
    key: str
    dtype: str
    elements: int


class TorchFile:
    """An opened file. `content`: what was saved, with a `StoredTensor` in place of every tensor."""

    def __init__(self, path: Path) -> None:
        """Raises CheckpointError for a file that is damaged, or holds more than plain data and dense tensors."""
        self.path = path
        with open_regular(path, "a .pt file", CheckpointError) as file:
            self.size = os.fstat(file.fileno()).st_size
            try:
                with zipfile.ZipFile(cast(BinaryIO, _Short(file))) as archive:
                    self._read(archive)
                self._offsets = {name: _offset(file, info) for name, info in self._records.items()}
            except (CheckpointError, MemoryError):
                raise
            except Exception:  # noqa: BLE001 - damaged zip files and pickles raise many types; none may escape
                raise CheckpointError(
                    f"{path} is not a readable weights-only .pt file: it is damaged or truncated, is not written by "
                    "torch.save in its zip format, or holds objects other than plain data and tensors; save it anew"
                ) from None

    def check(self, name: str, stored: StoredTensor) -> None:
        """Raise CheckpointError unless the file has the bytes of this tensor, which is of one of `DTYPES`."""
        if fault := stored.fault():
            raise CheckpointError(f"{self.path}: {name} must be a plain dense tensor: {fault}")
        record, size = self._record(stored), stored.elements * DTYPES[stored.dtype].itemsize
        held = 0 if record is None or record.compress_type != zipfile.ZIP_STORED else record.file_size
        if record is None or held != size or self._offsets[record.filename] + size > self.size:
            raise CheckpointError(f"{self.path} must hold {size:,} bytes for {name}, not {held:,}")

    def tensor(self, stored: StoredTensor, *, whole: bool = True) -> Tensor:
        """A tensor that `check` let pass, mapped from the file; if it is read as a `whole`, with its checksum."""
        dtype, record = DTYPES[stored.dtype], self._record(stored)
        if record is None or not record.file_size:
            return torch.empty(stored.shape, dtype=dtype)
        # A private map: torch wants to be able to write, and the file must not change.
        data = np.memmap(self.path, np.uint8, "c", self._offsets[record.filename], (record.file_size,))
        # torch.save can leave checksums out; they are 0 then.
        if whole and record.CRC and zlib.crc32(data.data) != record.CRC:
            raise CheckpointError(
                f"{self.path} is damaged: the checksum of its data {named(stored.key)} is wrong"
            )
        return torch.from_numpy(data).view(dtype).as_strided(stored.shape, stored.stride, stored.offset)

    def _read(self, archive: zipfile.ZipFile) -> None:
        self._records = {info.filename: info for info in archive.infolist()}
        if len(self._records) < len(archive.infolist()):
            raise CheckpointError(f"{self.path} must hold every record once")
        (pickled,) = (name for name in self._records if name.split("/")[1:] == ["data.pkl"])
        self._root = pickled.removesuffix("data.pkl")
        order = self._root + "byteorder"
        if order in self._records and self._content(archive, order) != b"little":
            raise CheckpointError(f"{self.path} must be saved with the lowest byte of a number first")
        self.content = _Reader(io.BytesIO(self._content(archive, pickled)), self.path).load()

    def _content(self, archive: zipfile.ZipFile, name: str) -> bytes:
        info = archive.getinfo(name)
        if info.file_size > _PICKLE_LIMIT:
            raise CheckpointError(
                f"{self.path} must hold at most {_PICKLE_LIMIT:,} bytes beside its tensors, not {info.file_size:,}"
            )
        if not info.CRC:
            del info.CRC  # absent; zipfile then compares nothing
        return archive.read(info)

    def _record(self, stored: StoredTensor) -> zipfile.ZipInfo | None:
        return self._records.get(f"{self._root}data/{stored.key}")


class _Short:
    """A file for zipfile, which reads all of its directory at once: no more of it than a model has."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        if size > _DIRECTORY_LIMIT:
            raise zipfile.BadZipFile
        return self._file.read(size)


def _offset(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Where the data of a record begins. The lengths in its own header count, not those in the directory."""
    file.seek(info.header_offset)
    name, extra = _HEADER.unpack(file.read(_HEADER.size))
    return info.header_offset + _HEADER.size + int(name) + int(extra)


class _Table(dict[Any, Any]):
    """A dict, ordered or not. Its keys cost nothing to hash: hashing a tuple follows all that it refers to."""

    __slots__ = ()

    def __setitem__(self, key: object, value: object) -> None:
        if type(key) not in (str, int):
            raise pickle.UnpicklingError("a key is neither text nor an integer")
        super().__setitem__(key, value)


class _Reader(pickle._Unpickler):
    """Python's own reader in Python, cut down to the instructions of protocol 2 that plain data needs."""

    stack: list[Any]
    append: Callable[[Any], None]

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]]
        for code in (
            pickle.APPEND,
            pickle.APPENDS,
            pickle.BINFLOAT,
            pickle.BINGET,
            pickle.BININT,
            pickle.BININT1,
            pickle.BININT2,
            pickle.BINPERSID,
            pickle.BINPUT,
            pickle.BINUNICODE,
            pickle.EMPTY_LIST,
            pickle.EMPTY_TUPLE,
            pickle.GLOBAL,
            pickle.LONG1,
            pickle.LONG_BINGET,
            pickle.LONG_BINPUT,
            pickle.MARK,
            pickle.NEWFALSE,
            pickle.NEWTRUE,
            pickle.NONE,
            pickle.PROTO,
            pickle.REDUCE,
            pickle.SETITEM,
            pickle.SETITEMS,
            pickle.STOP,
            pickle.TUPLE,
            pickle.TUPLE1,
            pickle.TUPLE2,
            pickle.TUPLE3,
        )
    }

    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file)
        self._path = path

    def load_empty_dict(self) -> None:
        """A table takes the place of a dict."""
        self.append(_Table())

    def load_build(self) -> None:
        """What is said of an object beside its content: a state_dict has versions of modules there."""
        self.stack.pop()
        if not isinstance(self.stack[-1], _Table):
            raise pickle.UnpicklingError("only tables have a state")

    dispatch[pickle.EMPTY_DICT[0]] = load_empty_dict
    dispatch[pickle.BUILD[0]] = load_build

    def persistent_load(self, pid: Any) -> _Storage:
        """("storage", type, key, place, elements) -> a description; where it lay is of no interest here."""
        kind, dtype, key, _, elements = pid
        if kind != "storage" or not isinstance(dtype, _Kind) or type(key) is not str:
            raise pickle.UnpicklingError("not a storage")
        return _Storage(key, dtype.name, elements)

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for here; nothing is imported. Raises CheckpointError for any that is not known."""
        full = f"{module}.{name}"
        if full in _FUNCTIONS:
            return _FUNCTIONS[full]
        if module == "torch" and name in _STORAGES:
            return _Kind(_STORAGES[name])
        if module == "torch" and isinstance(
            dtype := vars(torch).get(name), torch.dtype
        ):  # getattr may import
            return dtype
        raise CheckpointError(
            f"{self._path} must not hold objects other than plain data and tensors, such as {named(full)}; save it anew"
        )


class _Kind(NamedTuple):
    """A type of storage."""

    name: str


def _dense(
    storage: object,
    offset: int,
    shape: Any,
    stride: Any,
    grad: object = None,
    hooks: object = None,
    rest: object = None,
) -> StoredTensor:
    """A tensor as `torch._utils._rebuild_tensor_v2` takes it."""
    if not isinstance(storage, _Storage) or rest:  # the rest: signs and conjugates that are still to be taken
        raise pickle.UnpicklingError("not a dense tensor")
    return StoredTensor(*storage, offset, tuple(shape), tuple(stride))


def _parameter(data: object, *_: object) -> object:
    """What a parameter has beside its data is for training."""
    return data


def _table() -> _Table:
    return _Table()


_FUNCTIONS = {
    "collections.OrderedDict": _table,
    "torch._utils._rebuild_tensor": _dense,
    "torch._utils._rebuild_tensor_v2": _dense,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
}
