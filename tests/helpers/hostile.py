"""Mutations of files and of values: bytes, structure, types, sizes. Every one follows from a random generator alone."""

from __future__ import annotations

import copy
import io
import json
import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 255, 2**15, 2**31 - 1, 2**31, 2**62, 2**63, 2**64, -(2**63), 10**30, 10**400,
    0.0, -0.0, 0.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan"),
    "", "0", "x", "null", "\x1b[31mred\x1b[0m", "\u202e", "a\nb", "../../etc/passwd", "/dev/zero", "'\"`$(touch X)`;",
    "[red]x[/red]", "x" * 100_000,
    [], {}, [None], [[]], [0] * 1000, {"": ""}, {"a": {"b": {"c": []}}},
)  # fmt: skip
"""What a field may hold instead of what it should."""

WORDS = (
    "", " ", "-1", "0", "1", "3", "1e9", "1e999", "nan", "inf", "-inf", "9" * 400, "0x10", "1_0", "½", "٣", "true",
    "None", "a,b", ",", "\x1b[31mred", "\u202e", "a\nb", "\udcff", "[red]x[/red]", "[/]", "../../x", "/dev/null",
    "/dev/zero", "/dev/full", "/proc/self/mem", "/", ".", "..", "~", "'\"`$(touch X)`;&|<>", "-", "--", "x" * 300,
    "x/" * 3000, "%s%n", "{0}", "bitwise", "int8", "norse",
)  # fmt: skip
"""What an option may be given."""


def changed_bytes(content: bytes, rng: random.Random) -> bytes:
    """Some bytes flipped, cut, doubled, moved or put in; never the same content."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at, span = rng.randrange(len(data) + 1), rng.choice((1, 1, 4, 16, 256))
        how = rng.randrange(7)
        if how == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif how == 1:
            del data[at : at + span]
        elif how == 2:
            data[at:at] = rng.randbytes(span)
        elif how == 3:
            data[at:at] = data[at : at + span]
        elif how == 4:
            data[at : at + span] = rng.choice((b"\0", b"\xff", b"9", b"(", b"{")) * span
        elif how == 5:
            del data[at:]
        else:
            data[0:0] = rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"PK\x03\x04", b"\x1f\x8b", b"\n", b"#"))
    return bytes(data) if bytes(data) != content else content + b"\0"


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values of lists and tables are, the whole one first."""
    found = [path]
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


def changed_tree(tree: Any, rng: random.Random) -> Any:
    """One value exchanged, left out, doubled, renamed or wrapped."""
    root = [copy.deepcopy(tree)]
    path = (0, *rng.choice(places(tree)))
    parent = root
    for key in path[:-1]:
        parent = parent[key]
    key, how = path[-1], rng.randrange(8)
    if how < 4:
        parent[key] = copy.deepcopy(rng.choice(VALUES))
    elif how == 4 and len(path) > 1:
        del parent[key]
    elif how == 5 and isinstance(parent, dict):
        parent[rng.choice(("", "x", f"{key}_", str(key).upper(), "\x1b[2J"))] = parent.pop(key)
    elif how == 6 and isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
        parent[key] = rng.choice(
            (parent[key] + 1, parent[key] - 1, -parent[key], parent[key] * 10**9, str(parent[key]))
        )
    else:
        parent[key] = rng.choice(([parent[key]], {"value": parent[key]}, [parent[key]] * 2))
    return root[0]


def changed_json(content: bytes, rng: random.Random) -> bytes:
    """A JSON document with one value changed, nested deeply, or its text."""
    how = rng.randrange(10)
    if how < 2:
        return changed_bytes(content, rng)
    if how == 2:
        depth = rng.choice((100, 2000, 200_000))
        return content.replace(b":", b": " + b"[" * depth + b"]" * depth + b', "x":', 1)
    text = json.dumps(changed_tree(json.loads(content), rng))
    return text.encode("utf-8", errors="surrogatepass")


def changed_toml(content: bytes, rng: random.Random) -> bytes:
    """Lines of a TOML file, or of any other made of lines, changed."""
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    key, equals, value = lines[at].partition(b"=")
    hostile = json.dumps(rng.choice(VALUES)).encode()
    how = rng.randrange(8)
    if how < 3 and equals:
        lines[at] = key + b"= " + hostile
    elif how == 3 and equals:
        lines[at] = key.strip() + rng.choice((b"_x", b".x", b"\xc3\xa9")) + b" = " + value
    elif how == 4:
        lines[at:at] = [lines[at]]
    elif how == 5:
        del lines[at]
    elif how == 6:
        lines[at:at] = [
            rng.choice((b"[x]", b"[[array]]", b"x = " + b"[" * 5000 + b"]" * 5000, b"a." * 3000 + b"b = 1"))
        ]
    else:
        return changed_bytes(content, rng)
    return b"\n".join(lines)


