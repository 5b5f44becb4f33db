"""Small models that read text: a checkpoint of random weights, and tokenizers in whatever state somebody left them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from helpers.places import CHECKOUT
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.parameters import model_shapes

TEXT = (CHECKOUT / "examples" / "tiny_dssa" / "heldout.txt").read_text(encoding="utf-8")[:3000]
SPECIAL = ("<pad>", "<bos>", "<eos>")

BOS_AND_EOS = {
    "type": "TemplateProcessing",
    "single": [
        {"SpecialToken": {"id": "<bos>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "<eos>", "type_id": 0}},
    ],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {
        "<bos>": {"id": "<bos>", "ids": [1], "tokens": ["<bos>"]},
        "<eos>": {"id": "<eos>", "ids": [2], "tokens": ["<eos>"]},
    },
}


@cache
def _trained(vocabulary: int) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.ByteLevel.alphabet() if vocabulary > 256 else []
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), initial_alphabet=letters, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    assert tokenizer.get_vocab_size() == vocabulary
    return str(tokenizer.to_str())


def bpe(vocabulary: int, **changes: Any) -> dict[str, Any]:
    """A byte-level BPE tokenizer trained on `TEXT`, as its file says, with settings of the file changed."""
    return {**json.loads(_trained(vocabulary)), **changes}


def plain(model: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A tokenizer of this model and nothing else."""
    names = ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    return {"version": "1.0", "added_tokens": [], **dict.fromkeys(names), "model": model, **changes}


def save(tokenizer: dict[str, Any], folder: Path) -> Path:
    """The `tokenizer.json` in a folder."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    return path


def checkpoint(folder: Path, vocabulary: int) -> Path:
    """A model of two small layers and this vocabulary."""
    attention = {"layers": [1], "full_layers": [1], "num_heads": 2, "num_kv_heads": 1, "window_size": 16}
    config = {
        "model_type": "sse_swa_moba",
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_heads": 2,
        "head_dim": 8,
        "intermediate_size": 32,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
        "use_output_gate": False,
        "attn": {**attention, "qk_norm": True, "moba_chunk_size": 4, "moba_topk": 2},
    }
    weights = dict(_random(model_shapes(DSSAConfig.from_dict(config))))
    torch.save({"config": config, "state_dict": weights}, folder / "model.pt")
    return folder / "model.pt"


def _random(shapes: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for name, shape in shapes.items():
        if name.endswith("norm.weight"):
            yield name, torch.ones(shape)
        else:
            scale = shape[-1] ** -0.5 if len(shape) > 1 else 0.5
            yield name, torch.randn(shape, generator=generator) * scale
