"""Maps a synthetic SpikingBrain2.0-5B checkpoint, cut to four layers or whole, and prints time and peak memory.

The checkpoint has the real shapes and random weights: BF16, sharded safetensors, written one tensor at a time.

    make large ARGS="--tokens 4 --cached 4096"
    make large ARGS="--tokens 4 --whole"            needs 11 GB of disk
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.parameters import model_shapes

CONFIG: dict[str, Any] = {
    "model_type": "sse_swa_moba",
    "hidden_size": 2560,
    "num_hidden_layers": 4,
    "num_heads": 32,
    "head_dim": 128,
    "intermediate_size": 9728,
    "hidden_act": "swish",
    "norm_eps": 1e-6,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "num_sparse_partition": 4,
    "num_writer": 2,
    "num_reader": 2,
    "use_output_gate": False,
    "use_short_conv": False,
    "attn": {
        "layers": [0, 3],
        "full_layers": [3],
        "num_heads": 32,
        "num_kv_heads": 8,
        "qk_norm": True,
        "qkv_bias": False,
        "rope_theta": 5000000,
        "window_size": 128,
        "moba_chunk_size": 4096,
        "moba_topk": 12,
    },
    "max_position_embeddings": 524288,
}


WHOLE = {"position": 1, "moba": 9, "full": 1, "sse": 26, "head": 1}
"""Programs of the published model, of which the cut checkpoint has one or two of each kind."""

WHOLE_CONFIG = CONFIG | {
    "num_hidden_layers": 36,
    "attn": CONFIG["attn"] | {"layers": [*range(0, 36, 4), 35], "full_layers": [35]},
}
"""All of its layers. Which are the ten of attention changes nothing here."""


def write_checkpoint(folder: Path, content: dict[str, Any]) -> int:
    """Writes config.json, the shards and their index; returns the bytes of all tensors but the embedding."""
    config = DSSAConfig.from_dict(content)
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    torch.manual_seed(0)
    shards: dict[str, dict[str, torch.Size | tuple[int, ...]]] = {}
    for name, shape in model_shapes(config).items():
        part = name.split(".")[2] if name.startswith("model.layers.") else "rest"
        shards.setdefault(f"model-{part}.safetensors", {})[name] = shape
    weight_map: dict[str, str] = {}
    size = 0
    for file, shapes in shards.items():
        tensors = {name: _random(name, tuple(shape)) for name, shape in shapes.items()}
        save_file(tensors, folder / file)
        weight_map |= dict.fromkeys(tensors, file)
        size += sum(t.numel() * t.element_size() for name, t in tensors.items() if "embeddings" not in name)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": weight_map}), encoding="utf-8"
    )
    return size


def _random(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    if name.endswith(("norm.weight", "norm.weight")) and len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    if name.endswith("A_log"):
        return torch.empty(shape).uniform_(0, 2.7)
    if name.endswith("dt_bias"):
        return torch.empty(shape).uniform_(-7, -2)
    scale = 0.02 if "embeddings" in name else shape[-1] ** -0.5
    return torch.randn(shape, dtype=torch.bfloat16) * scale


def main() -> None:
    """Writes, maps in a child process, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--cached", type=int, default=0, help="tokens before the ones that run")
    parser.add_argument("--whole", action="store_true", help="all 36 layers")
    arguments = parser.parse_args()
    hardware = Path(__file__).parents[1] / "examples" / "hardware" / "spb2_64core.toml"
    with tempfile.TemporaryDirectory() as folder:
        model, out = Path(folder) / "spb2", Path(folder) / "out"
        model.mkdir()
        start = time.perf_counter()
        size = write_checkpoint(model, WHOLE_CONFIG if arguments.whole else CONFIG)
        seconds = time.perf_counter() - start
        print(
            f"checkpoint without embedding      {size / 1e9:8.2f} GB, written in {seconds:.0f} s", flush=True
        )
        command = [str(Path(sys.executable).parent / "spikesim"), "map", str(model), "-o", str(out)]
        command += ["--hardware", str(hardware), "--random-tokens", str(arguments.tokens)]
        command += ["--cached", str(arguments.cached)]
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        peak = own = 0
        while child.poll() is None:
            peak = max(peak, _status_bytes(child.pid, "VmHWM"))
            own = max(own, _status_bytes(child.pid, "RssAnon"))
            time.sleep(0.2)
        seconds = time.perf_counter() - start
        if child.returncode:
            raise SystemExit(child.returncode)
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    print(f"mapped and simulated, {arguments.tokens} tokens   {seconds:8.1f} s   {report['seconds']}")
    print(f"peak memory (bar: 6 GiB)          {peak / 2**30:8.2f} GiB")
    print(f"of it not pages of mapped files   {own / 2**30:8.2f} GiB")
    print(f"spiking / dense cycles per token  {report['cycles']['per_token']}")
    for core in ("spiking", "dense"):
        by_kind = {layer["kind"]: layer[core] / arguments.tokens for layer in report["cycles"]["by_layer"]}
        whole = sum(count * by_kind[kind] for kind, count in WHOLE.items())
        print(
            f"{core} cycles by kind of layer     { {kind: round(cycles) for kind, cycles in by_kind.items()} }"
        )
        print(f"whole model, 36 layers            {whole:,.0f} {core} cycles per token, from {WHOLE}")
    energy = report["energy"]
    print(f"energy per token, estimated       {energy['total_uj']} µJ, {energy['components']}")
    print(f"area, estimated                   {energy['total_mm2']} mm², {energy['areas_mm2']}")
    print(f"memories of a core                {report['cores']['memories']}")
    print(
        f"tokens per second                 {report['throughput_tokens_per_s']}, bound by {report['cores']['bound']}"
    )


def _status_bytes(pid: int, name: str) -> int:
    """One of the sizes that the system states for a process, 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        return int(status.split(f"{name}:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        return 0


if __name__ == "__main__":
    main()
