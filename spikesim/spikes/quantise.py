"""From real activations and weights to the integers that become spikes and memory rows (`docs/dssa.md` 6.1).

All arithmetic is float32, whatever the input type: with bfloat16 weights exact halves occur and decide the rounding,
and a float64 quantiser gives other integers. Rounding is half to even everywhere.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import CodingError, NumericError
from spikesim.spikes.arrays import checked_integer, is_tensor, real_array
from spikesim.support.shown import shown

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

    Raises CodingError for a k that is not > 0 and finite in float32, a window outside 1 … 31 or an x without channels,
    NumericError for an x that is not finite in float32 or counts beyond int32.

    >>> counts, threshold, clipped = adaptive_threshold(np.float32([[1, -2, 0, 9]]), k=3.0, window=3)
    >>> counts.tolist(), threshold.tolist(), clipped
    ([[1, -2, 0, 7]], [[1.0]], 1)
    """
    divisor = _divisor(k)
    if window is not None:
        window = checked_integer(window, "window", 1, 31, "in 1 … 31 planes")
    own = real_array(x, "x")
    values = _float32(own)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise CodingError(f"x must be of shape [..., channels] with channels > 0, not {values.shape}")
    with np.errstate(over="ignore"):  # a mean beyond float32 is above MAX_SCALE
        threshold = np.clip(_mean_magnitude(x, own) / divisor, np.float32(MIN_SCALE), np.float32(MAX_SCALE))
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

    Raises CodingError for an axis that x does not have, a scale ≤ 0 or one that does not broadcast, NumericError for an
    x that is not finite in float32.

    >>> int8_absmax(np.float32([[0.5, -1.27], [0.0, 0.0]])).counts.tolist()
    [[50, -127], [0, 0]]
    >>> int8_absmax(np.float32([0.5, -1.27]), scale=0.005).clipped
    1
    """
    values = _float32(real_array(x, "x"))
    if scale is None:
        try:
            peak = np.abs(values).max(axis=axis, keepdims=True, initial=0.0)
        except (ValueError, TypeError, OverflowError):  # numpy's AxisError is a ValueError
            raise CodingError(
                f"axis must be one of the {values.ndim} axes of x, several or None, not {shown(axis)}"
            ) from None
        step = np.clip(peak / np.float32(INT8_LIMIT), np.float32(MIN_SCALE), np.float32(MAX_SCALE))
    else:
        step = _scale(scale)
        if len(step.shape) > values.ndim or any(
            side not in (1, own) for side, own in zip(step.shape[::-1], values.shape[::-1], strict=False)
        ):
            raise CodingError(f"scale must be of a shape that broadcasts to {values.shape}, not {step.shape}")
    return _integers(x, _rounded(values, step), step, INT8_LIMIT, np.int8)


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
    values = _float32(real_array(weight, "weight"))
    if values.ndim != 2:
        raise CodingError(f"weight must be of shape [outputs, inputs], not {values.shape}")
    outputs, inputs = values.shape
    if group is not None:
        group = checked_integer(group, "group")
        if group < 1 or inputs % group:
            raise CodingError(f"group must divide the {inputs} inputs, not {shown(group)}")
    grouped = values if group is None else values.reshape(outputs, inputs // group, group)
    if scale is None:
        step = np.abs(grouped).max(axis=-1, keepdims=True, initial=0.0) / np.float32(INT8_LIMIT)
        # A group of zeros, or one so small that the division gives 0: any scale will do.
        step = np.where(step > 0, step, np.float32(1))
    else:
        step = _scale(scale)
        if step.shape != (*grouped.shape[:-1], 1):
            raise CodingError(f"scale must be of shape {(*grouped.shape[:-1], 1)}, not {step.shape}")
    return _integers(weight, _rounded(grouped, step).reshape(values.shape), step, INT8_LIMIT, np.int8)


def _divisor(k: Any) -> np.float32:
    """k in float32, in which it must be greater than 0, and finite."""
    given = real_array(k, "k")
    if given.ndim:
        raise CodingError(f"k must be one number, not an array of shape {given.shape}")
    number = float(given)
    if not number > 0:
        raise CodingError(f"k must be greater than 0, not {shown(k)}")
    with np.errstate(over="ignore"):
        divisor = np.float32(number)
    if not 0 < divisor < np.inf:
        raise CodingError(f"k must be in the range of float32, not {shown(k)}")
    return divisor


def _mean_magnitude(x: Any, own: NDArray[Any]) -> NDArray[np.float32]:
    """float32[..., 1]: mean |x| over the last axis, taken in the type of x: its own, or float32 for what is not
    floating point of 16 bits or more. `own`: x as an array.
    """
    mean: NDArray[np.float32]
    if is_tensor(x) and x.is_floating_point() and x.element_size() > 1:
        mean = x.detach().abs().mean(dim=-1, keepdim=True).float().numpy(force=True)
    else:
        typed = own if own.dtype.kind == "f" else own.astype(np.float32)
        mean = np.abs(typed).mean(axis=-1, keepdims=True).astype(np.float32)
    return mean


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """The values in float32; NumericError if one is infinite or not a number there."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32, copy=False)
    finite = np.isfinite(narrow)
    if not finite.all():
        wrong = values[~finite][0]
        where = " in float32" if np.isfinite(wrong) else ""
        raise NumericError(f"values to quantise must be finite{where}, not {wrong}")
    return narrow


def _scale(scale: Any) -> NDArray[np.float32]:
    """A calibrated scale; CodingError if it is not greater than 0."""
    step = _float32(real_array(scale, "scale"))
    if step.size and step.min() <= 0:
        raise CodingError(f"scale must be greater than 0, not {step.min()}")
    return step


def _rounded(values: NDArray[np.float32], step: NDArray[np.float32]) -> NDArray[np.float32]:
    """values / step, to the next integer; what is beyond float32 becomes infinite, which saturates."""
    with np.errstate(over="ignore"):
        rounded: NDArray[np.float32] = np.round(values / step)
    return rounded


def _integers(
    like: Any, rounded: NDArray[Any], scale: NDArray[np.float32], limit: int | None, dtype: type
) -> Quantized:
    """Saturate rounded values at ±limit, count those, and return arrays of the kind of `like`.

    The limit is one less than a power of two. Without one the values fit `dtype`.
    """
    clipped = 0
    if limit is not None:
        # The power of two, because float32 may have no such limit: it has no 2^31 − 1.
        clipped = int(np.count_nonzero(np.abs(rounded) >= np.float32(limit + 1)))
        if clipped:
            rounded = np.clip(rounded.astype(np.float64), -limit, limit)
    # Of a scalar, numpy's functions return no array.
    counts: NDArray[Any] = np.asarray(rounded).astype(dtype)
    scale = np.asarray(scale)
    if not is_tensor(like):
        return Quantized(counts, scale, clipped)
    import torch

    # A copy: torch takes neither read-only arrays nor negative strides.
    own_scale = torch.from_numpy(scale.copy(order="C"))
    return Quantized(torch.from_numpy(counts).to(like.device), own_scale.to(like.device), clipped)
