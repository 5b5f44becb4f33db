"""NIR files: neurons at a time step, loops, the spikes of the tools that wrote them; and files that are none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
import torch
from helpers.tried import tried
from numpy.typing import NDArray

from spikesim.errors import GraphError
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.nir_reader import read_nir
from spikesim.mapping.graph.nodes import Conv, Delay, Neuron, Pool
from spikesim.mapping.graph.reference import evaluated

VECTORS = Path(__file__).parents[2] / "vectors" / "nir"
DT = 1e-4

Edges = list[tuple[str, str]]


def chain(*names: str) -> Edges:
    return list(pairwise(names))


def written(path: Path, nodes: dict[str, Any], edges: Edges, inputs: Any, outputs: Any) -> Path:
    """A file with an input and an output node beside `nodes`."""
    whole = {"input": nir.Input(np.array(inputs)), **nodes, "output": nir.Output(np.array(outputs))}
    nir.write(path, nir.NIRGraph(nodes=whole, edges=edges))
    return path


def one(path: Path, node: Any, inputs: int = 3, outputs: int = 3) -> Path:
    return written(path, {"node": node}, chain("input", "node", "output"), [inputs], [outputs])


def steps(graph: Graph, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[steps, *shape] -> what comes out at every step."""
    return evaluated(graph, x[None])[:, 0].numpy()


def each(value: float, size: int = 3) -> NDArray[np.float32]:
    return np.full(size, value, np.float32)


@pytest.fixture
def x() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0.4, 1.0, (50, 3)).astype(np.float32)


# Neurons, by their equations in double precision.


def test_a_leaky_neuron_is_euler_with_a_reset(tmp_path: Path, x: NDArray[np.float32]) -> None:
    tau, r, leak, threshold, reset = 4e-4, 2.0, 0.1, 0.7, -0.25
    node = nir.LIF(each(tau), each(r), each(leak), each(threshold), each(reset))
    graph = read_nir(one(tmp_path / "net.nir", node))
    v, expected = np.zeros(3), []
    for now in x.astype(np.float64):
        v = v + DT / tau * (leak - v + r * now)
        expected.append(v > threshold)
        v = np.where(expected[-1], reset, v)
    assert 10 < np.sum(expected) < 140
    assert np.array_equal(steps(graph, x), expected)


def test_a_neuron_with_a_current(tmp_path: Path, x: NDArray[np.float32]) -> None:
    synapse, membrane, r, leak, threshold, w = 2e-4, 5e-4, 3.0, 0.1, 0.9, 1.5
    node = nir.CubaLIF(
        each(synapse), each(membrane), each(r), each(leak), each(threshold), each(0.0), w_in=each(w)
    )
    graph = read_nir(one(tmp_path / "net.nir", node))
    i, v, expected = np.zeros(3), np.zeros(3), []
    for now in x.astype(np.float64):
        i = i + DT / synapse * (w * now - i)
        v = v + DT / membrane * (leak - v + r * i)
        expected.append(v > threshold)
        v = np.where(expected[-1], 0.0, v)
    assert 5 < np.sum(expected) < 140
    assert np.array_equal(steps(graph, x), expected)


