"""From the JSON of a `.pt2` file to a graph of operators of torch, of which every one is known by name.

The JSON is that of torch/_export/serde/schema.py, version 8. Names, numbers and lists are taken; expressions are not
evaluated, and an operator outside the list below is refused before torch looks it up. The batch axis of the input is 1
if the file leaves it open.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, nan, prod
from typing import Any

import torch
from torch import fx

from spikesim.errors import GraphError
from spikesim.mapping.graph.archive import DTYPES, Archive
from spikesim.mapping.graph.walk import HANDLERS, LARGEST, LIKE, MOVES, SKIPPED
from spikesim.support.reading import reading
from spikesim.support.shown import shown, visible

_TAKEN_APART = frozenset(
    (
        "adaptive_avg_pool1d",
        "adaptive_avg_pool2d",
        "adaptive_max_pool1d",
        "adaptive_max_pool2d",
        "all",
        "any",
        "arange",
        "baddbmm",
        "batch_norm",
        "bitwise_and",
        "bitwise_not",
        "bitwise_or",
        "conv1d",
        "conv2d",
        "copy",
        "cos",
        "cumsum",
        "einsum",
        "empty",
        "eq",
        "exp",
        "expand_as",
        "eye",
        "fill",
        "flatten",
        "floor_divide",
        "full",
        "group_norm",
        "hstack",
        "instance_norm",
        "linspace",
        "log",
        "logical_and",
        "logical_not",
        "logical_or",
        "masked_fill",
        "meshgrid",
        "moveaxis",
        "ne",
        "new_empty",
        "one_hot",
        "ones",
        "outer",
        "pad",
        "remainder",
        "scalar_tensor",
        "select_scatter",
        "sign",
        "sin",
        "slice_scatter",
        "stack",
        "std",
        "sym_numel",
        "sym_size",
        "sym_stride",
        "tril",
        "triu",
        "true_divide",
        "var",
        "view_as",
        "vstack",
        "zeros",
        "_to_copy",
        "reshape_as",
        "type_as",
        "unsafe_chunk",
        "unsafe_split",
        "multiply",
        "subtract",
        "divide",
        "negative",
        "concat",
        "numpy_T",
        "linalg_vector_norm",
        "mish",
        "softplus",
        "elu",
        "prelu",
        "selu",
        "celu",
        "log_softmax",
        "erf",
    )
)
"""Operators that torch takes apart before the walk, evaluates to constants, or leaves to it to refuse by name."""

ALLOWED = _TAKEN_APART | MOVES | LIKE | SKIPPED | frozenset(HANDLERS)


def _of_sizes(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of sizes, whose results stay sizes: a file could square a number until memory ends."""

    def bounded(*values: Any) -> Any:
        result = function(*values)
        if isinstance(result, int) and abs(result) >= 2**63:
            raise ValueError("a size is beyond 63 bits")
        return result

    return bounded


_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    f"_operator.{name}": _of_sizes(getattr(operator, name))
    for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "eq", "ne", "lt", "le", "gt", "ge")
} | {"_operator.getitem": operator.getitem, "math.trunc": int, "torch.sym_float": float}
"""What programs do with sizes."""

_MEMORY_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    4: torch.preserve_format,
}

_NUMBERS = {"Infinity": inf, "-Infinity": -inf, "NaN": nan}
_DEEPEST = 8


@dataclass
class Program:
    """`values`: what placeholders of the graph stand for, but for `input`, which is as large as `example`."""

    graph: fx.Graph
    values: dict[str, Any]
    input: str
    example: torch.Tensor
    known: dict[str, Any] = field(default_factory=dict)


def program_of(archive: Archive) -> Program:
    """The program of an archive. Raises GraphError for whatever is not a program of one input and known operators."""
    path = archive.path
    with reading(path, "a program as torch.export.save writes it", GraphError):
        module = archive.model["graph_module"]
        graph, signature = module["graph"], module["signature"]
        program = _inputs(archive, graph, signature)
        for node in graph["nodes"]:
            _add(archive, program, node)
        for spec in signature["output_specs"]:
            kind = next(iter(spec))
            if kind != "user_output":
                raise GraphError(
                    f"{path} must keep nothing from one call to the next, not change"
                    f" {shown(_changed(spec[kind]))}: export a module of one step in evaluation, or use NIR"
                )
        outputs = [spec["user_output"]["arg"] for spec in signature["output_specs"]]
        if len(outputs) != 1 or "as_tensor" not in outputs[0]:
            raise GraphError(f"{path} must have one output, a tensor, not {len(outputs)}")
        program.graph.output(_value(archive, program, outputs[0]))
    return program


