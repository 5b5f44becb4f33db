"""Networks of the second front end on the RTL in Verilator against the simulator: every word, cycle and counter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.random_networks import Maker, opened, words_of
from helpers.rtl_cores import CORES, built_core

from spikesim.mapping.graph import nodes
from spikesim.mapping.graph.graph import Graph
from spikesim.program import Chain
from spikesim.verify.lockstep import Lockstep

NETWORKS = 4


def assert_agrees(name: str, graph: Graph, samples: np.ndarray, folder: Path) -> None:
    core = CORES[name]
    network = opened(graph, samples, core.hardware)
    chain = Chain(programs=network.programs, links=network.links, output=network.output)
    words = words_of(network, samples)
    lockstep = Lockstep(chain, core.hardware, built_core(name, core.config()), folder)
    found = lockstep.run(words.reshape(-1, words.shape[-1])).comparison
    assert found.agrees, f"{found.differing}\n" + "\n".join(map(str, found.differences))
    assert found.values > 0


@pytest.mark.parametrize("name", ["plane", pytest.param("dense", marks=pytest.mark.more)])
def test_random_networks(name: str, tmp_path: Path) -> None:
    """Windows that overlap, membranes that persist, step after step of one sample."""
    for seed in range(NETWORKS):
        rng = np.random.default_rng(seed)
        graph = Maker(lambda low, high, rng=rng: int(rng.integers(low, high + 1)), rng).network()
        samples = rng.standard_normal((1, 3, *graph.input.shape)).astype(np.float32)
        assert_agrees(name, graph, samples, tmp_path / str(seed))


@pytest.mark.parametrize("kind", ["softmax", "linear"])
def test_attention_among_the_tokens_of_a_step(kind: str, tmp_path: Path) -> None:
    """States that are cleared by a decay of factor 0, scattered into and gathered from; a norm before."""
    rng = np.random.default_rng(1)
    heads, tokens, size = 2, 5, 4
    width = heads * size
    split = np.arange(tokens * width).reshape(tokens, heads, size).transpose(1, 0, 2)
    joined = np.arange(tokens * width).reshape(heads, tokens, size).transpose(1, 0, 2).reshape(tokens, width)

    def linear(name: str, given: str) -> nodes.Linear:
        weight = (rng.standard_normal((width, width)) / 3).astype(np.float32)
        return nodes.Linear(name=name, inputs=(given,), weight=weight, bias=None)

    def apart(name: str) -> nodes.Rearrange:
        return nodes.Rearrange(name=f"{name}_heads", inputs=(name,), index=split)

    gain = np.ones(width, np.float32)
    graph = Graph(
        nodes=(
            nodes.Input(name="x", shape=(tokens, width)),
            nodes.LayerNorm(name="norm", inputs=("x",), weight=gain, bias=gain / 9, eps=1e-5),
            *(linear(name, "norm") for name in "qkv"),
            *map(apart, "qkv"),
            nodes.Attention(
                name="attention", inputs=("q_heads", "k_heads", "v_heads"), kind=kind, scale=size**-0.5
            ),
            nodes.Rearrange(name="joined", inputs=("attention",), index=joined),
            linear("out", "joined"),
            nodes.Sum(name="y", inputs=("out", "x")),
        ),
        output="y",
    )
    samples = rng.standard_normal((1, 2, tokens, width)).astype(np.float32)
    assert_agrees("plane", graph, samples, tmp_path)


def test_a_recurrent_edge(tmp_path: Path) -> None:
    """Spikes of the step before through weights of their own."""
    rng = np.random.default_rng(2)

    def linear(name: str, given: str, outputs: int, channels: int) -> nodes.Linear:
        weight = (rng.standard_normal((outputs, channels)) / 2).astype(np.float32)
        return nodes.Linear(name=name, inputs=(given,), weight=weight, bias=None)

    half = np.float32(0.5)
    graph = Graph(
        nodes=(
            nodes.Input(name="x", shape=(12,)),
            linear("in", "x", 20, 12),
            nodes.Delay(name="before", inputs=("lif",), shape=(20,)),
            linear("again", "before", 20, 20),
            nodes.Sum(name="both", inputs=("in", "again")),
            nodes.Neuron(
                name="lif",
                inputs=("both",),
                alpha=half,
                beta=half,
                gain=half,
                leak=half * 0,
                threshold=half / 4,
            ),
            linear("out", "lif", 5, 20),
        ),
        output="out",
    )
    samples = (rng.random((1, 8, 12)) < 0.4).astype(np.float32)
    assert_agrees("plane", graph, samples, tmp_path)
