"""Random networks: the program is the quantised network, word for word, as plain numpy evaluates it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.integer_graph import IntegerGraph
from helpers.random_networks import Maker, opened, words_of
from helpers.small_networks import NETWORKS, network
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikesim.hardware import HardwareConfig
from spikesim.mapping.graph import nodes
from spikesim.mapping.graph.frontend import OpenedGraph
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.reference import evaluated as float_model
from spikesim.mapping.graph.torch_export import export_module, read_exported
from spikesim.mapping.graph.weights import on_quantized_weights
from spikesim.program import Chain
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator
from spikesim.spikes.encode import encode


def executed(network: OpenedGraph, words: np.ndarray, hardware: HardwareConfig) -> np.ndarray:
    """int32[samples, steps, outputs] of the golden model."""
    chain = Chain(programs=network.programs, links=network.links, output=network.output)
    simulators = [Simulator(program, hardware, words.shape[0]) for program in chain.programs]
    out = run_chain(chain, simulators, np.ascontiguousarray(words.swapaxes(0, 1)))
    return out.swapaxes(0, 1)


def evaluated(network: OpenedGraph, words: np.ndarray, hardware: HardwareConfig) -> np.ndarray:
    """The same, by numpy."""
    entering = network.tensors[network.graph.input.name]
    integers = IntegerGraph(network, hardware.numerics)
    found = []
    for sample in words:
        steps = np.stack([step[entering.order] for step in sample])
        found.append([values[network.graph.output].reshape(-1) for values in integers.run(steps)])
    return np.array(found, dtype=np.int64)


@given(data=st.data(), seed=st.integers(0, 2**32 - 1), activation=st.sampled_from(["threshold", "int8"]))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_networks_are_what_numpy_says(data: Any, seed: int, activation: str) -> None:
    rng = np.random.default_rng(seed)
    graph = Maker(lambda low, high: data.draw(st.integers(low, high)), rng).network()
    steps = 3 if graph.keeps_state else 1
    samples = rng.standard_normal((2, steps, *graph.input.shape)).astype(np.float32)
    if data.draw(st.booleans()):
        samples = (samples > 0.5).astype(np.float32)
    hardware = HardwareConfig().replace(**{"numerics.activation": activation})
    network = opened(graph, samples, hardware)
    words = words_of(network, samples)
    assert (executed(network, words, hardware) == evaluated(network, words, hardware)).all()


@pytest.mark.parametrize("size", [0.03, 3.0, 100.0])
@pytest.mark.parametrize(
    "kind", ["silu", "gelu", "gelu_tanh", "sigmoid", "hardswish", "hardsigmoid", "relu6"]
)
def test_functions_are_near_those_of_torch(kind: Any, size: float) -> None:
    rng = np.random.default_rng(1)
    samples = size * rng.standard_normal((8, 1, 40)).astype(np.float32)
    x = nodes.Input(name="x", shape=(40,))
    y = nodes.Activation(name="y", inputs=("x",), kind=kind)
    graph = Graph(nodes=(x, y), output="y")
    hardware = HardwareConfig()
    network = opened(graph, samples, hardware)
    words = executed(network, words_of(network, samples), hardware)
    (lowered,) = network.lower(samples, lambda _: _Nothing())
    assert lowered.reference is not None
    expected = lowered.reference(slice(None)).numpy()[:, 0]
    real = words[:, 0] * 2.0 ** -lowered.program.text.outputs[0].format.fraction
    assert np.abs(real - expected).max() < min(1e-3 * max(1.0, size), 0.02 * np.abs(expected).max())


def test_layers_that_were_silent_in_the_calibration_fire_all_the_same() -> None:
    rng = np.random.default_rng(0)
    lif = {"beta": np.float32(0.875), "gain": np.float32(0.125), "leak": np.float32(0.0)}
    lif |= {"threshold": np.float32(0.25), "reset": np.float32(0.0)}
    graph = on_quantized_weights(
        Graph(
            nodes=(
                nodes.Input(name="x", shape=(20,)),
                nodes.Linear(name="w", inputs=("x",), weight=rng.normal(0.4, 1, (12, 20)).astype(np.float32)),
                nodes.Neuron(name="y", inputs=("w",), **lif),
                nodes.Linear(name="u", inputs=("y",), weight=rng.normal(1, 2, (5, 12)).astype(np.float32)),
                nodes.Neuron(name="z", inputs=("u",), **lif),
            ),
            output="z",
        )
    )
    hardware = HardwareConfig()
    samples = (rng.random((3, 40, 20)) < 0.2).astype(np.float32)
    quiet = np.zeros_like(samples)
    quiet[0, 0, 0] = 1.0
    network = opened(graph, quiet, hardware)
    expected = float_model(graph, samples).numpy().swapaxes(0, 1)
    assert 20 < expected.sum() < 500
    assert np.array_equal(executed(network, words_of(network, samples), hardware), expected)


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("name", list(NETWORKS))
def test_networks_that_people_bring_are_near_their_modules(name: str) -> None:
    """INT8 activations: every program has a float model to be compared with, and is near it."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module, batch = network(name)
        samples = batch.numpy()[:, None, None]
        exported = export_module(module, batch[:1])
    graph = read_exported(exported, name)
    hardware = HardwareConfig().replace(**{"numerics.activation": "int8"})
    found = opened(graph, samples.reshape(len(samples), 1, *graph.input.shape), hardware)
    shaped = samples.reshape(len(samples), 1, *graph.input.shape)
    words = executed(found, words_of(found, shaped), hardware)[:, 0]
    lowered = list(found.lower(shaped, lambda _: _Nothing()))
    assert all(one.reference is not None for one in lowered)
    with torch.no_grad():
        expected = module(batch).numpy().reshape(len(batch), -1)
    real = words * 2.0 ** -lowered[-1].program.text.outputs[0].format.fraction
    cosine = (expected * real).sum() / np.sqrt((expected**2).sum() * (real**2).sum())
    assert cosine > 0.99