def _changed(spec: Mapping[str, Any]) -> str:
    return str(
        next((spec[key] for key in ("buffer_name", "parameter_name", "user_input_name") if key in spec), "it")
    )


def _inputs(archive: Archive, graph: Mapping[str, Any], signature: Mapping[str, Any]) -> Program:
    """The placeholders."""
    built, values = fx.Graph(), {}
    known: dict[str, Any] = {}
    inputs: list[tuple[str, str]] = []
    for spec in signature["input_specs"]:
        ((kind, content),) = spec.items()
        argument = content.get("arg", {})
        name = argument.get("name") or argument.get("as_tensor", {}).get("name")
        if kind == "user_input" and "as_tensor" not in argument:
            raise GraphError(f"{archive.path} must have one input, a tensor, not {shown(argument)}")
        if kind not in ("user_input", "parameter", "buffer", "tensor_constant") or not isinstance(name, str):
            raise GraphError(
                f"{archive.path} must hold tensors only, not a value of kind {visible(str(kind))}"
            )
        node = built.placeholder(f"value_{len(known)}")
        known[name] = node
        if kind == "user_input":
            inputs.append((name, node.name))
            continue
        target = content[f"{kind}_name"]
        found = archive.weights.get(target, archive.constants.get(target))
        if found is None:
            raise GraphError(f"{archive.path} must hold the value of {shown(target)}")
        values[node.name] = found
    if len(inputs) != 1:
        raise GraphError(f"{archive.path} must have one input, a tensor, not {len(inputs)}")
    ((name, placeholder),) = inputs
    return Program(built, values, placeholder, _example(archive, graph["tensor_values"][name]), known)


def _example(archive: Archive, meta: Mapping[str, Any]) -> torch.Tensor:
    """Zeros as large as one sample."""
    sizes = [size.get("as_int") for size in meta["sizes"]]
    for axis, size in enumerate(sizes):
        if size is None and axis > 0:
            raise GraphError(
                f"{archive.path} must have an input of one size along every axis but the batch, not of any size along"
                f" axis {axis}"
            )
    shape = [1 if size is None else size for size in sizes]
    if not all(type(size) is int and size > 0 for size in shape) or prod(shape) > LARGEST:
        raise GraphError(
            f"{archive.path} must have an input of at most {LARGEST:,} elements, not {shown(shape)}"
        )
    if not isinstance(meta["dtype"], int) or meta["dtype"] not in DTYPES:
        raise GraphError(f"{archive.path} must take real numbers, not those of kind {shown(meta['dtype'])}")
    return torch.zeros(shape, dtype=DTYPES[meta["dtype"]])


def _add(archive: Archive, program: Program, node: Mapping[str, Any]) -> None:
    """An operator at the end of the graph."""
    target = _target(archive, node)
    given = {each["name"] or number: each["arg"] for number, each in enumerate(node["inputs"])}
    values = {name: _value(archive, program, argument) for name, argument in given.items()}
    args, kwargs = (tuple(values.values()), {}) if node["target"] in _ARITHMETIC else _ordered(target, values)
    made = program.graph.call_function(target, args, kwargs)
    made.meta.update(_provenance(node.get("metadata") or {}))
    outputs = node["outputs"]
    if len(outputs) == 1 and not {"as_tensors", "as_optional_tensors"} & set(outputs[0]):
        _bind(program, outputs[0], made)
        return
    # Several results, or a list of them: items of the one.
    items = outputs
    if len(outputs) == 1:
        ((_, items),) = outputs[0].items()
        items = [item if "as_tensor" in item or "as_none" in item else {"as_tensor": item} for item in items]
    for number, item in enumerate(items):
        if "as_none" not in item:
            taken = program.graph.call_function(operator.getitem, (made, number))
            taken.meta.update(made.meta)
            _bind(program, item, taken)


