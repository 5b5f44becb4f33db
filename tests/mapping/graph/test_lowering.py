"""Random networks: the program is the quantised network, word for word, as plain numpy evaluates it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.integer_graph import IntegerGraph
from helpers.random_networks import Maker, opened, words_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikesim.hardware import HardwareConfig
from spikesim.mapping.graph import nodes
from spikesim.mapping.graph.frontend import OpenedGraph
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.reference import Reference
from spikesim.mapping.graph.weights import on_quantized_weights
from spikesim.program import Chain
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator


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


@pytest.mark.parametrize(
    "kind", ["silu", "gelu", "gelu_tanh", "sigmoid", "hardswish", "hardsigmoid", "relu6"]
)
def test_functions_are_near_those_of_torch(kind: Any) -> None:
    rng = np.random.default_rng(1)
    samples = 3 * rng.standard_normal((8, 1, 40)).astype(np.float32)
    x = nodes.Input(name="x", shape=(40,))
    graph = Graph(nodes=(x, nodes.Activation(name="y", inputs=("x",), kind=kind)), output="y")
    hardware = HardwareConfig()
    network = OpenedGraph(graph, Path("function.pt2"), "test")  # alone it is no network that `check` takes
    network.calibrate(samples, hardware)
    words = executed(network, words_of(network, samples), hardware)
    (lowered,) = network.lower(samples, lambda _: _Nothing())
    assert lowered.reference is not None
    expected = lowered.reference(slice(None)).numpy()[:, 0]
    real = words[:, 0] * 2.0 ** -lowered.program.text.outputs[0].format.fraction
    assert np.abs(real - expected).max() < 2e-3


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
    reference = Reference(graph.nodes[1:])
    steps = [reference.step({"x": torch.from_numpy(samples[:, step])})["z"].numpy() for step in range(40)]
    expected = np.stack(steps, axis=1)
    assert 20 < expected.sum() < 500
    assert np.array_equal(executed(network, words_of(network, samples), hardware), expected)


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
