"""Where machine code is kept: numba's own cache, in a folder that is named by all that the code was made of.

By itself numba looks at the file of the outer function alone: it runs old code after a change of a function or constant
that was compiled into it from another file, or of a setting such as NUMBA_BOUNDSCHECK. Here the folder's name is a
digest of the sources that the function's module imports, at any depth, and of every setting of numba.

What cannot be read is compiled again, and what cannot be written is not kept; neither is an error.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import llvmlite  # type: ignore[import-untyped]
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, _CacheLocator

from spikesim.errors import OutputError
from spikesim.support.cache_folder import takes_files, user_folder
from spikesim.support.seal import sealed, unsealed
from spikesim.support.sources import digest

KEPT: Final = 4
"""Folders per module that are kept: the sources of today, and of branches that somebody goes back to."""

_AT_RUN_TIME = {
    "CACHE_DIR",
    "CACHE_LOCATOR_CLASSES",
    "NUMBA_DEFAULT_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "THREADING_LAYER",
    "THREADING_LAYER_PRIORITY",
}
"""Settings of numba that change no machine code; any other may."""

_SETTINGS: Any = numba.config  # without types, as numba has few


class _Locator(_CacheLocator):
    """Tells numba where the code of a function lies, and what makes it stale: nothing, since the folder says it all."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._function, self._folder = function, folder

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], _file: str) -> Self | None:
        """None for a function whose code is not kept."""
        folder = _folder(py_func.__module__)
        return None if folder is None else cls(py_func, folder)

    def get_cache_path(self) -> str:
        """The folder."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """The digest that names it."""
        return self._folder.name

    def get_disambiguator(self) -> str:
        """Functions of one name in a module begin on different lines."""
        return str(self._function.__code__.co_firstlineno)


class _Implementation(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 - as numba has it


class _SealedFiles(IndexDataCacheFile):
    """An index and files of code, each sealed: code that is damaged would run.

    The code comes with its key: of two processes that compile for other types at once, numba may keep the index of one
    and the code of the other.
    """

    def save(self, key: Any, data: Any) -> None:
        super().save(key, (key, data))  # type: ignore[no-untyped-call]

    def load(self, key: Any) -> Any:
        found = super().load(key)  # type: ignore[no-untyped-call]
        return found[1] if found is not None and found[0] == key else None

    def _load_index(self) -> Any:
        return self._read(self._index_path) or {}

    def _save_index(self, overloads: Any) -> None:
        self._write(self._index_path, overloads)

    def _load_data(self, name: str) -> Any:
        return self._read(self._data_path(name))  # type: ignore[no-untyped-call]

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), data)  # type: ignore[no-untyped-call]

    def _read(self, path: str) -> Any:
        content = unsealed(Path(path), self._seal(path))
        return None if content is None else pickle.loads(content)

    def _write(self, path: str, value: Any) -> None:
        with self._open_for_write(path) as file:
            file.write(sealed(self._dump(value), self._seal(path)))  # type: ignore[no-untyped-call]

    def _seal(self, path: str) -> str:
        return f"{self._source_stamp} {Path(path).name}"


class KernelCache(FunctionCache):
    """The compiled forms of one function. What is damaged is compiled again."""

    _impl_class = _Implementation

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        implementation = self._impl
        self._cache_file = _SealedFiles(  # type: ignore[no-untyped-call]
            self._cache_path, implementation.filename_base, implementation.locator.get_source_stamp()
        )

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps the code of a signature, if it can be kept."""
        folder = Path(self.cache_path)
        is_new = not folder.is_dir()
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
            if is_new:
                _remove_all_but(KEPT, folder.parent)


def kernel_cache(function: Callable[..., Any]) -> KernelCache | None:
    """The cache of a function of spikesim; None if it is of elsewhere, or if no folder can be written."""
    folder = _folder(function.__module__)
    return None if folder is None else KernelCache(function)


@functools.cache
def _folder(module: str) -> Path | None:
    root = _root() if module.startswith("spikesim.") else None
    if root is None:
        return None
    try:
        sources = digest(module)
    except ValueError:  # installed without sources
        return None
    name = hashlib.sha256(f"{sources} {_compiler()}".encode()).hexdigest()[:32]
    folder = root / module / name
    with contextlib.suppress(OSError):
        os.utime(folder)  # in use: not the next to be removed
    return folder


@functools.cache
def _root() -> Path | None:
    """The first folder that takes files: $NUMBA_CACHE_DIR, beside the code, or among the user's caches."""
    places = [Path(__file__).parent / "__pycache__"]
    if chosen := _SETTINGS.CACHE_DIR:
        with contextlib.suppress(RuntimeError):  # the user has no home
            places.insert(0, Path(chosen).expanduser() / "spikesim")
    with contextlib.suppress(OutputError):
        places.append(user_folder())
    return next((place / "kernels" for place in places if takes_files(place / "kernels")), None)


def _compiler() -> str:
    """Version of LLVM and settings of numba; numba's version is among those of the packages that `jit` imports."""
    names = (name for name in dir(_SETTINGS) if name.isupper() and not name.startswith("_"))
    settings = [(name, getattr(_SETTINGS, name)) for name in names if name not in _AT_RUN_TIME]
    return repr((llvmlite.__version__, settings))


def _remove_all_but(kept: int, folder: Path) -> None:
    """Removes the folders in `folder` that were used least recently. A process that uses one writes it anew."""
    for old in sorted(folder.iterdir(), key=_last_use)[:-kept]:
        shutil.rmtree(old, ignore_errors=True)


def _last_use(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # just removed by another process
        return 0.0
