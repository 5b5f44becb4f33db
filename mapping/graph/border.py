"""Images in memory, channels last, and the border that convolutions and pooling put around them."""

from __future__ import annotations

from dataclasses import dataclass

from spikesim.mapping.graph.lowering import Lowering
from spikesim.mapping.graph.nodes import Pair
from spikesim.mapping.graph.tensor import run
from spikesim.program import View


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The words of an image, channels last, of `height` × `width` pixels."""

    words: View
    height: int
    width: int
    channels: int


def middle_of(whole: Grid, sizes: tuple[int, int], padding: tuple[Pair, ...]) -> View:
    """Where the rows of an image lie within a larger one."""
    (top, _), (left, _) = padding
    height, width = sizes
    pitch = whole.width * whole.channels
    return run(whole.words.name, top * pitch + left * whole.channels, height, width * whole.channels, pitch)


def fill_border(
    low: Lowering, whole: Grid, sizes: tuple[int, int], padding: tuple[Pair, ...], word: int = 0
) -> None:
    """Writes a word all around an image: before it, between its rows, behind it."""
    name, (height, width) = whole.words.name, sizes
    (top, _), (left, right) = padding
    pitch, line = whole.width * whole.channels, width * whole.channels
    begin = top * pitch + left * whole.channels
    between = (left + right) * whole.channels
    end = begin + (height - 1) * pitch + line
    behind = whole.height * pitch - end
    if begin:
        low.fill(name, run(name, 0, 1, begin), word)
    if between and height > 1:
        low.fill(name, run(name, begin + line, height - 1, between, pitch), word)
    if behind:
        low.fill(name, run(name, end, 1, behind), word)
