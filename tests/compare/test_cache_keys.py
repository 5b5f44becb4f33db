"""What is kept of synthesis and measurement is made anew when anything that it follows from is another."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from helpers.tried import tried

import spikesim
from spikesim.compare import baselines, measure
from spikesim.compare.keys import data_digest
from spikesim.compare.technology import Technology
from spikesim.compare.work import GatherWork, Work
from spikesim.cores import CORES
from spikesim.errors import OutputError
from spikesim.power_models.cache import ResultCache
from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.synthesis.synthesis import default_liberty
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.emit import TOP
from spikesim.support import sources
from spikesim.support.cache_folder import user_folder
from spikesim.tools import verilator
from spikesim.verify import lockstep
from spikesim.verify.lockstep import BuiltCore

CONFIG = CoreConfig(ways=1, lanes=2)
GATHER = GatherWork(
    name="gather", matrix=np.array([[1, 2]], np.int8), counts=np.array([[3, 4]] * 64, np.int8)
)
WORK = cast(
    Work,
    SimpleNamespace(
        words=np.zeros((1, 64, 2), np.int32),
        outputs=np.zeros((1, 64, 2), np.int32),
        cycles={core: np.ones((1, 64), np.int64) for core in CORES},
    ),
)
DESIGN = "module top (input a, output b);\n  assign b = a;\nendmodule\n"

CORE, ARRAY = {"verilog of core"}, {"verilog of array"}
VERILOG = CORE | ARRAY
SYNTHESIS = {"part", "netlist"}
MEASURED = {"core", "array", "fp8"}


class _AskedError(Exception):
    pass


class _Keys(ResultCache):
    """Makes nothing and keeps what it is asked for, by kind."""

    def __init__(self) -> None:
        super().__init__(None)
        self.asked: dict[str, str] = {}

    def get(self, kind: str, inputs: list[Any], make: Callable[[], Any]) -> Any:
        self.asked[kind] = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
        if kind == "verilog":
            return DESIGN
        if kind == "part":
            return {"rtlil": "", "delay_ps": 0.0}
        raise _AskedError


@pytest.fixture(scope="module")
def plain() -> Technology:
    return Technology.of(None, 1e9, use_cache=False)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("package") / "spikesim"
    shutil.copytree(Path(spikesim.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def copied(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package's sources, where they may be edited."""
    monkeypatch.setattr(sources.resources, "files", lambda name: package.joinpath(*name.split(".")[1:]))
    monkeypatch.setattr(baselines, "verilog", lambda *_: DESIGN)
    monkeypatch.setattr(baselines, "Fp8Sum", lambda **_: None)
    monkeypatch.setattr(measure, "images", lambda _: {"vector": [0]})
    forget()
    yield package
    forget()


def forget() -> None:
    for kept in (sources.digest, sources._read, sources._version):
        kept.cache_clear()


def keys_of(technology: Technology, *, gather: GatherWork = GATHER, work: Work = WORK) -> dict[str, str]:
    """The key of everything that a comparison keeps."""
    found: dict[str, str] = {}
    labels = {"name": "name", "label": "label"}

    def ask(name: str, question: Callable[[Technology], Any]) -> None:
        keys = _Keys()
        with pytest.raises(_AskedError):
            question(dataclasses.replace(technology, cache=keys))
        names = {"design": name, "verilog": f"verilog of {name}"}
        found.update({names.get(kind, kind): key for kind, key in keys.asked.items()})

    ask("core", lambda t: measure.core_job(CONFIG, t, work, **labels).design())
    ask("array", lambda t: measure.array_job(CONFIG, t, [gather], **labels).design())
    ask("fp8", lambda t: baselines.fp8_job(t, [gather], 1).design())
    ask("", lambda t: t.synthesiser.synthesise(DESIGN, "top"))
    assert set(found) == VERILOG | SYNTHESIS | MEASURED
    return found


