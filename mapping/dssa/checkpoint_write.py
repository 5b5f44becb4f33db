"""Writing checkpoints in the formats that `open_checkpoint` reads."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from spikesim.errors import OutputError
from spikesim.mapping.dssa.checkpoint import CONFIG_FILE
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.stores import INDEX_FILE, SINGLE_FILE
from spikesim.support.array_files import write_safetensors
from spikesim.support.files import atomic_directory, atomic_file

_KINDS = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
"""Types of floating-point numbers, as safetensors calls them."""


def save_checkpoint(
    path: str | Path,
    config: DSSAConfig,
    tensors: Mapping[str, Tensor],
    *,
    dtype: torch.dtype = torch.bfloat16,
    shard_bytes: int | None = None,
) -> None:
    """Write a `.pt` file if `path` ends so, otherwise a Hugging Face directory; whole or not at all.

    `tensors` are named as in the files (`model.state_dict()`), and are rounded to `dtype`. With `shard_bytes` a
    directory is split into shards of about that many bytes and an index.

    Raises:
        OutputError: the path cannot be written.
    """
    path = Path(path)
    stored = {name: value.detach().to(dtype).contiguous().clone() for name, value in tensors.items()}
    if path.suffix == ".pt":
        _save_torch(path, config, stored)
        return
    with atomic_directory(path) as folder:
        (folder / CONFIG_FILE).write_text(json.dumps(config.to_dict(), indent=2) + "\n", encoding="utf-8")
        if shard_bytes is None:
            _save(stored, folder / SINGLE_FILE)
        else:
            _save_shards(folder, stored, shard_bytes)


def _save_torch(path: Path, config: DSSAConfig, tensors: dict[str, Tensor]) -> None:
    try:
        with atomic_file(path) as file:
            torch.save({"config": config.to_dict(), "state_dict": tensors}, file)
    except OutputError as error:
        raise OutputError(f"model file {path} must be writable: {error}") from None


def _save_shards(folder: Path, tensors: dict[str, Tensor], shard_bytes: int) -> None:
    shards: list[dict[str, Tensor]] = [{}]
    used = 0
    for name, value in tensors.items():
        size = value.numel() * value.element_size()
        if shards[-1] and used + size > shard_bytes:
            shards.append({})
            used = 0
        shards[-1][name] = value
        used += size
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _save(shard, folder / file)
        weight_map |= dict.fromkeys(shard, file)
    total = sum(value.numel() * value.element_size() for value in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    # Bytes, since numpy has no bfloat16. A tensor without dimensions has no last one to be split into bytes.
    split = {
        name: value.reshape(*value.shape, 1).view(torch.uint8).numpy() for name, value in tensors.items()
    }
    write_safetensors(path, split, {name: _KINDS[value.dtype] for name, value in tensors.items()})
