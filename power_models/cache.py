"""`Cache`: results kept by the content they follow from, so that nothing is synthesised or simulated twice."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikesim.files import write_bytes_atomic

_VARIABLE = "SPIKESIM_CACHE"


def default_folder() -> Path:
    """`$SPIKESIM_CACHE`, else `spikesim` in the user's cache folder."""
    if chosen := os.environ.get(_VARIABLE):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spikesim"


class Cache:
    """JSON documents in a folder, each under a digest of all it depends on; None as folder keeps nothing.

    A document is there whole or not at all; one that cannot be read is made anew.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, kind: str, inputs: list[Any], make: Callable[[], Any]) -> Any:
        """The document of these inputs (strings, numbers, lists), made by `make` if it is not there yet."""
        digest = hashlib.sha256(json.dumps([kind, *inputs]).encode()).hexdigest()
        if self.folder is None:
            return make()
        path = self.folder / kind / f"{digest}.json.gz"
        try:
            return json.loads(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError, ValueError, zlib.error):
            value = make()
        write_bytes_atomic(path, gzip.compress(json.dumps(value, allow_nan=False).encode(), 3, mtime=0))
        return value
