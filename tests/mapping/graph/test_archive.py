"""`.pt2` files that were made to do harm, or are none: one sentence, and nothing of them is executed."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tried import tried
from torch import nn

from spikesim.errors import GraphError
from spikesim.mapping.graph.archive import read_archive
from spikesim.mapping.graph.nodes import Linear
from spikesim.mapping.graph.program_file import program_of
from spikesim.mapping.graph.torch_export import export_module, open_exported

WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
MODEL = "models/model.json"
WEIGHT = "data/weights/weight_0"

Records = dict[str, bytes]


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (os.fspath(self.path), "w")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """The records of a file as torch writes it, below their folder; the batch is open."""
    path = tmp_path_factory.mktemp("whole") / "net.pt2"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(torch.export.export(module, (torch.zeros(2, 4),), dynamic_shapes=shapes), path)
    with zipfile.ZipFile(path) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Path]:
    """A path that must not exist afterwards."""
    path = tmp_path / "sprung"
    yield path
    assert not path.exists()


def write(path: Path, records: Records, compression: int = zipfile.ZIP_STORED, root: str = "net/") -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(root + name, content)
    return path


def edited(records: Records, name: str, edit: Callable[[Any], Any]) -> Records:
    """With a JSON record changed."""
    content = json.loads(records[name])
    edit(content)
    return {**records, name: json.dumps(content).encode()}


def pickled(value: object) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def refused(path: Path, *says: str) -> None:
    """One sentence, which names the file, with nothing in it that a terminal would obey."""
    with pytest.raises(GraphError) as caught:
        open_exported(path)
    text = str(caught.value)
    for part in says:
        assert part in text
    assert path.name in text
    assert text.isprintable()
    assert len(text) < 500 + len(str(path))


def test_the_whole_file_is_read(tmp_path: Path, whole: Records) -> None:
    path = write(tmp_path / "net.pt2", whole)
    graph = open_exported(path)
    assert [node.name for node in graph.nodes] == ["input", "0", "1"]
    assert graph.input.shape == (1, 4)
    archive = read_archive(path)
    assert {name: tuple(value.shape) for name, value in archive.weights.items()} == {
        "0.weight": (3, 4),
        "0.bias": (3,),
    }
    assert archive.weights["0.weight"].numpy().tobytes() == whole[WEIGHT]
    assert archive.constants == {}


# What torch.export.load would execute.


@tried(13, "a .pt2 file whose weights are pickled", "it is refused, nothing is unpickled")
def test_pickled_weights(tmp_path: Path, whole: Records, trap: Path) -> None:
    def edit(config: Any) -> None:
        config["config"]["0.weight"]["use_pickle"] = True

    records = edited(whole, WEIGHTS, edit) | {WEIGHT: pickled(Trap(trap))}
    refused(
        write(tmp_path / "net.pt2", records),
        "must hold the bytes of tensors, not pickled ones, as '0.weight' is",
    )


@tried(13, "a .pt2 file with weights in the older, pickled form", "it is refused, nothing is unpickled")
@pytest.mark.parametrize("folder", ["weights", "constants"])
def test_the_older_form_of_weights(tmp_path: Path, whole: Records, trap: Path, folder: str) -> None:
    records = whole | {f"data/{folder}/model.pt": pickled(Trap(trap))}
    refused(
        write(tmp_path / "net.pt2", records), "must hold the bytes of tensors, not pickled ones", "model.pt"
    )


@tried(13, "a .pt2 file with a script object or an opaque one", "it is refused, nothing is unpickled")
@pytest.mark.parametrize("name", ["custom_obj_0", "opaque_obj_0"])
def test_objects(tmp_path: Path, whole: Records, trap: Path, name: str) -> None:
    def edit(config: Any) -> None:
        config["config"]["thing"] = {
            "path_name": name,
            "is_param": False,
            "use_pickle": True,
            "tensor_meta": None,
        }

    records = edited(whole, CONSTANTS, edit)
    refused(write(tmp_path / "without.pt2", records), "not pickled ones, as 'thing' is")
    records |= {f"data/constants/{name}": pickle.dumps(Trap(trap))}
    refused(write(tmp_path / "net.pt2", records), "not a script object or another pickled one")


@tried(13, "a .pt2 file with compiled code", "it is refused, nothing is loaded")
def test_compiled_code(tmp_path: Path, whole: Records) -> None:
    records = whole | {"data/aotinductor/model/x.so": b"\x7fELF"}
    refused(write(tmp_path / "net.pt2", records), "must hold a program, not compiled code")


@tried(13, "a .pt2 file whose sample inputs are a program", "they are left alone, the network is read")
def test_sample_inputs(tmp_path: Path, whole: Records, trap: Path) -> None:
    records = whole | {"data/sample_inputs/model.pt": pickled(((Trap(trap),), {}))}
    assert len(open_exported(write(tmp_path / "net.pt2", records)).nodes) == 3


@tried(13, "a .pt2 file with a size that is an expression of Python", "no expression is evaluated")
def test_expressions(tmp_path: Path, whole: Records, trap: Path) -> None:
    code = f"__import__('builtins').open({os.fspath(trap)!r}, 'w')"

    def edit(value: Any) -> None:
        if isinstance(value, dict):
            if "expr_str" in value:
                value["expr_str"] = code
            for each in value.values():
                edit(each)
        elif isinstance(value, list):
            for each in value:
                edit(each)

    records = edited(whole, MODEL, edit)
    assert code.encode() in records[MODEL].replace(b'\\"', b'"')
    assert len(open_exported(write(tmp_path / "net.pt2", records)).nodes) == 3


def _node(model: Any, number: int = 0) -> Any:
    return [node for node in model["graph_module"]["graph"]["nodes"] if "aten" in node["target"]][number]


@tried(13, "a .pt2 file that calls what is no operator", "it is refused by its name, nothing is looked up")
@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.hub.load",
        "torch.load",
        "torch.ops.aten.from_file.default",
        "torch.ops.load_library",
        "torch.ops.aten.relu.__class__",
        "torch.ops.aten.__init__.default",
        "torch.ops.mine.linear.default",
        "_operator.methodcaller",
        "#mine:op",
        "math.sqrt",
        "eval\x1b[31m",
        "",
    ],
)
def test_targets(tmp_path: Path, whole: Records, target: str) -> None:
    def edit(model: Any) -> None:
        _node(model)["target"] = target

    refused(
        write(tmp_path / "net.pt2", edited(whole, MODEL, edit)),
        "must be an operator that the core has a form for",
        "module 0",
    )


@tried(13, "a .pt2 file with control flow", "it is refused by the operator's name")
def test_control_flow(tmp_path: Path, whole: Records) -> None:
    def edit(model: Any) -> None:
        _node(model, 1)["target"] = "torch.ops.higher_order.cond"

    refused(
        write(tmp_path / "net.pt2", edited(whole, MODEL, edit)),
        "node relu (net.pt2, module 1) must be an operator of torch, without control flow, not",
    )


# The zip archive.


@tried(13, "a .pt2 file with records outside of its folder", "it is refused")
@pytest.mark.parametrize(
    "name", ["../../evil", "a/../../evil", "./x", "a//b", "C:evil", "a\\b", "a\nb", "a/"]
)
def test_names(tmp_path: Path, whole: Records, name: str) -> None:
    refused(write(tmp_path / "net.pt2", whole | {name: b"x"}), "must hold records with plain names, not ")
    refused(
        write(tmp_path / "root.pt2", {"etc/passwd": b""}, root="/"), "with plain names, not '/etc/passwd'"
    )


def test_records_in_several_folders_or_none(tmp_path: Path, whole: Records) -> None:
    path = write(tmp_path / "net.pt2", whole)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/x", b"")
    refused(path, "must have its records in one folder, not in 2")
    refused(
        write(tmp_path / "flat.pt2", {"x": b""}, root=""),
        "must have its records in one folder, not 'x' outside",
    )


@tried(13, "a .pt2 file with a record twice", "it is refused")
def test_a_record_twice(tmp_path: Path, whole: Records) -> None:
    path = write(tmp_path / "net.pt2", whole)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("net/" + WEIGHT, b"")
    refused(path, "must hold every record once, not 'data/weights/weight_0' twice")


@tried(
    12,
    "a .pt2 file of a megabyte that unfolds into a gigabyte",
    "it is refused unread, as any compressed one",
)
def test_a_bomb(tmp_path: Path, whole: Records) -> None:
    records = whole | {WEIGHT: bytes(64 * 2**20)}
    path = write(tmp_path / "net.pt2", records, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    refused(path, "must hold records as they are, not compressed or encrypted")


@tried(12, "a .pt2 file whose records share their bytes", "it is refused")
def test_records_on_top_of_each_other(tmp_path: Path, whole: Records) -> None:
    records = {**whole, "a": b"x" * 50, "b": b"x" * 50}
    content = bytearray(write(tmp_path / "net.pt2", records).read_bytes())
    first, second = (content.rindex(b"net/" + name) - 46 for name in (b"a", b"b"))
    content[second + 42 : second + 46] = content[first + 42 : first + 46]  # the offsets of their headers
    (tmp_path / "net.pt2").write_bytes(content)
    refused(tmp_path / "net.pt2", "must hold the bytes of every record apart from those of others")


@tried(13, "a .pt2 file that is cut short, at any length", "it is refused")
def test_truncated_files(tmp_path: Path, whole: Records) -> None:
    content = write(tmp_path / "net.pt2", whole).read_bytes()
    for length in (10, 1000, len(content) // 2, len(content) - 30, len(content) - 1):
        (tmp_path / "short.pt2").write_bytes(content[:length])
        refused(tmp_path / "short.pt2", "not damaged or truncated")


@tried(13, "a .pt2 file with a bit of a weight changed", "its checksum is compared")
def test_a_changed_weight(tmp_path: Path, whole: Records) -> None:
    content = write(tmp_path / "net.pt2", whole).read_bytes()
    place = content.index(whole[WEIGHT])
    (tmp_path / "net.pt2").write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    refused(tmp_path / "net.pt2", "must be undamaged: the checksum of 'data/weights/weight_0'")


@tried(
    13,
    "a text file, a folder, a pickle, another zip archive in place of a .pt2 file",
    "each is refused as what it is",
)
def test_other_files(tmp_path: Path, whole: Records, trap: Path) -> None:
    refused(tmp_path / "absent.pt2", "cannot be read: No such file")
    refused(tmp_path, "a regular file, not a folder")
    (tmp_path / "empty.pt2").write_bytes(b"")
    refused(tmp_path / "empty.pt2", "a zip archive, not an empty one")
    (tmp_path / "text.pt2").write_text("hello\x1b[31m")
    refused(tmp_path / "text.pt2", "a zip archive, not one that begins with b'hell'")
    (tmp_path / "pickle.pt2").write_bytes(pickle.dumps(Trap(trap)))
    refused(tmp_path / "pickle.pt2", "a zip archive, not one that begins with")
    torch.save({"x": torch.ones(2)}, tmp_path / "weights.pt2")
    refused(tmp_path / "weights.pt2", "not another zip archive, without archive_format")
    os.mkfifo(tmp_path / "pipe.pt2")
    refused(tmp_path / "pipe.pt2", "a regular file, not a pipe")
    refused(write(tmp_path / "other.pt2", whole | {"archive_format": b"pt3"}), "not of another format")
    refused(write(tmp_path / "two.pt2", whole | {"models/b.json": b"{}"}), "must hold one program, not 2")
    big = whole | {"byteorder": b"big"}
    refused(write(tmp_path / "big.pt2", big), "must be saved with the lowest byte of a number first")


@pytest.mark.parametrize("name", [MODEL, WEIGHTS, CONSTANTS])
def test_records_that_are_missing_or_no_json(tmp_path: Path, whole: Records, name: str) -> None:
    says = "must hold one program, not 0" if name == MODEL else f"must hold {name}"
    refused(write(tmp_path / "a.pt2", {key: value for key, value in whole.items() if key != name}), says)
    refused(write(tmp_path / "b.pt2", whole | {name: b"{"}), "with JSON in ")
    refused(write(tmp_path / "c.pt2", whole | {name: b"[" * 100_000}), "not nested so deeply")
    refused(write(tmp_path / "d.pt2", whole | {name: b"[1]"}), "must have a table in")


# What tensors say of themselves.


def _meta(key: str, value: Any) -> Callable[[Any], None]:
    def edit(config: Any) -> None:
        config["config"]["0.weight"]["tensor_meta"][key] = value

    return edit


def _entry(key: str, value: Any) -> Callable[[Any], None]:
    def edit(config: Any) -> None:
        config["config"]["0.weight"][key] = value

    return edit


def _ints(*values: int) -> list[dict[str, int]]:
    return [{"as_int": value} for value in values]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        pytest.param(
            _meta("sizes", _ints(2**40, 4)),
            "must hold the [1099511627776, 4] elements of '0.weight', each once, not 48 bytes",
            marks=tried(
                12, "a tensor of a .pt2 file that claims terabytes", "it is compared with the bytes there are"
            ),
        ),
        pytest.param(
            _meta("strides", _ints(0, 0)),
            "each once, not 48 bytes",
            marks=tried(12, "a tensor of a .pt2 file whose elements serve twice", "it is refused"),
        ),
        pytest.param(_meta("storage_offset", {"as_int": 1}), "each once, not 48 bytes"),
        pytest.param(
            _meta("storage_offset", {"as_int": -1}), "must give sizes and strides of '0.weight' in whole"
        ),
        pytest.param(_meta("sizes", [{"as_expr": {"expr_str": "1"}}]), "in whole numbers"),
        pytest.param(_meta("sizes", 3), "in whole numbers"),
        pytest.param(_meta("sizes", _ints(12)), "each once"),
        pytest.param(_meta("dtype", 9), "in real or whole numbers, not in those of kind 9"),
        pytest.param(_meta("dtype", "float"), "not in those of kind 'float'"),
        pytest.param(_meta("layout", 1), "as a dense tensor, not in layout 1"),
        pytest.param(
            _entry("path_name", "../../x"), "must hold the bytes of '0.weight', which it has in '../../x'"
        ),
        pytest.param(_entry("path_name", 3), "which it has in 3"),
        pytest.param(_entry("use_pickle", None), "not pickled ones, as '0.weight' is"),
        pytest.param(_entry("tensor_meta", None), "must describe '0.weight', not leave it to None"),
        pytest.param(lambda config: config["config"].update({"0.weight": 1}), "by a table, not 1"),
        pytest.param(lambda config: config.update(config=3), "must list its tensors in"),
        pytest.param(lambda config: config["config"].pop("0.bias"), "must hold the value of '0.bias'"),
    ],
)
def test_tensors(tmp_path: Path, whole: Records, edit: Callable[[Any], Any], says: str) -> None:
    refused(write(tmp_path / "net.pt2", edited(whole, WEIGHTS, edit)), says)


# What the program says.


def _graph(edit: Callable[[Any], object]) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        edit(model["graph_module"])

    return change


def _input_sizes(*sizes: Any) -> Callable[[Any], None]:
    def edit(module: Any) -> None:
        name = module["graph"]["inputs"][-1]["as_tensor"]["name"]
        module["graph"]["tensor_values"][name]["sizes"] = list(sizes)

    return _graph(edit)


def _argument(value: Any) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        _node(model)["inputs"][0]["arg"] = value

    return edit


@tried(13, "a .pt2 file whose program makes no sense", "it is refused in one sentence")
@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_graph(lambda module: module.pop("graph")), "must be a program as torch.export.save writes it"),
        (_graph(lambda module: module.pop("signature")), "must be a program as torch.export.save writes it"),
        (
            _graph(lambda module: module["graph"].update(nodes=3)),
            "must be a program as torch.export.save writes",
        ),
        (_graph(lambda module: module["signature"].update(output_specs=[])), "one output, a tensor, not 0"),
        (
            _graph(lambda module: module["signature"]["input_specs"].pop()),
            "must have one input, a tensor, not 0",
        ),
        (_input_sizes({"as_int": 10**12}), "must have an input of at most"),
        (_input_sizes({"as_int": 0}, {"as_int": 4}), "must have an input of at most"),
        (_input_sizes({"as_int": 1}, {"as_int": 5}), "must be a program that can be traced for one sample"),
        (_input_sizes({"as_int": 1}, {}), "must have an input of one size along every axis but the batch"),
        (_argument({"as_tensor": {"name": "nothing"}}), "must be a program as torch.export.save writes it"),
        (
            _argument({"as_custom_obj": {"name": "x", "class_fqn": "y"}}),
            "must be a program as torch.export.save",
        ),
        (_argument({"as_int": {"x": 1}}), "must be a program as torch.export.save writes it"),
        (_argument({"as_string": "x"}), "must be a program that can be traced for one sample"),
        (
            lambda model: _node(model)["inputs"][0].update(name="wrong"),
            "must be a program as torch.export.save",
        ),
    ],
)
def test_programs(tmp_path: Path, whole: Records, edit: Callable[[Any], None], says: str) -> None:
    refused(write(tmp_path / "net.pt2", edited(whole, MODEL, edit)), says)


def test_changed_buffers(tmp_path: Path) -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen += x[0]
            return x + self.seen

    torch.export.save(
        torch.export.export(Counts(), (torch.zeros(1, 4),)).run_decompositions(), tmp_path / "net.pt2"
    )
    refused(tmp_path / "net.pt2", "must keep nothing from one call to the next, not change 'seen'")


@tried(12, "a .pt2 file that squares a size again and again", "it is refused at 63 bits")
def test_sizes_that_grow(tmp_path: Path, whole: Records) -> None:
    def edit(model: Any) -> None:
        graph = model["graph_module"]["graph"]
        name = {"as_int": 10**6}
        for number in range(50):
            graph["nodes"].insert(
                number,
                {
                    "target": "_operator.mul",
                    "inputs": [{"name": key, "arg": name, "kind": 1} for key in "ab"],
                    "outputs": [{"as_sym_int": {"as_name": f"n{number}"}}],
                    "metadata": {},
                },
            )
            name = {"as_sym_int": {"as_name": f"n{number}"}}

    refused(write(tmp_path / "net.pt2", edited(whole, MODEL, edit)), "a size is beyond 63 bits")


@tried(12, "a .pt2 file that makes large constants of nothing", "it is refused before they are made")
def test_constants_of_nothing(tmp_path: Path) -> None:
    class Large(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.arange(2**33).reshape(4, -1).sum(1)

    torch.export.save(torch.export.export(Large(), (torch.zeros(1, 4),)), tmp_path / "net.pt2")
    refused(tmp_path / "net.pt2", "elements, not 8,589,934,592")


@tried(13, "a .pt2 file with any of its bytes changed, checksums or not", "a graph or one sentence")
def test_changed_bytes(tmp_path: Path, whole: Records) -> None:
    content = write(tmp_path / "net.pt2", whole).read_bytes()
    generator = np.random.default_rng(0)
    for number in range(300):
        changed = bytearray(content)
        place = int(generator.integers(len(changed) if number % 2 else 200))
        changed[-1 - place] ^= 1 << int(generator.integers(8))
        path = tmp_path / "changed.pt2"
        path.write_bytes(changed)
        with suppress(GraphError):
            read_archive(path)


@tried(13, "a .pt2 file with any value of its program changed", "a graph or one sentence")
def test_changed_values(tmp_path: Path, whole: Records) -> None:
    generator = np.random.default_rng(1)
    strange: list[Any] = [
        None,
        True,
        -1,
        0,
        2**70,
        1.5,
        "",
        "x",
        "torch.ops.aten.relu.default",
        [],
        {},
        [[1]],
        {"as_int": 3},
    ]

    def places(value: Any) -> Iterator[tuple[Any, Any]]:
        for key, each in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            if isinstance(each, dict | list):
                yield from places(each)

    for number in range(200):
        model = json.loads(whole[MODEL])
        module = model["graph_module"]
        found = list(places({"graph": module["graph"], "signature": module["signature"]}))
        owner, key = found[int(generator.integers(len(found)))]
        owner[key] = strange[int(generator.integers(len(strange)))]
        path = write(tmp_path / "net.pt2", whole | {MODEL: json.dumps(model).encode()})
        with suppress(GraphError):
            program_of(read_archive(path))
            if number % 10 == 0:
                open_exported(path)


def test_a_file_of_many_records_is_refused_by_its_directory(tmp_path: Path) -> None:
    """The directory is one read of zipfile's; its size is in 4 bytes at the end."""
    path = write(tmp_path / "net.pt2", {"x": b""})
    content = bytearray(path.read_bytes())
    content[-10:-6] = struct.pack("<I", 2**31)
    path.write_bytes(content)
    refused(path, "not damaged or truncated")


def test_weights_larger_than_any_directory(tmp_path: Path) -> None:
    """Ten megabytes in one record."""
    module, path = nn.Linear(1300, 2000, bias=False), tmp_path / "large.pt2"
    torch.export.save(export_module(module, torch.zeros(1, 1300)), path)
    (linear,) = (node for node in open_exported(path).nodes if isinstance(node, Linear))
    np.testing.assert_array_equal(linear.weight, module.weight.detach().numpy())
