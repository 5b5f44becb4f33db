"""Sparse state expansion: one shared and N partition states, of which every token reads and writes K.

Source: `docs/dssa.md` 5.1. `sse_core` sums the outputs of the shared recurrence and of the K chosen partitions. Three
forms of the same function:

* "recurrent": token by token, the reference;
* "gather": one chunked run per (sample, partition) over the tokens that chose it; the form for long prefill;
* "mask": all partitions for every token with g and beta set to 0 where not chosen; wasteful in arithmetic, but one
  batched run without gathers, the form for training.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from spikesim.mapping.dssa.delta_rule import CHUNK, DeltaRuleOutput, chunked_delta_rule, recurrent_delta_rule

Form = Literal["recurrent", "gather", "mask"]

SHORT = 8
"""Runs of at most this many tokens use the recurrence, where the chunk's set-up costs more; assumed."""

_Rule = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], DeltaRuleOutput]


class SSEInputs(NamedTuple):
    """Everything the state part reads: the activations of one layer, heads split, before the l2 norm.

    q1, q2, k1, k2, v: float32[batch, tokens, heads, D]; g, beta: float32[batch, tokens, 2 * heads], shared recurrence
    first; eta: float32[batch, tokens, N], softmax of the routing logits, or None to leave out the scaling of
    q2 and k2 by it, which the l2 norm undoes but for its epsilon; choice: bool[batch, tokens, N], K per token.
    """

    q1: Tensor
    q2: Tensor
    k1: Tensor
    k2: Tensor
    v: Tensor
    g: Tensor
    beta: Tensor
    eta: Tensor | None
    choice: Tensor


class SSEOutput(NamedTuple):
    """o: float32[batch, tokens, heads, D]; state, peak: see `sse_core`; u: float32[count, D], unordered updates."""

    o: Tensor
    state: Tensor
    u: Tensor
    peak: Tensor


def choose_partitions(logits: Tensor, count: int) -> Tensor:
    """logits: float32[..., N] -> bool[..., N], true for the `count` largest of every row."""
    chosen = torch.zeros_like(logits, dtype=torch.bool)
    return chosen.scatter_(-1, logits.detach().topk(count, -1).indices, True)


def sse_core(inputs: SSEInputs, state: Tensor, form: Form, chunk: int = CHUNK) -> SSEOutput:
    """Run the shared and the partition recurrences over all tokens.

    state: float32[batch, 1 + N, heads, D, D] before the first token, row 0 shared, rows of a matrix: key. Returns the
    summed output, the state after the last token (same shape, a new tensor) and float32[batch, 1 + N, heads] max|S|.
    """

    def rule(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, s: Tensor) -> DeltaRuleOutput:
        if form == "recurrent" or g.shape[-1] <= SHORT:
            return recurrent_delta_rule(q, k, v, g, beta, s)
        return chunked_delta_rule(q, k, v, g, beta, s, chunk)

    # to [batch, heads, tokens, ...]
    heads = inputs.q1.shape[2]
    q1, q2, k1, k2, v = (x.transpose(1, 2) for x in inputs[:5])
    g, beta = inputs.g.transpose(1, 2), inputs.beta.transpose(1, 2)
    swapped = _Swapped(q2, k2, v, g[:, heads:], beta[:, heads:], inputs.eta, inputs.choice)
    shared = rule(q1, k1, v, g[:, :heads], beta[:, :heads], state[:, 0])
    if form == "mask":
        part = _masked(swapped, state[:, 1:], rule)
    elif v.shape[2] == 1:
        part = _single(swapped, state[:, 1:])
    else:
        part = _gathered(swapped, state[:, 1:], rule)
    return SSEOutput(
        (shared.o + part.o).transpose(1, 2),
        torch.cat((shared.state[:, None], part.state), 1),
        torch.cat((shared.u.flatten(0, -2), part.u.flatten(0, -2)), 0),
        torch.cat((shared.peak[:, None], part.peak), 1),
    )


class _Swapped(NamedTuple):
    """Partition recurrence inputs: q, k, v [batch, heads, tokens, D]; g, beta [batch, heads, tokens]; rest as above."""

    q: Tensor
    k: Tensor
    v: Tensor
    g: Tensor
    beta: Tensor
    eta: Tensor | None
    choice: Tensor


def _masked(x: _Swapped, state: Tensor, rule: _Rule) -> DeltaRuleOutput:
    open_ = x.choice.permute(0, 2, 1)[:, :, None]  # [batch, N, 1, tokens]
    q, k = x.q[:, None], x.k[:, None]
    if x.eta is not None:
        weight = x.eta.permute(0, 2, 1)[:, :, None, :, None]
        q, k = q * weight, k * weight
    out = rule(q, k, x.v[:, None], x.g[:, None] * open_, x.beta[:, None] * open_, state)
    return out._replace(o=(out.o * open_[..., None]).sum(1))


def _single(x: _Swapped, state: Tensor) -> DeltaRuleOutput:
    """One token: touch the chosen states only, all samples at once."""
    count = int(x.choice[0, 0].sum())
    chosen = x.choice[:, 0].to(torch.int8).topk(count, -1).indices  # [batch, K]
    rows = torch.arange(state.shape[0])[:, None]
    q, k = x.q[:, None], x.k[:, None]
    if x.eta is not None:
        weight = x.eta[:, 0].gather(-1, chosen)[:, :, None, None, None]
        q, k = q * weight, k * weight
    out = recurrent_delta_rule(q, k, x.v[:, None], x.g[:, None], x.beta[:, None], state[rows, chosen])
    new_state = state.clone()
    new_state[rows, chosen] = out.state
    return DeltaRuleOutput(out.o.sum(1), new_state, out.u, new_state.abs().amax((-1, -2)))


def _gathered(x: _Swapped, state: Tensor, rule: _Rule) -> DeltaRuleOutput:
    o = torch.zeros_like(x.v)
    new_state, peak = state.clone(), state.abs().amax((-1, -2))
    updates: list[Tensor] = []
    for sample in range(state.shape[0]):
        for partition in range(state.shape[1]):
            at = x.choice[sample, :, partition].nonzero()[:, 0]
            if not len(at):
                continue
            q, k = x.q[sample, :, at], x.k[sample, :, at]
            if x.eta is not None:
                weight = x.eta[sample, at, partition, None]
                q, k = q * weight, k * weight
            g, beta = x.g[sample, :, at], x.beta[sample, :, at]
            out = rule(q, k, x.v[sample, :, at], g, beta, state[sample, partition])
            o[sample].index_add_(1, at, out.o)
            new_state[sample, partition] = out.state
            peak[sample, partition] = torch.maximum(peak[sample, partition], out.peak)
            updates.append(out.u.flatten(0, -2))
    return DeltaRuleOutput(o, new_state, torch.cat(updates, 0), peak)
