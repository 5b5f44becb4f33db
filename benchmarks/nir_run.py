"""Runs a NIR graph in one tool and records the spikes of every neuron: a process of its own for `nir_tools.py`.

python benchmarks/nir_run.py TOOL GRAPH.nir INPUT.npy SPIKES.npz DT

INPUT.npy: float32[samples, steps, *shape]. SPIKES.npz: float32[samples, steps, *shape] of every IF, LIF and CubaLIF, by
name. Nothing of spikesim is imported: what is compared must not agree by construction.

Tools: `norse`, `snntorch`, `sinabs`, `spikingjelly` as their importers make the network; `snntorch-wired`, the modules
that snntorch's importer makes of single nodes, called in the order of the graph by this script; `snntorch-rsynaptic`,
the same with the module that the importer has for a recurrent neuron.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import nir
import numpy as np
import torch

NEURONS = (nir.IF, nir.LIF, nir.CubaLIF)

Step = Callable[[torch.Tensor], Any]
Network = tuple[Step, dict[str, torch.nn.Module]]
"""What runs a step, and the modules of neurons by the names of their nodes."""


def neurons(graph: nir.NIRGraph) -> list[str]:
    """The nodes that spike."""
    return [name for name, node in graph.nodes.items() if isinstance(node, NEURONS)]


def stepping(module: Any) -> Step:
    """Calls a module of nirtorch with the state that it returned before."""
    state: list[Any] = []

    def step(x: torch.Tensor) -> Any:
        y, *state[:] = module(x, *state)
        return y

    return step


def by_node(module: torch.nn.Module, graph: nir.NIRGraph) -> dict[str, torch.nn.Module]:
    """Modules of neurons under the names that nirtorch gives them."""
    children = dict(module.named_children())
    return {name: children[name.replace(".", "_")] for name in neurons(graph)}


def norse(graph: nir.NIRGraph, dt: float) -> Network:
    """As `from_nir` makes it."""
    from norse.torch import from_nir

    module = from_nir(graph, dt=dt)
    return stepping(module), by_node(module, graph)


def sinabs(graph: nir.NIRGraph, dt: float) -> Network:
    """As `from_nir` makes it; it takes no time step."""
    from sinabs.nir import from_nir

    module = from_nir(graph, batch_size=1)
    return stepping(module), by_node(module, graph)


def spikingjelly(graph: nir.NIRGraph, dt: float) -> Network:
    """As `import_from_nir` makes it. Its fixed rule r = 1 / dt for IF has a dt of its own."""
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    module = import_from_nir(graph, dt=dt)
    return stepping(module), by_node(module, graph)


def snntorch(graph: nir.NIRGraph, dt: float) -> Network:
    """As `import_from_nir` makes it; its time step is 1e-4 s."""
    from snntorch.import_nir import import_from_nir

    module = import_from_nir(graph)
    return stepping(module), by_node(module, graph)


def snntorch_wired(graph: nir.NIRGraph, dt: float) -> Network:
    """The importer's modules. A neuron in a loop hands on its spikes of the step before."""
    from snntorch.import_nir import _nir_to_snntorch_module

    modules: dict[str, torch.nn.Module] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.SumPool2d):
            modules[name] = torch.nn.LPPool2d(
                1, tuple(map(int, node.kernel_size)), tuple(map(int, node.stride))
            )
        elif isinstance(node, nir.Input | nir.Output):
            modules[name] = torch.nn.Identity()
        else:
            modules[name] = _nir_to_snntorch_module(node, init_hidden=not isinstance(node, nir.IF))
            if isinstance(node, nir.Conv2d):
                modules[name].groups = int(node.groups)
    return wired(graph, modules), {name: modules[name] for name in neurons(graph)}


