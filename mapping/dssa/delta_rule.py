"""The gated delta rule: a matrix-valued state that forgets by a gate and corrects its own predictions.

One step for a state S in R^{D x D} (rows: key, columns: value), `docs/dssa.md` 5.1:

    q <- q / sqrt(sum q^2 + 1e-6),  k <- k / sqrt(sum k^2 + 1e-6)
    S <- e^g S;   u <- beta (v - S^T k);   S <- S + k u^T;   o <- S^T q / sqrt(D)

`recurrent_delta_rule` does exactly that, token by token, and is the reference. `chunked_delta_rule` is the same
function in the WY form: inside a chunk all u solve one unit-lower-triangular system (I + A) U = R, so a chunk costs
a few matrix products; only the state at chunk borders is sequential.

Shapes: q, k, v: float32[..., tokens, D]; g (<= 0), beta: float32[..., tokens]; state: float32[..., D, D]. The leading
axes of q, k and v may broadcast against those of g and beta, which fix the number of states.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

L2_EPS = 1e-6
"""Added under the root of the l2 norm; source: `docs/dssa.md` 5.1 (published kernel)."""

CHUNK = 64
"""Tokens per chunk of the WY form, as in the published kernel; another value gives the same function."""


SEGMENT = 4096
"""Tokens whose chunk matrices are held at the same time; assumed, bounds memory."""


class DeltaRuleOutput(NamedTuple):
    """o: [..., tokens, D]; state: [..., D, D] after the last token; u: [..., tokens, D]; peak: [...] max|S| seen.

    The recurrence looks at the state after every token, the chunked form at the chunk borders only.
    """

    o: Tensor
    state: Tensor
    u: Tensor
    peak: Tensor


def l2_normalise(x: Tensor, eps: float | Tensor = L2_EPS) -> Tensor:
    """x: float32[..., D] -> x / sqrt(sum x^2 + eps)."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + eps)


def recurrent_delta_rule(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, state: Tensor
) -> DeltaRuleOutput:
    """Run the rule token by token; q and k are normalised here. O(tokens) steps, the reference form."""
    q, k = l2_normalise(q), l2_normalise(k)
    decay = g.exp()
    scale = q.shape[-1] ** -0.5
    outputs: list[Tensor] = []
    updates: list[Tensor] = []
    peak = state.abs().amax((-1, -2))
    for t in range(g.shape[-1]):
        state = state * decay[..., t, None, None]
        key = k[..., t, :, None]
        predicted = (state * key).sum(-2)
        u = beta[..., t, None] * (v[..., t, :] - predicted)
        state = state + key * u[..., None, :]
        outputs.append((state * q[..., t, :, None]).sum(-2) * scale)
        updates.append(u)
        peak = torch.maximum(peak, state.abs().amax((-1, -2)))
    return DeltaRuleOutput(torch.stack(outputs, -2), state, torch.stack(updates, -2), peak)


class _UnitLowerInverse(torch.autograd.Function):
    """strictly lower A: float32[..., n, n] -> (I + A)^-1, by substitution (stable where powers of A overflow)."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, a: Tensor) -> Tensor:
        """Invert; unitriangular=True lets the solver ignore the diagonal, so I need not be added."""
        eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
        inverse: Tensor = torch.linalg.solve_triangular(a, eye, upper=False, unitriangular=True)
        ctx.save_for_backward(inverse)
        return inverse

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        """d(X^-1) = -X^-1 dX X^-1; entries on and above the diagonal of A are constants."""
        (inverse,) = ctx.saved_tensors  # type: ignore[attr-defined]
        transposed: Tensor = inverse.transpose(-1, -2)
        gradient: Tensor = -(transposed @ grads[0] @ transposed).tril(-1)
        return gradient


def chunked_delta_rule(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, state: Tensor, chunk: int = CHUNK
) -> DeltaRuleOutput:
    """Run the rule in chunks of `chunk` tokens; same contract and, up to rounding, result as the recurrence.

    About SEGMENT tokens are worked on at once, so that memory beyond inputs and outputs does not grow with length.
    """
    segment = max(chunk, SEGMENT // chunk * chunk)
    parts: list[DeltaRuleOutput] = []
    for start in range(0, g.shape[-1], segment):
        tokens = slice(start, start + segment)
        q_part, k_part, v_part = (x[..., tokens, :] for x in (q, k, v))
        part = _run_chunks(q_part, k_part, v_part, g[..., tokens], beta[..., tokens], state, chunk)
        state = part.state
        parts.append(part)
    if len(parts) == 1:
        return parts[0]
    o, u = torch.cat([part.o for part in parts], -2), torch.cat([part.u for part in parts], -2)
    return DeltaRuleOutput(o, state, u, torch.stack([part.peak for part in parts]).amax(0))


def _run_chunks(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, state: Tensor, chunk: int
) -> DeltaRuleOutput:
    tokens, dim = q.shape[-2:]
    q, k = l2_normalise(q) * dim**-0.5, l2_normalise(k)
    padding = -tokens % chunk
    if padding:  # padded tokens have k = 0, beta = 0, g = 0 and so leave the state alone
        q, k, v = (functional.pad(x, (0, 0, 0, padding)) for x in (q, k, v))
        g, beta = (functional.pad(x, (0, padding)) for x in (g, beta))
    q, k, v = (x.reshape(*x.shape[:-2], -1, chunk, dim) for x in (q, k, v))
    g, beta = (x.reshape(*x.shape[:-1], -1, chunk) for x in (g, beta))

    total = g.cumsum(-1)  # log decay from the start of the chunk up to and including t
    later = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).triu(1)
    # decay[t, j] = e^(total_t - total_j) for j <= t; masked before exp, because above the diagonal it overflows
    decay = (total[..., :, None] - total[..., None, :]).masked_fill(later, -torch.inf).exp()
    a = ((k @ k.transpose(-1, -2)) * decay * beta[..., None]).tril(-1)
    inverse = _UnitLowerInverse.apply(a) * beta[..., None, :]  # type: ignore[no-untyped-call]
    from_start = total.exp()[..., None]
    fresh = inverse @ v  # u if the chunk started from a zero state
    correction = inverse @ (from_start * k)  # u = fresh - correction @ state
    attention = (q @ k.transpose(-1, -2)) * decay
    q_start = from_start * q
    k_end = k * (total[..., -1:] - total).exp()[..., None]
    end = total[..., -1].exp()[..., None, None]

    outputs: list[Tensor] = []
    updates: list[Tensor] = []
    peak = state.detach().abs().amax((-1, -2))
    # unbind, not indexing: the gradient of an index is a zero-filled tensor of the full size
    per_chunk = (x.unbind(-3) for x in (fresh, correction, q_start, attention, k_end.transpose(-1, -2), end))
    for fresh_c, correction_c, q_c, attention_c, k_c, end_c in zip(*per_chunk, strict=True):
        u = fresh_c - correction_c @ state
        outputs.append(q_c @ state + attention_c @ u)
        state = end_c * state + k_c @ u
        updates.append(u)
        peak = torch.maximum(peak, state.detach().abs().amax((-1, -2)))
    o, every_u = (torch.cat(parts, -2)[..., :tokens, :] for parts in (outputs, updates))
    return DeltaRuleOutput(o, state, every_u, peak)
