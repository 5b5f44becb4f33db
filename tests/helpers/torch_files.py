"""`.pt` files that torch.save would not write."""

import pickle
import zipfile
from pathlib import Path


def write_pt(
    path: Path, pickled: bytes, records: dict[str, bytes] | None = None, packing: int = zipfile.ZIP_STORED
) -> Path:
    """A file with this pickle; `records`: the content of storages by key, and of other records by path."""
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("m/data.pkl", pickled)
        for name, content in (records or {}).items():
            archive.writestr(f"m/data/{name}" if name.isdigit() else f"m/{name}", content)
    return path


def save(content: object) -> bytes:
    """The pickle of plain data, and of what `Call` and `Storage` stand for."""
    file = _Buffer()
    _Pickler(file, protocol=2).dump(content)
    return bytes(file)


class Storage:
    """A storage of `elements` float32 numbers."""

    def __init__(self, key: str, elements: object, kind: str = "FloatStorage") -> None:
        self.key, self.elements, self.kind = key, elements, kind


class Call:
    """What the pickle makes by calling a function of that name."""

    def __init__(self, name: str, *args: object) -> None:
        self.name, self.args = name, args


def tensor(storage: Storage, shape: object, stride: object, offset: object = 0, *more: object) -> Call:
    """A tensor as torch.save writes it."""
    return Call("torch._utils _rebuild_tensor_v2", storage, offset, shape, stride, False, {}, *more)


class _Name:
    """A name in the pickle: "module name"."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Buffer(bytearray):
    def write(self, data: bytes) -> int:
        self.extend(data)
        return len(data)


class _Pickler(pickle._Pickler):
    def save(self, obj: object, *args: object, **kwargs: object) -> None:
        if isinstance(obj, _Name):
            self.write(b"c" + obj.name.replace(" ", "\n").encode() + b"\n")
        elif isinstance(obj, Storage):
            super().save(("storage", _Name(f"torch {obj.kind}"), obj.key, "cpu", obj.elements))
            self.write(pickle.BINPERSID)
        elif isinstance(obj, Call):
            self.save(_Name(obj.name))
            super().save(obj.args)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, *args, **kwargs)
