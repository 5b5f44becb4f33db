"""Checkpoints like another one, but for what a test changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from spikesim.mapping.dssa.checkpoint import open_checkpoint


def changed(
    folder: Path, source: Path, change: Callable[[dict[str, torch.Tensor]], None], **config: Any
) -> Path:
    """A checkpoint like another one, its float32 tensors changed in place; the output matrix stays what it was."""
    opened = open_checkpoint(source)
    tensors = {name: opened.tensor(name).float().clone() for name in opened.names()}
    tensors["lm_head.weight"] = tensors["model.embeddings.weight"].clone()
    change(tensors)
    if (source / "config.json").is_file():
        settings = json.loads((source / "config.json").read_text(encoding="utf-8"))
    else:
        settings = torch.load(source / "model.pt", weights_only=True)["config"]
    settings |= {"tie_word_embeddings": False, **config}
    folder.mkdir(exist_ok=True)
    torch.save({"config": settings, "state_dict": tensors}, folder / "model.pt")
    return folder / "model.pt"
