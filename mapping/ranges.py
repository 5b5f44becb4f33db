"""Ranges: how large every intermediate of a layer becomes on calibration data."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.errors import NumericError


class RangeRecorder:
    """A tap that keeps the largest magnitude per channel of every named value and passes the value on.

    `channels(name)` is float64 of the value's trailing shape: [n], or [heads, size] for values split into heads. With
    `block` > 0, the means of whole blocks of "attn.k" along the token axis are recorded as "attn.k_mean".
    """

    def __init__(self, block: int = 0) -> None:
        self._block = block
        self._channels: dict[str, torch.Tensor] = {}

    def __call__(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """Record `value` under `name`; batch and token axes are the first two."""
        if name == "attn.k" and self._block:
            whole = value.shape[1] // self._block * self._block
            blocks = (
                value[:, :whole].reshape(value.shape[0], -1, self._block, *value.shape[2:]).mean(dim=2)
                if whole
                else value
            )
            self("attn.k_mean", blocks)
        with torch.no_grad():
            peak = value.detach().abs().flatten(0, 1).amax(dim=0) if value.ndim > 2 else value.detach().abs()
            known = self._channels.get(name)
            self._channels[name] = peak if known is None else torch.maximum(known, peak)
        return value

    def channels(self, name: str) -> NDArray[np.float64]:
        """Largest magnitude per channel. Raises NumericError if it is not finite, KeyError if never seen."""
        peaks = self._channels[name].double().numpy()
        if not np.isfinite(peaks).all():
            raise NumericError(
                f"calibration values of {name} must be finite; check the weights for extreme values"
            )
        return peaks

    def peak(self, *names: str) -> float:
        """The largest magnitude of all these values."""
        return max(float(self.channels(name).max()) for name in names)


def fraction_for(peak: float, limit: int, headroom: float = 2.0) -> int:
    """Binary point that represents values up to `headroom · peak` within ±limit; 0 peaks give a harmless 15.

    >>> fraction_for(1.0, 32767)
    13
    """
    if peak <= 0:
        return 15
    return math.floor(math.log2(limit / (headroom * peak)))
