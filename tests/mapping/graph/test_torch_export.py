"""Programs of torch become graphs that compute what the module computes; what has no form is named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.small_networks import NETWORKS, UnrolledNetwork, network
from helpers.tried import tried
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from spikesim.errors import GraphError
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.nodes import (
    Activation,
    Affine,
    Attention,
    Concat,
    Conv,
    Input,
    IntegerLIF,
    LayerNorm,
    Linear,
    Pool,
    Rearrange,
)
from spikesim.mapping.graph.reference import Reference
from spikesim.mapping.graph.torch_export import export_module, open_exported, read_exported

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


def outputs(graph: Graph, samples: torch.Tensor) -> NDArray[np.float32]:
    """What the graph makes of a batch of samples, each in a step of its own, as a batch."""
    shaped = samples.numpy().reshape(len(samples), 1, *graph.input.shape)
    reference = Reference([node for node in graph.nodes if not isinstance(node, Input)])
    values = reference.step({graph.input.name: torch.from_numpy(shaped[:, 0])})
    return values[graph.output].numpy().reshape(len(samples), *graph.shapes[graph.output][1:])


def agree(graph: Graph, module: nn.Module, samples: torch.Tensor) -> None:
    """The graph has the module's values, sample by sample."""
    with torch.no_grad():
        expected = torch.cat([module(sample[None]) for sample in samples]).numpy()
    largest = float(np.abs(expected).max())
    assert largest > 0
    np.testing.assert_allclose(outputs(graph, samples), expected, rtol=1e-4, atol=1e-4 * largest)


def read(module: nn.Module, *shape: int) -> Graph:
    return read_exported(export_module(module.eval(), torch.randn(1, *shape)), "net")


class Wrapped(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x, **dict(self.named_children()))


def refused(function: Callable[..., Any], *shape: int, says: str, **parts: nn.Module) -> None:
    """One sentence, which names the node, or what is wrong with the network."""
    with pytest.raises(GraphError) as caught:
        read(Wrapped(function, **parts), *shape)
    text = str(caught.value)
    assert says in text
    assert " must " in text
    assert "\n" not in text


# What is computed.


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_computes_what_the_module_does(name: str, tmp_path: Path) -> None:
    module, samples = network(name)
    program = export_module(module, samples)
    graph = read_exported(program, name)
    agree(graph, module, samples)
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    from_file = open_exported(path)
    np.testing.assert_array_equal(outputs(from_file, samples), outputs(graph, samples))
    assert [node.name for node in from_file.nodes] == [node.name for node in graph.nodes]
    assert all(NAME.fullmatch(node.name) for node in graph.nodes)


