"""Train the small DSSA model of examples/tiny_dssa on the source text of Python's own standard library.

    python examples/train_tiny.py --out examples/tiny_dssa            # about an hour on two cores
    python examples/train_tiny.py --steps 20 --out /tmp/try           # a quick look

The model reads bytes (vocabulary 256). Files are taken in sorted order, the seeds are fixed, and the files in
HELD_OUT are never trained on. The last part of the training is spiking-aware: half of every batch runs with
its activations fake-quantised to the integer codes of the hardware (straight-through gradient), and is pulled
towards the other half, which runs the same text in float. At the end the script prints bits per byte in float
and quantised against gzip -9.
"""

import argparse
import gzip
import math
import os
import shutil
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # one process per core is faster than one process with two threads

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn import functional

from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.model import DSSAModel, load_model
from spikesim.mapping.dssa.sse_mixer import SSEMixer
from spikesim.mapping.dssa.tap import Tap, identity

HELD_OUT = ("colorsys.py", "queue.py", "sched.py", "textwrap.py", "zipapp.py")
"""Files relative to the standard library, kept for measuring."""
CALIBRATION = ("bisect.py", "linecache.py")
"""Training files whose text is shipped for calibrating scales."""
SKIPPED_FOLDERS = {
    "site-packages",
    "__pycache__",
    "test",
    "tests",
    "idle_test",
    "encodings",
    "pydoc_data",
    "lib2to3",
}
"""Not read: foreign code, tests, and tables that are hardly source text."""

SEQUENCE = 256
BATCH = 6  # sequences per process and step
PROCESSES = 2

