"""`in_batches`: a compiled loop over the tokens of a batch, on several threads if there are enough words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from spikesim.support.threads import ONE_THREAD, in_parts


def in_batches(kernel: Callable[..., Any], views: Sequence[NDArray[Any]], *settings: Any) -> tuple[int, ...]:
    """`kernel(*views, *settings)`, called for ranges of the views' first axis, the batch; the sums of what it returns.

    The first view says how many there are, and how many words. A placeholder, which the kernel does not look at, may
    be shorter.
    """
    batch, words = len(views[0]), views[0].size
    if (
        words < ONE_THREAD
    ):  # the steps of a recurrence: thousands of calls, each too short for slices of its views
        return _numbers(kernel(*views, *settings))
    found: list[tuple[int, ...]] = []

    def work(start: int, stop: int) -> None:
        found.append(_numbers(kernel(*(view[start:stop] for view in views), *settings)))

    in_parts(work, batch, words)
    return tuple(map(sum, zip(*found, strict=True)))


def _numbers(result: int | tuple[int, ...] | None) -> tuple[int, ...]:
    if result is None:
        return ()
    return result if isinstance(result, tuple) else (result,)
