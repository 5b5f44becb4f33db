"""`KernelCache`: machine code on disk, in a folder that is named by all it was made of.

numba's own cache looks at the file of the outer function alone: it runs old code after a change of a function or
constant that was compiled into it from another file, or of a setting such as NUMBA_BOUNDSCHECK. Here the folder's name
is a digest of the sources that the function's module imports, at any depth, and of every setting of numba.

Any number of processes may use a folder at once: there is one file per function and signature, which appears whole.
What cannot be read is compiled again, and what cannot be written is not kept; neither is an error.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import llvmlite  # type: ignore[import-untyped]
import numba
from numba.core import compiler, serialize
from numba.core.caching import NullCache

from spikesim.cache_folder import takes_files, user_folder
from spikesim.errors import OutputError
from spikesim.sources import digest

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

_DIGEST_BYTES = 32

# Without types, as numba has few.
_SETTINGS: Any = numba.config
_RESULT: Any = compiler.CompileResult
_DUMPS: Any = serialize.dumps


class KernelCache(NullCache):
    """The compiled forms of one function, in `folder`: what numba asks before it compiles, and tells afterwards."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self.folder = folder
        self._function = function

    @property
    def cache_path(self) -> str:
        """The folder, as numba's statistics show it."""
        return str(self.folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The code of a signature, None if there is none."""
        target_context.refresh()
        try:
            content = self._path(sig, target_context.codegen()).read_bytes()
        except OSError:
            return None
        head, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if head != hashlib.sha256(code).digest():  # cut short by a power failure
            return None
        return _RESULT._rebuild(target_context, *pickle.loads(code))

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps the code of a signature, if it can be kept."""
        if data.library.has_dynamic_globals or not all(lifted.can_cache for lifted in data.lifted):
            return  # it holds addresses of this process
        code: bytes = _DUMPS(data._reduce())
        path = self._path(sig, data.codegen)
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
        with contextlib.suppress(OSError):
            is_new = not self.folder.is_dir()
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_bytes(hashlib.sha256(code).digest() + code)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
            if is_new:
                _remove_all_but(KEPT, self.folder.parent)

    def _path(self, sig: Any, codegen: Any) -> Path:
        """Of a signature on this processor; functions that share a name differ in code or in what they enclose."""
        function = self._function
        enclosed = [cell.cell_contents for cell in function.__closure__ or ()]
        inputs = [
            repr(sig).encode(),
            repr(codegen.magic_tuple()).encode(),
            function.__code__.co_code,
            _DUMPS(enclosed),
        ]
        key = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in inputs)).hexdigest()
        name = re.sub(r"\W+", "_", function.__qualname__)
        return self.folder / f"{name}-{key[:32]}.code"


def kernel_cache(function: Callable[..., Any]) -> KernelCache | None:
    """The cache of a function of spikesim; None if it is of elsewhere, or if no folder can be written."""
    folder = _folder(function.__module__)
    return None if folder is None else KernelCache(function, folder)


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
        places.insert(0, Path(chosen) / "spikesim")
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
