"""Spikes of NIR graphs in spikesim and in other people's tools, neuron by neuron, on the same spike trains.

    python benchmarks/nir_tools.py GRAPH.nir … --tools FOLDER
    python benchmarks/nir_tools.py GRAPH.nir --input TRACE.csv --columns OTHER.csv …

FOLDER has norse, snntorch, sinabs or spikingjelly (`pip install --no-deps --target FOLDER norse==1.1.0 snntorch==1.0.0
nirtorch==2.0.5`); more than one is joined as PATH is. A tool that is not there, or does not take a graph, gets a row
that says so.

Samples are random events, or those of a file; ranges are calibrated on other random events (with --input on the input
itself). Tools get the graph with the weights and time constants that the core has, so that quantisation is no
difference; --as-written gives them the file. The integer program runs on the golden model; `float` is the graph that it
was lowered from, in torch; `changed` that graph with what the tool is known to do otherwise, which proves the reason.
--columns compares with published traces: the last column of each file is spikes.

Of spikes that are not all equal, the table has the share of neurons and steps at which they are, and the share of the
spikes of either that are in both. Tables are printed and written to build/nir_tools/report.txt.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import nir
import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.hardware import HardwareConfig
from spikesim.mapping.graph.frontend import OpenedGraph
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.nir_reader import read_nir
from spikesim.mapping.graph.nodes import Conv, Delay, Input, Linear, Neuron
from spikesim.mapping.graph.reference import Reference
from spikesim.mapping.graph.weights import on_quantized_weights
from spikesim.program import End
from spikesim.run.simulator import Simulator

Spikes = dict[str, NDArray[np.float32]]
"""float32[samples, steps, *shape] of every neuron."""

RUNNER = Path(__file__).with_name("nir_run.py")
TOOLS = ("norse", "snntorch", "snntorch-wired", "snntorch-rsynaptic", "sinabs", "spikingjelly")
PACKAGES = ("norse", "snntorch", "sinabs", "spikingjelly", "nirtorch")
STEPS_AT_ONCE = 16
LONGEST = 72
"""Characters of an error."""


def main() -> None:
    """Prints a table for every graph, and writes them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", nargs="+", type=Path, metavar="GRAPH.nir")
    parser.add_argument("--tools", default="", help="folders in which the tools are installed")
    parser.add_argument("--only", nargs="+", default=TOOLS, choices=TOOLS, help="tools to run")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.1, help="events per input and step")
    parser.add_argument(
        "--calibration-rate", type=float, help="of what ranges are calibrated on; default: the same"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dt", type=float, default=1e-4, help="seconds in a step")
    parser.add_argument(
        "--input", type=Path, help="one sample: a .npy [steps, *shape], or a .csv, its first column"
    )
    parser.add_argument(
        "--behind", metavar="NODE", help="only what lies behind a node, which becomes the input"
    )
    parser.add_argument(
        "--columns", nargs="+", type=Path, default=[], help="files whose last column is spikes"
    )
    parser.add_argument("--as-written", action="store_true", help="tools get the file, not what the core has")
    parser.add_argument("--timeout", type=float, default=600, help="seconds that a tool may take")
    parser.add_argument("--output", type=Path, default=Path("build") / "nir_tools")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    text = [versions(arguments.tools)]
    print(text[0])
    for path in arguments.graphs:
        table = "\n".join(["", *compared(path, arguments)])
        print(table, flush=True)
        text.append(table)
    (arguments.output / "report.txt").write_text("\n".join(text) + "\n", encoding="utf-8")


def versions(tools: str) -> str:
    """Of what is installed."""
    found = ["nir " + metadata.version("nir"), "torch " + metadata.version("torch")]
    for package in PACKAGES:
        for distribution in metadata.distributions(name=package, path=[*tools.split(os.pathsep), *sys.path]):
            found.append(f"{package} {distribution.version}")
            break
    return ", ".join(found)


def compared(path: Path, arguments: argparse.Namespace) -> list[str]:
    """The lines of a graph's table."""
    if arguments.behind:
        cut_off = arguments.output / f"{path.stem}.behind.nir"
        nir.write(cut_off, behind(nir.read(path), arguments.behind))
        path = cut_off
    graph = read_nir(path, dt=arguments.dt)
    calibration, x = trains(graph.input.shape, arguments)
    exact = graph if arguments.as_written else on_quantized_weights(graph)
    integer, cut = golden(graph, x, calibration)
    ours = floats(Changed(exact), x)
    lines = [
        f"{path.name}: {x.shape[0]} samples × {x.shape[1]} steps, {x.mean():.3f} events per input and step, "
        f"{cut} words saturated",
        header(),
        *rows("float", ours, integer, ours, None),
    ]
    written = path
    if not arguments.as_written:
        written = arguments.output / f"{path.stem}.quantised.nir"
        nir.write(written, with_weights(nir.read(path), exact, arguments.dt))
    for tool in arguments.only:
        theirs = run_tool(tool, written, x, arguments)
        if isinstance(theirs, str):
            lines.append(f"| {tool} | {theirs}" + " |" * (COLUMNS - 1))
        else:
            lines += rows(tool, theirs, integer, ours, floats(changed_as(tool, exact, arguments.dt), x))
    for column in arguments.columns:
        spikes = np.loadtxt(column, delimiter=",")[:, -1].astype(np.float32)
        last = next(reversed(integer))
        theirs = {last: spikes.reshape(integer[last].shape)}
        late = {last: np.roll(ours[last], 1, axis=1)}
        lines += rows(f"{column.name}; changed: a step later", theirs, integer, ours, late)
    return lines


def trains(
    shape: tuple[int, ...], arguments: argparse.Namespace
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What ranges are calibrated on, and what runs: float32[samples, steps, *shape]."""
    if arguments.input is None:
        rng = np.random.default_rng(arguments.seed)
        drawn = rng.random((2, arguments.samples, arguments.steps, *shape), np.float32)
        rate = arguments.rate if arguments.calibration_rate is None else arguments.calibration_rate
        return (drawn[0] < rate).astype(np.float32), (drawn[1] < arguments.rate).astype(np.float32)
    read = np.load if arguments.input.suffix == ".npy" else lambda path: np.loadtxt(path, delimiter=",")[:, 0]
    x = np.ascontiguousarray(read(arguments.input), np.float32).reshape(1, -1, *shape)
    return x, x


# The three that are compared.


def golden(graph: Graph, x: NDArray[np.float32], calibration: NDArray[np.float32]) -> tuple[Spikes, int]:
    """Of the integer program, and how many words saturated in it."""
    hardware = HardwareConfig()
    network = OpenedGraph(graph, Path("network.nir"), "NIR")
    network.check()
    network.calibrate(calibration, hardware)
    samples, steps = x.shape[:2]
    host = network.host(samples * steps, steps)
    words = host.words(x.reshape(-1, *graph.input.shape), network.entry).reshape(samples, steps, -1)
    words = np.ascontiguousarray(words.swapaxes(0, 1))
    simulators = [Simulator(program, hardware, samples) for program in network.programs]
    found: dict[str, list[NDArray[np.int32]]] = {node.name: [] for node in neurons(graph)}
    for first in range(0, steps, STEPS_AT_ONCE):
        values: dict[End | None, NDArray[np.int32]] = {None: words[first : first + STEPS_AT_ONCE]}
        for segment, simulator in zip(network.segments, simulators, strict=True):
            text = simulator.program.text
            given = {
                link.to.port: values[link.source] for link in network.links if link.to.program == text.name
            }
            vectors = simulator.run(given)
            values |= {End(program=text.name, port=port): vectors[port] for port in text.output_names}
            for node in segment.nodes:
                if node.name in found:
                    tensor = network.tensors[node.name]
                    found[node.name].append(vectors[tensor.vector][..., tensor.order])
    cut = sum(int(simulator.machine.cut[:, 1].sum()) for simulator in simulators)
    return {
        name: np.concatenate(parts).swapaxes(0, 1).astype(np.float32) for name, parts in found.items()
    }, cut


def floats(reference: Changed, x: NDArray[np.float32]) -> Spikes:
    """Of a float model."""
    graph = reference.graph
    found: dict[str, list[NDArray[np.float32]]] = {node.name: [] for node in neurons(graph)}
    for step in range(x.shape[1]):
        reference.nodes = [node for node in reference.at(step).nodes if not isinstance(node, Input)]
        values = reference.step({graph.input.name: torch.from_numpy(x[:, step])})
        for name, parts in found.items():
            parts.append(values[name].numpy())
    return {name: np.stack(parts, axis=1) for name, parts in found.items()}


def run_tool(tool: str, graph: Path, x: NDArray[np.float32], arguments: argparse.Namespace) -> Spikes | str:
    """Of a tool, or in a sentence why there are none."""
    given, taken = arguments.output / "input.npy", arguments.output / f"{graph.stem}.{tool}.npz"
    np.save(given, x)
    paths = [*arguments.tools.split(os.pathsep), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, RUNNER, tool, graph, given, taken, str(arguments.dt)]
    try:
        done = subprocess.run(
            list(map(str, command)),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=arguments.timeout,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {arguments.timeout:g} s"
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line and not line.startswith(" ")]
        found = next((line for line in reversed(errors) if "Error" in line), "failed")
        return found if len(found) < LONGEST else f"{found[:LONGEST]}…"
    with np.load(taken) as spikes:
        return {name: spikes[name] for name in spikes}


# What the core has, as NIR.


def behind(graph: nir.NIRGraph, node: str) -> nir.NIRGraph:
    """What lies behind a node, but for ways back to it; its output is the input."""
    out = {name: [target for source, target in graph.edges if source == name] for name in graph.nodes}

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = list(out[start])
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += out[name]
        return found

    left = {name for name in reached(node) if node not in reached(name)}
    edges = [
        ("input" if a == node else a, b) for a, b in graph.edges if b in left and (a == node or a in left)
    ]
    nodes = {"input": nir.Input(np.array(graph.nodes[node].output_type["output"]))}
    return nir.NIRGraph(nodes=nodes | {name: graph.nodes[name] for name in sorted(left)}, edges=edges)


def neurons(graph: Graph) -> list[Neuron]:
    """Those that spike."""
    return [node for node in graph.nodes if isinstance(node, Neuron) and node.threshold is not None]


def with_weights(written: nir.NIRGraph, graph: Graph, dt: float) -> nir.NIRGraph:
    """A NIR graph with the weights, leaks and gains of ours, by the names of its nodes."""
    for name, node in written.nodes.items():
        ours = graph.by_name.get(name)
        if isinstance(ours, Linear | Conv):
            node.weight = ours.weight
        if not isinstance(ours, Neuron):
            continue
        shape = np.shape(node.r)
        beta, gain = (np.broadcast_to(value, shape).astype(np.float64) for value in (ours.beta, ours.gain))
        if isinstance(node, nir.IF):
            node.r = gain
        elif isinstance(node, nir.LIF):
            node.tau = dt / (1 - beta)
            node.r = gain / (1 - beta)
        else:
            synapse = 1 - np.broadcast_to(np.asarray(ours.alpha), shape).astype(np.float64)
            node.tau_mem, node.tau_syn = dt / (1 - beta), dt / synapse
            node.r, node.w_in = 1 / (1 - beta), gain / synapse
    return written


# What the tools do otherwise.


class Changed(Reference):
    """The float model of a graph as it is; as a tool has it, in what follows."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(())
        self.graph = graph

    def at(self, step: int) -> Graph:
        """The graph at a step."""
        return self.graph

    def with_neurons(self, change: Callable[[Neuron], Neuron]) -> Graph:
        """Other parameters."""
        return replace(
            self.graph,
            nodes=tuple(change(node) if isinstance(node, Neuron) else node for node in self.graph.nodes),
        )

    def with_loops(self, change: Callable[[Linear], Linear]) -> Graph:
        """Other matrices right behind recurrent edges."""
        delays = {node.name for node in self.graph.nodes if isinstance(node, Delay)}
        return replace(
            self.graph,
            nodes=tuple(
                change(node) if isinstance(node, Linear) and node.inputs[0] in delays else node
                for node in self.graph.nodes
            ),
        )

    def kept(self, node: Neuron, x: torch.Tensor) -> torch.Tensor:
        """A potential after the step before."""
        return self._kept.get(f"{node.name}.v", torch.zeros_like(x))


class Norse(Changed):
    """Nothing comes along a recurrent edge at the first step, not even a bias. LIF has no r."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.graph = self.with_neurons(
            lambda node: node if is_if(node) or node.alpha is not None else replace(node, gain=1 - node.beta)
        )

    def at(self, step: int) -> Graph:
        """Without those biases at first."""
        return self.with_loops(lambda node: replace(node, bias=None)) if step == 0 else self.graph


class SnnTorch(Changed):
    """IF is a neuron that leaks 0.9. Its threshold is subtracted before the next input if what is left exceeds it."""

    def _neuron(self, node: Neuron, x: torch.Tensor, values: dict[str, torch.Tensor]) -> torch.Tensor:
        if not is_if(node):
            return super()._neuron(node, x, values)
        threshold, v = torch.from_numpy(node.threshold), self.kept(node, x)
        again = (v > threshold).float()
        v = torch.tensor(0.9) * v + x - again * threshold
        spikes = (v > threshold).float()
        self._kept[f"{node.name}.v"] = v - (spikes - again) * threshold
        return spikes


class RSynaptic(Changed):
    """The neuron of a loop is reset a step later, and loses that step's input."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        loops = {node.inputs[0] for node in graph.nodes if isinstance(node, Delay)}
        self.graph = self.with_neurons(lambda node: replace(node, delayed=node.name in loops))


class SpikingJelly(Changed):
    """A spike at the threshold; nothing ever comes along a recurrent edge."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.graph = self.with_loops(lambda node: replace(node, weight=0 * node.weight, bias=None))
        self.graph = self.with_neurons(lambda node: replace(node, at_threshold=True))


class Sinabs(Changed):
    """Several spikes a step, whose thresholds are subtracted; IF stays above −threshold, LIF takes tau for steps."""

    def __init__(self, graph: Graph, dt: float) -> None:
        super().__init__(graph)
        self.dt = dt

    def _neuron(self, node: Neuron, x: torch.Tensor, values: dict[str, torch.Tensor]) -> torch.Tensor:
        threshold = torch.from_numpy(node.threshold)
        leak = torch.ones(()) if is_if(node) else torch.exp(torch.as_tensor(node.beta - 1) / self.dt)
        v = leak * self.kept(node, x) + x
        spikes = (v > 0) * torch.div(v, threshold, rounding_mode="trunc")
        v = v - spikes * threshold
        self._kept[f"{node.name}.v"] = torch.relu(v + threshold) - threshold if is_if(node) else v
        return spikes


def is_if(node: Neuron) -> bool:
    """Whether a neuron has no leak and no current."""
    return node.alpha is None and bool((node.beta == 1).all())


def changed_as(tool: str, graph: Graph, dt: float) -> Changed:
    """The float model with what a tool does otherwise."""
    match tool:
        case "norse":
            return Norse(graph)
        case "snntorch" | "snntorch-wired":
            return SnnTorch(graph)
        case "snntorch-rsynaptic":
            return RSynaptic(graph)
        case "sinabs":
            return Sinabs(graph, dt)
        case _:
            return SpikingJelly(graph)


# Tables.


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of two spike trains. `equal`: share of neurons and steps; `both`: share of the spikes of either that are in both;
    `first`: the first step at which they differ.
    """

    equal: float
    both: float
    first: int | None

    def __str__(self) -> str:
        if self.first is None:
            return "all | |"
        return f"{100 * self.equal:.3f} %, {100 * self.both:.1f} % | {self.first} |"


def agreement(a: NDArray[np.float32], b: NDArray[np.float32]) -> Agreement:
    """Of float32[samples, steps, *shape]."""
    differs = a != b
    steps = np.flatnonzero(differs.any(axis=(0, *range(2, a.ndim))))
    either, both = np.maximum(a, b).sum(), np.minimum(a, b).sum()
    return Agreement(
        equal=float(1 - differs.mean()),
        both=float(both / either) if either else 1.0,
        first=int(steps[0]) if steps.size else None,
    )


MODELS = ("integer", "float", "changed")
TITLES = (
    *("tool", "neurons", "its spikes", "integer's spikes"),
    *(title for model in MODELS for title in (f"{model} = tool", "from step")),
)
COLUMNS = len(TITLES)


def header() -> str:
    """Of a table."""
    return f"| {' | '.join(TITLES)} |\n|{'---|' * COLUMNS}"


def rows(tool: str, theirs: Spikes, integer: Spikes, ours: Spikes, changed: Spikes | None) -> list[str]:
    """A row per neuron that the tool has."""
    lines = []
    for name in integer:
        if name not in theirs:
            continue
        cells = [agreement(theirs[name], model[name]) for model in (integer, ours)]
        text = f"| {tool} | {name} | {theirs[name].sum():.0f} | {integer[name].sum():.0f} | "
        text += " ".join(map(str, cells))
        text += " – | |" if changed is None else f" {agreement(theirs[name], changed[name])}"
        lines.append(text)
    return lines


if __name__ == "__main__":
    main()
