"""`digest`: of all that something made by these modules follows from, to name what is kept of it.

Those are the modules' own sources, those of every module of spikesim that they import, directly or through others,
the files that lie beside them (`cells.v`, `memory.v`), and the versions of Python and of the packages they import.
The list is read from the import statements, so that nobody has to keep one.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, resources, util

_PACKAGE = "spikesim"


@dataclass(frozen=True, kw_only=True)
class Sources:
    """`modules`: by full name, parents included; `files`: path below spikesim -> content; `packages`: of others."""

    modules: frozenset[str]
    files: dict[str, bytes]
    packages: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class _Module:
    """`files`: its own and, of a package, those beside it; `imports`: names of modules, or of what is in them."""

    files: dict[str, bytes]
    imports: frozenset[str]


@functools.cache
def digest(*modules: str) -> str:
    """Hexadecimal; the same for the whole process, as the code that runs is. Raises ValueError as `sources_of` does."""
    sources = sources_of(*modules)
    versions = {name: _version(name) for name in sources.packages}
    contents = {name: hashlib.sha256(content).hexdigest() for name, content in sources.files.items()}
    text = json.dumps([sys.implementation.cache_tag, versions, contents], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def sources_of(*modules: str) -> Sources:
    """The modules, by full name, and what they import at any depth, also within functions; not for types alone.

    Raises ValueError if spikesim has no such module in source form.
    """
    found: dict[str, _Module] = {}
    packages: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        top, _, rest = name.partition(".")
        if top != _PACKAGE:
            packages.add(top)
        elif name not in found and (module := _read(name)) is not None:
            found[name] = module
            waiting += module.imports
            waiting += [name.rpartition(".")[0]] if rest else []
    for name in modules:
        if name not in found:
            raise ValueError(f"a digest must be of modules of {_PACKAGE} with sources, not of {name}")
    return Sources(
        modules=frozenset(found),
        files={path: content for module in found.values() for path, content in module.files.items()},
        packages=frozenset(packages - sys.stdlib_module_names),
    )


@functools.cache
def _read(name: str) -> _Module | None:
    """None if there is no such module: the name is that of something in one."""
    path = name.split(".")[1:]
    folder = resources.files(_PACKAGE).joinpath(*path)
    if folder.joinpath("__init__.py").is_file():
        beside = [entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")]
        files = {
            "/".join([*path, entry.name]): entry.read_bytes()
            for entry in beside
            if entry.name == "__init__.py" or not entry.name.endswith((".py", ".pyc"))
        }
        own, package = "/".join([*path, "__init__.py"]), name
    elif path and (file := resources.files(_PACKAGE).joinpath(*path[:-1], f"{path[-1]}.py")).is_file():
        own, package = "/".join(path) + ".py", name.rpartition(".")[0]
        files = {own: file.read_bytes()}
    else:
        return None
    return _Module(files=files, imports=frozenset(_imports(files[own], package)))


def _imports(source: bytes, package: str) -> Iterator[str]:
    """`from a import b` imports the module a, and b as well if that is one."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = util.resolve_name("." * node.level + (node.module or ""), package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and _is_for_types(node.test):
            waiting += node.orelse
        else:
            for part in ("body", "orelse", "handlers", "finalbody", "cases"):
                waiting += branch if isinstance(branch := getattr(node, part, None), list) else []


def _is_for_types(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


@functools.cache
def _version(package: str) -> str:
    """Of the distribution that an imported package comes from; "absent" without it."""
    try:
        return metadata.version(package)  # nearly always they have one name
    except metadata.PackageNotFoundError:
        names = sorted(set(metadata.packages_distributions().get(package, [])))
        return ", ".join(f"{name} {metadata.version(name)}" for name in names) or "absent"
