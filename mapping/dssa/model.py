"""The float32 DSSA model: the reference that quantised and spiking versions are measured against.

`load_model(path)` reads a checkpoint into a `DSSAModel`. A `DSSALayer` can be built alone from its own tensors, so a
model larger than the memory can be walked layer by layer. Parameter names equal those in the files, `docs/dssa.md` 3.
Positions are true token positions throughout; the position defect of the published decode (`docs/dssa.md` 4.3) is not
reproduced.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikesim.errors import CheckpointError, TokenError
from spikesim.mapping.dssa.cache import DSSACache, KVCache, SSECache
from spikesim.mapping.dssa.checkpoint import open_checkpoint
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.norm import GatedMLP, RMSNorm
from spikesim.mapping.dssa.softmax_mixer import SoftmaxMixer
from spikesim.mapping.dssa.sse_mixer import SSEMixer
from spikesim.mapping.dssa.tap import Tap, identity, scoped
from spikesim.support.arguments import as_path


class DSSALayer(nn.Module):
    """One block: h + mixer(norm(h)), then h + mlp(norm(h)).

    Taps: "attn_norm" (projection input), "mix" (mixer output), "h_mid", "mlp_norm", "mlp" (down output), "h_out", and
    those of `SoftmaxMixer` or `SSEMixer` and `GatedMLP`.
    """

    def __init__(self, config: DSSAConfig, index: int) -> None:
        super().__init__()
        self.config = config
        self.index = index
        self.kind = config.layer_kinds[index]
        self.attn_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.attn: SSEMixer | SoftmaxMixer
        self.attn = SSEMixer(config) if self.kind == "sse" else SoftmaxMixer(config, self.kind)
        self.mlp_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.mlp = GatedMLP(config.hidden_size, config.intermediate_size)

    @classmethod
    def from_tensors(cls, config: DSSAConfig, index: int, tensors: Mapping[str, Tensor]) -> "DSSALayer":
        """Build layer `index` from its tensors, named relative to the layer; they are used without a copy.

        Raises:
            CheckpointError: a tensor is missing, superfluous or of the wrong shape.
        """
        with torch.device("meta"):
            layer = cls(config, index)
        try:
            layer.load_state_dict(dict(tensors), assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"layer {index} needs exactly the tensors of its kind: {reason}") from None
        return layer.requires_grad_(False)

    def new_cache(self, batch: int = 1) -> KVCache | SSECache:
        """Return an empty cache of this layer for `batch` sequences."""
        return self.attn.new_cache(batch) if isinstance(self.attn, SSEMixer) else self.attn.new_cache()

    def forward(
        self,
        h: Tensor,
        positions: Tensor,
        cache: KVCache | SSECache | None = None,
        tap: Tap | None = None,
        *,
        dense: bool = False,
    ) -> Tensor:
        """h: float32[batch, tokens, hidden], positions: int64[tokens] -> float32[batch, tokens, hidden].

        Positions must be consecutive and, with a cache, follow the tokens already in it. `dense` lets a moba layer
        attend to all keys, as published decoding does; other layers ignore it.
        """
        tap = tap or identity
        x = tap("attn_norm", self.attn_norm(h))
        if isinstance(self.attn, SSEMixer):
            if isinstance(cache, KVCache):
                raise TypeError("an sse layer needs an SSECache")
            mixed = self.attn(x, positions, cache, tap)
        else:
            if isinstance(cache, SSECache):
                raise TypeError("a softmax layer needs a KVCache")
            mixed = self.attn(x, positions, cache, tap, dense)
        h = tap("h_mid", h + tap("mix", mixed))
        y = tap("mlp_norm", self.mlp_norm(h))
        return tap("h_out", h + tap("mlp", self.mlp(y, tap)))


class _Trunk(nn.Module):
    """Everything below the head; exists so that parameter names start with "model." as in the files."""

    def __init__(self, config: DSSAConfig) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DSSALayer(config, index) for index in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)


class DSSAModel(nn.Module):
    """A whole DSSA language model in float32.

    Taps: "embedding", "layers.{l}." + those of `DSSALayer`, "final_norm", "logits".
    """

    def __init__(self, config: DSSAConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Trunk(config)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def new_cache(self, batch: int = 1) -> DSSACache:
        """Return an empty cache for `batch` sequences that advance together."""
        return DSSACache([layer.new_cache(batch) for layer in self._layers()], batch)

    def forward(
        self,
        tokens: Tensor,
        cache: DSSACache | None = None,
        tap: Tap | None = None,
        *,
        dense: bool = False,
        hidden: list[Tensor] | None = None,
    ) -> Tensor:
        """tokens: int64[tokens] or int64[batch, tokens] -> logits float32[..., tokens, vocab].

        With a cache the tokens continue the sequences in it. `hidden`, if given, receives one float32[batch, tokens,
        hidden] per layer: the residual stream after that layer, not normed.

        Raises:
            TokenError: tokens have the wrong type or shape, are none, or lie outside the vocabulary.
        """
        tap = tap or identity
        single = tokens.ndim == 1
        self._check(tokens, cache)
        batched = tokens[None] if single else tokens
        start = 0 if cache is None else cache.length
        positions = torch.arange(start, start + batched.shape[1])
        h = tap("embedding", functional.embedding(batched, self.model.embeddings.weight))
        for index, layer in enumerate(self._layers()):
            layer_cache = None if cache is None else cache.layers[index]
            h = layer(h, positions, layer_cache, scoped(tap, f"layers.{index}."), dense=dense)
            if hidden is not None:
                hidden.append(h)
        if cache is not None:
            cache.length += batched.shape[1]
        h = tap("final_norm", self.model.norm(h))
        logits = tap("logits", functional.linear(h, self.head_weight))
        return logits[0] if single else logits

    def prefill(self, tokens: Tensor, cache: DSSACache, tap: Tap | None = None) -> Tensor:
        """Run a prompt into an empty or partly filled cache with the MoBA rule; shapes as in `forward`."""
        return self(tokens, cache, tap)  # type: ignore[no-any-return]

    def decode(
        self, tokens: int | Tensor, cache: DSSACache, tap: Tap | None = None, *, dense: bool = False
    ) -> Tensor:
        """Feed tokens one at a time: int -> float32[vocab]; int64[n] or [batch, n] -> float32[..., n, vocab].

        The default applies the MoBA rule (own block and the best finished ones), so that the result equals prefill;
        `dense=True` attends to the whole cache in moba layers, as published decoding does (`docs/dssa.md` 4.3).
        """
        if isinstance(tokens, int):
            row: Tensor = self(torch.tensor([tokens]), cache, tap, dense=dense)
            return row[0]
        self._check(tokens, cache)
        steps = [self(tokens[..., t : t + 1], cache, tap, dense=dense) for t in range(tokens.shape[-1])]
        return torch.cat(steps, -2)

    @property
    def head_weight(self) -> Tensor:
        """float32[vocab, hidden], the embedding matrix itself when tied."""
        return self.model.embeddings.weight if self.config.tie_word_embeddings else self.lm_head.weight

    def _layers(self) -> list[DSSALayer]:
        return list(self.model.layers)  # type: ignore[arg-type]

    def _check(self, tokens: Tensor, cache: DSSACache | None) -> None:
        if tokens.dtype != torch.int64 or tokens.ndim not in (1, 2):
            shape = list(tokens.shape)
            raise TokenError(
                f"tokens must be int64[tokens] or int64[batch, tokens], not {tokens.dtype}{shape}"
            )
        if not tokens.numel():
            raise TokenError("tokens must hold at least one token, not none")
        low, high = int(tokens.min()), int(tokens.max())
        if low < 0 or high >= self.config.vocab_size:
            bad = low if low < 0 else high
            raise TokenError(f"every token must be between 0 and {self.config.vocab_size - 1}, not {bad}")
        rows = 1 if tokens.ndim == 1 else tokens.shape[0]
        if cache is not None and cache.batch != rows:
            raise TokenError(
                f"tokens must have as many rows as the cache has sequences ({cache.batch}), not {rows}"
            )


def load_model(path: str | Path) -> DSSAModel:
    """Read a whole checkpoint into a float32 model without gradients; see `open_checkpoint` for formats and errors."""
    checkpoint = open_checkpoint(as_path(path, "a checkpoint", CheckpointError))
    with torch.device("meta"):
        model = DSSAModel(checkpoint.config)
    tensors = {name: checkpoint.tensor(name) for name in model.state_dict()}
    model.load_state_dict(tensors, assign=True)
    return model.requires_grad_(False).eval()
