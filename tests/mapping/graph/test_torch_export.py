"""Programs of torch become graphs that compute what the module computes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.reference import Reference
from spikesim.mapping.graph.torch_export import export_module, read_exported


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


def outputs(graph: Graph, samples: torch.Tensor) -> NDArray[np.float32]:
    """What the graph makes of a batch of samples, each in a step of its own, as a batch."""
    shaped = samples.numpy().reshape(len(samples), 1, *graph.input.shape)
    (values,) = Reference(graph).run(shaped)
    return values[graph.output].numpy().reshape(len(samples), *graph.shapes[graph.output][1:])


def truth(module: nn.Module, samples: torch.Tensor) -> NDArray[np.float32]:
    """What the module makes of them, one by one."""
    with torch.no_grad():
        return torch.cat([module(sample[None]) for sample in samples]).numpy()


def agree(graph: Graph, module: nn.Module, samples: torch.Tensor) -> None:
    expected = truth(module, samples)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(
        outputs(graph, samples), expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max())
    )


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 4))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 5),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


NETWORKS = {
    "mlp": (mlp, (6,)),
    "lenet": (lenet, (1, 16, 16)),
}


def made(name: str) -> tuple[nn.Module, torch.Tensor]:
    make, shape = NETWORKS[name]
    module = make()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return module.eval(), torch.randn(3, *shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_computes_what_the_module_does(name: str) -> None:
    module, samples = made(name)
    agree(read_exported(export_module(module, samples), name), module, samples)
