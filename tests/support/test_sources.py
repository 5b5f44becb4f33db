"""What a digest covers is what the modules really import, and it changes with any of it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import spikesim
from spikesim.support import sources
from spikesim.support.sources import digest, sources_of

PACKAGE = Path(spikesim.__file__).parent

TREE = {
    "__init__.py": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from spikesim.report import page\n",
    "a.py": "import json\nfrom spikesim.b import (\n    one,\n    two,\n)\n\n\n"
    "def late():\n    try:\n        import numpy.linalg\n        from spikesim import c\n    finally:\n        pass\n",
    "b.py": "import typing\nif typing.TYPE_CHECKING:\n    import spikesim.report\nelse:\n    import spikesim.sub.d\n",
    "c.py": "",
    "report.py": "import torch\n",
    "sub/__init__.py": "",
    "sub/d.py": "from . import e\nfrom .deep.f import x\nfrom no_such_package import nothing\n",
    "sub/e.py": "from ..b import one\n",
    "sub/other.py": "",
    "sub/cells.v": "module",
    "sub/.hidden": "",
    "sub/deep/__init__.py": "",
    "sub/deep/f.py": "match 1:\n    case 1:\n        import spikesim.g\n",
    "g.py": "",
}
USED = {
    "__init__.py",
    "a.py",
    "b.py",
    "c.py",
    "g.py",
    "sub/__init__.py",
    "sub/d.py",
    "sub/e.py",
    "sub/cells.v",
} | {
    "sub/deep/__init__.py",
    "sub/deep/f.py",
}
"""By `a`."""


def forget() -> None:
    sources._read.cache_clear()
    sources.digest.cache_clear()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sources.resources, "files", lambda _: tmp_path)
    forget()
    yield tmp_path
    forget()


def test_imports_are_followed_to_the_end(tree: Path) -> None:
    found = sources_of("spikesim.a")
    assert set(found.files) == USED
    assert found.packages == {"numpy", "no_such_package"}
    assert found.files["sub/cells.v"] == b"module"
    assert "spikesim.sub.deep" in found.modules
    assert set(sources_of("spikesim.a", "spikesim.report").files) == USED | {"report.py"}


@pytest.mark.parametrize("name", TREE)
def test_digest_changes_with_what_is_used_and_with_nothing_else(tree: Path, name: str) -> None:
    before = digest("spikesim.a")
    (tree / name).write_text(TREE[name] + "\n")
    assert digest("spikesim.a") == before  # the code that runs is that of before, too
    forget()
    assert (digest("spikesim.a") != before) == (name in USED)


def test_digest_changes_with_versions(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest("spikesim.a")
    version = sources._version
    for package, changes in (("numpy", True), ("no_such_package", True), ("torch", False)):
        monkeypatch.setattr(
            sources, "_version", lambda name, package=package: "9" if name == package else version(name)
        )
        forget()
        assert (digest("spikesim.a") != before) == changes


def test_version_is_that_of_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    version = sources._version.__wrapped__
    assert version("numpy") == np.__version__
    assert version("no_such_package") == "absent"
    monkeypatch.setattr(
        sources.metadata, "packages_distributions", lambda: {"other_name": ["numpy", "numpy"]}
    )
    assert version("other_name") == f"numpy {np.__version__}"


def test_renamed_module_is_another(tree: Path) -> None:
    before = digest("spikesim.c")
    (tree / "c.py").rename(tree / "h.py")
    forget()
    assert digest("spikesim.h") != before


@pytest.mark.parametrize("name", ["spikesim.nothing", "spikesim.a.late", "numpy", "spikesim.sub.cells"])
def test_what_has_no_source_is_refused(tree: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"must be of modules of spikesim with sources, not of {name}$"):
        digest(name)


@pytest.mark.parametrize(
    "module",
    [
        "spikesim.rtl.core",
        "spikesim.power_models.synthesis.synthesis",
        "spikesim.golden.machine",
        "spikesim.compare.baselines",
    ],
)
def test_everything_that_is_really_imported_is_found(module: str) -> None:
    """Python's own account against the one that is read from the sources."""
    script = f"import sys, {module}; print(*(n for n in sys.modules if n.partition('.')[0] == 'spikesim'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= sources_of(module).modules


def test_digest_covers_what_was_forgotten_once() -> None:
    generator = sources_of("spikesim.rtl.core", "spikesim.rtl.verilog")
    assert {"program/tables.py", "timing.py", "program/instructions.py", "rtl/memory.v"} <= set(
        generator.files
    )
    assert {"amaranth", "pyosys"} <= generator.packages
    synthesis = sources_of("spikesim.power_models.synthesis.synthesis")
    assert {"power_models/synthesis/cells.v", "power_models/timing/analysis.py", "support/jit.py"} <= set(
        synthesis.files
    )
    assert {"numba", "numpy"} <= synthesis.packages
    measurement = sources_of("spikesim.compare.measure")
    assert {"rtl/images.py", "program/layout.py", "power_models/gates/kernels.py"} <= set(measurement.files)
    for one in (generator, synthesis, measurement):
        assert not any(name.startswith(("report/", "cli/")) for name in one.files)


def test_no_module_imports_in_a_way_that_cannot_be_read() -> None:
    """Names that `spikesim` itself imports when they are asked for."""
    folders = [PACKAGE, *(PACKAGE / linked for linked in ("mapping", "power_models", "rtl"))]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(files) > 200
    for path in files:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.module == "spikesim":
                assert not {alias.name for alias in node.names} & set(spikesim._HOMES), path
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "spikesim":
                assert node.attr not in spikesim._HOMES, path
