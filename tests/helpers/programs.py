"""Small compiled models for tests: random weights of any form, or the golden-vector model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from helpers.places import VECTORS

from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_layer, compile_position
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.model import DSSALayer
from spikesim.mapping.ranges import RangeRecorder
from spikesim.program import Format, Port, Program

TINY = VECTORS / "tiny_dssa"
STREAM = 12


def port(name: str, words: int) -> Port:
    """Plain words in or out."""
    return Port(name=name, format=Format(fraction=0), shape=(words,))


def small_config(**changes: object) -> DSSAConfig:
    """Three layers, one of each kind, hidden size different from heads · head size."""
    settings: dict[str, object] = {
        "hidden_size": 40,
        "num_hidden_layers": 3,
        "num_heads": 4,
        "head_dim": 16,
        "intermediate_size": 72,
        "vocab_size": 64,
        "use_output_gate": True,
        "attn_layers": (0, 2),
        "attn_full_layers": (2,),
        "attn_num_heads": 4,
        "attn_num_kv_heads": 2,
        "qk_norm": True,
        "window_size": 6,
        "moba_chunk_size": 5,
        "moba_topk": 2,
        "num_sparse_partition": 4,
        "num_writer": 2,
    }
    return DSSAConfig(**{**settings, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class CompiledLayer:
    """A layer's float module, its program, and its input as floats and as residual-stream words."""

    layer: DSSALayer
    program: Program
    h: torch.Tensor
    words: np.ndarray
    ranges: RangeRecorder


def random_layer(config: DSSAConfig, index: int, seed: int) -> DSSALayer:
    """A layer with random weights that keep activations of order one."""
    torch.manual_seed(seed)
    layer = DSSALayer(config, index)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
            elif name.endswith(("A_log", "dt_bias")):
                parameter.uniform_(-2, 0)
            else:
                parameter.uniform_(0.5, 1.5)
    return layer.requires_grad_(False)


def compiled_layer(
    config: DSSAConfig,
    index: int,
    hardware: HardwareConfig,
    *,
    tokens: int = 24,
    sequences: int = 2,
    seed: int = 0,
    scale: float = 1.0,
    stream: int = STREAM,
) -> CompiledLayer:
    """Compiles a random layer, with the run's own input for calibration: of this scale, at binary point `stream`."""
    layer = random_layer(config, index, seed)
    h = torch.randn(sequences, tokens, config.hidden_size) * scale
    ranges = RangeRecorder(config.moba_chunk_size if layer.kind == "moba" else 0)
    layer(h, torch.arange(tokens), tap=ranges)
    program = compile_layer(config, index, dict(layer.named_parameters()), ranges, hardware, stream)
    words = torch.round(h * 2.0**stream).int().numpy().transpose(1, 0, 2).copy()
    return CompiledLayer(layer=layer, program=program, h=h, words=words, ranges=ranges)


def angles(config: DSSAConfig, tokens: int, sequences: int) -> dict[str, np.ndarray]:
    """The position program's cos and sin for these tokens."""
    from spikesim.golden.machine import Machine

    vectors = Machine(compile_position(config), sequences).run(
        {"tokens": np.zeros((tokens, sequences, 0), np.int32)}
    )
    return {name: vectors[name] for name in ("cos", "sin")}
