"""Softmax mixers: grouped-query projections with q/k norm and RoPE, then one of the attention patterns.

`SoftmaxMixer` is the mixer of a moba or full layer (`docs/dssa.md` 4). `project` also serves the SWA branch.
"""

from typing import Literal

from torch import Tensor, nn

from spikesim.mapping.dssa.attention import full_attention, moba_attention
from spikesim.mapping.dssa.cache import KVCache
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.norm import RMSNorm
from spikesim.mapping.dssa.rope import apply_rope, rope_tables
from spikesim.mapping.dssa.tap import Tap


def split_heads(x: Tensor, head_dim: int) -> Tensor:
    """x: float32[..., heads * D] -> float32[..., heads, D]; head h is components h*D .. h*D + D - 1."""
    return x.reshape(*x.shape[:-1], -1, head_dim)


class SoftmaxMixer(nn.Module):
    """x: float32[batch, tokens, hidden] -> float32[batch, tokens, hidden].

    Taps: "attn.q_proj", "attn.k_proj", "attn.v" (raw projections), "attn.q", "attn.k" (after norm and RoPE,
    [.., heads, D]), "attn.o" (input of o_proj).
    """

    def __init__(self, config: DSSAConfig, kind: Literal["moba", "full"]) -> None:
        super().__init__()
        self.config = config
        self.kind = kind
        hidden, dim = config.hidden_size, config.head_dim
        self.q_proj = nn.Linear(hidden, config.attn_num_heads * dim, bias=False)
        self.k_proj = nn.Linear(hidden, config.attn_num_kv_heads * dim, bias=False)
        self.v_proj = nn.Linear(hidden, config.attn_num_kv_heads * dim, bias=False)
        self.o_proj = nn.Linear(config.attn_num_heads * dim, hidden, bias=False)
        self.q_norm = RMSNorm(dim, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(dim, config.norm_eps) if config.qk_norm else nn.Identity()

    def new_cache(self) -> KVCache:
        """Return an empty key/value cache for this mixer."""
        return KVCache(chunk=self.config.moba_chunk_size if self.kind == "moba" else None)

    def forward(self, x: Tensor, positions: Tensor, cache: KVCache | None, tap: Tap, dense: bool) -> Tensor:
        """Mix along tokens; `dense` makes a moba layer attend to all keys, as the published decode does."""
        dim = self.config.head_dim
        q = split_heads(tap("attn.q_proj", self.q_proj(x)), dim)
        k = split_heads(tap("attn.k_proj", self.k_proj(x)), dim)
        v = split_heads(tap("attn.v", self.v_proj(x)), dim)
        cos, sin = rope_tables(positions, dim, self.config.rope_theta)
        q = tap("attn.q", apply_rope(self.q_norm(q), cos, sin))
        k = tap("attn.k", apply_rope(self.k_norm(k), cos, sin))
        means = None
        if cache is not None:
            k, v = cache.append(k, v)
            means = cache.means()
        if self.kind == "full" or dense:
            o = full_attention(q, k, v)
        else:
            o = moba_attention(q, k, v, self.config.moba_chunk_size, self.config.moba_topk, means)
        out: Tensor = self.o_proj(tap("attn.o", o.flatten(-2)))
        return out
