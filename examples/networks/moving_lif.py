"""Train moving_lif: LIF neurons in snnTorch on event streams of moving digits, exported by NIR.

python examples/networks/moving_lif.py

A neuron leaks, adds its input, fires above its threshold and is at 0 after it, in the same step (`reset_mechanism=
"zero"`, `reset_delay=False`): that is the LIF of NIR by forward Euler with a step of 1e-4 s, which is what snnTorch
writes. With `reset_mechanism="subtract"`, snnTorch's default, the file would say another network than was trained.

Beside the network and its samples, moving_lif_snntorch.npz holds what snnTorch itself gives for them: `spikes`, and
`spikes_quantized` of the network with the weights and leaks that the core has, packed along the classes.
"""

from __future__ import annotations

import nir
import numpy as np
import snntorch
import torch
from digits_data import FEATURES, Bytes, held_out_events, moving_events, save_samples, split
from example_training import SEED, arguments, fit
from snntorch import surrogate
from snntorch.export_nir import export_to_nir
from torch import Tensor, nn
from torch.nn import functional

from spikesim.mapping.graph.weights import as_mantissas, quantized

HIDDEN = (128,)
LEAKS = (0.5, 0.9375)
"""Of the neurons of every layer: what is left of a membrane after a step."""

FIRST_WEIGHTS = 4.0
"""Times what torch begins with."""


class Network(nn.Module):
    """One step: spikes [samples, FEATURES] -> spikes [samples, 10]."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (FEATURES, *HIDDEN, 10)
        layers: list[nn.Module] = []
        for inputs, outputs, leak in zip(sizes[:-1], sizes[1:], LEAKS, strict=True):
            layers.append(nn.Linear(inputs, outputs))
            with torch.no_grad():
                layers[-1].weight *= FIRST_WEIGHTS  # or hardly a neuron would ever fire
            layers.append(neurons(outputs, leak))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """The neurons keep their membranes for the next step."""
        return self.layers(x)

    def run(self, x: Tensor) -> Tensor:
        """[samples, steps, FEATURES] -> [steps, samples, 10], from membranes of 0."""
        for layer in self.layers:
            if isinstance(layer, snntorch.Leaky):
                layer.mem = torch.zeros(0)
        return torch.stack([self(x[:, step]) for step in range(x.shape[1])])


def neurons(count: int, leak: float) -> snntorch.Leaky:
    """A layer that keeps its membranes itself."""
    return snntorch.Leaky(
        beta=torch.full((count,), leak),
        threshold=torch.ones(count),
        spike_grad=surrogate.fast_sigmoid(slope=10),
        init_hidden=True,
        reset_mechanism="zero",
        reset_delay=False,
    )


def loss_of(spikes: Tensor, labels: Tensor) -> Tensor:
    """The class whose neuron fires most often is the answer."""
    return functional.cross_entropy(spikes.sum(0), labels, label_smoothing=0.1)


def on_core(model: Network) -> Network:
    """The same network with the weights and leaks of the core: INT8 with a scale for every neuron, 16 bits."""
    found = Network()
    with torch.no_grad():
        for ours, theirs in zip(found.layers, model.layers, strict=True):
            if isinstance(theirs, nn.Linear):
                ours.weight.copy_(torch.from_numpy(quantized(theirs.weight.numpy()).real))
                ours.bias.copy_(theirs.bias)
            else:
                ours.beta.copy_(torch.from_numpy(as_mantissas(theirs.beta.numpy())))
    return found


class Trained(nn.Module):
    """A network that takes whole streams: what the training loop calls."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """[samples, steps, FEATURES] -> [steps, samples, 10]."""
        return self.network.run(x)


def given(images: Bytes, rng: np.random.Generator) -> Tensor:
    """Every digit moves another way every time."""
    return torch.from_numpy(moving_events(images, rng).astype(np.float32))


def main() -> None:
    """Train, and write the files."""
    options = arguments("moving_lif", 100)
    torch.manual_seed(SEED)
    data, network = split(), Network()
    fit(Trained(network), data, epochs=options.epochs, rate=0.01, given=given, loss_of=loss_of)
    x = held_out_events(data.test_x)
    with torch.no_grad():
        events = torch.from_numpy(x.astype(np.float32))
        spikes, on_quantized = network.run(events), on_core(network).run(events)
    right = (spikes.sum(0).argmax(1).numpy() == data.test_y).mean()
    print(f"moving_lif: {right:.2%} of {len(x)} test streams, {spikes.mean():.1%} of outputs fire")
    network.run(events[:1])
    nir.write(options.out / "moving_lif.nir", export_to_nir(network.layers, events[:1, 0], ignore_dims=[0]))
    save_samples(options.out / "moving_lif.npz", x, data.test_y)
    np.savez_compressed(
        options.out / "moving_lif_snntorch.npz",
        spikes=np.packbits(spikes.numpy().astype(bool), -1),
        spikes_quantized=np.packbits(on_quantized.numpy().astype(bool), -1),
    )


if __name__ == "__main__":
    main()