@pytest.mark.parametrize("name", ["vit", "mobilenet", "unet"])
def test_a_program_may_be_decomposed_already(name: str, tmp_path: Path) -> None:
    module, samples = network(name)
    torch.export.save(export_module(module, samples).run_decompositions(), tmp_path / "net.pt2")
    graph = open_exported(tmp_path / "net.pt2")
    agree(graph, module, samples)
    whole = read_exported(export_module(module, samples), name)
    for kind in (Attention, LayerNorm, Conv, Activation):
        kinds = [
            Counter(getattr(node, "kind", "") for node in each.nodes if isinstance(node, kind))
            for each in (graph, whole)
        ]
        assert kinds[0] == kinds[1]


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_a_batch_of_any_size_is_one_sample(name: str, tmp_path: Path) -> None:
    module, samples = network(name)
    program = torch.export.export(module, (samples,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    graph = read_exported(program, name)
    assert graph.input.shape == (1, *samples.shape[1:])
    agree(graph, module, samples)
    torch.export.save(program, tmp_path / "net.pt2")
    agree(open_exported(tmp_path / "net.pt2"), module, samples)


def test_a_module_is_exported_in_evaluation_and_stays_in_training() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout2d()).train()
    statistics = module[1].running_mean.clone()
    graph = read_exported(export_module(module, torch.randn(4, 1, 5, 5)), "net")
    assert module.training
    assert module[1].training
    assert torch.equal(module[1].running_mean, statistics)
    agree(graph, module.eval(), torch.randn(2, 1, 5, 5))


def test_weights_in_half_precision_are_read_as_they_are() -> None:
    module = nn.Linear(4, 3).to(torch.bfloat16)
    graph = read_exported(export_module(module, torch.zeros(1, 4, dtype=torch.bfloat16)), "net")
    (linear,) = (node for node in graph.nodes if isinstance(node, Linear))
    assert np.array_equal(linear.weight, module.weight.detach().float().numpy())


# What is recognised.


def kinds(graph: Graph) -> list[str]:
    return [type(node).__name__ for node in graph.nodes]


def test_names_are_those_of_modules() -> None:
    graph = read_exported(export_module(*network("resnet")), "net")
    assert [node.name for node in graph.nodes][:4] == ["input", "conv1", "bn1", "relu"]
    (head,) = (node for node in graph.nodes if node.name == "head")
    assert re.fullmatch(r"net, linear, small_networks\.py:\d+, module head", head.source)


def test_integer_neurons_are_one_node_with_their_scale() -> None:
    graph = read_exported(export_module(*network("integer_cnn")), "net")
    neurons = [node for node in graph.nodes if isinstance(node, IntegerLIF)]
    assert [(node.levels, node.scale) for node in neurons] == [(4, 0.25), (8, 1.0)]
    assert kinds(graph) == [
        *("Input", "Affine", "Conv", "Affine", "IntegerLIF", "Conv", "Affine", "IntegerLIF", "Rearrange"),
        "Linear",
    ]


def test_attention_of_spikes_and_its_scales() -> None:
    graph = read_exported(export_module(*network("spike_driven")), "net")
    found = [(node.kind, node.scale) for node in graph.nodes if isinstance(node, Attention)]
    assert found == [("linear", 1.0), ("linear", 0.5)]


def test_attention_and_norms_that_are_written_out() -> None:
    graph = read_exported(export_module(*network("vit")), "net")
    found = [(node.kind, node.scale) for node in graph.nodes if isinstance(node, Attention)]
    assert found == [("softmax", 0.5), ("softmax", pytest.approx(8**-0.5))]
    norms = [(node.centred, node.eps) for node in graph.nodes if isinstance(node, LayerNorm)]
    assert norms == [
        *((True, 1e-5), (True, 1e-5), (False, 1e-5)),
        *((False, pytest.approx(1e-6)), (True, 1e-5)),
    ]


def test_nearest_neighbours_and_padding_cost_no_node_of_arithmetic() -> None:
    graph = read_exported(export_module(*network("unet")), "net")
    assert kinds(graph) == [
        *("Input", "Conv", "Activation", "Pool", "Conv", "Activation", "Rearrange", "Concat", "Conv"),
    ]
    last = graph.nodes[-1]
    assert isinstance(last, Conv)
    assert last.padding == ((2, 1), (1, 0))


def test_rearrangements_are_joined_and_those_of_nothing_vanish() -> None:
    graph = read(Wrapped(lambda x: torch.relu(x.permute(0, 2, 1).reshape(1, 12).flip(1)[:, 2:6])), 3, 4)
    assert kinds(graph) == ["Input", "Rearrange", "Activation"]
    index = np.arange(12).reshape(3, 4).T.reshape(12)[::-1][2:6]
    node = graph.nodes[1]
    assert isinstance(node, Rearrange)
    assert np.array_equal(node.index, index[None])
    assert kinds(
        read(Wrapped(lambda x: torch.relu(x.transpose(1, 2).contiguous().transpose(1, 2))), 3, 4)
    ) == [
        "Input",
        "Activation",
    ]


def test_constants_are_folded() -> None:
    scale = nn.Linear(4, 4, bias=False)
    graph = read(Wrapped(lambda x, scale: x * torch.exp(scale.weight.sum(0)).clamp(0, 2), scale=scale), 4)
    assert kinds(graph) == ["Input", "Affine"]
    node = graph.nodes[1]
    assert isinstance(node, Affine)
    expected = torch.exp(scale.weight.sum(0)).clamp(0, 2).detach().numpy()
    np.testing.assert_allclose(node.scale, expected, rtol=1e-6)


def test_a_constant_token_is_joined_to_others() -> None:
    graph = read(Wrapped(lambda x: torch.cat([torch.full((1, 1, 3), 2.0), x], 1)), 2, 3)
    assert kinds(graph)[-1] == "Concat"
    concat = graph.nodes[-1]
    assert isinstance(concat, Concat)
    assert graph.shapes[graph.output] == (1, 3, 3)
    values = outputs(graph, torch.ones(1, 2, 3))
    assert values.tolist() == [[[2.0] * 3, [1.0] * 3, [1.0] * 3]]


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (functional.relu, "relu"),
        (lambda x: x.clamp(min=0), "relu"),
        (lambda x: functional.hardtanh(x, 0, 6), "relu6"),
        (lambda x: x.clamp(0, 6), "relu6"),
        (functional.gelu, "gelu"),
        (lambda x: functional.gelu(x, approximate="tanh"), "gelu_tanh"),
        (functional.silu, "silu"),
        (lambda x: x * torch.sigmoid(x), "silu"),
        (functional.hardswish, "hardswish"),
        (lambda x: x * functional.relu6(x + 3) / 6, "hardswish"),
        (functional.hardsigmoid, "hardsigmoid"),
        (lambda x: (x > 0).float(), "step"),
        (lambda x: torch.heaviside(x, torch.zeros(1)), "step"),
    ],
)
def test_an_activation_is_one_node(function: Callable[[torch.Tensor], torch.Tensor], kind: str) -> None:
    module = Wrapped(function)
    graph = read(module, 50)
    (node,) = graph.nodes[1:]
    assert isinstance(node, Activation)
    assert node.kind == kind
    agree(graph, module, 4 * torch.randn(3, 50))


