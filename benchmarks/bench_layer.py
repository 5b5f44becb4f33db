"""Speed and memory of simulating one SpikingBrain2.0-5B SSE layer, against its projections as float32 matmuls.

Prints, from one run: seconds to simulate 16 tokens (values and cycles, spiking and dense), seconds of the
layer's projections alone as float32 `torch` matmuls of the same tokens, taking turns; their ratio; and the
simulation's peak memory over the layer's INT8 weights.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from bars import Bars

from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_layer
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.model import DSSALayer
from spikesim.mapping.ranges import RangeRecorder
from spikesim.program import Program
from spikesim.program.file import load_program, save_program
from spikesim.run.simulator import Simulator

TOKENS = 16
STREAM = 11
TIME_BAR = 2.5
"""Times the projections alone."""
MEMORY_BAR = 2.0
"""Times the INT8 weights."""

SPB2 = DSSAConfig(
    hidden_size=2560,
    num_hidden_layers=1,
    num_heads=32,
    head_dim=128,
    intermediate_size=9728,
    vocab_size=151936,
    tie_word_embeddings=True,
    use_output_gate=False,
    attn_layers=(),
    attn_num_heads=32,
    attn_num_kv_heads=8,
    qk_norm=True,
    rope_theta=5e6,
    window_size=128,
    moba_chunk_size=4096,
    moba_topk=12,
)

SMALL = DSSAConfig(
    hidden_size=32,
    num_hidden_layers=1,
    num_heads=2,
    head_dim=16,
    intermediate_size=32,
    vocab_size=8,
    use_output_gate=False,
    attn_layers=(),
    attn_num_heads=2,
    attn_num_kv_heads=1,
    qk_norm=True,
    window_size=4,
)
"""The same kind of layer, quickly run: to load every compiled loop, which is not the work to be timed."""

HARDWARE = HardwareConfig().replace(
    **{
        "memory.vector_words": 262144,
        "memory.row_kib": 262144,
        "memory.state_kib": 8192,
        "limits.max_context": 256,
        "array.accumulator_bits": 32,
    }
)


def random_layer(config: DSSAConfig) -> DSSALayer:
    """An SSE layer with random weights, scaled so that activations stay of order one."""
    torch.manual_seed(0)
    layer = DSSALayer(config, 0)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
            elif name.endswith("A_log"):
                parameter.uniform_(0, 2)
            elif name.endswith("dt_bias"):
                parameter.uniform_(-4, -2)
            else:
                parameter.fill_(1.0)
    return layer.requires_grad_(False)


def prepare(config: DSSAConfig, folder: Path) -> None:
    """Compiles a layer and writes it with its inputs, so that measuring starts from INT8 weights alone."""
    layer = random_layer(config)
    h = torch.randn(1, TOKENS, config.hidden_size)
    ranges = RangeRecorder()
    layer(h, torch.arange(TOKENS), tap=ranges)
    tensors = dict(layer.named_parameters())
    folder.mkdir()
    save_program(compile_layer(config, 0, tensors, ranges, HARDWARE, STREAM), folder)
    words = {
        "h": torch.round(h * 2.0**STREAM).int().numpy().transpose(1, 0, 2),
        **{name: np.full((TOKENS, 1, config.head_dim // 2), 23170, np.int32) for name in ("cos", "sin")},
    }
    np.savez(folder / "inputs.npz", **words)


def measure(config: DSSAConfig, warm_up: Path, folder: Path, repeats: int) -> None:
    """Child process: prints best seconds to simulate and of the projections, peak memory growth, weight bytes."""
    Simulator(load_program(warm_up, "layer_00"), HARDWARE).run(_inputs(warm_up))
    inputs = _inputs(folder)
    before = _peak_bytes()
    program = load_program(folder, "layer_00")
    simulated = [_simulation(program, inputs) for _ in range(repeats)]
    growth = _peak_bytes() - before
    weights = [p for p in random_layer(config).parameters() if p.ndim == 2]
    multiplied = []
    for _ in range(repeats):
        multiplied.append(_projections(weights))
        simulated.append(_simulation(program, inputs))
    print(min(simulated), min(multiplied), growth, program.weight_bytes)


def _inputs(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "inputs.npz") as file:
        return dict(file)


def _simulation(program: Program, inputs: dict[str, np.ndarray]) -> float:
    """Seconds to simulate all tokens from an empty state."""
    simulator = Simulator(program, HARDWARE)
    start = time.perf_counter()
    simulator.run(inputs)
    return time.perf_counter() - start


def _projections(weights: list[torch.Tensor]) -> float:
    """Seconds of all projections as float32 matmuls of the tokens."""
    inputs = {w.shape[1]: torch.randn(TOKENS, w.shape[1]) for w in weights}
    start = time.perf_counter()
    for weight in weights:
        torch.nn.functional.linear(inputs[weight.shape[1]], weight)
    return time.perf_counter() - start


def _peak_bytes() -> int:
    """Largest resident memory of this program so far. (getrusage would count what the parent had before.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main() -> None:
    """Measures and prints; `--child FOLDER` is the part that runs alone for the sake of its memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--small", action="store_true", help="one round of a small layer, not judged")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    config = SMALL if arguments.small else SPB2
    if arguments.child:
        measure(config, arguments.child / "warm_up", arguments.child / "layer", arguments.repeats)
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(SMALL, Path(folder, "warm_up"))
        prepare(config, Path(folder, "layer"))
        command = [sys.executable, __file__, "--repeats", str(1 if arguments.small else arguments.repeats)]
        command += ["--child", folder, *(["--small"] if arguments.small else [])]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    simulated, multiplied, growth, weights = float(out[0]), float(out[1]), int(out[2]), int(out[3])
    print(
        f"simulate one {'small' if arguments.small else 'SpB2.0-5B'} SSE layer, {TOKENS} tokens, in ms",
        end=" ",
    )
    print(f"{simulated * 1e3:8.1f}\nits projections as float32 matmuls, in ms     {multiplied * 1e3:8.1f}")
    bars = Bars(judged=not arguments.small)
    bars.at_most("time over that of the projections", simulated / multiplied, TIME_BAR)
    bars.at_most("peak memory over INT8 weights", growth / weights, MEMORY_BAR)
    bars.close()


if __name__ == "__main__":
    main()
