"""What a model keeps between calls: keys and values, block means, recurrent states.

Every cache belongs to one batch of equally long sequences; `DSSACache.length` counts the tokens seen by all layers.
"""

import torch
from torch import Tensor

from spikesim.mapping.dssa.attention import block_means


class KVCache:
    """Keys (after norm and RoPE) and values of one softmax layer or SWA branch.

    With `window` set, only the last `window - 1` entries survive an append, enough for the next query. With `chunk`
    set, the mean key of every finished block of `chunk` tokens is kept for MoBA's block choice.
    """

    def __init__(self, window: int | None = None, chunk: int | None = None) -> None:
        self.window = window
        self.chunk = chunk
        self.length = 0
        """Tokens ever appended (not tokens kept)."""
        self._size = 0
        self._k: Tensor | None = None
        self._v: Tensor | None = None
        self._means: list[Tensor] = []

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """k, v: float32[batch, new, heads, D] -> all kept keys and values [batch, kept + new, heads, D].

        The result covers absolute positions `length - kept_and_new .. length - 1` after the call.
        """
        new = k.shape[1]
        if self.window is not None:
            if self._k is not None and self._v is not None:
                k, v = torch.cat((self._k, k), 1), torch.cat((self._v, v), 1)
            keep = min(k.shape[1], self.window - 1)
            self._k, self._v = k[:, k.shape[1] - keep :], v[:, v.shape[1] - keep :]
            self.length += new
            return k, v
        self._grow(k, v)
        self.length += new
        keys, values = self._view()
        self._update_means(keys)
        return keys, values

    def means(self) -> Tensor | None:
        """Mean keys of all finished blocks, float32[batch, blocks, heads, D]; None while there is none."""
        return torch.cat(self._means, 1) if self._means else None

    def _view(self) -> tuple[Tensor, Tensor]:
        if self._k is None or self._v is None:
            raise RuntimeError("append before reading")
        return self._k[:, : self.length], self._v[:, : self.length]

    def _grow(self, k: Tensor, v: Tensor) -> None:
        # doubling keeps the copying cost of token-by-token decode linear
        needed = self.length + k.shape[1]
        if self._k is None or self._v is None or needed > self._size:
            self._size = max(needed, 2 * self._size)
            shape = (k.shape[0], self._size, *k.shape[2:])
            bigger_k, bigger_v = k.new_zeros(shape), v.new_zeros(shape)
            if self._k is not None and self._v is not None:
                bigger_k[:, : self.length], bigger_v[:, : self.length] = self._view()
            self._k, self._v = bigger_k, bigger_v
        self._k[:, self.length : needed], self._v[:, self.length : needed] = k, v

    def _update_means(self, keys: Tensor) -> None:
        if self.chunk is None:
            return
        done, finished = sum(m.shape[1] for m in self._means), self.length // self.chunk
        if finished > done:
            self._means.append(block_means(keys[:, done * self.chunk :], self.chunk))


class SSECache:
    """Recurrent state of one SSE + SWA layer.

    `state`: float32[batch, 1 + N, heads, D, D], row 0 shared, rows: key, columns: value. `conv_q`, `conv_k`: the last
    conv_size - 1 raw projections, float32[batch, conv_size - 1, heads * D], used only with the short convolution.
    """

    def __init__(self, state: Tensor, window: int) -> None:
        self.state = state
        self.window = KVCache(window=window)
        self.conv_q: Tensor | None = None
        self.conv_k: Tensor | None = None


class DSSACache:
    """Caches of all layers of one model for `batch` sequences that advance together."""

    def __init__(self, layers: list[KVCache | SSECache], batch: int) -> None:
        self.layers = layers
        self.batch = batch
        self.length = 0
