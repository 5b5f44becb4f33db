"""What goes with the micro model: a tokenizer, token ids, the file of its core, its configuration as text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from helpers.micro_model import CONFIG, HARDWARE


def micro_tokenizer(path: Path) -> Path:
    """Write a byte-level tokenizer of 256 entries as a third-party library does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: at for at, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(path))
    return path


def micro_tokens(path: Path, count: int = 8) -> Path:
    """Write token ids as `.npy` or as text, by the suffix."""
    ids = np.arange(count) * 7 % CONFIG.vocab_size
    if path.suffix == ".npy":
        np.save(path, ids)
    else:
        path.write_text(" ".join(map(str, ids)) + "\n", encoding="utf-8")
    return path


def micro_hardware(path: Path) -> Path:
    """Write the core."""
    path.write_text(HARDWARE, encoding="utf-8")
    return path


def micro_config_text() -> str:
    """config.json of the model."""
    return json.dumps(CONFIG.to_dict(), indent=1)