def _ordered(target: Any, values: Mapping[Any, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments where the operator has them; the file names every one."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    schema = target._schema.arguments
    for number, argument in enumerate(schema):
        if argument.name in values:
            if argument.kwarg_only or len(args) < number:
                kwargs[argument.name] = values[argument.name]
            else:
                args.append(values[argument.name])
    if len(args) + len(kwargs) < len(values):
        raise ValueError(f"{target} has no argument of this name")
    return tuple(args), kwargs


def _bind(program: Program, argument: Mapping[str, Any], made: fx.Node) -> None:
    ((kind, content),) = argument.items()
    if kind == "as_tensor":
        name = content["name"]
    elif kind in ("as_sym_int", "as_sym_bool", "as_sym_float"):
        name = content["as_name"]
    elif kind == "as_none":
        return
    else:
        raise ValueError(f"an operator makes {shown(kind)}")
    program.known[str(name)] = made


def _target(archive: Archive, node: Mapping[str, Any]) -> Any:
    """The operator of a node."""
    target = node["target"]
    if target in _ARITHMETIC:
        return _ARITHMETIC[target]
    parts = target.split(".")
    name = parts[-2] if len(parts) > 1 else target
    plain = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    if len(parts) == 5 and parts[:3] == ["torch", "ops", "aten"] and plain in ALLOWED:
        packet = getattr(torch.ops.aten, name, None)
        if packet is not None and parts[4] in packet.overloads():
            return getattr(packet, parts[4])
    what, rule = visible(str(target))[:200], "an operator that the core has a form for"
    if target.startswith("torch.ops.higher_order."):
        rule = "an operator of torch, without control flow"
    where = _provenance(node.get("metadata") or {})
    stack = list(where.get("nn_module_stack", {}).values())
    module = f", module {visible(stack[-1][0])}" if stack and stack[-1][0] else ""
    label = visible(str(node.get("name") or name))
    raise GraphError(f"node {label} ({archive.path.name}{module}) must be {rule}, not {what}")


def _value(archive: Archive, program: Program, argument: Mapping[str, Any], depth: int = 0) -> Any:
    """What an argument says, or the node that it names."""
    ((kind, content),) = argument.items()
    known = program.known
    match kind:
        case "as_none":
            return None
        case "as_int" | "as_bool" | "as_string" | "as_ints" | "as_bools" | "as_strings" | "as_int_lists":
            return _plain(content)
        case "as_float" | "as_floats" | "as_float_lists":
            return _real(content)
        case "as_tensor":
            return known[content["name"]]
        case "as_tensors":
            return [known[each["name"]] for each in content]
        case "as_optional_tensor" if depth < _DEEPEST:
            return _value(archive, program, content, depth + 1)
        case "as_optional_tensors" | "as_sym_ints" | "as_sym_floats" | "as_sym_bools" if depth < _DEEPEST:
            return [_value(archive, program, each, depth + 1) for each in content]
        case "as_name":
            return known[content]
        case "as_sym_int" | "as_sym_float" | "as_sym_bool" if depth < _DEEPEST:
            return _value(archive, program, content, depth + 1)
        case "as_scalar_type":
            return DTYPES[content]
        case "as_memory_format":
            return _MEMORY_FORMATS[content]
        case "as_layout":
            return torch.strided
        case "as_device":
            return torch.device("cpu")
    raise ValueError(f"an argument is of kind {shown(kind)}")


def _plain(content: Any) -> Any:
    if isinstance(content, list):
        return [_plain(each) for each in content]
    if not isinstance(content, int | str | bool):
        raise TypeError(f"a value is {shown(content)}")
    return content


def _real(content: Any) -> Any:
    if isinstance(content, list):
        return [_real(each) for each in content]
    return _NUMBERS[content] if isinstance(content, str) else float(content)


def _provenance(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Where an operator comes from: the modules it is in, and the lines that called it."""
    found: dict[str, Any] = {}
    stack = metadata.get("nn_module_stack")
    if isinstance(stack, str) and stack:
        entries = [entry.split(",", 2) for entry in stack.split(";")]
        found["nn_module_stack"] = {
            entry[0]: (entry[1], entry[2])
            for entry in entries
            if len(entry) == 3 and "_metadata_hook" not in entry[0]
        }
    if isinstance(metadata.get("stack_trace"), str):
        found["stack_trace"] = metadata["stack_trace"]
    return found
