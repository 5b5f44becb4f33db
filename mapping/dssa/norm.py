"""RMSNorm and the gated MLP, the two parts every DSSA block shares. Source: `docs/dssa.md` 2."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikesim.mapping.dssa.tap import Tap


class RMSNorm(nn.Module):
    """x: float32[..., size] -> x * (mean(x^2) + eps)^(-1/2) * weight, over the last axis."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised tensor, same shape; the weight is used as stored (no 1 + weight)."""
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return x * scale * self.weight


class GatedMLP(nn.Module):
    """x: float32[..., hidden] -> down(silu(gate(x)) * up(x)), float32[..., hidden].

    Taps: "mlp.gate", "mlp.up" (before the activation), "mlp.act" (input of down).
    """

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.down_proj = nn.Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x: Tensor, tap: Tap) -> Tensor:
        """Apply the MLP to every vector of the last axis."""
        gate = tap("mlp.gate", self.gate_proj(x))
        up = tap("mlp.up", self.up_proj(x))
        out: Tensor = self.down_proj(tap("mlp.act", functional.silu(gate) * up))
        return out