@pytest.mark.parametrize(
    ("function", "shape", "expected"),
    [
        (lambda x: functional.max_pool2d(x, 3, 2, 1), (2, 7, 7), [("max", (3, 3))]),
        (lambda x: functional.avg_pool2d(x, 3, 2, 1), (2, 7, 7), [("average", (3, 3))]),
        (
            lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            (2, 7, 7),
            [("average", (3, 3))],
        ),
        (lambda x: functional.avg_pool2d(x, 2, divisor_override=3), (2, 6, 6), [("sum", (2, 2))]),
        (lambda x: functional.adaptive_avg_pool2d(x, (2, 3)), (2, 6, 6), [("average", (3, 2))]),
        (lambda x: functional.adaptive_max_pool2d(x, 1), (2, 6, 5), [("max", (6, 5))]),
        (lambda x: x.mean((2, 3)), (2, 6, 5), [("average", (6, 5))]),
        (lambda x: x.mean(1), (4, 5), [("average", (4,))]),
        (lambda x: x.sum(-1), (4, 5), [("sum", (5,))]),
        (lambda x: x.amax((1, 3)), (4, 5, 3), [("max", (12,))]),
    ],
)
def test_pools(
    function: Callable[[torch.Tensor], torch.Tensor],
    shape: tuple[int, ...],
    expected: list[tuple[str, tuple[int, ...]]],
) -> None:
    module = Wrapped(function)
    graph = read(module, *shape)
    assert [(node.kind, node.kernel) for node in graph.nodes if isinstance(node, Pool)] == expected
    agree(graph, module, torch.randn(3, *shape))


# What is refused.


@tried(5, "a network whose neuron is called for every step of time", "it is refused by the neuron's name")
def test_an_unrolled_neuron() -> None:
    with pytest.raises(GraphError) as caught:
        read(UnrolledNetwork(), 3, 4)
    assert re.match(
        r"node lif\.gt_1 \(net, gt, small_networks\.py:\d+, module lif\) must be a neuron of one step, not one that is"
        r" called anew for every step of time",
        str(caught.value),
    )


