"""`ResultCache`: results kept by the content they follow from, so that nothing is synthesised or simulated twice."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikesim.errors import OutputError
from spikesim.support.cache_folder import VARIABLE
from spikesim.support.files import write_bytes_atomic, write_text_atomic
from spikesim.support.seal import sealed, unsealed

_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Results kept by spikesim; they may be deleted at any time.\n"
"""Content of CACHEDIR.TAG, by which programs that make backups know a cache (bford.info/cachedir)."""


class ResultCache:
    """JSON documents in a folder, each under a digest of all it depends on; None as folder keeps nothing.

    A document is there whole or not at all, and sealed: what is not as it was written, under the name it was written,
    is made anew. What cannot be written is not kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def check(self) -> str:
        """Say why nothing will be kept, if so: the disk is full, or may not be written to.

        Raises `OutputError` for a folder that cannot be one: better before an hour's work than after.
        """
        if self.folder is None:
            return ""
        try:
            write_text_atomic(self.folder / "CACHEDIR.TAG", _TAG)
        except OutputError as error:
            sentence = f"{error}; {VARIABLE} names another folder for what is kept"
            if isinstance(error.__cause__, OSError):
                return sentence
            raise OutputError(sentence) from None
        return ""

    def get(self, kind: str, inputs: list[Any], make: Callable[[], Any]) -> Any:
        """The document of these inputs (strings, numbers, lists), made by `make` if it is not there yet."""
        digest = hashlib.sha256(json.dumps([kind, *inputs]).encode()).hexdigest()
        if self.folder is None:
            return make()
        path = self.folder / kind / f"{digest}.kept"
        kept = unsealed(path, digest)
        if kept is not None:
            return json.loads(gzip.decompress(kept))
        value = make()
        content = gzip.compress(json.dumps(value, allow_nan=False).encode(), 3, mtime=0)
        with contextlib.suppress(OutputError):
            write_bytes_atomic(path, sealed(content, digest))
        return value
