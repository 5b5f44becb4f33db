"""Quantisation: golden vectors of the published code, saturation and its count, and numpy and torch alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.places import VECTORS

from spikesim.errors import CodingError, NumericError
from spikesim.spikes.quantise import adaptive_threshold, int8_absmax, quantize_weight

V = np.load(VECTORS / "spike_threshold.npz")
KS = sorted(
    float(key[1:].removesuffix("__int")) for key in V.files if key[0] == "k" and key.endswith("__int")
)
LINEAR = ["g128", "g32b", "row"]


@pytest.mark.parametrize("k", KS)
def test_golden_threshold(k: float) -> None:
    counts, threshold, clipped = adaptive_threshold(V["x"], k)
    assert (counts.dtype, threshold.dtype, clipped) == (np.int32, np.float32, 0)
    assert np.array_equal(counts, V[f"k{k}__int"])
    np.testing.assert_allclose(threshold, V[f"k{k}__vth"], rtol=1e-6)


def test_golden_threshold_of_bfloat16() -> None:
    """The mean of a bfloat16 tensor is rounded to bfloat16 before the division."""
    counts, threshold, _ = adaptive_threshold(torch.from_numpy(V["bf16_x"]).bfloat16())
    assert counts.dtype == torch.int32
    assert np.array_equal(counts.numpy(), V["bf16_k3.0__int"])
    np.testing.assert_allclose(threshold.numpy(), V["bf16_k3.0__vth"], rtol=1e-6)


@pytest.mark.parametrize("name", LINEAR)
def test_golden_quantised_linear(name: str) -> None:
    weight, scales = V[f"ql_{name}__w"], V[f"ql_{name}__scales"]
    group = None if scales.ndim == 2 else weight.shape[1] // scales.shape[1]
    for given in (None, scales):
        quantized = quantize_weight(weight, group, given)
        assert quantized.counts.dtype == np.int8
        assert np.array_equal(quantized.counts, V[f"ql_{name}__w_int"])
        assert np.array_equal(quantized.scale, scales)
        assert quantized.clipped == 0
    counts, threshold, _ = adaptive_threshold(V[f"ql_{name}__x"])
    assert np.array_equal(counts, V[f"ql_{name}__x_int"])
    np.testing.assert_allclose(threshold, V[f"ql_{name}__vth"], rtol=1e-6)

    groups = scales.size // scales.shape[0]
    products = np.einsum(
        "btgi,ogi->btog",
        counts.reshape(*counts.shape[:2], groups, -1).astype(np.int64),
        quantized.counts.reshape(len(weight), groups, -1).astype(np.int64),
    )
    y = threshold * (products * scales.reshape(len(weight), groups)).sum(axis=-1)
    if f"ql_{name}__bias" in V.files:
        y = y + V[f"ql_{name}__bias"]
    for kind in ("orig", "f64"):
        np.testing.assert_allclose(y, V[f"ql_{name}__y_{kind}"], rtol=0, atol=1e-5)


def test_golden_key_value_integers() -> None:
    quantized = int8_absmax(V["kv_x"])
    assert np.array_equal(quantized.counts, V["kv_int"])
    np.testing.assert_allclose(quantized.scale, V["kv_scale"], rtol=1e-6)
    np.testing.assert_allclose(quantized.counts * quantized.scale, V["kv_deq_orig"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["gauss", "laplace"])
def test_golden_absmax(name: str) -> None:
    assert np.array_equal(int8_absmax(V[f"stat_{name}_x"]).counts, V[f"int8spk_{name}_int"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_torch_and_numpy_agree(dtype: torch.dtype) -> None:
    x = torch.from_numpy(V["stat_laplace_x"]).to(dtype)
    float32 = x.float().numpy()
    for function in (int8_absmax, quantize_weight):
        tensor, array = function(x), function(float32)
        assert tensor.counts.dtype == torch.int8
        assert np.array_equal(tensor.counts.numpy(), array.counts)
        assert np.array_equal(tensor.scale.numpy(), array.scale)


def test_autograd_tensors_are_taken() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    assert adaptive_threshold(x, 1.0).counts.tolist() == [[1, 1, 1]] * 2
    assert int8_absmax(x).counts.tolist() == quantize_weight(x).counts.tolist() == [[127] * 3] * 2


def test_rounding_is_half_to_even() -> None:
    x = np.float32([0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
    assert int8_absmax(x, scale=1.0).counts.tolist() == [0, 2, 2, 0, -2, -2]
    weight = np.float32([[0.5, 1.5, 2.5, 127]])
    assert quantize_weight(weight).counts.tolist() == [[0, 2, 2, 127]]


def test_threshold_is_clamped() -> None:
    x = np.float32([[0, 0], [1e-9, 1e-9], [1e9, -1e9]])
    counts, threshold, _ = adaptive_threshold(x)
    assert threshold.ravel().tolist() == [np.float32(1e-5), np.float32(1e-5), 1e4]
    assert counts.tolist() == [[0, 0], [0, 0], [100_000, -100_000]]


@pytest.mark.parametrize("window", [1, 3, 7, 31])
def test_window_saturates_and_counts(window: int) -> None:
    free = adaptive_threshold(V["x"]).counts
    counts, _, clipped = adaptive_threshold(V["x"], window=window)
    limit = (1 << window) - 1
    assert np.array_equal(counts, np.clip(free, -limit, limit))
    assert clipped == np.count_nonzero(np.abs(free.astype(np.int64)) > limit)
    assert window > 3 or clipped > 0


def test_window_of_31_planes_saturates_at_the_largest_int32() -> None:
    x = np.full((1, 1), 1e15, np.float32)
    assert adaptive_threshold(x, window=31) == ([[2**31 - 1]], [[1e4]], 1)
    with pytest.raises(
        NumericError, match=r"^counts must fit 32 bits, not 1e\+11: give a window to saturate them$"
    ):
        adaptive_threshold(x)


def test_calibrated_scale_saturates_at_127() -> None:
    quantized = int8_absmax(np.float32([[-2, 2, 1.27, 0]]), scale=np.float32([[0.01]]))
    assert quantized.counts.tolist() == [[-127, 127, 127, 0]]
    assert quantized.clipped == 2


def test_absmax_per_tensor() -> None:
    quantized = int8_absmax(np.float32([[1, 2], [127, 0]]), axis=None)
    assert quantized.scale.shape == (1, 1)
    assert quantized.counts.tolist() == [[1, 2], [127, 0]]


def test_rows_of_zeros_and_tiny_weights() -> None:
    quantized = quantize_weight(np.float32([[0, 0], [1e-45, 0], [1e-30, -1e-30]]))
    assert quantized.counts.tolist() == [[0, 0], [0, 0], [127, -127]]
    assert quantized.scale[0] == 1


def test_empty_arrays() -> None:
    assert adaptive_threshold(np.zeros((0, 4), np.float32)).counts.shape == (0, 4)
    assert int8_absmax(np.zeros((2, 0), np.float32)).counts.shape == (2, 0)
    assert quantize_weight(np.zeros((0, 4), np.float32)).counts.shape == (0, 4)


def test_integers_are_taken_as_numbers() -> None:
    assert adaptive_threshold([[1, 3]], k=1.0).scale.tolist() == [[2.0]]


ONES = np.ones((2, 6), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adaptive_threshold(ONES, k=0), "k must be greater than 0, not 0"),
        (lambda: adaptive_threshold(ONES, k=float("nan")), "k must be greater than 0, not nan"),
        (lambda: adaptive_threshold(ONES, window=0), "window must be in 1 … 31 planes, not 0"),
        (lambda: adaptive_threshold(ONES, window=32), "window must be in 1 … 31 planes, not 32"),
        (
            lambda: adaptive_threshold(ONES[:, :0]),
            r"x must be of shape \[\.\.\., channels\] .*, not \(2, 0\)",
        ),
        (lambda: adaptive_threshold(1.0), r"x must be of shape \[\.\.\., channels\] .*, not \(\)"),
        (lambda: int8_absmax(ONES, scale=0.0), r"scale must be greater than 0, not 0\.0"),
        (lambda: quantize_weight(ONES[0]), r"weight must be of shape \[outputs, inputs\], not \(6,\)"),
        (lambda: quantize_weight(ONES, group=4), "group must divide the 6 inputs, not 4"),
        (lambda: quantize_weight(ONES, group=0), "group must divide the 6 inputs, not 0"),
        (lambda: quantize_weight(ONES, scale=ONES), r"scale must be of shape \(2, 1\), not \(2, 6\)"),
        (lambda: quantize_weight(ONES, scale=ONES[:, :1] - 2), r"scale must be greater than 0, not -1\.0"),
    ],
)
def test_illegal_arguments(call: Any, message: str) -> None:
    with pytest.raises(CodingError, match=f"^{message}$"):
        call()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("function", [adaptive_threshold, int8_absmax, quantize_weight])
def test_values_that_are_not_finite(function: Any, bad: float) -> None:
    x = np.float32([[1, bad, 2]])
    for values in (x, torch.from_numpy(x)):
        with pytest.raises(NumericError, match=f"^values to quantise must be finite, not {bad}$"):
            function(values)
