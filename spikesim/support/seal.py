"""Files of a cache: content behind a digest of it, so that nothing is believed, unpacked or unpickled that is damaged.

A disk that fails, a copy that ended half way, or a file that another program put there: none of them has the digest.
It is no signature: who can write the folder can write a file that is believed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from spikesim.errors import OutputError
from spikesim.support.reading import read_bytes

_HEAD = hashlib.sha256().digest_size


def sealed(content: bytes, name: str) -> bytes:
    """What to write: `content`, to be read under this name alone."""
    return _digest(content, name) + content


def unsealed(path: Path, name: str) -> bytes | None:
    """The content of a file that `sealed` made under this name; None if it is not there, or not as it was."""
    try:
        whole = read_bytes(path, "what was kept", OutputError)
    except OutputError:
        return None
    content = whole[_HEAD:]
    return content if whole[:_HEAD] == _digest(content, name) else None


def _digest(content: bytes, name: str) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + content).digest()
