"""What the training scripts of the example networks share: the loop, integer LIF neurons, export.

A script needs scikit-learn for the data, and moving_lif.py needs snntorch too: `pip install 'spikesim[examples]'`.
Seeds are fixed and one thread is used: on one machine, a script writes the same weights every time.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from digits_data import BRIGHTEST, Bytes, Split, save_samples, shifted, split
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

HERE = Path(__file__).resolve().parent
SEED = 1
BATCH = 64
LEVELS = 4
"""D of the integer LIF neurons: virtual steps."""

_FOLDER = re.compile(r'File "[^"\n]*?/(?=(?:examples/networks|torch)/)')


class OnGrid(nn.Module):
    """A parametrization: weights as INT8 with a scale per output channel, with the gradient of what they stand for."""

    def forward(self, weight: Tensor) -> Tensor:
        """Rounded to 127 steps of the largest weight of their channel."""
        axes = tuple(range(1, weight.dim()))
        step = weight.detach().abs().amax(axes, keepdim=True).clamp(min=1e-8) / 127
        return weight + ((weight / step).round() * step - weight).detach()


class IntegerLIF(nn.Module):
    """Integer LIF neurons as in SpikeYOLO and Spike-Driven Transformer V3: round(clip(x, 0, D)) / D.

    Trained as integers with the gradient of the clipping (straight through the rounding), and with some noise before
    it, so that few answers hang on a membrane half way between two integers; on a core, spikes of D virtual steps.
    """

    noise = 0.1

    def __init__(self, levels: int = LEVELS) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        """Unchanged shape."""
        clipped = x.clamp(0, self.levels)
        if self.training:
            noisy = clipped + self.noise * (2 * torch.rand_like(x) - 1)
            return (clipped + (noisy.round().clamp(0, self.levels) - clipped).detach()) / self.levels
        return clipped.round() / self.levels


THRESHOLD_K = 3
"""Of the adaptive threshold, as in the default hardware."""


def spiking_aware(model: nn.Module) -> None:
    """From now on, the second half of every training batch has what goes into the weights as the core would encode it.

    Adaptive threshold: integers of mean |x| / k, over the whole image of a convolution, over the row of a matrix; with
    the gradient of what they stand for. The first layer takes pixels, which are integers.
    """

    def encode(module: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = given
        if not module.training:
            return given
        half = x[len(x) // 2 :].detach()
        axes = tuple(range(1, half.dim()))
        scale = (half.abs().mean(axes, keepdim=True) / THRESHOLD_K).clamp(min=1e-6)
        change = (half / scale).round() * scale - half
        return (x + torch.cat((torch.zeros_like(x[: len(x) // 2]), change)),)

    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for layer in layers[1:]:
        layer.register_forward_pre_hook(encode)


def fit(
    model: nn.Module,
    data: Split,
    *,
    epochs: int,
    rate: float = 0.004,
    given: Callable[[Bytes, np.random.Generator], Tensor],
    loss_of: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> None:
    """Trains on random variants of the training images: `given` makes the model's input of some of them."""
    rng = np.random.default_rng(SEED)
    loss_of = loss_of or (lambda y, labels: functional.cross_entropy(y, labels, label_smoothing=0.05))
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    per_epoch = len(data.train_x) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * per_epoch)
    began = time.perf_counter()
    model.train()
    for epoch in range(epochs):
        order = rng.permutation(len(data.train_x))
        total = 0.0
        for first in range(0, per_epoch * BATCH, BATCH):
            some = order[first : first + BATCH]
            loss = loss_of(model(given(data.train_x[some], rng)), torch.from_numpy(data.train_y[some]).long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if epoch % 10 == 9 or epoch == epochs - 1:
            seconds = time.perf_counter() - began
            print(f"epoch {epoch + 1}: loss {total / per_epoch:.4f}, {seconds:.0f} s")
    model.eval()


def as_image(images: Bytes) -> Tensor:
    """uint8[samples, 8, 8] -> float32[samples, 1, 8, 8] of 0 ... 1."""
    return torch.from_numpy(images[:, None].astype(np.float32) / BRIGHTEST)


def as_row(images: Bytes) -> Tensor:
    """uint8[samples, 8, 8] -> float32[samples, 64] of 0 ... 1."""
    return as_image(images).flatten(1)


def take_counts(first: nn.Linear | nn.Conv2d) -> None:
    """The first layer of a trained model takes pixels as they are, 0 ... 16, from now on."""
    with torch.no_grad():
        first.weight /= BRIGHTEST


def export(model: nn.Module, example: Tensor, path: Path) -> None:
    """Writes a .pt2 file of the model in evaluation, for one sample; without the folders of this machine, and without
    the example, which torch would pickle."""
    program = torch.export.export(model.eval(), (example,), strict=False)
    for node in program.graph.nodes:
        if "stack_trace" in node.meta:
            node.meta["stack_trace"] = _FOLDER.sub('File "', node.meta["stack_trace"])
    program.example_inputs = None
    torch.export.save(program, path)


def train_digits(
    name: str,
    model_of: Callable[[], nn.Module],
    first_of: Callable[[nn.Module], nn.Linear | nn.Conv2d],
    *,
    epochs: int,
    flat: bool = False,
    encoded: bool = False,
    on_grid: bool = False,
) -> None:
    """Trains a network on the digits and writes its file and its samples: all that four of the scripts do.

    `first_of`: the layer that takes the pixels; `flat`: as one row; `encoded`: a `spiking_aware` training;
    `on_grid`: weights that INT8 has.
    """
    options = arguments(name, epochs)
    torch.manual_seed(SEED)
    data, model = split(), model_of()
    given = as_row if flat else as_image
    if encoded:
        spiking_aware(model)
    layers = [
        each for each in model.modules() if on_grid and isinstance(each, nn.Linear | nn.Conv1d | nn.Conv2d)
    ]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", OnGrid())
    fit(model, data, epochs=options.epochs, given=lambda images, rng: given(shifted(images, rng)))
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight")
    take_counts(first_of(model))
    x = data.test_x.reshape(len(data.test_x), *((-1,) if flat else (1, *data.test_x.shape[1:])))
    with torch.no_grad():
        found = model(torch.from_numpy(x.astype(np.float32))).argmax(1).numpy()
    weights = sum(p.numel() for p in model.parameters())
    print(f"{name}: {(found == data.test_y).mean():.2%} of {len(x)} test digits, {weights:,} parameters")
    export(model, torch.from_numpy(x[:1].astype(np.float32)), options.out / f"{name}.pt2")
    save_samples(options.out / f"{name}.npz", x, data.test_y)


def arguments(name: str, epochs: int) -> argparse.Namespace:
    """`--out`, `--epochs`; and one thread."""
    parser = argparse.ArgumentParser(description=f"Train {name}.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    parser.add_argument("--epochs", type=int, default=epochs)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    return options
