"""The shipped model with its embedding made small: what of the loss is INT8's, and what the integer arithmetic's.

A small embedding puts the residual stream far above it, as real models have it. Prints, per factor, the top-1 agreement
with the float model of the integer model (INT8 activations), and of a float model in which nothing is an integer but
the weights and the inputs of its projections: no binary point can do better than that, except by chance.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from spikesim.flow import map_model
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.checkpoint import open_checkpoint
from spikesim.mapping.dssa.checkpoint_write import save_checkpoint
from spikesim.mapping.dssa.model import load_model
from spikesim.mapping.quantize import quantize_rows
from spikesim.run.tokens import InputRequest

MODEL = Path(__file__).parents[1] / "examples" / "tiny_dssa"
EMBEDDING, HEAD = "model.embeddings.weight", "lm_head.weight"
TOKENS, LENGTH = 2048, 256


def with_small_embedding(folder: Path, factor: float) -> Path:
    """The shipped model, its embedding times `factor`; the output matrix stays what it was."""
    opened = open_checkpoint(MODEL)
    tensors = {name: opened.tensor(name) for name in opened.names()}
    tensors |= {HEAD: tensors[EMBEDDING].clone(), EMBEDDING: tensors[EMBEDDING] * factor}
    config = opened.config.model_copy(update={"tie_word_embeddings": False})
    save_checkpoint(folder, config, tensors, dtype=torch.float32)
    return folder


def int8_agreement(model: Path, text: bytes, length: int) -> float:
    """Top-1 agreement of the float model with itself, weights and inputs of projections in INT8."""
    ids = torch.from_numpy(np.frombuffer(text, np.uint8).astype(np.int64).reshape(-1, length))
    linear = nn.functional.linear

    def quantised(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        scale = (x.abs().amax(-1, keepdim=True) / 127).clamp_min(torch.finfo(x.dtype).tiny)
        rows, scales = quantize_rows(weight)
        narrow = torch.from_numpy(rows).to(x.dtype) * torch.from_numpy(scales).to(x.dtype)[:, None]
        return linear((x / scale).round() * scale, narrow, bias)

    with torch.no_grad():
        opened = load_model(model)
        expected = opened(ids).argmax(-1)
        with mock.patch.object(nn.functional, "linear", quantised):
            found = opened(ids).argmax(-1)
    return float((found == expected).float().mean())


def main() -> None:
    """Prints the table."""
    tokens = int(sys.argv[1]) if sys.argv[1:] else TOKENS
    text = (MODEL / "heldout.txt").read_bytes()[:tokens]
    hardware = HardwareConfig().replace(**{"numerics.activation": "int8"})
    print("| embedding | top-1, projections in INT8 | top-1, integer model | loss | saturated words |")
    print("|---|---|---|---|---|")
    for factor in (1.0, 1e-4, 1e-5, 1e-6, 1e-8):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            model, output = with_small_embedding(folder / "model", factor), folder / "mapped"
            output.mkdir()
            report = map_model(
                model,
                output=output,
                hardware=hardware,
                request=InputRequest(text=MODEL / "heldout.txt", max_tokens=tokens, sequence_length=LENGTH),
                calibration=MODEL / "calibration.txt",
            )
            ideal = int8_agreement(model, text, LENGTH)
        saturated = 0 if report.saturation is None else report.saturation.saturated
        print(
            f"| × {factor:g} | {100 * ideal:.2f} % | {100 * (report.fidelity.top1_agreement or 0):.2f} % "
            f"| {report.fidelity.increase_percent or 0:+.2f} % | {saturated:,} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