CONFIG = DSSAConfig(
    hidden_size=128,
    num_hidden_layers=4,
    num_heads=4,
    head_dim=32,
    intermediate_size=384,
    vocab_size=256,
    tie_word_embeddings=True,
    use_output_gate=False,
    attn_layers=(0, 3),
    attn_full_layers=(3,),
    attn_num_heads=4,
    attn_num_kv_heads=2,
    qk_norm=True,
    window_size=64,
    moba_chunk_size=32,
    moba_topk=4,
    max_position_embeddings=4096,
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One training run; weights are relative to the cross entropy of the float half."""

    steps: int
    spiking_from: int
    matrix_rate: float = 0.02
    other_rate: float = 0.004
    warmup: int = 40
    spiking_weight: float = 0.5
    agreement_weight: float = 1.5
    balance_weight: float = 0.02
    margin_weight: float = 0.05
    start: str | None = None


# --- text ---------------------------------------------------------------------------------------------------------


def library_files() -> list[Path]:
    """Return the .py files of the standard library, sorted, relative to it, without the skipped folders."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = (path.relative_to(root) for path in root.rglob("*.py"))
    return sorted(path for path in files if not SKIPPED_FOLDERS.intersection(path.parts))


def read_bytes(names: list[Path] | tuple[str, ...]) -> list[bytes]:
    """Read library files."""
    root = Path(sysconfig.get_paths()["stdlib"])
    return [(root / name).read_bytes() for name in names]


def training_text() -> Tensor:
    """Return all training files one after the other, uint8[bytes]."""
    files = [path for path in library_files() if path.as_posix() not in HELD_OUT]
    return torch.frombuffer(bytearray(b"".join(read_bytes(files))), dtype=torch.uint8)


# --- fake quantisation --------------------------------------------------------------------------------------------

Quantise = Callable[[Tensor], Tensor]

PROJECTION_INPUTS = {
    "attn_norm",
    "attn.o",
    "mlp_norm",
    "mlp.act",
    "sse.lora_q",
    "sse.lora_k",
    "sse.gate_low",
    "sse.o_norm",
    "swa.o",
}
HEADS = {"attn.q", "swa.q", "sse.q1", "sse.q2", "sse.k1", "sse.k2"}  # [.., heads, D], one scale per head
KEYS = {"attn.k", "swa.k"}
VALUES = {"attn.v", "swa.v"}


def threshold(k: float) -> Quantise:
    """Adaptive threshold mean|x| / k over the last axis, integers limited to 127."""

    def quantise(x: Tensor) -> Tensor:
        scale = (x.abs().mean(-1, keepdim=True) / k).clamp(1e-5, 1e4)
        return (x / scale).round().clamp(-127, 127) * scale

    return quantise


def absmax(x: Tensor) -> Tensor:
    """INT8 with the scale max|x| / 127 over the last axis."""
    scale = (x.abs().amax(-1, keepdim=True) / 127).clamp(1e-5, 1e4)
    return (x / scale).round() * scale


def straight_through(x: Tensor, quantise: Quantise) -> Tensor:
    """Quantise in the forward pass, identity in the backward pass."""
    return x + (quantise(x.detach()) - x.detach())


def spiking_tap(quantise: Quantise, rows: slice = slice(None), head_dim: int = CONFIG.head_dim) -> Tap:
    """Return a tap that quantises what the hardware holds as integers, for the batch rows in `rows` only."""

    def apply(name: str, x: Tensor) -> Tensor:
        if name in VALUES:
            return straight_through(x.unflatten(-1, (-1, head_dim)), absmax).flatten(-2)
        return straight_through(x, absmax if name in KEYS else quantise)

    def tap(name: str, x: Tensor) -> Tensor:
        short = name.split(".", 2)[-1] if name.startswith("layers.") else name
        if short not in PROJECTION_INPUTS | HEADS | KEYS | VALUES:
            return x
        if rows == slice(None):
            return apply(short, x)
        return torch.cat((x[: rows.start], apply(short, x[rows])))

    return tap


def integer_weights(model: DSSAModel) -> dict[str, Tensor]:
    """Return the weights of all projections as INT8 per output row would hold them, others as they are."""
    tied = {"model.embeddings.weight"}
    return {
        name: absmax(value) if value.ndim == 2 and name not in tied else value
        for name, value in model.state_dict().items()
    }


# --- measuring ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def scored_logits(model: DSSAModel, text: bytes, tap: Tap, weights: dict[str, Tensor] | None) -> Tensor:
    """Return float32[len(text) - 1, 256], the prediction of every byte but the first from at most 256 before it."""
    data = torch.frombuffer(bytearray(text), dtype=torch.uint8).long()
    half = SEQUENCE // 2
    starts = list(range(0, max(1, len(data) - 1 - half), half))
    rows: list[Tensor] = []
    for start in range(0, len(starts), 16):
        windows = [data[s : s + SEQUENCE] for s in starts[start : start + 16]]
        batch = torch.stack([functional.pad(w, (0, SEQUENCE - len(w))) for w in windows])
        args = (batch, None, tap)
        out = model(*args) if weights is None else torch.func.functional_call(model, weights, args)
        for row, s, window in zip(out, starts[start : start + 16], windows, strict=True):
            rows.append(row[: len(window)] if s == 0 else row[half : len(window)])
    return torch.cat(rows)[: len(data) - 1]


def bits(logits: Tensor, text: bytes) -> float:
    """Return the code length of `text` in bits; the first byte costs 8."""
    target = torch.frombuffer(bytearray(text), dtype=torch.uint8).long()[1:]
    return 8 + functional.cross_entropy(logits, target, reduction="sum").item() / math.log(2)


def report(model: DSSAModel, texts: list[bytes], say: Callable[[str], None], *, brief: bool = False) -> None:
    """Print bits per byte and top-1 agreement, float and quantised, beside gzip."""
    size = sum(len(text) for text in texts)
    plain = [scored_logits(model, text, identity, None) for text in texts]
    float_bits = sum(bits(logits, text) for logits, text in zip(plain, texts, strict=True))
    right = sum(
        int((logits.argmax(-1) == torch.frombuffer(bytearray(text), dtype=torch.uint8)[1:]).sum())
        for logits, text in zip(plain, texts, strict=True)
    )
    say(f"float: {float_bits / size:.4f} bits per byte, top-1 {right / size:.2%} of {size} bytes")
    modes: dict[str, Quantise] = {"threshold k=3": threshold(3), "absmax INT8": absmax}
    if not brief:
        modes = {"threshold k=1": threshold(1), "threshold k=2": threshold(2)} | modes
    weights = integer_weights(model)
    for name, quantise in modes.items():
        coded = [scored_logits(model, text, spiking_tap(quantise), weights) for text in texts]
        coded_bits = sum(bits(logits, text) for logits, text in zip(coded, texts, strict=True))
        same = sum(int((a.argmax(-1) == b.argmax(-1)).sum()) for a, b in zip(plain, coded, strict=True))
        say(
            f"{name}: {coded_bits / size:.4f} bits per byte ({coded_bits / float_bits - 1:+.2%}), "
            f"agreement {same / (size - len(texts)):.2%}"
        )
    if not brief:
        alone = sum(len(gzip.compress(text, 9, mtime=0)) for text in texts) * 8 / size
        joined = len(gzip.compress(b"".join(texts), 9, mtime=0)) * 8 / size
        say(f"gzip -9: {alone:.4f} bits per byte file by file, {joined:.4f} all in one")


# --- training -----------------------------------------------------------------------------------------------------


def initialise(model: DSSAModel) -> None:
    """Set starting values: decay as `docs/dssa.md` 5.3, output projections small, everything else by fan-in."""
    for name, value in model.named_parameters():
        if name.endswith("A_log"):
            nn.init.uniform_(value, 0.01, 16).log_()
        elif name.endswith("dt_bias"):
            step = torch.exp(torch.rand(value.shape) * math.log(100) + math.log(1e-3)).clamp(min=1e-4)
            value.copy_(step + torch.log(-torch.expm1(-step)))
        elif value.ndim == 1:
            nn.init.ones_(value)
        elif name == "model.embeddings.weight":
            nn.init.normal_(value, std=0.04)
        else:
            small = any(part in name for part in ("o_proj", "down_proj"))
            nn.init.normal_(value, std=(0.2 if small else 0.8) / math.sqrt(value.shape[1]))


class Orthogonal:
    """Momentum descent with orthogonalised steps for the weight matrices.

    The momentum of each matrix is replaced by the nearest matrix with equal singular values (five Newton-Schulz
    steps), which uses few tokens better than element-wise scaling. Matrices of one shape are treated together.
    """

    def __init__(self, matrices: list[nn.Parameter], momentum: float = 0.95, decay: float = 0.02) -> None:
        self.groups: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for matrix in matrices:
            self.groups.setdefault(tuple(matrix.shape), []).append(matrix)
        self.momentum, self.decay = momentum, decay
        self.velocity = {shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move all matrices by one step of size `rate`."""
        for shape, group in self.groups.items():
            grads = torch.stack([p.grad for p in group if p.grad is not None])
            velocity = self.velocity[shape].mul_(self.momentum).add_(grads)
            direction = self._orthogonalise(grads + self.momentum * velocity)
            factor = rate * max(1.0, shape[0] / shape[1]) ** 0.5
            for matrix, step in zip(group, direction, strict=True):
                matrix.mul_(1 - rate * self.decay).add_(step, alpha=-factor)

    @staticmethod
    def _orthogonalise(x: Tensor) -> Tensor:
        tall = x.shape[-2] > x.shape[-1]
        x = x.mT if tall else x
        x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
        a, b, c = 3.4445, -4.7750, 2.0315  # quintic whose iteration drives every singular value towards 1
        for _ in range(5):
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
        return x.mT if tall else x


class Router:
    """Looks at the routing logits of every SSE layer through the tap and prices them.

    The weight of a partition cancels in the state update, so the language loss cannot train the router. Three terms
    do: even use of the partitions, a clear gap between chosen and unchosen, and equal logits with and without
    quantisation. They reach the routing weights only; further down they would outweigh the language loss.
    """

    def __init__(self, inner: Tap, halves: int, model: DSSAModel) -> None:
        self.inner, self.halves = inner, halves
        self.weights = {
            f"layers.{index}.": layer.attn.sse_e_proj.weight
            for index, layer in enumerate(model.model.layers)
            if isinstance(layer.attn, SSEMixer)
        }
        self.seen: Tensor | None = None
        self.balance: list[Tensor] = []
        self.margin: list[Tensor] = []

    def __call__(self, name: str, x: Tensor) -> Tensor:
        """Tap: record what concerns the router, hand everything else on."""
        if name.endswith("attn_norm"):
            x = self.inner(name, x)
            self.seen = x.detach()
            return x
        if name.endswith("sse.e") and self.seen is not None:
            logits, x = x, functional.linear(self.seen, self.weights[name.removesuffix("sse.e")])
            chosen, count = CONFIG.num_writer, CONFIG.num_sparse_partition
            ordered, order = x.sort(-1, descending=True)
            used = functional.one_hot(order[..., :chosen], count).sum(-2).float().mean((0, 1))
            self.balance.append((x.softmax(-1).mean((0, 1)) * used).sum() * count / chosen)
            self.margin.append((1 - ordered[..., chosen - 1] + ordered[..., chosen]).clamp(min=0).mean())
            if self.halves == 2:
                plain, coded = x.chunk(2)
                self.margin.append((coded - plain).square().mean())
            return logits
        return self.inner(name, x)


def loss_of(model: DSSAModel, text: Tensor, plan: Plan, step: int) -> tuple[Tensor, dict[str, float]]:
    """text: int64[sequences, SEQUENCE + 1] -> loss and its parts in bits per byte."""
    spiking = step >= plan.spiking_from
    if spiking:
        text = text[: len(text) // 2].repeat(2, 1)
        half = len(text) // 2
        tap = Router(spiking_tap(threshold(2 if step % 4 == 3 else 3), slice(half, None)), 2, model)
    else:
        tap = Router(identity, 1, model)
    logits = model(text[:, :-1], None, tap)
    target = text[:, 1:]
    routing = plan.balance_weight * sum(tap.balance) + plan.margin_weight * sum(tap.margin)
    if not spiking:
        plain = functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        return plain + routing, {"float": plain.item() / math.log(2)}
    float_logits, coded_logits = logits.chunk(2)
    plain = functional.cross_entropy(float_logits.flatten(0, 1), target[:half].flatten())
    coded = functional.cross_entropy(coded_logits.flatten(0, 1), target[half:].flatten())
    # Both halves share their weights, so both sides of the distance need their gradient: with a detached target the
    # weights would drift where the quantised half goes, the target with them, and the float loss runs away.
    distance = functional.kl_div(
        coded_logits.log_softmax(-1).flatten(0, 1),
        float_logits.log_softmax(-1).flatten(0, 1),
        log_target=True,
        reduction="batchmean",
    )
    loss = plain + plan.spiking_weight * coded + plan.agreement_weight * distance + routing
    parts = {"float": plain, "spiking": coded, "distance": distance}
    return loss, {name: value.item() / math.log(2) for name, value in parts.items()}


def rate_at(plan: Plan, step: int) -> float:
    """Relative learning rate: warm-up, flat, then linear to 2 % over the last 60 %."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    left = (plan.steps - step) / (0.6 * plan.steps)
    return max(0.02, min(1.0, left))


def train(rank: int, plan: Plan, out: Path, port: int) -> None:
    """One of PROCESSES equal workers; rank 0 prints and saves."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=PROCESSES)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = DSSAModel(CONFIG)
    with torch.no_grad():
        initialise(model)
    if plan.start is not None:
        model.load_state_dict(load_model(plan.start).state_dict())
    for module in model.modules():
        if isinstance(module, SSEMixer):
            module.form, module.chunk, module.scale_by_eta = "mask", 32, False
    parameters = list(model.parameters())
    named = list(model.named_parameters())
    is_matrix = {
        name: p.ndim == 2 and not name.endswith(("embeddings.weight", "sse_e_proj.weight"))
        for name, p in named
    }
    matrices = Orthogonal([p for name, p in named if is_matrix[name]])
    others = torch.optim.AdamW(
        [p for name, p in named if not is_matrix[name]], betas=(0.9, 0.97), weight_decay=0.0
    )

    text, held_out = training_text(), read_bytes(HELD_OUT)
    generator = torch.Generator().manual_seed(1000 + rank + (0 if plan.start is None else 100))
    offsets = torch.arange(SEQUENCE + 1)
    began = last = time.time()

    def say(line: str) -> None:
        if rank == 0:
            print(line, flush=True)

    say(f"{sum(p.numel() for p in parameters)} parameters, {len(text)} bytes of training text, {plan}")
    for step in range(plan.steps):
        starts = torch.randint(0, len(text) - SEQUENCE - 1, (BATCH, 1), generator=generator)
        loss, parts = loss_of(model, text[starts + offsets].long(), plan, step)
        model.zero_grad(set_to_none=True)
        loss.backward()
        flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
        dist.all_reduce(flat)
        flat /= PROCESSES
        flat *= min(1.0, 1.0 / (flat.norm().item() + 1e-6))
        for p, grad in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            p.grad = grad.view_as(p)
        rate = rate_at(plan, step)
        matrices.step(plan.matrix_rate * rate)
        others.param_groups[0]["lr"] = plan.other_rate * rate
        others.step()
        if step % 20 == 19 or step == 0:
            now = time.time()
            speed = (1 if step == 0 else 20) * BATCH * PROCESSES * SEQUENCE / (now - last)
            shown = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
            say(f"step {step + 1}: {shown}; {speed:.0f} tokens/s, {now - began:.0f} s")
            last = now
        if step % 200 == 199 and rank == 0:
            report(model, [held_out[1]], say, brief=True)
            save(model, out)
    if rank == 0:
        save(model, out)
    dist.barrier()
    dist.destroy_process_group()


def save(model: DSSAModel, out: Path) -> None:
    """Write model.pt in BF16; what is written is the model, measured after reading it back."""
    state = {name: value.detach().to(torch.bfloat16).clone() for name, value in model.state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    partial = out / "model.pt.part"
    torch.save({"config": CONFIG.to_dict(), "state_dict": state}, partial)
    partial.replace(out / "model.pt")


def save_texts(out: Path) -> None:
    """Write the held-out and calibration texts and their licence beside the model."""
    (out / "heldout.txt").write_bytes(b"".join(read_bytes(HELD_OUT)))
    (out / "calibration.txt").write_bytes(b"".join(read_bytes(CALIBRATION))[:8192])
    licence = Path(sysconfig.get_paths()["stdlib"]) / "LICENSE.txt"
    if licence.is_file():
        shutil.copyfile(licence, out / "LICENSE-PSF.txt")


def main() -> None:
    """Train, or with --measure only measure, the model in --out."""
    parser = argparse.ArgumentParser(description="train the small example model")
    parser.add_argument(
        "--out", type=Path, required=True, help="directory that receives model.pt and the texts"
    )
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument(
        "--spiking-from", type=int, help="first spiking-aware step (default: at 65 % of the steps)"
    )
    parser.add_argument("--start", help="checkpoint to continue from")
    parser.add_argument("--rate", type=float, default=1.0, help="factor on the learning rates")
    parser.add_argument(
        "--agreement", type=float, default=1.5, help="weight of the float-to-spiking distance"
    )
    parser.add_argument("--measure", action="store_true", help="measure the model in --out, train nothing")
    parser.add_argument("--port", type=int, default=29517, help="local TCP port the two workers meet on")
    options = parser.parse_args()
    if not options.measure:
        spiking_from = options.steps * 65 // 100 if options.spiking_from is None else options.spiking_from
        plan = Plan(
            steps=options.steps,
            spiking_from=spiking_from,
            matrix_rate=0.02 * options.rate,
            other_rate=0.004 * options.rate,
            agreement_weight=options.agreement,
            start=options.start,
        )
        mp.spawn(train, args=(plan, options.out, options.port), nprocs=PROCESSES)
        save_texts(options.out)
    report(load_model(options.out / "model.pt"), read_bytes(HELD_OUT), print)


if __name__ == "__main__":
    main()
