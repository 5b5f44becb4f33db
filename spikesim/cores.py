"""The cores that are set side by side, by name; importing this costs nothing."""

from __future__ import annotations

from typing import Literal, get_args

CoreName = Literal["spiking", "dense", "skipping"]
"""The spiking core, its dense INT8 twin, and the same twin with an encoder that skips counts of 0 in a gather."""
CORES: tuple[CoreName, ...] = get_args(CoreName)
"""In the order in which they are shown."""
