"""Makes lava-nc 0.10.0 importable on Python 3.11 and newer, without touching what is installed."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import sys
from typing import Any

_BROKEN = "lava.magma.compiler.var_model"


def prepare() -> None:
    """Make `import lava…` work; does nothing the second time.

    Python 3.11 refuses an instance without a hash as a dataclass field's default. Lava has one such class,
    `ByteEncoder`, which is made hashable while its module is imported.

    For worker processes only: Lava sets multiprocessing's start method when it is imported.
    """
    if _BROKEN in sys.modules:
        return
    original: Any = dataclasses.dataclass

    def hashable(cls: Any = None, /, **options: Any) -> Any:
        def decorate(decorated: Any) -> Any:
            if decorated.__name__ == "ByteEncoder":
                options["unsafe_hash"] = True
            return original(decorated, **options)

        return decorate if cls is None else decorate(cls)

    dataclasses.dataclass = hashable
    try:
        importlib.import_module(_BROKEN)
    finally:
        dataclasses.dataclass = original
    logging.getLogger("asteval").setLevel(logging.ERROR)
