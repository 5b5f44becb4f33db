"""Words that an instruction moves: what energy of the pointwise unit and of vector memory is counted by."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim import program as isa
from spikesim import timing
from spikesim.cycle.cost import Array
from spikesim.program.verifier.keys import reads_by_key


def vector_words(i: Any, batch: int, keys: Array | None, *, cores: int, kept: bool) -> int:
    """Words of vector memory that an instruction reads and writes for a batch of tokens, on all cores.

    `keys`: int64[batch, groups], of vectors with a word per key; None if it has none. `kept`: its counts are in the
    event encoders already. Every core loads all counts of a matrix; everything else is dealt to them.
    """
    total = 0
    for field, view, _ in i.views():
        if keys is not None and (reads_by_key(i, field) or (i.keyed and field == "dst")):
            total += int(keys.sum())
        elif field == "counts" and isinstance(i, isa.Gather) and i.operand == "matrix":
            total += 0 if kept else batch * view.words * cores
        else:
            total += batch * view.words
    return total


def pointwise_words(i: Any, batch: int, keys: Array | None, ends: int) -> int:
    """Words that go through the pointwise pipeline for a batch of tokens; `ends`: blocks that a pool completes."""
    if keys is not None:
        return int(np.sum(timing.pointwise_slots(i, keys, words=1)))
    groups, slots, _ = timing.pointwise_share(i, words=1, cores=1)
    completed = ends * i.src.words if isinstance(i, isa.Pool) else 0
    return batch * groups * slots + completed
