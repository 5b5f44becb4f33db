"""One layer of the shipped model, with its embedding and its head: a model of its own."""

from __future__ import annotations

from pathlib import Path

from helpers.places import CHECKOUT

from spikesim.mapping.dssa.checkpoint import open_checkpoint
from spikesim.mapping.dssa.checkpoint_write import save_checkpoint
from spikesim.mapping.dssa.parameters import layer_prefix

SHIPPED = CHECKOUT / "examples" / "tiny_dssa"


def one_layer(path: Path, layer: int) -> Path:
    """Write the model to `path`, as `save_checkpoint` does, and return the path."""
    shipped = open_checkpoint(SHIPPED)
    config = shipped.config
    own = {"num_hidden_layers": 1}
    for name in ("attn_layers", "attn_full_layers"):
        own |= {name: (0,) if layer in getattr(config, name) else ()}
    tensors = {}
    for name in shipped.names():
        if not name.startswith(layer_prefix(0).rpartition("0")[0]):
            tensors[name] = shipped.tensor(name)
        elif name.startswith(layer_prefix(layer)):
            tensors[layer_prefix(0) + name.removeprefix(layer_prefix(layer))] = shipped.tensor(name)
    save_checkpoint(path, config.model_copy(update=own), tensors)
    return path
