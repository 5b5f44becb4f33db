"""Top-k selection: MoBA blocks and SSE partitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.support.jit import jit


@jit("void(int32[:,:,:], int32[:,:,:], int64[:])")
def select_top(dst: Any, a: Any, candidates: Any) -> None:
    """`SelectTop` among the first `candidates[batch]` words; stored ascending, −1 where none is left."""
    count = dst.shape[2]
    for i in range(a.shape[0]):
        for g in range(a.shape[1]):
            chosen = 0
            for _ in range(count):
                best = -1
                for n in range(candidates[i]):
                    taken = False
                    for c in range(chosen):
                        taken = taken or dst[i, g, c] == n
                    if not taken and (best < 0 or a[i, g, n] > a[i, g, best]):
                        best = n
                if best >= 0:
                    # insert so that the list stays ascending
                    place = chosen
                    while place > 0 and dst[i, g, place - 1] > best:
                        dst[i, g, place] = dst[i, g, place - 1]
                        place -= 1
                    dst[i, g, place] = best
                    chosen += 1
            for c in range(chosen, count):
                dst[i, g, c] = np.int32(-1)
