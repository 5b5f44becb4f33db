"""Rotary position embedding, non-interleaved: component i turns together with component i + D/2.

Source: `docs/dssa.md` 4.1. The tables are float32 on purpose, as in the published model: the angle p * w is rounded to
float32 before the cosine, so at positions near 524 287 the table is up to 2e-2 away from the exact cosine.
"""

import torch
from torch import Tensor


def inverse_frequencies(head_dim: int, theta: float) -> Tensor:
    """Return float32[head_dim / 2], w_i = theta^(-2i / head_dim) in radians per position."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    return 1.0 / (theta**exponents)


def rope_tables(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """positions: int64[tokens] -> (cos, sin), each float32[tokens, head_dim / 2]."""
    angles = positions.to(torch.float32)[:, None] * inverse_frequencies(head_dim, theta)[None, :]
    return angles.cos(), angles.sin()


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: float32[batch, tokens, heads, D], cos and sin: float32[tokens, D/2] -> x rotated, same shape."""
    half = x.shape[-1] // 2
    low, high = x[..., :half], x[..., half:]
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.cat((low * cos - high * sin, low * sin + high * cos), dim=-1)
