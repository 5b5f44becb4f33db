"""`shipped_energies`: rates of energy that `spikesim compare` measured, as they come with the package.

`measured.json` is written by `benchmarks/energies.py` from the `report.json` of such runs, never by hand.
"""

from __future__ import annotations

import functools
import json
from importlib import resources

from spikesim.results.energy import Energies

FILE = "measured.json"


@functools.cache
def shipped_energies() -> tuple[Energies, ...]:
    """All designs that were measured, one after the other."""
    text = resources.files(__name__).joinpath(FILE).read_text(encoding="utf-8")
    return tuple(Energies.model_validate(entry) for entry in json.loads(text))
