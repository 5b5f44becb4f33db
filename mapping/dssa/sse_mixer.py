"""The SSE + SWA mixer: sparse state expansion and sliding-window attention side by side (`docs/dssa.md` 5)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikesim.mapping.dssa.attention import window_attention
from spikesim.mapping.dssa.cache import SSECache
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.delta_rule import CHUNK
from spikesim.mapping.dssa.norm import RMSNorm
from spikesim.mapping.dssa.rope import apply_rope, rope_tables
from spikesim.mapping.dssa.softmax_mixer import split_heads
from spikesim.mapping.dssa.sse_core import Form, SSEInputs, choose_partitions, sse_core
from spikesim.mapping.dssa.tap import Tap


class SSEMixer(nn.Module):
    """x: float32[batch, tokens, hidden] -> (norm(sse(x)) + norm(swa(x))) / 2, same shape.

    Taps: "sse.q_proj", "sse.k_proj", "sse.v_proj", "sse.lora_q", "sse.lora_k", "sse.q2_proj", "sse.k2_proj",
    "sse.q1", "sse.q2", "sse.k1", "sse.k2" (after activation, [.., heads, D]), "sse.v" (after silu, [.., heads * D]),
    "sse.a", "sse.b", "sse.e", "sse.o" ([.., heads, D]), "sse.gate_low", "sse.gate", "sse.o_norm", "sse.out",
    "swa.q_proj", "swa.k_proj", "swa.v", "swa.q", "swa.k", "swa.o", "swa.out", and "sse.state" (float32[batch, 1 + N,
    heads, D, D] after the last token). Two are for looking only, what they return is dropped: "sse.u" (float32[count,
    D], every update beta (v - S^T k)) and "sse.state_peak" (float32[batch, 1 + N, heads], max|S| seen on the way).

    With use_short_conv, a causal depth-wise convolution of conv_size taps without activation acts on the first set of
    projections only (q1, k1), after the second set has been formed from the unfiltered ones; the last tap weighs the
    current token. Source: published SSE layer and flash-linear-attention's ShortConvolution.
    """

    def __init__(self, config: DSSAConfig) -> None:
        super().__init__()
        self.config = config
        self.form: Form = "gather"
        """Which form of the state part runs; all compute the same function."""
        self.chunk = CHUNK
        """Tokens per chunk of the chunked forms; no influence on the function."""
        self.scale_by_eta = True
        """False leaves out the scaling that the l2 norm undoes but for its epsilon: cheaper training."""
        hidden, dim, heads, eps = config.hidden_size, config.head_dim, config.num_heads, config.norm_eps
        width, kv_width = heads * dim, config.attn_num_kv_heads * dim

        def linear(inputs: int, outputs: int) -> nn.Linear:
            return nn.Linear(inputs, outputs, bias=False)

        self.sse_q_proj = linear(hidden, width)
        self.sse_k_proj = linear(hidden, width)
        self.sse_v_proj = linear(hidden, width)
        self.lora_q_proj = nn.ModuleList([linear(hidden, dim), linear(dim, width)])
        self.lora_k_proj = nn.ModuleList([linear(hidden, dim), linear(dim, width)])
        self.sse_a_proj = linear(hidden, 2 * heads)
        self.sse_b_proj = linear(hidden, 2 * heads)
        self.A_log = nn.Parameter(torch.zeros(2 * heads))
        self.dt_bias = nn.Parameter(torch.zeros(2 * heads))
        self.sse_e_proj = linear(hidden, config.num_sparse_partition)
        self.sse_o_norm = RMSNorm(dim, eps)
        self.sse_o_proj = linear(width, hidden)
        self.swa_q_proj = linear(hidden, width)
        self.swa_k_proj = linear(hidden, kv_width)
        self.swa_v_proj = linear(hidden, kv_width)
        self.swa_o_proj = linear(width, hidden)
        self.sse_merge_norm = RMSNorm(hidden, eps)
        self.swa_merge_norm = RMSNorm(hidden, eps)
        if config.qk_norm:
            self.swa_q_norm = RMSNorm(dim, eps)
            self.swa_k_norm = RMSNorm(dim, eps)
        if config.use_output_gate:
            self.sse_g_proj = nn.ModuleList([linear(hidden, dim), linear(dim, width)])
        if config.use_short_conv:
            self.q_conv1d_shared = nn.Conv1d(width, width, config.conv_size, groups=width, bias=False)
            self.k_conv1d_shared = nn.Conv1d(width, width, config.conv_size, groups=width, bias=False)

    def new_cache(self, batch: int) -> SSECache:
        """Return an empty cache: zero states, no keys."""
        config = self.config
        shape = (batch, 1 + config.num_sparse_partition, config.num_heads, config.head_dim, config.head_dim)
        return SSECache(self.A_log.new_zeros(shape), config.window_size)

    def forward(self, x: Tensor, positions: Tensor, cache: SSECache | None, tap: Tap) -> Tensor:
        """Mix along tokens; with a cache, continue from it and leave it after the last token."""
        sse = self.sse_merge_norm(tap("sse.out", self._sse(x, cache, tap)))
        swa = self.swa_merge_norm(tap("swa.out", self._swa(x, positions, cache, tap)))
        return (sse + swa) * 0.5  # type: ignore[no-any-return]

    def inputs(self, x: Tensor, cache: SSECache | None, tap: Tap) -> SSEInputs:
        """x: float32[batch, tokens, hidden] -> everything the state part reads."""
        config, dim = self.config, self.config.head_dim
        q = tap("sse.q_proj", self.sse_q_proj(x))
        k = tap("sse.k_proj", self.sse_k_proj(x))
        v = tap("sse.v", functional.silu(tap("sse.v_proj", self.sse_v_proj(x))))
        low_q = tap("sse.lora_q", self.lora_q_proj[0](x))
        low_k = tap("sse.lora_k", self.lora_k_proj[0](x))
        q2 = tap("sse.q2_proj", q + self.lora_q_proj[1](low_q))
        k2 = tap("sse.k2_proj", k + self.lora_k_proj[1](low_k))
        if config.use_short_conv:
            q, k = self._convolve(q, k, cache)
        activate = functional.relu if config.sse_qk_relu else functional.silu
        q1 = tap("sse.q1", split_heads(activate(q), dim))
        q2 = tap("sse.q2", split_heads(activate(q2), dim))
        k1 = tap("sse.k1", split_heads(activate(k), dim))
        k2 = tap("sse.k2", split_heads(activate(k2), dim))
        beta = tap("sse.b", self.sse_b_proj(x)).sigmoid()
        if config.allow_neg_eigval:
            beta = beta * 2
        g = -self.A_log.exp() * functional.softplus(tap("sse.a", self.sse_a_proj(x) + self.dt_bias))
        logits = tap("sse.e", self.sse_e_proj(x))
        choice = choose_partitions(logits, config.num_writer)
        eta = logits.softmax(-1) if self.scale_by_eta else None
        return SSEInputs(q1, q2, k1, k2, split_heads(v, dim), g, beta, eta, choice)

    def _sse(self, x: Tensor, cache: SSECache | None, tap: Tap) -> Tensor:
        inputs = self.inputs(x, cache, tap)
        state = self.new_cache(x.shape[0]).state if cache is None else cache.state
        out = sse_core(inputs, state, self.form, self.chunk)
        state = tap("sse.state", out.state)
        if cache is not None:
            cache.state = state
        tap("sse.u", out.u)
        tap("sse.state_peak", out.peak)
        o = self.sse_o_norm(tap("sse.o", out.o))
        if self.config.use_output_gate:
            low = tap("sse.gate_low", self.sse_g_proj[0](x))
            gate = tap("sse.gate", self.sse_g_proj[1](low))
            o = o * functional.silu(split_heads(gate, self.config.head_dim))
        projected: Tensor = self.sse_o_proj(tap("sse.o_norm", o.flatten(-2)))
        return projected

    def _swa(self, x: Tensor, positions: Tensor, cache: SSECache | None, tap: Tap) -> Tensor:
        config, dim = self.config, self.config.head_dim
        q = split_heads(tap("swa.q_proj", self.swa_q_proj(x)), dim)
        k = split_heads(tap("swa.k_proj", self.swa_k_proj(x)), dim)
        v = split_heads(tap("swa.v", self.swa_v_proj(x)), dim)
        if config.qk_norm:
            q, k = self.swa_q_norm(q), self.swa_k_norm(k)
        cos, sin = rope_tables(positions, dim, config.rope_theta)
        q = tap("swa.q", apply_rope(q, cos, sin))
        k = tap("swa.k", apply_rope(k, cos, sin))
        if cache is not None:
            k, v = cache.window.append(k, v)
        o = window_attention(q, k, v, config.window_size)
        projected: Tensor = self.swa_o_proj(tap("swa.o", o.flatten(-2)))
        return projected

    def _convolve(self, q: Tensor, k: Tensor, cache: SSECache | None) -> tuple[Tensor, Tensor]:
        past = self.config.conv_size - 1
        zeros = q.new_zeros(q.shape[0], past, q.shape[2])
        before_q = zeros if cache is None or cache.conv_q is None else cache.conv_q
        before_k = zeros if cache is None or cache.conv_k is None else cache.conv_k
        q, k = torch.cat((before_q, q), 1), torch.cat((before_k, k), 1)
        if cache is not None:
            cache.conv_q, cache.conv_k = q[:, q.shape[1] - past :], k[:, k.shape[1] - past :]
        return (
            self.q_conv1d_shared(q.transpose(1, 2)).transpose(1, 2),
            self.k_conv1d_shared(k.transpose(1, 2)).transpose(1, 2),
        )
