"""No text that a shell, make or Python reads is made of names: programs start with lists, scripts are constants."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from helpers.places import CHECKOUT
from helpers.tried import tried

SOURCES = sorted(
    path
    for folder in ("spikesim", "mapping", "rtl", "power_models", "tests", "benchmarks", "examples")
    for path in (CHECKOUT / folder).rglob("*.py")
    if not any(part.is_symlink() for part in (path, *path.parents))
)
BY_A_SHELL = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"}
STARTS = {
    "Popen",
    "run_leashed",
    *(f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")),
}
SCRIPT = re.compile(r"#!|\$\([a-z]|\$@|\bexec |\$\{|^\w+ *:?= *$|\t@", re.MULTILINE)
"""What begins or belongs to a script of a shell, or assigns a variable of make."""
ALLOWED = {"spikesim/tools/verilator.py": 2}
"""Texts of that kind that are formatted: MAKEFLAGS and OBJCACHE, of constants."""


def _name(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def _commands_as_text(tree: ast.AST) -> Iterator[int]:
    """Lines that hand a text to a shell, or start a program by a text."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if _name(node.func) in BY_A_SHELL:
            yield node.lineno
        if any(
            k.arg == "shell" and not (isinstance(k.value, ast.Constant) and not k.value.value)
            for k in node.keywords
        ):
            yield node.lineno
        if _name(node.func) in STARTS and node.args:
            first = node.args[0]
            if isinstance(first, ast.JoinedStr | ast.BinOp) or (
                isinstance(first, ast.Constant) and isinstance(first.value, str)
            ):
                yield node.lineno


def _formatted_scripts(tree: ast.AST) -> Iterator[int]:
    """Lines with a text that a shell or make reads, into which something is formatted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) for part in node.values if isinstance(part, ast.Constant)]
            is_script = any(SCRIPT.search(part) for part in parts) or parts == ["="]
            if is_script and len(parts) < len(node.values):
                yield node.lineno


def _found(check: object) -> dict[str, list[int]]:
    found = {}
    for path in SOURCES:
        lines = list(check(ast.parse(path.read_bytes())))  # type: ignore[operator]
        if lines:
            found[path.relative_to(CHECKOUT).as_posix()] = lines
    return found


@tried(10, "a search of all sources for programs that a shell starts", "there is none")
def test_programs_are_started_with_lists() -> None:
    assert len(SOURCES) > 300
    assert _found(_commands_as_text) == {}


@tried(
    10,
    "a search of the package for scripts of make or a shell with something formatted into them",
    "there is none",
)
def test_scripts_are_constants() -> None:
    found = {
        name: lines
        for name, lines in _found(_formatted_scripts).items()
        if not name.startswith(("tests/", "benchmarks/", "examples/"))
    }
    assert {name: len(lines) for name, lines in found.items()} == ALLOWED


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("os.system('ls')", _commands_as_text),
        ("subprocess.run(['ls'], shell=True)", _commands_as_text),
        ("subprocess.run(words, shell=quick)", _commands_as_text),
        ("subprocess.Popen(f'make -C {folder}')", _commands_as_text),
        ("subprocess.run('make ' + folder)", _commands_as_text),
        ("text = f'#!/bin/sh\\nexec {tool}'", _formatted_scripts),
        ("text = f'OBJCACHE = {tool}' + f'{a}={b}'", _formatted_scripts),
    ],
)
def test_the_searches_find(text: str, check: object) -> None:
    assert list(check(ast.parse(text)))  # type: ignore[operator]


def test_the_searches_leave_lists_alone() -> None:
    text = "subprocess.run([tool, f'--out={path}'], shell=False)\nsentence = f'run make in {folder}'"
    assert not list(_commands_as_text(ast.parse(text)))
    assert not list(_formatted_scripts(ast.parse(text)))


def test_emitted_scripts_are_constants() -> None:
    """The bench that `spikesim rtl` writes is one text for all designs."""
    text = (CHECKOUT / "spikesim" / "verify" / "bench.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and _name(node.targets[0]) == "SCRIPT"
    )
    assert isinstance(value, ast.Constant)
    uses = [line.strip() for line in text.splitlines() if re.search(r"\bSCRIPT\b", line)][1:]
    assert uses == ['(folder / "bench.py").write_text(SCRIPT, encoding="utf-8")']
