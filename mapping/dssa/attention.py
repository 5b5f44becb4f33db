"""Causal softmax attention over all keys, over a window, or over MoBA's chosen blocks.

Contract of the three functions: q: float32[batch, queries, heads, D]; k, v: float32[batch, keys, kv_heads, D] with
queries <= keys, the last query aligned with the last key; result float32[batch, queries, heads, D]. Query head
h reads key/value head h // (heads / kv_heads); the scale is D^(-1/2). Queries are processed in blocks, so
memory grows with
`keys`, not with queries * keys. Source: `docs/dssa.md` 4 and 5.2.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

SCORES_PER_BLOCK = 1 << 24
"""Upper bound on the score elements held at once (64 MiB of float32); assumed, trades memory for speed."""

_Mask = Callable[[int, int, int, int], Tensor]


def full_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend to every key up to the query's own position."""
    offset = k.shape[1] - q.shape[1]

    def mask(start: int, stop: int, first: int, end: int) -> Tensor:
        return torch.arange(first, end) <= torch.arange(start, stop)[:, None] + offset

    return _attend(q, k, v, mask, None)


def window_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Attend to the last `window` keys, the query's own position included."""
    offset = k.shape[1] - q.shape[1]

    def mask(start: int, stop: int, first: int, end: int) -> Tensor:
        distance = torch.arange(start, stop)[:, None] + offset - torch.arange(first, end)
        return (distance >= 0) & (distance < window)

    return _attend(q, k, v, mask, window)


def moba_attention(
    q: Tensor, k: Tensor, v: Tensor, chunk: int, topk: int, means: Tensor | None = None
) -> Tensor:
    """Attend to the query's own block and the topk - 1 past blocks with the largest gate, per query head.

    Blocks are `chunk` keys counted from key 0, which must be the first of the sequence. `means`: float32[batch,
    finished blocks, kv_heads, D], the mean key of every finished block; computed here when None.
    """
    offset = k.shape[1] - q.shape[1]
    if means is None:
        means = block_means(k, chunk)

    def mask(start: int, stop: int, first: int, end: int) -> Tensor:
        positions = torch.arange(start, stop) + offset
        causal = torch.arange(first, end) <= positions[:, None]
        blocks = -(-end // chunk)
        chosen = select_blocks(
            q[:, start:stop].detach(), means[:, :blocks].detach(), positions // chunk, blocks, topk
        )
        return chosen[..., torch.arange(end) // chunk] & causal

    return _attend(q, k, v, mask, None)


def block_means(k: Tensor, chunk: int) -> Tensor:
    """Average the keys of every finished block.

    k: float32[batch, keys, kv_heads, D] -> float32[batch, keys // chunk, kv_heads, D].
    """
    finished = k.shape[1] // chunk
    blocks: Tensor = k[:, : finished * chunk].reshape(k.shape[0], finished, chunk, *k.shape[2:])
    return blocks.mean(2)


def select_blocks(q: Tensor, means: Tensor, own: Tensor, blocks: int, topk: int) -> Tensor:
    """Choose blocks: own: int64[queries], each query's block -> bool[batch, heads, queries, blocks].

    q: float32[batch, queries, heads, D]; means: float32[batch, at most `blocks`, kv_heads, D]. The gate is q . mean,
    unscaled; the own block is always chosen, later blocks never.
    """
    batch, queries, heads, _ = q.shape
    past = torch.arange(blocks) < own[:, None]
    chosen = (torch.arange(blocks) == own[:, None]).expand(batch, heads, queries, blocks).clone()
    wanted = min(topk - 1, means.shape[1])
    if wanted > 0:
        keys = means.repeat_interleave(heads // means.shape[2], 2)
        gate = torch.einsum("bqhd,bnhd->bhqn", q, keys)
        gate = gate.masked_fill(~past[:, : means.shape[1]], -torch.inf)
        chosen.scatter_(-1, gate.topk(wanted, -1).indices, True)
        chosen &= past | (torch.arange(blocks) == own[:, None])
    return chosen


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: _Mask, window: int | None) -> Tensor:
    """Softmax attention; `mask(start, stop, first, end)` tells which keys first..end-1 queries start..stop-1 see."""
    batch, queries, heads, _ = q.shape
    keys = k.shape[1]
    offset = keys - queries
    grouped = heads != k.shape[2]
    k, v = k.transpose(1, 2), v.transpose(1, 2)
    step = max(1, min(queries, SCORES_PER_BLOCK // (batch * heads * keys)))
    outputs: list[Tensor] = []
    for start in range(0, queries, step):
        stop = min(start + step, queries)
        end = stop + offset
        first = 0 if window is None else max(0, start + offset - window + 1)
        out = functional.scaled_dot_product_attention(
            q[:, start:stop].transpose(1, 2),
            k[:, :, first:end],
            v[:, :, first:end],
            attn_mask=mask(start, stop, first, end),
            enable_gqa=grouped,
        )
        outputs.append(out.transpose(1, 2))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)