def changed_npy(content: bytes, rng: random.Random) -> bytes:
    """A .npy file with another header, type or number of dimensions; or its bytes."""
    how = rng.randrange(6)
    array = np.load(io.BytesIO(content))
    out = io.BytesIO()
    if how == 0:
        return changed_bytes(content, rng)
    if how == 1:
        shape = rng.choice(((10**12,), (2**40, 2**40), (-1,), (), (0,), (3, -8), (1,) * 80, (2**63,)))
        kind = rng.choice(
            ("<i8", "|O", "<f8", "|S0", "<U1000000", "<M8[s]", "<c16", [("a", "<i4")], ">i8", "garbage")
        )
        header = repr({"descr": kind, "fortran_order": rng.choice((True, False, 1)), "shape": shape}).encode()
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + content[128:]
    if how == 2:
        kinds: tuple[Any, ...] = (
            np.uint8,
            np.int8,
            ">i4",
            np.uint64,
            np.float16,
            np.float64,
            bool,
            np.complex64,
            "S4",
            "M8[s]",
        )
        np.save(out, array.astype(rng.choice(kinds)))
    elif how == 3:
        np.save(out, array.reshape(rng.choice(((2, -1), (1, -1, 1), (-1, 4)))))
    elif how == 4:
        other = array.astype(np.int64)
        other.flat[rng.randrange(other.size)] = rng.choice((-1, 256, 2**31, 2**62, -(2**63), 2**63 - 1))
        np.save(out, other)
    else:
        np.savez(out, array)
    return out.getvalue()


def changed_safetensors(content: bytes, rng: random.Random) -> bytes:
    """A safetensors file with another header, its length, or its bytes."""
    how = rng.randrange(6)
    if how == 0:
        return changed_bytes(content, rng)
    (length,) = struct.unpack("<Q", content[:8])
    header, data = content[8 : 8 + length], content[8 + length :]
    if how == 1:
        return (
            struct.pack("<Q", rng.choice((0, 1, length - 1, length + 1, 2**40, 2**63, 2**64 - 1)))
            + content[8:]
        )
    if how == 2:
        return content[: rng.randrange(len(content))]
    header = changed_json(header, rng)
    return struct.pack("<Q", len(header)) + header + data


_ODD_TENSORS: tuple[Callable[[torch.Tensor], Any], ...] = (
    torch.Tensor.double,
    torch.Tensor.char,
    torch.Tensor.to_sparse,
    torch.Tensor.flatten,
    torch.nn.Parameter,
    lambda tensor: tensor.to(torch.complex64),
    lambda tensor: tensor[..., :1].expand(*tensor.shape[:-1], 10**9),
    lambda tensor: tensor.to("meta"),
    lambda tensor: tensor.mT if tensor.ndim > 1 else tensor[None],
    lambda tensor: tensor[:0],
    lambda tensor: tensor * float("nan"),
    lambda tensor: tensor * float("inf"),
    lambda tensor: tensor * 1e38,
    lambda tensor: tensor * 1e-45,
    lambda tensor: tensor * 0,
    lambda tensor: [tensor],
    lambda _: 3,
    lambda _: None,
)


def changed_torch(content: bytes, rng: random.Random) -> bytes:
    """A .pt file whose configuration or tensors are others, or its bytes."""
    how = rng.randrange(8)
    if how == 0:
        return changed_bytes(content, rng)
    data = torch.load(io.BytesIO(content), weights_only=True)
    config, weights = data["config"], data["state_dict"]
    name = rng.choice(sorted(weights))
    tensor = weights[name]
    if how < 4:
        data["config"] = changed_tree(config, rng)
    elif how == 4:
        weights[rng.choice(("x", name + ".", "_orig_mod." + name, "\x1b[2J"))] = weights.pop(name)
    elif how == 5:
        weights[name] = rng.choice(_ODD_TENSORS)(tensor)
    elif how == 6:
        value: Any = [0]
        for _ in range(rng.choice((3, 30, 300))):
            value = [value, value, value]
        config[rng.choice(sorted(map(str, config)))] = value
    else:
        data = rng.choice(
            (
                [data],
                config,
                {"config": config},
                data | {"optimizer": {}},
                {"state_dict": weights, "config": None},
            )
        )
    out = io.BytesIO()
    torch.save(data, out)
    return out.getvalue()