def different(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {kind for kind in before if before[kind] != after[kind]}


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("program/tables.py", CORE | MEASURED),
        ("timing.py", CORE | MEASURED),
        ("program/instructions.py", VERILOG | MEASURED),
        ("rtl/pointwise/add.py", CORE | MEASURED),
        ("rtl/queue.py", CORE | MEASURED),
        ("rtl/memory.v", VERILOG | MEASURED),
        ("program/layout.py", VERILOG | MEASURED),
        ("compare/designs.py", MEASURED),
        ("golden/arithmetic.py", MEASURED),
        ("results/comparison.py", MEASURED),
        ("power_models/gates/kernels.py", MEASURED),
        ("power_models/synthesis/synthesis.py", SYNTHESIS | MEASURED),
        ("power_models/timing/analysis.py", SYNTHESIS | MEASURED),
        ("power_models/timing/graph.py", SYNTHESIS | MEASURED),
        ("power_models/synthesis/cells.v", SYNTHESIS | MEASURED),
        ("support/jit.py", SYNTHESIS | MEASURED),
        ("report/html.py", set()),
        ("cli/compare.py", set()),
        ("backends/lava/plan.py", set()),
    ],
)
def test_keys_change_with_sources(plain: Technology, copied: Path, file: str, changed: set[str]) -> None:
    before = keys_of(plain)
    text = (copied / file).read_bytes()
    (copied / file).write_bytes(text + b"\n")
    forget()
    try:
        assert different(before, keys_of(plain)) == changed
    finally:
        (copied / file).write_bytes(text)


@pytest.mark.parametrize(
    ("package_name", "changed"),
    [
        ("amaranth", VERILOG | MEASURED),
        ("pyosys", VERILOG | SYNTHESIS | MEASURED),
        ("numpy", VERILOG | SYNTHESIS | MEASURED),
        ("numba", SYNTHESIS | MEASURED),
        ("typer", set()),
    ],
)
def test_keys_change_with_versions(
    plain: Technology, copied: Path, monkeypatch: pytest.MonkeyPatch, package_name: str, changed: set[str]
) -> None:
    before = keys_of(plain)
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "9" if name == package_name else version(name))
    forget()
    assert different(before, keys_of(plain)) == changed


def test_keys_change_with_library_and_clock(plain: Technology, copied: Path, tmp_path: Path) -> None:
    before = keys_of(plain)
    other = tmp_path / "cells.lib"
    other.write_bytes(default_liberty().read_bytes() + b"\n")
    library = dataclasses.replace(plain, liberty=other, library=read_liberty(other))
    assert different(before, keys_of(library)) == SYNTHESIS | MEASURED
    clock = dataclasses.replace(plain, frequency_hz=2e9)
    assert different(before, keys_of(clock)) == {"part"} | MEASURED  # a netlist is of its parts


