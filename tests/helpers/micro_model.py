"""A model of a few thousand parameters, two layers of both kinds, that every command takes seconds for."""

from __future__ import annotations

from pathlib import Path

import torch

from spikesim.mapping.dssa.checkpoint_write import save_checkpoint
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.parameters import model_shapes

CONFIG = DSSAConfig(
    hidden_size=16,
    num_hidden_layers=2,
    num_heads=2,
    head_dim=4,
    intermediate_size=16,
    vocab_size=256,
    num_sparse_partition=4,
    num_writer=2,
    tie_word_embeddings=True,
    attn_layers=(1,),
    attn_full_layers=(1,),
    attn_num_heads=2,
    attn_num_kv_heads=1,
    window_size=4,
    moba_chunk_size=4,
    moba_topk=2,
    use_output_gate=False,
)

HARDWARE = "[array]\nways = 2\nlanes = 4\n[pointwise]\nwords = 1\n[memory]\nrow_kib = 64\nstate_kib = 64\n"
"""A hardware file of a core that is synthesised and compiled in seconds."""


def micro_model(path: Path, *, shard_bytes: int | None = None) -> Path:
    """Write the model to `path`, as `save_checkpoint` does, and return the path."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.ones(shape) if "norm" in name else 0.1 * torch.randn(shape, generator=generator)
        for name, shape in model_shapes(CONFIG).items()
    }
    save_checkpoint(path, CONFIG, tensors, shard_bytes=shard_bytes)
    return path
