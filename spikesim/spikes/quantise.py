"""From real activations and weights to the integers that become spikes and memory rows (`docs/dssa.md` 6.1).

All arithmetic is float32, whatever the input type: with bfloat16 weights exact halves occur and decide the rounding,
and a float64 quantiser gives other integers. Rounding is half to even everywhere.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError, NumericError
from spikesim.spikes.arrays import is_tensor

MIN_SCALE: Final = 1e-5
MAX_SCALE: Final = 1e4
"""A scale is clamped to this range, `docs/dssa.md` 6.1."""

INT8_LIMIT: Final = 127
"""Largest magnitude of a symmetric INT8; −128 is not used."""


class Quantized(NamedTuple):
    """Integers and the scale that turns them back: x ≈ counts · scale.

    * `counts`: integers of the shape of the input, of its kind (numpy array or torch tensor).
    * `scale`: float32, of a shape that broadcasts over the counts unless the function says otherwise, of the
      same kind.
    * `clipped`: how many elements lay outside the range of the integers and were saturated.
    """

    counts: Any
    scale: Any
    clipped: int


def adaptive_threshold(x: Any, k: float = 3.0, window: int | None = None) -> Quantized:
    """x: float[..., channels] -> (int32[..., channels] counts, float32[..., 1] threshold, clipped).

    threshold = clamp(mean|x| / k, 1e-5, 1e4) per token, counts = round(x / threshold). The mean is taken in
    the type of x: of a bfloat16 tensor it is rounded to bfloat16. The counts are not bounded, unless `window`
    says to saturate them at ±(2^window − 1), what `window` planes of the bitwise coding hold.

    Raises CodingError for k ≤ 0, a window outside 1 … 31 or an x without channels, NumericError for an x that is not
    finite or counts beyond int32.

    >>> counts, threshold, clipped = adaptive_threshold(np.float32([[1, -2, 0, 9]]), k=3.0, window=3)
    >>> counts.tolist(), threshold.tolist(), clipped
    ([[1, -2, 0, 7]], [[1.0]], 1)
    """
    if not k > 0:
        raise CodingError(f"k must be greater than 0, not {k}")
    if window is not None and not 1 <= window <= 31:
        raise CodingError(f"window must be in 1 … 31 planes, not {window}")
    values = _floats(x)
    _need_last_axis(values)
    if is_tensor(x):
        mean = x.detach().abs().mean(dim=-1, keepdim=True).float().cpu().numpy()
    else:
        mean = np.abs(np.asarray(x, dtype=_float_type(x))).mean(axis=-1, keepdims=True).astype(np.float32)
    threshold = np.clip(mean / np.float32(k), np.float32(MIN_SCALE), np.float32(MAX_SCALE))
    rounded = np.round(values / threshold)
    if window is not None:
        return _integers(x, rounded, threshold, (1 << window) - 1, np.int32)
    largest = float(np.abs(rounded).max(initial=0.0))
    if largest >= 1 << 31:
        raise NumericError(f"counts must fit 32 bits, not {largest:.4g}: give a window to saturate them")
    return _integers(x, rounded, threshold, None, np.int32)


def int8_absmax(x: Any, axis: int | tuple[int, ...] | None = -1, scale: Any = None) -> Quantized:
    """x: float[...] -> (int8[...] in −127 … 127, float32 scale with `axis` kept as 1, clipped).

    scale = clamp(max|x| / 127, 1e-5, 1e4) over `axis`: −1 is one scale per token, None one for the tensor. Given a
    calibrated `scale` (a number, or an array that broadcasts), that one is used; values outside its range saturate.

    Raises CodingError for a scale ≤ 0, NumericError for an x that is not finite.

    >>> int8_absmax(np.float32([[0.5, -1.27], [0.0, 0.0]])).counts.tolist()
    [[50, -127], [0, 0]]
    >>> int8_absmax(np.float32([0.5, -1.27]), scale=0.005).clipped
    1
    """
    values = _floats(x)
    if scale is None:
        peak = np.abs(values).max(axis=axis, keepdims=True, initial=0.0)
        step = np.clip(peak / np.float32(INT8_LIMIT), np.float32(MIN_SCALE), np.float32(MAX_SCALE))
    else:
        step = _floats(scale)
        if step.size and step.min() <= 0:
            raise CodingError(f"scale must be greater than 0, not {step.min()}")
    return _integers(x, np.round(values / step), step, INT8_LIMIT, np.int8)


def quantize_weight(weight: Any, group: int | None = None, scale: Any = None) -> Quantized:
    """weight: float[outputs, inputs] -> (int8[outputs, inputs], float32 scale, clipped), W ≈ scale · integer.

    One scale per output row, float32[outputs, 1], or with `group` one per row and `group` consecutive inputs,
    float32[outputs, inputs / group, 1]. It is max|W| / 127, or the calibrated `scale` of that shape, in which case
    integers beyond ±127 saturate. A row or group of zeros has scale 1.

    Raises CodingError for a weight that is not a matrix, a group that does not divide the inputs or a scale that is
    ≤ 0 or of the wrong shape, NumericError for a weight that is not finite.

    >>> quantize_weight(np.float32([[1.27, -0.64, 0.0, 0.25]])).counts.tolist()
    [[127, -64, 0, 25]]
    >>> quantize_weight(np.float32([[1.27, -0.64, 0.0, 0.25]]), group=2).counts.tolist()
    [[127, -64, 0, 127]]
    """
    values = _floats(weight)
    if values.ndim != 2:
        raise CodingError(f"weight must be of shape [outputs, inputs], not {values.shape}")
    outputs, inputs = values.shape
    if group is not None and (group < 1 or inputs % group):
        raise CodingError(f"group must divide the {inputs} inputs, not {group}")
    grouped = values if group is None else values.reshape(outputs, inputs // group, group)
    if scale is None:
        step = np.abs(grouped).max(axis=-1, keepdims=True, initial=0.0) / np.float32(INT8_LIMIT)
        # A group of zeros, or one so small that the division gives 0: any scale will do.
        step = np.where(step > 0, step, np.float32(1))
    else:
        step = _floats(scale)
        if step.shape != (*grouped.shape[:-1], 1):
            raise CodingError(f"scale must be of shape {(*grouped.shape[:-1], 1)}, not {step.shape}")
        if step.size and step.min() <= 0:
            raise CodingError(f"scale must be greater than 0, not {step.min()}")
    return _integers(weight, np.round(grouped / step).reshape(values.shape), step, INT8_LIMIT, np.int8)


def _float_type(x: Any) -> np.dtype[Any]:
    """The type in which a mean over numpy values is taken: their own, or float32 for what is not floating point."""
    dtype = np.asarray(x).dtype
    return dtype if dtype.kind == "f" else np.dtype(np.float32)


def _floats(x: Any) -> NDArray[np.float32]:
    """The values as a float32 numpy array; NumericError if one is infinite or not a number."""
    values: NDArray[np.float32]
    values = (
        x.detach().float().cpu().numpy() if is_tensor(x) else np.asarray(x).astype(np.float32, copy=False)
    )
    if not np.isfinite(values).all():
        wrong = values[~np.isfinite(values)][0]
        raise NumericError(f"values to quantise must be finite, not {wrong}")
    return values


def _need_last_axis(values: NDArray[np.float32]) -> None:
    if values.ndim == 0 or values.shape[-1] == 0:
        raise CodingError(f"x must be of shape [..., channels] with channels > 0, not {values.shape}")


def _integers(
    like: Any, rounded: NDArray[Any], scale: NDArray[np.float32], limit: int | None, dtype: type
) -> Quantized:
    """Saturate rounded values at ±limit, count those, and return arrays of the kind of `like`."""
    clipped = 0
    if limit is not None:
        clipped = int(np.count_nonzero(np.abs(rounded) > limit))
        if clipped:
            # In float64, because float32 has no 2^31 − 1.
            rounded = np.clip(rounded.astype(np.float64), -limit, limit)
    counts: NDArray[Any] = rounded.astype(dtype)
    if not is_tensor(like):
        return Quantized(counts, scale, clipped)
    import torch

    return Quantized(
        torch.from_numpy(counts).to(like.device), torch.from_numpy(scale).to(like.device), clipped
    )