def test_keys_change_with_data(plain: Technology, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys_of(plain)
    # Another matrix and other counts, with the same sums.
    swapped = dataclasses.replace(GATHER, matrix=GATHER.matrix[:, ::-1], counts=GATHER.counts[:, ::-1])
    assert np.array_equal(swapped.sums, GATHER.sums)
    assert different(before, keys_of(plain, gather=swapped)) == {"array", "fp8"}
    # Other contents of the memories, with the same results.
    monkeypatch.setattr(measure, "images", lambda _: {"vector": [1]})
    assert different(before, keys_of(plain)) == {"core"}


def test_data_is_told_apart_by_its_values_alone() -> None:
    """Instructions are integers wider than any type of numpy: two lists that are equal hold other objects."""
    wide = [[int("7" * 80), 1] for _ in range(2)]
    assert data_digest(wide[0]) == data_digest(wide[1])
    several = [
        [*wide[0], 1],
        [int("7" * 79 + "6"), 1],
        np.zeros(4),
        np.zeros((2, 2)),
        np.zeros(4, np.float32),
        np.ones(4),
    ]
    digests = {data_digest(data) for data in [wide[0], *several]}
    assert len(digests) == len(several) + 1
    strided = np.arange(8)[::2]
    assert data_digest(strided) == data_digest(strided.copy()) != data_digest(strided[::-1])


def test_user_without_a_home_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPIKESIM_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # a user that the system does not know
    with pytest.raises(OutputError, match=r"the user has no home; SPIKESIM_CACHE names one$"):
        user_folder()


def _executable(folder: Path, top: str) -> Path:
    folder.mkdir()
    (folder / f"V{top}.mk").touch()  # by what Verilator leaves, a build without its stamp is known as one
    binary = folder / top
    binary.write_bytes(b"a simulation")
    binary.chmod(0o755)
    return binary


def _pretend_to_build(monkeypatch: pytest.MonkeyPatch, build: Any) -> None:
    """Cores are built by a function of the test's."""

    def emit(folder: Path, _: CoreConfig) -> Path:
        (folder / "core.v").write_text(DESIGN)
        return folder / "core.v"

    build.__module__ = verilator.__name__
    monkeypatch.setattr(lockstep, "emit_core", emit)
    monkeypatch.setattr(lockstep, "build", build)


def _wrong_build(what: str, damage: Callable[[Path], object]) -> Any:
    row = tried(13, f"a simulation built before, {what}", "it is built anew")
    return pytest.param(damage, marks=row, id=what)


def _replace_by_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


def _replace_by_folder(stamp: Path) -> None:
    stamp.unlink()
    stamp.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        _wrong_build("cut short", lambda folder: (folder / TOP).write_bytes(b"a sim")),
        _wrong_build("removed", lambda folder: (folder / TOP).unlink()),
        _wrong_build("that may no longer be run", lambda folder: (folder / TOP).chmod(0o644)),
        _wrong_build("its stamp no text", lambda folder: (folder / "inputs.sha256").write_bytes(b"\xff\xfe")),
        _wrong_build("its stamp removed", lambda folder: (folder / "inputs.sha256").unlink()),
        _wrong_build("its stamp a folder", lambda folder: _replace_by_folder(folder / "inputs.sha256")),
        _wrong_build("a file in place of its folder", _replace_by_file),
    ],
)
def test_damaged_core_is_built_anew(
    damage: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []

    def build(_sources: list[Path], top: str, folder: Path, **_: Any) -> Path:
        built.append(folder)
        return _executable(folder, top)

    _pretend_to_build(monkeypatch, build)
    monkeypatch.setattr(lockstep, "toolchain", lambda: "tools")
    for _ in range(2):
        BuiltCore(CONFIG, tmp_path).binary()
    assert len(built) == 1
    damage(tmp_path / "build")
    for _ in range(2):
        assert BuiltCore(CONFIG, tmp_path).binary().read_bytes() == b"a simulation"
    assert len(built) == 2


def test_built_core_is_built_anew_with_other_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither another compiler or Verilator nor other options of theirs run what was built before."""
    tools = {"toolchain": "13-x86_64-5.48", "digest": "options"}
    built: list[dict[str, str]] = []

    def build(_sources: list[Path], top: str, folder: Path, **_: Any) -> Path:
        built.append(dict(tools))
        return _executable(folder, top)

    _pretend_to_build(monkeypatch, build)
    monkeypatch.setattr(lockstep, "toolchain", lambda: tools["toolchain"])
    monkeypatch.setattr(lockstep, "digest", lambda name: f"{name} {tools['digest']}")

    def binary() -> Path:
        return BuiltCore(CONFIG, tmp_path / "core").binary()

    assert binary() == binary() == tmp_path / "core" / "build" / TOP
    assert len(built) == 1
    for name in tools:
        tools[name] += " changed"
        binary()
        binary()
        assert built[-1] == tools
    assert len(built) == 3
