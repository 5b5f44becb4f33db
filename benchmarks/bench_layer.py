"""Speed and memory of simulating one SpikingBrain2.0-5B SSE layer, against its projections as float32 matmuls.

Prints, from one run: seconds to simulate 16 tokens (values and cycles, spiking and dense), seconds of the
layer's projections alone as float32 `torch` matmuls of the same tokens, their ratio, and the simulation's peak
memory over the layer's INT8 weights.
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

from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_layer
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.model import DSSALayer
from spikesim.mapping.ranges import RangeRecorder
from spikesim.program.file import load_program, save_program
from spikesim.run.simulator import Simulator

TOKENS = 16
STREAM = 11

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

HARDWARE = HardwareConfig().replace(
    **{
        "memory.vector_words": 262144,
        "memory.row_kib": 262144,
        "memory.state_kib": 8192,
        "limits.max_context": 256,
        "array.accumulator_bits": 32,
    }
)


def random_layer() -> DSSALayer:
    """An SSE layer of SpB2.0-5B shape with random weights, scaled so that activations stay of order one."""
    torch.manual_seed(0)
    layer = DSSALayer(SPB2, 0)
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


def prepare(folder: Path) -> None:
    """Compiles the layer and writes it with its inputs, so that measuring starts from INT8 weights alone."""
    layer = random_layer()
    h = torch.randn(1, TOKENS, SPB2.hidden_size)
    ranges = RangeRecorder()
    layer(h, torch.arange(TOKENS), tap=ranges)
    tensors = dict(layer.named_parameters())
    save_program(compile_layer(SPB2, 0, tensors, ranges, HARDWARE, STREAM), folder)
    np.save(folder / "h.npy", torch.round(h * 2.0**STREAM).int().numpy().transpose(1, 0, 2))


def simulate(folder: Path, repeats: int) -> None:
    """Child process: prints seconds of the best run, peak memory growth and weight bytes."""
    _warm_up()
    half = SPB2.head_dim // 2
    inputs = {
        "h": np.load(folder / "h.npy"),
        "cos": np.full((TOKENS, 1, half), 23170, np.int32),
        "sin": np.full((TOKENS, 1, half), 23170, np.int32),
    }
    before = _peak_bytes()
    program = load_program(folder, "layer_00")
    best = float("inf")
    for _ in range(repeats):
        simulator = Simulator(program, HARDWARE)
        start = time.perf_counter()
        simulator.run(inputs)
        best = min(best, time.perf_counter() - start)
    print(best, _peak_bytes() - before, program.weight_bytes)


def _peak_bytes() -> int:
    """Largest resident memory of this program so far. (getrusage would count what the parent had before.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _warm_up() -> None:
    """Loads every compiled loop, which is not the work to be timed."""
    small = DSSAConfig(
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
    layer = DSSALayer(small, 0).requires_grad_(False)
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    ranges = RangeRecorder()
    layer(torch.randn(1, 8, 32), torch.arange(8), tap=ranges)
    program = compile_layer(small, 0, dict(layer.named_parameters()), ranges, HARDWARE, STREAM)
    angles = np.zeros((8, 1, 8), np.int32)
    Simulator(program, HARDWARE).run({"h": np.ones((8, 1, 32), np.int32), "cos": angles, "sin": angles})


def projections(repeats: int) -> float:
    """Seconds of all projections of the layer as float32 matmuls of 16 tokens."""
    weights = [p for p in random_layer().parameters() if p.ndim == 2]
    inputs = {w.shape[1]: torch.randn(TOKENS, w.shape[1]) for w in weights}
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        for weight in weights:
            torch.nn.functional.linear(inputs[weight.shape[1]], weight)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Measures and prints; `--child FOLDER` is the part that runs alone for the sake of its memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        simulate(arguments.child, arguments.repeats)
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        command = [sys.executable, __file__, "--repeats", str(arguments.repeats), "--child", folder]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    seconds, growth, weights = float(out[0]), int(out[1]), int(out[2])
    reference = projections(arguments.repeats)
    print(f"simulate one SpB2.0-5B SSE layer, {TOKENS} tokens   {seconds * 1e3:8.1f} ms")
    print(f"its projections as float32 matmuls        {reference * 1e3:8.1f} ms")
    print(f"ratio (bar: at most 10)                   {seconds / reference:8.2f}")
    print(f"peak memory / INT8 weights (bar: 3)       {growth / weights:8.2f}")


if __name__ == "__main__":
    main()
