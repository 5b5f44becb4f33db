"""A frame: the words of every vector for a run of tokens, seen through the views of instructions.

The golden model runs many tokens and sequences side by side: vectors are int32[tokens, sequences, words], and a frame
shows instructions a slice of tokens, flattened to a batch. Vectors indexed by key live only as long as their frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.golden.cache import Cache
from spikesim.program import CacheKeys, View

Words = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class KeyRange:
    """The keys a frame's tokens may read: positions `first` … `stop` − 1, and which of them are valid for whom.

    `valid`: bool[batch, heads or 1, stop − first].
    """

    first: int
    stop: int
    valid: NDArray[np.bool_]


class Frame:
    """Tokens `start` … `stop` − 1 of `vectors`; token t has position `position + t`.

    `vectors`: int32[tokens, sequences, words] by name. `constants`: int32[words] by name, the same for every token.
    `scores`: vectors indexed by key, int32[batch, heads, keys]. `shifts`: of every decay, by its `dst`, by how much it
    shifted rows, int32[tokens, sequences, heads]. `caches`: by name, with all of these tokens in them.
    """

    def __init__(
        self,
        vectors: dict[str, Words],
        constants: Mapping[str, Words],
        shifts: Mapping[View, Words],
        caches: Mapping[str, Cache],
        position: int,
        start: int,
        stop: int,
        whole: Frame | None = None,
    ) -> None:
        self.vectors = vectors
        self.constants = constants
        self.shifts = shifts
        self.caches = caches
        self.start = start
        self.stop = stop
        self.first_position = position + start
        self.sequences = next(iter(vectors.values())).shape[1]
        self.batch = (stop - start) * self.sequences
        self.scores: dict[str, Words] = {}
        self._ranges: dict[CacheKeys, KeyRange] = {}
        self._whole = whole
        # By the identity of the view, which its entry keeps alive: hashing its fields takes longer than making it.
        self._views: dict[tuple[int, int, int], tuple[View, Words]] = {}

    def tokens(self) -> Iterator[Frame]:
        """A frame of each token by itself, whose views are slices of this one's: for sections without attention."""
        position = self.first_position - self.start
        for token in range(self.start, self.stop):
            yield Frame(
                self.vectors,
                self.constants,
                self.shifts,
                self.caches,
                position,
                token,
                token + 1,
                whole=self,
            )

    def view(self, view: View) -> Words:
        """int32[batch, groups, length]: the words themselves, so that writing through it writes the vector.

        Nothing is checked here: `Machine` takes verified programs and inputs only (`spikesim.program.verifier`).
        """
        return self.spread(view, view.groups, view.length)

    def spread(self, view: View, groups: int, length: int) -> Words:
        """int32[batch, groups, length] of a view whose one group, or one word of each, may stand for all of them."""
        if view.name in self.scores:
            return self.scores[view.name]
        if self._whole is not None:
            first = (self.start - self._whole.start) * self.sequences
            return self._whole.spread(view, groups, length)[first : first + self.batch]
        key = id(view), groups, length
        if key not in self._views:
            self._views[key] = view, self._words(view, groups, length)
        return self._views[key][1]

    def _words(self, view: View, groups: int, length: int) -> Words:
        words, row, at = self.constants.get(view.name), 0, view.offset
        if words is None:
            words = self.vectors[view.name]
            # Not strides[1], which means nothing where there is one sequence.
            row = words.shape[2]
            at += self.start * self.sequences * row
        size = words.itemsize
        strides = (
            row * size,
            view.stride * size if view.groups == groups else 0,
            size if view.length == length else 0,
        )
        return np.ndarray((self.batch, groups, length), np.int32, words, at * size, strides)

    def scalars(self, view: View) -> Words:
        """int32[batch, groups] of a view of single words."""
        return self.view(view)[:, :, 0]

    def shifts_of(self, dst: View) -> Words:
        """int32[batch, heads]: the shifts of the decay that writes `dst`."""
        return self.shifts[dst][self.start : self.stop].reshape(self.batch, -1)

    def positions(self) -> NDArray[np.int64]:
        """int64[batch]: each token's position in its sequence."""
        return np.repeat(np.arange(self.stop - self.start) + self.first_position, self.sequences)

    def unflatten(self, words: Words) -> Words:
        """[batch, …] -> [tokens, sequences, …]."""
        return words.reshape(self.stop - self.start, self.sequences, *words.shape[1:])

    def keys(self, keys: CacheKeys) -> KeyRange:
        """The range and validity of the keys an attention instruction reads, for the tokens of this frame."""
        if keys not in self._ranges:
            self._ranges[keys] = self._key_range(keys)
        return self._ranges[keys]

    def _key_range(self, keys: CacheKeys) -> KeyRange:
        last = self.first_position + (self.stop - self.start)
        first = max(0, self.first_position - keys.span + 1) if keys.kind == "window" else 0
        query = self.positions()[:, None, None]
        key = np.arange(first, last)[None, None, :]
        valid = key <= query
        if keys.kind == "window":
            valid &= key > query - keys.span
        if keys.kind == "blocks" and keys.selected is not None:
            block = key // keys.span
            chosen = block == query // keys.span
            for choice in np.moveaxis(self.view(keys.selected), 2, 0):
                chosen = chosen | (block == choice[:, :, None])
            valid = valid & chosen
        return KeyRange(first=first, stop=last, valid=np.ascontiguousarray(valid))