def _attend(**options: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: functional.scaled_dot_product_attention(x, x, x, **options)


@tried(5, "operators of torch that the core has no form for", "each is refused by node, operator and place")
@pytest.mark.parametrize(
    ("function", "shape", "says"),
    [
        (lambda x: x.sort(-1)[0], (4,), "node sort (net, sort, test_torch_export.py:"),
        (lambda x: x.sort(-1)[0], (4,), "must be an operator that the core has a form for, not sort"),
        (lambda x: x.max(-1)[1].float(), (4,), "use the first result of an operator"),
        (lambda x: x.softmax(-1), (4,), "be the softmax of attention"),
        (lambda x: x.softmax(1), (3, 4), "be a softmax along the last axis, not along axis 1"),
        (_attend(is_causal=True), (1, 3, 4), "must attend to all tokens: a causal mask is not supported"),
        (_attend(attn_mask=torch.zeros(3, 3)), (1, 3, 4), "must attend to all tokens: a mask"),
        (lambda x: x @ x.transpose(1, 2), (3, 4), "a matrix of weights, or a product of attention"),
        (torch.round, (4,), "round what is clamped to 0 … D"),
        (lambda x: torch.round(x.clamp(0, 2.5)), (4,), "round what is clamped to 0 … D"),
        (lambda x: torch.round(x.clamp(0, 200)), (4,), "must have 1 to 127 levels, not 200"),
        (lambda x: 1 / (x + 5), (4,), "not a power of -1 by itself"),
        (lambda x: x + torch.rand(4), (4,), "random numbers are not supported"),
        (lambda x: (x * 3).int().float(), (4,), "must keep real numbers, not turn them into int32"),
        (lambda x: (x == 1).float(), (4,), "must compare by >, not for equality"),
        (lambda x: x * float("nan"), (4,), "must have finite numbers"),
        (lambda x: (x, x + 1), (4,), "net must have one output, a tensor, not 2"),
        (lambda x: torch.ones(3), (4,), "net must have an output that depends on its input"),
        (lambda x: functional.max_pool2d(x, 2, ceil_mode=True), (1, 5, 5), "must pool whole windows"),
        (lambda x: functional.max_pool2d(x, 2, dilation=2), (1, 5, 5), "must pool windows without gaps"),
        (lambda x: functional.adaptive_avg_pool2d(x, 2), (1, 5, 5), "must pool [5, 5] to a divisor"),
        (
            lambda x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,)),
            (4,),
            "without control flow, not cond",
        ),
        (lambda x: x.expand(2**20, 4, 4).relu(), (4, 4), "elements, not"),
    ],
)
def test_operators_without_a_form(
    function: Callable[..., Any], shape: tuple[int, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikesim.mapping.graph.walk.LARGEST", 2**20)
    refused(function, *shape, says=says)


@tried(5, "layers of torch that the core has no form for", "each is refused by its name")
@pytest.mark.parametrize(
    ("layer", "shape", "says"),
    [
        (nn.ConvTranspose2d(1, 2, 2, 2), (1, 4, 4), "node layer (net, convolution, "),
        (nn.ConvTranspose2d(1, 2, 2, 2), (1, 4, 4), "must be a convolution that is not transposed"),
        (nn.Conv3d(1, 2, 2), (1, 4, 4, 4), "must be a convolution over one or two axes, not 3"),
        (nn.Softplus(), (4,), "node layer"),
    ],
)
def test_layers_without_a_form(layer: nn.Module, shape: tuple[int, ...], says: str) -> None:
    refused(lambda x, layer: layer(x), *shape, says=says, layer=layer)


@tried(5, "a network exported in training", "it says to call .eval()")
def test_a_network_in_training() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    program = torch.export.export(module, (torch.randn(4, 1, 5, 5),))
    with pytest.raises(GraphError, match=r"must (keep nothing|be exported in evaluation)"):
        read_exported(program, "net")
    dropped = torch.export.export(nn.Dropout().train(), (torch.randn(1, 5),))
    with pytest.raises(GraphError, match=r"must be exported in evaluation, not in training: call .eval()"):
        read_exported(dropped, "net")


@tried(5, "a network with several inputs, none, or one of whole numbers", "it is refused in one sentence")
def test_inputs() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

    x = torch.randn(1, 4)
    with pytest.raises(GraphError, match="net must have one input, a tensor, not 2"):
        read_exported(torch.export.export(Two(), (x, x)), "net")
    embedding = torch.export.export(nn.Embedding(5, 3), (torch.zeros(1, 2, dtype=torch.long),))
    with pytest.raises(GraphError, match="net must take real numbers, not int64"):
        read_exported(embedding, "net")


@tried(5, "a network of any number of tokens", "the axis is named")
def test_another_axis_of_any_size(tmp_path: Path) -> None:
    shapes = ({1: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(nn.Linear(4, 3), (torch.randn(1, 5, 4),), dynamic_shapes=shapes)
    says = "must have an input of one size along every axis but the batch, not of any size along axis 1"
    with pytest.raises(GraphError, match=says):
        read_exported(program, "net")
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(GraphError, match=says):
        open_exported(tmp_path / "net.pt2")


@tried(15, "a module that torch cannot export, or an example without a batch", "one sentence with the reason")
def test_a_module_that_cannot_be_exported() -> None:
    module = Wrapped(lambda x: x if float(x.sum()) > 0 else -x)
    with pytest.raises(
        GraphError, match=r"^Wrapped must be a module that torch.export can trace \("
    ) as caught:
        export_module(module, torch.randn(1, 4))
    assert "\n" not in str(caught.value)
    with pytest.raises(GraphError, match="the example input of Wrapped must be a tensor with a batch"):
        export_module(module, torch.zeros(0, 4))