def wired(graph: nir.NIRGraph, modules: dict[str, torch.nn.Module]) -> Step:
    """Calls modules in the order of a graph; what meets is added up."""
    shapes = {name: tuple(graph.nodes[name].output_type["output"]) for name in neurons(graph)}
    before = {name: torch.zeros(tuple(map(int, shape))) for name, shape in shapes.items()}
    (end,) = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]

    def step(x: torch.Tensor) -> torch.Tensor:
        found: dict[str, torch.Tensor] = {}
        active: list[str] = []

        def value(name: str) -> torch.Tensor:
            if name in active:
                return before[name]
            if name not in found:
                active.append(name)
                given = [value(source) for source, target in graph.edges if target == name] or [x]
                active.pop()
                found[name] = first_of(modules[name](sum(given[1:], given[0])))
            return found[name]

        y = value(end)
        for name in before:
            before[name] = found[name]
        return y

    return step


def snntorch_rsynaptic(graph: nir.NIRGraph, dt: float) -> Network:
    """With RSynaptic for a neuron and the matrix of its loop, its state handed back by hand."""
    from snntorch.import_nir import _nir_to_snntorch_module, _replace_rnn_subgraph_with_nirgraph

    flat, names = {**graph.nodes}, neurons(graph)
    graph = _replace_rnn_subgraph_with_nirgraph(graph)
    modules: dict[str, torch.nn.Module] = {}
    loops: dict[str, str] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input | nir.Output):
            modules[name] = torch.nn.Identity()
        elif isinstance(node, nir.NIRGraph):
            (loops[name],) = [inner for inner in node.nodes if isinstance(flat.get(inner), NEURONS)]
            modules[name] = Handed(_nir_to_snntorch_module(node, init_hidden=False))
        else:
            modules[name] = _nir_to_snntorch_module(node, init_hidden=True)
    if not loops:
        raise ValueError("the graph has no recurrent neuron")
    found = {loops.get(name, name): module for name, module in modules.items()}
    return wired(graph, modules), {name: found[name] for name in names}


class Handed(torch.nn.Module):
    """A recurrent neuron of snntorch that gets the spikes, current and potential that it returned."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.state: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One step."""
        self.state = self.inner(x, *(self.state or [torch.zeros_like(x) for _ in range(3)]))
        return self.state[0]


TOOLS = {
    "norse": norse,
    "snntorch": snntorch,
    "snntorch-wired": snntorch_wired,
    "snntorch-rsynaptic": snntorch_rsynaptic,
    "sinabs": sinabs,
    "spikingjelly": spikingjelly,
}
BATCHED = {"spikingjelly", "snntorch"}
"""Take a batch axis, and are given a batch of one; the others' `Flatten` begins at axis 0, the first of a sample."""


def first_of(y: Any) -> torch.Tensor:
    """The spikes of what a neuron returns: they come before its state."""
    return y[0] if isinstance(y, tuple) else y


@contextlib.contextmanager
def recorded(modules: dict[str, torch.nn.Module]) -> Iterator[dict[str, list[np.ndarray]]]:
    """What modules return, call by call."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in modules}
    hooks = [
        module.register_forward_hook(
            lambda _, __, y, name=name: found[name].append(first_of(y).detach().numpy().astype(np.float32))
        )
        for name, module in modules.items()
    ]
    yield found
    for hook in hooks:
        hook.remove()


def run(tool: str, path: str, x: np.ndarray, dt: float) -> dict[str, np.ndarray]:
    """Spikes of every neuron, of a network made anew for each sample."""
    samples: list[dict[str, np.ndarray]] = []
    for sample in torch.from_numpy(x):
        graph = nir.read(path)
        shapes = {name: tuple(graph.nodes[name].output_type["output"]) for name in neurons(graph)}
        step, modules = TOOLS[tool](graph, dt)
        with torch.no_grad(), recorded(modules) as found:
            if tool == "sinabs":  # its neurons take all steps of a sample at once
                step(sample)
            else:
                for now in sample:
                    step(now[None] if tool in BATCHED else now)
        samples.append({name: np.array(found[name]).reshape(len(x[0]), *shapes[name]) for name in shapes})
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def main() -> None:
    """Runs one tool."""
    tool, path, given, taken, dt = sys.argv[1:]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        spikes = run(tool, path, np.load(given), float(dt))
    np.savez(taken, **spikes)


if __name__ == "__main__":
    main()