def test_names_that_look_like_those_of_the_lowering() -> None:
    """A module `gate` beside a part of another that has that name, dashes, and the network's input as `input`."""
    weight = np.ones((4, 4), np.float32)
    names = ["gate", "gate.gate", "gate-gate", "gate_gate", "gate.sums.0", "ones-4", "result-words", "input"]
    made: list[nodes.Node] = [nodes.Input(name="x", shape=(4,))]
    for name in names:
        linear = nodes.Linear(name=name, inputs=(made[-1].name,), weight=weight, bias=weight[0])
        made += [linear, nodes.Activation(name=f"{name}.in", inputs=(name,), kind="hardswish")]
    graph = Graph(nodes=tuple(made), output=made[-1].name)
    samples = np.ones((1, 1, 4), np.float32)
    hardware = HardwareConfig()
    network = opened(graph, samples, hardware)
    assert executed(network, words_of(network, samples), hardware).shape == (1, 1, 4)
    assert len(network.graph.nodes) == len(graph.nodes)


def test_integers_are_their_spikes_over_virtual_steps() -> None:
    """Coding `binary` of an integer neuron's words: as many spikes as the published D virtual steps have, step by step
    and in all.
    """
    levels = 4
    rng = np.random.default_rng(3)
    samples = 4 * rng.standard_normal((5, 1, 30)).astype(np.float32)
    neurons = nodes.IntegerLIF(name="y", inputs=("x",), levels=levels, scale=1 / levels)
    graph = Graph(nodes=(nodes.Input(name="x", shape=(30,)), neurons), output="y")
    hardware = HardwareConfig()
    network = opened(graph, samples, hardware)
    unit = network.tensors["y"]
    words = executed(network, words_of(network, samples), hardware)[:, 0] * 2.0**-unit.fraction
    counts = np.rint(words * levels).astype(np.int64)
    expected = np.rint(np.clip(samples[:, 0], 0, levels)).astype(np.int64)
    assert (counts == expected).all()
    virtual = expected[None] > np.arange(levels)[:, None, None]  # one spike a step until the integer is spent
    train = encode(counts, coding="binary")
    assert train.n_spikes == virtual.sum()
    assert (train.decode() == counts).all()


def convolution_of(height: int, width: int) -> tuple[int, int]:
    """Instructions of a 3 × 3 convolution, and the cycles of its gathers on silent images."""
    weight = np.ones((4, 2, 3, 3), np.float32)
    ones = ((1, 1), (1, 1))
    conv = nodes.Conv(name="y", inputs=("x",), weight=weight, stride=(1, 1), padding=ones, dilation=(1, 1))
    graph = Graph(nodes=(nodes.Input(name="x", shape=(2, height, width)), conv), output="y")
    samples = np.ones((1, 1, 2, height, width), np.float32)
    hardware = HardwareConfig()
    network = opened(graph, samples, hardware)
    (program,) = network.programs
    simulator = Simulator(program, hardware)
    simulator.run({network.entry.name: 0 * words_of(network, samples)})
    gathers = [entry for entry in simulator.cycles if entry.label == "gather matrix"]
    assert sum(entry.counters.row_reads for entry in gathers) == 0
    return len(gathers), sum(entry.spiking for entry in gathers)


def test_a_convolution_grows_with_rows_and_its_silent_windows_read_nothing() -> None:
    """Kernel rows × image rows gathers, whatever the width; and every silent window costs the same few cycles."""
    gathers, cycles = convolution_of(8, 8)
    assert gathers == 3 * 8
    assert convolution_of(8, 24)[0] == gathers
    assert convolution_of(16, 8)[0] == 2 * gathers
    wider = convolution_of(8, 16)[1]
    a_window = (wider - cycles) / (gathers * 8)
    fixed = cycles - gathers * 8 * a_window
    assert convolution_of(8, 24)[1] == fixed + gathers * 24 * a_window
