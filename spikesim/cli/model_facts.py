"""Sizes of a model as a spike core would hold it: INT8 weights and caches, INT16 SSE states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spikesim.hardware import STATE_BYTES

if TYPE_CHECKING:
    from spikesim.mapping.dssa.config import DSSAConfig

MATRIX = 2
"""Number of dimensions of what becomes INT8 rows; vectors (norms, decay) and convolutions stay wider."""


def model_facts(config: DSSAConfig, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return the configuration, and counts and bytes in all and for one layer of each kind.

    * `layers[kind]`: number, parameters, int8_weight_bytes, state_bytes (SSE, all partitions and the shared state),
      cache_bytes (a full window of the SWA branch), cache_bytes_per_token (keys and values of softmax layers).
    * `sizes`: sums over the model; weights include the head, tied or not, and leave out scales.
    """
    from spikesim.mapping.dssa.parameters import layer_shapes

    kinds = config.layer_kinds
    layers = {
        kind: {"number": kinds.count(kind), **_layer(config, kind, layer_shapes(config, kinds.index(kind)))}
        for kind in dict.fromkeys(kinds)
    }
    head_bytes = config.vocab_size * config.hidden_size
    sizes = {"parameters": sum(map(math.prod, shapes.values()))}
    for name in ("int8_weight_bytes", "state_bytes", "cache_bytes", "cache_bytes_per_token"):
        sizes[name] = sum(entry["number"] * entry[name] for entry in layers.values())
    sizes["int8_weight_bytes"] += head_bytes
    sizes["int8_head_bytes"] = head_bytes
    return {"layers": layers, "sizes": sizes, "config": config.model_dump(mode="json")}


def _layer(config: DSSAConfig, kind: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    keys_and_values = 2 * config.attn_num_kv_heads * config.head_dim
    sse = kind == "sse"
    states = 1 + config.num_sparse_partition
    return {
        "parameters": sum(map(math.prod, shapes.values())),
        "int8_weight_bytes": sum(math.prod(shape) for shape in shapes.values() if len(shape) == MATRIX),
        "state_bytes": STATE_BYTES * states * config.num_heads * config.head_dim**2 if sse else 0,
        "cache_bytes": config.window_size * keys_and_values if sse else 0,
        "cache_bytes_per_token": 0 if sse else keys_and_values,
    }
