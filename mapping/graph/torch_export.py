"""Networks from torch: exported programs (`torch.export`), their files, and modules.

`read_exported` decomposes a program into the operators that `spikesim.mapping.graph.walk` knows and walks over them;
`spikesim.mapping.graph.drafts` puts attention, norms and integer neurons together again. The graph is that of one
sample: a batch axis that the program leaves open becomes 1.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx.traceback import preserve_node_meta

from spikesim.errors import GraphError, SpikesimError
from spikesim.mapping.graph import walk
from spikesim.mapping.graph.archive import read_archive
from spikesim.mapping.graph.drafts import settled
from spikesim.mapping.graph.graph import Graph
from spikesim.mapping.graph.nodes import Activation, Affine, Input, Node, Product, Rearrange, Sum
from spikesim.mapping.graph.program_file import program_of
from spikesim.mapping.graph.walk import HANDLERS, LIKE, MOVES, SKIPPED, Arguments, Origin, Ref, Value, Walk
from spikesim.support.shown import unicode_name, visible

_KEPT = (
    "linear.default",
    "matmul.default",
    "silu.default",
    "hardswish.default",
    "hardsigmoid.default",
    "relu6.default",
    "rms_norm.default",
    "_fused_rms_norm.default",
    "scaled_dot_product_attention.default",
    "leaky_relu.default",
    "heaviside.default",
    "hardtanh.default",
    "upsample_nearest1d.vec",
    "upsample_nearest2d.vec",
)
"""Operators that torch would take apart and that are easier to recognise whole."""

_PLACE = re.compile(r'File "([^"\n]+)", line (\d+)')
_LONGEST_REASON = 200


def read_exported(program: ExportedProgram, source: str) -> Graph:
    """The graph of a program; `source` says in sentences where it came from.

    Raises GraphError, with the name of the node, for whatever the core cannot execute.
    """
    program = _decomposed(_of_one_sample(program, source), source)
    return _Reader(program, source).graph()


def open_exported(path: str | PathLike[str]) -> Graph:
    """The graph of a `.pt2` file, which is checked before it is read; nothing of it is executed.

    Raises GraphError for a file that is none, or holds more than tensors and operators, and as `read_exported` does.
    """
    archive = read_archive(Path(path))
    source = visible(unicode_name(archive.path.name))
    program = program_of(archive)
    traced = retraced(program.graph, program.values, program.input, program.example, source)
    return read_exported(traced, source)


def export_module(module: torch.nn.Module, example_input: torch.Tensor) -> ExportedProgram:
    """A module as a program, in evaluation and for one sample: `example_input` is a batch, of which the first is taken.

    Raises GraphError for a module that torch cannot export.
    """
    name = type(module).__name__
    if example_input.dim() < 1 or not len(example_input):
        raise GraphError(f"the example input of {name} must be a tensor with a batch of at least one sample")
    training = {part: part.training for part in module.modules()}
    module.eval()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operator for all of a transformer layer
    try:
        with _of_torch(name, "a module that torch.export can trace"):
            return torch.export.export(module, (example_input[:1].detach(),), strict=False)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for part, was in training.items():
            part.training = was


@contextmanager
def _of_torch(what: str, rule: str) -> Iterator[None]:
    """Whatever torch raises is one sentence, and what it warns of, or writes to its log, is not shown."""
    logged = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (SpikesimError, MemoryError):
        raise
    except Exception as failure:  # noqa: BLE001 - torch raises whatever its operators and tracers raise
        lines = str(failure).strip().splitlines()
        reason = visible(lines[0][:_LONGEST_REASON]) if lines else type(failure).__name__
        raise GraphError(f"{what} must be {rule} ({reason})") from None
    finally:
        logging.disable(logged)


def _user_input(program: ExportedProgram, source: str) -> fx.Node:
    """The one placeholder by which samples come in."""
    names = [
        spec.arg.name
        for spec in program.graph_signature.input_specs
        if spec.kind is InputKind.USER_INPUT and hasattr(spec.arg, "name")
    ]
    nodes: dict[str, fx.Node] = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    used = [nodes[name] for name in names if isinstance(nodes[name].meta.get("val"), torch.Tensor)]
    if len(used) != 1 or len(names) != 1:
        raise GraphError(f"{source} must have one input, a tensor, not {len(names)}")
    return used[0]


def _of_one_sample(program: ExportedProgram, source: str) -> ExportedProgram:
    """The program, traced anew with a batch of one if it leaves the batch open."""
    placeholder = _user_input(program, source)
    shape = placeholder.meta["val"].shape
    open_axes = [axis for axis, size in enumerate(shape) if not isinstance(size, int)]
    if not open_axes:
        return program
    if open_axes != [0]:
        raise GraphError(
            f"{source} must have an input of one size along every axis but the batch, not of any size along axis"
            f" {open_axes[-1]}"
        )
    example = torch.zeros(1, *map(int, shape[1:]), dtype=placeholder.meta["val"].dtype)
    return retraced(program.graph_module.graph, _values(program), placeholder.name, example, source)


def _values(program: ExportedProgram) -> dict[str, Any]:
    """What the program has from the start, by the names of placeholders."""
    found: dict[str, Any] = {}
    for spec in program.graph_signature.input_specs:
        target = spec.target
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and target in program.state_dict:
            found[spec.arg.name] = program.state_dict[target]
        elif target is not None and target in program.constants:
            found[spec.arg.name] = program.constants[target]
        elif hasattr(spec.arg, "value"):
            found[spec.arg.name] = spec.arg.value
    return found


class _Replay(torch.nn.Module):
    """A graph of operators as a module; what its placeholders stand for is given, but for one."""

    def __init__(self, graph: fx.Graph, values: Mapping[str, Any], name: str) -> None:
        super().__init__()
        self._graph, self._name = graph, name
        # In a list, it is no part of this module.
        self._owner = [graph.owning_module or torch.nn.Module()]
        self._plain = {key: value for key, value in values.items() if not isinstance(value, torch.Tensor)}
        self._buffers_of: dict[str, str] = {}
        for number, (key, value) in enumerate(values.items()):
            if isinstance(value, torch.Tensor):
                self._buffers_of[key] = f"value_{number}"
                self.register_buffer(f"value_{number}", value.detach())

    def forward(self, x: torch.Tensor) -> Any:
        """The first output."""
        given = {key: getattr(self, name) for key, name in self._buffers_of.items()}
        given |= self._plain | {self._name: x}
        names = [node.name for node in self._graph.nodes if node.op == "placeholder"]
        run = fx.Interpreter(self._owner[0], garbage_collect_values=False, graph=self._graph)
        with preserve_node_meta():
            return run.run(*(given[name] for name in names), enable_io_processing=False)


def retraced(
    graph: fx.Graph, values: Mapping[str, Any], name: str, example: torch.Tensor, source: str
) -> ExportedProgram:
    """A graph of operators as a program for an example; nodes keep where they come from.

    `values`: what its placeholders stand for, but for `name`, the input.
    """
    module = _Replay(graph, values, name).eval()
    with _of_torch(source, "a program that can be traced for one sample"):
        return torch.export.export(module, (example,), strict=False)


def _decomposed(program: ExportedProgram, source: str) -> ExportedProgram:
    table: Any = torch.export.default_decompositions()
    for name in _KEPT:
        packet, overload = name.split(".")
        operator = getattr(getattr(torch.ops.aten, packet, None), overload, None)
        if operator is not None:
            table.pop(operator, None)
    with _of_torch(source, "a program that torch can decompose"):
        decomposed: ExportedProgram = program.run_decompositions(table)
    return decomposed


class _Reader:
    """Walks over the operators of a program."""

    def __init__(self, program: ExportedProgram, source: str) -> None:
        self._program = program
        self._source = source
        self._walk = Walk()
        self._values: dict[str, Value] = {}
        self._modules: dict[str, str] = {}
        self._elements = 0
        self._per_module = Counter(
            _module(node)
            for node in program.graph.nodes
            if node.op == "call_function" and _operator(node) not in MOVES | LIKE | {"getitem"}
        )

    def graph(self) -> Graph:
        """The graph. Raises GraphError."""
        result = self._output()
        input_node = self._inputs()
        for node in self._program.graph.nodes:
            if node.op == "call_function":
                self._values[node.name] = self._call(node)
            elif node.op == "get_attr":
                self._values[node.name] = self._attribute(node)
        output = self._values[result]
        if not isinstance(output, Ref):
            raise GraphError(f"{self._source} must have an output that depends on its input")
        nodes, name = settled([input_node, *self._walk.nodes], output.name)
        self._refuse_unrolled(nodes)
        return Graph(nodes=nodes, output=name)

    # What goes in and out.

    def _inputs(self) -> Input:
        given = _values(self._program)
        for spec in self._program.graph_signature.input_specs:
            if spec.kind is not InputKind.USER_INPUT and spec.arg.name not in given:
                raise GraphError(f"{self._source} must hold the value of {spec.target or spec.arg.name}")
        for name, value in given.items():
            self._values[name] = self._constant(name, value)
        placeholder = _user_input(self._program, self._source)
        value = placeholder.meta["val"]
        if not value.dtype.is_floating_point:
            dtype = str(value.dtype).removeprefix("torch.")
            raise GraphError(f"{self._source} must take real numbers, not {dtype}")
        self._walk.origin = Origin("input", self._source)
        shape = tuple(map(int, value.shape))
        node = Input(name=self._walk.name(), source=self._source, shape=shape)
        self._values[placeholder.name] = Ref(node.name, node.shape_of())
        return node

    def _constant(self, name: str, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            if value is None or isinstance(value, bool | int | float | str):
                return value
            raise GraphError(f"{self._source} must hold tensors only, not {name}, an object of another kind")
        value = value.detach()
        if value.layout != torch.strided or type(value) not in (torch.Tensor, torch.nn.Parameter):
            raise GraphError(f"{self._source} must hold plain dense tensors, and {name} is none")
        if value.dtype.is_complex or value.is_quantized:
            raise GraphError(f"{self._source} must hold real numbers, and {name} has none")
        if value.dtype.is_floating_point:
            value = value.to(torch.float32)
        return value.cpu()

    def _attribute(self, node: fx.Node) -> Any:
        owner: Any = self._program.graph_module
        for part in str(node.target).split("."):
            owner = getattr(owner, part)
        if isinstance(owner, torch.Tensor):
            return self._constant(node.name, owner)
        return owner

    def _output(self) -> str:
        names = []
        for spec in self._program.graph_signature.output_specs:
            if spec.kind is not OutputKind.USER_OUTPUT:
                raise GraphError(
                    f"{self._source} must keep nothing from one call to the next, not change {spec.target}: export a"
                    " module of one step in evaluation, or use NIR"
                )
            names.append(getattr(spec.arg, "name", None))
        if len(names) != 1 or names[0] is None:
            raise GraphError(f"{self._source} must have one output, a tensor, not {len(names)}")
        return str(names[0])

    # Operators.

    def _call(self, node: fx.Node) -> Value:
        operator = _operator(node)
        self._walk.origin = self._origin(node, operator)
        args = fx.map_arg(node.args, lambda each: self._values[each.name])
        kwargs = fx.map_arg(node.kwargs, lambda each: self._values[each.name])
        if operator in SKIPPED:
            return None
        if operator == "getitem":
            return self._item(*args)
        if not isinstance(node.target, torch._ops.OpOverload):
            raise self._walk.refuse(f"be an operator of torch, without control flow, not {operator}")
        if not _has_ref((args, kwargs)):
            return self._folded(node, args, kwargs)
        if node.target.namespace != "aten":
            raise self._walk.refuse(f"be an operator of torch, not {node.target.namespace}::{operator}")
        result = self._operated(node, operator, args, kwargs)
        self._check(node, result)
        return result

    def _operated(self, node: fx.Node, operator: str, args: Any, kwargs: Any) -> Value:
        with _of_torch(
            f"node {self._walk.origin.name} ({self._walk.origin.source})", "an operator that is known"
        ):
            if operator in MOVES or operator in LIKE:
                return walk.moved(self._walk, operator, node.target, args, kwargs)  # type: ignore[arg-type]
            if operator not in HANDLERS:
                raise self._walk.refuse(f"be an operator that the core has a form for, not {operator}")
            arguments = _bound(node, args, kwargs) | {"operator": operator}
            if operator in ("_to_copy", "to", "type_as"):
                arguments["dtypes"] = (_dtype(node.args[0]), _dtype(node))
            return HANDLERS[operator](self._walk, arguments)

    def _check(self, node: fx.Node, result: Value) -> None:
        """What was made has the shape that torch says."""
        expected = node.meta.get("val")
        if isinstance(expected, Sequence):
            expected = expected[0] if expected else None
            result = result[0]
        if isinstance(result, Ref) and isinstance(expected, torch.Tensor):
            shape = tuple(expected.shape)
            if result.shape != shape:
                raise self._walk.refuse(f"have the shape {list(shape)}, not {list(result.shape)}")

    def _item(self, value: Value, number: Any) -> Value:
        if not isinstance(value, tuple | list) or not isinstance(number, int) or number >= len(value):
            raise self._walk.refuse("take one of several results")
        item = value[number]
        if item is None:
            raise self._walk.refuse("use the first result of an operator, not its indices or statistics")
        return item

    def _folded(self, node: fx.Node, args: Any, kwargs: Any) -> Value:
        """An operator without an activation is evaluated."""
        made = node.meta.get("val")
        for value in made if isinstance(made, Sequence) else (made,):
            if isinstance(value, torch.Tensor) and value.numel() > walk.LARGEST:
                raise self._walk.refuse(f"have at most {walk.LARGEST:,} elements, not {value.numel():,}")
            self._elements += value.numel() if isinstance(value, torch.Tensor) else 0
        if self._elements > walk.LARGEST_IN_ALL:
            raise self._walk.refuse(f"need constants of at most {walk.LARGEST_IN_ALL:,} elements in all")
        if torch.Tag.nondeterministic_seeded in node.target.tags:  # type: ignore[union-attr]
            raise self._walk.refuse("give the same at every call: random numbers are not supported")
        with (
            _of_torch(f"node {self._walk.origin.name}", "a constant that torch can evaluate"),
            torch.no_grad(),
        ):
            return node.target(*args, **kwargs)  # type: ignore[operator]

    def _origin(self, node: fx.Node, operator: str) -> Origin:
        module = _module(node)
        if not module:
            name = _plain(operator)
        elif self._per_module[module] == 1:
            name = module
        else:
            name = f"{module}.{_plain(operator)}"
        places = _PLACE.findall(node.meta.get("stack_trace") or "")
        where = [self._source, operator]
        own = [place for place in places if "/torch/" not in place[0].replace("\\", "/")]
        if own:
            file, line = own[-1]
            where.append(visible(f"{PurePath(file).name}:{line}"))
        if module:
            where.append(visible(f"module {module}"))
        return Origin(name, ", ".join(where))

    def _refuse_unrolled(self, nodes: Sequence[Node]) -> None:
        """Refuses a neuron that is called again for every step of time: steps would be layers."""
        elementwise = (Activation, Affine, Sum, Product, Rearrange)
        spikes: dict[str, frozenset[str]] = {}  # modules whose spikes reach a node element by element
        for node in nodes:
            reached: frozenset[str] = frozenset()
            if isinstance(node, elementwise):
                reached = frozenset().union(*(spikes[name] for name in node.inputs))
            if isinstance(node, Activation) and node.kind == "step":
                place = node.source
                if place in reached:
                    raise node.refuse(
                        "be a neuron of one step, not one that is called anew for every step of time: export the"
                        " network of one step, or write it as NIR"
                    )
                reached |= {place}
            spikes[node.name] = reached


def _module(node: fx.Node) -> str:
    """The path of the module that an operator is in."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path = str(list(stack.values())[-1][0])
    return path.removeprefix("L['self']").lstrip(".")


def _operator(node: fx.Node) -> str:
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target._schema.name).rsplit("::", maxsplit=1)[-1]
    return str(getattr(target, "__name__", target)).split(".")[-1]


def _plain(operator: str) -> str:
    """The name of an operator without what only torch wants to know."""
    for word in ("native_", "_with_indices", "_legit_no_training"):
        operator = operator.replace(word, "")
    return "attention" if "dot_product" in operator else operator.strip("_")


def _dtype(node: Any) -> torch.dtype | None:
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return value.dtype if isinstance(value, torch.Tensor) else None


def _bound(node: fx.Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Arguments by the names in the operator's schema."""
    bound = {}
    for number, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        if number < len(args):
            bound[argument.name] = args[number]
        else:
            default = argument.default_value if argument.has_default_value() else None
            bound[argument.name] = kwargs.get(argument.name, default)
    return bound


def _has_ref(value: Any) -> bool:
    if isinstance(value, Ref):
        return True
    if isinstance(value, Mapping):
        return any(map(_has_ref, value.values()))
    return isinstance(value, tuple | list) and any(map(_has_ref, value))