def test_neurons_without_a_leak_add_their_input_once_a_step(tmp_path: Path, x: NDArray[np.float32]) -> None:
    graph = read_nir(one(tmp_path / "if.nir", nir.IF(each(0.5), each(1.0), each(0.125))))
    v, expected = np.zeros(3), []
    for now in x.astype(np.float64):
        v = v + 0.5 * now
        expected.append(v > 1.0)
        v = np.where(expected[-1], 0.125, v)
    assert np.array_equal(steps(graph, x), expected)
    graph = read_nir(one(tmp_path / "i.nir", nir.I(each(0.5))))
    np.testing.assert_allclose(steps(graph, x), 0.5 * x.cumsum(0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("current", [False, True])
def test_integrators_give_their_potential(tmp_path: Path, x: NDArray[np.float32], current: bool) -> None:
    if current:
        node = nir.CubaLI(each(2e-4), each(5e-4), each(1.0), each(0.2), each(1.0))
    else:
        node = nir.LI(each(5e-4), each(1.0), each(0.2))
    graph = read_nir(one(tmp_path / "net.nir", node))
    i, v, expected = np.zeros(3), np.zeros(3), []
    for now in x.astype(np.float64):
        i = i + 0.5 * (now - i) if current else now
        v = v + 0.2 * (0.2 - v + i)
        expected.append(v)
    np.testing.assert_allclose(steps(graph, x), expected, rtol=1e-4, atol=1e-5)


def test_the_time_step_is_an_argument(tmp_path: Path) -> None:
    path = one(tmp_path / "net.nir", nir.LI(each(5e-4), each(1.0), each(0.0)))
    (neuron,) = (node for node in read_nir(path, dt=1e-5).nodes if isinstance(node, Neuron))
    assert neuron.beta == pytest.approx(0.98)
    assert neuron.gain == pytest.approx(0.02)
    with pytest.raises(GraphError, match="the time step must be a positive number of seconds, not 0"):
        read_nir(path, dt=0.0)


def test_scale_and_threshold(tmp_path: Path, x: NDArray[np.float32]) -> None:
    nodes = {"scale": nir.Scale(np.array([1, -2, 3], np.float32)), "above": nir.Threshold(each(0.5))}
    graph = read_nir(written(tmp_path / "net.nir", nodes, chain("input", *nodes, "output"), [3], [3]))
    assert np.array_equal(steps(graph, x), x * np.array([1, -2, 3], np.float32) > 0.5)


# Networks.


@pytest.mark.parametrize(
    ("name", "dt"), [("snntorch_forward", 1e-4), ("snntorch_recurrent", 1e-4), ("norse_forward", 1e-3)]
)
def test_spikes_are_those_of_the_tool_that_wrote_the_file(name: str, dt: float) -> None:
    graph = read_nir(VECTORS / f"{name}.nir", dt=dt)
    with np.load(VECTORS / f"{name}.npz") as vectors:
        found = steps(graph, vectors["x"])
        assert vectors["spikes"].any()
        assert np.array_equal(found, vectors["spikes"])


def _recurrent(path: Path, bias: float = 0.0) -> Graph:
    """input + W · spikes of the step before, into a neuron."""
    nodes = {
        "lif": nir.LIF(each(2e-4), each(1.0), each(0.0), each(0.3)),
        "back": nir.Affine(np.array([[0, 1, 0], [0, 0, 2], [-1, 0, 0]], np.float32), each(bias)),
    }
    edges = [("input", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")]
    return read_nir(written(path, nodes, edges, [3], [3]))


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_a_loop_brings_the_spikes_of_the_step_before(
    tmp_path: Path, x: NDArray[np.float32], bias: float
) -> None:
    graph = _recurrent(tmp_path / "net.nir", bias)
    (delay,) = (node for node in graph.nodes if isinstance(node, Delay))
    assert delay.inputs == ("lif",)
    assert graph.keeps_state
    v, spikes, expected = np.zeros(3), np.zeros(3), []
    for now in x.astype(np.float64):
        back = np.array([spikes[1], 2 * spikes[2], -spikes[0]]) + bias
        v = v + 0.5 * (now + back - v)
        spikes = (v > 0.3).astype(np.float64)
        expected.append(spikes)
        v = np.where(spikes > 0, 0.0, v)
    assert np.array_equal(steps(graph, x), expected)


def test_a_neuron_that_feeds_itself(tmp_path: Path, x: NDArray[np.float32]) -> None:
    nodes = {"li": nir.LI(each(2e-4), each(1.0), each(0.0))}
    path = written(tmp_path / "net.nir", nodes, [("input", "li"), ("li", "li"), ("li", "output")], [3], [3])
    v, expected = np.zeros(3), []
    for now in x.astype(np.float64):
        v = v + 0.5 * (now + v - v)
        expected.append(v)
    np.testing.assert_allclose(steps(read_nir(path), x), expected, rtol=1e-4, atol=1e-4)


def test_a_graph_within_a_graph_is_taken_apart(tmp_path: Path, x: NDArray[np.float32]) -> None:
    lif = nir.LIF(each(2e-4), each(1.0), each(0.0), each(0.3))
    weight = np.array([[0, 1, 0], [0, 0, 2], [-1, 0, 0]], np.float32)
    inner = nir.NIRGraph(
        nodes={
            "input": nir.Input(np.array([3])),
            "lif": lif,
            "back": nir.Linear(weight),
            "output": nir.Output(np.array([3])),
        },
        edges=[("input", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")],
    )
    nodes = {"rnn": inner, "scale": nir.Scale(each(2.0))}
    path = written(tmp_path / "net.nir", nodes, chain("input", "rnn", "scale", "output"), [3], [3])
    graph = read_nir(path)
    assert {node.name for node in graph.nodes} >= {"rnn.lif", "rnn.back", "scale"}
    assert np.array_equal(steps(graph, x), 2 * steps(_recurrent(tmp_path / "flat.nir"), x))


def test_a_delay_is_a_number_of_steps(tmp_path: Path, x: NDArray[np.float32]) -> None:
    graph = read_nir(one(tmp_path / "net.nir", nir.Delay(each(3e-4))))
    assert np.array_equal(steps(graph, x), np.vstack([np.zeros((3, 3)), x[:-3]]))
    with pytest.raises(GraphError, match="must delay all by one whole number of steps"):
        read_nir(one(tmp_path / "half.nir", nir.Delay(each(1.5e-4))))


def test_what_meets_at_a_node_is_added(tmp_path: Path, x: NDArray[np.float32]) -> None:
    nodes = {
        name: nir.Scale(each(value)) for name, value in (("a", 2.0), ("b", 3.0), ("c", -4.0), ("d", 1.0))
    }
    edges = [(source, target) for target in "abc" for source in ["input"]]
    edges += [(name, "d") for name in "abc"] + [("d", "output")]
    graph = read_nir(written(tmp_path / "net.nir", nodes, edges, [3], [3]))
    np.testing.assert_allclose(steps(graph, x), x, rtol=1e-5)


def test_an_image_network(tmp_path: Path) -> None:
    from torch.nn import functional

    generator = np.random.default_rng(1)
    first, second = generator.normal(size=(4, 2, 3, 3)), generator.normal(size=(6, 2, 2, 2))
    weight = generator.normal(size=(5, 24))
    nodes = {
        "conv": nir.Conv2d((8, 8), first.astype(np.float32), (2, 1), (1, 0), (1, 2), 1, each(0.5, 4)),
        "grouped": nir.Conv2d((4, 4), second.astype(np.float32), 1, "same", 1, 2, each(-0.5, 6)),
        "sum": nir.SumPool2d(np.array([2, 2]), np.array([1, 2]), np.array([0, 0])),
        "average": nir.AvgPool2d(np.array([2, 1]), np.array([2, 1]), np.array([1, 0])),
        "flatten": nir.Flatten(np.array([6, 2, 2]), 0, -1),
        "fc": nir.Linear(weight.astype(np.float32)),
    }
    whole = {"input": nir.Input(np.array([2, 8, 8])), **nodes, "output": nir.Output(np.array([5]))}
    graph = nir.NIRGraph(nodes=whole, edges=chain(*whole), type_check=False)
    nir.write(tmp_path / "net.nir", graph)
    read = read_nir(tmp_path / "net.nir")
    assert [type(node) for node in read.nodes][1:5] == [Conv, Conv, Pool, Pool]
    x = torch.from_numpy(generator.normal(size=(4, 2, 8, 8)).astype(np.float32))
    w1, w2, w3 = (torch.from_numpy(w.astype(np.float32)) for w in (first, second, weight))
    y = functional.conv2d(x, w1, torch.full((4,), 0.5), (2, 1), (1, 0), (1, 2))
    y = functional.conv2d(y, w2, torch.full((6,), -0.5), padding="same", groups=2)
    y = functional.avg_pool2d(functional.avg_pool2d(y, 2, (1, 2)) * 4, (2, 1), (2, 1), (1, 0))
    y = y.flatten(1) @ w3.T
    np.testing.assert_allclose(steps(read, x.numpy()), y.numpy(), rtol=1e-4, atol=1e-4)


def test_a_convolution_over_one_axis(tmp_path: Path) -> None:
    weight = np.array([[[1, 2, -1]]], np.float32)
    node = nir.Conv1d(6, weight, 1, 1, 1, 1, np.array([0.5], np.float32))
    path = written(tmp_path / "net.nir", {"conv": node}, chain("input", "conv", "output"), [1, 6], [1, 6])
    x = np.random.default_rng(0).normal(size=(3, 1, 6)).astype(np.float32)
    expected = [np.convolve(row[0], weight[0, 0, ::-1], "same")[None] + 0.5 for row in x]
    np.testing.assert_allclose(steps(read_nir(path), x), expected, rtol=1e-5, atol=1e-6)


# What is refused.


def refused(path: Path, says: str) -> None:
    """One sentence with nothing in it that a terminal would obey."""
    with pytest.raises(GraphError) as caught:
        read_nir(path)
    text = str(caught.value)
    assert says in text
    assert " must " in text or " cannot be read" in text
    assert text.isprintable()
    assert len(text) < 500 + len(str(path))


LIF = nir.LIF(each(2e-4), each(1.0), each(0.0), each(0.3))


def _edited(path: Path, edit: Callable[[Any], None]) -> Path:
    """A file of one neuron, with something in it changed."""
    one(path, LIF)
    with h5py.File(path, "a") as file:
        edit(file["node"])
    return path


def _replaced(name: str, value: Any, **options: Any) -> Callable[[Any], None]:
    def edit(node: Any) -> None:
        del node[name]
        node.create_dataset(name, data=value, **options)

    return edit


def _linked(link: Any) -> Callable[[Any], None]:
    def edit(node: Any) -> None:
        del node["nodes/node/tau"]
        node["nodes/node/tau"] = link

    return edit


def _within_itself(node: Any) -> None:
    node["nodes/node/again"] = node["nodes"]


def _virtual(node: Any) -> None:
    del node["nodes/node/tau"]
    layout = h5py.VirtualLayout(shape=(3,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(3,))
    node.create_virtual_dataset("nodes/node/tau", layout)


def _external(node: Any) -> None:
    del node["nodes/node/tau"]
    node.create_dataset("nodes/node/tau", (3,), "f4", external=[("/etc/passwd", 0, 12)])


def _references(node: Any) -> None:
    del node["nodes/node/tau"]
    node.create_dataset("nodes/node/tau", data=np.array([node.ref] * 3, dtype=h5py.ref_dtype))


def _huge(node: Any) -> None:
    del node["nodes/node/tau"]
    node.create_dataset("nodes/node/tau", (2**40,), "f4", chunks=(2**20,), compression="gzip")


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        pytest.param(
            _linked(h5py.ExternalLink("/etc/passwd", "/x")),
            "must hold its data itself, not refer to it as 'tau' does",
            marks=tried(13, "a NIR file that refers to another file", "it is refused, nothing is opened"),
        ),
        pytest.param(_linked(h5py.SoftLink("/node/nodes/node/r")), "must hold its data itself"),
        pytest.param(_virtual, "must hold its data itself"),
        pytest.param(
            _external,
            "must hold its data itself",
            marks=tried(13, "a NIR file whose numbers are bytes of another file", "it is refused"),
        ),
        pytest.param(
            _within_itself,
            "tables within tables to a depth of at most 16",
            marks=tried(12, "a table of a NIR file that is within itself", "it is refused"),
        ),
        pytest.param(
            _huge,
            "must hold arrays of at most 1,073,741,824 bytes in all",
            marks=tried(12, "an array of a NIR file that claims terabytes", "its size is refused unread"),
        ),
        pytest.param(
            _replaced("nodes/node/tau", np.zeros(3, [("a", "f4")])),
            "must hold numbers and text",
            marks=tried(13, "records or references in a NIR file", "they are refused by name"),
        ),
        pytest.param(_references, "must hold numbers and text"),
        pytest.param(
            _replaced("nodes/node/tau", "fast"), "node node (net.nir, LIF) must have numbers for tau"
        ),
        pytest.param(_replaced("nodes/node/tau", each(np.nan)), "must have finite numbers for tau"),
        pytest.param(
            _replaced("nodes/node/tau", each(0.0)), "must have a tau of at least the time step, 0.0001 s"
        ),
        pytest.param(
            _replaced("nodes/node/tau", each(5e-5)), "must have a tau of at least the time step, 0.0001 s"
        ),
        pytest.param(_replaced("nodes/node/tau", each(1.0, 4)), "must have a tau of [3], not of [4]"),
        pytest.param(
            _replaced("nodes/node/type", "Spikes\x1b[31m"),
            "node node (net.nir, Spikes\\x1b[31m) must be of a type that is known",
            marks=tried(5, "a node of a NIR file of an unknown type", "it is refused by its name"),
        ),
        pytest.param(_replaced("nodes/node/type", 3), "must say of what type node node is"),
        pytest.param(_replaced("nodes/input/shape", np.array([2.5])), "must have sizes of at most"),
        pytest.param(_replaced("nodes/input/shape", np.array([10**12])), "must have sizes of at most"),
        pytest.param(_replaced("type", "LIF"), "must hold a graph, not 'LIF'"),
        pytest.param(_replaced("edges", np.zeros((2, 2))), "must list its edges as pairs of names"),
        pytest.param(
            _replaced("edges", [["input", "node"], ["node", "nowhere"]], dtype=h5py.string_dtype()),
            "must have edges between its nodes, not to 'nowhere'",
            marks=tried(5, "edges of a NIR file to nowhere, or twice the same", "they are refused"),
        ),
        pytest.param(
            _replaced("edges", [["input", "node"]] * 2, dtype=h5py.string_dtype()),
            "must have every edge once",
        ),
        pytest.param(
            _replaced("edges", [["input", "output"]], dtype=h5py.string_dtype()),
            "node node (net.nir, LIF) must have an input",
        ),
        pytest.param(
            _replaced("edges", [["input", "x" * 5000]], dtype=h5py.string_dtype()),
            "must hold texts of at most 4,096",
        ),
        pytest.param(lambda node: node.__delitem__("nodes/output"), "must have edges between its nodes"),
        pytest.param(lambda node: node.__delitem__("nodes"), "must hold graphs of nodes"),
    ],
)
def test_files_that_were_changed(tmp_path: Path, edit: Callable[[Any], None], says: str) -> None:
    refused(_edited(tmp_path / "net.nir", edit), says)


def test_files_that_are_none(tmp_path: Path) -> None:
    refused(tmp_path / "absent.nir", "cannot be read: No such file")
    refused(tmp_path, "a regular file, not a folder")
    (tmp_path / "empty.nir").write_bytes(b"")
    refused(tmp_path / "empty.nir", "an HDF5 file, not an empty one")
    (tmp_path / "text.nir").write_text("hello\n")
    refused(tmp_path / "text.nir", "an HDF5 file, not one that begins with b'hello\\n'")
    whole = one(tmp_path / "net.nir", LIF).read_bytes()
    (tmp_path / "short.nir").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "short.nir", "not damaged or truncated")
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["x"] = 1
    refused(tmp_path / "other.nir", "with a table node")


@tried(13, "a NIR file with any of its bytes changed", "a graph or one sentence")
def test_changed_bytes(tmp_path: Path) -> None:
    whole = one(tmp_path / "net.nir", LIF).read_bytes()
    used = [place for place in range(len(whole)) if whole[place]]
    generator = np.random.default_rng(0)
    for number in range(150):
        content = bytearray(whole)
        content[used[generator.integers(len(used))]] ^= 1 << generator.integers(8)
        path = tmp_path / f"{number}.nir"
        path.write_bytes(content)
        with contextlib.suppress(GraphError):
            read_nir(path)
